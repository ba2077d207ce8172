//! `interp`: train convolutional networks that people can understand, audit any trained one, and check
//! the claims made about it.
//!
//! This crate puts the parts together: a [`Recipe`](recipe::Recipe) is read, checked into a
//! [`Plan`](plan::Plan), and run into a folder with the network, its numbers and a report. The parts
//! are re-exported under their names.

pub use interp_audit as audit;
pub use interp_data as data;
pub use interp_finding as finding;
pub use interp_hub as hub;
pub use interp_learn as learn;
pub use interp_net as net;
pub use interp_ops as ops;
pub use interp_report as report;

mod allocator;
mod asked;
pub mod bench;
mod card;
pub mod catalog;
pub mod compare;
mod config;
mod error;
pub mod folder;
pub mod generate;
pub mod init;
mod inserting;
mod latency;
mod links;
mod network_file;
mod origin;
pub mod plan;
mod profile;
pub mod programs;
mod progress;
pub mod recipe;
pub mod run;
pub mod settings_page;
pub mod summary;
pub mod teaching;
mod tensorboard;

pub use allocator::{Allocator, keep_freed_memory};
pub use catalog::Catalog;
pub use error::{Error, Result};
pub use origin::Origin;
