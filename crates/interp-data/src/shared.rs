//! Where tests find the real data sets.

use std::io::Write;
use std::path::PathBuf;

/// The folder `name` of the shared data: in `INTERP_DATA`, where it must be, or else beside the project's
/// root. Where it is missing there, says that the test is skipped, past the harness that hides what tests
/// print.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("INTERP_DATA").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = given.clone().unwrap_or_else(beside).join(name);
    assert!(path.exists() || given.is_none(), "INTERP_DATA has no {name}");
    if !path.exists() {
        let line = format!("SKIPPED: {name} is not there: set INTERP_DATA to its folder\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(path)
}
