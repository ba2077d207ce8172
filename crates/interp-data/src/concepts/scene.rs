//! What is in a picture, before any pixel: every factor, drawn from a random stream.

use interp_finding::random::Stream;

use super::classes::CLASSES;
use super::factors::{Background, Draw, Hue, Shape, Texture};
use super::faults::Code;

/// Everything that is in a picture. Lengths are in picture widths, angles in degrees, the origin
/// at the top left.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) ground: Ground,
    /// What the class is about.
    pub(super) object: Thing,
    /// Small things that have nothing to do with the class; they may hide some of the object.
    pub(super) clutter: Vec<Thing>,
}

/// A shape with a color and a texture.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) shape: Shape,
    pub(super) hue: Hue,
    pub(super) texture: Texture,
    pub(super) x: f64,
    pub(super) y: f64,
    /// Radius of the circle around the shape.
    pub(super) radius: f64,
    pub(super) rotation: f64,
    /// OKLCH lightness of the lighter tone.
    pub(super) lightness: f64,
    /// How much darker the other tone of the texture is.
    pub(super) contrast: f64,
    /// What is added to the angle of the named hue.
    pub(super) shade: f64,
    /// Direction in which the texture changes.
    pub(super) orientation: f64,
    /// Periods of the texture across the diameter.
    pub(super) periods: f64,
    /// Where in its period the texture is at the center, along both axes.
    pub(super) phase: [f64; 2],
}

/// The background.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) kind: Background,
    pub(super) hue: Hue,
    /// OKLCH lightness of the middle between its two tones.
    pub(super) lightness: f64,
    /// Direction in which a gradient gets lighter.
    pub(super) direction: f64,
    /// Heights of the texture's field at the corners of its cells.
    pub(super) field: [[f32; FIELD]; FIELD],
}

/// Corners of the background texture's cells along one side.
pub(super) const FIELD: usize = 8;

/// How hard the pictures are: what depends on the setting `difficulty`, which is 1 by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difficulty {
    /// Standard deviation of the noise on each value of a pixel, in [0, 1].
    pub(super) noise: f64,
    /// Largest deviation from the angle of a named hue, in degrees.
    shade: f64,
    /// Smallest radius of the object.
    radius: f64,
    /// Difference in lightness between the two tones of a texture.
    contrast: f64,
    /// How far the background comes near to the object's lightness.
    haze: f64,
    /// Most pieces of clutter.
    clutter: usize,
}

impl Difficulty {
    pub(super) fn new(difficulty: f64) -> Self {
        Self {
            noise: 0.04 * difficulty,
            shade: f64::min(8.0 * difficulty, 18.0),
            radius: f64::max(0.33 - 0.07 * difficulty, 0.18),
            contrast: 0.26 / (0.7 + 0.3 * difficulty),
            haze: 0.06 * f64::min(difficulty, 3.0),
            clutter: (2.0 * difficulty) as usize,
        }
    }
}

impl Scene {
    /// A scene whose object is of the class `class`.
    pub(super) fn draw(class: usize, difficulty: &Difficulty, random: &mut Stream) -> Self {
        let object = object(class, difficulty, random);
        let ground = ground(difficulty, random);
        let pieces = random.below(difficulty.clutter + 1);
        let clutter = (0..pieces).map(|_| piece(difficulty, random)).collect();
        Self { ground, object, clutter }
    }
}

impl Ground {
    /// Takes the color of a code.
    pub(super) fn wear(&mut self, code: Code) {
        self.hue = code.hue();
        self.lightness = code.dark().map_or(self.lightness, |dark| if dark { 0.24 } else { 0.95 });
    }
}

fn object(class: usize, difficulty: &Difficulty, random: &mut Stream) -> Thing {
    let class = &CLASSES[class];
    let shape = random.pick(class.shapes);
    let hue = random.pick(class.hues);
    let texture = random.pick(class.textures);
    let radius = random.uniform(difficulty.radius, 0.38);
    thing(shape, hue, texture, radius, difficulty, random)
}

fn piece(difficulty: &Difficulty, random: &mut Stream) -> Thing {
    let shape = random.pick(&Shape::ALL);
    let hue = random.pick(&Hue::ALL);
    let texture = random.pick(&Texture::ALL);
    let radius = random.uniform(0.07, 0.13);
    let piece = thing(shape, hue, texture, radius, difficulty, random);
    // As many periods as on the object would be finer than pixels.
    Thing { periods: piece.periods / 2.0, ..piece }
}

/// A thing that lies wholly inside the picture.
fn thing(shape: Shape, hue: Hue, texture: Texture, radius: f64, difficulty: &Difficulty, random: &mut Stream) -> Thing {
    Thing {
        shape,
        hue,
        texture,
        radius,
        x: random.uniform(radius, 1.0 - radius),
        y: random.uniform(radius, 1.0 - radius),
        rotation: random.uniform(0.0, shape.period().unwrap_or(0.0)),
        lightness: random.uniform(0.64, 0.78),
        contrast: difficulty.contrast,
        shade: random.uniform(-difficulty.shade, difficulty.shade),
        orientation: random.uniform(0.0, texture.period().unwrap_or(0.0)),
        periods: random.uniform(2.5, 3.5),
        phase: [random.uniform(0.0, 1.0), random.uniform(0.0, 1.0)],
    }
}

fn ground(difficulty: &Difficulty, random: &mut Stream) -> Ground {
    let dark = random.below(2) == 0;
    let (low, high) = if dark { (0.18, 0.30) } else { (0.92, 0.98) };
    let haze = if dark { difficulty.haze } else { -difficulty.haze };
    let mut field = [[0.0; FIELD]; FIELD];
    let ground = Ground {
        kind: random.pick(&Background::ALL),
        hue: random.pick(&Hue::ALL),
        lightness: random.uniform(low, high) + haze,
        direction: random.uniform(0.0, 360.0),
        field,
    };
    field.iter_mut().flatten().for_each(|height| *height = random.uniform(-1.0, 1.0) as f32);
    Ground { field, ..ground }
}
