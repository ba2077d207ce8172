//! Image data sets with optional ground truth, augmentation, and a loader that prefetches.
//!
//! Conventions: an image is `height * width * channels` values of `f32` in [0, 1], rows first, the
//! channels of a pixel together (H, W, C). Labels count from 0. Everything random is a pure function
//! of a seed and an index (`interp_finding::random`).

mod annotations;
mod augment;
pub mod concepts;
mod corrupted;
mod dataset;
mod divide;
mod error;
mod formats;
mod loader;
mod memory;
mod noise;
mod own_picture;
mod padded;
mod seen_as;
#[cfg(test)]
#[path = "../../../tests/shared.rs"]
mod shared;
mod sheet;
mod sources;
mod strokes;
mod weights;

pub use annotations::Annotations;
pub use augment::{Augment, Normalize};
pub use corrupted::{Corruption, corrupted};
pub use dataset::{Dataset, Factor, Info, Mask, Source, Split, Truth};
pub use divide::{Divide, Divided, Learning};
pub use error::{DataError, Result};
pub use interp_finding::{Fit, Interpolation};
pub use loader::{Batch, Batches, Loader};
pub use noise::Noise;
pub use own_picture::read_picture;
pub use seen_as::{relabeled, renormalized};
pub use sheet::contact_sheet;
pub use sources::{Cifar10, Cifar10Jpeg, FashionMnist, Folder, Mnist, build_at, from_spec, sources, split_spec};
pub use strokes::strokes;
pub use weights::class_weights;
