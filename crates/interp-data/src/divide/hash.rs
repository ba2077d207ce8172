//! Hashes by which identical pictures are found.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::SPLITS;
use crate::{Dataset, Result, Split};

/// The first half of a SHA-256 hash.
pub(super) type Hash = [u8; 16];

/// The hashes of all pictures: train, validation, test.
pub(super) struct Hashes(pub(super) [Vec<Hash>; 3]);

impl Hashes {
    /// Reads all pictures.
    ///
    /// # Errors
    /// Where a picture cannot be read.
    pub(super) fn of(dataset: &dyn Dataset) -> Result<Self> {
        let [train, validation, test] = SPLITS.map(|split| all(dataset, split));
        Ok(Self([train?, validation?, test?]))
    }

    /// SHA-256 over the hashes, labels and groups, in hexadecimal.
    pub(super) fn digest(&self, dataset: &dyn Dataset) -> String {
        let mut digest = Sha256::new();
        for (hashes, split) in self.0.iter().zip(SPLITS) {
            digest.update((hashes.len() as u64).to_le_bytes());
            for (index, hash) in hashes.iter().enumerate() {
                digest.update(hash);
                digest.update(dataset.label(split, index).to_le_bytes());
                let group = dataset.group(split, index).unwrap_or_default();
                digest.update((group.len() as u64).to_le_bytes());
                digest.update(group);
            }
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The hash of each picture of a split, from its values at 16 bits.
fn all(dataset: &dyn Dataset, split: Split) -> Result<Vec<Hash>> {
    let scratch = || vec![0.0; dataset.info().pixels()];
    (0..dataset.len(split))
        .into_par_iter()
        .map_init(scratch, |picture, index| {
            dataset.image(split, index, picture)?;
            Ok(hash(picture))
        })
        .collect()
}

fn hash(picture: &[f32]) -> Hash {
    let bytes: Vec<u8> = picture.iter().flat_map(|value| ((value * 65_535.0).round() as u16).to_le_bytes()).collect();
    let digest = Sha256::digest(&bytes);
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_one_part_in_65535() {
        let one = hash(&[0.5, 0.25]);
        assert_eq!(one, hash(&[0.5, 0.25]));
        assert_ne!(one, hash(&[0.5, 0.25 + 1.0 / 65_535.0]));
        assert_ne!(one, hash(&[0.25, 0.5]));
    }
}
