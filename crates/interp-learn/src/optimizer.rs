//! Optimizers: stochastic gradient descent and AdamW, with state that can be saved.

use interp_net::finding::Unfit;
use interp_net::ops::Rule;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{natural, share};

/// How gradients become steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

/// `g += decay w; v = momentum v + g; w -= rate v`, with Nesterov's `w -= rate (g + momentum v)`:
/// PyTorch's form (Sutskever et al. 2013), no dampening.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Share of the old velocity, in [0, 1).
    pub momentum: f64,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// L2 decay of weights; biases and norms have none.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9, nesterov: true, weight_decay: 5e-4 }
    }
}

/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2), with bias correction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay of the mean and of the mean square of the gradients.
    pub betas: [f64; 2],
    /// Added to the root.
    pub eps: f64,
    /// Decoupled decay of weights; biases and norms have none.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

/// Values per chunk of work; results do not depend on it.
const CHUNK: usize = 1 << 14;

impl Optimizer {
    /// Names of the buffers kept for each parameter.
    pub(crate) fn buffers(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["velocity"],
            Self::AdamW(_) => &["mean", "square"],
        }
    }

    /// The same as a rule for tensors on a device.
    pub(crate) fn rule(&self) -> Rule {
        match *self {
            Self::Sgd(Sgd { momentum, nesterov, .. }) => Rule::Sgd { momentum, nesterov },
            Self::AdamW(AdamW { betas, eps, .. }) => Rule::AdamW { betas, eps },
        }
    }

    /// The decay of weights.
    pub(crate) fn weight_decay(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.weight_decay,
            Self::AdamW(adam) => adam.weight_decay,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Unfit> {
        match self {
            Self::Sgd(sgd) => sgd.check().map_err(|unfit| unfit.within("sgd")),
            Self::AdamW(adam) => adam.check().map_err(|unfit| unfit.within("adamw")),
        }
    }

    /// Step number `count` (from 1) of the values `w`, in place; `buffers` are those of
    /// [`Optimizer::buffers`], of the length of `w`.
    pub(crate) fn step(
        &self,
        w: &mut [f32],
        grad: &[f32],
        buffers: &mut [Vec<f32>],
        rate: f64,
        decay: f64,
        count: u64,
    ) {
        match (self, buffers) {
            (Self::Sgd(sgd), [velocity]) => {
                let (rate, decay, momentum) = (rate as f32, decay as f32, sgd.momentum as f32);
                let chunks = w.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(velocity.par_chunks_mut(CHUNK));
                chunks.for_each(|((w, g), v)| {
                    for ((w, g), v) in w.iter_mut().zip(g).zip(v) {
                        let g = g + decay * *w;
                        *v = momentum * *v + g;
                        *w -= rate * if sgd.nesterov { g + momentum * *v } else { *v };
                    }
                });
            }
            (Self::AdamW(adam), [mean, square]) => {
                let [b1, b2] = adam.betas.map(|b| b as f32);
                // In f64 first: 1 - 0.999 in f32 is off by 1e-5.
                let [n1, n2] = adam.betas.map(|b| (1.0 - b) as f32);
                let correction = |beta: f64| 1.0 - beta.powf(count as f64);
                let scale = (rate / correction(adam.betas[0])) as f32;
                let root = (1.0 / correction(adam.betas[1]).sqrt()) as f32;
                let (shrink, eps) = ((1.0 - rate * decay) as f32, adam.eps as f32);
                let chunks = w.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
                let chunks = chunks.zip(mean.par_chunks_mut(CHUNK)).zip(square.par_chunks_mut(CHUNK));
                chunks.for_each(|(((w, g), m), s)| {
                    for (((w, g), m), s) in w.iter_mut().zip(g).zip(m).zip(s) {
                        *m = b1 * *m + n1 * g;
                        *s = b2 * *s + n2 * g * g;
                        *w = *w * shrink - scale * *m / (s.sqrt() * root + eps);
                    }
                });
            }
            // `buffers` are made by `Optimizer::buffers`, and saved states are checked against it.
            _ => {}
        }
    }
}

fn check_decay(decay: f64) -> Result<(), Unfit> {
    Unfit::unless(natural(decay), "weight_decay", format!("must be 0 or more, not {decay}"))
}

impl Sgd {
    fn check(&self) -> Result<(), Unfit> {
        let momentum = self.momentum;
        Unfit::unless(share(momentum), "momentum", format!("must be in [0, 1), not {momentum}"))?;
        check_decay(self.weight_decay)
    }
}

impl AdamW {
    fn check(&self) -> Result<(), Unfit> {
        let Self { betas, eps, .. } = self;
        Unfit::unless(betas.iter().all(|&beta| share(beta)), "betas", format!("must be in [0, 1), not {betas:?}"))?;
        Unfit::unless(*eps > 0.0 && eps.is_finite(), "eps", format!("must be above 0, not {eps}"))?;
        check_decay(self.weight_decay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(optimizer: &Optimizer, rate: f64, decay: f64, grads: &[f32]) -> f32 {
        let mut w = [1.0f32];
        let mut buffers = vec![vec![0.0f32]; optimizer.buffers().len()];
        for (i, &g) in grads.iter().enumerate() {
            optimizer.step(&mut w, &[g], &mut buffers, rate, decay, i as u64 + 1);
        }
        w[0]
    }

    // Expected values by hand from the update rules; PyTorch 2.13 prints the same.
    #[test]
    fn sgd_by_hand() {
        let plain = Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 });
        // v = 1, w = 0.9; v = 0.9 + 2 = 2.9, w = 0.61.
        assert!((run(&plain, 0.1, 0.0, &[1.0, 2.0]) - 0.61).abs() < 1e-6);
        let nesterov = Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 });
        // g = 1 + 0.5; v = 1.5; w = 1 - 0.1 (1.5 + 1.35).
        assert!((run(&nesterov, 0.1, 0.5, &[1.0]) - 0.715).abs() < 1e-6);
    }

    #[test]
    fn adamw_by_hand() {
        let adam = Optimizer::AdamW(AdamW::default());
        // The first step is rate * sign(g), after the decay: 1 (1 - 0.1 * 0.01) - 0.1.
        assert!((run(&adam, 0.1, 0.01, &[3.0]) - 0.899).abs() < 1e-6);
        // Second step: the means are 0.9 * 0.3 + 0.1 and 0.999 * 0.009 + 0.001, each corrected.
        let (m, s): (f64, f64) = ((0.9 * 0.3 + 0.1) / 0.19, (0.999 * 0.009 + 0.001) / (1.0 - 0.999f64.powi(2)));
        let expected = 0.9 - 0.1 * m / (s.sqrt() + 1e-8);
        assert!((f64::from(run(&adam, 0.1, 0.0, &[3.0, 1.0])) - expected).abs() < 1e-6);
    }
}
