//! How much of a bank of handcrafted filters is left in a network.

use candle_core::{DType, Tensor};
use interp_net::finding::Bank;
use interp_net::ops::OpError;
use interp_net::ops::banks::{self, Wavelet};

use crate::Result;

/// The least over the filters of `weights`, each (out, channels, k, k), that the bank has something for of the share of their squared
/// weights that lies along it; `None` where there are no such filters. A filter of zeros has a share of 0.
pub(crate) fn along_bank(bank: Bank, weights: &[Tensor]) -> Result<Option<f64>> {
    let mut shares = vec![];
    for weight in weights {
        shares.extend(match bank {
            Bank::Gabor => along_filters(weight, banks::gabor)?,
            Bank::Gaussian => along_filters(weight, banks::gaussian_derivatives)?,
            Bank::Haar => along_filters(weight, |channels, side| banks::wavelet(Wavelet::Haar, channels, side))?,
            Bank::Db2 => along_filters(weight, |channels, side| banks::wavelet(Wavelet::Db2, channels, side))?,
            Bank::Opponent => along_axes(weight)?,
        });
    }
    // What is not a number is the least.
    Ok(shares.into_iter().reduce(|a, b| if a.is_nan() || a < b { a } else { b }))
}

/// The shares of the first filters, as many as the bank has, along those of the bank.
fn along_filters(weight: &Tensor, bank: fn(usize, usize) -> Result<Tensor, OpError>) -> Result<Vec<f64>> {
    let (_, channels, height, width) = weight.dims4()?;
    if height != width {
        return Ok(vec![]);
    }
    let share = |(w, filter): (&Vec<f64>, &Vec<f64>)| {
        let along: f64 = w.iter().zip(filter).map(|(w, f)| w * f).sum();
        let rest = w.iter().zip(filter).map(|(w, f)| (w - along * f).powi(2)).sum();
        share(along * along, rest)
    };
    Ok(rows(weight)?.iter().zip(&rows(&bank(channels, height)?)?).map(share).collect())
}

/// The shares of all filters, each along the color-opponent axis that is its turn.
fn along_axes(weight: &Tensor) -> Result<Vec<f64>> {
    let (_, channels, height, width) = weight.dims4()?;
    if channels != 3 {
        return Ok(vec![]);
    }
    let share = |(w, axis): (&Vec<f64>, &[f64; 3])| {
        let (mut along, mut rest) = (0.0, 0.0);
        for tap in 0..height * width {
            let color = [0, 1, 2].map(|channel| w[channel * height * width + tap]);
            let part: f64 = color.iter().zip(axis).map(|(c, a)| c * a).sum();
            along += part * part;
            rest += color.iter().zip(axis).map(|(c, a)| (c - part * a).powi(2)).sum::<f64>();
        }
        share(along, rest)
    };
    Ok(rows(weight)?.iter().zip(banks::opponent_axes().iter().cycle()).map(share).collect())
}

/// `along / (along + rest)`; a rest that comes from rounding to f32, 2^-24 of each weight, is none.
fn share(along: f64, rest: f64) -> f64 {
    match along {
        0.0 => 0.0,
        _ if rest <= along * 2f64.powi(-46) => 1.0,
        _ => along / (along + rest),
    }
}

/// The filters of a weight.
fn rows(weight: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(weight.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    // Red alone lies along red against green by 1/2, along yellow against blue by 1/6, and along gray by 1/3; a filter of zeros along nothing.
    #[test]
    fn colors_by_hand() {
        let red = [1f32, 0.0, 0.0];
        let along = |filters: &[f32], count: usize| {
            along_bank(Bank::Opponent, &[tensor(filters, &[count, 3, 1, 1])]).unwrap().unwrap()
        };
        assert!((along(&red, 1) - 0.5).abs() < 1e-12);
        assert!((along(&red.repeat(2), 2) - 1.0 / 6.0).abs() < 1e-12);
        assert!((along(&red.repeat(3), 3) - 1.0 / 6.0).abs() < 1e-12);
        assert_eq!(along(&[0.0, 0.0, 0.0, 1.0, 1.0, -2.0], 2), 0.0);
        assert!(along(&[f32::NAN, 0.0, 0.0], 1).is_nan());
        assert!(along(&[1.0, 0.0, 0.0, f32::NAN, 0.0, 0.0], 2).is_nan());
    }

    // Two filters of five: 3 of the first and 4 beside it, where the share is 9 / 25; the second is a multiple of its own.
    #[test]
    fn filters_by_hand() {
        for (name, bank) in [(Bank::Gabor, banks::gabor(3, 5)), (Bank::Gaussian, banks::gaussian_derivatives(3, 5))] {
            let rows = rows(&bank.unwrap()).unwrap();
            let flat = 1.0 / 75f64.sqrt(); // at a right angle to all filters, whose mean is 0
            let first = rows[0].iter().map(|w| (3.0 * w + 4.0 * flat) as f32);
            let second = rows[1].iter().map(|w| (-0.7 * w) as f32);
            let weights: Vec<f32> = first.chain(second).collect();
            let found = along_bank(name, &[tensor(&weights, &[2, 3, 5, 5])]).unwrap().unwrap();
            assert!((found - 9.0 / 25.0).abs() < 1e-7, "{found}");
            let own = along_bank(name, &[tensor(&weights[75..], &[1, 3, 5, 5])]).unwrap().unwrap();
            assert!(own < 0.9, "the second filter in the place of the first");
        }
    }

    // Beyond the bank filters are not counted.
    #[test]
    fn what_the_bank_has_nothing_for_is_left_out() {
        let bank = banks::gaussian_derivatives(1, 3).unwrap().to_dtype(DType::F32).unwrap();
        let other = Tensor::ones((4, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
        let both = Tensor::cat(&[&bank, &other], 0).unwrap();
        assert_eq!(along_bank(Bank::Gaussian, &[both]).unwrap(), Some(1.0));
        assert_eq!(along_bank(Bank::Opponent, &[bank]).unwrap(), None);
        assert!(along_bank(Bank::Gabor, &[tensor(&[1.0], &[1, 1, 1, 1])]).is_err());
    }
}
