//! The weights and pictures of `make.py`, and what it found.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use interp_net::{Checkpoint, Graph, Network};
use serde::Deserialize;

/// What is in `expected.json`.
#[derive(Deserialize)]
pub(crate) struct Expected {
    /// By architecture, names and shapes of its tensors.
    pub(crate) tensors: BTreeMap<String, String>,
    pub(crate) logits: Vec<Case>,
}

/// Logits of a network.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) arch: String,
    pub(crate) width: f64,
    /// Of the pictures.
    pub(crate) size: [usize; 2],
    /// By picture.
    pub(crate) logits: Vec<Vec<f64>>,
}

pub(crate) fn expected() -> Expected {
    serde_json::from_str(include_str!("expected.json")).unwrap()
}

/// Names and shapes of tensors, as they are listed.
pub(crate) fn listed(tensors: &[(String, Vec<usize>)]) -> String {
    let shape = |dims: &[usize]| dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let one = |(name, dims): &(String, Vec<usize>)| format!("{name} {}", shape(dims));
    tensors.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `count` numbers in [-1, 1): SplitMix64 (Steele et al. 2014) from the FNV-1a hash of the name on.
fn unit(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hashed = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, hashed);
    (0..count).map(move |index| {
        let mut z = seed.wrapping_add(index as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// The tensor of a name.
pub(crate) fn value(name: &str, shape: &[usize]) -> Tensor {
    let (scale, center) = match shape {
        [_, taps @ ..] if !taps.is_empty() => ((6.0 / taps.iter().product::<usize>() as f64).sqrt(), 0.0),
        _ if name.ends_with(".weight") => {
            (0.25, if name.contains(".bn2.") || name.contains(".bn3.") { 0.5 } else { 1.0 })
        }
        _ if name.ends_with(".running_var") => (0.5, 1.0),
        _ => (0.1, 0.0),
    };
    let values: Vec<f32> = unit(name, shape.iter().product()).map(|number| (center + scale * number) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The network with weights by the formula.
pub(crate) fn filled(graph: Graph) -> Network {
    let tensors = graph.tensors().into_iter().map(|(name, shape)| (name.clone(), value(&name, &shape)));
    Checkpoint::of_others(tensors.collect()).with_graph(Path::new("formula"), graph).unwrap()
}

/// Two pictures.
pub(crate) fn picture([height, width]: [usize; 2]) -> Tensor {
    let values: Vec<f32> = unit("picture", 6 * height * width).map(|number| number as f32).collect();
    Tensor::from_vec(values, (2, 3, height, width), &Device::Cpu).unwrap()
}
