//! The two types of numbers of the kernels, and how a kernel gets compiled for the processor it runs on.

use candle_core::WithDType;
use std::cell::Cell;
use std::thread::LocalKey;

thread_local! {
    static BUFFER_F32: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static BUFFER_F64: Cell<Vec<f64>> = const { Cell::new(Vec::new()) };
}

/// `f32` or `f64`: the types that `gemm` multiplies and every kernel is compiled for.
pub(crate) trait Real: WithDType {
    /// Whether it is not a number.
    fn is_nan(self) -> bool;

    /// Runs `work` with the buffer of this thread, which holds what the last work has left in it.
    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R;
}

impl Real for f32 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R {
        lend(&BUFFER_F32, work)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn with_buffer<R>(work: impl FnOnce(&mut Vec<Self>) -> R) -> R {
        lend(&BUFFER_F64, work)
    }
}

fn lend<T, R>(buffer: &'static LocalKey<Cell<Vec<T>>>, work: impl FnOnce(&mut Vec<T>) -> R) -> R {
    let mut lent = buffer.take();
    let result = work(&mut lent);
    buffer.set(lent);
    result
}

/// Channels that a kernel treats at once: constant, so that they stay in registers.
pub(crate) const LANES: usize = 16;

/// `L` numbers from `at`.
#[inline(always)]
pub(crate) fn lanes<T: Real, const L: usize>(numbers: &[T], at: usize) -> [T; L] {
    let mut lanes = [T::zero(); L];
    lanes.copy_from_slice(&numbers[at..at + L]);
    lanes
}

/// Adds the second slice to the first.
#[inline(always)]
pub(crate) fn add_to<T: Real>(sums: &mut [T], values: &[T]) {
    for (sum, &value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// Runs `kernel` compiled for the widest vectors of this processor; the compiler vectorises its loops. The closure and all
/// that it calls must be `#[inline(always)]`, else they are compiled for the oldest processor.
#[inline]
pub(crate) fn simd<R>(kernel: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(kernel)
}

/// Calls a function generic over [`Real`] with the type of a tensor's numbers. (A function cannot do this: the type
/// argument differs by branch.)
macro_rules! by_dtype {
    ($op:expr, $tensor:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => $function::<f32>($($argument),*),
            candle_core::DType::F64 => $function::<f64>($($argument),*),
            other => Err($crate::memory::unsupported_dtype($op, other)),
        }
    };
}
pub(crate) use by_dtype;
