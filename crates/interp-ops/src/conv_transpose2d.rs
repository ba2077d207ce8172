//! Transposed convolution: the gradient of a convolution with respect to its input, as a layer of its own.

use crate::channels::{per_channel, with_channel};
use crate::conv2d::conv2d_input_gradient;
use crate::memory::{Dense, check_kind, expect_shape, numbers, rounded, tensor, wrong_shape};
use crate::real::{Real, by_dtype};
use crate::sums::column_sums;
use crate::{Conv2d, OpError, Result, Wanted, WeightGrads, channels_last, conv2d, conv2d_backward};
use candle_core::Tensor;

/// How a kernel spreads its input over its output; pairs are rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConvTranspose2d {
    /// The convolution whose input gradient this is: its stride lies between the places that neighboring inputs are
    /// spread over, its padding is cut off at every side.
    pub conv: Conv2d,
    /// Positions added at the end, less than the stride or the dilation.
    pub output_padding: [usize; 2],
}

impl ConvTranspose2d {
    /// (input - 1) stride - 2 padding + dilation (kernel - 1) + output padding + 1 for rows and columns; `None` where this
    /// is below 1, the output padding is neither less than the stride nor than the dilation, or a size, stride or
    /// dilation is 0.
    pub fn output_size(&self, input: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let size = |axis: usize| {
            let (stride, dilation) = (self.conv.stride[axis], self.conv.dilation[axis]);
            let spread = input[axis].checked_sub(1)?.checked_mul(stride)?;
            let reach = kernel[axis].checked_sub(1)?.checked_mul(dilation)?;
            let all = spread.checked_add(reach)?.checked_add(self.output_padding[axis])?.checked_add(1)?;
            let size = all.checked_sub(self.conv.padding[axis].checked_mul(2)?)?;
            let fits = stride.min(dilation).min(size) > 0 && self.output_padding[axis] < stride.max(dilation);
            fits.then_some(size)
        };
        Some([size(0)?, size(1)?])
    }
}

/// y(n, o, h, w) = bias(o) + the sum of x(n, i, h', w') weight(i, o, r, s) over all i and all h' stride + r dilation -
/// padding = h, and so for w, `x` being (N, I, H, W), `weight` (I, O / groups, KH, KW) and `bias` (O): (N, O, OH, OW).
/// PyTorch's `conv_transpose2d`.
///
/// # Errors
/// [`OpError::Shape`] where the shapes or the groups do not fit each other ([`ConvTranspose2d::output_size`]),
/// [`OpError::Unsupported`] for another type or device.
pub fn conv_transpose2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &ConvTranspose2d) -> Result<Tensor> {
    by_dtype!("conv_transpose2d", x, forward(x, weight, bias, conv))
}

/// The gradients of [`conv_transpose2d`] with respect to its input, weight and bias, `grad` being (N, O, OH, OW).
///
/// # Errors
/// As [`conv_transpose2d`].
pub fn conv_transpose2d_backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &ConvTranspose2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    by_dtype!("conv_transpose2d_backward", x, backward(x, weight, grad, conv, wanted))
}

fn forward<T: Real>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &ConvTranspose2d) -> Result<Tensor> {
    const OP: &str = "conv_transpose2d";
    let shape = output_shape(OP, x, weight, conv)?;
    let bias = bias.map(|bias| per_channel::<T>(OP, "bias", bias, shape[1])).transpose()?;
    let y = conv2d_input_gradient::<T>(OP, weight, &spread(x, conv)?, &shape, &conv.conv)?;
    let Some(bias) = bias else { return Ok(y) };
    let dense = Dense::new::<T>(OP, &y)?;
    let (storage, layout) = dense.storage();
    tensor(with_channel(numbers::<T>(&storage, layout)?, &bias, |y, bias| y + bias), &shape)
}

fn backward<T: Real>(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    conv: &ConvTranspose2d,
    wanted: Wanted,
) -> Result<WeightGrads> {
    const OP: &str = "conv_transpose2d_backward";
    expect_shape(OP, "grad", grad, &output_shape(OP, x, weight, conv)?)?;
    check_kind(OP, grad, T::DTYPE)?;
    let input = || {
        let spread = conv2d(grad, weight, None, &conv.conv)?;
        channels_last(&spread.narrow(2, 0, x.dim(2)?)?.narrow(3, 0, x.dim(3)?)?)
    };
    let of_weight = Wanted { input: false, weight: true, bias: false };
    let of_weight = || conv2d_backward(grad, weight, &spread(x, conv)?, &conv.conv, of_weight);
    Ok(WeightGrads {
        input: wanted.input.then(input).transpose()?,
        weight: if wanted.weight { of_weight()?.weight } else { None },
        bias: wanted.bias.then(|| bias_gradient::<T>(OP, grad)).transpose()?,
    })
}

fn bias_gradient<T: Real>(op: &'static str, grad: &Tensor) -> Result<Tensor> {
    let channels = grad.dim(1)?;
    let dense = Dense::new::<T>(op, grad)?;
    let (storage, layout) = dense.storage();
    rounded::<T>(&column_sums(numbers::<T>(&storage, layout)?, channels), &[channels])
}

/// `x` with zeros behind it for every whole stride of output padding, so that it is as large as the convolution makes
/// the output; it is so already where the output padding is less than the stride.
fn spread(x: &Tensor, conv: &ConvTranspose2d) -> Result<Tensor> {
    let more = |axis: usize| conv.output_padding[axis] / conv.conv.stride[axis];
    if [more(0), more(1)] == [0, 0] {
        return Ok(x.clone());
    }
    Ok(x.pad_with_zeros(2, 0, more(0))?.pad_with_zeros(3, 0, more(1))?)
}

/// (N, O, OH, OW).
fn output_shape(op: &'static str, x: &Tensor, weight: &Tensor, conv: &ConvTranspose2d) -> Result<[usize; 4]> {
    let wrong = |expected: String| -> OpError {
        wrong_shape(op, format!("x {:?} and weight {:?}", x.dims(), weight.dims()), expected)
    };
    let (&[n, i, h, w], &[weight_i, per_group, kh, kw]) = (x.dims(), weight.dims()) else {
        return Err(wrong("x (N, I, H, W) and weight (I, O / groups, KH, KW)".into()));
    };
    let groups = conv.conv.groups;
    let outputs = per_group.checked_mul(groups).filter(|_| weight_i == i && groups > 0 && i % groups == 0);
    let outputs = outputs.ok_or_else(|| wrong(format!("one I, and {groups} groups dividing it")))?;
    let size = conv.output_size([h, w], [kh, kw]);
    let [oh, ow] = size.ok_or_else(|| wrong(format!("at least one position in the output, with {conv:?}")))?;
    Ok([n, outputs, oh, ow])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
    use candle_core::DType;

    const ALL: Wanted = Wanted { input: true, weight: true, bias: true };
    const PLAIN: Conv2d = Conv2d { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1, by_definition: false };

    /// Shapes of x and weight, the convolution and the output padding, of every kind.
    fn cases() -> Vec<([usize; 4], [usize; 4], ConvTranspose2d)> {
        let case = |x, weight, conv, output_padding| (x, weight, ConvTranspose2d { conv, output_padding });
        let twice = Conv2d { stride: [2, 2], ..PLAIN };
        vec![
            case([2, 3, 4, 3], [3, 2, 3, 3], PLAIN, [0, 0]),
            case([1, 2, 5, 4], [2, 3, 3, 2], Conv2d { padding: [1, 1], ..PLAIN }, [0, 0]),
            case([2, 2, 3, 4], [2, 3, 2, 2], twice, [0, 0]),
            case([1, 2, 3, 4], [2, 2, 3, 3], Conv2d { padding: [1, 1], ..twice }, [1, 0]),
            case([1, 2, 2, 3], [2, 2, 1, 2], Conv2d { stride: [3, 2], ..PLAIN }, [2, 1]),
            case([1, 2, 3, 3], [2, 2, 2, 3], Conv2d { dilation: [3, 2], padding: [1, 2], ..PLAIN }, [2, 1]),
            case([1, 2, 3, 3], [2, 1, 3, 2], Conv2d { dilation: [2, 3], padding: [1, 0], ..twice }, [1, 2]),
            case([2, 4, 3, 4], [4, 3, 3, 3], Conv2d { groups: 2, padding: [1, 1], ..twice }, [0, 1]),
            case([2, 3, 4, 4], [3, 1, 3, 3], Conv2d { groups: 3, padding: [1, 1], ..twice }, [1, 1]),
            case([1, 18, 3, 2], [18, 1, 2, 3], Conv2d { groups: 18, ..PLAIN }, [0, 0]),
            case([2, 3, 4, 5], [3, 2, 1, 1], PLAIN, [0, 0]),
            case([1, 1, 1, 1], [1, 1, 1, 1], PLAIN, [0, 0]),
            case([2, 2, 1, 1], [2, 17, 2, 4], PLAIN, [0, 0]),
        ]
    }

    /// The definition, every input spread over the output, with sums of |x| |weight| beside the sums.
    fn by_definition(x: &Tensor, weight: &Tensor, bias: &Tensor, conv: &ConvTranspose2d) -> (Vec<f64>, Vec<f64>) {
        let [n, o, oh, ow] = output_shape("test", x, weight, conv).unwrap();
        let (_, i, h, w) = x.dims4().unwrap();
        let (_, per_group, kh, kw) = weight.dims4().unwrap();
        let (x, weight, bias) = (list(x), list(weight), list(bias));
        let channel = |at: usize| at / (oh * ow) % o;
        let mut sums: Vec<f64> = (0..n * o * oh * ow).map(|at| bias[channel(at)]).collect();
        let mut sizes: Vec<f64> = sums.iter().map(|bias| bias.abs()).collect();
        for (from, x) in x.iter().enumerate() {
            let [n, channel, y, column] = [from / (i * h * w), from / (h * w) % i, from / w % h, from % w];
            for at in 0..per_group * kh * kw {
                let [out, r, s] = [at / (kh * kw), at / kw % kh, at % kw];
                let place = |axis: usize, input: usize, tap: usize| {
                    let spread = input * conv.conv.stride[axis] + tap * conv.conv.dilation[axis];
                    spread.checked_sub(conv.conv.padding[axis]).filter(|&at| at < [oh, ow][axis])
                };
                let Some((row, column)) = place(0, y, r).zip(place(1, column, s)) else { continue };
                let out = channel / (i / conv.conv.groups) * per_group + out;
                let to = ((n * o + out) * oh + row) * ow + column;
                let product = x * weight[channel * per_group * kh * kw + at];
                sums[to] += product;
                sizes[to] += product.abs();
            }
        }
        (sums, sizes)
    }

    fn tensors(x: &[usize], weight: &[usize], conv: &ConvTranspose2d) -> [Tensor; 3] {
        [noise(x, 1), noise(weight, 2), noise(&[weight[1] * conv.conv.groups], 3)]
    }

    #[test]
    fn forward_is_the_definition() {
        for (x, weight, conv) in cases() {
            let exact = tensors(&x, &weight, &conv);
            for ([x, weight, bias], eps) in
                [(exact.each_ref().map(to_f32), f32::EPSILON.into()), (exact.clone(), f64::EPSILON)]
            {
                let y = conv_transpose2d(&x, &weight, Some(&bias), &conv).unwrap();
                let (sums, sizes) = by_definition(&x, &weight, &bias, &conv);
                for ((y, sum), size) in list(&y).into_iter().zip(sums).zip(sizes) {
                    assert!((y - sum).abs() <= 4.0 * eps * size, "{y} where the definition gives {sum}, {conv:?}");
                }
            }
        }
    }

    // PyTorch 2.13: F.conv_transpose2d(torch.arange(8.).view(1, 2, 2, 2), torch.arange(24.).view(2, 1, 3, 4) - 11,
    // torch.tensor([.5, -1.]), stride=(2, 1), padding=(1, 1), output_padding=(1, 0), dilation=(1, 2), groups=2)
    #[test]
    fn values_are_pytorchs() {
        let ramp = |count: u8, from: f64| (0..count).map(|v| f64::from(v) + from).collect::<Vec<_>>();
        let (x, weight) = (tensor64(&ramp(8, 0.0), &[1, 2, 2, 2]), tensor64(&ramp(24, -11.0), &[2, 1, 3, 4]));
        let conv = Conv2d { stride: [2, 1], padding: [1, 1], dilation: [1, 2], groups: 2, ..PLAIN };
        let conv = ConvTranspose2d { conv, output_padding: [1, 0] };
        let y = conv_transpose2d(&x, &weight, Some(&tensor64(&[0.5, -1.0], &[2])), &conv).unwrap();
        assert_eq!(y.dims(), [1, 2, 4, 6]);
        let expected = [
            -6.5, 0.5, -5.5, 0.5, -4.5, 0.5, -35.5, -19.5, -31.5, -17.5, -27.5, -15.5, -20.5, -11.5, -17.5, -9.5,
            -14.5, -7.5, -8.5, -3.5, -5.5, -1.5, -2.5, 0.5, 24.0, 23.0, 29.0, 27.0, 34.0, 31.0, 51.0, 51.0, 63.0, 61.0,
            75.0, 71.0, 34.0, 35.0, 41.0, 41.0, 48.0, 47.0, 62.0, 59.0, 69.0, 65.0, 76.0, 71.0,
        ];
        assert_eq!(list(&y), expected);
    }

    // PyTorch 2.13: F.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), torch.tensor([10.]), dilation=3,
    // output_padding=2, padding=1)
    #[test]
    fn output_padding_may_exceed_the_stride_below_the_dilation() {
        let ones = tensor64(&[1.0; 4], &[1, 1, 2, 2]);
        let conv =
            ConvTranspose2d { conv: Conv2d { dilation: [3, 3], padding: [1, 1], ..PLAIN }, output_padding: [2, 2] };
        let y = conv_transpose2d(&ones, &ones, Some(&tensor64(&[10.0], &[1])), &conv).unwrap();
        let (one, none) = ([11.0, 10.0, 11.0, 11.0, 10.0], [10.0; 5]);
        assert_eq!(list(&y), [one, none, one, one, none].concat());
    }

    #[test]
    fn gradients_are_central_differences() {
        for (x, weight, conv) in cases() {
            let [x, weight, bias] = tensors(&x, &weight, &conv);
            let run = |x: &Tensor, w: &Tensor, b: &Tensor| conv_transpose2d(x, w, Some(b), &conv).unwrap();
            let upstream = noise(run(&x, &weight, &bias).dims(), 4);
            let grads = conv_transpose2d_backward(&x, &weight, &upstream, &conv, ALL).unwrap();
            assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &weight, &bias));
            assert_gradient(&weight, &upstream, &grads.weight.unwrap(), |weight| run(&x, weight, &bias));
            assert_gradient(&bias, &upstream, &grads.bias.unwrap(), |bias| run(&x, &weight, bias));
        }
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let (x, weight, conv) = cases().remove(0);
        let [x, weight, _] = tensors(&x, &weight, &conv);
        let y = conv_transpose2d(&x, &weight, None, &conv).unwrap();
        for lone in 0..3 {
            let wanted = Wanted { input: lone == 0, weight: lone == 1, bias: lone == 2 };
            let grads = conv_transpose2d_backward(&x, &weight, &y, &conv, wanted).unwrap();
            assert_eq!(
                [grads.input.is_some(), grads.weight.is_some(), grads.bias.is_some()],
                [0, 1, 2].map(|i| i == lone)
            );
        }
    }

    #[test]
    fn layout_does_not_matter() {
        for (x, weight, conv) in cases() {
            let [x, weight, bias] = tensors(&x, &weight, &conv);
            let y = conv_transpose2d(&x, &weight, Some(&bias), &conv).unwrap();
            let grad = noise(y.dims(), 4);
            let grads = conv_transpose2d_backward(&x, &weight, &grad, &conv, ALL).unwrap();
            let input = grads.input.unwrap();
            assert!([&y, &input].iter().all(|t| t.permute((0, 2, 3, 1)).unwrap().is_contiguous()));
            for (x, (weight, grad)) in layouts(&x).iter().zip(layouts(&weight).iter().zip(&layouts(&grad))) {
                assert_eq!(bits(&conv_transpose2d(x, weight, Some(&bias), &conv).unwrap()), bits(&y));
                let other = conv_transpose2d_backward(x, weight, grad, &conv, ALL).unwrap();
                assert_eq!(bits(&other.input.unwrap()), bits(&input));
                assert_eq!(bits(&other.weight.unwrap()), bits(grads.weight.as_ref().unwrap()));
                assert_eq!(bits(&other.bias.unwrap()), bits(grads.bias.as_ref().unwrap()));
            }
        }
    }

    #[test]
    fn a_picture_is_the_same_in_any_batch() {
        let twice = Conv2d { stride: [2, 2], padding: [1, 1], ..PLAIN };
        for (x, weight, conv) in [
            ([40, 33, 5, 4], [33, 20, 3, 3], Conv2d { padding: [1, 1], ..PLAIN }),
            ([40, 33, 5, 4], [33, 20, 4, 4], twice),
            ([40, 600, 1, 1], [600, 3, 2, 2], PLAIN),
            ([40, 8, 4, 4], [8, 2, 3, 3], Conv2d { groups: 4, ..twice }),
            ([40, 20, 5, 4], [20, 1, 3, 3], Conv2d { groups: 20, ..twice }),
        ] {
            let conv = ConvTranspose2d { conv, output_padding: [0, 0] };
            for dtype in [DType::F32, DType::F64] {
                let [x, weight, bias] = tensors(&x, &weight, &conv).map(|t| t.to_dtype(dtype).unwrap());
                let run = |x: &Tensor| conv_transpose2d(x, &weight, Some(&bias), &conv).unwrap();
                let all = run(&x);
                for (start, count) in [(0, 1), (39, 1), (17, 2), (3, 30)] {
                    let part = run(&x.narrow(0, start, count).unwrap());
                    assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()), "{conv:?} {start} {count}");
                }
            }
        }
    }

    #[test]
    fn threads_do_not_matter() {
        for conv in [PLAIN, Conv2d { stride: [2, 2], groups: 2, ..PLAIN }] {
            let weight = [16, 12 / conv.groups, 3, 3];
            let conv = ConvTranspose2d { conv, output_padding: [0, 0] };
            let [x, weight, bias] = tensors(&[9, 16, 17, 16], &weight, &conv).map(|t| to_f32(&t));
            assert_same_on_all_threads(|| {
                let y = conv_transpose2d(&x, &weight, Some(&bias), &conv).unwrap();
                let grads = conv_transpose2d_backward(&x, &weight, &y, &conv, ALL).unwrap();
                vec![y, grads.input.unwrap(), grads.weight.unwrap(), grads.bias.unwrap()]
            });
        }
    }

    #[test]
    fn an_empty_batch_gives_empty_results_and_zero_gradients() {
        for ([_, i, h, w], weight, conv) in cases() {
            let [x, weight, bias] = tensors(&[0, i, h, w], &weight, &conv);
            let y = conv_transpose2d(&x, &weight, Some(&bias), &conv).unwrap();
            assert_eq!(y.dim(0).unwrap(), 0);
            let grads = conv_transpose2d_backward(&x, &weight, &y, &conv, ALL).unwrap();
            assert_eq!(grads.input.unwrap().dims(), x.dims());
            assert!(list(&grads.weight.unwrap()).iter().chain(&list(&grads.bias.unwrap())).all(|&g| g == 0.0));
        }
    }

    #[test]
    fn nan_reaches_the_outputs_that_see_it() {
        let x = tensor64(&[f64::NAN, 1.0, 1.0, 1.0], &[1, 1, 2, 2]);
        let conv = ConvTranspose2d { conv: Conv2d { stride: [2, 2], ..PLAIN }, output_padding: [0, 0] };
        let y = list(&conv_transpose2d(&x, &noise(&[1, 1, 2, 2], 1), None, &conv).unwrap());
        let seen: Vec<bool> = y.iter().map(|v| v.is_nan()).collect();
        let (both, none) = ([true, true, false, false], [false; 4]);
        assert_eq!(seen, [both, both, none, none].concat());
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let (x, weight) = (noise(&[1, 3, 4, 4], 1), noise(&[3, 2, 3, 3], 2));
        let with = |conv: Conv2d, output_padding| {
            conv_transpose2d(&x, &weight, None, &ConvTranspose2d { conv, output_padding })
        };
        assert_eq!(with(PLAIN, [0, 0]).unwrap().dims(), [1, 2, 6, 6]);
        for (conv, output_padding) in [
            (PLAIN, [1, 0]),
            (Conv2d { stride: [0, 1], ..PLAIN }, [0, 0]),
            (Conv2d { dilation: [1, 0], ..PLAIN }, [0, 0]),
            (Conv2d { padding: [3, 0], ..PLAIN }, [0, 0]),
            (Conv2d { padding: [usize::MAX, 0], ..PLAIN }, [0, 0]),
            (Conv2d { stride: [usize::MAX, 1], ..PLAIN }, [0, 0]),
            (Conv2d { groups: 2, ..PLAIN }, [0, 0]),
            (Conv2d { groups: 0, ..PLAIN }, [0, 0]),
        ] {
            let error = with(conv, output_padding).unwrap_err();
            assert!(matches!(error, OpError::Shape { .. }), "{conv:?}");
            assert!(error.to_string().contains("[1, 3, 4, 4]") && error.to_string().contains("[3, 2, 3, 3]"));
        }
        let conv = ConvTranspose2d::default();
        let fails = |x: &Tensor, weight: &Tensor, bias: Option<Tensor>| {
            conv_transpose2d(x, weight, bias.as_ref(), &conv).unwrap_err()
        };
        assert!(matches!(fails(&x, &noise(&[2, 2, 3, 3], 2), None), OpError::Shape { .. }));
        assert!(matches!(fails(&x, &noise(&[3, 3], 2), None), OpError::Shape { .. }));
        assert!(matches!(fails(&x, &weight, Some(noise(&[3], 2))), OpError::Shape { .. }));
        assert!(matches!(fails(&noise(&[1, 3, 0, 4], 1), &weight, None), OpError::Shape { .. }));
        assert!(matches!(fails(&to_f32(&x), &weight, None), OpError::Unsupported { .. }));
        let grad = conv_transpose2d_backward(&x, &weight, &noise(&[1, 2, 6, 5], 1), &conv, ALL);
        assert!(matches!(grad, Err(OpError::Shape { .. })));
    }
}
