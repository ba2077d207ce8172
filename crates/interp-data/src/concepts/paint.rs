//! From a scene to pixels and masks. Both walk the same layers with the same coverage, so that the
//! masks are exact.

use std::collections::BTreeMap;
use std::ops::Range;

use interp_finding::random::Stream;
use rand_chacha::rand_core::RngCore;

use super::color::{Rgb, rgb};
use super::factors::Hue;
use super::faults::{Code, Frame};
use super::scene::{Ground, Scene, Thing};
use super::shapes::Outline;
use super::textures::{Backdrop, Pattern, mix};
use crate::Mask;

/// A scene placed in a picture of `size` by `size` pixels.
pub(super) struct Picture<'s> {
    size: usize,
    ground: &'s Ground,
    /// From the lowest to the highest; the first is the object.
    layers: Vec<Layer>,
}

/// Something painted over what is below it.
struct Layer {
    outline: Outline,
    rows: Range<usize>,
    columns: Range<usize>,
    pattern: Option<Pattern>,
    /// The lighter and the darker tone.
    tones: [Rgb; 2],
    concepts: Vec<Concept>,
}

/// Kind and name, such as `hue` and `red`.
type Concept = (&'static str, &'static str);

/// Most chroma of things and of backgrounds; sRGB shows less of some hues.
const CHROMA: f64 = 0.17;
const GROUND_CHROMA: f64 = 0.07;

impl<'s> Picture<'s> {
    pub(super) fn new(scene: &'s Scene, size: usize) -> Self {
        let things = core::iter::once(&scene.object).chain(&scene.clutter);
        Self { size, ground: &scene.ground, layers: things.map(|thing| Layer::thing(thing, size)).collect() }
    }

    /// Adds the shortcut's patch.
    pub(super) fn patch(&mut self, code: Code) {
        let width = self.size as f64 / 8.0;
        let end = self.size.div_ceil(8) + 1;
        self.layers.push(Layer {
            outline: Outline::patch(0.0, width),
            rows: 0..end,
            columns: 0..end,
            pattern: None,
            tones: [code.color(); 2],
            concepts: vec![("patch", code.name()), ("hue", code.hue().name())],
        });
    }

    /// Adds the frame.
    pub(super) fn frame(&mut self, frame: Frame) {
        let Some(color) = frame.color() else { return };
        self.layers.push(Layer {
            outline: Outline::Frame { size: self.size as f32, width: self.size as f32 / 16.0 },
            rows: 0..self.size,
            columns: 0..self.size,
            pattern: None,
            tones: [color; 2],
            concepts: vec![("frame", frame.name())],
        });
    }

    /// Writes the pixels, (H, W, C), with normal noise of standard deviation `noise` on each value.
    pub(super) fn paint(&self, noise: f64, random: &mut Stream, out: &mut [u8]) {
        let mut canvas = self.backdrop();
        self.layers.iter().for_each(|layer| layer.paint(self.size, &mut canvas));
        let scale = (noise * 255.0 / BYTES_DEVIATION) as f32;
        for (value, out) in canvas.as_flattened().iter().zip(out) {
            // `as` rounds down and keeps within 0 to 255.
            *out = (value * 255.0 + scale * centered_bytes(random) + 0.5) as u8;
        }
    }

    fn backdrop(&self) -> Vec<Rgb> {
        let backdrop = Backdrop::new(self.ground, self.size);
        let tones = ground_tones(self.ground);
        pixels(self.size).map(|(x, y)| blend(tones[0], tones[1], backdrop.share(x, y))).collect()
    }

    /// The object's mask, and one for every concept of which something is to be seen, by name.
    pub(super) fn masks(&self) -> (Mask, Vec<(String, Mask)>) {
        let mut open = vec![1.0; self.size * self.size];
        let mut found: BTreeMap<Concept, Vec<f32>> = BTreeMap::new();
        let mut object = Vec::new();
        for layer in self.layers.iter().rev() {
            object = layer.uncover(self.size, &mut open);
            layer.concepts.iter().for_each(|concept| add(&mut found, *concept, &object));
        }
        add(&mut found, ("background", self.ground.kind.name()), &open);
        add(&mut found, ("hue", self.ground.hue.name()), &open);
        let named = found.iter().map(|((kind, name), shares)| (format!("{kind}/{name}"), self.mask(shares)));
        let seen = named.filter(|(_, mask)| mask.coverage.iter().any(|&share| share > 0)).collect();
        (self.mask(&object), seen)
    }

    fn mask(&self, shares: &[f32]) -> Mask {
        let coverage = shares.iter().map(|share| (share * 255.0 + 0.5) as u8).collect();
        Mask { height: self.size, width: self.size, coverage }
    }
}

impl Layer {
    fn thing(thing: &Thing, size: usize) -> Self {
        let chroma = if thing.hue == Hue::Gray { 0.0 } else { CHROMA };
        let angle = thing.hue.angle().unwrap_or(0.0) + thing.shade;
        let tone = |lightness| rgb(lightness, chroma, angle);
        Self {
            outline: Outline::new(thing, size),
            rows: span(thing.y, thing.radius, size),
            columns: span(thing.x, thing.radius, size),
            pattern: Some(Pattern::new(thing, size)),
            tones: [tone(thing.lightness), tone(thing.lightness - thing.contrast)],
            concepts: vec![("shape", thing.shape.name()), ("hue", thing.hue.name()), ("texture", thing.texture.name())],
        }
    }

    fn color(&self, x: f32, y: f32) -> Rgb {
        match &self.pattern {
            Some(pattern) => blend(self.tones[0], self.tones[1], pattern.share(x, y)),
            None => self.tones[0],
        }
    }

    fn paint(&self, size: usize, canvas: &mut [Rgb]) {
        for row in self.rows.clone() {
            for column in self.columns.clone() {
                let (x, y) = center(column, row);
                let share = self.outline.coverage(x, y);
                if share > 0.0 {
                    let pixel = &mut canvas[row * size + column];
                    *pixel = blend(*pixel, self.color(x, y), share);
                }
            }
        }
    }

    /// What of the layer is seen through what is `open` above it, which it then closes.
    fn uncover(&self, size: usize, open: &mut [f32]) -> Vec<f32> {
        let mut seen = vec![0.0; open.len()];
        for row in self.rows.clone() {
            for column in self.columns.clone() {
                let (x, y) = center(column, row);
                let (share, at) = (self.outline.coverage(x, y), row * size + column);
                seen[at] = open[at] * share;
                open[at] *= 1.0 - share;
            }
        }
        seen
    }
}

fn add(found: &mut BTreeMap<Concept, Vec<f32>>, concept: Concept, shares: &[f32]) {
    let sum = found.entry(concept).or_insert_with(|| vec![0.0; shares.len()]);
    sum.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
}

/// The lighter and the darker tone of the background.
fn ground_tones(ground: &Ground) -> [Rgb; 2] {
    let chroma = if ground.hue == Hue::Gray { 0.0 } else { GROUND_CHROMA };
    [0.06, -0.06].map(|step| rgb(f64::min(ground.lightness + step, 1.0), chroma, ground.hue.angle().unwrap_or(0.0)))
}

/// The pixels that a thing with this center and radius can touch along one axis.
fn span(center: f64, radius: f64, size: usize) -> Range<usize> {
    let size = size as f64;
    let low = ((center - radius) * size - 1.0).max(0.0);
    let high = ((center + radius) * size + 2.0).min(size);
    low as usize..high as usize
}

fn blend(below: Rgb, above: Rgb, share: f32) -> Rgb {
    core::array::from_fn(|channel| mix(below[channel], above[channel], share))
}

fn center(column: usize, row: usize) -> (f32, f32) {
    (column as f32 + 0.5, row as f32 + 0.5)
}

/// The centers of all pixels, by rows.
fn pixels(size: usize) -> impl Iterator<Item = (f32, f32)> {
    (0..size).flat_map(move |row| (0..size).map(move |column| center(column, row)))
}

/// Standard deviation of the sum of four uniform bytes: sqrt(4 (256² - 1) / 12).
const BYTES_DEVIATION: f64 = 147.799_864_681_0;

/// The sum of four uniform bytes about its mean: close to normal, and the same on every machine.
fn centered_bytes(random: &mut Stream) -> f32 {
    let sum: u16 = random.next_u32().to_le_bytes().iter().map(|&byte| u16::from(byte)).sum();
    f32::from(sum) - 510.0
}
