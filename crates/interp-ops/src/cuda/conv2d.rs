//! Convolution and its gradients, by cuDNN.

use super::call::Call;
use super::cudnn::{self, Direction};
use super::elementwise::channels_last;
use super::linear::add_bias;
use super::sums::channel_sums;
use crate::memory::{expect_shape, wrong_shape};
use crate::{Conv2d, Result, Wanted, WeightGrads};
use candle_core::{DType, Tensor};

/// The shapes of one convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shapes {
    /// (N, I, H, W).
    pub(super) x: [usize; 4],
    /// (O, I / groups, KH, KW).
    pub(super) weight: [usize; 4],
    /// (N, O, OH, OW).
    pub(super) y: [usize; 4],
    pub(super) conv: Conv2d,
}

impl Shapes {
    fn new(op: &'static str, x: &Tensor, weight: &Tensor, conv: &Conv2d) -> Result<Self> {
        let given = || format!("x {:?} and weight {:?} with {conv:?}", x.dims(), weight.dims());
        let wrong =
            || wrong_shape(op, given(), "x (N, I, H, W) and a weight (O, I / groups, KH, KW) that fits into it");
        let (&[n, i, h, w], &[o, of_group, kh, kw]) = (x.dims(), weight.dims()) else { return Err(wrong()) };
        let groups = conv.groups;
        let fits = groups > 0 && of_group.checked_mul(groups) == Some(i) && o % groups == 0;
        let [oh, ow] = conv.output_size([h, w], [kh, kw]).filter(|_| fits).ok_or_else(wrong)?;
        Ok(Self { x: [n, i, h, w], weight: [o, of_group, kh, kw], y: [n, o, oh, ow], conv: *conv })
    }

    /// Whether there is nothing to multiply, which cuDNN does not take.
    fn is_empty(&self) -> bool {
        [self.x, self.weight, self.y].as_flattened().contains(&0)
    }
}

pub(crate) fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let call = Call::new("conv2d", x)?;
    let shapes = Shapes::new(call.op, x, weight, conv)?;
    let y = channels_last(&product(&call, &shapes, Direction::Forward, x, weight)?)?;
    bias.map_or(Ok(y.clone()), |bias| add_bias(&call, &y, bias))
}

pub(crate) fn conv2d_backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &Conv2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    let call = Call::new("conv2d_backward", x)?;
    let shapes = Shapes::new(call.op, x, weight, conv)?;
    expect_shape(call.op, "grad", grad, &shapes.y)?;
    let [n, outputs, height, width] = shapes.y;
    let input = || channels_last(&product(&call, &shapes, Direction::Input, grad, weight)?);
    let bias = || channel_sums(&call, &call.dense(grad)?, n * height * width, outputs);
    Ok(WeightGrads {
        input: wanted.input.then(input).transpose()?,
        weight: wanted.weight.then(|| weight_gradient(&call, &shapes, x, grad)).transpose()?,
        bias: wanted.bias.then(bias).transpose()?,
    })
}

/// Row by row, as weights lie.
fn weight_gradient(call: &Call, shapes: &Shapes, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    Ok(product(call, shapes, Direction::Weight, x, grad)?.contiguous()?)
}

/// What cuDNN makes of two tensors.
fn product(call: &Call, shapes: &Shapes, direction: Direction, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    call.check(a, DType::F32)?;
    call.check(b, DType::F32)?;
    if !shapes.is_empty() {
        return cudnn::run(call, shapes, direction, &a.detach(), &b.detach());
    }
    let shape = direction.result(shapes);
    call.tensor(call.zeros::<f32>(shape.iter().product())?, &shape)
}
