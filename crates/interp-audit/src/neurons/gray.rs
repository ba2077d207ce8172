//! Gray versions of what neurons see.

use nalgebra::{Matrix3, SymmetricEigen, Vector3};

use super::variations::View;
use crate::color::opponent;

/// The brightness of colors alone: the luminance of linear light, as sRGB (IEC 61966-2-1). Gray pictures stay as they are.
pub fn luminance(view: &View<'_>) -> Vec<f32> {
    let gray = |pixel: &[f32]| match *pixel {
        [red, green, blue] => {
            let [red, green, blue] = [red, green, blue].map(|value| linear(f64::from(value)));
            vec![encoded(0.2126 * red + 0.7152 * green + 0.0722 * blue) as f32; 3]
        }
        _ => pixel.to_vec(),
    };
    view.pixels().flat_map(gray).collect()
}

/// The axis along which colors differ most, as brightness: their first principal component among opponent colors, turned so that it goes with
/// brightness, with the mean and the deviation of that (Rafegas and Vanrell 2018, section 3.2, without stretching contrast). Gray pictures stay
/// as they are.
pub fn principal(view: &View<'_>) -> Vec<f32> {
    if view.channels != 3 {
        return view.pixels().flatten().copied().collect();
    }
    let colors: Vec<Vector3<f64>> = view.pixels().map(opponent).collect();
    let count = colors.len().max(1) as f64;
    let mean = colors.iter().sum::<Vector3<f64>>() / count;
    let spread = colors.iter().map(|color| (color - mean) * (color - mean).transpose()).sum::<Matrix3<f64>>() / count;
    let eigen = SymmetricEigen::new(spread);
    let axis = eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned();
    // The covariance with brightness, the first coordinate.
    let axis = if (spread * axis)[0] < 0.0 { -axis } else { axis };
    let along = eigen.eigenvalues.max().max(0.0).sqrt();
    let scale = if along > 1e-9 { spread[(0, 0)].sqrt() / along } else { 0.0 };
    let gray = |color: &Vector3<f64>| {
        let brightness = mean[0] + scale * (color - mean).dot(&axis);
        [((brightness + 1.0) / 2.0).clamp(0.0, 1.0) as f32; 3]
    };
    colors.iter().flat_map(gray).collect()
}

fn linear(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn encoded(value: f64) -> f64 {
    if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 }
}
