//! `interp-train predict`: class and confidence of a person's own pictures.

use std::path::PathBuf;

use clap::Args;
use interp_data::{Batch, Info, Normalize};
use interp_learn::{ClassLoss, to_tensor};
use interp_net::{Keep, Mode};
use serde_json::json;

use super::checkpoint::{Which, own_recipe};
use super::{Ending, Machine, print};
use crate::progress::Screen;
use crate::{Catalog, Result};

/// Class and confidence for your own pictures
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-train predict checkpoints/sparse_vgg photo.png other.jpg")]
pub(super) struct Predict {
    #[command(flatten)]
    which: Which,
    /// PNG or JPEG files; the middle square of each is scaled to what the network takes
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// How many of the likeliest classes to print
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Predict {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (device, _) = self.machine.prepare()?;
        let loaded = self.which.load(&Screen::new(self.json))?;
        let network = loaded.network.to_device(&device)?;
        let (info, fit) = loaded.own_pictures(catalog)?;
        let Info { channels, height, width, .. } = info;
        let names = &info.classes;
        let recipe = own_recipe(&loaded.file, catalog).transpose()?;
        let loss = recipe.map(|recipe| recipe.common.train.loss).unwrap_or_default();
        let mut found = vec![];
        for path in &self.images {
            let mut images = interp_data::read_picture(path, channels, [height, width], &fit)?;
            Normalize::new(&info).apply(&mut images);
            let x = to_tensor(&Batch { images, labels: vec![0], indices: vec![0], masks: None }, &info)?;
            let tape = network.forward(&x, Mode::Eval, &Keep::Output)?;
            let logits = tape.output(&network.graph)?.flatten_all()?.to_vec1::<f32>()?;
            let mut ranked: Vec<(usize, f64)> = probabilities(&logits, loss).into_iter().enumerate().collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
            ranked.truncate(self.top.max(1));
            found.push((path, ranked));
        }
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        if self.json {
            let images: Vec<_> = found
                .iter()
                .map(|(path, ranked)| {
                    let classes: Vec<_> =
                        ranked.iter().map(|&(c, p)| json!({ "class": name(c), "index": c, "confidence": p })).collect();
                    json!({ "image": path.display().to_string(), "classes": classes })
                })
                .collect();
            let checkpoint = loaded.path.display().to_string();
            print(&json!({ "version": 1, "checkpoint": checkpoint, "images": images }).to_string())?;
        } else {
            for (path, ranked) in found {
                let classes: Vec<String> =
                    ranked.iter().map(|&(c, p)| format!("{} {:.1} %", name(c), 100.0 * p)).collect();
                print(&format!("{}: {}", path.display(), classes.join(", ")))?;
            }
        }
        Ok(Ending::Fine)
    }
}

/// Probabilities of logits, in f64, as training by this loss takes them: of one class among all, or of each by itself.
fn probabilities(logits: &[f32], loss: ClassLoss) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    if loss == ClassLoss::Binary {
        let shift = (logits.len().max(2) as f64 - 1.0).ln();
        return logits.iter().map(|logit| 1.0 / (1.0 + (shift - logit).exp())).collect();
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Softmax of ln 1, ln 3: 1/4, 3/4. By yes or no with ten classes a logit of 0 is 1/10, one of ln 9 a half.
    #[test]
    fn probabilities_by_hand() {
        let near = |found: Vec<f64>, expected: &[f64]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        near(probabilities(&[0.0, 3f32.ln()], ClassLoss::CrossEntropy), &[0.25, 0.75]);
        let mut logits = [0.0; 10];
        logits[1] = 9f32.ln();
        near(probabilities(&logits, ClassLoss::Binary), &[0.1, 0.5, 0.1]);
    }
}
