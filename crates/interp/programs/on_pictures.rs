//! What analyses of a network over pictures share: their arguments, and opening what these name.

use std::path::PathBuf;

use candle_core::Device;
use clap::Args;
use interp_audit::Pictures;
use interp_data::{Fit, Info, Split, renormalized};
use interp_learn::Objective;
use interp_net::Network;

use super::Machine;
use super::checkpoint::{Found, Loaded, Which, check_fit, name_of, objective, open_for, own_fit, split};
use crate::progress::{Screen, tell};
use crate::{Catalog, Error, Result};

/// A network, and pictures to look at it with.
#[derive(Args, Debug)]
pub(super) struct OnPictures {
    #[command(flatten)]
    which: Which,
    /// NAME[:PATH]; by default what the network was trained on
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// train, val or test
    #[arg(long, default_value = "test", value_parser = split)]
    pub(super) split: Split,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// What they name.
pub(super) struct Opened {
    /// The network's file.
    pub(super) path: PathBuf,
    /// The network, where it is to be run.
    pub(super) network: Network,
    /// What it was trained for.
    pub(super) objective: Objective,
    /// What is said of the data.
    pub(super) info: Info,
    /// The pictures, normalized as the network wants them.
    pub(super) pictures: Pictures,
    /// How pictures are brought to their size.
    pub(super) fit: Fit,
}

/// A network with what its pictures are, and pictures where it is known which.
pub(super) struct Known {
    /// The network's file.
    pub(super) path: PathBuf,
    /// The network, where it is to be run.
    pub(super) network: Network,
    /// What is said of pictures; without a name where these are none of a data set.
    pub(super) info: Info,
    /// How pictures are brought to their size.
    pub(super) fit: Fit,
    /// Pictures, normalized as the network wants them.
    pub(super) pictures: Option<Pictures>,
}

impl OnPictures {
    /// Reads the network and opens the pictures.
    pub(super) fn open(&self, catalog: &Catalog) -> Result<Opened> {
        let (device, workers) = self.machine.prepare()?;
        self.opened(self.which.read(&self.screen())?, catalog, &device, workers)
    }

    fn screen(&self) -> Screen {
        Screen::new(self.json)
    }

    fn opened(&self, found: Found, catalog: &Catalog, device: &Device, workers: usize) -> Result<Opened> {
        let (file, config) = (&found.file, found.config.as_ref());
        let objective = objective(file, catalog);
        let data = open_for(file, config, self.data.as_deref(), catalog, &self.screen())?;
        let fit = own_fit(file, config, catalog).unwrap_or_default();
        let loaded = self.which.network(found, Some([data.info().height, data.info().width]))?;
        check_fit(&loaded, objective, data.info())?;
        let Some(normalization) = &loaded.normalization else {
            return Err(loaded.not_normalized());
        };
        let data = renormalized(data, &normalization.mean, &normalization.std);
        let info = data.info().clone();
        if data.len(self.split) == 0 {
            return Err(Error::Usage(format!("{} has no pictures in this split", info.name)));
        }
        let pictures = Pictures { data, split: self.split, noise: objective.noise(), workers };
        let network = loaded.network.to_device(device)?;
        Ok(Opened { network, path: loaded.path, objective, info, pictures, fit })
    }

    /// The command line of another analysis of the same network and pictures.
    pub(super) fn command(&self, analysis: &str, more: &str) -> String {
        let mut words = vec!["interp-audit".to_owned(), analysis.to_owned()];
        words.extend(self.which.words());
        words.extend(self.data.iter().flat_map(|data| ["--data".to_owned(), data.clone()]));
        if self.split != Split::Test {
            words.extend(["--split".to_owned(), name_of(self.split).to_owned()]);
        }
        format!("{} {more}", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
    }

    /// Reads the network alone, for pictures that are no data set's.
    pub(super) fn open_alone(&self, catalog: &Catalog) -> Result<Known> {
        let (device, _) = self.machine.prepare()?;
        alone(self.which.load(&self.screen())?, catalog, &device)
    }

    /// Reads the network, and opens pictures where these are named or can be had.
    pub(super) fn open_known(&self, catalog: &Catalog) -> Result<Known> {
        let (device, workers) = self.machine.prepare()?;
        match self.opened(self.which.read(&self.screen())?, catalog, &device, workers) {
            Ok(Opened { path, network, info, fit, pictures, .. }) => {
                Ok(Known { path, network, info, fit, pictures: Some(pictures) })
            }
            Err(error) if self.data.is_some() => Err(error),
            Err(error) => {
                let known = alone(self.which.load(&self.screen())?, catalog, &device)?;
                tell(&format!("not compared with pictures: {error}"));
                Ok(known)
            }
        }
    }

    /// Reads the network alone, for pictures of this height and width where its file does not say, and needs no more of it.
    pub(super) fn open_bare(&self, size: [usize; 2]) -> Result<(PathBuf, Network)> {
        let (device, _) = self.machine.prepare()?;
        let loaded = self.which.network(self.which.read(&self.screen())?, Some(size))?;
        Ok((loaded.path, loaded.network.to_device(&device)?))
    }

    /// Reads a network that tells classes, and opens the pictures.
    pub(super) fn open_classifier(&self, catalog: &Catalog) -> Result<Opened> {
        let opened = self.open(catalog)?;
        match opened.objective {
            Objective::Classify => Ok(opened),
            Objective::Denoise(_) | Objective::Reconstruct(_) | Objective::Generate(_) => {
                Err(Error::Folder { path: opened.path, problem: "its network was not trained to tell classes".into() })
            }
        }
    }
}

fn alone(loaded: Loaded, catalog: &Catalog, device: &Device) -> Result<Known> {
    let (info, fit) = loaded.own_pictures(catalog)?;
    let network = loaded.network.to_device(device)?;
    Ok(Known { path: loaded.path, network, info, fit, pictures: None })
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:,=+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(["a/b.c", "a b", "it's", ""].map(quoted), ["a/b.c", "'a b'", r"'it'\''s'", "''"]);
    }
}
