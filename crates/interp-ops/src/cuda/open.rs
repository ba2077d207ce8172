//! The device, and the settings of how it computes.

use crate::{Arithmetic, OpError, Result};
use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda_backend::cudarc::driver::result::{DriverError, device, mem_pool};
use candle_core::cuda_backend::cudarc::driver::sys::{CUmemPool_attribute, CUresult};
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaStream};
use candle_core::cuda_backend::{CudaError, WrapErr};
use candle_core::{CudaDevice, Device, Error};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static TF32: AtomicBool = AtomicBool::new(false);
static DETERMINISTIC: AtomicBool = AtomicBool::new(true);

/// The present settings.
pub(super) fn arithmetic() -> Arithmetic {
    Arithmetic { tf32: TF32.load(Ordering::Relaxed), deterministic: DETERMINISTIC.load(Ordering::Relaxed) }
}

/// Whether there is a CUDA device.
pub(crate) fn is_there() -> bool {
    CudaContext::device_count().is_ok_and(|count| count > 0)
}

/// The device with a number; the same one at every call, and no second one beside it.
pub(crate) fn open(number: usize, arithmetic: Arithmetic) -> Result<Device> {
    static OPENED: Mutex<Option<(usize, CudaDevice)>> = Mutex::new(None);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let device = match &*opened {
        Some((open, device)) if *open == number => device.clone(),
        Some((open, _)) => return Err(second(number, *open)),
        None => opened.insert((number, first(number)?)).1.clone(),
    };
    TF32.store(arithmetic.tf32, Ordering::Relaxed);
    DETERMINISTIC.store(arithmetic.deterministic, Ordering::Relaxed);
    candle_core::cuda::set_gemm_reduced_precision_f32(arithmetic.tf32);
    Ok(Device::Cuda(device))
}

fn second(number: usize, open: usize) -> OpError {
    let what = format!("cuda:{number} beside cuda:{open} in one process");
    OpError::Unsupported { op: "device", what, hint: "use one CUDA device" }
}

fn first(number: usize) -> Result<CudaDevice> {
    let count = CudaContext::device_count();
    if !count.is_ok_and(|count| usize::try_from(count).is_ok_and(|count| number < count)) {
        let why = count.map_or_else(|error| error.to_string(), |count| format!("there are {count} CUDA devices"));
        let hint = "count from cuda:0, or compute on the CPU";
        return Err(OpError::Unsupported { op: "device", what: format!("cuda:{number} ({why})"), hint });
    }
    let device = CudaDevice::new_with_stream(number)?;
    // SAFETY: `open` makes no second device, so all work is on the one stream of this one, in the order of the calls.
    unsafe { device.disable_event_tracking() };
    keep_memory(&device.cuda_stream())?;
    Ok(device)
}

/// Lets the process keep memory that it has freed. Else the pool gives it back to the system whenever the program waits
/// for the device, which is at every step, and asks for it again.
fn keep_memory(stream: &CudaStream) -> Result<()> {
    let context = stream.context();
    if context.has_async_alloc() {
        let mut threshold = u64::MAX;
        // SAFETY: the context's device exists; the attribute is a `u64`, which is read before the call returns.
        let set = unsafe {
            device::get_mem_pool(context.cu_device()).and_then(|pool| {
                let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
                mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
            })
        };
        set.w()?;
    }
    Ok(())
}

/// Whether an error of candle says that the device has no memory left.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::Cuda(inner) => matches!(
            inner.downcast_ref(),
            Some(
                CudaError::Cuda(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY))
                    | CudaError::Cublas(CublasError(cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED))
            )
        ),
        Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } | Error::WithPath { inner, .. } => {
            is_out_of_memory(inner)
        }
        _ => false,
    }
}
