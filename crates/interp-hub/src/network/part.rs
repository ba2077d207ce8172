//! A file that has not come in whole yet.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::HubError;
use crate::cache::make_parent;

/// The first bytes of a file, on the disk as `ETAG.incomplete`.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    total: u64,
}

impl Part {
    /// Goes on with what an earlier download left, or begins.
    pub(super) fn open(path: PathBuf, total: u64) -> Result<Self, HubError> {
        make_parent(&path)?;
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let mut file = open.map_err(HubError::io(&path))?;
        let length = file.seek(SeekFrom::End(0)).map_err(HubError::io(&path))?;
        let mut part = Self { path, file, length, total };
        if length > total {
            part.restart()?;
        }
        Ok(part)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes the whole file has.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length == self.total
    }

    /// Throws away what is there.
    pub(super) fn restart(&mut self) -> Result<(), HubError> {
        if self.length > 0 {
            self.file.set_len(0).map_err(HubError::io(&self.path))?;
            self.file.rewind().map_err(HubError::io(&self.path))?;
            self.length = 0;
        }
        Ok(())
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|error| self.explain(error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Moves the whole file to its place, where it is seen all at once.
    pub(super) fn finish(self, place: &Path) -> Result<(), HubError> {
        // On the disk first: after a failure of power no name may stand for half a file.
        self.file.sync_all().map_err(|error| self.explain(error))?;
        std::fs::rename(&self.path, place).map_err(HubError::io(place))
    }

    /// Removes the file.
    pub(super) fn discard(self) -> Result<(), HubError> {
        std::fs::remove_file(&self.path).map_err(HubError::io(&self.path))
    }

    fn explain(&self, error: std::io::Error) -> HubError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                HubError::DiskFull { path: self.path.clone(), needed: self.total - self.length }
            }
            _ => HubError::io(&self.path)(error),
        }
    }
}
