//! Runs of `[objective.generate]`: two networks for the network and two for its twin, stopped and gone on with at will.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use interp_learn::gan::{Game, Gan, GanSnapshot, Losses, Played, Turn, play};
use interp_learn::{Flow, Generate, LearnError, Objective};
use interp_net::zoo::{Generator, Latent};
use interp_net::{Checkpoint, Meta, Network, Normalization, files};
use serde::Serialize;
use serde_json::{Value, json};

use crate::folder::{self, Folder, Log, Stage, State};
use crate::plan::Plan;
use crate::progress::Screen;
use crate::run::{Options, Start, check_folder, size};
use crate::summary::Size;
use crate::{Error, Result, tensorboard};

mod page;
pub(crate) mod traversal;

/// How a run ended.
pub enum Outcome {
    /// All networks are trained and everything is written.
    Finished(Box<Summary>),
    /// It was asked to stop; the state is saved.
    Stopped,
}

/// `summary.json` of such a run, documented in `docs/infogan.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Version of this structure.
    pub version: u32,
    /// Name of the run.
    pub name: String,
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of the resolved recipe.
    pub recipe: String,
    /// The names of the codes.
    pub codes: Vec<String>,
    /// The network.
    pub network: Made,
    /// The same without information, if it was trained.
    pub twin: Option<Made>,
    /// Seconds of everything together, over all sittings.
    pub seconds: f64,
}

/// What a stage of the run has made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Means over the last epoch, in nats.
    pub losses: Losses,
    /// How large the generator is.
    pub generator: Size,
    /// How large the recognizer is.
    pub recognizer: Size,
}

/// Version of [`Summary`].
const VERSION: u32 = 1;

/// Begins a run, or goes on with the one in `folder`. `generator` is the plan's.
///
/// # Errors
/// If the folder is not as `start` needs it, holds a state of another recipe or of other data, networks are to be trained elsewhere than on the CPU, training
/// fails, or the disk refuses.
pub fn run(
    plan: &Plan,
    generator: &Generator,
    folder: &Folder,
    start: Start,
    options: &Options<'_>,
    screen: &mut Screen,
) -> Result<Outcome> {
    if !options.device.is_cpu() {
        return Err(Error::Usage("[objective.generate] is trained on the CPU: give --device cpu".into()));
    }
    let _lock = folder.lock()?;
    check_folder(folder, start)?; // Again: another program may have been at work since it was first checked.
    folder.tidy()?;
    let saved: Option<Saved> = if start == Start::Resume { folder.load(&plan.hash, &plan.data_hash)? } else { None };
    if saved.is_none() {
        folder.begin(&plan.text)?;
    }
    let (log, before) = saved.as_ref().map_or((0, 0.0), |(state, _)| (state.log, state.seconds));
    let log = Log::open(folder, log)?;
    screen.begin(1 + usize::from(plan.has_twin()));
    let mut sitting = Sitting { plan, generator, folder, options, screen, log, before, began: Instant::now() };
    let first = saved.as_ref().map_or(Stage::Main, |(state, _)| state.stage);
    let mut saved = saved;
    for stage in [Stage::Main, Stage::Twin] {
        let wanted = stage == Stage::Main || plan.has_twin();
        let done = first == Stage::Twin && stage == Stage::Main;
        if wanted && !done && !sitting.train(stage, saved.take())? {
            return Ok(Outcome::Stopped);
        }
    }
    sitting.finish().map(|summary| Outcome::Finished(Box::new(summary)))
}

type Saved = folder::Saved<GanSnapshot>;

/// A run from start or resumption to its end or the next stop.
struct Sitting<'a> {
    plan: &'a Plan,
    generator: &'a Generator,
    folder: &'a Folder,
    options: &'a Options<'a>,
    screen: &'a mut Screen,
    log: Log,
    before: f64,
    began: Instant,
}

/// The objective of a stage: the twin's without information.
fn generate(plan: &Plan, stage: Stage) -> Generate {
    match (plan.common.objective, stage) {
        (Objective::Generate(generate), Stage::Main) => generate,
        (Objective::Generate(generate), Stage::Twin) => Generate { information: 0.0, ..generate },
        _ => Generate::default(),
    }
}

impl Sitting<'_> {
    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Trains both networks of a stage and writes them; false if asked to stop before.
    fn train(&mut self, stage: Stage, saved: Option<Saved>) -> Result<bool> {
        let (plan, info) = (self.plan, self.plan.info());
        let normalization = Normalization { mean: info.mean.clone(), std: info.std.clone() };
        let game = Game {
            settings: &plan.common.train,
            generate: generate(plan, stage),
            latent: &self.generator.latent,
            normalization: &normalization,
            data: Arc::new(plan.data.learning()),
            augment: plan.common.augment,
            guide: &plan.guide,
            seed: plan.common.seed,
            workers: self.options.workers,
        };
        let networks = [Network::new(self.generator.graph.clone(), plan.common.seed)?, plan.network(stage)?];
        let mut gan = match saved {
            Some((state, tensors)) => Gan::load(networks, &game, state.snapshot, &tensors)?,
            None => {
                let [generator, recognizer] = networks;
                Gan::new(generator, recognizer, &game)?
            }
        };
        self.chart()?; // What the log said before.
        let mut last_save = Instant::now();
        let played = play(&game, &mut gan, &mut |turn, gan| {
            self.observe(stage, turn, gan, &game, &mut last_save).map_err(|e| LearnError::Observer(Box::new(e)))
        });
        self.screen.clear();
        if played? == Played::Stopped {
            return Ok(false);
        }
        self.write(stage, &mut gan).map(|()| true)
    }

    /// The recognizer as it is used, its convolutions divided, and the generator.
    fn write(&self, stage: Stage, gan: &mut Gan) -> Result<()> {
        let (recognizer, epoch) = (gan.divided()?, gan.clock.epoch);
        let meta = self.plan.meta(recognizer.graph.clone(), &[], epoch);
        let generator = &gan.generator.network;
        let nothing = Normalization { mean: vec![], std: vec![] };
        let own = Meta { graph: generator.graph.clone(), normalization: nothing, ..meta.clone() };
        Checkpoint::write(&self.folder.generator(stage), &generator.params, &own)?;
        Ok(Checkpoint::write(&self.folder.model(stage), &recognizer.params, &meta)?)
    }

    /// Shows what happened, logs it, and saves the state when it is time.
    fn observe(
        &mut self,
        stage: Stage,
        turn: &Turn,
        gan: &Gan,
        game: &Game<'_>,
        last_save: &mut Instant,
    ) -> Result<Flow> {
        let seconds = self.seconds();
        self.screen.game(stage, turn, gan, game, seconds);
        if let Turn::Epoch { epoch, rate, losses } = turn {
            self.log.line(&epoch_line(stage, *epoch, *rate, losses, game.latent, seconds))?;
        }
        let stop = self.options.stop.load(Ordering::Relaxed);
        let is_epoch = matches!(turn, Turn::Epoch { .. });
        if stop || is_epoch || last_save.elapsed() >= self.options.save_every {
            self.save(stage, gan, game)?;
            *last_save = Instant::now();
        }
        if is_epoch {
            self.chart()?; // After the state is saved: of what is charted, a resumed run repeats nothing.
        }
        Ok(if stop { Flow::Stop } else { Flow::Continue })
    }

    /// Tells TensorBoard what the log says, where that is wanted.
    fn chart(&self) -> Result<()> {
        if self.options.tensorboard { tensorboard::write(self.folder) } else { Ok(()) }
    }

    fn save(&mut self, stage: Stage, gan: &Gan, game: &Game<'_>) -> Result<()> {
        let (snapshot, tensors) = gan.save(game)?;
        let (recipe, log, seconds) = (self.plan.hash.clone(), self.log.synced()?, self.seconds());
        let (state, data, main) = (folder::VERSION, self.plan.data_hash.clone(), None);
        self.folder.save(&State { state, recipe, data, stage, main, snapshot, log, seconds }, &tensors)
    }

    /// Writes the summary and the report of what was saved.
    fn finish(&mut self) -> Result<Summary> {
        let events = self.folder.events()?;
        let network = self.made(Stage::Main, &events)?;
        let twin = self.plan.has_twin().then(|| self.made(Stage::Twin, &events)).transpose()?;
        let summary = Summary {
            version: VERSION,
            name: self.plan.common.name.clone(),
            data: self.plan.info().name.clone(),
            recipe: self.plan.hash.clone(),
            codes: self.generator.latent.names(),
            network,
            twin,
            seconds: self.seconds(),
        };
        let page = page::page(self.plan, self.generator, self.folder, &summary, &events)?;
        files::write_atomically(&self.folder.report(), interp_report::html(&page, &[])?.as_bytes())?;
        // Last, because a folder with a summary is a finished run.
        files::write_atomically(&self.folder.summary(), &serde_json::to_vec_pretty(&summary)?)?;
        Ok(summary)
    }

    fn made(&self, stage: Stage, events: &[Value]) -> Result<Made> {
        let of = |event: &&Value| event["stage"] == json!(stage);
        let last = events.iter().rev().find(of).map(|event| event["losses"].clone()).unwrap_or_default();
        let [height, width] = [self.plan.info().height, self.plan.info().width];
        let network =
            |path: &Path| -> Result<Network> { Ok(Checkpoint::read(path)?.network(path, None, [height, width])?) };
        Ok(Made {
            losses: serde_json::from_value(last)?,
            generator: size(&network(&self.folder.generator(stage))?)?,
            recognizer: size(&network(&self.folder.model(stage))?)?,
        })
    }
}

fn epoch_line(stage: Stage, epoch: usize, rate: f64, losses: &Losses, latent: &Latent, seconds: f64) -> Value {
    let by_code: BTreeMap<String, f64> = latent.names().into_iter().zip(losses.information.iter().copied()).collect();
    json!({
        "stage": stage, "epoch": epoch, "learning_rate": rate, "losses": losses, "information": by_code, "seconds": seconds,
    })
}
