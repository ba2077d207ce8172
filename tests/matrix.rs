use std::sync::Arc;

use interp::audit::Pictures;
use interp::data::{Augment, Split};
use interp::finding::{Measured, Quantity};
use interp::folder::Stage;
use interp::learn::{Fitted, Flow, LearnError, Task, Trainer, fit};
use interp::net::Network;
use interp::plan::Plan;
use interp::recipe::Recipe;
use interp::{Catalog, Error, audit};

/// Two steps of 32 pictures each; the data is as small as there is.
const STEPS: &str = r#"
name = "matrix"

[data]
kind = "concepts"
train = 64
val = 10
test = 10

[train]
batch = 32
clip = 1.0

[[train.phase]]
epochs = 1
learning_rate = 0.05
schedule = "constant"
"#;

/// The example of an entry as a section of a recipe.
fn example(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

/// The example of an architecture, an eighth as wide where it has a width.
fn small(text: &str) -> toml::Table {
    let mut model = example(text);
    let recipe = Recipe::parse("model", &recipe(&model, &[]), &Catalog::default()).unwrap();
    if recipe.model.settings.contains_key("width") {
        model.insert("width".into(), 0.125.into());
    }
    model
}

/// The same for priors of these kinds: with thresholds, where they are on thresholds and the architecture can have some.
fn fitting(text: &str, priors: &[&str]) -> toml::Table {
    let mut model = small(text);
    let recipe = Recipe::parse("model", &recipe(&model, &[]), &Catalog::default()).unwrap();
    if priors.contains(&"one_threshold") && recipe.model.settings.contains_key("activation") {
        model.insert("activation".into(), "soft_threshold".into());
    }
    model
}

/// The example of a prior, on all that it can act on.
fn everywhere(name: &str, text: &str) -> toml::Table {
    let mut prior = example(text);
    prior.insert("name".into(), name.into());
    prior.insert("nodes".into(), vec!["*"].into());
    prior
}

fn recipe(model: &toml::Table, priors: &[toml::Table]) -> String {
    // What is drawn has a variance that is an exponential: steps that others stand take it out of all numbers.
    let steps = if model["kind"].as_str() == Some("vae") { STEPS.replace("0.05", "0.002") } else { STEPS.to_owned() };
    let mut table = example(&steps);
    table.insert("model".into(), model.clone().into());
    let objective = match model["kind"].as_str() {
        Some("soft_autoencoder") => Some("denoise = { noise = 0.1 }"),
        Some("vae") => Some("reconstruct = {}"),
        _ => None,
    };
    if let Some(objective) = objective {
        table.insert("objective".into(), example(objective).into());
    }
    table.insert("prior".into(), priors.to_vec().into());
    toml::to_string(&table).unwrap()
}

/// The plan of a recipe; `None` where it is refused with a reason and a place.
fn plan(text: &str) -> Option<Plan> {
    let recipe = Recipe::parse("matrix", text, &Catalog::default()).unwrap_or_else(|e| panic!("{e} in\n{text}"));
    match Plan::new(recipe, &|_, _| {}) {
        Ok(plan) => Some(plan),
        Err(Error::Recipe { message, span, .. }) => {
            assert!(!message.is_empty() && span.is_some(), "`{message}` has no place in\n{text}");
            None
        }
        Err(other) => panic!("{other}, without a place in\n{text}"),
    }
}

/// Trains two steps and measures the claims, where the recipe is not refused.
fn two_steps(text: &str) -> Option<Vec<(Quantity, Measured)>> {
    let plan = plan(text)?;
    let pictures = Pictures {
        data: Arc::new(plan.data.learning()),
        split: Split::Validation,
        noise: plan.common.objective.noise(),
        workers: 0,
    };
    let measure = |net: &Network| audit::measure(net, &plan.claims, Some(&pictures));
    let meets = |net: &Network| {
        let measured = measure(net).map_err(|error| LearnError::Observer(Box::new(error)))?;
        Ok(measured.iter().all(|m| m.holds))
    };
    let task = Task {
        objective: plan.common.objective,
        settings: &plan.common.train,
        data: Arc::new(plan.data.learning()),
        augment: Augment::default(),
        priors: &plan.priors,
        teachers: &[],
        class_weights: None,
        meets: &meets,
        seed: 0,
        workers: 0,
    };
    let mut trainer = Trainer::new(plan.network(Stage::Main).unwrap(), &task).unwrap();
    let fitted = fit(&task, &mut trainer, &mut |_, _| Ok(Flow::Continue)).unwrap_or_else(|e| panic!("{e} in\n{text}"));
    let Fitted::Done { network, .. } = fitted else { panic!("stopped") };
    Some(plan.claims.iter().map(|claim| claim.quantity).zip(measure(&network).unwrap()).collect())
}

/// What is approached over a training; two steps are too few.
const APPROACHED: [Quantity; 8] = [
    Quantity::FilterSimilarity,
    Quantity::EvidenceInside,
    Quantity::ChannelCorrelation,
    Quantity::ZeroActivations,
    Quantity::LeastChosen,
    Quantity::NearPeak,
    Quantity::ClassEvidence,
    Quantity::ConceptArea,
];

/// What does not act on an architecture, or cannot: everything else does. AlexNet needs larger pictures than these.
const REFUSED_ON: [(&str, &str); 137] = [
    ("l1", "alexnet"),
    ("l0", "soft_autoencoder"),
    ("l0", "bcos_resnet"),
    ("l0", "vae"),
    ("l0", "alexnet"),
    ("group_lasso", "soft_autoencoder"),
    ("group_lasso", "vae"),
    ("group_lasso", "alexnet"),
    ("slimming", "soft_autoencoder"),
    ("slimming", "vae"),
    ("slimming", "alexnet"),
    ("slimming", "squeezenet"),
    ("magnitude", "alexnet"),
    ("hoyer", "alexnet"),
    ("non_negative", "soft_autoencoder"),
    ("non_negative", "vae"),
    ("non_negative", "alexnet"),
    ("orthogonal", "resnet"),
    ("orthogonal", "soft_autoencoder"),
    ("orthogonal", "additive"),
    ("orthogonal", "bcos_resnet"),
    ("orthogonal", "vae"),
    ("orthogonal", "imagenet_resnet"),
    ("orthogonal", "alexnet"),
    ("orthogonal", "squeezenet"),
    ("decorrelated", "bcos_resnet"),
    ("decorrelated", "vae"),
    ("decorrelated", "imagenet_resnet"),
    ("decorrelated", "alexnet"),
    ("decorrelated", "squeezenet"),
    ("activity", "bcos_resnet"),
    ("activity", "alexnet"),
    ("one_threshold", "bagnet"),
    ("one_threshold", "additive"),
    ("one_threshold", "bcos_resnet"),
    ("one_threshold", "mixture"),
    ("one_threshold", "vae"),
    ("one_threshold", "alexnet"),
    ("bounded_field", "vgg"),
    ("bounded_field", "resnet"),
    ("bounded_field", "soft_autoencoder"),
    ("bounded_field", "additive"),
    ("bounded_field", "bcos_resnet"),
    ("bounded_field", "mixture"),
    ("bounded_field", "vae"),
    ("bounded_field", "imagenet_vgg"),
    ("bounded_field", "imagenet_resnet"),
    ("bounded_field", "alexnet"),
    ("bounded_field", "squeezenet"),
    ("bank", "additive"),
    ("bank", "bcos_resnet"),
    ("bank", "alexnet"),
    ("attention", "vgg"),
    ("attention", "soft_autoencoder"),
    ("attention", "additive"),
    ("attention", "bcos_resnet"),
    ("attention", "mixture"),
    ("attention", "vae"),
    ("attention", "imagenet_vgg"),
    ("attention", "imagenet_resnet"),
    ("attention", "alexnet"),
    ("attention", "squeezenet"),
    ("monotone", "vgg"),
    ("monotone", "resnet"),
    ("monotone", "bagnet"),
    ("monotone", "soft_autoencoder"),
    ("monotone", "bcos_resnet"),
    ("monotone", "mixture"),
    ("monotone", "vae"),
    ("monotone", "imagenet_vgg"),
    ("monotone", "imagenet_resnet"),
    ("monotone", "alexnet"),
    ("monotone", "squeezenet"),
    ("balanced", "vgg"),
    ("balanced", "resnet"),
    ("balanced", "bagnet"),
    ("balanced", "soft_autoencoder"),
    ("balanced", "additive"),
    ("balanced", "bcos_resnet"),
    ("balanced", "vae"),
    ("balanced", "imagenet_vgg"),
    ("balanced", "imagenet_resnet"),
    ("balanced", "alexnet"),
    ("balanced", "squeezenet"),
    ("part_filters", "soft_autoencoder"),
    ("part_filters", "additive"),
    ("part_filters", "bcos_resnet"),
    ("part_filters", "vae"),
    ("part_filters", "imagenet_resnet"),
    ("part_filters", "alexnet"),
    ("part_filters", "squeezenet"),
    ("class_filters", "soft_autoencoder"),
    ("class_filters", "additive"),
    ("class_filters", "bcos_resnet"),
    ("class_filters", "mixture"),
    ("class_filters", "vae"),
    ("class_filters", "imagenet_vgg"),
    ("class_filters", "alexnet"),
    ("class_filters", "squeezenet"),
    ("factor_alignment", "resnet"),
    ("factor_alignment", "bcos_resnet"),
    ("factor_alignment", "mixture"),
    ("factor_alignment", "alexnet"),
    ("factor_alignment", "squeezenet"),
    ("beta", "vgg"),
    ("beta", "resnet"),
    ("beta", "bagnet"),
    ("beta", "soft_autoencoder"),
    ("beta", "additive"),
    ("beta", "bcos_resnet"),
    ("beta", "mixture"),
    ("beta", "imagenet_vgg"),
    ("beta", "imagenet_resnet"),
    ("beta", "alexnet"),
    ("beta", "squeezenet"),
    ("total_correlation", "vgg"),
    ("total_correlation", "resnet"),
    ("total_correlation", "bagnet"),
    ("total_correlation", "soft_autoencoder"),
    ("total_correlation", "additive"),
    ("total_correlation", "bcos_resnet"),
    ("total_correlation", "mixture"),
    ("total_correlation", "imagenet_vgg"),
    ("total_correlation", "imagenet_resnet"),
    ("total_correlation", "alexnet"),
    ("total_correlation", "squeezenet"),
    ("moments", "vgg"),
    ("moments", "resnet"),
    ("moments", "bagnet"),
    ("moments", "soft_autoencoder"),
    ("moments", "additive"),
    ("moments", "bcos_resnet"),
    ("moments", "mixture"),
    ("moments", "imagenet_vgg"),
    ("moments", "imagenet_resnet"),
    ("moments", "alexnet"),
    ("moments", "squeezenet"),
];

/// Whether one prior is on codes that are drawn, and the other is refused on what has some: these have no architecture in common.
fn is_of_codes(one: &str, other: &str) -> bool {
    ["beta", "total_correlation", "moments"].contains(&one) && REFUSED_ON.contains(&(other, "vae"))
}

/// What else no architecture has layers for both of: nothing that is kept above zero may lie before a threshold, which is symmetric.
const APART: [(&str, &str); 32] = [
    ("non_negative", "one_threshold"),
    ("orthogonal", "monotone"),
    ("one_threshold", "non_negative"),
    ("one_threshold", "bounded_field"),
    ("one_threshold", "monotone"),
    ("one_threshold", "balanced"),
    ("one_threshold", "part_filters"),
    ("bounded_field", "one_threshold"),
    ("bounded_field", "monotone"),
    ("bounded_field", "balanced"),
    ("bank", "monotone"),
    ("attention", "monotone"),
    ("attention", "balanced"),
    ("monotone", "orthogonal"),
    ("monotone", "one_threshold"),
    ("monotone", "bounded_field"),
    ("monotone", "bank"),
    ("monotone", "attention"),
    ("monotone", "balanced"),
    ("monotone", "part_filters"),
    ("monotone", "class_filters"),
    ("balanced", "one_threshold"),
    ("balanced", "bounded_field"),
    ("balanced", "attention"),
    ("balanced", "monotone"),
    ("balanced", "class_filters"),
    ("balanced", "factor_alignment"),
    ("part_filters", "one_threshold"),
    ("part_filters", "monotone"),
    ("class_filters", "monotone"),
    ("class_filters", "balanced"),
    ("factor_alignment", "balanced"),
];

/// What cannot steer the same layer: what a bank sets nothing else does, and a channel stands for one concept.
const REFUSED_WITH: [(&str, &str); 18] = [
    ("l1", "bank"),
    ("l0", "bank"),
    ("group_lasso", "bank"),
    ("magnitude", "bank"),
    ("hoyer", "bank"),
    ("non_negative", "bank"),
    ("orthogonal", "bank"),
    ("decorrelated", "bank"),
    ("bank", "l1"),
    ("bank", "l0"),
    ("bank", "group_lasso"),
    ("bank", "magnitude"),
    ("bank", "hoyer"),
    ("bank", "non_negative"),
    ("bank", "orthogonal"),
    ("bank", "decorrelated"),
    ("bank", "bank"),
    ("factor_alignment", "factor_alignment"),
];

fn assert_all_hold(measured: &[(Quantity, Measured)], what: &str) {
    for (quantity, claim) in measured {
        // A prior may leave no two channels that change: of their correlation nothing is said then, and no claim holds.
        let unsaid = *quantity == Quantity::ChannelCorrelation && claim.value.is_nan() && !claim.holds;
        let fine = if APPROACHED.contains(quantity) { claim.value.is_finite() || unsaid } else { claim.holds };
        assert!(fine, "{what}: {}, but it is {}", claim.statement, claim.shown);
    }
}

#[test]
fn every_prior_on_every_architecture_keeps_its_claims_or_is_refused() {
    let catalog = Catalog::default();
    let mut refused = vec![];
    for prior in &catalog.priors {
        // What makes pictures of codes is trained with no prior at all.
        for model in catalog.models.iter().filter(|model| model.name != "infogan") {
            let text = recipe(&fitting(model.example, &[prior.name]), &[everywhere(prior.name, prior.example)]);
            match two_steps(&text) {
                Some(measured) => assert_all_hold(&measured, &format!("{} on {}", prior.name, model.name)),
                None => refused.push((prior.name, model.name)),
            }
        }
    }
    assert_eq!(refused, REFUSED_ON);
}

#[test]
fn every_pair_of_priors_keeps_its_claims_or_is_refused() {
    let catalog = Catalog::default();
    let alone =
        |model: &toml::Table, (name, text): (&str, &str)| plan(&recipe(model, &[everywhere(name, text)])).is_some();
    let (mut apart, mut refused) = (vec![], vec![]);
    for first in &catalog.priors {
        for second in &catalog.priors {
            let both = [("first", first.example), ("second", second.example)];
            let mut models = catalog.models.iter().map(|model| fitting(model.example, &[first.name, second.name]));
            let Some(model) = models.find(|model| both.iter().all(|&prior| alone(model, prior))) else {
                if is_of_codes(first.name, second.name) || is_of_codes(second.name, first.name) {
                    continue;
                }
                apart.push((first.name, second.name));
                continue;
            };
            let pair = both.map(|(name, text)| everywhere(name, text));
            match two_steps(&recipe(&model, &pair)) {
                Some(measured) => assert_all_hold(&measured, &format!("{} and then {}", first.name, second.name)),
                None => refused.push((first.name, second.name)),
            }
        }
    }
    assert_eq!(apart, APART);
    assert_eq!(refused, REFUSED_WITH);
}

#[test]
fn no_more_channels_win_than_said() {
    for kind in ["vgg", "resnet"] {
        let model = example(&format!("kind = \"{kind}\"\nwidth = 0.25\nactivation = \"k_winners\"\nwinners = 3\n"));
        let measured = two_steps(&recipe(&model, &[])).unwrap();
        let (quantity, claim) = &measured[0];
        assert_eq!((*quantity, claim.value, claim.bound), (Quantity::ActiveChannels, 3.0, 3.0), "{kind}");
    }
}

#[test]
fn slimming_without_batch_norms_is_refused_with_its_place() {
    let model = example("kind = \"vgg\"\ndepth = 8\nwidth = 0.125\nbatch_norm = false\n");
    assert!(two_steps(&recipe(&model, &[everywhere("slim", "kind = \"slimming\"\n")])).is_none());
}

/// A bank sets the first filters: what else would steer them is refused, and what leaves them out goes with it.
#[test]
fn what_a_bank_sets_nothing_else_steers() {
    let model = small("kind = \"vgg\"\ndepth = 8\n");
    let bank = everywhere("bank", "kind = \"bank\"\nbank = \"opponent\"\n");
    let magnitude = |nodes: &str| {
        let mut prior = everywhere("magnitude", "kind = \"magnitude\"\ntarget = 0.5\n");
        prior.insert("nodes".into(), vec![nodes].into());
        prior
    };
    assert!(two_steps(&recipe(&model, &[magnitude("features.*"), bank.clone()])).is_none());
    let measured = two_steps(&recipe(&model, &[magnitude("features.[1-9]*"), bank])).unwrap();
    assert_eq!(measured.len(), 2);
    assert_all_hold(&measured, "magnitude beyond a bank");
}
