//! Vectors of numbers: what a kernel written by hand needs of the processor it runs on.
#![allow(unsafe_code)]

use pulp::{MemMask, Simd, WithSimd};

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

    /// Yes for the first `count` numbers of a vector.
    fn first(self, count: usize) -> Self::Mask;

    /// The numbers at `from` that the mask says yes to, zeros in place of the others, which are not read.
    ///
    /// # Safety
    /// `from` must be valid for reads of the numbers up to the last of the mask.
    unsafe fn load_some(self, mask: Self::Mask, from: *const T) -> Self::Vector;

    /// Writes the numbers of a vector that the mask says yes to at their places from `to`, and no others.
    ///
    /// # Safety
    /// `to` must be valid for writes of the numbers up to the last of the mask.
    unsafe fn store_some(self, mask: Self::Mask, to: *mut T, vector: Self::Vector);

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

/// The vectors of a processor, of which the numbers that a mask says yes to are read and written: for what is left of others.
#[derive(Clone, Copy)]
pub(crate) struct Partial<L, M> {
    lanes: L,
    mask: M,
}

impl<L, M> Partial<L, M> {
    /// The first `count` numbers of a vector, fewer than all.
    #[inline(always)]
    pub(crate) fn new<T>(lanes: L, count: usize) -> Self
    where
        L: Lanes<T, Mask = M>,
    {
        Self { lanes, mask: lanes.first(count) }
    }
}

// SAFETY: vectors are those of `L`.
unsafe impl<T, L: Lanes<T>> Lanes<T> for Partial<L, L::Mask> {
    type Vector = L::Vector;
    type Mask = L::Mask;
    const COUNT: usize = L::COUNT;
    const REGISTERS: usize = L::REGISTERS;

    #[inline(always)]
    fn splat(self, value: T) -> L::Vector {
        self.lanes.splat(value)
    }

    #[inline(always)]
    fn add(self, a: L::Vector, b: L::Vector) -> L::Vector {
        self.lanes.add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: L::Vector, b: L::Vector) -> L::Vector {
        self.lanes.sub(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: L::Vector, b: L::Vector, c: L::Vector) -> L::Vector {
        self.lanes.mul_add(a, b, c)
    }

    #[inline(always)]
    fn mul(self, a: L::Vector, b: L::Vector) -> L::Vector {
        self.lanes.mul(a, b)
    }

    #[inline(always)]
    fn equal(self, a: L::Vector, b: L::Vector) -> L::Mask {
        self.lanes.equal(a, b)
    }

    #[inline(always)]
    fn above(self, a: L::Vector, b: L::Vector) -> L::Mask {
        self.lanes.above(a, b)
    }

    #[inline(always)]
    fn at_most(self, a: L::Vector, b: L::Vector) -> L::Mask {
        self.lanes.at_most(a, b)
    }

    #[inline(always)]
    fn select(self, mask: L::Mask, yes: L::Vector, no: L::Vector) -> L::Vector {
        self.lanes.select(mask, yes, no)
    }

    #[inline(always)]
    fn first(self, count: usize) -> L::Mask {
        self.lanes.first(count)
    }

    #[inline(always)]
    unsafe fn load_some(self, mask: L::Mask, from: *const T) -> L::Vector {
        // SAFETY: the caller's.
        unsafe { self.lanes.load_some(mask, from) }
    }

    #[inline(always)]
    unsafe fn store_some(self, mask: L::Mask, to: *mut T, vector: L::Vector) {
        // SAFETY: the caller's.
        unsafe { self.lanes.store_some(mask, to, vector) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const T) -> L::Vector {
        // SAFETY: the caller's; fewer numbers are read.
        unsafe { self.lanes.load_some(self.mask, from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T, vector: L::Vector) {
        // SAFETY: the caller's; fewer numbers are written.
        unsafe { self.lanes.store_some(self.mask, to, vector) }
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

    // The masks that pulp makes for memory go through a table of functions, for old processors that need it.
    #[inline(always)]
    fn first(self, count: usize) -> S::m32s {
        self.0.mask_between_m32s(0, count as u32).mask()
    }

    #[inline(always)]
    unsafe fn load_some(self, mask: S::m32s, from: *const f32) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { self.0.mask_load_ptr_f32s(MemMask::new(mask), from) }
    }

    #[inline(always)]
    unsafe fn store_some(self, mask: S::m32s, to: *mut f32, vector: S::f32s) {
        // SAFETY: the caller's.
        unsafe { self.0.mask_store_ptr_f32s(MemMask::new(mask), to, vector) }
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

    // The masks that pulp makes for memory go through a table of functions, for old processors that need it.
    #[inline(always)]
    fn first(self, count: usize) -> S::m64s {
        self.0.mask_between_m64s(0, count as u64).mask()
    }

    #[inline(always)]
    unsafe fn load_some(self, mask: S::m64s, from: *const f64) -> S::f64s {
        // SAFETY: the caller's.
        unsafe { self.0.mask_load_ptr_f64s(MemMask::new(mask), from) }
    }

    #[inline(always)]
    unsafe fn store_some(self, mask: S::m64s, to: *mut f64, vector: S::f64s) {
        // SAFETY: the caller's.
        unsafe { self.0.mask_store_ptr_f64s(MemMask::new(mask), to, vector) }
    }
}
