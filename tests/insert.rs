//! Layers put into networks, from a recipe to what is measured of them.

use std::fs;
use std::path::Path;

use interp::net::Checkpoint;
use serde_json::Value;

use crate::common::{TINY, fails, folder, on_pictures, program, run, write_pictures};

/// The tests' recipe without its prior, and with these sections.
fn with(sections: &str) -> String {
    format!("{}\n{sections}", TINY.split("[[prior]]").next().unwrap())
}

const CONCEPTS: &str = "[[insert]]\nkind = \"concept_bottleneck\"\nname = \"concepts\"\nafter = \"avgpool\"\nconcepts = [\"hue\", \"texture\"]\ntarget = 0.1\n";

fn trained(text: &str) -> tempfile::TempDir {
    let folder = folder(text);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    folder
}

fn names(path: &Path) -> Vec<String> {
    let file = Checkpoint::read(path).unwrap();
    file.meta.unwrap().graph.nodes().iter().map(|node| node.name.clone()).collect()
}

fn audit(folder: &Path, words: &[&str]) -> Value {
    let (status, stdout, stderr) = run(program("interp-audit", folder).args(words).arg("--json"));
    assert_eq!(status, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn a_bottleneck_is_trained_measured_and_held() {
    let folder = trained(&with(CONCEPTS));
    let root = folder.path();
    let own = names(&root.join("run/model.safetensors"));
    assert!(own.ends_with(&["concepts.logits", "concepts", "concepts.classes"].map(String::from)), "{own:?}");
    assert!(
        names(&root.join("run/twin/model.safetensors")).ends_with(&["classifier".to_owned()]),
        "the twin goes without"
    );
    let summary: Value = serde_json::from_slice(&fs::read(root.join("run/summary.json")).unwrap()).unwrap();
    let claim = &summary["claims"][0];
    assert!(
        claim["statement"].as_str().unwrap().contains("balanced accuracy of the concepts that concepts tells"),
        "{claim}"
    );

    let found = audit(root, &["concepts", "run", "--out", "concepts"]);
    assert_eq!(found["node"], "concepts");
    let told: Vec<f64> =
        found["concepts"].as_array().unwrap().iter().filter_map(|one| one["balanced_accuracy"].as_f64()).collect();
    let mean = told.iter().sum::<f64>() / told.len() as f64;
    assert!((mean - claim["value"].as_f64().unwrap()).abs() < 1e-9, "the claim is their mean");
    assert_eq!(found["accuracy"].as_f64(), summary["test"]["accuracy"].as_f64());
    assert_eq!(found["given"].as_array().unwrap().len(), 2);
    let page = fs::read_to_string(root.join("concepts/report.html")).unwrap();
    assert!(page.contains("What it changes to know") && page.contains("hue/red"));

    let edit = |words: &[&str]| run(program("interp-train", root).args(["edit", "run"]).args(words));
    let (status, stdout, stderr) =
        edit(&["--concept", "red=1", "--concept", "texture/dots=0", "--out", "red.safetensors"]);
    assert!(status != 2, "{stderr}");
    assert!(stdout.contains("red held at 1") && stdout.contains("texture/dots held at 0"), "{stdout}");
    let held = audit(root, &["concepts", "red.safetensors", "--data", "concepts", "--out", "held"]);
    let of = |name: &str| held["concepts"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    let all = |pair: &Value| pair[0] == pair[1];
    let (red, dots) = (of("hue/red"), of("texture/dots"));
    assert!(
        all(&red["shown"]) && red["absent"][0] == 0 && all(&dots["absent"]) && dots["shown"][0] == 0,
        "{red} {dots}"
    );
    for (words, part) in [
        (["--concept", "violet=1"], "no channel stands for `violet`"),
        (["--concept", "red=2"], "a value from 0 to 1"),
        (["--concept", "red"], "NAME=VALUE"),
    ] {
        let (status, _, stderr) = edit(&[&words[..], &["--out", "never"]].concat());
        assert!(status == 2 && stderr.contains(part), "{stderr}");
    }
}

/// Logits are sums over concepts, whose functions are drawn; a concept is held as in other bottlenecks.
#[test]
fn an_additive_head_says_what_each_concept_adds() {
    let folder = trained(&with(
        &CONCEPTS.replace("after = \"avgpool\"", "after = \"features.19\"\nhead = \"additive\"\nhidden = 4"),
    ));
    let root = folder.path();
    let own = names(&root.join("run/model.safetensors"));
    let nodes = ["mean", "logits", "", "hidden", "relu", "classes"];
    let nodes = nodes
        .map(|part| ["concepts", part].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("."));
    assert!(own.ends_with(&nodes), "{own:?}");
    let found = audit(root, &["concepts", "run", "--out", "concepts"]);
    assert_eq!(found["additive"]["adds_up"], true, "{found}");
    let page = fs::read_to_string(root.join("concepts/report.html")).unwrap();
    assert!(page.contains("How much each concept moves each class") && page.contains("What hue/"));
    let edit = ["edit", "run", "--concept", "red=1", "--out", "red.safetensors"];
    let (status, stdout, stderr) = run(program("interp-train", root).args(edit));
    assert!(status != 2 && stdout.contains("red held at 1"), "{stdout} {stderr}");
}

const WHITE: &str = "[[insert]]\nkind = \"concept_whitening\"\nname = \"axes\"\nafter = \"features.9\"\nconcepts = [\"hue\", \"texture\"]\ntarget = 0.55\n";

/// What whitens is an ordinary convolution with named channels; claims are measured, channels are dissected, and no other analysis takes it for a bottleneck.
#[test]
fn axes_stand_for_concepts() {
    let folder = folder(&with(WHITE));
    let root = folder.path();
    // So few steps leave claims that do not hold: status 1.
    let (status, _, stderr) = run(program("interp-train", root).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert!(status < 2, "{stderr}");
    // Threads change no bit.
    let alone = ["recipe.toml", "--out", "alone", "--quiet", "--threads", "1", "--set", "twin=false"];
    assert!(run(program("interp-train", root).args(alone)).0 < 2);
    assert!(weights(root, "alone") == weights(root, "run"));
    let file = Checkpoint::read(&root.join("run/model.safetensors")).unwrap();
    let graph = &file.meta.as_ref().unwrap().graph;
    let node = &graph.nodes()[graph.id("axes").unwrap()];
    assert!(node.units[0] == "hue/blue" && node.units.last().unwrap().starts_with("axis "), "{:?}", node.units);
    let summary: Value = serde_json::from_slice(&fs::read(root.join("run/summary.json")).unwrap()).unwrap();
    let statements: Vec<&str> =
        summary["claims"].as_array().unwrap().iter().map(|claim| claim["statement"].as_str().unwrap()).collect();
    assert!(
        statements[0].contains("mean squared correlation between channels")
            && statements[1].contains("area under the ROC curve"),
        "{statements:?}"
    );
    let found = audit(root, &["dissect", "run", "--layers", "axes", "--out", "dissect"]);
    assert_eq!(found["layers"][0]["node"], "axes");
    fails(root, "interp-audit", &["concepts", "run"], &["no layer whose channels stand for concepts"]);
}

/// Weights of a run's network, by name.
fn weights(root: &Path, run: &str) -> std::collections::BTreeMap<String, Vec<f32>> {
    let file = Checkpoint::read(&root.join(run).join("model.safetensors")).unwrap();
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    file.tensors().iter().map(|(name, tensor)| (name.clone(), numbers(tensor))).collect()
}

fn changed(before: &Path, run: [&str; 2]) -> Vec<String> {
    let [a, b] = run.map(|run| weights(before, run));
    a.into_iter().filter(|(name, values)| b[name] != *values).map(|(name, _)| name).collect()
}

/// Concepts first, and nothing of classes; then classes from them, and nothing else.
#[test]
fn bottlenecks_are_trained_one_part_after_the_other() {
    let one = "[[train.phase]]\nepochs = 1\nlearning_rate = 0.05\nlabel_weight = 0\n";
    let two = "[[train.phase]]\nepochs = 1\nlearning_rate = 0.05\nfreeze = [\"features.*\", \"concepts.logits\"]\n";
    let head = TINY
        .split("[[train.phase]]")
        .next()
        .unwrap()
        .replace("ema = 0.9", "optimizer = { sgd = { weight_decay = 0 } }");
    let folder = folder(&format!("{head}{one}\n{CONCEPTS}"));
    let root = folder.path();
    fs::write(root.join("both.toml"), format!("{head}{one}{two}\n{CONCEPTS}")).unwrap();
    fs::write(root.join("still.toml"), format!("{head}{}\n{CONCEPTS}", one.replace("0.05", "1e-30"))).unwrap();
    for (recipe, out) in [("still.toml", "still"), ("recipe.toml", "first"), ("both.toml", "both")] {
        let (status, _, stderr) = run(program("interp-train", root).args([recipe, "--out", out, "--quiet"]));
        assert!(status == 0 || status == 1, "{stderr}");
    }
    let first = changed(root, ["still", "first"]);
    assert!(
        first.contains(&"concepts.logits.weight".to_owned()) && first.contains(&"features.0.weight".to_owned()),
        "{first:?}"
    );
    assert!(!first.iter().any(|name| name.starts_with("concepts.classes")), "{first:?}");
    // The best epoch may be the first: then nothing is changed at all.
    let second = changed(root, ["first", "both"]);
    assert!(second.iter().all(|name| name.starts_with("concepts.classes")), "{second:?}");
}

/// Classes from the truth, with labels that teach nothing else.
#[test]
fn classes_are_learned_from_the_truth() {
    let independent = with(&format!("{CONCEPTS}units = \"hard\"\nclasses_from = \"truth\"\n"));
    let independent = independent.replacen("[train]\n", "[train]\nlabel_weight = 0\n", 1);
    let folder = trained(&independent);
    let root = folder.path();
    fs::write(root.join("untaught.toml"), independent.replace("classes_from = \"truth\"\n", "")).unwrap();
    let (status, _, stderr) =
        run(program("interp-train", root).args(["untaught.toml", "--out", "untaught", "--quiet"]));
    assert!(status == 0 || status == 1, "{stderr}");
    assert!(changed(root, ["untaught", "run"]).contains(&"concepts.classes.weight".to_owned()));
    let found = audit(root, &["concepts", "run"]);
    assert_eq!(found["softness"], 0.0, "there is nothing to be made certain");
}

#[test]
fn attention_is_a_map_like_others() {
    let folder = trained(&with("[[insert]]\nkind = \"attention\"\nafter = \"features.10\"\nover = \"positions\"\n"));
    let root = folder.path();
    assert!(names(&root.join("run/model.safetensors")).contains(&"attention.map".to_owned()));
    let words = ["saliency", "run", "--method", "attention,gradient", "--limit", "4", "--out", "saliency"];
    let found = audit(root, &words);
    assert!(found.to_string().contains("attention"), "{found}");
    fails(
        root,
        "interp-audit",
        &["saliency", "run/twin", "--method", "attention", "--limit", "2"],
        &["no attention to positions"],
    );
}

#[test]
fn channels_are_attended_to_beside_positions() {
    let both = "[[insert]]\nkind = \"attention\"\nname = \"what\"\nafter = \"features.6\"\nover = \"channels\"\n\
                [[insert]]\nkind = \"attention\"\nname = \"where\"\nafter = \"what\"\nover = \"positions\"\n";
    let folder = trained(&with(both));
    let own = names(&folder.path().join("run/model.safetensors"));
    let at = |name: &str| own.iter().position(|other| other == name).unwrap();
    assert!(at("features.6") < at("what") && at("what") < at("where") && at("where") < at("features.7"), "{own:?}");
}

#[test]
fn what_does_not_fit_is_told() {
    let wrong = |sections: &str, expected: &[&str]| {
        let folder = folder(&with(sections));
        fails(folder.path(), "interp-train", &["recipe.toml", "--dry-run"], expected);
    };
    wrong(&CONCEPTS.replace("avgpool", "avgpol"), &["avgpool"]);
    wrong(&CONCEPTS.replace("\"hue\", \"texture\"", "\"hues\""), &["no factor `hues`", "did you mean `hue`"]);
    wrong(&CONCEPTS.replace("\"hue\", \"texture\"", "\"hue/violet\""), &["`hue/violet` never occurs"]);
    wrong(&CONCEPTS.replace("\"hue\", \"texture\"", "\"scale\""), &["`scale` is a quantity"]);
    wrong(&CONCEPTS.replace("after = \"avgpool\"\n", ""), &["needs `after`"]);
    wrong(&format!("{CONCEPTS}{CONCEPTS}"), &["two inserted layers are called `concepts`"]);
    wrong(&CONCEPTS.replace("concept_bottleneck", "bottleneck"), &["no kind of insert", "concept_bottleneck"]);
    wrong(&CONCEPTS.replace("name = \"concepts\"", "name = \"a[1]\""), &["begins nodes' names"]);
    wrong(&CONCEPTS.replace("target", "head = \"additive\"\ntarget"), &["gives no maps, which an additive head needs"]);
    wrong(&WHITE.replace("features.9", "avgpool"), &["gives no maps to find concepts in"]);
    wrong(
        &WHITE.replace("target", "iterations = 0\ntarget"),
        &["`insert.0.iterations` must be between 1 and 40, not 0"],
    );
    let look = "[[insert]]\nkind = \"attention\"\nafter = \"features.14\"\nover = \"channels\"\n";
    wrong(&format!("{look}{}", CONCEPTS.replace("avgpool", "features.10")), &["nothing would be left of `attention`"]);
    wrong(&format!("{look}{}", look.replace("kind", "name = \"again\"\nkind")), &["is put in there already"]);
    wrong("[[insert]]\nkind = \"attention\"\nafter = \"classifier\"\nover = \"positions\"\n", &["gives no maps"]);
    let alone = with("").replacen("[train]\n", "[train]\nlabel_weight = 0.5\n", 1);
    let alone = folder(&alone);
    fails(alone.path(), "interp-train", &["recipe.toml", "--dry-run"], &["losses of inserted layers"]);
}

#[test]
fn pictures_of_which_nothing_is_known_have_no_concepts() {
    let text = format!("{}\n{CONCEPTS}", on_pictures().split("[[prior]]").next().unwrap());
    let folder = folder(&text);
    write_pictures(folder.path(), &[("left", 20), ("right", 20)]);
    fails(
        folder.path(),
        "interp-train",
        &["recipe.toml", "--dry-run"],
        &["nothing is known of what its pictures show"],
    );
}

/// A code within a block that has a shortcut: what is behind it reads what lies before it too.
#[test]
fn a_code_lies_within_a_residual_block() {
    let code =
        "[[insert]]\nkind = \"sparse_code\"\nname = \"sae\"\nafter = \"layer1.0.relu1\"\nby = \"top_k\"\nactive = 4\n";
    let model = "kind = \"vgg\"\ndepth = 8\nwidth = 0.125";
    let text = with(code).replacen(model, "kind = \"resnet\"\ndepth = 20\nwidth = 0.25", 1);
    let folder = folder(&text);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert!(status == 0 || status == 1, "{stderr}");
    let found = audit(folder.path(), &["sparse-code", "run"]);
    assert_eq!(found["before"], "layer1.0.relu1");
}

/// A trained network told by few latents: what it keeps is measured on the file, and its claims hold or not.
#[test]
fn a_sparse_code_takes_the_place_of_a_layer() {
    let folder = trained(TINY);
    let root = folder.path();
    let recipe = r#"
name = "sae"
twin = false

[data]
kind = "concepts"
train = 160
val = 40
test = 40

[init]
path = "run/model.safetensors"

[model]
kind = "vgg"
depth = 8
width = 0.125

[[insert]]
kind = "sparse_code"
name = "sae"
after = "features.10"
by = "top_k"
active = 6

[train]
batch = 32
label_weight = 0
optimizer = { adamw = { weight_decay = 0 } }

[[train.phase]]
epochs = 6
learning_rate = 0.01
freeze = ["features.*", "classifier"]
"#;
    fs::write(root.join("sae.toml"), recipe).unwrap();
    let train = |out: &str, more: &[&str]| {
        let (status, _, stderr) =
            run(program("interp-train", root).args(["sae.toml", "--out", out, "--quiet"]).args(more));
        assert!(status == 0 || status == 1, "{stderr}");
    };
    train("sae", &[]);
    let found = audit(root, &["sparse-code", "sae", "--out", "code"]);
    assert_eq!(
        (found["before"].as_str(), found["latents"].as_str(), found["count"].as_u64()),
        (Some("features.10"), Some("sae.code"), Some(128))
    );
    assert!(found["active"].as_f64().unwrap() <= 6.0);
    // Before the code is put in, the network is as right as without it.
    let before: Value = serde_json::from_slice(&fs::read(root.join("run/summary.json")).unwrap()).unwrap();
    assert_eq!(found["accuracy"]["without"].as_f64(), before["test"]["accuracy"].as_f64());
    let own: Value = serde_json::from_slice(&fs::read(root.join("sae/summary.json")).unwrap()).unwrap();
    assert_eq!(found["accuracy"]["with"].as_f64(), own["test"]["accuracy"].as_f64());
    let exported = ["export", "sae", "--format", "safetensors", "--out", "sae.safetensors"];
    let (status, _, stderr) = run(program("interp-train", root).args(exported));
    assert_eq!(status, 0, "{stderr}");
    // Nothing but the code has learned.
    let tensors = |path: &str| Checkpoint::read(&root.join(path)).unwrap().tensors().clone();
    let (plain, coded) = (tensors("run/model.safetensors"), tensors("sae/model.safetensors"));
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(plain.iter().all(|(name, tensor)| numbers(tensor) == numbers(&coded[name])));
    let page = fs::read_to_string(root.join("code/report.html")).unwrap();
    assert!(page.contains("A layer told by few latents"));
    // Every kind is trained and measured.
    for by in ["batch_top_k", "relu", "jump_relu", "gated"] {
        train(by, &["--set", &format!("insert.0.by={by}")]);
        let found = audit(root, &["sparse-code", by, "--out", "code"]);
        assert!(
            found["unexplained"].as_f64().unwrap() < 1.0 && found["active"].as_f64().unwrap() > 0.0,
            "{by}: {found}"
        );
    }
    // A longer training explains more.
    train("longer", &["--set", "train.phase.0.epochs=20"]);
    let more = audit(root, &["sparse-code", "longer", "--out", "code"]);
    let left = |found: &Value| found["unexplained"].as_f64().unwrap();
    assert!(left(&more) < left(&found) && left(&found) < 1.0, "{} {}", left(&more), left(&found));
    fails(root, "interp-audit", &["sparse-code", "run"], &["no sparse code"]);
    fails(root, "interp-audit", &["concepts", "run"], &["no layer whose channels stand for concepts"]);
}

const PROTOTYPES: &str = r#"
[[train.phase]]
epochs = 2
learning_rate = 0.05
freeze = ["prototypes.classes"]
push = true

[[train.phase]]
epochs = 1
learning_rate = 0.01
freeze = ["features.*", "prototypes.embed.*", "prototypes.map"]

[[insert]]
kind = "prototypes"
name = "prototypes"
after = "features.14"
per_class = 2
channels = 16
"#;

/// The tests' recipe without phases and average, and with these sections.
fn phased(sections: &str) -> String {
    format!("{}\n{sections}", TINY.split("[[train.phase]]").next().unwrap().replace("ema = 0.9", ""))
}

/// From a recipe to the audit: prototypes are places of training pictures of their class in the file, and the explanation adds up.
#[test]
fn prototypes_are_pushed_and_told() {
    let folder = trained(&phased(PROTOTYPES));
    let root = folder.path();
    let own = names(&root.join("run/model.safetensors"));
    let layers = ["embed.0", "embed.1", "embed.2", "embed.3", "map"].map(|part| format!("prototypes.{part}"));
    let last = ["prototypes".to_owned(), "prototypes.classes".to_owned()];
    assert!(own.ends_with(&[&layers[..], &last].concat()), "{own:?}");
    assert!(names(&root.join("run/twin/model.safetensors")).ends_with(&["classifier".to_owned()]));
    let found = audit(root, &["prototypes", "run", "--nearest", "3", "--picture", "5", "--out", "told"]);
    let prototypes = found["prototypes"].as_array().unwrap();
    assert_eq!((prototypes.len(), found["node"].as_str()), (20, Some("prototypes")));
    assert_eq!(
        (&prototypes[3]["name"], &prototypes[3]["class"]),
        (&"warm pointed prototype 2".into(), &"warm pointed".into())
    );
    for (at, prototype) in prototypes.iter().enumerate() {
        let source = &prototype["source"];
        assert!((source["value"].as_f64().unwrap() - 1e4f64.ln()).abs() < 1e-4, "a distance of 0: {source}");
        assert_eq!(source["label"].as_u64().unwrap(), at as u64 / 2);
        assert_eq!(prototype["nearest"].as_array().unwrap().len(), 3);
        assert!(prototype["purity"]["share"].as_f64().unwrap() > 0.0 && prototype["hits"][1] == 3);
        let [share, chance] = ["share", "chance"].map(|key| prototype["patches"][key].as_f64().unwrap());
        assert!((0.0..=1.0).contains(&share) && 0.0 < chance && chance < 1.0, "{prototype}");
    }
    let summary: Value = serde_json::from_slice(&fs::read(root.join("run/summary.json")).unwrap()).unwrap();
    assert_eq!(found["accuracy"].as_f64(), summary["test"]["accuracy"].as_f64());
    let explained = &found["explained"];
    let [logit, sum] = ["logit", "sum"].map(|key| explained[key].as_f64().unwrap());
    assert!((logit - sum).abs() < 1e-4 && explained["parts"].as_array().unwrap().len() == 20, "{explained}");
    let page = fs::read_to_string(root.join("told/report.html")).unwrap();
    assert!(page.contains("Classes by likeness") && page.contains("warm pointed prototype 2"));
    // Prototypes have names, and are no concepts.
    fails(root, "interp-audit", &["concepts", "run"], &["no layer whose channels stand for concepts"]);
    fails(root, "interp-audit", &["prototypes", "run", "--picture", "40"], &["there are 40 pictures"]);
    fails(
        root,
        "interp-audit",
        &["prototypes", "run/twin/model.safetensors", "--data", "concepts"],
        &["no sums over prototypes"],
    );
}

#[test]
fn what_cannot_be_pushed_is_refused() {
    let refused = |text: &str, parts: &[&str]| {
        let folder = folder(text);
        fails(folder.path(), "interp-train", &["recipe.toml", "--dry-run"], parts);
    };
    let phase = "[[train.phase]]\nepochs = 1\nlearning_rate = 0.05\npush = true\n";
    refused(&phased(phase), &["nothing to push", "kind = \"prototypes\""]);
    let averaged = phased(PROTOTYPES).replace("batch = 32", "batch = 32\nema = 0.5");
    refused(&averaged, &["train.phase.0.push", "leave out one of the two"]);
    refused(&phased(PROTOTYPES).replace("features.14", "avgpool"), &["gives no maps"]);
    // Ten pictures are one of each class: without the first its class has none.
    let one_less = format!("{}\n[split]\nwithout = [0]\n", phased(PROTOTYPES).replace("train = 160", "train = 10"));
    refused(&one_less, &["train.phase.0.push", "there is no picture of class `"]);
}

/// PIP-Net: classes are sums with no weight below 0 of what is there, which is claimed, told and added up.
#[test]
fn parts_are_learned_from_two_views() {
    let text = phased(
        "label_weight = 0\n[[train.phase]]\nepochs = 2\nlearning_rate = 0.05\n\n[[insert]]\nkind = \"pipnet\"\nname = \"parts\"\nafter = \"features.14\"\nprototypes = 12\n",
    );
    let folder = trained(&text);
    let root = folder.path();
    let own = weights(root, "run");
    assert!(own["parts.classes.weight"].iter().all(|w| *w >= 0.0) && own["parts.theta"] == [0.1]);
    let found = audit(root, &["prototypes", "run", "--nearest", "2"]);
    assert_eq!(
        (found["count"].as_u64(), found["map"].as_str(), &found["cosine"]),
        (Some(12), Some("parts.map"), &Value::Null)
    );
    let [logit, sum] = ["logit", "sum"].map(|key| found["explained"][key].as_f64().unwrap());
    assert!((logit - sum).abs() < 1e-4);
    let summary: Value = serde_json::from_slice(&fs::read(root.join("run/summary.json")).unwrap()).unwrap();
    assert!(summary["claims"].to_string().contains("negative weights in parts.classes"), "{}", summary["claims"]);
}
