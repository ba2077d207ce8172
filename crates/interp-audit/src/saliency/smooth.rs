//! SmoothGrad.

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Entry, Unfit, build};
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Channels, Method, Question, counted, not_negative};
use crate::Result;

/// The mean gradient at pictures with noise (Smilkov et al. 2017, arXiv 1706.03825).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SmoothGrad {
    /// Pictures with noise.
    pub samples: usize,
    /// Standard deviation of the noise, as a share of the picture's largest number less its smallest.
    pub noise: f64,
    /// Of the noise.
    pub seed: u64,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self { samples: 50, noise: 0.15, seed: 0 }
    }
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "smooth_grad",
    summary: "the mean gradient at the picture with noise",
    example: "kind = \"smooth_grad\"\nsamples = 50\nnoise = 0.15\n",
    build: |section| build(section, |settings: SmoothGrad| Box::new(settings)),
    schema: || schemars::schema_for!(SmoothGrad),
};

/// The standard error of the mean is 1/300 of a deviation then.
const MOST: usize = 100_000;

impl Method for SmoothGrad {
    fn check(&self, _: [usize; 2]) -> Result<(), Unfit> {
        counted("samples", self.samples, [1, MOST])?;
        not_negative("noise", self.noise)
    }

    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        self.check(question.size())?;
        let of = |at: usize| self.of_picture(question, at);
        let values = (0..question.count()).map(of).collect::<Result<Vec<_>>>()?;
        Ok(Attribution::of(Tensor::cat(&values, 0)?, Channels::Largest))
    }
}

impl SmoothGrad {
    fn of_picture(&self, question: &Question<'_>, at: usize) -> Result<Tensor> {
        let picture = question.pictures.narrow(0, at, 1)?;
        let range = (picture.max_all()? - picture.min_all()?)?.reshape((1, 1, 1, 1))?;
        let scale = (range * self.noise)?;
        let mut sum = picture.zeros_like()?;
        for part in question.parts(self.samples, 1) {
            let count = part.len();
            let noise = self.noise_of(question, question.indices[at], part)?;
            let x = noise.broadcast_mul(&scale)?.broadcast_add(&picture)?;
            sum = (sum + question.sum_of_gradients(&x, question.targets[at], &vec![1.0; count])?)?;
        }
        Ok((sum / self.samples as f64)?)
    }

    /// Normal noise of a picture, (samples, C, H, W).
    fn noise_of(&self, question: &Question<'_>, index: usize, samples: std::ops::Range<usize>) -> Result<Tensor> {
        let shape = question.net.graph.shape(0);
        let size = shape.iter().product();
        let count = samples.len();
        let mut noise: Vec<f64> = Vec::with_capacity(count * size);
        for sample in samples {
            let mut rng = stream(self.seed, "smooth_grad", sample as u64, index as u64);
            noise.extend((0..size).map(|_| -> f64 { StandardNormal.sample(&mut rng) }));
        }
        question.like(Tensor::from_vec(noise, (count, shape[0], shape[1], shape[2]), &Device::Cpu)?)
    }
}
