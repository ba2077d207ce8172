//! Variational autoencoders, by the programs.

use std::fs;

use candle_core::{Device, safetensors};
use serde_json::Value;

use crate::common::{TINY, fails, folder, program, run};

/// One that is trained for a second or two.
const VAE: &str = r#"
name = "tiny"

[objective.reconstruct]
pixels = "bernoulli"

[data]
kind = "concepts"
train = 200
val = 40
test = 40
size = 28

[model]
kind = "vae"
codes = 4
width = 0.25

[train]
batch = 20
optimizer = { adamw = { weight_decay = 0.0 } }

[[train.phase]]
epochs = 10
learning_rate = 0.003

[[prior]]
kind = "total_correlation"
nodes = ["codes"]
beta = 3.0
"#;

#[test]
fn codes_are_trained_measured_and_moved() {
    let folder = folder(VAE);
    let root = folder.path();
    let (status, stdout, stderr) = run(program("interp-train", root).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("PSNR") && stdout.contains(" dB on 40 test pictures"), "{stdout}");
    assert!(!stdout.contains("accuracy") && !stderr.contains("gray pictures"), "{stdout}{stderr}");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
    let summary = json("run/summary.json");
    // Gray pictures cost ln 2 for each value.
    let loss = summary["test"]["loss"].as_f64().unwrap();
    assert!(loss > 0.0 && loss < 28.0 * 28.0 * 3.0 * 2f64.ln(), "{loss}");
    assert!(summary["twin"]["test"]["psnr"].is_number());
    assert!(read("run/report.html").contains("makes pictures again of codes to a PSNR of"));

    let (status, stdout, stderr) = run(program("interp-train", root).args(["eval", "run", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let again: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&again["psnr"], &again["loss"]), (&summary["test"]["psnr"], &summary["test"]["loss"]));

    let (status, stdout, stderr) =
        run(program("interp-audit", root).args(["decompose", "run", "--layers", "codes", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((told["layers"][0]["node"].as_str(), told["layers"][0]["channels"].as_u64()), (Some("codes"), Some(4)));

    let (status, stdout, stderr) =
        run(program("interp-audit", root).args(["traverse", "run", "--values", "5", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let moved: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(moved, json("traverse/summary.json"));
    let codes = moved["codes"].as_array().unwrap();
    let divergences: Vec<f64> = codes.iter().map(|code| code["divergence"].as_f64().unwrap()).collect();
    assert!(codes.len() == 4 && divergences.is_sorted_by(|a, b| a >= b) && divergences[3] >= 0.0, "{moved}");
    let tensors = safetensors::load(root.join("traverse/data.safetensors"), &Device::Cpu).unwrap();
    let shape = |name: &str| tensors[name].dims().to_vec();
    assert_eq!(shape("moved"), [2, 4, 5, 28, 28, 3]);
    assert_eq!(
        (shape("values"), shape("pictures"), shape("made")),
        (vec![4, 5], vec![2, 28, 28, 3], vec![2, 28, 28, 3])
    );
    // What is told of factors is what a decomposition of the same codes tells.
    let other = safetensors::load(root.join("decompose/data.safetensors"), &Device::Cpu).unwrap();
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(numbers(&tensors["information"]), numbers(&other["codes.information"]));
    let page = read("traverse/report.html");
    assert!(page.contains("What codes change") && page.contains("href=\"../run/report.html\""));

    fails(root, "interp-audit", &["saliency", "run"], &["was not trained to tell classes"]);
}

#[test]
fn networks_without_codes_are_refused() {
    let folder = folder(TINY);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    fails(folder.path(), "interp-audit", &["traverse", "run"], &["has no codes to move", "0 of its nodes draw codes"]);
    assert!(!folder.path().join("traverse").exists());
}

#[test]
fn what_makes_no_codes_is_refused_with_its_place() {
    let cases = [
        ("codes = 4", "codes = 0", "`model.codes` must be 1 or more, not 0"),
        ("codes = 4", "codes = 2352", "fewer than the 2352 values of a picture"),
        ("size = 28", "size = 48", "takes pictures of 28x28, 32x32 or 64x64 pixels, not 48x48"),
        (
            "pixels = \"bernoulli\"",
            "pixels = { normal = { deviation = 0.0 } }",
            "deviation` must be above 0 and up to 1, not 0",
        ),
        ("pixels = \"bernoulli\"", "pixels = \"normal\"", "pixels"),
        ("[objective.reconstruct]\npixels = \"bernoulli\"\n", "", "where it draws codes [objective.reconstruct]"),
        ("kind = \"vae\"\ncodes = 4\nwidth = 0.25", "kind = \"soft_autoencoder\"", "one node that draws codes"),
        (
            "kind = \"vae\"\ncodes = 4",
            "kind = \"resnet\"",
            "for [objective.reconstruct] they must be pictures, [3, 28, 28]",
        ),
        ("beta = 3.0", "beta = 1.0", "`prior.0.beta` must be above 1, not 1"),
        ("nodes = [\"codes\"]", "nodes = [\"encoder.*\"]", "there are `codes`"),
        ("batch = 20", "batch = 20\nlabel_smoothing = 0.1", "`train.label_smoothing` is about classes"),
    ];
    for (from, to, expected) in cases {
        assert!(VAE.contains(from), "{from}");
        let folder = folder(&VAE.replacen(from, to, 1));
        let (status, _, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--dry-run"]));
        let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(status == 2 && flat.contains(expected), "`{expected}` for `{to}` in:\n{stderr}");
    }
}
