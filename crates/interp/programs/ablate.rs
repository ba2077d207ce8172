//! `interp-audit ablate`: how well a network does without what a node tells.

use std::path::PathBuf;

use clap::Args;
use interp_audit::{Ablation, Pictures, ablate};
use interp_data::{Split, renormalized};
use interp_learn::Objective;
use serde_json::json;

use super::checkpoint::{Which, check_fit, open_for, split};
use super::{Ending, Machine, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Accuracy without what a node tells: every channel has its mean over all pictures in place of its values
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit ablate checkpoints/mine --node saliency")]
pub(super) struct Ablate {
    /// A run folder, or a file of ours
    checkpoint: PathBuf,
    /// Name of the node, such as saliency or layer2.0.add
    #[arg(long, value_name = "NAME")]
    node: String,
    /// NAME[:PATH]; by default what the network was trained on
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// train, val or test
    #[arg(long, default_value = "test", value_parser = split)]
    split: Split,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Ablate {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (device, workers) = self.machine.prepare()?;
        let which = Which::of(self.checkpoint.clone(), None);
        let (path, file) = which.read()?;
        let data = open_for(&file, self.data.as_deref(), catalog, &Screen::new(self.json))?;
        let loaded = which.network(path, file, [data.info().height, data.info().width])?;
        check_fit(&loaded, Objective::Classify, data.info())?;
        let node = loaded.network.graph.id(&self.node)?;
        let Some(normalization) = &loaded.normalization else {
            return Err(Error::Folder { path: loaded.path, problem: "a file of others".into() });
        };
        let name = data.info().name.clone();
        let data = renormalized(data, &normalization.mean, &normalization.std);
        let pictures = Pictures { data, split: self.split, workers };
        let Ablation { accuracy, without, count } = ablate(&loaded.network.to_device(&device)?, &pictures, node)?;
        let checkpoint = loaded.path.display().to_string();
        print(&match self.json {
            true => json!({
                "version": 1, "checkpoint": checkpoint, "data": name, "split": self.split, "count": count,
                "node": self.node, "accuracy": accuracy, "without": without,
            })
            .to_string(),
            false => format!(
                "accuracy {:.2} % on {count} pictures of {name}; {:.2} % with the mean in place of what `{}` tells",
                100.0 * accuracy,
                100.0 * without,
                self.node
            ),
        })?;
        Ok(Ending::Fine)
    }
}
