//! Finding the pictures of a folder.

use std::path::{Path, PathBuf};

use super::{Found, split_named};
use crate::sources::files::children;
use crate::{DataError, Result, Split};

/// Endings of the files that are read, whatever their case.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// All pictures below `root`, in the order of class names and paths.
pub(super) fn scan(root: &Path) -> Result<Vec<Found>> {
    let folders = folders(root)?;
    let splits: Vec<(Split, &PathBuf)> =
        folders.iter().filter_map(|(name, path)| Some((split_named(name)?, path))).collect();
    if splits.len() < folders.len() && splits.len() > 1 {
        let names: Vec<&String> = folders.iter().map(|(name, _)| name).collect();
        let problem = format!("sub-folders {names:?}: expected either one per class, or train, val and test only");
        return Err(DataError::format(root, problem));
    }
    let above = vec![root.canonicalize().map_err(DataError::io(root))?];
    if splits.is_empty() || splits.len() < folders.len() {
        return by_class(&folders, root, Split::Train, &above);
    }
    let mut found = Vec::new();
    for (split, path) in splits {
        found.extend(by_class(&self::folders(path)?, path, split, &above)?);
    }
    Ok(found)
}

fn by_class(classes: &[(String, PathBuf)], root: &Path, split: Split, above: &[PathBuf]) -> Result<Vec<Found>> {
    if classes.is_empty() {
        return Err(DataError::format(root, "no sub-folders: expected one per class, with its pictures"));
    }
    let mut found = Vec::new();
    for (class, path) in classes {
        let files = pictures(path, above)?;
        if files.is_empty() {
            let problem = format!("no pictures in this folder of a class (files ending in {})", ENDINGS.join(", "));
            return Err(DataError::format(path, problem));
        }
        let group = String::new();
        found.extend(files.into_iter().map(|file| Found { file, class: class.clone(), split, group: group.clone() }));
    }
    Ok(found)
}

/// The sub-folders of a folder and their names, but for hidden ones.
fn folders(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folders = children(root)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path));
    folders
        .map(|path| match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => Ok((name.to_owned(), path)),
            None => {
                Err(DataError::format(&path, "the name of a class must be Unicode text (UTF-8): rename the folder"))
            }
        })
        .collect()
}

/// The pictures below a folder; `above` are the folders on the way to it, resolved.
fn pictures(folder: &Path, above: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let here = folder.canonicalize().map_err(DataError::io(folder))?;
    if above.contains(&here) {
        return Err(DataError::format(folder, "this link leads back to a folder above it: remove it"));
    }
    let above: Vec<PathBuf> = above.iter().cloned().chain([here]).collect();
    let mut found = Vec::new();
    for path in children(folder)?.into_iter().filter(|path| !is_hidden(path)) {
        if path.is_dir() {
            found.extend(pictures(&path, &above)?);
        } else if has_ending(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn has_ending(path: &Path) -> bool {
    if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(super::labels::ENDING)) {
        return false;
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}
