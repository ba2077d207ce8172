//! Pictures as the network sees them, from what an optimizer changes.

use interp_data::Info;
use interp_net::finding::random::stream;
use interp_net::ops::scalars::logistic;
use rand_distr::{Distribution, StandardNormal};

use super::fourier::Fourier;

/// The deviation of a first spectrum's numbers (lucid's).
const START: f64 = 0.01;

/// Square root of the covariance of red, green and blue of natural pictures (ImageNet's), in the order of its axes: brightness, then the two of
/// color (Olah et al. 2017, "Feature visualization", section "Preconditioning"). Each axis gets so much of each color.
const COLORS: [[f64; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]];

/// What pictures of a network are.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Size, channels and normalization.
    pub info: &'a Info,
    /// Pixels at each side that stay black.
    pub border: usize,
}

/// Where pixels may lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// In [0, 1], by a sigmoid.
    Box,
    /// At this distance from gray, 0.5: the root of the mean square over all numbers of the picture. Values may leave [0, 1]. Pictures of equal
    /// contrast compare what neurons answer (Walker et al. 2019, "Inception loops discover what excites neurons most using deep predictive models").
    Contrast(f64),
}

/// Makes pictures from spectra.
pub(super) struct Canvas {
    fourier: Fourier,
    /// Channels, rows and columns without the border.
    shape: [usize; 3],
    border: usize,
    mean: Vec<f64>,
    std: Vec<f64>,
    range: Range,
}

/// A picture as it was drawn.
pub(super) struct Drawn {
    /// Before they were brought into range: (C, h, w).
    values: Vec<f64>,
    /// Pixel values (C, h, w) without the border.
    pub(super) pixels: Vec<f64>,
}

impl Canvas {
    pub(super) fn new(frame: Frame<'_>, range: Range, decay: f64) -> Self {
        let Frame { info, border } = frame;
        let inner = |side: usize| side.saturating_sub(2 * border);
        let shape = [info.channels, inner(info.height), inner(info.width)];
        let wide = |values: &[f32]| values.iter().map(|&value| value.into()).collect();
        let (mean, std) = (wide(&info.mean), wide(&info.std));
        Self { fourier: Fourier::new([shape[1], shape[2]], decay), shape, border, mean, std, range }
    }

    /// Channels, rows and columns without the border.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Noise to start from; a function of `seed` and `index` alone.
    pub(super) fn start(&self, seed: u64, index: usize) -> Vec<f64> {
        let mut rng = stream(seed, "spectrum", 0, index as u64);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        (0..self.shape[0] * self.fourier.numbers()).map(|_| START * normal()).collect()
    }

    /// The picture of a spectrum.
    pub(super) fn draw(&self, spectrum: &[f64]) -> Drawn {
        let planes = spectrum.chunks_exact(self.fourier.numbers()).flat_map(|plane| self.fourier.picture(plane));
        let values = self.colored(&planes.collect::<Vec<_>>(), |color, axis| COLORS[color][axis]);
        let pixels = match self.range {
            Range::Box => values.iter().map(|value| logistic(*value)).collect(),
            Range::Contrast(contrast) => {
                let factor = contrast * (values.len() as f64).sqrt() / length(&values);
                values.iter().map(|value| 0.5 + factor * value).collect()
            }
        };
        Drawn { values, pixels }
    }

    /// The gradient at the spectrum of what has this gradient at the pixels (C, h, w).
    pub(super) fn gradient(&self, drawn: &Drawn, pixels: &[f64]) -> Vec<f64> {
        let values: Vec<f64> = match self.range {
            Range::Box => drawn.pixels.iter().zip(pixels).map(|(pixel, g)| g * pixel * (1.0 - pixel)).collect(),
            Range::Contrast(contrast) => {
                let length = length(&drawn.values);
                let along = drawn.values.iter().zip(pixels).map(|(v, g)| v * g).sum::<f64>() / (length * length);
                let factor = contrast * (pixels.len() as f64).sqrt() / length;
                drawn.values.iter().zip(pixels).map(|(v, g)| factor * (g - along * v)).collect()
            }
        };
        let planes = self.colored(&values, |color, axis| COLORS[axis][color]);
        planes.chunks_exact(self.shape[1] * self.shape[2]).flat_map(|plane| self.fourier.gradient(plane)).collect()
    }

    /// Each of three planes as the sum of all, by weights; other pictures as they are.
    fn colored(&self, planes: &[f64], weight: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        if self.shape[0] != 3 {
            return planes.to_vec();
        }
        let axis = |axis: usize| COLORS.iter().map(|row| row[axis].powi(2)).sum::<f64>().sqrt();
        let largest = (0..3).map(axis).fold(0.0, f64::max);
        let count = planes.len() / 3;
        let sum =
            |to: usize, at: usize| (0..3).map(|from| weight(to, from) / largest * planes[from * count + at]).sum();
        (0..3).flat_map(|to| (0..count).map(move |at| (to, at))).map(|(to, at)| sum(to, at)).collect()
    }

    /// Pixels (C, h, w) as the network sees them: with their border, normalized, (C, H, W).
    pub(super) fn seen(&self, pixels: &[f64]) -> Vec<f64> {
        let framed = self.framed(pixels, 0.0);
        let plane = framed.len() / self.shape[0].max(1);
        let normal = |(at, value): (usize, f64)| (value - self.mean[at / plane]) / self.std[at / plane];
        framed.into_iter().enumerate().map(normal).collect()
    }

    /// The gradient at pixels (C, h, w) of what has this gradient at what the network sees, (C, H, W).
    pub(super) fn seen_gradient(&self, seen: &[f64]) -> Vec<f64> {
        let [channels, height, width] = self.shape;
        let outer = width + 2 * self.border;
        let plane = (height + 2 * self.border) * outer;
        let at = |channel: usize, row: usize, column: usize| {
            seen[channel * plane + (row + self.border) * outer + column + self.border] / self.std[channel]
        };
        let places = (0..channels).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| (c, y, x))));
        places.map(|(c, y, x)| at(c, y, x)).collect()
    }

    /// Pixels (C, h, w) in their border: (C, H, W).
    fn framed(&self, pixels: &[f64], border: f64) -> Vec<f64> {
        let [channels, height, width] = self.shape;
        let outer = width + 2 * self.border;
        let plane = (height + 2 * self.border) * outer;
        let mut framed = vec![border; channels * plane];
        for (row, line) in pixels.chunks_exact(width.max(1)).enumerate() {
            let (channel, row) = (row / height, row % height);
            let start = channel * plane + (row + self.border) * outer + self.border;
            framed[start..start + width].copy_from_slice(line);
        }
        framed
    }

    /// Pixels (C, h, w) as pictures are kept: (H, W, C), with their border.
    pub(super) fn finished(&self, pixels: &[f64]) -> Vec<f32> {
        let framed = self.framed(pixels, 0.0);
        let plane = framed.len() / self.shape[0].max(1);
        (0..plane).flat_map(|at| framed.iter().skip(at).step_by(plane)).map(|&value| value as f32).collect()
    }

    /// The pixels (C, h, w) of what a network sees, (C, H, W).
    pub(super) fn pixels_of(&self, seen: &[f64]) -> Vec<f64> {
        let plane = self.shape[1] * self.shape[2];
        let scaled = self.seen_gradient(seen); // Without the border, over the deviation once.
        let pixel = |(at, value): (usize, f64)| value * self.std[at / plane].powi(2) + self.mean[at / plane];
        scaled.into_iter().enumerate().map(pixel).collect()
    }
}

/// The length of a vector, above 0.
fn length(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(channels: usize) -> Info {
        let (mean, std) = ([0.2, 0.5, 0.6], [0.3, 0.2, 0.5]);
        let (mean, std) = (mean[..channels].to_vec(), std[..channels].to_vec());
        Info { name: String::new(), classes: vec![], channels, height: 6, width: 7, mean, std }
    }

    /// Against central differences, with weights that are not constant, over all that lies between a spectrum and what the network sees.
    #[test]
    fn gradients_are_those_of_central_differences() {
        for (channels, border, range) in
            [(1, 0, Range::Box), (3, 1, Range::Box), (2, 0, Range::Contrast(0.2)), (3, 1, Range::Contrast(0.1))]
        {
            let mut info = info(channels.min(3));
            info.channels = channels;
            let canvas = Canvas::new(Frame { info: &info, border }, range, 1.0);
            let weight = |at: usize| (at as f64 * 0.7).cos();
            let value = |spectrum: &[f64]| -> f64 {
                let seen = canvas.seen(&canvas.draw(spectrum).pixels);
                seen.iter().enumerate().map(|(at, value)| weight(at) * value).sum()
            };
            let spectrum: Vec<f64> = canvas.start(3, 1).iter().map(|number| 30.0 * number).collect();
            let weights: Vec<f64> = (0..channels * 42).map(weight).collect();
            let gradient = canvas.gradient(&canvas.draw(&spectrum), &canvas.seen_gradient(&weights));
            for at in 0..spectrum.len() {
                let step = |by: f64| {
                    let mut moved = spectrum.clone();
                    moved[at] += by;
                    value(&moved)
                };
                let difference = (step(1e-5) - step(-1e-5)) / 2e-5;
                assert!((difference - gradient[at]).abs() < 1e-7 * (1.0 + difference.abs()), "{channels}, {at}");
            }
        }
    }

    #[test]
    fn borders_are_black_and_normalization_is_that_of_the_data() {
        let info = info(3);
        let canvas = Canvas::new(Frame { info: &info, border: 2 }, Range::Box, 1.0);
        assert_eq!(canvas.shape(), [3, 2, 3]);
        let pixels: Vec<f64> = (0..18).map(|at| f64::from(at) / 20.0).collect();
        let seen = canvas.seen(&pixels);
        assert!((seen[0] - -0.2 / 0.3).abs() < 1e-6 && (seen[2 * 7 + 2] - -0.2 / 0.3).abs() < 1e-6);
        assert!((seen[2 * 7 + 3] - (0.05 - 0.2) / 0.3).abs() < 1e-6);
        let back = canvas.pixels_of(&seen);
        assert!(back.iter().zip(&pixels).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
        // A pixel's channels lie side by side.
        let kept = canvas.finished(&pixels);
        let first = 3 * (2 * 7 + 2);
        assert_eq!((kept[0], kept[first..first + 3].to_vec()), (0.0, vec![0.0, 0.3, 0.6]));
    }

    #[test]
    fn pictures_of_a_contrast_have_it() {
        let info = info(3);
        let canvas = Canvas::new(Frame { info: &info, border: 0 }, Range::Contrast(0.15), 1.0);
        let pixels = canvas.draw(&canvas.start(0, 0)).pixels;
        let mean = pixels.iter().map(|pixel| (pixel - 0.5).powi(2)).sum::<f64>() / pixels.len() as f64;
        assert!((mean.sqrt() - 0.15).abs() < 1e-12);
    }
}
