//! The kernels' text, compiled, and how many threads they run on.

use crate::Result;
use candle_core::CudaDevice;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, LaunchConfig};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use std::sync::OnceLock;

const SOURCE: &str = include_str!("kernels.cu");

/// What `kernels.cu` calls CHANNELS, PIXELS and THREADS: the sizes of blocks.
const CHANNELS: usize = 32;
const PIXELS: usize = 8;
pub(super) const THREADS: usize = 256;

/// Pixels of a chunk, whose sums a block takes.
pub(super) const CHUNK: usize = 256;

/// The most blocks along the pixels: enough for any device; threads then go over more pixels than one.
const MOST_BLOCKS: usize = 4096;

/// A kernel of `kernels.cu`, loaded on the device.
pub(super) fn kernel(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    Ok(device.get_or_load_custom_func(name, "interp", ptx()?)?.into_cuda_function())
}

/// The text in the assembly language of all devices, compiled once for the process.
fn ptx() -> Result<&'static str> {
    static PTX: OnceLock<String> = OnceLock::new();
    if let Some(ptx) = PTX.get() {
        return Ok(ptx);
    }
    let options = CompileOptions { fmad: Some(false), ..CompileOptions::default() };
    let ptx = compile_ptx_with_opts(SOURCE, options).w()?.to_src();
    Ok(PTX.get_or_init(|| ptx))
}

/// A thread for each of `count` numbers.
pub(super) fn each_number(count: usize) -> LaunchConfig {
    config([count.div_ceil(THREADS), 1], [THREADS, 1])
}

/// A thread for each channel of each pixel, or of some pixels.
pub(super) fn each_pixel(pixels: usize, channels: usize) -> LaunchConfig {
    each_chunk(pixels.div_ceil(PIXELS).min(MOST_BLOCKS), channels)
}

/// A block for each 32 channels of each of `chunks` chunks.
pub(super) fn each_chunk(chunks: usize, channels: usize) -> LaunchConfig {
    config([chunks, channels.div_ceil(CHANNELS)], [CHANNELS, PIXELS])
}

/// A block for each of `rows` rows.
pub(super) fn each_row(rows: usize) -> LaunchConfig {
    config([rows, 1], [THREADS, 1])
}

/// `blocks` blocks for each of `parts` tensors.
pub(super) fn each_part(blocks: usize, parts: usize) -> LaunchConfig {
    config([blocks, parts], [THREADS, 1])
}

/// A grid of blocks; what is too large for a device is refused by it.
fn config(grid: [usize; 2], block: [usize; 2]) -> LaunchConfig {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    LaunchConfig {
        grid_dim: (size(grid[0]), size(grid[1]), 1),
        block_dim: (size(block[0]), size(block[1]), 1),
        shared_mem_bytes: 0,
    }
}
