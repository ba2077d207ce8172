//! Orthonormal wavelets with few taps.

use candle_core::{Device, Tensor};

use crate::{OpError, Result};

/// An orthonormal wavelet with real taps (Daubechies 1992, "Ten Lectures on Wavelets", table 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wavelet {
    /// Two taps: sums and differences of neighbors.
    Haar,
    /// Four taps, at right angles to straight lines: Daubechies' second, called D4 or db2.
    Db2,
}

impl Wavelet {
    /// The taps of the low pass h: of unit length, with sum sqrt 2.
    pub fn low(self) -> Vec<f64> {
        let root = 3f64.sqrt();
        match self {
            Self::Haar => vec![0.5f64.sqrt(); 2],
            Self::Db2 => [1.0 + root, 3.0 + root, 3.0 - root, 1.0 - root].map(|tap| tap / (4.0 * 2f64.sqrt())).to_vec(),
        }
    }

    /// The taps of the high pass: `g_k = (-1)^k h_(L - 1 - k)`.
    pub fn high(self) -> Vec<f64> {
        let signs = [1.0, -1.0].into_iter().cycle();
        self.low().into_iter().rev().zip(signs).map(|(tap, sign)| sign * tap).collect()
    }

    /// The separable filters of a picture as the weight of a convolution, (4, 1, L, L) in `f64`: both low, rows low and columns
    /// high, rows high and columns low, both high. With stride 2 they and their shifts are an orthonormal basis of the pictures,
    /// where these go on by zeros: the transposed convolution takes the convolution back.
    ///
    /// # Errors
    /// Where the tensor cannot be made.
    pub fn filters(self) -> candle_core::Result<Tensor> {
        let (low, high) = (self.low(), self.high());
        let pairs = [(&low, &low), (&low, &high), (&high, &low), (&high, &high)];
        let products =
            pairs.iter().flat_map(|(rows, columns)| rows.iter().flat_map(|r| columns.iter().map(move |c| r * c)));
        Tensor::from_vec(products.collect(), (4, 1, low.len(), low.len()), &Device::Cpu)
    }
}

/// The four filters of [`Wavelet::filters`] as a bank, with zeros around them: in the middle of `side` x `side` pixels, or a pixel before
/// it. The first sees how light gray is, the others have mean 0.
///
/// # Errors
/// [`OpError::Value`] where `side` is below the number of taps.
pub fn wavelet(wavelet: Wavelet, channels: usize, side: usize) -> Result<Tensor> {
    let (filters, taps) = (wavelet.filters()?, wavelet.low().len());
    let Some(room) = side.checked_sub(taps).filter(|_| channels > 0) else {
        let given = format!("{channels} channels and filters of {side} x {side} pixels");
        return Err(OpError::Value {
            op: "wavelet",
            given,
            expected: format!("a channel and {taps} x {taps} pixels, or more"),
        });
    };
    let (before, after) = (room / 2, room - room / 2);
    let wide = filters.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
    Ok((wide / (channels as f64).sqrt())?.broadcast_as((4, channels, side, side))?.contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{list, noise, tensor64};
    use crate::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};

    const BOTH: [Wavelet; 2] = [Wavelet::Haar, Wavelet::Db2];

    /// With stride 2, and so many zeros around that every coefficient that touches the picture is there.
    fn geometry(wavelet: Wavelet) -> Conv2d {
        let padding = wavelet.low().len() - 2;
        Conv2d { stride: [2; 2], padding: [padding; 2], ..Conv2d::default() }
    }

    // The filters and their shifts by 2 pixels: products are 1 with themselves and 0 with each other.
    #[test]
    fn filters_and_their_shifts_are_orthonormal() {
        for wavelet in BOTH {
            let filters = wavelet.filters().unwrap();
            let side = filters.dims()[3];
            let planes: Vec<Vec<f64>> = list(&filters).chunks(side * side).map(<[f64]>::to_vec).collect();
            let product = |a: &[f64], b: &[f64], [down, right]: [usize; 2]| -> f64 {
                let cells = (down..side).flat_map(|y| (right..side).map(move |x| (y, x)));
                cells.map(|(y, x)| a[y * side + x] * b[(y - down) * side + x - right]).sum()
            };
            for (i, a) in planes.iter().enumerate() {
                for (j, b) in planes.iter().enumerate() {
                    for shift in [[0, 0], [0, 2], [2, 0], [2, 2]] {
                        let expected = f64::from(u8::from(i == j && shift == [0, 0]));
                        assert!((product(a, b, shift) - expected).abs() < 1e-12, "{wavelet:?} {i} {j} {shift:?}");
                    }
                }
            }
        }
    }

    // Of a patch of c everywhere the low part is 2c, the others are 0.
    #[test]
    fn a_constant_patch_is_low_alone() {
        for wavelet in BOTH {
            let side = wavelet.low().len();
            let patch = tensor64(&vec![0.7; side * side], &[1, 1, side, side]);
            let geometry = Conv2d { padding: [0; 2], ..geometry(wavelet) };
            let found = list(&conv2d(&patch, &wavelet.filters().unwrap(), None, &geometry).unwrap());
            assert!((found[0] - 1.4).abs() < 1e-12 && found[1..].iter().all(|c| c.abs() < 1e-12), "{found:?}");
        }
    }

    // Daubechies: the high pass of db2 is at right angles to 1 and to k.
    #[test]
    fn straight_lines_have_no_details_of_db2() {
        let moment =
            |power: i32| Wavelet::Db2.high().iter().zip(0..).map(|(g, k)| g * f64::from(k).powi(power)).sum::<f64>();
        assert!(moment(0).abs() < 1e-12 && moment(1).abs() < 1e-12 && moment(2).abs() > 0.1);
    }

    #[test]
    fn pictures_come_back() {
        let picture = noise(&[2, 1, 8, 6], 1);
        for wavelet in BOTH {
            let (filters, conv) = (wavelet.filters().unwrap(), geometry(wavelet));
            let back = ConvTranspose2d { conv, output_padding: [0; 2] };
            let coefficients = conv2d(&picture, &filters, None, &conv).unwrap();
            let again = conv_transpose2d(&coefficients, &filters, None, &back).unwrap();
            let furthest = list(&picture).iter().zip(list(&again)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(again.dims() == picture.dims() && furthest < 1e-12, "{wavelet:?}: {furthest}");
        }
    }

    // Sums of two neighbors in each direction are 1/2 of each of four pixels, by 1 / sqrt 3 of each of three channels.
    #[test]
    fn a_bank_has_them_in_the_middle() {
        let haar = list(&wavelet(Wavelet::Haar, 3, 3).unwrap());
        let half = 0.5 / 3f64.sqrt();
        let expected = [half, half, 0.0, half, half, 0.0, 0.0, 0.0, 0.0];
        assert!(haar[..27].iter().zip(expected.iter().cycle()).all(|(w, e)| (w - e).abs() < 1e-12), "{haar:?}");
        for (kind, side) in [(Wavelet::Haar, 2), (Wavelet::Haar, 5), (Wavelet::Db2, 4), (Wavelet::Db2, 7)] {
            let bank = wavelet(kind, 3, side).unwrap();
            for filter in list(&bank).chunks(3 * side * side) {
                assert!((filter.iter().map(|w| w * w).sum::<f64>() - 1.0).abs() < 1e-12);
            }
            let flat = super::super::tests::responses(&bank, |_, _| 1.0);
            assert!((flat[0] - 2.0 * 3f64.sqrt()).abs() < 1e-12 && flat[1..].iter().all(|r| r.abs() < 1e-12));
        }
        for (channels, side) in [(1, 3), (0, 5)] {
            assert!(matches!(wavelet(Wavelet::Db2, channels, side), Err(OpError::Value { .. })));
        }
    }
}
