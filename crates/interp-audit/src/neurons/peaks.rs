//! The places that channels answer to most.

use candle_core::{DType, Device, Tensor};
use interp_net::{Keep, Network, NodeId};
use rayon::prelude::*;

use crate::pass::{Pass, end_of};
use crate::{AuditError, Pictures, Result};

/// A place that a channel answered to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// How much.
    pub activation: f32,
    /// The picture, by its position in the split.
    pub picture: usize,
    /// The class it is of.
    pub label: usize,
    /// Row and column of the cell; 0 of vectors.
    pub cell: [usize; 2],
}

/// What a channel answered over all pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The largest answers above 0, one for each picture, from the largest on; of equal ones the earlier pictures.
    pub peaks: Vec<Peak>,
    /// Pictures in which it answers at all: its largest activation is above 0.
    pub firing: usize,
    /// Sum of the largest activations, by class.
    pub by_class: Vec<f64>,
    /// Pictures by the largest activation: none, then a bin for each quarter of an octave from 2^-8 to 2^8, what is beyond in the outer ones.
    pub histogram: Vec<u32>,
}

impl Unit {
    fn new(classes: usize) -> Self {
        Self { peaks: vec![], firing: 0, by_class: vec![0.0; classes], histogram: vec![0; BINS + 1] }
    }

    /// Whether it answered to no picture.
    pub fn is_dead(&self) -> bool {
        self.firing == 0
    }

    fn see(&mut self, peak: Peak, count: usize) {
        let value = peak.activation;
        self.histogram[bin(value)] += 1;
        if value > 0.0 {
            self.firing += 1;
            if let Some(sum) = self.by_class.get_mut(peak.label) {
                *sum += f64::from(value);
            }
            if self.peaks.len() < count || self.peaks.last().is_some_and(|last| value > last.activation) {
                let place = self.peaks.partition_point(|other| other.activation >= value);
                self.peaks.insert(place, peak);
                self.peaks.truncate(count);
            }
        }
    }
}

/// Bins of a histogram, beside that of what is not above 0.
const BINS: usize = 64;
const PER_OCTAVE: f32 = 4.0;
const LOWEST: f32 = -8.0;

fn bin(value: f32) -> usize {
    match value > 0.0 {
        true => 1 + ((value.log2() - LOWEST) * PER_OCTAVE).floor().clamp(0.0, BINS as f32 - 1.0) as usize,
        false => 0,
    }
}

/// The channels of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The node.
    pub node: NodeId,
    /// One for each channel.
    pub units: Vec<Unit>,
}

/// What a pass over pictures found.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// One for each node asked about.
    pub layers: Vec<Layer>,
    /// Pictures seen, by class.
    pub by_class: Vec<usize>,
}

impl Survey {
    /// Pictures seen.
    pub fn pictures(&self) -> usize {
        self.by_class.iter().sum()
    }
}

/// What the channels of `nodes` answer to, with the `count` largest answers of each; `batch` pictures go through the network at a time, on which
/// nothing depends.
///
/// # Errors
/// If pictures cannot be had, or do not fit the network, and where an activation is not a number.
pub fn survey(net: &Network, pictures: &Pictures, nodes: &[NodeId], count: usize, batch: usize) -> Result<Survey> {
    let classes = pictures.data.info().classes.len();
    let unit = |_| Unit::new(classes);
    let layer = |&node: &NodeId| Layer { node, units: (0..net.graph.shape(node)[0]).map(unit).collect() };
    let mut found = Survey { layers: nodes.iter().map(layer).collect(), by_class: vec![0; classes] };
    let end = end_of(&net.graph, nodes);
    let keep = Keep::nodes(nodes.iter().map(|&id| net.graph.nodes()[id].name.as_str()));
    let pass = Pass { end: Some(end), batch, ..Pass::keeping(keep) };
    pass.over(net, pictures, |sample| {
        for layer in &mut found.layers {
            let name = || net.graph.nodes()[layer.node].name.clone();
            let maxima =
                maxima(sample.tape.at(&net.graph, layer.node)?)?.ok_or_else(|| AuditError::NotANumber(name()))?;
            layer.units.par_iter_mut().enumerate().for_each(|(channel, unit)| {
                for (picture, row) in maxima.iter().enumerate() {
                    let (activation, cell) = row[channel];
                    let (picture, label) = (sample.batch.indices[picture], sample.batch.labels[picture] as usize);
                    unit.see(Peak { activation, picture, label, cell }, count);
                }
            });
        }
        for &label in &sample.batch.labels {
            if let Some(seen) = found.by_class.get_mut(label as usize) {
                *seen += 1;
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// A largest activation, and the first cell that has it.
type Most = (f32, [usize; 2]);

/// The largest activation of each channel of each picture; `None` where one is not a number.
fn maxima(activation: &Tensor) -> Result<Option<Vec<Vec<Most>>>> {
    let (channels, width, cells) = match *activation.dims() {
        [_, channels, height, width] => (channels, width, height * width),
        _ => (activation.dim(1)?, 1, 1),
    };
    let ordered = if activation.rank() == 4 { activation.permute((0, 2, 3, 1))? } else { activation.clone() };
    let values = ordered.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().any(|value| value.is_nan()) {
        return Ok(None);
    }
    let of_picture = |cells: &[f32]| {
        let mut best = vec![(f32::NEG_INFINITY, 0); channels];
        for (cell, values) in cells.chunks_exact(channels).enumerate() {
            for (best, &value) in best.iter_mut().zip(values) {
                if value > best.0 {
                    *best = (value, cell);
                }
            }
        }
        best.into_iter().map(|(value, cell)| (value, [cell / width, cell % width])).collect()
    };
    Ok(Some(values.par_chunks_exact((cells * channels).max(1)).map(of_picture).collect()))
}
