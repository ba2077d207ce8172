//! Files that are whole or not there.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::{NetError, Result};

/// How the names of temporary files begin; a program that is killed while writing leaves one.
pub const TEMPORARY: &str = ".partial-";

/// Writes `bytes` to `path` so that at any moment, whatever happens, the file there is the old one or
/// the new one, whole: to a temporary file in the same folder, flushed to the disk, then renamed.
///
/// # Errors
/// Where the system refuses (no space, no permission); what was at `path` is untouched and the
/// temporary file is removed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| NetError::Io { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = temporary(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync(folder).map_err(failed)
}

/// The rename itself is on the disk once the folder is.
#[cfg(unix)]
fn sync(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Other systems let no one open a folder.
#[cfg(not(unix))]
fn sync(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// A temporary file that is removed when dropped, with the permissions of an ordinary new file.
fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Whether files can be written into the folder, once those of its folders are made that are not there: nothing is left behind.
///
/// # Errors
/// With the path, where it, or a folder above it, is no folder, or the system refuses.
pub fn check_folder(folder: &Path) -> Result<()> {
    let existing = folder.ancestors().find(|above| above.as_os_str().is_empty() || above.exists());
    let existing = existing.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| NetError::Io { path: existing.to_owned(), source };
    if !existing.is_dir() {
        return Err(failed(std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is a file, and no folder")));
    }
    temporary(existing).map(|_| ()).map_err(failed)
}

/// Reads a whole file.
///
/// # Errors
/// With the path, where the system refuses.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| NetError::Io { path: path.to_owned(), source })
}
