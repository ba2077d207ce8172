//! The shortcut without parameters of residual networks.

use candle_core::{Device, Tensor};

use crate::device::on_cuda;
use crate::{OpError, Result, channels_last};

/// Every `stride`-th pixel of `x` (N, C, H, W), with zero channels added evenly before and after:
/// (N, `out_channels`, ceil(H / stride), ceil(W / stride)). Option A of He et al. 2016, arXiv 1512.03385,
/// section 4.2.
///
/// # Errors
/// If `x` is no batch of maps, the stride is 0, or channels cannot be added evenly.
pub fn pad_shortcut(x: &Tensor, out_channels: usize, stride: usize) -> Result<Tensor> {
    let (_, channels, h, w) = x.dims4()?;
    if stride == 0 || out_channels < channels || !(out_channels - channels).is_multiple_of(2) {
        return Err(OpError::Value {
            op: "pad_shortcut",
            given: format!("{out_channels} channels out of {channels}, stride {stride}"),
            expected: "a stride of 1 or more, and an even number of channels to add".into(),
        });
    }
    on_cuda!(x, crate::cuda::pad_shortcut(x, out_channels, stride));
    let side = (out_channels - channels) / 2;
    let rows = x.permute((0, 2, 3, 1))?.contiguous()?; // (N, H, W, C), as it lies in memory
    let taken = rows.index_select(&every(h, stride)?, 1)?.index_select(&every(w, stride)?, 2)?;
    channels_last(&taken.pad_with_zeros(3, side, side)?.permute((0, 3, 1, 2))?)
}

/// The gradient with respect to the input, of shape `input`.
///
/// # Errors
/// If `grad` is not of the output's shape.
pub fn pad_shortcut_backward(grad: &Tensor, input: &[usize], stride: usize) -> Result<Tensor> {
    let &[n, channels, h, w] = input else {
        let given = format!("an input of shape {input:?}");
        return Err(OpError::Shape { op: "pad_shortcut_backward", given, expected: "(N, C, H, W)".into() });
    };
    on_cuda!(grad, crate::cuda::pad_shortcut_backward(grad, [n, channels, h, w], stride));
    let side = (grad.dim(1)?.max(channels) - channels) / 2;
    let kept = grad.narrow(1, side, channels)?.permute((0, 2, 3, 1))?.contiguous()?; // (N, H', W', C)
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
        let y = pad_shortcut(&x, 3, 2).unwrap();
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
        let (x, g) = (ramp(&[2, 2, 5, 4], 0.7), ramp(&[2, 6, 3, 2], 1.3));
        let y = pad_shortcut(&x, 6, 2).unwrap();
        let back = pad_shortcut_backward(&g, &[2, 2, 5, 4], 2).unwrap();
        let dot = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((dot(&y, &g) - dot(&x, &back)).abs() < 1e-12);
    }

    #[test]
    fn odd_widening_is_refused() {
        let x = Tensor::zeros((1, 2, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(pad_shortcut(&x, 5, 2), Err(OpError::Value { .. })));
        assert!(matches!(pad_shortcut(&x, 4, 0), Err(OpError::Value { .. })));
    }
}
