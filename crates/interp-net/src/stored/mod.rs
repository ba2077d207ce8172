//! Tensors in files, told apart by what they hold: safetensors, state dicts of PyTorch, and indexes of shards of either.

mod index;
mod kind;
mod problem;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

use crate::sealed::{self, Sealed};
use crate::{NetError, Result, files, pth};
use kind::Kind;
pub use problem::Unread;
pub(crate) use problem::{list, short};

/// Reads the tensors of a file, and what is said beside them if it is ours.
///
/// # Errors
/// If the file cannot be read, holds anything but tensors, or is damaged.
pub(crate) fn read(path: &Path) -> Result<Sealed> {
    let bytes = whole(path)?;
    match kind::of(&bytes).map_err(|problem| unread(path, problem))? {
        Kind::Safetensors => sealed::of_bytes(path, &bytes),
        Kind::Index => index::read(path, &bytes).map(foreign),
        Kind::Archive => pth::archived(&bytes).map(foreign).map_err(|problem| unread(path, problem)),
        Kind::Legacy => pth::legacy(&bytes).map(foreign).map_err(|problem| unread(path, problem)),
    }
}

/// The names of the files that the index at `path` names: the shards of a network, which lie beside it.
///
/// # Errors
/// If the file cannot be read, or is no such index.
pub(crate) fn shards(path: &Path) -> Result<Vec<String>> {
    index::shards(path)
}

fn foreign(tensors: BTreeMap<String, Tensor>) -> Sealed {
    Sealed { content: None, tensors }
}

fn unread(path: &Path, problem: Unread) -> NetError {
    NetError::Unread { path: path.to_owned(), problem }
}

/// The bytes of an ordinary file.
fn whole(path: &Path) -> Result<Vec<u8>> {
    let about = std::fs::metadata(path).map_err(|source| NetError::Io { path: path.to_owned(), source })?;
    match about.is_file() {
        true => files::read(path),
        false if about.is_dir() => Err(unread(path, Unread::Folder)),
        false => Err(unread(path, Unread::NoFile)),
    }
}
