//! `interp-bench`: recipes beside their twins, over several seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use interp_net::files;
use serde_json::json;

use super::train::{STOP, stop_on_interrupt};
use super::{Ending, Machine, exit, print};
use crate::bench::{Row, csv, markdown, page, with_rows};
use crate::folder::Folder;
use crate::plan::Plan;
use crate::progress::{Screen, tell};
use crate::recipe::Recipe;
use crate::run::{self, Options, Outcome, Start};
use crate::summary::Summary;
use crate::{Catalog, Error, Result};

/// Train recipes and their black-box twins with several seeds, and say what being interpretable costs
#[derive(Parser, Debug)]
#[command(
    name = "interp-bench",
    version,
    after_help = "Examples:\n  interp-bench recipes/sparse_vgg.toml --seeds 0,1,2\n  \
        interp-bench recipes/*_vgg.toml --markdown recipes/README.md"
)]
struct Cli {
    /// The recipes, TOML files
    #[arg(required = true)]
    recipes: Vec<PathBuf>,
    /// Seeds: each recipe is run with each of them
    #[arg(long, value_delimiter = ',', default_values_t = [0u32, 1, 2])]
    seeds: Vec<u32>,
    /// Override a key of every recipe: train.batch=32; may be repeated
    #[arg(long = "set", value_name = "A.B=C")]
    overrides: Vec<String>,
    /// Folder of the runs. What is finished there is kept, and what was stopped goes on
    #[arg(long, value_name = "DIR", default_value = "checkpoints/bench")]
    out: PathBuf,
    /// Put the rows into the table of this page, in place of those that it has of the same recipes and data
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write a page with everything that was measured
    #[arg(long, value_name = "FILE", value_parser = super::file)]
    page: Option<PathBuf>,
    /// Write everything that was measured, a line for each recipe and quantity
    #[arg(long, value_name = "FILE", value_parser = super::file)]
    csv: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    machine: Machine,
}

/// The program's command line.
pub(super) fn command() -> clap::Command {
    Cli::command()
}

/// Runs `interp-bench` with the process's arguments.
pub fn bench(catalog: &Catalog) -> ExitCode {
    exit(Cli::parse().run(catalog))
}

impl Cli {
    fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (device, workers) = self.machine.prepare()?;
        let save_every = Duration::from_secs(60);
        let mut options = Options { device, workers, save_every, stop: &STOP, twin: None, tensorboard: false };
        // A recipe that cannot be run must not stop the others half-way.
        for path in &self.recipes {
            Plan::shown(self.recipe(path, 0, catalog)?, &Screen::new(self.quiet))?;
        }
        self.write(&[])?; // A page that cannot be written must not be found out in the end.
        stop_on_interrupt();
        let (mut rows, mut twins) = (vec![], BTreeMap::new());
        for path in &self.recipes {
            let mut runs = vec![];
            for &seed in self.seeds.iter().collect::<BTreeSet<_>>() {
                match self.cell(self.recipe(path, seed, catalog)?, seed, &mut options, &mut twins)? {
                    Some(summary) => runs.push(summary),
                    None => return Ok(Ending::Interrupted),
                }
            }
            rows.extend(Row::of(&runs, &self.overrides));
            self.write(&rows)?;
        }
        print(&if self.json { json!({ "version": 1, "rows": rows }).to_string() } else { markdown(&rows) })?;
        Ok(if rows.iter().all(Row::all_hold) { Ending::Fine } else { Ending::Failed })
    }

    fn recipe(&self, path: &Path, seed: u32, catalog: &Catalog) -> Result<Recipe> {
        let overrides = self.overrides.iter().cloned().chain([format!("seed={seed}")]);
        Recipe::read(path, &overrides.collect::<Vec<_>>(), catalog)
    }

    /// One run, in a folder of its own: another recipe or seed has another. `None` if it was stopped. A twin that one of `twins`,
    /// finished runs by the hash of theirs, has already is not trained again.
    fn cell(
        &self,
        recipe: Recipe,
        seed: u32,
        options: &mut Options<'_>,
        twins: &mut BTreeMap<String, Folder>,
    ) -> Result<Option<Summary>> {
        let mut screen = Screen::new(self.quiet);
        let plan = Plan::shown(recipe, &screen)?;
        let name = format!("{}-seed{seed}-{}", plan.common.name, plan.hash.get(..8).unwrap_or_default());
        let folder = Folder::new(self.out.join(name));
        let start = if folder.is_begun() { Start::Resume } else { Start::Fresh };
        screen.say(&folder.root().display().to_string());
        let twin = plan.twin_hash()?;
        options.twin = twins.get(&twin).cloned();
        match run::run(&plan, &folder, start, options, &mut screen)? {
            Outcome::Finished(summary) => {
                if summary.twin.is_some() {
                    twins.entry(twin).or_insert(folder);
                }
                Ok(Some(*summary))
            }
            Outcome::Stopped => {
                tell("stopped; the same command goes on");
                Ok(None)
            }
        }
    }

    /// Writes the rows into the files that are asked for.
    fn write(&self, rows: &[Row]) -> Result<()> {
        if let Some(path) = &self.page {
            files::write_atomically(path, interp_report::html(&page(rows))?.as_bytes())?;
        }
        if let Some(path) = &self.csv {
            files::write_atomically(path, &csv(rows)?)?;
        }
        let Some(path) = &self.markdown else { return Ok(()) };
        let page = match std::fs::read_to_string(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Io { path: path.clone(), source });
            }
            page => page.unwrap_or_default(),
        };
        Ok(files::write_atomically(path, with_rows(&page, rows).as_bytes())?)
    }
}
