//! `interp-train eval`: how well a checkpoint does on data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Tensor;
use clap::Args;
use interp_data::{Augment, Loader, Split, renormalized};
use interp_learn::{Evaluation, evaluate};
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
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
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
        let all = data.len(self.split).min(self.limit.unwrap_or(usize::MAX));
        if all == 0 {
            return Err(Error::Usage(format!("{} has no pictures in this split", info.name)));
        }
        let Some(normalization) = &loaded.normalization else {
            let problem = "the file does not say how pictures are normalized: give --mean and --std".into();
            return Err(Error::Folder { path: loaded.path, problem });
        };
        let data = renormalized(data, &normalization.mean, &normalization.std);
        let loader = Loader::new(data, self.split, 256, workers, Augment::default(), 0)?;
        let began = Instant::now();
        let (mut rows, mut labels, mut indices) = (vec![], vec![], vec![]);
        let bar = screen.units("pictures");
        let found =
            evaluate(&loaded.network.to_device(&device)?, &info, loader.in_order(self.limit), |batch, logits| {
                labels.extend_from_slice(&batch.labels);
                indices.extend(batch.indices.iter().map(|&i| i as i64));
                rows.push(logits.clone());
                bar.set(labels.len() as u64, all as u64);
                Ok(())
            })?;
        drop(bar);
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
        let (Evaluation { accuracy, loss, correct }, rate) = (found, count as f64 / seconds);
        print(&if self.json {
            let checkpoint = loaded.path.display().to_string();
            let object = json!({
                "version": 1, "checkpoint": checkpoint, "data": info.name, "split": self.split, "count": count,
                "accuracy": accuracy, "loss": loss, "images_per_second": rate,
            });
            object.to_string()
        } else {
            let right = correct.iter().filter(|&&right| right).count();
            format!("accuracy {:.2} % ({right} of {count}), loss {loss:.4}, {rate:.0} images/s", 100.0 * accuracy)
        })?;
        Ok(Ending::Fine)
    }
}
