//! Banks of handcrafted filters, by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bank of handcrafted filters for a convolution that reads the picture; its filters are made in `interp_ops::banks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bank {
    /// Waves of 8 directions under a window, even and odd: the first 16 filters.
    Gabor,
    /// Slopes, curvatures and a spot, by derivatives of a Gaussian: the first 6 filters.
    Gaussian,
    /// Sums and differences of neighbors along rows and columns: the first 4 filters.
    Haar,
    /// The same with Daubechies' wavelet of four taps: the first 4 filters.
    Db2,
    /// Every filter reads one color-opponent axis alone, in turn: red against green, yellow against blue, gray. What it looks for
    /// along it is free.
    Opponent,
}

impl Bank {
    /// What is meant by a filter of the bank.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Gabor => "a Gabor filter",
            Self::Gaussian => "a derivative of a Gaussian",
            Self::Haar => "a Haar wavelet",
            Self::Db2 => "a Daubechies wavelet",
            Self::Opponent => "a color-opponent axis",
        }
    }
}
