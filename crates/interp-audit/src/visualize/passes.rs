//! Passes of drawn pictures through a network, and back.

use candle_core::{DType, Device, Tensor};
use interp_net::{Keep, Mode, NetError, Network, NodeId, Tape, Want};

use crate::pass::{end_of, numbers};
use crate::{AuditError, Result};

/// Channels, rows and columns of a node; a vector has one cell.
pub(super) fn shape(net: &Network, node: NodeId) -> [usize; 3] {
    match *net.graph.shape(node) {
        [channels, height, width] => [channels, height, width],
        _ => [net.graph.shape(node).iter().product(), 1, 1],
    }
}

/// Numbers of pictures one after another, of the network's type and where it is.
fn like(net: &Network, values: Vec<f64>, count: usize, shape: &[usize]) -> Result<Tensor> {
    let dims: Vec<usize> = std::iter::once(count).chain(shape.iter().copied()).collect();
    let dtype = net.params.list().first().map_or(DType::F32, |param| param.value.dtype());
    Ok(Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(dtype)?.to_device(&net.device())?)
}

/// Pictures (C, H, W) on their way to some nodes, of which the activations are kept.
pub(super) struct Passed<'a> {
    net: &'a Network,
    end: NodeId,
    pictures: Tensor,
    tape: Tape,
    count: usize,
}

impl<'a> Passed<'a> {
    pub(super) fn through(net: &'a Network, pictures: &[Vec<f64>], nodes: &[NodeId]) -> Result<Self> {
        let count = pictures.len();
        let pictures = like(net, pictures.concat(), count, net.graph.shape(0))?;
        let end = end_of(&net.graph, nodes);
        let tape = net.run_to(&pictures, end, Mode::Eval, &Keep::Gradients(nodes.to_vec()))?;
        Ok(Self { net, end, pictures, tape, count })
    }

    /// The activation of a node, picture by picture: (C, cells).
    pub(super) fn at(&self, node: NodeId) -> Result<Vec<Vec<f64>>> {
        let values = numbers(self.tape.at(&self.net.graph, node)?)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(AuditError::NotANumber(self.net.graph.nodes()[node].name.clone()));
        }
        Ok(values.chunks_exact((values.len() / self.count.max(1)).max(1)).map(<[f64]>::to_vec).collect())
    }

    /// The gradients at the pictures, (C, H, W), of what has these gradients, picture by picture, at nodes. Where nothing comes back, because the activations
    /// of the nodes are shut, what would come back from before them; where there is nothing either, what would if all activations were open, where that
    /// can be told.
    pub(super) fn back(&self, seeds: Vec<(NodeId, Vec<Vec<f64>>)>) -> Result<Vec<Vec<f64>>> {
        let graph = &self.net.graph;
        let seed = |(node, rows): (NodeId, Vec<Vec<f64>>)| {
            Ok((node, like(self.net, rows.concat(), self.count, graph.shape(node))?))
        };
        let seeds = seeds.into_iter().map(seed).collect::<Result<Vec<_>>>()?;
        let mut gradients = self.gradients(&self.tape, &seeds)?;
        if gradients.iter().any(|row| shut(row)) {
            let tape = self.net.run_to(&self.pictures, self.end, Mode::Eval, &Keep::All)?;
            let before = |(node, seed): &(NodeId, Tensor)| {
                let node = graph
                    .nodes()
                    .get(*node)
                    .filter(|node| node.op.is_activation())
                    .map_or(*node, |node| node.inputs[0]);
                (node, seed.clone())
            };
            instead(&mut gradients, self.gradients(&tape, &seeds.iter().map(before).collect::<Vec<_>>())?);
            if let Some(open) = self.open(&tape, &seeds)? {
                instead(&mut gradients, open);
            }
        }
        Ok(gradients)
    }

    fn gradients(&self, tape: &Tape, seeds: &[(NodeId, Tensor)]) -> Result<Vec<Vec<f64>>> {
        let grads = self.net.backward(tape, seeds, &Want { nodes: vec![0], params: vec![] })?;
        let asked = seeds.first().map_or(0, |(node, _)| *node);
        let missing = || AuditError::Blind(self.net.graph.nodes()[asked].name.clone());
        self.rows(grads.node(0).ok_or_else(missing)?)
    }

    /// The same with everything open; `None` where something on the way has no such gradient.
    fn open(&self, tape: &Tape, seeds: &[(NodeId, Tensor)]) -> Result<Option<Vec<Vec<f64>>>> {
        match self.net.open_gradient(tape, seeds, 0) {
            Ok(gradient) => self.rows(&gradient).map(Some),
            Err(NetError::NoRule { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rows(&self, gradient: &Tensor) -> Result<Vec<Vec<f64>>> {
        let values = numbers(gradient)?;
        Ok(values.chunks_exact((values.len() / self.count.max(1)).max(1)).map(<[f64]>::to_vec).collect())
    }
}

/// Whether nothing came back.
fn shut(row: &[f64]) -> bool {
    row.iter().all(|value| *value == 0.0)
}

/// Takes others where nothing came back.
fn instead(gradients: &mut [Vec<f64>], others: Vec<Vec<f64>>) {
    gradients.iter_mut().zip(others).filter(|(own, _)| shut(own)).for_each(|(own, other)| *own = other);
}
