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

#[test]
fn a_structure_that_a_prior_has_changed_is_in_the_file() {
    let mut catalog = Catalog::default();
    catalog.priors.push(&CAPPED);
    let recipe = Recipe::parse("test", RECIPE, &catalog).unwrap();
    let plan = Plan::new(recipe, &|_, _| {}).unwrap();
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path().join("run"));
    let stop = AtomicBool::new(false);
    let options = Options { device: Device::Cpu, workers: 0, save_every: Duration::from_secs(60), stop: &stop };
    let outcome = run(&plan, &folder, Start::Fresh, &options, &mut Screen::new(true)).unwrap();
    let Outcome::Finished(summary) = outcome else { panic!("stopped") };
    assert!(summary.claims[0].holds);
    let has_cap = |stage| Checkpoint::read(&folder.model(stage)).unwrap().meta.unwrap().graph.id("cap").is_ok();
    assert!(has_cap(Stage::Main) && !has_cap(Stage::Twin));
}
