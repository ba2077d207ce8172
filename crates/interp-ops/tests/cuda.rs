//! Every operation on a CUDA device, against the CPU's values: `cargo test -p interp-ops --features cuda --test cuda`.
//! Where there is no device, each test says that it is skipped.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use interp_ops::{
    Arithmetic, BatchNorm, BatchNormGrads, Conv2d, OpError, Pool2d, Rule, Targets, Then, Update, Wanted, WeightGrads,
    batch_norm_train,
};
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

const EPS: f64 = f32::EPSILON as f64;
const ALL: Wanted = Wanted { input: true, weight: true, bias: true };

/// The device, for one test at a time: its arithmetic is a setting of the process.
struct Lent {
    device: Device,
    _alone: MutexGuard<'static, ()>,
}

fn lent(test: &str, arithmetic: Arithmetic) -> Option<Lent> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = interp_ops::device("auto", arithmetic).unwrap();
    if device.is_cuda() {
        return Some(Lent { device, _alone: alone });
    }
    // Past the harness, which hides what tests print.
    std::io::stderr().write_all(format!("SKIPPED: {test}: there is no CUDA device\n").as_bytes()).unwrap();
    None
}

/// Runs a test with the device, if there is one.
fn on_device(test: &str, run: impl Fn(&Device)) {
    if let Some(lent) = lent(test, Arithmetic::default()) {
        run(&lent.device);
    }
}

/// Numbers between -1 and 1, the same on every run.
fn noise(shape: &[usize], seed: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let number = |i: usize| ((i * i % 8191) as f64 * 0.7 + i as f64 * 1.3 + seed as f64 * 2.1).sin() as f32;
    Tensor::from_vec((0..count).map(number).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

fn list(tensor: &Tensor) -> Vec<f64> {
    let cpu = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
    cpu.flatten_all().unwrap().to_vec1().unwrap()
}

fn to_f64(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::F64).unwrap()
}

/// The same bits (NaN aside), and the CPU's layout.
fn assert_same(found: &Tensor, expected: &Tensor) {
    assert_eq!((found.dims(), found.dtype()), (expected.dims(), expected.dtype()));
    assert_eq!(found.stride(), expected.stride());
    assert!(found.device().is_cuda());
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(list(found).iter().zip(&list(expected)).all(same), "{found} where {expected} is right");
}

/// Numbers that differ from those in f64 by at most `bounds`, number by number.
fn assert_within(found: &Tensor, exact: &Tensor, bounds: &[f64]) {
    assert_eq!(found.dims(), exact.dims());
    for ((found, exact), bound) in list(found).iter().zip(list(exact)).zip(bounds) {
        assert!((found - exact).abs() <= *bound, "{found} where {exact} is right, within {bound}");
    }
}

/// Numbers that differ from those in f64 by at most `bound`, relative to what is above 1.
fn assert_near(found: &Tensor, exact: &Tensor, bound: f64) {
    let bounds: Vec<f64> = list(exact).iter().map(|exact| bound * exact.abs().max(1.0)).collect();
    assert_within(found, exact, &bounds);
}

/// The tensor on the device in four layouts: row by row, channels-last, cut out of a larger one, two dimensions exchanged.
fn layouts(x: &Tensor, device: &Device) -> Vec<Tensor> {
    let x = x.to_device(device).unwrap();
    let channels_last = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().permute((0, 3, 1, 2)).unwrap();
    let cut = Tensor::cat(&[&x, &x, &x], 2).unwrap().narrow(2, x.dim(2).unwrap(), x.dim(2).unwrap()).unwrap();
    let turned = x.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
    vec![x, channels_last, cut, turned]
}

const fn pool(kernel: usize, stride: usize, padding: usize) -> Pool2d {
    Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ceil_mode: false }
}

/// Windows equal to and other than the stride, gaps, padding, odd sizes, sizes of 1, positions left over; more channels than a
/// block has, more pixels than a launch has threads for.
const POOLS: [([usize; 4], Pool2d); 10] = [
    ([2, 3, 4, 6], pool(2, 2, 0)),
    ([1, 2, 7, 5], pool(2, 2, 0)),
    ([2, 45, 7, 8], pool(3, 2, 1)),
    ([1, 2, 7, 7], pool(2, 3, 0)),
    ([1, 33, 3, 3], pool(2, 1, 1)),
    ([1, 1, 1, 1], pool(1, 1, 0)),
    ([3, 2, 6, 7], Pool2d { kernel: [2, 5], stride: [3, 1], padding: [1, 2], ceil_mode: false }),
    ([2, 45, 6, 7], Pool2d { ceil_mode: true, ..pool(3, 2, 0) }),
    ([1, 2, 5, 2], Pool2d { ceil_mode: true, ..pool(3, 2, 1) }),
    ([3, 2, 110, 110], pool(3, 1, 1)),
];

/// Shapes of x and weight of every kind of convolution.
fn convolutions() -> Vec<([usize; 4], [usize; 4], Conv2d)> {
    let plain = Conv2d::default();
    let padded = Conv2d { padding: [1, 1], ..plain };
    vec![
        ([2, 3, 5, 4], [4, 3, 3, 3], padded),
        ([1, 2, 6, 5], [3, 2, 3, 2], plain),
        ([2, 2, 7, 6], [3, 2, 3, 3], Conv2d { stride: [2, 2], ..padded }),
        ([1, 2, 8, 7], [2, 2, 2, 3], Conv2d { stride: [3, 2], padding: [0, 2], ..plain }),
        ([1, 2, 9, 8], [2, 2, 3, 3], Conv2d { dilation: [2, 3], padding: [2, 1], ..plain }),
        ([2, 4, 5, 5], [6, 2, 3, 3], Conv2d { groups: 2, ..padded }),
        ([2, 3, 5, 5], [6, 1, 3, 3], Conv2d { groups: 3, ..padded }),
        (
            [1, 18, 4, 4],
            [18, 1, 3, 2],
            Conv2d { groups: 18, stride: [2, 1], padding: [1, 1], dilation: [1, 2], ..plain },
        ),
        ([2, 3, 4, 5], [5, 3, 1, 1], plain),
        ([2, 3, 5, 4], [2, 3, 1, 1], Conv2d { stride: [2, 2], ..plain }),
        ([1, 1, 1, 1], [1, 1, 1, 1], plain),
        ([3, 1, 1, 1], [1, 1, 3, 3], padded),
        ([4, 40, 9, 9], [70, 40, 3, 3], padded),
    ]
}

/// Forward and gradients of a convolution.
fn convolve(x: &Tensor, weight: &Tensor, bias: &Tensor, grad: Option<&Tensor>, conv: &Conv2d) -> (Tensor, WeightGrads) {
    let y = interp_ops::conv2d(x, weight, Some(bias), conv).unwrap();
    let grad = grad.unwrap_or(&y);
    let grads = interp_ops::conv2d_backward(x, weight, grad, conv, ALL).unwrap();
    (y, grads)
}

/// Holds convolutions on the device to the CPU's in f64, within `bound` times the sum of the products' sizes.
fn check_convolutions(device: &Device, bound: f64) {
    for (x, weight, conv) in convolutions() {
        let (x, bias) = (noise(&x, 1), noise(&weight[..1], 3));
        let weight = noise(&weight, 2);
        let [x64, weight64, bias64] = [&x, &weight, &bias].map(to_f64);
        let [x_size, weight_size, bias_size] = [&x64, &weight64, &bias64].map(|t| t.abs().unwrap());
        let y = interp_ops::conv2d(&x64, &weight64, Some(&bias64), &conv).unwrap();
        let grad = noise(y.dims(), 4);
        let (y, exact) = convolve(&x64, &weight64, &bias64, Some(&to_f64(&grad)), &conv);
        let grad_size = to_f64(&grad).abs().unwrap();
        let (y_size, size) = convolve(&x_size, &weight_size, &bias_size, Some(&grad_size), &conv);
        let bounds = |size: &Tensor| list(size).iter().map(|size| bound * size).collect::<Vec<f64>>();
        let [weight, bias] = [&weight, &bias].map(|t| t.to_device(device).unwrap());
        for (x, grad) in layouts(&x, device).iter().zip(layouts(&grad, device)) {
            let (found_y, found) = convolve(x, &weight, &bias, Some(&grad), &conv);
            assert!(found_y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
            assert_within(&found_y, &y, &bounds(&y_size));
            let triples = [
                (&found.input, &exact.input, &size.input),
                (&found.weight, &exact.weight, &size.weight),
                (&found.bias, &exact.bias, &size.bias),
            ];
            for (found, exact, size) in triples {
                assert_within(found.as_ref().unwrap(), exact.as_ref().unwrap(), &bounds(size.as_ref().unwrap()));
            }
            assert!(found.weight.unwrap().is_contiguous());
        }
    }
}

#[test]
fn convolutions_are_the_cpus_within_8_eps() {
    on_device("convolutions", |device| check_convolutions(device, 8.0 * EPS));
}

/// Each factor is rounded by at most 2^-11; 2^-9 leaves room for the sums.
#[test]
fn convolutions_in_tf32_are_the_cpus_within_2_to_the_minus_9() {
    let arithmetic = Arithmetic { tf32: true, deterministic: false };
    if let Some(lent) = lent("convolutions in TF32", arithmetic) {
        check_convolutions(&lent.device, 2f64.powi(-9));
    }
}

#[test]
fn nothing_to_convolve_is_zero() {
    on_device("empty convolutions", |device| {
        let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
        let (x, weight, bias) = (noise(&[2, 3, 4, 4], 1), noise(&[5, 3, 3, 3], 2), noise(&[5], 3));
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_device(device).unwrap());
        let none = x.narrow(0, 0, 0).unwrap();
        let (y, grads) = convolve(&none, &weight, &bias, None, &conv);
        assert_eq!((y.dims(), grads.input.unwrap().dims()), (&[0, 5, 4, 4][..], &[0, 3, 4, 4][..]));
        assert!(list(&grads.weight.unwrap()).iter().chain(&list(&grads.bias.unwrap())).all(|&g| g == 0.0));
    });
}

#[test]
fn elementwise_operations_are_the_cpus_to_the_bit() {
    on_device("elementwise", |device| {
        let (mut numbers, special) = (list(&noise(&[2, 37, 5, 3], 1)), [f64::NAN, -0.0, 0.0, f64::INFINITY]);
        numbers[..4].copy_from_slice(&special);
        let a = Tensor::from_vec(numbers, (2, 37, 5, 3), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        let b = noise(&[2, 37, 5, 3], 2);
        let cpu = [
            interp_ops::relu(&a).unwrap(),
            interp_ops::relu_backward(&a, &b).unwrap(),
            interp_ops::add(&a, &b).unwrap(),
            interp_ops::channels_last(&a).unwrap(),
            interp_ops::on_off(&a).unwrap(),
            interp_ops::on_off_backward(&interp_ops::on_off(&b).unwrap()).unwrap(),
            interp_ops::pad_shortcut(&a, [1, 3], 2).unwrap(),
            interp_ops::mirror(&a, 2).unwrap(),
        ];
        let back = interp_ops::pad_shortcut_backward(&cpu[6], a.dims(), 1, 2).unwrap();
        let inside = interp_ops::mirror_backward(&cpu[7], 2).unwrap();
        for (a, b) in layouts(&a, device).iter().zip(layouts(&b, device).iter().rev()) {
            let found = [
                interp_ops::relu(a).unwrap(),
                interp_ops::relu_backward(a, b).unwrap(),
                interp_ops::add(a, b).unwrap(),
                interp_ops::channels_last(a).unwrap(),
                interp_ops::on_off(a).unwrap(),
                interp_ops::on_off_backward(&interp_ops::on_off(b).unwrap()).unwrap(),
                interp_ops::pad_shortcut(a, [1, 3], 2).unwrap(),
                interp_ops::mirror(a, 2).unwrap(),
            ];
            found.iter().zip(&cpu).for_each(|(found, cpu)| assert_same(found, cpu));
            assert_same(&interp_ops::pad_shortcut_backward(&found[6], a.dims(), 1, 2).unwrap(), &back);
            assert_same(&interp_ops::mirror_backward(&found[7], 2).unwrap(), &inside);
        }
        let vector = noise(&[1000], 3);
        let found = interp_ops::relu(&vector.to_device(device).unwrap()).unwrap();
        assert_same(&found, &interp_ops::relu(&vector).unwrap());
    });
}

#[test]
fn pools_are_the_cpus_to_the_bit() {
    on_device("pools", |device| {
        for (shape, pool) in POOLS {
            let x = noise(&shape, 1);
            let (max, mean) = (interp_ops::max_pool2d(&x, &pool).unwrap(), interp_ops::avg_pool2d(&x, &pool).unwrap());
            let grad = noise(mean.dims(), 2);
            let max_back = interp_ops::max_pool2d_backward(&max.argmax, &grad, &shape).unwrap();
            let mean_back = interp_ops::avg_pool2d_backward(&grad, &shape, &pool).unwrap();
            for (x, grad) in layouts(&x, device).iter().zip(&layouts(&grad, device)) {
                let found = interp_ops::max_pool2d(x, &pool).unwrap();
                assert_same(&found.output, &max.output);
                assert_same(&found.argmax, &max.argmax);
                let back = interp_ops::max_pool2d_backward(&found.argmax, grad, &shape).unwrap();
                assert_same(&back, &max_back);
                assert_same(&interp_ops::avg_pool2d(x, &pool).unwrap(), &mean);
                assert_same(&interp_ops::avg_pool2d_backward(grad, &shape, &pool).unwrap(), &mean_back);
            }
        }
    });
}

#[test]
fn ties_and_nan_in_max_pools_go_as_on_the_cpu() {
    on_device("ties", |device| {
        let numbers = [0.0, 0.0, f32::NAN, 1.0, 0.0, 0.0, f32::NAN, f32::NEG_INFINITY];
        let x = Tensor::from_slice(&numbers, (1, 1, 2, 4), &Device::Cpu).unwrap();
        let cpu = interp_ops::max_pool2d(&x, &pool(2, 1, 1)).unwrap();
        let found = interp_ops::max_pool2d(&x.to_device(device).unwrap(), &pool(2, 1, 1)).unwrap();
        assert_same(&found.output, &cpu.output);
        assert_same(&found.argmax, &cpu.argmax);
    });
}

#[test]
fn global_average_pools_are_the_cpus_within_an_eps() {
    on_device("global average", |device| {
        for shape in [[2, 3, 4, 3], [1, 1, 1, 1], [3, 70, 9, 11]] {
            let (x, grad) = (noise(&shape, 1), noise(&shape[..2], 2));
            let exact = interp_ops::global_avg_pool(&to_f64(&x)).unwrap();
            for x in layouts(&x, device) {
                assert_near(&interp_ops::global_avg_pool(&x).unwrap(), &exact, EPS);
            }
            let found = interp_ops::global_avg_pool_backward(&grad.to_device(device).unwrap(), &shape).unwrap();
            assert_same(&found, &interp_ops::global_avg_pool_backward(&grad, &shape).unwrap());
        }
    });
}

#[test]
fn adaptive_averages_of_sizes_that_divide_are_the_cpus() {
    on_device("adaptive average", |device| {
        let (x, grad) = (noise(&[2, 33, 6, 8], 1), noise(&[2, 33, 3, 2], 2));
        let (there, grad_there) = (x.to_device(device).unwrap(), grad.to_device(device).unwrap());
        let run = |x: &Tensor, grad: &Tensor| {
            let y = interp_ops::adaptive_avg_pool2d(x, [3, 2]).unwrap();
            [y, interp_ops::adaptive_avg_pool2d_backward(grad, x.dims()).unwrap()]
        };
        let (found, exact) = (run(&there, &grad_there), run(&to_f64(&x), &to_f64(&grad)));
        found.iter().zip(&exact).for_each(|(found, exact)| assert_near(found, exact, 1e-6));
        let error = interp_ops::adaptive_avg_pool2d(&there, [4, 2]).unwrap_err();
        assert!(matches!(error, OpError::Unsupported { .. }), "{error}");
    });
}

#[test]
fn linear_maps_of_maps_are_the_cpus() {
    on_device("linear of maps", |device| {
        let (x, weight, grad) = (noise(&[3, 5, 4, 2], 1), noise(&[7, 40], 2), noise(&[3, 7], 4));
        let run = |x: &Tensor, weight: &Tensor, grad: &Tensor| {
            let grads = interp_ops::linear_backward(x, weight, grad, ALL).unwrap();
            [interp_ops::linear(x, weight, None).unwrap(), grads.input.unwrap(), grads.weight.unwrap()]
        };
        let exact = run(&to_f64(&x), &to_f64(&weight), &to_f64(&grad));
        let [weight, grad] = [&weight, &grad].map(|t| t.to_device(device).unwrap());
        for x in layouts(&x, device) {
            run(&x, &weight, &grad).iter().zip(&exact).for_each(|(found, exact)| assert_near(found, exact, 1e-5));
        }
    });
}

#[test]
fn linear_maps_are_the_cpus_within_8_eps() {
    on_device("linear", |device| {
        for (n, inputs, outputs) in [(3, 4, 5), (1, 3, 1), (2, 1, 1), (1, 1, 1), (64, 300, 10), (300, 2, 70)] {
            let tensors = [&[n, inputs][..], &[outputs, inputs], &[outputs], &[n, outputs]];
            let [x, weight, bias, grad] = [1, 2, 3, 4].map(|seed| noise(tensors[seed - 1], seed));
            let run = |x: &Tensor, weight: &Tensor, bias: &Tensor, grad: &Tensor| {
                let y = interp_ops::linear(x, weight, Some(bias)).unwrap();
                let grads = interp_ops::linear_backward(x, weight, grad, ALL).unwrap();
                [y, grads.input.unwrap(), grads.weight.unwrap(), grads.bias.unwrap()]
            };
            let [a, b, c, d] = [&x, &weight, &bias, &grad].map(to_f64);
            let exact = run(&a, &b, &c, &d);
            let [a, b, c, d] = [a, b, c, d].map(|t| t.abs().unwrap());
            let sizes = run(&a, &b, &c, &d);
            let [a, b, c, d] = [&x, &weight, &bias, &grad].map(|t| t.to_device(device).unwrap());
            let turned = a.t().unwrap().contiguous().unwrap().t().unwrap();
            for found in [run(&a, &b, &c, &d), run(&turned, &b, &c, &d)] {
                for ((found, exact), size) in found.iter().zip(&exact).zip(&sizes) {
                    let bounds: Vec<f64> = list(size).iter().map(|size| 8.0 * EPS * size).collect();
                    assert_within(found, exact, &bounds);
                }
            }
        }
    });
}

/// x, gain, shift, mean, variance and a gradient.
fn normed(shape: [usize; 4]) -> [Tensor; 6] {
    let c = [shape[1]];
    let x = (noise(&shape, 1) * 3.0).unwrap().broadcast_add(&noise(&[1, c[0], 1, 1], 7)).unwrap();
    let variance = noise(&c, 5).sqr().unwrap().affine(1.0, 0.1).unwrap();
    [x, noise(&c, 2), noise(&c, 3), noise(&c, 4), variance, noise(&shape, 6)]
}

/// Outputs, statistics and gradients of all four batch norms, each alone and with a ReLU.
fn norms(tensors: &[Tensor; 6]) -> Vec<Tensor> {
    const EPS: f64 = 1e-5;
    let [x, gain, shift, mean, variance, grad] = tensors;
    let mut all = vec![];
    let mut grads = |grads: BatchNormGrads| all.extend([grads.input.unwrap(), grads.gain, grads.shift]);
    let given = BatchNorm { gain, shift, mean, variance, eps: EPS };
    let plain = batch_norm_train(x, gain, shift, EPS, Then::Nothing).unwrap();
    let relu = batch_norm_train(x, gain, shift, EPS, Then::Relu).unwrap();
    let own = BatchNorm { mean: &plain.mean, variance: &plain.variance, ..given };
    for then in [Then::Nothing, Then::Relu] {
        grads(interp_ops::batch_norm_train_backward(x, &own, then, grad, true).unwrap());
        grads(interp_ops::batch_norm_eval_backward(x, &given, then, grad, true).unwrap());
    }
    all.extend([Then::Nothing, Then::Relu].map(|then| interp_ops::batch_norm_eval(x, &given, then).unwrap()));
    all.extend([plain.output, plain.mean, plain.variance, relu.output]);
    all
}

/// The bound is on sums of up to 1,944 numbers of size 3; what a ReLU passes differs only where a number is 0 to rounding.
#[test]
fn batch_norms_are_the_cpus_within_4e_4() {
    on_device("batch norm", |device| {
        for shape in [[3, 5, 4, 7], [2, 33, 9, 9], [1, 64, 2, 1], [24, 3, 9, 9], [1, 1, 1, 2]] {
            let tensors = normed(shape);
            let exact = norms(&tensors.each_ref().map(to_f64));
            let [x, grad] = [&tensors[0], &tensors[5]].map(|t| layouts(t, device));
            for (x, grad) in x.iter().zip(&grad) {
                let [_, gain, shift, mean, variance, _] = tensors.each_ref().map(|t| t.to_device(device).unwrap());
                let found = norms(&[x.clone(), gain, shift, mean, variance, grad.clone()]);
                found.iter().zip(&exact).for_each(|(found, exact)| assert_near(found, exact, 4e-4));
            }
        }
    });
}

#[test]
fn a_batch_norm_with_a_relu_has_the_bits_of_one_after_the_other() {
    on_device("batch norm and ReLU", |device| {
        let tensors = normed([3, 40, 6, 7]).map(|t| t.to_device(device).unwrap());
        let [x, gain, shift, mean, variance, grad] = &tensors;
        let given = BatchNorm { gain, shift, mean, variance, eps: 1e-5 };
        let y = interp_ops::relu(&interp_ops::batch_norm_eval(x, &given, Then::Nothing).unwrap()).unwrap();
        assert_eq!(list(&interp_ops::batch_norm_eval(x, &given, Then::Relu).unwrap()), list(&y));
        let through = interp_ops::relu_backward(&y, grad).unwrap();
        let two = interp_ops::batch_norm_eval_backward(x, &given, Then::Nothing, &through, true).unwrap();
        let one = interp_ops::batch_norm_eval_backward(x, &given, Then::Relu, grad, true).unwrap();
        assert_eq!(list(&one.input.unwrap()), list(&two.input.unwrap()));
        assert_eq!((list(&one.gain), list(&one.shift)), (list(&two.gain), list(&two.shift)));
    });
}

/// A mean a million times the deviation leaves the variance right to a percent, as the CPU's way of summation does.
#[test]
fn a_large_mean_does_not_drown_the_variance() {
    on_device("large means", |device| {
        let x = (noise(&[9, 3, 11, 7], 1) * 4.0).unwrap().affine(1.0, 4e6).unwrap();
        let ones = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        let exact = batch_norm_train(&to_f64(&x), &to_f64(&ones), &to_f64(&ones), 1e-5, Then::Nothing).unwrap();
        let [x, ones] = [x, ones].map(|t| t.to_device(device).unwrap());
        let found = batch_norm_train(&x, &ones, &ones, 1e-5, Then::Nothing).unwrap();
        assert_near(&found.mean, &exact.mean, EPS);
        assert_near(&found.variance, &exact.variance, 0.01);
    });
}

#[test]
fn cross_entropy_is_the_cpus_within_an_eps() {
    on_device("cross-entropy", |device| {
        for (n, k) in [(1, 1), (5, 10), (70, 1000)] {
            let mut numbers = list(&(noise(&[n, k], 1) * 9.0).unwrap());
            numbers[k - 1] = if k > 1 { f64::NEG_INFINITY } else { 0.0 };
            let logits = Tensor::from_vec(numbers, (n, k), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
            let soft = (noise(&[n, k], 2) + 1.0).unwrap();
            let classes: Vec<u32> = (0..n).map(|row| (row * 7 % k.div_ceil(2)) as u32).collect();
            let weights: Vec<f64> = (0..k).map(|k| 0.5 + k as f64 / 100.0).collect();
            let on = logits.to_device(device).unwrap();
            for (smoothing, weights) in [(0.0, None), (0.0, Some(&weights[..]))] {
                let targets = Targets::Classes(&classes);
                let cpu = interp_ops::cross_entropy(&logits, targets, smoothing, weights).unwrap();
                let found = interp_ops::cross_entropy(&on, targets, smoothing, weights).unwrap();
                assert!((found.loss - cpu.loss).abs() <= 1e-12 * cpu.loss.abs());
                assert_near(&found.grad, &cpu.grad, EPS);
            }
            let finite = logits.clamp(-9f32, 9f32).unwrap();
            let cpu = interp_ops::cross_entropy(&finite, Targets::Probabilities(&soft), 0.3, Some(&weights)).unwrap();
            let soft = soft.to_device(device).unwrap();
            let on = finite.to_device(device).unwrap();
            let found = interp_ops::cross_entropy(&on, Targets::Probabilities(&soft), 0.3, Some(&weights)).unwrap();
            assert!((found.loss - cpu.loss).abs() <= 1e-12 * cpu.loss.abs());
            assert_near(&found.grad, &cpu.grad, EPS);
        }
    });
}

/// Three steps by the rules in f64. Tensors of several sizes in one step, one of them of four dimensions.
#[test]
fn steps_are_those_of_the_rules() {
    const SCALE: f32 = 0.5;
    let shapes: [&[usize]; 3] = [&[3], &[7, 5, 3, 3], &[700, 130]];
    let rules = [
        Rule::Sgd { momentum: 0.9, nesterov: false },
        Rule::Sgd { momentum: 0.9, nesterov: true },
        Rule::AdamW { betas: [0.9, 0.999], eps: 1e-8 },
    ];
    on_device("steps", |device| {
        for rule in rules {
            let buffers = if matches!(rule, Rule::AdamW { .. }) { 2 } else { 1 };
            let on = |t: Tensor| t.to_device(device).unwrap();
            let mut values: Vec<Tensor> = shapes.iter().map(|shape| on(noise(shape, 1))).collect();
            let zeros = |shape: &&[usize]| vec![Tensor::zeros(*shape, DType::F32, device).unwrap(); buffers];
            let mut kept: Vec<Vec<Tensor>> = shapes.iter().map(zeros).collect();
            let mut exact: Vec<Vec<[f64; 3]>> =
                values.iter().map(|t| list(t).into_iter().map(|w| [w, 0.0, 0.0]).collect()).collect();
            for count in 1..=3 {
                let grads: Vec<Tensor> = shapes.iter().map(|shape| on(noise(shape, 10 + count))).collect();
                let constants = |i: usize| (0.1 / (i + 1) as f64, 0.01 * i as f64);
                let part = |i: usize| {
                    let (rate, decay) = constants(i);
                    Update { value: &values[i], grad: &grads[i], buffers: &kept[i], rate, decay, count: count as u64 }
                };
                let updated = interp_ops::update(&rule, &[part(0), part(1), part(2)], SCALE).unwrap();
                for (i, exact) in exact.iter_mut().enumerate() {
                    let (rate, decay) = constants(i);
                    let grads = list(&grads[i]).into_iter().map(|g| g * f64::from(SCALE));
                    exact.iter_mut().zip(grads).for_each(|(numbers, g)| step(&rule, numbers, g, rate, decay, count));
                }
                values = updated.iter().map(|u| u.value.clone()).collect();
                kept = updated.into_iter().map(|u| u.buffers).collect();
            }
            for ((value, exact), shape) in values.iter().zip(&exact).zip(shapes) {
                assert_eq!(value.dims(), shape);
                let right = |(w, exact): (&f64, &[f64; 3])| (w - exact[0]).abs() < 2e-6;
                assert!(list(value).iter().zip(exact).all(right), "{rule:?} {shape:?}");
            }
        }
    });
}

/// Value and buffers after one step of one number.
fn step(rule: &Rule, [w, a, b]: &mut [f64; 3], g: f64, rate: f64, decay: f64, count: usize) {
    match *rule {
        Rule::Sgd { momentum, nesterov } => {
            let g = g + decay * *w;
            *a = momentum * *a + g;
            *w -= rate * if nesterov { g + momentum * *a } else { *a };
        }
        Rule::AdamW { betas, eps } => {
            *a = betas[0] * *a + (1.0 - betas[0]) * g;
            *b = betas[1] * *b + (1.0 - betas[1]) * g * g;
            let [mean, square] = [*a / (1.0 - betas[0].powi(count as i32)), *b / (1.0 - betas[1].powi(count as i32))];
            *w = *w * (1.0 - rate * decay) - rate * mean / (square.sqrt() + eps);
        }
    }
}

#[test]
fn the_sum_of_squares_is_exact_in_f64() {
    on_device("sum of squares", |device| {
        let tensors = [noise(&[3], 1), noise(&[400, 300], 2), noise(&[2, 3, 4, 5], 3)];
        let exact: f64 = tensors.iter().flat_map(list).map(|v| v * v).sum();
        let tensors = tensors.map(|t| t.to_device(device).unwrap());
        let found = interp_ops::sum_of_squares(&tensors.each_ref()).unwrap();
        assert!((found - exact).abs() <= 1e-12 * exact);
    });
}

#[test]
fn a_second_run_gives_the_same_bits() {
    on_device("determinism", |device| {
        let (shape, conv) = ([16, 24, 17, 16], Conv2d { padding: [1, 1], ..Conv2d::default() });
        let tensors = normed(shape).map(|t| t.to_device(device).unwrap());
        let (weight, bias) = (noise(&[40, 24, 3, 3], 8).to_device(device).unwrap(), noise(&[40], 9));
        let run = || {
            let (y, grads) = convolve(&tensors[0], &weight, &bias.to_device(device).unwrap(), None, &conv);
            let mut all = norms(&tensors);
            all.extend([y, grads.input.unwrap(), grads.weight.unwrap(), grads.bias.unwrap()]);
            all.iter().map(list).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    });
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    on_device("errors", |device| {
        let x = noise(&[1, 3, 4, 4], 1).to_device(device).unwrap();
        let weight = noise(&[2, 4, 3, 3], 2).to_device(device).unwrap();
        let conv = Conv2d::default();
        let message = interp_ops::conv2d(&x, &weight, None, &conv).unwrap_err().to_string();
        assert!(message.contains("[1, 3, 4, 4]") && message.contains("[2, 4, 3, 3]"), "{message}");
        let on_cpu = noise(&[2, 3, 3, 3], 2);
        assert!(matches!(interp_ops::conv2d(&x, &on_cpu, None, &conv), Err(OpError::Unsupported { .. })));
        assert!(matches!(interp_ops::add(&x, &noise(&[1, 3, 4, 4], 1)), Err(OpError::Unsupported { .. })));
        let double = to_f64(&noise(&[1, 3, 4, 4], 1)).to_device(device).unwrap();
        assert!(matches!(interp_ops::relu(&double), Err(OpError::Unsupported { .. })));
        let flat = noise(&[2, 3], 1).to_device(device).unwrap();
        assert!(matches!(interp_ops::linear(&flat, &weight, None), Err(OpError::Shape { .. })));
        assert!(matches!(interp_ops::on_off(&flat), Err(OpError::Shape { .. })));
        assert!(matches!(interp_ops::device("cuda:7", Arithmetic::default()), Err(OpError::Unsupported { .. })));
    });
}

/// More than any device has.
#[test]
fn no_room_is_told_as_such() {
    on_device("out of memory", |device| {
        let huge = Tensor::zeros((1 << 42,), DType::F32, device).unwrap_err();
        assert!(interp_ops::is_out_of_memory(&huge), "{huge}");
        assert!(matches!(OpError::from(huge), OpError::OutOfMemory));
    });
}
