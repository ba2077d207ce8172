//! Training steps or inference passes of one network, timed as JSON on standard output. By itself it says
//! how fast this machine is; `against_pytorch/compare.py` runs it in turn with PyTorch.
//!
//!     cargo bench --bench step -- vgg4 --mode train

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use clap::{Parser, ValueEnum};
use interp::data::{Augment, DataError, Dataset, Divide, Divided, Info, Split};
use interp::learn::{Event, Flow, Phase, Task, Train, Trainer, fit};
use interp::net::zoo::{Architecture, ResNet, Vgg};
use interp::net::{Graph, Keep, Mode, NetError, Network, NodeId, Op};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    net: Net,
    #[arg(long, default_value = "train")]
    mode: Run,
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Steps that are timed, after three that are not
    #[arg(long, default_value_t = 20)]
    steps: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// cargo bench adds it
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Run {
    Train,
    Infer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Net {
    /// Four blocks of convolution, batch norm, ReLU and pooling: 32, 64, 128, 128 filters
    Vgg4,
    /// That of recipes/sparse_vgg.toml
    SparseVgg,
    Vgg11,
    Resnet20,
    /// torchvision's, at 64x64
    Resnet18,
}

const CLASSES: usize = 10;
/// Steps before the clock starts.
const WARM: usize = 3;

impl Net {
    fn graph(self) -> Result<Graph, NetError> {
        let small = [3, 32, 32];
        match self {
            Self::Vgg4 => vgg4(),
            Self::SparseVgg => Vgg { depth: 8, width: 0.5, ..Vgg::default() }.graph(small, CLASSES),
            Self::Vgg11 => Vgg::default().graph(small, CLASSES),
            Self::Resnet20 => ResNet::default().graph(small, CLASSES),
            Self::Resnet18 => resnet18(),
        }
    }
}

fn vgg4() -> Result<Graph, NetError> {
    let mut graph = Graph::new(3, 32, 32)?;
    for (block, filters) in [32, 64, 128, 128].into_iter().enumerate() {
        graph.then(format!("conv{block}"), Op::conv3x3(filters, 1))?;
        graph.then(format!("norm{block}"), Op::batch_norm())?;
        graph.then(format!("relu{block}"), Op::Relu)?;
        graph.then(format!("pool{block}"), Op::max_pool(2))?;
    }
    graph.then("mean", Op::GlobalAvgPool)?;
    graph.then("head", Op::Linear { out_features: CLASSES, bias: true })?;
    Ok(graph)
}

/// He et al. 2016, arXiv 1512.03385, table 1.
fn resnet18() -> Result<Graph, NetError> {
    let mut graph = Graph::new(3, 64, 64)?;
    graph.then("conv1", Op::conv(64, 7, 2, 3, false))?;
    graph.then("bn1", Op::batch_norm())?;
    graph.then("relu", Op::Relu)?;
    let mut last = graph.then("maxpool", Op::MaxPool { kernel: [3; 2], stride: [2; 2], padding: [1; 2] })?;
    for (stage, filters) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 0..2 {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            last = basic_block(&mut graph, &format!("layer{}.{block}", stage + 1), last, filters, stride)?;
        }
    }
    graph.then("avgpool", Op::GlobalAvgPool)?;
    graph.then("fc", Op::Linear { out_features: CLASSES, bias: true })?;
    Ok(graph)
}

fn basic_block(
    graph: &mut Graph,
    name: &str,
    input: NodeId,
    filters: usize,
    stride: usize,
) -> Result<NodeId, NetError> {
    graph.add(format!("{name}.conv1"), Op::conv3x3(filters, stride), &[input])?;
    graph.then(format!("{name}.bn1"), Op::batch_norm())?;
    graph.then(format!("{name}.relu1"), Op::Relu)?;
    graph.then(format!("{name}.conv2"), Op::conv3x3(filters, 1))?;
    let branch = graph.then(format!("{name}.bn2"), Op::batch_norm())?;
    let beside = if stride == 1 {
        input
    } else {
        graph.add(format!("{name}.downsample.0"), Op::conv(filters, 1, stride, 0, false), &[input])?;
        graph.then(format!("{name}.downsample.1"), Op::batch_norm())?
    };
    graph.add(format!("{name}.add"), Op::Add, &[branch, beside])?;
    graph.then(format!("{name}.relu2"), Op::Relu)
}

/// Pictures that are there from the start, as PyTorch's are: noise, so that nothing is the same twice.
struct Noise {
    info: Info,
    train: usize,
}

impl Dataset for Noise {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { self.train } else { 1 }
    }

    fn label(&self, _split: Split, index: usize) -> u32 {
        (index % CLASSES) as u32
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<(), DataError> {
        let mut state = (index as u32 + 1).wrapping_mul(0x9e37_79b9) ^ (split as u32);
        for value in out {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 8) as f32 / (1u32 << 24) as f32;
        }
        Ok(())
    }
}

fn info(graph: &Graph) -> Info {
    let shape = graph.shape(0);
    let (channels, height, width) = (shape[0], shape[1], shape[2]);
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let (mean, std) = (vec![0.5; channels], vec![0.3; channels]);
    Info { name: "noise".into(), classes, channels, height, width, mean, std }
}

/// Seconds of each training step: batch, forward, loss, backward, update.
fn train(graph: Graph, arguments: &Arguments) -> Result<Vec<f64>, Failure> {
    let info = info(&graph);
    let noise = Noise { info, train: arguments.batch * (arguments.steps + WARM) };
    let settings = Train {
        batch: arguments.batch,
        phase: vec![Phase { epochs: 1, learning_rate: 0.01, ..Phase::default() }],
        ..Train::default()
    };
    let task = Task {
        settings: &settings,
        data: Arc::new(Divided::new(Arc::new(noise), &Divide::default())?.learning()),
        augment: Augment::default(),
        priors: &[],
        class_weights: None,
        meets: &|_| Ok(true),
        seed: 0,
        workers: arguments.threads,
    };
    let mut trainer = Trainer::new(Network::new(graph, 0)?, &task)?;
    let (mut seconds, mut last) = (vec![], Instant::now());
    fit(&task, &mut trainer, &mut |event, _| {
        if let Event::Step { .. } = event {
            seconds.push(last.elapsed().as_secs_f64());
            last = Instant::now();
        }
        Ok(Flow::Continue)
    })?;
    Ok(seconds.split_off(WARM))
}

/// Seconds of each pass without gradients.
fn infer(graph: Graph, arguments: &Arguments) -> Result<Vec<f64>, Failure> {
    let info = info(&graph);
    let noise = Noise { info: info.clone(), train: arguments.batch };
    let mut pictures = vec![0.0; arguments.batch * info.pixels()];
    for (index, out) in pictures.chunks_exact_mut(info.pixels()).enumerate() {
        noise.image(Split::Train, index, out)?;
    }
    let shape = (arguments.batch, info.height, info.width, info.channels);
    let x = Tensor::from_vec(pictures, shape, &Device::Cpu)?.permute((0, 3, 1, 2))?;
    let network = Network::new(graph, 0)?;
    let mut seconds = vec![];
    for _ in 0..arguments.steps + WARM {
        let began = Instant::now();
        network.forward(&x, Mode::Eval, &Keep::Output)?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(seconds.split_off(WARM))
}

/// The memory of this process in KiB as Linux counts it: `VmRSS` is now, `VmHWM` the most so far.
fn memory(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    let graph = arguments.net.graph()?;
    let idle = memory("VmRSS");
    let seconds = match arguments.mode {
        Run::Train => train(graph, &arguments)?,
        Run::Infer => infer(graph, &arguments)?,
    };
    let (peak, batch) = (memory("VmHWM"), arguments.batch);
    println!("{}", serde_json::json!({ "seconds": seconds, "batch": batch, "idle_kib": idle, "peak_kib": peak }));
    Ok(())
}
