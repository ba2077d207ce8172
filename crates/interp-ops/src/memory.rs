//! From tensors to slices and back: layout, type and device are settled here, so that kernels see plain memory.
#![allow(unsafe_code)]

use crate::real::Real;
use crate::{OpError, Result};
use candle_core::{DType, Device, Layout, Storage, Tensor};
use std::mem::MaybeUninit;

/// A tensor whose memory is dense: channels-last for rank 4, row by row for any other rank.
pub(crate) struct Dense(Tensor);

impl Dense {
    /// The tensor itself where its memory is dense already, a copy otherwise; its type must be `T`.
    pub(crate) fn new<T: Real>(op: &'static str, tensor: &Tensor) -> Result<Self> {
        check_kind(op, tensor, T::DTYPE)?;
        Ok(Self(memory_order(tensor)?.contiguous()?))
    }

    /// The same for positions, whose type is `u32`.
    pub(crate) fn positions(op: &'static str, tensor: &Tensor) -> Result<Self> {
        check_kind(op, tensor, DType::U32)?;
        Ok(Self(memory_order(tensor)?.contiguous()?))
    }

    /// The tensor in its logical shape.
    pub(crate) fn into_tensor(self) -> Result<Tensor> {
        Ok(if self.0.rank() == 4 { self.0.permute((0, 3, 1, 2))? } else { self.0 })
    }

    /// The memory, to be read by [`numbers`].
    pub(crate) fn storage(&self) -> (impl std::ops::Deref<Target = Storage> + '_, &Layout) {
        self.0.storage_and_layout()
    }
}

/// The tensor with its dimensions in the order in which the operations keep them in memory: (N, H, W, C) for rank 4.
fn memory_order(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.detach();
    Ok(if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1))? } else { tensor })
}

/// The numbers of a dense tensor, from what [`Dense::storage`] returns.
pub(crate) fn numbers<'a, T: candle_core::WithDType>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    let Storage::Cpu(cpu) = storage else { return Err(unsupported_device("reading a tensor")) };
    let (start, end) = layout.contiguous_offsets().unwrap_or_default();
    Ok(&T::cpu_storage_as_slice(cpu)?[start..end])
}

/// A tensor of the shape from numbers in the order of memory.
pub(crate) fn tensor<T: candle_core::WithDType>(numbers: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    Ok(match *shape {
        [n, c, h, w] => Tensor::from_vec(numbers, (n, h, w, c), &Device::Cpu)?.permute((0, 3, 1, 2))?,
        _ => Tensor::from_vec(numbers, shape, &Device::Cpu)?,
    })
}

/// A tensor of `f64` numbers rounded to `T`.
pub(crate) fn rounded<T: Real>(numbers: &[f64], shape: &[usize]) -> Result<Tensor> {
    tensor(numbers.iter().map(|&v| T::from_f64(v)).collect(), shape)
}

/// Memory that has been written, as such.
///
/// # Safety
/// Every element must have been written.
pub(crate) unsafe fn initialized<T>(slice: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and the caller vouches for the values.
    unsafe { &mut *(std::ptr::from_mut(slice) as *mut [T]) }
}

/// Memory that holds numbers, as some to be written.
///
/// # Safety
/// Nothing but numbers may be written to it.
pub(crate) unsafe fn to_write<T: Real>(slice: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and the caller vouches for what is written.
    unsafe { &mut *(std::ptr::from_mut(slice) as *mut [MaybeUninit<T>]) }
}

/// The four sizes of a tensor of logical shape (N, C, H, W).
pub(crate) fn four(op: &'static str, what: &str, shape: &[usize]) -> Result<[usize; 4]> {
    shape.try_into().map_err(|_| wrong_shape(op, format!("{what} {shape:?}"), "four dimensions (N, C, H, W)"))
}

/// Refuses a tensor that is not of the given shape.
pub(crate) fn expect_shape(op: &'static str, what: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
    if tensor.dims() == shape {
        return Ok(());
    }
    Err(wrong_shape(op, format!("{what} {:?}", tensor.dims()), format!("{shape:?}")))
}

pub(crate) fn wrong_shape(op: &'static str, given: String, expected: impl Into<String>) -> OpError {
    OpError::Shape { op, given, expected: expected.into() }
}

pub(crate) fn check_kind(op: &'static str, tensor: &Tensor, dtype: DType) -> Result<()> {
    if !matches!(tensor.device(), Device::Cpu) {
        return Err(unsupported_device(op));
    }
    if tensor.dtype() == dtype {
        return Ok(());
    }
    let what = format!("a tensor of {:?} where {dtype:?} is needed", tensor.dtype());
    Err(OpError::Unsupported { op, what, hint: "convert all tensors to one type" })
}

pub(crate) fn unsupported_dtype(op: &'static str, dtype: DType) -> OpError {
    OpError::Unsupported { op, what: format!("a tensor of {dtype:?}"), hint: "convert it to F32 or F64" }
}

fn unsupported_device(op: &'static str) -> OpError {
    let hint = "move all tensors to the CPU; with `--features cuda` most operations run on a CUDA device too";
    OpError::Unsupported { op, what: "a tensor outside the CPU's memory".into(), hint }
}
