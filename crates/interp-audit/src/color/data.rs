//! The colors of pictures.

use nalgebra::{Matrix2, SymmetricEigen, Vector2};
use rayon::prelude::*;

use super::hues::{Hues, Tint};
use super::opponent;
use crate::{AuditError, Pictures, Result};

/// Pictures that are looked at, at even distances.
const MOST: usize = 2000;

/// What hues there are in pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct DataColors {
    /// Of all their pixels.
    pub hues: Hues,
    /// The axis along which colors differ most, but for brightness, in degrees below 180: the first principal component of opponent colors.
    pub axis: f64,
    /// The share of the variance along it: 1/2 where there is no such axis.
    pub share: f64,
    /// Pictures looked at.
    pub pictures: usize,
}

/// Sums over the pixels of a picture: hues, and the moments of both opponent colors.
#[derive(Default)]
struct Sums {
    hues: Hues,
    mean: Vector2<f64>,
    square: Matrix2<f64>,
}

/// The colors of pictures, of up to 2,000 of them.
///
/// # Errors
/// [`AuditError::Gray`] of gray pictures; if one cannot be read.
pub fn data_colors(pictures: &Pictures) -> Result<DataColors> {
    let (data, split) = (&pictures.data, pictures.split);
    if data.info().channels != 3 {
        return Err(AuditError::Gray(data.info().name.clone()));
    }
    let all = data.len(split);
    let count = all.min(MOST);
    let one = |at: usize| -> Result<Sums> {
        let mut picture = vec![0.0; data.info().pixels()];
        data.image(split, at * all / count, &mut picture)?;
        let mut sums = Sums::default();
        for pixel in picture.chunks_exact(3) {
            sums.hues.see(&Tint::of(pixel));
            let color = opponent(pixel).fixed_rows::<2>(1).into_owned();
            sums.mean += color;
            sums.square += color * color.transpose();
        }
        Ok(sums)
    };
    let found = (0..count).into_par_iter().map(one).collect::<Result<Vec<Sums>>>()?;
    let mut sums = Sums::default();
    for part in &found {
        sums.hues.add(&part.hues, 1.0);
        sums.mean += part.mean;
        sums.square += part.square;
    }
    let mean = sums.mean / sums.hues.pixels.max(1.0);
    let eigen = SymmetricEigen::new(sums.square / sums.hues.pixels.max(1.0) - mean * mean.transpose());
    let first = eigen.eigenvectors.column(eigen.eigenvalues.imax());
    let share = eigen.eigenvalues.max() / eigen.eigenvalues.sum().max(f64::MIN_POSITIVE);
    let axis = first[1].atan2(first[0]).to_degrees().rem_euclid(180.0);
    Ok(DataColors { hues: sums.hues, axis, share, pictures: count })
}
