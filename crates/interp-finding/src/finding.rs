//! Findings, numbers and figures.

use serde::{Deserialize, Serialize};

use crate::{Card, Original, Sheet};

/// Which direction of a number is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Larger is better.
    Higher,
    /// Smaller is better.
    Lower,
    /// Neither is better; the number describes.
    Neither,
}

/// A measured value with what is needed to judge it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The value, in `unit`.
    pub value: f64,
    /// A 95 % interval around it, where one was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// The value expected where there is nothing to find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<f64>,
    /// Unit of value, interval and null, such as `%`, `s`, `points`; empty for a pure number.
    pub unit: String,
    /// Which direction is the good one.
    pub better: Better,
}

impl Number {
    /// A value without interval and null.
    pub fn new(value: f64, unit: &str, better: Better) -> Self {
        Self { value, interval: None, null: None, unit: unit.to_owned(), better }
    }

    /// The same number with a 95 % interval.
    pub fn with_interval(mut self, low: f64, high: f64) -> Self {
        self.interval = Some([low, high]);
        self
    }
}

/// A line of a [`Figure::Curves`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points `[x, y]`, in order of x.
    pub points: Vec<[f64; 2]>,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Figure {
    /// Lines over a common x axis.
    Curves {
        /// Heading.
        title: String,
        /// In plain words: what it shows, and what it does not.
        caption: String,
        /// Name and unit of the x axis.
        x: String,
        /// Name and unit of the y axis.
        y: String,
        /// The lines.
        series: Vec<Series>,
    },
    /// Rows of text and numbers.
    Table {
        /// Heading.
        title: String,
        /// In plain words: what it shows, and what it does not.
        caption: String,
        /// Column heads.
        columns: Vec<String>,
        /// Cells, row by row, each row as long as `columns`.
        rows: Vec<Vec<String>>,
    },
    /// Numbers in rows and columns, by how dark they are.
    Heat {
        /// Heading.
        title: String,
        /// In plain words: what it shows, and what it does not.
        caption: String,
        /// Names of the rows.
        rows: Vec<String>,
        /// Names of the columns.
        columns: Vec<String>,
        /// Row by row, as many numbers as columns, at least 0; `None` where there is none.
        values: Vec<Vec<Option<f64>>>,
    },
    /// Things put together two by two, the most alike first.
    Tree {
        /// Heading.
        title: String,
        /// In plain words: what it shows, and what it does not.
        caption: String,
        /// Names of the things.
        leaves: Vec<String>,
        /// What is put together, one join less than leaves.
        joins: Vec<Joint>,
    },
    /// Pixels.
    Picture {
        /// Heading.
        title: String,
        /// In plain words: what it shows, and what it does not.
        caption: String,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// `height * width * 3` bytes: rows of red, green, blue.
        rgb: Vec<u8>,
        /// How many screen pixels a pixel should take on each side, at least 1.
        zoom: usize,
    },
    /// Pictures beside each other, each with its name.
    Pictures {
        /// Heading.
        title: String,
        /// In plain words: what they show, and what they do not.
        caption: String,
        /// The pictures, in the order in which they should be looked at.
        pictures: Vec<Named>,
        /// How many screen pixels a pixel should take on each side, at least 1.
        zoom: usize,
    },
    /// Cards of many things of a kind, to be filtered and sorted.
    Cards {
        /// Heading.
        title: String,
        /// In plain words: what a card shows, and what it does not.
        caption: String,
        /// By what cards are filtered: what each of [`Card::facets`] is called.
        facets: Vec<String>,
        /// By what cards are sorted: what each of [`Card::numbers`] is called.
        measures: Vec<String>,
        /// The pictures on cards.
        sheets: Vec<Sheet>,
        /// The whole pictures that those on cards are parts of.
        originals: Vec<Original>,
        /// The cards, in the order in which they should be looked at.
        cards: Vec<Card>,
    },
}

/// Two groups put together in a [`Figure::Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joint {
    /// Which: a number below that of leaves is a leaf, n more than that the group of the n-th joint.
    pub parts: [usize; 2],
    /// How alike they are, at least 0.
    pub alike: f64,
}

/// A picture of a [`Figure::Pictures`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// What is written below it.
    pub name: String,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height * width * 3` bytes: rows of red, green, blue.
    pub rgb: Vec<u8>,
}

/// What an analysis found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Identifier, unique on a page: lower case, words joined by `-`.
    pub name: String,
    /// Heading.
    pub title: String,
    /// The finding in one or a few sentences that follow from the numbers.
    pub statement: String,
    /// Named numbers, in the order in which they should be read.
    pub numbers: Vec<(String, Number)>,
    /// Figures, in the order in which they should be read.
    pub figures: Vec<Figure>,
}
