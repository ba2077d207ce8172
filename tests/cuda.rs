//! The programs on a CUDA device: `cargo test --features cuda --test cuda`. Where there is no device, the test says that it
//! is skipped.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // Other tests use the rest of it.
mod common;
#[allow(dead_code)]
mod shared;

use std::fs;
use std::path::Path;

use common::{TINY, folder, program, run};
use shared::skipped;

/// Trains the tiny recipe and gives the test accuracies of both networks and the bytes of the first.
fn trained(folder: &Path, out: &str, device: &str) -> ([f64; 2], Vec<u8>) {
    let arguments = ["recipe.toml", "--out", out, "--device", device, "--json", "--quiet"];
    let (status, stdout, stderr) = run(program("interp-train", folder).args(arguments));
    assert_eq!(status, 0, "{stderr}");
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let accuracy = |key: &str| summary.pointer(key).unwrap().as_f64().unwrap();
    let model = fs::read(folder.join(out).join("model.safetensors")).unwrap();
    ([accuracy("/test/accuracy"), accuracy("/twin/test/accuracy")], model)
}

fn accuracy(folder: &Path, checkpoint: &str, device: &str) -> f64 {
    let (status, stdout, stderr) =
        run(program("interp-train", folder).args(["eval", checkpoint, "--device", device, "--json"]));
    assert_eq!(status, 0, "{stderr}");
    serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["accuracy"].as_f64().unwrap()
}

/// Of 40 test pictures two may change sides: sums on the device are rounded in another order.
#[test]
fn runs_on_the_device_are_the_cpus_to_rounding_and_the_same_on_every_run() {
    if interp::ops::device("auto", interp::ops::Arithmetic::default()).unwrap().is_cpu() {
        return skipped("runs on the device: there is no CUDA device");
    }
    let folder = folder(TINY);
    let (on_cpu, _) = trained(folder.path(), "cpu", "cpu");
    let (on_device, model) = trained(folder.path(), "device", "cuda:0");
    on_cpu.iter().zip(on_device).for_each(|(a, b)| assert!((a - b).abs() < 0.051, "{on_cpu:?} {on_device:?}"));
    assert_eq!(trained(folder.path(), "again", "cuda").1, model);
    assert!((accuracy(folder.path(), "device", "cuda:0") - on_device[0]).abs() < 1e-9);
    assert!((accuracy(folder.path(), "device", "cpu") - on_device[0]).abs() < 0.051);
    let (status, stdout, _) = run(program("interp-audit", folder.path()).args(["claims", "device"]));
    assert!(status == 0 && stdout.contains("holds"), "{stdout}");
}
