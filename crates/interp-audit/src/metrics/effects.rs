//! What methods say that removing pixels does.

use candle_core::Tensor;

use crate::Result;
use crate::pass::rows;
use crate::saliency::{Attribution, Channels, Question};

/// The map of each picture, row by row, of the pictures' size.
pub(super) fn maps(question: &Question<'_>, attribution: &Attribution) -> Result<Vec<Vec<f64>>> {
    rows(&attribution.maps(question.size())?.flatten_from(1)?)
}

/// What a method says that each pixel adds to the output, beyond a baseline (N, C, H, W), row by row: of what contributes its map; of what the
/// output is sensitive to, each number times what the picture has more than the baseline, which is what a linear output would gain. So both
/// kinds can be held against what the output loses (Yeh et al. 2019, arXiv 1901.09392, section 2.1; Ancona et al. 2018, arXiv 1711.06104,
/// section 3.1: local and global attributions).
pub(super) fn effects(question: &Question<'_>, attribution: &Attribution, baseline: &Tensor) -> Result<Vec<Vec<f64>>> {
    match (attribution.channels, attribution.values.rank()) {
        (Channels::Largest, 4) => {
            let gains = (&attribution.values * (question.pictures - baseline)?)?;
            rows(&gains.sum(1)?.flatten_from(1)?)
        }
        _ => maps(question, attribution),
    }
}
