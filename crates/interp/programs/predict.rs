//! `interp-train predict`: class and confidence of a person's own pictures.

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_net::{Keep, Mode};
use serde_json::json;

use super::checkpoint::Which;
use super::{Ending, Machine, print};
use crate::recipe::Recipe;
use crate::{Catalog, Error, Result};

/// Class and confidence for your own pictures
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-train predict checkpoints/sparse_vgg photo.png other.jpg")]
pub(super) struct Predict {
    #[command(flatten)]
    which: Which,
    /// PNG or JPEG files; they are resized to what the network takes
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
        let loaded = self.which.load([32, 32])?;
        let network = loaded.network.to_device(&device)?;
        let Some(normalization) = &loaded.normalization else {
            let problem = "the file does not say how pictures are normalized: give --mean and --std".into();
            return Err(Error::Folder { path: loaded.path, problem });
        };
        let names = loaded.file.meta.as_ref().map(|m| m.classes.clone()).unwrap_or_default();
        let &[channels, height, width] = loaded.network.graph.shape(0) else { return Err(no_pictures(&loaded.path)) };
        let recipe =
            loaded.file.meta.as_ref().map(|meta| Recipe::parse("the checkpoint's recipe", &meta.recipe, catalog));
        let border = recipe.and_then(|recipe| recipe.ok()).map_or(0, |recipe| recipe.data.object.border());
        let mut found = vec![];
        for path in &self.images {
            let pixels = interp_data::read_picture(path, channels, [height, width], border)?;
            let normal: Vec<f32> = pixels
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let c = i % channels;
                    (x - normalization.mean[c]) / normalization.std[c]
                })
                .collect();
            let x = Tensor::from_vec(normal, (1, height, width, channels), &Device::Cpu)?.permute((0, 3, 1, 2))?;
            let tape = network.forward(&x, Mode::Eval, &Keep::Output)?;
            let logits = tape.output(&network.graph)?.flatten_all()?.to_vec1::<f32>()?;
            let mut ranked: Vec<(usize, f64)> = softmax(&logits).into_iter().enumerate().collect();
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
                    json!({ "image": path, "classes": classes })
                })
                .collect();
            print(&json!({ "version": 1, "checkpoint": loaded.path, "images": images }).to_string())?;
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

fn no_pictures(path: &std::path::Path) -> Error {
    Error::Folder { path: path.to_owned(), problem: "the network does not take pictures".into() }
}

/// Probabilities of logits, in f64.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |m, &l| m.max(f64::from(l)));
    let powers: Vec<f64> = logits.iter().map(|&l| (f64::from(l) - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}
