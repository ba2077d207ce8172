//! Occlusion.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attribution, Baseline, Channels, Method, Question, counted};
use crate::Result;

/// What the output loses when a window of the picture is covered, as the mean over the windows that cover a pixel (Zeiler and Fergus 2014,
/// arXiv 1311.2901, section 4.2). Windows begin at every `stride`-th pixel, and end at the border.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Occlusion {
    /// Side of a window in pixels; where it is not said, an eighth of the picture's smaller side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Pixels from one window to the next; where it is not said, half of its side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// What is seen in its place.
    pub baseline: Baseline,
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "occlusion",
    summary: "what the output loses when a window of the picture is covered",
    example: "kind = \"occlusion\"\nsize = 4\nstride = 2\n",
    build: |section| build(section, |settings: Occlusion| Box::new(settings)),
    schema: || schemars::schema_for!(Occlusion),
};

/// A window: rows and columns, from and to.
type Window = [std::ops::Range<usize>; 2];

impl Occlusion {
    /// Side of a window, and pixels from one to the next.
    fn steps(&self, [h, w]: [usize; 2]) -> [usize; 2] {
        let size = self.size.unwrap_or((h.min(w) / 8).max(1));
        [size, self.stride.unwrap_or((size / 2).max(1))]
    }

    fn windows(&self, [h, w]: [usize; 2]) -> Vec<Window> {
        let [size, stride] = self.steps([h, w]);
        let along = |side: usize| {
            let last = (side - size).div_ceil(stride);
            (0..=last).map(move |at| at * stride..(at * stride + size).min(side))
        };
        along(h).flat_map(|rows| along(w).map(move |columns| [rows.clone(), columns])).collect()
    }
}

impl Method for Occlusion {
    fn check(&self, size: [usize; 2]) -> Result<(), Unfit> {
        let [side, stride] = self.steps(size);
        counted("size", side, [1, size[0].min(size[1])])?;
        // Between windows further apart nothing is ever covered.
        counted("stride", stride, [1, side])
    }

    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        self.check(question.size())?;
        let (size, windows) = (question.size(), self.windows(question.size()));
        let of = |at: usize| self.of_picture(question, at, &windows);
        let values = (0..question.count()).map(of).collect::<Result<Vec<_>>>()?;
        let values = Tensor::from_vec(values.concat(), (question.count(), size[0], size[1]), &Device::Cpu)?;
        Ok(Attribution::of(question.like(values)?, Channels::Sum))
    }
}

impl Occlusion {
    /// The map of a picture, row by row.
    fn of_picture(&self, question: &Question<'_>, at: usize, windows: &[Window]) -> Result<Vec<f64>> {
        let [h, w] = question.size();
        let picture = question.pictures.narrow(0, at, 1)?;
        let change = (question.baseline(at, self.baseline)? - &picture)?;
        // The first is the picture as it is.
        let scores = question.scores(question.targets[at], windows.len() + 1, |part| {
            let masks: Vec<f64> = part
                .clone()
                .flat_map(|at| at.checked_sub(1).map_or(vec![0.0; h * w], |at| mask(&windows[at], [h, w])))
                .collect();
            let masks = question.like(Tensor::from_vec(masks, (part.len(), 1, h, w), &Device::Cpu)?)?;
            Ok(masks.broadcast_mul(&change)?.broadcast_add(&picture)?)
        })?;
        let mut sums = vec![(0.0, 0.0f64); h * w];
        for (window, score) in windows.iter().zip(&scores[1..]) {
            for row in window[0].clone() {
                for column in window[1].clone() {
                    let (sum, count) = &mut sums[row * w + column];
                    (*sum, *count) = (*sum + scores[0] - score, *count + 1.0);
                }
            }
        }
        Ok(sums.into_iter().map(|(sum, count)| sum / count.max(1.0)).collect())
    }
}

fn mask(window: &Window, [h, w]: [usize; 2]) -> Vec<f64> {
    let inside = |at: usize| window[0].contains(&(at / w)) && window[1].contains(&(at % w));
    (0..h * w).map(|at| f64::from(u8::from(inside(at)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_picture() {
        let of = |size, stride| Occlusion { size: Some(size), stride: Some(stride), ..Occlusion::default() };
        assert_eq!(of(2, 2).windows([3, 4]), [[0..2, 0..2], [0..2, 2..4], [2..3, 0..2], [2..3, 2..4]]);
        assert_eq!(of(2, 1).windows([2, 3]).len(), 2);
        assert_eq!(Occlusion::default().windows([32, 32]).len(), 15 * 15);
        assert_eq!(Occlusion::default().windows([5, 5]).len(), 25);
    }
}
