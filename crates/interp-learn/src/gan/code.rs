//! Codes that are drawn.

use candle_core::{Device, Tensor};
use interp_net::finding::random::{Stream, below};
use interp_net::zoo::Latent;
use rand::Rng;
use rand_distr::StandardNormal;

use crate::Result;

/// What a picture is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Code {
    /// Of each categorical code its category.
    pub categories: Vec<usize>,
    /// Of each continuous code its number, in [-1, 1].
    pub numbers: Vec<f32>,
    /// What no code says.
    pub noise: Vec<f32>,
}

impl Code {
    /// Every category as likely as the others, continuous codes uniform in [-1, 1], and standard normal noise.
    pub fn draw(latent: &Latent, stream: &mut Stream) -> Self {
        let categories = latent.categorical.iter().map(|&count| below(stream, count)).collect();
        let numbers = (0..latent.continuous).map(|_| stream.random_range(-1.0..=1.0)).collect();
        let noise = (0..latent.noise).map(|_| stream.sample(StandardNormal)).collect();
        Self { categories, numbers, noise }
    }

    /// As a generator takes it.
    fn vector(&self, latent: &Latent) -> Vec<f32> {
        let one_of =
            |(&count, &category): (&usize, &usize)| (0..count).map(move |other| f32::from(u8::from(other == category)));
        let categories = latent.categorical.iter().zip(&self.categories).flat_map(one_of);
        categories.chain(self.numbers.iter().copied()).chain(self.noise.iter().copied()).collect()
    }
}

/// Codes as a generator takes them, (N, L, 1, 1).
///
/// # Errors
/// If a code is none of `latent`.
pub fn vectors(codes: &[Code], latent: &Latent) -> Result<Tensor> {
    let all: Vec<f32> = codes.iter().flat_map(|code| code.vector(latent)).collect();
    Ok(Tensor::from_vec(all, (codes.len(), latent.length(), 1, 1), &Device::Cpu)?)
}
