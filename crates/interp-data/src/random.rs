//! Draws from the project's random streams.

use interp_finding::random::Stream;
use rand_chacha::rand_core::RngCore;

/// A whole number from 0 to `count - 1`, each as likely (to one part in 2^64).
pub(crate) fn below(stream: &mut Stream, count: usize) -> usize {
    ((u128::from(stream.next_u64()) * count as u128) >> 64) as usize
}

/// Puts the items in random order (Fisher and Yates).
pub(crate) fn shuffle<T>(stream: &mut Stream, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(stream, last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interp_finding::random::stream;

    #[test]
    fn every_order_of_three_is_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..6_000 {
            let mut items = [0, 1, 2];
            shuffle(&mut stream(1, "test", 0, index), &mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Standard deviation of each count: 29.
        assert!(counts.values().all(|&count: &i32| (count - 1000).abs() < 120), "{counts:?}");
    }
}
