//! The linear layer: y = x W^T + b.
#![allow(unsafe_code)]

use crate::channels::per_channel;
use crate::device::on_cuda;
use crate::memory::{Dense, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::product::{Depth, Left, Out, Right, lanes, multiply, padded_columns, panel_width};
use crate::real::{Real, by_dtype};
use crate::sums::column_sums;
use crate::{Result, Wanted, WeightGrads, channels_last};
use candle_core::Tensor;
use rayon::prelude::*;

/// Rows of a result that one task computes.
const BLOCK: usize = 48;

/// Numbers along the depth that are summed in one go.
const PART: usize = 256;

/// y = x W^T + b for `x` (N, I), `weight` (O, I) and `bias` (O): (N, O). Maps (N, C, H, W) are rows of C H W numbers, in the order
/// in which PyTorch flattens them, whatever their layout. A row of y depends on its row of x alone, on the CPU to the last bit.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes do not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type or device.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let x = &as_rows(x)?;
    on_cuda!(x, crate::cuda::linear(x, weight, bias));
    by_dtype!("linear", x, forward(x, weight, bias))
}

/// The gradients of [`linear`]: `grad` W for the input, of its shape, `grad`^T x for the weight, the sum of the rows of `grad`
/// (N, O) for the bias.
///
/// # Errors
/// As [`linear`].
pub fn linear_backward(x: &Tensor, weight: &Tensor, grad: &Tensor, wanted: Wanted) -> Result<WeightGrads> {
    let grads = backward_of_rows(&as_rows(x)?, weight, grad, wanted)?;
    let input = grads.input.map(|rows| as_maps(rows, x.dims())).transpose()?;
    Ok(WeightGrads { input, ..grads })
}

fn backward_of_rows(x: &Tensor, weight: &Tensor, grad: &Tensor, wanted: Wanted) -> Result<WeightGrads> {
    on_cuda!(x, crate::cuda::linear_backward(x, weight, grad, wanted));
    by_dtype!("linear_backward", x, backward(x, weight, grad, wanted))
}

/// Maps (N, C, H, W) as rows (N, C H W); others as they are.
fn as_rows(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.flatten_from(1)? } else { x.clone() })
}

/// Back from [`as_rows`], channels-last in memory.
fn as_maps(rows: Tensor, shape: &[usize]) -> Result<Tensor> {
    if shape.len() == 4 { channels_last(&rows.reshape(shape)?) } else { Ok(rows) }
}

/// N, I and O.
fn sizes(op: &'static str, x: &Tensor, weight: &Tensor) -> Result<[usize; 3]> {
    match (x.dims(), weight.dims()) {
        (&[n, inputs], &[outputs, weight_inputs]) if inputs == weight_inputs => Ok([n, inputs, outputs]),
        (x, weight) => Err(wrong_shape(
            op,
            format!("x {x:?} and weight {weight:?}"),
            "x (N, I), or maps of I numbers, and weight (O, I) with one I",
        )),
    }
}

fn forward<T: Real>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    const OP: &str = "linear";
    let [n, inputs, outputs] = sizes(OP, x, weight)?;
    let bias = bias.map(|bias| per_channel::<T>(OP, "bias", bias, outputs)).transpose()?;
    let (dense_x, dense_weight) = (Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, weight)?);
    let ((storage_x, layout_x), (storage_weight, layout_weight)) = (dense_x.storage(), dense_weight.storage());
    let (x, weight) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_weight, layout_weight)?);
    let panels = turned_panels(weight, outputs, inputs);
    let left = Matrix { numbers: x, rows: n, columns: inputs, steps: [inputs, 1] };
    let mut out = left.times(Right::Panels { numbers: &panels, columns: outputs });
    if let Some(bias) = bias {
        out.chunks_exact_mut(outputs.max(1)).for_each(|row| row.iter_mut().zip(&bias).for_each(|(y, &b)| *y += b));
    }
    tensor(out, &[n, outputs])
}

/// The panels of the transpose of a matrix.
fn turned_panels<T: Real>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    let lanes = lanes::<T>();
    let mut panels = vec![T::zero(); columns * padded_columns(lanes, rows)];
    panels.par_chunks_mut((columns * 2 * lanes).max(1)).enumerate().for_each(|(index, panel)| {
        let first = index * 2 * lanes;
        let width = panel_width(lanes, first, rows);
        for (at, row) in matrix[first * columns..].chunks_exact(columns).take(width).enumerate() {
            panel.iter_mut().skip(at).step_by(width).zip(row).for_each(|(to, &value)| *to = value);
        }
    });
    panels
}

/// The left matrix of a product, or its transpose: from one row to the next, and from one column to the next, are `steps`.
struct Matrix<'a, T> {
    numbers: &'a [T],
    rows: usize,
    columns: usize,
    steps: [usize; 2],
}

impl<T: Real> Matrix<'_, T> {
    /// The product, row by row; blocks of rows are tasks.
    fn times(&self, right: Right<'_, T>) -> Vec<T> {
        let width = right.columns();
        let depth = Depth::of(self.columns, self.steps[1], PART);
        let mut out = Box::new_uninit_slice(self.rows * width);
        out.par_chunks_mut((BLOCK * width).max(1)).enumerate().for_each(|(block, out)| {
            let count = out.len() / width;
            let rows: Vec<usize> = (0..count).map(|row| (block * BLOCK + row) * self.steps[0]).collect();
            let made: Vec<usize> = (0..count).map(|row| row * width).collect();
            let left = Left { numbers: self.numbers, rows: &rows, depth: &depth };
            multiply(left, right, Out { numbers: out, rows: &made });
        });
        // SAFETY: the blocks cover `out`, and a product writes every element.
        unsafe { out.assume_init() }.into_vec()
    }
}

fn backward<T: Real>(x: &Tensor, weight: &Tensor, grad: &Tensor, wanted: Wanted) -> Result<WeightGrads> {
    const OP: &str = "linear_backward";
    let [n, inputs, outputs] = sizes(OP, x, weight)?;
    expect_shape(OP, "grad", grad, &[n, outputs])?;
    let dense = [Dense::new::<T>(OP, x)?, Dense::new::<T>(OP, weight)?, Dense::new::<T>(OP, grad)?];
    let [(storage_x, layout_x), (storage_weight, layout_weight), (storage_grad, layout_grad)] =
        dense.each_ref().map(Dense::storage);
    let (x, weight) = (numbers::<T>(&storage_x, layout_x)?, numbers::<T>(&storage_weight, layout_weight)?);
    let grad = numbers::<T>(&storage_grad, layout_grad)?;
    let by_picture = Matrix { numbers: grad, rows: n, columns: outputs, steps: [outputs, 1] };
    let by_output = Matrix { numbers: grad, rows: outputs, columns: n, steps: [1, outputs] };
    let rows = |numbers| Right::Rows { numbers, step: inputs, columns: inputs };
    Ok(WeightGrads {
        input: wanted.input.then(|| tensor(by_picture.times(rows(weight)), &[n, inputs])).transpose()?,
        weight: wanted.weight.then(|| tensor(by_output.times(rows(x)), &[outputs, inputs])).transpose()?,
        bias: wanted.bias.then(|| rounded::<T>(&column_sums(grad, outputs), &[outputs])).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
    use candle_core::DType;

    const ALL: Wanted = Wanted { input: true, weight: true, bias: true };

    #[test]
    fn a_product_by_hand() {
        let (x, weight) = (tensor64(&[1.0, 2.0], &[1, 2]), tensor64(&[3.0, 4.0, 5.0, 6.0], &[2, 2]));
        let y = linear(&x, &weight, Some(&tensor64(&[0.5, -0.5], &[2]))).unwrap();
        assert_eq!(list(&y), [11.5, 16.5]);
    }

    // PyTorch 2.13: F.linear(x.flatten(1), w) of x = torch.arange(12.).view(1, 2, 2, 3)**2 and w = torch.arange(24.).view(2, 12) % 5
    #[test]
    fn maps_are_flattened_as_in_pytorch() {
        let x: Vec<f64> = (0..12).map(|v| f64::from(v * v)).collect();
        let weight: Vec<f64> = (0..24).map(|v| f64::from(v % 5)).collect();
        let (x, weight) = (tensor64(&x, &[1, 2, 2, 3]), tensor64(&weight, &[2, 12]));
        for x in layouts(&x) {
            assert_eq!(list(&linear(&x, &weight, None).unwrap()), [871.0, 1033.0]);
        }
    }

    #[test]
    fn gradients_of_maps_are_central_differences() {
        let (x, weight, upstream) = (noise(&[2, 3, 2, 4], 1), noise(&[5, 24], 2), noise(&[2, 5], 4));
        for other in layouts(&x) {
            let grads = linear_backward(&other, &weight, &upstream, ALL).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| linear(x, &weight, None).unwrap());
            assert_gradient(&weight, &upstream, &grads.weight.unwrap(), |w| linear(&x, w, None).unwrap());
        }
    }

    #[test]
    fn forward_in_f32_is_the_definition() {
        let (x, weight) = (to_f32(&noise(&[9, 700], 1)), to_f32(&noise(&[130, 700], 2)));
        let y = list(&linear(&x, &weight, None).unwrap());
        let (x, weight) = (list(&x), list(&weight));
        for (at, y) in y.iter().enumerate() {
            let (row, column) = (at / 130, at % 130);
            let terms = (0..700).map(|i| x[row * 700 + i] * weight[column * 700 + i]);
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
            assert!((y - sum).abs() <= 4.0 * f64::from(f32::EPSILON) * size);
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for (n, inputs, outputs) in [(3, 4, 5), (1, 3, 1), (2, 1, 1), (1, 1, 1), (2, 3, 70)] {
            let (x, weight, bias) = (noise(&[n, inputs], 1), noise(&[outputs, inputs], 2), noise(&[outputs], 3));
            let upstream = noise(&[n, outputs], 4);
            let grads = linear_backward(&x, &weight, &upstream, ALL).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| linear(x, &weight, Some(&bias)).unwrap());
            assert_gradient(&weight, &upstream, &grads.weight.unwrap(), |w| linear(&x, w, Some(&bias)).unwrap());
            assert_gradient(&bias, &upstream, &grads.bias.unwrap(), |b| linear(&x, &weight, Some(b)).unwrap());
        }
    }

    #[test]
    fn a_row_is_the_same_in_any_batch() {
        for (inputs, outputs) in [(128, 10), (600, 3), (600, 100), (2, 2), (1, 5), (700, 1), (17, 1)] {
            for dtype in [DType::F32, DType::F64] {
                let make = |shape: &[usize], seed| noise(shape, seed).to_dtype(dtype).unwrap();
                let (x, weight, bias) = (make(&[64, inputs], 1), make(&[outputs, inputs], 2), make(&[outputs], 3));
                let run = |x: &Tensor| linear(x, &weight, Some(&bias)).unwrap();
                let all = run(&x);
                for (start, count) in [(0, 1), (63, 1), (17, 2), (31, 7)] {
                    let part = run(&x.narrow(0, start, count).unwrap());
                    assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()), "{inputs} {outputs} {count}");
                }
            }
        }
    }

    #[test]
    fn layout_and_threads_do_not_matter() {
        let (x, weight, grad) = (noise(&[20, 150], 1), noise(&[140, 150], 2), noise(&[20, 140], 3));
        let turn = |t: &Tensor| t.t().unwrap().contiguous().unwrap().t().unwrap();
        let y = linear(&x, &weight, None).unwrap();
        assert_eq!(bits(&linear(&turn(&x), &turn(&weight), None).unwrap()), bits(&y));
        assert_same_on_all_threads(|| {
            let grads = linear_backward(&x, &weight, &grad, ALL).unwrap();
            let y = linear(&x, &weight, None).unwrap();
            vec![y, grads.input.unwrap(), grads.weight.unwrap(), grads.bias.unwrap()]
        });
    }

    #[test]
    fn empty_sizes_are_no_panic() {
        for (n, inputs, outputs) in [(0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)] {
            let (x, weight) = (noise(&[n, inputs], 1), noise(&[outputs, inputs], 2));
            let y = linear(&x, &weight, Some(&noise(&[outputs], 3))).unwrap();
            assert_eq!(y.dims(), [n, outputs]);
            let grads = linear_backward(&x, &weight, &y, ALL).unwrap();
            assert_eq!(grads.input.unwrap().dims(), x.dims());
            assert_eq!(grads.weight.unwrap().dims(), weight.dims());
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let error = linear(&noise(&[2, 3], 1), &noise(&[4, 5], 2), None).unwrap_err();
        assert!(error.to_string().contains("[2, 3]") && error.to_string().contains("[4, 5]"));
        assert!(matches!(linear(&noise(&[2, 3, 1], 1), &noise(&[4, 3], 2), None), Err(OpError::Shape { .. })));
        let backward = linear_backward(&noise(&[2, 3], 1), &noise(&[4, 3], 2), &noise(&[2, 5], 3), ALL);
        assert!(matches!(backward, Err(OpError::Shape { .. })));
    }
}
