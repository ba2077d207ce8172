//! Tensors of files as the parameters of a graph.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use interp_finding::nearest;

use crate::names::Naming;
use crate::params::{Slot, slots};
use crate::{Graph, NodeId, Params, Result, init};

/// Nodes whose parameters are not those of a file, but first values.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fresh<'a> {
    pub(crate) nodes: &'a [NodeId],
    /// Of the first values.
    pub(crate) seed: u64,
}

/// What of a file does not fit a graph.
pub(crate) struct Misfit {
    problems: Vec<Problem>,
    /// What the graph's tensors are called in the file.
    expected: BTreeSet<String>,
}

enum Problem {
    /// Of a shape that another is wanted of.
    Shape {
        name: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    Missing {
        name: String,
        wanted: Vec<usize>,
    },
    Unexpected {
        name: String,
    },
    /// A tensor that cannot be read as numbers.
    Unread(String),
}

/// Problems that are told; of the others their number.
const SHOWN: usize = 8;

impl Misfit {
    /// That of nothing at all, which any other is in place of.
    pub(crate) fn none() -> Self {
        Self { problems: vec![], expected: BTreeSet::new() }
    }

    /// The one with fewer problems, of as many this one; the other where there are none here.
    pub(crate) fn lesser(self, other: Self) -> Self {
        if (1..=other.count()).contains(&self.count()) { self } else { other }
    }

    /// Problems in all.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// All that does not fit, in one message; near names are offered.
    pub(crate) fn tell(&self) -> String {
        let told =
            self.problems.iter().take(SHOWN).map(|problem| self.tell_one(problem)).collect::<Vec<_>>().join("\n  ");
        let count = self.count();
        let more = if count > SHOWN { format!("\n  and {} more", count - SHOWN) } else { String::new() };
        format!("{count} tensor(s) do not fit the network:\n  {told}{more}")
    }

    fn tell_one(&self, problem: &Problem) -> String {
        match problem {
            Problem::Shape { name, found, wanted } => format!("`{name}` is of shape {found:?}, not {wanted:?}"),
            Problem::Missing { name, wanted } => format!("`{name}` {wanted:?} is missing"),
            Problem::Unexpected { name } => {
                let near = nearest(name, self.expected.iter().map(String::as_str));
                let hint = near.map(|near| format!(" (nearest: `{near}`)")).unwrap_or_default();
                format!("`{name}` is not expected{hint}")
            }
            Problem::Unread(error) => error.clone(),
        }
    }
}

/// Parameters of `graph` from tensors with the names of the first of [`Naming::ALL`] by which all of them fit; counters of batches
/// are passed over. Else what does not fit by the naming by which most does.
pub(crate) fn load(graph: &Graph, tensors: &BTreeMap<String, Tensor>, fresh: Fresh<'_>) -> Result<Params, Misfit> {
    let slots = slots(graph);
    let mut least = Misfit::none();
    for naming in Naming::ALL {
        let misfit = compare(naming, graph, &slots, tensors, fresh);
        if misfit.count() == 0 {
            let params = build(naming, graph, tensors, fresh);
            return params.map_err(|e| Misfit { problems: vec![Problem::Unread(e.to_string())], ..misfit });
        }
        least = least.lesser(misfit);
    }
    Err(least)
}

/// Whether the tensors are those of `graph`.
pub(crate) fn fits(graph: &Graph, tensors: &BTreeMap<String, Tensor>) -> bool {
    let slots = slots(graph);
    Naming::ALL.iter().any(|&naming| compare(naming, graph, &slots, tensors, Fresh::default()).count() == 0)
}

/// What does not fit by a naming.
fn compare(
    naming: Naming,
    graph: &Graph,
    slots: &[Slot],
    tensors: &BTreeMap<String, Tensor>,
    fresh: Fresh<'_>,
) -> Misfit {
    let (mut problems, mut expected) = (vec![], BTreeSet::new());
    for slot in slots {
        let (name, wanted) = naming.of(graph, &slot.name, &slot.shape);
        expected.insert(name.clone());
        match tensors.get(&name) {
            _ if fresh.nodes.contains(&slot.node) => {}
            Some(tensor) if tensor.dims() == wanted => {}
            Some(tensor) => problems.push(Problem::Shape { name, found: tensor.dims().to_vec(), wanted }),
            None => problems.push(Problem::Missing { name, wanted }),
        }
    }
    let is_expected = |name: &String| expected.contains(name) || name.ends_with(".num_batches_tracked");
    let others = tensors.keys().filter(|name| !is_expected(name));
    problems.extend(others.map(|name| Problem::Unexpected { name: name.clone() }));
    Misfit { problems, expected }
}

/// The parameters, of tensors that fit.
fn build(naming: Naming, graph: &Graph, tensors: &BTreeMap<String, Tensor>, fresh: Fresh<'_>) -> Result<Params> {
    Params::build(graph, |slot| match tensors.get(&naming.of(graph, &slot.name, &slot.shape).0) {
        Some(tensor) if !fresh.nodes.contains(&slot.node) => {
            Ok(tensor.reshape(slot.shape.as_slice())?.to_dtype(DType::F32)?.contiguous()?)
        }
        _ => init::first_value(graph, slot, fresh.seed),
    })
}
