//! How far channels keep to factors, by the program.

use std::fs;

use candle_core::{Device, safetensors};
use interp::net::{Network, zoo};
use serde_json::Value;

use crate::common::{TINY, fails, folder, program, run, trained_on_plain_pictures};

#[test]
fn channels_are_held_against_the_factors_of_pictures() {
    let folder = folder(TINY);
    let root = folder.path();
    let (status, _, stderr) = run(program("interp-train", root).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    let decompose = |more: &[&str]| {
        let (status, stdout, stderr) =
            run(program("interp-audit", root).args(["decompose", "run", "--split", "train", "--json"]).args(more));
        assert_eq!(status, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let told = decompose(&[]);
    assert_eq!(told, serde_json::from_slice::<Value>(&fs::read(root.join("decompose/summary.json")).unwrap()).unwrap());
    let factors: Vec<&str> =
        told["factors"].as_array().unwrap().iter().map(|factor| factor["name"].as_str().unwrap()).collect();
    for factor in ["shape", "hue", "texture", "x", "lightness", "background"] {
        assert!(factors.contains(&factor), "{factor}: {factors:?}");
    }
    // The orientation of what is plain cannot be seen.
    let seen = |name: &str| {
        told["factors"].as_array().unwrap().iter().find(|factor| factor["name"] == name).unwrap()["pictures"]
            .as_u64()
            .unwrap()
    };
    assert!(seen("hue") == 160 && seen("orientation") < 160);
    let layers = told["layers"].as_array().unwrap();
    let tensors = safetensors::load(root.join("decompose/data.safetensors"), &Device::Cpu).unwrap();
    for layer in layers {
        let (node, channels) = (layer["node"].as_str().unwrap(), layer["channels"].as_u64().unwrap() as usize);
        let information = &tensors[&format!("{node}.information")];
        assert_eq!(information.dims(), [channels, factors.len()]);
        // The first channel of a factor is where the column is largest.
        let rows = information.to_vec2::<f64>().unwrap();
        for (at, first) in layer["first"].as_array().unwrap().iter().enumerate().filter(|(_, first)| !first.is_null()) {
            let channel = first["channel"].as_u64().unwrap() as usize;
            assert!(rows.iter().all(|row| row[at] <= rows[channel][at]), "{node} {}", factors[at]);
        }
        for scores in [&layer["scores"], &layer["chance"]] {
            assert!(
                scores.as_object().unwrap().values().all(|score| (0.0..=1.0).contains(&score.as_f64().unwrap())),
                "{layer}"
            );
        }
    }
    assert!(decompose(&["--of", "largest"])["layers"][0]["scores"] != layers[0]["scores"]);
    assert_eq!(decompose(&["--memory", "1MiB", "--threads", "2"])["layers"], told["layers"]);
    let page = fs::read_to_string(root.join("decompose/report.html")).unwrap();
    assert!(page.contains("How far channels keep to factors") && page.contains("href=\"../run/report.html\""));
}

#[test]
fn weights_that_are_no_numbers_are_told() {
    let folder = folder(TINY);
    let root = folder.path();
    let net = Network::new(zoo::by_name("resnet20").unwrap().graph([3, 32, 32], 10).unwrap(), 2).unwrap();
    let tensors = net.params.list().iter().map(|param| {
        let is_damaged = param.name == "layer1.0.conv1.weight";
        let value = if is_damaged { (&param.value * f64::NAN).unwrap() } else { param.value.clone() };
        (param.name.clone(), value)
    });
    safetensors::save(&tensors.collect(), root.join("nan.safetensors")).unwrap();
    let words = ["decompose", "nan.safetensors", "--arch", "resnet20", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"];
    fails(root, "interp-audit", &[&words[..], &["--data", "concepts"]].concat(), &["finite number"]);
    assert!(!root.join("decompose").exists());
}

#[test]
fn pictures_without_factors_are_refused() {
    let folder = trained_on_plain_pictures();
    fails(folder.path(), "interp-audit", &["decompose", "run"], &["knows no factors of its pictures"]);
    assert!(!folder.path().join("decompose").exists());
}
