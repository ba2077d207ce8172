//! Networks that are trained on faults which are known.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use interp_audit::Pictures;
use interp_data::Split;
use interp_data::concepts::{Concepts, ConceptsSource};
use interp_net::{Checkpoint, Network};

use crate::folder::{Folder, Stage};
use crate::plan::Plan;
use crate::programs::train::STOP;
use crate::progress::Screen;
use crate::recipe::Recipe;
use crate::run::{self, Options, Outcome, Start};
use crate::{Catalog, Error, Result};

/// Where and with what networks are trained.
pub(super) struct School<'a> {
    pub(super) folder: &'a Path,
    pub(super) device: Device,
    pub(super) workers: usize,
    pub(super) catalog: &'a Catalog,
    /// Pictures to learn from.
    pub(super) pictures: usize,
    pub(super) epochs: usize,
    /// Pictures to choose by, and as many of test.
    pub(super) others: usize,
}

/// A trained network with the data that it was trained on.
pub(super) struct Pupil {
    /// The name of its folder.
    pub(super) run: String,
    pub(super) network: Network,
    pub(super) source: ConceptsSource,
    /// Its accuracy on test, in percent.
    pub(super) accuracy: f64,
    pub(super) workers: usize,
}

impl School<'_> {
    /// Trains a network, unless it is there already. `fault` is what is planted, as settings of `concepts`. `None` if stopped.
    pub(super) fn train(&self, name: &str, fault: &str, seed: u64) -> Result<Option<Pupil>> {
        let text = self.recipe(name, fault, seed);
        let plan = Plan::new(Recipe::parse("the planted audit", &text, self.catalog)?, &|_, _| ())?;
        let run = format!("{name}-seed{seed}-{}", plan.hash.get(..8).unwrap_or_default());
        let folder = Folder::new(self.folder.join(&run));
        let start = if folder.is_begun() { Start::Resume } else { Start::Fresh };
        let options = Options {
            device: self.device.clone(),
            workers: self.workers,
            save_every: Duration::from_secs(60),
            stop: &STOP,
            twin: None,
            tensorboard: false,
        };
        let summary = match run::run(&plan, &folder, start, &options, &mut Screen::new(true))? {
            Outcome::Finished(summary) => summary,
            Outcome::Stopped => return Ok(None),
        };
        let (path, source) = (folder.model(Stage::Main), source(&text)?);
        let file = Checkpoint::read(&path)?;
        let network = file.network(&path, None, [source.size; 2])?.to_device(&self.device)?;
        let accuracy = summary.test.score.shown();
        Ok(Some(Pupil { run, network, source, accuracy, workers: self.workers }))
    }

    /// No augmentation: a patch in a corner stays there.
    fn recipe(&self, name: &str, fault: &str, seed: u64) -> String {
        let Self { pictures, epochs, others, .. } = self;
        format!(
            "name = \"{name}\"\nseed = {seed}\ntwin = false\n\n[data]\nkind = \"concepts\"\nseed = {seed}\ntrain = {pictures}\nval = {others}\ntest = {others}\n\
             {fault}\n\n[model]\nkind = \"vgg\"\ndepth = 8\nwidth = 0.25\n\n[[train.phase]]\nepochs = {epochs}\nlearning_rate = 0.1\nwarmup = 1.0\n"
        )
    }
}

/// The data that a recipe names.
fn source(recipe: &str) -> Result<ConceptsSource> {
    let wrong = |error: toml::de::Error| Error::Usage(format!("the planted audit's recipe: {error}"));
    let mut table: toml::Table = toml::from_str(recipe).map_err(wrong)?;
    let mut data = table.remove("data").and_then(|data| data.as_table().cloned()).unwrap_or_default();
    data.remove("kind");
    data.try_into().map_err(wrong)
}

impl Pupil {
    /// Pictures of a split, with the settings of the data changed.
    pub(super) fn pictures(&self, split: Split, change: impl Fn(&mut ConceptsSource)) -> Result<Pictures> {
        let mut source = self.source.clone();
        change(&mut source);
        let data = Arc::new(Concepts::open(&source, &|_, _| ())?);
        Ok(Pictures { data, split, noise: None, workers: self.workers })
    }
}
