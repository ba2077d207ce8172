//! A few pictures that a network is asked about: some of a data set, or a person's own.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Tensor;
use clap::Args;
use interp_audit::Pictures;
use interp_data::{Augment, Batch, Info, Loader, Normalize, Split};
use interp_learn::to_tensor;
use interp_net::Network;

use super::on_pictures::{Known, OnPictures, Opened};
use crate::{Catalog, Error, Result};

/// A network and the pictures that it is asked about.
#[derive(Args, Debug)]
pub(super) struct Chosen {
    #[command(flatten)]
    pub(super) on: OnPictures,
    /// Your own PNG or JPEG files, instead of pictures of a data set
    #[arg(long, num_args = 1.., value_name = "PATH", conflicts_with_all = ["data", "split"])]
    images: Vec<PathBuf>,
    /// These pictures of the data set, by position in the split
    #[arg(long, value_delimiter = ',', value_name = "N", conflicts_with_all = ["images", "limit"])]
    pictures: Vec<usize>,
}

/// Pictures with what is known of them.
pub(super) struct Shown {
    pub(super) pictures: Tensor,
    pub(super) labels: Option<Vec<usize>>,
    pub(super) indices: Vec<usize>,
    /// The share of each pixel that is the object, picture by picture.
    pub(super) masks: Option<Vec<Vec<f32>>>,
}

impl Shown {
    fn of(batches: &[Batch], info: &Info) -> Result<Self> {
        let pictures = batches.iter().map(|batch| Ok(to_tensor(batch, info)?)).collect::<Result<Vec<_>>>()?;
        let labels = batches.iter().flat_map(|batch| &batch.labels).map(|&label| label as usize).collect();
        let indices = batches.iter().flat_map(|batch| &batch.indices).copied().collect();
        let masks: Option<Vec<Vec<f32>>> = batches
            .iter()
            .map(|batch| {
                Some(batch.masks.as_ref()?.chunks_exact(info.height * info.width).map(<[f32]>::to_vec).collect())
            })
            .collect::<Option<Vec<Vec<Vec<f32>>>>>()
            .map(|parts| parts.concat());
        Ok(Self { pictures: Tensor::cat(&pictures, 0)?, labels: Some(labels), indices, masks })
    }
}

/// A network and the pictures it is asked about.
pub(super) struct Subject {
    pub(super) path: PathBuf,
    pub(super) network: Network,
    pub(super) info: Info,
    /// The pixels at each side of pictures that stay black.
    pub(super) border: usize,
    pub(super) shown: Shown,
}

impl Subject {
    /// Pictures of a data set, by position in the split.
    fn of(opened: &Opened, positions: Vec<usize>) -> Result<Self> {
        let Opened { path, network, info, pictures, fit, .. } = opened;
        let Pictures { data, split, workers, .. } = pictures;
        let known = |&at: &usize| Ok(data.truth(*split, at)?.is_some_and(|truth| truth.object.is_some()));
        let has_masks = positions.iter().map(known).collect::<Result<Vec<bool>>>()?.into_iter().all(|known| known);
        let loader = Loader::new(Arc::clone(data), *split, 256, *workers, Augment::default(), 0)?;
        let loader = if has_masks { loader.with_masks() } else { loader };
        let batches = loader.of(positions).collect::<interp_data::Result<Vec<_>>>()?;
        let shown = Shown::of(&batches, info)?;
        Ok(Self { path: path.clone(), network: network.clone(), info: info.clone(), border: fit.border, shown })
    }

    /// `limit` pictures of a data set, at even distances.
    pub(super) fn spread(opened: &Opened, limit: u32) -> Result<Self> {
        let all = opened.pictures.data.len(opened.pictures.split);
        let count = all.min(limit as usize);
        Self::of(opened, (0..count).map(|at| at * all / count).collect())
    }

    /// Refuses a network whose outputs are no numbers.
    pub(super) fn check(&self, logits: &[Vec<f64>]) -> Result<()> {
        if logits.iter().flatten().all(|logit| logit.is_finite()) {
            return Ok(());
        }
        let problem = "its outputs are no finite numbers: its weights, or the pictures, are damaged".into();
        Err(Error::Folder { path: self.path.clone(), problem })
    }

    /// The name of a class, or its number.
    pub(super) fn class(&self, class: usize) -> String {
        self.info.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

impl Chosen {
    /// Reads them: `limit` pictures of a data set, at even distances, or those that are named, or all files.
    pub(super) fn open(&self, catalog: &Catalog, limit: u32) -> Result<Subject> {
        if self.images.is_empty() {
            let opened = self.on.open_classifier(catalog)?;
            let all = opened.pictures.data.len(opened.pictures.split);
            if let Some(&beyond) = self.pictures.iter().find(|&&at| at >= all) {
                let problem =
                    format!("--pictures {beyond}: {} has {all} in this split, counted from 0", opened.info.name);
                return Err(Error::Usage(problem));
            }
            return match self.pictures.is_empty() {
                true => Subject::spread(&opened, limit),
                false => Subject::of(&opened, self.pictures.clone()),
            };
        }
        let Known { path, network, info, fit, .. } = self.on.open_alone(catalog)?;
        let read = |(index, path): (usize, &PathBuf)| -> Result<Batch> {
            let mut images = interp_data::read_picture(path, info.channels, [info.height, info.width], &fit)?;
            Normalize::new(&info).apply(&mut images);
            Ok(Batch { images, labels: vec![0], indices: vec![index], masks: None })
        };
        let batches = self.images.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        let shown = Shown { labels: None, ..Shown::of(&batches, &info)? };
        Ok(Subject { path, network, info, border: fit.border, shown })
    }

    /// Of pictures of a data set.
    pub(super) fn split(&self) -> Option<Split> {
        self.images.is_empty().then_some(self.on.split)
    }
}

/// The class that an option names, by its name or number, of `count`.
pub(super) fn class(option: &str, name: &str, classes: &[String], count: usize) -> Result<usize> {
    let number = || name.parse().ok().filter(|&class: &usize| class < count);
    let near = interp_finding::nearest(name, classes.iter().map(String::as_str));
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    let none = || Error::Usage(format!("{option} {name}: no such class, of {count}{hint}"));
    classes.iter().position(|class| class == name).or_else(number).ok_or_else(none)
}
