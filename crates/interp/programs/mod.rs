//! The programs, over a [`Catalog`](crate::Catalog): a downstream crate has them with its own extensions
//! in a `main` of three lines.

mod ablate;
mod all;
mod audit;
mod bench;
mod blocks;
mod checkpoint;
mod chosen;
mod codes;
mod color;
mod colors;
mod compact;
mod concepts;
mod context;
mod contributions;
mod decompose;
mod dissect;
mod edit;
mod eval;
mod export;
mod fields;
mod import;
mod invert;
pub(crate) mod layers;
mod list;
mod metrics;
mod neurons;
mod on_pictures;
mod outcome;
mod planted;
mod predict;
mod prototypes;
mod saliency;
mod shares;
mod show;
mod shrinkage;
mod soft_labels;
mod sparse_code;
mod surveyed;
mod thumbnails;
pub(crate) mod tiles;
mod train;
mod traverse;
mod upload;
mod visualize;
mod weights;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use candle_core::Device;
use clap::Args;
use interp_audit::Memory;
use interp_net::files;
use interp_ops::Arithmetic;
use miette::MietteHandlerOpts;

pub use audit::audit;
pub use bench::bench;
pub use train::train;

use crate::progress::tell;
use crate::{Error, Result};

/// How a command ended, when nothing was wrong with what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All is well.
    Fine,
    /// A claim or threshold failed.
    Failed,
    /// Stopped by the user.
    Interrupted,
}

/// Tells the result of a command to the shell; errors are explained on standard error.
fn exit(result: Result<Ending>) -> ExitCode {
    match result {
        Ok(Ending::Fine) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(1),
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            // Messages of ours name their causes themselves.
            let once = MietteHandlerOpts::new().without_cause_chain();
            let _ = miette::set_hook(Box::new(move |_| Box::new(once.clone().build())));
            tell(&format!("{:?}", miette::Report::new(error)));
            ExitCode::from(2)
        }
    }
}

/// Where and with how many threads to compute.
#[derive(Args, Debug)]
struct Machine {
    /// Where to compute: cpu, cuda:N in a build with CUDA, or auto, the first CUDA device if there is one
    #[arg(long, default_value = "auto", value_name = "DEVICE", help_heading = "Machine")]
    device: String,
    /// On a CUDA device: factors of products are rounded to TF32, with 10 bits after the point
    #[arg(long, help_heading = "Machine")]
    tf32: bool,
    /// On a CUDA device: also algorithms that give other bits on every run
    #[arg(long, help_heading = "Machine")]
    nondeterministic: bool,
    /// Threads, at most 1024; results do not depend on it. 0 is one for each core
    #[arg(long, default_value_t = 0, value_name = "N", allow_negative_numbers = true, help_heading = "Machine")]
    #[arg(value_parser = clap::value_parser!(u16).range(..=1024))]
    // Many more, and the system gives them no memory.
    threads: u16,
}

impl Machine {
    /// Sets up the thread pool, and gives the device and the number of threads that make batches.
    fn prepare(&self) -> Result<(Device, usize)> {
        let arithmetic = Arithmetic { tf32: self.tf32, deterministic: !self.nondeterministic };
        let device = interp_ops::device(&self.device, arithmetic);
        let device = device.map_err(|e| Error::Usage(format!("--device {}: {e}", self.device)))?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.into()).build_global();
        pool.map_err(|e| Error::Usage(format!("--threads {}: {e}", self.threads)))?;
        Ok((device, rayon::current_num_threads()))
    }
}

/// Bytes, as people write them: `512MiB`, `2GB`, `1000000`.
fn memory(text: &str) -> std::result::Result<Memory, String> {
    let units =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
    let cut = |(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?, *bytes));
    let (number, unit) = units.iter().find_map(cut).unwrap_or((text, 1));
    let bytes =
        number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|&bytes| bytes > 0);
    bytes.map(|bytes| Memory { bytes }).ok_or_else(|| format!("`{text}` is no number of bytes, such as 512MiB"))
}

/// A time in seconds, minutes or hours.
fn time(text: &str) -> std::result::Result<Duration, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let cut = |(unit, seconds): &(&str, f64)| Some((text.strip_suffix(unit)?, *seconds));
    let found = units.iter().find_map(cut).and_then(|(number, seconds)| Some(seconds * number.parse::<f64>().ok()?));
    let duration = found.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| format!("`{text}` is no time, such as 30s, 90m or 2h"))
}

/// A folder that can be written to, which is better known before an analysis than after it.
fn folder(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    files::check_folder(&path).map_err(|error| error.to_string()).map(|()| path)
}

/// A file that can be written, in a folder that is there.
fn file(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        _ if path.is_dir() => Err("it is a folder".into()),
        Some(parent) if !parent.exists() => Err(format!("there is no folder {}", parent.display())),
        _ => files::check_folder(parent.unwrap_or(Path::new("."))).map_err(|error| error.to_string()).map(|()| path),
    }
}

/// A number between 0 and 1.
fn share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().ok().filter(|share| 0.0 < *share && *share < 1.0);
    share.ok_or_else(|| format!("`{text}` is no number between 0 and 1"))
}

/// Prints to standard output. A reader that has gone away is no error.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Io { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_people_write_them() {
        let bytes = |text| memory(text).ok().map(|memory| memory.bytes);
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        assert_eq!([bytes("2 GB"), bytes("7")], [Some(2_000_000_000), Some(7)]);
        assert_eq!([bytes("0"), bytes("-1"), bytes("1 GiB x"), bytes("20000000000GiB")], [None; 4]);
    }
}
