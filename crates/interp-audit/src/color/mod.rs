//! How a network represents color.
//!
//! Colors are told in the opponent space of Rafegas and Vanrell 2018 ("Color encoding in biologically-inspired convolutional neural networks"): of red, green and
//! blue in [0, 1] brightness `(R + G + B - 1.5) / 1.5`, red against green `R - G`, and yellow against blue `(R + G - 2 B) / 2`. The hue of a color is its
//! direction in the plane of the last two, its chroma the distance from gray there.
//!
//! - [`data_colors`]: what hues there are in pictures at all, which everything else is measured against.
//! - [`unit_hues`]: the hues that a channel's largest answers see, by the places that a [survey](crate::neurons::survey) found.
//! - [`tuning`]: what channels answer to plain colors, and to disks of a hue around which lies the opposite one.
//! - [`first_axes`]: the color axes of a first layer's filters.

mod axes;
mod crops;
mod data;
mod hues;
mod layer;
mod space;
mod tuning;

pub use axes::{Distance, FilterAxis, FirstAxes, NAMED_AXES, first_axes};
pub use crops::{CHANCE, Hue, Kind, Part, Place, UnitHues, unit_hues};
pub use data::{DataColors, data_colors};
pub use hues::{BINS, Hues};
pub use layer::{Axis, LayerColors, layer_colors};
pub use space::{color, hue_name};
pub use tuning::{Fields, Tuning, tuning};

pub(crate) use space::opponent;

#[cfg(test)]
mod tests;
