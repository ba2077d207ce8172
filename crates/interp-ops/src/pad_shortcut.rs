//! The shortcut without parameters of residual networks.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, four, numbers, tensor};
use crate::real::{Real, by_dtype};
use crate::{OpError, Result};

/// Every `stride`-th pixel of `x` (N, C, H, W), with `before` zero channels before its own and `after` after them:
/// (N, `before` + C + `after`, ceil(H / stride), ceil(W / stride)). Option A of He et al. 2016, arXiv 1512.03385,
/// section 4.2.
///
/// # Errors
/// If `x` is no batch of maps, or the stride is 0.
pub fn pad_shortcut(x: &Tensor, [before, after]: [usize; 2], stride: usize) -> Result<Tensor> {
    four("pad_shortcut", "x", x.dims())?;
    check("pad_shortcut", stride)?;
    on_cuda!(x, crate::cuda::pad_shortcut(x, [before, after], stride));
    by_dtype!("pad_shortcut", x, taken(x, [before, after], stride))
}

/// The gradient with respect to the input, of shape `input`, before whose channels `before` were added.
///
/// # Errors
/// If `grad` is not of the output's shape, or the stride is 0.
pub fn pad_shortcut_backward(grad: &Tensor, input: &[usize], before: usize, stride: usize) -> Result<Tensor> {
    let [n, channels, h, w] = four("pad_shortcut_backward", "an input of shape", input)?;
    check("pad_shortcut_backward", stride)?;
    if grad.dim(1)? < before.saturating_add(channels) {
        let (given, expected) = (format!("grad {:?}", grad.dims()), format!("{before} channels more than {channels}"));
        return Err(OpError::Shape { op: "pad_shortcut_backward", given, expected });
    }
    on_cuda!(grad, crate::cuda::pad_shortcut_backward(grad, [n, channels, h, w], before, stride));
    by_dtype!("pad_shortcut_backward", grad, put_back(grad, [n, channels, h, w], before, stride))
}

fn check(op: &'static str, stride: usize) -> Result<()> {
    if stride > 0 {
        return Ok(());
    }
    Err(OpError::Value { op, given: "stride 0".into(), expected: "a stride of 1 or more".into() })
}

fn taken<T: Real>(x: &Tensor, [before, after]: [usize; 2], stride: usize) -> Result<Tensor> {
    const OP: &str = "pad_shortcut";
    let [n, c, h, w] = four(OP, "x", x.dims())?;
    let dense = Dense::new::<T>(OP, x)?;
    let (storage, layout) = dense.storage();
    let x = numbers::<T>(&storage, layout)?;
    let (height, width, channels) = (h.div_ceil(stride), w.div_ceil(stride), before + c + after);
    let mut out = vec![T::zero(); n * height * width * channels];
    out.par_chunks_mut((width * channels).max(1)).enumerate().for_each(|(row, out)| {
        let first = (row / height * h + row % height * stride) * w * c;
        let pixels = x[first..first + w * c].chunks(c.max(1)).step_by(stride);
        out.chunks_mut(channels.max(1))
            .zip(pixels)
            .for_each(|(out, pixel)| out[before..before + c].copy_from_slice(pixel));
    });
    tensor(out, &[n, channels, height, width])
}

fn put_back<T: Real>(grad: &Tensor, input: [usize; 4], before: usize, stride: usize) -> Result<Tensor> {
    const OP: &str = "pad_shortcut_backward";
    let [n, c, h, w] = input;
    let (height, width, channels) = (h.div_ceil(stride), w.div_ceil(stride), grad.dim(1)?);
    expect_shape(OP, "grad", grad, &[n, channels, height, width])?;
    let dense = Dense::new::<T>(OP, grad)?;
    let (storage, layout) = dense.storage();
    let grads = numbers::<T>(&storage, layout)?;
    let mut out = vec![T::zero(); n * h * w * c];
    let rows = out.par_chunks_mut((w * c).max(1)).enumerate().filter(|(row, _)| (row % h).is_multiple_of(stride));
    rows.for_each(|(row, out)| {
        let first = (row / h * height + row % h / stride) * width * channels;
        let pixels = grads[first..first + width * channels].chunks(channels.max(1));
        let out = out.chunks_mut(c.max(1)).step_by(stride);
        out.zip(pixels).for_each(|(out, pixel)| out.copy_from_slice(&pixel[before..before + c]));
    });
    tensor(out, &input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{layouts, list, noise, to_f32};
    use candle_core::Device;

    #[test]
    fn takes_every_second_pixel_between_zero_channels() {
        let x = Tensor::arange(0.0f64, 15.0, &Device::Cpu).unwrap().reshape((1, 1, 3, 5)).unwrap();
        let y = pad_shortcut(&x, [1, 1], 2).unwrap();
        assert_eq!(y.dims(), [1, 3, 2, 3]);
        let rows = y.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(rows[..6], [0.0; 6]);
        assert_eq!(rows[6..12], [0.0, 2.0, 4.0, 10.0, 12.0, 14.0]);
        assert_eq!(rows[12..], [0.0; 6]);
    }

    // The operation is linear, so that <y(x), g> = <x, backward(g)> for every g is the whole check.
    #[test]
    fn backward_is_the_transpose() {
        let ramp = |shape: &[usize], step: f64| {
            let count = shape.iter().product::<usize>();
            let values: Vec<f64> = (0..count).map(|i| (i as f64 * step).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let (x, g) = (ramp(&[2, 2, 5, 4], 0.7), ramp(&[2, 7, 3, 2], 1.3));
        let y = pad_shortcut(&x, [1, 4], 2).unwrap();
        let back = pad_shortcut_backward(&g, &[2, 2, 5, 4], 1, 2).unwrap();
        let dot = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((dot(&y, &g) - dot(&x, &back)).abs() < 1e-12);
    }

    // Pixel by pixel, of any stride, type and layout, without channels or pictures too; and back.
    #[test]
    fn is_what_it_is_defined_as() {
        for ([n, c, h, w], [before, after], stride) in [
            ([2, 3, 5, 4], [0, 0], 1),
            ([1, 2, 7, 5], [1, 0], 3),
            ([2, 1, 4, 4], [0, 2], 2),
            ([0, 2, 4, 4], [1, 1], 2),
            ([1, 0, 3, 3], [1, 1], 2),
        ] {
            let x = noise(&[n, c, h, w], 1);
            let (rows, columns, channels) = (h.div_ceil(stride), w.div_ceil(stride), before + c + after);
            let values = list(&x);
            let mut expected = vec![0.0; n * channels * rows * columns];
            let mut back = vec![0.0; values.len()];
            let grad = noise(&[n, channels, rows, columns], 2);
            let grads = list(&grad);
            for at in 0..n * c * rows * columns {
                let [picture, channel, row, column] =
                    [at / (c * rows * columns), at / (rows * columns) % c, at / columns % rows, at % columns];
                let to = ((picture * channels + before + channel) * rows + row) * columns + column;
                let from = ((picture * c + channel) * h + row * stride) * w + column * stride;
                expected[to] = values[from];
                back[from] = grads[to];
            }
            for (x, grad) in layouts(&x).iter().zip(&layouts(&grad)) {
                assert_eq!(list(&pad_shortcut(x, [before, after], stride).unwrap()), expected);
                assert_eq!(list(&pad_shortcut_backward(grad, &[n, c, h, w], before, stride).unwrap()), back);
            }
            let single = pad_shortcut(&to_f32(&x), [before, after], stride).unwrap();
            assert!(list(&single).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
        }
        let grad = noise(&[1, 4, 3, 2], 1);
        let wrong = pad_shortcut_backward(&grad, &[1, 2, 5, 5], 1, 2);
        assert!(matches!(wrong, Err(OpError::Shape { .. })));
    }

    #[test]
    fn a_stride_of_zero_is_refused() {
        let x = Tensor::zeros((1, 2, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(pad_shortcut(&x, [1, 1], 0), Err(OpError::Value { .. })));
        assert!(matches!(pad_shortcut_backward(&x, &[1, 2, 4, 4], 0, 0), Err(OpError::Value { .. })));
    }
}
