//! What people see while a program works: bars on a terminal, lines elsewhere, nothing when quiet. All of
//! it goes to standard error; results go to standard output.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use interp_learn::gan::{Game, Gan, Turn};
use interp_learn::{Event, Task, Trainer};

use crate::folder::Stage;

/// How progress is shown.
pub struct Screen {
    quiet: bool,
    terminal: bool,
    bars: MultiProgress,
    /// The bars of training: of the present epoch, and of the whole run.
    epoch: Option<ProgressBar>,
    whole: Option<Whole>,
    /// Networks that the run trains.
    networks: usize,
}

/// The bar of a whole run, in steps of all its networks.
struct Whole {
    bar: ProgressBar,
    /// When it was first shown, and at which step.
    since: (Instant, u64),
}

impl Screen {
    /// Bars if standard error is a terminal, else lines; nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, bars: MultiProgress::new(), epoch: None, whole: None, networks: 1 }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.bars.suspend(|| tell(line));
        }
    }

    /// A bar for work of unknown size; tell [`Units`] how it goes.
    pub fn units(&self, what: &str) -> Units {
        let bar = self.bar(0, 0, "{msg:<12} {wide_bar} {pos}/{len} {per_sec} {eta}");
        bar.set_message(what.to_owned());
        Units { bar }
    }

    /// A bar for a file that is fetched, or files that are sent; tell [`Units`] how many bytes are there.
    pub fn bytes(&self, file: &str) -> Units {
        let bar = self.bar(0, 0, "{msg:<24} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        bar.set_message(file.to_owned());
        Units { bar }
    }

    fn has_bars(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// A bar at the `place`-th line of all bars; hidden where there are none.
    fn bar(&self, place: usize, length: u64, template: &str) -> ProgressBar {
        if !self.has_bars() {
            return ProgressBar::hidden();
        }
        let bar = self.bars.insert(place, ProgressBar::new(length));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    /// A run that trains so many networks begins.
    pub fn begin(&mut self, networks: usize) {
        self.networks = networks;
    }

    /// The bars of training go.
    pub fn clear(&mut self) {
        let whole = self.whole.take().map(|whole| whole.bar);
        self.epoch.take().into_iter().chain(whole).for_each(|bar| bar.finish_and_clear());
    }

    /// Shows an event of training for `task`, `seconds` into the run.
    pub fn training(&mut self, stage: Stage, event: &Event, trainer: &Trainer, task: &Task<'_>, seconds: f64) {
        let epochs = task.settings.epochs();
        match event {
            Event::Step { of, rate } => self.step(stage, *of, *rate, trainer, task),
            Event::Epoch { epoch, train, penalty, validation, meets, .. } => {
                self.epoch.take().into_iter().for_each(|bar| bar.finish_and_clear());
                let best = trainer.best.as_ref().is_some_and(|best| best.epoch == *epoch);
                let called = validation.score.name();
                let note = match (best, meets) {
                    (true, _) => "  best so far",
                    (false, true) => "",
                    (false, false) => "  claims not met yet",
                };
                // Where labels weigh nothing what is learned is in the losses of layers.
                let (what, loss) = if train.0 == 0.0 { ("penalty", *penalty) } else { ("loss", train.0) };
                self.say(&format!(
                    "{} epoch {epoch}/{epochs}  train {what} {loss:.4} {called} {}  val loss {:.4} {called} {}  {seconds:.0} s{note}",
                    name(stage), train.1, validation.loss, validation.score,
                ));
            }
        }
    }

    fn step(&mut self, stage: Stage, of: usize, rate: f64, trainer: &Trainer, task: &Task<'_>) {
        if !self.has_bars() {
            return;
        }
        let (clock, epochs) = (&trainer.clock, task.settings.epochs());
        let done = clock.batch.div_ceil(task.settings.accumulate);
        let before = if stage == Stage::Twin { epochs } else { 0 };
        self.whole((of * epochs * self.networks) as u64, ((before + clock.epoch) * of + done) as u64);
        if self.epoch.is_none() {
            let bar = self.bar(0, of as u64, "{prefix} {wide_bar} {pos}/{len} {per_sec} eta {eta}  {msg}");
            bar.set_prefix(format!("{} epoch {}/{epochs}", name(stage), clock.epoch + 1));
            self.epoch = Some(bar);
        }
        let seen = clock.seen.max(1) as f64;
        let (loss, score) = (clock.loss / seen, task.objective.score(clock.score / seen));
        let next = if done < of { "" } else { ", on to validation" };
        if let Some(bar) = &self.epoch {
            bar.set_message(format!("loss {loss:.4} {} {score} rate {rate:.4}{next}", score.name()));
            bar.set_position(done as u64);
        }
    }

    /// Shows what happened in the training of two networks against each other.
    pub fn game(&mut self, stage: Stage, turn: &Turn, gan: &Gan, game: &Game<'_>, seconds: f64) {
        let epochs = game.settings.epochs();
        match turn {
            Turn::Step { of } if self.has_bars() => {
                let before = if stage == Stage::Twin { epochs } else { 0 };
                let done = (before + gan.clock.epoch) * of + gan.clock.batch;
                self.whole((of * epochs * self.networks) as u64, done as u64);
            }
            Turn::Step { .. } => {}
            Turn::Epoch { epoch, losses, .. } => {
                let information: Vec<String> = losses.information.iter().map(|nats| format!("{nats:.3}")).collect();
                self.say(&format!(
                    "{} epoch {epoch}/{epochs}  recognizer {:.4} real {:.4} made  generator {:.4}  information {} nats  {seconds:.0} s",
                    name(stage), losses.real, losses.made, losses.generator, information.join(" "),
                ));
            }
        }
    }

    /// Shows that `done` of `all` steps of the run are done.
    fn whole(&mut self, all: u64, done: u64) {
        let Some(Whole { bar, since }) = &self.whole else {
            let bar = self.bar(1, all, "whole run      {wide_bar} {percent} %  {msg}");
            bar.enable_steady_tick(Duration::from_millis(250));
            self.whole = Some(Whole { bar, since: (Instant::now(), done) });
            return;
        };
        // Not the bar's own estimate, which takes what an earlier sitting did for quickly done.
        if let Some(here) = done.checked_sub(since.1).filter(|&here| here > 0) {
            let left = since.0.elapsed().mul_f64(all.saturating_sub(done) as f64 / here as f64);
            bar.set_message(format!("{} left", HumanDuration(left)));
        }
        bar.set_position(done);
    }
}

/// A line on standard error. One that cannot be written, to a reader that has gone or a full disk, is lost:
/// nothing that is worth doing fails for it.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The name of a stage in lines.
fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Main => "main",
        Stage::Twin => "twin",
    }
}

/// A bar for units of work, usable from any thread; it goes when dropped.
pub struct Units {
    bar: ProgressBar,
}

impl Units {
    /// `done` of `all` units are done.
    pub fn set(&self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
