//! `interp-train import`: a network of others as a file of ours.

use std::path::PathBuf;

use clap::Args;
use interp_net::{Checkpoint, Meta};

use super::checkpoint::Which;
use super::{Ending, file, print};
use crate::progress::Screen;
use crate::{Error, Result};

/// Make a file of ours of a network of others: it then says itself what network it is, how it takes pictures, and its classes
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-train import hub:timm/resnet18.tv_in1k --out resnet18.safetensors\n  \
                  interp-train import own.pth --arch vgg16_bn --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --size 64 --out own.safetensors")]
pub(super) struct Import {
    #[command(flatten)]
    which: Which,
    /// Height and width of pictures in pixels, where config.json does not say
    #[arg(long)]
    size: Option<usize>,
    /// Names of the classes, in the order of the outputs; where neither this nor config.json says, they are numbers
    #[arg(long, value_delimiter = ',', num_args = 1)]
    classes: Option<Vec<String>>,
    /// The file to write
    #[arg(long, value_parser = file)]
    out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
}

impl Import {
    pub(super) fn run(&self) -> Result<Ending> {
        if self.out.exists() && !self.overwrite {
            let problem = "exists already; --overwrite replaces it".into();
            return Err(Error::Folder { path: self.out.clone(), problem });
        }
        let found = self.which.read(&Screen::new(false))?;
        if found.file.meta.is_some() {
            let problem = "it is a file of ours already".into();
            return Err(Error::Folder { path: found.path, problem });
        }
        if let (Some(_), Some(config)) = (self.size, &found.config) {
            let [height, width] = config.size;
            return Err(Error::Usage(format!("--size: config.json says {height}x{width} already; leave it out")));
        }
        let loaded = self.which.network(found, self.size.map(|size| [size; 2]))?;
        let normalization = loaded.normalization.clone().ok_or_else(|| loaded.not_normalized())?;
        let (graph, params) = (loaded.network.graph, loaded.network.params);
        let fit = loaded.config.as_ref().map(|config| config.fit);
        let said = loaded.config.map(|config| config.classes).filter(|classes| !classes.is_empty());
        let count = graph.outputs();
        let classes = self.classes.clone().or(said);
        let classes = classes.unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect());
        if classes.len() != count {
            return Err(Error::Usage(format!(
                "{} classes are named, and the network has {count} outputs",
                classes.len()
            )));
        }
        let mut meta = Meta::new(graph, classes, normalization);
        meta.fit = fit;
        meta.edits.push(format!("imported from {}", self.which.words().join(" ")));
        Checkpoint::write(&self.out, &params, &meta)?;
        print(&format!("wrote {}", self.out.display()))?;
        Ok(Ending::Fine)
    }
}
