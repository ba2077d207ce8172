//! How two tones are mixed: on things by a pattern, in the background by a gradient or a field.

use super::factors::{Background, Texture};
use super::scene::{FIELD, Ground, Thing};

/// The pattern of a thing placed in a picture, in pixels.
pub(super) struct Pattern {
    texture: Texture,
    center: [f32; 2],
    /// Unit vector in which the pattern changes.
    axis: [f32; 2],
    /// Pixels per period.
    period: f32,
    phase: [f32; 2],
}

/// Radius of a dot in periods.
const DOT: f32 = 0.33;

impl Pattern {
    pub(super) fn new(thing: &Thing, size: usize) -> Self {
        let size = size as f64;
        Self {
            texture: thing.texture,
            center: [(thing.x * size) as f32, (thing.y * size) as f32],
            axis: direction(thing.orientation),
            period: (2.0 * thing.radius * size / thing.periods) as f32,
            phase: thing.phase.map(|p| p as f32),
        }
    }

    /// The share of the darker tone in the pixel, 0 to 1.
    pub(super) fn share(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = ((x - self.center[0]) / self.period, (y - self.center[1]) / self.period);
        let u = fraction(dx * self.axis[0] + dy * self.axis[1] + self.phase[0]);
        let v = fraction(dy * self.axis[0] - dx * self.axis[1] + self.phase[1]);
        match self.texture {
            Texture::Plain => 0.0,
            Texture::Stripes => self.band(u),
            Texture::Checks => {
                let (a, b) = (self.band(u), self.band(v));
                a + b - 2.0 * a * b
            }
            Texture::Dots => {
                let (du, dv) = (u - 0.5, v - 0.5);
                self.soft((du * du + dv * dv).sqrt() - DOT)
            }
        }
    }

    /// Inside the middle half of the period.
    fn band(&self, u: f32) -> f32 {
        self.soft((u - 0.5).abs() - 0.25)
    }

    /// Share of a pixel inside a border that is `distance` periods away.
    fn soft(&self, distance: f32) -> f32 {
        (0.5 - distance * self.period).clamp(0.0, 1.0)
    }
}

/// The background's mixing of its two tones.
pub(super) struct Backdrop<'s> {
    ground: &'s Ground,
    axis: [f32; 2],
    size: f32,
}

impl<'s> Backdrop<'s> {
    pub(super) fn new(ground: &'s Ground, size: usize) -> Self {
        Self { ground, axis: direction(ground.direction), size: size as f32 }
    }

    /// The share of the darker tone in the pixel, 0 to 1.
    pub(super) fn share(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x / self.size, y / self.size);
        match self.ground.kind {
            Background::Flat => 0.5,
            Background::Gradient => {
                let along = (x - 0.5) * self.axis[0] + (y - 0.5) * self.axis[1];
                (0.5 - along).clamp(0.0, 1.0)
            }
            // Steep enough that the field shows as blotches with soft rims.
            Background::Textured => (0.5 + 2.0 * self.height(x, y)).clamp(0.0, 1.0),
        }
    }

    /// The field between the corners of a cell, interpolated with smooth steps.
    fn height(&self, x: f32, y: f32) -> f32 {
        let cells = (FIELD - 1) as f32;
        let ((column, u), (row, v)) = (cell(x * cells), cell(y * cells));
        let field = &self.ground.field;
        let top = mix(field[row][column], field[row][column + 1], u);
        let bottom = mix(field[row + 1][column], field[row + 1][column + 1], u);
        mix(top, bottom, v)
    }
}

/// The cell of a coordinate, and the smooth step of the place in it.
fn cell(coordinate: f32) -> (usize, f32) {
    let cell = (coordinate as usize).min(FIELD - 2);
    let t = coordinate - cell as f32;
    (cell, t * t * (3.0 - 2.0 * t))
}

/// From `a` at 0 to `b` at 1.
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

fn fraction(value: f32) -> f32 {
    value - value.floor()
}

fn direction(degrees: f64) -> [f32; 2] {
    let radians = degrees * (core::f64::consts::PI / 180.0);
    [libm::cos(radians) as f32, libm::sin(radians) as f32]
}
