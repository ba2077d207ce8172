//! What neurons see, turned, mirrored or shuffled.

use interp_net::finding::random::{shuffle, stream};

use super::variations::View;

/// Turned by `degrees` about the middle of the receptive field, against the clock; between pixels bilinearly.
pub fn rotated(view: &View<'_>, degrees: f64) -> Vec<f32> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    // Rows go down: what comes from the right of a place lies below it after a quarter of a turn back.
    mapped(view, |[down, right]| [cos * down + sin * right, cos * right - sin * down])
}

/// Mirrored at the line through the middle of the receptive field that rises by `degrees` from the left to the right.
pub fn mirrored(view: &View<'_>, degrees: f64) -> Vec<f32> {
    let (sin, cos) = (2.0 * degrees).to_radians().sin_cos();
    // With x to the right and y up: (x, y) -> (cos x + sin y, sin x - cos y).
    mapped(view, |[down, right]| [-(sin * right + cos * down), cos * right - sin * down])
}

/// The same pixels in random order, another for every picture.
pub fn shuffled(view: &View<'_>) -> Vec<f32> {
    let mut pixels: Vec<&[f32]> = view.pixels().collect();
    let mut rng = stream(0, "shuffled pixels", 0, view.index as u64);
    shuffle(&mut rng, &mut pixels);
    pixels.concat()
}

/// Each pixel from where `from` says, by its place from the middle, down and to the right.
fn mapped(view: &View<'_>, from: impl Fn([f64; 2]) -> [f64; 2]) -> Vec<f32> {
    let mut pixels = Vec::with_capacity(view.rows.len() * view.columns.len() * view.channels);
    for row in view.rows.clone() {
        for column in view.columns.clone() {
            let [down, right] = from([row as f64 + 0.5 - view.center[0], column as f64 + 0.5 - view.center[1]]);
            let place = [down + view.center[0] - 0.5, right + view.center[1] - 0.5];
            pixels.extend(between(view, place));
        }
    }
    pixels
}

/// The color at a place between pixels, whole numbers being their middles.
fn between(view: &View<'_>, place: [f64; 2]) -> Vec<f32> {
    // What a rounding error is beside a pixel is that pixel.
    let place = place.map(|at| if (at - at.round()).abs() < 1e-9 { at.round() } else { at });
    let [row, column] = place.map(|at| at.floor() as i64);
    let [down, right] = place.map(|at| (at - at.floor()) as f32);
    let corner = |rows: i64, columns: i64| view.pixel(row + rows, column + columns);
    let mix = |channel: usize| {
        let along = |rows: i64| corner(rows, 0)[channel] * (1.0 - right) + corner(rows, 1)[channel] * right;
        if down == 0.0 { along(0) } else { along(0) * (1.0 - down) + along(1) * down }
    };
    (0..view.channels).map(mix).collect()
}
