//! The idx format of MNIST, uncompressed: two zero bytes, a type byte, the number of dimensions, each
//! dimension as a big-endian `u32`, then the values. Source: Y. LeCun's page of the MNIST database.

use std::path::Path;

use crate::{DataError, Result};

/// The type byte of unsigned bytes, the only type that MNIST uses.
const UNSIGNED_BYTE: u8 = 8;

/// The content of an idx file of unsigned bytes.
pub(crate) struct Idx<const RANK: usize> {
    pub(crate) shape: [usize; RANK],
    pub(crate) values: Vec<u8>,
}

/// Reads an idx file with `RANK` dimensions.
///
/// # Errors
/// A header that is not as expected, or that promises more or fewer values than there are.
pub(crate) fn read<const RANK: usize>(path: &Path) -> Result<Idx<RANK>> {
    let bytes = std::fs::read(path).map_err(DataError::io(path))?;
    parse(bytes).map_err(|problem| DataError::format(path, problem))
}

fn parse<const RANK: usize>(mut bytes: Vec<u8>) -> std::result::Result<Idx<RANK>, String> {
    let start = 4 + 4 * RANK;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("the file is compressed: unpack it with gunzip".into());
    }
    if bytes.len() < start || bytes[..4] != [0, 0, UNSIGNED_BYTE, RANK as u8] {
        return Err(format!("not an idx file of unsigned bytes with {RANK} dimensions"));
    }
    let shape: [usize; RANK] = std::array::from_fn(|axis| dimension(&bytes[4 + 4 * axis..]));
    let values = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    if values != Some(bytes.len() - start) {
        return Err(format!(
            "the header says {shape:?} values, but {} follow: the file is damaged",
            bytes.len() - start
        ));
    }
    bytes.drain(..start);
    Ok(Idx { shape, values: bytes })
}

fn dimension(bytes: &[u8]) -> usize {
    bytes[..4].iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        dimensions.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    #[test]
    fn reads_shape_and_values() {
        let idx = parse::<3>(file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!((idx.shape, idx.values), ([2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn refuses_every_truncated_file() {
        let whole = file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        for length in 0..whole.len() {
            assert!(parse::<3>(whole[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn refuses_a_header_that_promises_too_much() {
        for dimensions in [[1 << 20; 3], [u32::MAX; 3], [0, u32::MAX, u32::MAX]] {
            assert!(parse::<3>(file(&dimensions, &[1])).is_err(), "{dimensions:?}");
        }
    }

    #[test]
    fn refuses_other_types_and_ranks() {
        let mut floats = file(&[1], &[0]);
        floats[2] = 0x0d;
        assert!(parse::<1>(floats).is_err());
        assert!(parse::<3>(file(&[1], &[0])).is_err());
        assert!(parse::<1>(vec![0x1f, 0x8b, 8, 0]).err().unwrap().contains("gunzip"));
    }
}
