//! Soft labels: what a network tells of the classes that a picture is *not* of. On average over a class they say which classes are alike to the
//! network ([`likeness`]); of a single picture, whether its label may be wrong ([`suspects`]).

mod likeness;
mod suspects;
mod tree;

pub use likeness::{Likeness, Pair, likeness};
pub use suspects::{Suspect, suspects};
pub use tree::{Join, tree};

#[cfg(test)]
mod tests;
