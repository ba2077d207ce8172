//! The push: for each prototype the place of a training picture that is nearest to it.

use candle_core::{DType, Device, Tensor};
use interp_data::{Batch, Batches};
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Mode, Network, NodeId};

use crate::{LearnError, Result};

/// A place of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The picture's position in its split.
    pub(super) picture: usize,
    /// How much it is like the prototype.
    pub(super) likeness: f32,
    /// What it is embedded as.
    pub(super) vector: Vec<f32>,
}

/// For each prototype of the node `map` the place that is most like it, of pictures of its own class; of equal ones the first. Of prototypes of a class that
/// would take the same picture, the later takes the next one, as far as there are others.
///
/// # Errors
/// If pictures cannot be had, do not fit, or there are none of a class.
pub(super) fn nearest(net: &Network, map: NodeId, pictures: Batches, per_class: usize) -> Result<Vec<Place>> {
    let count = net.graph.shape(map)[0];
    let mut best: Vec<Vec<Place>> = vec![vec![]; count];
    let latent = net.graph.nodes()[map].inputs[0];
    let keep = Keep::nodes([latent, map].map(|id| net.graph.nodes()[id].name.as_str()));
    for batch in pictures {
        let batch = batch?;
        let tape = net.run_to(&pictures_of(net, &batch)?, map, Mode::Eval, &keep)?;
        let rows = |id: NodeId| -> Result<Vec<Vec<Vec<f32>>>> {
            let at = tape.at(&net.graph, id)?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            Ok(at.flatten_from(2)?.contiguous()?.to_vec3()?) // (N, C, H W)
        };
        let (maps, vectors) = (rows(map)?, rows(latent)?);
        for (picture, (maps, vectors)) in maps.iter().zip(&vectors).enumerate() {
            let class = batch.labels[picture] as usize;
            let own = (class * per_class).min(count)..((class + 1) * per_class).min(count);
            for prototype in own {
                let at = largest(&maps[prototype]);
                let likeness = maps[prototype][at];
                let vector = || vectors.iter().map(|channel| channel[at]).collect();
                keep_best(&mut best[prototype], batch.indices[picture], likeness, vector, per_class);
            }
        }
    }
    chosen(best, per_class)
}

/// The pictures of a batch as the network takes them: (N, C, H, W).
fn pictures_of(net: &Network, batch: &Batch) -> Result<Tensor> {
    let shape = net.graph.shape(0); // (C, H, W)
    let shape = (batch.labels.len(), shape[1], shape[2], shape[0]);
    Ok(Tensor::from_vec(batch.images.clone(), shape, &Device::Cpu)?.permute((0, 3, 1, 2))?)
}

/// Puts a place among the best, of which there are at most `most`, the best first.
fn keep_best(best: &mut Vec<Place>, picture: usize, likeness: f32, vector: impl FnOnce() -> Vec<f32>, most: usize) {
    let at = best.partition_point(|other| other.likeness >= likeness);
    if at < most {
        best.insert(at, Place { picture, likeness, vector: vector() });
        best.truncate(most);
    }
}

/// One place for each prototype, no picture twice in a class.
fn chosen(best: Vec<Vec<Place>>, per_class: usize) -> Result<Vec<Place>> {
    let mut all: Vec<Place> = Vec::with_capacity(best.len());
    for (prototype, places) in best.into_iter().enumerate() {
        let class = prototype / per_class.max(1) * per_class;
        let is_taken = |place: &Place| all[class..].iter().any(|other| other.picture == place.picture);
        let free = places.iter().position(|place| !is_taken(place)).unwrap_or(0);
        let none = || {
            let class = prototype / per_class.max(1);
            LearnError::State(format!(
                "there is no training picture of class {class}, whose prototypes are to be pushed"
            ))
        };
        all.push(places.into_iter().nth(free).ok_or_else(none)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(picture: usize, likeness: f32) -> Place {
        Place { picture, likeness, vector: vec![likeness] }
    }

    #[test]
    fn the_best_are_kept_in_order() {
        let mut best = vec![];
        for (picture, likeness) in [(0, 0.2), (1, 0.9), (2, 0.9), (3, 0.1), (4, 0.5)] {
            keep_best(&mut best, picture, likeness, || vec![likeness], 3);
        }
        assert_eq!(best, [place(1, 0.9), place(2, 0.9), place(4, 0.5)]);
    }

    // Both prototypes of a class are nearest to picture 4: the second takes picture 1. The other class has one picture alone.
    #[test]
    fn no_picture_is_taken_twice_by_a_class() {
        let best = vec![
            vec![place(4, 0.9), place(2, 0.8)],
            vec![place(4, 0.7), place(1, 0.6)],
            vec![place(3, 0.5)],
            vec![place(3, 0.4)],
        ];
        let pictures: Vec<usize> = chosen(best, 2).unwrap().iter().map(|place| place.picture).collect();
        assert_eq!(pictures, [4, 1, 3, 3]);
        let error = chosen(vec![vec![place(0, 1.0)], vec![]], 1).unwrap_err();
        assert!(error.to_string().contains("no training picture of class 1"), "{error}");
    }
}
