use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{TINY, folder, program, run};

/// Trains the small recipe of the tests with another model, without priors and twin.
fn trained(model: &str) -> tempfile::TempDir {
    let mut table: toml::Table = toml::from_str(TINY).unwrap();
    table.insert("model".into(), toml::from_str::<toml::Table>(model).unwrap().into());
    table.insert("twin".into(), false.into());
    table.remove("prior");
    let folder = folder(&toml::to_string(&table).unwrap());
    let (status, _, stderr) =
        run(program("interp-train", folder.path()).args(["recipe.toml", "--out", "run", "--quiet"]));
    assert_eq!(status, 0, "{stderr}");
    folder
}

fn audit(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let (status, stdout, stderr) = run(program("interp-audit", folder).args(arguments));
    (status, if status == 0 { stdout } else { stderr })
}

#[test]
fn contributions_of_pixels_add_up_to_logits_and_are_shown() {
    let folder = trained("kind = \"bcos_resnet\"\nwidth = 0.25");
    let (status, said) = audit(folder.path(), &["claims", "run"]);
    assert!(status == 0 && said.contains("what pixels contribute"), "{said}");
    let page = ["contributions", "run", "--count", "5", "--json", "--page", "page.html"];
    let (status, said) = audit(folder.path(), &page);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["largest_gap"].as_f64().unwrap() < 1e-4, "{said}");
    let pictures = found["pictures"].as_array().unwrap();
    assert_eq!(pictures.iter().map(|p| p["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 8, 16, 24, 32]);
    let html = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(html.contains("Picture 32") && html.contains("What pixels contribute"));
    let (_, said, stderr) = run(program("interp-audit", folder.path()).args(["contributions", "run", "--count", "2"]));
    assert!(said.contains("taken for") && said.contains("largest gap"), "{said}");
    assert!(!stderr.contains("warning"), "{stderr}");
}

/// The logits of a network with biases are not made of its pixels alone: the command says so.
#[test]
fn what_is_added_to_logits_is_told_as_gap_and_a_channel_can_be_taken_away() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125\nsaliency = true");
    let (_, said) = audit(folder.path(), &["contributions", "run", "--count", "3", "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["largest_gap"].as_f64().unwrap() > 1e-3, "{said}");
    let page = ["contributions", "run", "--count", "3", "--page", "page.html"];
    let (status, _, stderr) = run(program("interp-audit", folder.path()).args(page));
    let warning = "is no linear map of its input";
    assert!(status == 0 && stderr.contains(warning) && stderr.contains("page: page.html"), "{stderr}");
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().contains(warning));
    let (_, said) = audit(folder.path(), &["ablate", "run", "--node", "saliency", "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["count"] == 40 && found["node"] == "saliency", "{said}");
    let share = |key: &str| found[key].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share("accuracy")) && (0.0..=1.0).contains(&share("without")));
    // With its mean in place of it, the last node is the same for all pictures: they are taken for one class, a tenth of them.
    let (_, said) = audit(folder.path(), &["ablate", "run", "--node", "avgpool", "--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["without"], 0.1, "{said}");
    let (status, said) = audit(folder.path(), &["contributions", "run", "--count", "0"]);
    assert!(status == 2 && said.contains("--count"), "{said}");
    let (_, said) = audit(folder.path(), &["ablate", "run", "--node", "avgpool"]);
    assert!(said.contains("40 pictures of concepts") && said.contains("`avgpool`"), "{said}");
    let (status, said) = audit(folder.path(), &["ablate", "run", "--node", "salience"]);
    assert!(status == 2 && said.contains("did you mean `saliency`"), "{said}");
}
