use std::fs;
use std::path::Path;

use interp::net::Checkpoint;
use serde_json::Value;

use crate::common::{TINY, folder, program, run};

/// The tests' recipe with soft thresholds in place of a prior.
fn soft() -> String {
    let without = TINY.split("[[prior]]").next().unwrap();
    without.replacen("depth = 8", "depth = 8\nactivation = \"soft_threshold\"\nthreshold = 0.2", 1)
}

fn trained(text: &str) -> tempfile::TempDir {
    let folder = folder(text);
    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("number of negative thresholds in the network ≤ 0: 0, holds"), "{stdout}");
    folder
}

fn edit(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(program("interp-train", folder).arg("edit").args(arguments))
}

/// The thresholds in a file, by node.
fn thresholds(path: &Path) -> Vec<(String, Vec<f32>)> {
    let network = Checkpoint::read(path).unwrap().network(path, None, [32, 32]).unwrap();
    let name = |node: usize| network.graph.nodes()[node].name.clone();
    network.thresholds().unwrap().into_iter().map(|(node, all)| (name(node), all)).collect()
}

#[test]
fn thresholds_are_changed_in_a_new_file() {
    let folder = trained(&soft());
    let at = |name: &str| folder.path().join(name);
    let model = fs::read(at("run/model.safetensors")).unwrap();
    let before = thresholds(&at("run/model.safetensors"));
    let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["features.2", "features.6", "features.10", "features.14", "features.18"]);

    let changes = ["--dial", "2", "--threshold", "features.1?=0.5", "--threshold", "features.2:3=0"];
    let (status, stdout, stderr) = edit(folder.path(), &[&["run", "--out", "new"][..], &changes].concat());
    assert_eq!(status, 0, "{stderr}");
    for part in ["before", "after", "features.18", "0.5000 (0.5000 to 0.5000)", "holds", "wrote new"] {
        assert!(stdout.contains(part), "`{part}` in:\n{stdout}");
    }
    for ((name, before), (_, after)) in before.iter().zip(thresholds(&at("new"))) {
        let expected = |(channel, theta): (usize, &f32)| match (name.as_str(), channel) {
            ("features.10" | "features.14" | "features.18", _) => 0.5,
            ("features.2", 3) => 0.0,
            _ => 2.0 * theta,
        };
        assert_eq!(before.iter().enumerate().map(expected).collect::<Vec<f32>>(), after, "{name}");
    }
    assert_eq!(fs::read(at("run/model.safetensors")).unwrap(), model, "the checkpoint itself stays");

    let (status, stdout, _) = run(program("interp-train", folder.path()).args(["show", "new"]));
    let said = "edited after training: thresholds times 2, features.1? = 0.5, features.2:3 = 0";
    assert!(status == 0 && stdout.contains(said) && stdout.contains("0.5000 (0.5000 to 0.5000)"), "{stdout}");
    // Nothing is above a threshold that is as large as this.
    let (status, _, stderr) = edit(folder.path(), &["new", "--out", "dead", "--threshold", "features.18=1e6"]);
    assert_eq!(status, 0, "{stderr}");
    let (status, stdout, _) =
        run(program("interp-train", folder.path()).args(["eval", "dead", "--limit", "20", "--zeros", "--json"]));
    let zeros = &serde_json::from_str::<Value>(&stdout).unwrap()["zeros"];
    let shares: Vec<f64> = (0..5).map(|i| zeros[i]["share"].as_f64().unwrap()).collect();
    assert!(status == 0 && zeros[4]["node"] == "features.18" && shares[4] == 1.0 && shares[0] < 1.0, "{stdout}");

    let (status, stdout, _) = run(program("interp-audit", folder.path()).args(["claims", "new"]));
    assert!(status == 0 && stdout.contains("negative thresholds"), "{stdout}");
}

#[test]
fn thresholds_are_chosen_by_what_comes_in() {
    let folder = trained(&soft());
    let arguments = ["run", "--universal", "features.2", "--sure", "features.6", "--limit", "20", "--out", "new"];
    let (status, stdout, stderr) = edit(folder.path(), &arguments);
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("wrote new"), "{stdout}");
    let [before, after] = ["run/model.safetensors", "new"].map(|name| thresholds(&folder.path().join(name)));
    assert!(before[0] != after[0] && before[1] != after[1] && before[2..] == after[2..]);
    let (status, stdout, _) = run(program("interp-train", folder.path()).args(["show", "new"]));
    assert!(
        status == 0 && stdout.contains("edited after training: features.2 by universal, features.6 by SURE"),
        "{stdout}"
    );
}

#[test]
fn files_are_replaced_only_when_asked() {
    let folder = trained(&soft());
    let path = folder.path().join("run/model.safetensors");
    let model = fs::read(&path).unwrap();
    for arguments in [&["run", "--dial", "0"][..], &["run", "--dial", "0", "--out", "run/model.safetensors"]] {
        let (status, _, stderr) = edit(folder.path(), arguments);
        assert!(status == 2 && stderr.contains("--overwrite"), "{stderr}");
        assert_eq!(fs::read(&path).unwrap(), model);
    }
    let (status, stdout, stderr) = edit(folder.path(), &["run", "--dial", "0", "--overwrite", "--json"]);
    assert_eq!(status, 0, "{stderr}");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert!(
        said["holds"] == true && said["thresholds"][4]["node"] == "features.18" && said["claims"][0]["value"] == 0.0
    );
    assert!(thresholds(&path).iter().flat_map(|(_, all)| all).all(|&theta| theta == 0.0));
}

#[test]
fn edits_that_make_no_sense_are_explained() {
    let folder = trained(&soft());
    let cases: &[(&[&str], &[&str])] = &[
        (&["--threshold", "features.0=1"], &["features.0", "matches no threshold"]),
        (&["--threshold", "features.2:99=1"], &["features.2", "no channel 99", "it has 8"]),
        (&["--threshold", "features.2=-1"], &["-1", "not a number from 0 on"]),
        (&["--threshold", "features.2"], &["NODE=VALUE"]),
        (&["--dial", "nan"], &["nan", "not a number from 0 on"]),
        (&["--dial", "1e300"], &["features.2", "0 or more and finite"]),
        (&[], &["--threshold"]),
    ];
    for (arguments, expected) in cases {
        let (status, _, stderr) = edit(folder.path(), &[&["run", "--out", "new"][..], arguments].concat());
        assert!(status == 2 && !stderr.contains("panicked"), "{stderr}");
        let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        expected.iter().for_each(|part| assert!(flat.contains(part), "`{part}` for {arguments:?} in:\n{stderr}"));
        assert!(!folder.path().join("new").exists());
    }
    let (status, _, stderr) = edit(folder.path(), &["run/twin/model.safetensors", "--dial", "2", "--out", "new"]);
    assert!(status == 2 && stderr.contains("no thresholds"), "the twin has ReLUs: {stderr}");
}

#[test]
fn the_recipe_of_soft_thresholds_learns() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/soft_threshold_vgg.toml");
    let folder = tempfile::tempdir().unwrap();
    let mut command = program("interp-train", folder.path());
    command.arg(recipe).args(["--out", "run", "--quiet", "--json"]);
    let small = ["data.train=2000", "data.val=200", "data.test=500", "model.width=0.25", "train.batch=32"];
    for set in small.iter().chain(&["train.phase.0.epochs=3", "twin=false"]) {
        command.args(["--set", set]);
    }
    let (status, stdout, stderr) = run(&mut command);
    assert_eq!(status, 0, "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    let accuracy = summary["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.3, "ten classes, and right on {accuracy}");
    assert_eq!(summary["claims"][0]["holds"], true);
}
