//! Tests over the whole line, in one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// Recipes beside their twins, over seeds.
mod bench;
/// Cards in a browser.
mod browser;
/// What the programs print, and how they end, on good and bad input.
mod cli;
/// What the codes of pictures that are made control.
mod codes;
/// Folders, small recipes, the shared data.
mod common;
/// The smaller network within a sparse one.
mod compact;
/// Objects and what is around them.
mod context;
/// How far channels keep to factors of pictures.
mod decompose;
/// Networks that take noise away.
mod denoise;
/// The same result whatever the threads, and after being killed.
mod determinism;
/// Thresholds changed after training.
mod edit;
/// What pixels contribute, and what a node is worth, by the programs.
mod explained;
/// The commands of the guides.
mod guides;
/// Networks of the hub.
mod hub;
/// Training that starts from a checkpoint.
mod init;
/// Layers put into networks.
mod insert;
/// Every prior on every architecture, and every pair of priors.
mod matrix;
/// The memory that audits take.
mod memory;
/// Other people's networks give other people's numbers.
mod parity;
/// What a recipe comes to with its data.
mod plan;
/// Whether analyses find what was planted.
mod planted;
/// Every recipe that is shipped, and every line of the tables.
mod recipes;
/// What every analysis says of networks, pictures and places to write that it cannot use.
mod refused;
/// Where the evidence lies, by every method.
mod saliency;
/// Where the shared data is.
mod shared;
/// Classes that are alike, and labels that are wrong.
mod soft_labels;
/// Networks that learn from others.
mod teachers;
/// Analyses on every architecture.
mod universal;
/// Runs that go to the hub.
mod upload;
/// Networks that make pictures again of codes.
mod vae;
/// The crates, and who may use whom.
mod workspace;
