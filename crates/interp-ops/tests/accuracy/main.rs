//! How far f32 results are from exact ones, held against how far PyTorch's are in the same cases
//! (`tests/data/make_accuracy.py`), and what else must hold for these shapes whichever kernel computes them. Exact is what
//! the f64 path gives, which the tests beside the operations hold against their definitions.

#![allow(clippy::unwrap_used)]

/// The cases, and how their operations are called.
mod cases;
/// What errors are measured in.
mod sizes;

use candle_core::{DType, Tensor};
use cases::{Case, Op, Tensors, cases, map};
use sizes::sizes;

/// The most that a result may be off, in eps times the sum of its terms without their signs. A running sum of terms with
/// random signs is off by 0.2 of that (root mean square, whatever its length) and the largest of 10^5 such errors by 2, as
/// PyTorch's are. 3x3 convolutions of blocks of 2x4 add up before they multiply, with factors up to 2 sqrt 2 each way, and
/// at the border few terms bear the errors of a whole block: another factor of 3.
const MOST: f64 = 6.0;

/// The most that an error may be in PyTorch's of the same case.
const OF_PYTORCH: f64 = 4.0;

fn list(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Maximum and root mean square of the errors, in eps times size.
fn errors(rounded: &Tensor, exact: &Tensor, size: &Tensor) -> [f64; 2] {
    let all = list(rounded).into_iter().zip(list(exact)).zip(list(size));
    // Where no term is other than 0, so are all three.
    let error = |((rounded, exact), size): ((f64, f64), f64)| {
        (rounded - exact).abs() / (f64::from(f32::EPSILON) * size).max(f64::MIN_POSITIVE)
    };
    let errors: Vec<f64> = all.map(error).collect();
    let square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    [errors.iter().copied().fold(0.0, f64::max), square.sqrt()]
}

/// Numbers made by the same formula, and sizes by the same definition, sum up to the same as in PyTorch.
fn assert_same_case(case: &Case, exact: &Tensors, sizes: &Tensors) {
    for (tensors, expected) in [exact, sizes].into_iter().zip(case.sums) {
        let sum: f64 = tensors.values().flat_map(list).map(f64::abs).sum();
        assert!((sum / expected - 1.0).abs() < 1e-10, "{case}: a sum of {sum}, and {expected} in PyTorch");
    }
}

/// What the operation gives in f32 and in f64, and the sizes of the results.
fn computed(case: &Case) -> [Tensors; 3] {
    let (given, grad) = (case.inputs().unwrap(), case.upstream().unwrap());
    let rounded = case.results(&given, &grad).unwrap();
    let given = map(&given, |tensor| tensor.to_dtype(DType::F64)).unwrap();
    let grad = grad.to_dtype(DType::F64).unwrap();
    let exact = case.results(&given, &grad).unwrap();
    let sizes = sizes(case, &given, &grad, &exact).unwrap();
    [rounded, exact, sizes]
}

/// Our errors in one result, and whether they are within the bounds.
fn judge([rounded, exact, size]: [&Tensor; 3], theirs: [f64; 2]) -> ([f64; 2], bool) {
    let ours = errors(rounded, exact, size);
    // Not even the exact result can be written down without this error.
    let least = errors(&exact.to_dtype(DType::F32).unwrap(), exact, size);
    let within = |at: usize| ours[at] <= (OF_PYTORCH * theirs[at]).max(least[at]);
    (ours, ours[0] <= MOST && within(0) && within(1))
}

/// The results of a case whose errors are beyond the bounds.
fn complaints(case: &Case) -> Vec<String> {
    let computed = computed(case);
    assert_same_case(case, &computed[1], &computed[2]);
    let mut complaints = vec![];
    for (name, &theirs) in &case.torch {
        let (ours, holds) = judge(computed.each_ref().map(|tensors| &tensors[name.as_str()]), theirs);
        let line = format!("{case}, {name}: {:.2e} at most, {:.2e} on average; PyTorch {theirs:?}", ours[0], ours[1]);
        println!("{line}");
        if !holds {
            complaints.push(line);
        }
    }
    complaints
}

#[test]
fn errors_are_bounded_and_not_far_above_pytorchs() {
    let complaints: Vec<String> = cases().iter().flat_map(complaints).collect();
    assert!(complaints.is_empty(), "more than {MOST}, or {OF_PYTORCH} times PyTorch's:\n{}", complaints.join("\n"));
}

/// What a case reads, and under `grad` what arrives at its output.
fn everything(case: &Case) -> Tensors {
    let mut given = case.inputs().unwrap();
    given.insert("grad", case.upstream().unwrap());
    given
}

fn results(case: &Case, given: &Tensors) -> Tensors {
    case.results(given, &given["grad"]).unwrap()
}

/// The tensors with another number somewhere in the second half of one of them.
fn with_number(tensors: &Tensors, name: &'static str, number: f32) -> Tensors {
    let tensor = &tensors[name];
    let mut numbers: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    let place = numbers.len() * 7 / 11;
    numbers[place] = number;
    let mut changed = tensors.clone();
    changed.insert(name, Tensor::from_vec(numbers, tensor.dims(), tensor.device()).unwrap());
    changed
}

/// Among ones, a result sees a number if it changes with it.
fn assert_nan_passes(case: &Case, name: &'static str) {
    let given = everything(case);
    let ones = map(&given, Tensor::ones_like).unwrap();
    let [one, two] = [1.0, 2.0].map(|number| results(case, &with_number(&ones, name, number)));
    for (result, found) in results(case, &with_number(&given, name, f32::NAN)) {
        let pairs = list(&one[result]).into_iter().zip(list(&two[result]));
        for ((one, two), found) in pairs.zip(list(&found)) {
            assert!(found.is_nan() || (one - two).abs() < 1e-3, "{case}: {found} in {result} sees a NaN in {name}");
        }
    }
}

fn assert_nan_stays_in_its_picture(case: &Case) {
    let output = case.output(&with_number(&everything(case), "x", f32::NAN)).unwrap();
    let pictures = output.dims()[0];
    let first = list(&output.narrow(0, 0, pictures / 2).unwrap());
    assert!(first.iter().all(|number| !number.is_nan()), "{case}: a NaN of another picture");
}

#[test]
fn nan_passes_to_all_that_see_it() {
    let is_sum = |case: &Case| !matches!(case.op, Op::BatchNorm | Op::MaxPool2d { .. } | Op::CrossEntropy);
    for case in cases().iter().filter(|case| is_sum(case)) {
        everything(case).into_keys().for_each(|name| assert_nan_passes(case, name));
        assert_nan_stays_in_its_picture(case);
    }
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    list(tensor).into_iter().map(f64::to_bits).collect()
}

/// The bits of all results, computed on some threads.
fn bits_on(threads: usize, case: &Case, given: &Tensors) -> Vec<Vec<u64>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| results(case, given).values().map(bits).collect())
}

#[test]
fn threads_and_batch_change_no_bit_of_a_convolution() {
    for case in cases().iter().filter(|case| matches!(case.op, Op::Conv2d { .. })) {
        let mut given = everything(case);
        assert_eq!(bits_on(1, case, &given), bits_on(3, case, &given), "{case}");
        let last = |tensor: &Tensor| tensor.narrow(0, tensor.dims()[0] - 1, 1).unwrap();
        let all = case.output(&given).unwrap();
        given.insert("x", last(&given["x"]));
        assert_eq!(bits(&case.output(&given).unwrap()), bits(&last(&all)), "{case}");
    }
}
