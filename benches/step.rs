//! Training steps or inference passes of one network, timed as JSON on standard output. By itself it says
//! how fast this machine is; `against_pytorch/compare.py` runs it in turn with PyTorch.
//!
//!     cargo bench --bench step -- vgg4 --mode train
//!
//! It runs on as many threads as it is told to and no more: batches are made within the step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use clap::{Args, Parser, ValueEnum};
use interp::data::{Augment, Batch, Batches, DataError, Dataset, Divide, Divided, Info, Learning, Loader, Split};
use interp::learn::{Event, Flow, Objective, Phase, Schedule, Task, Train, Trainer, fit, to_tensor};
use interp::net::zoo::{Architecture, ResNet, Vgg};
use interp::net::{Graph, Keep, Mode, NetError, Network, NodeId, Op, sealed};

#[global_allocator]
static ALLOCATOR: interp::Allocator = interp::Allocator;

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    net: Net,
    #[arg(long, default_value = "train")]
    mode: Run,
    #[command(flatten)]
    size: Size,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write the first parameters and all batches to this file, and do nothing else
    #[arg(long)]
    write: Option<PathBuf>,
    /// cargo bench adds it
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Args, Clone, Copy)]
struct Size {
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Steps that are timed, after three that are not
    #[arg(long, default_value_t = 20)]
    steps: usize,
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
/// Of first parameters and of the order of pictures.
const SEED: u64 = 0;

impl Net {
    fn graph(self) -> Result<Graph, NetError> {
        let small = [3, 32, 32];
        match self {
            Self::Vgg4 => blocks(&[32, 64, 128, 128], 32),
            Self::SparseVgg => Vgg { depth: 8, width: 0.5, ..Vgg::default() }.graph(small, CLASSES),
            Self::Vgg11 => Vgg::default().graph(small, CLASSES),
            Self::Resnet20 => ResNet::default().graph(small, CLASSES),
            Self::Resnet18 => resnet18(),
        }
    }
}

/// Blocks of convolution, batch norm, ReLU and pooling.
fn blocks(filters: &[usize], side: usize) -> Result<Graph, NetError> {
    let mut graph = Graph::new(3, side, side)?;
    for (block, &filters) in filters.iter().enumerate() {
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
    let mut last =
        graph.then("maxpool", Op::MaxPool { kernel: [3; 2], stride: [2; 2], padding: [1; 2], ceil_mode: false })?;
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

fn data(graph: &Graph, size: Size) -> Result<Arc<Learning>, Failure> {
    let noise = Noise { info: info(graph), train: size.batch * (size.steps + WARM) };
    Ok(Arc::new(Divided::new(Arc::new(noise), &Divide::default())?.learning()))
}

/// The batches in the order in which training takes them.
fn batches(graph: &Graph, size: Size) -> Result<Batches, Failure> {
    let loader = Loader::new(data(graph, size)?, Split::Train, size.batch, 0, Augment::default(), SEED)?;
    Ok(loader.epoch(0, 0))
}

/// What a peer needs to do the same: parameters by name, `batches` (steps, N, H, W, C), `labels` (steps, N).
fn write(path: &Path, graph: Graph, size: Size) -> Result<(), Failure> {
    let batches: Vec<Batch> = batches(&graph, size)?.collect::<Result<_, _>>()?;
    let info = info(&graph);
    let images: Vec<f32> = batches.iter().flat_map(|batch| batch.images.iter().copied()).collect();
    let labels: Vec<i64> = batches.iter().flat_map(|batch| batch.labels.iter().map(|&label| label.into())).collect();
    let shape = (batches.len(), size.batch, info.height, info.width, info.channels);
    let network = Network::new(graph, SEED)?;
    let params = network.params.list().iter().map(|param| (param.name.clone(), param.value.clone()));
    let mut tensors: BTreeMap<String, Tensor> = params.collect();
    tensors.insert("batches".into(), Tensor::from_vec(images, shape, &Device::Cpu)?);
    tensors.insert("labels".into(), Tensor::from_vec(labels, (batches.len(), size.batch), &Device::Cpu)?);
    Ok(sealed::write(path, &tensors, &())?)
}

/// What a run found.
struct Found {
    /// Of each step after the warm-up.
    seconds: Vec<f64>,
    /// The loss of every step, or the logits of the last pass: what a peer must find too.
    results: Vec<f64>,
    /// The memory that the process held before it made the network.
    idle: Option<u64>,
}

/// Training steps: batch, forward, loss, backward, update.
fn train(graph: Graph, size: Size) -> Result<Found, Failure> {
    let phase = Phase { epochs: 1, learning_rate: 0.01, schedule: Schedule::Constant, ..Phase::default() };
    let settings = Train { batch: size.batch, phase: vec![phase], ..Train::default() };
    let task = Task {
        objective: Objective::Classify,
        settings: &settings,
        data: data(&graph, size)?,
        augment: Augment::default(),
        priors: &[],
        teachers: &[],
        class_weights: None,
        meets: &|_| Ok(true),
        seed: SEED,
        workers: 0,
    };
    let idle = idle_memory();
    let mut trainer = Trainer::new(Network::new(graph, SEED)?, &task)?;
    let (mut seconds, mut sums, mut last) = (vec![], vec![0.0], Instant::now());
    fit(&task, &mut trainer, &mut |event, trainer| {
        if let Event::Step { .. } = event {
            seconds.push(last.elapsed().as_secs_f64());
            sums.push(trainer.clock.loss);
            last = Instant::now();
        }
        Ok(Flow::Continue)
    })?;
    let results = sums.windows(2).map(|pair| (pair[1] - pair[0]) / size.batch as f64).collect();
    Ok(Found { seconds: seconds.split_off(WARM), results, idle })
}

/// Passes of the first batch without gradients.
fn infer(graph: Graph, size: Size) -> Result<Found, Failure> {
    let first = batches(&graph, size)?.next().ok_or("no pictures")??;
    let x = to_tensor(&first, &info(&graph))?;
    let idle = idle_memory();
    let network = Network::new(graph, SEED)?;
    let (mut seconds, mut results) = (vec![], vec![]);
    for _ in 0..size.steps + WARM {
        let began = Instant::now();
        let tape = network.forward(&x, Mode::Eval, &Keep::Output)?;
        seconds.push(began.elapsed().as_secs_f64());
        results = tape.output(&network.graph)?.flatten_all()?.to_vec1::<f32>()?;
    }
    let results = results.into_iter().map(f64::from).collect();
    Ok(Found { seconds: seconds.split_off(WARM), results, idle })
}

/// The memory of this process in KiB as Linux counts it: `VmRSS` is now, `VmHWM` the most so far.
fn memory(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The memory now, from where on the most is counted anew; none where the system cannot.
fn idle_memory() -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    memory("VmRSS")
}

fn main() -> Result<(), Failure> {
    interp::keep_freed_memory();
    let Arguments { net, mode, size, threads, write: path, .. } = Arguments::parse();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let graph = net.graph()?;
    if let Some(path) = path {
        return write(&path, graph, size);
    }
    // What the first steps of any network bring into memory, threads and code, counts as idle.
    train(blocks(&[8], 8)?, Size { batch: 2, steps: 1 })?;
    let found = match mode {
        Run::Train => train(graph, size)?,
        Run::Infer => infer(graph, size)?,
    };
    let Found { seconds, results, idle } = found;
    let peak = memory("VmHWM");
    println!("{}", serde_json::json!({ "seconds": seconds, "results": results, "idle_kib": idle, "peak_kib": peak }));
    Ok(())
}
