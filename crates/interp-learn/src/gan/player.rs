//! One of the two networks, with its optimizer.

use candle_core::{DType, Tensor};
use interp_net::{Grads, Network, Params, Role};

use crate::prior::change;
use crate::{Optimizer, Result};

/// A network in the midst of the game.
#[derive(Clone, Debug)]
pub struct Player {
    /// The network as it is trained.
    pub network: Network,
    /// The optimizer's buffers, by position.
    pub(super) buffers: Vec<Vec<Vec<f32>>>,
    /// Steps done.
    pub(super) steps: u64,
}

impl Player {
    pub(super) fn new(network: Network, optimizer: &Optimizer) -> Self {
        let buffers = |param: &interp_net::Param| {
            let count = if param.role.is_trained() { param.value.elem_count() } else { 0 };
            vec![vec![0.0; count]; optimizer.buffers().len()]
        };
        let buffers = network.params.list().iter().map(buffers).collect();
        Self { network, buffers, steps: 0 }
    }

    /// Positions of what is trained.
    pub(super) fn trained(&self) -> Vec<usize> {
        let list = self.network.params.list();
        (0..list.len()).filter(|&position| list[position].role.is_trained()).collect()
    }

    /// One step of the optimizer.
    pub(super) fn update(&mut self, optimizer: &Optimizer, rate: f64, grads: &[(usize, Tensor)]) -> Result<()> {
        self.steps += 1;
        for (position, grad) in grads {
            let grad = grad.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            let decay = decay(optimizer, &self.network.params, *position);
            let (buffers, steps) = (&mut self.buffers[*position], self.steps);
            change(&mut self.network.params, *position, |w| optimizer.step(w, &grad, buffers, rate, decay, steps))?;
        }
        Ok(())
    }
}

/// Weights decay, biases and norms do not.
fn decay(optimizer: &Optimizer, params: &Params, position: usize) -> f64 {
    if params.list()[position].role == Role::Weight { optimizer.weight_decay() } else { 0.0 }
}

/// Gradients at these positions.
pub(super) fn taken(grads: &Grads, positions: &[usize]) -> Vec<(usize, Tensor)> {
    positions.iter().filter_map(|&position| Some((position, grads.param(position)?.clone()))).collect()
}
