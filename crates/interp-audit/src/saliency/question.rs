//! What saliency methods are asked.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use interp_net::{Grads, Graph, Keep, Mode, Network, NodeId, Op, Tape, Want};

use super::Baseline;
use crate::pass::rows;
use crate::{AuditError, Result};

/// Why a network gives an output for each of some pictures.
pub struct Question<'a> {
    /// The network; its output is (N, classes).
    pub net: &'a Network,
    /// Pictures as the network sees them, (N, C, H, W), of its type and where it is.
    pub pictures: &'a Tensor,
    /// The output that is explained, of each picture.
    pub targets: &'a [usize],
    /// Where each picture lies in its data set: what is drawn at random is drawn by it.
    pub indices: &'a [usize],
    /// The node whose maps class activation maps weigh.
    pub layer: NodeId,
    /// What black and white pixels are to the network, for each channel.
    pub range: [&'a [f64]; 2],
    /// Pictures whose activations may be there at a time, as [`Memory::pictures_of`](crate::Memory::pictures_of) tells.
    pub at_once: usize,
}

/// Cells of a map that tells places apart.
const CELLS: usize = 16;

/// The node whose maps class activation maps weigh where nobody says: the last that has 16 cells or more, else the last with more than one,
/// before what makes maps smaller without weights; the picture itself where there is none.
pub fn last_map(graph: &Graph) -> NodeId {
    let last_with = |cells: usize| {
        (1..graph.nodes().len()).rev().find(|&id| matches!(graph.shape(id), [_, h, w] if h * w >= cells))
    };
    let mut last = last_with(CELLS).or_else(|| last_with(2)).unwrap_or(0);
    while matches!(graph.nodes()[last].op, Op::MaxPool { .. } | Op::AvgPool { .. } | Op::AdaptiveAvgPool { .. }) {
        last = graph.nodes()[last].inputs[0];
    }
    last
}

impl Question<'_> {
    /// Pictures asked about.
    pub(crate) fn count(&self) -> usize {
        self.targets.len()
    }

    /// Height and width of pictures.
    pub(crate) fn size(&self) -> [usize; 2] {
        let shape = self.net.graph.shape(0);
        [shape[1], shape[2]]
    }

    /// 1 at the output asked about, of each target: (N, classes).
    pub(crate) fn one_hot(&self, targets: &[usize]) -> Result<Tensor> {
        let width = self.net.graph.outputs();
        let row = |&target: &usize| (0..width).map(move |k| f64::from(u8::from(k == target)));
        let ones: Vec<f64> = targets.iter().flat_map(row).collect();
        self.like(Tensor::from_vec(ones, (targets.len(), width), &Device::Cpu)?)
    }

    /// The tensor, of the network's type and where it is.
    pub(crate) fn like(&self, tensor: Tensor) -> Result<Tensor> {
        Ok(tensor.to_dtype(self.pictures.dtype())?.to_device(self.pictures.device())?)
    }

    /// What black pixels, blurred ones or none at all are instead of picture number `at`: (1, C, H, W).
    pub(crate) fn baseline(&self, at: usize, baseline: Baseline) -> Result<Tensor> {
        let picture = self.pictures.narrow(0, at, 1)?;
        match baseline {
            Baseline::Mean => Ok(picture.zeros_like()?),
            Baseline::Black => self.filled(self.range[0]),
            Baseline::Blur => blurred(&picture),
        }
    }

    /// A picture (1, C, H, W) of one color.
    pub(crate) fn filled(&self, color: &[f64]) -> Result<Tensor> {
        let [h, w] = self.size();
        let color = self.like(Tensor::new(color, &Device::Cpu)?)?;
        Ok(color.reshape((1, color.elem_count(), 1, 1))?.broadcast_as((1, color.elem_count(), h, w))?.contiguous()?)
    }

    /// A pass that keeps all.
    pub(crate) fn tape(&self, x: &Tensor) -> Result<Tape> {
        Ok(self.net.forward(x, Mode::Precise, &Keep::All)?)
    }

    /// A pass that keeps what gradients read, and the activations of these nodes.
    pub(crate) fn gradients_tape(&self, x: &Tensor, nodes: &[NodeId]) -> Result<Tape> {
        Ok(self.net.forward(x, Mode::Precise, &Keep::Gradients(nodes.to_vec()))?)
    }

    /// `count` pictures in parts that go through the network at a time, where the activations of so many passes are kept.
    pub(crate) fn parts(&self, count: usize, passes: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let at_once = (self.at_once / passes).max(1);
        // No part is much smaller than the others.
        let at_once = count.div_ceil(count.div_ceil(at_once).max(1)).max(1);
        (0..count).step_by(at_once).map(move |first| first..(first + at_once).min(count))
    }

    /// Calls `visit` with some pictures at a time: the first one's number, pictures and targets; and puts what it gives together.
    pub(crate) fn in_parts(
        &self,
        passes: usize,
        visit: impl Fn(usize, &Tensor, &[usize]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let of = |part: Range<usize>| {
            visit(part.start, &self.pictures.narrow(0, part.start, part.len())?, &self.targets[part])
        };
        Ok(Tensor::cat(&self.parts(self.count(), passes).map(of).collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The output `target` of each of `count` pictures, of which `make` makes those of a part.
    pub(crate) fn scores(
        &self,
        target: usize,
        count: usize,
        make: impl Fn(Range<usize>) -> Result<Tensor>,
    ) -> Result<Vec<f64>> {
        let mut scores = Vec::with_capacity(count);
        for part in self.parts(count, 1) {
            scores.extend(self.outputs(&make(part)?, target)?);
        }
        Ok(scores)
    }

    /// The output `target` of each of some pictures, (N, C, H, W).
    pub(crate) fn outputs(&self, x: &Tensor, target: usize) -> Result<Vec<f64>> {
        let tape = self.net.forward(x, Mode::Eval, &Keep::Output)?;
        column_of(tape.output(&self.net.graph)?, target)
    }

    /// The output `target` of one picture, (1, C, H, W), by the arithmetic that gradients come of.
    pub(crate) fn precise_output(&self, x: &Tensor, target: usize) -> Result<f64> {
        let tape = self.net.forward(x, Mode::Precise, &Keep::Output)?;
        Ok(column_of(tape.output(&self.net.graph)?, target)?.into_iter().sum())
    }

    /// The gradients of the outputs asked about at the pictures `x`, (N, C, H, W).
    pub(crate) fn gradient(&self, x: &Tensor, targets: &[usize]) -> Result<Tensor> {
        let tape = self.gradients_tape(x, &[])?;
        self.gradient_at(&tape, targets, 0)
    }

    /// The sum over pictures `x` (N, C, H, W) of the gradient of the output `target`, each times its weight: (1, C, H, W). Through what is
    /// linear before everything else the sum goes back, not each of them.
    pub(crate) fn sum_of_gradients(&self, x: &Tensor, target: usize, weights: &[f64]) -> Result<Tensor> {
        let graph = &self.net.graph;
        let tape = self.gradients_tape(x, &[])?;
        let seed = self.one_hot(&vec![target; x.dim(0)?])?;
        let first = only_reader(graph).unwrap_or(0);
        let want = |node: NodeId| Want { nodes: vec![node], params: vec![] };
        let taken = |grads: Grads, node: NodeId| {
            let missing = || AuditError::Independent(graph.nodes()[node].name.clone());
            grads.node(node).cloned().ok_or_else(missing)
        };
        let grads = taken(self.net.backward(&tape, &[(graph.output(), seed)], &want(first))?, first)?;
        let channels_last = grads.permute((0, 2, 3, 1))?; // as it lies in memory
        let (n, h, w, c) = channels_last.dims4()?;
        let weights = self.like(Tensor::from_slice(weights, (1, n), &Device::Cpu)?)?;
        let sum =
            weights.matmul(&channels_last.reshape((n, h * w * c))?)?.reshape((1, h, w, c))?.permute((0, 3, 1, 2))?;
        if first == 0 {
            return Ok(sum);
        }
        let start = self.net.run_to(&x.narrow(0, 0, 1)?, 0, Mode::Eval, &Keep::Output)?;
        taken(self.net.backward(&start, &[(first, sum)], &want(0))?, 0)
    }

    /// The gradients of the outputs asked about at a node.
    pub(crate) fn gradient_at(&self, tape: &Tape, targets: &[usize], node: NodeId) -> Result<Tensor> {
        let graph = &self.net.graph;
        let want = Want { nodes: vec![node], params: vec![] };
        let grads = self.net.backward(tape, &[(graph.output(), self.one_hot(targets)?)], &want)?;
        let missing = || AuditError::Independent(graph.nodes()[node].name.clone());
        grads.node(node).cloned().ok_or_else(missing)
    }
}

/// The convolution that reads the picture, if nothing else does.
fn only_reader(graph: &Graph) -> Option<NodeId> {
    let mut readers = (1..graph.nodes().len()).filter(|&id| graph.nodes()[id].inputs.contains(&0));
    let first = readers.next().filter(|&id| matches!(graph.nodes()[id].op, Op::Conv2d { .. }))?;
    readers.next().is_none().then_some(first)
}

/// The outputs for pictures (N, C, H, W), in rows, of which `at_once` go through the network at a time.
///
/// # Errors
/// If the pictures do not fit the network, or an operation fails.
pub fn logits(net: &Network, pictures: &Tensor, at_once: usize) -> Result<Vec<Vec<f64>>> {
    let (count, at_once) = (pictures.dim(0)?, at_once.max(1));
    let of = |first: usize| {
        let part = pictures.narrow(0, first, at_once.min(count - first))?;
        rows(net.forward(&part, Mode::Eval, &Keep::Output)?.output(&net.graph)?)
    };
    Ok((0..count).step_by(at_once).map(of).collect::<Result<Vec<_>>>()?.concat())
}

/// Number `target` of each row.
pub(crate) fn column_of(outputs: &Tensor, target: usize) -> Result<Vec<f64>> {
    let column = outputs.narrow(1, target, 1)?.squeeze(1)?;
    Ok(column.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()?)
}

/// Blurred by a Gaussian, with the pixels at the border going on outside.
fn blurred(picture: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = picture.dims4()?;
    let deviation = h.min(w) as f64 / 4.0;
    let matrix = |side: usize| -> Result<Tensor> {
        let mut matrix = vec![0.0; side * side];
        let reach = (3.0 * deviation).ceil() as i64;
        let weight = |step: i64| (-0.5 * (step as f64 / deviation).powi(2)).exp();
        let whole: f64 = (-reach..=reach).map(weight).sum();
        for row in 0..side {
            for step in -reach..=reach {
                let from = (row as i64 + step).clamp(0, side as i64 - 1) as usize;
                matrix[row * side + from] += weight(step) / whole;
            }
        }
        let matrix = Tensor::from_vec(matrix, (side, side), &Device::Cpu)?;
        Ok(matrix.to_dtype(picture.dtype())?.to_device(picture.device())?)
    };
    let rows = matrix(h)?.unsqueeze(0)?.unsqueeze(0)?; // (1, 1, H, H)
    let columns = matrix(w)?.t()?.unsqueeze(0)?.unsqueeze(0)?; // (1, 1, W, W)
    Ok(rows.broadcast_matmul(&picture.contiguous()?)?.broadcast_matmul(&columns.contiguous()?)?)
}
