//! The atlas of neurons: what each channel of a layer answers to most.
//!
//! [`survey`] is one pass over pictures, in which every channel keeps the places that it answered to most, one for each picture
//! ([`Peak`]). Everything else is told from these: the [`feature`](features) of a neuron, the classes that it selects ([`class`]), and how much of its
//! answers is lost ([`Index`]) when what it sees is [changed](varied): [gray], [turned].

mod character;
pub mod class;
mod features;
pub mod gray;
mod peaks;
mod selectivity;
pub mod turned;
mod untrained;
mod variations;

pub use character::{Character, Measured, character, plain_answers};
pub use features::{Crop, Feature, crop, features};
pub use peaks::{Layer, Peak, Survey, Surveyor, Unit, bin_start, survey};
pub use selectivity::{Index, Selectivity, selectivity};
pub use untrained::untrained;
pub use variations::{Change, View, varied};

#[cfg(test)]
mod planted;
#[cfg(test)]
mod tests;
