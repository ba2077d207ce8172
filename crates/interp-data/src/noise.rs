//! Normal noise on pictures: the same on a picture for everyone who asks for it.

use interp_finding::random::stream;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::{Batch, Info};

/// Normal noise with mean 0 on every value of a picture, independent of each other: a function of the seed, the epoch and
/// the picture's index in its split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Its standard deviation; pixel values are in [0, 1].
    pub deviation: f64,
    seed: u64,
    /// 0 for measuring; of training counted from 1.
    epoch: u64,
}

impl Noise {
    /// The noise of an epoch of training, counted from 0.
    pub fn of_epoch(deviation: f64, seed: u64, epoch: u64) -> Self {
        Self { deviation, seed, epoch: epoch + 1 }
    }

    /// The noise that everything is measured with, whatever it was trained by.
    pub fn for_measuring(deviation: f64) -> Self {
        Self { deviation, seed: 0, epoch: 0 }
    }

    /// The same normalized pictures with noise. Values leave [0, 1]: they are not clipped.
    pub fn on(&self, batch: &Batch, info: &Info) -> Batch {
        let mut noisy = batch.clone();
        let pictures = noisy.images.par_chunks_exact_mut(info.pixels().max(1));
        pictures.zip(&batch.indices).for_each(|(picture, &index)| self.add(picture, info, index));
        noisy
    }

    fn add(&self, picture: &mut [f32], info: &Info, index: usize) {
        let mut rng = stream(self.seed, "noise", self.epoch, index as u64);
        for (value, std) in picture.iter_mut().zip(info.std.iter().cycle()) {
            let unit: f64 = StandardNormal.sample(&mut rng);
            *value += (self.deviation * unit / f64::from(*std)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> Info {
        let classes = vec!["a".into(), "b".into()];
        Info { name: "n".into(), classes, channels: 2, height: 50, width: 50, mean: vec![0.5; 2], std: vec![0.5, 0.25] }
    }

    fn batch(indices: &[usize]) -> Batch {
        let images = vec![0.0; indices.len() * info().pixels()];
        Batch { images, labels: vec![0; indices.len()], indices: indices.to_vec(), masks: None }
    }

    // Of 2500 values: mean within 4 / sqrt(2500) and deviation within 4 / sqrt(5000), in units of the deviation.
    #[test]
    fn the_noise_has_the_deviation_asked_for_in_pixel_values() {
        let noisy = Noise::for_measuring(0.1).on(&batch(&[3]), &info()).images;
        for (channel, std) in [0.5, 0.25].into_iter().enumerate() {
            let values: Vec<f64> = noisy.iter().skip(channel).step_by(2).map(|&v| std * f64::from(v) / 0.1).collect();
            let mean = values.iter().sum::<f64>() / 2500.0;
            let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2500.0).sqrt();
            assert!(mean.abs() < 0.08 && (deviation - 1.0).abs() < 0.057, "{mean} {deviation}");
        }
    }

    #[test]
    fn a_picture_has_its_noise_in_any_batch_and_another_in_every_epoch() {
        let size = info().pixels();
        let on = |noise: Noise, indices: &[usize]| noise.on(&batch(indices), &info()).images;
        let measuring = Noise::for_measuring(0.1);
        assert_eq!(on(measuring, &[5, 3])[size..], on(measuring, &[3])[..]);
        let trained = |seed, epoch| on(Noise::of_epoch(0.1, seed, epoch), &[3]);
        for (one, other) in
            [(trained(0, 0), on(measuring, &[3])), (trained(0, 0), trained(0, 1)), (trained(0, 0), trained(1, 0))]
        {
            assert_ne!(one, other);
        }
        assert_ne!(on(measuring, &[3]), on(measuring, &[4]));
    }
}
