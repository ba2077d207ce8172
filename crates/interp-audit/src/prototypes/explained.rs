//! One picture's classes, as sums over prototypes.

use interp_data::{Augment, Loader};
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Mode, Network, Region};

use super::{Centers, Layer, finite, region};
use crate::pass::{finite_rows, images};
use crate::{AuditError, Pictures, Result};

/// What a prototype adds to a logit.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which prototype, counted from 0.
    pub prototype: usize,
    /// How much the picture has of it.
    pub value: f64,
    /// Its weight for the class.
    pub weight: f64,
    /// Where: the pixel in the middle of what the cell sees.
    pub pixel: [usize; 2],
    /// All that the cell sees.
    pub region: Region,
}

impl Part {
    /// What it adds.
    pub fn product(&self) -> f64 {
        self.value * self.weight
    }
}

/// The class that a network tells of a picture, as a sum over prototypes.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The picture's position in its split.
    pub picture: usize,
    /// Its label.
    pub label: usize,
    /// The class that is told.
    pub class: usize,
    /// The logit that it has.
    pub logit: f64,
    /// What prototypes add, the largest product first, by size; those that add nothing are left out.
    pub parts: Vec<Part>,
}

impl Explanation {
    /// The sum of what prototypes add: the logit, but for rounding.
    pub fn sum(&self) -> f64 {
        self.parts.iter().map(Part::product).sum()
    }
}

/// What prototypes add to the class that is told of a picture.
///
/// # Errors
/// [`AuditError::NoPrototypes`], and where the picture cannot be had or does not fit the network, or a number is not finite.
pub fn explain(net: &Network, pictures: &Pictures, picture: usize) -> Result<Explanation> {
    let layer = Layer::of(&net.graph).ok_or(AuditError::NoPrototypes)?;
    let loader = Loader::new(pictures.data.clone(), pictures.split, 1, 0, Augment::default(), 0)?;
    if picture >= pictures.data.len(pictures.split) {
        return Err(AuditError::NoPictures);
    }
    let batch = loader.of(vec![picture]).next().ok_or(AuditError::NoPictures)??;
    let batch = pictures.seen(batch);
    let keep = Keep::nodes([layer.map, layer.values].map(|id| net.graph.nodes()[id].name.as_str()));
    let tape = net.forward(&images(net, &batch)?, Mode::Eval, &keep)?;
    let logits = finite_rows(net, layer.head, tape.output(&net.graph)?)?.concat();
    let class = largest(&logits);
    let weights = layer.weights(net)?;
    let values = finite(net, layer.values, tape.at(&net.graph, layer.values)?)?;
    let maps = finite(net, layer.map, tape.at(&net.graph, layer.map)?)?;
    let (centers, shape) = (Centers::of(net, layer.map)?, net.graph.shape(layer.map));
    let (width, cells) = (shape[2], (shape[1] * shape[2]).max(1));
    let mut parts = vec![];
    for (prototype, (&value, map)) in values.iter().zip(maps.chunks_exact(cells)).enumerate() {
        let weight = weights[class][prototype];
        if value * weight != 0.0 {
            let at = largest(map);
            let cell = [at / width, at % width];
            let region = region(net, layer.map, cell)?;
            parts.push(Part { prototype, value, weight, pixel: centers.pixel(cell), region });
        }
    }
    parts.sort_by(|a, b| b.product().abs().total_cmp(&a.product().abs()).then(a.prototype.cmp(&b.prototype)));
    let (label, logit) = (batch.labels.first().map_or(0, |&label| label as usize), logits[class]);
    Ok(Explanation { picture, label, class, logit, parts })
}
