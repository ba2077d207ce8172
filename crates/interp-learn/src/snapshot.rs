//! A trainer as named tensors and plain data, and back.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use interp_net::{Network, Params};
use serde::{Deserialize, Serialize};

use crate::prior::State;
use crate::{Best, Clock, LearnError, Result, Task, Trainer};

/// The part of a saved trainer that is not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    clock: Clock,
    /// Epoch, score and loss of the best network.
    best: Option<(usize, f64, f64)>,
    /// Numbers that the priors remember.
    numbers: Vec<BTreeMap<String, f64>>,
    /// Numbers that the ways of teaching remember.
    #[serde(default)]
    lessons: Vec<BTreeMap<String, f64>>,
    /// Optimizer steps of each parameter.
    counts: Vec<u64>,
}

type Tensors = BTreeMap<String, Tensor>;

impl Trainer {
    /// Everything that training needs to go on: plain data, and tensors under `params/`, `best/`,
    /// `average/`, the optimizer's buffers, `prior.N/` and `lesson.N/`.
    ///
    /// # Errors
    /// Where tensors cannot be made.
    pub fn save(&self, task: &Task<'_>) -> Result<(Snapshot, Tensors)> {
        let mut tensors = Tensors::new();
        put(&mut tensors, "params", &self.network.params);
        if let Some(best) = &self.best {
            put(&mut tensors, "best", &best.params);
        }
        for (position, param) in self.network.params.list().iter().enumerate() {
            let name = &param.name;
            let vector = |values: &Vec<f32>| Tensor::from_slice(values, values.len(), &Device::Cpu);
            for (buffer, values) in task.settings.optimizer.buffers().iter().zip(self.buffers[position].vectors()?) {
                tensors.insert(format!("{buffer}/{name}"), values);
            }
            if let Some(values) = self.average.get(position) {
                tensors.insert(format!("average/{name}"), vector(values)?);
            }
        }
        put_states(&mut tensors, PRIORS, &self.states);
        put_states(&mut tensors, LESSONS, &self.lessons);
        let best = self.best.as_ref().map(|best| (best.epoch, best.score.value(), best.loss));
        let numbers = |states: &[State]| states.iter().map(|state| state.numbers.clone()).collect();
        let (numbers, lessons) = (numbers(&self.states), numbers(&self.lessons));
        let (clock, counts) = (self.clock.clone(), self.counts.clone());
        Ok((Snapshot { clock, best, numbers, lessons, counts }, tensors))
    }

    /// A trainer as it was saved. `network` gives the structure.
    ///
    /// # Errors
    /// If something is missing or of another shape: the state is of another recipe.
    pub fn load(network: Network, task: &Task<'_>, snapshot: Snapshot, tensors: &Tensors) -> Result<Self> {
        let mut trainer = Self::new(network, task)?;
        if snapshot.numbers.len() != trainer.states.len() || snapshot.counts.len() != trainer.counts.len() {
            return Err(LearnError::State("it has other priors or parameters".into()));
        }
        if snapshot.lessons.len() != trainer.lessons.len() {
            return Err(LearnError::State("it has other teachers".into()));
        }
        take(tensors, "params", &mut trainer.network.params)?;
        if let Some((epoch, score, loss)) = snapshot.best {
            let mut params = trainer.network.params.clone();
            take(tensors, "best", &mut params)?;
            let score = task.objective.score(score);
            trainer.best = Some(Best { params, epoch, score, loss });
        }
        for (position, param) in trainer.network.params.list().iter().enumerate() {
            let name = &param.name;
            let buffers = &mut trainer.buffers[position];
            for (index, buffer) in task.settings.optimizer.buffers().iter().enumerate() {
                buffers.refill(index, numbers(tensors, &format!("{buffer}/{name}"), buffers.len(index))?)?;
            }
            if let Some(values) = trainer.average.get_mut(position) {
                *values = numbers(tensors, &format!("average/{name}"), values.len())?;
            }
        }
        take_states(tensors, PRIORS, &mut trainer.states, snapshot.numbers)?;
        take_states(tensors, LESSONS, &mut trainer.lessons, snapshot.lessons)?;
        (trainer.clock, trainer.counts) = (snapshot.clock, snapshot.counts);
        Ok(trainer)
    }
}

/// What the names of tensors that priors remember begin with, before their number.
const PRIORS: &str = "prior";

/// The same for ways of teaching.
const LESSONS: &str = "lesson";

fn put_states(tensors: &mut Tensors, folder: &str, states: &[State]) {
    for (index, state) in states.iter().enumerate() {
        tensors.extend(state.tensors.iter().map(|(name, t)| (format!("{folder}.{index}/{name}"), t.clone())));
    }
}

fn take_states(
    tensors: &Tensors,
    folder: &str,
    states: &mut [State],
    numbers: Vec<BTreeMap<String, f64>>,
) -> Result<()> {
    for (index, (state, numbers)) in states.iter_mut().zip(numbers).enumerate() {
        state.numbers = numbers;
        let folder = format!("{folder}.{index}/");
        let saved = tensors.iter().filter_map(|(name, t)| Some((name.strip_prefix(&folder)?.to_owned(), t.clone())));
        let saved: Tensors = saved.collect();
        if let Some(missing) = state.tensors.keys().find(|name| !saved.contains_key(*name)) {
            return Err(LearnError::State(format!("`{folder}{missing}` is missing")));
        }
        state.tensors = saved;
    }
    Ok(())
}

fn put(tensors: &mut Tensors, folder: &str, params: &Params) {
    tensors.extend(params.list().iter().map(|p| (format!("{folder}/{}", p.name), p.value.clone())));
}

fn take(tensors: &Tensors, folder: &str, params: &mut Params) -> Result<()> {
    for position in 0..params.list().len() {
        let value = find(tensors, &format!("{folder}/{}", params.list()[position].name))?.clone();
        params.set(position, value)?;
    }
    Ok(())
}

fn find<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors.get(name).ok_or_else(|| LearnError::State(format!("`{name}` is missing")))
}

fn numbers(tensors: &Tensors, name: &str, count: usize) -> Result<Vec<f32>> {
    let found: Vec<f32> = find(tensors, name)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    match found.len() == count {
        true => Ok(found),
        false => Err(LearnError::State(format!("`{name}` has {} values, not {count}", found.len()))),
    }
}
