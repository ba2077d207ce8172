//! B-cos convolution: what a filter finds counts by how well the patch is aligned with it.

use crate::conv2d::conv2d_input_gradient;
use crate::memory::{Dense, check_kind, expect_shape, four, numbers, tensor};
use crate::real::{LANES, Real, by_dtype, simd};
use crate::{
    Conv2d, OpError, Pool2d, Result, Wanted, WeightGrads, avg_pool2d, avg_pool2d_backward, conv2d, conv2d_backward,
};
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// How a B-cos convolution moves over its input, and how much alignment counts; pairs are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BCosConv2d {
    /// Steps between output positions, at least 1.
    pub stride: [usize; 2],
    /// Zeros added at every side, at most half a filter.
    pub padding: [usize; 2],
    /// The B of the name, at least 1: with 1 it is a convolution with filters of length 1.
    pub exponent: f64,
}

/// Added to the squared norm of a patch.
const EPS: f64 = 1e-6;

/// Pixels that one task treats.
const PIXELS: usize = 256;

/// y = u |u / n|^(B - 1): u is the [`conv2d`] of `x` (N, I, H, W) with the filters of `weight` (O, I, KH, KW) scaled to length
/// 1, and n the norm of the patch that a filter sees, sqrt(sum of x^2 + 1e-6), so that u / n is the cosine between both: (N, O,
/// OH, OW) (Böhle et al. 2022, arXiv 2205.10268, eq. 3). A filter of zeros gives zeros.
///
/// # Errors
/// [`OpError::Shape`] where the shapes do not fit each other or the padding is more than half a filter, [`OpError::Value`] for an
/// exponent below 1, [`OpError::Unsupported`] for another type or device.
pub fn bcos_conv2d(x: &Tensor, weight: &Tensor, bcos: &BCosConv2d) -> Result<Tensor> {
    by_dtype!("bcos_conv2d", x, forward(x, weight, bcos))
}

/// The gradients of [`bcos_conv2d`], from its `output`; there is no bias.
///
/// # Errors
/// As [`bcos_conv2d`].
pub fn bcos_conv2d_backward(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    grad: &Tensor,
    bcos: &BCosConv2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    by_dtype!("bcos_conv2d_backward", x, backward(x, weight, output, grad, bcos, wanted))
}

/// The gradient of [`bcos_conv2d`] with respect to its input where the powers of cosines are held as they are: with them the
/// operation is a linear map W(x), and W(x) x its output.
///
/// # Errors
/// As [`bcos_conv2d`].
pub fn bcos_conv2d_held_backward(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    grad: &Tensor,
    bcos: &BCosConv2d,
) -> Result<Tensor> {
    by_dtype!("bcos_conv2d_held_backward", x, held_backward(x, weight, output, grad, bcos))
}

impl BCosConv2d {
    fn conv(&self) -> Conv2d {
        Conv2d { stride: self.stride, padding: self.padding, ..Conv2d::default() }
    }

    fn check(&self, op: &'static str) -> Result<()> {
        if self.exponent >= 1.0 && self.exponent.is_finite() {
            return Ok(());
        }
        Err(OpError::Value { op, given: format!("exponent {}", self.exponent), expected: "a number from 1 on".into() })
    }

    /// The power of |output / n| that |cosine|^(B - 1) is.
    fn power_of_output(&self) -> f64 {
        (self.exponent - 1.0) / self.exponent
    }
}

fn forward<T: Real>(x: &Tensor, weight: &Tensor, bcos: &BCosConv2d) -> Result<Tensor> {
    const OP: &str = "bcos_conv2d";
    let along = conv2d(x, &Filters::new::<T>(OP, weight)?.unit, None, &bcos.conv())?;
    let mut inverse_norms = Patches::<T>::new(OP, x, weight, bcos)?.inverse_norms;
    let dense = Dense::new::<T>(OP, &along)?;
    let (storage, layout) = dense.storage();
    let products = numbers::<T>(&storage, layout)?;
    let power = bcos.exponent - 1.0;
    let out = by_pixel(
        products.len(),
        &mut inverse_norms,
        #[inline(always)]
        |products_at, out, inverse_norm| {
            let products = &products[products_at];
            powers(out, products, *inverse_norm, power);
            out.iter_mut().zip(products).for_each(|(out, &u)| *out *= u);
        },
    );
    tensor(out, along.dims())
}

fn held_backward<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    grad: &Tensor,
    bcos: &BCosConv2d,
) -> Result<Tensor> {
    const OP: &str = "bcos_conv2d_held_backward";
    let filters = Filters::new::<T>(OP, weight)?;
    let patches = Patches::<T>::new(OP, x, weight, bcos)?;
    let (through, _) = patches.through(OP, output, grad, bcos, 1.0)?;
    conv2d_input_gradient::<T>(OP, &filters.unit, &through, x.dims(), &bcos.conv())
}

fn backward<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    output: &Tensor,
    grad: &Tensor,
    bcos: &BCosConv2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    const OP: &str = "bcos_conv2d_backward";
    let filters = Filters::new::<T>(OP, weight)?;
    let patches = Patches::<T>::new(OP, x, weight, bcos)?;
    let (through, pulls) = patches.through(OP, output, grad, bcos, bcos.exponent)?;
    let found = conv2d_backward(x, &filters.unit, &through, &bcos.conv(), Wanted { bias: false, ..wanted })?;
    Ok(WeightGrads {
        input: found.input.map(|below| patches.with_pulls(OP, x, &below, pulls)).transpose()?,
        weight: found.weight.map(|of_unit| filters.gradient::<T>(&of_unit)).transpose()?,
        bias: None,
    })
}

/// The filters of a weight.
struct Filters {
    /// Scaled to length 1, (O, I, KH, KW).
    unit: Tensor,
    lengths: Vec<f64>,
}

impl Filters {
    fn new<T: Real>(op: &'static str, weight: &Tensor) -> Result<Self> {
        check_kind(op, weight, T::DTYPE)?;
        let values = flat(weight)?;
        let rows = values.chunks_exact(width_of(weight));
        let lengths: Vec<f64> = rows.clone().map(|w| w.iter().map(|w| w * w).sum::<f64>().sqrt()).collect();
        let scaled = rows.zip(&lengths).flat_map(|(row, &length)| row.iter().map(move |w| over(*w, length)));
        Ok(Self { unit: like::<T>(weight, scaled)?, lengths })
    }

    /// The gradient of the weight from that of the filters of length 1: what turns a filter, over its length.
    fn gradient<T: Real>(&self, of_unit: &Tensor) -> Result<Tensor> {
        let (unit, grads, width) = (flat(&self.unit)?, flat(of_unit)?, width_of(of_unit));
        let rows = unit.chunks_exact(width).zip(grads.chunks_exact(width)).zip(&self.lengths);
        let turning = rows.flat_map(|((unit, grads), &length)| {
            let along: f64 = unit.iter().zip(grads).map(|(w, g)| w * g).sum();
            unit.iter().zip(grads).map(move |(w, g)| over(g - along * w, length))
        });
        like::<T>(of_unit, turning)
    }
}

/// Numbers of a filter.
fn width_of(weight: &Tensor) -> usize {
    weight.dims().iter().skip(1).product::<usize>().max(1)
}

/// value / length, and 0 for a filter without length.
fn over(value: f64, length: f64) -> f64 {
    if length == 0.0 { 0.0 } else { value / length }
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// A tensor of the same shape, row by row.
fn like<T: Real>(tensor: &Tensor, values: impl Iterator<Item = f64>) -> Result<Tensor> {
    let values: Vec<T> = values.map(T::from_f64).collect();
    Ok(Tensor::from_vec(values, tensor.dims(), tensor.device())?)
}

/// What the filters see.
struct Patches<T> {
    windows: Pool2d,
    /// 1 / n of every patch.
    inverse_norms: Vec<T>,
}

impl<T: Real> Patches<T> {
    fn new(op: &'static str, x: &Tensor, weight: &Tensor, bcos: &BCosConv2d) -> Result<Self> {
        let ([n, c, h, w], [_, _, rows, columns]) = (four(op, "x", x.dims())?, four(op, "weight", weight.dims())?);
        bcos.check(op)?;
        let windows = Pool2d { kernel: [rows, columns], stride: bcos.stride, padding: bcos.padding, ceil_mode: false };
        let dense = Dense::new::<T>(op, x)?;
        let (storage, layout) = dense.storage();
        let squares = squares(numbers::<T>(&storage, layout)?, c, n * h * w);
        let means = Dense::new::<T>(op, &avg_pool2d(&tensor(squares, &[n, 1, h, w])?, &windows)?)?;
        let (storage, layout) = means.storage();
        let inverse_norm = |mean: &T| T::from_f64(1.0 / (mean.to_f64() * (rows * columns) as f64 + EPS).sqrt());
        let inverse_norms = numbers::<T>(&storage, layout)?.par_iter().map(inverse_norm).collect();
        Ok(Self { windows, inverse_norms })
    }

    /// `factor` |cosine|^(B - 1) `grad`, and for every patch (1 - B) / n^2 times the sum of `grad` times `output`: what x is to
    /// be multiplied with for its share in the norm.
    fn through(
        &self,
        op: &'static str,
        output: &Tensor,
        grad: &Tensor,
        bcos: &BCosConv2d,
        factor: f64,
    ) -> Result<(Tensor, Vec<T>)> {
        expect_shape(op, "grad", grad, output.dims())?;
        let (dense_output, dense_grad) = (Dense::new::<T>(op, output)?, Dense::new::<T>(op, grad)?);
        let ((storage, layout), (storage_grad, layout_grad)) = (dense_output.storage(), dense_grad.storage());
        let (outputs, grads) = (numbers::<T>(&storage, layout)?, numbers::<T>(&storage_grad, layout_grad)?);
        let (power, factor) = (bcos.power_of_output(), T::from_f64(factor));
        let share = T::from_f64(1.0 - bcos.exponent);
        let mut pulls = self.inverse_norms.clone();
        let through = by_pixel(
            outputs.len(),
            &mut pulls,
            #[inline(always)]
            |at, through, pull| {
                let (outputs, grads) = (&outputs[at.clone()], &grads[at]);
                powers(through, outputs, *pull, power);
                through.iter_mut().zip(grads).for_each(|(through, &g)| *through *= factor * g);
                *pull *= *pull * share * dot(outputs, grads);
            },
        );
        Ok((tensor(through, output.dims())?, pulls))
    }

    /// `below`, and what comes by the norms: x times the sum of `pulls` over the patches that see it.
    fn with_pulls(&self, op: &'static str, x: &Tensor, below: &Tensor, pulls: Vec<T>) -> Result<Tensor> {
        let [n, c, h, w] = four(op, "x", x.dims())?;
        let [rows, columns] = self.windows.output_size([h, w]).unwrap_or_default();
        let mean = avg_pool2d_backward(&tensor(pulls, &[n, 1, rows, columns])?, &[n, 1, h, w], &self.windows)?;
        let (dense_x, dense_below) = (Dense::new::<T>(op, x)?, Dense::new::<T>(op, below)?);
        let ((storage_x, layout_x), (storage, layout)) = (dense_x.storage(), dense_below.storage());
        let (x, below) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage, layout)?);
        let cells = T::from_f64(self.windows.kernel.iter().product::<usize>() as f64);
        let dense_mean = Dense::new::<T>(op, &mean)?;
        let (storage_mean, layout_mean) = dense_mean.storage();
        let mut means = numbers::<T>(&storage_mean, layout_mean)?.to_vec();
        let sums = by_pixel(
            x.len(),
            &mut means,
            #[inline(always)]
            |at, out, mean| {
                let sum = *mean * cells;
                let terms = x[at.clone()].iter().zip(&below[at]);
                out.iter_mut().zip(terms).for_each(|(out, (&x, &below))| *out = below + x * sum);
            },
        );
        tensor(sums, &[n, c, h, w])
    }
}

/// Rows of `count` numbers, one for each of the pixels of `beside`, written in parallel by `work`, which is told where the row
/// lies and may change what stands beside the pixel.
fn by_pixel<T: Real>(count: usize, beside: &mut [T], work: impl Fn(Range<usize>, &mut [T], &mut T) + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); count];
    let width = (count / beside.len().max(1)).max(1);
    let chunks = out.par_chunks_mut(PIXELS * width).zip(beside.par_chunks_mut(PIXELS)).enumerate();
    chunks.for_each(|(index, (out, beside))| {
        simd(
            #[inline(always)]
            || {
                for (pixel, (out, beside)) in out.chunks_exact_mut(width).zip(beside).enumerate() {
                    let at = (index * PIXELS + pixel) * width;
                    work(at..at + width, out, beside);
                }
            },
        );
    });
    out
}

/// Writes |value times `scale`|^power of every value.
#[inline(always)]
fn powers<T: Real>(out: &mut [T], values: &[T], scale: T, power: f64) {
    let magnitude = |value: T| if value < T::zero() { T::zero() - value } else { value };
    out.iter_mut().zip(values).for_each(|(out, &value)| *out = magnitude(value) * scale);
    if power == 0.0 {
        out.fill(T::one());
    } else if power == 0.5 {
        out.iter_mut().for_each(|out| *out = out.sqrt());
    } else if power != 1.0 {
        out.iter_mut().for_each(|out| *out = out.powf(power));
    }
}

/// The sum of products, in `LANES` parts.
#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.into_iter().fold(T::zero(), |all, sum| all + sum)
}

/// The sum of squares of each of `pixels` rows of `width` numbers.
fn squares<T: Real>(values: &[T], width: usize, pixels: usize) -> Vec<T> {
    let mut sums = vec![T::zero(); pixels];
    let rows = values.par_chunks((PIXELS * width).max(1));
    sums.par_chunks_mut(PIXELS).zip(rows).for_each(|(sums, rows)| {
        simd(
            #[inline(always)]
            || sums.iter_mut().zip(rows.chunks_exact(width)).for_each(|(sum, row)| *sum = dot(row, row)),
        );
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    const ALL: Wanted = Wanted { input: true, weight: true, bias: false };

    fn bcos(stride: usize, padding: usize, exponent: f64) -> BCosConv2d {
        BCosConv2d { stride: [stride; 2], padding: [padding; 2], exponent }
    }

    /// Shapes of x and weight: with padding and without, strides, one channel and more than a vector, no squares, one pixel.
    fn cases() -> Vec<([usize; 4], [usize; 4], BCosConv2d)> {
        vec![
            ([2, 3, 5, 4], [4, 3, 3, 3], bcos(1, 1, 2.0)),
            ([2, 2, 7, 6], [3, 2, 3, 3], bcos(2, 1, 2.0)),
            ([1, 18, 3, 3], [17, 18, 1, 1], bcos(1, 0, 2.0)),
            ([2, 3, 4, 5], [2, 3, 1, 1], bcos(2, 0, 1.5)),
            ([1, 1, 5, 5], [1, 1, 3, 3], bcos(1, 0, 3.0)),
            ([1, 2, 4, 6], [3, 2, 2, 3], BCosConv2d { stride: [2, 1], padding: [1, 0], exponent: 1.0 }),
            ([3, 2, 1, 1], [2, 2, 1, 1], bcos(1, 0, 2.0)),
        ]
    }

    fn run(x: &Tensor, weight: &Tensor, bcos: &BCosConv2d) -> Tensor {
        bcos_conv2d(x, weight, bcos).unwrap()
    }

    fn close(found: &[f64], expected: &[f64], error: f64) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < error)
    }

    // By hand: w.x = 3 and a cosine of 3/5 between x = (3, 4) and w = (1, 0), whatever the length of w.
    #[test]
    fn values_in_closed_form() {
        let x = tensor64(&[3.0, 4.0], &[1, 2, 1, 1]);
        for length in [1.0, 7.0] {
            let weight = tensor64(&[length, 0.0], &[1, 2, 1, 1]);
            for (exponent, expected) in [(1.0, 3.0), (2.0, 1.8), (3.0, 1.08)] {
                assert!(close(&list(&run(&x, &weight, &bcos(1, 0, exponent))), &[expected], 1e-6), "{exponent}");
            }
        }
    }

    // At B = 2 the linear map is (0.6, 0) and the gradient 2 (w.x) w / |x| - (w.x)^2 x / |x|^3; both times x sum up to 1.8.
    #[test]
    fn contributions_in_closed_form() {
        let (x, weight) = (tensor64(&[3.0, 4.0], &[1, 2, 1, 1]), tensor64(&[1.0, 0.0], &[1, 2, 1, 1]));
        let (one, how) = (tensor64(&[1.0], &[1, 1, 1, 1]), bcos(1, 0, 2.0));
        let y = run(&x, &weight, &how);
        let held = bcos_conv2d_held_backward(&x, &weight, &y, &one, &how).unwrap();
        assert!(close(&list(&(&x * held).unwrap()), &[1.8, 0.0], 1e-6));
        let plain = bcos_conv2d_backward(&x, &weight, &y, &one, &how, ALL).unwrap().input.unwrap();
        assert!(close(&list(&plain), &[0.984, -0.288], 1e-6));
        assert!(close(&list(&(x * plain).unwrap()), &[2.952, -1.152], 1e-6));
    }

    /// The definition, one output after the other.
    fn by_definition(x: &Tensor, weight: &Tensor, bcos: &BCosConv2d) -> Vec<f64> {
        let ([n, c, h, w], [filters, _, rows, columns]) =
            (four("test", "x", x.dims()).unwrap(), four("test", "weight", weight.dims()).unwrap());
        let (x, weight) = (list(x), list(weight));
        let [high, wide] = bcos.conv().output_size([h, w], [rows, columns]).unwrap();
        let (mut out, depth) = (vec![], c * rows * columns);
        for at in 0..n * filters * high * wide {
            let [image, filter, y0, x0] =
                [at / (filters * high * wide), at / (high * wide) % filters, at / wide % high, at % wide];
            let filter = &weight[filter * depth..][..depth];
            let seen = |tap: usize| {
                let [channel, row, column] = [tap / (rows * columns), tap / columns % rows, tap % columns];
                let row = (y0 * bcos.stride[0] + row).checked_sub(bcos.padding[0]).filter(|&row| row < h);
                let column = (x0 * bcos.stride[1] + column).checked_sub(bcos.padding[1]).filter(|&column| column < w);
                row.zip(column).map_or(0.0, |(row, column)| x[((image * c + channel) * h + row) * w + column])
            };
            let length = filter.iter().map(|w| w * w).sum::<f64>().sqrt();
            let u: f64 = (0..depth).map(|tap| filter[tap] / length * seen(tap)).sum();
            let norm = ((0..depth).map(|tap| seen(tap) * seen(tap)).sum::<f64>() + 1e-6).sqrt();
            out.push(u * (u / norm).abs().powf(bcos.exponent - 1.0));
        }
        out
    }

    #[test]
    fn forward_is_the_definition() {
        for (x, weight, bcos) in cases() {
            let (x, weight) = (noise(&x, 1), noise(&weight, 2));
            let expected = by_definition(&x, &weight, &bcos);
            assert!(close(&list(&run(&x, &weight, &bcos)), &expected, 1e-12), "{bcos:?}");
            let (x, weight) = (to_f32(&x), to_f32(&weight));
            assert!(close(&list(&run(&x, &weight, &bcos)), &expected, 1e-5), "{bcos:?} in f32");
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for (x, weight, bcos) in cases() {
            let (x, weight) = (noise(&x, 1), noise(&weight, 2));
            let y = run(&x, &weight, &bcos);
            let upstream = noise(y.dims(), 3);
            let grads = bcos_conv2d_backward(&x, &weight, &y, &upstream, &bcos, ALL).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &weight, &bcos));
            assert_gradient(&weight, &upstream, &grads.weight.unwrap(), |weight| run(&x, weight, &bcos));
            assert!(grads.bias.is_none());
        }
    }

    /// <W(x) x, g> = <x, W(x)^T g> for every g.
    #[test]
    fn the_linear_map_gives_the_output_back() {
        for (x, weight, bcos) in cases() {
            let (x, weight) = (noise(&x, 1), noise(&weight, 2));
            let y = run(&x, &weight, &bcos);
            let grad = noise(y.dims(), 3);
            let held = bcos_conv2d_held_backward(&x, &weight, &y, &grad, &bcos).unwrap();
            let dot = |a: &Tensor, b: &Tensor| list(a).iter().zip(list(b)).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&y, &grad) - dot(&x, &held)).abs() < 1e-12, "{bcos:?}");
        }
    }

    #[test]
    fn filters_and_patches_of_zeros_give_zeros() {
        let (x, how) = (noise(&[1, 2, 3, 3], 1), bcos(1, 1, 2.0));
        let weight = Tensor::cat(&[&noise(&[1, 2, 3, 3], 2), &tensor64(&[0.0; 18], &[1, 2, 3, 3])], 0).unwrap();
        let y = run(&x, &weight, &how);
        assert!(list(&y)[9..].iter().all(|&y| y == 0.0));
        let grads = bcos_conv2d_backward(&x, &weight, &y, &noise(y.dims(), 3), &how, ALL).unwrap();
        assert!(list(&grads.weight.unwrap())[18..].iter().all(|&g| g == 0.0));
        let nothing = x.zeros_like().unwrap();
        let y = run(&nothing, &weight, &how);
        let grads = bcos_conv2d_backward(&nothing, &weight, &y, &noise(y.dims(), 3), &how, ALL).unwrap();
        assert!(list(&y).iter().chain(&list(&grads.input.unwrap())).all(|&v| v == 0.0));
    }

    #[test]
    fn threads_layouts_and_the_batch_do_not_matter() {
        let (x, weight, how) =
            (to_f32(&noise(&[9, 20, 17, 16], 1)), to_f32(&noise(&[35, 20, 3, 3], 2)), bcos(1, 1, 2.0));
        let y = run(&x, &weight, &how);
        let grad = to_f32(&noise(y.dims(), 3));
        assert_same_on_all_threads(|| {
            let grads = bcos_conv2d_backward(&x, &weight, &y, &grad, &how, ALL).unwrap();
            let held = bcos_conv2d_held_backward(&x, &weight, &y, &grad, &how).unwrap();
            vec![run(&x, &weight, &how), grads.input.unwrap(), grads.weight.unwrap(), held]
        });
        for other in layouts(&x) {
            assert_eq!(bits(&run(&other, &weight, &how)), bits(&y));
        }
        let part = run(&x.narrow(0, 3, 2).unwrap(), &weight, &how);
        assert_eq!(bits(&part), bits(&y.narrow(0, 3, 2).unwrap()));
    }

    #[test]
    fn nothing_in_nothing_out_and_nan_is_seen() {
        let (weight, how) = (noise(&[2, 3, 3, 3], 2), bcos(1, 1, 2.0));
        let empty = noise(&[0, 3, 4, 4], 1);
        let y = run(&empty, &weight, &how);
        assert_eq!(y.dims(), [0, 2, 4, 4]);
        let grads = bcos_conv2d_backward(&empty, &weight, &y, &y, &how, ALL).unwrap();
        assert_eq!((grads.input.unwrap().dims(), grads.weight.unwrap().dims()), (empty.dims(), weight.dims()));
        let y = run(&tensor64(&[f64::NAN, 1.0, 1.0, 1.0], &[1, 1, 1, 4]), &noise(&[1, 1, 1, 1], 2), &bcos(1, 0, 2.0));
        assert_eq!(list(&y).iter().map(|y| y.is_nan()).collect::<Vec<_>>(), [true, false, false, false]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, weight) = (noise(&[1, 3, 4, 4], 1), noise(&[2, 3, 3, 3], 2));
        for wrong in [bcos(0, 1, 2.0), bcos(1, 2, 2.0)] {
            assert!(matches!(bcos_conv2d(&x, &weight, &wrong), Err(OpError::Shape { .. })), "{wrong:?}");
        }
        for exponent in [0.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(bcos_conv2d(&x, &weight, &bcos(1, 1, exponent)), Err(OpError::Value { .. })));
        }
        assert!(matches!(bcos_conv2d(&x, &noise(&[2, 4, 3, 3], 2), &bcos(1, 1, 2.0)), Err(OpError::Shape { .. })));
        assert!(matches!(bcos_conv2d(&x, &to_f32(&weight), &bcos(1, 1, 2.0)), Err(OpError::Unsupported { .. })));
        let grad = noise(&[1, 2, 4, 3], 3);
        let y = run(&x, &weight, &bcos(1, 1, 2.0));
        let wrong = bcos_conv2d_backward(&x, &weight, &y, &grad, &bcos(1, 1, 2.0), ALL);
        assert!(matches!(wrong, Err(OpError::Shape { .. })));
    }
}
