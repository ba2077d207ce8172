//! Whether a file is what its name on the server says.

use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const BLOCK: usize = 1 << 18;

/// A checksum that a server gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the content: files that git keeps elsewhere (LFS).
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the content: git's own name of it.
    GitBlob(String),
    /// The server's name for the content is none that is known.
    Unknown,
}

impl Checksum {
    /// The checksum that a server's name for a content is.
    pub(super) fn named(etag: &str) -> Self {
        let hexadecimal = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if hexadecimal => Self::Sha256(etag.to_ascii_lowercase()),
            40 if hexadecimal => Self::GitBlob(etag.to_ascii_lowercase()),
            _ => Self::Unknown,
        }
    }

    /// What is wrong with a file of `size` bytes on the disk, if anything.
    pub(super) fn mismatch(&self, path: &Path, size: u64) -> Result<Option<String>> {
        let (expected, found, name) = match self {
            Self::Sha256(expected) => (expected, digest(Sha256::new(), File::open(path)?)?, "sha256"),
            Self::GitBlob(expected) => {
                let start = Sha1::new().chain_update(format!("blob {size}\0"));
                (expected, digest(start, File::open(path)?)?, "git's sha1")
            }
            Self::Unknown => return Ok(None),
        };
        Ok((*expected != found).then(|| format!("{name} {found}, expected {expected}")))
    }
}

/// The digest of what is read after `start`, in hexadecimal digits.
pub(super) fn digest<D: Digest>(mut start: D, mut content: impl Read) -> Result<String> {
    let mut block = vec![0; BLOCK];
    loop {
        match content.read(&mut block)? {
            0 => break,
            count => start.update(&block[..count]),
        }
    }
    Ok(start.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // `printf 'what is up, doc?' | git hash-object --stdin` as in the book Pro Git (chapter 10.2), and the example
    // "abc" of FIPS 180-2.
    #[test]
    fn checksums_are_those_of_git_and_of_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "what is up, doc?").unwrap();
        let blob = Checksum::named("bd9dbf5aae1a3862dd1526723246b20206e5fc37");
        assert_eq!(blob.mismatch(&path, 16).unwrap(), None);
        assert!(blob.mismatch(&path, 15).unwrap().is_some());
        std::fs::write(&path, "abc").unwrap();
        let sha256 = Checksum::named("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD");
        assert_eq!(sha256.mismatch(&path, 3).unwrap(), None);
        std::fs::write(&path, "abd").unwrap();
        assert!(sha256.mismatch(&path, 3).unwrap().unwrap().contains("expected ba7816bf"));
        assert_eq!(Checksum::named("5f3c-1a2b"), Checksum::Unknown);
    }
}
