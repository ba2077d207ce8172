//! What the tests of all operations share.

use candle_core::{DType, Device, Tensor};

/// Numbers between -1 and 1 that look random, the same on every run.
pub(crate) fn noise(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product::<usize>() as u64;
    let numbers: Vec<f64> = (0..count).map(|index| unit(seed.wrapping_mul(0x1000_0000).wrapping_add(index))).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// SplitMix64 (Steele et al. 2014), scaled to [-1, 1).
fn unit(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// A tensor of any type as numbers in the order of its logical shape.
pub(crate) fn list(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The exact bits, in the order of the logical shape.
pub(crate) fn bits(tensor: &Tensor) -> Vec<u64> {
    list(tensor).into_iter().map(f64::to_bits).collect()
}

pub(crate) fn tensor64(numbers: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
}

pub(crate) fn to_f32(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::F32).unwrap()
}

/// Holds `gradient` against central differences of sum(upstream * function) at every number of `at`.
pub(crate) fn assert_gradient(at: &Tensor, upstream: &Tensor, gradient: &Tensor, function: impl Fn(&Tensor) -> Tensor) {
    const STEP: f64 = 1e-5;
    assert_eq!(gradient.dims(), at.dims());
    let (numbers, upstream, gradient) = (list(at), list(upstream), list(gradient));
    let weighted = |numbers: &[f64]| {
        let value = function(&tensor64(numbers, at.dims()));
        list(&value).iter().zip(&upstream).map(|(v, u)| v * u).sum::<f64>()
    };
    for index in 0..numbers.len() {
        let mut moved = numbers.clone();
        moved[index] += STEP;
        let above = weighted(&moved);
        moved[index] = numbers[index] - STEP;
        let slope = (above - weighted(&moved)) / (2.0 * STEP);
        let error = (slope - gradient[index]).abs();
        assert!(
            error < 1e-7 * (1.0 + slope.abs()) + 1e-8,
            "number {index}: {} where differences give {slope}",
            gradient[index]
        );
    }
}

/// The same numbers in other layouts: channels-last, cut out of a larger tensor, and with two dimensions exchanged.
pub(crate) fn layouts(x: &Tensor) -> Vec<Tensor> {
    let channels_last = x.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().permute((0, 3, 1, 2)).unwrap();
    let larger = Tensor::cat(&[x, x, x], 2).unwrap();
    let cut = larger.narrow(2, x.dim(2).unwrap(), x.dim(2).unwrap()).unwrap();
    let turned = x.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap();
    vec![x.clone(), channels_last, cut, turned]
}

/// Asserts that `function` gives the same bits on 1, 2 and 3 threads.
pub(crate) fn assert_same_on_all_threads(function: impl Fn() -> Vec<Tensor> + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| function().iter().map(bits).collect::<Vec<_>>())
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}
