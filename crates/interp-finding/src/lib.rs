//! What the parts of `interp` tell each other, as plain data that serde can write and read.
//!
//! - [`Finding`]: what an analysis found, with [`Number`]s and [`Figure`]s; the report draws it.
//! - [`Claim`]: what a prior says will be true of a trained network; the audit measures it.
//! - [`Entry`]: one line of a table of extensions (priors, data sets, ...), from which listings,
//!   documentation, the recipe schema and the tests over all entries are made.
//! - [`Unfit`]: a setting that cannot be used, with its key.
//! - [`random`]: counter-based random streams, the only randomness of the whole project.
//!
//! This crate uses no other part of the project, and no tensors.

mod bank;
mod bootstrap;
mod card;
mod claim;
mod entry;
mod finding;
mod fit;
mod indices;
mod median;
pub mod random;
mod student;
mod unfit;
mod wilson;

pub use bank::Bank;
pub use bootstrap::{interval, mean_interval};
pub use card::{Card, Histogram, Original, Part, Place, Sheet, Shot};
pub use claim::{Claim, Measured, Quantity, Relation, or_nan};
pub use entry::{Built, Entry, Section, build, find, nearest};
pub use finding::{Better, Figure, Finding, Joint, Named, Number, Series};
pub use fit::{Fit, Interpolation};
pub use indices::Indices;
pub use median::median;
pub use student::{prediction_bound, student_interval};
pub use unfit::Unfit;
pub use wilson::share_interval;
