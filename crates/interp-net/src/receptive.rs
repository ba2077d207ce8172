//! Receptive fields, exact with padding, stride, dilation and branches.
//!
//! Coordinates are pixels of the input, counted from 0; pixel 0 covers 0.0 to 1.0, so its center is 0.5.

use crate::{Graph, Network, NodeId, Op};

/// The part of the input that a node's cells see, on one axis, before clipping to the image: cell `i`
/// sees the pixels `first + i * jump ..= last + i * jump`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    first: i64,
    last: i64,
    jump: i64,
}

/// Receptive field of a node, rows then columns, before clipping to the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Pixels seen by one cell.
    pub size: [usize; 2],
    /// Pixels between the fields of neighboring cells; 0 where one cell sees the whole image.
    pub jump: [usize; 2],
    /// Center of the first cell's field.
    pub start: [f64; 2],
}

/// A box of pixels of the input, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First and last row.
    pub rows: [usize; 2],
    /// First and last column.
    pub columns: [usize; 2],
}

/// How an operation's cell `i` reads its input on one axis: the cells `i * stride - padding + k * dilation`
/// for `k` from 0 to `taps - 1`.
struct Window {
    stride: i64,
    padding: i64,
    dilation: i64,
    taps: i64,
}

impl Window {
    /// The cells that cell `i` reads, but for padding before the first; some may lie behind the last.
    fn cells(&self, i: usize) -> impl Iterator<Item = usize> {
        let first = i as i64 * self.stride - self.padding;
        (0..self.taps).filter_map(move |tap| usize::try_from(first + tap * self.dilation).ok())
    }
}

impl Network {
    /// The receptive field of the node `at`: the smallest box that holds every branch. By the recursion
    /// of size, jump and start over the graph (Araujo et al. 2019, "Computing receptive fields of
    /// convolutional neural networks", eq. 2 and 3).
    pub fn receptive_field(&self, at: NodeId) -> Field {
        let [rows, columns] = [0, 1].map(|axis| fields(&self.graph, at, axis)[at]);
        let size = |a: Axis| (a.last - a.first + 1).max(0) as usize;
        let center = |a: Axis| (a.first + a.last + 1) as f64 / 2.0;
        Field {
            size: [size(rows), size(columns)],
            jump: [rows.jump as usize, columns.jump as usize],
            start: [center(rows), center(columns)],
        }
    }

    /// The pixels of the image that cell (`row`, `column`) of the node `at` depends on, as the smallest
    /// box; cells of a vector see what (0, 0) sees. `None` if there is no such cell. Padding is left out
    /// at every layer, so that the box is exact at the borders too.
    pub fn region(&self, at: NodeId, row: usize, column: usize) -> Option<Region> {
        let rows = reach(&self.graph, at, row, 0)?;
        let columns = reach(&self.graph, at, column, 1)?;
        Some(Region { rows, columns })
    }
}

/// Cells of a node along an axis; 1 for vectors.
fn extent(graph: &Graph, id: NodeId, axis: usize) -> usize {
    graph.shape(id).get(axis + 1).copied().unwrap_or(1)
}

/// How node `id` reads its inputs along an axis.
fn window(graph: &Graph, id: NodeId, axis: usize) -> Window {
    let whole = || extent(graph, graph.nodes()[id].inputs[0], axis);
    let [stride, padding, dilation, taps] = match graph.nodes()[id].op {
        Op::Conv2d { kernel, stride, padding, dilation, .. } => {
            [stride[axis], padding[axis], dilation[axis], kernel[axis]]
        }
        Op::MaxPool { kernel, stride, padding } | Op::AvgPool { kernel, stride, padding } => {
            [stride[axis], padding[axis], 1, kernel[axis]]
        }
        Op::GlobalAvgPool | Op::Linear { .. } => [0, 0, 1, whole()],
        Op::PadShortcut { stride, .. } => [stride, 0, 1, 1],
        Op::Input { .. } | Op::BatchNorm { .. } | Op::Relu | Op::OnOff | Op::Add => [1, 0, 1, 1],
    }
    .map(|number| number as i64);
    Window { stride, padding, dilation, taps }
}

/// The fields of all nodes up to `at` along an axis.
fn fields(graph: &Graph, at: NodeId, axis: usize) -> Vec<Axis> {
    let mut fields: Vec<Axis> = Vec::with_capacity(at + 1);
    for id in 0..=at {
        let Window { stride, padding, dilation, taps } = window(graph, id, axis);
        let through = |&input: &NodeId| {
            let Axis { first, last, jump } = fields[input];
            let times = |cells: i64| cells.saturating_mul(jump);
            let (before, behind) = (times(padding), times((taps - 1) * dilation - padding));
            Axis { first: first.saturating_sub(before), last: last.saturating_add(behind), jump: times(stride) }
        };
        let union =
            |a: Axis, b: Axis| Axis { first: a.first.min(b.first), last: a.last.max(b.last), jump: a.jump.max(b.jump) };
        let field = graph.nodes()[id].inputs.iter().map(through).reduce(union);
        fields.push(field.unwrap_or(Axis { first: 0, last: 0, jump: 1 }));
    }
    fields
}

/// First and last pixel that cell `cell` of `at` depends on along an axis: the set of cells is carried back
/// node by node. An interval would not do: what dilated filters read has holes.
fn reach(graph: &Graph, at: NodeId, cell: usize, axis: usize) -> Option<[usize; 2]> {
    let mut seen: Vec<Vec<bool>> = (0..=at).map(|id| vec![false; extent(graph, id, axis)]).collect();
    *seen[at].get_mut(cell)? = true;
    for id in (1..=at).rev() {
        let window = window(graph, id, axis);
        let (below, here) = seen.split_at_mut(id);
        let cells = here[0].iter().enumerate().filter(|(_, seen)| **seen).flat_map(|(i, _)| window.cells(i));
        for cell in cells {
            for &input in &graph.nodes()[id].inputs {
                below[input].get_mut(cell).into_iter().for_each(|seen| *seen = true);
            }
        }
    }
    Some([seen[0].iter().position(|seen| *seen)?, seen[0].iter().rposition(|seen| *seen)?])
}
