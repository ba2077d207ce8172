//! What a file is, by what it holds and not by its name.

use super::problem::{Unread, short};

/// Files that tensors are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Safetensors,
    /// A file of PyTorch from 1.6 on, a zip archive.
    Archive,
    /// A file of PyTorch before, pickles one after another.
    Legacy,
    /// JSON that says in which file each tensor lies.
    Index,
}

/// Beginnings of files that are mistaken for networks, and what they are.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "a file packed by gzip (unpack it first)"),
    (b"\x89HDF", "an HDF5 file, of Keras for example"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"GGUF", "a GGUF file"),
    (b"7z\xbc\xaf", "a 7z archive (unpack it first)"),
];

/// Bytes looked at to tell text from numbers.
const LOOK: usize = 512;

/// What the file holds, by its beginning.
///
/// # Errors
/// If it is something else.
pub(super) fn of(bytes: &[u8]) -> Result<Kind, Unread> {
    if bytes.is_empty() {
        return Err(Unread::Empty);
    }
    if let Some((_, what)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(Unread::Other((*what).into()));
    }
    let begins_as_safetensors = bytes.get(8) == Some(&b'{');
    match (beginning(bytes), bytes) {
        (Some(text), _) => of_text(text),
        (None, [b'P', b'K', ..]) if !begins_as_safetensors => Ok(Kind::Archive),
        (None, [0x80, ..]) if !begins_as_safetensors => Ok(Kind::Legacy),
        _ if begins_as_safetensors => Ok(Kind::Safetensors),
        _ => Err(Unread::Unknown),
    }
}

/// The beginning of a text file; `None` where there are other than printed characters.
fn beginning(bytes: &[u8]) -> Option<&str> {
    let start = &bytes[..bytes.len().min(LOOK)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut through at the end.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let printed = |c: char| !c.is_control() || c.is_ascii_whitespace();
    text.chars().all(printed).then(|| text.trim_start_matches('\u{feff}').trim_start())
}

fn of_text(text: &str) -> Result<Kind, Unread> {
    match text {
        _ if text.starts_with("version https://git-lfs.github.com/spec/") => Err(pointer(text)),
        _ if text.starts_with('<') => Err(Unread::WebPage),
        _ if text.starts_with('{') => Ok(Kind::Index),
        _ => Err(Unread::Other(format!("a text file that begins with `{}`", short(text)))),
    }
}

fn pointer(text: &str) -> Unread {
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    Unread::LfsPointer { size: short(size.unwrap_or("?")) }
}
