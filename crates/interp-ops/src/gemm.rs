//! Products of matrices on one thread, over the `gemm` crate.
//!
//! A row of a product never depends on the number of rows: `gemm` takes other ways of summation for single rows, single
//! columns, small products of two operands that both lie along the depth, and blocks the depth by the size of the
//! product. Here nothing has a single row or column, the depth is blocked by its length alone, and callers keep one of
//! the operands across the depth.
#![allow(unsafe_code)]

use crate::real::Real;
use std::mem::MaybeUninit;

/// The longest depth that `gemm` sums in one go whatever the other sizes are.
const DEPTH: usize = 512;

/// A matrix in a slice: element (r, c) at `r * row_step + c * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a, T: Real> View<'a, T> {
    /// A matrix whose rows lie `row_step` apart.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize, row_step: usize) -> Self {
        let view = Self { data, rows, columns, row_step, column_step: 1 };
        assert!(rows == 0 || columns == 0 || view.last() < data.len(), "a matrix reaches beyond its memory");
        view
    }

    /// The same memory with rows for columns.
    pub(crate) fn transposed(self) -> Self {
        let Self { data, rows, columns, row_step, column_step } = self;
        Self { data, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }

    fn last(&self) -> usize {
        (self.rows - 1) * self.row_step + (self.columns - 1) * self.column_step
    }

    /// The columns from `start`, at most `count` of them.
    fn depth_of_left(self, start: usize, count: usize) -> Self {
        Self { data: self.data.get(start * self.column_step..).unwrap_or_default(), columns: count, ..self }
    }

    fn depth_of_right(self, start: usize, count: usize) -> Self {
        Self { data: self.data.get(start * self.row_step..).unwrap_or_default(), rows: count, ..self }
    }
}

/// `out = a b`, row r of the result at `r * step` of `out`.
pub(crate) fn multiply<T: Real>(a: View<'_, T>, b: View<'_, T>, out: &mut [MaybeUninit<T>], step: usize) {
    if a.rows == 1 || b.columns == 1 {
        return multiply_thin(a, b, out, step);
    }
    check(&a, &b, out.len(), step);
    // SAFETY: `check` has shown that every element of the product lies within `out`; none is read before it is written.
    unsafe { multiply_blocks(a, b, out.as_mut_ptr().cast(), step, false) }
}

/// [`multiply`] into memory that holds numbers, which are overwritten.
pub(crate) fn multiply_over<T: Real>(a: View<'_, T>, b: View<'_, T>, out: &mut [T], step: usize) {
    // SAFETY: the layout is that of `T`, and `multiply` writes numbers only.
    multiply(a, b, unsafe { &mut *(std::ptr::from_mut(out) as *mut [MaybeUninit<T>]) }, step);
}

/// `out += a b`, row r of the result at `r * step` of `out`.
pub(crate) fn multiply_add<T: Real>(a: View<'_, T>, b: View<'_, T>, out: &mut [T], step: usize) {
    check(&a, &b, out.len(), step);
    // SAFETY: `check` has shown that every element of the product lies within `out`, which is initialized.
    unsafe { multiply_blocks(a, b, out.as_mut_ptr(), step, true) }
}

/// A product with a single row or column: it is taken twice (by a step of zero), the second copy is dropped.
fn multiply_thin<T: Real>(a: View<'_, T>, b: View<'_, T>, out: &mut [MaybeUninit<T>], step: usize) {
    let double_a = if a.rows == 1 { View { rows: 2, row_step: 0, ..a } } else { a };
    let double_b = if b.columns == 1 { View { columns: 2, column_step: 0, ..b } } else { b };
    let width = double_b.columns;
    let mut product = vec![MaybeUninit::new(T::zero()); double_a.rows * width];
    multiply(double_a, double_b, &mut product, width);
    for (row, product) in product.chunks_exact(width).take(a.rows).enumerate() {
        out[row * step..][..b.columns].copy_from_slice(&product[..b.columns]);
    }
}

fn check<T: Real>(a: &View<'_, T>, b: &View<'_, T>, out: usize, step: usize) {
    assert_eq!(a.columns, b.rows, "the depths of a product differ");
    assert!(step >= b.columns, "rows of a product overlap");
    let empty = a.rows == 0 || b.columns == 0;
    assert!(empty || (a.rows - 1) * step + b.columns <= out, "a product reaches beyond its memory");
}

/// # Safety
/// `out` must be valid for writes of the whole product, and for reads where `add`.
unsafe fn multiply_blocks<T: Real>(a: View<'_, T>, b: View<'_, T>, out: *mut T, step: usize, add: bool) {
    let blocks = a.columns.div_ceil(DEPTH).max(1);
    let size = a.columns.div_ceil(blocks);
    for block in 0..blocks {
        let start = block * size;
        let count = size.min(a.columns - start);
        let (a, b) = (a.depth_of_left(start, count), b.depth_of_right(start, count));
        // SAFETY: the caller's, and views are within their memory by construction.
        unsafe { multiply_block(a, b, out, step, add || block > 0) };
    }
}

/// # Safety
/// As [`multiply_blocks`].
unsafe fn multiply_block<T: Real>(a: View<'_, T>, b: View<'_, T>, out: *mut T, step: usize, add: bool) {
    // SAFETY: the pointers cover the matrices of these sizes and steps (`View::new`, `check`), `out` is not read unless
    // `add`, and `T` is `f32` or `f64`, which `gemm` knows.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            step as isize,
            add,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::initialized;

    fn product(a: View<'_, f64>, b: View<'_, f64>) -> Vec<f64> {
        let mut out = vec![MaybeUninit::uninit(); a.rows * b.columns];
        multiply(a, b, &mut out, b.columns);
        // SAFETY: the product writes every element; under Miri or a sanitiser a missing one shows here.
        unsafe { initialized(&mut out) }.to_vec()
    }

    #[test]
    fn products_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b_turned = View::new(&b, 2, 3, 3).transposed();
        assert_eq!(product(View::new(&a, 2, 3, 3), View::new(&b, 3, 2, 2)), [22.0, 28.0, 49.0, 64.0]);
        assert_eq!(product(View::new(&a, 2, 3, 3), b_turned), [14.0, 32.0, 32.0, 77.0]);
        assert_eq!(product(View::new(&a, 1, 3, 3), View::new(&b, 3, 1, 2)), [22.0]);
        assert_eq!(product(View::new(&a, 2, 0, 3), View::new(&b, 0, 2, 2)), [0.0; 4]);
    }

    #[test]
    fn rows_may_lie_apart_and_be_added_to() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 1.0]);
        let mut out = [10.0, 20.0, 30.0, 40.0, 50.0];
        multiply_add(View::new(&a, 2, 2, 2), View::new(&b, 2, 2, 2), &mut out, 3);
        assert_eq!(out, [11.0, 22.0, 30.0, 43.0, 54.0]);
    }

    #[test]
    fn a_long_depth_is_summed_in_blocks() {
        let ones = vec![1.0; 2 * 1500];
        assert_eq!(product(View::new(&ones, 2, 1500, 1500), View::new(&ones, 1500, 2, 2)), [1500.0; 4]);
    }

    #[test]
    #[should_panic(expected = "beyond its memory")]
    fn a_product_beyond_its_memory_is_refused() {
        let ones = [1.0; 4];
        multiply(View::new(&ones, 2, 2, 2), View::new(&ones, 2, 2, 2), &mut [MaybeUninit::new(0.0); 3], 2);
    }
}
