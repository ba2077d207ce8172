//! The shortcut without parameters of residual networks.

use candle_core::{Device, Tensor};

use crate::device::on_cuda;
use crate::{OpError, Result, channels_last};

/// Every `stride`-th pixel of `x` (N, C, H, W), with `before` zero channels before its own and `after` after them:
/// (N, `before` + C + `after`, ceil(H / stride), ceil(W / stride)). Option A of He et al. 2016, arXiv 1512.03385,
/// section 4.2.
///
/// # Errors
/// If `x` is no batch of maps, or the stride is 0.
pub fn pad_shortcut(x: &Tensor, [before, after]: [usize; 2], stride: usize) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if stride == 0 {
        let (given, expected) = ("stride 0".into(), "a stride of 1 or more".into());
        return Err(OpError::Value { op: "pad_shortcut", given, expected });
    }
    on_cuda!(x, crate::cuda::pad_shortcut(x, [before, after], stride));
    let rows = x.permute((0, 2, 3, 1))?.contiguous()?; // (N, H, W, C), as it lies in memory
    let taken = rows.index_select(&every(h, stride)?, 1)?.index_select(&every(w, stride)?, 2)?;
    channels_last(&taken.pad_with_zeros(3, before, after)?.permute((0, 3, 1, 2))?)
}

/// The gradient with respect to the input, of shape `input`, before whose channels `before` were added.
///
/// # Errors
/// If `grad` is not of the output's shape.
pub fn pad_shortcut_backward(grad: &Tensor, input: &[usize], before: usize, stride: usize) -> Result<Tensor> {
    let &[n, channels, h, w] = input else {
        let given = format!("an input of shape {input:?}");
        return Err(OpError::Shape { op: "pad_shortcut_backward", given, expected: "(N, C, H, W)".into() });
    };
    if grad.dim(1)? < before.saturating_add(channels) {
        let (given, expected) = (format!("grad {:?}", grad.dims()), format!("{before} channels more than {channels}"));
        return Err(OpError::Shape { op: "pad_shortcut_backward", given, expected });
    }
    on_cuda!(grad, crate::cuda::pad_shortcut_backward(grad, [n, channels, h, w], before, stride));
    let kept = grad.narrow(1, before, channels)?.permute((0, 2, 3, 1))?.contiguous()?; // (N, H', W', C)
    let zeros = |h: usize, w: usize| Tensor::zeros((n, h, w, channels), grad.dtype(), &Device::Cpu);
    let rows = zeros(h, kept.dim(2)?)?.index_add(&every(h, stride)?, &kept, 1)?;
    let all = zeros(h, w)?.index_add(&every(w, stride)?, &rows, 2)?;
    channels_last(&all.permute((0, 3, 1, 2))?)
}

/// The positions 0, stride, 2 stride, ... below `size`.
fn every(size: usize, stride: usize) -> Result<Tensor> {
    let positions: Vec<u32> = (0..size as u32).step_by(stride).collect();
    let count = positions.len();
    Ok(Tensor::from_vec(positions, count, &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_stride_of_zero_is_refused() {
        let x = Tensor::zeros((1, 2, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(pad_shortcut(&x, [1, 1], 0), Err(OpError::Value { .. })));
    }
}
