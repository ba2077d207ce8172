//! Networks for other programs: as a state dict and a module of PyTorch, and as ONNX.
//!
//! Each function gives the bytes or the text of a whole file; [`write_atomically`](crate::files::write_atomically) writes them.

mod onnx;
mod pickle;
mod pytorch;
mod state;

pub use onnx::onnx;
pub use pytorch::pytorch;
pub use state::{pth, safetensors, state_dict};
