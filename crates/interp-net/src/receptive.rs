//! Receptive fields, exact with padding, stride, dilation, interpolation and branches.
//!
//! Coordinates are pixels of the input, counted from 0; pixel 0 covers 0.0 to 1.0, so its center is 0.5.

use std::collections::BTreeSet;

use interp_ops::{Interpolation, Over, adaptive_window, mirrored};

use crate::{Graph, NetError, Network, NodeId, Op, Result};

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

/// How an operation's cell `i` reads its input on one axis: cells `i * stride - padding` and on,
/// `extent` of them.
struct Window {
    stride: i64,
    padding: i64,
    extent: i64,
}

impl Network {
    /// The receptive field of the node `at`: the smallest box that holds every branch. By the recursion
    /// of size, jump and start over the graph (Araujo et al. 2019, "Computing receptive fields of
    /// convolutional neural networks", eq. 2 and 3).
    ///
    /// # Errors
    /// [`NetError::NoField`] where cells see boxes of different sizes or at different distances: behind a transposed
    /// convolution with a stride, behind interpolation and adaptive pooling unless their sizes divide so that every
    /// cell reads alike, and where branches of different strides meet. [`Network::region`] tells what each of their cells sees.
    pub fn receptive_field(&self, at: NodeId) -> Result<Field> {
        let name = |id: NodeId| self.graph.nodes()[id].name.clone();
        let axis =
            |axis: usize| field(&self.graph, at, axis).map_err(|by| NetError::NoField { node: name(at), by: name(by) });
        let (rows, columns) = (axis(0)?, axis(1)?);
        let size = |a: Axis| (a.last - a.first + 1).max(0) as usize;
        let center = |a: Axis| (a.first + a.last + 1) as f64 / 2.0;
        Ok(Field {
            size: [size(rows), size(columns)],
            jump: [rows.jump as usize, columns.jump as usize],
            start: [center(rows), center(columns)],
        })
    }

    /// The pixels of the image that cell (`row`, `column`) of the node `at` depends on, as the smallest
    /// box; cells of a vector see what (0, 0) sees. `None` if there is no such cell, or it depends on no pixel. Every
    /// cell between is followed, padding and cells that are skipped left out, so that the box is exact at the borders
    /// and between strides too.
    pub fn region(&self, at: NodeId, row: usize, column: usize) -> Option<Region> {
        let graph = &self.graph;
        if row >= extent(graph, at, 0) || column >= extent(graph, at, 1) {
            return None;
        }
        let mut seen = vec![[BTreeSet::new(), BTreeSet::new()]; at + 1];
        seen[at] = [BTreeSet::from([row]), BTreeSet::from([column])];
        for id in (1..=at).rev() {
            let cells = std::mem::take(&mut seen[id]);
            for &input in &graph.nodes()[id].inputs {
                let read = [0, 1].map(|axis| read_by(graph, id, input, axis, &cells[axis]));
                if read.iter().all(|cells| !cells.is_empty()) {
                    seen[input].iter_mut().zip(read).for_each(|(seen, read)| seen.extend(read));
                }
            }
        }
        let ends = |cells: &BTreeSet<usize>| Some([*cells.first()?, *cells.last()?]);
        Some(Region { rows: ends(&seen[0][0])?, columns: ends(&seen[0][1])? })
    }
}

/// Cells of a node along an axis; 1 for vectors.
fn extent(graph: &Graph, id: NodeId, axis: usize) -> usize {
    graph.shape(id).get(axis + 1).copied().unwrap_or(1)
}

/// The cells of `input` that some cells of node `id` read along an axis.
fn read_by(graph: &Graph, id: NodeId, input: NodeId, axis: usize, cells: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (inputs, outputs) = (extent(graph, input, axis), extent(graph, id, axis));
    cells.iter().flat_map(|&cell| reads(&graph.nodes()[id].op, axis, [inputs, outputs], cell)).collect()
}

/// The cells that cell `cell` of `outputs` reads along an axis of `inputs` cells.
fn reads(op: &Op, axis: usize, [inputs, outputs]: [usize; 2], cell: usize) -> Vec<usize> {
    let window = |kernel: usize, stride: usize, padding: usize, dilation: usize| {
        let place = |tap: usize| (cell * stride + tap * dilation).checked_sub(padding);
        (0..kernel).filter_map(place).filter(|&at| at < inputs).collect()
    };
    match *op {
        Op::Conv2d { kernel, stride, padding, dilation, .. } => {
            window(kernel[axis], stride[axis], padding[axis], dilation[axis])
        }
        Op::MaxPool { kernel, stride, padding, .. }
        | Op::AvgPool { kernel, stride, padding }
        | Op::BCosConv2d { kernel, stride, padding, .. } => window(kernel[axis], stride[axis], padding[axis], 1),
        Op::ConvTranspose2d { kernel, stride, padding, dilation, .. } => {
            let from = |tap: usize| (cell + padding[axis]).checked_sub(tap * dilation[axis]);
            let spread = (0..kernel[axis]).filter_map(from).filter(|at| at % stride[axis] == 0);
            spread.map(|at| at / stride[axis]).filter(|&at| at < inputs).collect()
        }
        Op::Describe { by } => window(2 * by.reach() + 1, 1, by.reach(), 1),
        Op::AdaptiveAvgPool { .. } => adaptive_window(inputs, outputs, cell).collect(),
        Op::UpsampleNearest { .. } => positions(Interpolation::Nearest.terms(inputs, outputs, cell)),
        Op::UpsampleBilinear { align_corners, .. } => {
            positions(Interpolation::Bilinear { align_corners }.terms(inputs, outputs, cell))
        }
        Op::GlobalAvgPool | Op::Linear { .. } | Op::Saliency => (0..inputs).collect(),
        Op::PadShortcut { stride, .. } => vec![cell * stride],
        Op::Mirror { border } => vec![mirrored(cell, border, inputs)],
        // A gate is one number for all cells.
        Op::Gated { .. } | Op::Multiply => vec![cell.min(inputs - 1)],
        Op::Softmax { over: Over::Positions } => (0..inputs).collect(),
        Op::Input { .. }
        | Op::BatchNorm { .. }
        | Op::UncenteredNorm { .. }
        | Op::Relu
        | Op::Sigmoid
        | Op::Step
        | Op::Softmax { over: Over::Channels }
        | Op::Threshold { .. }
        | Op::KWinners { .. }
        | Op::OnOff
        | Op::Complement
        | Op::Route { .. }
        | Op::Prototypes { .. }
        | Op::Sample
        | Op::Add
        | Op::Concat => {
            vec![cell]
        }
    }
}

fn positions(terms: Vec<(usize, f64)>) -> Vec<usize> {
    terms.into_iter().map(|(position, _)| position).collect()
}

/// How node `id` reads its inputs along an axis, if all of its cells read alike.
fn window(graph: &Graph, id: NodeId, axis: usize) -> Option<Window> {
    let whole = || extent(graph, graph.nodes()[id].inputs[0], axis);
    let (stride, padding, extent) = match graph.nodes()[id].op {
        Op::Conv2d { kernel, stride, padding, dilation, .. } => {
            (stride[axis], padding[axis], (kernel[axis] - 1) * dilation[axis] + 1)
        }
        Op::MaxPool { kernel, stride, padding, .. }
        | Op::AvgPool { kernel, stride, padding }
        | Op::BCosConv2d { kernel, stride, padding, .. } => (stride[axis], padding[axis], kernel[axis]),
        Op::ConvTranspose2d { kernel, stride, padding, dilation, .. } => {
            // With stride 1 it is the convolution with the turned kernel, whose last weight lies on the first cell.
            let reach = ((kernel[axis] - 1) * dilation[axis]) as i64;
            let turned = Window { stride: 1, padding: reach - padding[axis] as i64, extent: reach + 1 };
            return (stride[axis] == 1).then_some(turned);
        }
        Op::AdaptiveAvgPool { .. } | Op::UpsampleNearest { .. } | Op::UpsampleBilinear { .. } => {
            return even(&graph.nodes()[id].op, axis, [whole(), extent(graph, id, axis)]);
        }
        Op::Softmax { over: Over::Positions } => {
            return even(&graph.nodes()[id].op, axis, [whole(), extent(graph, id, axis)]);
        }
        Op::GlobalAvgPool | Op::Linear { .. } | Op::Saliency => (0, 0, whole()),
        Op::Describe { by } => (1, by.reach(), 2 * by.reach() + 1),
        Op::PadShortcut { stride, .. } => (stride, 0, 1),
        // What is mirrored lies outside of the image, as padding does.
        Op::Mirror { border } => (1, border, 1),
        Op::Input { .. }
        | Op::BatchNorm { .. }
        | Op::UncenteredNorm { .. }
        | Op::Relu
        | Op::Sigmoid
        | Op::Step
        | Op::Softmax { over: Over::Channels }
        | Op::Threshold { .. }
        | Op::KWinners { .. }
        | Op::OnOff
        | Op::Complement
        | Op::Route { .. }
        | Op::Gated { .. }
        | Op::Multiply
        | Op::Prototypes { .. }
        | Op::Sample
        | Op::Add
        | Op::Concat => (1, 0, 1),
    };
    Some(Window { stride: stride as i64, padding: padding as i64, extent: extent as i64 })
}

/// The window by which every cell reads, if there is one.
fn even(op: &Op, axis: usize, sizes: [usize; 2]) -> Option<Window> {
    let ends = |cell: usize| {
        let cells = reads(op, axis, sizes, cell);
        Some([*cells.first()? as i64, *cells.last()? as i64])
    };
    let [first, last] = ends(0)?;
    let stride = if sizes[1] > 1 { ends(1)?[0] - first } else { 0 };
    let alike = |cell: usize| ends(cell) == Some([first, last].map(|end| end + cell as i64 * stride));
    let window = Window { stride, padding: -first, extent: last - first + 1 };
    (0..sizes[1]).all(alike).then_some(window)
}

/// The field of the node `at` along an axis, or else the first node whose cells do not read alike.
fn field(graph: &Graph, at: NodeId, axis: usize) -> Result<Axis, NodeId> {
    let mut fields: Vec<Result<Axis, NodeId>> = Vec::with_capacity(at + 1);
    for id in 0..=at {
        fields.push(next_field(graph, id, axis, &fields));
    }
    fields.pop().unwrap_or(Err(at))
}

/// The field of node `id`, given those before it.
fn next_field(graph: &Graph, id: NodeId, axis: usize, fields: &[Result<Axis, NodeId>]) -> Result<Axis, NodeId> {
    let through = |&input: &NodeId| -> Result<Axis, NodeId> {
        let Axis { first, last, jump } = fields[input]?;
        let Window { stride, padding, extent } = window(graph, id, axis).ok_or(id)?;
        let times = |cells: i64| cells.saturating_mul(jump);
        let (before, behind) = (times(padding), times(extent - 1 - padding));
        Ok(Axis { first: first.saturating_sub(before), last: last.saturating_add(behind), jump: times(stride) })
    };
    // Boxes that move at different speeds have no union that moves.
    let alike = |a: Axis, b: Axis| a.jump == b.jump || extent(graph, id, axis) == 1;
    let union = |a: Axis, b: Axis| match alike(a, b) {
        true => Ok(Axis { first: a.first.min(b.first), last: a.last.max(b.last), jump: a.jump.max(b.jump) }),
        false => Err(id),
    };
    let mut branches = graph.nodes()[id].inputs.iter().map(through);
    let first = branches.next().unwrap_or(Ok(Axis { first: 0, last: 0, jump: 1 }))?;
    branches.try_fold(first, |all, branch| union(all, branch?))
}
