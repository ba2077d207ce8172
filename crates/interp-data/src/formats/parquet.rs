//! Parquet files as the Hugging Face hub lays out pictures: a column `img` or `image` with the fields
//! `bytes` (a PNG or JPEG file) and `path`, and a column `label`.

use std::fs::File;
use std::path::Path;

use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use crate::{DataError, Result};

/// One row: an encoded picture and its label.
pub(crate) struct Labelled {
    pub(crate) picture: ByteArray,
    pub(crate) label: u32,
}

/// Reads all rows.
///
/// # Errors
/// A file that is no parquet file, is damaged, or lacks the columns.
pub(crate) fn read(path: &Path) -> Result<Vec<Labelled>> {
    let damaged = |error: ParquetError| DataError::format(path, format!("not a readable parquet file ({error})"));
    let file = File::open(path).map_err(DataError::io(path))?;
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let rows = reader.get_row_iter(None).map_err(damaged)?;
    rows.enumerate()
        .map(|(index, row)| {
            labelled(row.map_err(damaged)?)
                .map_err(|problem| DataError::format(path, format!("row {index}: {problem}")))
        })
        .collect()
}

fn labelled(row: Row) -> std::result::Result<Labelled, String> {
    let (mut picture, mut label) = (None, None);
    for (name, field) in row.into_columns() {
        match (name.as_str(), field) {
            ("img" | "image", Field::Group(parts)) => picture = bytes(parts),
            ("label", field) => label = number(&field),
            _ => {}
        }
    }
    let picture = picture.ok_or("no column img or image with a field bytes")?;
    let label = label.ok_or("no column label with a whole number that is not negative")?;
    Ok(Labelled { picture, label })
}

fn bytes(parts: Row) -> Option<ByteArray> {
    parts.into_columns().into_iter().find_map(|(name, field)| match field {
        Field::Bytes(bytes) if name == "bytes" => Some(bytes),
        _ => None,
    })
}

fn number(field: &Field) -> Option<u32> {
    match *field {
        Field::Byte(label) => label.try_into().ok(),
        Field::Short(label) => label.try_into().ok(),
        Field::Int(label) => label.try_into().ok(),
        Field::Long(label) => label.try_into().ok(),
        Field::UByte(label) => Some(label.into()),
        Field::UShort(label) => Some(label.into()),
        Field::UInt(label) => Some(label),
        Field::ULong(label) => label.try_into().ok(),
        _ => None,
    }
}
