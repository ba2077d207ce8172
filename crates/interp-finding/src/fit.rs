//! How pictures of any size are brought to the size that a network takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Unfit;

/// How pictures of any size are brought to the size that a network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fit {
    /// Black pixels at each side, among those that the network takes.
    pub border: usize,
    /// The shorter side is scaled to so many pixels, and the middle is cut out: 256 and 224 for most networks of ImageNet. Where it is not
    /// given, the middle square is scaled.
    pub resize: Option<u32>,
    /// How pixels are mixed.
    pub interpolation: Interpolation,
}

/// How pixels are mixed where a picture is scaled. A picture that becomes smaller is smoothed as much, as Pillow does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// By a triangle.
    #[default]
    Bilinear,
    /// By the cubic spline of Catmull and Rom; Pillow's is the same.
    Bicubic,
}

impl Interpolation {
    /// Whether it is the one that is taken where none is named.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Fit {
    /// Refuses sizes from which no picture of `size` pixels can be cut.
    ///
    /// # Errors
    /// If the shorter side would be smaller than what is cut out, or larger than 16,384.
    pub fn check(&self, size: usize) -> Result<(), Unfit> {
        let Some(side) = self.resize else { return Ok(()) };
        let fits = side as usize >= size && side <= 16_384;
        Unfit::unless(fits, "resize", format!("must be {size} pixels, which are cut out, to 16384, not {side}"))
    }
}
