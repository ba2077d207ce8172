//! How well maps point at objects whose place is known.

/// What a map says of where an object is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Located {
    /// Whether its largest number lies in the object (the pointing game of Zhang et al. 2016, arXiv 1608.00507, without tolerance).
    pub hit: bool,
    /// The share of what is positive in it that lies in the object (relevance mass accuracy, Arras et al. 2022, arXiv 2003.07258).
    pub mass: f64,
}

/// Of a map and a mask of one size: the share of each pixel that is the object, which has those of at least a half. A map that is nowhere
/// positive points at nothing: no hit, and no mass.
pub fn locate(map: &[f64], mask: &[f32]) -> Located {
    let (mut best, mut inside, mut all) = (None, 0.0, 0.0);
    for (&value, &mask) in map.iter().zip(mask) {
        // What is not a number is no evidence.
        if value > 0.0 {
            (inside, all) = (inside + value * f64::from(mask), all + value);
            if best.is_none_or(|(most, _)| value > most) {
                best = Some((value, mask >= 0.5));
            }
        }
    }
    Located { hit: best.is_some_and(|(_, hit)| hit), mass: if all > 0.0 { inside / all } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mask = [1.0, 1.0, 0.0, 0.5];
        assert_eq!(locate(&[3.0, -9.0, 1.0, 0.0], &mask), Located { hit: true, mass: 0.75 });
        assert_eq!(locate(&[1.0, 0.0, 3.0, f64::NAN], &mask), Located { hit: false, mass: 0.25 });
        assert_eq!(locate(&[-1.0, 0.0, 0.0, -2.0], &mask), Located { hit: false, mass: 0.0 });
        // Half a pixel counts half, and points at the object.
        assert_eq!(locate(&[0.0, 0.0, 0.0, 2.0], &mask), Located { hit: true, mass: 0.5 });
        // Of a map that is the same everywhere the mass is the object's share of the picture.
        assert_eq!(locate(&[1.0; 4], &mask).mass, 2.5 / 4.0);
    }
}
