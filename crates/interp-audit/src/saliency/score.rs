//! Score-CAM.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, build};
use interp_net::ops::scalars::log_softmax;
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
        let values = question.in_parts(1, |first, x, _| {
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
        let maps = &maps.contiguous()?;
        // Maps that are the same everywhere leave the same of the picture: nothing. They are asked about once.
        let flat = maps.flatten_from(2)?.squeeze(0)?; // (C, h w)
        let ranges = numbers(&(flat.max(1)? - flat.min(1)?)?)?;
        let (mut asked, same): (Vec<u32>, Vec<u32>) =
            (0..ranges.len() as u32).partition(|&map| ranges[map as usize] > 0.0);
        let differ = asked.len();
        asked.extend(same.first());
        let scores = question.scores(question.targets[at], asked.len(), |part| {
            let maps = maps.index_select(&Tensor::new(&asked[part], maps.device())?, 1)?;
            Ok(self.masks(&maps, question.size())?.broadcast_mul(&picture)?)
        })?;
        let mut of_maps = vec![scores.get(differ).copied().unwrap_or_default(); ranges.len()];
        asked[..differ].iter().zip(&scores).for_each(|(&map, &score)| of_maps[map as usize] = score);
        let shares: Vec<f64> = log_softmax(of_maps.into_iter(), 1.0).into_iter().map(f64::exp).collect();
        let weights = question.like(Tensor::from_vec(shares, (1, ranges.len()), &Device::Cpu)?)?;
        weighed(&channels_last(maps)?, &weights)
    }

    /// Maps (1, n, h, w) made as large as pictures and moved to [0, 1]: (n, 1, H, W). Those that are the same everywhere are 0.
    fn masks(&self, maps: &Tensor, size: [usize; 2]) -> Result<Tensor> {
        let how = Interpolation::Bilinear { align_corners: self.align_corners };
        let least = maps.flatten_from(2)?.min_keepdim(2)?.unsqueeze(3)?; // (1, n, 1, 1)
        let large = upsample2d(&maps.broadcast_sub(&least)?, size, how)?.squeeze(0)?.unsqueeze(1)?.contiguous()?;
        let flat = large.flatten_from(1)?; // (n, H W)
        let (least, most) = (flat.min_keepdim(1)?, flat.max_keepdim(1)?);
        let range = ((most - &least)? + 1e-8)?;
        Ok(flat.broadcast_sub(&least)?.broadcast_div(&range)?.reshape(large.shape())?)
    }
}
