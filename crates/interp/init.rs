//! Networks that training starts from: those of checkpoints.

use std::path::{Path, PathBuf};

use interp_data::Info;
use interp_learn::Objective;
use interp_net::zoo::Architecture;
use interp_net::{Checkpoint, Graph, Meta, Network, Normalization};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::network_file::{NetworkFile, warn_of_sliding};
use crate::progress::Screen;
use crate::{Error, Result};

/// The network that training starts from in place of random values. A file of ours brings its structure, which may have
/// fewer channels than that of `[model]`, as `interp-train compact` leaves them, but has its operations; a file of others has the
/// tensors of `[model]`. Activations are those of `[model]`: thresholds that the file has not start from `model.threshold`. A twin starts
/// from it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// A file (safetensors, or a state dict of PyTorch), the folder of a run, or `hub:OWNER/NAME[@REVISION]`.
    pub path: PathBuf,
    /// Subtracted from pictures in [0, 1], per channel; where it is not given, as is said of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Pictures are divided by this, per channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f64>>,
    /// The file is of the ordinary network, without what `[model]` has for people to understand: its weights are taken over as far as
    /// `[model]` can. Of `bcos_resnet`: a ResNet is made a B-cos network (B-cosification), to be trained on.
    #[serde(default, skip_serializing_if = "is_no")]
    pub of_plain: bool,
    /// The last layer starts from random values: the file's may be for other classes.
    #[serde(default, skip_serializing_if = "is_no")]
    pub new_head: bool,
    /// Take the structure alone, with random values: is training from the start as good?
    #[serde(default)]
    pub structure_only: bool,
}

fn is_no(value: &bool) -> bool {
    !value
}

/// What a network is to start for.
pub(crate) struct Start<'a> {
    /// The recipe's architecture.
    pub(crate) architecture: &'a dyn Architecture,
    /// Its graph.
    pub(crate) model: &'a Graph,
    /// What it is trained for.
    pub(crate) objective: Objective,
    /// The data.
    pub(crate) info: &'a Info,
    /// Of random values.
    pub(crate) seed: u64,
    /// Where a download is shown.
    pub(crate) screen: &'a Screen,
}

impl Init {
    /// The network of the file, and how its pictures are normalized.
    ///
    /// # Errors
    /// If the file cannot be read, or does not fit the data or the architecture: tensors, shapes and nodes are compared.
    pub(crate) fn network(&self, start: &Start<'_>) -> Result<(Network, Normalization)> {
        let NetworkFile { path, config, unread } = NetworkFile::find(&self.path, start.screen)?;
        let file = Checkpoint::read(&path)?;
        if self.of_plain && self.new_head {
            return Err(Error::Usage(
                "`init.of_plain` takes the last layer over too: leave out `init.new_head`".into(),
            ));
        }
        let hint = NetworkFile::hint(unread.as_ref());
        match self.of_plain {
            true => self.adopted(&path, &file, config.as_ref(), &hint, start),
            false => self.own(&path, file, config.as_ref(), &hint, start),
        }
    }

    /// The recipe's network with what it takes over from the ordinary one in the file. It sees pixel values.
    fn adopted(
        &self,
        path: &Path,
        file: &Checkpoint,
        config: Option<&Config>,
        hint: &str,
        start: &Start<'_>,
    ) -> Result<(Network, Normalization)> {
        let wrong = |problem: String| Error::Folder { path: path.to_owned(), problem };
        let none = || Error::Usage("`init.of_plain`: this model has no ordinary network to take over from".into());
        let plain = start.architecture.plain().ok_or_else(none)?;
        let Info { channels, height, width, .. } = *start.info;
        let graph = plain.graph([channels, height, width], start.info.classes.len())?;
        let ordinary = file.with_graph(path, graph)?;
        let classes = file.meta.as_ref().map(|meta| &meta.classes);
        misfit(&ordinary, classes, start.objective, start.info).map_or(Ok(()), |problem| Err(wrong(problem)))?;
        let unknown = || wrong(format!("it does not say how pictures are normalized: give `mean` and `std`{hint}"));
        let said = file.meta.as_ref().map(|meta| &meta.normalization).or(config.map(|config| &config.normalization));
        if self.mean.is_some() != self.std.is_some() {
            return Err(wrong("`mean` and `std` go together".into()));
        }
        let normalization = self.given().or(said.cloned()).ok_or_else(unknown)?;
        normalization.check(channels).map_err(wrong)?;
        let mut network = Network::new(start.model.clone(), start.seed)?;
        if !self.structure_only {
            start.architecture.adopt(&mut network, &ordinary, &normalization)?;
        }
        let Info { mean, std, .. } = start.info.clone();
        Ok((network, Normalization { mean, std }))
    }

    /// What the recipe says of how pictures are normalized.
    fn given(&self) -> Option<Normalization> {
        let small = |values: &Vec<f64>| values.iter().map(|&value| value as f32).collect();
        Some(Normalization { mean: small(self.mean.as_ref()?), std: small(self.std.as_ref()?) })
    }

    fn own(
        &self,
        path: &Path,
        file: Checkpoint,
        config: Option<&Config>,
        hint: &str,
        start: &Start<'_>,
    ) -> Result<(Network, Normalization)> {
        let &Start { model, objective, info, seed, .. } = start;
        let wrong = |problem: String| Error::Folder { path: path.to_owned(), problem };
        let network = match &file.meta {
            Some(meta) if self.new_head => {
                let own =
                    file.with_new_head(path, meta.graph.with_ends_of(model).map_err(|e| wrong(e.to_string()))?, seed)?;
                own.network.with_activations_of(model)?
            }
            None if self.new_head => file.with_new_head(path, model.clone(), seed)?.network,
            Some(meta) => file.with_graph(path, meta.graph.clone())?.with_activations_of(model)?,
            None => file.with_activations(path, model.clone())?,
        };
        warn_of_sliding(path, &file, &network.graph);
        // Of a new head the classes are the data's.
        let said = file.meta.as_ref().map(|meta| &meta.classes).or(config.map(|config| &config.classes));
        let said = said.filter(|classes| !self.new_head && !classes.is_empty());
        misfit(&network, said, objective, info).map_or(Ok(()), |problem| Err(wrong(problem)))?;
        if !network.graph.has_nodes_of(model) {
            return Err(wrong("its nodes are others than those of `[model]`".into()));
        }
        if let Some((own, other)) =
            network.graph.nodes().iter().zip(model.nodes()).find(|(a, b)| !a.op.resembles(&b.op))
        {
            let (name, own, other) = (&own.name, own.op.label(), other.op.label());
            return Err(wrong(format!("its node `{name}` is: {own}; that of `[model]`: {other}")));
        }
        let unknown = || wrong(format!("it does not say how pictures are normalized: give `mean` and `std`{hint}"));
        let normalization = self.normalization(file.meta, config).ok_or_else(unknown)?;
        normalization.check(info.channels).map_err(wrong)?;
        let network = if self.structure_only { Network::new(network.graph, seed)? } else { network };
        Ok((network, normalization))
    }

    /// What the recipe says, over what is said of the file.
    fn normalization(&self, meta: Option<Meta>, config: Option<&Config>) -> Option<Normalization> {
        let said = meta.map(|meta| meta.normalization).or(config.map(|config| config.normalization.clone()));
        let Some(mut normalization) = said else { return self.given() };
        let small = |values: &Vec<f64>| values.iter().map(|&value| value as f32).collect();
        self.mean.iter().for_each(|mean| normalization.mean = small(mean));
        self.std.iter().for_each(|std| normalization.std = small(std));
        Some(normalization)
    }
}

/// Which of a network's needs a data set does not meet.
pub(crate) fn misfit(
    network: &Network,
    classes: Option<&Vec<String>>,
    objective: Objective,
    info: &Info,
) -> Option<String> {
    let wants = network.graph.shape(0);
    let has = [info.channels, info.height, info.width];
    if wants[0] != has[0] {
        Some(format!("the network takes pictures of {} channel(s); those of {} have {}", wants[0], info.name, has[0]))
    } else if wants != has {
        let ([_, height, width], name) = (has, &info.name);
        let (rows, columns) = (wants[1], wants[2]);
        Some(format!("the network takes pictures of {rows}x{columns}; those of {name} are {height}x{width}"))
    } else if objective != Objective::Classify
        && objective.output(info).is_none_or(|shape| network.graph.shape(network.graph.output()) == shape)
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
