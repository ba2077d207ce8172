#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::Device;
use interp_finding::{Claim, Entry};
use interp_learn::prior::{Prior, Scope, State};
use interp_net::{Network, Op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::Catalog;
use crate::recipe::Recipe;

/// A change of the structure: no logit is below zero.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Capped {}

const CAPPED: Entry<dyn Prior> = Entry {
    name: "capped",
    summary: "",
    example: "",
    build: |section| interp_finding::build(section, |settings: Capped| Box::new(settings)),
    schema: || schemars::schema_for!(Capped),
};

impl Prior for Capped {
    fn prepare(&self, net: &mut Network, _scope: &Scope) -> interp_learn::Result<State> {
        let mut graph = net.graph.clone();
        graph.then("cap", Op::Relu)?;
        let mut changed = Network::new(graph, 0)?;
        for (position, param) in net.params.list().iter().enumerate() {
            changed.params.set(position, param.value.clone())?;
        }
        *net = changed;
        Ok(State::default())
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}

const RECIPE: &str = r#"
name = "capped"

[data]
kind = "concepts"
train = 40
val = 10
test = 10

[model]
kind = "vgg"
depth = 8
width = 0.0625

[train]
batch = 20

[[train.phase]]
epochs = 1

[[prior]]
kind = "capped"
nodes = ["classifier*"]

[[prior]]
kind = "l1"
nodes = ["features.*"]
target = 0.5
"#;

fn plan(text: &str) -> Plan {
    let mut catalog = Catalog::default();
    catalog.priors.push(&CAPPED);
    Plan::new(Recipe::parse("test", text, &catalog).unwrap(), &|_, _| {}).unwrap()
}

fn options(stop: &AtomicBool) -> Options<'_> {
    let save_every = Duration::from_secs(60);
    Options { device: Device::Cpu, workers: 0, save_every, stop, twin: None, tensorboard: false }
}

/// Runs a recipe in a folder, with the twin of another run where there is one.
fn finish(text: &str, folder: &Folder, twin: Option<Folder>) -> Summary {
    finish_from(Start::Fresh, text, folder, twin)
}

fn finish_from(start: Start, text: &str, folder: &Folder, twin: Option<Folder>) -> Summary {
    let plan = plan(text);
    let stop = AtomicBool::new(false);
    let outcome = run(&plan, folder, start, &Options { twin, ..options(&stop) }, &mut Screen::new(true)).unwrap();
    let Outcome::Finished(summary) = outcome else { panic!("stopped") };
    *summary
}

#[test]
fn a_structure_that_a_prior_has_changed_is_in_the_file() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path().join("run"));
    let summary = finish(RECIPE, &folder, None);
    assert!(summary.claims[0].holds);
    let has_cap = |stage| Checkpoint::read(&folder.model(stage)).unwrap().meta.unwrap().graph.id("cap").is_ok();
    assert!(has_cap(Stage::Main) && !has_cap(Stage::Twin));
}

/// The twin of a recipe with other priors is the same one to the bit, and a copy of it leaves the same results.
#[test]
fn a_twin_is_trained_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| Folder::new(place.path().join(name));
    let other =
        RECIPE.replace("target = 0.5", "target = 0.25").replace("name = \"capped\"\n\n", "name = \"other\"\n\n");
    finish(RECIPE, &folder("one"), None);
    let trained = finish(&other, &folder("trained"), None);
    let copied = finish(&other, &folder("copied"), Some(folder("one")));
    let file = |name: &str| std::fs::read(folder(name).model(Stage::Twin)).unwrap();
    assert!(file("trained") == file("copied"));
    // But for the time of a pass, which no two measurements have in common.
    let twin = |summary: &Summary| {
        let twin = summary.twin.clone().map(|twin| Twin { latency: None, ..twin });
        serde_json::to_string(&twin).unwrap()
    };
    assert_eq!(twin(&trained), twin(&copied));
    // A log tells seconds, which two trainings do not have in common.
    let log = |name: &str| {
        let of_twin = |event: &serde_json::Value| event["stage"] == "twin";
        folder(name).events().unwrap().into_iter().filter(of_twin).collect::<Vec<_>>()
    };
    assert!(log("copied") == log("one") && log("trained") != log("one") && log("one").len() == 1);
    // It is kept as one that was trained: gone on with alone, nothing is left to do.
    finish_from(Start::Resume, &other, &folder("copied"), None);
    assert!(log("copied") == log("one"));
    let hash = |text: &str| plan(text).twin_hash().unwrap();
    assert_eq!(hash(RECIPE), hash(&other));
    let others = [
        ("batch = 20", "batch = 10"),
        ("batch = 20", "batch = 20\nloss = \"binary\""),
        ("train = 40", "train = 50"),
        ("width = 0.0625", "width = 0.125"),
        ("\n[data]", "seed = 1\n[data]"),
        ("\n[model]", "[augment]\nflip = true\n[model]"),
    ];
    for (from, to) in others {
        assert_ne!(hash(RECIPE), hash(&RECIPE.replace(from, to)), "{to}");
    }
}

/// The steps in an event file, all below 128: a record's data is its length, its checksum, the data and another checksum; a
/// step's has the time (9 bytes), the key of the step, and the step.
fn steps(path: &std::path::Path) -> Vec<u8> {
    let (bytes, mut steps) = (std::fs::read(path).unwrap(), vec![]);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        steps.extend((rest[12 + 9] == 0x10).then_some(rest[12 + 10]));
        rest = &rest[12 + length + 4..];
    }
    steps
}

#[test]
fn charts_have_each_epoch_once_and_only_where_wanted() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path().join("run"));
    let text = RECIPE.replace("epochs = 1", "epochs = 2");
    let charted = |start, stop: bool| {
        let stop = AtomicBool::new(stop);
        let options = Options { tensorboard: true, ..options(&stop) };
        run(&plan(&text), &folder, start, &options, &mut Screen::new(true)).unwrap()
    };
    let all = || [Stage::Main, Stage::Twin].map(|stage| steps(&folder.charts(stage)));
    // Stopped at every step that there is.
    let mut outcome = charted(Start::Fresh, true);
    assert!(!folder.charts(Stage::Main).exists(), "no epoch, no chart");
    let mut sittings = 1;
    while matches!(outcome, Outcome::Stopped) {
        outcome = charted(Start::Resume, true);
        sittings += 1;
    }
    assert!(sittings > 8 && all() == [[1, 2], [1, 2]], "{sittings} {:?}", all());
    // In place of that run one without charts, and charts of it when it is finished.
    finish_from(Start::Overwrite, &text, &folder, None);
    assert!([Stage::Main, Stage::Twin].iter().all(|&stage| !folder.charts(stage).exists()));
    charted(Start::Resume, false);
    assert_eq!(all(), [[1, 2], [1, 2]]);
}
