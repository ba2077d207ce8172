//! Saliency: where in a picture the evidence for an output lies.
//!
//! All methods have one signature, [`Method::attribute`]: a [`Question`] in, an [`Attribution`] out, raw and signed. What is explained is
//! a logit, of a network in evaluation. A method is a file here, and a line in [`METHODS`].

mod ablation;
mod attention;
mod class_activation;
mod controls;
mod deep_lift;
mod eigen;
mod gradients;
mod integrated;
mod localization;
mod occlusion;
mod question;
mod relevance;
mod rise;
mod score;
mod smooth;

use candle_core::{Device, Tensor};
use interp_net::finding::{Built, Entry, Unfit, find};
use interp_net::ops;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use localization::{Located, locate};
pub use question::{Question, last_map, logits};

use crate::pass::numbers;
use crate::{AuditError, Result};

/// A way to say where the evidence for an output lies.
pub trait Method: Send + Sync {
    /// Says it for every picture of a question. What is said of a picture does not depend on which others are asked about with it.
    ///
    /// # Errors
    /// If the network has not what the method needs, and where an operation fails.
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution>;

    /// Whether its settings can be used, for pictures of these height and width; [`Method::attribute`] asks too.
    ///
    /// # Errors
    /// The first setting that cannot.
    fn check(&self, _size: [usize; 2]) -> Result<(), Unfit> {
        Ok(())
    }

    /// What an attribution is claimed to add up to; `None` where nothing is claimed.
    fn total(&self) -> Option<Total> {
        None
    }
}

/// What the sum of an attribution is claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// The output that is explained.
    Output,
    /// What it is more than for a baseline.
    Beyond(Baseline),
}

/// Every method, in the order of listings.
pub const METHODS: &[&Entry<dyn Method>] = &[
    &gradients::GRADIENT,
    &gradients::GRADIENT_TIMES_INPUT,
    &integrated::ENTRY,
    &smooth::ENTRY,
    &gradients::GUIDED,
    &class_activation::CAM,
    &class_activation::GRAD_CAM,
    &class_activation::GRAD_CAM_PLUS_PLUS,
    &class_activation::HIRES_CAM,
    &class_activation::LAYER_CAM,
    &class_activation::XGRAD_CAM,
    &score::ENTRY,
    &ablation::ENTRY,
    &eigen::ENTRY,
    &occlusion::ENTRY,
    &rise::ENTRY,
    &relevance::ENTRY,
    &deep_lift::ENTRY,
    &attention::ENTRY,
    &controls::CENTER,
    &controls::EDGES,
    &controls::RANDOM,
];

/// The method called `name`, with these settings in place of its own.
///
/// # Errors
/// [`AuditError::Method`] for a name that there is not, with the nearest one, and for settings that it has not.
pub fn method(name: &str, settings: &toml::Table) -> Result<Built<dyn Method>> {
    let entry = find(METHODS, name).map_err(|near| {
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        let known: Vec<_> = METHODS.iter().map(|entry| entry.name).collect();
        AuditError::Method(format!("there is no method called {name}{hint} (known: {})", known.join(", ")))
    })?;
    let wrong = |error: toml::de::Error| AuditError::Method(format!("method {name}: {}", error.message()));
    toml::de::DeTable::parse(&settings.to_string()).and_then(entry.build).map_err(wrong)
}

/// Methods that know nothing of the network: what others are compared with.
pub const CONTROLS: [&str; 3] = [controls::CENTER.name, controls::EDGES.name, controls::RANDOM.name];

/// How the channels of an attribution make one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// They are added up: of what contributes.
    Sum,
    /// The largest one, without its sign: of what the output is sensitive to (Simonyan et al. 2014, arXiv 1312.6034, section 3.1).
    Largest,
}

/// What a method says of pictures.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// Signed, not scaled: (N, C, H, W) where it is about the numbers of the pictures, or one map for each, (N, h, w), of the
    /// pictures' size or of the layer's that was asked about.
    pub values: Tensor,
    /// How channels make one map.
    pub channels: Channels,
    /// What else is known, by name: standard errors, what a sum misses.
    pub more: Vec<(String, Tensor)>,
}

impl Attribution {
    /// Maps alone.
    pub(crate) fn of(values: Tensor, channels: Channels) -> Self {
        Self { values, channels, more: vec![] }
    }

    /// One map for each picture, of `size`: (N, H, W). A layer's map is interpolated, bilinearly, edges on edges.
    ///
    /// # Errors
    /// Where tensors cannot be combined.
    pub fn maps(&self, size: [usize; 2]) -> Result<Tensor> {
        if self.values.rank() == 4 {
            return Ok(match self.channels {
                Channels::Sum => self.values.sum(1)?,
                Channels::Largest => self.values.abs()?.max(1)?,
            });
        }
        let (_, h, w) = self.values.dims3()?;
        if [h, w] == size {
            return Ok(self.values.clone());
        }
        let how = ops::Interpolation::Bilinear { align_corners: false };
        Ok(ops::upsample2d(&self.values.unsqueeze(1)?, size, how)?.squeeze(1)?)
    }

    /// For each picture whether anything speaks for the output: some number of its map is above 0.
    ///
    /// # Errors
    /// Where tensors cannot be read.
    pub fn speaks(&self) -> Result<Vec<bool>> {
        let size = self.values.dims();
        let maps = self.maps([size[size.len() - 2], size[size.len() - 1]])?;
        let most = maps.flatten_from(1)?.max(1)?;
        Ok(numbers(&most)?.into_iter().map(|most| most > 0.0).collect())
    }
}

/// Of methods that have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoSettings {}

/// What stands for nothing in a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The mean that is subtracted from pictures: 0 of what the network sees.
    #[default]
    Mean,
    /// Black pixels.
    Black,
    /// The picture itself, blurred until only its colors are left: by a Gaussian of a quarter of its smaller side.
    Blur,
}

/// Refuses a number of steps, samples or the like that is not in the range.
pub(crate) fn counted(key: &str, count: usize, [least, most]: [usize; 2]) -> Result<(), Unfit> {
    Unfit::unless((least..=most).contains(&count), key, format!("must be in {least}..={most}, not {count}"))
}

/// Refuses a number that is below 0, or none.
pub(crate) fn not_negative(key: &str, number: f64) -> Result<(), Unfit> {
    Unfit::unless(number >= 0.0 && number.is_finite(), key, format!("must be 0 or more, not {number}"))
}

/// One number of each picture, as a tensor.
pub(crate) fn column(values: Vec<f64>) -> Result<Tensor> {
    let count = values.len();
    Ok(Tensor::from_vec(values, count, &Device::Cpu)?)
}

#[cfg(test)]
pub(crate) mod tests;
