//! Products of matrices on one thread, made for convolutions.
//!
//! `out = left right`. The rows of the left matrix lie anywhere, and its depth is a list of runs, so that the patches of
//! an image are multiplied where they lie, without being copied. The right matrix is cut into panels as wide as two
//! vectors; a block of rows times a panel stays in registers. Sums over the depth are taken in parts of a fixed length,
//! part after part, which keeps the error of long sums small. An element of the product depends on its row and its
//! column alone, to the last bit, never on the number of rows.
#![allow(unsafe_code)]
// Constant bounds and indices: iterators are not always inlined, and what is not is compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{Kernel, Lanes};
use crate::memory::to_write;
use crate::real::Real;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Numbers along the depth: `count` of them, `step` apart, from `at`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) at: usize,
    pub(crate) count: usize,
    pub(crate) step: usize,
}

/// The depth of a product, cut into the parts that are summed in one go.
#[derive(Debug, Clone)]
pub(crate) struct Depth {
    runs: Vec<Run>,
    /// For each part its runs, and where it starts along the depth.
    parts: Vec<(Range<usize>, Range<usize>)>,
    /// How far the runs reach: all offsets are below.
    reach: usize,
}

impl Depth {
    /// The depth made of these runs, in parts of at most `longest` numbers.
    pub(crate) fn new(whole: impl IntoIterator<Item = Run>, longest: usize) -> Self {
        let mut depth = Self { runs: Vec::new(), parts: Vec::new(), reach: 0 };
        let (mut first, mut start, mut filled) = (0, 0, 0);
        for mut run in joined(whole) {
            while run.count > 0 {
                let count = run.count.min(longest - filled);
                depth.runs.push(Run { count, ..run });
                depth.reach = depth.reach.max(run.at + (count - 1) * run.step + 1);
                run = Run { at: run.at + count * run.step, count: run.count - count, step: run.step };
                filled += count;
                if filled == longest {
                    depth.parts.push((first..depth.runs.len(), start..start + filled));
                    (first, start, filled) = (depth.runs.len(), start + filled, 0);
                }
            }
        }
        if filled > 0 || depth.parts.is_empty() {
            depth.parts.push((first..depth.runs.len(), start..start + filled));
        }
        depth
    }

    /// A single run.
    pub(crate) fn of(count: usize, step: usize, longest: usize) -> Self {
        Self::new([Run { at: 0, count, step }], longest)
    }

    pub(crate) fn count(&self) -> usize {
        self.parts.last().map_or(0, |(_, along)| along.end)
    }

    fn longest_part(&self) -> usize {
        self.parts.iter().map(|(_, along)| along.len()).max().unwrap_or(0)
    }
}

/// The same numbers in fewer runs: one that goes on where the last one ends is a part of it.
fn joined(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.step == run.step && last.at + last.count * last.step == run.at => {
                last.count += run.count
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// The left matrix: row r begins at `rows[r]` of the numbers, and has the depth's runs from there.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    pub(crate) numbers: &'a [T],
    pub(crate) rows: &'a [usize],
    pub(crate) depth: &'a Depth,
}

/// The right matrix.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a, T> {
    /// Cut into panels beforehand, to be used many times: panel after panel, each row by row, filled up with zeros.
    Panels { numbers: &'a [T], columns: usize },
    /// Rows that lie `step` apart.
    Rows { numbers: &'a [T], step: usize, columns: usize },
}

impl<T> Right<'_, T> {
    pub(crate) fn columns(&self) -> usize {
        match *self {
            Self::Panels { columns, .. } | Self::Rows { columns, .. } => columns,
        }
    }
}

/// Where the product goes: its row r to `rows[r]` of the numbers.
pub(crate) struct Out<'a, T> {
    pub(crate) numbers: &'a mut [MaybeUninit<T>],
    pub(crate) rows: &'a [usize],
}

impl<'a, T: Real> Out<'a, T> {
    /// Into memory that holds numbers.
    pub(crate) fn over(numbers: &'a mut [T], rows: &'a [usize]) -> Self {
        // SAFETY: a product writes numbers only.
        Self { numbers: unsafe { to_write(numbers) }, rows }
    }
}

/// Numbers in a vector of this processor.
pub(crate) fn lanes<T: Real>() -> usize {
    T::vectorize(Count)
}

struct Count;

impl<T> Kernel<T> for Count {
    type Output = usize;

    #[inline(always)]
    fn run<L: Lanes<T>>(self, _: L) -> usize {
        L::COUNT
    }
}

/// Width of the panel that begins at a column: two vectors, or one where that is enough for the rest.
pub(crate) fn panel_width(lanes: usize, column: usize, columns: usize) -> usize {
    if columns - column > lanes { 2 * lanes } else { lanes }
}

/// Columns of a matrix when its last panel is filled up.
pub(crate) fn padded_columns(lanes: usize, columns: usize) -> usize {
    columns.next_multiple_of(lanes)
}

/// Rows of the largest block.
const ROWS: usize = 12;

/// `out = left right`.
///
/// # Panics
/// Where a matrix reaches beyond its memory: callers check shapes before.
pub(crate) fn multiply<T: Real>(left: Left<'_, T>, right: Right<'_, T>, out: Out<'_, T>) {
    // SAFETY: nothing is added.
    unsafe { run(left, right, out, false) }
}

/// `out += left right`, row r of the product to `rows[r]` of `out`.
///
/// # Panics
/// As [`multiply`].
pub(crate) fn multiply_add<T: Real>(left: Left<'_, T>, right: Right<'_, T>, out: &mut [T], rows: &[usize]) {
    // SAFETY: `out` holds numbers.
    unsafe { run(left, right, Out::over(out, rows), true) }
}

/// # Safety
/// Where the product is to be added, all of `out` must have been written.
unsafe fn run<T: Real>(left: Left<'_, T>, right: Right<'_, T>, out: Out<'_, T>, add: bool) {
    let columns = right.columns();
    if left.rows.is_empty() || columns == 0 {
        return;
    }
    if left.depth.count() == 0 {
        let rows = if add { &[] } else { out.rows };
        return rows.iter().for_each(|&row| out.numbers[row..][..columns].fill(MaybeUninit::new(T::zero())));
    }
    check(&left, &right, &out);
    let (width, longest) = (2 * lanes::<T>(), left.depth.longest_part());
    let panel = if matches!(right, Right::Rows { .. }) { longest * width } else { 0 };
    T::with_buffer(panel + ROWS * width, |buffer| {
        let (panel, block) = buffer.split_at_mut(panel);
        T::vectorize(Multiply { left, right, out, add, panel, block });
    });
}

fn check<T: Real>(left: &Left<'_, T>, right: &Right<'_, T>, out: &Out<'_, T>) {
    let (last, depth) = (|rows: &[usize]| rows.iter().max().copied().unwrap_or(0), left.depth.count());
    assert_eq!(left.rows.len(), out.rows.len(), "the rows of a product differ");
    assert!(last(left.rows) + left.depth.reach <= left.numbers.len(), "a matrix reaches beyond its memory");
    assert!(last(out.rows) + right.columns() <= out.numbers.len(), "a product reaches beyond its memory");
    let fits = match *right {
        Right::Panels { numbers, columns } => numbers.len() == depth * padded_columns(lanes::<T>(), columns),
        Right::Rows { numbers, step, columns } => (depth - 1) * step + columns <= numbers.len(),
    };
    assert!(fits, "the depths of a product differ");
}

struct Multiply<'a, T> {
    left: Left<'a, T>,
    right: Right<'a, T>,
    out: Out<'a, T>,
    add: bool,
    /// Room for a part of a panel, where the right matrix has none.
    panel: &'a mut [T],
    /// Room for the sums of a block that is not written as a whole.
    block: &'a mut [T],
}

impl<T: Real> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(mut self, lanes: L) {
        let (columns, depth) = (self.right.columns(), self.left.depth);
        for (part, (runs, along)) in depth.parts.iter().enumerate() {
            let add = self.add || part > 0;
            let runs = &depth.runs[runs.clone()];
            for first in (0..columns).step_by(2 * L::COUNT) {
                let width = panel_width(L::COUNT, first, columns);
                let this = first..(first + width).min(columns);
                match self.right {
                    Right::Panels { numbers, .. } => {
                        let panel = &numbers[first * depth.count() + along.start * width..][..along.len() * width];
                        self.panel(lanes, runs, panel, this, add);
                    }
                    Right::Rows { numbers, step, .. } => {
                        let panel = std::mem::take(&mut self.panel);
                        fill_panel(lanes, panel, &numbers[along.start * step..], step, this.clone(), along.len());
                        self.panel(lanes, runs, panel, this, add);
                        self.panel = panel;
                    }
                }
            }
        }
    }
}

/// Copies some columns of `count` rows into a panel of a width, zeros beside them.
#[inline(always)]
fn fill_panel<T: Real, L: Lanes<T>>(
    lanes: L,
    panel: &mut [T],
    numbers: &[T],
    step: usize,
    columns: Range<usize>,
    count: usize,
) {
    let width = columns.len().next_multiple_of(L::COUNT);
    for (row, to) in panel.chunks_exact_mut(width).take(count).enumerate() {
        let from = &numbers[row * step + columns.start..][..columns.len()];
        let whole = columns.len() - columns.len() % L::COUNT;
        for at in (0..whole).step_by(L::COUNT) {
            // SAFETY: `whole` is at most the length of both.
            unsafe { lanes.store(to.as_mut_ptr().add(at), lanes.load(from.as_ptr().add(at))) };
        }
        for at in whole..width {
            to[at] = from.get(at).copied().unwrap_or(T::zero());
        }
    }
}

impl<T: Real> Multiply<'_, T> {
    /// All rows times the columns of a panel.
    #[inline(always)]
    fn panel<L: Lanes<T>>(&mut self, lanes: L, runs: &[Run], panel: &[T], columns: Range<usize>, add: bool) {
        // Accumulators, two vectors of the panel and one of the left matrix fill the registers.
        match (L::REGISTERS >= 32, columns.len() > L::COUNT) {
            (true, true) => self.blocks::<L, ROWS, 2>(lanes, runs, panel, columns, add),
            (true, false) => self.blocks::<L, ROWS, 1>(lanes, runs, panel, columns, add),
            (false, true) => self.blocks::<L, { ROWS / 2 }, 2>(lanes, runs, panel, columns, add),
            (false, false) => self.blocks::<L, { ROWS / 2 }, 1>(lanes, runs, panel, columns, add),
        }
    }

    /// Block after block of `R` rows times a panel of `C` vectors.
    #[inline(always)]
    fn blocks<L: Lanes<T>, const R: usize, const C: usize>(
        &mut self,
        lanes: L,
        runs: &[Run],
        panel: &[T],
        columns: Range<usize>,
        add: bool,
    ) {
        let base = self.left.numbers.as_ptr();
        for (rows, to) in self.left.rows.chunks(R).zip(self.out.rows.chunks(R)) {
            // Of rows that are not there the last one takes the place; their sums are dropped.
            // SAFETY: `check` has shown that every row with all runs lies within the numbers, and panels are of the
            // depth of the runs.
            let sums = unsafe {
                let mut starts = [base; R];
                for r in 0..R {
                    starts[r] = base.add(rows[r.min(rows.len() - 1)]);
                }
                block::<T, L, R, C>(lanes, starts, runs, panel.as_ptr())
            };
            let whole = to.len() == R && columns.len() == C * L::COUNT;
            let out = self.out.numbers.as_mut_ptr().cast::<T>().wrapping_add(columns.start);
            // Loops short enough to be unrolled, else the sums would not stay in registers.
            match (whole, add) {
                // SAFETY: `check` has shown that the columns of every row lie within `out`.
                (true, false) => unsafe {
                    for r in 0..R {
                        write(lanes, sums[r], out.add(to[r]));
                    }
                },
                // SAFETY: the same, and `out` is initialized where `add`.
                (true, true) => unsafe {
                    for r in 0..R {
                        write_added(lanes, sums[r], out.add(to[r]));
                    }
                },
                (false, _) => {
                    // SAFETY: the room is for the largest block.
                    unsafe {
                        for r in 0..R {
                            write(lanes, sums[r], self.block.as_mut_ptr().add(r * C * L::COUNT));
                        }
                    }
                    self.write_some(lanes, to, columns.clone(), C * L::COUNT, add);
                }
            }
        }
    }

    /// Writes, or adds, the first columns of the first rows of a block that was put aside.
    #[inline(always)]
    fn write_some<L: Lanes<T>>(&mut self, lanes: L, rows: &[usize], columns: Range<usize>, width: usize, add: bool) {
        for (sums, row) in self.block.chunks_exact(width).zip(rows) {
            let to = self.out.numbers[row + columns.start..][..columns.len()].as_mut_ptr().cast::<T>();
            for at in (0..columns.len()).step_by(L::COUNT) {
                let some = lanes.first(columns.len() - at);
                // SAFETY: a row of the block is whole vectors, and the columns end with those of `out`, which is initialized
                // where `add`.
                unsafe {
                    let sums = lanes.load(sums.as_ptr().add(at));
                    let all = if add { lanes.add(lanes.load_some(some, to.add(at)), sums) } else { sums };
                    lanes.store_some(some, to.add(at), all);
                }
            }
        }
    }
}

/// The sums over the runs of a block of rows times a panel.
///
/// # Safety
/// Every start must be valid for reads of all numbers of the runs, the panel for `C` vectors for each number of them.
#[inline(always)]
unsafe fn block<T: Real, L: Lanes<T>, const R: usize, const C: usize>(
    lanes: L,
    starts: [*const T; R],
    runs: &[Run],
    mut panel: *const T,
) -> [[L::Vector; C]; R] {
    let mut sums = [[lanes.splat(T::zero()); C]; R];
    for run in runs {
        let mut at = run.at;
        for _ in 0..run.count {
            // SAFETY: the caller's.
            unsafe {
                let mut right = [lanes.splat(T::zero()); C];
                for c in 0..C {
                    right[c] = lanes.load(panel.add(c * L::COUNT));
                }
                for r in 0..R {
                    let left = lanes.splat(*starts[r].add(at));
                    for c in 0..C {
                        sums[r][c] = lanes.mul_add(left, right[c], sums[r][c]);
                    }
                }
                panel = panel.add(C * L::COUNT);
            }
            at += run.step;
        }
    }
    sums
}

/// Writes the sums of a row.
///
/// # Safety
/// `to` must be valid for writes of `C` vectors.
#[inline(always)]
unsafe fn write<T: Real, L: Lanes<T>, const C: usize>(lanes: L, sums: [L::Vector; C], to: *mut T) {
    for c in 0..C {
        // SAFETY: the caller's.
        unsafe { lanes.store(to.add(c * L::COUNT), sums[c]) };
    }
}

/// Adds the sums of a row.
///
/// # Safety
/// `to` must be valid for reads and writes of `C` vectors.
#[inline(always)]
unsafe fn write_added<T: Real, L: Lanes<T>, const C: usize>(lanes: L, sums: [L::Vector; C], to: *mut T) {
    for c in 0..C {
        // SAFETY: the caller's.
        unsafe {
            let to = to.add(c * L::COUNT);
            lanes.store(to, lanes.add(lanes.load(to), sums[c]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::initialized;

    /// left (R, K) times right (K, C), both row by row, through panels and through rows.
    fn product(left: &[f64], right: &[f64], [rows, depth, columns]: [usize; 3], longest: usize) -> Vec<f64> {
        let starts: Vec<usize> = (0..rows).map(|row| row * depth).collect();
        let made: Vec<usize> = (0..rows).map(|row| row * columns).collect();
        let depth = Depth::of(depth, 1, longest);
        let left = Left { numbers: left, rows: &starts, depth: &depth };
        let mut out = vec![MaybeUninit::uninit(); rows * columns];
        let right = Right::Rows { numbers: right, step: columns, columns };
        multiply(left, right, Out { numbers: &mut out, rows: &made });
        // SAFETY: the product writes every element; under Miri or a sanitizer a missing one shows here.
        unsafe { initialized(&mut out) }.to_vec()
    }

    fn by_definition(left: &[f64], right: &[f64], [rows, depth, columns]: [usize; 3]) -> Vec<f64> {
        let element = |r: usize, c: usize| (0..depth).map(|k| left[r * depth + k] * right[k * columns + c]).sum();
        (0..rows * columns).map(|at| element(at / columns, at % columns)).collect()
    }

    /// Small whole numbers: every sum is exact, in any order.
    fn whole(count: usize, seed: usize) -> Vec<f64> {
        (0..count).map(|at| ((at * 31 + seed * 17) % 23) as f64 - 11.0).collect()
    }

    #[test]
    fn products_by_hand() {
        let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(product(&numbers, &numbers, [2, 3, 2], 8), [22.0, 28.0, 49.0, 64.0]);
        assert_eq!(product(&numbers, &numbers, [1, 3, 2], 8), [22.0, 28.0]);
        assert_eq!(product(&[], &[], [2, 0, 2], 8), [0.0; 4]);
    }

    #[test]
    fn every_size_of_block_and_part() {
        for sizes in [[1, 1, 1], [5, 7, 3], [6, 9, 8], [13, 40, 17], [25, 33, 31], [12, 64, 32], [30, 5, 70]] {
            let [rows, depth, columns] = sizes;
            let (left, right) = (whole(rows * depth, 1), whole(depth * columns, 2));
            for longest in [1, 4, 32, 1000] {
                assert_eq!(product(&left, &right, sizes, longest), by_definition(&left, &right, sizes), "{sizes:?}");
            }
        }
    }

    #[test]
    fn rows_and_runs_may_lie_anywhere() {
        let left = whole(40, 1);
        let runs = [Run { at: 0, count: 2, step: 3 }, Run { at: 20, count: 3, step: 1 }];
        let seen = [0, 3, 20, 21, 22];
        let (starts, right) = ([7, 1, 7], whole(5 * 3, 2));
        let gathered: Vec<f64> = starts.iter().flat_map(|start| seen.map(|at| left[start + at])).collect();
        let depth = Depth::new(runs, 2);
        let mut out = vec![1.0; 20];
        let left = Left { numbers: &left, rows: &starts, depth: &depth };
        let right_rows = Right::Rows { numbers: &right, step: 3, columns: 3 };
        multiply_add(left, right_rows, &mut out, &[10, 0, 17]);
        let expected = by_definition(&gathered, &right, [3, 5, 3]);
        for (row, at) in [10, 0, 17].into_iter().enumerate() {
            let sums: Vec<f64> = expected[row * 3..][..3].iter().map(|v| v + 1.0).collect();
            assert_eq!(out[at..at + 3], sums);
        }
        assert_eq!(out[3..10], [1.0; 7]);
    }

    #[test]
    #[should_panic(expected = "beyond its memory")]
    fn a_product_beyond_its_memory_is_refused() {
        let (depth, ones) = (Depth::of(2, 1, 8), [1.0; 4]);
        let left = Left { numbers: &ones, rows: &[0, 2], depth: &depth };
        let right = Right::Rows { numbers: &ones, step: 2, columns: 2 };
        multiply(left, right, Out { numbers: &mut [MaybeUninit::new(0.0); 3], rows: &[0, 2] });
    }
}
