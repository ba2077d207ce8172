//! Maps brought to the size of pictures.

use interp_net::{Network, NodeId};

use super::Bits;
use crate::cells::Cells;

/// Where a node's cells lie in a picture: each pixel lies between two rows and two columns of cells, by the middles of their receptive
/// fields.
pub(super) struct Enlarged {
    rows: Vec<Between>,
    columns: Vec<Between>,
}

/// Two neighboring cells, and the weight of the second; pixels outside of all middles have the nearest cell.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Between {
    cells: [usize; 2],
    weight: f32,
}

impl Enlarged {
    /// The cells of `node` in pictures of `size`, by rows and columns. Cells without a receptive field in common are spread evenly.
    pub(super) fn new(net: &Network, node: NodeId, size: [usize; 2]) -> Self {
        let field = net.receptive_field(node).ok();
        let axis = |axis: usize| {
            let cells = net.graph.shape(node).get(axis + 1).copied().unwrap_or(1);
            let even = size[axis] as f64 / cells as f64;
            let field = field.as_ref().filter(|field| field.jump[axis] > 0);
            let (start, jump) = field.map_or((even / 2.0, even), |f| (f.start[axis], f.jump[axis] as f64));
            (0..size[axis]).map(|pixel| Between::new((pixel as f64 + 0.5 - start) / jump, cells)).collect()
        };
        Self { rows: axis(0), columns: axis(1) }
    }

    /// The pixels at which a channel of a picture, bilinear between cells, is above `threshold`.
    pub(super) fn above(&self, cells: &Cells, picture: usize, channel: usize, threshold: f32) -> Bits {
        let first = picture * cells.per_picture() + channel;
        let value = |row: usize, column: usize| cells.values[first + (row * cells.width + column) * cells.channels];
        let pixel = |at: usize| {
            let (row, column) = (self.rows[at / self.columns.len()], self.columns[at % self.columns.len()]);
            let along = |row: usize| column.mix(value(row, column.cells[0]), value(row, column.cells[1]));
            row.mix(along(row.cells[0]), along(row.cells[1]))
        };
        Bits::of(self.rows.len() * self.columns.len(), |at| pixel(at) > threshold)
    }
}

impl Between {
    fn new(place: f64, cells: usize) -> Self {
        let place = place.clamp(0.0, cells.saturating_sub(1) as f64);
        let low = place.floor();
        let weight = (place - low) as f32;
        Self { cells: [low as usize, (low as usize + 1).min(cells.saturating_sub(1))], weight }
    }

    fn mix(self, a: f32, b: f32) -> f32 {
        // Exact where it lies on a cell, and where both are equal.
        a + (b - a) * self.weight
    }
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Op};

    use super::*;

    // Two by two means of 4x4: the middles are 1 and 3. Along a row, cells 0 and 8 make 0, 2, 6, 8 at the pixels' middles 0.5 (nearest), 1.5, 2.5, 3.5.
    #[test]
    fn pixels_between_cells_are_bilinear() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        let pool = graph.then("pool", Op::AvgPool { kernel: [2, 2], stride: [2, 2], padding: [0, 0] }).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let enlarged = Enlarged::new(&net, pool, [4, 4]);
        let cells = Cells { values: vec![0.0, 8.0, 0.0, 8.0], channels: 1, height: 2, width: 2 };
        let counts = [-1.0, 0.0, 1.9, 2.0, 5.9, 6.0, 7.9, 8.0]
            .map(|threshold| enlarged.above(&cells, 0, 0, threshold).count() / 4);
        assert_eq!(counts, [4, 3, 3, 2, 2, 1, 1, 0]);
    }
}
