//! The opponent space of colors.

use nalgebra::Vector3;

/// Brightness, red against green, yellow against blue, of a pixel in [0, 1].
pub(crate) fn opponent(pixel: &[f32]) -> Vector3<f64> {
    let [red, green, blue] = [0, 1, 2].map(|channel| f64::from(pixel[channel]));
    Vector3::new((red + green + blue - 1.5) / 1.5, red - green, (red + green - 2.0 * blue) / 2.0)
}

/// The color of middle brightness with a hue in degrees and a chroma: red, green and blue, in [0, 1] for every hue as long as the chroma is no more
/// than 0.75.
pub fn color(hue: f64, chroma: f64) -> [f32; 3] {
    let (sin, cos) = hue.to_radians().sin_cos();
    let [against_green, against_blue] = [chroma * cos, chroma * sin];
    let both = 1.0 + against_blue / 1.5;
    [(both + against_green) / 2.0, (both - against_green) / 2.0, 0.5 - against_blue / 1.5].map(|value| value as f32)
}

/// Hues in degrees, by name: those of the corners of the cube of colors, and between red and yellow orange.
const NAMES: [(f64, &str); 7] = [
    (26.57, "red"),
    (58.28, "orange"),
    (90.0, "yellow"),
    (153.43, "green"),
    (206.57, "cyan"),
    (270.0, "blue"),
    (333.43, "magenta"),
];

/// The name of the hue that is nearest, in degrees.
pub fn hue_name(hue: f64) -> &'static str {
    let distance = |&(other, _): &(f64, &str)| apart(hue, other, 360.0);
    NAMES.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).map_or("", |(_, name)| name)
}

/// How far two directions are apart that are the same after `turn` degrees.
pub(super) fn apart(a: f64, b: f64, turn: f64) -> f64 {
    let between = (a - b).rem_euclid(turn);
    between.min(turn - between)
}
