use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

/// When to kill: told how long the program has run, and what its folder looks like.
enum Moment {
    After(Duration),
    DuringASave,
    AtTheEpoch(usize),
}

impl Moment {
    fn has_come(&self, run: &Path, elapsed: Duration) -> bool {
        match self {
            Self::After(time) => elapsed >= *time,
            Self::DuringASave => fs::read_dir(run).is_ok_and(|files| {
                files.flatten().any(|file| file.file_name().to_string_lossy().starts_with(".partial-"))
            }),
            Self::AtTheEpoch(lines) => {
                fs::read_to_string(run.join("log.jsonl")).is_ok_and(|log| log.lines().count() >= *lines)
            }
        }
    }
}

fn start(folder: &Path, resume: bool) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("interp-train"));
    command.args(["recipe.toml", "--quiet", "--out", "killed", "--save-every", "0"]).current_dir(folder);
    if resume {
        command.arg("--resume");
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills at the moment; true if the program had not ended before.
fn kill_at(moment: &Moment, mut child: Child, run: &Path) -> bool {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
            assert!(status.success(), "{text}");
            return false;
        }
        if moment.has_come(run, began.elapsed()) {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn killed_at_twenty_moments_and_resumed_ends_the_same() {
    let folder = folder(TINY);
    train(folder.path(), "whole", "2");
    let whole = results(&folder.path().join("whole"));
    let run: PathBuf = folder.path().join("killed");
    // Four epochs in all: a change of phase after the first, the twin from the third on.
    let mut moments: Vec<Moment> = vec![];
    for lines in 1..=4 {
        moments.extend([Moment::DuringASave, Moment::AtTheEpoch(lines), Moment::DuringASave]);
        moments.extend([120, 330].map(|ms| Moment::After(Duration::from_millis(ms))));
    }
    let (mut kills, mut in_twin, mut during_a_save) = (0, 0, 0);
    for moment in &moments {
        // A run that ended before its moment is begun anew.
        loop {
            if run.join("summary.json").exists() {
                fs::remove_dir_all(&run).unwrap();
            }
            if kill_at(moment, start(folder.path(), run.join("recipe.toml").exists()), &run) {
                kills += 1;
                in_twin += usize::from(run.join("model.safetensors").exists());
                during_a_save += usize::from(Moment::DuringASave.has_come(&run, Duration::ZERO));
                break;
            }
        }
    }
    println!("{kills} kills, {in_twin} of them in the twin, {during_a_save} with a half-written temporary file left");
    assert!(kills == 20 && in_twin > 0 && during_a_save > 0);
    let resume = run.join("recipe.toml").exists();
    assert!(!kill_at(&Moment::After(Duration::from_secs(300)), start(folder.path(), resume), &run));
    assert!(whole == results(&run));
    assert!(!Moment::DuringASave.has_come(&run, Duration::ZERO), "what was half-written is gone");
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let epochs: Vec<u64> =
        log.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 1, 2], "the log has every epoch once");
}
