//! `interp-audit`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
        #[command(flatten)]
        which: Which,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs `interp-audit` with the process's arguments.
pub fn audit(_catalog: &Catalog) -> ExitCode {
    match Cli::parse().analysis {
        Analysis::Claims { which, json } => exit(claims(&which, json)),
    }
}

fn claims(which: &Which, json: bool) -> Result<Ending> {
    let loaded = which.load([32, 32])?;
    let Some(meta) = &loaded.file.meta else {
        return Err(Error::Folder { path: loaded.path, problem: "a file of others; it makes no claims".into() });
    };
    let measured = interp_audit::measure(&loaded.network, &meta.claims)?;
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
