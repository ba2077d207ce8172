//! Both networks as named tensors and plain data, and back.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use interp_net::Network;
use serde::{Deserialize, Serialize};

use super::step::GanClock;
use super::{Game, Gan, Player};
use crate::{LearnError, Optimizer, Result};

/// The part of what is saved that is not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanSnapshot {
    clock: GanClock,
    /// Steps of the generator's and of the recognizer's optimizer.
    steps: [u64; 2],
}

type Tensors = BTreeMap<String, Tensor>;

const GENERATOR: &str = "generator";
const RECOGNIZER: &str = "recognizer";

impl Gan {
    /// Everything that training needs to go on: plain data, and tensors under `generator/` and `recognizer/`: `params/`, the optimizer's
    /// buffers, and `spectral/`, the singular vectors.
    ///
    /// # Errors
    /// Where tensors cannot be made.
    pub fn save(&self, game: &Game<'_>) -> Result<(GanSnapshot, Tensors)> {
        let mut tensors = Tensors::new();
        let optimizer = &game.settings.optimizer;
        put(&mut tensors, GENERATOR, &self.generator, optimizer)?;
        put(&mut tensors, RECOGNIZER, &self.recognizer, optimizer)?;
        for norm in &self.norms {
            let left = Tensor::from_slice(norm.left(), norm.left().len(), &Device::Cpu)?;
            tensors.insert(self.spectral_name(norm.position()), left);
        }
        let steps = [self.generator.steps, self.recognizer.steps];
        Ok((GanSnapshot { clock: self.clock.clone(), steps }, tensors))
    }

    /// As it was saved. The networks give the structure.
    ///
    /// # Errors
    /// If something is missing or of another shape: the state is of another recipe.
    pub fn load(
        [generator, recognizer]: [Network; 2],
        game: &Game<'_>,
        snapshot: GanSnapshot,
        tensors: &Tensors,
    ) -> Result<Self> {
        let mut gan = Self::new(generator, recognizer, game)?;
        let optimizer = &game.settings.optimizer;
        take(tensors, GENERATOR, &mut gan.generator, optimizer)?;
        take(tensors, RECOGNIZER, &mut gan.recognizer, optimizer)?;
        for at in 0..gan.norms.len() {
            let name = gan.spectral_name(gan.norms[at].position());
            gan.norms[at].set_left(find(tensors, &name)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)?;
        }
        (gan.clock, [gan.generator.steps, gan.recognizer.steps]) = (snapshot.clock, snapshot.steps);
        Ok(gan)
    }

    fn spectral_name(&self, position: usize) -> String {
        format!("{RECOGNIZER}/spectral/{}", self.recognizer.network.params.list()[position].name)
    }
}

fn put(tensors: &mut Tensors, folder: &str, player: &Player, optimizer: &Optimizer) -> Result<()> {
    for (param, buffers) in player.network.params.list().iter().zip(&player.buffers) {
        tensors.insert(format!("{folder}/params/{}", param.name), param.value.clone());
        for (name, values) in optimizer.buffers().iter().zip(buffers) {
            let values = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
            tensors.insert(format!("{folder}/{name}/{}", param.name), values);
        }
    }
    Ok(())
}

fn take(tensors: &Tensors, folder: &str, player: &mut Player, optimizer: &Optimizer) -> Result<()> {
    for position in 0..player.network.params.list().len() {
        let own = player.network.params.list()[position].name.clone();
        player.network.params.set(position, find(tensors, &format!("{folder}/params/{own}"))?.clone())?;
        for (buffer, values) in optimizer.buffers().iter().zip(&mut player.buffers[position]) {
            let name = format!("{folder}/{buffer}/{own}");
            let found: Vec<f32> = find(tensors, &name)?.flatten_all()?.to_vec1()?;
            if found.len() != values.len() {
                let problem = format!("`{name}` has {} values, not {}", found.len(), values.len());
                return Err(LearnError::State(problem));
            }
            *values = found;
        }
    }
    Ok(())
}

fn find<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors.get(name).ok_or_else(|| LearnError::State(format!("`{name}` is missing")))
}
