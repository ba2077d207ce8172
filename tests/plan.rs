use std::path::Path;

use interp::Catalog;
use interp::data::{Dataset, Split};
use interp::plan::Plan;
use interp::recipe::Recipe;

use crate::common::{folder, on_pictures, write_pictures};

fn plan(folder: &Path, sets: &[&str]) -> Plan {
    planned(folder, sets).unwrap()
}

/// The plan of the recipe in `folder` over its pictures, with overrides.
fn planned(folder: &Path, sets: &[&str]) -> Result<Plan, String> {
    let mut overrides: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
    overrides.push(format!("data.path={}", folder.join("pictures").display()));
    let recipe = Recipe::read(&folder.join("recipe.toml"), &overrides, &Catalog::default());
    Plan::new(recipe.map_err(|e| e.to_string())?, &|_, _| {}).map_err(|e| e.to_string())
}

#[test]
fn the_seed_of_training_moves_no_split() {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("cat", 40), ("dog", 40)]);
    let splits = |sets: &[&str]| -> Vec<Vec<f32>> {
        let data = plan(folder.path(), sets).data.examining();
        let read = |split, index| {
            let mut picture = vec![0.0; data.info().pixels()];
            data.image(split, index, &mut picture).unwrap();
            picture
        };
        let all = [Split::Validation, Split::Test].map(|split| (0..data.len(split)).map(move |index| (split, index)));
        all.into_iter().flatten().map(|(split, index)| read(split, index)).collect()
    };
    assert!(splits(&[]) == splits(&["seed=7"]));
    assert!(splits(&[]) != splits(&["split.seed=7"]));
}

// N / (K n): what a class weighs where all together shall weigh as one picture each.
#[test]
fn balanced_classes_weigh_inversely_to_their_number_in_train() {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("cat", 30), ("dog", 12)]);
    assert_eq!(plan(folder.path(), &[]).class_weights, None);
    let plan = plan(folder.path(), &["train.balance_classes=true"]);
    let data = plan.data.learning();
    let count = |class| (0..data.len(Split::Train)).filter(|&i| data.label(Split::Train, i) == class).count() as f64;
    let (cats, dogs) = (count(0), count(1));
    assert!(cats > 2.0 * dogs);
    let expected = [(cats + dogs) / (2.0 * cats), (cats + dogs) / (2.0 * dogs)];
    let found = plan.class_weights.unwrap();
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}, not {expected:?}");
}

#[test]
fn attention_wants_data_that_knows_where_objects_are() {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("cat", 12), ("dog", 12)]);
    let attention = "prior=[{kind=\"attention\", nodes=[\"*\"], target=0.5}]";
    let error = planned(folder.path(), &["model={kind=\"resnet\", depth=20}", attention]).err().unwrap();
    assert!(error.contains("where objects are"), "{error}");
}
