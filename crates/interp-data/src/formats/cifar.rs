//! The binary record of CIFAR-10: one label byte, then the red, green and blue plane of 32 x 32 bytes,
//! each by rows. Source: A. Krizhevsky's page of the CIFAR-10 data set.

use std::path::{Path, PathBuf};

use crate::{DataError, Result};

/// Height and width of a picture.
pub(crate) const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

/// Reads files of any number of records; pixels come out as (N, H, W, C).
///
/// # Errors
/// A file whose length is no multiple of a record.
pub(crate) fn read(paths: &[PathBuf]) -> Result<(Vec<u8>, Vec<u32>)> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        for record in records(path)?.chunks_exact(RECORD) {
            labels.push(u32::from(record[0]));
            interleave(&record[1..], &mut pixels);
        }
    }
    Ok((pixels, labels))
}

fn records(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(DataError::io(path))?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let problem =
            format!("{} bytes are no whole number of records of {RECORD} bytes: the file is damaged", bytes.len());
        return Err(DataError::format(path, problem));
    }
    Ok(bytes)
}

fn interleave(planes: &[u8], pixels: &mut Vec<u8>) {
    let (red, rest) = planes.split_at(PLANE);
    let (green, blue) = rest.split_at(PLANE);
    pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&red, &green), &blue)| [red, green, blue]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels_by_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train_1.bin");
        let mut record = vec![7];
        for plane in 0..3 {
            record.extend((0..PLANE).map(|at| (at / SIDE + 2 * (at % SIDE) + plane) as u8));
        }
        std::fs::write(&path, &record).unwrap();
        let (pixels, labels) = read(&[path.clone(), path]).unwrap();
        assert_eq!(labels, [7, 7]);
        assert_eq!(pixels.len(), 2 * 3 * PLANE);
        let (row, column) = (5, 9);
        assert_eq!(pixels[3 * (row * SIDE + column)..][..3], [23, 24, 25]);
    }

    #[test]
    fn refuses_a_file_that_is_no_whole_number_of_records() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, RECORD - 1, RECORD + 1] {
            let path = folder.path().join("test_1.bin");
            std::fs::write(&path, vec![0; length]).unwrap();
            assert!(matches!(read(&[path]), Err(DataError::Format { .. })), "{length} bytes");
        }
    }
}
