//! Safetensors files of ours: tensors, one JSON text beside them, and a hash over both, so that a
//! flipped bit anywhere is found.
//!
//! The file is a plain safetensors file that any reader opens. Its metadata has one key, [`KEY`], with
//! `{"sha256": ..., "content": ...}`, the content being JSON as a string; the hash is over this string and
//! every tensor's name, dtype, shape and bytes in the order of names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use safetensors::tensor::{TensorView, View};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::stored::short;
use crate::{NetError, Result, files};

/// The metadata key of our files.
pub const KEY: &str = "interp";

/// Named tensors of a file, by name, and the JSON text beside them.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The content that was written beside the tensors; `None` for a file of others.
    pub content: Option<serde_json::Value>,
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    sha256: String,
    content: String,
}

/// Writes tensors and content to `path`, atomically. Equal arguments give equal bytes.
///
/// # Errors
/// Where the content is no JSON, or the system refuses.
pub fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, content: &impl Serialize) -> Result<()> {
    files::write_atomically(path, &bytes(path, tensors, content)?)
}

fn bytes(path: &Path, tensors: &BTreeMap<String, Tensor>, content: &impl Serialize) -> Result<Vec<u8>> {
    let wrong = |problem: String| NetError::Checkpoint { path: path.to_owned(), problem };
    let content = serde_json::to_string(content).map_err(|e| wrong(e.to_string()))?;
    let views: Vec<(&str, Raw)> = tensors.iter().map(|(n, t)| Ok((n.as_str(), Raw::of(t)?))).collect::<Result<_>>()?;
    let mut hash = start(&content);
    views.iter().for_each(|(name, raw)| absorb(&mut hash, name, raw.dtype, &raw.shape, &raw.bytes));
    let seal = Seal { sha256: hex(hash), content };
    let text = serde_json::to_string(&seal).map_err(|e| wrong(e.to_string()))?;
    let metadata = HashMap::from([(KEY.to_owned(), text)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| wrong(e.to_string()))
}

/// Reads a safetensors file, ours or of others. The hash of ours is checked.
///
/// # Errors
/// Where the file cannot be read, is no safetensors file, or was changed after it was written.
pub fn read(path: &Path) -> Result<Sealed> {
    of_bytes(path, &files::read(path)?)
}

/// As [`read`], of the bytes of the file at `path`.
pub(crate) fn of_bytes(path: &Path, raw: &[u8]) -> Result<Sealed> {
    let wrong = |problem: String| NetError::Checkpoint { path: path.to_owned(), problem };
    let broken = |e: &dyn std::fmt::Display| wrong(format!("not a whole safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(raw).map_err(|e| broken(&e))?;
    let file = SafeTensors::deserialize(raw).map_err(|e| broken(&e))?;
    let views: BTreeMap<String, _> = file.tensors().into_iter().collect();
    let text = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let seal: Option<Seal> = text.map(|t| serde_json::from_str(t)).transpose().map_err(|e| broken(&e))?;
    if let Some(seal) = &seal {
        let mut hash = start(&seal.content);
        views.iter().for_each(|(name, v)| absorb(&mut hash, name, v.dtype(), v.shape(), v.data()));
        if hex(hash) != seal.sha256 {
            return Err(wrong(
                "its content does not fit its own hash: the file was damaged or changed; restore it, or train again"
                    .into(),
            ));
        }
    }
    let tensor = |name: &str, view: &TensorView| {
        view.load(&Device::Cpu).map_err(|e| wrong(format!("tensor `{}`: {e}", short(name))))
    };
    let tensors = views.iter().map(|(name, view)| Ok((name.clone(), tensor(name, view)?))).collect::<Result<_>>()?;
    let content = seal.map(|seal| serde_json::from_str(&seal.content)).transpose().map_err(|e| broken(&e))?;
    Ok(Sealed { content, tensors })
}

/// SHA-256 of a text, in hexadecimal.
pub fn digest(text: &str) -> String {
    hex(Sha256::new().chain_update(text))
}

/// SHA-256 of tensors, by their names, types, shapes and bytes, in hexadecimal.
///
/// # Errors
/// Where a tensor cannot be read.
pub fn digest_of<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        let raw = Raw::of(tensor)?;
        absorb(&mut hash, name, raw.dtype, &raw.shape, &raw.bytes);
    }
    Ok(hex(hash))
}

fn start(content: &str) -> Sha256 {
    Sha256::new().chain_update(content)
}

/// Every part is preceded by its length, so that no two lists of tensors look alike.
fn absorb(hash: &mut Sha256, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
    let kind = format!("{dtype:?} {shape:?}");
    for part in [name.as_bytes(), kind.as_bytes(), bytes] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tensor as safetensors writes it.
struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Raw {
    fn of(tensor: &Tensor) -> Result<Self> {
        let tensor = &tensor.to_device(&Device::Cpu)?;
        let dtype = View::dtype(&tensor);
        Ok(Self { dtype, shape: tensor.dims().to_vec(), bytes: View::data(&tensor.contiguous()?).into_owned() })
    }
}

impl View for Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
