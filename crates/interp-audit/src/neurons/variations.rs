//! What neurons answer when what they see is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use candle_core::{Device, Tensor};
use interp_data::Normalize;
use interp_net::{Field, Keep, Mode, Network, NodeId};
use rayon::prelude::*;

use super::{Peak, Survey};
use crate::cells::Cells;
use crate::pass::end_of;
use crate::{Pictures, Result};

/// What a cell sees of a picture.
pub struct View<'a> {
    picture: &'a [f32],
    width: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Rows of the picture.
    pub rows: Range<usize>,
    /// Columns of it.
    pub columns: Range<usize>,
    /// The middle of the receptive field, in pixels: 0.5 is the middle of the first.
    pub center: [f64; 2],
    /// The picture's position in the split.
    pub index: usize,
}

impl View<'_> {
    /// The channels of a pixel, in [0, 1]; outside of the view those of the nearest pixel in it.
    pub fn pixel(&self, row: i64, column: i64) -> &[f32] {
        let inside = |at: i64, range: &Range<usize>| at.clamp(range.start as i64, range.end as i64 - 1) as usize;
        let at = (inside(row, &self.rows) * self.width + inside(column, &self.columns)) * self.channels;
        &self.picture[at..at + self.channels]
    }

    /// Its pixels, row by row.
    pub fn pixels(&self) -> impl Iterator<Item = &[f32]> {
        let row = move |row: usize| self.columns.clone().map(move |column| self.pixel(row as i64, column as i64));
        self.rows.clone().flat_map(row)
    }
}

/// What is seen instead: the pixels of a view, row by row.
pub type Change<'a> = dyn Fn(&View<'_>) -> Vec<f32> + Sync + 'a;

/// An activation to be read: which layer, channel and peak of a survey it belongs to, and the cell.
struct Read {
    layer: usize,
    channel: usize,
    peak: usize,
    cell: [usize; 2],
}

/// A picture that is changed in one place: the node that the pass ends with, where it lies, what is seen of it, and the middle of that in halves of
/// pixels.
type Key = (NodeId, usize, [usize; 4], [i64; 2]);

/// The activations at the peaks of a survey, by layer, channel and peak, when what their cells see of the pictures is changed. A change that is the
/// same for several of them, as what deep layers see is the whole picture, is run once; `batch` pictures go through the network at a time, on
/// which nothing depends.
///
/// # Errors
/// If pictures cannot be had.
pub fn varied(
    net: &Network,
    pictures: &Pictures,
    survey: &Survey,
    batch: usize,
    change: &Change<'_>,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let info = pictures.data.info();
    let mut found: Vec<Vec<Vec<f32>>> = survey
        .layers
        .iter()
        .map(|layer| layer.units.iter().map(|unit| vec![0.0; unit.peaks.len()]).collect())
        .collect();
    let reads = reads(net, [info.height, info.width], survey);
    let entries: Vec<(&Key, &Vec<Read>)> = reads.iter().collect();
    for group in entries.chunk_by(|a, b| a.0.0 == b.0.0) {
        for part in group.chunks(batch.max(1)) {
            let x = changed(pictures, part, change)?;
            for (layer, channel, peak, value) in read(net, survey, part, &x.to_device(&net.device())?)? {
                found[layer][channel][peak] = value;
            }
        }
    }
    Ok(found)
}

/// What is to be read, by the picture and the place that is changed.
fn reads(net: &Network, size: [usize; 2], survey: &Survey) -> BTreeMap<Key, Vec<Read>> {
    let mut places: BTreeMap<(usize, [usize; 4], [i64; 2]), Vec<Read>> = BTreeMap::new();
    for (layer, of_layer) in survey.layers.iter().enumerate() {
        let field = net.receptive_field(of_layer.node).ok();
        for (channel, unit) in of_layer.units.iter().enumerate() {
            for (peak, &Peak { picture, cell, .. }) in unit.peaks.iter().enumerate() {
                let (region, center) = place(field.as_ref(), size, cell);
                let center = center.map(|middle| (2.0 * middle).round() as i64);
                places.entry((picture, region, center)).or_default().push(Read { layer, channel, peak, cell });
            }
        }
    }
    let mut ends: BTreeMap<BTreeSet<usize>, NodeId> = BTreeMap::new();
    let keyed = |((picture, region, center), reads): ((usize, [usize; 4], [i64; 2]), Vec<Read>)| {
        let layers: BTreeSet<usize> = reads.iter().map(|read| read.layer).collect();
        let nodes = || layers.iter().map(|&layer| survey.layers[layer].node).collect::<Vec<_>>();
        let end = *ends.entry(layers.clone()).or_insert_with(|| end_of(&net.graph, &nodes()));
        ((end, picture, region, center), reads)
    };
    places.into_iter().map(keyed).collect()
}

/// The first and last rows and columns (the last ones not within) that a cell sees of a picture, and the middle of its field.
fn place(field: Option<&Field>, size: [usize; 2], cell: [usize; 2]) -> ([usize; 4], [f64; 2]) {
    let axis = |axis: usize| {
        let Some(field) = field else { return ([0, size[axis]], size[axis] as f64 / 2.0) };
        let center = field.start[axis] + (cell[axis] * field.jump[axis]) as f64;
        let half = field.size[axis] as f64 / 2.0;
        let ends = [center - half, center + half].map(|end| end.round().clamp(0.0, size[axis] as f64) as usize);
        (ends, center)
    };
    let ([top, bottom], middle) = axis(0);
    let ([left, right], center) = axis(1);
    ([top, bottom, left, right], [middle, center])
}

/// The changed pictures as the network takes them, (N, C, H, W).
fn changed(pictures: &Pictures, part: &[(&Key, &Vec<Read>)], change: &Change<'_>) -> Result<Tensor> {
    let info = pictures.data.info();
    let mut all = vec![0.0; part.len() * info.pixels()];
    let one = |(out, (key, _)): (&mut [f32], &(&Key, &Vec<Read>))| -> Result<()> {
        let &(_, index, [top, bottom, left, right], center) = *key;
        pictures.data.image(pictures.split, index, out)?;
        let picture = out.to_vec();
        let (rows, columns) = (top..bottom, left..right);
        let center = center.map(|half| half as f64 / 2.0);
        let (width, channels) = (info.width, info.channels);
        let view = View { picture: &picture, width, channels, rows, columns, center, index };
        let pixels = change(&view);
        let line = (right - left) * channels;
        for (row, line) in (top..bottom).zip(pixels.chunks_exact(line.max(1))) {
            let start = (row * width + left) * channels;
            out[start..start + line.len()].copy_from_slice(line);
        }
        Ok(())
    };
    all.par_chunks_exact_mut(info.pixels().max(1)).zip(part).try_for_each(one)?;
    Normalize::new(info).apply(&mut all);
    let shape = (part.len(), info.height, info.width, info.channels);
    Ok(Tensor::from_vec(all, shape, &Device::Cpu)?.permute((0, 3, 1, 2))?) // (N, H, W, C) -> (N, C, H, W)
}

/// The activations to be read: layer, channel, peak and value.
fn read(
    net: &Network,
    survey: &Survey,
    part: &[(&Key, &Vec<Read>)],
    x: &Tensor,
) -> Result<Vec<(usize, usize, usize, f32)>> {
    let Some(&(&(end, ..), _)) = part.first() else { return Ok(vec![]) };
    let wanted = |layer: &usize| part.iter().any(|(_, reads)| reads.iter().any(|read| read.layer == *layer));
    let layers: Vec<usize> = (0..survey.layers.len()).filter(wanted).collect();
    let names = layers.iter().map(|&layer| net.graph.nodes()[survey.layers[layer].node].name.as_str());
    let tape = net.run_to(x, end, Mode::Eval, &Keep::nodes(names))?;
    let mut found = vec![];
    for layer in layers {
        let cells = Cells::of(tape.at(&net.graph, survey.layers[layer].node)?)?;
        for (at, (_, reads)) in part.iter().enumerate() {
            for read in reads.iter().filter(|read| read.layer == layer) {
                let place = (read.cell[0] * cells.width + read.cell[1]) * cells.channels + read.channel;
                found.push((layer, read.channel, read.peak, cells.values[at * cells.per_picture() + place]));
            }
        }
    }
    Ok(found)
}
