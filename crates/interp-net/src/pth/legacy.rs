//! Files of PyTorch before 1.6: a magic number, a version, what the machine was, the state dict, the keys of its storages, each a pickle,
//! and then the storages.

use std::collections::BTreeMap;

use super::machine::Pickle;
use super::tensor::Storage;
use super::value::Value;
use super::{Result, Unread, broken};

/// 0x1950a86a20f9469cfc6c as pickles hold it: the instruction, ten bytes, the lowest first.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// Bytes within which it begins.
const BEGINNING: usize = 32;
/// The version that PyTorch has written since 0.1.
const VERSION: i64 = 1001;

/// A file in its parts.
pub(super) struct Legacy<'a> {
    pub(super) pickle: Pickle<'a>,
    storages: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Legacy<'a> {
    /// The bytes of a storage.
    pub(super) fn storage(&self, storage: &Storage<'a>) -> Result<&'a [u8]> {
        let bytes = self.storages.get(storage.key).copied();
        storage.checked(bytes.ok_or_else(|| broken(storage.key, "no such storage"))?)
    }
}

/// # Errors
/// If the file is another pickle, holds anything but tensors, or is broken.
pub(super) fn read(bytes: &[u8]) -> Result<Legacy<'_>> {
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    if !beginning.windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Err(Unread::Other("a pickle that torch.save has not written".into()));
    }
    let mut rest = bytes;
    Pickle::read(&mut rest)?;
    if !matches!(Pickle::read(&mut rest)?.root(), Value::Integer(VERSION)) {
        return Err(broken("its beginning", format!("a version other than {VERSION}")));
    }
    Pickle::read(&mut rest)?;
    let pickle = Pickle::read(&mut rest)?;
    let storages = storages(&pickle, &Pickle::read(&mut rest)?, rest)?;
    Ok(Legacy { pickle, storages })
}

/// Each storage is preceded by how many numbers it holds; of which type they are, the pickle says.
fn storages<'a>(pickle: &Pickle<'a>, keys: &Pickle<'a>, bytes: &'a [u8]) -> Result<BTreeMap<&'a str, &'a [u8]>> {
    let Value::List(list) = keys.root() else { return Err(broken("its list of storages", "it is no list")) };
    let widths = widths(pickle);
    let (mut rest, mut found) = (bytes, BTreeMap::new());
    for id in list {
        let Value::Text(key) = keys.at(*id) else {
            return Err(broken("its list of storages", "a key that is no text"));
        };
        let width = widths.get(key).ok_or_else(|| broken(key, "a storage of no tensor"))?;
        let (count, after) = rest.split_at_checked(8).ok_or_else(|| broken(key, "the file ends before it"))?;
        let length = length(count).and_then(|count| count.checked_mul(*width));
        let parts = length.and_then(|length| after.split_at_checked(length));
        let (numbers, after) = parts.ok_or_else(|| broken(key, "the file ends within it"))?;
        found.insert(*key, numbers);
        rest = after;
    }
    Ok(found)
}

fn length(bytes: &[u8]) -> Option<usize> {
    let count = u64::from_le_bytes(bytes.try_into().ok()?);
    usize::try_from(count).ok()
}

/// Bytes of a number of each storage.
fn widths<'a>(pickle: &Pickle<'a>) -> BTreeMap<&'a str, usize> {
    let width = |value: &Value<'a>| match value {
        Value::Storage(storage) => Some((storage.key, storage.numbers.width)),
        _ => None,
    };
    pickle.values().iter().filter_map(width).collect()
}
