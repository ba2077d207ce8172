//! Where tests find the real data sets.

use std::path::PathBuf;

/// The folder `name` of the shared data: in `INTERP_DATA`, or else beside the project's root. Where it
/// is missing, says that the test is skipped.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INTERP_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        println!("SKIPPED: {} is missing (set INTERP_DATA to the folder of the shared data)", path.display());
        return None;
    }
    Some(path)
}
