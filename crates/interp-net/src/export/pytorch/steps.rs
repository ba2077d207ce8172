//! The lines of `forward`: what is computed at each node, and what it is called.

use interp_ops::{Curve, Descriptor, Over};

use super::names::{Layers, is_identifier};
use crate::{Graph, NodeId, Op};

/// Names that mean something else in the file.
const RESERVED: &[&str] = &[
    "self",
    "x",
    "math",
    "torch",
    "nn",
    "F",
    "largest",
    "mirror",
    "saliency",
    "luminance",
    "around",
    "between",
    "hues",
    "orientations",
    "patterns",
    "bands",
];

/// The variable that holds the value of each node: `x` for what only the next line reads, else the node's name.
pub(super) fn variables(graph: &Graph) -> Vec<String> {
    let mut variables: Vec<String> = vec![];
    let mut only_by_next = vec![true; graph.nodes().len()];
    for (user, node) in graph.nodes().iter().enumerate() {
        node.inputs.iter().filter(|&&input| input + 1 != user).for_each(|&input| only_by_next[input] = false);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (id, node) in graph.nodes().iter().enumerate() {
        let name = variable(&node.name, id);
        let name = if seen.contains(&name) { format!("{name}_at_{id}") } else { name };
        variables.push(if only_by_next[id] { "x".into() } else { name.clone() });
        seen.insert(name);
    }
    variables
}

fn variable(name: &str, id: NodeId) -> String {
    const LONGEST: usize = 60;
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(fits).collect();
    match is_identifier(&name) && name.len() <= LONGEST {
        true if RESERVED.contains(&name.as_str()) => format!("{name}_"),
        true => name,
        false => format!("node_{id}"),
    }
}

/// The expression for what a node computes, with its name as a comment where no layer bears it.
pub(super) fn value(graph: &Graph, layers: &Layers, variables: &[String], id: NodeId) -> String {
    let node = &graph.nodes()[id];
    let inputs: Vec<&str> = node.inputs.iter().map(|&input| variables[input].as_str()).collect();
    match expression(graph, id, &inputs) {
        Some(expression) => format!("{expression}{}", comment(&node.name)),
        None if matches!(node.op, Op::Linear { .. }) && graph.shape(node.inputs[0]).len() > 1 => {
            format!("{}({}.flatten(1))", layers.path(&node.name), inputs.join(", "))
        }
        None => format!("{}({})", layers.path(&node.name), inputs.join(", ")),
    }
}

fn comment(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' '));
    if is_plain { format!("  # {name}") } else { String::new() }
}

/// `None` for what a layer computes.
fn expression(graph: &Graph, id: NodeId, inputs: &[&str]) -> Option<String> {
    let x = inputs.first().copied().unwrap_or_default();
    Some(match &graph.nodes()[id].op {
        Op::Sigmoid => format!("{x}.sigmoid()"),
        Op::Step => format!("({x} > 0).to({x}.dtype)"),
        Op::Softmax { over: Over::Channels } => format!("{x}.softmax(1)"),
        Op::Softmax { over: Over::Positions } if graph.shape(id).len() == 1 => format!("torch.ones_like({x})"),
        Op::Softmax { over: Over::Positions } => format!("{x}.flatten(2).softmax(2).view_as({x})"),
        Op::KWinners { count } => format!("largest(F.relu({x}), {count})"),
        Op::OnOff => format!("torch.cat([{x}, -{x}], 1)"),
        Op::Complement => format!("torch.cat([{x}, 1 - {x}], 1)"),
        Op::Mirror { border } => format!("mirror({x}, {border})"),
        Op::GlobalAvgPool => format!("{x}.mean((2, 3))"),
        Op::Describe { by: Descriptor::Luminance } => format!("luminance({x})"),
        Op::Describe { by: Descriptor::Hues { bins } } => format!("hues({x}, {bins})"),
        Op::Describe { by: Descriptor::Orientations { bins } } => format!("orientations({x}, {bins})"),
        Op::Describe { by: Descriptor::Patterns } => format!("patterns({x})"),
        Op::Describe { by: Descriptor::Bands { count } } => format!("bands({x}, {count})"),
        Op::Saliency => format!("saliency({x})"),
        Op::Route { top } => format!("largest({x}.softmax(1), {top})"),
        Op::Gated { channel } => {
            let axes = ", None".repeat(graph.shape(id).len());
            format!("{x} * {}[:, {channel}{axes}]", inputs.get(1).copied().unwrap_or(x))
        }
        Op::Multiply => {
            let weights = node_inputs(graph, id).get(1).map_or(0, |shape| shape.len());
            let axes = if weights < graph.shape(id).len() { "[:, :, None, None]" } else { "" };
            format!("{x} * {}{axes}", inputs.get(1).copied().unwrap_or(x))
        }
        Op::Sample => format!("{x}[:, :{}]", graph.shape(id)[0]),
        Op::Add => inputs.join(" + "),
        Op::Concat => format!("torch.cat([{}], 1)", inputs.join(", ")),
        Op::PadShortcut { stride, .. } => shortcut(x, *stride, graph.sides(id).unwrap_or_default()),
        Op::Input { .. }
        | Op::Conv2d { .. }
        | Op::ConvTranspose2d { .. }
        | Op::BCosConv2d { .. }
        | Op::BatchNorm { .. }
        | Op::UncenteredNorm { .. }
        | Op::Relu
        | Op::Threshold { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::AdaptiveAvgPool { .. }
        | Op::UpsampleNearest { .. }
        | Op::UpsampleBilinear { .. }
        | Op::Prototypes { .. }
        | Op::Linear { .. } => return None,
    })
}

/// The shapes of a node's inputs.
fn node_inputs(graph: &Graph, id: NodeId) -> Vec<&[usize]> {
    graph.nodes()[id].inputs.iter().map(|&input| graph.shape(input)).collect()
}

fn shortcut(x: &str, stride: usize, [before, after]: [usize; 2]) -> String {
    let step = if stride == 1 { String::new() } else { format!("[:, :, ::{stride}, ::{stride}]") };
    format!("F.pad({x}{step}, (0, 0, 0, 0, {before}, {after}))")
}

/// The definitions that the node's code needs, those before that others need.
pub(super) fn helpers(op: &Op) -> &'static [&'static str] {
    match op {
        Op::BCosConv2d { .. } => &[include_str!("python/bcos_conv2d.py")],
        Op::UncenteredNorm { .. } => &[include_str!("python/uncentered_norm.py")],
        Op::Threshold { curve: Curve::Soft, .. } => &[include_str!("python/soft_threshold.py")],
        Op::Threshold { curve: Curve::Hard, .. } => &[include_str!("python/hard_threshold.py")],
        Op::Threshold { curve: Curve::Firm, .. } => &[include_str!("python/firm_threshold.py")],
        Op::KWinners { .. } | Op::Route { .. } => &[include_str!("python/largest.py")],
        Op::Mirror { .. } => &[include_str!("python/mirror.py")],
        Op::Prototypes { .. } => &[include_str!("python/prototypes.py")],
        Op::Saliency => &[include_str!("python/saliency.py")],
        Op::Describe { by: Descriptor::Luminance } => &[include_str!("python/luminance.py")],
        Op::Describe { by: Descriptor::Hues { .. } } => {
            &[include_str!("python/around.py"), include_str!("python/hues.py")]
        }
        Op::Describe { by: Descriptor::Orientations { .. } } => {
            &[include_str!("python/around.py"), include_str!("python/orientations.py")]
        }
        Op::Describe { by: Descriptor::Patterns } => &[include_str!("python/patterns.py")],
        Op::Describe { by: Descriptor::Bands { .. } } => &[include_str!("python/bands.py")],
        Op::Input { .. }
        | Op::Conv2d { .. }
        | Op::ConvTranspose2d { .. }
        | Op::BatchNorm { .. }
        | Op::Relu
        | Op::OnOff
        | Op::Complement
        | Op::MaxPool { .. }
        | Op::AvgPool { .. }
        | Op::AdaptiveAvgPool { .. }
        | Op::GlobalAvgPool
        | Op::UpsampleNearest { .. }
        | Op::UpsampleBilinear { .. }
        | Op::Linear { .. }
        | Op::Sigmoid
        | Op::Step
        | Op::Softmax { .. }
        | Op::Gated { .. }
        | Op::Multiply
        | Op::Sample
        | Op::Add
        | Op::Concat
        | Op::PadShortcut { .. } => &[],
    }
}
