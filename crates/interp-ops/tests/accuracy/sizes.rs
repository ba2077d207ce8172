use candle_core::{DType, Device, Tensor};
use interp_ops::Result;

use crate::cases::{Case, NORM_EPS, Op, Tensors, classes, map};

/// For every result the sum of its terms without their signs, from f64 inputs and results, as in make_accuracy.py.
pub(crate) fn sizes(case: &Case, given: &Tensors, grad: &Tensor, exact: &Tensors) -> Result<Tensors> {
    let grad = grad.abs()?;
    match case.op {
        Op::BatchNorm => norm(given, &grad),
        Op::CrossEntropy => softmax(&given["x"], exact),
        Op::MaxPool2d { .. } => case.results(given, &grad),
        Op::Conv2d { .. } | Op::Linear { .. } | Op::AvgPool2d { .. } | Op::GlobalAvgPool => {
            case.results(&map(given, Tensor::abs)?, &grad)
        }
    }
}

/// The formulas of batch norm and its gradients, with sums for differences.
fn norm(given: &Tensors, grad: &Tensor) -> Result<Tensors> {
    let (x, size) = (&given["x"], given["x"].abs()?);
    let (mean, inverse) = (mean(x)?.abs()?, inverse_deviation(x)?);
    let scale = (per_channel(&given["gain"])? * &inverse)?; // (1, C, 1, 1)
    let normed = size.broadcast_add(&mean)?.broadcast_mul(&inverse)?;
    let product = (grad * &normed)?;
    Ok(Tensors::from([
        ("output", norm_output(&size, &scale)?.broadcast_add(&per_channel(&given["shift"])?)?),
        ("x", norm_input(grad, &normed)?.broadcast_mul(&scale)?),
        ("gain", product.sum((0, 2, 3))?),
        ("shift", grad.sum((0, 2, 3))?),
    ]))
}

fn norm_output(size: &Tensor, scale: &Tensor) -> Result<Tensor> {
    Ok(size.broadcast_add(&mean(size)?)?.broadcast_mul(scale)?)
}

fn norm_input(grad: &Tensor, normed: &Tensor) -> Result<Tensor> {
    let slope = mean(&(grad * normed)?)?;
    Ok((grad.broadcast_add(&mean(grad)?)? + normed.broadcast_mul(&slope)?)?)
}

/// The mean of every channel, (1, C, 1, 1).
fn mean(t: &Tensor) -> Result<Tensor> {
    Ok(t.mean_keepdim((0, 2, 3))?)
}

fn inverse_deviation(x: &Tensor) -> Result<Tensor> {
    let variance = (mean(&x.sqr()?)? - mean(x)?.sqr()?)?;
    Ok((variance + NORM_EPS)?.sqrt()?.recip()?)
}

/// (C) without signs as (1, C, 1, 1).
fn per_channel(t: &Tensor) -> Result<Tensor> {
    Ok(t.abs()?.reshape((1, (), 1, 1))?)
}

/// Logarithm minus logit and softmax minus target, as sums.
fn softmax(logits: &Tensor, exact: &Tensors) -> Result<Tensors> {
    let classes = Tensor::new(classes(logits), &Device::Cpu)?.unsqueeze(1)?; // (N, 1)
    let ones = Tensor::ones(classes.shape(), DType::F64, &Device::Cpu)?;
    let target = logits.zeros_like()?.scatter_add(&classes, &ones, 1)?;
    let of_target = logits.gather(&classes, 1)?.abs()?.mean_all()?;
    let share = 2.0 / logits.dim(0)? as f64;
    let output = (&exact["output"] + (of_target * 2.0)?)?;
    Ok(Tensors::from([("output", output), ("x", (&exact["x"] + (target * share)?)?)]))
}
