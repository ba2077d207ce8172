//! A classifier that tells the class of pictures that were made.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use interp_net::ops::scalars::largest;
use interp_net::{Checkpoint, Keep, Meta, Mode, Network};

use crate::network_file::NetworkFile;
use crate::progress::Screen;
use crate::{Error, Result};

/// Pictures that are read at once.
const BATCH: usize = 256;

pub(super) struct Reader {
    path: PathBuf,
    network: Network,
    meta: Meta,
}

/// What it reads.
pub(super) struct Read {
    /// The likeliest class of each picture.
    pub(super) classes: Vec<String>,
    /// Share of pictures of which it gives a class nine parts in ten or more.
    pub(super) sure: f64,
}

impl Reader {
    /// A classifier of pictures such as `generator` makes.
    pub(super) fn open(given: &Path, generator: &Network) -> Result<Self> {
        let path = NetworkFile::find(given, &Screen::new(true))?.path;
        let wrong = |problem: String| Error::Folder { path: path.clone(), problem };
        let file = Checkpoint::read(&path)?;
        let network = file.network(&path, None, [1, 1])?;
        let meta = file
            .meta
            .ok_or_else(|| wrong("a file of others: --reader takes a run folder, or a file of ours".into()))?;
        let makes = generator.graph.shape(generator.graph.output());
        let takes = network.graph.shape(0);
        if takes != makes {
            return Err(wrong(format!("--reader takes pictures of shape {takes:?}; the generator's are {makes:?}")));
        }
        if meta.classes.is_empty() || network.graph.outputs() != meta.classes.len() {
            return Err(wrong("--reader tells no classes".into()));
        }
        meta.normalization.check(takes[0]).map_err(&wrong)?;
        Ok(Self { network, meta, path: path.clone() })
    }

    /// The classes of pictures (N, H, W, C) in [0, 1].
    pub(super) fn read(&self, pixels: &[f32]) -> Result<Read> {
        let &[channels, height, width] = self.network.graph.shape(0) else {
            return Err(Error::Folder { path: self.path.clone(), problem: "it takes no pictures".into() });
        };
        let (mut classes, mut sure) = (vec![], 0.0);
        for pixels in pixels.chunks(BATCH * channels * height * width) {
            let count = pixels.len() / (channels * height * width);
            let x = Tensor::from_slice(pixels, (count, height, width, channels), &Device::Cpu)?;
            let constant = |values: &[f32]| Tensor::from_slice(values, (1, 1, 1, channels), &Device::Cpu);
            let normalization = &self.meta.normalization;
            let x = x.broadcast_sub(&constant(&normalization.mean)?)?.broadcast_div(&constant(&normalization.std)?)?;
            let tape = self.network.forward(&x.permute((0, 3, 1, 2))?, Mode::Eval, &Keep::Output)?;
            for logits in tape.output(&self.network.graph)?.to_dtype(DType::F64)?.to_vec2::<f64>()? {
                let (class, share) = likeliest(&logits);
                classes.push(self.meta.classes.get(class).cloned().unwrap_or_default());
                sure += f64::from(u8::from(share >= 0.9));
            }
        }
        let count = classes.len().max(1) as f64;
        Ok(Read { classes, sure: sure / count })
    }
}

/// The largest of the logits, the first of equal ones, and its softmax.
fn likeliest(logits: &[f64]) -> (usize, f64) {
    let largest = largest(logits);
    let sum: f64 = logits.iter().map(|logit| (logit - logits[largest]).exp()).sum();
    (largest, 1.0 / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_by_hand() {
        let (class, share) = likeliest(&[0.0, 9f64.ln(), 0.0]);
        assert!(class == 1 && (share - 9.0 / 11.0).abs() < 1e-12, "{class} {share}");
        assert_eq!(likeliest(&[2.0, 2.0]).0, 0);
    }
}
