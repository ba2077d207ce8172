//! Networks that learn from others, by the programs.

use std::fs;
use std::path::Path;

use crate::common::{TINY, folder, program, run};

/// A teacher for [`TINY`]'s data, trained in the folder's `teacher`.
fn with_teacher() -> tempfile::TempDir {
    let folder =
        folder(&TINY.replacen("width = 0.125", "width = 0.25", 1).replace("name = \"tiny\"", "name = \"teacher\""));
    let (status, _, stderr) = run(program("interp-train", folder.path()).args([
        "recipe.toml",
        "--set",
        "twin=false",
        "--out",
        "teacher",
        "--quiet",
    ]));
    assert_eq!(status, 0, "{stderr}");
    let section = "\n[[teacher]]\npath = \"teacher\"\ncache = \"logits\"\n\n[[teacher.loss]]\nkind = \"soft_labels\"\nweight = 0.9\n";
    let student = TINY.replacen("batch = 32", "batch = 32\nlabel_weight = 0.1", 1);
    fs::write(folder.path().join("student.toml"), format!("{student}{section}")).unwrap();
    folder
}

fn weights(folder: &Path, run: &str) -> Vec<u8> {
    let file = fs::read(folder.join(run).join("model.safetensors")).unwrap();
    // The description beside the tensors has the recipe with its path of the cache; the tensors come after it.
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    file[8 + header..].to_vec()
}

#[test]
fn a_teacher_runs_once_and_its_logits_serve_the_next_training_to_the_bit() {
    let folder = with_teacher();
    let train = |out: &str, more: &[&str]| {
        let mut command = program("interp-train", folder.path());
        command.args(["student.toml", "--quiet", "--out", out]).args(more);
        let (status, _, stderr) = run(&mut command);
        assert_eq!(status, 0, "{stderr}");
    };
    train("first", &[]);
    let kept = folder.path().join("logits");
    let of_teacher = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_dir(&of_teacher).unwrap().count(), 2, "one file for each epoch");
    let written = |at: &Path| -> Vec<_> {
        let files = fs::read_dir(at).unwrap().map(|file| file.unwrap());
        let mut files: Vec<_> =
            files.map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = written(&of_teacher);
    train("second", &["--set", "twin_lacks=\"teachers\""]);
    assert_eq!(written(&of_teacher), before, "what the teacher says again would be written again");
    assert_eq!(weights(folder.path(), "second"), weights(folder.path(), "first"));
    train("without", &["--set", "teacher=[]", "--set", "train.label_weight=1.0"]);
    assert_ne!(weights(folder.path(), "without"), weights(folder.path(), "first"));
    // Learning from labels alone is what the twin that lacks teachers did.
    let twin = weights(folder.path(), "second/twin");
    assert_eq!(twin, weights(folder.path(), "without"));
    train("other_seed", &["--seed", "5"]);
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 2, "other changes of pictures have a folder of their own");
    let summary = fs::read_to_string(folder.path().join("second/report.html")).unwrap();
    assert!(summary.contains("What teachers give") && summary.contains("its twin without teachers"));
}

#[test]
fn what_is_wrong_with_a_teacher_is_told_at_its_place() {
    let folder = with_teacher();
    fs::write(folder.path().join("page.safetensors"), "<!DOCTYPE html><html><body>Sign in</body></html>").unwrap();
    let cases: [(&[&str], &str); 11] = [
        (&["teacher.0.path=\"nowhere\""], "nowhere: no such file"),
        (&["teacher.0.path=\"page.safetensors\""], "web page"),
        (&["teacher.0.loss=[]"], "needs at least one"),
        (&["teacher.0.weight=-1.0"], "`teacher.0.weight` must be above 0, not -1"),
        (&["teacher.0.loss.0.temperature=0.0"], "`teacher.0.loss.0.temperature` must be above 0"),
        (&["teacher.0.loss.0.kind=\"soft_lables\""], "did you mean `soft_labels`?"),
        (&["teacher.0.loss.0.temprature=2.0"], "did you mean `temperature`?"),
        (
            &["teacher.0.loss.0={kind=\"hints\",student=\"features.1\",teacher=\"fetures.1\"}"],
            "did you mean `features.1`?",
        ),
        (&["teacher=[]"], "of which there are none"),
        (
            &["teacher.0.loss.0={kind=\"hints\",student=\"features.2\",teacher=\"features.2\"}"],
            "cannot spare a teacher",
        ),
        (&["teacher=[]", "twin_lacks=\"teachers\""], "there are no teachers to go without"),
    ];
    for (sets, problem) in cases {
        let mut command = program("interp-train", folder.path());
        command.args(["student.toml", "--dry-run"]);
        sets.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        let (status, _, stderr) = run(&mut command);
        let flat: String = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(status == 2 && flat.contains(problem) && !flat.contains("panicked"), "{sets:?}: {stderr}");
    }
}
