use super::*;
use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
use candle_core::{DType, Device};

const ALL: Wanted = Wanted { input: true, weight: true, bias: true };

/// Shapes of x and weight, and the geometry, of every kind of convolution.
fn cases() -> Vec<([usize; 4], [usize; 4], Conv2d)> {
    let plain = Conv2d::default();
    let padded = Conv2d { padding: [1, 1], ..plain };
    vec![
        ([2, 3, 5, 4], [4, 3, 3, 3], padded),
        ([1, 2, 6, 5], [3, 2, 3, 2], plain),
        ([2, 2, 7, 6], [3, 2, 3, 3], Conv2d { stride: [2, 2], ..padded }),
        ([1, 2, 8, 7], [2, 2, 2, 3], Conv2d { stride: [3, 2], padding: [0, 2], ..plain }),
        ([1, 2, 9, 8], [2, 2, 3, 3], Conv2d { dilation: [2, 3], padding: [2, 1], ..plain }),
        ([2, 2, 9, 9], [2, 2, 2, 2], Conv2d { dilation: [2, 1], stride: [2, 3], padding: [1, 1], ..plain }),
        ([2, 4, 5, 5], [6, 2, 3, 3], Conv2d { groups: 2, ..padded }),
        ([2, 4, 5, 6], [4, 2, 3, 3], Conv2d { groups: 2, stride: [2, 2], ..padded }),
        ([2, 3, 5, 5], [6, 1, 3, 3], Conv2d { groups: 3, ..padded }),
        ([2, 3, 5, 6], [3, 1, 3, 3], Conv2d { groups: 3, ..padded }),
        ([1, 83, 2, 2], [83, 1, 2, 1], Conv2d { groups: 83, ..plain }),
        (
            [1, 18, 4, 4],
            [18, 1, 3, 2],
            Conv2d { groups: 18, stride: [2, 1], padding: [1, 1], dilation: [1, 2], ..plain },
        ),
        ([2, 3, 4, 5], [5, 3, 1, 1], plain),
        ([2, 4, 4, 5], [6, 2, 1, 1], Conv2d { groups: 2, ..plain }),
        ([2, 3, 5, 4], [2, 3, 1, 1], Conv2d { stride: [2, 2], ..plain }),
        ([1, 3, 4, 4], [2, 3, 1, 1], padded),
        ([1, 1, 1, 1], [1, 1, 1, 1], plain),
        ([3, 1, 1, 1], [1, 1, 3, 3], padded),
        ([1, 2, 1, 7], [1, 2, 1, 3], Conv2d { padding: [0, 1], ..plain }),
        ([2, 2, 3, 4], [3, 2, 2, 3], Conv2d { stride: [5, 1 << 40], ..plain }),
        // No tap sees anything from any position along the rows.
        ([1, 2, 1, 1], [3, 2, 2, 1], Conv2d { stride: [2, 1], padding: [1, 0], dilation: [2, 1], ..plain }),
        // The outer taps lie in the padding from every position, then all but one corner's.
        ([2, 4, 3, 2], [4, 2, 3, 3], Conv2d { dilation: [4, 3], padding: [4, 3], groups: 2, ..plain }),
        ([1, 2, 2, 2], [3, 2, 3, 2], Conv2d { dilation: [5, 6], padding: [9, 5], stride: [12, 7], ..plain }),
    ]
}

/// The definition, with sums of |x| |w| beside the sums.
fn by_definition(x: &Tensor, weight: &Tensor, bias: &Tensor, conv: &Conv2d) -> (Vec<f64>, Vec<f64>) {
    let geometry = Geometry::new("test", x, weight, conv).unwrap();
    let (x, weight, bias) = (list(x), list(weight), list(bias));
    let (mut sums, mut sizes) = (Vec::new(), Vec::new());
    for (n, o) in (0..geometry.n).flat_map(|n| (0..geometry.o).map(move |o| (n, o))) {
        for (y, x_at) in (0..geometry.output[0]).flat_map(|y| (0..geometry.output[1]).map(move |x| (y, x))) {
            let (mut sum, mut size) = (bias[o], bias[o].abs());
            for at in 0..geometry.depth() {
                let [i, r, s] =
                    [at / geometry.taps(), at % geometry.taps() / geometry.kernel[1], at % geometry.kernel[1]];
                let row = (y * conv.stride[0] + r * conv.dilation[0]) as isize - conv.padding[0] as isize;
                let column = (x_at * conv.stride[1] + s * conv.dilation[1]) as isize - conv.padding[1] as isize;
                let [height, width] = geometry.input.map(|size| size as isize);
                if !(0..height).contains(&row) || !(0..width).contains(&column) {
                    continue;
                }
                let channel = (o / geometry.group_outputs() * geometry.group_inputs() + i) as isize;
                let from = ((n * geometry.i) as isize + channel) * height * width + row * width + column;
                let product = x[from as usize] * weight[o * geometry.depth() + at];
                sum += product;
                size += product.abs();
            }
            sums.push(sum);
            sizes.push(size);
        }
    }
    (sums, sizes)
}

fn assert_close_to_definition(x: &Tensor, weight: &Tensor, bias: &Tensor, conv: &Conv2d, eps: f64) {
    let y = conv2d(x, weight, Some(bias), conv).unwrap();
    let (sums, sizes) = by_definition(x, weight, bias, conv);
    for ((y, sum), size) in list(&y).into_iter().zip(sums).zip(sizes) {
        assert!((y - sum).abs() <= 4.0 * eps * size, "{y} where the definition gives {sum}");
    }
}

#[test]
fn forward_is_the_definition() {
    for (x, weight, conv) in cases() {
        let (x, bias) = (noise(&x, 1), noise(&weight[..1], 3));
        let weight = noise(&weight, 2);
        assert_close_to_definition(&x, &weight, &bias, &conv, f64::EPSILON);
        assert_close_to_definition(&to_f32(&x), &to_f32(&weight), &to_f32(&bias), &conv, f32::EPSILON.into());
    }
}

#[test]
fn with_a_batch_norm_the_bits_are_those_of_one_after_the_other() {
    let blocks = ([3, 32, 13, 9], [48, 32, 3, 3], Conv2d { padding: [1, 1], ..Conv2d::default() });
    for (x, weight, conv) in cases().into_iter().chain([blocks]) {
        let channels = weight[0];
        let variance = noise(&[channels], 7).sqr().unwrap().affine(1.0, 0.1).unwrap();
        let [gain, shift, mean] = [4, 5, 6].map(|seed| to_f32(&noise(&[channels], seed)));
        let (x, weight, bias) = (to_f32(&noise(&x, 1)), to_f32(&noise(&weight, 2)), to_f32(&noise(&[channels], 3)));
        let norm = BatchNorm { gain: &gain, shift: &shift, mean: &mean, variance: &to_f32(&variance), eps: 1e-5 };
        for then in [Then::Nothing, Then::Relu, Then::ReluMaxPool { kernel: [1, 1] }] {
            let two = batch_norm_eval(&conv2d(&x, &weight, Some(&bias), &conv).unwrap(), &norm, then).unwrap();
            let one = conv2d_batch_norm_eval(&x, &weight, Some(&bias), &conv, &norm, then).unwrap();
            assert_eq!(bits(&one), bits(&two), "{conv:?} {then:?}");
        }
        let wrong = BatchNorm { mean: &noise(&[channels + 1], 1), ..norm };
        assert!(conv2d_batch_norm_eval(&x, &weight, None, &conv, &wrong, Then::Relu).is_err());
    }
}

/// Eight tiles, so that a buffer holds the patches of an earlier one, and a depth of two blocks.
#[test]
fn forward_is_the_definition_where_tiles_and_depth_are_cut() {
    let (x, weight, bias) = (noise(&[12, 70, 12, 11], 1), noise(&[33, 70, 3, 3], 2), noise(&[33], 3));
    let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
    assert_close_to_definition(&to_f32(&x), &to_f32(&weight), &to_f32(&bias), &conv, f32::EPSILON.into());
}

#[test]
fn gradients_are_central_differences() {
    for (x, weight, conv) in cases() {
        let (x, bias) = (noise(&x, 1), noise(&weight[..1], 3));
        let weight = noise(&weight, 2);
        let y = conv2d(&x, &weight, Some(&bias), &conv).unwrap();
        let upstream = noise(y.dims(), 4);
        let grads = conv2d_backward(&x, &weight, &upstream, &conv, ALL).unwrap();
        let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| conv2d(x, weight, Some(bias), &conv).unwrap();
        assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &weight, &bias));
        assert_gradient(&weight, &upstream, &grads.weight.unwrap(), |weight| run(&x, weight, &bias));
        assert_gradient(&bias, &upstream, &grads.bias.unwrap(), |bias| run(&x, &weight, bias));
    }
}

/// <grad, conv(x, w)> is linear in x and in w, so it equals <input gradient, x> and <weight gradient, w>.
#[test]
fn gradients_of_large_shapes_are_adjoint() {
    let plain = Conv2d { padding: [1, 1], ..Conv2d::default() };
    let cases = [
        ([9, 20, 17, 16], [35, 20, 3, 3], plain),
        ([5, 32, 20, 20], [48, 8, 3, 3], Conv2d { groups: 4, ..plain }),
        ([2, 96, 9, 9], [130, 96, 3, 3], Conv2d { stride: [2, 2], ..plain }),
        ([40, 33, 9, 9], [33, 1, 3, 3], Conv2d { groups: 33, ..plain }),
        ([7, 40, 16, 16], [24, 40, 1, 1], Conv2d::default()),
    ];
    for (x, weight, conv) in cases {
        let (x, weight) = (noise(&x, 1), noise(&weight, 2));
        let y = conv2d(&x, &weight, None, &conv).unwrap();
        let grad = noise(y.dims(), 3);
        let grads = conv2d_backward(&x, &weight, &grad, &conv, ALL).unwrap();
        let dot = |a: &Tensor, b: &Tensor| list(a).iter().zip(list(b)).map(|(a, b)| a * b).sum::<f64>();
        let expected = dot(&grad, &y);
        for value in [dot(&grads.input.unwrap(), &x), dot(&grads.weight.unwrap(), &weight)] {
            assert!((value - expected).abs() < 1e-8 * expected.abs().max(1.0), "{value} where {expected} is right");
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_there() {
    let (x, weight) = (noise(&[1, 2, 4, 4], 1), noise(&[3, 2, 3, 3], 2));
    let wanted = Wanted { input: false, weight: true, bias: false };
    let grads = conv2d_backward(&x, &weight, &noise(&[1, 3, 2, 2], 3), &Conv2d::default(), wanted).unwrap();
    assert!(grads.input.is_none() && grads.weight.is_some() && grads.bias.is_none());
}

/// Channels below, at and above the width of a panel; a depth of one part and of several; kernels of each kind.
#[test]
fn a_picture_is_the_same_in_any_batch() {
    let plain = Conv2d { padding: [1, 1], ..Conv2d::default() };
    let cases = [
        ([64, 3, 9, 9], [32, 3, 3, 3], plain),
        ([64, 64, 4, 4], [70, 64, 3, 3], plain),
        ([64, 130, 1, 1], [10, 130, 1, 1], Conv2d::default()),
        ([64, 600, 1, 1], [1, 600, 1, 1], Conv2d::default()),
        ([64, 600, 1, 1], [5, 600, 1, 1], Conv2d::default()),
        ([64, 2, 1, 1], [3, 2, 1, 1], Conv2d::default()),
        ([64, 1, 5, 5], [1, 1, 3, 3], plain),
        ([64, 8, 5, 5], [2, 4, 3, 3], Conv2d { groups: 2, ..plain }),
        ([64, 20, 5, 5], [20, 1, 3, 3], Conv2d { groups: 20, ..plain }),
    ];
    for (shape, weight, conv) in cases {
        for dtype in [DType::F32, DType::F64] {
            let make = |shape: &[usize], seed| noise(shape, seed).to_dtype(dtype).unwrap();
            let (x, weight, bias) = (make(&shape, 1), make(&weight, 2), make(&weight[..1], 3));
            let run = |x: &Tensor| conv2d(x, &weight, Some(&bias), &conv).unwrap();
            let all = run(&x);
            for (start, count) in [(0, 1), (63, 1), (17, 2), (31, 7), (3, 40)] {
                let part = run(&x.narrow(0, start, count).unwrap());
                assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()), "{shape:?} {start} {count}");
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for (x, weight, conv) in [
        ([16, 8, 16, 16], [12, 8, 3, 3], Conv2d { padding: [1, 1], ..Conv2d::default() }),
        ([16, 8, 17, 16], [12, 4, 3, 3], Conv2d { stride: [2, 2], groups: 2, ..Conv2d::default() }),
        ([16, 8, 16, 16], [8, 1, 3, 3], Conv2d { groups: 8, ..Conv2d::default() }),
    ] {
        let (x, weight) = (to_f32(&noise(&x, 1)), to_f32(&noise(&weight, 2)));
        assert_same_on_all_threads(|| {
            let y = conv2d(&x, &weight, None, &conv).unwrap();
            let grads = conv2d_backward(&x, &weight, &to_f32(&noise(y.dims(), 3)), &conv, ALL).unwrap();
            vec![y, grads.input.unwrap(), grads.weight.unwrap(), grads.bias.unwrap()]
        });
    }
}

#[test]
fn layout_and_offset_do_not_matter() {
    for (x, weight, conv) in cases() {
        let (x, weight) = (noise(&x, 1), noise(&weight, 2));
        let y = conv2d(&x, &weight, None, &conv).unwrap();
        let grad = noise(y.dims(), 3);
        let grads = conv2d_backward(&x, &weight, &grad, &conv, ALL).unwrap();
        for (x, (weight, grad)) in layouts(&x).iter().zip(layouts(&weight).iter().zip(&layouts(&grad))) {
            assert_eq!(bits(&conv2d(x, weight, None, &conv).unwrap()), bits(&y));
            let other = conv2d_backward(x, weight, grad, &conv, ALL).unwrap();
            assert_eq!(bits(&other.input.unwrap()), bits(grads.input.as_ref().unwrap()));
            assert_eq!(bits(&other.weight.unwrap()), bits(grads.weight.as_ref().unwrap()));
        }
    }
}

#[test]
fn the_result_is_channels_last() {
    let y = conv2d(&noise(&[2, 3, 5, 5], 1), &noise(&[4, 3, 3, 3], 2), None, &Conv2d::default()).unwrap();
    assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
}

#[test]
fn an_empty_batch_gives_empty_results_and_zero_gradients() {
    for (x, weight, conv) in cases() {
        let (x, weight) = (noise(&[0, x[1], x[2], x[3]], 1), noise(&weight, 2));
        let y = conv2d(&x, &weight, None, &conv).unwrap();
        assert_eq!(y.dim(0).unwrap(), 0);
        let grads = conv2d_backward(&x, &weight, &y, &conv, ALL).unwrap();
        assert_eq!(grads.input.unwrap().dims(), x.dims());
        assert!(list(&grads.weight.unwrap()).iter().chain(&list(&grads.bias.unwrap())).all(|&g| g == 0.0));
    }
}

#[test]
fn no_channels_are_no_panic() {
    let plain = Conv2d::default();
    let none_out = conv2d(&noise(&[2, 3, 4, 4], 1), &noise(&[0, 3, 3, 3], 2), None, &plain).unwrap();
    assert_eq!(none_out.dims(), [2, 0, 2, 2]);
    let none_in = conv2d(&noise(&[2, 0, 4, 4], 1), &noise(&[3, 0, 3, 3], 2), None, &plain).unwrap();
    assert_eq!(list(&none_in), [0.0; 24]);
    let grads = conv2d_backward(&noise(&[2, 0, 4, 4], 1), &noise(&[3, 0, 3, 3], 2), &none_in, &plain, ALL).unwrap();
    assert_eq!(grads.weight.unwrap().dims(), [3, 0, 3, 3]);
}

#[test]
fn nan_reaches_the_outputs_that_see_it() {
    let mut numbers = vec![1.0; 16];
    numbers[0] = f64::NAN;
    let y = conv2d(&tensor64(&numbers, &[1, 1, 4, 4]), &noise(&[1, 1, 3, 3], 2), None, &Conv2d::default()).unwrap();
    assert_eq!(list(&y).iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [true, false, false, false]);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let (x, weight) = (noise(&[1, 3, 4, 4], 1), noise(&[2, 4, 3, 3], 2));
    let message = conv2d(&x, &weight, None, &Conv2d::default()).unwrap_err().to_string();
    assert!(message.contains("[1, 3, 4, 4]") && message.contains("[2, 4, 3, 3]") && message.contains("I / groups"));
    let weight = noise(&[2, 3, 3, 3], 2);
    for conv in [
        Conv2d { groups: 0, ..Conv2d::default() },
        Conv2d { stride: [0, 1], ..Conv2d::default() },
        Conv2d { dilation: [1, 0], ..Conv2d::default() },
        Conv2d { dilation: [usize::MAX, 1], ..Conv2d::default() },
        Conv2d { padding: [usize::MAX, 1], ..Conv2d::default() },
        Conv2d { dilation: [2, 2], ..Conv2d::default() },
    ] {
        assert!(matches!(conv2d(&x, &weight, None, &conv), Err(OpError::Shape { .. })), "{conv:?}");
    }
    let bias = noise(&[3], 3);
    assert!(matches!(conv2d(&x, &weight, Some(&bias), &Conv2d::default()), Err(OpError::Shape { .. })));
    let grad = noise(&[1, 2, 2, 3], 3);
    assert!(matches!(conv2d_backward(&x, &weight, &grad, &Conv2d::default(), ALL), Err(OpError::Shape { .. })));
    assert!(matches!(conv2d(&noise(&[3, 4, 4], 1), &weight, None, &Conv2d::default()), Err(OpError::Shape { .. })));
}

#[test]
fn other_types_are_refused() {
    let x = Tensor::zeros((1, 3, 4, 4), DType::U8, &Device::Cpu).unwrap();
    let weight = noise(&[2, 3, 3, 3], 2);
    assert!(matches!(conv2d(&x, &weight, None, &Conv2d::default()), Err(OpError::Unsupported { .. })));
    let x = to_f32(&noise(&[1, 3, 4, 4], 1));
    assert!(matches!(conv2d(&x, &weight, None, &Conv2d::default()), Err(OpError::Unsupported { .. })));
}

#[test]
fn results_are_detached() {
    let x = candle_core::Var::from_tensor(&noise(&[1, 3, 4, 4], 1)).unwrap();
    let y = conv2d(&x, &noise(&[2, 3, 3, 3], 2), None, &Conv2d::default()).unwrap();
    assert!(!y.track_op());
}
