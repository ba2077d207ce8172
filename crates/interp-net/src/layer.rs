//! Layers that batch norms are folded into.

use candle_core::Tensor;
use interp_ops as ops;

use crate::{NetError, Network, NodeId, Op, Result, Role};

/// A convolution or linear map with its batch norm folded in.
pub(crate) struct Layer<'a> {
    pub(crate) network: &'a Network,
    pub(crate) id: NodeId,
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
}

impl<'a> Layer<'a> {
    pub(crate) fn new(network: &'a Network, id: NodeId, norm: Option<NodeId>) -> Result<Self> {
        let (weight, bias) =
            (network.params.get(id, Role::Weight)?.clone(), network.params.find(id, Role::Bias).cloned());
        let Some(norm) = norm else { return Ok(Self { network, id, weight, bias }) };
        let (param, scale) = (|role| network.params.get(norm, role), network.norm_scale(norm)?);
        let centered = match &bias {
            Some(bias) => (bias - param(Role::RunningMean)?)?,
            None => param(Role::RunningMean)?.neg()?,
        };
        let bias = Some(((centered * &scale)? + param(Role::Shift)?)?);
        let weight = network.named(id, ops::scale_rows(&weight, &scale))?; // (out, in / groups, kernel)
        Ok(Self { network, id, weight, bias })
    }

    /// The layer with other weights.
    pub(crate) fn forward(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let result = match self.network.graph.nodes()[self.id].op {
            Op::Conv2d { stride, padding, dilation, groups, .. } => {
                ops::conv2d(x, weight, bias, &Op::conv_geometry(stride, padding, dilation, groups))
            }
            Op::ConvTranspose2d { stride, padding, output_padding, dilation, groups, .. } => {
                let conv = Op::transposed_geometry(stride, padding, output_padding, dilation, groups);
                ops::conv_transpose2d(x, weight, bias, &conv)
            }
            _ => ops::linear(x, weight, bias),
        };
        self.network.named(self.id, result)
    }

    /// Back through it, to something of the shape of `x`, of which no number is read.
    pub(crate) fn back(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let wanted = ops::Wanted { input: true, weight: false, bias: false };
        let result = match self.network.graph.nodes()[self.id].op {
            Op::Conv2d { stride, padding, dilation, groups, .. } => {
                ops::conv2d_backward(x, weight, grad, &Op::conv_geometry(stride, padding, dilation, groups), wanted)
            }
            Op::ConvTranspose2d { stride, padding, output_padding, dilation, groups, .. } => {
                let conv = Op::transposed_geometry(stride, padding, output_padding, dilation, groups);
                ops::conv_transpose2d_backward(x, weight, grad, &conv, wanted)
            }
            _ => ops::linear_backward(x, weight, grad, wanted),
        };
        let found = self.network.named(self.id, result)?.input;
        found.ok_or_else(|| NetError::NotKept(self.network.graph.nodes()[self.id].name.clone()))
    }
}

impl Network {
    /// What a batch norm in evaluation multiplies each channel with: gain / sqrt(variance + eps), (C).
    pub(crate) fn norm_scale(&self, norm: NodeId) -> Result<Tensor> {
        let param = |role| self.params.get(norm, role);
        let deviation = (param(Role::RunningVariance)? + self.graph.nodes()[norm].op.eps())?.sqrt()?;
        Ok((param(Role::Gain)? / deviation)?)
    }
}
