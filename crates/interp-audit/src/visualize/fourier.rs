//! Pictures from their spectra.

use std::f64::consts::TAU;

use nalgebra::DMatrix;

/// What a spectrum is divided by beside: pictures start nearly gray, and a step of an optimizer changes little of them.
const QUIET: f64 = 4.0;

/// The inverse discrete Fourier transform of one channel (h, w) of a picture, of a spectrum whose frequencies are evened out: natural pictures have the
/// less of a frequency the higher it is (Olah et al. 2017, "Feature visualization", section "Preconditioning").
///
/// A spectrum holds K = w / 2 + 1 columns of h complex numbers `z(p, q)`, real parts before imaginary ones. With `f(p, q)` the frequency in cycles
/// in a pixel and `s = 1 / max(f, 1 / max(h, w))^decay / 4`, the picture is
/// `x(y, u) = 1 / sqrt(h w) sum_q c(q) Re(e(q u / w) sum_p e(p y / h) s z(p, q))`, where `e(t) = exp(2 pi i t)` and `c` is 1 for `q = 0` and
/// `q = w / 2`, else 2: what NumPy calls `irfft2(s * z, (h, w), norm="ortho")`. As two real matrix products its gradient is the transposed ones.
pub(super) struct Fourier {
    /// Along columns: `[cos, -sin; sin, cos]`, (2h, 2h).
    down: DMatrix<f64>,
    /// Along rows: real parts, (K, w), and imaginary ones.
    across: [DMatrix<f64>; 2],
    /// `s` of every number of a spectrum, (2h, K).
    scale: DMatrix<f64>,
}

impl Fourier {
    pub(super) fn new([height, width]: [usize; 2], decay: f64) -> Self {
        let count = width / 2 + 1;
        let turn = |at: usize, side: usize| TAU * (at % side) as f64 / side as f64;
        let down = DMatrix::from_fn(2 * height, 2 * height, |row, column| {
            let angle = turn((row % height) * (column % height), height);
            match (row < height, column < height) {
                (true, true) | (false, false) => angle.cos(),
                (true, false) => -angle.sin(),
                (false, true) => angle.sin(),
            }
        });
        let twice = |q: usize| if q == 0 || 2 * q == width { 1.0 } else { 2.0 };
        let norm = ((height * width) as f64).sqrt();
        let along =
            |of: fn(f64) -> f64| DMatrix::from_fn(count, width, |q, u| twice(q) * of(turn(q * u, width)) / norm);
        let lowest = 1.0 / height.max(width) as f64;
        let scale = DMatrix::from_fn(2 * height, count, |row, q| {
            let p = row % height;
            let cycles = [p.min(height - p) as f64 / height as f64, q as f64 / width as f64];
            cycles[0].hypot(cycles[1]).max(lowest).powf(-decay) / QUIET
        });
        Self { down, across: [along(f64::cos), along(f64::sin)], scale }
    }

    /// Numbers of a spectrum.
    pub(super) fn numbers(&self) -> usize {
        self.scale.len()
    }

    /// The channel (h, w), row by row, of a spectrum.
    pub(super) fn picture(&self, spectrum: &[f64]) -> Vec<f64> {
        let (rows, count) = self.scale.shape();
        let scaled = DMatrix::from_column_slice(rows, count, spectrum).component_mul(&self.scale);
        let columns = &self.down * scaled;
        let [cos, sin] = &self.across;
        let picture = columns.rows(0, rows / 2) * cos - columns.rows(rows / 2, rows / 2) * sin;
        picture.transpose().as_slice().to_vec()
    }

    /// The gradient at the spectrum of what has this gradient (h, w) at the channel.
    pub(super) fn gradient(&self, picture: &[f64]) -> Vec<f64> {
        let (rows, count) = self.scale.shape();
        let [cos, sin] = &self.across;
        let picture = DMatrix::from_row_slice(rows / 2, cos.ncols(), picture);
        let mut columns = DMatrix::zeros(rows, count);
        columns.rows_mut(0, rows / 2).copy_from(&(&picture * cos.transpose()));
        columns.rows_mut(rows / 2, rows / 2).copy_from(&(&picture * -sin.transpose()));
        let spectrum = self.down.transpose() * columns;
        spectrum.component_mul(&self.scale).as_slice().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7),
            "{found:?} for {expected:?}"
        );
    }

    /// A spectrum in the order of memory: column by column, real parts then imaginary ones; times 4.
    fn spectrum<const K: usize>(real: &[[f64; K]], imaginary: &[[f64; K]]) -> Vec<f64> {
        let column = |q: usize| real.iter().chain(imaginary).map(move |row| QUIET * row[q]);
        (0..K).flat_map(column).collect()
    }

    // By numpy.fft.irfft2(z, s=(h, w), norm="ortho"), of numbers that no real picture has among them: their imaginary parts do not matter there either.
    #[test]
    fn pictures_are_those_of_numpy() {
        let z = spectrum(
            &[[2.04, -2.56, 0.42], [-0.57, -0.45, -0.22], [-2.02, -0.23, -0.87]],
            &[[3.32, 0.23, -0.35], [-0.28, -0.67, -1.06], [-0.39, 0.48, -0.24]],
        );
        let even = [
            [-2.22279854, 0.01154701, 1.51843121, 0.05773503],
            [0.71208548, 0.37402123, 2.12552068, 0.52929891],
            [-0.79291452, 0.61902123, 2.92052068, 1.21429891],
        ];
        close(&Fourier::new([3, 4], 0.0).picture(&z), &even.concat());
        let z = spectrum(
            &[[0.96, -0.2, 0.02], [1.55, 0.55, -0.51], [-0.18, 0.54, 1.94], [-0.27, -0.24, 1.0]],
            &[[-0.89, -0.29, 0.88], [0.58, 0.09, 0.67], [-2.83, 1.02, -0.96], [-1.67, 0.28, 0.7]],
        );
        let odd = [
            [1.84699215, -1.14291505, 0.82355713, 0.30452181, 0.47099398],
            [-1.33940472, 0.49402032, -0.03335578, -0.58745072, 0.22517317],
            [0.55901699, -0.41147059, -0.63086193, 0.79184494, -0.86754641],
            [-0.52994811, 1.34760457, 2.80187861, -1.15183694, 1.3224371],
        ];
        close(&Fourier::new([4, 5], 0.0).picture(&z), &odd.concat());
    }

    // A wave of one cycle in 4 pixels along a row: 2 / sqrt(8) cos(pi u / 2), times its scale 1 / (1/4) for decay 1, over 4; and a flat picture
    // of frequency 0, which counts as 1/4 too.
    #[test]
    fn frequencies_are_evened_out_by_hand() {
        let fourier = Fourier::new([2, 4], 1.0);
        let wave = spectrum(&[[0.0, 1.0, 0.0], [0.0; 3]], &[[0.0; 3]; 2]);
        let height = 2.0 / 8f64.sqrt() * 4.0;
        close(&fourier.picture(&wave), &[[height, 0.0, -height, 0.0]; 2].concat());
        let flat = spectrum(&[[1.0, 0.0, 0.0], [0.0; 3]], &[[0.0; 3]; 2]);
        close(&fourier.picture(&flat), &[4.0 / 8f64.sqrt(); 8]);
    }

    // The map is linear: a product with the gradient of a number of a picture is that number's part of the picture.
    #[test]
    fn the_gradient_is_the_transposed_map() {
        for size in [[3, 4], [4, 5], [1, 1], [6, 2]] {
            let fourier = Fourier::new(size, 0.7);
            let pixels = size[0] * size[1];
            let weights: Vec<f64> = (0..pixels).map(|at| (at as f64 * 1.7).sin() + 0.3).collect();
            let gradient = fourier.gradient(&weights);
            for at in 0..fourier.numbers() {
                let mut one = vec![0.0; fourier.numbers()];
                one[at] = 1.0;
                let along: f64 = fourier.picture(&one).iter().zip(&weights).map(|(a, b)| a * b).sum();
                assert!((along - gradient[at]).abs() < 1e-12, "{size:?}, {at}");
            }
        }
    }
}
