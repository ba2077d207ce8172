//! Sums over rectangles of input pixels, weighted by row and by column: pooling over windows of any size, interpolation,
//! and the gradients of both.
//!
//! Every such map is given by its terms along an axis: for each output position the input positions that it sees, with
//! their weights. The weight of a pixel is that of its row times that of its column.
#![allow(unsafe_code)]

use crate::Result;
use crate::memory::{Dense, four, numbers, tensor, wrong_shape};
use crate::real::{LANES, Real, lanes, simd};
use candle_core::Tensor;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers that one task reads or writes, at least.
const CHUNK: usize = 1 << 14;

/// An input position and its weight.
type Term<T> = (usize, T);

/// The terms of output position `at` (third) along an axis of some input (first) and output (second) size.
pub(crate) trait Terms: Fn(usize, usize, usize) -> Vec<Term<f64>> {}

impl<F: Fn(usize, usize, usize) -> Vec<Term<f64>>> Terms for F {}

/// The map of `x` (N, C, H, W) to (N, C, `size`).
pub(crate) fn resample<T: Real>(op: &'static str, x: &Tensor, size: [usize; 2], terms: impl Terms) -> Result<Tensor> {
    let [_, _, h, w] = four(op, "x", x.dims())?;
    check_sizes(op, [h, w], size)?;
    let axis = |axis: usize| Axis::new([h, w][axis], size[axis], &terms);
    apply::<T>(op, x, axis(0), axis(1))
}

/// The gradient of [`resample`] with respect to its input of shape `input`: the transposed map of `grad`.
pub(crate) fn resample_backward<T: Real>(
    op: &'static str,
    grad: &Tensor,
    input: &[usize],
    terms: impl Terms,
) -> Result<Tensor> {
    let ([n, c, h, w], [grad_n, grad_c, out_h, out_w]) = (four(op, "input", input)?, four(op, "grad", grad.dims())?);
    if [grad_n, grad_c] != [n, c] {
        let given = format!("grad {:?} and input {input:?}", grad.dims());
        return Err(wrong_shape(op, given, "the same pictures and channels"));
    }
    check_sizes(op, [h, w], [out_h, out_w])?;
    let axis = |axis: usize| Axis::new([h, w][axis], [out_h, out_w][axis], &terms).transposed();
    apply::<T>(op, grad, axis(0), axis(1))
}

/// Refuses images without positions, and those of so many that sums of positions would not fit.
fn check_sizes(op: &'static str, input: [usize; 2], output: [usize; 2]) -> Result<()> {
    let fits = |[h, w]: [usize; 2]| h.checked_mul(w).is_some_and(|plane| (1..1 << 31).contains(&plane));
    if fits(input) && fits(output) {
        return Ok(());
    }
    Err(wrong_shape(op, format!("{input:?} positions to {output:?}"), "at least 1x1 and fewer than 2^31 of both"))
}

/// The map along one axis.
struct Axis<T> {
    /// Positions of the input.
    inputs: usize,
    /// The terms of every position of the output.
    terms: Vec<Vec<Term<T>>>,
}

impl<T: Real> Axis<T> {
    fn new(inputs: usize, outputs: usize, terms: impl Terms) -> Self {
        let rounded = |(at, weight): Term<f64>| (at, T::from_f64(weight));
        let of = |output: usize| terms(inputs, outputs, output).into_iter().map(rounded).collect();
        Self { inputs, terms: (0..outputs).map(of).collect() }
    }

    /// Every term the other way, those of a position in the order of the outputs.
    fn transposed(&self) -> Self {
        let mut terms = vec![Vec::new(); self.inputs];
        for (output, of_output) in self.terms.iter().enumerate() {
            of_output.iter().for_each(|&(input, weight)| terms[input].push((output, weight)));
        }
        Self { inputs: self.terms.len(), terms }
    }
}

/// The map along both axes.
struct Map<T> {
    channels: usize,
    rows: Axis<T>,
    columns: Axis<T>,
}

fn apply<T: Real>(op: &'static str, x: &Tensor, rows: Axis<T>, columns: Axis<T>) -> Result<Tensor> {
    let [n, channels, _, _] = four(op, "x", x.dims())?;
    let shape = [n, channels, rows.terms.len(), columns.terms.len()];
    let dense = Dense::new::<T>(op, x)?;
    let (storage, layout) = dense.storage();
    tensor(Map { channels, rows, columns }.images(numbers(&storage, layout)?, n), &shape)
}

impl<T: Real> Map<T> {
    /// Numbers of an input image.
    fn image(&self) -> usize {
        self.rows.inputs * self.columns.inputs * self.channels
    }

    /// Rows of the output that make a task; a rule on the shape alone.
    fn rows_per_task(&self) -> usize {
        let written = self.columns.terms.len() * self.channels;
        let read = self.image() / self.rows.terms.len();
        (CHUNK / written.max(read).max(1)).max(1)
    }

    /// All images, in the order of memory.
    fn images(&self, values: &[T], n: usize) -> Vec<T> {
        let (height, image) = (self.rows.terms.len(), self.image());
        let row = self.columns.terms.len() * self.channels;
        let rows = self.rows_per_task();
        let mut out = Box::new_uninit_slice(n * height * row);
        out.par_chunks_mut((rows * row).max(1)).enumerate().for_each(|(task, out)| {
            T::with_buffer(self.columns.inputs * self.channels, |buffer| {
                let first = task * rows;
                simd(
                    #[inline(always)]
                    || {
                        for (line, out) in out.chunks_exact_mut(row).enumerate() {
                            let (n, y) = ((first + line) / height, (first + line) % height);
                            self.row(&values[n * image..][..image], y, buffer, out);
                        }
                    },
                );
            });
        });
        // SAFETY: `row` writes every channel of every pixel of the rows it is given, and the chunks of whole rows cover all.
        unsafe { out.assume_init() }.into_vec()
    }

    /// One row of the output.
    #[inline(always)]
    fn row(&self, image: &[T], y: usize, buffer: &mut [T], out: &mut [MaybeUninit<T>]) {
        let line = self.line(image, y, buffer);
        let pixel = |at: usize| &line[at * self.channels..][..self.channels];
        for (terms, out) in self.columns.terms.iter().zip(out.chunks_exact_mut(self.channels)) {
            match terms[..] {
                [(at, weight)] => {
                    for (out, &value) in out.iter_mut().zip(pixel(at)) {
                        out.write(weight * value);
                    }
                }
                [(a, u), (b, v)] => {
                    for ((out, &a), &b) in out.iter_mut().zip(pixel(a)).zip(pixel(b)) {
                        out.write(u * a + v * b);
                    }
                }
                _ => sums(line, terms, out),
            }
        }
    }

    /// The sum of input rows that output row `y` is made of; a single row of weight 1 is used as it lies.
    #[inline(always)]
    fn line<'a>(&self, image: &'a [T], y: usize, line: &'a mut [T]) -> &'a [T] {
        let width = self.columns.inputs * self.channels;
        let row = |at: usize| &image[at * width..][..width];
        match self.rows.terms[y][..] {
            [] => line.fill(T::zero()),
            [(at, weight)] if weight == T::one() => return row(at),
            [(at, weight)] => {
                for (sum, &value) in line.iter_mut().zip(row(at)) {
                    *sum = weight * value;
                }
            }
            [(a, u), (b, v), ref rest @ ..] => {
                for ((sum, &a), &b) in line.iter_mut().zip(row(a)).zip(row(b)) {
                    *sum = u * a + v * b;
                }
                for &(at, weight) in rest {
                    for (sum, &value) in line.iter_mut().zip(row(at)) {
                        *sum += weight * value;
                    }
                }
            }
        }
        line
    }
}

/// One output pixel of any number of terms.
#[inline(always)]
fn sums<T: Real>(line: &[T], terms: &[Term<T>], out: &mut [MaybeUninit<T>]) {
    let whole = out.len() - out.len() % LANES;
    for start in (0..whole).step_by(LANES) {
        some_sums::<T, LANES>(line, terms, start, out);
    }
    for start in whole..out.len() {
        some_sums::<T, 1>(line, terms, start, out);
    }
}

/// `L` channels of it from `start`.
#[inline(always)]
fn some_sums<T: Real, const L: usize>(line: &[T], terms: &[Term<T>], start: usize, out: &mut [MaybeUninit<T>]) {
    let mut sums = [T::zero(); L];
    for &(at, weight) in terms {
        let values: [T; L] = lanes(line, at * out.len() + start);
        for lane in 0..L {
            sums[lane] += weight * values[lane];
        }
    }
    out[start..start + L].copy_from_slice(&sums.map(MaybeUninit::new));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
    use crate::{
        Interpolation, OpError, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, upsample2d, upsample2d_backward,
    };

    type Forward = fn(&Tensor, [usize; 2]) -> Result<Tensor>;
    type Backward = fn(&Tensor, &[usize]) -> Result<Tensor>;

    const CORNERS: Interpolation = Interpolation::Bilinear { align_corners: true };
    const EDGES: Interpolation = Interpolation::Bilinear { align_corners: false };

    /// Every map, and its gradient.
    const MAPS: [(Forward, Backward); 4] = [
        (adaptive_avg_pool2d, adaptive_avg_pool2d_backward),
        (
            |x, size| upsample2d(x, size, Interpolation::Nearest),
            |g, input| upsample2d_backward(g, input, Interpolation::Nearest),
        ),
        (|x, size| upsample2d(x, size, EDGES), |g, input| upsample2d_backward(g, input, EDGES)),
        (|x, size| upsample2d(x, size, CORNERS), |g, input| upsample2d_backward(g, input, CORNERS)),
    ];

    /// Larger, smaller, both, the same, a multiple, a part, sizes of 1 before and after, more channels than lanes.
    const CASES: [([usize; 4], [usize; 2]); 10] = [
        ([2, 3, 4, 5], [7, 9]),
        ([1, 2, 9, 7], [4, 3]),
        ([1, 2, 5, 8], [8, 5]),
        ([2, 2, 3, 4], [3, 4]),
        ([1, 2, 3, 2], [6, 6]),
        ([1, 2, 6, 8], [3, 2]),
        ([1, 2, 1, 1], [3, 4]),
        ([2, 1, 5, 6], [1, 1]),
        ([1, 1, 1, 1], [1, 1]),
        ([1, 18, 3, 1], [2, 5]),
    ];

    #[test]
    fn gradients_are_central_differences() {
        for (shape, size) in CASES {
            for (forward, backward) in MAPS {
                let x = noise(&shape, 1);
                let y = forward(&x, size).unwrap();
                assert_eq!(y.dims(), [shape[0], shape[1], size[0], size[1]]);
                let upstream = noise(y.dims(), 2);
                let grad = backward(&upstream, &shape).unwrap();
                assert_gradient(&x, &upstream, &grad, |x| forward(x, size).unwrap());
            }
        }
    }

    /// Where no size changes, every map leaves its input as it is.
    #[test]
    fn the_same_size_is_the_identity() {
        let x = to_f32(&noise(&[2, 18, 5, 7], 1));
        for (forward, backward) in MAPS {
            assert_eq!(bits(&forward(&x, [5, 7]).unwrap()), bits(&x));
            assert_eq!(bits(&backward(&x, x.dims()).unwrap()), bits(&x));
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        for (size, (forward, backward)) in [[9, 30], [45, 30]].into_iter().flat_map(|size| MAPS.map(|map| (size, map)))
        {
            let x = to_f32(&noise(&[9, 18, 31, 20], 1));
            let y = forward(&x, size).unwrap();
            let input = backward(&y, x.dims()).unwrap();
            assert!([&y, &input].iter().all(|t| t.permute((0, 2, 3, 1)).unwrap().is_contiguous()));
            for (x, grad) in layouts(&x).iter().zip(&layouts(&y)) {
                assert_eq!(bits(&forward(x, size).unwrap()), bits(&y));
                assert_eq!(bits(&backward(grad, x.dims()).unwrap()), bits(&input));
            }
            for (start, count) in [(0, 1), (4, 5)] {
                let part = forward(&x.narrow(0, start, count).unwrap(), size).unwrap();
                assert_eq!(bits(&part), bits(&y.narrow(0, start, count).unwrap()));
            }
            assert_same_on_all_threads(|| vec![forward(&x, size).unwrap(), backward(&y, x.dims()).unwrap()]);
        }
    }

    #[test]
    fn nothing_in_nothing_out() {
        for (forward, backward) in MAPS {
            for shape in [[0, 3, 4, 4], [2, 0, 4, 4]] {
                let y = forward(&noise(&shape, 1), [3, 5]).unwrap();
                assert_eq!(y.dims(), [shape[0], shape[1], 3, 5]);
                assert_eq!(backward(&y, &shape).unwrap().dims(), shape);
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        for (forward, backward) in MAPS {
            let x = noise(&[1, 2, 4, 4], 1);
            let error = forward(&x, [0, 3]).unwrap_err().to_string();
            assert!(error.contains("[4, 4] positions to [0, 3]"), "{error}");
            for size in [[3, 0], [1 << 20, 1 << 20], [usize::MAX, 2]] {
                assert!(matches!(forward(&x, size), Err(OpError::Shape { .. })));
            }
            for (x, input) in [(&[2, 2][..], &[2, 2][..]), (&[1, 2, 0, 4], &[1, 2, 0, 4])] {
                assert!(matches!(forward(&noise(x, 1), [2, 2]), Err(OpError::Shape { .. })));
                assert!(matches!(backward(&noise(x, 1), input), Err(OpError::Shape { .. })));
            }
            let error = backward(&x, &[1, 3, 8, 8]).unwrap_err().to_string();
            assert!(error.contains("[1, 2, 4, 4]") && error.contains("[1, 3, 8, 8]"), "{error}");
            let numbers = x.to_dtype(candle_core::DType::U8).unwrap();
            assert!(matches!(forward(&numbers, [2, 2]), Err(OpError::Unsupported { .. })));
        }
    }

    /// A pixel that is not a number reaches the outputs that see it, as the gradient says, and no others.
    #[test]
    fn nan_reaches_the_outputs_that_see_it() {
        for (forward, backward) in MAPS {
            let mut numbers = vec![1.0; 20];
            numbers[6] = f64::NAN;
            let x = tensor64(&numbers, &[1, 1, 4, 5]);
            let seen = list(&forward(&x, [3, 4]).unwrap());
            for (at, y) in seen.iter().enumerate() {
                let mut upstream = vec![0.0; 12];
                upstream[at] = 1.0;
                let grad = backward(&tensor64(&upstream, &[1, 1, 3, 4]), x.dims()).unwrap();
                assert_eq!(y.is_nan(), list(&grad)[6] != 0.0, "output {at}");
            }
        }
    }
}
