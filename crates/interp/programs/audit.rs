//! `interp-audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

use super::ablate::Ablate;
use super::all::All;
use super::blocks::Blocks;
use super::checkpoint::{Which, measure_claims};
use super::codes::Codes;
use super::color::Color;
use super::concepts::Concepts;
use super::context::Context;
use super::contributions::Contributions;
use super::decompose::Decompose;
use super::dissect::Dissect;
use super::fields::Fields;
use super::invert::Invert;
use super::metrics::Metrics;
use super::neurons::Neurons;
use super::planted::Planted;
use super::prototypes::PrototypesOf;
use super::saliency::Saliency;
use super::shares::SharesOf;
use super::shrinkage::Shrinkage;
use super::soft_labels::SoftLabelsOf;
use super::sparse_code::SparseCodeOf;
use super::traverse::Traverse;
use super::visualize::Visualize;
use super::weights::Weights;
use super::{Ending, Machine, exit, print};
use crate::progress::Screen;
use crate::{Catalog, Error, Result};

/// Audit a trained network
#[derive(Parser, Debug)]
#[command(name = "interp-audit", version, after_help = "Example:\n  interp-audit claims checkpoints/sparse_vgg")]
struct Cli {
    #[command(subcommand)]
    analysis: Analysis,
}

#[derive(Subcommand, Debug)]
enum Analysis {
    All(All),
    /// Measure afresh what the priors claim of a network; exit status 1 where a claim fails
    Claims {
        /// A run folder, a file of ours, or hub:OWNER/NAME[@REVISION]
        checkpoint: PathBuf,
        /// NAME[:PATH], for claims about pictures; by default what the network was trained on
        #[arg(long, value_name = "SPEC")]
        data: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        machine: Machine,
    },
    Shrinkage(Shrinkage),
    Shares(SharesOf),
    Contributions(Contributions),
    Ablate(Ablate),
    Context(Context),
    Concepts(Concepts),
    Neurons(Neurons),
    Color(Color),
    Dissect(Dissect),
    Decompose(Decompose),
    Traverse(Traverse),
    Codes(Codes),
    SoftLabels(SoftLabelsOf),
    SparseCode(SparseCodeOf),
    Prototypes(PrototypesOf),
    Weights(Weights),
    Fields(Fields),
    Saliency(Saliency),
    Metrics(Metrics),
    Visualize(Visualize),
    Invert(Invert),
    Blocks(Blocks),
    Planted(Planted),
}

/// The program's command line.
pub(super) fn command() -> clap::Command {
    Cli::command()
}

/// Runs `interp-audit` with the process's arguments.
pub fn audit(catalog: &Catalog) -> ExitCode {
    match Cli::parse().analysis {
        Analysis::Claims { checkpoint, data, json, machine } => {
            exit(claims(checkpoint, data.as_deref(), json, &machine, catalog))
        }
        Analysis::All(all) => exit(all.run(catalog)),
        Analysis::Shrinkage(shrinkage) => exit(shrinkage.run(catalog)),
        Analysis::Shares(shares) => exit(shares.run(catalog)),
        Analysis::Contributions(contributions) => exit(contributions.run(catalog)),
        Analysis::Ablate(ablate) => exit(ablate.run(catalog)),
        Analysis::Context(context) => exit(context.run(catalog)),
        Analysis::Concepts(concepts) => exit(concepts.run(catalog)),
        Analysis::Weights(weights) => exit(weights.run()),
        Analysis::Fields(fields) => exit(fields.run(catalog)),
        Analysis::Neurons(neurons) => exit(neurons.run(catalog)),
        Analysis::Color(color) => exit(color.run(catalog)),
        Analysis::Dissect(dissect) => exit(dissect.run(catalog)),
        Analysis::Decompose(decompose) => exit(decompose.run(catalog)),
        Analysis::Traverse(traverse) => exit(traverse.run(catalog)),
        Analysis::Codes(codes) => exit(codes.run(catalog)),
        Analysis::SoftLabels(soft_labels) => exit(soft_labels.run(catalog)),
        Analysis::SparseCode(sparse_code) => exit(sparse_code.run(catalog)),
        Analysis::Prototypes(prototypes) => exit(prototypes.run(catalog)),
        Analysis::Saliency(saliency) => exit(saliency.run(catalog)),
        Analysis::Metrics(metrics) => exit(metrics.run(catalog)),
        Analysis::Visualize(visualize) => exit(visualize.run(catalog)),
        Analysis::Invert(invert) => exit(invert.run(catalog)),
        Analysis::Blocks(blocks) => exit(blocks.run(catalog)),
        Analysis::Planted(planted) => exit(planted.run(catalog)),
    }
}

fn claims(checkpoint: PathBuf, data: Option<&str>, json: bool, machine: &Machine, catalog: &Catalog) -> Result<Ending> {
    let (device, workers) = machine.prepare()?;
    let (which, screen) = (Which::of(checkpoint, None), Screen::new(json));
    let found = which.read(&screen)?;
    if found.file.meta.is_none() {
        return Err(Error::Folder { path: found.path, problem: "a file of others; it makes no claims".into() });
    }
    let mut loaded = which.network(found, None)?;
    loaded.network = loaded.network.to_device(&device)?;
    let measured = measure_claims(&loaded, data, catalog, workers, &screen)?;
    let holds = measured.iter().all(|m| m.holds);
    // Of no claims it cannot be said that they hold.
    let known = (!measured.is_empty()).then_some(holds);
    if json {
        let checkpoint = loaded.path.display().to_string();
        print(&json!({ "version": 1, "checkpoint": checkpoint, "holds": known, "claims": measured }).to_string())?;
    } else if measured.is_empty() {
        print("the network makes no claims")?;
    }
    for m in measured.iter().filter(|_| !json) {
        print(&super::train::claim_line(m))?;
    }
    Ok(if holds { Ending::Fine } else { Ending::Failed })
}
