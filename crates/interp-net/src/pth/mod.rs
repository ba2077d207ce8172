//! State dicts that PyTorch has saved (`.pth`, `.pt`, `.bin`), read without Python: tensors only, and nothing is executed.
//!
//! Both formats are one pickle, which says of every tensor where in which storage its numbers lie, and the storages. What a pickle
//! asks to be called is matched against the few functions that tensors are made by, which are ours here; all else is refused by
//! name. Memory and time are bounded by the length of the file (docs/decisions/007-pickles.md).

mod archive;
mod legacy;
mod machine;
mod state;
mod tensor;
mod value;

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::stored::{Unread, short};
use machine::Pickle;
use tensor::{Allowance, Storage};

type Result<T> = std::result::Result<T, Unread>;
type Tensors = BTreeMap<String, Tensor>;

/// The tensors of a zip archive of PyTorch, from 1.6 on.
pub(crate) fn archived(bytes: &[u8]) -> Result<Tensors> {
    let mut archive = archive::Archive::open(bytes)?;
    let pickle = Pickle::read(&mut archive.pickle()?)?;
    tensors(&pickle, bytes.len(), |storage| archive.storage(storage))
}

/// The tensors of a file of PyTorch before 1.6, or saved with `_use_new_zipfile_serialization=False`.
pub(crate) fn legacy(bytes: &[u8]) -> Result<Tensors> {
    let file = legacy::read(bytes)?;
    tensors(&file.pickle, bytes.len(), |storage| file.storage(storage))
}

/// The tensors of the state dict in a pickle; `numbers` gives the bytes of a storage, and `length` is that of the file.
fn tensors<'a>(
    pickle: &Pickle<'a>,
    length: usize,
    mut numbers: impl FnMut(&Storage<'a>) -> Result<&'a [u8]>,
) -> Result<Tensors> {
    let mut allowance = Allowance::of_file(length);
    let mut tensors = Tensors::new();
    for (name, view) in state::dict(pickle)? {
        let wrong = |problem: String| Unread::Tensor { name: short(name), problem };
        let tensor = view.read(numbers(&view.storage)?, &mut allowance).map_err(wrong)?;
        if tensors.insert(name.to_owned(), tensor).is_some() {
            return Err(wrong("is there twice".into()));
        }
    }
    Ok(tensors)
}

fn broken(part: &str, problem: impl Into<String>) -> Unread {
    Unread::Broken { part: part.into(), problem: problem.into() }
}
