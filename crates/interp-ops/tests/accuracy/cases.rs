use std::collections::BTreeMap;
use std::fmt;

use candle_core::{Device, Tensor};
use interp_ops::{
    BatchNorm, BatchNormed, Conv2d, CrossEntropy, Pool2d, Result, Targets, Then, Wanted, WeightGrads, avg_pool2d,
    avg_pool2d_backward, batch_norm_train, batch_norm_train_backward, conv2d, conv2d_backward, cross_entropy,
    global_avg_pool, global_avg_pool_backward, linear, linear_backward, max_pool2d, max_pool2d_backward,
};
use serde::Deserialize;

/// Added to the variance in batch norms.
pub(crate) const NORM_EPS: f64 = 1e-5;

/// Tensors by name: what an operation reads, or its `output` and the gradients with respect to what it read.
pub(crate) type Tensors = BTreeMap<&'static str, Tensor>;

/// A line of tests/data/accuracy.json.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(flatten)]
    pub(crate) op: Op,
    x: Vec<usize>,
    /// Whether x is what a ReLU leaves.
    #[serde(default)]
    positive: bool,
    /// Sums over all exact results and over all their sizes, without signs.
    pub(crate) sums: [f64; 2],
    /// Maximum and root mean square of PyTorch's errors, by result.
    pub(crate) torch: BTreeMap<String, [f64; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    Conv2d { weight: [usize; 4], stride: usize, padding: usize, groups: usize },
    Linear { outputs: usize },
    BatchNorm,
    MaxPool2d { kernel: usize, stride: usize, padding: usize },
    AvgPool2d { kernel: usize, stride: usize, padding: usize },
    GlobalAvgPool,
    CrossEntropy,
}

pub(crate) fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../tests/data/accuracy.json")).unwrap()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.positive { "positive " } else { "" };
        write!(f, "{:?} of {sign}{:?}", self.op, self.x)
    }
}

impl Case {
    /// What the operation reads, in f32.
    pub(crate) fn inputs(&self) -> Result<Tensors> {
        let x = noise(&self.x, 1);
        let x = if self.positive { x.relu()? } else { x };
        let channels = &self.x[1..2];
        Ok(match self.op {
            Op::Conv2d { weight, .. } => Tensors::from([("x", x), ("weight", noise(&weight, 2))]),
            Op::Linear { outputs } => {
                let weight = noise(&[outputs, self.x[1]], 2);
                Tensors::from([("x", x), ("weight", weight), ("bias", noise(&[outputs], 3))])
            }
            Op::BatchNorm => Tensors::from([("x", x), ("gain", noise(channels, 4)), ("shift", noise(channels, 5))]),
            Op::CrossEntropy => Tensors::from([("x", (x * 8.0)?)]),
            Op::MaxPool2d { .. } | Op::AvgPool2d { .. } | Op::GlobalAvgPool => Tensors::from([("x", x)]),
        })
    }

    /// What arrives at the output, in f32.
    pub(crate) fn upstream(&self) -> Result<Tensor> {
        Ok(noise(self.output(&self.inputs()?)?.dims(), 6))
    }

    /// The output and the gradients.
    pub(crate) fn results(&self, given: &Tensors, grad: &Tensor) -> Result<Tensors> {
        let mut results = self.gradients(given, grad)?;
        results.insert("output", self.output(given)?);
        Ok(results)
    }

    pub(crate) fn output(&self, given: &Tensors) -> Result<Tensor> {
        let x = &given["x"];
        match self.op {
            Op::Conv2d { stride, padding, groups, .. } => {
                conv2d(x, &given["weight"], None, &conv(stride, padding, groups))
            }
            Op::Linear { .. } => linear(x, &given["weight"], Some(&given["bias"])),
            Op::BatchNorm => Ok(batch_norm_train(x, &given["gain"], &given["shift"], NORM_EPS, Then::Nothing)?.output),
            Op::MaxPool2d { kernel, stride, padding } => Ok(max_pool2d(x, &pool(kernel, stride, padding))?.output),
            Op::AvgPool2d { kernel, stride, padding } => avg_pool2d(x, &pool(kernel, stride, padding)),
            Op::GlobalAvgPool => global_avg_pool(x),
            Op::CrossEntropy => Ok(Tensor::new(loss(x)?.loss, &Device::Cpu)?),
        }
    }

    /// The gradients, `grad` being what arrives at the output; at a loss 1 does.
    fn gradients(&self, given: &Tensors, grad: &Tensor) -> Result<Tensors> {
        let x = &given["x"];
        match self.op {
            Op::Conv2d { stride, padding, groups, .. } => {
                let wanted = Wanted { input: true, weight: true, bias: false };
                conv2d_backward(x, &given["weight"], grad, &conv(stride, padding, groups), wanted).map(by_name)
            }
            Op::Linear { .. } => {
                let wanted = Wanted { input: true, weight: true, bias: true };
                linear_backward(x, &given["weight"], grad, wanted).map(by_name)
            }
            Op::BatchNorm => norm_gradients(given, grad),
            Op::MaxPool2d { kernel, stride, padding } => {
                let argmax = max_pool2d(x, &pool(kernel, stride, padding))?.argmax;
                max_pool2d_backward(&argmax, grad, x.dims()).map(of_x)
            }
            Op::AvgPool2d { kernel, stride, padding } => {
                avg_pool2d_backward(grad, x.dims(), &pool(kernel, stride, padding)).map(of_x)
            }
            Op::GlobalAvgPool => global_avg_pool_backward(grad, x.dims()).map(of_x),
            Op::CrossEntropy => Ok(of_x(loss(x)?.grad)),
        }
    }
}

fn norm_gradients(given: &Tensors, grad: &Tensor) -> Result<Tensors> {
    let (x, gain) = (&given["x"], &given["gain"]);
    let shift = &given["shift"];
    let BatchNormed { mean, variance, .. } = batch_norm_train(x, gain, shift, NORM_EPS, Then::Nothing)?;
    let norm = BatchNorm { gain, shift, mean: &mean, variance: &variance, eps: NORM_EPS };
    let grads = batch_norm_train_backward(x, &norm, Then::Nothing, grad, true)?;
    Ok(Tensors::from([("x", grads.input.unwrap()), ("gain", grads.gain), ("shift", grads.shift)]))
}

fn loss(logits: &Tensor) -> Result<CrossEntropy> {
    cross_entropy(logits, Targets::Classes(&classes(logits)), 0.0, None)
}

/// The right classes of the rows of logits.
pub(crate) fn classes(logits: &Tensor) -> Vec<u32> {
    let [rows, count] = [0, 1].map(|dim| logits.dims()[dim] as u32);
    (0..rows).map(|row| row * 7 % count).collect()
}

fn by_name(grads: WeightGrads) -> Tensors {
    let all = [("x", grads.input), ("weight", grads.weight), ("bias", grads.bias)];
    all.into_iter().filter_map(|(name, gradient)| Some((name, gradient?))).collect()
}

fn of_x(gradient: Tensor) -> Tensors {
    Tensors::from([("x", gradient)])
}

fn conv(stride: usize, padding: usize, groups: usize) -> Conv2d {
    Conv2d { stride: [stride; 2], padding: [padding; 2], groups, ..Conv2d::default() }
}

fn pool(kernel: usize, stride: usize, padding: usize) -> Pool2d {
    Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ceil_mode: false }
}

/// `function` of each tensor.
pub(crate) fn map(
    tensors: &Tensors,
    function: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensors> {
    tensors.iter().map(|(&name, tensor)| Ok((name, function(tensor)?))).collect()
}

/// The f32 numbers in [-1, 1) of make_accuracy.py: SplitMix64 (Steele et al. 2014) of seed and position.
fn noise(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product::<usize>() as u64;
    let numbers: Vec<f32> = (0..count).map(|index| unit((seed << 28) + index) as f32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn unit(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}
