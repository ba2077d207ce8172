//! The named factors of a picture and how values are drawn.

use interp_finding::random::Stream;
use rand_chacha::rand_core::RngCore;

/// Outline of a thing. A circle of radius 1 around the origin holds each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Disk,
    Ring,
    Square,
    Cross,
    Triangle,
    Star,
}

impl Shape {
    pub(super) const ALL: [Self; 6] = [Self::Disk, Self::Ring, Self::Square, Self::Cross, Self::Triangle, Self::Star];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Ring => "ring",
            Self::Square => "square",
            Self::Cross => "cross",
            Self::Triangle => "triangle",
            Self::Star => "star",
        }
    }

    /// The turn in degrees after which the shape looks the same; none where every turn does.
    pub(super) fn period(self) -> Option<f64> {
        match self {
            Self::Disk | Self::Ring => None,
            Self::Square | Self::Cross => Some(90.0),
            Self::Triangle => Some(120.0),
            Self::Star => Some(72.0),
        }
    }
}

/// Named color of a thing or of the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hue {
    Red,
    Orange,
    Yellow,
    Green,
    Cyan,
    Blue,
    Purple,
    Pink,
    Gray,
}

impl Hue {
    pub(super) const ALL: [Self; 9] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Cyan,
        Self::Blue,
        Self::Purple,
        Self::Pink,
        Self::Gray,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Cyan => "cyan",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
            Self::Gray => "gray",
        }
    }

    /// OKLCH hue in degrees; none for gray, which has no hue.
    pub(super) fn angle(self) -> Option<f64> {
        match self {
            Self::Red => Some(25.0),
            Self::Orange => Some(62.0),
            Self::Yellow => Some(103.0),
            Self::Green => Some(145.0),
            Self::Cyan => Some(200.0),
            Self::Blue => Some(258.0),
            Self::Purple => Some(304.0),
            Self::Pink => Some(348.0),
            Self::Gray => None,
        }
    }
}

/// Pattern on a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    Stripes,
    Checks,
    Dots,
}

impl Texture {
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Stripes, Self::Checks, Self::Dots];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stripes => "stripes",
            Self::Checks => "checks",
            Self::Dots => "dots",
        }
    }

    /// The turn in degrees after which the pattern looks the same; none where every turn does.
    pub(super) fn period(self) -> Option<f64> {
        match self {
            Self::Plain => None,
            Self::Stripes => Some(180.0),
            Self::Checks | Self::Dots => Some(90.0),
        }
    }
}

/// What is behind the things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Background {
    Flat,
    Gradient,
    Textured,
}

impl Background {
    pub(super) const ALL: [Self; 3] = [Self::Flat, Self::Gradient, Self::Textured];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Gradient => "gradient",
            Self::Textured => "textured",
        }
    }
}

/// Draws straight from the generator's words: the sampling of a library may change, these must not.
pub(super) trait Draw {
    /// Uniform in [low, high).
    fn uniform(&mut self, low: f64, high: f64) -> f64;
    /// Uniform among 0..count; the bias is below count / 2^32.
    fn below(&mut self, count: usize) -> usize;
    /// Uniform among the items, of which there is at least one.
    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

impl Draw for Stream {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
        low + (high - low) * unit
    }

    fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.next_u32()) * count as u64) >> 32) as usize
    }
}
