//! The forward sweep: whole, up to a node, or again from a node on.

use candle_core::Tensor;
use interp_ops::{self as ops, Then};

use crate::graph::Fused;
use crate::tape::Saved;
use crate::{Draw, Graph, NetError, Network, NodeId, Op, Result, Role, Tape};

/// How batch norms and samples behave, and how convolutions are computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Batch norms have their running statistics, and samples are their means.
    Eval,
    /// As [`Mode::Eval`], with convolutions as they are defined ([`ops::Conv2d::by_definition`]), for gradients that are looked at: on a CPU, cells that
    /// see the same, as in areas of one color, are the same to the last bit, and which of them a maximum passes its gradient to is not up to rounding. Sweeps back
    /// through such a pass have no such choices, and are as fast as others.
    Precise,
    /// Batch norms have the batch's statistics, except at the nodes for which `frozen` (one flag for each node, or
    /// empty for none) is true: these behave as in evaluation. Samples are drawn, at all nodes.
    Train {
        /// Nodes that training leaves alone.
        frozen: Vec<bool>,
        /// Which draw it is.
        draw: Draw,
    },
}

impl Mode {
    fn uses_batch_statistics(&self, id: NodeId) -> bool {
        match self {
            Self::Eval | Self::Precise => false,
            Self::Train { frozen, .. } => !frozen.get(id).copied().unwrap_or(false),
        }
    }

    /// The convolution, computed in this way.
    fn arithmetic(&self, conv: ops::Conv2d) -> ops::Conv2d {
        ops::Conv2d { by_definition: *self == Self::Precise, ..conv }
    }
}

/// Which activations a pass keeps, beside the last one.
#[derive(Clone, Debug)]
pub enum Keep {
    /// All.
    All,
    /// Those that a backward sweep reads, and those of these nodes.
    Backward(Vec<NodeId>),
    /// Of a pass in evaluation those that a sweep back to activations reads, and to no parameters, and those of these nodes: what
    /// ReLUs let through, and neither the inputs of convolutions nor those of batch norms. In training as [`Keep::Backward`].
    Gradients(Vec<NodeId>),
    /// None.
    Output,
    /// Those of the nodes whose names match one of these patterns.
    Nodes(Vec<String>),
}

impl Keep {
    /// Keeps the nodes whose names match one of the patterns.
    pub fn nodes<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Nodes(patterns.into_iter().map(str::to_owned).collect())
    }

    /// The same, and those of these nodes.
    pub fn with(&self, graph: &Graph, nodes: &[NodeId]) -> Self {
        let together = |taps: &Vec<NodeId>| [taps, nodes].concat();
        let names = nodes.iter().map(|&id| globset::escape(&graph.nodes()[id].name));
        match self {
            Self::Backward(taps) => Self::Backward(together(taps)),
            Self::Gradients(taps) => Self::Gradients(together(taps)),
            Self::Output => Self::Nodes(names.collect()),
            Self::Nodes(patterns) => Self::Nodes(patterns.iter().cloned().chain(names).collect()),
            Self::All => Self::All,
        }
    }

    /// Whether more is kept than activations.
    fn is_for_backward(&self) -> bool {
        matches!(self, Self::All | Self::Backward(_) | Self::Gradients(_))
    }

    fn flags(&self, network: &Network, mode: &Mode) -> Result<Vec<bool>> {
        let graph = &network.graph;
        let mut keep = vec![matches!(self, Self::All); graph.nodes().len()];
        match self {
            Self::Nodes(patterns) => {
                graph.select(patterns, "node", |_| true)?.into_iter().for_each(|id| keep[id] = true);
            }
            Self::Backward(taps) | Self::Gradients(taps) => {
                let no_params = matches!(self, Self::Gradients(_)) && !matches!(mode, Mode::Train { .. });
                keep = if no_params { graph.read_without_params() } else { graph.read_backward() };
                taps.iter().for_each(|&id| keep[id] = true);
            }
            Self::All | Self::Output => {}
        }
        Ok(keep)
    }
}

impl Network {
    /// Runs the network on images `x`, (N, C, H, W), normalized, which are brought to where the parameters lie.
    ///
    /// # Errors
    /// If `x` does not fit, a pattern of `keep` matches nothing, or an operation fails; the node is named.
    pub fn forward(&self, x: &Tensor, mode: Mode, keep: &Keep) -> Result<Tape> {
        self.run_to(x, self.graph.output(), mode, keep)
    }

    /// Runs only what the node `end` depends on; its activation is kept.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn run_to(&self, x: &Tensor, end: NodeId, mode: Mode, keep: &Keep) -> Result<Tape> {
        let mut todo = vec![false; self.graph.nodes().len()];
        todo[end] = true;
        for id in (0..=end).rev().filter(|&id| id > 0) {
            if todo[id] {
                self.graph.nodes()[id].inputs.iter().for_each(|&input| todo[input] = true);
            }
        }
        todo[0] = false;
        let mut flags = keep.flags(self, &mode)?;
        flags[end] = true;
        let mut tape = self.empty_tape(x, 0, mode)?;
        self.sweep(&mut tape, &todo, &flags, keep.is_for_backward())?;
        Ok(tape)
    }

    /// Runs from the node `start` on, given its activation.
    ///
    /// # Errors
    /// As [`Network::rerun`].
    pub fn run_from(&self, start: NodeId, activation: &Tensor, mode: Mode, keep: &Keep) -> Result<Tape> {
        let tape = self.empty_tape(activation, start, mode)?;
        self.continued(tape, start, keep)
    }

    /// Runs again what depends on the node `at`, whose activation is replaced; the rest is taken from
    /// `tape`. Every activation that is computed is kept.
    ///
    /// # Errors
    /// [`NetError::NotKept`] if a side input was not kept in `tape`; else as [`Network::forward`].
    pub fn rerun(&self, tape: &Tape, at: NodeId, activation: &Tensor) -> Result<Tape> {
        let start = self.empty_tape(activation, at, tape.mode.clone())?;
        let mut again = Tape { batch: start.batch, ..tape.clone() };
        again.activations[at] = start.activations[at].clone();
        self.continued(again, at, &Keep::All)
    }

    fn continued(&self, mut tape: Tape, start: NodeId, keep: &Keep) -> Result<Tape> {
        let mut flags = keep.flags(self, &tape.mode)?;
        flags[self.graph.output()] = true;
        let todo = self.depends_on(start);
        tape.activations.iter().zip(&mut flags).for_each(|(have, keep)| *keep |= have.is_some());
        for id in (0..todo.len()).filter(|&id| todo[id]) {
            tape.activations[id] = None;
            tape.saved[id] = Saved::Nothing;
        }
        self.sweep(&mut tape, &todo, &flags, keep.is_for_backward())?;
        Ok(tape)
    }

    /// Which nodes depend on `start`, itself not counted.
    fn depends_on(&self, start: NodeId) -> Vec<bool> {
        let mut depends = vec![false; self.graph.nodes().len()];
        for (id, node) in self.graph.nodes().iter().enumerate() {
            depends[id] = node.inputs.iter().any(|&input| input == start || depends[input]);
        }
        depends
    }

    /// A tape with nothing but the activation of `at`, in channels-last memory on the network's device.
    fn empty_tape(&self, activation: &Tensor, at: NodeId, mode: Mode) -> Result<Tape> {
        let expected = self.graph.shape(at);
        let dims = activation.dims();
        if dims.len() != expected.len() + 1 || dims[1..] != *expected {
            let node = self.graph.nodes()[at].name.clone();
            let problem = format!("expects a batch of shape (N, {}), not {dims:?}", join(expected));
            return Err(NetError::Graph { node, problem });
        }
        let count = self.graph.nodes().len();
        let mut activations = vec![None; count];
        let activation = &activation.to_device(&self.device())?;
        let value = if dims.len() == 4 { self.named(at, ops::channels_last(activation))? } else { activation.clone() };
        activations[at] = Some(value.detach());
        Ok(Tape { activations, saved: vec![Saved::Nothing; count], mode, batch: dims[0] })
    }

    /// Computes the nodes `todo` in order, dropping an activation after its last use unless kept, and what else a backward
    /// sweep reads unless it is `for_backward`.
    fn sweep(&self, tape: &mut Tape, todo: &[bool], keep: &[bool], for_backward: bool) -> Result<()> {
        let mut uses = vec![0; todo.len()];
        let users = || self.graph.nodes().iter().enumerate().filter(|(id, _)| todo[*id]);
        users().flat_map(|(_, node)| &node.inputs).for_each(|&input| uses[input] += 1);
        let plan: Vec<Option<Fused>> =
            (0..todo.len()).map(|id| self.planned(id, &tape.mode, |id| todo[id] && !keep[id])).collect();
        let inner = |id: &NodeId| plan.iter().flatten().any(|fused| fused.inner.contains(id));
        for (id, node) in users().filter(|(id, _)| !inner(id)) {
            let _span = tracing::trace_span!("forward", node = node.name.as_str()).entered();
            let first = plan[id].as_ref().map_or(id, |fused| fused.conv.map_or(fused.norm, |(conv, _)| conv));
            let inputs = &self.graph.nodes()[first].inputs;
            let (output, saved) = {
                let values = inputs.iter().map(|&i| tape.at(&self.graph, i)).collect::<Result<Vec<_>>>()?;
                match &plan[id] {
                    Some(fused) => self.batch_norm(fused, values[0], &tape.mode)?,
                    None => self.apply(id, &values, &tape.mode)?,
                }
            };
            tape.activations[id] = Some(output);
            // Statistics are asked for after training's passes.
            if for_backward || matches!(saved, Saved::Statistics { .. }) {
                tape.saved[plan[id].as_ref().map_or(id, |fused| fused.norm)] = saved;
            }
            for &input in inputs {
                uses[input] -= 1;
                if uses[input] == 0 && !keep[input] {
                    tape.activations[input] = None;
                }
            }
        }
        Ok(())
    }

    /// Whether there is an operation for a batch norm and what comes then, where the network is.
    pub(crate) fn runs_as_one(&self, then: Then) -> bool {
        self.device().is_cpu() || !matches!(then, Then::ReluMaxPool { .. })
    }

    /// What runs as one operation that ends with the batch norm, ReLU or pooling `id`, if nobody asks for what is within:
    /// all of that is `free`.
    fn planned(&self, id: NodeId, mode: &Mode, free: impl Fn(NodeId) -> bool) -> Option<Fused> {
        let mut fused = self.graph.fused(id)?;
        let runs = self.runs_as_one(fused.then) && fused.inner.iter().all(|&id| free(id));
        // Training keeps what is normalized.
        let within = |conv: NodeId| free(conv) && !mode.uses_batch_statistics(fused.norm);
        let before = self.graph.conv_before(fused.norm).filter(|&(conv, _)| within(conv));
        fused.conv = before.map(|(id, conv)| (id, mode.arithmetic(conv)));
        fused.inner.extend(fused.conv.map(|(conv, _)| conv));
        runs.then_some(fused)
    }

    /// One operation.
    fn apply(&self, id: NodeId, inputs: &[&Tensor], mode: &Mode) -> Result<(Tensor, Saved)> {
        let param = |role| self.params.get(id, role);
        let x = inputs[0];
        let output = match self.graph.nodes()[id].op {
            Op::Input { .. } => Ok(x.clone()),
            Op::Conv2d { stride, padding, dilation, groups, .. } => {
                let conv = mode.arithmetic(Op::conv_geometry(stride, padding, dilation, groups));
                ops::conv2d(x, param(Role::Weight)?, self.params.find(id, Role::Bias), &conv)
            }
            Op::ConvTranspose2d { stride, padding, output_padding, dilation, groups, .. } => {
                let conv = Op::transposed_geometry(stride, padding, output_padding, dilation, groups);
                ops::conv_transpose2d(x, param(Role::Weight)?, self.params.find(id, Role::Bias), &conv)
            }
            Op::BCosConv2d { stride, padding, exponent, .. } => {
                ops::bcos_conv2d(x, param(Role::Weight)?, &Op::bcos_geometry(stride, padding, exponent))
            }
            Op::Linear { .. } => ops::linear(x, param(Role::Weight)?, self.params.find(id, Role::Bias)),
            Op::BatchNorm { .. } => return self.batch_norm(&Fused::alone(id), x, mode),
            Op::UncenteredNorm { eps, .. } if mode.uses_batch_statistics(id) => {
                let normed = self.named(id, ops::uncentered_norm_train(x, param(Role::Gain)?, eps))?;
                return Ok(with_statistics(normed, x));
            }
            Op::UncenteredNorm { eps, .. } => {
                ops::uncentered_norm_eval(x, param(Role::Gain)?, param(Role::RunningVariance)?, eps)
            }
            Op::Relu => ops::relu(x),
            Op::Sigmoid => ops::sigmoid(x),
            Op::Step => ops::step(x),
            Op::Softmax { over } => ops::softmax(x, over),
            Op::Describe { by } => ops::describe(x, by),
            Op::Threshold { curve, .. } => ops::threshold(x, param(Role::Threshold)?, curve),
            Op::KWinners { count } => ops::k_winners(x, count),
            Op::MaxPool { kernel, stride, padding, ceil_mode } => {
                let pool = Op::pool_geometry(kernel, stride, padding, ceil_mode);
                let pooled = self.named(id, ops::max_pool2d(x, &pool))?;
                return Ok((pooled.output, Saved::Argmax(pooled.argmax)));
            }
            Op::AvgPool { kernel, stride, padding } => {
                ops::avg_pool2d(x, &Op::pool_geometry(kernel, stride, padding, false))
            }
            Op::AdaptiveAvgPool { size } => ops::adaptive_avg_pool2d(x, size),
            Op::GlobalAvgPool => ops::global_avg_pool(x),
            Op::UpsampleNearest { size } => ops::upsample2d(x, size, ops::Interpolation::Nearest),
            Op::UpsampleBilinear { size, align_corners } => {
                ops::upsample2d(x, size, ops::Interpolation::Bilinear { align_corners })
            }
            Op::Add => {
                let mut sum = self.named(id, ops::add(x, inputs[1]))?;
                for more in &inputs[2..] {
                    sum = self.named(id, ops::add(&sum, more))?;
                }
                Ok(sum)
            }
            Op::Prototypes { by, .. } => ops::prototypes(x, param(Role::Weight)?, by),
            Op::Saliency => ops::saliency(x),
            Op::Route { top } => ops::route(x, top),
            Op::Gated { channel } => ops::gated(x, inputs[1], channel),
            Op::Multiply => ops::multiply(x, inputs[1]),
            Op::Sample => return self.sampled(id, x, mode),
            Op::Concat => ops::concat(inputs),
            Op::OnOff => ops::on_off(x),
            Op::Complement => ops::complement(x),
            Op::Mirror { border } => ops::mirror(x, border),
            Op::PadShortcut { stride, .. } => ops::pad_shortcut(x, self.graph.sides(id).unwrap_or_default(), stride),
        };
        Ok((self.named(id, output)?, Saved::Nothing))
    }

    /// A code, and the noise that was drawn for it.
    fn sampled(&self, id: NodeId, x: &Tensor, mode: &Mode) -> Result<(Tensor, Saved)> {
        let Mode::Train { draw, .. } = mode else {
            return Ok((self.named(id, ops::sample(x, None))?, Saved::Nothing));
        };
        let shape = [&x.dims()[..1], self.graph.shape(id)].concat();
        let noise = draw.normal(&self.graph.nodes()[id].name, &shape, x.dtype())?;
        Ok((self.named(id, ops::sample(x, Some(&noise)))?, Saved::Noise(noise)))
    }

    /// A batch norm, and what runs with it.
    fn batch_norm(&self, fused: &Fused, x: &Tensor, mode: &Mode) -> Result<(Tensor, Saved)> {
        let &Fused { norm: id, then, .. } = fused;
        let param = |role| self.params.get(id, role);
        let (gain, shift, eps) = (param(Role::Gain)?, param(Role::Shift)?, self.graph.nodes()[id].op.eps());
        if mode.uses_batch_statistics(id) {
            let normed = self.named(id, ops::batch_norm_train(x, gain, shift, eps, then))?;
            return Ok(with_statistics(normed, x));
        }
        let (mean, variance) = (param(Role::RunningMean)?, param(Role::RunningVariance)?);
        let norm = ops::BatchNorm { gain, shift, mean, variance, eps };
        let output = match fused.conv {
            Some((before, conv)) => {
                let (weight, bias) = (self.params.get(before, Role::Weight)?, self.params.find(before, Role::Bias));
                self.named(before, ops::conv2d_batch_norm_eval(x, weight, bias, &conv, &norm, then))?
            }
            None => self.named(id, ops::batch_norm_eval(x, &norm, then))?,
        };
        Ok((output, Saved::Nothing))
    }

    /// Adds the node's name to an operation's error.
    pub(crate) fn named<T>(&self, id: NodeId, result: std::result::Result<T, ops::OpError>) -> Result<T> {
        result.map_err(|source| NetError::Op { node: self.graph.nodes()[id].name.clone(), source })
    }

    /// Moves the running statistics towards those of the batch in `tape`, as PyTorch does: with the
    /// unbiased variance, `running = (1 - momentum) * running + momentum * batch`. A pass in
    /// [`Mode::Eval`] or [`Mode::Precise`] changes nothing.
    ///
    /// # Errors
    /// Where tensors cannot be combined.
    pub fn commit_statistics(&mut self, tape: &Tape) -> Result<()> {
        for id in 0..self.graph.nodes().len() {
            if let Op::BatchNorm { momentum, .. } | Op::UncenteredNorm { momentum, .. } = self.graph.nodes()[id].op {
                self.blend_statistics(tape, id, momentum)?;
            }
        }
        Ok(())
    }

    /// As [`Network::commit_statistics`], with `share` in place of every node's momentum; 1 / n for the
    /// n-th batch makes the running statistics the plain mean over batches.
    ///
    /// # Errors
    /// Where tensors cannot be combined.
    pub fn average_statistics(&mut self, tape: &Tape, share: f64) -> Result<()> {
        (0..self.graph.nodes().len()).try_for_each(|id| self.blend_statistics(tape, id, share))
    }

    fn blend_statistics(&mut self, tape: &Tape, id: NodeId, share: f64) -> Result<()> {
        let Saved::Statistics { mean, variance, count } = &tape.saved[id] else { return Ok(()) };
        let unbiased = *count as f64 / (*count as f64 - 1.0).max(1.0);
        for (role, batch, scale) in [(Role::RunningMean, mean, 1.0), (Role::RunningVariance, variance, unbiased)] {
            if let Some(position) = self.params.position(id, role) {
                let running = &self.params.list()[position].value;
                let value = ((running * (1.0 - share))? + (batch * (share * scale))?)?;
                self.params.set(position, value)?;
            }
        }
        Ok(())
    }
}

/// The output of a norm in training, and the statistics of `x`.
fn with_statistics(normed: ops::BatchNormed, x: &Tensor) -> (Tensor, Saved) {
    let ops::BatchNormed { output, mean, variance } = normed;
    let count = x.elem_count() / mean.elem_count().max(1);
    (output, Saved::Statistics { mean, variance, count })
}

/// Sizes as people write them: `3, 32, 32`.
fn join(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
