//! The programs, over a [`Catalog`](crate::Catalog): a downstream crate has them with its own extensions
//! in a `main` of three lines.

mod ablate;
mod audit;
mod bench;
mod checkpoint;
mod compact;
mod contributions;
mod edit;
mod eval;
mod list;
mod on_pictures;
mod predict;
mod shares;
mod show;
mod shrinkage;
mod train;

use std::process::ExitCode;

use candle_core::Device;
use clap::Args;
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
