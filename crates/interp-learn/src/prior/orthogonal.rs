//! Filters that differ: the cosines between the filters of a layer become small.

use candle_core::{Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops;
use interp_net::{Network, Params};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Now, Prior, Scope, State, change, refuse_transposed, share, values};
use crate::Result;

/// The mean of squared cosines between two filters of a layer is brought below `target`: every `every` steps the weights take a
/// step of their own, after the optimizer's, down the gradient of `||U U^T - I||^2 / n`, U being the n filters of unit length
/// (soft orthogonality of normalized filters; Bansal, Chen and Wang 2018, arXiv 1810.09102, eq. 3). Lengths are left to the loss.
/// The strength of each layer is controlled: it grows while the layer's mean is above four fifths of the target and shrinks below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Orthogonal {
    /// The mean squared cosine to stay below in every layer, and to claim.
    pub target: f64,
    /// Steps of training from one step of the prior to the next: products of all filters cost as much as a few pictures.
    pub every: u32,
}

impl Default for Orthogonal {
    fn default() -> Self {
        Self { target: 0.02, every: 10 }
    }
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "orthogonal",
    summary: "filters that differ: mean squared cosine between the filters of a layer below a target",
    example: "kind = \"orthogonal\"\nnodes = [\"features.*\"]\ntarget = 0.02\n",
    build: |section| build(section, |settings: Orthogonal| Box::new(settings)),
    schema: || schemars::schema_for!(Orthogonal),
};

/// Where a layer's controlled strength begins.
const STRENGTH: f64 = 1.0;

/// By how much the strength grows or shrinks at most.
const GAIN: f64 = 0.5;

/// The most by which a filter turns at a step of the prior, as a share of its length.
const TURN: f32 = 0.1;

/// Turns the filters `w` along the sphere by a step, one for each and at right angles to it, but by no more than [`TURN`]. Lengths
/// stay.
pub(super) fn turn(w: &mut [f32], steps: &[f32], filters: usize) {
    let width = (w.len() / filters).max(1);
    for (w, step) in w.chunks_exact_mut(width).zip(steps.chunks_exact(width)) {
        let length = norm(w).max(f32::MIN_POSITIVE);
        let part = (TURN * length / norm(step).max(f32::MIN_POSITIVE)).min(1.0);
        w.iter_mut().zip(step).for_each(|(w, step)| *w += part * step);
        // Along the sphere, not off its tangent.
        let longer = norm(w) / length;
        w.iter_mut().filter(|_| longer > 0.0).for_each(|w| *w /= longer);
    }
}

/// The strength of a layer after a step at which its mean was so much: larger above four fifths of the target, else smaller.
pub(super) fn controlled(strength: f64, mean: f64, target: f64) -> f64 {
    let above = (mean / (0.8 * target)).ln().clamp(-1.0, 1.0);
    (strength * (GAIN * above).exp()).clamp(1e-6, 1e6)
}

impl Prior for Orthogonal {
    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        share("target", self.target)?;
        refuse_transposed(net, scope)?;
        Unfit::unless(self.every > 0, "every", "must be at least 1")?;
        can_be_had(net, scope, self.target, "filters")
    }

    fn prepare(&self, _net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert("steps".into(), 0.0);
        (0..scope.positions.len()).for_each(|index| {
            state.numbers.insert(key(index), STRENGTH);
        });
        Ok(state)
    }

    fn after_step(&self, params: &mut Params, scope: &Scope, state: &mut State, now: Now<'_>) -> Result<()> {
        let steps = state.numbers.get("steps").copied().unwrap_or_default() + 1.0;
        state.numbers.insert("steps".into(), steps);
        if steps % f64::from(self.every) != 0.0 {
            return Ok(());
        }
        for (index, &position) in scope.positions.iter().enumerate().filter(|(_, p)| now.rates[**p] > 0.0) {
            let strength = state.numbers.get(&key(index)).copied().unwrap_or(STRENGTH);
            let filters = params.list()[position].value.dims()[0];
            let (unit, lengths) = unit_filters(&values(params, position)?, filters);
            let (mean, mut steps) = similarity(&unit, &lengths)?;
            let size = (now.rates[position] * f64::from(self.every) * strength) as f32;
            for (step, length) in steps.chunks_exact_mut((unit.len() / filters).max(1)).zip(lengths) {
                step.iter_mut().for_each(|g| *g *= -size / length.max(f32::MIN_POSITIVE));
            }
            change(params, position, |w| turn(w, &steps, filters))?;
            state.numbers.insert(key(index), controlled(strength, mean, self.target));
        }
        Ok(())
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::FilterSimilarity,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: self.target,
        }]
    }
}

/// The name of a layer's strength among the numbers of a state.
pub(super) fn key(index: usize) -> String {
    format!("strength.{index}")
}

/// Refuses layers of one filter, and targets below what as many vectors of as many dimensions can have; `things` names them.
pub(super) fn can_be_had(net: &Network, scope: &Scope, target: f64, things: &str) -> Result<(), Unfit> {
    for (&position, name) in scope.positions.iter().zip(&scope.names) {
        let dims = net.params.list()[position].value.dims();
        let (filters, width) = (dims[0], dims[1..].iter().product::<usize>());
        Unfit::unless(filters > 1, "nodes", format!("must not match `{name}`, which has one of the {things}"))?;
        let least = least_similarity(filters, width);
        let problem = format!(
            "must be above {least:.4}, the least that `{name}` can have with {filters} {things} of {width} weights"
        );
        Unfit::unless(target > least, "target", problem)?;
    }
    Ok(())
}

/// The least mean squared cosine of `filters` vectors in `width` dimensions: (n - d) / (d (n - 1)), where n > d (Welch 1974).
fn least_similarity(filters: usize, width: usize) -> f64 {
    let (n, d) = (filters as f64, width as f64);
    ((n - d) / (d * (n - 1.0))).max(0.0)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &[f32]) -> f32 {
    dot(values, values).sqrt()
}

/// The filters of unit length, and their lengths; a filter of zeros stays.
pub(super) fn unit_filters(w: &[f32], filters: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = w.chunks_exact((w.len() / filters).max(1));
    let lengths: Vec<f32> = rows.clone().map(norm).collect();
    let unit = rows.zip(&lengths).flat_map(|(row, &length)| {
        let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
        row.iter().map(move |w| w * scale)
    });
    (unit.collect(), lengths)
}

/// The cosines between the filters `unit` (n, d): (n, n), zero for each with itself.
pub(super) fn cosines(unit: &[f32], filters: usize) -> Result<Vec<f32>> {
    let rows = Tensor::from_slice(unit, (filters, unit.len() / filters), &Device::Cpu)?;
    let mut cosines: Vec<f32> = ops::linear(&rows, &rows, None)?.flatten_all()?.to_vec1()?;
    cosines.iter_mut().step_by(filters + 1).for_each(|own| *own = 0.0);
    Ok(cosines)
}

/// The mean of squares over pairs of what is not of length 0.
pub(super) fn mean_square(cosines: &[f32], lengths: &[f32]) -> f64 {
    let sum: f64 = cosines.iter().map(|&c| f64::from(c) * f64::from(c)).sum();
    let there = lengths.iter().filter(|length| **length > 0.0).count();
    sum / (there * there.saturating_sub(1)).max(1) as f64
}

/// The filters `w` (n, d) mixed by `mixing` (n, n), each less its part along the filter itself.
pub(super) fn across(mixing: &[f32], w: &[f32], filters: usize) -> Result<Vec<f32>> {
    let width = (w.len() / filters).max(1);
    let mixing = Tensor::from_slice(mixing, (filters, filters), &Device::Cpu)?;
    let rows = Tensor::from_slice(w, (filters, width), &Device::Cpu)?;
    let mut mixed: Vec<f32> = ops::linear(&mixing, &rows.t()?, None)?.flatten_all()?.to_vec1()?;
    for (mixed, w) in mixed.chunks_exact_mut(width).zip(w.chunks_exact(width)) {
        let along = dot(mixed, w) / dot(w, w).max(f32::MIN_POSITIVE);
        mixed.iter_mut().zip(w).for_each(|(mixed, w)| *mixed -= along * w);
    }
    Ok(mixed)
}

/// The mean squared cosine between two of the filters `unit` (n, d) that had a length, and the gradient of ||U U^T - I||^2 / n along
/// the sphere, 4 / n ((U U^T - I) U - its part along the filter), with respect to filters of length 1.
fn similarity(unit: &[f32], lengths: &[f32]) -> Result<(f64, Vec<f32>)> {
    let filters = lengths.len();
    let cosines = cosines(unit, filters)?;
    let mut gradient = across(&cosines, unit, filters)?;
    gradient.iter_mut().for_each(|g| *g *= 4.0 / filters as f32);
    Ok((mean_square(&cosines, lengths), gradient))
}

#[cfg(test)]
mod tests {
    use super::*;
    use interp_net::{Graph, Op};

    /// ||U U^T - I||^2 / n by its definition.
    fn by_definition(w: &[f64], filters: usize) -> f64 {
        let width = w.len() / filters;
        let row = |i: usize| &w[i * width..][..width];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |i: usize, j: usize| dot(row(i), row(j)) / (dot(row(i), row(i)) * dot(row(j), row(j))).sqrt();
        let pairs = (0..filters).flat_map(|i| (0..filters).filter(move |&j| j != i).map(move |j| (i, j)));
        pairs.map(|(i, j)| cosine(i, j).powi(2)).sum::<f64>() / filters as f64
    }

    fn noise(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i as f32 + 1.0) * 12.9898).sin()).collect()
    }

    // [[1, 0], [1, 0]] has ||U U^T - I||^2 = 2, one pair of which the squared cosine is 1.
    #[test]
    fn equal_filters_have_similarity_one_and_orthogonal_ones_zero() {
        let (unit, lengths) = unit_filters(&[3.0, 0.0, 2.0, 0.0], 2);
        assert_eq!((unit.as_slice(), lengths.as_slice()), (&[1.0, 0.0, 1.0, 0.0][..], &[3.0, 2.0][..]));
        assert_eq!(similarity(&unit, &lengths).unwrap().0, 1.0);
        // A filter of zeros beside them is in no pair.
        assert_eq!(similarity(&[&unit[..], &[0.0; 2]].concat(), &[3.0, 2.0, 0.0]).unwrap().0, 1.0);
        let (mean, gradient) = similarity(&[1.0, 0.0, 0.0, 1.0], &[1.0; 2]).unwrap();
        assert_eq!((mean, gradient), (0.0, vec![0.0; 4]));
        assert_eq!(unit_filters(&[0.0; 4], 2).0, [0.0; 4]);
    }

    // Three vectors in the plane, 120 degrees apart, have squared cosines of 1/4, and no three have less in the mean.
    #[test]
    fn the_least_similarity_is_welchs() {
        assert_eq!(least_similarity(3, 2), 0.25);
        assert_eq!(least_similarity(3, 3), 0.0);
    }

    #[test]
    fn the_gradient_is_central_differences() {
        let w = noise(15);
        let (unit, lengths) = unit_filters(&w, 3);
        let (_, gradient) = similarity(&unit, &lengths).unwrap();
        for index in 0..w.len() {
            let at = |by: f64| {
                let moved: Vec<f64> =
                    w.iter().enumerate().map(|(i, w)| f64::from(*w) + if i == index { by } else { 0.0 }).collect();
                by_definition(&moved, 3)
            };
            let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
            let found = f64::from(gradient[index] / lengths[index / 5]);
            assert!((found - expected).abs() < 1e-5, "{found} against {expected} at {index}");
        }
    }

    /// A layer of 12 filters that are nearly the same, which nothing else pulls at: it gets below the target, and lengths stay.
    #[test]
    fn filters_are_turned_until_they_differ_enough() {
        let mut graph = Graph::new(3, 4, 4).unwrap();
        graph.then("conv", Op::conv3x3(12, 1)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let near: Vec<f32> = noise(12 * 27).iter().map(|w| 1.0 + 0.1 * w).collect();
        change(&mut net.params, 0, |w| w.copy_from_slice(&near)).unwrap();
        let prior = Orthogonal { target: 0.05, every: 2 };
        let scope = Scope::new(&net, &["conv".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let before = unit_filters(&near, 12);
        assert!(similarity(&before.0, &before.1).unwrap().0 > 0.9);
        for _ in 0..600 {
            prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &[0.1], progress: 0.5 }).unwrap();
        }
        let (unit, lengths) = unit_filters(&values(&net.params, 0).unwrap(), 12);
        assert!(similarity(&unit, &lengths).unwrap().0 < 0.05);
        assert!(lengths.iter().zip(&before.1).all(|(a, b)| (a / b - 1.0).abs() < 1e-4), "{lengths:?}");
    }

    /// Between its steps, and where nothing is trained, weights stay; the strength shrinks where filters differ enough.
    #[test]
    fn it_acts_every_so_many_steps_on_what_is_trained() {
        let mut graph = Graph::new(3, 4, 4).unwrap();
        graph.then("conv", Op::conv3x3(4, 1)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let prior = Orthogonal { target: 0.9, every: 3 };
        let scope = Scope::new(&net, &["conv".into()], prior.roles()).unwrap();
        let mut state = prior.prepare(&mut net, &scope).unwrap();
        let first = values(&net.params, 0).unwrap();
        let mut step = |net: &mut Network, rate: f64| {
            prior.after_step(&mut net.params, &scope, &mut state, Now { rates: &[rate], progress: 0.5 }).unwrap();
            (values(&net.params, 0).unwrap() != first, state.numbers["strength.0"])
        };
        let found = [0.1, 0.1, 0.0, 0.1, 0.1, 0.1].map(|rate| step(&mut net, rate));
        assert_eq!(found.map(|(changed, _)| changed), [false, false, false, false, false, true]);
        assert!(found[4].1 == STRENGTH && found[5].1 < STRENGTH);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        graph.then("wide", Op::conv3x3(36, 1)).unwrap();
        graph.then("one", Op::conv3x3(1, 1)).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let check = |nodes: &str, target: f64| {
            let prior = Orthogonal { target, every: 1 };
            prior.check(&net, &Scope::new(&net, &[nodes.into()], prior.roles()).unwrap()).map_err(|e| e.to_string())
        };
        // (36 - 9) / (9 * 35) = 0.0857
        assert!(check("wide", 0.08).unwrap_err().contains("0.0857"));
        assert!(check("wide", 0.09).is_ok());
        assert!(check("one", 0.5).unwrap_err().contains("`one`"));
        assert!(check("wide", 1.0).is_err());
    }
}
