//! `interp-bench`: recipes beside their twins, gone on with and written down.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{TINY, fails, folder, program, run};

/// The logs of all runs of a bench, by the names of their folders. A log says when each epoch ended.
fn logs(folder: &Path) -> BTreeMap<String, String> {
    let cells = fs::read_dir(folder.join("cells")).unwrap().map(|cell| cell.unwrap());
    let log = |cell: fs::DirEntry| {
        let log = fs::read_to_string(cell.path().join("log.jsonl")).ok()?;
        Some((cell.file_name().into_string().unwrap(), log))
    };
    cells.filter_map(log).collect()
}

#[test]
fn a_bench_trains_a_twin_that_recipes_have_in_common_once() {
    let folder = folder(TINY);
    fs::write(
        folder.path().join("other.toml"),
        TINY.replace("\"tiny\"", "\"other\"").replace("target = ", "target = 0.1 # "),
    )
    .unwrap();
    let arguments = ["recipe.toml", "other.toml", "--seeds", "0", "--out", "cells", "--json", "--quiet"];
    let (_, stdout, stderr) = run(program("interp-bench", folder.path()).args(arguments));
    let rows = serde_json::from_str::<serde_json::Value>(&stdout).expect(&stderr)["rows"].clone();
    assert_eq!(rows[0]["twin"], rows[1]["twin"]);
    // Seconds stand in a line, which two trainings would not have in common.
    let of_twin = |log: &String| {
        log.lines().filter(|line| line.contains("\"stage\":\"twin\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    let logs = logs(folder.path());
    let logs: Vec<_> = logs.iter().filter(|(name, _)| !name.contains("-small")).map(|(_, log)| of_twin(log)).collect();
    assert!(logs.len() == 2 && logs[0].len() == 2 && logs[0] == logs[1], "{logs:?}");
}

#[test]
fn a_bench_keeps_what_is_finished_and_writes_its_table() {
    let folder = folder(TINY);
    let bench = |seeds: &str| {
        let arguments =
            ["recipe.toml", "--seeds", seeds, "--out", "cells", "--markdown", "page.md", "--json", "--quiet"];
        let files = ["--page", "page.html", "--csv", "page.csv"];
        let (status, stdout, stderr) = run(program("interp-bench", folder.path()).args(arguments).args(files));
        assert_eq!(status, 0, "{stderr}");
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["rows"][0].clone()
    };
    let logs = || logs(folder.path());
    let one = bench("0");
    let first = logs();
    assert_eq!((one["seeds"].as_u64(), one["holds"].as_u64()), (Some(1), Some(1)));
    assert!(one["score"]["deviation"].is_null());
    let again = bench("0");
    assert_eq!((&again["score"], &again["tax"]), (&one["score"], &one["tax"]));
    assert_eq!(logs(), first, "what was finished was trained again");
    let two = bench("0,1");
    assert_eq!(two["claims"][0]["shown"].as_array().unwrap().len(), 2);
    assert!(first.iter().all(|(name, log)| logs()[name] == *log) && two["score"]["deviation"].is_number());
    let page = fs::read_to_string(folder.path().join("page.md")).unwrap();
    assert_eq!(page.matches("`tiny`").count(), 1);
    assert!(two["mcnemar"].as_array().unwrap().len() == 2 && two["tax_interval"].is_array());
    let html = fs::read_to_string(folder.path().join("page.html")).unwrap();
    for said in
        ["calibration error", "right with another background", "concepts that are detected", "beside a small twin"]
    {
        assert!(html.contains(said), "{said}");
    }
    assert!(html.contains("Accuracy over terms of a decision") && html.contains("agreement between seeds, by rank"));
    for (seed, cell) in [("0", "tiny-seed0-"), ("1", "tiny-seed1-")] {
        assert!(
            html.contains(&format!("<li><a href=\"cells/{cell}")) && html.contains(&format!(">tiny, seed {seed}</a>"))
        );
    }
    let lines = fs::read_to_string(folder.path().join("page.csv")).unwrap();
    assert!(lines.contains("\ntiny,concepts,2,2,parameters,,lower,"), "{lines}");
    fails(folder.path(), "interp-bench", &["nowhere.toml"], &["nowhere.toml"]);
}

#[test]
fn a_bench_stops_when_its_budget_is_spent_and_goes_on() {
    let folder = folder(TINY);
    let bench = |more: &[&str]| {
        let arguments = ["recipe.toml", "--seeds", "0", "--out", "cells", "--csv", "page.csv", "--quiet"];
        run(program("interp-bench", folder.path()).args(arguments).args(more))
    };
    let (status, _, stderr) = bench(&["--budget", "0.001s"]);
    assert!(status == 130 && stderr.contains("the same command goes on"), "{status}: {stderr}");
    let (status, _, stderr) = bench(&["--budget", "2h"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(fs::read_to_string(folder.path().join("page.csv")).unwrap().contains("\ntiny,"));
    let (status, _, stderr) = bench(&["--budget", "2"]);
    assert!(status == 2 && stderr.contains("90m"), "{stderr}");
}

#[test]
fn a_changed_recipe_trains_its_own_cells_anew_alone() {
    let folder = folder(TINY);
    let [one, other] = ["recipe.toml", "other.toml"].map(|name| folder.path().join(name));
    let second = TINY.replace("\"tiny\"", "\"other\"");
    fs::write(&other, &second).unwrap();
    let bench = || {
        let arguments = ["recipe.toml", "other.toml", "--seeds", "0", "--out", "cells", "--quiet"];
        let (status, _, stderr) = run(program("interp-bench", folder.path()).args(arguments));
        assert_eq!(status, 0, "{stderr}");
        logs(folder.path())
    };
    let before = bench();
    fs::write(&other, second.replace("learning_rate = 0.05", "learning_rate = 0.04")).unwrap();
    let after = bench();
    assert!(
        one.exists() && before.iter().all(|(name, log)| after[name] == *log),
        "what was not changed was trained again"
    );
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(!new.is_empty() && new.iter().all(|name| name.starts_with("other")), "{new:?}");
}
