//! What people see while a program works: bars on a terminal, lines elsewhere, nothing when quiet. All of
//! it goes to standard error; results go to standard output.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use interp_learn::{Event, Train, Trainer};

use crate::folder::Stage;

/// How progress is shown.
pub struct Screen {
    quiet: bool,
    terminal: bool,
    bar: ProgressBar,
    began: Instant,
}

impl Screen {
    /// Bars if standard error is a terminal, else lines; nothing if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, bar: ProgressBar::hidden(), began: Instant::now() }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| tell(line));
        }
    }

    /// A bar for work of unknown size; tell [`Units`] how it goes.
    pub fn units(&self, what: &'static str) -> Units {
        let bar = if self.quiet || !self.terminal { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("{msg:<12} {wide_bar} {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Units { bar }
    }

    /// Shows an event of training by `settings`.
    pub fn training(&mut self, stage: Stage, event: &Event, trainer: &Trainer, settings: &Train) {
        let epochs = settings.epochs();
        match event {
            Event::Step { of, rate } => self.step(stage, *of, *rate, trainer, settings),
            Event::Epoch { epoch, train, validation, meets, .. } => {
                self.bar.finish_and_clear();
                self.bar = ProgressBar::hidden();
                let best = trainer.best.as_ref().is_some_and(|best| best.epoch == *epoch);
                let note = match (best, meets) {
                    (true, _) => "  best so far",
                    (false, true) => "",
                    (false, false) => "  claims not met yet",
                };
                self.say(&format!(
                    "{} epoch {epoch}/{epochs}  train loss {:.4} accuracy {:.2} %  val loss {:.4} accuracy {:.2} %  {:.0} s{note}",
                    name(stage), train.0, 100.0 * train.1, validation.loss, 100.0 * validation.accuracy,
                    self.began.elapsed().as_secs_f64(),
                ));
            }
        }
    }

    fn step(&mut self, stage: Stage, of: usize, rate: f64, trainer: &Trainer, settings: &Train) {
        if self.quiet || !self.terminal {
            return;
        }
        let (clock, epochs, accumulate) = (&trainer.clock, settings.epochs(), settings.accumulate);
        if self.bar.is_hidden() {
            self.bar = ProgressBar::new(of as u64);
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {per_sec} eta {eta}  {msg}")
            {
                self.bar.set_style(style);
            }
            self.bar.set_prefix(format!("{} epoch {}/{epochs}", name(stage), clock.epoch + 1));
            self.bar.enable_steady_tick(Duration::from_millis(250));
        }
        let seen = clock.seen.max(1) as f64;
        let accuracy = 100.0 * clock.correct as f64 / seen;
        self.bar.set_message(format!("loss {:.4} accuracy {accuracy:.1} % rate {rate:.4}", clock.loss / seen));
        self.bar.set_position(clock.batch.div_ceil(accumulate) as u64);
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
