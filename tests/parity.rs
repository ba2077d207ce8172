use std::path::Path;

use candle_core::Tensor;

use crate::common::{program, run};
use crate::shared::shared;

const MEAN: &str = "0.485,0.456,0.406";
const STD: &str = "0.229,0.224,0.225";

/// Evaluates a shared ResNet on the shared test pictures; its logits against those of PyTorch, and its accuracy.
fn check(arch: &str, file: &str, logits: &str, accuracy: f64) {
    let (Some(checkpoint), Some(data), Some(expected)) =
        (shared(&format!("checkpoints/{file}")), shared("cifar10"), shared(&format!("checkpoints/{logits}")))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("logits.safetensors");
    let mut command = program("interp-train", folder.path());
    command
        .arg("eval")
        .arg(checkpoint)
        .args(["--arch", arch, "--mean", MEAN, "--std", STD, "--split", "test", "--json"]);
    command.arg("--data").arg(format!("cifar10:{}", data.display())).arg("--logits").arg(&out);
    let (status, stdout, stderr) = run(&mut command);
    assert_eq!(status, 0, "{stderr}");
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(object["count"], 1017);
    assert!((100.0 * object["accuracy"].as_f64().unwrap() - accuracy).abs() < 0.005, "{stdout}");
    let expected = Tensor::read_npy(expected).unwrap();
    let furthest = furthest(&read(&out), &expected);
    println!("{arch}: accuracy as published, logits at most {furthest:.1e} from PyTorch's");
    assert!(furthest < 1e-3, "{arch}: a logit differs by {furthest}");
}

fn read(path: &Path) -> Tensor {
    interp::net::sealed::read(path).unwrap().tensors["logits"].clone()
}

fn furthest(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

// Accuracies measured with PyTorch on the same 1,017 pictures.
#[test]
fn resnet20_gives_pytorchs_logits() {
    check("resnet20", "resnet20-12fca82f.safetensors", "resnet20-12fca82f_logits_test0_1016.npy", 91.64);
}

#[test]
fn resnet56_gives_pytorchs_logits() {
    check("resnet56", "resnet56-4bfd9763.safetensors", "resnet56-4bfd9763_logits_test0_1016.npy", 92.72);
}
