//! Runs: a plan carried out into a folder, stopped and gone on with at will.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use interp_audit::quality::Quality;
use interp_audit::terms::{Terms, terms};
use interp_audit::{Answers, Pictures};
use interp_data::{Augment, Loader, Split};
use interp_finding::Measured;
use interp_learn::{Evaluation, Event, Fitted, Flow, LearnError, Objective, Task, Trainer, evaluate, fit};
use interp_net::{Checkpoint, Keep, Meta, Network, files, sealed};
use interp_report::number::show;
use serde_json::json;

use self::confusion::Confusion;
use crate::compare::{McNemar, paired};
use crate::folder::{self, Folder, Log, Stage, State};
use crate::latency::latency;
use crate::plan::Plan;
use crate::progress::Screen;
use crate::summary::{self, Latency, Scores, Size, Summary, Twin};
use crate::{Error, Result, tensorboard};

mod confusion;
mod page;

/// How a run is carried out; on the CPU nothing here changes its result.
pub struct Options<'a> {
    /// Where networks are trained and measured.
    pub device: Device,
    /// Threads that make batches.
    pub workers: usize,
    /// Time between saved states within an epoch.
    pub save_every: Duration,
    /// Becomes true when the run should stop at the next step.
    pub stop: &'a AtomicBool,
    /// A finished run whose twin is this run's too: it is copied, and not trained again.
    pub twin: Option<Folder>,
    /// Whether event files for TensorBoard are written, from the log.
    pub tensorboard: bool,
}

/// How a run ended.
pub enum Outcome {
    /// Both networks are trained and everything is written.
    Finished(Box<Summary>),
    /// It was asked to stop; the state is saved.
    Stopped,
}

/// How a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where no run is.
    Fresh,
    /// From the state that a run saved.
    Resume,
    /// In place of the run that is there.
    Overwrite,
}

/// Begins a run, or goes on with the one in `folder`.
///
/// # Errors
/// If the folder is not as `start` needs it, holds a state of another recipe or of other data, training
/// fails, or the disk refuses.
pub fn run(plan: &Plan, folder: &Folder, start: Start, options: &Options<'_>, screen: &mut Screen) -> Result<Outcome> {
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
    let mut sitting = Sitting { plan, folder, options, screen, log, before, main: None, began: Instant::now() };
    let first = saved.as_ref().map_or(Stage::Main, |(state, _)| state.stage);
    saved.as_ref().map_or(Ok(()), |saved| sitting.recall_main(saved))?;
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

/// A run from start or resumption to its end or the next stop.
struct Sitting<'a> {
    plan: &'a Plan,
    folder: &'a Folder,
    options: &'a Options<'a>,
    screen: &'a mut Screen,
    log: Log,
    before: f64,
    /// The main network, once it is finished: it goes into the states that the twin's training saves.
    main: Option<Finished>,
    began: Instant,
}

type Tensors = BTreeMap<String, Tensor>;

type Saved = (State, Tensors);

/// A network as its file has it.
struct Finished {
    meta: Meta,
    tensors: Tensors,
}

/// What the names of the main network's tensors begin with in the state of the twin.
const MAIN: &str = "main/";

impl Sitting<'_> {
    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Trains the network of a stage and writes it; false if asked to stop before.
    fn train(&mut self, stage: Stage, saved: Option<Saved>) -> Result<bool> {
        let copied = match (stage, &saved, &self.options.twin) {
            (Stage::Twin, None, Some(run)) => self.copied_twin(run)?,
            _ => None,
        };
        let (is_copied, saved) = (copied.is_some(), saved.or(copied));
        let plan = self.plan;
        let (priors, claims) = plan.steering(stage);
        let teachers = match stage {
            Stage::Main => plan.teachers.iter().map(|teacher| teacher.to_device(&self.options.device)).collect(),
            Stage::Twin => Ok(vec![]),
        };
        let teachers = teachers?;
        let (data, split, workers) = (Arc::new(plan.data.learning()), Split::Validation, self.options.workers);
        let noise = plan.common.objective.noise();
        let choosing = Pictures { data: data.clone(), split, noise, workers };
        let meets = |net: &Network| -> interp_learn::Result<bool> {
            let measured =
                interp_audit::measure(net, claims, Some(&choosing)).map_err(|e| LearnError::Observer(Box::new(e)))?;
            Ok(measured.iter().all(|m| m.holds))
        };
        let settings = plan.settings(stage);
        let task = Task {
            objective: plan.common.objective,
            settings: &settings,
            data,
            augment: plan.common.augment,
            priors,
            teachers: &teachers,
            class_weights: plan.class_weights.as_deref(),
            meets: &meets,
            seed: plan.common.seed,
            workers,
        };
        let network = plan.network(stage)?.to_device(&self.options.device)?;
        let mut trainer = match saved {
            Some((state, tensors)) => Trainer::load(network, &task, state.snapshot, &tensors)?,
            None => Trainer::new(network, &task)?,
        };
        if is_copied {
            self.save(stage, &trainer, &task)?;
        }
        self.chart()?; // What the log said before.
        let mut last_save = Instant::now();
        let fitted = fit(&task, &mut trainer, &mut |event, trainer| {
            self.observe(stage, event, trainer, &task, &mut last_save).map_err(|e| LearnError::Observer(Box::new(e)))
        });
        self.screen.clear();
        match fitted? {
            Fitted::Stopped => Ok(false),
            Fitted::Done { network, epoch } => {
                let meta = plan.meta(network.graph, claims, epoch);
                Checkpoint::write(&self.folder.model(stage), &network.params, &meta)?;
                if stage == Stage::Main {
                    let tensors = network.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
                    self.main = Some(Finished { meta, tensors });
                }
                Ok(true)
            }
        }
    }

    /// The last state of the twin of another run; what that run's log says of its training is in this log too.
    fn copied_twin(&mut self, run: &Folder) -> Result<Option<Saved>> {
        let Some(saved) = run.last()?.filter(|(state, _)| state.stage == Stage::Twin) else { return Ok(None) };
        let of_twin = |event: &serde_json::Value| event["stage"] == json!(Stage::Twin);
        run.events()?.iter().filter(|event| of_twin(event)).try_for_each(|event| self.log.line(event))?;
        Ok(Some(saved))
    }

    /// Takes the main network from a state of the twin, and writes its file anew: the state alone is enough.
    fn recall_main(&mut self, (state, tensors): &Saved) -> Result<()> {
        let Some(meta) = state.main.clone() else { return Ok(()) };
        let own = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(MAIN)?.to_owned(), tensor.clone()));
        let tensors: Tensors = tensors.iter().filter_map(own).collect();
        sealed::write(&self.folder.model(Stage::Main), &tensors, &meta)?;
        self.main = Some(Finished { meta, tensors });
        Ok(())
    }

    /// Shows an event, logs it, and saves the state when it is time.
    fn observe(
        &mut self,
        stage: Stage,
        event: &Event,
        trainer: &Trainer,
        task: &Task<'_>,
        last_save: &mut Instant,
    ) -> Result<Flow> {
        let seconds = self.seconds();
        self.screen.training(stage, event, trainer, task, seconds);
        if let Event::Epoch { .. } = event {
            let line = epoch_line(stage, event, trainer, task, seconds);
            self.log.line(&line)?;
        }
        let stop = self.options.stop.load(Ordering::Relaxed);
        let is_epoch = matches!(event, Event::Epoch { .. });
        if stop || is_epoch || last_save.elapsed() >= self.options.save_every {
            self.save(stage, trainer, task)?;
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

    fn save(&mut self, stage: Stage, trainer: &Trainer, task: &Task<'_>) -> Result<()> {
        let (snapshot, mut tensors) = trainer.save(task)?;
        if let Some(main) = &self.main {
            tensors.extend(main.tensors.iter().map(|(name, tensor)| (format!("{MAIN}{name}"), tensor.clone())));
        }
        let main = self.main.as_ref().map(|main| main.meta.clone());
        let (recipe, log) = (self.plan.hash.clone(), self.log.synced()?);
        let (state, data, seconds) = (folder::VERSION, self.plan.data_hash.clone(), self.seconds());
        let state = State { state, recipe, data, stage, main, snapshot, log, seconds };
        self.folder.save(&state, &tensors)
    }

    /// Measures everything on the saved files, and writes the summary and the report.
    fn finish(&mut self) -> Result<Summary> {
        let events = self.folder.events()?;
        let main = self.examine(Stage::Main)?;
        let twin = self.plan.has_twin().then(|| self.examine(Stage::Twin)).transpose()?;
        let difference =
            twin.as_ref().map(|twin| paired(&main.test.scores, &twin.test.scores, main.test.score.scale()));
        let twin_summary = twin.as_ref().zip(difference).map(|(twin, difference)| {
            let epoch = twin.epoch;
            let lacks = self.plan.common.twin_lacks;
            Twin {
                lacks,
                test: scores(&twin.test),
                validation: scores(&twin.validation),
                epoch,
                size: twin.size,
                latency: Some(twin.latency),
                quality: twin.quality.clone(),
                terms: twin.terms,
                difference,
                mcnemar: main.quality.is_some().then(|| McNemar::of(&main.test.scores, &twin.test.scores)),
            }
        });
        let stages = [("the network", Some(&main)), ("the twin", twin.as_ref())];
        let doubts = stages.into_iter().filter_map(|(name, found)| doubt(self.plan, name, &found?.validation));
        let warnings = doubts.chain(few(main.test.scores.len())).collect();
        let summary = Summary {
            version: summary::VERSION,
            name: self.plan.common.name.clone(),
            data: self.plan.info().name.clone(),
            recipe: self.plan.hash.clone(),
            test: scores(&main.test),
            validation: scores(&main.validation),
            epoch: main.epoch,
            size: main.size,
            latency: Some(main.latency),
            quality: main.quality.clone(),
            terms: main.terms,
            claims: main.claims.clone(),
            twin: twin_summary,
            warnings,
            seconds: self.seconds(),
        };
        let page = page::page(self.plan, self.folder, &summary, &events, &main, twin.as_ref())?;
        files::write_atomically(&self.folder.report(), interp_report::html(&page, &[])?.as_bytes())?;
        // Last, because a folder with a summary is a finished run.
        files::write_atomically(&self.folder.summary(), &serde_json::to_vec_pretty(&summary)?)?;
        Ok(summary)
    }

    /// Reads the saved file of a stage back and measures it.
    fn examine(&self, stage: Stage) -> Result<Examined> {
        let path = self.folder.model(stage);
        let file = Checkpoint::read(&path)?;
        let info = self.plan.info();
        let network = file.network(&path, None, [info.height, info.width])?;
        let there = network.to_device(&self.options.device)?;
        let (claims, epoch) = file.meta.map(|meta| (meta.claims, meta.epoch)).unwrap_or_default();
        let objective = &self.plan.common.objective;
        let on = |split: Split| -> Result<(Evaluation, Option<Answers>)> {
            let data = self.plan.data.examining();
            let (bar, mut done, all) = (self.screen.units("pictures"), 0, data.len(split) as u64);
            let loader = Loader::new(data, split, 256, self.options.workers, Augment::default(), 0)?;
            let mut answers = (*objective == Objective::Classify).then(|| Answers::new(info.classes.len()));
            let found = evaluate(&there, objective, info, loader.in_order(None), &Keep::Output, |batch, _, output| {
                done += batch.labels.len() as u64;
                bar.set(done, all);
                let Some(answers) = &mut answers else { return Ok(()) };
                answers.add(&batch.labels, &batch.indices, output).map_err(|e| LearnError::Observer(Box::new(e)))
            })?;
            Ok((found, answers))
        };
        let ((test, answers), (validation, of_validation)) = (on(Split::Test)?, on(Split::Validation)?);
        let confusion = answers.as_ref().map(Confusion::of);
        let quality = answers.as_ref().map(|answers| Quality::of(answers, of_validation.as_ref()));
        let (data, workers) = (self.plan.data.examining(), self.options.workers);
        let pictures = Pictures { data, split: Split::Test, noise: objective.noise(), workers };
        let claims = interp_audit::measure(&there, &claims, Some(&pictures))?;
        let terms = if *objective == Objective::Classify { terms(&there, &pictures)? } else { None };
        let (size, latency) = (size(&network)?, latency(&there)?);
        Ok(Examined { size, latency, test, confusion, quality, terms, validation, claims, epoch, network })
    }
}

/// What was measured on a saved file.
struct Examined {
    network: Network,
    test: Evaluation,
    /// On test, where classes are told.
    confusion: Option<Confusion>,
    quality: Option<Quality>,
    terms: Option<Terms>,
    validation: Evaluation,
    claims: Vec<Measured>,
    epoch: usize,
    size: Size,
    latency: Latency,
}

/// Pictures below which what is told of them says next to nothing of others.
pub(crate) const FEW: usize = 30;

/// A warning where there are few pictures to test by.
fn few(count: usize) -> Option<String> {
    (count < FEW).then(|| {
        format!("{count} pictures to test by are too few: how often the network is right on others may be far from it, and intervals over so few are too narrow")
    })
}

/// A warning where a network is no better than guessing, K classes all alike likely having a loss of ln K, or than doing
/// nothing, which leaves all of the noise or of the picture.
fn doubt(plan: &Plan, name: &str, validation: &Evaluation) -> Option<String> {
    let classes = plan.info().classes.len();
    let (least, what) = match plan.common.objective {
        Objective::Classify | Objective::Generate(_) => {
            ((classes as f64).ln(), format!("guessing among {classes} classes"))
        }
        Objective::Denoise(_) => (1.0, "leaving the noise as it is".to_owned()),
        Objective::Reconstruct(reconstruct) => (reconstruct.of_gray(plan.info()), "gray pictures".to_owned()),
    };
    let said = || {
        format!(
            "the loss of {name} on validation, {}, is not below {}, that of {what}: if training went astray, lower the learning \
             rate, or clip gradients",
            show(validation.loss),
            show(least)
        )
    };
    // A network that says the same of every picture has that loss to rounding.
    (validation.loss > least * (1.0 - 1e-6)).then(said)
}

fn scores(found: &Evaluation) -> Scores {
    Scores { score: found.score, loss: found.loss, count: found.scores.len() }
}

/// Parameters and multiply-adds of a network.
///
/// # Errors
/// Where parameters cannot be read.
pub fn size(network: &Network) -> Result<Size> {
    let mut nonzero = 0;
    for param in network.params.list().iter().filter(|p| p.role.is_trained()) {
        let values: Vec<f32> = param.value.flatten_all()?.to_vec1()?;
        nonzero += values.iter().filter(|w| **w != 0.0).count();
    }
    Ok(Size { parameters: network.parameters(), nonzero, multiply_adds: network.multiply_adds() })
}

fn epoch_line(stage: Stage, event: &Event, trainer: &Trainer, task: &Task<'_>, seconds: f64) -> serde_json::Value {
    let Event::Epoch { epoch, phase, rate, train, penalty, lessons, validation, meets } = event else {
        return json!(null);
    };
    json!({
        "stage": stage,
        "epoch": epoch,
        "phase": phase,
        "learning_rate": rate,
        "train": { "loss": train.0, (train.1.key()): train.1.value() },
        "penalty": penalty,
        "lessons": lessons,
        "validation": { "loss": validation.loss, (validation.score.key()): validation.score.value() },
        "meets_claims": meets,
        "chosen": trainer.best.as_ref().is_some_and(|best| best.epoch == *epoch),
        "priors": trainer.prior_numbers(task),
        "seconds": seconds,
    })
}

/// Refuses to touch a run that is there unless asked to, and files that no run has left in any case.
///
/// # Errors
/// If a run is there and `start` is fresh, there is none to resume, or other files are in its place.
pub fn check_folder(folder: &Folder, start: Start) -> Result<()> {
    let wrong = |problem: &str| Err(Error::Folder { path: folder.root().to_owned(), problem: problem.to_owned() });
    if folder.root().is_file() {
        return wrong("a file, and no folder for a run: choose another --out");
    }
    if let Some(file) = folder.foreign() {
        let problem = format!("there is a {} in it that no run here has left: choose another --out", file.display());
        return wrong(&problem);
    }
    match (folder.is_begun(), start) {
        (true, Start::Fresh) => wrong(
            "a run is already there: go on with it by --resume, replace it by --overwrite, or choose another --out",
        ),
        (false, Start::Resume) => wrong("there is no run to resume; leave out --resume to begin one"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
