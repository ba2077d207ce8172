//! What is random in a pass.

use candle_core::{DType, Device, Tensor};
use interp_finding::random::stream;
use rand_distr::{Distribution, StandardNormal};

use crate::Result;

/// Which draw a pass in training makes: all that is random in it is a function of these three, and of names of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, counted from 0 over all phases.
    pub epoch: u64,
    /// The batch of the epoch, counted from 0.
    pub batch: u64,
}

impl Draw {
    /// Standard normal numbers of this shape for the node called `node`, picture by picture.
    pub(crate) fn normal(&self, node: &str, shape: &[usize], dtype: DType) -> Result<Tensor> {
        let mut random = stream(self.seed, &format!("sample/{node}"), self.epoch, self.batch);
        let numbers: Vec<f64> =
            (0..shape.iter().product::<usize>()).map(|_| StandardNormal.sample(&mut random)).collect();
        Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?)
    }
}
