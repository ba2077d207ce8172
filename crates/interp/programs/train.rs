//! `interp-train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use interp_finding::{Measured, nearest};

use super::compact::Compact;
use super::edit::Edit;
use super::eval::Eval;
use super::export::Export;
use super::import::Import;
use super::list::List;
use super::predict::Predict;
use super::show::Show;
use super::upload::Upload;
use super::{Ending, Machine, exit, print};
use crate::folder::Folder;
use crate::generate;
use crate::plan::Plan;
use crate::profile::Profile;
use crate::progress::{Screen, tell};
use crate::recipe::{self, Recipe};
use crate::run::{self, Options, Outcome, Start};
use crate::settings_page;
use crate::summary::Summary;
use crate::{Catalog, Error, Result};

/// Train convolutional networks that people can understand
#[derive(Parser, Debug)]
#[command(
    name = "interp-train",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  interp-train recipes/sparse_vgg.toml\n  \
        interp-train recipes/sparse_vgg.toml --set train.phase.0.epochs=2 --out /tmp/try\n  \
        interp-train recipes/sparse_vgg.toml --resume\n  interp-train eval checkpoints/sparse_vgg --data concepts"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: Train,
}

#[derive(Subcommand, Debug)]
enum Command {
    Compact(Compact),
    Edit(Edit),
    Eval(Eval),
    Export(Export),
    Import(Import),
    Predict(Predict),
    Show(Show),
    List(List),
    Upload(Upload),
    /// Print the JSON schema of recipes, for editors
    Schema {
        /// Print the same for people: a page in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print completions for a shell
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
struct Train {
    /// The recipe, a TOML file
    #[arg(required = true)]
    recipe: Option<PathBuf>,
    /// Override a key of the recipe: train.batch=32, prior.0.target=0.5; may be repeated
    #[arg(long = "set", value_name = "A.B=C")]
    overrides: Vec<String>,
    /// Folder of the run instead of checkpoints/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in the folder
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run in the folder
    #[arg(long)]
    overwrite: bool,
    /// Seed, instead of the recipe's
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Print the resolved recipe, the layers and the claims, and stop
    #[arg(long)]
    dry_run: bool,
    /// Seconds between saved states within an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, allow_negative_numbers = true)]
    save_every: f64,
    /// Say at the end where the time went, and write trace.json for a browser's trace viewer to the folder
    #[arg(long)]
    profile: bool,
    /// Write what the log has of each epoch for TensorBoard too: tensorboard --logdir DIR/tensorboard
    #[arg(long)]
    tensorboard: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Reads the arguments. Where a word that is no command was taken for a recipe, says which command is like it.
fn arguments() -> Cli {
    Cli::try_parse().unwrap_or_else(|mut error| {
        let word = std::env::args_os().nth(1).unwrap_or_default();
        if let (ErrorKind::ArgumentConflict, Some(command)) = (error.kind(), like(&word.to_string_lossy())) {
            let tip = StyledStr::from(format!("did you mean `{command}`?"));
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        }
        error.exit()
    })
}

/// The command of ours whose name is most like `word`.
fn like(word: &str) -> Option<String> {
    let programs = [Cli::command(), super::audit::command(), super::bench::command()];
    let commands = programs.iter().flat_map(|program| program.get_subcommands().map(move |c| (c.get_name(), program)));
    let commands: Vec<_> = commands.collect();
    let near = nearest(word, commands.iter().map(|(name, _)| *name))?;
    commands.iter().find(|(name, _)| *name == near).map(|(name, program)| format!("{} {name}", program.get_name()))
}

/// Runs `interp-train` with the process's arguments.
pub fn train(catalog: &Catalog) -> ExitCode {
    let cli = arguments();
    exit(match cli.command {
        None => cli.train.run(catalog),
        Some(Command::Compact(compact)) => compact.run(),
        Some(Command::Edit(edit)) => edit.run(catalog),
        Some(Command::Eval(eval)) => eval.run(catalog),
        Some(Command::Export(export)) => export.run(catalog),
        Some(Command::Import(import)) => import.run(),
        Some(Command::Predict(predict)) => predict.run(catalog),
        Some(Command::Show(show)) => show.run(catalog),
        Some(Command::List(list)) => list.run(catalog),
        Some(Command::Upload(upload)) => upload.run(catalog),
        Some(Command::Schema { markdown }) => schema(catalog, markdown),
        Some(Command::Completions { shell }) => completions(shell),
    })
}

fn schema(catalog: &Catalog, markdown: bool) -> Result<Ending> {
    print(&match markdown {
        true => settings_page::page(catalog).trim_end().to_owned(),
        false => serde_json::to_string_pretty(&recipe::schema(catalog))?,
    })?;
    Ok(Ending::Fine)
}

fn completions(shell: clap_complete::Shell) -> Result<Ending> {
    let mut script = vec![]; // clap_complete panics where it cannot write.
    clap_complete::generate(shell, &mut Cli::command(), "interp-train", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Ending::Fine)
}

/// Set by the first Ctrl-C.
pub(super) static STOP: AtomicBool = AtomicBool::new(false);

impl Train {
    fn start(&self) -> Start {
        match (self.resume, self.overwrite) {
            (true, _) => Start::Resume,
            (_, true) => Start::Overwrite,
            _ => Start::Fresh,
        }
    }

    /// Says how to go on.
    fn stopped(&self) -> Ending {
        let instead = if self.overwrite { " in place of --overwrite" } else { "" };
        tell(&format!("stopped; the state is saved. Go on with the same command and --resume{instead}"));
        Ending::Interrupted
    }

    fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let path = self.recipe.as_ref().ok_or_else(|| Error::Usage("a recipe is needed".into()))?;
        let save_every = Duration::try_from_secs_f64(self.save_every)
            .map_err(|e| Error::Usage(format!("--save-every {}: {e}", self.save_every)))?;
        let (device, workers) = self.machine.prepare()?;
        let mut overrides = self.overrides.clone();
        overrides.extend(self.seed.map(|seed| format!("seed={seed}")));
        let recipe = Recipe::read(path, &overrides, catalog)?;
        let folder = Folder::of_run(&recipe.common.name, self.out.clone());
        if !self.dry_run {
            run::check_folder(&folder, self.start())?;
        }
        let mut screen = Screen::new(self.quiet);
        let plan = Plan::shown(recipe, &screen)?;
        if self.dry_run {
            print(&plan.describe()?)?;
            return Ok(Ending::Fine);
        }
        stop_on_interrupt();
        let profile = self.profile.then(Profile::begin).transpose()?;
        let options = Options { device, workers, save_every, stop: &STOP, twin: None, tensorboard: self.tensorboard };
        if let Some(generator) = &plan.generator {
            let outcome = generate::run(&plan, generator, &folder, self.start(), &options, &mut screen)?;
            profiled(profile, &folder)?;
            return match outcome {
                generate::Outcome::Stopped => Ok(self.stopped()),
                generate::Outcome::Finished(summary) => {
                    let told = generated(&summary, &folder);
                    print(&if self.json { serde_json::to_string(&summary)? } else { told })?;
                    Ok(Ending::Fine)
                }
            };
        }
        let outcome = run::run(&plan, &folder, self.start(), &options, &mut screen)?;
        profiled(profile, &folder)?;
        match outcome {
            Outcome::Stopped => Ok(self.stopped()),
            Outcome::Finished(summary) => {
                summary.warnings.iter().for_each(|warning| tell(&format!("warning: {warning}")));
                print(&if self.json { serde_json::to_string(&summary)? } else { results(&summary, &folder) })?;
                Ok(if summary.claims.iter().all(|c| c.holds) { Ending::Fine } else { Ending::Failed })
            }
        }
    }
}

/// Says where the time went, if that was asked for.
fn profiled(profile: Option<Profile>, folder: &Folder) -> Result<()> {
    let Some(profile) = profile else { return Ok(()) };
    profile.write_trace(&folder.trace())?;
    tell(&profile.table());
    Ok(())
}

/// The results of a run of `[objective.generate]` for people.
fn generated(summary: &generate::Summary, folder: &Folder) -> String {
    let line = |name: &str, made: &generate::Made| {
        let known = summary.codes.iter().zip(&made.losses.information);
        let known: Vec<String> = known.map(|(code, nats)| format!("{code} {nats:.3}")).collect();
        format!("{name:<12} knows of codes, in nats: {}", known.join(", "))
    };
    let mut lines = vec![line("this network", &summary.network)];
    lines.extend(summary.twin.as_ref().map(|twin| line("twin", twin)));
    lines.push(format!("what codes control: interp-audit codes {}", folder.root().display()));
    lines.push(format!("{:.0} s; report: {}", summary.seconds, folder.report().display()));
    lines.join("\n")
}

/// The first Ctrl-C asks to stop at the next step, the second ends the program at once.
pub(super) fn stop_on_interrupt() {
    // A handler that cannot be set leaves the system's: the state of the last epoch stays.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// The results for people.
fn results(summary: &Summary, folder: &Folder) -> String {
    let scores = |name: &str, s: &crate::summary::Scores| {
        format!("{name:<12} {} {} on {} test pictures of {}", s.score.name(), s.score, s.count, summary.data)
    };
    let mut lines = vec![scores("this network", &summary.test)];
    if let Some(twin) = &summary.twin {
        let [low, high] = twin.difference.interval;
        lines.push(scores("twin", &twin.test));
        lines.push(format!(
            "difference   {:+.2} {}, 95 % interval {low:+.2} to {high:+.2} (paired)",
            twin.difference.points,
            twin.test.score.difference_unit()
        ));
    }
    lines.extend(summary.claims.iter().map(claim_line));
    lines.push(format!("{:.0} s; report: {}", summary.seconds, folder.report().display()));
    lines.join("\n")
}

/// A measured claim for people: `share of ... ≥ 90 %: 90.4 %, holds`.
pub(super) fn claim_line(m: &Measured) -> String {
    format!("{}: {}, {}", m.statement, m.shown, if m.holds { "holds" } else { "FAILS" })
}
