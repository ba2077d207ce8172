//! Objects and what is around them, by the program.

use std::fs;

use crate::common::{TINY, fails, folder, program, run, trained_on_plain_pictures};

#[test]
fn both_parts_of_every_picture_are_told() {
    let folder = folder(TINY);
    let root = folder.path();
    let (status, _, stderr) = run(program("interp-train", root).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    let (status, stdout, stderr) = run(program("interp-audit", root).args(["context", "run", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let told = serde_json::from_str::<serde_json::Value>(&stdout).unwrap();
    assert_eq!(
        told,
        serde_json::from_slice::<serde_json::Value>(&fs::read(root.join("context/summary.json")).unwrap()).unwrap()
    );
    let page = fs::read_to_string(root.join("context/report.html")).unwrap();
    assert!(page.contains("<li><a href=\"../run/report.html\">Run run</a></li>"), "no way to the run's page");
    // Every ten pictures have the ten classes once each.
    let classes = told["classes"].as_array().unwrap();
    assert!(
        told["all"]["count"] == 40 && classes.len() == 10 && classes.iter().all(|class| class["count"] == 4),
        "{told}"
    );
    let tensors =
        candle_core::safetensors::load(root.join("context/data.safetensors"), &candle_core::Device::Cpu).unwrap();
    let [label, class] = ["label", "class"].map(|name| tensors[name].to_vec1::<i64>().unwrap());
    let right = label.iter().zip(&class).filter(|(a, b)| a == b).count() as f64 / 40.0;
    assert_eq!(told["all"]["right"].as_f64(), Some(right));
    let [object, context] =
        ["object", "context"].map(|name| tensors[&format!("{name}.probability")].to_vec1::<f64>().unwrap());
    let bias = object.iter().zip(&context).map(|(o, c)| c / (o + c)).sum::<f64>() / 40.0;
    assert!((told["all"]["bias"]["value"].as_f64().unwrap() - bias).abs() < 1e-12);
    let moved = tensors["moved"].to_vec1::<f64>().unwrap();
    let mean = 100.0 * moved.iter().sum::<f64>() / 40.0;
    assert!((told["all"]["moved"]["value"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!(moved.iter().all(|moved| (0.0..=1.0).contains(moved)) && mean > 0.0);
}

#[test]
fn pictures_whose_objects_are_not_known_are_refused() {
    let folder = trained_on_plain_pictures();
    fails(folder.path(), "interp-audit", &["context", "run"], &["does not know where the objects of its pictures are"]);
    assert!(!folder.path().join("context").exists());
    // Of pictures with files of their own, also of those that were cut off for testing, the file is told: it lies in the folder of its class.
    let (status, stdout, stderr) = run(program("interp-audit", folder.path()).args(["soft-labels", "run", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let told = serde_json::from_str::<serde_json::Value>(&stdout).unwrap();
    let suspects = told["suspects"].as_array().unwrap();
    assert!(!suspects.is_empty());
    for suspect in suspects {
        let class = &told["classes"][suspect["label"].as_u64().unwrap() as usize];
        let file = suspect["file"].as_str().unwrap();
        assert!(file.contains(&format!("pictures/{}/", class.as_str().unwrap())), "{suspect}");
    }
}
