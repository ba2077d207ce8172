//! The places that channels answer to most.

use interp_net::{Network, NodeId};
use rayon::prelude::*;

use crate::cells::Cells;
use crate::pass::{Observer, Sample, observe};
use crate::{Memory, Pictures, Result};

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

/// The activation that bin `bin` of a [histogram](Unit::histogram) begins with, `2^(-8 + (bin - 1) / 4)`; bin 0 is that of none.
pub fn bin_start(bin: usize) -> f64 {
    f64::from(LOWEST + (bin as f32 - 1.0) / PER_OCTAVE).exp2()
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

/// What the channels of `nodes` answer to, with the `count` largest answers of each; nothing depends on `memory`.
///
/// # Errors
/// If pictures cannot be had, or do not fit the network, and where an activation is not a number.
pub fn survey(net: &Network, pictures: &Pictures, nodes: &[NodeId], count: usize, memory: Memory) -> Result<Survey> {
    let mut surveyor = Surveyor::new(net, pictures, nodes, count);
    observe(net, pictures, &mut [&mut surveyor], memory)?;
    Ok(surveyor.found)
}

/// Makes a survey in a pass that others observe too.
pub struct Surveyor {
    count: usize,
    /// What was found so far.
    pub found: Survey,
}

impl Surveyor {
    /// Of the channels of `nodes`, with the `count` largest answers of each.
    pub fn new(net: &Network, pictures: &Pictures, nodes: &[NodeId], count: usize) -> Self {
        let classes = pictures.data.info().classes.len();
        let unit = |_| Unit::new(classes);
        let layer = |&node: &NodeId| Layer { node, units: (0..net.graph.shape(node)[0]).map(unit).collect() };
        Self { count, found: Survey { layers: nodes.iter().map(layer).collect(), by_class: vec![0; classes] } }
    }
}

impl Observer for Surveyor {
    fn taps(&self) -> Vec<NodeId> {
        self.found.layers.iter().map(|layer| layer.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let batch = sample.batch;
        for layer in &mut self.found.layers {
            let cells = Cells::at(net, sample.tape, layer.node)?;
            let maxima: Vec<_> = (0..batch.labels.len()).into_par_iter().map(|at| cells.maxima(at)).collect();
            layer.units.par_iter_mut().enumerate().for_each(|(channel, unit)| {
                for (at, row) in maxima.iter().enumerate() {
                    let (activation, cell) = row[channel];
                    let (picture, label) = (batch.indices[at], batch.labels[at] as usize);
                    unit.see(Peak { activation, picture, label, cell }, self.count);
                }
            });
        }
        for &label in &batch.labels {
            if let Some(seen) = self.found.by_class.get_mut(label as usize) {
                *seen += 1;
            }
        }
        Ok(())
    }
}
