//! Sparse codes in the place of layers: how few latents are active, what they explain, and what the network loses by them.

use candle_core::Tensor;
use interp_net::ops::scalars::largest;
use interp_net::{Graph, Keep, Network, NodeId, Op};

use crate::pass::{Observer, Pass, Sample, numbers, rows};
use crate::pictures::{Gauge, Pictures};
use crate::{AuditError, Result};

/// Sums over positions of pictures of what a node gives, and of what another leaves of it.
pub(crate) struct Rest {
    whole: NodeId,
    by: NodeId,
    /// Of each channel the sum of its numbers.
    sums: Vec<f64>,
    squares: f64,
    rest: f64,
    /// Numbers of a channel.
    count: usize,
}

impl Rest {
    pub(crate) fn new(whole: NodeId, by: NodeId) -> Self {
        Self { whole, by, sums: vec![], squares: 0.0, rest: 0.0, count: 0 }
    }

    fn add(&mut self, whole: &Tensor, by: &Tensor) -> Result<()> {
        let channels = whole.dim(1)?;
        self.sums.resize(channels, 0.0);
        let last = |tensor: &Tensor| if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1)) } else { Ok(tensor.clone()) };
        let (whole, by) = (numbers(&last(whole)?)?, numbers(&last(by)?)?); // positions by channels
        for (row, other) in whole.chunks_exact(channels).zip(by.chunks_exact(channels)) {
            self.count += 1;
            for ((sum, x), y) in self.sums.iter_mut().zip(row).zip(other) {
                *sum += x;
                self.squares += x * x;
                self.rest += (x - y) * (x - y);
            }
        }
        Ok(())
    }

    /// The share of the variance that is left; `None` of nothing, or of what does not vary.
    fn share(&self) -> Option<f64> {
        let means: f64 = self.sums.iter().map(|sum| sum * sum).sum::<f64>() / self.count.max(1) as f64;
        let variance = self.squares - means;
        (self.count > 0 && variance > 0.0).then(|| self.rest / variance)
    }
}

impl Observer for Rest {
    fn taps(&self) -> Vec<NodeId> {
        vec![self.whole, self.by]
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let at = |id: NodeId| sample.tape.at(&net.graph, id);
        let (whole, by) = (at(self.whole)?.clone(), at(self.by)?.clone());
        self.add(&whole, &by)
    }
}

impl Gauge for Rest {
    fn value(&self) -> Option<f64> {
        self.share()
    }
}

/// Where a sparse code lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node that it takes the place of.
    pub before: NodeId,
    /// Its latents.
    pub latents: NodeId,
    /// What it gives in the node's place.
    pub after: NodeId,
}

/// The first sparse code of a network: nodes called alike up to `.encoder`, `.code` and `.decoder`.
pub fn place(graph: &Graph) -> Option<Place> {
    graph.nodes().iter().enumerate().find_map(|(after, node)| {
        let name = node.name.strip_suffix(".decoder")?;
        let at = |part: &str| graph.id(&format!("{name}.{part}")).ok();
        let (encoder, latents) = (at("encoder")?, at("code")?);
        let before = *graph.nodes()[encoder].inputs.first()?;
        let is_code = matches!(node.op, Op::Conv2d { kernel: [1, 1], .. }) && graph.shape(before) == graph.shape(after);
        is_code.then_some(Place { before, latents, after })
    })
}

/// What a sparse code does.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    /// Latents active at a position, on average.
    pub active: f64,
    /// Of each latent the share of positions at which it is active.
    pub frequencies: Vec<f64>,
    /// Share of the variance that is left unexplained.
    pub unexplained: f64,
    /// Picture by picture, whether the class is right: with the code, with what it takes the place of, and with nothing there, which is the mean of each channel.
    pub right: [Vec<bool>; 3],
}

impl Coded {
    /// The share of pictures that are right with the code, without it, and with the channels' means in its place.
    pub fn accuracies(&self) -> [f64; 3] {
        self.right.each_ref().map(|right| crate::bottleneck::share(right))
    }

    /// How much of what is lost with nothing there the code gives back: `(with it - nothing) / (without it - nothing)`; `None` where nothing is lost.
    pub fn recovered(&self) -> Option<f64> {
        let [with, without, nothing] = self.accuracies();
        (without > nothing).then(|| (with - nothing) / (without - nothing))
    }

    /// The share of latents that are ever active.
    pub fn alive(&self) -> f64 {
        self.frequencies.iter().filter(|share| **share > 0.0).count() as f64 / self.frequencies.len().max(1) as f64
    }
}

/// Shows the network all pictures with its code, with what the code takes the place of, and with nothing there.
///
/// # Errors
/// [`AuditError::NoCode`], and where pictures cannot be had or do not fit the network.
pub fn coded(net: &Network, pictures: &Pictures) -> Result<Coded> {
    let place = place(&net.graph).ok_or(AuditError::NoCode)?;
    let name = |id: NodeId| net.graph.nodes()[id].name.as_str();
    // What is behind the code may read nodes before it too.
    let behind = net.graph.nodes().iter().skip(place.after + 1).flat_map(|node| &node.inputs);
    let beside = behind.copied().filter(|&id| id > 0 && id < place.after);
    let kept: Vec<&str> = [place.before, place.latents, place.after].into_iter().chain(beside).map(name).collect();
    let pass = || Pass::keeping(Keep::nodes(kept.iter().copied()));
    let mut rest = Rest::new(place.before, place.after);
    let mut fired = vec![0.0; net.graph.shape(place.latents)[0]];
    let mut right = [vec![], vec![], vec![]];
    let hits = |logits: &Tensor, labels: &[u32]| -> Result<Vec<bool>> {
        Ok(rows(logits)?.iter().zip(labels).map(|(row, &label)| largest(row) == label as usize).collect())
    };
    pass().over(net, pictures, |sample| {
        rest.observe(net, sample)?;
        let latents = sample.tape.at(&net.graph, place.latents)?;
        let active = numbers(&latents.ne(0.0)?.to_dtype(candle_core::DType::F64)?.sum(0)?.flatten_from(1)?.sum(1)?)?;
        fired.iter_mut().zip(active).for_each(|(sum, count)| *sum += count);
        let before = sample.tape.at(&net.graph, place.before)?;
        let without = net.rerun(sample.tape, place.after, before)?;
        right[0].extend(hits(sample.tape.output(&net.graph)?, &sample.batch.labels)?);
        right[1].extend(hits(without.output(&net.graph)?, &sample.batch.labels)?);
        Ok(())
    })?;
    let means: Vec<f64> = rest.sums.iter().map(|sum| sum / rest.count.max(1) as f64).collect();
    let like = net.params.list().first().map_or(candle_core::DType::F32, |param| param.value.dtype());
    let nothing =
        Tensor::new(means.as_slice(), &candle_core::Device::Cpu)?.to_dtype(like)?.reshape((1, means.len(), 1, 1))?;
    pass().over(net, pictures, |sample| {
        let shape = sample.tape.at(&net.graph, place.after)?.shape();
        let tape = net.rerun(sample.tape, place.after, &nothing.broadcast_as(shape)?.contiguous()?)?;
        right[2].extend(hits(tape.output(&net.graph)?, &sample.batch.labels)?);
        Ok(())
    })?;
    let positions = rest.count.max(1) as f64;
    Ok(Coded {
        active: fired.iter().sum::<f64>() / positions,
        frequencies: fired.iter().map(|count| count / positions).collect(),
        unexplained: rest.share().unwrap_or(f64::NAN),
        right,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    // Two channels at two positions of one picture: 1, 3 and 0, 0; the other node has 1, 2 and 0, 1. The variance is 2, the rest 2.
    #[test]
    fn what_is_left_by_hand() {
        let tensor = |values: [f32; 4]| Tensor::from_vec(values.to_vec(), (1, 2, 1, 2), &Device::Cpu).unwrap();
        let mut rest = Rest::new(1, 2);
        assert_eq!(rest.share(), None);
        rest.add(&tensor([1.0, 3.0, 0.0, 0.0]), &tensor([1.0, 2.0, 0.0, 1.0])).unwrap();
        assert_eq!((rest.share(), rest.sums.as_slice(), rest.count), (Some(1.0), [4.0, 0.0].as_slice(), 2));
        let mut same = Rest::new(1, 2);
        same.add(&tensor([1.0, 3.0, 0.0, 0.0]), &tensor([1.0, 3.0, 0.0, 0.0])).unwrap();
        assert_eq!(same.share(), Some(0.0));
    }

    #[test]
    fn recovered_is_between_nothing_and_all() {
        let right = |counts: [usize; 3]| counts.map(|count| (0..10).map(|at| at < count).collect());
        let of = |counts| Coded { active: 1.0, frequencies: vec![0.5, 0.0], unexplained: 0.1, right: right(counts) };
        assert_eq!(of([9, 9, 1]).recovered(), Some(1.0));
        assert_eq!(of([1, 9, 1]).recovered(), Some(0.0));
        assert_eq!(of([5, 9, 1]).recovered(), Some(0.5));
        assert_eq!(of([5, 1, 1]).recovered(), None);
        assert_eq!(of([5, 9, 1]).alive(), 0.5);
    }

    #[test]
    fn codes_are_found_by_their_names() {
        let mut graph = Graph::new(2, 3, 3).unwrap();
        graph.then("sae.encoder", Op::conv(8, 1, 1, 0, true)).unwrap();
        graph.then("sae.code", Op::Relu).unwrap();
        assert_eq!(place(&graph), None);
        graph.then("sae.decoder", Op::conv(2, 1, 1, 0, true)).unwrap();
        assert_eq!(place(&graph), Some(Place { before: 0, latents: 2, after: 3 }));
    }
}
