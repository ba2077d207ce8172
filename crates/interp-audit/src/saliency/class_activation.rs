//! Class activation maps: maps of a layer, weighed by what gradients say of them, and added up.

use candle_core::Tensor;
use interp_net::finding::{Entry, build};
use interp_net::{Keep, Mode, Role};

use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::{AuditError, Result};

/// From maps `A` and the gradients of the output there `g`, both (N, h, w, C), to one map of each picture, (N, h, w).
struct Weighed(fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>);

/// The maps that the last layer finds evidence in, times its weights (Zhou et al. 2016, arXiv 1512.04150, equation 2).
struct Cam;

pub(super) const CAM: Entry<dyn Method> = Entry {
    name: "cam",
    summary: "the last maps times the weights of the last layer, where it reads their means",
    example: "kind = \"cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Cam)),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const GRAD_CAM: Entry<dyn Method> = Entry {
    name: "grad_cam",
    summary: "a layer's maps, each times the mean of its gradient",
    example: "kind = \"grad_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Weighed(grad_cam))),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const GRAD_CAM_PLUS_PLUS: Entry<dyn Method> = Entry {
    name: "grad_cam_plus_plus",
    summary: "a layer's maps, each times its positive gradients, weighed so that objects count alike",
    example: "kind = \"grad_cam_plus_plus\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Weighed(grad_cam_plus_plus))),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const HIRES_CAM: Entry<dyn Method> = Entry {
    name: "hires_cam",
    summary: "a layer's maps times their gradients, cell by cell",
    example: "kind = \"hires_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Weighed(hires_cam))),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const LAYER_CAM: Entry<dyn Method> = Entry {
    name: "layer_cam",
    summary: "a layer's maps times their positive gradients, cell by cell",
    example: "kind = \"layer_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Weighed(layer_cam))),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const XGRAD_CAM: Entry<dyn Method> = Entry {
    name: "xgrad_cam",
    summary: "a layer's maps, each times the mean of its gradient where it is large",
    example: "kind = \"xgrad_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Weighed(xgrad_cam))),
    schema: || schemars::schema_for!(NoSettings),
};

impl Method for Weighed {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let (net, layer) = (question.net, question.layer);
        let maps = question.in_parts(1, |_, x, targets| {
            let tape = question.gradients_tape(x, &[layer])?;
            let gradients = question.gradient_at(&tape, targets, layer)?;
            let [maps, gradients] = [tape.at(&net.graph, layer)?, &gradients].map(channels_last);
            Ok((self.0)(&maps?, &gradients?)?)
        })?;
        Ok(Attribution::of(maps, Channels::Sum))
    }
}

impl Method for Cam {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let net = question.net;
        let graph = &net.graph;
        // The last layer, or where its means are the output, the one before.
        let candidates = std::iter::once(graph.output()).chain(graph.nodes()[graph.output()].inputs.iter().copied());
        let found = candidates.filter(|&id| id > 0).find_map(|id| Some((id, graph.evidence_maps(id)?)));
        let (layer, maps) = found.ok_or(AuditError::NoEvidenceMaps)?;
        let weights = net.params.find(layer, Role::Weight).ok_or(AuditError::NoEvidenceMaps)?.flatten_from(1)?; // (classes, C)
        let values = question.in_parts(1, |_, x, targets| {
            let tape = net.run_to(x, maps, Mode::Eval, &Keep::Output)?;
            let rows =
                targets.iter().map(|&target| weights.narrow(0, target, 1)).collect::<candle_core::Result<Vec<_>>>()?;
            weighed(&channels_last(tape.at(graph, maps)?)?, &Tensor::cat(&rows, 0)?)
        })?;
        Ok(Attribution::of(values, Channels::Sum))
    }
}

/// (N, C, h, w) as (N, h, w, C).
pub(super) fn channels_last(maps: &Tensor) -> candle_core::Result<Tensor> {
    maps.permute((0, 2, 3, 1))?.contiguous()
}

/// The sum of maps (N, h, w, C) with weights (N, C).
pub(super) fn weighed(maps: &Tensor, weights: &Tensor) -> Result<Tensor> {
    Ok(sum_of(maps, weights)?)
}

fn sum_of(maps: &Tensor, weights: &Tensor) -> candle_core::Result<Tensor> {
    let (n, c) = weights.dims2()?;
    maps.broadcast_mul(&weights.reshape((n, 1, 1, c))?)?.sum(3)
}

/// Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2, without their ReLU.
fn grad_cam(maps: &Tensor, gradients: &Tensor) -> candle_core::Result<Tensor> {
    sum_of(maps, &gradients.mean((1, 2))?)
}

/// Chattopadhay et al. 2018, arXiv 1710.11063, equations 15 and 19, of an exponential of the output, as they have it. They have maps that are
/// nowhere negative; of others the sizes count, so that no denominator comes near 0.
fn grad_cam_plus_plus(maps: &Tensor, gradients: &Tensor) -> candle_core::Result<Tensor> {
    let positive = gradients.relu()?;
    let (square, sums) = (positive.sqr()?, maps.abs()?.sum_keepdim((1, 2))?); // (N, 1, 1, C)
    let below = ((&square * 2.0)? + (&square * &positive)?.broadcast_mul(&sums)?)?;
    let share = (&square / (below + 1e-6)?)?; // 0 where the gradient is
    sum_of(maps, &(positive * share)?.sum((1, 2))?)
}

/// Draelos and Carin 2020, arXiv 2011.08891, equation 4.
fn hires_cam(maps: &Tensor, gradients: &Tensor) -> candle_core::Result<Tensor> {
    (maps * gradients)?.sum(3)
}

/// Jiang et al. 2021, "LayerCAM: exploring hierarchical class activation maps for localization", equation 5.
fn layer_cam(maps: &Tensor, gradients: &Tensor) -> candle_core::Result<Tensor> {
    (maps * gradients.relu()?)?.sum(3)
}

/// Fu et al. 2020, arXiv 2008.02312, equation 8: means of the gradient, weighed by the map. They have maps that are nowhere negative; of
/// others the sizes are the weights.
fn xgrad_cam(maps: &Tensor, gradients: &Tensor) -> candle_core::Result<Tensor> {
    let sizes = maps.abs()?;
    let sums = (sizes.sum((1, 2))? + 1e-7)?; // (N, C)
    sum_of(maps, &((sizes * gradients)?.sum((1, 2))? / sums)?)
}
