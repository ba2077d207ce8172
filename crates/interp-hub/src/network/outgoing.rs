//! Files that go out: what is told of them first, and their bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use sha2::Sha256;

use super::checksum::digest;
use crate::{Content, HubError, Outgoing, Progress};

/// How many bytes the server looks at to tell text from other files.
const SAMPLE: u64 = 512;

/// A file with what the server wants to know of it.
pub(super) struct Described<'u> {
    pub(super) file: &'u Outgoing,
    /// Bytes.
    pub(super) size: u64,
    /// SHA-256 of the content, in hexadecimal digits.
    pub(super) sha256: String,
    /// The first bytes.
    pub(super) sample: Vec<u8>,
}

impl<'u> Described<'u> {
    pub(super) fn of(file: &'u Outgoing) -> Result<Self, HubError> {
        let size = match &file.content {
            Content::File(path) => path.metadata().map_err(HubError::io(path))?.len(),
            Content::Bytes(bytes) => bytes.len() as u64,
        };
        let whole = file.read(0, size)?;
        let sha256 = digest::<Sha256>(Default::default(), whole).map_err(file.io())?;
        Ok(Self { file, size, sha256, sample: file.all(SAMPLE.min(size))? })
    }
}

impl Outgoing {
    /// Reads `length` bytes from `start` on.
    pub(super) fn read(&self, start: u64, length: u64) -> Result<Box<dyn Read + '_>, HubError> {
        Ok(match &self.content {
            Content::File(path) => {
                let mut file = File::open(path).map_err(HubError::io(path))?;
                file.seek(SeekFrom::Start(start)).map_err(HubError::io(path))?;
                Box::new(file.take(length))
            }
            Content::Bytes(bytes) => {
                let rest = usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
                Box::new(rest.take(length))
            }
        })
    }

    /// The first `length` bytes.
    pub(super) fn all(&self, length: u64) -> Result<Vec<u8>, HubError> {
        let mut bytes = Vec::new();
        self.read(0, length)?.read_to_end(&mut bytes).map_err(self.io())?;
        Ok(bytes)
    }

    fn io(&self) -> impl FnOnce(std::io::Error) -> HubError {
        HubError::io(match &self.content {
            Content::File(path) => path,
            Content::Bytes(_) => self.path.as_ref(),
        })
    }
}

/// Tells how many bytes of all files are sent.
#[derive(Clone, Copy)]
pub(super) struct Meter<'p> {
    pub(super) progress: Progress<'p>,
    /// Bytes that were sent before.
    pub(super) before: u64,
    /// Bytes of all files.
    pub(super) total: u64,
}

impl<'p> Meter<'p> {
    /// The same after `bytes` more.
    pub(super) fn after(self, bytes: u64) -> Self {
        Self { before: self.before.saturating_add(bytes), ..self }
    }

    /// Tells what is sent so far.
    pub(super) fn tell(&self) {
        (self.progress)(self.before, self.total);
    }
}

/// Bytes that tell how many of them were read.
pub(super) struct Metered<'p, R> {
    pub(super) bytes: R,
    pub(super) meter: Meter<'p>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.meter = self.meter.after(count as u64);
        self.meter.tell();
        Ok(count)
    }
}
