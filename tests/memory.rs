//! The memory that saliency takes, as the system counts it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use interp::net::{Checkpoint, Graph, Meta, Network, Normalization, Op};

/// The memory that a program had at most, in bytes; and how it ended.
fn peak(folder: &Path, arguments: &[&str]) -> (u64, bool) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("interp-audit"));
    command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0) << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            return (most, ended.success());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes the network to a file.
fn write(path: &Path, graph: Graph) {
    let net = Network::new(graph, 1).unwrap();
    let normalization = Normalization { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let meta = Meta::new(net.graph.clone(), vec!["one".into(), "two".into()], normalization);
    Checkpoint::write(path, &net.params, &meta).unwrap();
}

fn classifying(graph: &mut Graph) {
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
}

/// Large pictures and many maps, which are enlarged, and masks; little else.
fn of_many_maps() -> Graph {
    let mut graph = Graph::new(3, 256, 256).unwrap();
    graph.then("conv1", Op::conv(8, 8, 8, 0, true)).unwrap();
    graph.then("relu1", Op::Relu).unwrap();
    graph.then("conv2", Op::conv(1024, 1, 2, 0, true)).unwrap();
    graph.then("relu2", Op::Relu).unwrap();
    classifying(&mut graph);
    graph
}

/// Large activations.
fn of_large_activations() -> Graph {
    let mut graph = Graph::new(3, 128, 128).unwrap();
    for (at, channels, kernel) in [("1", 16, 3), ("2", 32, 1)] {
        graph.then(format!("conv{at}"), Op::conv(channels, kernel, 1, kernel / 2, false)).unwrap();
        graph.then(format!("bn{at}"), Op::batch_norm()).unwrap();
        graph.then(format!("relu{at}"), Op::Relu).unwrap();
    }
    classifying(&mut graph);
    graph
}

const BOUND: u64 = 512 << 20;

/// What a program takes beside what `--memory` bounds: itself, pictures, attributions, what is written.
const BESIDE: u64 = 128 << 20;

#[test]
fn saliency_takes_no_more_memory_than_it_may() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the system does not tell what a program had at most");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("maps.safetensors"), of_many_maps());
    write(&folder.path().join("activations.safetensors"), of_large_activations());
    let wave = |x: u32, y: u32| image::Rgb([(x * x / 7) as u8, (x * y / 5) as u8, (y * 3) as u8]);
    image::RgbImage::from_fn(128, 128, wave).save(folder.path().join("own.png")).unwrap();
    let of = |file: &str, pictures: usize, methods: &str, set: &[&str], memory: &str| {
        let mut arguments = vec!["saliency", file, "--double", "--threads", "2", "--memory", memory, "--out", memory];
        arguments.extend(["--method", methods].iter().chain(set));
        arguments.extend(std::iter::once("--images").chain(std::iter::repeat_n("own.png", pictures)));
        let (most, fine) = peak(folder.path(), &arguments);
        println!("{file} within {memory}: {} MiB", most >> 20);
        assert!(fine && most > 0, "{arguments:?}");
        most
    };
    // All masks at a time would be 750 MiB, all maps as large as the picture 512 MiB.
    let set = ["--set", "rise.masks=1500", "--set", "occlusion.size=64"];
    assert!(of("maps.safetensors", 1, "rise,score_cam,occlusion,smooth_grad", &set, "512MiB") < BOUND + BESIDE);
    // Of large activations fewer go through at a time than are fast.
    let passes = |memory| of("activations.safetensors", 32, "deep_lift,lrp,gradient,grad_cam", &[], memory);
    assert!(passes("512MiB") < BOUND + BESIDE);
    assert!(passes("64GiB") > BOUND + BESIDE);
}
