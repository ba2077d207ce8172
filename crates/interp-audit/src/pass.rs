//! A pass of a network over pictures.

use candle_core::{DType, Device, Tensor};
use interp_data::{Augment, Batch, Loader};
use interp_net::{Graph, Keep, Mode, Network, NodeId, Tape};

use crate::{AuditError, Memory, Pictures, Result};

/// Pictures that go through the network at a time.
pub(crate) const BATCH: usize = 256;

/// Some pictures with what the network makes of them.
pub struct Sample<'a> {
    pub(crate) tape: &'a Tape,
    pub(crate) batch: &'a Batch,
}

/// What gathers numbers from pictures that go through a network.
pub trait Observer {
    /// The nodes whose activations it reads.
    fn taps(&self) -> Vec<NodeId>;

    /// Whether it must know where the objects of pictures are.
    fn needs_masks(&self) -> bool {
        false
    }

    /// Takes some pictures into account.
    ///
    /// # Errors
    /// If an activation is not as it should be, or what is known of a picture cannot be read.
    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()>;
}

/// Shows pictures to all observers in one pass: as far as any of them reads, and as many pictures at a time as memory allows.
///
/// # Errors
/// If pictures cannot be had or do not fit the network, and where an observer fails.
pub fn observe(net: &Network, pictures: &Pictures, observers: &mut [&mut dyn Observer], memory: Memory) -> Result<()> {
    let nodes: Vec<NodeId> = observers.iter().flat_map(|observer| observer.taps()).collect();
    let keep = Keep::nodes(nodes.iter().map(|&id| net.graph.nodes()[id].name.as_str()));
    let pass = Pass {
        end: Some(end_of(&net.graph, &nodes)),
        batch: memory.pictures(&net.graph),
        masks: observers.iter().any(|observer| observer.needs_masks()),
        ..Pass::keeping(keep)
    };
    pass.over(net, pictures, |sample| observers.iter_mut().try_for_each(|observer| observer.observe(net, sample)))
}

/// How pictures go through a network, in evaluation.
pub(crate) struct Pass {
    /// What is kept of it.
    pub(crate) keep: Keep,
    /// The last node to run, where it is not the output.
    pub(crate) end: Option<NodeId>,
    /// Pictures at a time.
    pub(crate) batch: usize,
    /// So many pictures at even distances, where not all.
    pub(crate) limit: Option<usize>,
    /// Whether batches have the masks of objects.
    pub(crate) masks: bool,
}

impl Pass {
    /// Over all pictures, to the output.
    pub(crate) fn keeping(keep: Keep) -> Self {
        Self { keep, end: None, batch: BATCH, limit: None, masks: false }
    }

    /// Shows `visit` one batch after another.
    ///
    /// # Errors
    /// If pictures cannot be had or do not fit the network, and where `visit` fails.
    pub(crate) fn over(
        &self,
        net: &Network,
        pictures: &Pictures,
        mut visit: impl FnMut(&Sample<'_>) -> Result<()>,
    ) -> Result<()> {
        let Pictures { data, split, workers, .. } = pictures;
        let loader = Loader::new(data.clone(), *split, self.batch, *workers, Augment::default(), 0)?;
        let loader = if self.masks { loader.with_masks() } else { loader };
        let end = self.end.unwrap_or(net.graph.output());
        for batch in loader.in_order(self.limit) {
            let batch = pictures.seen(batch?);
            let tape = net.run_to(&images(net, &batch)?, end, Mode::Eval, &self.keep)?;
            visit(&Sample { tape: &tape, batch: &batch })?;
        }
        Ok(())
    }
}

/// The first node that depends on all of `nodes`: where a pass can end that keeps them; the output, where there is none before.
pub(crate) fn end_of(graph: &Graph, nodes: &[NodeId]) -> NodeId {
    let depends_on_all = |&end: &NodeId| {
        let mut before = vec![false; end + 1];
        before[end] = true;
        for id in (0..=end).rev().filter(|&id| id > 0) {
            if before[id] {
                graph.nodes()[id].inputs.iter().for_each(|&input| before[input] = true);
            }
        }
        nodes.iter().all(|&node| node <= end && before[node])
    };
    let first = nodes.iter().copied().max().unwrap_or(graph.output());
    (first..graph.nodes().len()).find(depends_on_all).unwrap_or(graph.output())
}

/// The pictures of a batch as the network takes them: (N, C, H, W), in channels-last memory.
pub(crate) fn images(net: &Network, batch: &Batch) -> Result<Tensor> {
    let shape = net.graph.shape(0); // (C, H, W)
    let shape = (batch.labels.len(), shape[1], shape[2], shape[0]);
    Ok(Tensor::from_vec(batch.images.clone(), shape, &Device::Cpu)?.permute((0, 3, 1, 2))?) // (N, H, W, C) -> (N, C, H, W)
}

/// The rows of the activation of a node, (N, classes).
///
/// # Errors
/// [`AuditError::NotANumber`] where a number is none, or not finite.
pub(crate) fn finite_rows(net: &Network, node: NodeId, activation: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows = rows(activation)?;
    match rows.iter().flatten().all(|value| value.is_finite()) {
        true => Ok(rows),
        false => Err(AuditError::NotANumber(net.graph.nodes()[node].name.clone())),
    }
}

/// The numbers of a tensor, in f64.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// Of each sample all numbers, in f64.
pub(crate) fn rows(tensor: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2()?)
}
