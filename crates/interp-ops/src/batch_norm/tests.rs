use super::Then::{Nothing, Relu, ReluMaxPool};
use super::*;
use crate::OpError;
use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};
use crate::{max_pool2d, max_pool2d_backward, relu, relu_backward};
use candle_core::Device;

const EPS: f64 = 1e-5;
const SHAPES: [[usize; 4]; 4] = [[3, 2, 3, 5], [2, 5, 1, 1], [1, 1, 4, 3], [4, 17, 2, 1]];

/// Gain, shift, mean and a positive variance of a number of channels.
fn channels(count: usize) -> [Tensor; 4] {
    let variance: Vec<f64> = list(&noise(&[count], 7)).iter().map(|v| 1.5 + v).collect();
    [noise(&[count], 4), noise(&[count], 5), noise(&[count], 6), tensor64(&variance, &[count])]
}

/// The batch norm of gain, shift, mean and variance.
fn norm(tensors: &[Tensor; 4]) -> BatchNorm<'_> {
    let [gain, shift, mean, variance] = tensors;
    BatchNorm { gain, shift, mean, variance, eps: EPS }
}

fn train(x: &Tensor, norm: &BatchNorm<'_>, then: Then) -> Result<BatchNormed> {
    batch_norm_train(x, norm.gain, norm.shift, norm.eps, then)
}

/// The same with the statistics of the batch.
fn of_the_batch<'a>(norm: &BatchNorm<'a>, normed: &'a BatchNormed) -> BatchNorm<'a> {
    BatchNorm { mean: &normed.mean, variance: &normed.variance, ..*norm }
}

#[test]
fn statistics_are_those_of_the_channel() {
    // Channel 0: 1, 2, 3, 4; channel 1: 10, 10, 10, 30.
    let x = tensor64(&[1.0, 2.0, 10.0, 10.0, 3.0, 4.0, 10.0, 30.0], &[2, 2, 1, 2]);
    let (gain, shift) = (tensor64(&[1.0, 2.0], &[2]), tensor64(&[0.0, 5.0], &[2]));
    let normed = batch_norm_train(&x, &gain, &shift, 0.0, Nothing).unwrap();
    assert_eq!(list(&normed.mean), [2.5, 15.0]);
    assert_eq!(list(&normed.variance), [1.25, 75.0]);
    let expected = [-1.5 / 1.25f64.sqrt(), 2.0 * 15.0 / 75f64.sqrt() + 5.0];
    let output = list(&normed.output);
    assert!((output[0] - expected[0]).abs() < 1e-14 && (output[7] - expected[1]).abs() < 1e-14);
}

/// The textbook's two passes in `f64` over numbers whose mean is large beside their deviation.
#[test]
fn statistics_in_f32_keep_their_digits() {
    let shape = [7, 3, 60, 50];
    let x = to_f32(&(noise(&shape, 1) + 100.0).unwrap());
    let (ones, zeros) = (to_f32(&tensor64(&[1.0; 3], &[3])), to_f32(&tensor64(&[0.0; 3], &[3])));
    let normed = batch_norm_train(&x, &ones, &zeros, EPS, Nothing).unwrap();
    let numbers = list(&x.transpose(0, 1).unwrap().contiguous().unwrap());
    for (channel, numbers) in numbers.chunks_exact(7 * 60 * 50).enumerate() {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let variance = numbers.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
        assert!((list(&normed.mean)[channel] - mean).abs() < 1e-5);
        assert!((list(&normed.variance)[channel] / variance - 1.0).abs() < 1e-5);
    }
}

/// What may come then on a shape.
fn thens([_, _, h, w]: [usize; 4]) -> Vec<Then> {
    let kernels = [[2, 2], [1, 2], [3, 2], [1, 1]].into_iter().filter(|&[y, x]| y <= h && x <= w);
    [Nothing, Relu].into_iter().chain(kernels.map(|kernel| ReluMaxPool { kernel })).collect()
}

#[test]
fn gradients_are_central_differences() {
    for (shape, then) in SHAPES.into_iter().flat_map(|shape| thens(shape).into_iter().map(move |then| (shape, then))) {
        let x = noise(&shape, 1);
        let tensors = channels(shape[1]);
        let given = norm(&tensors);
        let normed = train(&x, &given, then).unwrap();
        let upstream = noise(normed.output.dims(), 2);
        let own = of_the_batch(&given, &normed);
        let grads = batch_norm_train_backward(&x, &own, then, &upstream, true).unwrap();
        let run = |x: &Tensor, norm: &BatchNorm<'_>| train(x, norm, then).unwrap().output;
        assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &given));
        assert_gradient(given.gain, &upstream, &grads.gain, |gain| run(&x, &BatchNorm { gain, ..given }));
        assert_gradient(given.shift, &upstream, &grads.shift, |shift| run(&x, &BatchNorm { shift, ..given }));
        let grads = batch_norm_eval_backward(&x, &given, then, &upstream, true).unwrap();
        let run = |x: &Tensor, norm: &BatchNorm<'_>| batch_norm_eval(x, norm, then).unwrap();
        assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &given));
        assert_gradient(given.gain, &upstream, &grads.gain, |gain| run(&x, &BatchNorm { gain, ..given }));
        assert_gradient(given.shift, &upstream, &grads.shift, |shift| run(&x, &BatchNorm { shift, ..given }));
    }
}

/// A way through the operations one by one: the output, and the gradient that arrives at the normalized numbers.
fn one_by_one(normed: &Tensor, then: Then, upstream: u64) -> (Tensor, Tensor) {
    let passed = relu(normed).unwrap();
    match then {
        Nothing => (normed.clone(), to_f32(&noise(normed.dims(), upstream))),
        Relu => {
            let through = relu_backward(&passed, &to_f32(&noise(normed.dims(), upstream))).unwrap();
            (passed, through)
        }
        ReluMaxPool { kernel } => {
            let pooled =
                max_pool2d(&passed, &Pool2d { kernel, stride: kernel, padding: [0, 0], ceil_mode: false }).unwrap();
            let grad = to_f32(&noise(pooled.output.dims(), upstream));
            let through = max_pool2d_backward(&pooled.argmax, &grad, normed.dims()).unwrap();
            (pooled.output, relu_backward(&passed, &through).unwrap())
        }
    }
}

fn assert_same(a: &BatchNormGrads, b: &BatchNormGrads) {
    assert_eq!(a.input.as_ref().map(bits), b.input.as_ref().map(bits));
    assert_eq!((bits(&a.gain), bits(&a.shift)), (bits(&b.gain), bits(&b.shift)));
}

/// Chunks of pixels that end within rows, and within windows; channels of all remainders; pixels outside all windows.
#[test]
fn the_bits_are_those_of_one_operation_after_the_other() {
    let large = [[3, 5, 4, 7], [2, 16, 9, 9], [1, 33, 2, 3], [70, 24, 8, 8], [3, 100, 13, 11], [2, 140, 10, 7]];
    for (shape, then) in large.into_iter().flat_map(|shape| thens(shape).into_iter().map(move |then| (shape, then))) {
        let x = to_f32(&noise(&shape, 1));
        let tensors = channels(shape[1]).map(|t| to_f32(&t));
        let given = norm(&tensors);
        let (one, two) = (train(&x, &given, then).unwrap(), train(&x, &given, Nothing).unwrap());
        let (output, through) = one_by_one(&two.output, then, 6);
        let grad = to_f32(&noise(output.dims(), 6));
        assert_eq!(bits(&one.output), bits(&output), "{shape:?} {then:?}");
        let own = of_the_batch(&given, &two);
        let expected = batch_norm_train_backward(&x, &own, Nothing, &through, true).unwrap();
        assert_same(&batch_norm_train_backward(&x, &own, then, &grad, true).unwrap(), &expected);
        let (output, through) = one_by_one(&batch_norm_eval(&x, &given, Nothing).unwrap(), then, 6);
        assert_eq!(bits(&batch_norm_eval(&x, &given, then).unwrap()), bits(&output));
        let expected = batch_norm_eval_backward(&x, &given, Nothing, &through, true).unwrap();
        assert_same(&batch_norm_eval_backward(&x, &given, then, &grad, true).unwrap(), &expected);
    }
}

/// Normalizing by the statistics that training returns gives what training gave.
#[test]
fn evaluation_by_the_batchs_statistics_has_the_bits_of_training() {
    let x = to_f32(&noise(&[7, 19, 6, 5], 1));
    let tensors = channels(19).map(|t| to_f32(&t));
    let normed = train(&x, &norm(&tensors), Nothing).unwrap();
    let again = batch_norm_eval(&x, &of_the_batch(&norm(&tensors), &normed), Nothing).unwrap();
    assert_eq!(bits(&again), bits(&normed.output));
}

#[test]
fn no_input_gradient_unless_wanted() {
    let (x, tensors) = (noise(&[2, 3, 2, 2], 1), channels(3));
    for then in [Nothing, Relu] {
        assert!(batch_norm_eval_backward(&x, &norm(&tensors), then, &x, false).unwrap().input.is_none());
        assert!(batch_norm_train_backward(&x, &norm(&tensors), then, &x, false).unwrap().input.is_none());
    }
}

#[test]
fn a_picture_is_the_same_in_any_batch_in_evaluation() {
    let x = to_f32(&noise(&[64, 20, 6, 5], 1));
    let tensors = channels(20).map(|t| to_f32(&t));
    for then in thens([64, 20, 6, 5]) {
        let run = |x: &Tensor| batch_norm_eval(x, &norm(&tensors), then).unwrap();
        let all = run(&x);
        for (start, count) in [(0, 1), (63, 1), (5, 7)] {
            let part = run(&x.narrow(0, start, count).unwrap());
            assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()));
        }
    }
}

#[test]
fn threads_do_not_matter() {
    let x = to_f32(&noise(&[9, 20, 30, 31], 1));
    let tensors = channels(20).map(|t| to_f32(&t));
    for then in thens([9, 20, 30, 31]) {
        assert_same_on_all_threads(|| {
            let normed = train(&x, &norm(&tensors), then).unwrap();
            let grad = to_f32(&noise(normed.output.dims(), 2));
            let own = of_the_batch(&norm(&tensors), &normed);
            let grads = batch_norm_train_backward(&x, &own, then, &grad, true).unwrap();
            let BatchNormed { output, mean, variance } = normed;
            vec![output, mean, variance, grads.input.unwrap(), grads.gain, grads.shift]
        });
    }
}

#[test]
fn layout_does_not_matter() {
    let x = noise(&[2, 3, 4, 5], 1);
    let tensors = channels(3);
    for then in thens([2, 3, 4, 5]) {
        let output = train(&x, &norm(&tensors), then).unwrap().output;
        let grad = noise(output.dims(), 2);
        let grads = batch_norm_eval_backward(&x, &norm(&tensors), then, &grad, true).unwrap();
        for (x, grad) in layouts(&x).iter().zip(&layouts(&grad)) {
            assert_eq!(bits(&train(x, &norm(&tensors), then).unwrap().output), bits(&output));
            assert_same(&batch_norm_eval_backward(x, &norm(&tensors), then, grad, true).unwrap(), &grads);
        }
    }
}

#[test]
fn a_channel_without_deviation_is_its_shift() {
    let x = tensor64(&[7.0; 6], &[2, 1, 3, 1]);
    let (gain, shift) = (tensor64(&[2.0], &[1]), tensor64(&[3.0], &[1]));
    assert_eq!(list(&batch_norm_train(&x, &gain, &shift, EPS, Nothing).unwrap().output), [3.0; 6]);
}

#[test]
fn nan_stays_in_its_channel() {
    let x = tensor64(&[f64::NAN, 1.0, 2.0, 3.0], &[1, 2, 1, 2]);
    for then in thens([1, 2, 1, 2]) {
        let output = list(&train(&x, &norm(&channels(2)), then).unwrap().output);
        let (first, second) = output.split_at(output.len() / 2);
        assert!(first.iter().all(|v| v.is_nan()) && second.iter().all(|v| !v.is_nan()), "{then:?}");
    }
}

/// Windows with several NaN, equal numbers, and a gradient of -0.0: what the operations one after the other make of them.
#[test]
fn the_bits_are_the_same_where_windows_have_nan_and_ties() {
    let tensors = channels(17).map(|t| to_f32(&t));
    let given = norm(&tensors);
    let count = 2 * 17 * 4 * 4;
    for nan in 0..4 {
        let value = |i: usize| match i % 16 {
            at if at % 5 == nan => f32::NAN,
            at => [0.5, 2.0, 2.0, -1.0][at % 4],
        };
        let x = Tensor::from_vec((0..count).map(value).collect::<Vec<_>>(), (2, 17, 4, 4), &Device::Cpu).unwrap();
        let kernel = [2, 2];
        let passed = relu(&batch_norm_eval(&x, &given, Nothing).unwrap()).unwrap();
        let pooled =
            max_pool2d(&passed, &Pool2d { kernel, stride: kernel, padding: [0, 0], ceil_mode: false }).unwrap();
        let then = ReluMaxPool { kernel };
        assert_eq!(bits(&batch_norm_eval(&x, &given, then).unwrap()), bits(&pooled.output));
        let upstream: Vec<f32> = (0..count / 4).map(|i| if i % 3 == 0 { -0.0 } else { i as f32 }).collect();
        let upstream = Tensor::from_vec(upstream, pooled.output.shape(), &Device::Cpu).unwrap();
        let through = max_pool2d_backward(&pooled.argmax, &upstream, x.dims()).unwrap();
        let through = relu_backward(&passed, &through).unwrap();
        let expected = batch_norm_eval_backward(&x, &given, Nothing, &through, true).unwrap();
        let found = batch_norm_eval_backward(&x, &given, then, &upstream, true).unwrap();
        assert_eq!(found.input.as_ref().map(bits), expected.input.as_ref().map(bits));
    }
}

#[test]
fn an_empty_batch_has_no_statistics() {
    let x = noise(&[0, 3, 2, 2], 1);
    let tensors = channels(3);
    for then in [Nothing, Relu, ReluMaxPool { kernel: [2, 2] }] {
        assert!(matches!(train(&x, &norm(&tensors), then), Err(OpError::Shape { .. })));
        let output = batch_norm_eval(&x, &norm(&tensors), then).unwrap();
        let backward = batch_norm_train_backward(&x, &norm(&tensors), then, &output, true);
        assert!(matches!(backward, Err(OpError::Shape { .. })));
        assert_eq!(output.elem_count(), 0);
        let grads = batch_norm_eval_backward(&x, &norm(&tensors), then, &output, true).unwrap();
        assert_eq!((list(&grads.gain), grads.input.unwrap().dims()), (vec![0.0; 3], x.dims()));
    }
}

#[test]
fn no_channels_are_no_panic() {
    let x = noise(&[2, 0, 2, 2], 1);
    let tensors = channels(0);
    for then in thens([2, 0, 2, 2]) {
        let output = train(&x, &norm(&tensors), then).unwrap().output;
        assert!(batch_norm_train_backward(&x, &norm(&tensors), then, &output, true).is_ok());
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = noise(&[2, 3, 2, 2], 1);
    let (tensors, wrong) = (channels(3), noise(&[4], 1));
    let given = norm(&tensors);
    let error = train(&x, &BatchNorm { gain: &wrong, ..given }, Nothing).unwrap_err().to_string();
    assert!(error.contains("gain [4]") && error.contains("[3]"), "{error}");
    assert!(batch_norm_eval(&x, &BatchNorm { mean: &wrong, ..given }, Nothing).is_err());
    let grad = noise(&[2, 3, 2, 1], 1);
    for then in thens([2, 3, 2, 2]).into_iter().filter(|&then| then != ReluMaxPool { kernel: [1, 2] }) {
        let error = batch_norm_eval_backward(&x, &given, then, &grad, true).unwrap_err().to_string();
        assert!(error.contains("grad [2, 3, 2, 1]"), "{error}");
    }
    assert!(train(&noise(&[2, 3], 1), &given, Nothing).is_err());
    for kernel in [[3, 1], [0, 1]] {
        assert!(matches!(batch_norm_eval(&x, &given, ReluMaxPool { kernel }), Err(OpError::Shape { .. })));
    }
}
