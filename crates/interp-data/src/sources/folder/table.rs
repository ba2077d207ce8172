//! Pictures listed in a CSV file.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use interp_finding::nearest;

use super::{Found, split_named};
use crate::{DataError, Result, Split};

/// The columns that are read; the first two must be there.
const COLUMNS: [&str; 4] = ["path", "label", "split", "group"];

/// The pictures that the table `csv` lists, in its order; their paths begin at `root`.
pub(super) fn read(root: &Path, csv: &Path) -> Result<Vec<Found>> {
    let wrong = |error: csv::Error| DataError::format(csv, error.to_string());
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_path(csv).map_err(wrong)?;
    let columns = Columns::find(reader.headers().map_err(wrong)?).map_err(|problem| DataError::format(csv, problem))?;
    let mut found = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = columns.read(root, &record);
        found.push(row.map_err(|problem| DataError::format(csv, format!("line {line}: {problem}")))?);
    }
    Ok(found)
}

/// The place of each of [`COLUMNS`] in the file.
struct Columns([Option<usize>; 4]);

impl Columns {
    fn find(header: &StringRecord) -> std::result::Result<Self, String> {
        let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let columns = COLUMNS.map(|column| names.iter().position(|name| *name == column));
        if columns[0].is_none() || columns[1].is_none() {
            return Err(format!("the first line names the columns {names:?}: path and label must be among them"));
        }
        let absent = || COLUMNS.into_iter().filter(|column| !names.contains(column));
        let misspelt = |name: &&'_ str| match COLUMNS.contains(name) {
            true => None,
            false => Some((name.to_string(), nearest(name, absent())?)),
        };
        match names.iter().find_map(misspelt) {
            Some((name, near)) => Err(format!("unknown column {name:?}; did you mean {near:?}?")),
            None => Ok(Self(columns)),
        }
    }

    fn read(&self, root: &Path, record: &StringRecord) -> std::result::Result<Found, String> {
        let [path, class, split, group] = self.0.map(|at| at.and_then(|at| record.get(at)).unwrap_or_default());
        let file = root.join(path);
        if path.is_empty() || !file.is_file() {
            return Err(format!("there is no picture {}", file.display()));
        }
        if class.is_empty() {
            return Err(format!("{path} has no label"));
        }
        let split = match self.0[2] {
            Some(_) => split_named(split).ok_or_else(|| format!("split {split:?} (expected train, val or test)"))?,
            None => Split::Train,
        };
        Ok(Found { file, class: class.into(), split, group: group.into() })
    }
}
