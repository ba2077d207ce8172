//! What training changes: everything that must be saved to go on later.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use interp_data::{Batch, Batches, Info};
use interp_net::ops::{self, Update};
use interp_net::{Draw, Grads, Graph, Keep, Mode, Network, NodeId, Op, Param, Params, Role, Want};
use serde::{Deserialize, Serialize};
use tracing::trace_span;

use crate::buffers::Buffers;
use crate::distill::{Side, Taught};
use crate::objective::{Loss, Pass};
use crate::prior::{Now, Scope, State, Step, values};
use crate::{Evaluation, LearnError, Objective, Phase, Result, Score, Task, Train};

/// Where training stands. Sums are over the present epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whole epochs done, over all phases.
    pub epoch: usize,
    /// Batches done in the present epoch.
    pub batch: usize,
    /// Pictures seen.
    pub seen: usize,
    /// Sum over pictures of the loss.
    pub loss: f64,
    /// Sum over pictures of the score: 1 for one that was right, or its PSNR.
    pub score: f64,
    /// Sum over pictures of the priors' penalties.
    pub penalty: f64,
    /// Sum over pictures of the teachers' losses.
    #[serde(default)]
    pub lessons: f64,
}

/// The best network so far: highest validation score, of equal ones lowest loss, among those that
/// meet the claims and come after the work of priors that claim nothing.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its parameters.
    pub params: Params,
    /// The epoch after which it was, from 1.
    pub epoch: usize,
    /// Its score on validation.
    pub score: Score,
    /// Its loss on validation.
    pub loss: f64,
}

/// Network, optimizer and priors in the midst of training.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// The network as it is trained.
    pub network: Network,
    /// Where training stands.
    pub clock: Clock,
    /// The best network so far.
    pub best: Option<Best>,
    /// The parameters before the first step, which some may be drawn to.
    pub(crate) start: Params,
    /// Optimizer buffers by position.
    pub(crate) buffers: Vec<Buffers>,
    /// Averaged parameters, by position; empty without averaging.
    pub(crate) average: Vec<Vec<f32>>,
    /// Where each prior acts, in the network as the priors have prepared it.
    pub(crate) scopes: Vec<Scope>,
    /// What each prior remembers.
    pub(crate) states: Vec<State>,
    /// What each way of teaching remembers, of one teacher after the other.
    pub(crate) lessons: Vec<State>,
    /// Optimizer steps of each parameter, by position: fewer where it was frozen for a while.
    pub(crate) counts: Vec<u64>,
}

/// What is the same for all steps of an epoch.
pub(crate) struct Frame {
    /// Nodes that do not change, and batch norms that keep their statistics.
    pub(crate) frozen: Vec<bool>,
    /// By position: what the learning rate is multiplied with; 0 for what is not trained.
    factors: Vec<f64>,
    /// By position: weight decay.
    decays: Vec<f64>,
    /// By position: how strongly values are drawn to those that training starts from.
    stays: Vec<f64>,
    /// For each prior.
    steered: Vec<Steered>,
    /// Whether all priors that claim nothing steer in no later epoch, and no push is to come. What the others do is measured.
    pub(crate) settled: bool,
}

/// In which epochs a prior steers.
struct Steered {
    /// Whether in the present one.
    now: bool,
    /// In how many before it.
    before: usize,
    /// In how many at all.
    all: usize,
}

/// A step of an epoch.
pub(crate) struct Moment<'a> {
    frame: &'a Frame,
    /// The learning rate before factors.
    rate: f64,
    /// Learning rates by position.
    rates: Vec<f64>,
    /// Share of the epoch that is done after the step.
    done: f64,
}

impl Moment<'_> {
    /// What the prior at `index` is told, if it steers.
    fn now(&self, index: usize) -> Option<Now<'_>> {
        let Steered { now, before, all } = self.frame.steered[index];
        now.then(|| Now { rates: &self.rates, progress: (before as f64 + self.done) / all as f64 })
    }

    /// Positions of what is trained.
    fn trained(&self) -> impl Iterator<Item = usize> {
        (0..self.frame.factors.len()).filter(|&position| self.frame.factors[position] > 0.0)
    }
}

impl Trainer {
    /// A fresh start: priors prepare the network, everything else is zero.
    ///
    /// # Errors
    /// If a prior does not fit the network.
    pub fn new(mut network: Network, task: &Task<'_>) -> Result<Self> {
        let mut states = vec![];
        for p in task.priors {
            let scope = p.scope.within(&network, p.prior.roles())?;
            states.push(State { seed: task.seed, ..p.prior.prepare(&mut network, &scope)? });
        }
        let scopes = task.priors.iter().map(|p| p.scope.within(&network, p.prior.roles())).collect::<Result<_>>()?;
        let per_param = task.settings.optimizer.buffers().len();
        let list = network.params.list();
        let buffers = list.iter().map(|p| Buffers::zeros(p, per_param)).collect::<Result<_>>()?;
        let counts = vec![0; list.len()];
        let prepared = task.teachers.iter().map(|teacher| teacher.prepare(&network.graph, task.seed));
        let lessons = prepared.collect::<Result<Vec<_>>>()?.concat();
        let (clock, average) = (Clock::default(), vec![]);
        let start = network.params.clone();
        let mut trainer = Self { network, start, clock, best: None, buffers, average, scopes, states, lessons, counts };
        task.enforce(&mut trainer.network.params, &trainer.scopes, &trainer.states)?;
        if task.settings.ema > 0.0 {
            let count = trainer.network.params.list().len();
            trainer.average = (0..count).map(|i| values(&trainer.network.params, i)).collect::<Result<_>>()?;
        }
        Ok(trainer)
    }

    /// Makes of the trained parameters those that a pass is run with; `noisy` says of each prior whether with noise.
    fn realize(&self, task: &Task<'_>, params: &mut Params, noisy: impl Fn(usize) -> bool) -> Result<()> {
        for (index, p) in task.priors.iter().enumerate() {
            p.prior.realize(params, &self.scopes[index], &self.states[index], noisy(index))?;
        }
        Ok(())
    }

    /// One batch: forward, loss, penalties, backward. Gives the gradients with respect to what the pass was run with.
    pub(crate) fn gradients(
        &mut self,
        task: &Task<'_>,
        moment: &Moment<'_>,
        batch: &Batch,
        info: &Info,
    ) -> Result<Grads> {
        let objective = &task.objective;
        let x = objective.training_input(batch, info, task.seed, self.clock.epoch)?;
        let mut network = self.network.clone();
        self.realize(task, &mut network.params, |index| moment.now(index).is_some())?;
        let steered =
            task.priors.iter().zip(&self.scopes).enumerate().filter(|(index, _)| moment.now(*index).is_some());
        let mut taps: Vec<NodeId> = steered.flat_map(|(_, (p, scope))| p.prior.taps(&network, scope)).collect();
        for name in task.teachers.iter().flat_map(|teacher| teacher.student_nodes()) {
            taps.push(network.graph.id(&name)?);
        }
        taps.extend(objective.taps(&network.graph)?);
        let Clock { epoch, batch: number, .. } = self.clock;
        let draw = Draw { seed: task.seed, epoch: epoch as u64, batch: number as u64 };
        let mode = Mode::Train { frozen: moment.frame.frozen.clone(), draw };
        let tape = network.forward(&x, mode, &Keep::Backward(taps))?;
        let output = tape.output(&network.graph)?;
        let pass = Pass { net: &network, tape: &tape, output };
        let Loss { value, grad, more } =
            trace_span!("loss").in_scope(|| objective.loss(task, self.clock.epoch, &pass, batch, info))?;
        self.note(batch, value, &objective.scores(output, batch, info)?)?;
        let mut seeds = vec![(network.graph.output(), grad)];
        seeds.extend(more);
        let mut extra = vec![];
        for (index, p) in task.priors.iter().enumerate() {
            let Some(now) = moment.now(index) else { continue };
            let _span = trace_span!("prior", name = p.name.as_str()).entered();
            let step = Step { net: &network, tape: &tape, batch, now };
            if let Some(term) = p.prior.penalty(&step, &self.scopes[index], &mut self.states[index])? {
                self.clock.penalty += term.value * batch.labels.len() as f64;
                seeds.extend(term.nodes);
                extra.extend(term.params);
            }
        }
        let student = Side { graph: &network.graph, logits: output, tape: Some(&tape) };
        let taught = Taught {
            batch,
            info,
            student,
            epoch: self.clock.epoch,
            done: self.clock.epoch as f64 + moment.done,
            rate: moment.rate,
        };
        seeds.extend(self.teach(task, &taught)?);
        let want = Want { nodes: vec![], params: moment.trained().collect() };
        let mut grads = network.backward(&tape, &seeds, &want)?;
        for (position, more) in extra {
            grads.add_param(position, &more)?;
        }
        trace_span!("statistics").in_scope(|| self.network.commit_statistics(&tape))?;
        Ok(grads)
    }

    /// Gradients of what the teachers' losses come to, at the student's nodes.
    fn teach(&mut self, task: &Task<'_>, taught: &Taught<'_>) -> Result<Vec<(NodeId, Tensor)>> {
        let (mut seeds, mut first) = (vec![], 0);
        for teacher in task.teachers {
            let _span = trace_span!("teacher").entered();
            let states = &mut self.lessons[first..][..teacher.teachings.len()];
            let term = teacher.teach(taught, states)?;
            self.clock.lessons += term.value * taught.batch.labels.len() as f64;
            seeds.extend(term.nodes);
            first += teacher.teachings.len();
        }
        Ok(seeds)
    }

    /// Adds a batch to the epoch's sums.
    fn note(&mut self, batch: &Batch, loss: f64, scores: &[f64]) -> Result<()> {
        let clock = &mut self.clock;
        if !loss.is_finite() {
            return Err(LearnError::Diverged { epoch: clock.epoch + 1, step: clock.batch + 1, loss });
        }
        clock.batch += 1;
        clock.seen += batch.labels.len();
        clock.loss += loss * batch.labels.len() as f64;
        clock.score += scores.iter().sum::<f64>();
        Ok(())
    }

    /// One optimizer step, then the priors, then the average.
    pub(crate) fn step(&mut self, task: &Task<'_>, moment: &Moment<'_>, grads: Vec<Option<Tensor>>) -> Result<()> {
        let grads = self.chained(task, moment, grads)?;
        let grads = self.drawn_back(moment, grads)?;
        let before = self.network.params.clone();
        let update = trace_span!("update").entered();
        let grads: Vec<(usize, &Tensor)> = moment.trained().filter_map(|p| Some((p, grads[p].as_ref()?))).collect();
        grads.iter().for_each(|&(position, _)| self.counts[position] += 1);
        match self.network.device().is_cpu() {
            true => self.update(task.settings, moment, &grads)?,
            false => self.update_on_device(task.settings, moment, &grads)?,
        }
        drop(update);
        for (index, p) in task.priors.iter().enumerate().filter(|(index, _)| moment.now(*index).is_some()) {
            p.prior.after_update(&mut self.network.params, &before, &self.scopes[index])?;
        }
        // Before as well: what is about to be projected must not be measured as it is.
        task.enforce(&mut self.network.params, &self.scopes, &self.states)?;
        for (index, (p, state)) in task.priors.iter().zip(&mut self.states).enumerate() {
            let _span = trace_span!("prior", name = p.name.as_str()).entered();
            if let Some(now) = moment.now(index) {
                p.prior.after_step(&mut self.network.params, &self.scopes[index], state, now)?;
            }
        }
        task.enforce(&mut self.network.params, &self.scopes, &self.states)?;
        let asked = |state: &mut State| std::mem::take(&mut state.restart_average);
        let restarts = self.states.iter_mut().map(asked).filter(|restart| *restart).count();
        self.average(if restarts > 0 { 0.0 } else { task.settings.ema })
    }

    /// Takes parameters from training pictures, where priors do so. There is no average of parameters then.
    pub(crate) fn push(&mut self, task: &Task<'_>, pictures: impl Fn() -> Batches) -> Result<()> {
        let mut network = self.network.clone();
        self.realize(task, &mut network.params, |_| false)?;
        for (p, scope) in task.priors.iter().zip(&self.scopes).filter(|(p, _)| p.prior.pushes()) {
            for (position, value) in p.prior.push(&network, pictures(), scope)? {
                self.network.params.set(position, value)?;
            }
        }
        task.enforce(&mut self.network.params, &self.scopes, &self.states)
    }

    /// Shows the gradients to the priors, and gives those with respect to what is stepped.
    fn chained(
        &mut self,
        task: &Task<'_>,
        moment: &Moment<'_>,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let mut factors = vec![];
        for (index, (p, state)) in task.priors.iter().zip(&mut self.states).enumerate() {
            let _span = trace_span!("prior", name = p.name.as_str()).entered();
            let (params, scope) = (&self.network.params, &self.scopes[index]);
            factors.extend(p.prior.before_step(params, &grads, scope, state, moment.now(index))?);
        }
        for (position, factor) in factors {
            if let Some(grad) = &mut grads[position] {
                *grad = grad.broadcast_mul(&factor)?;
            }
        }
        Ok(grads)
    }

    /// Adds to gradients what draws parameters to the values that training started from.
    fn drawn_back(&self, moment: &Moment<'_>, mut grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        for (position, &stay) in moment.frame.stays.iter().enumerate().filter(|(_, stay)| **stay > 0.0) {
            if let Some(grad) = &mut grads[position] {
                let way = (&self.network.params.list()[position].value - &self.start.list()[position].value)?;
                *grad = (&*grad + (way * stay)?)?;
            }
        }
        Ok(grads)
    }

    /// The optimizer's step, in place.
    fn update(&mut self, settings: &Train, moment: &Moment<'_>, grads: &[(usize, &Tensor)]) -> Result<()> {
        let mut flat: Vec<(usize, Vec<f32>)> = vec![];
        for &(position, grad) in grads {
            flat.push((position, grad.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?));
        }
        let square = || flat.iter().flat_map(|(_, g)| g).map(|&g| f64::from(g) * f64::from(g)).sum();
        let scale = scale(settings.clip, || Ok(square()))?;
        for (position, mut grad) in flat {
            if scale != 1.0 {
                grad.iter_mut().for_each(|g| *g *= scale);
            }
            let buffers = self.buffers[position].on_host()?;
            let (rate, decay, count) = (moment.rates[position], moment.frame.decays[position], self.counts[position]);
            crate::prior::change(&mut self.network.params, position, |w| {
                settings.optimizer.step(w, &grad, buffers, rate, decay, count);
            })?;
        }
        Ok(())
    }

    /// The optimizer's step where the parameters lie on a device.
    fn update_on_device(&mut self, settings: &Train, moment: &Moment<'_>, grads: &[(usize, &Tensor)]) -> Result<()> {
        let tensors: Vec<&Tensor> = grads.iter().map(|(_, grad)| *grad).collect();
        let scale = scale(settings.clip, || Ok(ops::sum_of_squares(&tensors)?))?;
        let part = |&(position, grad): &(usize, _)| Update {
            value: &self.network.params.list()[position].value,
            grad,
            buffers: self.buffers[position].tensors(),
            rate: moment.rates[position],
            decay: moment.frame.decays[position],
            count: self.counts[position],
        };
        let parts: Vec<Update<'_>> = grads.iter().map(part).collect();
        let updated = ops::update(&settings.optimizer.rule(), &parts, scale)?;
        for (&(position, _), new) in grads.iter().zip(updated) {
            self.network.params.set(position, new.value)?;
            self.buffers[position] = Buffers::Device(new.buffers);
        }
        Ok(())
    }

    fn average(&mut self, keep: f64) -> Result<()> {
        for (position, average) in self.average.iter_mut().enumerate() {
            let new = values(&self.network.params, position)?;
            average
                .iter_mut()
                .zip(new)
                .for_each(|(a, w)| *a = (keep * f64::from(*a) + (1.0 - keep) * f64::from(w)) as f32);
        }
        Ok(())
    }

    /// The network that would be saved now: as trained, or of averaged parameters, zero where training has
    /// an exact zero, with what priors enforce applied again, and as a pass without noise is run with it. Its batch-norm statistics are then to be
    /// measured anew.
    pub(crate) fn candidate(&self, task: &Task<'_>) -> Result<Network> {
        let mut network = self.network.clone();
        for (position, average) in self.average.iter().enumerate() {
            crate::prior::change(&mut network.params, position, |w| {
                w.iter_mut().zip(average).filter(|(w, _)| **w != 0.0).for_each(|(w, average)| *w = *average);
            })?;
        }
        task.enforce(&mut network.params, &self.scopes, &self.states)?;
        self.realize(task, &mut network.params, |_| false)?;
        Ok(network)
    }

    /// Keeps a candidate if it may be chosen and is better than the best so far.
    pub(crate) fn consider(&mut self, objective: &Objective, candidate: &Network, found: &Evaluation, eligible: bool) {
        let better = |best: &Best| objective.is_better((found.score, found.loss), (best.score, best.loss));
        if eligible && self.best.as_ref().is_none_or(better) {
            let (score, loss) = (found.score, found.loss);
            self.best = Some(Best { params: candidate.params.clone(), epoch: self.clock.epoch + 1, score, loss });
        }
    }

    /// On to the next epoch.
    pub(crate) fn turn(&mut self) {
        self.clock = Clock { epoch: self.clock.epoch + 1, ..Clock::default() };
    }

    /// Named numbers of the priors, for the log: `sparsity.strength`.
    pub fn prior_numbers(&self, task: &Task<'_>) -> BTreeMap<String, f64> {
        let all = task.priors.iter().zip(&self.states);
        all.flat_map(|(p, s)| s.numbers.iter().map(move |(k, v)| (format!("{}.{k}", p.name), *v))).collect()
    }
}

/// What gradients are multiplied with to clip the norm of all together, whose `square` is asked for where it is needed.
fn scale(clip: f64, square: impl FnOnce() -> Result<f64>) -> Result<f32> {
    if clip == 0.0 {
        return Ok(1.0);
    }
    Ok((clip / square()?.sqrt().max(clip)) as f32)
}

impl Frame {
    /// What holds in an epoch of the phase number `phase`, the `within`-th of it.
    pub(crate) fn new(task: &Task<'_>, trainer: &Trainer, phase: usize, within: usize) -> Result<Self> {
        let (settings, net) = (task.settings, &trainer.network);
        let settings_of_phase = &settings.phase[phase];
        let mut frozen = flags(&net.graph, &settings_of_phase.frozen(within))?;
        let own = settings.own(&net.graph)?;
        let list = net.params.list();
        let factor = |p: &Param| if p.role.is_trained() && !frozen[p.node] { own[p.node].rate } else { 0.0 };
        let is_weight = |p: &Param| p.role == Role::Weight;
        // Prototypes are places among embeddings, and none is near 0 for being simple.
        let shrinks = |p: &Param| is_weight(p) && !matches!(net.graph.nodes()[p.node].op, Op::Prototypes { .. });
        let decay = |p: &Param| if shrinks(p) && own[p.node].stay == 0.0 { own[p.node].decay } else { 0.0 };
        let stay = |p: &Param| if is_weight(p) { own[p.node].stay } else { 0.0 };
        let factors = list.iter().map(factor).collect();
        let (decays, stays) = (list.iter().map(decay).collect(), list.iter().map(stay).collect());
        for (frozen, still) in frozen.iter_mut().zip(flags(&net.graph, &settings_of_phase.freeze_statistics)?) {
            *frozen |= still;
        }
        let (mut steered, mut settled) = (vec![], !settings.will_push(phase, within));
        for (p, scope) in task.priors.iter().zip(&trainer.scopes) {
            let epochs = Steered::at(settings, &settings.steers(&p.name, scope, &net.graph)?, phase, within);
            settled &= epochs.ends() || !p.prior.claims(scope).is_empty();
            steered.push(epochs);
        }
        Ok(Self { frozen, factors, decays, stays, steered, settled })
    }

    /// The step after which the share `done` of the epoch is done, at the learning rate `rate`.
    pub(crate) fn moment(&self, rate: f64, done: f64) -> Moment<'_> {
        Moment { frame: self, rate, rates: self.factors.iter().map(|factor| factor * rate).collect(), done }
    }
}

impl Steered {
    /// At the `within`-th epoch of the phase number `phase`, for a prior that steers in the phases of `steers`.
    fn at(settings: &Train, steers: &[bool], phase: usize, within: usize) -> Self {
        let epochs = |phases: usize| {
            let all = settings.phase.iter().zip(steers).take(phases);
            all.filter(|(_, steers)| **steers).map(|(p, _)| p.epochs).sum::<usize>()
        };
        let now = steers[phase];
        Self { now, before: epochs(phase) + if now { within } else { 0 }, all: epochs(steers.len()) }
    }

    /// Whether it steers in no later epoch.
    fn ends(&self) -> bool {
        self.before + usize::from(self.now) == self.all
    }
}

impl Train {
    /// For each phase, whether the prior called `name` steers in it: the phase lets it, and trains anything that it
    /// acts on.
    ///
    /// # Errors
    /// If a pattern of a group or a phase matches nothing.
    pub fn steers(&self, name: &str, scope: &Scope, graph: &Graph) -> Result<Vec<bool>> {
        let own = self.own(graph)?;
        let steers = |phase: &Phase| {
            let named = phase.priors.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
            let frozen = graph.select(&phase.freeze, "node", |_| true)?;
            let trained = |node: &NodeId| !frozen.contains(node) && own[*node].rate > 0.0;
            Ok(named && phase.learning_rate > 0.0 && scope.nodes.iter().any(trained))
        };
        self.phase.iter().map(steers).collect()
    }

    /// How each node is trained.
    fn own(&self, graph: &Graph) -> Result<Vec<Own>> {
        let decay = self.optimizer.weight_decay();
        let of_layers = layer_factors(graph, self.layer_decay);
        let mut own: Vec<Own> = of_layers.iter().map(|&rate| Own { rate, decay, stay: 0.0 }).collect();
        for group in &self.group {
            for id in graph.select(&group.nodes, "node", |_| true)? {
                let decay = group.weight_decay.unwrap_or(own[id].decay);
                own[id] = Own { rate: of_layers[id] * group.rate, decay, stay: group.stay };
            }
        }
        Ok(own)
    }
}

/// How a node is trained.
#[derive(Clone, Copy)]
struct Own {
    /// What the learning rate is multiplied with.
    rate: f64,
    /// Weight decay.
    decay: f64,
    /// How strongly weights are drawn to their first values.
    stay: f64,
}

/// By node: `decay` to the power of the number of layers with weights on the longest way from the node to the output.
fn layer_factors(graph: &Graph, decay: f64) -> Vec<f64> {
    let nodes = graph.nodes();
    let mut behind = vec![0; nodes.len()];
    for (id, node) in nodes.iter().enumerate().rev() {
        let with_own = behind[id] + i32::from(has_weights(&node.op));
        node.inputs.iter().for_each(|&input| behind[input] = behind[input].max(with_own));
    }
    behind.into_iter().map(|layers| decay.powi(layers)).collect()
}

fn has_weights(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv2d { .. }
            | Op::ConvTranspose2d { .. }
            | Op::BCosConv2d { .. }
            | Op::Linear { .. }
            | Op::Prototypes { .. }
    )
}

/// For each node, whether it matches one of the patterns.
fn flags(graph: &Graph, patterns: &[String]) -> Result<Vec<bool>> {
    let mut flags = vec![false; graph.nodes().len()];
    graph.select(patterns, "node", |_| true)?.into_iter().for_each(|id| flags[id] = true);
    Ok(flags)
}
