//! Pictures of a data set about which methods are asked why a network takes them for what it does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use interp_audit::saliency::{Attribution, Question, last_map, logits};
use interp_audit::{Memory, Pictures};
use interp_data::{Augment, Batch, Info, Loader};
use interp_learn::to_tensor;
use interp_net::{Network, NodeId};

use crate::Result;

/// Pictures with what is known of them.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) pictures: Tensor,
    pub(crate) labels: Option<Vec<usize>>,
    pub(crate) indices: Vec<usize>,
    /// The file of each picture that has one of its own.
    pub(crate) files: Vec<Option<PathBuf>>,
    /// The share of each pixel that is the object, picture by picture, if all have one.
    pub(crate) masks: Option<Vec<Vec<f32>>>,
}

impl Shown {
    /// Those of some batches, at least one, with their files.
    pub(crate) fn of(batches: &[Batch], files: Vec<Option<PathBuf>>, info: &Info) -> Result<Self> {
        let pictures = batches.iter().map(|batch| Ok(to_tensor(batch, info)?)).collect::<Result<Vec<_>>>()?;
        let labels = batches.iter().flat_map(|batch| &batch.labels).map(|&label| label as usize).collect();
        let indices = batches.iter().flat_map(|batch| &batch.indices).copied().collect();
        let of = |batch: &Batch| -> Option<Vec<Vec<f32>>> {
            Some(batch.masks.as_ref()?.chunks_exact(info.height * info.width).map(<[f32]>::to_vec).collect())
        };
        let masks = batches.iter().map(of).collect::<Option<Vec<_>>>().map(|parts| parts.concat());
        Ok(Self { pictures: Tensor::cat(&pictures, 0)?, labels: Some(labels), indices, files, masks })
    }

    /// Pictures of a data set by their positions in the split, at least one.
    pub(crate) fn at(pictures: &Pictures, positions: Vec<usize>) -> Result<Self> {
        let Pictures { data, split, workers, .. } = pictures;
        let known = |&at: &usize| Ok(data.truth(*split, at)?.is_some_and(|truth| truth.object.is_some()));
        let has_masks = positions.iter().map(known).collect::<Result<Vec<bool>>>()?.into_iter().all(|known| known);
        let loader = Loader::new(Arc::clone(data), *split, 256, *workers, Augment::default(), 0)?;
        let loader = if has_masks { loader.with_masks() } else { loader };
        let files = positions.iter().map(|&at| data.file(*split, at).map(Path::to_owned)).collect();
        Self::of(&loader.of(positions).collect::<interp_data::Result<Vec<Batch>>>()?, files, data.info())
    }

    /// What a picture is called: its position in the split, and its file.
    pub(crate) fn name(&self, at: usize) -> String {
        picture_name(self.indices[at], self.files[at].as_deref())
    }
}

/// What a picture is called: its position in the split, and its file where it has one of its own.
pub(crate) fn picture_name(index: usize, file: Option<&Path>) -> String {
    file.map_or_else(|| format!("Picture {index}"), |file| format!("Picture {index}: {}", file.display()))
}

/// Pictures where the network computes, and the class that it takes each for.
pub(crate) struct Asked {
    pub(crate) shown: Shown,
    targets: Vec<usize>,
    layer: NodeId,
    range: [Vec<f64>; 2],
    at_once: usize,
}

impl Asked {
    /// Pictures of a data set, and what the network takes them for.
    pub(crate) fn of(network: &Network, mut shown: Shown, info: &Info, memory: Memory) -> Result<Self> {
        shown.pictures = shown.pictures.to_device(&network.device())?;
        let at_once = memory.pictures_of(&network.graph, shown.pictures.dtype());
        let largest = |row: &Vec<f64>| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        let targets = logits(network, &shown.pictures, at_once)?.iter().map(largest).collect();
        let range = [0.0, 1.0].map(|end| black_or_white(info, end));
        Ok(Self { shown, targets, layer: last_map(&network.graph), range, at_once })
    }

    /// Why the network takes them for what it does.
    pub(crate) fn question<'a>(&'a self, network: &'a Network) -> Question<'a> {
        Question {
            net: network,
            pictures: &self.shown.pictures,
            targets: &self.targets,
            indices: &self.shown.indices,
            layer: self.layer,
            range: [&self.range[0], &self.range[1]],
            at_once: self.at_once,
        }
    }
}

/// The maps of an attribution, picture by picture, row by row.
pub(crate) fn maps(attribution: &Attribution, size: [usize; 2]) -> Result<Vec<Vec<f64>>> {
    let maps = attribution.maps(size)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(maps.flatten_from(1)?.to_vec2()?)
}

/// What black (0) and white (1) pixels are to the network.
pub(crate) fn black_or_white(info: &Info, end: f64) -> Vec<f64> {
    info.mean.iter().zip(&info.std).map(|(&mean, &std)| (end - f64::from(mean)) / f64::from(std)).collect()
}
