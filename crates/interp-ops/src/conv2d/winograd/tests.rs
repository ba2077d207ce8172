use super::*;
use crate::testing::{assert_same_on_all_threads, bits, list, noise, to_f32};
use crate::{Conv2d, Wanted, WeightGrads, conv2d, conv2d_backward};
use candle_core::Tensor;

const ALL: Wanted = Wanted { input: true, weight: true, bias: true };

/// Shapes of x and weight, and the padding: maps that blocks do and do not divide, one row, several tiles, both kinds of
/// blocks; channels that fill vectors and that do not.
fn cases() -> Vec<([usize; 4], [usize; 4], [usize; 2])> {
    vec![
        ([3, 16, 8, 8], [32, 16, 3, 3], [1, 1]),
        ([2, 48, 7, 9], [16, 48, 3, 3], [1, 1]),
        ([2, 16, 5, 6], [16, 16, 3, 3], [0, 0]),
        ([2, 16, 4, 3], [48, 16, 3, 3], [2, 2]),
        ([1, 16, 3, 11], [16, 16, 3, 3], [2, 0]),
        ([5, 32, 2, 2], [64, 32, 3, 3], [1, 1]),
        ([3, 16, 1, 1], [16, 16, 3, 3], [1, 1]),
        ([2, 16, 1, 9], [16, 16, 3, 3], [1, 1]),
        ([1, 32, 70, 66], [16, 32, 3, 3], [1, 1]),
        ([9, 272, 5, 5], [496, 272, 3, 3], [1, 1]),
        ([40, 64, 4, 4], [80, 64, 3, 3], [1, 1]),
        ([3, 10, 8, 8], [23, 10, 3, 3], [1, 1]),
        ([2, 37, 7, 9], [9, 37, 3, 3], [1, 1]),
        ([2, 8, 5, 6], [8, 8, 3, 3], [2, 0]),
        ([40, 51, 2, 2], [33, 51, 3, 3], [1, 1]),
    ]
}

fn padded(padding: [usize; 2]) -> Conv2d {
    Conv2d { padding, ..Conv2d::default() }
}

fn geometry(x: &Tensor, weight: &Tensor, conv: &Conv2d) -> Geometry {
    Geometry::new("test", x, weight, conv).unwrap()
}

/// |f32 - f64| against the sum of |a| |b|, which the same operation in f64 gives for absolute values.
fn assert_close(found: &Tensor, exact: &Tensor, sizes: &Tensor) {
    /// Beside the block, where its own products are all small, errors come from its other numbers.
    const FACTOR: f64 = 12.0;
    let largest = list(sizes).into_iter().fold(0.0, f64::max);
    for ((found, exact), size) in list(found).into_iter().zip(list(exact)).zip(list(sizes)) {
        let bound = f64::from(f32::EPSILON) * (FACTOR * size).max(4.0 * largest);
        assert!((found - exact).abs() <= bound, "{found} where {exact} is right, with a bound of {bound}");
    }
}

/// What is computed in f32 with fewer multiplications against what f64 computes by the definition.
#[test]
fn blocks_give_what_the_definition_gives() {
    for (x, weight, padding) in cases() {
        let conv = padded(padding);
        let (x, weight) = (to_f32(&noise(&x, 1)), to_f32(&noise(&weight, 2)));
        let bias = to_f32(&noise(&weight.dims()[..1], 4));
        assert!(blocks::<f32>(&geometry(&x, &weight, &conv)).is_some());
        let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| conv2d(x, weight, Some(bias), &conv).unwrap();
        let y = run(&x, &weight, &bias);
        let grad = to_f32(&noise(y.dims(), 3));
        let back = |x: &Tensor, w: &Tensor, g: &Tensor| conv2d_backward(x, w, g, &conv, ALL).unwrap();
        let wide = [&x, &weight, &bias, &grad].map(|t| t.to_dtype(DType::F64).unwrap());
        let sizes = wide.each_ref().map(|t| t.abs().unwrap());
        assert_close(&y, &run(&wide[0], &wide[1], &wide[2]), &run(&sizes[0], &sizes[1], &sizes[2]));
        let both = |g: WeightGrads| [g.input.unwrap(), g.weight.unwrap()];
        let found = both(back(&x, &weight, &grad));
        let exact = both(back(&wide[0], &wide[1], &wide[3]));
        let sizes = both(back(&sizes[0], &sizes[1], &sizes[3]));
        (0..2).for_each(|at| assert_close(&found[at], &exact[at], &sizes[at]));
    }
}

#[test]
fn both_kinds_of_blocks_are_tested() {
    let kind = |(x, weight, padding): ([usize; 4], [usize; 4], [usize; 2])| {
        blocks::<f32>(&geometry(&noise(&x, 1), &noise(&weight, 2), &padded(padding)))
    };
    let kinds: Vec<_> = cases().into_iter().map(kind).collect();
    assert!(
        kinds.contains(&Some(Blocks::TwoByTwo)) && kinds.contains(&Some(Blocks::TwoByFour)) && !kinds.contains(&None)
    );
}

#[test]
fn other_convolutions_are_left_alone() {
    let plain = padded([1, 1]);
    let kind = |x: [usize; 4], weight: [usize; 4], conv: Conv2d| {
        blocks::<f32>(&geometry(&noise(&x, 1), &noise(&weight, 2), &conv))
    };
    let image = [1, 16, 8, 8];
    assert!(kind(image, [16, 16, 3, 3], plain).is_some());
    for (x, weight, conv) in [
        (image, [16, 16, 3, 3], Conv2d { stride: [2, 1], ..plain }),
        (image, [16, 16, 3, 3], Conv2d { dilation: [1, 2], ..plain }),
        (image, [16, 8, 3, 3], Conv2d { groups: 2, ..plain }),
        (image, [16, 16, 3, 1], plain),
        (image, [16, 16, 3, 3], padded([3, 1])),
        (image, [16, 16, 3, 3], Conv2d { by_definition: true, ..plain }),
        (image, [7, 16, 3, 3], plain),
        ([1, 3, 8, 8], [16, 3, 3, 3], plain),
    ] {
        assert_eq!(kind(x, weight, conv), None, "{weight:?} {conv:?}");
    }
    let geometry = geometry(&noise(&image, 1), &noise(&[16, 16, 3, 3], 2), &plain);
    assert_eq!(blocks::<f64>(&geometry), None);
}

// All windows within a picture of one color see the same. By the definition they are the same sums; the outputs of a block are different ones.
#[test]
fn equal_windows_have_equal_outputs_by_definition_alone() {
    let plain = padded([0, 0]);
    let color: Vec<f64> = list(&noise(&[16], 1)).into_iter().flat_map(|value| [value; 144]).collect();
    let x = to_f32(&Tensor::from_vec(color, (1, 16, 12, 12), &candle_core::Device::Cpu).unwrap());
    let weight = to_f32(&noise(&[16, 16, 3, 3], 2));
    let equal = |conv: &Conv2d| {
        let maps = list(&conv2d(&x, &weight, None, conv).unwrap());
        maps.chunks(100).all(|map| map.iter().all(|value| value.to_bits() == map[0].to_bits()))
    };
    assert!(equal(&Conv2d { by_definition: true, ..plain }) && !equal(&plain));
}

#[test]
fn a_picture_is_the_same_in_any_batch() {
    for (x, weight, padding) in cases() {
        let conv = padded(padding);
        let (x, weight) = (to_f32(&noise(&[40, x[1], x[2].min(9), x[3].min(9)], 1)), to_f32(&noise(&weight, 2)));
        let all = conv2d(&x, &weight, None, &conv).unwrap();
        for (start, count) in [(0, 1), (39, 1), (7, 13)] {
            let part = conv2d(&x.narrow(0, start, count).unwrap(), &weight, None, &conv).unwrap();
            assert_eq!(bits(&part), bits(&all.narrow(0, start, count).unwrap()));
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for (x, weight, conv) in [
        ([40, 32, 9, 8], [48, 32, 3, 3], padded([1, 1])),
        ([300, 64, 2, 2], [64, 64, 3, 3], padded([1, 1])),
        ([40, 10, 9, 8], [23, 10, 3, 3], padded([1, 1])),
    ] {
        let (x, weight) = (to_f32(&noise(&x, 1)), to_f32(&noise(&weight, 2)));
        assert_same_on_all_threads(|| {
            let y = conv2d(&x, &weight, None, &conv).unwrap();
            let grads = conv2d_backward(&x, &weight, &y, &conv, ALL).unwrap();
            vec![y, grads.input.unwrap(), grads.weight.unwrap()]
        });
    }
}

#[test]
fn nan_reaches_the_outputs_that_see_it() {
    let (x, weight) = (noise(&[1, 16, 9, 9], 1), to_f32(&noise(&[16, 16, 3, 3], 2)));
    let mut numbers = list(&x);
    numbers[3 * 81 + 4 * 9 + 4] = f64::NAN;
    let x = to_f32(&Tensor::from_vec(numbers, x.shape(), x.device()).unwrap());
    let y = list(&conv2d(&x, &weight, None, &padded([1, 1])).unwrap());
    for (at, value) in y.iter().enumerate() {
        let [row, column] = [at / 9 % 9, at % 9];
        let near = |at: usize| (3..=5).contains(&at);
        // Blocks of rows 2 to 5, columns 0 to 7 see the pixel.
        assert!(value.is_nan() || !(near(row) && near(column)), "{row}, {column}");
        assert!(!value.is_nan() || ((2..6).contains(&row) && column < 8), "{row}, {column}");
    }
}
