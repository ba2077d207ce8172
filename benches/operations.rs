//! Every operation of `interp::ops`, forward and backward, on the layers of some networks.
//!
//!     cargo bench --bench operations -- conv2d/forward
//!     INTERP_BENCH_THREADS=8 cargo bench --bench operations -- vgg11
//!
//! Names are `OPERATION/WHAT/NETWORK LAYER`; WHAT is `forward`, or which gradient is computed. It runs on 2 threads or
//! on as many as `INTERP_BENCH_THREADS` says. Throughput is in floating-point operations for convolutions and linear maps
//! (2 for a multiplication with its addition), in numbers of the input for all others; both are shown as `elem`.

#![allow(clippy::unwrap_used)]

use std::cell::LazyCell;
use std::time::Duration;

use candle_core::{Device, Tensor};
use criterion::{Criterion, Throughput};
use interp::ops::{self, BCosConv2d, BatchNorm, Conv2d, ConvTranspose2d, Interpolation, Pool2d, Targets, Then, Wanted};

#[global_allocator]
static ALLOCATOR: interp::Allocator = interp::Allocator;

/// Some layers of a network.
struct Net {
    name: &'static str,
    batch: usize,
    /// Channels and side of the maps that a layer reads, and the layer.
    layers: &'static [([usize; 2], Layer)],
}

#[derive(Clone, Copy)]
enum Layer {
    Conv {
        filters: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
    },
    /// Batch norm and ReLU, alone and at once, also with max pooling.
    Norm,
    /// A window of maximum and average pooling, padded by half of it where windows overlap.
    Pool {
        kernel: usize,
        stride: usize,
    },
    /// Mean over the maps, linear map to classes, loss.
    Head {
        classes: usize,
    },
    /// A sum of branches.
    Add,
    /// The shortcut of half the side and twice the channels.
    Shortcut,
    /// What is done to pictures first.
    Pictures,
    /// A transposed convolution that doubles the side.
    Double {
        filters: usize,
    },
    /// Interpolation to twice the side, adaptive pooling to 7x7.
    Resize,
    /// A soft threshold.
    Threshold,
    /// A B-cos convolution of 3x3, as many channels as before, and an uncentered norm.
    BCos,
}

use Layer::{Add, BCos, Double, Head, Norm, Pictures, Pool, Resize, Shortcut, Threshold};

const fn conv(filters: usize, kernel: usize, stride: usize) -> Layer {
    Layer::Conv { filters, kernel, stride, groups: 1 }
}

const fn grouped(filters: usize, stride: usize, groups: usize) -> Layer {
    Layer::Conv { filters, kernel: 3, stride, groups }
}

const NETS: [Net; 8] = [
    Net {
        name: "vgg11",
        batch: 64,
        layers: &[
            ([3, 32], Pictures),
            ([3, 32], conv(64, 3, 1)),
            ([64, 32], Norm),
            ([64, 32], Pool { kernel: 2, stride: 2 }),
            ([64, 16], conv(128, 3, 1)),
            ([128, 8], conv(256, 3, 1)),
            ([256, 8], conv(256, 3, 1)),
            ([256, 8], Norm),
            ([256, 4], conv(512, 3, 1)),
            ([512, 4], conv(512, 3, 1)),
            ([512, 2], conv(512, 3, 1)),
            ([512, 2], Norm),
            ([512, 2], Pool { kernel: 2, stride: 2 }),
            ([512, 1], Head { classes: 10 }),
        ],
    },
    Net {
        name: "resnet20",
        batch: 64,
        layers: &[
            ([3, 32], conv(16, 3, 1)),
            ([16, 32], conv(16, 3, 1)),
            ([16, 32], Norm),
            ([16, 32], Add),
            ([16, 32], conv(32, 3, 2)),
            ([16, 32], Shortcut),
            ([32, 16], conv(32, 3, 1)),
            ([32, 16], conv(64, 3, 2)),
            ([64, 8], conv(64, 3, 1)),
            ([64, 8], Norm),
            ([64, 8], Head { classes: 10 }),
        ],
    },
    Net {
        name: "resnet18",
        batch: 8,
        layers: &[
            ([3, 224], Pictures),
            ([3, 224], conv(64, 7, 2)),
            ([64, 112], Norm),
            ([64, 112], Pool { kernel: 3, stride: 2 }),
            ([64, 56], conv(64, 3, 1)),
            ([64, 56], Add),
            ([64, 56], conv(128, 3, 2)),
            ([64, 56], conv(128, 1, 2)),
            ([128, 28], conv(128, 3, 1)),
            ([128, 28], conv(256, 3, 2)),
            ([256, 14], conv(256, 3, 1)),
            ([256, 14], conv(512, 3, 2)),
            ([512, 7], conv(512, 3, 1)),
            ([512, 7], Norm),
            ([512, 7], Head { classes: 1000 }),
        ],
    },
    // What is left of the blocks of a resnet20 when channels are cut out.
    Net {
        name: "slim_resnet20",
        batch: 64,
        layers: &[
            ([16, 32], conv(10, 3, 1)),
            ([10, 32], conv(16, 3, 1)),
            ([16, 32], conv(11, 3, 2)),
            ([23, 16], conv(32, 3, 1)),
            ([32, 16], conv(23, 3, 1)),
            ([37, 8], conv(64, 3, 1)),
            ([64, 8], conv(37, 3, 1)),
            ([37, 8], Norm),
        ],
    },
    // What those do not have: depthwise and 1x1 (Howard et al. 2017, arXiv 1704.04861), and groups (Xie et al. 2017,
    // arXiv 1611.05431).
    Net {
        name: "mobilenet",
        batch: 8,
        layers: &[
            ([32, 112], grouped(32, 1, 32)),
            ([64, 112], grouped(64, 2, 64)),
            ([256, 28], grouped(256, 1, 256)),
            ([256, 28], conv(256, 1, 1)),
        ],
    },
    Net {
        name: "decoder",
        batch: 8,
        layers: &[([64, 16], Double { filters: 32 }), ([64, 28], Resize), ([64, 28], Threshold)],
    },
    Net { name: "bcos_resnet20", batch: 64, layers: &[([16, 32], BCos), ([32, 16], BCos), ([64, 8], BCos)] },
    Net { name: "resnext50", batch: 8, layers: &[([256, 28], grouped(256, 1, 32)), ([256, 28], grouped(256, 2, 32))] },
];

/// Numbers between -1 and 1 that look random, in channels-last memory.
fn noise(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as u32;
    let numbers: Vec<f32> =
        (0..count).map(|index| (index.wrapping_mul(0x9e37_79b9) as i32) as f32 / 2f32.powi(31)).collect();
    ops::channels_last(&Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Benchmarks of one layer.
struct Bench<'a> {
    criterion: &'a mut Criterion,
    layer: String,
}

impl Bench<'_> {
    /// Adds a benchmark. `make` makes what is run, and that only if it is to be run.
    fn time<R, W: Fn() -> ops::Result<R>>(&mut self, name: &str, count: usize, make: impl FnOnce() -> W) {
        let work = LazyCell::new(make);
        let mut group = self.criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(&self.layer, |bencher| bencher.iter(|| work().unwrap()));
        group.finish();
    }

    fn conv(&mut self, x: [usize; 4], weight: [usize; 4], conv: Conv2d) {
        let [n, _, h, w] = x;
        let [filters, inputs, kernel, _] = weight;
        let [height, width] = conv.output_size([h, w], [kernel; 2]).unwrap();
        let output = [n, filters, height, width];
        let flop = 2 * output.iter().product::<usize>() * inputs * kernel * kernel;
        self.time("conv2d/forward", flop, || {
            let (x, weight) = (noise(&x), noise(&weight));
            move || ops::conv2d(&x, &weight, None, &conv)
        });
        for (what, input) in [("conv2d/input", true), ("conv2d/weight", false)] {
            let wanted = Wanted { input, weight: !input, bias: false };
            self.time(what, flop, || {
                let (x, weight, grad) = (noise(&x), noise(&weight), noise(&output));
                move || ops::conv2d_backward(&x, &weight, &grad, &conv, wanted)
            });
        }
    }

    fn norm(&mut self, x: [usize; 4]) {
        let count = x.iter().product();
        for (name, then) in THENS {
            self.time(&format!("batch_norm_train{name}/forward"), count, || {
                let t = Normed::new(&x, then);
                move || ops::batch_norm_train(&t.x, &t.gain, &t.shift, EPS, then)
            });
            self.time(&format!("batch_norm_train{name}/backward"), count, || {
                let t = Normed::new(&x, then);
                move || ops::batch_norm_train_backward(&t.x, &t.norm(), then, &t.grad, true)
            });
            self.time(&format!("batch_norm_eval{name}/forward"), count, || {
                let t = Normed::new(&x, then);
                move || ops::batch_norm_eval(&t.x, &t.norm(), then)
            });
            self.time(&format!("batch_norm_eval{name}/backward"), count, || {
                let t = Normed::new(&x, then);
                move || ops::batch_norm_eval_backward(&t.x, &t.norm(), then, &t.grad, true)
            });
        }
        self.time("relu/forward", count, || {
            let x = noise(&x);
            move || ops::relu(&x)
        });
        self.time("relu/backward", count, || {
            let x = noise(&x);
            move || ops::relu_backward(&x, &x)
        });
    }

    fn pool(&mut self, x: [usize; 4], pool: Pool2d) {
        let count = x.iter().product();
        self.time("max_pool2d/forward", count, || {
            let x = noise(&x);
            move || ops::max_pool2d(&x, &pool)
        });
        self.time("max_pool2d/backward", count, || {
            let pooled = ops::max_pool2d(&noise(&x), &pool).unwrap();
            move || ops::max_pool2d_backward(&pooled.argmax, &pooled.output, &x)
        });
        self.time("avg_pool2d/forward", count, || {
            let x = noise(&x);
            move || ops::avg_pool2d(&x, &pool)
        });
        self.time("avg_pool2d/backward", count, || {
            let grad = ops::avg_pool2d(&noise(&x), &pool).unwrap();
            move || ops::avg_pool2d_backward(&grad, &x, &pool)
        });
    }

    fn head(&mut self, x: [usize; 4], classes: usize) {
        let [n, features, ..] = x;
        self.time("global_avg_pool/forward", x.iter().product(), || {
            let x = noise(&x);
            move || ops::global_avg_pool(&x)
        });
        self.time("global_avg_pool/backward", x.iter().product(), || {
            let grad = noise(&[n, features]);
            move || ops::global_avg_pool_backward(&grad, &x)
        });
        self.linear([n, features], classes);
        self.time("cross_entropy/forward and backward", n * classes, || {
            let (logits, labels) = (noise(&[n, classes]), vec![0; n]);
            move || ops::cross_entropy(&logits, Targets::Classes(&labels), 0.1, None)
        });
    }

    fn linear(&mut self, [n, inputs]: [usize; 2], outputs: usize) {
        let flop = 2 * n * inputs * outputs;
        self.time("linear/forward", flop, || {
            let (x, weight, bias) = (noise(&[n, inputs]), noise(&[outputs, inputs]), noise(&[outputs]));
            move || ops::linear(&x, &weight, Some(&bias))
        });
        for (what, input) in [("linear/input", true), ("linear/weight and bias", false)] {
            let wanted = Wanted { input, weight: !input, bias: !input };
            self.time(what, flop, || {
                let (x, weight, grad) = (noise(&[n, inputs]), noise(&[outputs, inputs]), noise(&[n, outputs]));
                move || ops::linear_backward(&x, &weight, &grad, wanted)
            });
        }
    }

    fn add(&mut self, x: [usize; 4]) {
        self.time("add/forward", x.iter().product(), || {
            let (a, b) = (noise(&x), noise(&x));
            move || ops::add(&a, &b)
        });
    }

    fn shortcut(&mut self, x: [usize; 4]) {
        let side = x[1] / 2;
        self.time("pad_shortcut/forward", x.iter().product(), || {
            let x = noise(&x);
            move || ops::pad_shortcut(&x, [side, side], 2)
        });
        self.time("pad_shortcut/backward", x.iter().product(), || {
            let grad = ops::pad_shortcut(&noise(&x), [side, side], 2).unwrap();
            move || ops::pad_shortcut_backward(&grad, &x, side, 2)
        });
    }

    fn double(&mut self, x: [usize; 4], filters: usize) {
        let [n, channels, h, w] = x;
        let (weight, output) = ([channels, filters, 4, 4], [n, filters, 2 * h, 2 * w]);
        let conv = Conv2d { stride: [2; 2], padding: [1; 2], ..Conv2d::default() };
        let conv = ConvTranspose2d { conv, output_padding: [0; 2] };
        let flop = 2 * x.iter().product::<usize>() * filters * 16;
        self.time("conv_transpose2d/forward", flop, || {
            let (x, weight) = (noise(&x), noise(&weight));
            move || ops::conv_transpose2d(&x, &weight, None, &conv)
        });
        for (what, input) in [("conv_transpose2d/input", true), ("conv_transpose2d/weight", false)] {
            let wanted = Wanted { input, weight: !input, bias: false };
            self.time(what, flop, || {
                let (x, weight, grad) = (noise(&x), noise(&weight), noise(&output));
                move || ops::conv_transpose2d_backward(&x, &weight, &grad, &conv, wanted)
            });
        }
    }

    fn resize(&mut self, x: [usize; 4]) {
        let [n, channels, h, w] = x;
        let size = [2 * h, 2 * w];
        let count = 4 * x.iter().product::<usize>();
        let ways =
            [("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear { align_corners: false })];
        for (name, way) in ways {
            self.time(&format!("upsample2d/{name} forward"), count, || {
                let x = noise(&x);
                move || ops::upsample2d(&x, size, way)
            });
            self.time(&format!("upsample2d/{name} backward"), count, || {
                let grad = noise(&[n, channels, size[0], size[1]]);
                move || ops::upsample2d_backward(&grad, &x, way)
            });
        }
        self.time("adaptive_avg_pool2d/forward", x.iter().product(), || {
            let x = noise(&x);
            move || ops::adaptive_avg_pool2d(&x, [7, 7])
        });
        self.time("adaptive_avg_pool2d/backward", x.iter().product(), || {
            let grad = noise(&[n, channels, 7, 7]);
            move || ops::adaptive_avg_pool2d_backward(&grad, &x)
        });
    }

    fn threshold(&mut self, x: [usize; 4]) {
        self.time("threshold/forward", x.iter().product(), || {
            let (x, theta) = (noise(&x), noise(&x[1..2]));
            move || ops::threshold(&x, &theta, ops::Curve::Soft)
        });
        self.time("threshold/backward", x.iter().product(), || {
            let (x, theta) = (noise(&x), noise(&x[1..2]));
            move || ops::threshold_backward(&x, &theta, &x, ops::Curve::Soft, true)
        });
    }

    fn bcos(&mut self, x: [usize; 4]) {
        let (weight, flop) = ([x[1], x[1], 3, 3], 18 * x.iter().product::<usize>() * x[1]);
        let bcos = BCosConv2d { stride: [1, 1], padding: [1, 1], exponent: 2.0 };
        self.time("bcos_conv2d/forward", flop, || {
            let (x, weight) = (noise(&x), noise(&weight));
            move || ops::bcos_conv2d(&x, &weight, &bcos)
        });
        self.time("bcos_conv2d/input and weight", 2 * flop, || {
            let (x, weight, wanted) = (noise(&x), noise(&weight), Wanted { input: true, weight: true, bias: false });
            move || ops::bcos_conv2d_backward(&x, &weight, &x, &x, &bcos, wanted)
        });
        self.time("uncentered_norm/train", x.iter().product(), || {
            let (x, gain) = (noise(&x), noise(&x[1..2]));
            move || ops::uncentered_norm_train(&x, &gain, 1e-5)
        });
        self.time("uncentered_norm/backward", x.iter().product(), || {
            let (x, gain) = (noise(&x), noise(&x[1..2]));
            let found = ops::uncentered_norm_train(&x, &gain, 1e-5).unwrap();
            move || ops::uncentered_norm_backward(&x, &gain, (Some(&found.mean), &found.variance), 1e-5, &x, true)
        });
    }

    fn pictures(&mut self, x: [usize; 4]) {
        self.time("channels_last/forward", x.iter().product(), || {
            let x = noise(&x).contiguous().unwrap();
            move || ops::channels_last(&x)
        });
        self.time("on_off/forward", x.iter().product(), || {
            let x = noise(&x);
            move || ops::on_off(&x)
        });
        self.time("on_off/backward", x.iter().product(), || {
            let grad = ops::on_off(&noise(&x)).unwrap();
            move || ops::on_off_backward(&grad)
        });
        self.time("mirror/forward", x.iter().product(), || {
            let x = noise(&x);
            move || ops::mirror(&x, 2)
        });
        self.time("mirror/backward", x.iter().product(), || {
            let grad = ops::mirror(&noise(&x), 2).unwrap();
            move || ops::mirror_backward(&grad, 2)
        });
    }
}

const EPS: f64 = 1e-5;

/// What batch norms and ReLUs read.
struct Normed {
    x: Tensor,
    grad: Tensor,
    gain: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl Normed {
    fn new(shape: &[usize; 4], then: Then) -> Self {
        let (x, gain, shift) = (noise(shape), noise(&shape[1..2]), noise(&shape[1..2]));
        let found = ops::batch_norm_train(&x, &gain, &shift, EPS, then).unwrap();
        Self { grad: found.output, x, gain, shift, mean: found.mean, variance: found.variance }
    }

    fn norm(&self) -> BatchNorm<'_> {
        let Self { gain, shift, mean, variance, .. } = self;
        BatchNorm { gain, shift, mean, variance, eps: EPS }
    }
}

const THENS: [(&str, Then); 3] =
    [("", Then::Nothing), (" and relu", Then::Relu), (", relu and max pool", Then::ReluMaxPool { kernel: [2, 2] })];

/// Adds the benchmarks of one layer that reads maps `x`.
fn add(criterion: &mut Criterion, net: &Net, x: [usize; 4], layer: Layer) {
    let [_, channels, side, _] = x;
    let name = format!("{} {channels}x{side}x{side}", net.name);
    let mut bench = Bench { criterion, layer: name };
    match layer {
        Layer::Conv { filters, kernel, stride, groups } => {
            bench.layer += &format!(" {kernel}x{kernel}-{stride} {filters} filters");
            let conv = Conv2d { stride: [stride; 2], padding: [kernel / 2; 2], groups, ..Conv2d::default() };
            bench.conv(x, [filters, channels / groups, kernel, kernel], conv);
        }
        Norm => bench.norm(x),
        Pool { kernel, stride } => {
            let padding = if kernel > stride { kernel / 2 } else { 0 };
            bench.pool(x, Pool2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ceil_mode: false });
        }
        Head { classes } => bench.head(x, classes),
        Add => bench.add(x),
        Shortcut => bench.shortcut(x),
        Pictures => bench.pictures(x),
        Double { filters } => {
            bench.layer += &format!(" 4x4-2 {filters} filters");
            bench.double(x, filters);
        }
        Resize => bench.resize(x),
        Threshold => bench.threshold(x),
        BCos => bench.bcos(x),
    }
}

fn main() {
    interp::keep_freed_memory();
    let threads = std::env::var("INTERP_BENCH_THREADS").map_or(2, |threads| threads.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let quick = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut criterion = quick.measurement_time(Duration::from_secs(1)).configure_from_args();
    for net in &NETS {
        for &([channels, side], layer) in net.layers {
            add(&mut criterion, net, [net.batch, channels, side, side], layer);
        }
    }
    criterion.final_summary();
}
