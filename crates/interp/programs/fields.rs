//! `interp-audit fields`: what of a picture a cell can see, and what of that moves it.

mod page;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::fields::{HELD, Seen, Settings, fields};
use interp_audit::{Memory, Pictures};
use interp_data::{Augment, Batch, Info, Loader, Noise};
use interp_learn::to_tensor;
use interp_net::{Graph, Network, NodeId, Op};
use serde_json::json;

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Error, Result};

/// What of a picture cells can see by the network's structure, and what of that moves them: receptive fields, theoretical and effective
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-audit fields checkpoints/sparse_vgg --out fields\n  \
    interp-audit fields resnet20.safetensors --arch resnet20 --size 32x32\n\n\
    Writes DIR/data.safetensors (NODE.effective (H, W): how much each pixel moves the cell), DIR/summary.json and DIR/report.html")]
pub(super) struct Fields {
    #[command(flatten)]
    on: OnPictures,
    /// Normal noise of this height and width, of mean 0 and deviation 1 as the network sees it, instead of a data set's pictures
    #[arg(long, value_name = "HxW", value_parser = size, conflicts_with_all = ["data", "split"])]
    size: Option<[usize; 2]>,
    #[command(flatten)]
    settings: Asked,
    /// The folder to write
    #[arg(long, default_value = "fields", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// Which cells, and how.
#[derive(Args, Debug)]
pub(super) struct Asked {
    /// Nodes, by patterns; by default all convolutions and poolings
    #[arg(long, value_delimiter = ',', value_name = "GLOB")]
    layers: Vec<String>,
    /// The cell asked about in every node; by default the one in the middle
    #[arg(long, value_name = "ROW,COLUMN", value_parser = cell)]
    cell: Option<[usize; 2]>,
    /// Channels one by one, not their sum: as many sweeps back as there are channels
    #[arg(long)]
    by_channel: bool,
    /// N pictures, of a data set at even distances
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Memory that activations may take, such as 512MiB; results do not depend on it but for rounding
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    pub(super) memory: Memory,
}

/// Numbers that noise, and the activations of one picture, have at most.
const MOST: usize = 1 << 30;

/// Two numbers with `between` between them.
fn pair(text: &str, between: char) -> Option<[usize; 2]> {
    let (first, second) = text.split_once(between)?;
    Some([first.trim().parse().ok()?, second.trim().parse().ok()?])
}

fn size(text: &str) -> std::result::Result<[usize; 2], String> {
    let fits = |size: &[usize; 2]| size.iter().all(|side| (1..=4096).contains(side));
    pair(text, 'x').filter(fits).ok_or_else(|| format!("`{text}` is no height and width up to 4096, such as 32x32"))
}

fn cell(text: &str) -> std::result::Result<[usize; 2], String> {
    pair(text, ',').ok_or_else(|| format!("`{text}` is no row and column, such as 3,4"))
}

/// A network with what it is shown.
struct Subject<'a> {
    path: &'a Path,
    network: &'a Network,
    /// As the network sees them.
    pictures: Tensor,
    /// What is said of the data; noise has none.
    info: Option<&'a Info>,
}

impl Fields {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let outcome = match self.size {
            Some(size) => {
                let (path, network) = self.on.open_bare(size)?;
                check_size(&path, &network, size)?;
                self.settings.check_memory(&network.graph)?;
                let pictures = noise(network.graph.shape(0), self.settings.limit as usize)?;
                let pictures = pictures.to_device(&network.device())?;
                self.settings.of(&self.on, &Subject { path: &path, network: &network, pictures, info: None })?
            }
            None => self.settings.outcome(&self.on, &self.on.open(catalog)?)?,
        };
        outcome.write_and_tell(&self.out, self.on.json)
    }
}

impl Asked {
    /// What is found on a data set's pictures.
    pub(super) fn outcome(&self, on: &OnPictures, opened: &Opened) -> Result<Outcome> {
        let Opened { path, network, info, pictures, .. } = opened;
        let pictures = some(pictures, info, self.limit as usize)?.to_device(&network.device())?;
        self.of(on, &Subject { path, network, pictures, info: Some(info) })
    }

    fn of(&self, on: &OnPictures, subject: &Subject<'_>) -> Result<Outcome> {
        let network = subject.network;
        let nodes = self.nodes(&network.graph)?;
        let at_once = self.memory.pictures(&network.graph);
        let settings = Settings { cell: self.cell, by_channel: self.by_channel, at_once };
        let found = fields(network, &subject.pictures, &nodes, &settings)?;
        let tensor = |seen: &Seen| -> Result<(String, Tensor)> {
            let map = Tensor::from_slice(&seen.map, (seen.size[0], seen.size[1]), &Device::Cpu)?;
            Ok((format!("{}.effective", network.graph.nodes()[seen.node].name), map))
        };
        Ok(Outcome {
            tensors: found.iter().map(tensor).collect::<Result<_>>()?,
            summary: self.summary(on, subject, &found)?,
            told: page::table(&network.graph, &found),
            page: page::of(subject, &found, self.by_channel)?,
        })
    }

    /// Refuses pictures so large that the activations of one take more than there may be: in f32, up to the last node asked about.
    fn check_memory(&self, graph: &Graph) -> Result<()> {
        let last = self.nodes(graph)?.into_iter().max().unwrap_or(0);
        let numbers: usize = (0..=last).map(|id| graph.shape(id).iter().product::<usize>()).sum();
        match numbers <= MOST {
            true => Ok(()),
            false => Err(Error::Usage(
                "--size: the activations of one picture take more than 4 GiB; name fewer layers by --layers".into(),
            )),
        }
    }

    /// The nodes asked about.
    fn nodes(&self, graph: &Graph) -> Result<Vec<NodeId>> {
        if !self.layers.is_empty() {
            return Ok(graph.select(&self.layers, "node", |node| !matches!(node.op, Op::Input { .. }))?);
        }
        let widens = |op: &Op| {
            matches!(
                op,
                Op::Conv2d { .. }
                    | Op::ConvTranspose2d { .. }
                    | Op::BCosConv2d { .. }
                    | Op::MaxPool { .. }
                    | Op::AvgPool { .. }
                    | Op::AdaptiveAvgPool { .. }
                    | Op::GlobalAvgPool
            )
        };
        Ok((1..graph.nodes().len()).filter(|&id| widens(&graph.nodes()[id].op)).collect())
    }

    fn summary(&self, on: &OnPictures, subject: &Subject<'_>, found: &[Seen]) -> Result<serde_json::Value> {
        let of = |seen: &Seen| {
            let field = seen.field.map(|field| json!({ "size": field.size, "jump": field.jump, "start": field.start }));
            let spread = seen
                .spread
                .map(|spread| json!({ "side": spread.side, "center": spread.center, "deviation": spread.deviation }));
            json!({
                "node": subject.network.graph.nodes()[seen.node].name, "cell": seen.cell, "theoretical": field,
                "region": { "rows": seen.region.rows, "columns": seen.region.columns }, "effective": spread,
            })
        };
        let data = subject.info.map_or("noise", |info| info.name.as_str());
        Ok(json!({
            "version": 1, "checkpoint": subject.path.display().to_string(), "data": data,
            "split": subject.info.map(|_| on.split), "count": subject.pictures.dim(0)?, "held": HELD,
            "by_channel": self.by_channel, "layers": found.iter().map(of).collect::<Vec<_>>(),
        }))
    }
}

/// Refuses a size that the file says otherwise.
fn check_size(path: &Path, network: &Network, [height, width]: [usize; 2]) -> Result<()> {
    let shape = network.graph.shape(0); // (C, H, W)
    match shape[1..] == [height, width] {
        true => Ok(()),
        false => {
            let problem = format!("its pictures are of {}x{}: give --size so, or leave it out", shape[1], shape[2]);
            Err(Error::Folder { path: path.to_owned(), problem })
        }
    }
}

/// Standard normal noise for a network that takes (C, H, W), the same for everyone who asks for it: (N, C, H, W).
fn noise(shape: &[usize], count: usize) -> Result<Tensor> {
    let &[channels, height, width] = shape else {
        return Err(Error::Usage("--size: the network takes no pictures".into()));
    };
    let (mean, std) = (vec![0.0; channels], vec![1.0; channels]);
    let info = Info { name: "noise".into(), classes: vec![], channels, height, width, mean, std };
    if count.saturating_mul(info.pixels()) > MOST {
        return Err(Error::Usage(format!("--limit {count}: so much noise of this size takes more than 4 GiB")));
    }
    let images = vec![0.0; count * info.pixels()];
    let nothing = Batch { images, labels: vec![0; count], indices: (0..count).collect(), masks: None };
    Ok(to_tensor(&Noise::for_measuring(1.0).on(&nothing, &info), &info)?)
}

/// Some pictures of a data set, as the network sees them: (N, C, H, W).
fn some(pictures: &Pictures, info: &Info, limit: usize) -> Result<Tensor> {
    let Pictures { data, split, noise, workers } = pictures;
    let loader = Loader::new(data.clone(), *split, 256, *workers, Augment::default(), 0)?;
    let seen = |batch: Batch| match noise {
        Some(deviation) => Noise::for_measuring(*deviation).on(&batch, info),
        None => batch,
    };
    let batches = loader.in_order(Some(limit)).map(|batch| Ok(to_tensor(&seen(batch?), info)?));
    Ok(Tensor::cat(&batches.collect::<Result<Vec<_>>>()?, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_cells_as_people_write_them() {
        assert_eq!((size("32x48"), cell("3, 4")), (Ok([32, 48]), Ok([3, 4])));
        assert!(["32", "0x4", "4x5000", "-1x4"].iter().all(|text| size(text).is_err()) && cell("3x4").is_err());
    }

    // Of 100 000 numbers of mean 0 and deviation 1: within five standard errors.
    #[test]
    fn noise_is_standard_normal_and_the_same_for_all() {
        let values = |count| noise(&[1, 10, 10], count).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let many = values(1000);
        assert_eq!(values(3), many[..300]);
        let mean = |of: fn(f64) -> f64| many.iter().map(|&v| of(v.into())).sum::<f64>() / 1e5;
        assert!(mean(|v| v).abs() < 5.0 / 1e5f64.sqrt() && (mean(|v| v * v) - 1.0).abs() < 5.0 * (2.0 / 1e5f64).sqrt());
    }
}
