//! Sets of pixels.

/// Some pixels of a picture, a bit for each, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Those of `count` pixels for which `holds`.
    pub fn of(count: usize, holds: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0; count.div_ceil(64)];
        for at in (0..count).filter(|&at| holds(at)) {
            words[at / 64] |= 1 << (at % 64);
        }
        Self { words }
    }

    /// Whether a pixel is among them.
    pub fn has(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many are in both sets.
    pub fn both(&self, other: &Self) -> u64 {
        self.words.iter().zip(&other.words).map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Below 100 there are 34 multiples of 3, 20 of 5 and 7 of both.
    #[test]
    fn sets_are_counted() {
        let (threes, fives) = (Bits::of(100, |at| at % 3 == 0), Bits::of(100, |at| at % 5 == 0));
        assert_eq!([threes.count(), fives.count(), threes.both(&fives)], [34, 20, 7]);
        assert!(threes.has(99) && !threes.has(98) && !threes.has(300));
    }
}
