//! Networks that training starts from: those of checkpoints.

use std::path::PathBuf;

use interp_data::Info;
use interp_learn::Objective;
use interp_net::{Checkpoint, Graph, Meta, Network, Normalization};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::folder::{Folder, Stage};
use crate::{Error, Result};

/// The network that training starts from in place of random values. A file of ours brings its structure, which may have
/// fewer channels than that of `[model]`, as `interp-train compact` leaves them, but has its operations; a file of others has the
/// tensors of `[model]`. Activations are those of `[model]`: thresholds that the file has not start from `model.threshold`. A twin starts
/// from it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// A safetensors file, or the folder of a run.
    pub path: PathBuf,
    /// Subtracted from pictures in [0, 1], per channel; where it is not given, as the file says, or else the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Pictures are divided by this, per channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// Take the structure alone, with random values: is training from the start as good?
    #[serde(default)]
    pub structure_only: bool,
}

impl Init {
    /// The network of the file, for the data that `info` describes, and how its pictures are normalized. `model` is the
    /// network graph of the recipe's architecture; random values are those of `seed`.
    ///
    /// # Errors
    /// If the file cannot be read, or does not fit the data or the architecture: tensors, shapes and nodes are compared.
    pub fn network(
        &self,
        model: &Graph,
        objective: Objective,
        info: &Info,
        seed: u64,
    ) -> Result<(Network, Normalization)> {
        let path = if self.path.is_dir() { Folder::new(&self.path).model(Stage::Main) } else { self.path.clone() };
        let file = Checkpoint::read(&path)?;
        let wrong = |problem: String| Error::Folder { path: path.clone(), problem };
        let network = match &file.meta {
            Some(meta) => file.with_graph(&path, meta.graph.clone())?.with_activations_of(model)?,
            None => file.with_activations(&path, model.clone())?,
        };
        misfit(&network, file.meta.as_ref(), objective, info).map_or(Ok(()), |problem| Err(wrong(problem)))?;
        if !network.graph.has_nodes_of(model) {
            return Err(wrong("its nodes are others than those of `[model]`".into()));
        }
        if let Some((own, other)) =
            network.graph.nodes().iter().zip(model.nodes()).find(|(a, b)| !a.op.resembles(&b.op))
        {
            let (name, own, other) = (&own.name, own.op.label(), other.op.label());
            return Err(wrong(format!("its node `{name}` is: {own}; that of `[model]`: {other}")));
        }
        let normalization = self.normalization(file.meta, info);
        normalization.check(info.channels).map_err(wrong)?;
        let network = if self.structure_only { Network::new(network.graph, seed)? } else { network };
        Ok((network, normalization))
    }

    fn normalization(&self, meta: Option<Meta>, info: &Info) -> Normalization {
        let of_data = || Normalization { mean: info.mean.clone(), std: info.std.clone() };
        let mut normalization = meta.map_or_else(of_data, |meta| meta.normalization);
        let given = |values: &Vec<f64>| values.iter().map(|&value| value as f32).collect();
        self.mean.iter().for_each(|mean| normalization.mean = given(mean));
        self.std.iter().for_each(|std| normalization.std = given(std));
        normalization
    }
}

/// Which of a network's needs a data set does not meet.
pub(crate) fn misfit(network: &Network, meta: Option<&Meta>, objective: Objective, info: &Info) -> Option<String> {
    let classes = meta.map(|meta| &meta.classes);
    let wants = network.graph.shape(0);
    let has = [info.channels, info.height, info.width];
    if wants[0] != has[0] {
        Some(format!("the network takes pictures of {} channel(s); those of {} have {}", wants[0], info.name, has[0]))
    } else if wants != has {
        let ([_, height, width], name) = (has, &info.name);
        let (rows, columns) = (wants[1], wants[2]);
        Some(format!("the network takes pictures of {rows}x{columns}; those of {name} are {height}x{width}"))
    } else if objective != Objective::Classify && network.graph.shape(network.graph.output()) == objective.output(info)
    {
        None
    } else if network.graph.outputs() != info.classes.len() {
        let (outputs, name, count) = (network.graph.outputs(), &info.name, info.classes.len());
        Some(format!("the network has {outputs} outputs, and the classes of {name} are {count}"))
    } else if let Some(classes) = classes.filter(|classes| **classes != info.classes) {
        let (own, theirs) = (classes.join(", "), info.classes.join(", "));
        Some(format!("the network's classes are {own}; those of {} are {theirs}", info.name))
    } else {
        None
    }
}
