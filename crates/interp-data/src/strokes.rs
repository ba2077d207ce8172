//! What can be measured of a picture of strokes, such as a handwritten digit.
//!
//! After Morpho-MNIST (Castro, Tan, Kainz, Konukoglu and Glocker 2019, arXiv 1809.10780), with moments and the outline in place of its
//! skeletons and bounding boxes.

use crate::Factor;

/// Below this share of its brightest pixel a picture is paper, not ink.
const PAPER: f64 = 0.2;

/// The factors of a gray picture of bright strokes on black, `height * width` values in [0, 1], rows first; none where nothing is on it. Lengths are in pixels.
///
/// With moments of the ink around its middle, `xx`, `xy` and `yy`, `y` pointing down:
///
/// - `slant`: `atan(-xy / yy)` in degrees, how far the strokes lean to the right;
/// - `width`: `sqrt(12 (xx - xy^2 / yy))` and `height`: `sqrt(12 yy)`, the sides of an upright rectangle of ink with these moments, slant taken away;
/// - `thickness`: twice the ink by the length of its outline, the sum over pixels of how steep the ink is there. It is that of a long stroke, whatever
///   its brightness and however soft its edges; one as long as thick has half of it;
/// - `x`, `y`: where the middle of the ink is, from the middle of the picture, to the right and downwards.
pub fn strokes(picture: &[f32], width: usize) -> Vec<(&'static str, Factor)> {
    let ink = Ink::of(picture, width);
    if ink.sum <= 0.0 {
        return vec![];
    }
    let [xx, xy, yy] = ink.moments();
    let side = |variance: f64| (12.0 * variance.max(0.0)).sqrt();
    let (middle, [x, y]) = (ink.middle(), ink.center());
    [
        ("slant", (-xy / yy).atan().to_degrees()),
        ("thickness", 2.0 * ink.sum / ink.outline()),
        ("width", side(xx - xy * xy / yy)),
        ("height", side(yy)),
        ("x", x - middle[0]),
        ("y", y - middle[1]),
    ]
    .map(|(name, value)| (name, Factor::Value(value)))
    .to_vec()
}

/// The ink of a picture, by rows.
struct Ink {
    values: Vec<f64>,
    width: usize,
    sum: f64,
}

impl Ink {
    fn of(picture: &[f32], width: usize) -> Self {
        let values: Vec<f64> = picture.iter().map(|&value| f64::from(value)).collect();
        let most = values.iter().copied().fold(0.0, f64::max);
        let is_ink = |value: f64| value > 0.0 && value >= PAPER * most;
        let values: Vec<f64> = values.into_iter().map(|value| if is_ink(value) { value } else { 0.0 }).collect();
        let sum = values.iter().sum();
        Self { values, width: width.max(1), sum }
    }

    /// Of each pixel its ink and where it is.
    fn places(&self) -> impl Iterator<Item = (f64, [f64; 2])> {
        let place = |at: usize| [(at % self.width) as f64, (at / self.width) as f64];
        self.values.iter().enumerate().map(move |(at, &ink)| (ink, place(at)))
    }

    fn middle(&self) -> [f64; 2] {
        let height = self.values.len() / self.width;
        [self.width, height].map(|side| (side as f64 - 1.0) / 2.0)
    }

    fn center(&self) -> [f64; 2] {
        let mean = |axis: usize| self.places().map(|(ink, place)| ink * place[axis]).sum::<f64>() / self.sum;
        [mean(0), mean(1)]
    }

    /// The mean squares and product of distances from the center; a pixel is a square, not a point.
    fn moments(&self) -> [f64; 3] {
        let center = self.center();
        let mean = |a: usize, b: usize| {
            let terms = self.places().map(|(ink, place)| ink * (place[a] - center[a]) * (place[b] - center[b]));
            terms.sum::<f64>() / self.sum
        };
        [mean(0, 0) + 1.0 / 12.0, mean(0, 1), mean(1, 1) + 1.0 / 12.0]
    }

    /// The sum of the lengths of gradients, by differences to the pixels right and below; paper is around the picture.
    fn outline(&self) -> f64 {
        let height = self.values.len() / self.width;
        let at = |row: usize, column: usize| {
            let inside = (1..=height).contains(&row) && (1..=self.width).contains(&column);
            if inside { self.values[(row - 1) * self.width + column - 1] } else { 0.0 }
        };
        let steep = |row: usize, column: usize| {
            let here = at(row, column);
            (at(row, column + 1) - here).hypot(at(row + 1, column) - here)
        };
        (0..=height).flat_map(|row| (0..=self.width).map(move |column| (row, column))).map(|(r, c)| steep(r, c)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 40 x 40 pixels whose ink is where `inside` says of a point, sampled 8 x 8 times in each pixel.
    fn drawn(inside: impl Fn(f64, f64) -> bool) -> Vec<f32> {
        let steps = (0..64).map(|at| [(at % 8) as f64, (at / 8) as f64].map(|step| (step + 0.5) / 8.0 - 0.5));
        let steps: Vec<[f64; 2]> = steps.collect();
        let pixel = |at: usize| {
            let [x, y] = [(at % 40) as f64 - 19.5, (at / 40) as f64 - 19.5];
            steps.iter().filter(|[dx, dy]| inside(x + dx, y + dy)).count() as f32 / 64.0
        };
        (0..1600).map(pixel).collect()
    }

    fn measured(picture: &[f32], name: &str) -> f64 {
        let found = strokes(picture, 40).into_iter().find(|(factor, _)| *factor == name).unwrap().1;
        match found {
            Factor::Value(value) => value,
            Factor::Name(name) => panic!("{name}"),
        }
    }

    // A rectangle of 6 x 20 around (3, -2), as sharp as pixels: its sides, its middle, no slant. Of its outline, 52, twice its ink, 240, is 4.6; at the corner where
    // both neighbors are missing the gradient is sqrt(2) for 2.
    #[test]
    fn an_upright_bar_by_hand() {
        let bar = drawn(|x, y| (x - 3.0).abs() < 3.0 && (y + 2.0).abs() < 10.0);
        let expected = [
            ("slant", 0.0),
            ("width", 6.0),
            ("height", 20.0),
            ("x", 3.0),
            ("y", -2.0),
            ("thickness", 240.0 / (50.0 + 2f64.sqrt())),
        ];
        for (name, value) in expected {
            assert!((measured(&bar, name) - value).abs() < 1e-6, "{name}: {}", measured(&bar, name));
        }
    }

    // Sheared by t, the bar leans by atan(t), and is as wide and high as before, but for edges that are too pale to be ink.
    #[test]
    fn a_sheared_bar_has_its_shear() {
        for degrees in [-30f64, -10.0, 20.0, 35.0] {
            let shear = degrees.to_radians().tan();
            let bar = drawn(|x, y| (x + shear * y).abs() < 2.5 && y.abs() < 10.0);
            assert!((measured(&bar, "slant") - degrees).abs() < 0.5, "{degrees}: {}", measured(&bar, "slant"));
            let [width, height] = ["width", "height"].map(|name| measured(&bar, name));
            assert!((width - 5.0).abs() < 0.25 && (height - 20.0).abs() < 0.25, "{degrees}: {width} {height}");
        }
    }

    // A ring has no ends: twice its ink by its outline is its thickness, at half the brightness too, but for edges that are too pale to be ink.
    #[test]
    fn a_stroke_has_its_thickness() {
        for thickness in [2.0, 3.0, 5.0] {
            let ring = drawn(|x, y| (x.hypot(y) - 12.0).abs() < thickness / 2.0);
            let half: Vec<f32> = ring.iter().map(|value| value / 2.0).collect();
            for picture in [&ring, &half] {
                let found = measured(picture, "thickness");
                assert!((found / thickness - 1.0).abs() < 0.12, "{thickness}: {found}");
            }
        }
    }

    #[test]
    fn paper_counts_for_nothing() {
        let bar = drawn(|x, y| (x - 3.0).abs() < 3.0 && (y + 2.0).abs() < 10.0);
        let haze: Vec<f32> = bar.iter().map(|value| value.max(0.19)).collect();
        assert_eq!(strokes(&haze, 40), strokes(&bar, 40));
        assert!(strokes(&[0.0; 16], 4).is_empty() && strokes(&[], 4).is_empty());
    }
}
