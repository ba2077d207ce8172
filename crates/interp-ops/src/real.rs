//! The two types of numbers of the kernels, and how a kernel gets compiled for the processor it runs on.

use crate::lanes::{Kernel, dispatch_f32, dispatch_f64};
use candle_core::WithDType;
use std::cell::RefCell;
use std::thread::LocalKey;

thread_local! {
    static BUFFERS_F32: Buffers<f32> = const { RefCell::new(Vec::new()) };
    static BUFFERS_F64: Buffers<f64> = const { RefCell::new(Vec::new()) };
}

/// Buffers of a thread that nobody uses now.
type Buffers<T> = RefCell<Vec<Vec<T>>>;

/// `f32` or `f64`: the types that every kernel is compiled for.
pub(crate) trait Real: WithDType {
    /// Whether it is not a number.
    fn is_nan(self) -> bool;

    /// The square root.
    fn sqrt(self) -> Self;

    /// The power with exponent `exponent`.
    fn powf(self, exponent: f64) -> Self;

    /// Runs `work` with `count` numbers of this thread, which hold what the last work has left in them.
    fn with_buffer<R>(count: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;

    /// Runs a kernel on the widest vectors of this processor.
    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output;
}

impl Real for f32 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn powf(self, exponent: f64) -> Self {
        self.powf(exponent as f32)
    }

    fn with_buffer<R>(count: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
        lend(&BUFFERS_F32, count, work)
    }

    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output {
        dispatch_f32(kernel)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn powf(self, exponent: f64) -> Self {
        self.powf(exponent)
    }

    fn with_buffer<R>(count: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
        lend(&BUFFERS_F64, count, work)
    }

    fn vectorize<K: Kernel<Self>>(kernel: K) -> K::Output {
        dispatch_f64(kernel)
    }
}

fn lend<T: Real, R>(buffers: &'static LocalKey<Buffers<T>>, count: usize, work: impl FnOnce(&mut [T]) -> R) -> R {
    let mut lent = buffers.with_borrow_mut(Vec::pop).unwrap_or_default();
    lent.resize(lent.len().max(count), T::zero());
    let result = work(&mut lent[..count]);
    buffers.with_borrow_mut(|all| all.push(lent));
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
