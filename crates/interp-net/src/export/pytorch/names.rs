//! Layers under dotted names: in attributes, lists and dicts of modules.

use std::collections::BTreeMap;

use super::layers;
use crate::{Graph, NetError, Result};

/// What modules of PyTorch 2.13 have themselves, so that no part of theirs can be called so.
const TAKEN: &[&str] = &[
    "T_destination",
    "add_module",
    "append",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "clear",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extend",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "insert",
    "ipu",
    "items",
    "keys",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "parameters",
    "pop",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "update",
    "values",
    "xpu",
    "zero_grad",
];

const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// What layers of PyTorch and those written out have themselves, so that no layer under their name can be called so.
const OWN: &[&str] = &[
    "b",
    "bias",
    "ceil_mode",
    "cosine",
    "dilation",
    "eps",
    "groups",
    "in_channels",
    "in_features",
    "inplace",
    "kernel_size",
    "momentum",
    "num_batches_tracked",
    "num_features",
    "out_channels",
    "out_features",
    "output_padding",
    "padding",
    "return_indices",
    "running_mean",
    "running_var",
    "stride",
    "theta",
    "weight",
];

/// Parts of a dotted name, at most.
const DEEPEST: usize = 16;

/// The modules of a network, each with the call that makes it.
pub(super) struct Layers {
    root: Group,
}

enum Part {
    Layer(String),
    Of(Group),
    /// A layer with others under its name.
    Holding(String, Group),
}

/// Parts by their names, in order.
#[derive(Default)]
struct Group {
    parts: Vec<(String, Part)>,
    places: BTreeMap<String, usize>,
    /// Whether there is a part that is not called by its place.
    has_names: bool,
}

impl Layers {
    /// The modules of a graph.
    ///
    /// # Errors
    /// If a name is none that PyTorch allows.
    pub(super) fn of(graph: &Graph) -> Result<Self> {
        let mut root = Group::default();
        for node in graph.nodes() {
            let input = node.inputs.first().map_or(&[][..], |&input| graph.shape(input));
            if let Some(call) = layers::made_by(&node.op, input) {
                let parts: Vec<&str> = node.name.split('.').collect();
                let added = check(&parts).and_then(|()| root.add(&parts, call));
                added.map_err(|problem| NetError::Graph { node: node.name.clone(), problem })?;
            }
        }
        Ok(Self { root })
    }

    /// Whether a layer has others under its name.
    pub(super) fn hold(&self) -> bool {
        self.root.holds()
    }

    /// The lines of a constructor.
    pub(super) fn assignments(&self) -> String {
        let line = |(name, part): &(String, Part)| match is_identifier(name) {
            true => format!("        self.{name} = {}\n", part.made_by(8)),
            false => format!("        self.add_module({}, {})\n", quoted(name), part.made_by(8)),
        };
        self.root.parts.iter().map(line).collect()
    }

    /// How `forward` gets at the module of a node that is one.
    pub(super) fn path(&self, name: &str) -> String {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let mut path = match is_identifier(first) {
            true => format!("self.{first}"),
            false => format!("getattr(self, {})", quoted(first)),
        };
        let mut part = self.root.find(first);
        for name in rest.split('.').filter(|name| !name.is_empty()) {
            let (group, is_layer) = match part {
                Some(Part::Of(group)) => (group, false),
                Some(Part::Holding(_, group)) => (group, true),
                _ => break,
            };
            path = match name {
                _ if is_layer && !is_identifier(name) => format!("{path}.get_submodule({})", quoted(name)),
                _ if is_layer => format!("{path}.{name}"),
                _ if !group.has_names => format!("{path}[{name}]"),
                _ if is_identifier(name) => format!("{path}.{name}"),
                _ => format!("{path}[{}]", quoted(name)),
            };
            part = group.find(name);
        }
        path
    }
}

impl Part {
    /// The expression that makes it, in a line that is indented.
    fn made_by(&self, indent: usize) -> String {
        match self {
            Self::Layer(call) => call.clone(),
            Self::Of(group) => group.made_by(indent),
            Self::Holding(call, group) => {
                format!(
                    "holding(\n{0:1$}{call},\n{0:1$}{{\n{2}{0:1$}}},\n{0:3$})",
                    "",
                    indent + 4,
                    group.lines(indent + 4, true),
                    indent
                )
            }
        }
    }
}

impl Group {
    fn made_by(&self, indent: usize) -> String {
        let lines = self.lines(indent, self.has_names);
        match self.has_names {
            true => format!("nn.ModuleDict({{\n{lines}{:1$}}})", "", indent),
            false => format!("nn.ModuleList([\n{lines}{:1$}])", "", indent),
        }
    }

    /// A line for each part, with its name or without.
    fn lines(&self, indent: usize, with_names: bool) -> String {
        let line = |(name, part): &(String, Part)| {
            let key = if with_names { format!("{}: ", quoted(name)) } else { String::new() };
            format!("{:1$}{key}{2},\n", "", indent + 4, part.made_by(indent + 4))
        };
        self.parts.iter().map(line).collect()
    }

    fn holds(&self) -> bool {
        self.parts.iter().any(|(_, part)| match part {
            Part::Layer(_) => false,
            Part::Of(group) => group.holds(),
            Part::Holding(..) => true,
        })
    }

    fn find(&self, name: &str) -> Option<&Part> {
        self.places.get(name).map(|&place| &self.parts[place].1)
    }

    /// Adds the layer that the call makes, at the end of a path of names.
    fn add(&mut self, path: &[&str], call: String) -> std::result::Result<(), String> {
        let [name, ref rest @ ..] = *path else { return Ok(()) };
        let Some(&place) = self.places.get(name) else {
            let mut group = Self::default();
            let layer = if rest.is_empty() { Some(call) } else { group.add(rest, call).map(|()| None)? };
            self.push(name, layer.map_or(Part::Of(group), Part::Layer));
            return Ok(());
        };
        let part = &mut self.parts[place].1;
        let (own, mut group) = match std::mem::replace(part, Part::Of(Self::default())) {
            Part::Layer(own) => (Some(own), Self::default()),
            Part::Of(group) => (None, group),
            Part::Holding(own, group) => (Some(own), group),
        };
        let own = if rest.is_empty() { Some(call) } else { group.add(rest, call).map(|()| own)? };
        *part = match own {
            None => Part::Of(group),
            Some(own) => Part::Holding(own, group.under_a_layer()?),
        };
        Ok(())
    }

    /// Itself, if a layer can have it under its name.
    fn under_a_layer(self) -> std::result::Result<Self, String> {
        match self.parts.iter().find(|(name, _)| OWN.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("a layer of PyTorch has a `{name}` itself: rename the node")),
            None => Ok(self),
        }
    }

    fn push(&mut self, name: &str, part: Part) {
        let place = self.parts.len();
        self.has_names |= name != place.to_string();
        self.places.insert(name.to_owned(), place);
        self.parts.push((name.to_owned(), part));
    }
}

fn check(parts: &[&str]) -> std::result::Result<(), String> {
    if parts.len() > DEEPEST {
        return Err(format!("a name of more than {DEEPEST} parts"));
    }
    match parts.iter().find(|part| part.is_empty() || part.starts_with('_') || TAKEN.contains(part)) {
        Some(part) => Err(format!("a module of PyTorch cannot have a part called `{part}`: rename the node")),
        None => Ok(()),
    }
}

/// Whether Python takes it for a name.
pub(super) fn is_identifier(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits) && !KEYWORDS.contains(&name)
}

/// A literal of Python, which those of JSON are.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
