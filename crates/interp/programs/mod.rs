//! The programs, over a [`Catalog`](crate::Catalog): a downstream crate has them with its own extensions
//! in a `main` of three lines.

mod audit;
mod checkpoint;
mod eval;
mod list;
mod predict;
mod show;
mod train;

use std::process::ExitCode;

use clap::Args;

pub use audit::audit;
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
            tell(&format!("{:?}", miette::Report::new(error)));
            ExitCode::from(2)
        }
    }
}

/// Where and with how many threads to compute.
#[derive(Args, Debug)]
struct Machine {
    /// Where to compute: auto or cpu. (cuda:N is refused: the operations run on the CPU so far)
    #[arg(long, default_value = "auto", value_name = "DEVICE", help_heading = "Machine")]
    device: String,
    /// Threads; results do not depend on it. 0 is one for each core
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Machine")]
    threads: usize,
}

impl Machine {
    /// Sets up the thread pool and gives the number of threads that make batches.
    fn prepare(&self) -> Result<usize> {
        match self.device.as_str() {
            "auto" | "cpu" => {}
            cuda if cuda.starts_with("cuda") => {
                return Err(Error::Usage(format!(
                    "--device {cuda}: the operations run on the CPU so far; use --device cpu"
                )));
            }
            other => return Err(Error::Usage(format!("--device {other}: there are auto and cpu"))),
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global();
        pool.map_err(|e| Error::Usage(format!("--threads {}: {e}", self.threads)))?;
        Ok(rayon::current_num_threads())
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
