//! Factor alignment: channels that tell one concept each, and nothing of other factors.

use candle_core::{DType, Device, Tensor};
use interp_data::Annotations;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::scalars::largest;
use interp_net::{Network, NodeId};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, Step, Term};
use crate::Result;

/// The first channels of each node stand for the concepts, one each: the largest value of channel j in a picture is to go with whether the picture shows concept j,
/// and with no concept of another factor. With correlations `rho` over the pictures of a batch, `(1 - rho_jj)^2 + mean over concepts k of other factors of
/// rho_jk^2`, a mean over concepts j, times `strength`, is added for each node. The data must know the concepts.
///
/// This is the supervised counterpart of codes that are to be found without labels, which cannot be had in general (Locatello et al. 2019, arXiv 1811.12359): what a
/// channel is to say is told. Channels keep their places, so that any architecture has some; those beyond the concepts are free. `nodes` are activations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorAlignment {
    /// The concepts: factors of the data that have names (`hue`: all values of it), and single values (`hue/red`).
    pub concepts: Vec<String>,
    /// Weight of the penalty.
    #[serde(default = "strength")]
    pub strength: f64,
    /// Area under the ROC curve, of telling the pictures that show a concept by the largest value of its channel, to reach and to claim: the mean over concepts and nodes.
    pub target: f64,
}

fn strength() -> f64 {
    0.5
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "factor_alignment",
    summary: "channels that tell one concept each, of those that the data know, and nothing of other factors",
    example: "kind = \"factor_alignment\"\nnodes = [\"features.14\"]\nconcepts = [\"texture\"]\ntarget = 0.9\n",
    build: |section| build(section, |settings: FactorAlignment| Box::new(settings)),
    schema: || schemars::schema_for!(FactorAlignment),
};

/// Below this variance a channel or a concept says nothing.
const LEAST: f64 = 1e-12;

/// Numbers less their mean, as shares of their deviation, and the deviation; `None` where they do not vary.
fn standardized(values: &[f64]) -> Option<(Vec<f64>, f64)> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    (variance > LEAST).then(|| (values.iter().map(|value| (value - mean) / deviation).collect(), deviation))
}

/// Of one concept's channel: the loss, and its gradient by the channel's numbers (N). `concepts` are those of the batch, standardized, `None` where all
/// pictures are alike in one or something is not known; `groups` says which are of one factor.
fn loss(numbers: &[f64], own: usize, concepts: &[Option<Vec<f64>>], groups: &[usize]) -> (f64, Vec<f64>) {
    let mut gradient = vec![0.0; numbers.len()];
    let Some((standard, deviation)) = standardized(numbers) else { return (0.0, gradient) };
    let count = numbers.len() as f64;
    let others = (0..groups.len()).filter(|&k| groups[k] != groups[own] && concepts[k].is_some()).count().max(1) as f64;
    let mut loss = 0.0;
    for (k, concept) in concepts.iter().enumerate() {
        let (true, Some(concept)) = (k == own || groups[k] != groups[own], concept) else { continue };
        let rho = standard.iter().zip(concept).map(|(a, c)| a * c).sum::<f64>() / count;
        let slope = if k == own { 2.0 * (rho - 1.0) } else { 2.0 * rho / others };
        loss += if k == own { (1.0 - rho).powi(2) } else { rho * rho / others };
        let share = slope / (count * deviation);
        gradient.iter_mut().zip(&standard).zip(concept).for_each(|((g, a), c)| *g += share * (c - rho * a));
    }
    (loss, gradient)
}

/// The concepts of a batch, standardized.
fn concepts_of(rows: &[&[f32]], count: usize) -> Vec<Option<Vec<f64>>> {
    let column = |k: usize| rows.iter().map(|row| row.get(k).map_or(f64::NAN, |&value| f64::from(value))).collect();
    let known = |values: Vec<f64>| (!values.iter().any(|value| value.is_nan())).then_some(values);
    (0..count).map(|k| Some(standardized(&known(column(k))?)?.0)).collect()
}

impl FactorAlignment {
    /// The loss of a node's first channels, a mean over concepts, and its gradient by all maps.
    fn of_node(&self, at: &Tensor, known: &Annotations, rows: &[&[f32]]) -> Result<(f64, Tensor)> {
        let maps = at.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_from(1)?;
        let (pictures, channels) = (at.dim(0)?, at.dim(1)?);
        let cells = maps.dim(1)? / channels.max(1);
        let values: Vec<f64> = maps.flatten_all()?.to_vec1()?;
        let groups = known.groups();
        let concepts = concepts_of(rows, groups.len());
        let of = |channel: usize| {
            let map = |picture: usize| &values[(picture * channels + channel) * cells..][..cells];
            let peaks: Vec<usize> = (0..pictures).map(|picture| largest(map(picture))).collect();
            let numbers: Vec<f64> = peaks.iter().enumerate().map(|(picture, &cell)| map(picture)[cell]).collect();
            let (value, gradient) = loss(&numbers, channel, &concepts, &groups);
            (value, peaks.into_iter().zip(gradient).collect::<Vec<_>>())
        };
        let share = self.strength / groups.len().max(1) as f64;
        let found: Vec<_> = (0..groups.len()).into_par_iter().map(of).collect();
        let mut seed = vec![0f32; values.len()];
        for (channel, (_, gradient)) in found.iter().enumerate() {
            for (picture, &(cell, slope)) in gradient.iter().enumerate() {
                seed[(picture * channels + channel) * cells + cell] = (share * slope) as f32;
            }
        }
        let seed = Tensor::from_vec(seed, at.dims(), &Device::Cpu)?.to_dtype(at.dtype())?.to_device(at.device())?;
        Ok((share * found.iter().map(|(value, _)| value).sum::<f64>(), seed))
    }
}

impl Prior for FactorAlignment {
    fn concepts(&self) -> &[String] {
        &self.concepts
    }

    fn roles(&self) -> &'static [interp_net::Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        net.graph.nodes()[id].op.is_activation()
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        Unfit::unless(!self.concepts.is_empty(), "concepts", "needs at least one, such as \"hue\"")?;
        let usable = self.strength > 0.0 && self.strength.is_finite();
        Unfit::unless(usable, "strength", format!("must be above 0, not {}", self.strength))?;
        let target = self.target;
        let problem = format!("must be above 0.5, which is chance, and up to 1, not {target}");
        Unfit::unless(target > 0.5 && target <= 1.0, "target", problem)?;
        let count = scope.known.as_ref().map_or(0, |known| known.names().len());
        let few = scope.nodes.iter().zip(&scope.names).find(|(id, _)| net.graph.shape(**id)[0] < count);
        few.map_or(Ok(()), |(&id, name)| {
            let problem = format!("are {count}, and `{name}` has {} channels", net.graph.shape(id)[0]);
            Err(Unfit::new("concepts", problem))
        })?;
        let named = scope.nodes.iter().map(|&id| &net.graph.nodes()[id]).find(|node| !node.units.is_empty());
        let problem = |name: &str| format!("must not match `{name}`, whose channels stand for something already");
        named.map_or(Ok(()), |node| Err(Unfit::new("nodes", problem(&node.name))))
    }

    /// The channels get their names.
    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let names = scope.known.as_ref().map(|known| known.names().to_vec()).unwrap_or_default();
        for &id in &scope.nodes {
            let rest = (names.len()..net.graph.shape(id)[0]).map(|channel| format!("channel {channel}"));
            net.graph.name_units(id, names.iter().cloned().chain(rest).collect())?;
        }
        Ok(State::default())
    }

    fn taps(&self, _net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.clone()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let Some(known) = &scope.known else { return Ok(None) };
        let rows: Vec<&[f32]> = step.batch.indices.iter().map(|&index| known.row(index)).collect();
        let mut term = Term::default();
        for &id in &scope.nodes {
            let (value, seed) = self.of_node(step.tape.at(&step.net.graph, id)?, known, &rows)?;
            term.value += value;
            term.nodes.push((id, seed));
        }
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ConceptArea,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard(values: &[f64]) -> Option<Vec<f64>> {
        standardized(values).map(|(values, _)| values)
    }

    // Two factors of two values: channels that are their concept cost nothing; one that is the other factor's, uncorrelated with its own, 1 + 1.
    #[test]
    fn what_tells_its_concept_alone_costs_nothing() {
        let (a, b) = ([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]);
        let [not_a, not_b] = [a, b].map(|values| values.map(|value| 1.0 - value));
        let concepts = [a, not_a, b, not_b].map(|values| standard(&values));
        let of = |numbers: &[f64], own: usize| loss(numbers, own, &concepts, &[0, 0, 1, 1]).0;
        assert!(of(&[5.0, 5.0, 2.0, 2.0], 0).abs() < 1e-12);
        assert!((of(&b, 0) - 2.0).abs() < 1e-12, "rho is 0 with a, 1 with b and -1 with its other value");
        assert!((of(&not_a, 0) - 4.0).abs() < 1e-12, "rho is -1");
        assert_eq!(of(&[3.0; 4], 0), 0.0, "what does not vary");
    }

    #[test]
    fn gradients_are_central_differences() {
        let columns = [[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0, 1.0]];
        let concepts = columns.map(|values| standard(&values));
        let groups = [0, 0, 1];
        let numbers: Vec<f64> = (0..5).map(|at| (at as f64 * 1.7).sin()).collect();
        for own in 0..3 {
            let (_, gradient) = loss(&numbers, own, &concepts, &groups);
            for at in 0..5 {
                let moved = |by: f64| {
                    let mut numbers = numbers.clone();
                    numbers[at] += by;
                    loss(&numbers, own, &concepts, &groups).0
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((gradient[at] - slope).abs() < 1e-7, "{own} {at}: {} not {slope}", gradient[at]);
            }
        }
    }

    /// Of maps of three channels and 2x2 cells, two of which stand for concepts.
    #[test]
    fn gradients_by_maps_are_central_differences() {
        let known = crate::turns::known();
        let rows: Vec<&[f32]> = (0..7).map(|index| known.row(index)).collect();
        let prior = FactorAlignment { concepts: vec!["a/yes".into(), "b/yes".into()], strength: 0.7, target: 0.9 };
        let values: Vec<f64> = (0..84).map(|at| (at as f64 * 2.3).sin()).collect();
        let of = |values: &[f64]| {
            let maps = Tensor::from_slice(values, (7, 3, 2, 2), &Device::Cpu).unwrap();
            prior.of_node(&maps, &known, &rows).unwrap()
        };
        let gradient: Vec<f64> = of(&values).1.flatten_all().unwrap().to_vec1().unwrap();
        for at in 0..84 {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[at] += by;
                of(&values).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((gradient[at] - slope).abs() < 1e-6, "{at}: {}, not {slope}", gradient[at]);
        }
        assert!(gradient.iter().filter(|slope| **slope != 0.0).count() == 14, "the largest cell of two channels");
    }

    // A picture of which a concept is not known, and one that all pictures show: neither counts.
    #[test]
    fn what_is_not_known_or_everywhere_does_not_count() {
        let rows: [&[f32]; 3] = [&[1.0, f32::NAN, 1.0], &[0.0, 1.0, 1.0], &[0.0, 0.0, 1.0]];
        let found = concepts_of(&rows, 3);
        assert!(found[0].is_some() && found[1].is_none() && found[2].is_none());
        let (value, gradient) = loss(&[1.0, 2.0, 3.0], 2, &found, &[0, 0, 0]);
        assert_eq!((value, gradient), (0.0, vec![0.0; 3]));
    }
}
