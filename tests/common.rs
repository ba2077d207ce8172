use std::path::Path;
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

/// [`TINY`] on the folder of pictures `pictures`.
pub(crate) fn on_pictures() -> String {
    let data = "kind = \"concepts\"\ntrain = 160\nval = 40\ntest = 40";
    assert!(TINY.contains(data));
    TINY.replacen(data, "kind = \"folder\"\npath = \"pictures\"\nsize = 32", 1)
}

/// Writes `counts` pictures of each class, none like another, to `pictures` in `folder`.
pub(crate) fn write_pictures(folder: &Path, counts: &[(&str, u8)]) {
    for (class, count) in counts {
        let at = folder.join("pictures").join(class);
        std::fs::create_dir_all(&at).unwrap();
        for i in 0..*count {
            let value = |p: usize| (p as u8).wrapping_mul(i + 1).wrapping_add(class.as_bytes()[0]);
            let rgb: Vec<u8> = (0..32 * 32 * 3).map(value).collect();
            std::fs::write(at.join(format!("{i}.png")), interp::report::png(32, 32, &rgb).unwrap()).unwrap();
        }
    }
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

/// Runs a program that ends with an error which says all of this.
pub(crate) fn fails(folder: &Path, name: &str, arguments: &[&str], expected: &[&str]) {
    let (status, _, stderr) = run(program(name, folder).args(arguments));
    assert_eq!(status, 2, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    // Long lines are wrapped for the terminal.
    let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    for part in expected {
        assert!(flat.contains(part), "`{part}` for {arguments:?} in:\n{stderr}");
    }
}

/// A folder with a run on pictures of which nothing is known but their classes.
pub(crate) fn trained_on_plain_pictures() -> tempfile::TempDir {
    let folder = folder(&on_pictures());
    write_pictures(folder.path(), &[("left", 20), ("right", 20)]);
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert!(status == 0 || status == 1, "{stderr}");
    folder
}
