//! DeepLIFT: differences of two passes in the place of derivatives.

use candle_core::Tensor;
use interp_ops::{self as ops, Pool2d};

use crate::backward::{Rules, Sweep};
use crate::layout::each;
use crate::{NetError, Network, NodeId, Op, Result, Role, Tape};

/// Differences that are smaller have no slope of their own; it is the derivative there.
const SMALLEST: f64 = 1e-10;

impl Network {
    /// Multipliers of DeepLIFT by the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685, sections 3.2 and 3.5.2), from the
    /// activation of the node `at` to the sum over seeds of `<seed, activation>`: what is linear passes its gradient, and what is
    /// not is taken for the line through its values in two passes in evaluation, `tape` and `reference`, made with
    /// [`Keep::All`](crate::Keep::All). Of the shape of the activation of `at`; their products with the difference of its
    /// activations add up to the difference of the sums.
    ///
    /// A maximum of windows shares the difference between where it lies in each of the two passes.
    ///
    /// # Errors
    /// As [`Network::linear_map`], and [`NetError::NoRule`] where a node on the way has no such line: winners, B-cos
    /// convolutions, gates, handcrafted descriptions.
    pub fn multipliers(&self, tape: &Tape, reference: &Tape, seeds: &[(NodeId, Tensor)], at: NodeId) -> Result<Tensor> {
        self.swept_to(at, tape, seeds, Rules::Rescaled(reference))
    }
}

impl Sweep<'_> {
    /// Through a node that is not affine, by its values in this pass and another.
    pub(crate) fn rescaled(&mut self, id: NodeId, grad: &Tensor, other: &Tape) -> Result<()> {
        let node = &self.network.graph.nodes()[id];
        let input = node.inputs[0];
        if !self.needed[input] {
            return Ok(());
        }
        let graph = &self.network.graph;
        let (x, y) =
            ([self.tape.at(graph, input)?, other.at(graph, input)?], [self.tape.at(graph, id)?, other.at(graph, id)?]);
        let below = match node.op {
            Op::Relu => line(x, y, grad, &self.network.named(id, ops::relu_backward(y[0], grad))?)?,
            Op::Sigmoid => line(x, y, grad, &self.network.named(id, ops::sigmoid_backward(y[0], grad))?)?,
            Op::Threshold { curve, .. } => {
                let theta = self.network.params.get(id, Role::Threshold)?;
                let seen = if curve.reads_input() { x[0] } else { y[0] };
                let found = self.network.named(id, ops::threshold_backward(seen, theta, grad, curve, true))?;
                line(x, y, grad, &found.input.unwrap_or_else(|| grad.clone()))?
            }
            Op::MaxPool { kernel, stride, padding, ceil_mode } => {
                let below = most(x, y, grad, &Op::pool_geometry(kernel, stride, padding, ceil_mode));
                self.network.named(id, below)?
            }
            _ => {
                return Err(NetError::NoRule { method: "DeepLIFT", node: node.name.clone(), op: node.op.label() });
            }
        };
        self.flow(input, below)
    }
}

/// `grad` times the slope of the line through the inputs `x` and outputs `y` of two passes, or `derivative` where the inputs are alike.
fn line(x: [&Tensor; 2], y: [&Tensor; 2], grad: &Tensor, derivative: &Tensor) -> Result<Tensor> {
    each([x[0], x[1], y[0], y[1], grad, derivative], |[x, x0, y, y0, grad, derivative]| {
        let run = (x - x0)?;
        small(&run)?.where_cond(&derivative, &((grad * (y - y0)?)? / run)?)
    })
}

/// The same for maxima of windows: what the maximum gains goes to where it lies in the first pass, and what it loses to where it
/// lay in the other.
fn most(x: [&Tensor; 2], y: [&Tensor; 2], grad: &Tensor, pool: &Pool2d) -> ops::Result<Tensor> {
    let argmax = [ops::max_pool2d(x[0], pool)?.argmax, ops::max_pool2d(x[1], pool)?.argmax];
    let larger = y[0].maximum(y[1])?;
    let gained = ops::max_pool2d_backward(&argmax[0], &(grad * (&larger - y[1])?)?, x[0].dims())?;
    let lost = ops::max_pool2d_backward(&argmax[1], &(grad * (y[0] - &larger)?)?, x[0].dims())?;
    let derivative = ops::max_pool2d_backward(&argmax[0], grad, x[0].dims())?;
    let run = (x[0] - x[1])?;
    Ok(small(&run)?.where_cond(&derivative, &(ops::add(&gained, &lost)? / run)?)?)
}

fn small(difference: &Tensor) -> candle_core::Result<Tensor> {
    difference.abs()?.lt(SMALLEST)
}
