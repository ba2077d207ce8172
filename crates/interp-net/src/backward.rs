//! The backward sweep: gradients at any node and any parameter, from seeds at any nodes.

use candle_core::Tensor;
use interp_ops::{self as ops, Curve, Then};

use crate::graph::Fused;
use crate::layer::Layer;
use crate::layout::{in_logical_order, in_memory_order};
use crate::tape::Saved;
use crate::{NetError, Network, NodeId, Op, Result, Role, Tape};

/// Which gradients are wanted. Nothing is computed for others.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// Nodes: gradients with respect to their activations; node 0 is the input.
    pub nodes: Vec<NodeId>,
    /// Positions in [`Params::list`](crate::Params::list); those of running statistics give none.
    pub params: Vec<usize>,
}

/// Gradients of the sum over seeds of `<seed, activation>`.
#[derive(Clone, Debug)]
pub struct Grads {
    nodes: Vec<Option<Tensor>>,
    params: Vec<Option<Tensor>>,
}

impl Grads {
    /// The gradient with respect to a node's activation: of its shape, and there if it was wanted and
    /// the seeds depend on the node.
    pub fn node(&self, id: NodeId) -> Option<&Tensor> {
        self.nodes[id].as_ref()
    }

    /// The gradient with respect to a parameter, by position in [`Params::list`](crate::Params::list).
    pub fn param(&self, position: usize) -> Option<&Tensor> {
        self.params[position].as_ref()
    }

    /// Adds to the gradient of a parameter.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn add_param(&mut self, position: usize, more: &Tensor) -> Result<()> {
        let sum = match self.params[position].take() {
            Some(have) => (have + more)?,
            None => more.clone(),
        };
        self.params[position] = Some(sum);
        Ok(())
    }
}

/// What goes back through nodes where that is not the gradient.
#[derive(Clone, Copy)]
pub(crate) enum Rules<'a> {
    /// The gradient.
    Gradient,
    /// The cosines of B-cos convolutions, gates, and weights of what is weighed, are held as they are.
    Held,
    /// What is negative ends at activations.
    Guided,
    /// Activations let everything through, and maxima are means.
    Open,
    /// What is not linear is the line through its values in two passes, of which this is the other.
    Rescaled(&'a Tape),
}

/// State of a sweep.
pub(crate) struct Sweep<'a> {
    pub(crate) network: &'a Network,
    pub(crate) tape: &'a Tape,
    /// Nodes at or below which something is wanted.
    pub(crate) needed: Vec<bool>,
    /// Nodes wanted.
    nodes: &'a [NodeId],
    /// Parameters wanted.
    wanted: Vec<bool>,
    rules: Rules<'a>,
    grads: Grads,
}

impl Network {
    /// Sweeps back from `seeds`, gradients at nodes of a tape made with [`Keep::All`](crate::Keep::All) or
    /// [`Keep::Backward`](crate::Keep::Backward), where the result is the same to the last bit, or [`Keep::Gradients`](crate::Keep::Gradients),
    /// where it is the same but for rounding: norms are factors of the weights of convolutions then.
    ///
    /// # Errors
    /// If an activation is needed that was not kept, or a seed has not the shape of its activation.
    pub fn backward(&self, tape: &Tape, seeds: &[(NodeId, Tensor)], want: &Want) -> Result<Grads> {
        self.sweep_back(tape, seeds, want, Rules::Gradient)
    }

    /// The linear map that a pass in evaluation was, from the activation of the node `at` to the sum over seeds of `<seed,
    /// activation>`: its gradient where the cosines of B-cos convolutions, and gates, are held as they are, as every gradient holds
    /// what ReLUs let pass, where maxima lie, and what norms divide by in evaluation. Of the shape of the activation of `at`.
    ///
    /// Where nothing is added between `at` and the seeds (no bias, shift, mean or threshold), its product with the activation is
    /// the sum itself, and each of the products is a contribution to it (Böhle et al. 2022, arXiv 2205.10268, section 3.1).
    ///
    /// # Errors
    /// As [`Network::backward`], and if no seed depends on `at`.
    pub fn linear_map(&self, tape: &Tape, seeds: &[(NodeId, Tensor)], at: NodeId) -> Result<Tensor> {
        self.swept_to(at, tape, seeds, Rules::Held)
    }

    /// Guided backpropagation: the gradient of the sum over seeds of `<seed, activation>` with respect to the activation of the node
    /// `at`, of which activations (ReLUs, thresholds, winners) let through what is positive alone (Springenberg et al. 2015, arXiv
    /// 1412.6806, section 3.4). Of the shape of the activation of `at`.
    ///
    /// # Errors
    /// As [`Network::linear_map`].
    pub fn guided_gradient(&self, tape: &Tape, seeds: &[(NodeId, Tensor)], at: NodeId) -> Result<Tensor> {
        self.swept_to(at, tape, seeds, Rules::Guided)
    }

    /// The gradient of the sum over seeds of `<seed, activation>` at the node `at`, if all activations (ReLUs, thresholds, winners) let through what
    /// they get and maxima were means: the weights of all layers between, composed. Of the shape of the activation of `at`.
    ///
    /// # Errors
    /// As [`Network::linear_map`], and [`NetError::NoRule`] where a node on the way is neither linear nor one of these.
    pub fn open_gradient(&self, tape: &Tape, seeds: &[(NodeId, Tensor)], at: NodeId) -> Result<Tensor> {
        self.swept_to(at, tape, seeds, Rules::Open)
    }

    /// What comes back to the node `at`.
    pub(crate) fn swept_to(
        &self,
        at: NodeId,
        tape: &Tape,
        seeds: &[(NodeId, Tensor)],
        rules: Rules<'_>,
    ) -> Result<Tensor> {
        let grads = self.sweep_back(tape, seeds, &Want { nodes: vec![at], params: vec![] }, rules)?;
        let none = || NetError::Graph {
            node: self.graph.nodes()[at].name.clone(),
            problem: "nothing that is asked for depends on it".into(),
        };
        grads.node(at).cloned().ok_or_else(none)
    }

    fn sweep_back(&self, tape: &Tape, seeds: &[(NodeId, Tensor)], want: &Want, rules: Rules<'_>) -> Result<Grads> {
        let nodes = self.graph.nodes();
        let mut wanted = vec![false; self.params.list().len()];
        want.params.iter().for_each(|&position| wanted[position] = true);
        let mut needed = vec![false; nodes.len()];
        want.nodes.iter().for_each(|&id| needed[id] = true);
        for (param, _) in self.params.list().iter().zip(&wanted).filter(|(_, wanted)| **wanted) {
            needed[param.node] = true;
        }
        for (id, node) in nodes.iter().enumerate() {
            needed[id] |= node.inputs.iter().any(|&input| needed[input]);
        }
        let grads = Grads { nodes: vec![None; nodes.len()], params: vec![None; wanted.len()] };
        let mut sweep = Sweep { network: self, tape, needed, nodes: &want.nodes, wanted, rules, grads };
        for (id, seed) in seeds {
            sweep.flow(*id, seed.clone())?;
        }
        for id in (0..nodes.len()).rev() {
            sweep.step(id)?;
        }
        Ok(sweep.grads)
    }
}

impl Sweep<'_> {
    /// Adds to the gradient at a node, if anything at or below it is wanted.
    pub(crate) fn flow(&mut self, id: NodeId, grad: Tensor) -> Result<()> {
        if self.needed[id] {
            let sum = match self.grads.nodes[id].take() {
                Some(have) => self.network.named(id, ops::add(&have, &grad))?,
                None => grad,
            };
            self.grads.nodes[id] = Some(sum);
        }
        Ok(())
    }

    /// Sends the gradient at a node to its inputs and parameters; forgets it unless it is to be kept.
    fn step(&mut self, id: NodeId) -> Result<()> {
        let Some(mut grad) = self.grads.nodes[id].take() else { return Ok(()) };
        if self.nodes.contains(&id) {
            self.grads.nodes[id] = Some(grad.clone());
        }
        let node = &self.network.graph.nodes()[id];
        match self.rules {
            Rules::Guided if node.op.is_activation() => grad = self.network.named(id, ops::relu(&grad))?,
            Rules::Open if node.op.is_activation() => return self.flow(node.inputs[0], grad),
            Rules::Open if matches!(node.op, Op::MaxPool { .. }) => return self.evenly(id, &grad),
            Rules::Open if !node.op.is_affine() => {
                let method = "composing filters";
                return Err(NetError::NoRule { method, node: node.name.clone(), op: node.op.label() });
            }
            Rules::Rescaled(other) if id > 0 && !node.op.is_affine() => return self.rescaled(id, &grad, other),
            _ => {}
        }
        let _span = tracing::trace_span!("backward", node = node.name.as_str()).entered();
        // Through nodes that ran as one at once, unless a gradient between them is asked for. An activation between them
        // may have been put there by someone: then what follows goes by it.
        let free = |id: &NodeId| !self.nodes.contains(id) && self.tape.activations[*id].is_none();
        let alone = matches!(self.tape.saved[id], Saved::Nothing);
        let is_kept = |norm: NodeId| self.tape.activations[self.network.graph.nodes()[norm].inputs[0]].is_some();
        let at_once = |fused: &Fused| {
            alone && is_kept(fused.norm) && self.network.runs_as_one(fused.then) && fused.inner.iter().all(free)
        };
        if let Some(Fused { norm, then, .. }) = self.network.graph.fused(id).filter(at_once) {
            return if self.needed[norm] { self.batch_norm(norm, &grad, then) } else { Ok(()) };
        }
        match node.op {
            Op::Input { .. } | Op::Step => Ok(()),
            Op::Conv2d { .. } | Op::ConvTranspose2d { .. } | Op::Linear { .. } => self.weighted(id, &grad),
            Op::Threshold { curve, .. } => self.threshold(id, curve, &grad),
            Op::BCosConv2d { stride, padding, exponent, .. } => {
                self.bcos(id, &grad, &Op::bcos_geometry(stride, padding, exponent))
            }
            Op::Prototypes { by, .. } => self.prototypes(id, by, &grad),
            Op::UncenteredNorm { .. } => self.uncentered_norm(id, &grad),
            Op::BatchNorm { .. } => self.batch_norm(id, &grad, Then::Nothing),
            Op::Add => node.inputs.iter().try_for_each(|&input| self.flow(input, grad.clone())),
            Op::Concat => self.concat(id, &grad),
            Op::Gated { channel } => self.gated(id, channel, &grad),
            Op::Multiply => self.multiply(id, &grad),
            Op::Relu
            | Op::Sigmoid
            | Op::Softmax { .. }
            | Op::KWinners { .. }
            | Op::OnOff
            | Op::Complement
            | Op::Mirror { .. }
            | Op::MaxPool { .. }
            | Op::AvgPool { .. }
            | Op::AdaptiveAvgPool { .. }
            | Op::GlobalAvgPool
            | Op::UpsampleNearest { .. }
            | Op::UpsampleBilinear { .. }
            | Op::Describe { .. }
            | Op::Saliency
            | Op::Route { .. }
            | Op::Sample
            | Op::PadShortcut { .. } => self.plain(id, &grad),
        }
    }

    /// Through a maximum as if it were a mean.
    fn evenly(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let node = &self.network.graph.nodes()[id];
        let input = node.inputs[0];
        let mut shape = vec![self.tape.batch];
        shape.extend_from_slice(self.network.graph.shape(input));
        let Op::MaxPool { kernel, stride, padding, ceil_mode } = node.op else { return Ok(()) };
        let pool = Op::pool_geometry(kernel, stride, padding, ceil_mode);
        let below = self.network.named(id, ops::avg_pool2d_backward(grad, &shape, &pool))?;
        self.flow(input, below)
    }

    /// To every input its channels.
    fn concat(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let mut first = 0;
        for &input in &network.graph.nodes()[id].inputs {
            let channels = network.graph.shape(input)[0];
            if self.needed[input] {
                let part = network.named(id, ops::concat_backward(grad, first, channels))?;
                self.flow(input, part)?;
            }
            first += channels;
        }
        Ok(())
    }

    /// To what is multiplied, and to its gate.
    fn gated(&mut self, id: NodeId, channel: usize, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let inputs = &network.graph.nodes()[id].inputs;
        let (x, gate) = (self.tape.at(&network.graph, inputs[0])?, self.tape.at(&network.graph, inputs[1])?);
        let found = network.named(id, ops::gated_backward(x, gate, channel, grad))?;
        self.flow(inputs[0], found.input)?;
        if matches!(self.rules, Rules::Held) { Ok(()) } else { self.flow(inputs[1], found.gate) }
    }

    /// To what is weighed, and to its weights.
    fn multiply(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let inputs = &network.graph.nodes()[id].inputs;
        let (x, weights) = (self.tape.at(&network.graph, inputs[0])?, self.tape.at(&network.graph, inputs[1])?);
        let found = network.named(id, ops::multiply_backward(x, weights, grad))?;
        self.flow(inputs[0], found.input)?;
        if matches!(self.rules, Rules::Held) { Ok(()) } else { self.flow(inputs[1], found.weights) }
    }

    /// Operations without parameters, with one input.
    fn plain(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let node = &self.network.graph.nodes()[id];
        let input = node.inputs[0];
        if !self.needed[input] {
            return Ok(());
        }
        let mut shape = vec![self.tape.batch];
        shape.extend_from_slice(self.network.graph.shape(input));
        let result = match (&node.op, &self.tape.saved[id]) {
            (Op::MaxPool { .. }, Saved::Argmax(argmax)) => ops::max_pool2d_backward(argmax, grad, &shape),
            (&Op::MaxPool { kernel, stride, padding, ceil_mode }, _) => {
                // Nobody kept where the maxima were.
                let pool = Op::pool_geometry(kernel, stride, padding, ceil_mode);
                let pooled = self.network.named(id, ops::max_pool2d(&self.again(input)?, &pool))?;
                ops::max_pool2d_backward(&pooled.argmax, grad, &shape)
            }
            (&Op::AvgPool { kernel, stride, padding }, _) => {
                ops::avg_pool2d_backward(grad, &shape, &Op::pool_geometry(kernel, stride, padding, false))
            }
            (Op::AdaptiveAvgPool { .. }, _) => ops::adaptive_avg_pool2d_backward(grad, &shape),
            (Op::UpsampleNearest { .. }, _) => ops::upsample2d_backward(grad, &shape, ops::Interpolation::Nearest),
            (&Op::UpsampleBilinear { align_corners, .. }, _) => {
                ops::upsample2d_backward(grad, &shape, ops::Interpolation::Bilinear { align_corners })
            }
            (Op::GlobalAvgPool, _) => ops::global_avg_pool_backward(grad, &shape),
            (Op::OnOff | Op::Complement, _) => ops::on_off_backward(grad),
            (&Op::Mirror { border }, _) => ops::mirror_backward(grad, border),
            (&Op::Describe { by }, _) => ops::describe_backward(self.tape.at(&self.network.graph, input)?, grad, by),
            (&Op::PadShortcut { stride, .. }, _) => {
                let [before, _] = self.network.graph.sides(id).unwrap_or_default();
                ops::pad_shortcut_backward(grad, &shape, before, stride)
            }
            (Op::Relu | Op::KWinners { .. }, _) => ops::relu_backward(&self.again(id)?, grad),
            (Op::Sigmoid, _) => ops::sigmoid_backward(&self.again(id)?, grad),
            (&Op::Softmax { over }, _) => ops::softmax_backward(&self.again(id)?, grad, over),
            (Op::Saliency, _) => ops::saliency_backward(self.tape.at(&self.network.graph, input)?, grad),
            (&Op::Route { top }, _) => ops::route_backward(self.tape.at(&self.network.graph, input)?, grad, top),
            (Op::Sample, Saved::Noise(noise)) => {
                ops::sample_backward(self.tape.at(&self.network.graph, input)?, Some(noise), grad)
            }
            // In evaluation no log-variance is read.
            (Op::Sample, _) => ops::sample_backward(&Tensor::zeros(shape, grad.dtype(), grad.device())?, None, grad),
            _ => return Err(NetError::NotKept(node.name.clone())),
        };
        let below = self.network.named(id, result)?;
        self.flow(input, below)
    }

    /// The activation of a node; where it was not kept and is that of a ReLU after a batch norm, computed again.
    fn again(&self, id: NodeId) -> Result<Tensor> {
        let graph = &self.network.graph;
        match (&self.tape.activations[id], graph.fused(id)) {
            (None, Some(Fused { norm, then: Then::Relu, .. })) => {
                let x = self.tape.at(graph, graph.nodes()[norm].inputs[0])?;
                self.network.named(norm, ops::batch_norm_eval(x, &self.norm(norm)?.0, Then::Relu))
            }
            _ => Ok(self.tape.at(graph, id)?.clone()),
        }
    }

    /// Convolutions and linear maps.
    fn weighted(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let node = &network.graph.nodes()[id];
        let input = node.inputs[0];
        let (weight, bias) = (network.params.position(id, Role::Weight), network.params.position(id, Role::Bias));
        let is_wanted = |position: Option<usize>| position.is_some_and(|p| self.wanted[p]);
        let wanted = ops::Wanted { input: self.needed[input], weight: is_wanted(weight), bias: is_wanted(bias) };
        let x = if wanted.weight { self.tape.at(&network.graph, input)? } else { &self.shaped(input, grad)? };
        let w = network.params.get(id, Role::Weight)?;
        let result = match node.op {
            Op::Conv2d { stride, padding, dilation, groups, .. } => {
                ops::conv2d_backward(x, w, grad, &Op::conv_geometry(stride, padding, dilation, groups), wanted)
            }
            Op::ConvTranspose2d { stride, padding, output_padding, dilation, groups, .. } => {
                let conv = Op::transposed_geometry(stride, padding, output_padding, dilation, groups);
                ops::conv_transpose2d_backward(x, w, grad, &conv, wanted)
            }
            _ => ops::linear_backward(x, w, grad, wanted),
        };
        let found = network.named(id, result)?;
        self.store(weight, found.weight);
        self.store(bias, found.bias);
        found.input.map_or(Ok(()), |below| self.flow(input, below))
    }

    fn bcos(&mut self, id: NodeId, grad: &Tensor, bcos: &ops::BCosConv2d) -> Result<()> {
        let network = self.network;
        let input = network.graph.nodes()[id].inputs[0];
        let (x, y) = (self.tape.at(&network.graph, input)?, self.tape.at(&network.graph, id)?);
        let weight = network.params.get(id, Role::Weight)?;
        if matches!(self.rules, Rules::Held) {
            let below = ops::bcos_conv2d_held_backward(x, weight, y, grad, bcos);
            return self.flow(input, network.named(id, below)?);
        }
        let position = network.params.position(id, Role::Weight);
        let is_wanted = position.is_some_and(|p| self.wanted[p]);
        let wanted = ops::Wanted { input: self.needed[input], weight: is_wanted, bias: false };
        let found = network.named(id, ops::bcos_conv2d_backward(x, weight, y, grad, bcos, wanted))?;
        self.store(position, found.weight);
        found.input.map_or(Ok(()), |below| self.flow(input, below))
    }

    /// To the positions that are held against prototypes, and to these.
    fn prototypes(&mut self, id: NodeId, by: ops::Likeness, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let input = network.graph.nodes()[id].inputs[0];
        let (x, weight) = (self.tape.at(&network.graph, input)?, network.params.get(id, Role::Weight)?);
        let wanted = ops::Wanted { input: self.needed[input], weight: self.wants(id, &[Role::Weight]), bias: false };
        let found = network.named(id, ops::prototypes_backward(x, weight, grad, by, wanted))?;
        self.store(network.params.position(id, Role::Weight), found.weight);
        found.input.map_or(Ok(()), |below| self.flow(input, below))
    }

    fn uncentered_norm(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let node = &network.graph.nodes()[id];
        let (x, gain) = (self.tape.at(&network.graph, node.inputs[0])?, network.params.get(id, Role::Gain)?);
        let statistics = match &self.tape.saved[id] {
            Saved::Statistics { mean, variance, .. } => (Some(mean), variance),
            _ => (None, network.params.get(id, Role::RunningVariance)?),
        };
        let needed = self.needed[node.inputs[0]];
        let found = ops::uncentered_norm_backward(x, gain, statistics, node.op.eps(), grad, needed);
        let found = network.named(id, found)?;
        self.store(network.params.position(id, Role::Gain), Some(found.gain));
        found.input.map_or(Ok(()), |below| self.flow(node.inputs[0], below))
    }

    fn threshold(&mut self, id: NodeId, curve: Curve, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let input = network.graph.nodes()[id].inputs[0];
        let seen = self.tape.at(&network.graph, if curve.reads_input() { input } else { id })?;
        let theta = network.params.get(id, Role::Threshold)?;
        let found = ops::threshold_backward(seen, theta, grad, curve, self.needed[input]);
        let found = network.named(id, found)?;
        self.store(network.params.position(id, Role::Threshold), Some(found.theta));
        found.input.map_or(Ok(()), |below| self.flow(input, below))
    }

    /// A batch norm as the pass normalized, and whether by statistics of the batch.
    fn norm(&self, id: NodeId) -> Result<(ops::BatchNorm<'_>, bool)> {
        let (params, eps) = (&self.network.params, self.network.graph.nodes()[id].op.eps());
        let (gain, shift) = (params.get(id, Role::Gain)?, params.get(id, Role::Shift)?);
        let (mean, variance, of_the_batch) = match &self.tape.saved[id] {
            Saved::Statistics { mean, variance, .. } => (mean, variance, true),
            _ => (params.get(id, Role::RunningMean)?, params.get(id, Role::RunningVariance)?, false),
        };
        Ok((ops::BatchNorm { gain, shift, mean, variance, eps }, of_the_batch))
    }

    /// Something of the shape of a node's activation, of which no number is to be read: that itself where it was kept.
    fn shaped(&self, id: NodeId, grad: &Tensor) -> Result<Tensor> {
        if let Some(activation) = &self.tape.activations[id] {
            return Ok(activation.clone());
        }
        let shape = [&[self.tape.batch], self.network.graph.shape(id)].concat();
        Ok(Tensor::zeros((), grad.dtype(), grad.device())?.broadcast_as(shape)?)
    }

    /// Whether the gradient of one of these parameters of a node is wanted.
    fn wants(&self, id: NodeId, roles: &[Role]) -> bool {
        let wanted =
            |&role: &Role| self.network.params.position(id, role).is_some_and(|position| self.wanted[position]);
        roles.iter().any(wanted)
    }

    /// A batch norm in evaluation whose input was not kept: a factor for each channel, which the weights of a convolution before it take.
    fn factors(&mut self, id: NodeId, grad: &Tensor) -> Result<()> {
        let network = self.network;
        let free = |conv: NodeId| !self.nodes.contains(&conv) && !self.wants(conv, &[Role::Weight, Role::Bias]);
        let input = network.graph.nodes()[id].inputs[0];
        let Some((conv, _)) = network.graph.conv_before(id).filter(|&(conv, _)| free(conv)) else {
            let scale = network.norm_scale(id)?;
            let below = in_logical_order(&in_memory_order(grad)?.broadcast_mul(&scale)?)?; // (N, H, W, C) (C)
            return self.flow(input, below);
        };
        let below = network.graph.nodes()[conv].inputs[0];
        if !self.needed[below] {
            return Ok(());
        }
        let layer = Layer::new(network, conv, Some(id))?;
        let grad = layer.back(&self.shaped(below, grad)?, &layer.weight, grad)?;
        self.flow(below, grad)
    }

    /// A batch norm and what comes then; `grad` is that after it.
    fn batch_norm(&mut self, id: NodeId, grad: &Tensor, then: Then) -> Result<()> {
        let network = self.network;
        let input = network.graph.nodes()[id].inputs[0];
        let of_the_batch = matches!(self.tape.saved[id], Saved::Statistics { .. });
        if self.tape.activations[input].is_none() && !of_the_batch && !self.wants(id, &[Role::Gain, Role::Shift]) {
            return if self.needed[input] { self.factors(id, grad) } else { Ok(()) };
        }
        let x = self.tape.at(&network.graph, input)?;
        let needed = self.needed[input];
        let result = match self.norm(id)? {
            (norm, true) => ops::batch_norm_train_backward(x, &norm, then, grad, needed),
            (norm, false) => ops::batch_norm_eval_backward(x, &norm, then, grad, needed),
        };
        let found = network.named(id, result)?;
        self.add(network.params.position(id, Role::Gain), found.gain)?;
        self.add(network.params.position(id, Role::Shift), found.shift)?;
        found.input.map_or(Ok(()), |below| self.flow(input, below))
    }

    /// Adds to a parameter's gradient: a batch norm has two where a seed lies between it and its ReLU.
    fn add(&mut self, position: Option<usize>, grad: Tensor) -> Result<()> {
        position.filter(|&p| self.wanted[p]).map_or(Ok(()), |position| self.grads.add_param(position, &grad))
    }

    fn store(&mut self, position: Option<usize>, grad: Option<Tensor>) {
        if let Some(position) = position.filter(|&p| self.wanted[p]) {
            self.grads.params[position] = grad;
        }
    }
}
