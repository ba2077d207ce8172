//! The real data that some tests need; the tests of `interp-data` include this file too.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file or folder of the shared data: in `INTERP_DATA`, where it must be, or else in `shared/data` beside the
/// project's root. Where it is missing there, says that the test is skipped.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("INTERP_DATA").map(|folder| Path::new(&folder).join(name));
    assert!(given.as_ref().is_none_or(|path| path.exists()), "INTERP_DATA has no {name}");
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let path = given.or_else(|| above.map(|a| a.join("shared/data").join(name)).find(|path| path.exists()));
    if path.is_none() {
        skipped(&format!("{name} is not there: set INTERP_DATA to its folder"));
    }
    path
}

/// Says that a test is skipped, and why, past the harness that hides what tests print.
pub(crate) fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}
