//! Score-CAM.

use candle_core::Tensor;
use interp_net::finding::{Entry, build};
use interp_net::ops::{Interpolation, upsample2d};
use interp_net::{Keep, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class_activation::{channels_last, weighed};
use super::{Attribution, Channels, Method, Question};
use crate::Result;
use crate::pass::numbers;

/// A layer's maps, each weighed by the output for the picture that is left where the map is large, as softmax over maps (Wang et al. 2020,
/// arXiv 1910.01279, equation 7 and algorithm 1, with the output itself for its increase over a baseline, which softmax takes out again).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScoreCam {
    /// Whether maps are made as large as the picture with corners on corners; else with edges on edges.
    pub align_corners: bool,
}

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "score_cam",
    summary: "a layer's maps, each weighed by the output for what it leaves of the picture",
    example: "kind = \"score_cam\"\n",
    build: |section| build(section, |settings: ScoreCam| Box::new(settings)),
    schema: || schemars::schema_for!(ScoreCam),
};

impl Method for ScoreCam {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let (net, layer) = (question.net, question.layer);
        let values = question.in_parts(|first, x, _| {
            let tape = net.run_to(x, layer, Mode::Eval, &Keep::Output)?;
            let maps = tape.at(&net.graph, layer)?;
            let of = |at: usize| self.of_picture(question, first + at, &maps.narrow(0, at, 1)?);
            Ok(Tensor::cat(&(0..x.dim(0)?).map(of).collect::<Result<Vec<_>>>()?, 0)?)
        })?;
        Ok(Attribution::of(values, Channels::Sum))
    }
}

impl ScoreCam {
    fn of_picture(&self, question: &Question<'_>, at: usize, maps: &Tensor) -> Result<Tensor> {
        let picture = question.pictures.narrow(0, at, 1)?;
        let how = Interpolation::Bilinear { align_corners: self.align_corners };
        let large = upsample2d(maps, question.size(), how)?.squeeze(0)?.contiguous()?; // (C, H, W)
        let masks = stretched(&large)?;
        // Maps that are the same everywhere leave the same of the picture: nothing. They are asked about once.
        let heights = numbers(&masks.flatten_from(1)?.max(1)?)?;
        let mut asked: Vec<usize> = (0..heights.len()).filter(|&map| heights[map] > 0.0).collect();
        let some = asked.len();
        asked.extend((0..heights.len()).find(|&map| heights[map] <= 0.0));
        let scores = question.scores(question.targets[at], asked.len(), |first, count| {
            let mask = |&map: &usize| masks.narrow(0, map, 1);
            let masks = asked[first..first + count].iter().map(mask).collect::<candle_core::Result<Vec<_>>>()?;
            Ok(Tensor::cat(&masks, 0)?.unsqueeze(1)?.broadcast_mul(&picture)?)
        })?;
        let mut of_maps = vec![scores.get(some).copied().unwrap_or_default(); heights.len()];
        asked[..some].iter().zip(&scores).for_each(|(&map, &score)| of_maps[map] = score);
        let weights =
            question.like(Tensor::from_vec(softmax(&of_maps), (1, heights.len()), &candle_core::Device::Cpu)?)?;
        weighed(&channels_last(maps)?, &weights)
    }
}

/// Each map (C, H, W) moved to [0, 1].
fn stretched(maps: &Tensor) -> Result<Tensor> {
    let flat = maps.flatten_from(1)?;
    let (least, most) = (flat.min_keepdim(1)?, flat.max_keepdim(1)?);
    let range = ((most - &least)? + 1e-8)?;
    Ok(flat.broadcast_sub(&least)?.broadcast_div(&range)?.reshape(maps.shape())?)
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
