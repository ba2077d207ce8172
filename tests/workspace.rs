use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn metadata() -> serde_json::Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

// At most these edges, not all of them: learning and auditing do not know each other, and data knows no network.
#[test]
fn crates_use_at_most_whom_they_may() {
    let all = ["ops", "finding", "hub", "net", "data", "learn", "audit", "report"];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("interp-ops", &[] as &[&str]),
        ("interp-finding", &[]),
        ("interp-hub", &[]),
        ("interp-net", &["ops", "finding", "hub"]),
        ("interp-data", &["finding", "hub"]),
        ("interp-learn", &["net", "data"]),
        ("interp-audit", &["net", "data"]),
        ("interp-report", &["finding"]),
        ("interp", &all),
    ]);
    let metadata = metadata();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        seen.insert(name);
        for dependency in package["dependencies"].as_array().unwrap() {
            if let Some(used) = dependency["name"].as_str().unwrap().strip_prefix("interp-") {
                assert!(may.contains(&used), "{name} may not use interp-{used}");
            }
        }
    }
    assert_eq!(seen.len(), allowed.len());
}

// Without this, a failing test in a crate would not fail `cargo test`.
#[test]
fn plain_cargo_test_tests_every_crate() {
    let metadata = metadata();
    let set = |key: &str| metadata[key].as_array().unwrap().iter().map(|v| v.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(set("workspace_default_members"), set("workspace_members"));
}
