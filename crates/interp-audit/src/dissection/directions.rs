//! Directions in activations that tell of concepts: what a linear probe finds.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use interp_data::{Mask, Truth};
use interp_net::{Network, NodeId};
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::Probe;
use crate::cells::Cells;
use crate::pass::{Observer, Sample};
use crate::{Pictures, Result};

/// The ridge, as a share of the mean variance of channels: enough for channels that are sums of others.
const RIDGE: f64 = 1e-3;
/// Pictures whose sums are in memory at a time: those of wide layers are large.
const TOGETHER: usize = 16;

/// Finds, for every concept of some pictures, the direction in the activations of a node along which it is told best: that of least squares, by all
/// cells, of the concept's share of the pixels under a cell, with a small ridge. (Linear probes: Alain and Bengio 2017, arXiv 1610.01644; of concepts
/// by their masks: Fong and Vedaldi 2018, arXiv 1801.03454, by another loss.) All that is not in a mask is taken for not the concept.
pub struct Directions<'a> {
    pictures: &'a Pictures,
    node: NodeId,
    cells: f64,
    /// Of channels: sums, and sums of products.
    sums: DVector<f64>,
    products: DMatrix<f64>,
    /// Of concepts: sums, and sums of products with channels.
    concepts: BTreeMap<String, (f64, DVector<f64>)>,
}

impl<'a> Directions<'a> {
    /// In the activations of a node.
    pub fn new(net: &Network, pictures: &'a Pictures, node: NodeId) -> Self {
        let channels = net.graph.shape(node)[0];
        let (sums, products) = (DVector::zeros(channels), DMatrix::zeros(channels, channels));
        Self { pictures, node, cells: 0.0, sums, products, concepts: BTreeMap::new() }
    }

    fn add(&mut self, one: Sums, cells: usize) {
        self.cells += cells as f64;
        self.sums += one.sums;
        self.products += one.products;
        for (name, (sum, with)) in one.concepts {
            let of = self.concepts.entry(name).or_insert_with(|| (0.0, DVector::zeros(self.sums.len())));
            of.0 += sum;
            of.1 += with;
        }
    }

    /// The concepts that were seen, and their directions, in this order.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn found(self) -> Result<(Vec<String>, Probe)> {
        let Self { node, cells, sums, products, concepts, .. } = self;
        let channels = sums.len();
        let mean = &sums / cells.max(1.0);
        let mut covariance = products - &mean * sums.transpose();
        let ridge = (RIDGE * covariance.trace() / channels.max(1) as f64).max(f64::MIN_POSITIVE);
        (0..channels).for_each(|at| covariance[(at, at)] += ridge);
        let solver = covariance.cholesky();
        let direction = |(sum, with): &(f64, DVector<f64>)| {
            let right = with - &mean * *sum;
            solver.as_ref().map_or_else(|| DVector::zeros(channels), |solver| solver.solve(&right))
        };
        let columns: Vec<DVector<f64>> = concepts.values().map(direction).collect();
        let rows = (0..channels).flat_map(|channel| columns.iter().map(move |column| column[channel] as f32));
        let matrix = Tensor::from_vec(rows.collect::<Vec<f32>>(), (channels, columns.len()), &Device::Cpu)?;
        let probe = Probe { node, rotation: Some(matrix), channels: 0..columns.len() };
        Ok((concepts.into_keys().collect(), probe))
    }
}

impl Observer for Directions<'_> {
    fn taps(&self) -> Vec<NodeId> {
        vec![self.node]
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let cells = Cells::at(net, sample.tape, self.node)?;
        let Pictures { data, split, .. } = self.pictures;
        let truths = sample.batch.indices.par_iter().map(|&index| Ok(data.truth(*split, index)?));
        let truths: Vec<Option<Truth>> = truths.collect::<Result<_>>()?;
        let all: Vec<(&[f32], &Option<Truth>)> = cells.values.chunks_exact(cells.per_picture()).zip(&truths).collect();
        for some in all.chunks(TOGETHER) {
            let sums = some.par_iter().map(|(values, truth)| Sums::of(values, &cells, truth.as_ref()));
            sums.collect::<Vec<Sums>>().into_iter().for_each(|sums| self.add(sums, cells.height * cells.width));
        }
        Ok(())
    }
}

/// What a picture adds.
struct Sums {
    sums: DVector<f64>,
    products: DMatrix<f64>,
    concepts: Vec<(String, (f64, DVector<f64>))>,
}

impl Sums {
    fn of(values: &[f32], cells: &Cells, truth: Option<&Truth>) -> Self {
        // (cells, channels), row by row.
        let values = DMatrix::from_row_iterator(
            cells.height * cells.width,
            cells.channels,
            values.iter().map(|&value| f64::from(value)),
        );
        let transposed = values.transpose();
        let concept = |(name, mask): &(String, Mask)| {
            let shares = DVector::from_vec(shares(mask, [cells.height, cells.width]));
            (name.clone(), (shares.sum(), &transposed * shares))
        };
        let concepts = truth.into_iter().flat_map(|truth| &truth.concepts).map(concept).collect();
        Self { sums: values.row_sum_tr(), products: &transposed * &values, concepts }
    }
}

/// The share of the pixels under each cell that belong to a mask: of the part of the picture that the cell would have if cells shared it evenly.
fn shares(mask: &Mask, [rows, columns]: [usize; 2]) -> Vec<f64> {
    let part = |at: usize, cells: usize, pixels: usize| {
        let first = at * pixels / cells;
        first..((at + 1) * pixels / cells).max(first + 1).min(pixels)
    };
    let share = |row: usize, column: usize| {
        let (down, across) = (part(row, rows, mask.height), part(column, columns, mask.width));
        let count = (down.len() * across.len()).max(1);
        let pixels = down.flat_map(|y| across.clone().map(move |x| y * mask.width + x));
        pixels.map(|at| f64::from(mask.coverage[at])).sum::<f64>() / (255.0 * count as f64)
    };
    (0..rows).flat_map(|row| (0..columns).map(move |column| share(row, column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let mask = Mask { height: 2, width: 4, coverage: vec![255, 255, 0, 51, 255, 0, 0, 0] };
        assert_eq!(shares(&mask, [1, 2]), [0.75, 0.05]);
        // Cells that are more than pixels lie on one each.
        assert_eq!(shares(&Mask { height: 1, width: 1, coverage: vec![255] }, [2, 2]), [1.0; 4]);
    }
}
