//! `interp-bench`: recipes beside their twins, over several seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use interp_audit::Pictures;
use interp_data::Split;
use interp_learn::Objective;
use interp_net::{Checkpoint, Network, files};
use interp_report::{Link, html};
use serde_json::json;

use super::train::{STOP, stop_on_interrupt};
use super::{Ending, Machine, exit, print};
use crate::bench::{Cell, Examined, Row, Told, csv, examined, is_pruned, markdown, page, small_recipe, with_rows};
use crate::folder::{Folder, Stage};
use crate::plan::Plan;
use crate::progress::{Screen, tell};
use crate::recipe::Recipe;
use crate::run::{self, Options, Outcome, Start};
use crate::summary::Summary;
use crate::{Catalog, Error, Result, links};

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
    /// Stop training after this time, such as 90m or 2h; the same command goes on
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    budget: Option<Duration>,
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
            let plan = Plan::shown(self.recipe(path, 0, catalog)?, &Screen::new(self.quiet))?;
            if plan.generator.is_some() {
                let path = path.clone();
                let problem = "has [objective.generate], and no score to compare: see interp-audit codes".into();
                return Err(Error::Folder { path, problem });
            }
        }
        self.write(&[], &[])?; // A page that cannot be written must not be found out in the end.
        stop_on_interrupt();
        if let Some(budget) = self.budget {
            std::thread::spawn(move || {
                std::thread::sleep(budget);
                STOP.store(true, Ordering::Relaxed);
            });
        }
        let (mut rows, mut pages, mut twins) = (vec![], vec![], BTreeMap::new());
        for path in &self.recipes {
            let mut runs = vec![];
            for &seed in self.seeds.iter().collect::<BTreeSet<_>>() {
                match self.cell(path, seed, &mut options, &mut twins, catalog)? {
                    Some((cell, page)) => {
                        pages.push((format!("{}, seed {seed}", cell.summary.name), page));
                        runs.push(cell);
                    }
                    None => return Ok(Ending::Interrupted),
                }
            }
            rows.extend(Row::of(&runs, &self.overrides));
            self.write(&rows, &pages)?;
        }
        print(&if self.json { json!({ "version": 1, "rows": rows }).to_string() } else { markdown(&rows) })?;
        Ok(if rows.iter().all(Row::all_hold) { Ending::Fine } else { Ending::Failed })
    }

    fn recipe(&self, path: &Path, seed: u32, catalog: &Catalog) -> Result<Recipe> {
        Recipe::read(path, &self.sets(seed), catalog)
    }

    fn sets(&self, seed: u32) -> Vec<String> {
        self.overrides.iter().cloned().chain([format!("seed={seed}")]).collect()
    }

    /// A recipe with a seed: its run, that of the small twin of a pruned network, and what else is measured of them. `None` if stopped. A twin that one
    /// of `twins`, finished runs by the hash of theirs, has already is not trained again. With it comes where the run's page is.
    fn cell(
        &self,
        path: &Path,
        seed: u32,
        options: &mut Options<'_>,
        twins: &mut BTreeMap<String, Folder>,
        catalog: &Catalog,
    ) -> Result<Option<(Cell, PathBuf)>> {
        let plan = Plan::shown(self.recipe(path, seed, catalog)?, &Screen::new(self.quiet))?;
        let twin = plan.twin_hash()?;
        options.twin = twins.get(&twin).cloned();
        let Some((folder, summary)) = self.run_of(&plan, seed, options)? else { return Ok(None) };
        let info = plan.info();
        let network = |stage: Stage| -> Result<Network> {
            let path = folder.model(stage);
            Ok(Checkpoint::read(&path)?.network(&path, None, [info.height, info.width])?.to_device(&options.device)?)
        };
        let (data, workers) = (plan.data.examining(), options.workers);
        let pictures = Pictures { data, split: Split::Test, noise: None, workers };
        let kept = self.out.join("examined");
        let is_classifier = plan.common.objective == Objective::Classify;
        let of = |stage: Stage| -> Result<Option<(Examined, Told)>> {
            let is_there = is_classifier && (stage == Stage::Main || summary.twin.is_some());
            is_there.then(|| examined(&network(stage)?, &pictures, &plan.data_hash, &kept)).transpose()
        };
        let (own, of_twin) = (of(Stage::Main)?, of(Stage::Twin)?);
        let small = match is_pruned(&plan.claims) {
            true => small_recipe(path, &self.sets(seed), &network(Stage::Main)?, info, catalog)?,
            false => None,
        };
        let small = match small {
            None => None,
            Some((recipe, nonzero)) => {
                options.twin = None;
                let plan = Plan::shown(recipe, &Screen::new(self.quiet))?;
                let Some((_, summary)) = self.run_of(&plan, seed, options)? else { return Ok(None) };
                Some((summary, nonzero))
            }
        };
        let report = folder.report();
        if summary.twin.is_some() {
            twins.entry(twin).or_insert(folder);
        }
        Ok(Some((Cell { summary, own, twin: of_twin, small }, report)))
    }

    /// A run in a folder of its own: another recipe or seed has another. `None` if it was stopped.
    fn run_of(&self, plan: &Plan, seed: u32, options: &Options<'_>) -> Result<Option<(Folder, Summary)>> {
        let mut screen = Screen::new(self.quiet);
        let name = format!("{}-seed{seed}-{}", plan.common.name, plan.hash.get(..8).unwrap_or_default());
        let folder = Folder::new(self.out.join(name));
        let start = if folder.is_begun() { Start::Resume } else { Start::Fresh };
        screen.say(&folder.root().display().to_string());
        match run::run(plan, &folder, start, options, &mut screen)? {
            Outcome::Finished(summary) => Ok(Some((folder, *summary))),
            Outcome::Stopped => {
                tell("stopped; the same command goes on");
                Ok(None)
            }
        }
    }

    /// Writes the rows into the files that are asked for, the page with links to those of runs.
    fn write(&self, rows: &[Row], runs: &[(String, PathBuf)]) -> Result<()> {
        if let Some(path) = &self.page {
            let to = |(title, run): &(String, PathBuf)| links::from_page(path, title.clone(), run);
            let links: Vec<Link> = runs.iter().filter_map(to).collect();
            files::write_atomically(path, html(&page(rows), &links)?.as_bytes())?;
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
