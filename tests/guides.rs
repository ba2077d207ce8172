//! The commands of the guides, each run as it stands there, with fewer pictures and epochs.

use std::fs;
use std::path::Path;

use crate::common::{folder, program, run, write_pictures};

/// What makes training quick; what a command says itself comes after it.
const QUICK: [&str; 8] =
    ["--set", "data.train=160", "--set", "data.val=40", "--set", "data.test=40", "--set", "train.phase.0.epochs=1"];

/// The lines of the blocks that are marked as commands.
fn commands(guide: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(guide)).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The words of a command, with quotes and patterns of files taken as a shell does.
fn words(command: &str, folder: &Path) -> Vec<String> {
    let words = command.split(' ').map(|word| word.replace('\'', ""));
    words.flat_map(|word| if word.contains('*') { matching(&word, folder) } else { vec![word] }).collect()
}

/// The files of `pictures/*/*.png`.
fn matching(pattern: &str, folder: &Path) -> Vec<String> {
    assert_eq!(pattern, "pictures/*/*.png", "a pattern that is not known here");
    let classes = fs::read_dir(folder.join("pictures")).unwrap().map(|class| class.unwrap().path());
    let files = classes.flat_map(|class| fs::read_dir(class).unwrap().map(|file| file.unwrap().path()));
    files.take(3).map(|file| file.to_str().unwrap().to_owned()).collect()
}

fn runs(guide: &str) {
    let folder = folder("");
    let root = folder.path();
    std::os::unix::fs::symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes"), root.join("recipes")).unwrap();
    write_pictures(root, &[("left", 20), ("right", 20)]);
    let all = commands(guide);
    assert!(!all.is_empty());
    for command in all {
        let words = words(&command, root);
        let trains = words[0] == "interp-bench" || words.get(1).is_some_and(|word| word.starts_with("recipes/"));
        let is_own = command.contains("kind=\"folder\"");
        let quick: &[&str] = match (trains, is_own) {
            (true, false) => &QUICK,
            (true, true) => &QUICK[6..],
            (false, _) => &[],
        };
        // After the recipes, so that what the command sets itself holds.
        let (before, after): (Vec<String>, Vec<String>) = {
            let at = words.iter().position(|word| word.starts_with("--")).unwrap_or(words.len());
            (words[1..at].to_vec(), words[at..].to_vec())
        };
        let (status, _, stderr) = run(program(&words[0], root).args(before).args(quick).args(after));
        // Networks that learned next to nothing need not keep their claims, where these are told.
        let tells_claims = trains || words[1] == "claims";
        assert!(status == 0 || tells_claims && status == 1, "{guide}: {command}\n{stderr}");
    }
}

#[test]
fn the_guide_to_training() {
    runs("train.md");
}

#[test]
fn the_guide_to_auditing() {
    runs("audit.md");
}

#[test]
fn the_guide_to_benches() {
    runs("bench.md");
}
