//! The largest of many numbers, for exact quantiles of a stream.

/// The `count` largest numbers seen.
#[derive(Clone, Debug)]
pub(super) struct Largest {
    count: usize,
    values: Vec<f32>,
    /// What is not larger does not belong to them.
    least: f32,
}

impl Largest {
    pub(super) fn new(count: usize) -> Self {
        Self { count: count.max(1), values: vec![], least: f32::NEG_INFINITY }
    }

    /// Bytes that so many numbers take at most.
    pub(super) fn bytes(count: usize) -> u64 {
        2 * 4 * count.max(1) as u64
    }

    pub(super) fn see(&mut self, value: f32) {
        if value > self.least || self.values.len() < self.count {
            if self.values.capacity() == 0 {
                self.values.reserve_exact(2 * self.count);
            }
            self.values.push(value);
            if self.values.len() == 2 * self.count {
                self.cut();
            }
        }
    }

    /// Leaves the largest.
    fn cut(&mut self) {
        if self.values.len() > self.count {
            let (_, least, _) = self.values.select_nth_unstable_by(self.count - 1, |a, b| b.total_cmp(a));
            self.least = *least;
            self.values.truncate(self.count);
        }
    }

    /// The least of them; minus infinity, of fewer numbers.
    pub(super) fn least(mut self) -> f32 {
        if self.values.len() < self.count {
            return f32::NEG_INFINITY;
        }
        self.cut();
        self.values.iter().copied().fold(f32::INFINITY, f32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 7 is prime: 7 k mod 1009 takes every value below 1009 once.
    #[test]
    fn the_least_of_the_largest_is_that_of_sorting() {
        for count in [1, 2, 5, 100, 1009] {
            let mut largest = Largest::new(count);
            (0..1009).for_each(|k| largest.see((7 * k % 1009) as f32));
            assert_eq!(largest.least(), (1009 - count) as f32);
        }
        let mut few = Largest::new(3);
        few.see(1.0);
        assert_eq!(few.least(), f32::NEG_INFINITY);
    }
}
