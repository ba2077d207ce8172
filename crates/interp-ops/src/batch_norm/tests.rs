use super::*;
use crate::OpError;
use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

const EPS: f64 = 1e-5;
const SHAPES: [[usize; 4]; 4] = [[3, 2, 3, 4], [2, 5, 1, 1], [1, 1, 4, 3], [4, 17, 2, 1]];

/// Gain, shift, mean and a positive variance of a number of channels.
fn channels(count: usize) -> [Tensor; 4] {
    let variance: Vec<f64> = list(&noise(&[count], 7)).iter().map(|v| 1.5 + v).collect();
    [noise(&[count], 4), noise(&[count], 5), noise(&[count], 6), tensor64(&variance, &[count])]
}

fn train_output(x: &Tensor, gain: &Tensor, shift: &Tensor) -> Tensor {
    batch_norm_train(x, gain, shift, EPS).unwrap().output
}

#[test]
fn statistics_are_those_of_the_channel() {
    // Channel 0: 1, 2, 3, 4; channel 1: 10, 10, 10, 30.
    let x = tensor64(&[1.0, 2.0, 10.0, 10.0, 3.0, 4.0, 10.0, 30.0], &[2, 2, 1, 2]);
    let (gain, shift) = (tensor64(&[1.0, 2.0], &[2]), tensor64(&[0.0, 5.0], &[2]));
    let normed = batch_norm_train(&x, &gain, &shift, 0.0).unwrap();
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
    let normed = batch_norm_train(&x, &ones, &zeros, EPS).unwrap();
    let numbers = list(&x.transpose(0, 1).unwrap().contiguous().unwrap());
    for (channel, numbers) in numbers.chunks_exact(7 * 60 * 50).enumerate() {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let variance = numbers.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
        assert!((list(&normed.mean)[channel] - mean).abs() < 1e-5);
        assert!((list(&normed.variance)[channel] / variance - 1.0).abs() < 1e-5);
    }
}

#[test]
fn gradients_in_training_are_central_differences() {
    for shape in SHAPES {
        let (x, upstream) = (noise(&shape, 1), noise(&shape, 2));
        let [gain, shift, ..] = channels(shape[1]);
        let normed = batch_norm_train(&x, &gain, &shift, EPS).unwrap();
        let grads = batch_norm_train_backward(&x, &gain, &normed.mean, &normed.variance, EPS, &upstream, true).unwrap();
        assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| train_output(x, &gain, &shift));
        assert_gradient(&gain, &upstream, &grads.gain, |gain| train_output(&x, gain, &shift));
        assert_gradient(&shift, &upstream, &grads.shift, |shift| train_output(&x, &gain, shift));
    }
}

#[test]
fn gradients_in_evaluation_are_central_differences() {
    for shape in SHAPES {
        let (x, upstream) = (noise(&shape, 1), noise(&shape, 2));
        let [gain, shift, mean, variance] = channels(shape[1]);
        let run =
            |x: &Tensor, gain: &Tensor, shift: &Tensor| batch_norm_eval(x, gain, shift, &mean, &variance, EPS).unwrap();
        let grads = batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &upstream, true).unwrap();
        assert_gradient(&x, &upstream, &grads.input.unwrap(), |x| run(x, &gain, &shift));
        assert_gradient(&gain, &upstream, &grads.gain, |gain| run(&x, gain, &shift));
        assert_gradient(&shift, &upstream, &grads.shift, |shift| run(&x, &gain, shift));
    }
}

#[test]
fn no_input_gradient_unless_wanted() {
    let x = noise(&[2, 3, 2, 2], 1);
    let [gain, _, mean, variance] = channels(3);
    assert!(batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &x, false).unwrap().input.is_none());
    assert!(batch_norm_train_backward(&x, &gain, &mean, &variance, EPS, &x, false).unwrap().input.is_none());
}

#[test]
fn a_picture_is_the_same_in_any_batch_in_evaluation() {
    let x = to_f32(&noise(&[64, 20, 6, 5], 1));
    let [gain, shift, mean, variance] = channels(20).map(|t| to_f32(&t));
    let run = |x: &Tensor| batch_norm_eval(x, &gain, &shift, &mean, &variance, EPS).unwrap();
    let all = run(&x);
    for (start, count) in [(0, 1), (63, 1), (5, 7)] {
        let part = run(&x.narrow(0, start, count).unwrap());
        assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()));
    }
}

#[test]
fn threads_do_not_matter() {
    let (x, grad) = (to_f32(&noise(&[9, 20, 30, 31], 1)), to_f32(&noise(&[9, 20, 30, 31], 2)));
    let [gain, shift, ..] = channels(20).map(|t| to_f32(&t));
    assert_same_on_all_threads(|| {
        let normed = batch_norm_train(&x, &gain, &shift, EPS).unwrap();
        let grads = batch_norm_train_backward(&x, &gain, &normed.mean, &normed.variance, EPS, &grad, true).unwrap();
        vec![normed.output, normed.mean, normed.variance, grads.input.unwrap(), grads.gain, grads.shift]
    });
}

#[test]
fn layout_does_not_matter() {
    let (x, grad) = (noise(&[2, 3, 4, 5], 1), noise(&[2, 3, 4, 5], 2));
    let [gain, shift, mean, variance] = channels(3);
    let output = train_output(&x, &gain, &shift);
    let grads = batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &grad, true).unwrap();
    for (x, grad) in layouts(&x).iter().zip(&layouts(&grad)) {
        assert_eq!(bits(&train_output(x, &gain, &shift)), bits(&output));
        let other = batch_norm_eval_backward(x, &gain, &mean, &variance, EPS, grad, true).unwrap();
        assert_eq!(bits(&other.gain), bits(&grads.gain));
        assert_eq!(bits(&other.input.unwrap()), bits(grads.input.as_ref().unwrap()));
    }
}

#[test]
fn a_channel_without_deviation_is_its_shift() {
    let x = tensor64(&[7.0; 6], &[2, 1, 3, 1]);
    let (gain, shift) = (tensor64(&[2.0], &[1]), tensor64(&[3.0], &[1]));
    assert_eq!(list(&train_output(&x, &gain, &shift)), [3.0; 6]);
}

#[test]
fn nan_stays_in_its_channel() {
    let x = tensor64(&[f64::NAN, 1.0, 2.0, 3.0], &[1, 2, 1, 2]);
    let [gain, shift, ..] = channels(2);
    let nan: Vec<bool> = list(&train_output(&x, &gain, &shift)).iter().map(|v| v.is_nan()).collect();
    assert_eq!(nan, [true, true, false, false]);
}

#[test]
fn an_empty_batch_has_no_statistics() {
    let x = noise(&[0, 3, 2, 2], 1);
    let [gain, shift, mean, variance] = channels(3);
    assert!(matches!(batch_norm_train(&x, &gain, &shift, EPS), Err(OpError::Shape { .. })));
    let backward = batch_norm_train_backward(&x, &gain, &mean, &variance, EPS, &x, true);
    assert!(matches!(backward, Err(OpError::Shape { .. })));
    assert_eq!(batch_norm_eval(&x, &gain, &shift, &mean, &variance, EPS).unwrap().dims(), x.dims());
    let grads = batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &x, true).unwrap();
    assert_eq!(list(&grads.gain), [0.0; 3]);
}

#[test]
fn no_channels_are_no_panic() {
    let x = noise(&[2, 0, 2, 2], 1);
    let [gain, shift, mean, variance] = channels(0);
    let normed = batch_norm_train(&x, &gain, &shift, EPS).unwrap();
    assert_eq!(normed.output.dims(), x.dims());
    assert!(batch_norm_train_backward(&x, &gain, &mean, &variance, EPS, &x, true).is_ok());
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = noise(&[2, 3, 2, 2], 1);
    let [gain, shift, mean, variance] = channels(3);
    let wrong = noise(&[4], 1);
    let error = batch_norm_train(&x, &wrong, &shift, EPS).unwrap_err().to_string();
    assert!(error.contains("gain [4]") && error.contains("[3]"), "{error}");
    assert!(batch_norm_eval(&x, &gain, &shift, &wrong, &variance, EPS).is_err());
    let grad = noise(&[2, 3, 2, 1], 1);
    assert!(batch_norm_eval_backward(&x, &gain, &mean, &variance, EPS, &grad, true).is_err());
    assert!(batch_norm_train(&noise(&[2, 3], 1), &gain, &shift, EPS).is_err());
}
