//! The program `interp-bench`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: interp::Allocator = interp::Allocator;

fn main() -> ExitCode {
    interp::keep_freed_memory();
    interp::programs::bench(&interp::Catalog::default())
}
