//! Vectors of numbers: what a kernel written by hand needs of the processor it runs on.
#![allow(unsafe_code)]

use pulp::{Simd, WithSimd};

/// Vectors of numbers `T` on one processor.
///
/// # Safety
/// A [`Lanes::Vector`] must have the layout of [`Lanes::COUNT`] numbers, and any bits that are numbers must be a vector.
pub(crate) unsafe trait Lanes<T>: Copy {
    /// Some numbers side by side.
    type Vector: Copy;

    /// A yes or no for each number.
    type Mask: Copy;

    /// Numbers in a vector.
    const COUNT: usize;

    /// Vectors that the processor holds in registers.
    const REGISTERS: usize;

    /// A vector of one number.
    fn splat(self, value: T) -> Self::Vector;

    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a - b.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a b + c, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// a b.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Where a = b.
    fn equal(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;

    /// Where a > b.
    fn above(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;

    /// Where a <= b.
    fn at_most(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;

    /// `yes` where the mask says so, else `no`.
    fn select(self, mask: Self::Mask, yes: Self::Vector, no: Self::Vector) -> Self::Vector;

    /// The vector at `from`.
    ///
    /// # Safety
    /// `from` must be valid for reads of [`Lanes::COUNT`] numbers.
    #[inline(always)]
    unsafe fn load(self, from: *const T) -> Self::Vector {
        // SAFETY: the caller's; a vector has the layout of its numbers.
        unsafe { from.cast::<Self::Vector>().read_unaligned() }
    }

    /// Writes a vector at `to`.
    ///
    /// # Safety
    /// `to` must be valid for writes of [`Lanes::COUNT`] numbers.
    #[inline(always)]
    unsafe fn store(self, to: *mut T, vector: Self::Vector) {
        // SAFETY: the caller's; a vector has the layout of its numbers.
        unsafe { to.cast::<Self::Vector>().write_unaligned(vector) }
    }
}

/// Work that is compiled for every kind of processor. All that it calls must be `#[inline(always)]`.
pub(crate) trait Kernel<T> {
    /// What comes of it.
    type Output;

    /// Does the work with the given vectors.
    fn run<L: Lanes<T>>(self, lanes: L) -> Self::Output;
}

/// Runs a kernel of `f32` numbers on the widest vectors of this processor.
pub(crate) fn dispatch_f32<K: Kernel<f32>>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(OfF32(kernel))
}

/// Runs a kernel of `f64` numbers on the widest vectors of this processor.
pub(crate) fn dispatch_f64<K: Kernel<f64>>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(OfF64(kernel))
}

/// Single precision: a kernel, or the vectors of a processor.
#[derive(Clone, Copy)]
pub(crate) struct OfF32<K>(K);

/// Double precision: a kernel, or the vectors of a processor.
#[derive(Clone, Copy)]
pub(crate) struct OfF64<K>(K);

/// Vectors of one number, for what is left of others.
pub(crate) type OneF32 = OfF32<pulp::Scalar>;

/// Vectors of one number, for what is left of others.
pub(crate) type OneF64 = OfF64<pulp::Scalar>;

impl OneF32 {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(pulp::Scalar)
    }
}

impl OneF64 {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(pulp::Scalar)
    }
}

impl<K: Kernel<f32>> WithSimd for OfF32<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        self.0.run(OfF32(simd))
    }
}

impl<K: Kernel<f64>> WithSimd for OfF64<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        self.0.run(OfF64(simd))
    }
}

// SAFETY: `f32s` are the `F32_LANES` numbers of a register.
unsafe impl<S: Simd> Lanes<f32> for OfF32<S> {
    type Vector = S::f32s;
    type Mask = S::m32s;
    const COUNT: usize = S::F32_LANES;
    const REGISTERS: usize = S::REGISTER_COUNT;

    #[inline(always)]
    fn splat(self, value: f32) -> S::f32s {
        self.0.splat_f32s(value)
    }

    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }

    #[inline(always)]
    fn sub(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.sub_f32s(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        self.0.mul_add_e_f32s(a, b, c)
    }

    #[inline(always)]
    fn mul(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.mul_f32s(a, b)
    }

    #[inline(always)]
    fn equal(self, a: S::f32s, b: S::f32s) -> S::m32s {
        self.0.equal_f32s(a, b)
    }

    #[inline(always)]
    fn above(self, a: S::f32s, b: S::f32s) -> S::m32s {
        self.0.greater_than_f32s(a, b)
    }

    #[inline(always)]
    fn at_most(self, a: S::f32s, b: S::f32s) -> S::m32s {
        self.0.less_than_or_equal_f32s(a, b)
    }

    #[inline(always)]
    fn select(self, mask: S::m32s, yes: S::f32s, no: S::f32s) -> S::f32s {
        self.0.select_f32s(mask, yes, no)
    }
}

// SAFETY: `f64s` are the `F64_LANES` numbers of a register.
unsafe impl<S: Simd> Lanes<f64> for OfF64<S> {
    type Vector = S::f64s;
    type Mask = S::m64s;
    const COUNT: usize = S::F64_LANES;
    const REGISTERS: usize = S::REGISTER_COUNT;

    #[inline(always)]
    fn splat(self, value: f64) -> S::f64s {
        self.0.splat_f64s(value)
    }

    #[inline(always)]
    fn add(self, a: S::f64s, b: S::f64s) -> S::f64s {
        self.0.add_f64s(a, b)
    }

    #[inline(always)]
    fn sub(self, a: S::f64s, b: S::f64s) -> S::f64s {
        self.0.sub_f64s(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        self.0.mul_add_e_f64s(a, b, c)
    }

    #[inline(always)]
    fn mul(self, a: S::f64s, b: S::f64s) -> S::f64s {
        self.0.mul_f64s(a, b)
    }

    #[inline(always)]
    fn equal(self, a: S::f64s, b: S::f64s) -> S::m64s {
        self.0.equal_f64s(a, b)
    }

    #[inline(always)]
    fn above(self, a: S::f64s, b: S::f64s) -> S::m64s {
        self.0.greater_than_f64s(a, b)
    }

    #[inline(always)]
    fn at_most(self, a: S::f64s, b: S::f64s) -> S::m64s {
        self.0.less_than_or_equal_f64s(a, b)
    }

    #[inline(always)]
    fn select(self, mask: S::m64s, yes: S::f64s, no: S::f64s) -> S::f64s {
        self.0.select_f64s(mask, yes, no)
    }
}
