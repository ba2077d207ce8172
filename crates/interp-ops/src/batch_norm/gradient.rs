//! The gradients of batch normalization, and of what comes then.

use super::functions::{Scaled, Terms, ThroughStatistics};
use super::passes::{Beside, map};
use super::pooled::Spread;
use super::statistics::{Sums, gradient_sums};
use super::{BatchNormGrads, Call, Channels, Statistics, Then, as_type, refuse_empty};
use crate::Result;
use crate::memory::{Dense, expect_shape, four, numbers, rounded, tensor};
use crate::real::Real;
use candle_core::Tensor;

pub(super) fn backward<T: Real>(
    call: &Call<'_>,
    x: &Tensor,
    grad: &Tensor,
    input_wanted: bool,
) -> Result<BatchNormGrads> {
    let [n, c, h, w] = four(call.op, "x", x.dims())?;
    if call.statistics == Statistics::OfTheBatch {
        refuse_empty(call.op, x, n * h * w)?;
    }
    let pooling = call.then.pooling(call.op, x)?;
    let [rows, columns] = pooling.map_or([h, w], |pooling| pooling.output);
    expect_shape(call.op, "grad", grad, &[n, c, rows, columns])?;
    let channels = Channels::new::<T>(call.op, call.norm, c)?;
    let (dense_x, dense_grad) = (Dense::new::<T>(call.op, x)?, Dense::new::<T>(call.op, grad)?);
    let ((storage_x, layout_x), (storage_grad, layout_grad)) = (dense_x.storage(), dense_grad.storage());
    let (values, grads) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_grad, layout_grad)?);
    let constants = channels.constants();
    let grads = match &pooling {
        None => Beside::Each(grads),
        Some(pooling) => Beside::Pooled(Spread::new(values, &constants, pooling, grads)),
    };
    let pass = Pass { values, grads: &grads, constants: &constants, statistics: call.statistics, input_wanted };
    let (sums, input) = match call.then {
        Then::Nothing => pass.run::<false>(&channels.inverse_deviation),
        Then::Relu | Then::ReluMaxPool { .. } => pass.run::<true>(&channels.inverse_deviation),
    };
    let gain: Vec<f64> = sums.of_deviation.iter().zip(&channels.inverse_deviation).map(|(s, d)| s * d).collect();
    Ok(BatchNormGrads {
        input: input.map(|numbers| tensor(numbers, x.dims())).transpose()?,
        gain: rounded::<T>(&gain, &[c])?,
        shift: rounded::<T>(&sums.of_grad, &[c])?,
    })
}

/// What the gradients are computed from.
struct Pass<'a, T> {
    values: &'a [T],
    grads: &'a Beside<'a, T>,
    constants: &'a [Vec<T>; 3],
    statistics: Statistics,
    input_wanted: bool,
}

impl<T: Real> Pass<'_, T> {
    /// The sums, and the gradient of the input where wanted, through a ReLU or not.
    fn run<const RELU: bool>(&self, inverse_deviation: &[f64]) -> (Sums, Option<Vec<T>>) {
        let sums = gradient_sums(Terms::<RELU>, self.values, self.grads, self.constants);
        let input = self.input_wanted.then(|| match self.statistics {
            Statistics::OfTheBatch => {
                let constants = self.constants_through_statistics(&sums, inverse_deviation);
                map(ThroughStatistics::<RELU>, self.values, self.grads, &constants)
            }
            Statistics::Given => map(Scaled::<RELU>, self.values, self.grads, self.constants),
        });
        (sums, input)
    }

    /// With the mean of g, and the slope (mean of g (x - mean)) / (variance + eps), means over the batch.
    fn constants_through_statistics(&self, sums: &Sums, inverse_deviation: &[f64]) -> [Vec<T>; 5] {
        let [mean, scale, shift] = self.constants.clone();
        let pixels = (self.values.len() / mean.len().max(1)) as f64;
        let mean_grad: Vec<f64> = sums.of_grad.iter().map(|sum| sum / pixels).collect();
        let deviations = sums.of_deviation.iter().zip(inverse_deviation);
        let slope: Vec<f64> = deviations.map(|(sum, inverse)| sum / pixels * inverse * inverse).collect();
        [mean, scale, shift, as_type(&mean_grad), as_type(&slope)]
    }
}
