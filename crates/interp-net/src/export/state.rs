//! State dicts.

use std::collections::HashMap;
use std::io::{Cursor, Write};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::View;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::pickle;
use crate::names::Naming;
use crate::{NetError, Network, Op, Param, Result, Role};

/// The tensors of a network under the names that a library gives them, in the order of its state dicts: f32, and behind each batch
/// norm its counter of batches, which is 0.
///
/// # Errors
/// Where parameters cannot be read.
pub fn state_dict(network: &Network, naming: Naming) -> Result<Vec<(String, Tensor)>> {
    let mut state = vec![];
    for param in network.params.list() {
        let value = param.value.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        let (name, shape) = naming.of(&network.graph, &param.name, value.dims());
        state.push((name, value.reshape(shape)?));
        let counter = counter(network, param)?;
        state.extend(counter.map(|(name, count)| (naming.of(&network.graph, &name, &[]).0, count)));
    }
    Ok(state)
}

/// What PyTorch keeps behind the variance of a batch norm.
fn counter(network: &Network, param: &Param) -> Result<Option<(String, Tensor)>> {
    let node = &network.graph.nodes()[param.node];
    let is_last = param.role == Role::RunningVariance && matches!(node.op, Op::BatchNorm { .. });
    let name = || format!("{}.num_batches_tracked", node.name);
    Ok(if is_last { Some((name(), Tensor::zeros((), DType::I64, &Device::Cpu)?)) } else { None })
}

/// The [`state_dict`] as a safetensors file, without anything of ours in it.
///
/// # Errors
/// Where parameters cannot be read, or two have one name.
pub fn safetensors(network: &Network, naming: Naming) -> Result<Vec<u8>> {
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(state_dict(network, naming)?, Some(about)).map_err(|e| failed(&e))
}

/// The [`state_dict`] as PyTorch saves it, for `torch.load(path, weights_only=True)`.
///
/// # Errors
/// Where parameters cannot be read.
pub fn pth(network: &Network, naming: Naming) -> Result<Vec<u8>> {
    let state = state_dict(network, naming)?;
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let mut put = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("model/{name}"), options(bytes.len())).map_err(|e| failed(&e))?;
        zip.write_all(bytes).map_err(|e| failed(&e))
    };
    put("data.pkl", &pickle::state_dict(&state))?;
    put("byteorder", b"little")?;
    for (key, (_, tensor)) in state.iter().enumerate() {
        put(&format!("data/{key}"), &View::data(tensor))?;
    }
    put("version", b"3\n")?;
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// Unpacked, with numbers at multiples of 64 bytes, and without the time: equal networks make equal files.
fn options(length: usize) -> SimpleFileOptions {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    stored.last_modified_time(DateTime::default()).with_alignment(64).large_file(length >= u32::MAX as usize)
}

fn failed(error: &dyn std::fmt::Display) -> NetError {
    NetError::Architecture(format!("no file can be made of it: {error}"))
}
