//! What channels answer to pictures that are made for them.

use candle_core::{Device, Tensor};
use interp_data::{Info, Normalize};
use interp_net::{Keep, Mode, Network, NodeId};

use crate::cells::Cells;
use crate::pass::end_of;
use crate::{Memory, Result};

/// A picture of one color, (H, W, C); of gray pictures the color's mean.
pub(crate) fn field(info: &Info, color: [f32; 3]) -> Vec<f32> {
    match info.channels {
        3 => color.repeat(info.height * info.width),
        _ => vec![color.iter().sum::<f32>() / 3.0; info.pixels()],
    }
}

/// The cell in the middle of a node's map.
pub(crate) fn middle(net: &Network, node: NodeId) -> [usize; 2] {
    let shape = net.graph.shape(node);
    [1, 2].map(|axis| shape.get(axis).copied().unwrap_or(1) / 2)
}

/// The answers of the middle cells of nodes to pictures: by node and picture, those of all channels.
pub(crate) fn answers(
    net: &Network,
    info: &Info,
    nodes: &[NodeId],
    pictures: &[Vec<f32>],
    memory: Memory,
) -> Result<Vec<Vec<Vec<f32>>>> {
    let keep = Keep::nodes(nodes.iter().map(|&id| net.graph.nodes()[id].name.as_str()));
    let mut found = vec![vec![]; nodes.len()];
    for part in pictures.chunks(memory.pictures(&net.graph)) {
        let mut values = part.concat();
        Normalize::new(info).apply(&mut values);
        let shape = (part.len(), info.height, info.width, info.channels);
        let x = Tensor::from_vec(values, shape, &Device::Cpu)?.permute((0, 3, 1, 2))?; // (N, H, W, C) -> (N, C, H, W)
        let tape = net.run_to(&x.to_device(&net.device())?, end_of(&net.graph, nodes), Mode::Eval, &keep)?;
        for (found, &node) in found.iter_mut().zip(nodes) {
            let cells = Cells::at(net, &tape, node)?;
            let [row, column] = middle(net, node);
            let from = |at: usize| at * cells.per_picture() + (row * cells.width + column) * cells.channels;
            found.extend((0..part.len()).map(|at| cells.values[from(at)..from(at) + cells.channels].to_vec()));
        }
    }
    Ok(found)
}
