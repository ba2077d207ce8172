use std::fs;
use std::path::Path;

use interp::net::{Network, zoo};

use crate::common::{program, run};

const CLASSES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// A file of others with random weights, those of `tensor` replaced by `value`.
fn foreign(folder: &Path, name: &str, tensor: &str, value: f32) {
    let net = Network::new(zoo::by_name("resnet20").unwrap().graph([3, 32, 32], 10).unwrap(), 2).unwrap();
    let tensors = net.params.list().iter().map(|param| {
        let like = param.value.clone();
        let filled = (like.ones_like().unwrap() * f64::from(value)).unwrap();
        (param.name.clone(), if param.name == tensor { filled } else { like })
    });
    candle_core::safetensors::save(&tensors.collect(), folder.join(name)).unwrap();
}

/// Writes a picture of a class, number `at`, none like another.
fn picture(folder: &Path, split: &str, class: &str, at: usize) {
    let rgb: Vec<u8> = (0..32 * 32 * 3).map(|pixel| (pixel * (at + 1)) as u8).collect();
    let to = folder.join("pictures").join(split).join(class);
    fs::create_dir_all(&to).unwrap();
    fs::write(to.join(format!("{at}.png")), interp::report::png(32, 32, &rgb).unwrap()).unwrap();
}

/// A folder with a picture of each class, and files of networks.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    CLASSES.iter().enumerate().for_each(|(at, class)| picture(folder.path(), "test", class, at));
    foreign(folder.path(), "good.safetensors", "", 0.0);
    foreign(folder.path(), "nan.safetensors", "layer1.0.conv1.weight", f32::NAN);
    foreign(folder.path(), "variance.safetensors", "layer1.0.bn1.running_var", f32::NAN);
    fs::write(folder.path().join("file"), "").unwrap();
    folder
}

const AS: [&str; 6] = ["--arch", "resnet20", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"];

fn audit(folder: &Path, analysis: &str, file: &str, more: &[&str]) -> (i32, String) {
    let mut words = vec![analysis, file];
    words.extend(AS);
    if analysis != "weights" {
        words.extend(["--data", "folder:pictures"]);
    }
    words.extend(more);
    let (status, stdout, stderr) = run(program("interp-audit", folder).args(&words));
    // As one line.
    let said = if status == 0 { stdout } else { stderr };
    (status, said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" "))
}

/// Where an analysis writes if nobody says.
fn folder_of(analysis: &str) -> &str {
    if analysis == "all" { "audit" } else { analysis }
}

/// Analyses, with what makes them quick.
const ANALYSES: [(&str, &[&str]); 13] = [
    ("weights", &[]),
    ("fields", &["--limit", "2"]),
    ("neurons", &["--count", "2", "--layers", "layer3.2.relu2"]),
    ("color", &["--count", "2", "--layers", "layer3.2.relu2"]),
    ("saliency", &["--limit", "2", "--method", "gradient"]),
    (
        "metrics",
        &["--limit", "2", "--method", "gradient", "--set", "infidelity.samples=5", "--set", "sensitivity_n.subsets=3"],
    ),
    ("visualize", &["--steps", "2", "--units", "layer3.2.relu2:0"]),
    ("invert", &["--steps", "2", "--limit", "1"]),
    ("blocks", &["--steps", "2", "--limit", "1"]),
    ("soft-labels", &["--count", "2"]),
    ("contributions", &["--count", "2"]),
    ("ablate", &["--node", "layer3.2.relu2"]),
    ("all", &["--count", "2", "--layers", "layer3.2.relu2"]),
];

#[test]
fn weights_that_are_no_numbers_are_told_by_every_analysis() {
    let folder = prepared();
    for (analysis, quick) in ANALYSES {
        for file in ["nan.safetensors", "variance.safetensors"] {
            let (status, said) = audit(folder.path(), analysis, file, quick);
            assert!(status == 2 && said.contains("finite number"), "{analysis} {file}: {said}");
        }
        assert!(!folder.path().join(folder_of(analysis)).exists(), "{analysis}");
    }
}

#[test]
fn what_cannot_be_written_is_told_before_anything_is_run() {
    let folder = prepared();
    for (analysis, quick) in ANALYSES {
        let options =
            if ["contributions", "ablate"].contains(&analysis) { &[][..] } else { &["file", "file/in", "file/in/it"] };
        for out in options {
            // The network is not even looked for.
            let (status, said) = audit(folder.path(), analysis, "missing", &[quick, &["--out", out]].concat());
            assert!(status == 2 && said.contains("no folder"), "{analysis}: {said}");
        }
    }
    for (page, told) in [("nowhere/page.html", "there is no folder nowhere"), ("pictures", "it is a folder")] {
        let (status, said) = audit(folder.path(), "contributions", "missing", &["--page", page]);
        assert!(status == 2 && said.contains(told), "{said}");
    }
}

#[test]
fn layers_that_there_are_not_are_told_with_some_that_there_are() {
    let folder = prepared();
    for (analysis, layer) in [
        ("weights", "--layers"),
        ("fields", "--layers"),
        ("neurons", "--layers"),
        ("color", "--layers"),
        ("dissect", "--layers"),
        ("saliency", "--layer"),
        ("metrics", "--layer"),
        ("visualize", "--layers"),
        ("invert", "--layers"),
        ("blocks", "--layer"),
        ("ablate", "--node"),
        ("all", "--layers"),
    ] {
        let (status, said) = audit(folder.path(), analysis, "good.safetensors", &[layer, "quux"]);
        assert!(status == 2 && said.contains("there are `") && said.contains("`conv1`"), "{analysis}: {said}");
        let (status, said) = audit(folder.path(), analysis, "good.safetensors", &[layer, "layer3.2.conw2"]);
        assert!(status == 2 && said.contains("did you mean `layer3.2.conv2`"), "{analysis}: {said}");
        assert!(!folder.path().join(folder_of(analysis)).exists(), "{analysis}");
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let folder = prepared();
    for (analysis, arguments, told) in [
        ("blocks", &["--target", "c", "--against", "2"][..], "--against 2: it is what is explained"),
        ("saliency", &["--method", "gradient,rise,gradient"], "--method names gradient twice"),
        ("soft-labels", &["--temperature", "0"], "is no number above 0"),
        ("soft-labels", &["--student", "good.safetensors"], "a run folder, or a file of ours"),
        ("metrics", &["--metric", "deletion,deletion"], "--metric names deletion twice"),
        ("dissect", &[], "a file concepts.csv that names the numbers"),
        ("traverse", &[], "0 of its nodes draw codes"),
        ("neurons", &["--split", "train"], "has no pictures in this split"),
    ] {
        let (status, said) = audit(folder.path(), analysis, "good.safetensors", arguments);
        assert!(status == 2 && said.contains(told), "{analysis}: {said}");
    }
    let size = ["fields", "good.safetensors", "--arch", "resnet20", "--size", "4096x4096", "--limit", "1"];
    let (status, _, said) = run(program("interp-audit", folder.path()).args(size));
    assert!(status == 2 && said.contains("4 GiB"), "{said}");
}

/// Of one picture everything can be asked that is about pictures.
#[test]
fn one_picture_is_enough() {
    let folder = prepared();
    for (at, class) in CLASSES.iter().enumerate() {
        picture(folder.path(), "train", class, at);
        if at > 0 {
            fs::remove_dir_all(folder.path().join("pictures/test").join(class)).unwrap();
        }
    }
    for (analysis, quick) in ANALYSES {
        let (status, said) = audit(folder.path(), analysis, "good.safetensors", quick);
        assert!(status == 0 && !said.contains("NaN"), "{analysis}: {said}");
    }
}
