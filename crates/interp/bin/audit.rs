//! The program `interp-audit`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    interp::programs::audit(&interp::Catalog::default())
}
