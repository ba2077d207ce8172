//! `interp-audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

use super::checkpoint::Which;
use super::{Ending, exit, print};
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
    /// Measure afresh what the priors claim of a network; exit status 1 where a claim fails
    Claims {
        /// A run folder, or a file of ours
        checkpoint: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The program's command line.
pub(super) fn command() -> clap::Command {
    Cli::command()
}

/// Runs `interp-audit` with the process's arguments.
pub fn audit(_catalog: &Catalog) -> ExitCode {
    match Cli::parse().analysis {
        Analysis::Claims { checkpoint, json } => exit(claims(checkpoint, json)),
    }
}

fn claims(checkpoint: PathBuf, json: bool) -> Result<Ending> {
    let which = Which::of(checkpoint, None);
    let (path, file) = which.read()?;
    let Some(claims) = file.meta.as_ref().map(|meta| meta.claims.clone()) else {
        return Err(Error::Folder { path, problem: "a file of others; it makes no claims".into() });
    };
    let loaded = which.network(path, file, [32, 32])?;
    let measured = interp_audit::measure(&loaded.network, &claims)?;
    let holds = measured.iter().all(|m| m.holds);
    if json {
        let checkpoint = loaded.path.display().to_string();
        print(&json!({ "version": 1, "checkpoint": checkpoint, "holds": holds, "claims": measured }).to_string())?;
    } else if measured.is_empty() {
        print("the network makes no claims")?;
    }
    for m in measured.iter().filter(|_| !json) {
        print(&super::train::claim_line(m))?;
    }
    Ok(if holds { Ending::Fine } else { Ending::Failed })
}
