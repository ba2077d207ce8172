//! How well maps point at objects whose place is known.

/// What a map says of where an object is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Located {
    /// Whether its largest number lies in the object, 1 or 0 (the pointing game of Zhang et al. 2016, arXiv 1608.00507, without tolerance); where several
    /// pixels have it, as of coarse maps, the share of these that do: one of them by chance.
    pub hit: f64,
    /// The share of what is positive in it that lies in the object (relevance mass accuracy, Arras et al. 2022, arXiv 2003.07258).
    pub mass: f64,
}

/// Of a map and a mask of one size: the share of each pixel that is the object, which has those of at least a half. A map that is nowhere
/// positive points at nothing: no hit, and no mass.
pub fn locate(map: &[f64], mask: &[f32]) -> Located {
    // What is not a number is no evidence.
    let positive = || map.iter().zip(mask).filter(|(value, _)| **value > 0.0);
    let most = positive().map(|(value, _)| *value).fold(0.0, f64::max);
    let (mut largest, mut hits) = (0u32, 0u32);
    for (_, &mask) in positive().filter(|(value, _)| **value == most) {
        largest += 1;
        hits += u32::from(mask >= 0.5);
    }
    let all: f64 = positive().map(|(value, _)| value).sum();
    let inside: f64 = positive().map(|(value, &mask)| value * f64::from(mask)).sum();
    let share = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    Located { hit: share(f64::from(hits), f64::from(largest)), mass: share(inside, all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mask = [1.0, 1.0, 0.0, 0.5];
        assert_eq!(locate(&[3.0, -9.0, 1.0, 0.0], &mask), Located { hit: 1.0, mass: 0.75 });
        assert_eq!(locate(&[1.0, 0.0, 3.0, f64::NAN], &mask), Located { hit: 0.0, mass: 0.25 });
        assert_eq!(locate(&[-1.0, 0.0, 0.0, -2.0], &mask), Located { hit: 0.0, mass: 0.0 });
        // Half a pixel counts half, and points at the object.
        assert_eq!(locate(&[0.0, 0.0, 0.0, 2.0], &mask), Located { hit: 1.0, mass: 0.5 });
        // Of a map that is the same everywhere the mass is the object's share of the picture.
        assert_eq!(locate(&[1.0; 4], &mask), Located { hit: 0.75, mass: 2.5 / 4.0 });
        assert_eq!(locate(&[2.0, 1.0, 2.0, 0.0], &mask).hit, 0.5);
    }
}
