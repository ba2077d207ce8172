//! The activations above which channels answer most.

use std::ops::Range;

use candle_core::{Device, Tensor};
use interp_net::finding::random::stream;
use interp_net::{Network, NodeId};
use nalgebra::DMatrix;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::largest::Largest;
use crate::cells::Cells;
use crate::pass::{Observer, Sample};
use crate::{Memory, Pictures, Result};

/// Directions in the activations of a node.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The node.
    pub node: NodeId,
    /// The channels turned by a random rotation (C, C), the control for whether single channels matter more than other directions, or
    /// [directions](super::Directions) of concepts (C, K); else the channels themselves.
    pub rotation: Option<Tensor>,
    /// Which of the channels, or of the directions that a rotation turns them to: all, or as many as fit into memory at a time.
    pub channels: Range<usize>,
}

impl Probe {
    /// The activations of a batch along the probe's directions.
    pub(super) fn cells(&self, net: &Network, sample: &Sample<'_>) -> Result<Cells> {
        let cells = Cells::at(net, sample.tape, self.node)?;
        let (first, channels) = (self.channels.start, self.channels.len());
        if self.rotation.is_none() && channels == cells.channels {
            return Ok(cells);
        }
        let count = cells.values.len() / cells.channels.max(1);
        let all = Tensor::from_vec(cells.values, (count, cells.channels), &Device::Cpu)?;
        let some = match &self.rotation {
            // All at once, so that sums are the same ones whatever the memory.
            Some(rotation) => all.matmul(rotation)?,
            None => all,
        };
        let values = some.narrow(1, first, channels)?.flatten_all()?.to_vec1()?;
        Ok(Cells { values, channels, ..cells })
    }

    /// In neighboring ranges of channels, of so many each at most.
    fn cut(self, most: usize) -> impl Iterator<Item = Self> {
        let Range { start, end } = self.channels;
        let range = move |first: usize| first..(first + most).min(end);
        (start..end).step_by(most.max(1)).map(move |first| Self { channels: range(first), ..self.clone() })
    }
}

/// The nodes' channels, and `rotations` random rotations of each node's (Bau et al. 2017, section 3.2).
///
/// # Errors
/// If a tensor operation fails.
pub fn probes(net: &Network, nodes: &[NodeId], rotations: usize) -> Result<Vec<Probe>> {
    let mut probes = vec![];
    for &node in nodes {
        let count = net.graph.shape(node)[0];
        probes.push(Probe { node, rotation: None, channels: 0..count });
        for number in 0..rotations {
            probes.push(Probe { node, rotation: Some(rotation(count, node, number)?), channels: 0..count });
        }
    }
    Ok(probes)
}

/// A random orthogonal matrix: the first factor of the QR decomposition of normal numbers, with the signs of the second's diagonal (Mezzadri 2007,
/// "How to generate random matrices from the classical compact groups").
fn rotation(channels: usize, node: NodeId, number: usize) -> Result<Tensor> {
    let mut rng = stream(number as u64, "random rotation", 0, node as u64);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let (mut q, r) = DMatrix::from_fn(channels, channels, |_, _| normal()).qr().unpack();
    for (mut column, diagonal) in q.column_iter_mut().zip(r.diagonal().iter()) {
        column *= diagonal.signum();
    }
    let values: Vec<f32> = q.iter().map(|&value| value as f32).collect();
    Ok(Tensor::from_vec(values, (channels, channels), &Device::Cpu)?)
}

/// Neighboring channels that are read together: they lie side by side in memory.
const AT_ONCE: usize = 16;

/// Finds for every direction of some probes the activation that a share of its cells is above, exactly: the largest ones of a pass are kept.
pub struct Thresholds {
    probes: Vec<Probe>,
    quantile: f64,
    found: Vec<Vec<Largest>>,
}

impl Thresholds {
    /// For so many channels of all probes as fit into memory, at least one: they are cut into parts, each for a pass of its own.
    pub fn parts(net: &Network, pictures: &Pictures, probes: Vec<Probe>, quantile: f64, memory: Memory) -> Vec<Self> {
        let count = |probe: &Probe| {
            let cells: usize = net.graph.shape(probe.node)[1..].iter().product();
            (quantile * (cells * pictures.data.len(pictures.split)) as f64).floor() as usize + 1
        };
        let fitting = |probe: &Probe| (memory.bytes / Largest::bytes(count(probe))).max(1) as usize;
        let probes: Vec<Probe> = probes
            .into_iter()
            .flat_map(|probe| {
                let most = fitting(&probe);
                probe.cut(most)
            })
            .collect();
        let bytes = |probe: &Probe| probe.channels.len() as u64 * Largest::bytes(count(probe));
        let sizes: Vec<u64> = probes.iter().map(bytes).collect();
        let mut probes = probes.into_iter();
        let part = |range: Range<usize>| {
            let probes: Vec<Probe> = probes.by_ref().take(range.len()).collect();
            let found = probes.iter().map(|probe| vec![Largest::new(count(probe)); probe.channels.len()]).collect();
            Self { probes, quantile, found }
        };
        memory.ranges(&sizes).into_iter().map(part).collect()
    }

    /// What was found: the probes, each with the threshold of every direction.
    pub(super) fn into_found(self) -> (f64, Vec<(Probe, Vec<f32>)>) {
        let least = |found: Vec<Largest>| found.into_par_iter().map(Largest::least).collect();
        (self.quantile, self.probes.into_iter().zip(self.found.into_iter().map(least)).collect())
    }
}

impl Observer for Thresholds {
    fn taps(&self) -> Vec<NodeId> {
        self.probes.iter().map(|probe| probe.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for (probe, found) in self.probes.iter().zip(&mut self.found) {
            let cells = probe.cells(net, sample)?;
            found.par_chunks_mut(AT_ONCE).enumerate().for_each(|(part, found)| {
                for values in cells.values.chunks_exact(cells.channels.max(1)) {
                    found.iter_mut().zip(&values[part * AT_ONCE..]).for_each(|(largest, &value)| largest.see(value));
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_orthogonal_and_differ() {
        let turned = |number| rotation(7, 3, number).unwrap();
        let product = turned(0).matmul(&turned(0).t().unwrap()).unwrap().to_vec2::<f32>().unwrap();
        for (row, values) in product.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                assert!((value - f32::from(u8::from(row == column))).abs() < 1e-6);
            }
        }
        let first = |number| turned(number).to_vec2::<f32>().unwrap()[0][0];
        assert!(first(0) == first(0) && first(0) != first(1));
    }
}
