//! Maps that know nothing of the network: what others must be better than.

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::finding::{Entry, build};
use rand_chacha::rand_core::RngCore;

use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::Result;
use crate::pass::numbers;

/// A Gaussian at the center of the picture, of a quarter of its sides.
struct Center;

/// How steep the brightness of the picture is: Sobel's filters.
struct Edges;

/// Numbers drawn alike from [0, 1).
struct Random;

pub(super) const CENTER: Entry<dyn Method> = Entry {
    name: "center",
    summary: "control: the center of the picture",
    example: "kind = \"center\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Center)),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const EDGES: Entry<dyn Method> = Entry {
    name: "edges",
    summary: "control: the edges of the picture",
    example: "kind = \"edges\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Edges)),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const RANDOM: Entry<dyn Method> = Entry {
    name: "random",
    summary: "control: a random number for each pixel",
    example: "kind = \"random\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Random)),
    schema: || schemars::schema_for!(NoSettings),
};

impl Method for Center {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let [h, w] = question.size();
        let along = |at: usize, side: usize| ((at as f64 + 0.5) / side as f64 - 0.5) / 0.25;
        let height = |at: usize| (-0.5 * (along(at / w, h).powi(2) + along(at % w, w).powi(2))).exp();
        maps(question, |_| Ok((0..h * w).map(height).collect()))
    }
}

impl Method for Edges {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let [h, w] = question.size();
        maps(question, |at| {
            let brightness = numbers(&question.pictures.get(at)?.mean(0)?)?;
            let value = |row: i64, column: i64| {
                let inside = |at: i64, side: usize| at.clamp(0, side as i64 - 1) as usize;
                brightness[inside(row, h) * w + inside(column, w)]
            };
            let slope = |at: usize| {
                let (row, column) = ((at / w) as i64, (at % w) as i64);
                let weights = [(-1, 1.0), (0, 2.0), (1, 1.0)];
                let across =
                    |(by, weight): (i64, f64)| weight * (value(row + by, column + 1) - value(row + by, column - 1));
                let down =
                    |(by, weight): (i64, f64)| weight * (value(row + 1, column + by) - value(row - 1, column + by));
                weights.map(across).iter().sum::<f64>().hypot(weights.map(down).iter().sum())
            };
            Ok((0..h * w).map(slope).collect())
        })
    }
}

impl Method for Random {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let [h, w] = question.size();
        maps(question, |at| {
            let mut rng = stream(0, "saliency", 0, question.indices[at] as u64);
            Ok((0..h * w).map(|_| rng.next_u32() as f64 / (1u64 << 32) as f64).collect())
        })
    }
}

fn maps(question: &Question<'_>, map: impl Fn(usize) -> Result<Vec<f64>>) -> Result<Attribution> {
    let [h, w] = question.size();
    let values = (0..question.count()).map(map).collect::<Result<Vec<_>>>()?;
    let values = Tensor::from_vec(values.concat(), (question.count(), h, w), &Device::Cpu)?;
    Ok(Attribution::of(question.like(values)?, Channels::Sum))
}
