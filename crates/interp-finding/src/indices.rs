//! Small sets of small numbers, in claims.

use serde::{Deserialize, Serialize};

/// Some of the numbers from 0 to 63, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Indices(u64);

impl Indices {
    /// The numbers, each once.
    pub fn list(self) -> Vec<usize> {
        (0..64).filter(|index| self.0 >> index & 1 == 1).collect()
    }

    /// The numbers as people read them: `0, 2, 3`.
    pub(crate) fn words(self) -> String {
        self.list().iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl TryFrom<Vec<usize>> for Indices {
    type Error = String;

    fn try_from(list: Vec<usize>) -> Result<Self, String> {
        match list.iter().find(|&&index| index > 63) {
            Some(index) => Err(format!("{index} is over 63")),
            None => Ok(Self(list.iter().fold(0, |all, index| all | 1 << index))),
        }
    }
}

impl From<Indices> for Vec<usize> {
    fn from(indices: Indices) -> Self {
        indices.list()
    }
}
