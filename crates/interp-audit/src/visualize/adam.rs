//! The optimizer of pictures.

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), with a rate that falls to 0 as half a cosine. Squares are forgotten faster than in the paper:
/// a search has a few hundred steps, of which the last see gradients far smaller than the first.
pub(super) struct Adam {
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: usize,
}

const DECAYS: [f64; 2] = [0.9, 0.99];
const LEAST: f64 = 1e-8;

impl Adam {
    pub(super) fn new(numbers: usize) -> Self {
        Self { mean: vec![0.0; numbers], square: vec![0.0; numbers], steps: 0 }
    }

    /// A step of `of` in all down the gradient.
    pub(super) fn step(&mut self, values: &mut [f64], gradient: &[f64], rate: f64, of: usize) {
        let done = self.steps as f64 / of.max(1) as f64;
        let rate = rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.steps += 1;
        let known = DECAYS.map(|decay| 1.0 - decay.powi(self.steps as i32));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((value, &g), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            *mean = DECAYS[0] * *mean + (1.0 - DECAYS[0]) * g;
            *square = DECAYS[1] * *square + (1.0 - DECAYS[1]) * g * g;
            *value -= rate * (*mean / known[0]) / ((*square / known[1]).sqrt() + LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The first step is the rate against the sign. After gradients 1 and 3: mean (0.09 + 0.3) / 0.19, square (0.0099 + 0.09) / 0.0199; the second of two steps
    // has half the rate.
    #[test]
    fn two_steps_by_hand() {
        let (mut adam, mut values) = (Adam::new(1), [1.0]);
        adam.step(&mut values, &[1.0], 0.1, 2);
        assert!((values[0] - 0.9).abs() < 1e-8);
        adam.step(&mut values, &[3.0], 0.1, 2);
        let moved: f64 = 0.05 * (0.39 / 0.19) / (0.0999f64 / 0.0199).sqrt();
        assert!((values[0] - (0.9 - moved)).abs() < 1e-8, "{}", values[0]);
    }
}
