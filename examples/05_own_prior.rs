//! `interp-train` with a prior `two_of_four`: of every four weights in a row, the two smaller ones are zero.
//!
//! ```text
//! cargo run --release --example 05_own_prior -- list prior
//! ```

use std::process::ExitCode;

use interp::Catalog;
use interp::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp::learn::Result;
use interp::learn::prior::{Prior, Scope, State, change};
use interp::net::{Network, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of every four weights in a row, as they lie in memory, the two of smaller size are zero (Mishra et al. 2021, arXiv
/// 2104.08378, section 3). The keys of the section in a recipe; this one has none.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TwoOfFour {}

const ENTRY: Entry<dyn Prior> = Entry {
    name: "two_of_four",
    summary: "of every four weights in a row two are zero",
    example: "kind = \"two_of_four\"\nnodes = [\"features.*\"]\n",
    build: |section| build(section, |settings: TwoOfFour| Box::new(settings)),
    schema: || schemars::schema_for!(TwoOfFour),
};

impl Prior for TwoOfFour {
    /// What cannot be had of this network is refused before training.
    fn check(&self, net: &Network, scope: &Scope) -> std::result::Result<(), Unfit> {
        let fits = scope.positions.iter().all(|&p| net.params.list()[p].value.elem_count().is_multiple_of(4));
        Unfit::unless(fits, "nodes", "must match layers whose number of weights is a multiple of four")
    }

    /// After every step: what must be so at any time.
    fn enforce(&self, params: &mut Params, scope: &Scope, _: &State) -> Result<()> {
        scope.positions.iter().try_for_each(|&position| {
            change(params, position, |weights| {
                for four in weights.chunks_exact_mut(4) {
                    let mut sizes: Vec<f32> = four.iter().map(|w| w.abs()).collect();
                    sizes.sort_by(f32::total_cmp);
                    four.iter_mut().filter(|w| w.abs() <= sizes[1]).for_each(|w| *w = 0.0);
                }
            })
        })
    }

    /// What will be true, measured on the saved file by code that knows nothing of this one.
    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        let (nodes, scope) = (scope.names.clone(), scope.label.clone());
        vec![Claim { quantity: Quantity::ZeroWeights, nodes, scope, relation: Relation::AtLeast, bound: 0.5 }]
    }
}

/// The tables that the programs know, with one line more.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.priors.push(&ENTRY);
    catalog
}

fn main() -> ExitCode {
    interp::programs::train(&catalog())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use interp::data::Augment;
    use interp::learn::{Flow, Task, Trainer, fit};
    use interp::plan::Plan;
    use interp::recipe::Recipe;

    use super::*;

    const SMALL: &str = r#"
name = "small"
[data]
kind = "concepts"
train = 64
val = 10
test = 10
[model]
kind = "vgg"
depth = 8
width = 0.125
[train]
batch = 32
[[train.phase]]
epochs = 1
learning_rate = 0.05
[[prior]]
"#;

    #[test]
    fn two_steps_of_training_keep_the_claim() {
        let recipe = Recipe::parse("small", &format!("{SMALL}{}", ENTRY.example), &catalog()).unwrap();
        let plan = Plan::new(recipe, &|_, _| {}).unwrap();
        let task = Task {
            objective: plan.common.objective,
            settings: &plan.common.train,
            data: Arc::new(plan.data.learning()),
            augment: Augment::default(),
            priors: &plan.priors,
            teachers: &[],
            class_weights: None,
            meets: &|_| Ok(true),
            seed: 0,
            workers: 0,
        };
        let mut trainer = Trainer::new(Network::new(plan.graph.clone(), 0).unwrap(), &task).unwrap();
        fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap();
        let measured = interp::audit::measure(&trainer.network, &plan.claims, None).unwrap();
        assert!(measured[0].holds && measured[0].value < 0.51, "{measured:?}");
    }
}
