//! Networks as modules of PyTorch, in Python that people can read.

mod layers;
mod names;
mod steps;

use crate::{Graph, Normalization, Result};
use names::Layers;

/// A module of PyTorch, `Network`, that computes what a network of this graph does, as the text of a Python file that needs nothing but
/// PyTorch. Its layers lie under the nodes' names, so that it takes the [`state_dict`](super::state_dict) of such a network, strictly.
/// `forward` goes through the nodes in the graph's order, a line each. With a `normalization`, it is written beside it.
///
/// # Errors
/// [`NetError::Graph`](crate::NetError::Graph) where a layer's name is none that a module of PyTorch can have.
pub fn pytorch(graph: &Graph, normalization: Option<&Normalization>) -> Result<String> {
    let layers = Layers::of(graph)?;
    let mut parts: Vec<String> = constants(normalization).into_iter().collect();
    parts.extend(helpers(graph).into_iter().map(str::to_owned));
    parts.extend(layers.hold().then(|| include_str!("python/holding.py").trim_end().to_owned()));
    parts.push(format!("class Network(nn.Module):\n{}\n{}", constructor(&layers), forward(graph, &layers)));
    let code = parts.join("\n\n\n");
    Ok(format!("{}\n{}\n{code}", head(graph, normalization), imports(&code)))
}

fn head(graph: &Graph, normalization: Option<&Normalization>) -> String {
    let shape = |id: usize| graph.shape(id).iter().map(|side| format!(", {side}")).collect::<String>();
    let normalized = normalization.map_or("", |_| " Pictures in [0, 1] go in as (x - MEAN) / STD, by channel.");
    format!(
        r#""""A network written out from its graph: (N{}) goes in, (N{}) comes out.{normalized}

    model = Network()
    model.load_state_dict(state)  # as torch.load or safetensors.torch.load_file reads it
    model.eval()
"""
"#,
        shape(0),
        shape(graph.output())
    )
}

/// What the code uses.
fn imports(code: &str) -> String {
    let lines = [
        ("math.", "import math\n\n"),
        ("torch.", "import torch\n"),
        ("nn.", "from torch import nn\n"),
        ("F.", "from torch.nn import functional as F\n"),
    ];
    let used = lines.iter().filter(|(prefix, _)| code.contains(prefix));
    used.map(|(_, line)| *line).chain(["\n"]).collect()
}

fn constants(normalization: Option<&Normalization>) -> Option<String> {
    normalization.map(|n| format!("MEAN = {:?}\nSTD = {:?}", n.mean, n.std))
}

/// Functions and classes that PyTorch does not have, each once, in the order in which they are needed.
fn helpers(graph: &Graph) -> Vec<&'static str> {
    let mut used: Vec<&str> = vec![];
    for helper in graph.nodes().iter().flat_map(|node| steps::helpers(&node.op)) {
        let helper = helper.trim_end();
        if !used.contains(&helper) {
            used.push(helper);
        }
    }
    used
}

fn constructor(layers: &Layers) -> String {
    format!("    def __init__(self):\n        super().__init__()\n{}", layers.assignments())
}

fn forward(graph: &Graph, layers: &Layers) -> String {
    let variables = steps::variables(graph);
    let lines = (1..graph.nodes().len()).map(|id| {
        let value = steps::value(graph, layers, &variables, id);
        let begin = if id == graph.output() { "return".to_owned() } else { format!("{} =", variables[id]) };
        format!("        {begin} {value}\n")
    });
    let body: String = lines.collect();
    let body = if body.is_empty() { format!("        return {}\n", variables[0]) } else { body };
    format!("    def forward(self, {}):\n{body}", variables[0])
}
