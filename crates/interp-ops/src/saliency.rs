//! How much each pixel differs from the picture's mean color.

use candle_core::Tensor;

use crate::memory::{expect_shape, four};
use crate::{Conv2d, Result, Wanted, channels_last, conv2d, conv2d_backward};

/// The saliency of each pixel of `x` (N, C, H, W): the distance between the picture's mean color and the color around the pixel,
/// smoothed by the binomial filter of 5x5 pixels: (N, 1, H, W) (Achanta et al. 2009, "Frequency-tuned salient region detection",
/// eq. 4, in the colors of x). Beyond the borders lies the mean color.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) unless there are four dimensions and at least one pixel and channel,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn saliency(x: &Tensor) -> Result<Tensor> {
    channels_last(&distances(&smoothed(x)?)?)
}

/// The gradient of [`saliency`] with respect to its input; where the distance is 0, it is 0.
///
/// # Errors
/// As [`saliency`].
pub fn saliency_backward(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let [n, _, h, w] = four("saliency_backward", "x", x.dims())?;
    expect_shape("saliency_backward", "grad", grad, &[n, 1, h, w])?;
    let smoothed = smoothed(x)?;
    let along = smoothed.broadcast_mul(&(grad / distances(&smoothed)?)?)?;
    let wanted = Wanted { input: true, weight: false, bias: false };
    let found = conv2d_backward(x, &binomial(x)?, &along, &same(x)?, wanted)?;
    let centered = found.input.map(|below| centered(&below)).transpose()?;
    channels_last(&centered.unwrap_or(along))
}

/// Added to squared distances.
const EPS: f64 = 1e-12;

/// The length of each pixel's vector, (N, 1, H, W).
fn distances(x: &Tensor) -> Result<Tensor> {
    Ok((x.sqr()?.sum_keepdim(1)? + EPS)?.sqrt()?)
}

/// `x` less its mean over positions.
fn centered(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_sub(&x.mean_keepdim((2, 3))?)?)
}

/// The picture less its mean color, smoothed.
fn smoothed(x: &Tensor) -> Result<Tensor> {
    four("saliency", "x", x.dims())?;
    conv2d(&centered(x)?, &binomial(x)?, None, &same(x)?)
}

/// Each channel by itself, with as many positions as before.
fn same(x: &Tensor) -> Result<Conv2d> {
    Ok(Conv2d { padding: [2, 2], groups: x.dim(1)?, ..Conv2d::default() })
}

/// [1, 4, 6, 4, 1] / 16 along both axes, for each channel of `x`: (C, 1, 5, 5).
fn binomial(x: &Tensor) -> Result<Tensor> {
    let line = Tensor::new(&[0.0625, 0.25, 0.375, 0.25, 0.0625f64], x.device())?;
    let square = line.unsqueeze(1)?.broadcast_mul(&line.unsqueeze(0)?)?.to_dtype(x.dtype())?; // (5, 5)
    Ok(square.broadcast_as((x.dim(1)?, 1, 5, 5))?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, list, noise, tensor64, to_f32};

    // One pixel of 25 is 1: the mean is 0.04, the filter's middle 36 / 256, and all of it lies within the picture.
    #[test]
    fn a_single_pixel_in_closed_form() {
        let mut pixels = [0.0; 25];
        pixels[12] = 1.0;
        let map = list(&saliency(&tensor64(&pixels, &[1, 1, 5, 5])).unwrap());
        assert!((map[12] - (36.0 / 256.0 - 0.04)).abs() < 1e-9);
        // Two to the left the filter's end [1, 4, 6, 4, 1] sees the pixel with 6 / 256, and two columns lie beyond the border.
        assert!((map[10] - (0.04 * 11.0 / 16.0 - 6.0 / 256.0)).abs() < 1e-9);
    }

    // Colors (3, 0) and (0, 4) over halves of a wide picture: half their distance, 2.5, far from the edge between both.
    #[test]
    fn distances_are_those_of_colors() {
        let half = |near: f64, far: f64| (0..4 * 12).map(move |at| if at % 12 < 6 { near } else { far });
        let pixels: Vec<f64> = half(3.0, 0.0).chain(half(0.0, 4.0)).collect();
        let x = tensor64(&pixels, &[1, 2, 4, 12]).pad_with_same(2, 4, 4).unwrap();
        let map = saliency(&x).unwrap().squeeze(0).unwrap().squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        assert!((map[6][3] - 2.5).abs() < 1e-10 && (map[6][8] - 2.5).abs() < 1e-10);
        let flat = list(&saliency(&tensor64(&[0.7; 48], &[1, 3, 4, 4])).unwrap());
        assert!(flat.iter().all(|s| *s < 2e-6));
    }

    #[test]
    fn gradients_are_central_differences() {
        for shape in [[2, 3, 5, 4], [1, 1, 6, 6], [1, 2, 1, 3]] {
            // Near a distance of 0 differences are not exact.
            let x = noise(&shape, 1).affine(10.0, 0.0).unwrap();
            let upstream = noise(&[shape[0], 1, shape[2], shape[3]], 2);
            assert_gradient(&x, &upstream, &saliency_backward(&x, &upstream).unwrap(), |x| saliency(x).unwrap());
        }
    }

    #[test]
    fn threads_type_and_the_batch_do_not_matter() {
        let (x, upstream) = (noise(&[5, 3, 16, 16], 1), noise(&[5, 1, 16, 16], 2));
        assert_same_on_all_threads(|| vec![saliency(&x).unwrap(), saliency_backward(&x, &upstream).unwrap()]);
        let x = to_f32(&x);
        let (map, one) = (saliency(&x).unwrap(), saliency(&x.narrow(0, 3, 1).unwrap()).unwrap());
        assert_eq!(bits(&one), bits(&map.narrow(0, 3, 1).unwrap()));
        assert!(map.permute((0, 2, 3, 1)).unwrap().is_contiguous());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(matches!(saliency(&noise(&[3, 4], 1)), Err(OpError::Shape { .. })));
        let wrong = saliency_backward(&noise(&[1, 3, 4, 4], 1), &noise(&[1, 3, 4, 4], 1));
        assert!(matches!(wrong, Err(OpError::Shape { .. })));
    }
}
