//! `interp-audit ablate`: how well a network does without what a node tells.

use clap::Args;
use interp_audit::{Ablation, ablate};
use serde_json::json;

use super::on_pictures::{OnPictures, Opened};
use super::{Ending, print};
use crate::{Catalog, Result};

/// Accuracy without what a node tells: every channel has its mean over all pictures in place of its values
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit ablate checkpoints/mine --node saliency")]
pub(super) struct Ablate {
    #[command(flatten)]
    on: OnPictures,
    /// Name of the node, such as saliency or layer2.0.add
    #[arg(long, value_name = "NAME")]
    node: String,
}

impl Ablate {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let Opened { path, network, info, pictures, .. } = self.on.open_classifier(catalog)?;
        let Ablation { accuracy, without, count } = ablate(&network, &pictures, network.graph.id(&self.node)?)?;
        let (checkpoint, name) = (path.display().to_string(), info.name);
        print(&match self.on.json {
            true => json!({
                "version": 1, "checkpoint": checkpoint, "data": name, "split": self.on.split, "count": count,
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
