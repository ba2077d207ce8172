use std::fs;

use serde_json::Value;

use crate::common::{folder, program, run};

/// A soft autoencoder that is trained for a second or two.
const TINY: &str = r#"
name = "tiny"

[objective.denoise]
noise = 0.1

[data]
kind = "concepts"
train = 200
val = 40
test = 40
size = 16

[model]
kind = "soft_autoencoder"
levels = 2

[train]
batch = 10
optimizer = { adamw = { weight_decay = 0.0 } }

[[train.phase]]
epochs = 2
learning_rate = 0.001
"#;

#[test]
fn a_network_that_takes_noise_away_is_trained_measured_and_audited() {
    let folder = folder(TINY);
    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    for part in
        ["PSNR", " dB on 40 test pictures", " dB, 95 % interval", "negative thresholds in the network ≤ 0: 0, holds"]
    {
        assert!(stdout.contains(part), "`{part}` in:\n{stdout}");
    }
    assert!(!stdout.contains("accuracy") && !stderr.contains("accuracy"), "{stdout}{stderr}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let summary: Value = serde_json::from_str(&read("run/summary.json")).unwrap();
    // Left as they are, pictures with noise of 0.1 have 20 dB.
    let psnr = summary["test"]["psnr"].as_f64().unwrap();
    assert!(
        psnr > 22.0 && summary["test"]["accuracy"].is_null() && summary["twin"]["test"]["psnr"].is_number(),
        "{summary}"
    );
    let page = read("run/report.html");
    assert!(page.contains("PSNR on test") && page.contains("noise of standard deviation 0.1"));
    assert!(!page.contains("Classes, the worst first") && !page.contains("Accuracy"));

    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["eval", "run", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let again: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((again["psnr"].as_f64(), &again["loss"]), (Some(psnr), &summary["test"]["loss"]));

    let arguments = ["shrinkage", "run", "--limit", "6", "--out", "found"];
    let (status, stdout, stderr) = run(program("interp-audit", folder.path()).args(arguments));
    assert!(status == 0 && stdout.contains("Above the best of SURE, BayesShrink and the oracle"), "{stderr}");
    let found: Value = serde_json::from_str(&read("found/shrinkage.json")).unwrap();
    assert_eq!(found["finding"]["figures"].as_array().unwrap().len(), 4);
    assert!(read("found/shrinkage.html").contains("The dial"));
    let of_audit = found["finding"]["numbers"][0][1]["value"].as_f64().unwrap();
    let (_, stdout, _) = run(program("interp-train", folder.path()).args(["eval", "run", "--limit", "6", "--json"]));
    let of_training = serde_json::from_str::<Value>(&stdout).unwrap()["psnr"].as_f64().unwrap();
    assert!((of_audit - of_training).abs() < 1e-4, "{of_audit}, but {of_training}");

    fs::write(folder.path().join("a.png"), interp::report::png(16, 16, &[9; 768]).unwrap()).unwrap();
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(["predict", "run", "a.png"]));
    assert!(status == 2 && stderr.contains("tells no classes"), "{stderr}");
    for analysis in [&["shares", "run"][..], &["contributions", "run"], &["ablate", "run", "--node", "input"]] {
        let (status, _, stderr) = run(program("interp-audit", folder.path()).args(analysis));
        assert!(status == 2 && stderr.contains("was not trained to tell classes"), "{analysis:?}: {stderr}");
    }
}

#[test]
fn what_does_not_fit_the_objective_is_refused_with_its_place() {
    let cases = [
        ("noise = 0.1", "noise = 0.0", "`objective.denoise.noise` must be above 0"),
        ("noise = 0.1", "nose = 0.1", "unknown key `nose`"),
        ("batch = 10", "batch = 10\nlabel_smoothing = 0.1", "`train.label_smoothing` is about classes"),
        ("[objective.denoise]\nnoise = 0.1\n", "", "a network that makes pictures needs"),
        ("kind = \"soft_autoencoder\"\nlevels = 2", "kind = \"vgg\"\ndepth = 8", "they must be pictures, [3, 32, 32]"),
        ("levels = 2", "levels = 9", "`model.levels` must be 1 to 4, not 9"),
    ];
    for (from, to, expected) in cases {
        assert!(TINY.contains(from));
        let folder = folder(&TINY.replacen(from, to, 1).replace("size = 16", "size = 32"));
        let (status, _, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--dry-run"]));
        let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(status == 2 && flat.contains(expected), "`{expected}` for `{to}` in:\n{stderr}");
    }
}

#[test]
fn pictures_of_one_class_are_enough_where_no_classes_are_told() {
    let data = "kind = \"concepts\"\ntrain = 200\nval = 40\ntest = 40\nsize = 16";
    assert!(TINY.contains(data));
    let folder = folder(&TINY.replacen(data, "kind = \"folder\"\npath = \"photos\"\nsize = 16", 1));
    let class = folder.path().join("photos/all");
    fs::create_dir_all(&class).unwrap();
    for index in 0..30u8 {
        let picture = interp::report::png(16, 16, &[index; 768]).unwrap();
        fs::write(class.join(format!("{index}.png")), picture).unwrap();
    }
    let dry = |more: &[&str]| run(program("interp-train", folder.path()).args(["recipe.toml", "--dry-run"]).args(more));
    let (status, stdout, stderr) = dry(&[]);
    assert!(status == 0 && stdout.contains("24 to train, 3 to choose by, 3 to test"), "{stdout}{stderr}");
    let (status, _, stderr) = dry(&["--set", "objective=\"classify\"", "--set", "model={kind=\"vgg\",depth=8}"]);
    assert!(status == 2 && stderr.contains("two or more classes to tell, not"), "{stderr}");
}
