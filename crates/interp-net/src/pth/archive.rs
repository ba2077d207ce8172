//! Files of PyTorch from 1.6 on: a zip archive with a pickle, `NAME/data.pkl`, and a file for each storage, `NAME/data/KEY`. Nothing is
//! packed.

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::tensor::Storage;
use super::{Result, Unread, broken};

/// An archive, and what of it was looked at.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    bytes: &'a [u8],
    /// `NAME/` of the archive.
    root: String,
    storages: BTreeMap<&'a str, &'a [u8]>,
    /// Bytes that may still be read: entries that do not overlap are no longer than the file.
    left: usize,
}

impl<'a> Archive<'a> {
    /// # Errors
    /// If it is no whole zip archive, or none of PyTorch.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let whole = |e: ZipError| broken("its zip archive", format!("{e}: was the download broken off?"));
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(whole)?;
        let root = root(&zip)?;
        let mut archive = Self { zip, bytes, root, storages: BTreeMap::new(), left: bytes.len() };
        match archive.zip.index_for_name(&format!("{}byteorder", archive.root)) {
            Some(_) if archive.entry("byteorder")? != b"little" => {
                Err(broken("byteorder", "numbers of the other order"))
            }
            _ => Ok(archive),
        }
    }

    /// The bytes of the pickle.
    pub(super) fn pickle(&mut self) -> Result<&'a [u8]> {
        self.entry("data.pkl")
    }

    /// The bytes of a storage, which are looked at once.
    pub(super) fn storage(&mut self, storage: &Storage<'a>) -> Result<&'a [u8]> {
        let found = self.storages.get(storage.key).copied();
        let bytes = match found {
            Some(bytes) => bytes,
            None => self.entry(&format!("data/{}", storage.key))?,
        };
        self.storages.insert(storage.key, bytes);
        storage.checked(bytes)
    }

    /// The bytes of an entry, where they lie in the file; their checksum is held against what the archive says.
    fn entry(&mut self, name: &str) -> Result<&'a [u8]> {
        let wrong = |problem: String| broken(name, problem);
        let index = self.zip.index_for_name(&format!("{}{name}", self.root));
        let index = index.ok_or_else(|| wrong("it is not in the archive".into()))?;
        let place = self.place(index).map_err(wrong)?;
        let bytes = place.and_then(|(start, size)| self.bytes.get(start..start.checked_add(size)?));
        let bytes = bytes.ok_or_else(|| wrong("it reaches beyond the file".into()))?;
        self.left = self.left.checked_sub(bytes.len()).ok_or_else(|| wrong("entries of the archive overlap".into()))?;
        let mut reader = self.zip.by_index(index).map_err(|e| wrong(e.to_string()))?;
        io::copy(&mut reader, &mut io::sink()).map_err(|e| wrong(format!("{e}: the file was damaged")))?;
        Ok(bytes)
    }

    /// Where an entry begins and how long it is; `None` for more than there is memory.
    fn place(&mut self, index: usize) -> std::result::Result<Option<(usize, usize)>, String> {
        let entry = self.zip.by_index_raw(index).map_err(|e| e.to_string())?;
        let is_plain = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
        if !is_plain || entry.size() != entry.compressed_size() {
            return Err("it is packed or encrypted, which PyTorch does not do: save it again".into());
        }
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        Ok(start.zip(usize::try_from(entry.size()).ok()))
    }
}

/// What the names of all entries of PyTorch begin with.
fn root(zip: &ZipArchive<Cursor<&[u8]>>) -> Result<String> {
    let pickles = zip.file_names().filter_map(|name| Some(name.ok()?.strip_suffix("data.pkl")?.to_owned()));
    let roots: Vec<String> = pickles.filter(|root| root.ends_with('/') && root.matches('/').count() == 1).collect();
    match &roots[..] {
        [root] => Ok(root.clone()),
        [] => Err(Unread::Other("a zip archive without the `data.pkl` of PyTorch".into())),
        _ => Err(broken("its zip archive", "more than one `data.pkl`")),
    }
}
