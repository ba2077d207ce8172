//! `interp-train eval`: how well a checkpoint does on data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Tensor;
use clap::Args;
use interp_data::{Augment, Loader, Split, renormalized};
use interp_learn::{logits, picture_loss};
use serde_json::json;

use super::checkpoint::{Which, check_fit, open_for, split};
use super::{Ending, Machine, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Measure accuracy and loss of a checkpoint
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-train eval checkpoints/sparse_vgg --data concepts\n  \
    interp-train eval resnet20.safetensors --arch resnet20 --data cifar10:DIR --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225")]
pub(super) struct Eval {
    #[command(flatten)]
    which: Which,
    /// NAME[:PATH], such as concepts, cifar10:DIR, folder:DIR; by default what the network was trained on
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// train, val or test
    #[arg(long, default_value = "test", value_parser = split)]
    split: Split,
    /// Only the first N pictures
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,
    /// Write the logits (N, K), labels (N) and the pictures' indices (N) to this safetensors file
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    machine: Machine,
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("`{text}` is not a number from 1 on"))
}

impl Eval {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (device, workers) = self.machine.prepare()?;
        let screen = Screen::new(self.quiet);
        let (path, file) = self.which.read()?;
        let data = open_for(&file, self.data.as_deref(), catalog, &screen)?;
        let info = data.info().clone();
        let loaded = self.which.network(path, file, [info.height, info.width])?;
        check_fit(&loaded, &info)?;
        if data.len(self.split) == 0 {
            return Err(Error::Usage(format!("{} has no pictures in this split", info.name)));
        }
        let Some(normalization) = &loaded.normalization else {
            let problem = "the file does not say how pictures are normalized: give --mean and --std".into();
            return Err(Error::Folder { path: loaded.path, problem });
        };
        let data = renormalized(data, &normalization.mean, &normalization.std);
        let loader = Loader::new(data, self.split, 256, workers, Augment::default(), 0)?;
        let began = Instant::now();
        let (mut rows, mut labels, mut indices, mut loss, mut right) = (vec![], vec![], vec![], 0.0, 0usize);
        logits(&loaded.network.to_device(&device)?, &info, loader.in_order(self.limit), |batch, logits| {
            for (row, &label) in batch.labels.iter().enumerate() {
                loss += picture_loss(logits, row, label)?;
            }
            right += interp_learn::hits(logits, &batch.labels)?.iter().filter(|&&hit| hit).count();
            labels.extend_from_slice(&batch.labels);
            indices.extend(batch.indices.iter().map(|&i| i as i64));
            rows.push(logits.clone());
            Ok(())
        })?;
        let (count, seconds) = (labels.len(), began.elapsed().as_secs_f64());
        if let Some(path) = &self.logits {
            let cpu = candle_core::Device::Cpu;
            let tensors = BTreeMap::from([
                ("logits".to_owned(), Tensor::cat(&rows, 0)?),
                ("labels".to_owned(), Tensor::from_vec(labels, count, &cpu)?),
                ("indices".to_owned(), Tensor::from_vec(indices, count, &cpu)?),
            ]);
            interp_net::sealed::write(path, &tensors, &json!({ "data": info.name, "split": self.split }))?;
        }
        let (accuracy, loss, rate) = (right as f64 / count as f64, loss / count as f64, count as f64 / seconds);
        let object = json!({
            "version": 1, "checkpoint": loaded.path, "data": info.name, "split": self.split, "count": count,
            "accuracy": accuracy, "loss": loss, "images_per_second": rate,
        });
        print(&if self.json {
            object.to_string()
        } else {
            format!("accuracy {:.2} % ({right} of {count}), loss {loss:.4}, {rate:.0} images/s", 100.0 * accuracy)
        })?;
        Ok(Ending::Fine)
    }
}
