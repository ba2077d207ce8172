//! A few pictures that a network is asked about: some of a data set, or a person's own.

use std::path::PathBuf;

use clap::Args;
use interp_data::{Batch, Info, Normalize, Split};
use interp_net::Network;

use super::on_pictures::{Known, OnPictures, Opened};
use crate::asked::Shown;
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
        let shown = Shown::at(pictures, positions)?;
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
        let shown =
            Shown { labels: None, ..Shown::of(&batches, self.images.iter().cloned().map(Some).collect(), &info)? };
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
