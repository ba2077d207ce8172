//! Teachers: trained networks that a network learns from.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Batch, Info};
use interp_net::{Graph, Keep, Mode, Network, Normalization, Tape};

use super::{Cache, Distillation, Lesson, Side};
use crate::prior::{State, Term};
use crate::{Result, to_tensor};

/// A way of teaching in a recipe.
#[derive(Clone)]
pub struct Teaching {
    /// Its name in the log.
    pub name: String,
    /// What its loss is multiplied with.
    pub weight: f64,
    /// Epochs over which the weight grows from 0.
    pub warmup: f64,
    /// The loss.
    pub loss: Arc<dyn Distillation>,
}

/// A trained network that a network learns from. It is run as in evaluation, and nothing of it changes.
#[derive(Clone)]
pub struct Teacher {
    /// The network, where it is run.
    pub network: Network,
    /// How it takes its pictures.
    pub normalization: Normalization,
    /// What all its losses are multiplied with: the shares of several teachers.
    pub weight: f64,
    /// How it teaches.
    pub teachings: Vec<Teaching>,
    /// Where its logits are kept.
    pub cache: Option<Arc<Cache>>,
}

/// What a teacher made of a batch.
struct Seen {
    logits: Tensor,
    tape: Option<Tape>,
}

/// What a student did with a batch, and where training stands.
pub(crate) struct Taught<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) info: &'a Info,
    pub(crate) student: Side<'a>,
    /// The epoch, counted from 0.
    pub(crate) epoch: usize,
    /// Epochs done after the step, with the part of the present one.
    pub(crate) done: f64,
    /// The learning rate of the step.
    pub(crate) rate: f64,
}

impl Teacher {
    /// The same teacher, run on a device.
    ///
    /// # Errors
    /// Where the device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { network: self.network.to_device(device)?, ..self.clone() })
    }

    /// What its ways of teaching remember before the first step.
    pub(crate) fn prepare(&self, student: &Graph, seed: u64) -> Result<Vec<State>> {
        self.teachings.iter().map(|teaching| teaching.loss.prepare(student, &self.network.graph, seed)).collect()
    }

    /// The student's nodes that it reads.
    pub(crate) fn student_nodes(&self) -> impl Iterator<Item = String> {
        self.teachings.iter().flat_map(|teaching| teaching.loss.student_nodes())
    }

    /// The weighted sum of its losses, with its gradients.
    pub(crate) fn teach(&self, taught: &Taught<'_>, states: &mut [State]) -> Result<Term> {
        let seen = self.seen(taught)?;
        let teacher = Side { graph: &self.network.graph, logits: &seen.logits, tape: seen.tape.as_ref() };
        let lesson = Lesson { labels: &taught.batch.labels, student: taught.student, teacher, rate: taught.rate };
        let mut sum = Term::default();
        for (teaching, state) in self.teachings.iter().zip(states) {
            let term = teaching.loss.loss(&lesson, state)?;
            let weight = self.weight * teaching.weight * teaching.grown(taught.done);
            sum.value += weight * term.value;
            for (node, grad) in term.nodes {
                sum.nodes.push((node, (grad * weight)?));
            }
        }
        Ok(sum)
    }

    /// What it makes of a batch: from the cache where that has it and logits are enough.
    fn seen(&self, taught: &Taught<'_>) -> Result<Seen> {
        let nodes: Vec<String> = self.teachings.iter().flat_map(|teaching| teaching.loss.teacher_nodes()).collect();
        let (cache, indices) = (self.cache.as_ref().filter(|_| nodes.is_empty()), &taught.batch.indices);
        if let Some(cache) = cache
            && let Some(logits) = cache.get(taught.epoch, indices)?
        {
            let shape = (indices.len(), self.network.graph.outputs());
            return Ok(Seen { logits: Tensor::from_vec(logits, shape, &Device::Cpu)?, tape: None });
        }
        let keep = if nodes.is_empty() { Keep::Output } else { Keep::Nodes(nodes) };
        let tape = self.network.forward(&self.input(taught.batch, taught.info)?, Mode::Eval, &keep)?;
        let logits = tape.output(&self.network.graph)?.to_device(&Device::Cpu)?;
        if let Some(cache) = cache {
            cache.put(taught.epoch, indices, &logits.flatten_all()?.to_vec1()?)?;
        }
        Ok(Seen { logits, tape: Some(tape) })
    }

    /// The batch as the teacher takes it, (N, C, H, W): normalized as it was trained.
    fn input(&self, batch: &Batch, info: &Info) -> Result<Tensor> {
        let Normalization { mean, std } = &self.normalization;
        if (mean, std) == (&info.mean, &info.std) {
            return to_tensor(batch, info);
        }
        let channels = info.channels;
        let scale: Vec<f32> = (0..channels).map(|c| info.std[c] / std[c]).collect();
        let shift: Vec<f32> = (0..channels).map(|c| (info.mean[c] - mean[c]) / std[c]).collect();
        let mut own = batch.clone();
        for pixel in own.images.chunks_exact_mut(channels) {
            pixel.iter_mut().zip(&scale).zip(&shift).for_each(|((x, scale), shift)| *x = *x * scale + shift);
        }
        to_tensor(&own, info)
    }
}

impl Teaching {
    /// The share of its weight after so many epochs.
    fn grown(&self, epochs: f64) -> f64 {
        if epochs < self.warmup { epochs / self.warmup } else { 1.0 }
    }
}
