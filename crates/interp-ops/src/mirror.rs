//! Pictures that go on beyond their borders with their mirror image.

use candle_core::Tensor;

use crate::{OpError, Result, channels_last};

/// `x` (N, C, H, W) with `border` rows above and below and columns at both sides, the cells that lie there mirrored, those at the
/// border first: (N, C, H + 2 border, W + 2 border). What is computed there sees no edge where the picture has none.
///
/// # Errors
/// [`OpError::Shape`] if `x` is no batch of maps, or the border is wider than they are.
pub fn mirror(x: &Tensor, border: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    expect_inside("mirror", [height, width], border)?;
    let mut rows = x.permute((0, 2, 3, 1))?.contiguous()?;
    for (axis, size) in [(1, height), (2, width)] {
        let places: Vec<u32> = (0..size + 2 * border).map(|at| mirrored(at, border, size) as u32).collect();
        rows = rows.index_select(&Tensor::new(places, x.device())?, axis)?;
    }
    channels_last(&rows.permute((0, 3, 1, 2))?)
}

/// The gradient of [`mirror`]: to each cell what reaches it and its mirror images.
///
/// # Errors
/// [`OpError::Shape`] if `grad` is no batch of maps with such a border.
pub fn mirror_backward(grad: &Tensor, border: usize) -> Result<Tensor> {
    let (_, _, height, width) = grad.dims4()?;
    let inner = [height, width].map(|side| side.saturating_sub(border.saturating_mul(2)));
    expect_inside("mirror_backward", inner, border)?;
    let mut rows = grad.permute((0, 2, 3, 1))?.contiguous()?;
    for (axis, size) in [(1, inner[0]), (2, inner[1])] {
        let mut sum = rows.narrow(axis, border, size)?;
        for (start, before) in [(0, 0), (border + size, size - border)] {
            let back = Tensor::new((0..border as u32).rev().collect::<Vec<_>>(), grad.device())?;
            let image = rows.narrow(axis, start, border)?.contiguous()?.index_select(&back, axis)?;
            sum = (sum + image.pad_with_zeros(axis, before, size - border - before)?)?;
        }
        rows = sum.contiguous()?;
    }
    channels_last(&rows.permute((0, 3, 1, 2))?)
}

/// The cell, of `size` of them, that the cell `at` of what [`mirror`] gives repeats on an axis.
pub fn mirrored(at: usize, border: usize, size: usize) -> usize {
    match at {
        at if at < border => border - 1 - at,
        at if at < border + size => at - border,
        at => (2 * size + border - 1).saturating_sub(at),
    }
}

fn expect_inside(op: &'static str, inner: [usize; 2], border: usize) -> Result<()> {
    let [height, width] = inner;
    if (1..=height.min(width)).contains(&border) {
        return Ok(());
    }
    let given = format!("a border of {border} around maps of {height}x{width}");
    Err(OpError::Shape { op, given, expected: "a border of 1 or more, no wider than the maps".into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, list, noise, tensor64};

    // numpy.pad(mode="symmetric").
    #[test]
    fn by_hand() {
        let x = tensor64(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 1, 2, 3]);
        let around = mirror(&x, 2).unwrap();
        assert_eq!(around.dims(), [1, 1, 6, 7]);
        let rows = [[5.0, 4.0, 4.0, 5.0, 6.0, 6.0, 5.0], [2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0]];
        let expected = [rows[0], rows[1], rows[1], rows[0], rows[0], rows[1]].concat();
        assert_eq!(list(&around), expected);
    }

    #[test]
    fn gradients_are_central_differences() {
        for (border, shape) in [(1, [2, 3, 4, 5]), (3, [1, 2, 3, 4])] {
            let x = noise(&shape, 1);
            let upstream = noise(&[shape[0], shape[1], shape[2] + 2 * border, shape[3] + 2 * border], 2);
            assert_gradient(&x, &upstream, &mirror_backward(&upstream, border).unwrap(), |x| {
                mirror(x, border).unwrap()
            });
        }
    }

    #[test]
    fn a_border_lies_within_what_it_mirrors() {
        let x = noise(&[1, 1, 2, 3], 1);
        assert!(mirror(&x, 0).is_err() && mirror(&x, 3).is_err());
        assert!(mirror_backward(&x, 1).is_err() && mirror_backward(&x.flatten_all().unwrap(), 1).is_err());
    }
}
