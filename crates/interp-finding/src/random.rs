//! Counter-based random streams.
//!
//! A stream is a pure function of (seed, purpose, epoch, index): order of use and number of threads
//! do not matter, and resuming needs no generator state.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The generator of all streams.
pub type Stream = ChaCha8Rng;

/// The stream for one purpose, epoch and index. The four are the 256-bit key of ChaCha8 (the purpose
/// by its FNV-1a hash), so that different arguments give unrelated streams.
pub fn stream(seed: u64, purpose: &str, epoch: u64, index: u64) -> Stream {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, fnv1a(purpose), epoch, index]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A whole number from 0 to `count - 1`, each as likely (to one part in 2^64).
pub fn below(stream: &mut Stream, count: usize) -> usize {
    ((u128::from(stream.next_u64()) * count as u128) >> 64) as usize
}

/// Puts the items in random order (Fisher and Yates).
pub fn shuffle<T>(stream: &mut Stream, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(stream, last + 1));
    }
}

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_has_its_published_values() {
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn every_argument_matters_and_nothing_else() {
        let first = |s: u64, p: &str, e, i| stream(s, p, e, i).next_u64();
        let base = first(1, "shuffle", 2, 3);
        assert_eq!(base, first(1, "shuffle", 2, 3));
        for other in
            [first(2, "shuffle", 2, 3), first(1, "init", 2, 3), first(1, "shuffle", 3, 3), first(1, "shuffle", 2, 4)]
        {
            assert_ne!(base, other);
        }
    }

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
