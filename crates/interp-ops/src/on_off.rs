//! Two channels for one: what is above zero, and what is below, each with a sign of its own.

use candle_core::Tensor;

use crate::device::on_cuda;
use crate::{OpError, Result, channels_last};

/// `x` (N, C, H, W) and `-x`, channel after channel: (N, 2 C, H, W). Layers without negative weights need
/// it to see that something is not there, as the ON and OFF cells of a retina tell them.
///
/// # Errors
/// If `x` is no batch of maps.
pub fn on_off(x: &Tensor) -> Result<Tensor> {
    on_cuda!(x, crate::cuda::on_off(x));
    x.dims4()?;
    channels_last(&Tensor::cat(&[x, &x.neg()?], 1)?)
}

/// `x` (N, C, H, W) and `1 - x`, channel after channel: (N, 2 C, H, W). Of pixel values in [0, 1], so that the colors of pixels
/// differ in direction alone, and black is no zero (Böhle et al. 2022, arXiv 2205.10268, section 3.2.2).
///
/// # Errors
/// If `x` is no batch of maps.
pub fn complement(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    channels_last(&Tensor::cat(&[x, &x.affine(-1.0, 1.0)?], 1)?)
}

/// The gradient of [`on_off`], and of [`complement`], with respect to the input.
///
/// # Errors
/// If `grad` is no batch of maps with an even number of channels.
pub fn on_off_backward(grad: &Tensor) -> Result<Tensor> {
    let (_, channels, _, _) = grad.dims4()?;
    if channels % 2 != 0 {
        let given = format!("a gradient of {channels} channels");
        return Err(OpError::Shape { op: "on_off_backward", given, expected: "an even number of them".into() });
    }
    on_cuda!(grad, crate::cuda::on_off_backward(grad));
    let half = channels / 2;
    channels_last(&(grad.narrow(1, 0, half)? - grad.narrow(1, half, half)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::testing::{assert_gradient, list, noise};

    // The operation is linear, so that <y(x), g> = <x, backward(g)> for every g is the whole check.
    #[test]
    fn gives_both_signs_and_backward_is_the_transpose() {
        let x = Tensor::arange(0.0f64, 12.0, &Device::Cpu).unwrap().reshape((1, 2, 3, 2)).unwrap();
        let y = on_off(&x).unwrap();
        assert_eq!(y.dims(), [1, 4, 3, 2]);
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(values(&y)[..12], values(&x));
        assert!(values(&y)[12..].iter().zip(values(&x)).all(|(y, x)| *y == -x));
        let g = y.sin().unwrap();
        let dot = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((dot(&y, &g) - dot(&x, &on_off_backward(&g).unwrap())).abs() < 1e-12);
        assert!(on_off_backward(&x.narrow(1, 0, 1).unwrap()).is_err());
    }

    #[test]
    fn a_complement_is_what_is_missing_to_one() {
        let x = noise(&[2, 3, 2, 2], 1);
        let y = complement(&x).unwrap();
        let (own, rest) = (list(&y.narrow(1, 0, 3).unwrap()), list(&y.narrow(1, 3, 3).unwrap()));
        assert_eq!(own, list(&x));
        assert!(own.iter().zip(rest).all(|(x, rest)| (x + rest - 1.0).abs() < 1e-15));
        let upstream = noise(&[2, 6, 2, 2], 2);
        assert_gradient(&x, &upstream, &on_off_backward(&upstream).unwrap(), |x| complement(x).unwrap());
    }
}
