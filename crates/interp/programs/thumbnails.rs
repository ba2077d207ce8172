//! Features small enough for a page.

use interp_audit::neurons::Feature;

/// A feature of no more than `side` pixels on each side: of larger ones every second pixel, every third and so on.
pub(super) fn thinned(feature: &Feature, channels: usize, side: usize) -> ([usize; 2], Vec<f32>) {
    let [height, width] = feature.size;
    let step = height.max(width).div_ceil(side.max(1)).max(1);
    let places = |side: usize| (0..side).step_by(step);
    let pixel = |row: usize, column: usize| {
        let at = (row * width + column) * channels;
        &feature.pixels[at..at + channels]
    };
    let pixels = places(height).flat_map(|row| places(width).flat_map(move |column| pixel(row, column).to_vec()));
    ([height.div_ceil(step), width.div_ceil(step)], pixels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_features_are_thinned() {
        let side = 101;
        let pixels: Vec<f32> = (0..side * 2).map(|at| at as f32).collect();
        let (size, thin) = thinned(&Feature { size: [2, side], every: 1, pixels }, 1, 100);
        assert_eq!((size, thin.len()), ([1, 51], 51));
        assert_eq!(thin[..3], [0.0, 2.0, 4.0]);
    }
}
