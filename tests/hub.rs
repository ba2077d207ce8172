//! Networks of the hub, by the programs: against a server on this machine that speaks as the hub does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command;
use interp::net::names::Naming;
use interp::net::zoo::Architecture;
use interp::net::{Network, export, zoo};

use crate::common::{folder, on_pictures, program, run, write_pictures};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

fn named<const N: usize>(files: [(&str, Vec<u8>); N]) -> Files {
    files.map(|(name, body)| (name.to_owned(), body)).into()
}

/// Serves the files of the model `owner/tiny`, and a web page under any other name of `owner`; gives its address.
fn serve(files: Files) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let files = Arc::clone(&files);
            std::thread::spawn(move || answer(stream.unwrap(), &files));
        }
    });
    address
}

fn answer(mut stream: TcpStream, files: &Files) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let words: Vec<&str> = request.split(' ').collect();
    let (head, body) = served(words[1], files);
    let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    if words[0] == "GET" {
        let _ = stream.write_all(&body);
    }
}

/// Headers and body of the answer at a path.
pub(crate) fn served(path: &str, files: &Files) -> (String, Vec<u8>) {
    let name = path.strip_prefix("/owner/tiny/resolve/").and_then(|rest| rest.split_once('/')).map(|(_, name)| name);
    match name.and_then(|name| files.get_key_value(name)) {
        Some((name, body)) => (format!("x-repo-commit: {COMMIT}\r\netag: \"{name}-{}\"", body.len()), body.clone()),
        None if path.starts_with("/api/models/owner/tiny/") => {
            let list: Vec<String> = files.keys().map(|name| format!("{{\"rfilename\": \"{name}\"}}")).collect();
            let text = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}", list.join(", "));
            ("content-type: application/json".to_owned(), text.into_bytes())
        }
        None => ("content-type: text/html".to_owned(), b"<!DOCTYPE html><title>Sign in</title>".to_vec()),
    }
}

/// A ResNet-20 of three classes under PyTorch's names, as a safetensors file.
pub(crate) fn resnet20() -> Vec<u8> {
    let graph = zoo::by_name("resnet20").unwrap().graph([3, 32, 32], 3).unwrap();
    let network = Network::new(graph, 7).unwrap();
    let tensors: BTreeMap<_, _> = network.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    safetensors::serialize(tensors, None).unwrap()
}

const CONFIG: &str = r#"{"architecture": "resnet20", "num_classes": 3, "label_names": ["ant", "bee", "cat"], "pretrained_cfg": {
    "input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.875, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}"#;

fn files() -> Files {
    named([("config.json", CONFIG.into()), ("model.safetensors", resnet20()), ("README.md", b"# Tiny".to_vec())])
}

pub(crate) fn at_hub(name: &str, folder: &Path, endpoint: &str) -> Command {
    let mut command = program(name, folder);
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", folder.join("home")).env_remove("HF_TOKEN");
    command.env_remove("HF_HUB_CACHE").env_remove("HF_HUB_OFFLINE");
    command
}

#[test]
fn a_network_of_the_hub_is_used_as_its_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 2), ("bee", 2), ("cat", 2)]);
    let endpoint = serve(files());
    let predict = |more: &[&str]| {
        let mut command = at_hub("interp-train", folder.path(), &endpoint);
        run(command.args(["predict", "hub:owner/tiny", "pictures/ant/0.png", "--top", "3"]).args(more))
    };
    let (status, stdout, stderr) = predict(&[]);
    assert!(status == 0 && ["ant", "bee", "cat"].iter().all(|class| stdout.contains(class)), "{stdout}{stderr}");
    let (_, other, _) = predict(&["--mean", "0,0,0", "--std", "1,1,1"]);
    assert_ne!(other, stdout, "pictures are normalized as the file beside it says, unless told otherwise");
    let mut offline = at_hub("interp-train", folder.path(), "http://127.0.0.1:9");
    let again = run(offline.env("HF_HUB_OFFLINE", "1").args(["predict", "hub:owner/tiny", "pictures/ant/0.png"]));
    assert_eq!((again.0, again.1), (0, stdout), "{}", again.2);
    let mut eval = at_hub("interp-train", folder.path(), &endpoint);
    let (status, stdout, stderr) =
        run(eval.args(["eval", &format!("hub:owner/tiny@{COMMIT}"), "--data", "folder:pictures", "--split", "train"]));
    assert!(status == 0 && stdout.contains("of 6)"), "{stdout}{stderr}");
}

/// What a branch stood at is said with the progress, and not to those who want none.
#[test]
fn the_commit_of_a_network_is_told_unless_no_progress_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 20), ("bee", 20), ("cat", 20)]);
    let endpoint = serve(files());
    let recipe = on_pictures().replacen("kind = \"vgg\"\ndepth = 8\nwidth = 0.125", "kind = \"resnet\"", 1);
    let from_hub = "[init]\npath = \"hub:owner/tiny\"\n\n[[teacher]]\npath = \"hub:owner/tiny\"\n\n[[teacher.loss]]\n\
                    kind = \"soft_labels\"\nweight = 1.0\n";
    let recipe = format!("{}\n{from_hub}", recipe.replace("features.*", "layer*"));
    std::fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    let pictures = ["--data", "folder:pictures", "--split", "train"];
    let commands: [(&str, &[&str], &str, usize); 4] = [
        ("interp-train", &["recipe.toml", "--dry-run"], "--quiet", 2),
        ("interp-train", &["predict", "hub:owner/tiny", "pictures/ant/0.png"], "--json", 1),
        ("interp-train", &[&["eval", "hub:owner/tiny"][..], &pictures].concat(), "--quiet", 1),
        ("interp-audit", &[&["ablate", "hub:owner/tiny", "--node", "relu"][..], &pictures].concat(), "--json", 1),
    ];
    for (name, args, quiet, count) in commands {
        let told = |more: &[&str]| {
            let (status, _, stderr) = run(at_hub(name, folder.path(), &endpoint).args(args).args(more));
            assert_eq!(status, 0, "{args:?}: {stderr}");
            stderr.matches(&format!("hub:owner/tiny@{COMMIT}")).count()
        };
        assert_eq!([told(&[]), told(&[quiet])], [count, 0], "{args:?}");
    }
}

#[test]
fn an_imported_network_says_itself_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 2)]);
    let endpoint = serve(files());
    let train = |args: &[&str]| run(at_hub("interp-train", folder.path(), &endpoint).args(args));
    let (status, _, stderr) = train(&["import", "hub:owner/tiny", "--out", "own.safetensors"]);
    assert_eq!(status, 0, "{stderr}");
    let predicted = |checkpoint: &str| train(&["predict", checkpoint, "pictures/ant/1.png"]).1;
    assert!(predicted("own.safetensors").contains("bee"));
    assert_eq!(predicted("own.safetensors"), predicted("hub:owner/tiny"));
    let refused = |args: &[&str], problem: &str| {
        let (status, _, stderr) = train(args);
        assert!(status == 2 && stderr.contains(problem), "{args:?}: {stderr}");
    };
    refused(&["import", "hub:owner/tiny", "--out", "own.safetensors"], "--overwrite replaces it");
    refused(&["import", "own.safetensors", "--out", "again.safetensors"], "a file of ours already");
    refused(&["import", "hub:owner/tiny", "--classes", "a,b", "--out", "two.safetensors"], "2 classes are named");
}

/// A network that timm has goes out with its configuration, is read by it again, and sees one's own pictures as it says.
#[test]
fn a_network_goes_to_timm_and_back() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 2), ("bee", 2)]);
    std::fs::create_dir(folder.path().join("timm")).unwrap();
    let graph = zoo::by_name("resnet18").unwrap().graph([3, 64, 64], 2).unwrap();
    let network = Network::new(graph, 7).unwrap();
    let tensors: BTreeMap<_, _> = network.params.list().iter().map(|p| (p.name.clone(), p.value.clone())).collect();
    std::fs::write(folder.path().join("plain.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let train = |args: &[&str]| {
        let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(args));
        assert_eq!(status, 0, "{args:?}: {stderr}");
        stdout
    };
    let reading =
        "import plain.safetensors --arch resnet18 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --size 64 --classes ant,bee";
    train(&[reading.split(' ').collect::<Vec<_>>(), vec!["--out", "own.safetensors"]].concat());
    train(&["export", "own.safetensors", "--format", "timm", "--out", "timm/model.safetensors"]);
    let config = std::fs::read_to_string(folder.path().join("timm/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["architecture"], &config["num_classes"]), (&"resnet18".into(), &2.into()));
    train(&["import", "timm", "--out", "again.safetensors"]);
    let predicted = |file: &str| train(&["predict", file, "pictures/ant/1.png"]);
    assert!(predicted("timm").contains("bee") && predicted("timm") == predicted("own.safetensors"));
    assert_eq!(predicted("again.safetensors"), predicted("own.safetensors"));
    let right = |file: &str| train(&["eval", file, "--data", "folder:pictures", "--split", "train"]);
    let accuracy = |line: String| line.split(", loss").next().map(str::to_owned);
    assert_eq!(accuracy(right("again.safetensors")), accuracy(right("timm")));
    // Classes are told apart by their names, whatever their order: where they change places, what was right is wrong.
    let turned = config.to_string().replace(r#"["ant","bee"]"#, r#"["bee","ant"]"#);
    std::fs::write(folder.path().join("timm/config.json"), turned).unwrap();
    assert_ne!(
        right("timm").split_whitespace().nth(7),
        right("again.safetensors").split_whitespace().nth(7),
        "the loss"
    );
}

/// For pictures of which timm would make something else of its file, that is told, however little is to be shown.
#[test]
fn a_vgg_of_timm_is_told_apart_where_it_would_slide() {
    let vgg = zoo::ImagenetVgg { depth: 11, width: 0.0625, ..zoo::ImagenetVgg::default() };
    let network = Network::new(vgg.graph([3, 224, 224], 2).unwrap(), 7).unwrap();
    let model = "kind = \"imagenet_vgg\"\ndepth = 11\nwidth = 0.0625";
    let recipe = on_pictures().replacen("kind = \"vgg\"\ndepth = 8\nwidth = 0.125", model, 1);
    let init = "[init]\npath = \"vgg.safetensors\"\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n";
    let folder = folder(&format!("{recipe}\n{init}"));
    write_pictures(folder.path(), &[("ant", 20), ("bee", 20)]);
    for (naming, size, is_told) in
        [(Naming::Timm, 256, true), (Naming::Timm, 224, false), (Naming::Torchvision, 256, false)]
    {
        std::fs::write(folder.path().join("vgg.safetensors"), export::safetensors(&network, naming).unwrap()).unwrap();
        let size = format!("data.size={size}");
        let args = ["recipe.toml", "--dry-run", "--quiet", "--set", &size];
        let (status, _, stderr) = run(program("interp-train", folder.path()).args(args));
        assert_eq!((status, stderr.contains("timm slides")), (0, is_told), "{naming:?} {size}: {stderr}");
    }
}

/// Out as a state dict and in again: the same answers. What there is no form for is told.
#[test]
fn a_network_goes_out_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 2)]);
    std::fs::write(folder.path().join("own.safetensors"), resnet20()).unwrap();
    let reading = ["--arch", "resnet20", "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"];
    let train = |args: &[&str]| run(program("interp-train", folder.path()).args(args).args(reading));
    let predicted = |file: &str| train(&["predict", file, "pictures/ant/1.png"]).1;
    for (format, out, more) in [
        ("torchvision", "out.pth", "out.py"),
        ("safetensors", "plain.safetensors", "plain.py"),
        ("onnx", "net.onnx", "net.onnx"),
    ] {
        let (status, stdout, stderr) = train(&["export", "own.safetensors", "--format", format, "--out", out]);
        assert!(status == 0 && stdout.contains(&format!("wrote {out}")), "{stdout}{stderr}");
        assert!(folder.path().join(more).is_file(), "{more}");
        let (status, _, stderr) = train(&["export", "own.safetensors", "--format", format, "--out", out]);
        assert!(status == 2 && stderr.contains("--overwrite replaces it"), "{stderr}");
    }
    let before = predicted("own.safetensors");
    assert!(before.contains('%') && predicted("out.pth") == before && predicted("plain.safetensors") == before);
    let (status, _, stderr) = train(&["export", "own.safetensors", "--format", "timm", "--out", "model.safetensors"]);
    assert!(status == 2 && stderr.contains("timm has no such network"), "{stderr}");
    let (status, _, stderr) = train(&["export", "own.safetensors", "--format", "safetensors", "--out", "a.py"]);
    assert!(status == 2 && stderr.contains("the name of the file that goes beside it"), "{stderr}");
}

#[test]
fn what_the_hub_has_not_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path(), &[("ant", 1)]);
    let endpoint = serve(files());
    let bare = serve(named([("notes.txt", b"nothing".to_vec())]));
    let silent = serve(named([("model.safetensors", resnet20())]));
    let squashed =
        named([("config.json", CONFIG.replace("bicubic", "lanczos").into()), ("model.safetensors", resnet20())]);
    let squashed = serve(squashed);
    for (endpoint, given, problem) in [
        (&endpoint, "hub:tiny", "OWNER/NAME"),
        (&endpoint, "hub:owner/other", "web page"),
        (&bare, "hub:owner/tiny", "it has: notes.txt"),
        (&silent, "hub:owner/tiny", "those of resnet20"),
        (&squashed, "hub:owner/tiny", "neither bilinear nor bicubic: give --arch, --mean and --std"),
    ] {
        let mut command = at_hub("interp-train", folder.path(), endpoint);
        command.env("HF_HOME", folder.path().join(problem.replace([' ', ':'], "_")));
        let (status, _, stderr) = run(command.args(["predict", given, "pictures/ant/0.png"]));
        let flat: String = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(status == 2 && flat.contains(problem) && !flat.contains("panicked"), "{given}: {stderr}");
    }
}
