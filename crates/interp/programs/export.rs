//! `interp-train export`: a network for PyTorch, timm or ONNX.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use interp_net::export::{onnx, pth, pytorch, safetensors};
use interp_net::names::{Naming, slid_by_timm};
use interp_net::{files, zoo};

use super::checkpoint::{Loaded, Which};
use super::{Ending, file, print};
use crate::config::Config;
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A state dict as PyTorch saves it, under torchvision's names where it has the network, and a module that takes it
    Torchvision,
    /// A state dict under timm's names, and its config.json: for networks that timm has
    Timm,
    /// A state dict as safetensors, and a module of PyTorch that takes it
    Safetensors,
    /// A model of ONNX
    Onnx,
}

/// Write a network for PyTorch, timm or ONNX; pruned and interpretable ones too
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  interp-train export checkpoints/sparse_vgg --format torchvision --out vgg.pth\n  \
                  interp-train export checkpoints/sparse_vgg --format onnx --out vgg.onnx"
)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write; a module of PyTorch goes beside it under the same name with .py
    #[arg(long, value_parser = file)]
    out: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

/// VGGs that timm has, each with and without batch norms.
const VGGS: [&str; 4] = ["vgg11", "vgg13", "vgg16", "vgg19"];

/// Residual networks that timm has.
const RESNETS: [&str; 4] = ["resnet18", "resnet34", "resnet50", "resnet101"];

impl Export {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let loaded = self.which.load(&Screen::new(false))?;
        let (network, normalization) = (&loaded.network, loaded.normalization.as_ref());
        let module = || pytorch(&network.graph, normalization);
        match self.format {
            Format::Torchvision => self.write(&[
                (self.out.clone(), pth(network, Naming::Torchvision)?),
                (self.module(), module()?.into_bytes()),
            ]),
            Format::Safetensors => self.write(&[
                (self.out.clone(), safetensors(network, Naming::Torchvision)?),
                (self.module(), module()?.into_bytes()),
            ]),
            Format::Timm => self.write(&[
                (self.out.with_file_name("config.json"), config(&loaded, catalog)?.into_bytes()),
                (self.out.clone(), safetensors(network, Naming::Timm)?),
            ]),
            Format::Onnx => self.write(&[(self.out.clone(), onnx(network, normalization)?)]),
        }
    }

    fn write(&self, all: &[(PathBuf, Vec<u8>)]) -> Result<Ending> {
        if let Some((path, _)) = all.iter().find(|(path, _)| path.exists() && !self.overwrite) {
            let problem = "exists already; --overwrite replaces it".into();
            return Err(Error::Folder { path: path.clone(), problem });
        }
        if let [(first, _), (second, _)] = all
            && first == second
        {
            return Err(Error::Usage(format!("--out {}: the name of the file that goes beside it", first.display())));
        }
        for (path, bytes) in all {
            files::write_atomically(path, bytes)?;
            print(&format!("wrote {}", path.display()))?;
        }
        self.advise()
    }

    /// The file of the module: its name is one that Python can import.
    fn module(&self) -> PathBuf {
        let stem = self.out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let begins = if plain.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        self.out.with_file_name(format!("{begins}{plain}.py"))
    }

    /// How it is read.
    fn advise(&self) -> Result<Ending> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (out, stem) = (name(&self.out), name(&self.module().with_extension("")));
        let read = match self.format {
            Format::Torchvision => format!("torch.load(\"{out}\", weights_only=True)"),
            Format::Safetensors => format!("safetensors.torch.load_file(\"{out}\")"),
            Format::Timm | Format::Onnx => return Ok(Ending::Fine),
        };
        print(&format!("from {stem} import Network; net = Network(); net.load_state_dict({read}); net.eval()"))?;
        Ok(Ending::Fine)
    }
}

/// timm's configuration of a network that timm has.
fn config(loaded: &Loaded, catalog: &Catalog) -> Result<String> {
    let wrong = |problem: &str| Error::Folder { path: loaded.path.clone(), problem: problem.into() };
    let has =
        |name: &String| VGGS.iter().any(|vgg| name.trim_end_matches("_bn") == *vgg) || RESNETS.contains(&name.as_str());
    let graph = &loaded.network.graph;
    let name = zoo::name_of(graph).filter(has);
    let name =
        name.ok_or_else(|| wrong("timm has no such network; --format safetensors writes it with a module of PyTorch"))?;
    let (info, fit) = loaded.own_pictures(catalog)?;
    if fit.border > 0 {
        return Err(wrong("its pictures have a black border, which timm's config.json cannot say"));
    }
    if slid_by_timm(graph) {
        return Err(wrong(
            "timm slides the linear maps over more than 7x7 cells where this network takes means: it would compute something else",
        ));
    }
    Ok(Config::of(&name, &info, fit).written(graph.outputs()))
}
