//! What is true of a network by its structure.

use interp_finding::{Claim, Quantity, Relation};
use interp_net::{Graph, Node, Op};

/// The claims of every network of this structure, whatever steers it.
pub(super) fn of_structure(graph: &Graph) -> Vec<Claim> {
    let all = [thresholds_claim, winners_claim, routes_claim, sum_claim, contributions_claim];
    all.iter().filter_map(|claim| claim(graph)).collect()
}

/// What training makes true of every network with thresholds.
fn thresholds_claim(graph: &Graph) -> Option<Claim> {
    let has = graph.nodes().iter().filter(|node| matches!(node.op, Op::Threshold { .. }));
    let nodes: Vec<String> = has.map(|node| node.name.clone()).collect();
    let (quantity, relation) = (Quantity::NegativeThresholds, Relation::AtMost);
    (!nodes.is_empty()).then(|| Claim { quantity, nodes, scope: "the network".into(), relation, bound: 0.0 })
}

/// What is true of every network with k winners.
fn winners_claim(graph: &Graph) -> Option<Claim> {
    let winners = |op: &Op| if let Op::KWinners { count } = op { Some(*count) } else { None };
    most_active(graph, winners, |_| "the network".into())
}

/// What is true of every gate that chooses experts.
fn routes_claim(graph: &Graph) -> Option<Claim> {
    let chosen = |op: &Op| if let Op::Route { top } = op { Some(*top) } else { None };
    most_active(graph, chosen, |nodes| nodes.join(", "))
}

/// That of the channels of some nodes no more are active at a position than the largest of `count`s.
fn most_active(
    graph: &Graph,
    count: impl Fn(&Op) -> Option<usize>,
    scope: impl Fn(&[String]) -> String,
) -> Option<Claim> {
    let counted = |node: &Node| Some((node.name.clone(), count(&node.op)?));
    let (nodes, counts): (Vec<_>, Vec<_>) = graph.nodes().iter().filter_map(counted).unzip();
    let (quantity, relation) = (Quantity::ActiveChannels, Relation::AtMost);
    let bound = *counts.iter().max()? as f64;
    Some(Claim { quantity, scope: scope(&nodes), nodes, relation, bound })
}

/// What is true of every network whose logits are a sum of modules.
fn sum_claim(graph: &Graph) -> Option<Claim> {
    let last = &graph.nodes()[graph.output()];
    let nodes: Vec<String> = last.inputs.iter().map(|&id| graph.nodes()[id].name.clone()).collect();
    let (quantity, relation, scope) = (Quantity::SumDeviation, Relation::AtMost, nodes.join(", "));
    (last.op == Op::Add).then_some(Claim { quantity, nodes, scope, relation, bound: 1e-4 })
}

/// How far a logit may be from what pixels contribute to it, by rounding.
const CONTRIBUTION_GAP: f64 = 1e-4;

/// What is so of every network of B-cos convolutions.
fn contributions_claim(graph: &Graph) -> Option<Claim> {
    let has = graph.nodes().iter().any(|node| matches!(node.op, Op::BCosConv2d { .. }));
    let nodes = vec![graph.nodes()[graph.output()].name.clone()];
    let (quantity, relation, bound) = (Quantity::ContributionGap, Relation::AtMost, CONTRIBUTION_GAP);
    has.then(|| Claim { quantity, nodes, scope: "the network".into(), relation, bound })
}
