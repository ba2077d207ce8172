//! Pixels in the order of what maps say of them.

use interp_net::finding::random::{shuffle, stream};

/// Pixels from the largest number to the smallest; equal ones in random order, which a picture's place in its data set, the seed and what it is for
/// fix: a map that is the same everywhere orders at random.
pub(super) fn descending(map: &[f64], purpose: &str, seed: u64, index: usize) -> Vec<usize> {
    let mut pixels: Vec<usize> = (0..map.len()).collect();
    shuffle(&mut stream(seed, purpose, 0, index as u64), &mut pixels);
    // A negative zero is a zero.
    pixels.sort_by(|&a, &b| (map[b] + 0.0).total_cmp(&(map[a] + 0.0)));
    pixels
}

/// How many of `total` are taken at each of `steps` equal steps, from none to all; no more steps than there are to take.
pub(super) fn marks(total: usize, steps: usize) -> Vec<usize> {
    let steps = steps.min(total).max(1);
    (0..=steps).map(|step| step * total / steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equal_ones_at_random() {
        assert_eq!(descending(&[1.0, -3.0, 2.0, 0.5], "test", 0, 0), [2, 0, 3, 1]);
        let first = |index: usize| descending(&[0.0, -0.0, 0.0, 0.0], "test", 0, index)[0];
        let counts = (0..4000).fold([0; 4], |mut counts, index| {
            counts[first(index)] += 1;
            counts
        });
        // Standard deviation of each count: 27.
        assert!(counts.iter().all(|&count: &i32| (count - 1000).abs() < 110), "{counts:?}");
    }

    #[test]
    fn steps_are_equal_and_end_with_all() {
        assert_eq!(marks(4, 4), [0, 1, 2, 3, 4]);
        assert_eq!(marks(10, 4), [0, 2, 5, 7, 10]);
        assert_eq!(marks(2, 9), [0, 1, 2]);
    }
}
