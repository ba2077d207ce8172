//! The operations on a CUDA device: convolutions by cuDNN, linear maps by cuBLAS, the rest by kernels of ours.
//!
//! Conventions are those of the crate, with these differences: numbers are `f32` alone; results are the same on every run
//! of a device ([`Arithmetic::deterministic`](crate::Arithmetic)), but a picture's result may differ in the last bits
//! between batches of other sizes, since cuDNN and cuBLAS choose their way by the size. Calls return before the device has
//! done the work; what reads numbers back waits for it.
//!
//! The kernels lie in one text, `kernels.cu`, which is compiled when the first of them is needed (`kernels`).
#![allow(unsafe_code)]

mod batch_norm;
mod call;
mod conv2d;
mod cross_entropy;
mod cudnn;
mod elementwise;
mod kernels;
mod linear;
mod on_off;
mod open;
mod pad_shortcut;
mod pool;
mod sums;
mod update;

pub(crate) use batch_norm::{batch_norm_backward, batch_norm_eval, batch_norm_train};
pub(crate) use conv2d::{conv2d, conv2d_backward};
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use elementwise::{add, channels_last, relu, relu_backward};
pub(crate) use linear::{linear, linear_backward};
pub(crate) use on_off::{on_off, on_off_backward};
pub(crate) use open::{is_out_of_memory, is_there, open};
pub(crate) use pad_shortcut::{pad_shortcut, pad_shortcut_backward};
pub(crate) use pool::{
    avg_pool2d, avg_pool2d_backward, global_avg_pool, global_avg_pool_backward, max_pool2d, max_pool2d_backward,
};
pub(crate) use update::{sum_of_squares, update};
