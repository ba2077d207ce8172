//! Where prototypes are found.

use interp_data::{Augment, Batch, Loader};
use interp_net::finding::random::stream;
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Mode, Network, Region};
use rand_distr::{Distribution, StandardNormal};

use super::parts::Truths;
use super::{Centers, Layer, finite, region};
use crate::pass::{BATCH, Pass, finite_rows, images};
use crate::{Pictures, Result};

/// The place of a picture that has most of a prototype.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// The picture's position in its split.
    pub picture: usize,
    /// Its label.
    pub label: usize,
    /// Row and column of the cell.
    pub cell: [usize; 2],
    /// The pixel in the middle of what the cell sees: row and column.
    pub pixel: [usize; 2],
    /// All that the cell sees.
    pub region: Region,
    /// How much it has.
    pub value: f64,
}

/// What a pass over pictures says of prototypes.
pub(super) struct Searched {
    /// For each prototype the peaks of pictures with most of it, the most first.
    pub(super) best: Vec<Vec<Peak>>,
    /// Pictures whose class is told, and all.
    pub(super) right: [usize; 2],
    /// Prototypes that the class that is told owes something to, over all pictures.
    pub(super) terms: usize,
}

impl Searched {
    /// Over all pictures, at most `most` for each prototype; where there are `classes`, those of a prototype's class alone.
    pub(super) fn over(
        net: &Network,
        layer: Layer,
        pictures: &Pictures,
        most: usize,
        classes: Option<&[usize]>,
    ) -> Result<Self> {
        let (centers, weights) = (Centers::of(net, layer.map)?, layer.weights(net)?);
        let shape = net.graph.shape(layer.map);
        let (count, width) = (shape[0], shape[2]);
        let cells = (shape[1] * width).max(1);
        let mut found = Self { best: vec![vec![]; count], right: [0; 2], terms: 0 };
        let keep = Keep::nodes([layer.map, layer.values].map(|id| net.graph.nodes()[id].name.as_str()));
        Pass::keeping(keep).over(net, pictures, |sample| {
            let logits = finite_rows(net, layer.head, sample.tape.output(&net.graph)?)?;
            let maps = finite(net, layer.map, sample.tape.at(&net.graph, layer.map)?)?;
            let values = finite(net, layer.values, sample.tape.at(&net.graph, layer.values)?)?;
            let rows = maps.chunks_exact(count * cells).zip(values.chunks_exact(count)).zip(&logits);
            for (picture, ((maps, values), logits)) in rows.enumerate() {
                let (index, label) = (sample.batch.indices[picture], sample.batch.labels[picture] as usize);
                let told = largest(logits);
                found.right = [found.right[0] + usize::from(told == label), found.right[1] + 1];
                let owes = |(value, weight): (&f64, &f64)| *value != 0.0 && *weight != 0.0;
                found.terms += values.iter().zip(&weights[told]).filter(|pair| owes(*pair)).count();
                for (prototype, map) in maps.chunks_exact(cells).enumerate() {
                    if classes.is_some_and(|classes| classes[prototype] != label) {
                        continue;
                    }
                    let at = largest(map);
                    let best = &mut found.best[prototype];
                    let place = best.partition_point(|other: &Peak| other.value >= map[at]);
                    if place < most {
                        let cell = [at / width, at % width];
                        let (pixel, region) = (centers.pixel(cell), region(net, layer.map, cell)?);
                        best.insert(place, Peak { picture: index, label, cell, pixel, region, value: map[at] });
                        best.truncate(most);
                    }
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The deviation of the noise, and the most of it, in pixel values.
const NOISE: [f64; 2] = [0.2, 0.25];

/// How much of a prototype there must be for its place to count, where prototypes are channels.
const THERE: f64 = 0.1;

/// The share of places with most of a prototype which lie in some part that lie in the same ones with noise on the picture (Huang et al. 2023, arXiv 2212.05946, section 3.2): of `limit` pictures at even
/// distances, the places of the prototypes of their class; of channels, of those that are there and weigh something. `None` where no parts are known.
pub(super) fn stability(
    net: &Network,
    layer: Layer,
    pictures: &Pictures,
    limit: usize,
    truths: &mut Truths<'_>,
) -> Result<Option<f64>> {
    let (centers, weights) = (Centers::of(net, layer.map)?, layer.weights(net)?);
    let shape = net.graph.shape(layer.map);
    let (count, width) = (shape[0], shape[2]);
    let cells = (shape[1] * width).max(1);
    let counts = |prototype: usize, label: usize, most: f64| match layer.by {
        Some(_) => super::strongest(&weights, prototype) == label,
        None => most > THERE && weights.iter().any(|row| row[prototype] > 0.0),
    };
    let (mut same, mut all) = (0usize, 0usize);
    let keep = Keep::nodes([net.graph.nodes()[layer.map].name.as_str()]);
    let loader = Loader::new(pictures.data.clone(), pictures.split, BATCH, pictures.workers, Augment::default(), 0)?;
    for batch in loader.in_order(Some(limit)) {
        let batch = pictures.seen(batch?);
        let maps = |batch: &Batch| -> Result<Vec<f64>> {
            let tape = net.run_to(&images(net, batch)?, layer.map, Mode::Eval, &keep)?;
            finite(net, layer.map, tape.at(&net.graph, layer.map)?)
        };
        let (plain, noisy) = (maps(&batch)?, maps(&with_noise(&batch, &pictures.data.info().std))?);
        for (picture, &index) in batch.indices.iter().enumerate() {
            let known = truths.of(index)?;
            let label = batch.labels[picture] as usize;
            for prototype in 0..count {
                let first = (picture * count + prototype) * cells;
                let [before, after] = [&plain, &noisy].map(|maps| largest(&maps[first..first + cells]));
                if known.has_parts() && counts(prototype, label, plain[first + before]) {
                    let of = |at: usize| known.parts(centers.pixel([at / width, at % width])).unwrap_or_default();
                    let parts = of(before);
                    // What lies in no part is the same wherever else it goes to.
                    let lies = usize::from(!parts.is_empty());
                    (same, all) = (same + lies * usize::from(parts == of(after)), all + lies);
                }
            }
        }
    }
    Ok((all > 0).then(|| same as f64 / all as f64))
}

/// Normalized pictures with noise, the same on a picture for everyone.
fn with_noise(batch: &Batch, std: &[f32]) -> Batch {
    let mut noisy = batch.clone();
    let size = (batch.images.len() / batch.labels.len().max(1)).max(1);
    for (picture, &index) in noisy.images.chunks_exact_mut(size).zip(&batch.indices) {
        let mut random = stream(0, "prototypes/noise", 0, index as u64);
        for (value, std) in picture.iter_mut().zip(std.iter().cycle()) {
            let unit: f64 = StandardNormal.sample(&mut random);
            *value += ((NOISE[0] * unit).clamp(-NOISE[1], NOISE[1]) / f64::from(*std)) as f32;
        }
    }
    noisy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_and_the_same_every_time() {
        let batch = Batch { images: vec![0.0; 3000], labels: vec![0; 3], indices: vec![4, 5, 4], masks: None };
        let noisy = with_noise(&batch, &[0.5]).images;
        assert!(noisy.iter().all(|value| value.abs() <= 0.5 + 1e-6), "a quarter, in deviations of 1/2");
        assert!(noisy[..1000] == noisy[2000..] && noisy[..1000] != noisy[1000..2000]);
        let deviation = (noisy.iter().map(|v| f64::from(v * v)).sum::<f64>() / 3000.0).sqrt() * 0.5;
        // Clipping at 1.25 deviations leaves 0.80 of a normal number's.
        assert!((deviation - 0.16).abs() < 0.01, "{deviation}");
    }
}
