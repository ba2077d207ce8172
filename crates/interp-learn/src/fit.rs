//! The training loop.

use std::sync::Arc;

use candle_core::Tensor;
use interp_data::{Augment, Dataset, Info, Learning, Loader, Split};
use interp_net::{Draw, Grads, Keep, Mode, Network, Params, Role};
use tracing::trace_span;

use crate::distill::Teacher;
use crate::prior::{Prior, Scope, State, change, project};
use crate::trainer::Frame;
use crate::{Evaluation, LearnError, Objective, Result, Score, Train, Trainer, evaluate};

/// A prior in a recipe.
pub struct Steering {
    /// Its name in the recipe.
    pub name: String,
    /// What it does.
    pub prior: Box<dyn Prior>,
    /// Where, in the network before any prior has prepared it.
    pub scope: Scope,
}

/// All that training is given.
pub struct Task<'a> {
    /// What for.
    pub objective: Objective,
    /// How to train.
    pub settings: &'a Train,
    /// Train and validation. The test split cannot be reached from here.
    pub data: Arc<Learning>,
    /// What is done to training pictures.
    pub augment: Augment,
    /// How training is steered.
    pub priors: &'a [Steering],
    /// What it learns from beside the labels.
    pub teachers: &'a [Teacher],
    /// Weights of the classes in the loss.
    pub class_weights: Option<&'a [f64]>,
    /// Whether a network meets the claims made for it; measured by others.
    pub meets: &'a dyn Fn(&Network) -> Result<bool>,
    /// Decides all randomness.
    pub seed: u64,
    /// Threads that make batches; results do not depend on it.
    pub workers: usize,
}

/// What happens in training.
#[derive(Clone, Debug)]
pub enum Event {
    /// An optimizer step was done.
    Step {
        /// Steps that the epoch has.
        of: usize,
        /// The learning rate.
        rate: f64,
    },
    /// An epoch was done; the trainer's clock stands at the next.
    Epoch {
        /// Counted from 1.
        epoch: usize,
        /// The phase it was in, counted from 0.
        phase: usize,
        /// The last learning rate.
        rate: f64,
        /// Mean loss and score over train, as seen in training.
        train: (f64, Score),
        /// Mean penalty of the priors.
        penalty: f64,
        /// Mean of the teachers' losses together.
        lessons: f64,
        /// Loss and score on validation.
        validation: Evaluation,
        /// Whether the network met its claims.
        meets: bool,
    },
}

/// What to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop here, to go on another time.
    Stop,
}

/// How training ended.
#[derive(Debug)]
pub enum Fitted {
    /// It was asked to stop.
    Stopped,
    /// All epochs were done.
    Done {
        /// The best network that met its claims, from when the priors that claim nothing had done their work; or
        /// the last where there was none.
        network: Box<Network>,
        /// The epoch it is from, counted from 1.
        epoch: usize,
    },
}

/// Trains from where `trainer` stands to the end of the last phase. Everything random is a function of
/// the seed and of where training stands, so that a trainer that was saved and loaded ends the same.
///
/// # Errors
/// If the loss diverges, a batch cannot be had, a pattern matches nothing, or `observe` fails.
pub fn fit(
    task: &Task<'_>,
    trainer: &mut Trainer,
    observe: &mut dyn FnMut(&Event, &Trainer) -> Result<Flow>,
) -> Result<Fitted> {
    let info = task.data.info().clone();
    let data: Arc<dyn Dataset> = task.data.clone();
    let settings = task.settings;
    let train = Loader::new(data.clone(), Split::Train, settings.batch, task.workers, task.augment, task.seed)?;
    let train = if task.priors.iter().any(|p| p.prior.needs_masks()) { train.with_masks() } else { train };
    let validation = Loader::new(data, Split::Validation, 256, task.workers, Augment::default(), task.seed)?;
    let steps = train.steps().div_ceil(settings.accumulate);

    while let Some((phase, within)) = settings.phase_of(trainer.clock.epoch) {
        let frame = Frame::new(task, trainer, phase, within)?;
        let rate = |step: usize| settings.phase[phase].rate(within as f64 + step as f64 / steps as f64);
        let mut sum = Sum::default();
        let mut batches = train.epoch(trainer.clock.epoch as u64, trainer.clock.batch);
        let mut next = || {
            let _span = trace_span!("wait for data").entered();
            batches.next()
        };
        while let Some(batch) = next() {
            let step = trainer.clock.batch / settings.accumulate;
            let moment = frame.moment(rate(step), (step + 1) as f64 / steps as f64);
            let batch = batch?;
            let grads = trainer.gradients(task, &moment, &batch, &info);
            sum.add(&grads.map_err(|e| e.with_batch(batch.labels.len()))?, &trainer.network.params)?;
            if sum.batches == settings.accumulate || trainer.clock.batch == train.steps() {
                let mean = std::mem::take(&mut sum).mean()?;
                trainer.step(task, &moment, mean).map_err(|e| e.with_batch(settings.batch))?;
                let event = Event::Step { of: steps, rate: rate(step) };
                if trace_span!("show and save").in_scope(|| observe(&event, trainer))? == Flow::Stop {
                    return task.keep_lessons().map(|()| Fitted::Stopped);
                }
            }
        }
        task.keep_lessons()?;
        if settings.pushes(phase, within) {
            let _span = trace_span!("push").entered();
            let plain = Loader::new(task.data.clone(), Split::Train, 256, task.workers, Augment::default(), task.seed)?;
            trainer.push(task, || plain.in_order(None))?;
        }
        let mut candidate = trainer.candidate(task)?;
        if settings.ema > 0.0 {
            recalibrate(task, &mut candidate, &train, trainer.clock.epoch, &info, &frame)?;
        }
        let found = trace_span!("validation").in_scope(|| {
            evaluate(&candidate, &task.objective, &info, validation.in_order(None), &Keep::Output, |_, _, _| Ok(()))
        })?;
        if !found.loss.is_finite() {
            return Err(LearnError::Diverged { epoch: trainer.clock.epoch + 1, step: steps, loss: found.loss });
        }
        let meets = (task.meets)(&candidate)?;
        trainer.consider(&task.objective, &candidate, &found, meets && frame.settled);
        let event = epoch_event(task, trainer, phase, rate(steps.saturating_sub(1)), found, meets);
        trainer.turn();
        if observe(&event, trainer)? == Flow::Stop {
            return Ok(Fitted::Stopped);
        }
    }
    finish(task, trainer, &train, &info)
}

/// Gradients summed over batches, by position.
#[derive(Default)]
struct Sum {
    grads: Vec<Option<Tensor>>,
    batches: usize,
}

impl Sum {
    fn add(&mut self, grads: &Grads, params: &Params) -> Result<()> {
        self.grads.resize(params.list().len(), None);
        for (position, sum) in self.grads.iter_mut().enumerate() {
            *sum = match (sum.take(), grads.param(position)) {
                (Some(sum), Some(grad)) => Some((sum + grad)?),
                (sum, grad) => sum.or(grad.cloned()),
            };
        }
        self.batches += 1;
        Ok(())
    }

    /// The mean over the batches.
    fn mean(self) -> Result<Vec<Option<Tensor>>> {
        let share = 1.0 / self.batches as f64;
        let mean = |sum: Tensor| if self.batches > 1 { sum * share } else { Ok(sum) };
        Ok(self.grads.into_iter().map(|sum| sum.map(mean).transpose()).collect::<candle_core::Result<_>>()?)
    }
}

/// Batches over which statistics are measured anew.
const RECALIBRATION: usize = 50;

/// Batch-norm statistics of averaged parameters: the plain mean over some training batches
/// (Izmailov et al. 2018, arXiv 1803.05407, section 3.2).
fn recalibrate(
    task: &Task<'_>,
    net: &mut Network,
    train: &Loader,
    epoch: usize,
    info: &Info,
    frame: &Frame,
) -> Result<()> {
    for (i, batch) in train.epoch(epoch as u64, 0).take(RECALIBRATION).enumerate() {
        let draw = Draw { seed: task.seed, epoch: epoch as u64, batch: i as u64 };
        let mode = Mode::Train { frozen: frame.frozen.clone(), draw };
        let x = task.objective.training_input(&batch?, info, task.seed, epoch)?;
        let tape = net.forward(&x, mode, &Keep::Output)?;
        net.average_statistics(&tape, 1.0 / (i + 1) as f64)?;
    }
    Ok(())
}

fn epoch_event(
    task: &Task<'_>,
    trainer: &Trainer,
    phase: usize,
    rate: f64,
    validation: Evaluation,
    meets: bool,
) -> Event {
    let clock = &trainer.clock;
    let seen = clock.seen.max(1) as f64;
    let train = (clock.loss / seen, task.objective.score(clock.score / seen));
    let (penalty, lessons) = (clock.penalty / seen, clock.lessons / seen);
    Event::Epoch { epoch: clock.epoch + 1, phase, rate, train, penalty, lessons, validation, meets }
}

/// The best network that could be chosen, or the last where none could.
fn finish(task: &Task<'_>, trainer: &Trainer, train: &Loader, info: &Info) -> Result<Fitted> {
    let epochs = task.settings.epochs();
    if let Some(best) = &trainer.best {
        let network = Network { graph: trainer.network.graph.clone(), params: best.params.clone() };
        return Ok(Fitted::Done { network: Box::new(network), epoch: best.epoch });
    }
    let mut network = trainer.candidate(task)?;
    if let (true, Some((phase, within))) = (task.settings.ema > 0.0, task.settings.phase_of(epochs.saturating_sub(1))) {
        let frame = Frame::new(task, trainer, phase, within)?;
        recalibrate(task, &mut network, train, epochs - 1, info, &frame)?;
    }
    Ok(Fitted::Done { network: Box::new(network), epoch: epochs })
}

impl Task<'_> {
    /// Writes what teachers said to disk, where it is to be kept.
    fn keep_lessons(&self) -> Result<()> {
        self.teachers.iter().filter_map(|teacher| teacher.cache.as_ref()).try_for_each(|cache| cache.flush())
    }

    /// Applies what holds of every network and what all priors enforce.
    pub(crate) fn enforce(&self, params: &mut Params, scopes: &[Scope], states: &[State]) -> Result<()> {
        project_thresholds(params)?;
        self.priors.iter().zip(scopes).zip(states).try_for_each(|((p, scope), state)| {
            let _span = trace_span!("prior", name = p.name.as_str()).entered();
            p.prior.enforce(params, scope, state)
        })
    }
}

/// Thresholds are 0 or above: `max(theta, 0)`, the Euclidean projection. A softplus of a free parameter would need one
/// more form of the parameter in files, never reach 0, where the activation is the identity, and move slowly near it.
fn project_thresholds(params: &mut Params) -> Result<()> {
    let is_threshold = |&position: &usize| params.list()[position].role == Role::Threshold;
    let positions: Vec<usize> = (0..params.list().len()).filter(is_threshold).collect();
    positions.into_iter().try_for_each(|position| change(params, position, project))
}
