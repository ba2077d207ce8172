use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::{DType, Device, Tensor};
use interp::net::{Checkpoint, Role};

use crate::common::{TINY, fails, folder, on_pictures, program, run, write_pictures};
use crate::shared::skipped;

/// A finished tiny run in `run` of a fresh folder.
fn finished() -> tempfile::TempDir {
    let folder = folder(TINY);
    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run"]));
    assert_eq!(status, 0, "{stderr}");
    for part in ["this network", "twin", "95 % interval", "holds", "report.html"] {
        assert!(stdout.contains(part), "`{part}` in:\n{stdout}");
    }
    folder
}

#[test]
fn a_run_leaves_what_it_says_and_is_not_overwritten_unasked() {
    let folder = finished();
    let at = |name: &str| folder.path().join("run").join(name);
    for name in [
        "recipe.toml",
        "log.jsonl",
        "model.safetensors",
        "state.safetensors",
        "twin/model.safetensors",
        "summary.json",
        "report.html",
    ] {
        assert!(at(name).is_file(), "{name}");
    }
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(at("summary.json")).unwrap()).unwrap();
    for key in [
        "/version",
        "/test/accuracy",
        "/twin/test/accuracy",
        "/claims/0/statement",
        "/claims/0/value",
        "/claims/0/bound",
        "/claims/0/holds",
        "/seconds",
    ] {
        assert!(summary.pointer(key).is_some(), "{key} in {summary}");
    }
    assert_eq!(summary["warnings"], serde_json::json!([]));
    let page = fs::read_to_string(at("report.html")).unwrap();
    for part in [
        "tiny",
        "interp-train recipe.toml --out DIR",
        concat!("interp-train ", env!("CARGO_PKG_VERSION")),
        "The claim that the recipe makes about the network holds",
        "Classes, the worst first",
        "augmented",
    ] {
        assert!(page.contains(part), "{part}");
    }

    let before = fs::read(at("model.safetensors")).unwrap();
    fails(
        folder.path(),
        "interp-train",
        &["recipe.toml", "--out", "run"],
        &["a run is already there", "--resume", "--overwrite"],
    );
    fails(folder.path(), "interp-train", &["recipe.toml", "--out", "new", "--resume"], &["no run to resume"]);
    fails(
        folder.path(),
        "interp-train",
        &["recipe.toml", "--out", "run", "--resume", "--seed", "7"],
        &["of another recipe", "every --set"],
    );
    assert_eq!(before, fs::read(at("model.safetensors")).unwrap());
    let charts = || ["network", "twin"].map(|name| at(&format!("tensorboard/{name}/events.out.tfevents")).is_file());
    assert_eq!(charts(), [false, false]);
    let (status, stdout, _) = run(program("interp-train", folder.path()).args([
        "recipe.toml",
        "--out",
        "run",
        "--resume",
        "--tensorboard",
        "--json",
        "--quiet",
    ]));
    assert_eq!(charts(), [true, true]);
    assert_eq!((status, before), (0, fs::read(at("model.safetensors")).unwrap()));
    assert!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["claims"][0]["holds"].as_bool().unwrap());

    let (status, stdout, _) = run(program("interp-audit", folder.path()).args(["claims", "run"]));
    assert!(status == 0 && stdout.contains("≥ 50 %") && stdout.contains("holds"), "{stdout}");
    let (status, stdout, stderr) =
        run(program("interp-train", folder.path())
            .args(["eval", "run", "--data", "concepts", "--limit", "30", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["count"], 30);
    let (status, stdout, _) = run(program("interp-train", folder.path()).args(["show", "run"]));
    assert!(status == 0 && stdout.contains("features.0") && stdout.contains("trained on concepts"), "{stdout}");
}

#[test]
fn a_network_no_better_than_guessing_is_warned_of() {
    let folder = folder(TINY);
    let rates = [0, 1].map(|phase| format!("train.phase.{phase}.learning_rate=10"));
    let arguments = ["recipe.toml", "--out", "run", "--quiet", "--set", &rates[0], "--set", &rates[1]];
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(arguments));
    // ln 10 = 2.3026
    let expected = "is not below 2.303, that of guessing among 10 classes";
    assert!(
        status == 0 && stderr.contains("warning: the loss of the network") && stderr.contains(expected),
        "{stderr}"
    );
    for file in ["summary.json", "report.html"] {
        assert!(fs::read_to_string(folder.path().join("run").join(file)).unwrap().contains(expected), "{file}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_cannot_be_written_stop_no_training() {
    let folder = folder(TINY);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("interp-train"));
        command.args(arguments).current_dir(folder.path()).stdout(Stdio::null());
        command
    };
    let status = start(&["recipe.toml", "--out", "full"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0), "a full disk behind standard error");
    let mut child = start(&["recipe.toml", "--out", "gone"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a reader that has gone");
    let output = start(&["completions", "bash"]).stdout(full()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("standard output") && !said.contains("panicked"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = finished();
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"r\xffn"));
    fs::rename(folder.path().join("run"), folder.path().join(odd)).unwrap();
    fs::write(folder.path().join(odd).join("x.png"), interp::report::png(2, 2, &[7; 12]).unwrap()).unwrap();
    let picture = odd.join("x.png");
    let cases: [(&str, &str, &[&Path]); 3] =
        [("interp-audit", "claims", &[]), ("interp-train", "eval", &[]), ("interp-train", "predict", &[&picture])];
    for (name, what, more) in cases {
        let (status, stdout, stderr) = run(program(name, folder.path()).arg(what).arg(odd).args(more).arg("--json"));
        assert_eq!(status, 0, "{what}: {stderr}");
        let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert!(object["checkpoint"].as_str().unwrap().contains("model.safetensors"), "{stdout}");
    }
}

#[test]
fn files_that_no_run_has_left_are_never_touched() {
    let folder = folder(TINY);
    let mine = fs::read(folder.path().join("recipe.toml")).unwrap();
    for more in [&[][..], &["--resume"], &["--overwrite"]] {
        let arguments: Vec<&str> = ["recipe.toml", "--out", "."].iter().chain(more).copied().collect();
        fails(folder.path(), "interp-train", &arguments, &["recipe.toml", "no run here has left"]);
    }
    assert_eq!(fs::read(folder.path().join("recipe.toml")).unwrap(), mine);
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/model.safetensors"), "downloaded").unwrap();
    fails(folder.path(), "interp-train", &["recipe.toml", "--out", "other", "--overwrite"], &["model.safetensors"]);
    assert_eq!(fs::read(folder.path().join("other/model.safetensors")).unwrap(), b"downloaded");
    let mine = [".lock", ".partial-notes"].map(|name| folder.path().join("notes").join(name));
    fs::create_dir(folder.path().join("notes")).unwrap();
    mine.iter().for_each(|path| fs::write(path, "mine").unwrap());
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "notes"]));
    assert_eq!(status, 0, "{stderr}");
    assert!(mine.iter().all(|path| fs::read(path).unwrap() == b"mine"));
}

#[test]
fn the_recipe_that_a_run_has_left_repeats_it() {
    let folder = finished();
    let repeat = ["run/recipe.toml", "--out", "again", "--quiet"];
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(repeat));
    assert_eq!(status, 0, "{stderr}");
    let model = |run: &str| fs::read(folder.path().join(run).join("model.safetensors")).unwrap();
    assert!(model("run") == model("again"));
}

#[test]
fn a_run_is_replaced_when_asked() {
    let folder = finished();
    let model = || fs::read(folder.path().join("run/model.safetensors")).unwrap();
    let before = model();
    let with = |more: &[&str]| {
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]).args(more))
    };
    let (status, _, stderr) = with(&["--overwrite", "--seed", "7"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(model() != before);
    let (status, _, stderr) = with(&["--overwrite", "--set", "prior=[]"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(!folder.path().join("run/twin/model.safetensors").exists(), "without priors a twin would be the same");
}

#[test]
fn a_claim_that_became_false_is_caught() {
    let folder = finished();
    let path = folder.path().join("run").join("model.safetensors");
    let file = Checkpoint::read(&path).unwrap();
    let mut net = file.network(&path, None, [32, 32]).unwrap();
    // With a hash that fits, one zero fewer than the claim asks for.
    let meta = file.meta.unwrap();
    let positions: Vec<usize> = meta.claims[0]
        .nodes
        .iter()
        .map(|n| net.params.position(net.graph.id(n).unwrap(), Role::Weight).unwrap())
        .collect();
    let read = |position: usize| net.params.list()[position].value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut weights: Vec<Vec<f32>> = positions.iter().map(|&position| read(position)).collect();
    let all = weights.iter().map(Vec::len).sum::<usize>();
    let zeros = weights.iter().flatten().filter(|w| **w == 0.0).count();
    let spare = zeros - (0.5 * all as f64).ceil() as usize;
    weights.iter_mut().flatten().filter(|w| **w == 0.0).take(spare + 1).for_each(|w| *w = 1e-6);
    for (&position, weights) in positions.iter().zip(weights) {
        let dims = net.params.list()[position].value.dims().to_vec();
        net.params.set(position, Tensor::from_vec(weights, dims, &Device::Cpu).unwrap()).unwrap();
    }
    let changed = folder.path().join("changed.safetensors");
    Checkpoint::write(&changed, &net.params, &meta).unwrap();
    let (status, stdout, _) = run(program("interp-audit", folder.path()).args(["claims", "changed.safetensors"]));
    assert!(status == 1 && stdout.contains("FAILS"), "{status}: {stdout}");

    let weights = std::collections::HashMap::from([("weight", Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())]);
    candle_core::safetensors::save(&weights, folder.path().join("other.safetensors")).unwrap();
    fails(folder.path(), "interp-audit", &["claims", "other.safetensors"], &["other.safetensors", "a file of others"]);

    // By one weight in the file itself: the hash is wrong.
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 0x10;
    fs::write(&changed, &bytes).unwrap();
    fails(
        folder.path(),
        "interp-audit",
        &["claims", "changed.safetensors"],
        &["changed.safetensors", "does not fit its own hash"],
    );
    fails(
        folder.path(),
        "interp-train",
        &["eval", "changed.safetensors", "--data", "concepts"],
        &["does not fit its own hash"],
    );
    fs::write(&changed, &bytes[..last / 2]).unwrap();
    fails(
        folder.path(),
        "interp-train",
        &["eval", "changed.safetensors", "--data", "concepts"],
        &["not a whole safetensors file"],
    );
}

#[test]
fn arguments_that_make_no_sense_are_explained() {
    let folder = folder(TINY);
    let cases: &[(&[&str], &[&str])] = &[
        (&["missing.toml"], &["missing.toml", "No such file"]),
        (&["recipe.toml", "--device", "cuda:99"], &["cuda:99"]),
        (&["recipe.toml", "--set", "prior.0.nodes=[]"], &["needs at least one pattern"]),
        (
            &["recipe.toml", "--set", "train.phase.0.priors=[]", "--set", "train.phase.1.priors=[]"],
            &["`l1` steers in no"],
        ),
        (
            &[
                "recipe.toml",
                "--set",
                "train.phase.0.freeze=[\"features.*\"]",
                "--set",
                "train.phase.1.learning_rate=0",
            ],
            &["`l1` steers in no phase", "freezes all its layers"],
        ),
        (
            &["recipe.toml", "--set", "train.group=[{ nodes = [\"features.*\"], rate = 0.0 }]"],
            &["`l1` steers in no phase", "learning rate of 0"],
        ),
        (&["recipe.toml", "--threads", "999999"], &["999999 is not in 0..=1024"]),
        (&["recipe.toml", "--threads", "-1"], &["-1 is not in 0..=1024"]),
        (&["recipe.toml", "--seed", "-1"], &["-1 is not in 0..9223372036854775807"]),
        (&["evall", "run"], &["did you mean `interp-train eval`?"]),
        (&["claims", "run"], &["did you mean `interp-audit claims`?"]),
        (&["recipe.toml", "--device", "tpu"], &["tpu", "auto, cpu or cuda:N"]),
        (&["eval", "nowhere", "--data", "concepts"], &["nowhere", "no such file"]),
        (&["eval", "recipe.toml", "--data", "concepts"], &["recipe.toml", "this is a text file that begins"]),
        (&["eval", ".", "--data", "concepts"], &["no model.safetensors"]),
        (&["eval", "hub:a", "--data", "concepts"], &["OWNER/NAME@REVISION"]),
        (&["show", "conceptss"], &["conceptss", "did you mean"]),
        (&["predict", "nowhere", "x.png"], &["nowhere"]),
    ];
    for (arguments, expected) in cases {
        fails(folder.path(), "interp-train", arguments, expected);
    }
}

#[test]
fn what_the_system_says_of_a_file_is_said_once_and_with_the_key_that_names_it() {
    let folder = folder(&on_pictures());
    fs::create_dir(folder.path().join("recipes")).unwrap();
    fs::copy(folder.path().join("recipe.toml"), folder.path().join("recipes/small.toml")).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["recipe.toml"], &["`data.path`: pictures: No such file", "recipe.toml:6:8"]),
        (&["reciepe.toml"], &["reciepe.toml: No such file", "did you mean `recipe.toml`?"]),
        (&["recipe/small.toml"], &["recipe/small.toml: No such file", "did you mean `recipes/small.toml`?"]),
        (&["recipes"], &["recipes: Is a directory"]),
        (&["recipes/small.toml", "--out", "recipe.toml"], &["recipe.toml: a file, and no folder"]),
        (&["eval", "x", "--data", "folder:pictures"], &["x: no such file"]),
        (&["show", "folder:pictures"], &["pictures: No such file"]),
    ];
    for (arguments, expected) in cases {
        fails(folder.path(), "interp-train", arguments, expected);
        let (_, _, stderr) = run(program("interp-train", folder.path()).args(*arguments));
        assert!(stderr.matches("os error").count() <= 1, "{stderr}");
    }
}

#[test]
fn without_the_hub_the_place_for_a_local_copy_is_named() {
    let mnist = on_pictures().replacen("kind = \"folder\"\npath = \"pictures\"\nsize = 32", "kind = \"mnist\"", 1);
    let folder = folder(&mnist);
    let cases: &[(&[&str], &str)] = &[
        (&["recipe.toml"], "a local copy, with --set data.path=DIR"),
        (&["show", "mnist"], "a local copy, as mnist:DIR"),
    ];
    for (arguments, expected) in cases {
        let mut command = program("interp-train", folder.path());
        command.args(*arguments).env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", folder.path());
        let (status, _, stderr) = run(&mut command);
        let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(status == 2 && flat.contains(expected), "{stderr}");
    }
}

#[test]
fn a_folder_with_a_broken_picture_names_it() {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("cat", 6), ("dog", 6)]);
    let broken = folder.path().join("pictures/dog/3.png");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    fails(folder.path(), "interp-train", &["recipe.toml", "--out", "run"], &["dog/3.png"]);
    assert!(!folder.path().join("run").exists(), "nothing is begun with data that cannot be read");
}

/// Where nothing is to train on, all is measured.
#[test]
fn a_folder_for_measuring_is_measured_whole() {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("cat", 20), ("dog", 20)]);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--set", "twin=false"]));
    assert_eq!(status, 0, "{stderr}");
    for class in ["cat", "dog"] {
        let at = folder.path().join("held/test").join(class);
        fs::create_dir_all(&at).unwrap();
        for name in ["0.png", "1.png", "2.png"] {
            fs::copy(folder.path().join("pictures").join(class).join(name), at.join(name)).unwrap();
        }
    }
    let (status, stdout, stderr) =
        run(program("interp-train", folder.path()).args(["eval", "run", "--data", "folder:held"]));
    assert!(status == 0 && stdout.contains(" of 6)"), "{stdout}{stderr}");
}

#[test]
fn own_pictures_are_classified() {
    let folder = finished();
    for class in ["cat", "dog"] {
        let at = folder.path().join("gray").join(class);
        fs::create_dir_all(&at).unwrap();
        image::GrayImage::new(32, 32).save(at.join("1.png")).unwrap();
    }
    let expected = ["the network takes pictures of 3 channel(s); those of folder have 1"];
    fails(folder.path(), "interp-train", &["eval", "run", "--data", "folder:gray", "--split", "train"], &expected);
    let rgb: Vec<u8> = (0..50 * 40 * 3).map(|i| (i % 251) as u8).collect();
    fs::write(folder.path().join("mine.png"), interp::report::png(50, 40, &rgb).unwrap()).unwrap();
    let (status, stdout, stderr) =
        run(program("interp-train", folder.path()).args(["predict", "run", "mine.png", "--json"]));
    assert_eq!(status, 0, "{stderr}");
    let object: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let classes = object["images"][0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 3);
    assert!(classes.iter().all(|c| (0.0..=1.0).contains(&c["confidence"].as_f64().unwrap()) && c["class"].is_string()));
    fs::write(folder.path().join("text.png"), "no picture").unwrap();
    fails(folder.path(), "interp-train", &["predict", "run", "text.png"], &["text.png"]);
    let with = |mean, std| ["predict", "run", "mine.png", "--mean", mean, "--std", std];
    for arguments in [with("nan,0,0", "1,1,1"), with("0,0,0", "1,inf,1"), with("0,0,0", "1,0,1"), with("0,0", "1,1")] {
        fails(folder.path(), "interp-train", &arguments, &["need as many finite values, std above 0"]);
    }
    // A recipe that is not understood any more may have framed its pictures.
    let path = folder.path().join("run/model.safetensors");
    let file = Checkpoint::read(&path).unwrap();
    let params = file.network(&path, None, [32, 32]).unwrap().params;
    let mut meta = file.meta.unwrap();
    meta.recipe = meta.recipe.replacen("kind = \"concepts\"", "kind = \"conceptions\"", 1);
    Checkpoint::write(&path, &params, &meta).unwrap();
    fails(folder.path(), "interp-train", &["predict", "run", "mine.png"], &["the checkpoint's recipe", "conceptions"]);
}

#[test]
fn listings_schema_completions_and_sheets() {
    let folder = folder(TINY);
    let ok = |arguments: &[&str]| {
        let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(arguments));
        assert_eq!(status, 0, "{arguments:?}: {stderr}");
        stdout
    };
    let list = ok(&["list"]);
    for word in ["concepts", "cifar10-jpeg", "folder", "vgg", "resnet", "l1", "group_lasso", "non_negative"] {
        assert!(list.contains(word), "{word} in:\n{list}");
    }
    assert!(serde_json::from_str::<serde_json::Value>(&ok(&["list", "prior", "--json"])).is_ok());
    assert!(serde_json::from_str::<serde_json::Value>(&ok(&["schema"])).is_ok());
    assert!(ok(&["completions", "bash"]).contains("interp-train"));
    assert!(ok(&["--help"]).contains("Examples:"));
    let said = ok(&["show", "concepts", "--split", "test", "--columns", "3", "--out", "sheet.png"]);
    assert!(said.contains("10 classes"), "{said}");
    assert!(fs::read(folder.path().join("sheet.png")).unwrap().starts_with(b"\x89PNG"));
}

/// A file system of `bytes` at `at`, or one that is there made to have as many; false where the system
/// does not let us.
fn small_disk(at: &Path, bytes: u64, remount: bool) -> bool {
    let options = format!("{}size={bytes}", if remount { "remount," } else { "" });
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_ends_with_a_message_and_loses_nothing() {
    let folder = finished();
    let expected = fs::read(folder.path().join("run/model.safetensors")).unwrap();
    let state = fs::metadata(folder.path().join("run/state.safetensors")).unwrap().len();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // Room for a first state, but not for another beside it.
    if !small_disk(&disk, state + state / 4, false) {
        skipped("this system does not let the test mount a small disk");
        return;
    }
    let out = disk.join("run");
    let train = |more: &[&str]| {
        let mut command = program("interp-train", folder.path());
        command.args(["recipe.toml", "--quiet", "--save-every", "0", "--out"]).arg(&out).args(more);
        run(&mut command)
    };
    let (status, _, full) = train(&[]);
    let left: Vec<_> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let saved = interp::net::sealed::read(&out.join("state.safetensors")).is_ok();
    let larger = small_disk(&disk, 8 * state, true);
    let resumed = train(&["--resume"]);
    let model = fs::read(out.join("model.safetensors"));
    assert!(Command::new("umount").arg(&disk).status().is_ok_and(|s| s.success()));
    assert_eq!(status, 2, "{full}");
    assert!(full.contains("No space left") && full.contains("safetensors") && !full.contains("panicked"), "{full}");
    assert!(left.iter().all(|name| !name.starts_with(".partial-")), "{left:?}");
    assert!(saved && larger, "a state was saved before the disk was full: {left:?}");
    assert_eq!(resumed.0, 0, "{}", resumed.2);
    assert!(model.unwrap() == expected, "gone on with, it ends as if nothing had happened");
}
