//! The loop.

use std::sync::Arc;

use interp_data::{Augment, Dataset, Learning, Loader, Split};
use interp_net::Normalization;
use interp_net::finding::random::stream;
use interp_net::zoo::Latent;

use super::step::{Real, Rules};
use super::{Code, Gan, Guide, Losses};
use crate::{Flow, Generate, Result, Train, to_tensor};

/// All that the training of two networks against each other is given.
pub struct Game<'a> {
    /// How to train: batch, optimizer and phases with their rates.
    pub settings: &'a Train,
    /// The objective.
    pub generate: Generate,
    /// What codes are made of.
    pub latent: &'a Latent,
    /// How the recognizer's pictures are normalized.
    pub normalization: &'a Normalization,
    /// Train. The test split cannot be reached from here.
    pub data: Arc<Learning>,
    /// What is done to training pictures.
    pub augment: Augment,
    /// Pictures of train whose codes are known.
    pub guide: &'a Guide,
    /// Decides all randomness.
    pub seed: u64,
    /// Threads that make batches; results do not depend on it.
    pub workers: usize,
}

impl<'a> Game<'a> {
    pub(super) fn rules(&self) -> Rules<'a> {
        Rules { latent: self.latent, generate: self.generate, normalization: self.normalization }
    }
}

/// What happens in training.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Both networks have done a step.
    Step {
        /// Steps that the epoch has.
        of: usize,
    },
    /// An epoch was done; the clock stands at the next.
    Epoch {
        /// Counted from 1.
        epoch: usize,
        /// The recognizer's last learning rate.
        rate: f64,
        /// Means over the epoch.
        losses: Losses,
    },
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// It was asked to stop.
    Stopped,
    /// All epochs were done.
    Done,
}

/// Trains from where `gan` stands to the end of the last phase. Everything random is a function of the seed and of where training stands, so that
/// what was saved and loaded ends the same.
///
/// # Errors
/// If a loss is not a number any more, a batch cannot be had, or `observe` fails.
pub fn play(game: &Game<'_>, gan: &mut Gan, observe: &mut dyn FnMut(&Turn, &Gan) -> Result<Flow>) -> Result<Played> {
    let info = game.data.info().clone();
    let data: Arc<dyn Dataset> = game.data.clone();
    let settings = game.settings;
    let train = Loader::new(data, Split::Train, settings.batch, game.workers, game.augment, game.seed)?;
    let steps = train.steps();
    while let Some((phase, within)) = settings.phase_of(gan.clock.epoch) {
        let rate = |step: usize| settings.phase[phase].rate(within as f64 + step as f64 / steps as f64);
        for batch in train.epoch(gan.clock.epoch as u64, gan.clock.batch) {
            let (batch, step) = (batch?, gan.clock.batch);
            let mut stream = stream(game.seed, "codes", gan.clock.epoch as u64, step as u64);
            let codes: Vec<Code> = batch.labels.iter().map(|_| Code::draw(game.latent, &mut stream)).collect();
            let known: Vec<Option<&Code>> = batch.indices.iter().map(|&index| game.guide.of(index)).collect();
            let real = Real { pictures: &to_tensor(&batch, &info)?, known: &known };
            gan.step(game, real, &codes, rate(step))?;
            if observe(&Turn::Step { of: steps }, gan)? == Flow::Stop {
                return Ok(Played::Stopped);
            }
        }
        let losses = gan.clock.sum.mean(gan.clock.batch);
        gan.turn();
        let rate = rate(steps.saturating_sub(1));
        if observe(&Turn::Epoch { epoch: gan.clock.epoch, rate, losses }, gan)? == Flow::Stop {
            return Ok(Played::Stopped);
        }
    }
    Ok(Played::Done)
}

impl Gan {
    /// On to the next epoch.
    fn turn(&mut self) {
        self.clock.epoch += 1;
        self.clock.batch = 0;
        self.clock.sum = Losses::default();
    }
}
