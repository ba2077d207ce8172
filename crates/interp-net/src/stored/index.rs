//! Networks cut into several files: an index says which tensor lies in which of the files beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use candle_core::Tensor;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{Kind, Unread, kind, list, short, unread};
use crate::{Result, pth, sealed};

/// An index, `model.safetensors.index.json` or `pytorch_model.bin.index.json`; what it says beside is passed over.
#[derive(Deserialize)]
struct Index {
    #[serde(deserialize_with = "pairs")]
    weight_map: Vec<(String, String)>,
}

/// The entries of an object, each as often as it is written: a map would keep the last of those of one name.
fn pairs<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<(String, String)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("names of tensors with names of files")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut all = vec![];
            while let Some(pair) = map.next_entry()? {
                all.push(pair);
            }
            Ok(all)
        }
    }
    from.deserialize_map(Pairs)
}

/// The names of the files that the index at `path` names, in order.
pub(super) fn shards(path: &Path) -> Result<Vec<String>> {
    let index = parsed(path, &super::whole(path)?)?;
    let shards = by_shard(&index).map_err(|problem| unread(path, Unread::Index(problem)))?;
    Ok(shards.into_keys().map(str::to_owned).collect())
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<Index> {
    serde_json::from_slice(bytes).map_err(|e| {
        unread(path, Unread::Other(format!("JSON without a `weight_map` of files ({})", short(&e.to_string()))))
    })
}

/// The tensors of all shards of the index in `bytes`, which lie beside it.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let wrong = |problem: String| unread(path, Unread::Index(problem));
    let index = parsed(path, bytes)?;
    let mut tensors = BTreeMap::new();
    for (shard, names) in by_shard(&index).map_err(wrong)? {
        let found = read_shard(&path.with_file_name(shard))?;
        compare(shard, &names, &found).map_err(wrong)?;
        tensors.extend(found);
    }
    Ok(tensors)
}

/// Names of tensors by the shard that they are to be in.
fn by_shard(index: &Index) -> std::result::Result<BTreeMap<&str, BTreeSet<&str>>, String> {
    let mut seen = BTreeSet::new();
    let mut shards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        if !is_beside(shard) {
            return Err(format!("`{}` is no name of a file beside it", short(shard)));
        }
        if !seen.insert(tensor) {
            return Err(format!("names tensor `{}` twice", short(tensor)));
        }
        shards.entry(shard).or_default().insert(tensor);
    }
    Ok(shards)
}

/// Whether it is the name of a file in the same folder, on every system.
fn is_beside(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && !name.contains("..") && name != "."
}

fn read_shard(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = super::whole(path)?;
    let told = |problem| unread(path, problem);
    match kind::of(&bytes).map_err(told)? {
        Kind::Safetensors => Ok(sealed::of_bytes(path, &bytes)?.tensors),
        Kind::Archive => pth::archived(&bytes).map_err(told),
        Kind::Legacy => pth::legacy(&bytes).map_err(told),
        Kind::Index => Err(told(Unread::Index("named as a shard by another".into()))),
    }
}

/// Whether a shard has the tensors that the index says, and no others: those would lie in two shards, or in none by the index.
fn compare(shard: &str, names: &BTreeSet<&str>, found: &BTreeMap<String, Tensor>) -> std::result::Result<(), String> {
    let missing = || names.iter().copied().filter(|name| !found.contains_key(*name));
    let more = || found.keys().map(String::as_str).filter(|name| !names.contains(name));
    match (missing().next(), more().next()) {
        (None, None) => Ok(()),
        (Some(_), _) => Err(format!("`{shard}` lacks {}", list(missing()))),
        (_, Some(_)) => Err(format!("`{shard}` holds {} too, of which the index says otherwise", list(more()))),
    }
}
