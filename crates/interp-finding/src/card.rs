//! Cards: many things of a kind, each with its pictures and numbers.

use serde::{Deserialize, Serialize};

use crate::Number;

/// Pictures of one size for [`Figure::Cards`](crate::Figure::Cards).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// Width of each picture in pixels.
    pub width: usize,
    /// Height of each picture in pixels.
    pub height: usize,
    /// `height * width * 3` bytes of each picture, one picture after the other: rows of red, green, blue.
    pub rgb: Vec<u8>,
}

/// Where a picture is among [`Sheet`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index of the sheet.
    pub sheet: usize,
    /// Index of the picture on it.
    pub index: usize,
}

/// A whole picture, of which cards show parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Original {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub name: String,
    /// A command line that tells more of it; may be empty.
    pub command: String,
}

/// A part of an [`Original`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Index of the original.
    pub original: usize,
    /// Left, top, width and height in pixels of the original; it may lie outside in part.
    pub area: [f64; 4],
}

/// A picture on a [`Card`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shot {
    /// Where it is.
    pub place: Place,
    /// What is written below it.
    pub name: String,
    /// What it is a part of, where it is one.
    pub part: Option<Part>,
}

/// How often values occur, on a [`Card`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// How often, of bins side by side.
    pub counts: Vec<u32>,
    /// Where the first bin begins and the last one ends, as people read it.
    pub ends: [String; 2],
    /// In plain words: what is counted.
    pub caption: String,
}

/// A thing with what is known of it, on a [`Figure::Cards`](crate::Figure::Cards).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What it is.
    pub name: String,
    /// What it falls under, one for each of the figure's `facets`.
    pub facets: Vec<String>,
    /// What was measured of it, one for each of the figure's `measures`, where it was measured.
    pub numbers: Vec<Option<Number>>,
    /// The picture that stands for it.
    pub face: Option<Place>,
    /// Other pictures, in the order in which they should be looked at.
    pub shots: Vec<Shot>,
    /// How its values are spread.
    pub histogram: Option<Histogram>,
    /// What else is said of it, in a few words each.
    pub tags: Vec<String>,
}
