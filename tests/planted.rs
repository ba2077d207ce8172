//! The planted audit from its command line on, with networks too small to find much.

use std::fs;

use crate::common::{fails, folder, program, run};

/// What makes it quick.
const QUICK: [&str; 14] = [
    "--others",
    "60",
    "--seeds",
    "2",
    "--calibration",
    "5",
    "--pictures",
    "100",
    "--epochs",
    "2",
    "--limit",
    "4",
    "--strengths",
    "0.9",
];

#[test]
fn a_planted_audit_tells_what_is_found_and_keeps_its_networks() {
    let folder = folder("");
    let audit = || {
        let arguments = ["planted", "--method", "gradient,grad_cam,center", "--out", "planted", "--json"];
        let (status, stdout, stderr) = run(program("interp-audit", folder.path()).args(arguments).args(QUICK));
        assert_eq!(status, 0, "{stderr}");
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()
    };
    let first = audit();
    assert_eq!(first["methods"], serde_json::json!(["gradient", "grad_cam", "center", "edges", "random"]));
    let verdicts = first["verdicts"].as_array().unwrap();
    assert_eq!(verdicts.len(), 14);
    // Maps that know nothing of the network are the same for all networks.
    for verdict in verdicts
        .iter()
        .filter(|verdict| ["center", "edges", "random"].contains(&verdict["method"].as_str().unwrap_or_default()))
    {
        assert!(verdict["alarms"] == serde_json::json!([0, 2]) && verdict["found"][0] == 0, "{verdict}");
        assert!(verdict["by_effect"].is_null(), "{verdict}");
    }
    // What is planted in weights does not depend on what was learned: three filters in each of five layers.
    for counts in first["filters"].as_array().unwrap() {
        assert!(counts[0]["count"] == 15 && counts[0]["found"] == 15 && counts[0]["others"] == 0, "{counts}");
        assert!(counts[1]["count"] == 15 && counts[1]["found"] == 15, "{counts}");
        assert_eq!(counts[2]["found"], counts[2]["count"], "{counts}");
    }
    assert!(first["flipped_labels"].as_array().unwrap().len() == 2);
    let shortcut = &first["shortcuts"][0];
    assert_eq!(
        (shortcut["calibration"].as_array().unwrap().len(), shortcut["networks"].as_array().unwrap().len()),
        (5, 4)
    );
    // Once more, without training: the logs say when each epoch ended.
    let networks = folder.path().join("planted/networks");
    let logs = || {
        let logs = fs::read_dir(&networks).unwrap().map(|run| fs::read(run.unwrap().path().join("log.jsonl")).unwrap());
        let mut logs = logs.collect::<Vec<_>>();
        logs.sort();
        logs
    };
    let before = logs();
    assert_eq!((before.len(), audit()), (20, first));
    assert_eq!(logs(), before);
}

#[test]
fn a_planted_audit_refuses_what_it_cannot_do() {
    let folder = folder("");
    for (arguments, expected) in [
        (["--method", "grad_kam"], "did you mean grad_cam?"),
        (["--method", "lrp,lrp"], "names lrp twice"),
        (["--strengths", "0.5,0.5"], "has 0.5 twice"),
        (["--strengths", "1.5"], "above 0, up to 1"),
        (["--limit", "1001"], "--others 1000 pictures alone"),
        (["--calibration", "4"], "4 is not in 5.."),
        (["--epochs", "1"], "1 is not in 2.."),
    ] {
        fails(folder.path(), "interp-audit", &["planted", arguments[0], arguments[1]], &[expected]);
        assert!(!folder.path().join("planted").exists());
    }
}
