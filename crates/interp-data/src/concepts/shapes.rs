//! Outlines in pixels, and how much of a pixel lies inside.

use super::factors::Shape;
use super::scene::Thing;

/// An outline placed in a picture. Coordinates are in pixels, a pixel's center at half a pixel.
pub(super) enum Outline {
    Ring {
        center: [f32; 2],
        middle: f32,
        half_width: f32,
    },
    Polygon(Vec<Edge>),
    /// All within `width` of the picture's border.
    Frame {
        size: f32,
        width: f32,
    },
}

/// One side of a polygon: from `start` along `side`.
pub(super) struct Edge {
    start: [f32; 2],
    side: [f32; 2],
    inverse_square: f32,
}

impl Outline {
    pub(super) fn new(thing: &Thing, size: usize) -> Self {
        let scale = thing.radius * size as f64;
        let center = [thing.x * size as f64, thing.y * size as f64];
        let ring = |middle: f64, half: f64| Self::Ring {
            center: center.map(|c| c as f32),
            middle: (middle * scale) as f32,
            half_width: (half * scale) as f32,
        };
        match thing.shape {
            Shape::Disk => ring(0.0, 0.9),
            Shape::Ring => ring(0.7, 0.24),
            Shape::Square => polygon(&SQUARE, thing.rotation, scale, center),
            Shape::Cross => polygon(&CROSS, thing.rotation, scale, center),
            Shape::Triangle => polygon(&regular::<3>(1.0, 1.0), thing.rotation, scale, center),
            Shape::Star => polygon(&regular::<10>(1.0, 0.45), thing.rotation, scale, center),
        }
    }

    /// The axis-parallel square with corners at `low` and `high`, in pixels.
    pub(super) fn patch(low: f64, high: f64) -> Self {
        let (half, middle) = ((high - low) / 2.0, (high + low) / 2.0);
        polygon(&[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], 0.0, half, [middle, middle])
    }

    /// The share of the pixel inside, 0 to 1: linear in the signed distance of its center, which is
    /// exact for a straight side along the axes.
    pub(super) fn coverage(&self, x: f32, y: f32) -> f32 {
        (0.5 - self.distance(x, y)).clamp(0.0, 1.0)
    }

    /// Distance to the outline in pixels, negative inside.
    fn distance(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Ring { center, middle, half_width } => {
                let (dx, dy) = (x - center[0], y - center[1]);
                ((dx * dx + dy * dy).sqrt() - middle).abs() - half_width
            }
            Self::Polygon(edges) => polygon_distance(edges, x, y),
            Self::Frame { size, width } => x.min(y).min(size - x).min(size - y) - width,
        }
    }
}

/// A square of nearly the disk's area.
const SQUARE: [[f64; 2]; 4] = [[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]];

const ARM: f64 = 0.3;
const TIP: f64 = 0.95;

#[rustfmt::skip]
const CROSS: [[f64; 2]; 12] = [
    [-ARM, -TIP], [ARM, -TIP], [ARM, -ARM], [TIP, -ARM], [TIP, ARM], [ARM, ARM],
    [ARM, TIP], [-ARM, TIP], [-ARM, ARM], [-TIP, ARM], [-TIP, -ARM], [-ARM, -ARM],
];

/// `N` corners at equal angles, at the radii `even` and `odd` in turn.
fn regular<const N: usize>(even: f64, odd: f64) -> [[f64; 2]; N] {
    core::array::from_fn(|i| {
        let angle = core::f64::consts::TAU * i as f64 / N as f64;
        let radius = if i % 2 == 0 { even } else { odd };
        [radius * libm::sin(angle), -radius * libm::cos(angle)]
    })
}

/// The corners turned by `rotation` degrees, scaled and moved to `center`.
fn polygon(corners: &[[f64; 2]], rotation: f64, scale: f64, center: [f64; 2]) -> Outline {
    let radians = rotation * (core::f64::consts::PI / 180.0);
    let (sin, cos) = (libm::sin(radians), libm::cos(radians));
    let place = |[x, y]: [f64; 2]| [center[0] + scale * (cos * x - sin * y), center[1] + scale * (sin * x + cos * y)];
    let ends = corners.iter().cycle().skip(1);
    Outline::Polygon(corners.iter().zip(ends).map(|(&from, &to)| edge(place(from), place(to))).collect())
}

fn edge(from: [f64; 2], to: [f64; 2]) -> Edge {
    let side = [to[0] - from[0], to[1] - from[1]];
    let square = side[0] * side[0] + side[1] * side[1];
    Edge { start: from.map(|v| v as f32), side: side.map(|v| v as f32), inverse_square: (1.0 / square) as f32 }
}

/// Distance to the nearest side, negative where a ray from the point crosses an odd number of sides.
fn polygon_distance(edges: &[Edge], x: f32, y: f32) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    for Edge { start, side, inverse_square } in edges {
        let (dx, dy) = (x - start[0], y - start[1]);
        let along = ((dx * side[0] + dy * side[1]) * inverse_square).clamp(0.0, 1.0);
        let (rx, ry) = (dx - side[0] * along, dy - side[1] * along);
        nearest = nearest.min(rx * rx + ry * ry);
        let crosses = (dy < 0.0) != (dy - side[1] < 0.0);
        inside ^= crosses && ((dx * side[1] < dy * side[0]) == (side[1] > 0.0));
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}
