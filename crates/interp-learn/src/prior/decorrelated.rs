//! Representations that differ: the correlations between the channels of a layer become small.

use candle_core::{Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId, Op, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::orthogonal::{across, can_be_had, controlled, cosines, key, mean_square, turn, unit_filters};
use super::{Now, Prior, Scope, State, Step, Term, change, share, values};
use crate::Result;

/// The mean of squared correlations between two channels of a layer, over positions of pictures, is brought below `target`:
/// what one channel says of a picture, the others do not say again (DeCov of Cogswell et al. 2016, arXiv 1511.06068, eq. 3, with
/// correlations in place of covariances: a batch norm undoes what is gained by smaller numbers, and a target would depend on them).
/// A batch norm after the layer changes no correlation.
///
/// At every eighth step, after the optimizer's, of what a filter gives is taken away what the others tell of it: `W - s (R - I) W`,
/// R being the correlations of what the convolution or linear map gives and W its filters in units of its deviations. This is the
/// gradient of `||R - I||^2` relative to the filters themselves (Cardoso and Laheld 1996, Equivariant adaptive source separation,
/// on whitening): it is as fast where one direction, as the brightness of pictures, outweighs all others. Filters are turned by a
/// tenth of a radian at most, and their lengths left to the loss. Unlike the loss's, these steps do not shrink with the learning rate.
///
/// Positions are samples, 512 of a batch, spread over pictures, rows and columns. The share s of each layer is controlled: it is a
/// tenth while the layer's mean is above four fifths of the target, less where steps would overshoot, and shrinks below.
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

/// Steps of training from one step of the prior to the next: it costs a pass over some of the activations.
const EVERY: f64 = 8.0;

/// Positions that correlations are taken over.
const SAMPLES: usize = 512;

/// Where a layer's share of a step begins, and the most it comes to: larger ones turn layers faster than those behind them learn.
const SHARE: f64 = 0.1;

/// The name of the mixing of filters that waits for the step, among the tensors of a state.
fn mixing_of(index: usize) -> String {
    format!("mixing.{index}")
}

/// The name of the mean that goes with it, among the numbers.
fn mean_of(index: usize) -> String {
    format!("mean.{index}")
}

impl Prior for Decorrelated {
    // Filters are mixed, so that they must read the same.
    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        let op = &net.graph.nodes()[id].op;
        matches!(op, Op::Conv2d { groups: 1, .. } | Op::Linear { .. })
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        share("target", self.target)?;
        // What linear maps give has no more dimensions than they have weights for each of it.
        can_be_had(net, scope, self.target, "channels")
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("steps".into(), 0.0);
        state.numbers.extend((0..scope.nodes.len()).map(|index| (key(index), SHARE)));
        Ok(state)
    }

    fn taps(&self, _net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.clone()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        // Of the batches that make up a step the first tells.
        if steps % EVERY == 0.0 && !state.tensors.contains_key(&mixing_of(0)) {
            for (index, &id) in scope.nodes.iter().enumerate() {
                let (mean, mixing) = correlations(step.tape.at(&step.net.graph, id)?)?;
                state.numbers.insert(mean_of(index), mean);
                state.tensors.insert(mixing_of(index), mixing);
            }
        }
        Ok(None)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default();
        state.numbers.insert("steps".into(), steps + 1.0);
        for (index, &position) in scope.positions.iter().enumerate() {
            let Some(mixing) = state.tensors.remove(&mixing_of(index)) else { continue };
            let mean = state.numbers.remove(&mean_of(index)).unwrap_or_default();
            if now.rates[position] > 0.0 {
                let strength = state.numbers.get(&key(index)).copied().unwrap_or(SHARE);
                unmix(params, position, &mixing.flatten_all()?.to_vec1()?, strength)?;
                state.numbers.insert(key(index), controlled(strength, mean, self.target).min(SHARE));
            }
        }
        Ok(())
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

/// The mean squared correlation between two channels of an activation, (N, C, H, W) or (N, C), and what mixes filters (C, C): the
/// correlation of channels i and j times the deviation of i over that of j, zero for i = j. Correlations are cosines between
/// channels less their means.
fn correlations(activation: &Tensor) -> Result<(f64, Tensor)> {
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
    let mut mixing = cosines(&unit, channels)?;
    let mean = mean_square(&mixing, &lengths);
    for (row, &length) in mixing.chunks_exact_mut(channels).zip(&lengths) {
        row.iter_mut().zip(&lengths).for_each(|(r, &other)| *r *= if other > 0.0 { length / other } else { 0.0 });
    }
    Ok((mean, Tensor::from_vec(mixing, (channels, channels), &Device::Cpu)?))
}

/// Takes from each filter a share of the others, by what mixes them: as much as does not overshoot where all agree.
fn unmix(params: &mut Params, position: usize, mixing: &[f32], strength: f64) -> Result<()> {
    let filters = params.list()[position].value.dims()[0];
    // (D R D^-1)_ij (D R D^-1)_ji is the square of a correlation, whatever D.
    let row_of_correlations =
        |i: usize| (0..filters).map(move |j| (mixing[i * filters + j] * mixing[j * filters + i]).sqrt());
    let most = (0..filters).map(|i| row_of_correlations(i).sum::<f32>()).fold(0.0, f32::max);
    let share = (strength as f32).min(0.5 / (1.0 + most));
    let mut steps = across(mixing, &values(params, position)?, filters)?;
    steps.iter_mut().for_each(|step| *step *= -share);
    change(params, position, |w| turn(w, &steps, filters))
}

/// Rows spread over all `count` of them, in golden sections: of pictures, and of their rows and columns, all have their turn.
fn samples(count: usize) -> Vec<usize> {
    let section = (0.618 * count as f64) as usize;
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    // No divisor in common with the count, so that no row is taken twice.
    let step = (section.max(1)..).find(|&step| divisor(step, count) == 1).unwrap_or(1);
    (0..count.min(SAMPLES)).map(|i| i * step % count).collect()
}

/// Takes its mean from each channel of `samples` numbers.
fn center(channels: &mut [f32], samples: usize) {
    for channel in channels.chunks_exact_mut(samples.max(1)) {
        let mean = channel.iter().map(|&x| f64::from(x)).sum::<f64>() / samples as f64;
        channel.iter_mut().for_each(|x| *x = (f64::from(*x) - mean) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interp_net::{Graph, Keep, Mode};

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

    // Of (1, 1) and (-1, -1) half the sum of squares off the diagonal of the covariances [[1, 1], [1, 1]], which are
    // the correlations too, is 1: one pair of which the squared correlation is 1.
    #[test]
    fn closed_form() {
        let numbers = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let same = Tensor::from_vec(vec![1f32, 2.0, -1.0, -2.0], (2, 2), &Device::Cpu).unwrap();
        let (mean, mixing) = correlations(&same).unwrap();
        assert!((mean - 1.0).abs() < 1e-6);
        assert!(numbers(mixing).iter().zip([0.0, 0.5, 2.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        let none = Tensor::from_vec(vec![3f32, 1.0, 3.0, -1.0, 1.0, 1.0, 1.0, -1.0], (4, 2), &Device::Cpu).unwrap();
        let (mean, mixing) = correlations(&none).unwrap();
        assert_eq!((mean, numbers(mixing)), (0.0, vec![0.0; 4]));
    }

    #[test]
    fn correlations_are_those_of_the_definition() {
        let numbers = noise(2 * 3 * 4 * 3);
        let activation = Tensor::from_vec(numbers.clone(), (2, 3, 4, 3), &Device::Cpu).unwrap();
        let exact: Vec<f64> = numbers.iter().map(|&x| f64::from(x)).collect();
        let (mean, _) = correlations(&activation.permute((0, 3, 1, 2)).unwrap()).unwrap();
        assert!((mean - by_definition(&exact, 3)).abs() < 1e-6);
    }

    /// Filters that see inputs of which one direction has 10,000 times the variance of the others: its share of each is taken away in
    /// few steps, where a gradient would have to be as small as that direction bears.
    #[test]
    fn one_strong_direction_does_not_hold_up_the_others() {
        let mut graph = Graph::new(6, 1, 1).unwrap();
        graph.then("conv", Op::conv(5, 1, 1, 0, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let inputs =
            noise(6 * 400).chunks(6).flat_map(|x| [100.0 * x[0], x[1], x[2], x[3], x[4], x[5]]).collect::<Vec<_>>();
        let inputs = Tensor::from_vec(inputs, (400, 6, 1, 1), &Device::Cpu).unwrap();
        let mean = |net: &Network| {
            let tape = net.forward(&inputs, Mode::Eval, &Keep::All).unwrap();
            correlations(tape.get(&net.graph, "conv").unwrap()).unwrap()
        };
        let before = unit_filters(&values(&net.params, 0).unwrap(), 5).1;
        assert!(mean(&net).0 > 0.8);
        for _ in 0..100 {
            let (_, mixing) = mean(&net);
            unmix(&mut net.params, 0, &mixing.flatten_all().unwrap().to_vec1().unwrap(), 1.0).unwrap();
        }
        let after = unit_filters(&values(&net.params, 0).unwrap(), 5).1;
        assert!(mean(&net).0 < 0.01, "{}", mean(&net).0);
        assert!(before.iter().zip(after).all(|(a, b)| (a / b - 1.0).abs() < 1e-4));
    }

    #[test]
    fn samples_see_all_rows_and_columns() {
        for (pictures, side) in [(128, 32), (64, 8), (64, 4), (5, 32), (37, 2)] {
            let count = pictures * side * side;
            let all = samples(count);
            let distinct = |of: &dyn Fn(usize) -> usize| {
                all.iter().map(|&row| of(row)).collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!((all.len(), distinct(&|row| row)), (SAMPLES.min(count), SAMPLES.min(count)));
            assert!(all.iter().all(|&row| row < count));
            assert_eq!(
                [distinct(&|row| row % side), distinct(&|row| row / side % side)],
                [side; 2],
                "{pictures}, {side}"
            );
            assert!(distinct(&|row| row / (side * side)) > pictures.min(SAMPLES) * 9 / 10, "{pictures}, {side}");
        }
        assert_eq!(samples(1), [0]);
    }
}
