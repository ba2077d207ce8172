//! Networks as ONNX.

mod draft;
mod forms;
mod protobuf;
mod tables;

use crate::{NetError, Network, Normalization, Result};
use draft::Draft;

/// Bytes that a message of protocol buffers may have.
const LONGEST: usize = i32::MAX as usize;

/// The network in evaluation as a model of ONNX (operators of version 17): from pictures (N, C, H, W) of the size that it was made for to
/// its outputs, f32. Values bear the names of their nodes, weights those of the [`state_dict`](super::state_dict). With a
/// `normalization`, it is written into the model's notes, as `mean` and `std`; pictures go in normalized.
///
/// # Errors
/// [`NetError::NoForm`] for an operation that ONNX does not have: handcrafted descriptions but for the luminance. If the model
/// has more than 2 GiB, or two of its values one name.
pub fn onnx(network: &Network, normalization: Option<&Normalization>) -> Result<Vec<u8>> {
    let (graph, mut draft) = (&network.graph, Draft::default());
    for id in 0..graph.nodes().len() {
        forms::add(&mut draft, network, id)?;
    }
    let value = |id: usize| (graph.nodes()[id].name.as_str(), graph.shape(id));
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    let notes = normalization.map(|n| vec![("mean", list(&n.mean)), ("std", list(&n.std))]);
    let model = draft.model(value(0), value(graph.output()), &notes.unwrap_or_default()).into_bytes();
    match model.len() <= LONGEST {
        true => Ok(model),
        false => Err(NetError::Architecture(format!("as ONNX it would have {} bytes, over {LONGEST}", model.len()))),
    }
}
