//! Representations that differ: the correlations between the channels of a layer become small.

use candle_core::{Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::orthogonal::{similarity, unit_filters};
use super::{Prior, Scope, State, Step, Term, share};
use crate::Result;

/// The mean of squared correlations between two channels of a layer, over positions of pictures, is brought below `target`:
/// what one channel says of a picture, the others do not say again. The gradient of `||R - I||^2 / n`, R being the (n, n)
/// correlations of what convolutions and linear maps give, is added to that of the loss (DeCov of Cogswell et al. 2016, arXiv
/// 1511.06068, eq. 3, with correlations in place of covariances: a batch norm undoes what is gained by smaller numbers, and a
/// target would depend on them). A batch norm after the layer changes no correlation.
///
/// Positions are samples, 512 of a batch, spread over pictures, rows and columns. The penalty comes at every eighth step, eight
/// times as strong. The strength of each layer is controlled: it grows while the layer's mean is above four fifths of the
/// target and shrinks below, but not beyond 1: what cannot be had must not leave the loss behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decorrelated {
    /// The mean squared correlation to stay below in every layer on test pictures, and to claim.
    pub target: f64,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "decorrelated",
    summary: "representations that differ: mean squared correlation between the channels of a layer below a target",
    example: "kind = \"decorrelated\"\nnodes = [\"features.*\"]\ntarget = 0.05\n",
    build: |section| build(section, |settings: Decorrelated| Box::new(settings)),
    schema: || schemars::schema_for!(Decorrelated),
};

/// Steps from one penalty to the next: it costs a pass over the activations.
const EVERY: f64 = 8.0;

/// Positions that correlations are taken over.
const SAMPLES: usize = 512;

/// Where a layer's controlled strength begins.
const STRENGTH: f64 = 1e-2;

/// By how much the logarithm of the strength grows or shrinks at most.
const GAIN: f64 = 0.2;

fn key(index: usize) -> String {
    format!("strength.{index}")
}

impl Prior for Decorrelated {
    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        share("target", self.target)?;
        for (&id, name) in scope.nodes.iter().zip(&scope.names) {
            let problem = || format!("must not match `{name}`, which has one channel");
            Unfit::unless(net.graph.shape(id)[0] > 1, "nodes", problem())?;
        }
        Ok(())
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("steps".into(), 0.0);
        state.numbers.extend((0..scope.nodes.len()).map(|index| (key(index), STRENGTH)));
        Ok(state)
    }

    fn taps(&self, _net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.clone()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        state.numbers.insert("steps".into(), steps + 1.0);
        if steps % EVERY != 0.0 {
            return Ok(None);
        }
        let mut term = Term::default();
        for (index, &id) in scope.nodes.iter().enumerate() {
            let strength = state.numbers.get(&key(index)).copied().unwrap_or(STRENGTH);
            let (mean, seed) = correlation(step.tape.at(&step.net.graph, id)?, EVERY * strength)?;
            term.value += strength * (step.net.graph.shape(id)[0] - 1) as f64 * mean;
            term.nodes.push((id, seed));
            let above = (mean / (0.8 * self.target)).ln().clamp(-1.0, 1.0);
            state.numbers.insert(key(index), (strength * (GAIN * above).exp()).clamp(1e-6, 1.0));
        }
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ChannelCorrelation,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: self.target,
        }]
    }
}

/// The mean squared correlation between two channels of an activation, (N, C, H, W) or (N, C), and the gradient of
/// `scale * ||R - I||^2 / C`. Correlations are cosines between channels less their means.
fn correlation(activation: &Tensor, scale: f64) -> Result<(f64, Tensor)> {
    let rows = match activation.rank() {
        4 => activation.permute((0, 2, 3, 1))?.flatten_to(2)?, // (N, C, H, W) -> (N H W, C)
        _ => activation.clone(),
    };
    let (count, channels) = rows.dims2()?;
    let chosen = samples(count);
    let index: Vec<u32> = chosen.iter().map(|&row| row as u32).collect();
    let taken = rows.index_select(&Tensor::new(index, rows.device())?, 0)?.t()?; // (C, S)
    let mut taken: Vec<f32> = taken.flatten_all()?.to_vec1()?;
    center(&mut taken, chosen.len());
    let (unit, lengths) = unit_filters(&taken, channels);
    let (mean, gradient) = similarity(&unit, channels)?;
    let mut seed = vec![0f32; count * channels];
    for (sample, &row) in chosen.iter().enumerate() {
        for channel in 0..channels {
            let slope = gradient[channel * chosen.len() + sample] / lengths[channel].max(f32::MIN_POSITIVE);
            seed[row * channels + channel] = scale as f32 * slope;
        }
    }
    Ok((mean, like(activation, seed)?))
}

/// Rows spread over all `count` of them, by an odd step: all rows and columns of pictures have their turn.
fn samples(count: usize) -> Vec<usize> {
    let step = (count / SAMPLES).max(1);
    let odd = if step > 1 { step - 1 + step % 2 } else { 1 };
    (0..count.min(SAMPLES)).map(|i| i * odd).collect()
}

/// Takes its mean from each channel of `samples` numbers.
fn center(channels: &mut [f32], samples: usize) {
    for channel in channels.chunks_exact_mut(samples.max(1)) {
        let mean = channel.iter().map(|&x| f64::from(x)).sum::<f64>() / samples as f64;
        channel.iter_mut().for_each(|x| *x = (f64::from(*x) - mean) as f32);
    }
}

/// Numbers in channels-last memory as a tensor of the activation's shape, where it lies.
fn like(activation: &Tensor, numbers: Vec<f32>) -> Result<Tensor> {
    let tensor = match *activation.dims() {
        [n, c, h, w] => Tensor::from_vec(numbers, (n, h, w, c), &Device::Cpu)?.permute((0, 3, 1, 2))?,
        _ => Tensor::from_vec(numbers, activation.dims(), &Device::Cpu)?,
    };
    Ok(tensor.to_device(activation.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean squared correlation by its definition, of channels by rows.
    fn by_definition(rows: &[f64], channels: usize) -> f64 {
        let count = rows.len() / channels;
        let column = |c: usize| {
            let all: Vec<f64> = rows.iter().skip(c).step_by(channels).copied().collect();
            let mean = all.iter().sum::<f64>() / count as f64;
            all.into_iter().map(|x| x - mean).collect::<Vec<_>>()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let columns: Vec<Vec<f64>> = (0..channels).map(column).collect();
        let squared = |a: &[f64], b: &[f64]| dot(a, b).powi(2) / (dot(a, a) * dot(b, b));
        let pairs = (0..channels).flat_map(|i| (0..channels).filter(move |&j| j != i).map(move |j| (i, j)));
        pairs.map(|(i, j)| squared(&columns[i], &columns[j])).sum::<f64>() / (channels * (channels - 1)) as f64
    }

    fn noise(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + 1.0) * 12.9898).sin() + 0.4 * (i as f32 * 0.1).cos()).collect()
    }

    // adhoc b.9: of (1, 1) and (-1, -1) half the sum of squares off the diagonal of the covariances [[1, 1], [1, 1]], which are
    // the correlations too, is 1: one pair of which the squared correlation is 1.
    #[test]
    fn closed_form() {
        let same = Tensor::from_vec(vec![1f32, 1.0, -1.0, -1.0], (2, 2), &Device::Cpu).unwrap();
        assert!((correlation(&same, 1.0).unwrap().0 - 1.0).abs() < 1e-6);
        let none = Tensor::from_vec(vec![3f32, 1.0, 3.0, -1.0, 1.0, 1.0, 1.0, -1.0], (4, 2), &Device::Cpu).unwrap();
        let (mean, gradient) = correlation(&none, 1.0).unwrap();
        assert_eq!((mean, gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap()), (0.0, vec![0.0; 8]));
    }

    // ||R - I||^2 / C is (C - 1) times the mean.
    #[test]
    fn the_gradient_is_central_differences() {
        let numbers = noise(2 * 3 * 4 * 3);
        let activation =
            like(&Tensor::zeros((2, 3, 4, 3), candle_core::DType::F32, &Device::Cpu).unwrap(), numbers.clone());
        let (mean, seed) = correlation(&activation.unwrap(), 1.0).unwrap();
        let exact: Vec<f64> = numbers.iter().map(|&x| f64::from(x)).collect();
        assert!((mean - by_definition(&exact, 3)).abs() < 1e-6);
        let seed: Vec<f32> = seed.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for index in 0..exact.len() {
            let at = |by: f64| {
                let mut moved = exact.clone();
                moved[index] += by;
                2.0 * by_definition(&moved, 3)
            };
            let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((f64::from(seed[index]) - expected).abs() < 1e-5, "{} against {expected}", seed[index]);
        }
    }

    #[test]
    fn samples_see_all_rows_and_columns() {
        let all = samples(128 * 32 * 32);
        assert_eq!((all.len(), samples(10)), (SAMPLES, (0..10).collect()));
        assert!(all.iter().all(|&row| row < 128 * 32 * 32));
        for along in [1, 32] {
            let seen: std::collections::BTreeSet<usize> = all.iter().map(|row| row / along % 32).collect();
            assert_eq!(seen.len(), 32);
        }
    }
}
