//! `interp-train eval`: how well a checkpoint does on data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Tensor;
use clap::Args;
use interp_audit::Zeros;
use interp_data::{Augment, Loader, Split, renormalized};
use interp_learn::{Denoise, Evaluation, LearnError, Objective, evaluate};
use interp_net::{Keep, aligned};
use serde_json::json;

use super::checkpoint::{Which, check_fit, objective, open_for, split};
use super::{Ending, Machine, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Measure accuracy and loss of a checkpoint, or its PSNR where it takes noise away or makes pictures again
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
    /// Only N pictures, at even distances
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Write the logits (N, K), or pictures (N, C, H, W), labels (N) and the pictures' indices (N) to this safetensors file
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Also the share of activations that are exactly zero, of every ReLU and threshold
    #[arg(long)]
    zeros: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    machine: Machine,
}

pub(super) fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("`{text}` is not a number from 1 on"))
}

impl Eval {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (device, workers) = self.machine.prepare()?;
        let screen = Screen::new(self.quiet);
        let found = self.which.read(&screen)?;
        let data = open_for(&found.file, found.config.as_ref(), self.data.as_deref(), catalog, &screen)?;
        let info = data.info().clone();
        let loaded = self.which.network(found, Some([info.height, info.width]))?;
        let objective = objective(&loaded.file, catalog);
        check_fit(&loaded, objective, &info)?;
        let all = data.len(self.split).min(self.limit.unwrap_or(usize::MAX));
        if all == 0 {
            return Err(Error::Usage(format!("{} has no pictures in this split", info.name)));
        }
        let Some(normalization) = &loaded.normalization else {
            return Err(loaded.not_normalized());
        };
        let data = renormalized(data, &normalization.mean, &normalization.std);
        let info = data.info().clone();
        let loader = Loader::new(data, self.split, 256, workers, Augment::default(), 0)?;
        let began = Instant::now();
        let (mut rows, mut labels, mut indices) = (vec![], vec![], vec![]);
        let bar = screen.units("pictures");
        let network = loaded.network.to_device(&device)?;
        let mut zeros = self.zeros.then(|| Zeros::new(&network));
        let keep = zeros.as_ref().map_or(Keep::Output, Zeros::keep);
        let found =
            evaluate(&network, &objective, &info, loader.in_order(self.limit), &keep, |batch, tape, logits| {
                if let Some(zeros) = &mut zeros {
                    zeros.observe(&network, tape).map_err(|e| LearnError::Observer(Box::new(e)))?;
                }
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
        let shares = zeros.map(|zeros| zeros.shares());
        let (Evaluation { score, loss, scores }, rate) = (found, count as f64 / seconds);
        print(&if self.json {
            let checkpoint = loaded.path.display().to_string();
            let mut object = json!({
                "version": 1, "checkpoint": checkpoint, "data": info.name, "split": self.split, "count": count,
                (score.key()): score.value(), "loss": loss, "images_per_second": rate,
            });
            if let Some(shares) = &shares {
                let one = |(node, share): &(String, f64)| json!({ "node": node, "share": share });
                object["zeros"] = shares.iter().map(one).collect();
            }
            object.to_string()
        } else {
            let of = match objective {
                Objective::Classify | Objective::Generate(_) => format!("{} of {count}", scores.iter().sum::<f64>()),
                Objective::Denoise(Denoise { noise }) => format!("{count} pictures with noise {noise}"),
                Objective::Reconstruct(_) => format!("{count} pictures made again of codes"),
            };
            let line = format!("{} {score} ({of}), loss {loss:.4}, {rate:.0} images/s", score.name());
            [line].into_iter().chain(shares.map(|shares| zeros_table(&shares))).collect::<Vec<_>>().join("\n")
        })?;
        Ok(Ending::Fine)
    }
}

/// A table: node, share of zeros.
fn zeros_table(shares: &[(String, f64)]) -> String {
    let lines = shares.iter().map(|(node, share)| vec![node.clone(), format!("{:.2} %", 100.0 * share)]);
    let head = vec!["node".to_owned(), "zeros".to_owned()];
    aligned(&[head].into_iter().chain(lines).collect::<Vec<_>>(), 1)
}
