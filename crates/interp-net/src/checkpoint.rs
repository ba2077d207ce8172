//! Networks in files.
//!
//! Our own files rebuild the network from the file alone. Files of others (PyTorch's names) are read
//! into a network whose architecture is given.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use interp_finding::{Claim, Fit};
use serde::{Deserialize, Serialize};

use crate::fit::{Fresh, Misfit, fits, load};
use crate::names::{Naming, has_linear_maps_of_timm, slid_by_timm, without_prefix};
use crate::params::slots;
use crate::{Graph, NetError, Network, NewHead, NodeId, Op, Params, Result, Role, sealed, stored, zoo};

/// The version of [`Meta`] that this code writes.
const FORMAT: u32 = 1;

/// Pictures of so many pixels a side are large enough for every architecture with a name; what tensors it has is not up to them.
const LARGE: usize = 224;

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
            None => return Ok(Self::of_others(sealed.tensors)),
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

    /// Whether it is a file of timm of which timm makes other outputs than the network of the structure `graph` does ([`slid_by_timm`]).
    pub fn is_slid_by_timm(&self, graph: &Graph) -> bool {
        has_linear_maps_of_timm(&self.tensors) && slid_by_timm(graph)
    }

    /// The names of the files that the index at `path` names: the shards of a network, which lie beside it.
    ///
    /// # Errors
    /// If the file cannot be read, or is no such index.
    pub fn shards(path: &Path) -> Result<Vec<String>> {
        stored::shards(path)
    }

    /// A file of others that has these tensors. What all of their names begin with is left out ([`without_prefix`]).
    pub fn of_others(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { meta: None, tensors: without_prefix(tensors) }
    }

    /// The network of a file of ours, or with `architecture` that of any file, built for its tensors: the
    /// input's channels and the classes are those of the first and last weight. Of several architectures of that name
    /// ([`zoo::all_by_name`]) it is the first that fits, and tensors may have the names of each [`Naming`].
    ///
    /// # Errors
    /// If the file is not ours and no architecture is given; if tensors are missing, unexpected, or of
    /// other shapes than the architecture's: all of them are named.
    pub fn network(&self, path: &Path, architecture: Option<&str>, size: [usize; 2]) -> Result<Network> {
        let graphs = match (architecture, &self.meta) {
            (None, Some(meta)) => vec![meta.graph.clone()],
            (None, None) => {
                let fitting = self.fitting(size);
                let problem = match fitting.is_empty() {
                    true => {
                        "the file does not say what network it is, and its tensors are those of none that --arch knows"
                    }
                    false => "the file does not say what network it is: name it with --arch",
                };
                return Err(wrong(path, format!("{problem}{fitting}")));
            }
            (Some(name), _) => self.graphs_of(name, size, None)?,
        };
        let said = self.meta.as_ref().filter(|_| architecture.is_some());
        let itself = said.map_or("", |_| "; the file says itself what network it is: leave out --arch");
        self.first_of(graphs, None)
            .map_err(|misfit| wrong(path, format!("{}{}{itself}", misfit.tell(), self.fitting(size))))
    }

    /// The network of an architecture for `classes` classes, with all tensors of the file but those of the layer that tells the
    /// classes ([`Graph::head`]), which has the first values of `seed`. What the file has for it is passed over, whatever its
    /// shape.
    ///
    /// # Errors
    /// As [`Checkpoint::network`].
    pub fn for_classes(
        &self,
        path: &Path,
        architecture: &str,
        size: [usize; 2],
        classes: usize,
        seed: u64,
    ) -> Result<NewHead> {
        let graphs = self.graphs_of(architecture, size, Some(classes))?;
        let network = self.first_of(graphs, Some(seed)).map_err(|misfit| wrong(path, misfit.tell()))?;
        Ok(NewHead::of(network))
    }

    /// As [`Checkpoint::for_classes`], with the structure `graph`, whose [`Graph::head`] has first values, as have thresholds that the file has not.
    ///
    /// # Errors
    /// As [`Checkpoint::with_graph`].
    pub fn with_new_head(&self, path: &Path, graph: Graph, seed: u64) -> Result<NewHead> {
        let bare = graph.with_operations(|id| match &graph.nodes()[id].op {
            op if op.is_activation() => Op::Relu,
            op => op.clone(),
        })?;
        let network = match self.first_of(vec![bare], Some(seed)) {
            Ok(network) => network.with_activations_of(&graph)?,
            Err(_) => self.first_of(vec![graph], Some(seed)).map_err(|misfit| wrong(path, misfit.tell()))?,
        };
        Ok(NewHead::of(network))
    }

    /// The network of the first of the structures that fits, with the file's tensors, and where there is a seed with its first
    /// values in the head; else what does not fit the structure that fits best.
    fn first_of(&self, graphs: Vec<Graph>, seed: Option<u64>) -> Result<Network, Misfit> {
        let mut least = Misfit::none();
        for graph in graphs {
            let nodes = seed.map(|_| graph.head()).unwrap_or_default();
            match load(&graph, &self.tensors, Fresh { nodes: &nodes, seed: seed.unwrap_or_default() }) {
                Ok(params) => return Ok(Network { graph, params }),
                Err(misfit) => least = least.lesser(misfit),
            }
        }
        Err(least)
    }

    /// The network of the structure `graph` with the file's tensors.
    ///
    /// # Errors
    /// If tensors are missing, unexpected, or of other shapes: all of them are named.
    pub fn with_graph(&self, path: &Path, graph: Graph) -> Result<Network> {
        self.first_of(vec![graph], None).map_err(|misfit| wrong(path, misfit.tell()))
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
        match load(&bare, &self.tensors, Fresh::default()) {
            Ok(params) => Network { graph: bare, params }.with_activations_of(&graph),
            Err(_) => self.with_graph(path, graph),
        }
    }

    /// That the tensors are just those of an architecture of the zoo, where they are of one.
    fn fitting(&self, size: [usize; 2]) -> String {
        let large = size.map(|side| side.max(LARGE));
        let is_it = |kind: &dyn zoo::Architecture| {
            self.graph_of(kind, large, None).is_ok_and(|graph| fits(&graph, &self.tensors))
        };
        let found = zoo::named().find(|(_, kind)| is_it(&**kind));
        found.map(|(name, _)| format!("; its tensors are those of {name}")).unwrap_or_default()
    }

    /// The structures of all architectures of a name, for the file's channels, and its classes or these.
    fn graphs_of(&self, name: &str, size: [usize; 2], classes: Option<usize>) -> Result<Vec<Graph>> {
        let (mut graphs, mut errors) = (vec![], vec![]);
        for kind in zoo::all_by_name(name)? {
            match self.graph_of(&*kind, size, classes) {
                Ok(graph) => graphs.push(graph),
                Err(error) => errors.push(error),
            }
        }
        match errors.into_iter().next() {
            Some(error) if graphs.is_empty() => Err(error),
            _ => Ok(graphs),
        }
    }

    fn graph_of(
        &self,
        architecture: &dyn zoo::Architecture,
        [height, width]: [usize; 2],
        classes: Option<usize>,
    ) -> Result<Graph> {
        let draft = architecture.graph([3, height, width], 2)?;
        let head = draft.head();
        let (mut first, mut last) = (None, None);
        for slot in slots(&draft).iter().filter(|slot| slot.role == Role::Weight) {
            let name = |naming: Naming| naming.of(&draft, &slot.name, &slot.shape).0;
            let found = Naming::ALL.into_iter().find_map(|naming| self.tensors.get(&name(naming)));
            let dims = found.map(|tensor| tensor.dims().to_vec());
            last = if head.contains(&slot.node) { dims.clone() } else { last };
            first.get_or_insert(dims);
        }
        let channels = first.flatten().and_then(|dims| dims.get(1).copied()).unwrap_or(3);
        let classes = classes.or(last.and_then(|dims| dims.first().copied())).unwrap_or(2);
        architecture.graph([channels, height, width], classes)
    }
}

fn wrong(path: &Path, problem: String) -> NetError {
    NetError::Checkpoint { path: path.to_owned(), problem }
}
