//! What every operation does first and last: from tensors to memory of the device and back.

use super::kernels;
use crate::memory::{expect_shape, four};
use crate::{OpError, Result};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig, ValidAsZeroBits,
};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Layout, Storage, StorageRef, Tensor};
use std::sync::Arc;

/// One call of an operation: its name for errors, and the device that it runs on.
pub(super) struct Call {
    pub(super) op: &'static str,
    pub(super) device: CudaDevice,
    stream: Arc<CudaStream>,
}

impl Call {
    /// A call where `tensor` lies.
    pub(super) fn new(op: &'static str, tensor: &Tensor) -> Result<Self> {
        let device = tensor.device().as_cuda_device()?.clone();
        let stream = device.cuda_stream();
        Ok(Self { op, device, stream })
    }

    /// A tensor of `f32` with dense memory: channels-last for rank 4, row by row for any other rank.
    pub(super) fn dense(&self, tensor: &Tensor) -> Result<Dense> {
        self.dense_of(tensor, DType::F32)
    }

    /// The same of positions, `u32`.
    pub(super) fn positions(&self, tensor: &Tensor) -> Result<Dense> {
        self.dense_of(tensor, DType::U32)
    }

    /// A tensor of `f32` of the given shape, dense.
    pub(super) fn shaped(&self, what: &str, tensor: &Tensor, shape: &[usize]) -> Result<Dense> {
        expect_shape(self.op, what, tensor, shape)?;
        self.dense(tensor)
    }

    fn dense_of(&self, tensor: &Tensor, dtype: DType) -> Result<Dense> {
        self.check(tensor, dtype)?;
        let tensor = tensor.detach();
        let ordered = if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1))? } else { tensor };
        Ok(Dense(ordered.contiguous()?))
    }

    /// A tensor of `f32` row by row, whatever its rank.
    pub(super) fn row_by_row(&self, tensor: &Tensor) -> Result<Dense> {
        self.check(tensor, DType::F32)?;
        Ok(Dense(tensor.detach().contiguous()?))
    }

    /// Refuses a tensor of another type or device.
    pub(super) fn check(&self, tensor: &Tensor, dtype: DType) -> Result<()> {
        if !tensor.device().same_device(&Device::Cuda(self.device.clone())) {
            let what = "a tensor on another device than the first one's".into();
            return Err(OpError::Unsupported { op: self.op, what, hint: "move all tensors to one device" });
        }
        if tensor.dtype() != dtype {
            let what = format!("a tensor of {:?} on a CUDA device, where {dtype:?} is needed", tensor.dtype());
            return Err(OpError::Unsupported { op: self.op, what, hint: "convert it, or compute on the CPU" });
        }
        Ok(())
    }

    /// Memory for `count` numbers, whatever is in it; for one number at least, as devices have no empty memory.
    pub(super) fn room<T: DeviceRepr>(&self, count: usize) -> Result<CudaSlice<T>> {
        // SAFETY: numbers of any bits are numbers; kernels write all of them before something reads.
        Ok(unsafe { self.device.alloc(count.max(1)) }?)
    }

    /// Memory with `count` zeros, one at least.
    pub(super) fn zeros<T: DeviceRepr + ValidAsZeroBits>(&self, count: usize) -> Result<CudaSlice<T>> {
        Ok(self.device.alloc_zeros(count.max(1))?)
    }

    /// Numbers of the host, one at least.
    pub(super) fn upload<T: DeviceRepr + 'static>(&self, numbers: &[T]) -> Result<CudaSlice<T>> {
        if numbers.is_empty() { self.room(0) } else { Ok(self.device.clone_htod(numbers)?) }
    }

    /// A tensor of the shape from numbers in the order of memory of [`Call::dense`].
    pub(super) fn tensor<T: CudaDType>(&self, numbers: CudaSlice<T>, shape: &[usize]) -> Result<Tensor> {
        Ok(match *shape {
            [n, c, h, w] => self.rows(numbers, &[n, h, w, c]).permute((0, 3, 1, 2))?,
            _ => self.rows(numbers, shape),
        })
    }

    /// A tensor of the shape from numbers row by row.
    pub(super) fn rows<T: CudaDType>(&self, numbers: CudaSlice<T>, shape: &[usize]) -> Tensor {
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(numbers, self.device.clone()));
        Tensor::from_storage(storage, shape, BackpropOp::none(), false)
    }

    /// A kernel by its name.
    pub(super) fn kernel(&self, name: &str) -> Result<CudaFunction> {
        kernels::kernel(&self.device, name)
    }

    /// An empty list of arguments for a kernel.
    pub(super) fn arguments<'a>(&'a self, kernel: &'a CudaFunction) -> LaunchArgs<'a> {
        self.stream.launch_builder(kernel)
    }

    /// Runs a kernel, unless there is nothing to do.
    ///
    /// # Safety
    /// The arguments must be those that the kernel declares, in its order and of its types, and their memory as large as
    /// it takes for granted.
    pub(super) unsafe fn run(&self, arguments: &mut LaunchArgs<'_>, config: LaunchConfig) -> Result<()> {
        let (blocks, rows, _) = config.grid_dim;
        if blocks > 0 && rows > 0 {
            // SAFETY: the caller's.
            unsafe { arguments.launch(config) }.w()?;
        }
        Ok(())
    }
}

/// A tensor whose memory is dense.
pub(super) struct Dense(Tensor);

impl Dense {
    /// Keeps others from writing while it is read.
    pub(super) fn hold(&self) -> Held<'_> {
        let (storage, layout) = self.0.storage_and_layout();
        Held { storage, layout }
    }
}

/// The memory of a dense tensor.
pub(super) struct Held<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl Held<'_> {
    /// Its numbers, in the order of memory.
    pub(super) fn numbers<T: CudaDType>(&self) -> Result<CudaView<'_, T>> {
        let Storage::Cuda(storage) = &*self.storage else { return Err(gone()) };
        let (start, end) = self.layout.contiguous_offsets().unwrap_or_default();
        storage.as_cuda_slice::<T>()?.try_slice(start..end).ok_or_else(gone)
    }
}

fn gone() -> OpError {
    OpError::Candle(candle_core::Error::Msg("a tensor's memory is not what its layout says".into()))
}

/// Pixels and channels of a tensor of logical shape (N, C, H, W), and the shape.
pub(super) fn pixels(op: &'static str, what: &str, shape: &[usize]) -> Result<(usize, usize)> {
    let [n, c, h, w] = four(op, what, shape)?;
    Ok((n * h * w, c))
}
