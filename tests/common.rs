use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// A recipe that trains two small networks in a second or two, each phase one epoch.
pub(crate) const TINY: &str = r#"
name = "tiny"

[data]
kind = "concepts"
train = 160
val = 40
test = 40

[augment]
flip = true
pad_crop = 2

[model]
kind = "vgg"
depth = 8
width = 0.125

[train]
batch = 32
ema = 0.9

[[train.phase]]
epochs = 1
learning_rate = 0.05
schedule = "constant"

[[train.phase]]
epochs = 1
learning_rate = 0.05

[[prior]]
kind = "l1"
nodes = ["features.*"]
target = 0.5
"#;

/// A folder with the recipe `text` as `recipe.toml`.
pub(crate) fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("recipe.toml"), text).unwrap();
    folder
}

/// A program of ours, run in `folder`.
pub(crate) fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::cargo_bin(name).unwrap();
    command.current_dir(folder);
    command
}

/// Runs and gives exit status, standard output and standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A file or folder of the shared data, or `None` with a line that says what is skipped.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("INTERP_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("shared").join("data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {name} is not there (looked in INTERP_DATA, or ../shared/data)");
    None
}
