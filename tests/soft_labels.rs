//! Faults of labels that were planted, found again: two classes made alike, and labels that are wrong.

use std::collections::BTreeSet;

use interp::data::concepts::{Alike, Concepts, ConceptsSource};
use serde_json::Value;

use crate::common::{folder, program, run};

const PICTURES: usize = 4000;
const FLIPPED: f64 = 0.05;
/// Labels 0 and 8. Where nothing is planted this pair is far from the first: stripes and dots are alike to so small a network by themselves.
const ALIKE: [&str; 2] = ["warm round", "boxy plain"];
const SHARE: f64 = 0.48;

const RECIPE: &str = r#"
name = "faulty"
twin = false

[data]
kind = "concepts"
train = 4000
val = 200
test = 200
alike = { classes = ["warm round", "boxy plain"], share = 0.48 }
flipped_labels = 0.05

[augment]
flip = true
pad_crop = 2

[model]
kind = "vgg"
depth = 8
width = 0.25

[[train.phase]]
epochs = 8
learning_rate = 0.1
warmup = 1.0
"#;

/// The pictures whose labels were flipped, by the rule that made them.
fn flipped() -> BTreeSet<usize> {
    let source = ConceptsSource {
        train: PICTURES,
        val: 200,
        test: 200,
        alike: Some(Alike { classes: ALIKE.map(str::to_owned), share: SHARE }),
        flipped_labels: FLIPPED,
        ..ConceptsSource::default()
    };
    Concepts::open(&source, &|_, _| {}).unwrap().flipped().into_iter().map(|(index, _)| index).collect()
}

#[test]
fn planted_faults_of_labels_are_found() {
    let folder = folder(RECIPE);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    let audit = |more: &[&str]| {
        let (status, stdout, stderr) = run(program("interp-audit", folder.path())
            .args(["soft-labels", "run", "--split", "train", "--json"])
            .args(more));
        assert_eq!(status, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let found = audit(&[]);
    assert!(found["pairs"][0]["classes"] == serde_json::json!([0, 8]) && found["count"] == PICTURES, "{found}");
    assert_eq!(found["tree"]["joins"][0]["parts"], serde_json::json!([0, 8]));
    let tensors = interp::net::sealed::read(&folder.path().join("soft-labels/data.safetensors")).unwrap().tensors;
    let order = tensors["index"].to_vec1::<i64>().unwrap();
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), PICTURES);
    let flipped = flipped();
    assert!((150..250).contains(&flipped.len()), "{}", flipped.len());
    let first = order[..PICTURES / 10].iter().filter(|&&index| flipped.contains(&(index as usize))).count();
    let share = first as f64 / flipped.len() as f64;
    println!("{:.1} % of {} flipped labels are among the first tenth", 100.0 * share, flipped.len());
    assert!(share >= 0.8, "{first} of {} flipped labels are among the first tenth", flipped.len());
    // By chance a twentieth of the pictures that are shown were flipped.
    let shown = found["suspects"].as_array().unwrap();
    let right = shown.iter().filter(|one| flipped.contains(&(one["index"].as_u64().unwrap() as usize))).count();
    assert!(2 * right > shown.len(), "{right} of {}", shown.len());
    let html = std::fs::read_to_string(folder.path().join("soft-labels/report.html")).unwrap();
    assert!(html.contains("Most alike are warm round and boxy plain") && html.contains("contradicted most"));
    // A student that thinks the same changes nothing.
    let again = audit(&["--student", "run", "--out", "again"]);
    assert!(again["suspects"] == found["suspects"] && again["student"] == "run/model.safetensors", "{again}");
}
