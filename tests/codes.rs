use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{TINY, fails, folder, program, run};

/// Two small networks and their twins, trained for a second or two on bars.
const BARS: &str = r#"
name = "bars"

[objective.generate]

[data]
kind = "mnist"
path = "bars"

[split]
allow_overlap = true

[model]
kind = "infogan"
categorical = [3]
continuous = 1
noise = 4
width = 0.25

[train]
batch = 20
optimizer = { adamw = { betas = [0.5, 0.999], weight_decay = 0.0 } }

[[train.phase]]
epochs = 2
learning_rate = 0.001
"#;

/// The four files of MNIST, of a bright bar each, further to the right and wider with the picture's number.
fn write_bars(folder: &Path) {
    let folder = folder.join("bars");
    fs::create_dir(&folder).unwrap();
    for (split, count) in [("train", 120u32), ("t10k", 40)] {
        let head = |magic: u32, sizes: &[u32]| -> Vec<u8> {
            [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect()
        };
        let pixel = |picture: usize, at: usize| {
            let (left, width) = (5 + picture % 11, 3 + picture % 4);
            let inside = (left..left + width).contains(&(at % 28)) && (4..24).contains(&(at / 28));
            if inside { 200 + (picture % 50) as u8 } else { 0 }
        };
        let pictures = (0..count as usize).flat_map(|picture| (0..784).map(move |at| pixel(picture, at)));
        let images = head(0x803, &[count, 28, 28]).into_iter().chain(pictures);
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images.collect::<Vec<_>>()).unwrap();
        let labels = head(0x801, &[count]).into_iter().chain((0..count).map(|picture| (picture % 10) as u8));
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels.collect::<Vec<_>>()).unwrap();
    }
}

fn trained() -> tempfile::TempDir {
    let folder = folder(BARS);
    write_bars(folder.path());
    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    assert!(
        stdout.contains("knows of codes, in nats: category 1") && stdout.contains("interp-audit codes run"),
        "{stdout}"
    );
    assert!(stderr.contains("main epoch 2/2") && stderr.contains("twin epoch 2/2"), "{stderr}");
    folder
}

#[test]
fn codes_are_learned_gone_on_with_and_measured() {
    let folder = trained();
    let root = folder.path();
    let read = |name: &str| fs::read(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).unwrap();
    let summary = json("run/summary.json");
    assert_eq!(summary["codes"], serde_json::json!(["category 1", "continuous 1"]));
    let known = |of: &str| summary[of]["losses"]["information"][1].as_f64().unwrap();
    // Who always says 0 knows -1.51 nats of a number in [-1, 1] at a deviation of 1/4: ln 2 + ln 4 - ln(2 pi) / 2 - 8 / 3.
    let nothing = 2f64.ln() + 4f64.ln() - (2.0 * std::f64::consts::PI).ln() / 2.0 - 8.0 / 3.0;
    assert!(known("network") > nothing && known("network") > known("twin"), "{summary}");
    let page = String::from_utf8(read("run/report.html")).unwrap();
    for part in ["What is known of codes", "continuous 1, this network", "continuous 1, the twin without information"] {
        assert!(page.contains(part), "{part}");
    }
    let files = ["run/model.safetensors", "run/generator.safetensors", "run/twin/generator.safetensors"];
    let before = files.map(read);
    // From the twin's last epoch on there is nothing more to do; from nothing on it is done again, to the bit.
    for how in ["--resume", "--overwrite"] {
        let words = ["recipe.toml", "--out", "run", "--quiet", how, "--threads", "1"];
        let (status, _, stderr) = run(program("interp-train", root).args(words));
        assert_eq!(status, 0, "{stderr}");
        assert!(files.map(read) == before, "{how}");
    }

    let words = ["codes", "run", "--count", "400", "--json"];
    let (status, stdout, stderr) = run(program("interp-audit", root).args(words));
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), json("codes/summary.json"));
    let told = &json("codes/summary.json");
    for of in ["network", "twin"] {
        let factors = told[of]["factors"].as_array().unwrap();
        assert!(
            factors.iter().any(|factor| factor == "x") && !factors.iter().any(|factor| factor == "class"),
            "{told}"
        );
        for code in told[of]["codes"].as_array().unwrap() {
            let shares: Vec<f64> =
                code["shares"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).collect();
            assert!(shares.len() == factors.len() && shares.iter().all(|share| (0.0..=1.0).contains(share)), "{code}");
            let mut sorted = shares.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            assert_eq!(
                (code["first"]["share"].as_f64(), code["second"]["share"].as_f64()),
                (Some(sorted[0]), Some(sorted[1]))
            );
            let beyond =
                |share: f64| share - code["chance"][shares.iter().position(|s| *s == share).unwrap()].as_f64().unwrap();
            let (first, second) = (beyond(sorted[0]), beyond(sorted[1]).max(0.0));
            assert_eq!(code["controls"].is_string(), first >= 0.5 && first >= 2.0 * second, "{code}");
        }
    }
    assert!(told["network"]["codes"][0]["code"] == "category 1" && told["data"] == "mnist");
    let page = String::from_utf8(read("codes/report.html")).unwrap();
    assert!(page.contains("What codes control") && page.contains("href=\"../run/report.html\""));

    // The network of the run is a network like others: its codes are held against the factors of the data.
    let words = ["decompose", "run", "--layers", "codes", "--split", "train", "--json"];
    let (status, stdout, stderr) = run(program("interp-audit", root).args(words));
    assert_eq!(status, 0, "{stderr}");
    let told: Value = serde_json::from_str(&stdout).unwrap();
    assert!(told["factors"].as_array().unwrap().iter().any(|factor| factor["name"] == "width"), "{told}");
    assert_eq!(told["layers"][0]["channels"], 4);
    fails(root, "interp-train", &["eval", "run"], &["no score on single pictures"]);
}

#[test]
fn what_makes_no_codes_is_told() {
    let folder = folder(BARS);
    write_bars(folder.path());
    let refused = |sets: &[&str], told: &str| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = ["recipe.toml", "--dry-run"].into_iter().chain(sets).collect();
        fails(folder.path(), "interp-train", &words, &[told]);
    };
    refused(&["model.categorical=[]", "model.continuous=0"], "there is none to learn");
    refused(&["model.categorical=[1]"], "`model.categorical.0` must be two categories or more, not 1");
    refused(&["model.categorical=[500,300]"], "are 801 numbers, more than a picture's 784: give fewer codes");
    refused(&["model.categorical=[200]"], "200 categories are more than the");
    refused(&["model.noise=5000"], "at most 4096 numbers together, not 5004");
    refused(&["data.pad=1"], "sides that 4 divides, not 30x30");
    refused(&["objective.generate.information=-1"], "`objective.generate.information` must be 0 or more, not -1");
    refused(&["objective.generate.deviation=0"], "`objective.generate.deviation` must be above 0, not 0");
    refused(&["train.clip=1.0"], "`train.clip` means nothing for [objective.generate]");
    refused(&["train.phase.0.freeze=[\"codes\"]"], "`train.phase.0` means nothing for [objective.generate] but its");
    refused(&["objective=\"classify\""], "is trained with [objective.generate] alone");
    refused(&["model={kind=\"vgg\",depth=8}", "data.pad=2"], "`model` makes no pictures of codes");
    refused(&["prior=[{kind=\"l1\",nodes=[\"*\"]}]"], "`prior` is not for [objective.generate]");
    refused(&["objective.generate.guided=1.5"], "`objective.generate.guided` must be in [0, 1], not 1.5");
    refused(&["model.factors=[\"digit\"]"], "`model.factors` must name a factor for each of 2 codes, or none, not 1");
    refused(
        &["objective.generate.guided=1.0", "model.factors=[\"digit\",\"x\"]"],
        "`model.factors.0` names `digit`, of 10 values, for a code of 3 categories",
    );
    let ten = ["model.categorical=[10]", "objective.generate.guided=1.0"];
    refused(&[&ten[..], &["model.factors=[\"digit\",\"size\"]"]].concat(), "names `size`, which mnist does not know");
    refused(
        &[&ten[..], &["model.factors=[\"digit\",\"digit\"]"]].concat(),
        "names `digit`, which is no quantity, for a continuous code",
    );
    let moved = ["model.factors=[\"digit\",\"x\"]", "augment.pad_crop=2"];
    refused(&[&ten[..], &moved].concat(), "`augment` changes pictures, and so the factors");
    fails(folder.path(), "interp-bench", &["recipe.toml"], &["has [objective.generate], and no score to compare"]);
}

#[test]
fn what_has_no_codes_cannot_be_asked_for_them() {
    let folder = trained();
    let root = folder.path();
    fs::write(root.join("tiny.toml"), TINY).unwrap();
    let (status, _, stderr) = run(program("interp-train", root).args(["tiny.toml", "--out", "tiny", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    fails(root, "interp-audit", &["codes", "tiny"], &["there is no generator.safetensors in it"]);
    fails(root, "interp-audit", &["codes", "missing"], &["there is no generator.safetensors in it"]);
    fails(
        root,
        "interp-audit",
        &["codes", "run", "--reader", "tiny"],
        &["--reader takes pictures of shape [3, 32, 32]"],
    );
    fails(root, "interp-audit", &["codes", "run", "--reader", "run"], &["--reader tells no classes"]);
    fails(root, "interp-audit", &["codes", "run", "--out", "tiny.toml"], &["no folder"]);
    assert!(!root.join("codes").exists());
}
