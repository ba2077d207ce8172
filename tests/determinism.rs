use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::common::{TINY, folder, program, run};

/// The files of a finished run that must not depend on how it came about.
fn results(run: &Path) -> [Vec<u8>; 3] {
    ["model.safetensors", "twin/model.safetensors", "recipe.toml"].map(|name| fs::read(run.join(name)).unwrap())
}

fn train(folder: &Path, out: &str, threads: &str) {
    let (status, _, stderr) =
        run(program("interp-train", folder).args(["recipe.toml", "--quiet", "--out", out, "--threads", threads]));
    assert_eq!(status, 0, "{stderr}");
}

#[test]
fn one_two_and_three_threads_give_the_same_bits() {
    let folder = folder(TINY);
    train(folder.path(), "one", "1");
    let one = results(&folder.path().join("one"));
    for threads in ["2", "3"] {
        train(folder.path(), threads, threads);
        assert!(one == results(&folder.path().join(threads)), "{threads} threads");
    }
}

/// When to kill a program; seen from when it was started.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// So long after its first saved state.
    After(Duration),
    /// While it writes a file.
    DuringASave,
    /// When it has logged an epoch.
    AtAnEpoch,
}

/// What a run's folder looks like.
#[derive(Debug, Default)]
struct Look {
    partial: Vec<String>,
    state: Option<SystemTime>,
    lines: usize,
}

impl Look {
    fn at(run: &Path) -> Self {
        let names = fs::read_dir(run).into_iter().flatten().flatten();
        let names = names.map(|file| file.file_name().to_string_lossy().into_owned());
        Self {
            partial: names.filter(|name| name.starts_with(".partial-")).collect(),
            state: fs::metadata(run.join("state.safetensors")).and_then(|m| m.modified()).ok(),
            lines: fs::read_to_string(run.join("log.jsonl")).map_or(0, |log| log.lines().count()),
        }
    }
}

/// Kills at the moment; true if the program had not ended before.
fn kill_at(moment: Option<Moment>, mut child: Child, run: &Path, before: &Look) -> bool {
    let mut first_save = None;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            assert!(status.success(), "{text}");
            return false;
        }
        let now = Look::at(run);
        if now.state != before.state {
            first_save = first_save.or(Some(Instant::now()));
        }
        let has_come = moment.is_some_and(|moment| match moment {
            Moment::After(time) => first_save.is_some_and(|save| save.elapsed() >= time),
            Moment::DuringASave => now.partial.iter().any(|name| !before.partial.contains(name)),
            Moment::AtAnEpoch => now.lines > before.lines,
        });
        if has_come {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn start(folder: &Path, run: &Path) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("interp-train"));
    command.args(["recipe.toml", "--quiet", "--out"]).arg(run).args(["--save-every", "0"]).current_dir(folder);
    if run.join("recipe.toml").exists() {
        command.arg("--resume");
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn killed_at_twenty_moments_and_resumed_ends_the_same() {
    let folder = folder(TINY);
    train(folder.path(), "whole", "2");
    let whole = results(&folder.path().join("whole"));
    let run: PathBuf = folder.path().join("killed");
    // Four epochs in all, each a phase: two of the network, two of the twin.
    let after = |ms| Moment::After(Duration::from_millis(ms));
    let moments = [Moment::DuringASave, Moment::AtAnEpoch, after(20), Moment::DuringASave, after(120)].repeat(4);
    let (mut kills, mut in_twin, mut half_written, mut at_a_change) = (0, 0, 0, 0);
    for moment in moments {
        // A run that ended before its moment is begun anew.
        loop {
            if run.join("summary.json").exists() {
                fs::remove_dir_all(&run).unwrap();
            }
            let before = Look::at(&run);
            if kill_at(Some(moment), start(folder.path(), &run), &run, &before) {
                let now = Look::at(&run);
                kills += 1;
                in_twin += usize::from(run.join("model.safetensors").exists());
                half_written += usize::from(now.partial.iter().any(|name| !before.partial.contains(name)));
                at_a_change += usize::from(moment == Moment::AtAnEpoch && [1, 3].contains(&now.lines));
                break;
            }
        }
    }
    println!(
        "{kills} kills: {in_twin} in the twin, {at_a_change} at a change of phase, {half_written} with a half-written file left"
    );
    assert!(kills == 20 && in_twin > 0 && half_written > 0 && at_a_change > 0);
    assert!(!kill_at(None, start(folder.path(), &run), &run, &Look::default()));
    assert!(whole == results(&run));
    assert!(Look::at(&run).partial.is_empty(), "what was half-written is gone");
    assert_eq!(epochs(&run), [1, 2, 1, 2], "the log has every epoch once");
}

#[test]
fn the_state_alone_is_enough_in_the_twin() {
    let folder = folder(TINY);
    train(folder.path(), "whole", "2");
    let run = folder.path().join("killed");
    let two_epochs = Look { lines: 2, ..Look::default() }; // those of the main network
    while !kill_at(Some(Moment::AtAnEpoch), start(folder.path(), &run), &run, &two_epochs) {
        fs::remove_dir_all(&run).unwrap();
    }
    fs::remove_file(run.join("model.safetensors")).unwrap();
    assert!(!kill_at(None, start(folder.path(), &run), &run, &Look::default()));
    assert!(results(&folder.path().join("whole")) == results(&run));
}

fn epochs(run: &Path) -> Vec<u64> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    log.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["epoch"].as_u64().unwrap()).collect()
}

#[cfg(unix)]
#[test]
fn interrupted_it_saves_says_how_to_go_on_and_ends_the_same() {
    let folder = folder(TINY);
    train(folder.path(), "whole", "2");
    let run = folder.path().join("stopped");
    let mut child = start(folder.path(), &run);
    while Look::at(&run).lines == 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    // SIGINT is what Ctrl-C sends.
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("--resume"), "{said}");
    assert!(Look::at(&run).partial.is_empty() && Look::at(&run).lines < 4);
    assert!(!kill_at(None, start(folder.path(), &run), &run, &Look::default()));
    assert!(results(&folder.path().join("whole")) == results(&run));
    assert_eq!(epochs(&run), [1, 2, 1, 2]);
}
