//! Networks in files.
//!
//! Our own files rebuild the network from the file alone. Files of others (PyTorch's names) are read
//! into a network whose architecture is given.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use interp_finding::{Claim, Fit, nearest};
use serde::{Deserialize, Serialize};

use crate::{Graph, NetError, Network, NodeId, Op, Params, Result, sealed, stored, zoo};

/// The version of [`Meta`] that this code writes.
const FORMAT: u32 = 1;

/// What is done to a picture in [0, 1] before the network sees it: `(x - mean) / std` per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Subtracted, per channel.
    pub mean: Vec<f32>,
    /// Divided by, per channel.
    pub std: Vec<f32>,
}

impl Normalization {
    /// Says what is wrong with it for pictures of `channels` channels.
    ///
    /// # Errors
    /// If there are more or fewer values, or one that cannot be computed with.
    pub fn check(&self, channels: usize) -> std::result::Result<(), String> {
        let Self { mean, std } = self;
        let usable = mean.iter().all(|m| m.is_finite()) && std.iter().all(|s| *s > 0.0 && s.is_finite());
        match mean.len() == channels && std.len() == channels && usable {
            true => Ok(()),
            false => Err(format!(
                "mean {mean:?} and std {std:?}: {channels} channel(s) need as many finite values, std above 0"
            )),
        }
    }
}

/// What a file of ours says beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of this structure.
    pub format: u32,
    /// Structure of the network.
    pub graph: Graph,
    /// Class names, by output.
    pub classes: Vec<String>,
    /// What pictures go through first.
    pub normalization: Normalization,
    /// How pictures of any size are brought to the network's; where a recipe is there, it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Name of the data set it was trained on.
    pub data: String,
    /// The resolved recipe it was trained by.
    pub recipe: String,
    /// The epoch it is from, counted from 1 over all phases.
    pub epoch: usize,
    /// What is claimed of the network.
    pub claims: Vec<Claim>,
    /// What was changed after training, in words, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
}

/// A file read: its network if the file knows it, and the tensors in any case.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the file says, if it is ours.
    pub meta: Option<Meta>,
    tensors: BTreeMap<String, Tensor>,
}

impl Meta {
    /// A description in the present format.
    pub fn new(graph: Graph, classes: Vec<String>, normalization: Normalization) -> Self {
        Self {
            format: FORMAT,
            graph,
            classes,
            normalization,
            fit: None,
            data: String::new(),
            recipe: String::new(),
            epoch: 0,
            claims: vec![],
            edits: vec![],
        }
    }
}

impl Checkpoint {
    /// Writes a network, atomically; `meta.graph` must be its graph.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(path: &Path, params: &Params, meta: &Meta) -> Result<()> {
        let tensors = params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
        sealed::write(path, &tensors, meta)
    }

    /// Reads a file of ours or of others, whatever its name is: safetensors, a state dict saved by PyTorch
    /// (`.pth`, `.pt`, `.bin`), or the index of either in shards (`model.safetensors.index.json`), which lie
    /// beside it. Nothing in a file is executed.
    ///
    /// # Errors
    /// If the file holds anything but tensors, was damaged, or is of a later format.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |problem: String| NetError::Checkpoint { path: path.to_owned(), problem };
        let sealed = stored::read(path)?;
        let format = sealed.content.as_ref().map(|c| c.get("format").and_then(|f| f.as_u64()));
        match format {
            None => return Ok(Self { meta: None, tensors: sealed.tensors }),
            Some(None) => return Err(wrong("a file of ours, but not a network (is it a state file?)".into())),
            Some(Some(version)) if version != u64::from(FORMAT) => {
                return Err(wrong(format!("format {version}; this program reads format {FORMAT}")));
            }
            _ => {}
        }
        let meta = sealed.content.map(serde_json::from_value).transpose();
        let meta = meta.map_err(|e| wrong(format!("its description is not understood: {e}")))?;
        Ok(Self { meta, tensors: sealed.tensors })
    }

    /// The tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The names of the files that the index at `path` names: the shards of a network, which lie beside it.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such index.
    pub fn shards(path: &Path) -> Result<Vec<String>> {
        stored::shards(path)
    }

    /// The network of a file of ours, or with `architecture` that of any file, built for its tensors: the
    /// input's channels and the classes are those of the first and last weight.
    ///
    /// # Errors
    /// If the file is not ours and no architecture is given; if tensors are missing, unexpected, or of
    /// other shapes than the architecture's: all of them are named.
    pub fn network(&self, path: &Path, architecture: Option<&str>, size: [usize; 2]) -> Result<Network> {
        let fitting =
            || self.fitting(size).map(|name| format!("; its tensors are those of {name}")).unwrap_or_default();
        let graph = match (architecture, &self.meta) {
            (None, Some(meta)) => meta.graph.clone(),
            (None, None) => {
                let fitting = fitting();
                let problem = match fitting.is_empty() {
                    true => {
                        "the file does not say what network it is, and its tensors are those of none that --arch knows"
                    }
                    false => "the file does not say what network it is: name it with --arch",
                };
                return Err(wrong(path, format!("{problem}{fitting}")));
            }
            (Some(name), _) => self.graph_of(&*zoo::by_name(name)?, size)?,
        };
        let said = self.meta.as_ref().filter(|_| architecture.is_some());
        let itself = said.map_or("", |_| "; the file says itself what network it is: leave out --arch");
        let params = load(&graph, &self.tensors);
        let params = params.map_err(|problem| wrong(path, format!("{problem}{}{itself}", fitting())))?;
        Ok(Network { graph, params })
    }

    /// The network of the structure `graph` with the file's tensors.
    ///
    /// # Errors
    /// If tensors are missing, unexpected, or of other shapes: all of them are named.
    pub fn with_graph(&self, path: &Path, graph: Graph) -> Result<Network> {
        let params = load(&graph, &self.tensors).map_err(|problem| wrong(path, problem))?;
        Ok(Network { graph, params })
    }

    /// The network of the structure `graph`, as [`Checkpoint::with_graph`]; where the file has no thresholds for its activations, these
    /// start from their first values.
    ///
    /// # Errors
    /// As [`Checkpoint::with_graph`].
    pub fn with_activations(&self, path: &Path, graph: Graph) -> Result<Network> {
        let op = |id: NodeId| match &graph.nodes()[id].op {
            op if op.is_activation() => Op::Relu,
            op => op.clone(),
        };
        let bare = graph.with_operations(op)?;
        match load(&bare, &self.tensors) {
            Ok(params) => Network { graph: bare, params }.with_activations_of(&graph),
            Err(_) => self.with_graph(path, graph),
        }
    }

    /// The first architecture of the zoo that has just these tensors.
    fn fitting(&self, size: [usize; 2]) -> Option<String> {
        let fits = |graph: Graph| load(&graph, &self.tensors).is_ok();
        zoo::named().find(|(_, kind)| self.graph_of(&**kind, size).is_ok_and(fits)).map(|(name, _)| name)
    }

    fn graph_of(&self, architecture: &dyn zoo::Architecture, [height, width]: [usize; 2]) -> Result<Graph> {
        let draft = architecture.graph([3, height, width], 2)?;
        let dims = |name: &str| self.tensors.get(name).map(|t| t.dims().to_vec());
        let named = |node: usize| dims(&format!("{}.weight", draft.nodes()[node].name));
        let channels = named(1).and_then(|d| d.get(1).copied()).unwrap_or(3);
        let classes = named(draft.output()).and_then(|d| d.first().copied()).unwrap_or(2);
        architecture.graph([channels, height, width], classes)
    }
}

fn wrong(path: &Path, problem: String) -> NetError {
    NetError::Checkpoint { path: path.to_owned(), problem }
}

/// Parameters of `graph` from tensors with PyTorch's names; counters of batches are passed over. All
/// that does not fit is told in one message.
fn load(graph: &Graph, tensors: &BTreeMap<String, Tensor>) -> std::result::Result<Params, String> {
    let mut problems = vec![];
    let mut used = vec![];
    let params = Params::build(graph, |name, _, shape| {
        used.push(name.to_owned());
        let found = tensors.get(name).filter(|t| t.dims() == shape);
        match (found, tensors.get(name)) {
            (Some(tensor), _) => return Ok(tensor.to_dtype(DType::F32)?.contiguous()?),
            (_, Some(other)) => problems.push(format!("`{name}` is of shape {:?}, not {shape:?}", other.dims())),
            (_, None) => problems.push(format!("`{name}` {shape:?} is missing")),
        }
        Ok(Tensor::zeros(1, DType::F32, &candle_core::Device::Cpu)?)
    });
    let expected = |name: &&String| used.contains(name) || name.ends_with(".num_batches_tracked");
    for name in tensors.keys().filter(|name| !expected(name)) {
        let hint = nearest(name, used.iter().map(String::as_str)).map(|n| format!(" (nearest: `{n}`)"));
        problems.push(format!("`{name}` is not expected{}", hint.unwrap_or_default()));
    }
    match problems.len() {
        0 => params.map_err(|e| e.to_string()),
        count => {
            let shown = problems.iter().take(8).cloned().collect::<Vec<_>>().join("\n  ");
            let more = if count > 8 { format!("\n  and {} more", count - 8) } else { String::new() };
            Err(format!("{count} tensor(s) do not fit the network:\n  {shown}{more}"))
        }
    }
}
