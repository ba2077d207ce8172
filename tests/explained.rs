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

/// Every method on a trained network, over pictures whose objects are known, and over files.
#[test]
fn saliency_is_written_shown_and_held_against_controls() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let listed = run(program("interp-train", folder.path()).args(["list", "saliency", "--json"])).1;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let names: Vec<&str> =
        listed["tables"]["saliency"].as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 20);
    // The network has no attention of its own.
    let names: Vec<&str> = names.into_iter().filter(|name| *name != "attention").collect();
    let methods = names.join(",");
    let few = ["--set", "rise.masks=30", "--set", "smooth_grad.samples=4", "--set", "integrated_gradients.most=50"];
    let mut arguments = vec!["saliency", "run", "--limit", "4", "--method", &methods, "--target", "label", "--json"];
    arguments.extend(few);
    let (status, said) = audit(folder.path(), &arguments);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["count"] == 4 && found["layer"] == "features.14" && found["split"] == "test", "{said}");
    for method in found["methods"].as_array().unwrap() {
        assert!(method["hits"]["value"].as_f64().unwrap() <= 100.0 && method["mass_in_object"]["interval"].is_array());
        let beyond = &method["hits_beyond_control"];
        let is_best = method["name"] == found["best_control"];
        assert!(beyond["interval"].is_array() && (!is_best || beyond["value"] == 0.0), "{method}");
    }
    let data = interp::net::sealed::read(&folder.path().join("saliency/data.safetensors")).unwrap().tensors;
    let input = data["input"].dims().to_vec();
    assert_eq!(data["logits"].dims()[0], 4);
    for name in names {
        let dims = data[name].dims();
        assert!(dims == input || (dims.len() == 3 && dims[0] == 4), "{name}: {dims:?}");
    }
    assert!(data.contains_key("rise.standard_error") && data.contains_key("lrp.lost.classifier"));
    let html = fs::read_to_string(folder.path().join("saliency/report.html")).unwrap();
    assert!(html.contains("more often than the best control") && html.contains("guided backpropagation"));
    // The same in other parts, and in f64; what a person's own pictures say.
    let again = ["saliency", "run", "--limit", "4", "--target", "label", "--method", "gradient", "--out", "again"];
    let (status, said) = audit(folder.path(), &[&again[..], &["--memory", "1MiB", "--double"]].concat());
    assert_eq!(status, 0, "{said}");
    let again = interp::net::sealed::read(&folder.path().join("again/data.safetensors")).unwrap().tensors;
    let close = (again["gradient"].to_dtype(candle_core::DType::F32).unwrap() - &data["gradient"]).unwrap();
    let furthest = close.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(furthest < 1e-3 * data["gradient"].abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap());
    image::RgbImage::from_fn(40, 50, |x, y| image::Rgb([x as u8 * 6, y as u8 * 5, 90]))
        .save(folder.path().join("own.png"))
        .unwrap();
    let own = ["saliency", "run", "--images", "own.png", "--out", "own", "--method", "grad_cam"];
    let (status, said) = audit(folder.path(), &own);
    assert!(status == 0 && !said.contains("hits"), "{said}");
    refused_saliency(folder.path());
}

/// What cannot be asked is told, with what was meant.
fn refused_saliency(folder: &Path) {
    for (arguments, told) in [
        (&["--method", "gradcam"][..], "did you mean grad_cam?"),
        (&["--layer", "features.99"], "did you mean `features."),
        (&["--layer", "classifier"], "it has no maps"),
        (&["--target", "nothing"], "no such class"),
        (&["--set", "rise.masks=2"], "--method does not name rise"),
        (&["--method", "rise", "--set", "rise.masks"], "METHOD.KEY=VALUE"),
        (&["--method", "rise", "--set", "rise.maks=2"], "maks"),
        (&["--method", "rise", "--set", "rise.seen=2"], "`rise.seen` must be between 0 and 1, not 2"),
        (&["--method", "occlusion", "--set", "occlusion.size=33"], "`occlusion.size` must be in 1..=32, not 33"),
        (&["--memory", "some"], "no number of bytes"),
        (&["--images", "missing.png"], "missing.png"),
        (&["--images", "recipe.toml"], "recipe.toml"),
    ] {
        let (status, said) = audit(folder, &[&["saliency", "run"], arguments].concat());
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
}

/// Every metric on a trained network: files, page, controls beside methods, and what cannot be asked.
#[test]
fn explanations_are_measured_beside_controls() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let few =
        ["--set", "infidelity.samples=20", "--set", "sensitivity_n.subsets=8", "--set", "max_sensitivity.samples=2"];
    let random = ["--set", "randomization.stages=2", "--set", "randomization.draws=2"];
    let methods = "gradient,guided_backpropagation,grad_cam,deep_lift";
    let arguments = ["metrics", "run", "--limit", "8", "--method", methods, "--set", "deletion.steps=8"];
    let arguments = [&arguments[..], &few, &random].concat();
    let (status, said) = audit(folder.path(), &[&arguments[..], &["--json", "--threads", "2"]].concat());
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["count"] == 8 && found["metrics"].as_array().unwrap().len() == 9 && found["split"] == "test");
    let judged = found["methods"].as_array().unwrap();
    let names: Vec<&str> = judged.iter().map(|method| method["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gradient", "guided_backpropagation", "grad_cam", "deep_lift", "center", "edges", "random"]);
    for method in judged {
        let of = |metric: &str, name: &str| &method["metrics"][metric][name];
        assert!(of("deletion", "area")["number"]["interval"].is_array(), "{method}");
        assert!(of("deletion", "area")["beyond_control"]["value"].is_number(), "{method}");
        let above = &of("deletion", "area")["above_control"];
        for what in ["pictures", "classes"] {
            let [better, all] = [0, 1].map(|at| above[what][at].as_u64().unwrap());
            assert!(better <= all && all > 0, "{method}: {above}");
        }
        let claims = method["name"] == "deep_lift";
        assert_eq!(of("completeness", "error").is_object(), claims, "{method}");
        if method["control"] == true {
            let similarity = of("randomization", "similarity")["number"]["value"].as_f64().unwrap();
            assert!(method["randomization"] == "fails" && (similarity - 1.0).abs() < 1e-12, "{method}");
        }
    }
    assert!(judged[3]["metrics"]["completeness"]["error"]["number"]["value"].as_f64().unwrap() < 1e-2, "{said}");
    assert_eq!(judged[6]["metrics"]["max_sensitivity"]["largest"]["number"]["value"], 0.0);
    let data = written(folder.path(), "metrics");
    assert_eq!(data["gradient.deletion.curve.score"].dims(), [8, 9]);
    assert_eq!(data["deletion.score.x"].to_vec1::<f64>().unwrap()[8], 1.0);
    assert_eq!(data["grad_cam.agreement.rank_correlation.gradient"].dims(), [8]);
    let html = fs::read_to_string(folder.path().join("metrics/report.html")).unwrap();
    for part in ["Beside the best control", "Method by method", "Sensitivity n", "steps = 8", "random (control)"] {
        assert!(html.contains(part), "{part}");
    }
    same_in_other_parts(folder.path(), &arguments, &data);
    for (arguments, told) in [
        (&["--metric", "deletions"][..], "did you mean deletion?"),
        (&["--method", "gradcam"], "did you mean grad_cam?"),
        (&["--metric", "deletion", "--set", "infidelity.samples=3"], "neither --method nor --metric names infidelity"),
        (&["--set", "deletion.stebs=3"], "stebs"),
        (&["--set", "randomization.threshold=2"], "`randomization.threshold` must be between 0 and 1, not 2"),
        (&["--set", "pixel_flipping.region=33"], "`pixel_flipping.region` must be in 1..=32, not 33"),
    ] {
        let (status, said) = audit(folder.path(), &[&["metrics", "run"], arguments].concat());
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
}

/// Whatever the threads, and how many pictures go through at a time.
fn same_in_other_parts(
    folder: &Path,
    arguments: &[&str],
    data: &std::collections::BTreeMap<String, candle_core::Tensor>,
) {
    let (status, said) = audit(folder, &[arguments, &["--threads", "1", "--out", "again"]].concat());
    assert!(status == 0 && said.contains("deletion area") && said.contains("better than the best control"), "{said}");
    let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let measured = |name: &&String| name.contains('.');
    let same =
        |a: f64, b: f64, within: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= within * (1.0 + a.abs());
    let again = written(folder, "again");
    for name in data.keys().filter(measured) {
        let pairs = numbers(&data[name]).into_iter().zip(numbers(&again[name]));
        assert!(pairs.into_iter().all(|(a, b)| same(a, b, 0.0)), "{name}");
    }
    let parts = ["--metric", "deletion,infidelity,sensitivity_n", "--memory", "1MiB", "--double", "--out", "parts"];
    let whole = ["--metric", "deletion,infidelity,sensitivity_n", "--double", "--out", "whole"];
    let shared: Vec<&str> = arguments[..10].to_vec();
    let [parts, whole] = [parts.as_slice(), &whole].map(|more| {
        let (status, said) = audit(folder, &[&shared, more].concat());
        assert_eq!(status, 0, "{said}");
        written(folder, more.last().unwrap())
    });
    for name in whole.keys().filter(measured) {
        let pairs = numbers(&whole[name]).into_iter().zip(numbers(&parts[name]));
        assert!(pairs.into_iter().all(|(a, b)| same(a, b, 1e-9)), "{name}");
    }
}

/// The atlas over the pictures of a data set: files, page, and what cannot be asked.
#[test]
fn neurons_are_told_by_what_they_answer_to() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let (status, said) = audit(folder.path(), &["neurons", "run", "--count", "10", "--json"]);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let layers = found["layers"].as_array().unwrap();
    assert!(found["pictures"] == 40 && layers.len() == 5 && layers[0]["node"] == "features.2", "{said}");
    let data = interp::net::sealed::read(&folder.path().join("neurons/data.safetensors")).unwrap().tensors;
    assert_eq!(data["features.2.feature"].dims(), [8, 3, 3, 3]);
    let answers = data["features.2.activation"].to_vec2::<f32>().unwrap();
    let pictures = data["features.2.picture"].to_vec2::<i64>().unwrap();
    for ((answers, pictures), neuron) in answers.iter().zip(&pictures).zip(layers[0]["neurons"].as_array().unwrap()) {
        assert!(answers.len() == 10 && answers.windows(2).all(|pair| pair[0] >= pair[1]));
        let kept = pictures.iter().filter(|picture| **picture >= 0).count() as u64;
        assert_eq!(kept, neuron["firing"].as_u64().unwrap().min(10));
    }
    let html = fs::read_to_string(folder.path().join("neurons/report.html")).unwrap();
    assert!(html.contains("Neuron Feature") && html.contains("answer to no picture") && html.len() < 2_000_000);
    shown_on_cards(folder.path(), &html, layers);
    // Pictures go through in other parts, and nothing changes.
    let again = ["neurons", "run", "--count", "10", "--layers", "features.2", "--memory", "1MiB", "--out", "again"];
    let (status, said) = audit(folder.path(), &again);
    assert!(status == 0 && said.contains("without selection"), "{said}");
    let again = interp::net::sealed::read(&folder.path().join("again/data.safetensors")).unwrap().tensors;
    for (name, tensor) in &again {
        let flat = |t: &candle_core::Tensor| {
            t.flatten_all().unwrap().to_dtype(candle_core::DType::F64).unwrap().to_vec1::<f64>().unwrap()
        };
        assert_eq!(flat(tensor), flat(&data[name]), "{name}");
    }
    for (arguments, told) in [
        (&["--layers", "feature.2"][..], "features.2"),
        (&["--count", "1"], "1 is not in"),
        (&["--data", "cifar10:nowhere"], "nowhere"),
    ] {
        let (status, said) = audit(folder.path(), &[&["neurons", "run"], arguments].concat());
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
}

/// Every neuron has its card; what a card says of a picture can be asked.
fn shown_on_cards(folder: &Path, html: &str, layers: &[Value]) {
    let block = html.split("<script type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(block).unwrap();
    let cards = data["cards"].as_array().unwrap();
    let neurons = |layer: &Value| layer["neurons"].as_array().unwrap().len();
    assert_eq!(cards.len(), layers.iter().map(neurons).sum::<usize>());
    for card in cards {
        let (layer, channel) = card["name"].as_str().unwrap().split_once(" · ").unwrap();
        let layer = layers.iter().find(|one| one["node"] == layer).unwrap();
        let neuron = &layer["neurons"][channel.parse::<usize>().unwrap()];
        assert_eq!(card["values"][0], neuron["class"]["index"]);
        let shots = card["shots"].as_array().unwrap();
        assert_eq!(shots.len() as u64, neuron["firing"].as_u64().unwrap().min(8));
        assert_eq!(card["facets"][2] == "yes", shots.is_empty());
        for shot in shots {
            let [x, y, width, height] = [0, 1, 2, 3].map(|at| shot[3][at].as_f64().unwrap());
            assert!(width > 0.0 && height > 0.0 && x + width <= 32.0 && y + height <= 32.0);
        }
    }
    let original = &data["originals"][0];
    let command = original["command"].as_str().unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..4], ["interp-audit", "saliency", "run", "--pictures"], "{command}");
    assert_eq!(original["name"], format!("Picture {}", words[4]));
    let (status, said) = audit(folder, &[&words[1..], &["--method", "gradient", "--json", "--out", "one"]].concat());
    assert!(status == 0 && said.contains("\"count\":1"), "{said}");
    let index = &interp::net::sealed::read(&folder.join("one/data.safetensors")).unwrap().tensors["index"];
    assert_eq!(index.to_vec1::<i64>().unwrap()[0].to_string(), words[4]);
    let (status, said) = audit(folder, &["saliency", "run", "--pictures", "40"]);
    assert!(status == 2 && said.contains("40 in this split"), "{said}");
}

/// Receptive fields over pictures and over noise, and what cannot be asked.
#[test]
fn receptive_fields_are_told_and_shown() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let (status, said) = audit(folder.path(), &["fields", "run", "--limit", "8", "--json"]);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let layers = found["layers"].as_array().unwrap();
    assert!(found["count"] == 8 && found["data"] == "concepts" && found["split"] == "test", "{said}");
    assert!(layers[0]["node"] == "features.0" && layers[0]["theoretical"]["size"] == serde_json::json!([3, 3]));
    let data = interp::net::sealed::read(&folder.path().join("fields/data.safetensors")).unwrap().tensors;
    for layer in layers {
        let side = layer["effective"]["side"].as_f64().unwrap();
        let size = layer["theoretical"]["size"][0].as_f64().unwrap();
        assert!(side >= 1.0 && side <= size + 1.0, "{layer}");
        let map = data[&format!("{}.effective", layer["node"].as_str().unwrap())].to_vec2::<f64>().unwrap();
        let ends = |of: &str| [0, 1].map(|at| layer["region"][of][at].as_u64().unwrap() as usize);
        let (rows, columns) = (ends("rows"), ends("columns"));
        let largest = map.iter().flatten().fold(0.0f64, |most, value| most.max(*value));
        for (row, values) in map.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let inside = (rows[0]..=rows[1]).contains(&row) && (columns[0]..=columns[1]).contains(&column);
                // Convolutions by transforms leave rounding beside what they read.
                assert!(inside || *value <= 1e-6 * largest, "{row},{column} of {layer}");
            }
        }
    }
    let html = fs::read_to_string(folder.path().join("fields/report.html")).unwrap();
    assert!(html.contains("Growth over layers") && html.contains("what moves it"));
    let noise = ["fields", "run", "--size", "32x32", "--limit", "4", "--cell", "0,1", "--layers", "features.*,avgpool"];
    let (status, said) = audit(folder.path(), &[&noise[..], &["--by-channel", "--memory", "1MiB"]].concat());
    assert!(status == 2 && said.contains("has 1 by 1 cells") && said.contains("0,1"), "{said}");
    let (status, said) = audit(folder.path(), &[&noise[..8], &["--layers", "features.0", "--by-channel"]].concat());
    assert!(status == 0 && said.contains("features.0"), "{said}");
    for (arguments, told) in [
        (&["--layers", "feature.0"][..], "features.0"),
        (&["--cell", "40,0"], "there is none at 40,0"),
        (&["--cell", "40"], "such as 3,4"),
        (&["--size", "16x16"], "its pictures are of 32x32"),
        (&["--size", "big"], "such as 32x32"),
        (&["--size", "32x32", "--data", "concepts"], "cannot be used with"),
    ] {
        let (status, said) = audit(folder.path(), &[&["fields", "run"], arguments].concat());
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
}

/// Filters of a network, and of one that they cannot be composed in.
#[test]
fn weights_are_told_and_shown() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let (status, said) = audit(folder.path(), &["weights", "run", "--json"]);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let layers = found["layers"].as_array().unwrap();
    assert!(layers.len() == 5 && layers[0]["filters"] == 8 && layers[4]["not_composed"].is_null(), "{said}");
    let data = interp::net::sealed::read(&folder.path().join("weights/data.safetensors")).unwrap().tensors;
    // The second layer reads means of 2x2 of the first: 3 + 1 + 2 * 2 pixels.
    assert_eq!(data["features.0.composed"].dims(), [8, 3, 3, 3]);
    assert_eq!(data["features.4.composed"].dims(), [16, 8, 8, 3]);
    let own = interp::net::sealed::read(&folder.path().join("run/model.safetensors")).unwrap().tensors;
    let filter = own["features.0.weight"].permute((0, 2, 3, 1)).unwrap();
    let difference = (filter - &data["features.0.composed"]).unwrap().abs().unwrap().max_all().unwrap();
    assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    let html = fs::read_to_string(folder.path().join("weights/report.html")).unwrap();
    assert!(html.contains("In one scale") && html.contains("by what it reads") && html.contains("are all zero"));
    let (status, said) = audit(folder.path(), &["weights", "run", "--layers", "classifier"]);
    assert!(status == 2 && said.contains("matches no convolution"), "{said}");
    // Sums, gates and descriptions are told by name.
    let folder = trained("kind = \"additive\"\nwidth = 0.25");
    let (status, said) = audit(folder.path(), &["weights", "run"]);
    assert_eq!(status, 0, "{said}");
    let html = fs::read_to_string(folder.path().join("weights/report.html")).unwrap();
    assert!(html.contains("do not compose with the layers before"));
    // Branches end apart: neurons of all of them are seen, and maps within one are weighed.
    let (status, said) = audit(folder.path(), &["neurons", "run", "--count", "4", "--json"]);
    assert_eq!(status, 0, "{said}");
    let (status, said) =
        audit(folder.path(), &["saliency", "run", "--limit", "2", "--method", "ablation_cam,grad_cam"]);
    assert_eq!(status, 0, "{said}");
}

/// The tensors that a command wrote.
fn written(folder: &Path, out: &str) -> std::collections::BTreeMap<String, candle_core::Tensor> {
    interp::net::sealed::read(&folder.join(out).join("data.safetensors")).unwrap().tensors
}

fn floats(tensor: &candle_core::Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Pictures of neurons beside those of the data, and what a layer knows of a picture.
#[test]
fn pictures_are_made_from_neurons_and_from_activations() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let units = ["--units", "features.6:3,classifier:1", "--layers", "features.2", "--count", "2"];
    let arguments = ["visualize", "run", "--steps", "30", "--variants", "2", "--json"];
    let (status, said) = audit(folder.path(), &[&arguments[..], &units].concat());
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let layers = found["layers"].as_array().unwrap();
    assert!(layers.len() == 3 && layers[0]["node"] == "features.2" && found["data"] == "concepts", "{said}");
    assert!(layers[0]["neurons"].as_array().unwrap().len() == 2 && layers[1]["neurons"][0]["channel"] == 3);
    assert!(layers[0]["neurons"][0]["likeness"].as_f64().unwrap() <= 1.0 + 1e-9);
    assert!(layers[2]["neurons"][0]["name"].as_str().unwrap().parse::<u32>().is_err(), "a class by its name: {said}");
    let data = written(folder.path(), "visualize");
    assert_eq!(data["features.2.pictures"].dims(), [2, 2, 32, 32, 3]);
    assert!(floats(&data["features.6.pictures"]).iter().all(|value| (0.0..=1.0).contains(value)));
    let html = fs::read_to_string(folder.path().join("visualize/report.html")).unwrap();
    assert!(html.contains("What neurons answer to most") && html.contains("answer more to their picture"));
    // The same in other parts and alone.
    let again = ["--units", "features.6:3", "--out", "again", "--memory", "1MiB", "--threads", "1"];
    let (status, said) = audit(folder.path(), &[&arguments[..6], &again].concat());
    assert!(status == 0 && said.contains("largest in data"), "{said}");
    let again = written(folder.path(), "again");
    assert_eq!(floats(&again["features.6.pictures"]), floats(&data["features.6.pictures"]));
    let (status, said) = audit(folder.path(), &["invert", "run", "--limit", "2", "--steps", "40", "--json"]);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let layers = found["layers"].as_array().unwrap();
    assert!(layers.len() >= 5 && layers[0]["node"] == "features.2" && found["count"] == 2, "{said}");
    let error = |layer: &Value, what: &str| layer[what][0].as_f64().unwrap();
    assert!(error(&layers[0], "error") < error(&layers[0], "other"), "{said}");
    assert_eq!(written(folder.path(), "invert")["features.2.pictures"].dims(), [2, 32, 32, 3]);
    assert!(fs::read_to_string(folder.path().join("invert/report.html")).unwrap().contains("What is lost"));
    for (arguments, told) in [
        (&["visualize", "run", "--layers", "feature.2"][..], "features.2"),
        (&["visualize", "run", "--units", "features.2:99"], "has the channels 0 to 7"),
        (&["visualize", "run", "--units", "classifier:squid"], "no such class"),
        (&["visualize", "run", "--units", "features.2"], "NODE:CHANNEL"),
        (&["visualize", "run", "--units", "features.22:1"], "did you mean `features.2"),
        (&["visualize", "run", "--contrast", "0.9"], "is not in (0, 0.5]"),
        (&["visualize", "run", "--data", "cifar10:nowhere"], "nowhere"),
        (&["invert", "run", "--layers", "feature.2"], "features.2"),
        (&["invert", "run", "--bound=-1"], "no number from 0 on"),
        (&["invert", "run", "--images", "missing.png"], "missing.png"),
        (&["invert", "run", "--limit", "0"], "0 is not in"),
    ] {
        let (status, said) = audit(folder.path(), arguments);
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
    damaged(folder.path());
}

/// Weights that are no numbers are told, whatever is asked of them.
fn damaged(folder: &Path) {
    let path = folder.join("run/model.safetensors");
    let mut file = interp::net::sealed::read(&path).unwrap();
    let weight = &file.tensors["features.0.weight"];
    let nothing = (weight.zeros_like().unwrap() * f64::NAN).unwrap();
    file.tensors.insert("features.0.weight".into(), (nothing + f64::NAN).unwrap());
    interp::net::sealed::write(&folder.join("damaged.safetensors"), &file.tensors, &file.content.unwrap()).unwrap();
    for command in ["visualize", "invert", "blocks"] {
        let (status, said) = audit(folder, &[command, "damaged.safetensors"]);
        assert!(status == 2 && said.contains("damaged"), "{command}: {said}");
    }
}

/// What channels, places and groups speak for an output adds up, and to the output itself where all behind the layer is linear.
#[test]
fn building_blocks_add_up_and_are_shown() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let arguments = ["blocks", "run", "--limit", "3", "--factors", "3", "--json"];
    let (status, said) = audit(folder.path(), &[&arguments[..], &["--against", "second", "--steps", "10"]].concat());
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(
        found["layer"] == "features.14" && found["groups"] == 3 && found["pictures"].as_array().unwrap().len() == 3
    );
    assert!(found["pictures"][0]["against"] != found["pictures"][0]["target"], "{said}");
    let data = written(folder.path(), "blocks");
    let channels = data["channels"].to_vec2::<f32>().unwrap();
    let places = data["places"].flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    for ((channels, places), picture) in channels.iter().zip(&places).zip(found["pictures"].as_array().unwrap()) {
        let attributed = picture["attribution"].as_f64().unwrap() as f32;
        for sum in [channels.iter().sum::<f32>(), places.iter().sum()] {
            assert!((sum - attributed).abs() < 1e-3 * (1.0 + attributed.abs()), "{sum} for {attributed}");
        }
    }
    assert_eq!(data["groups.amount"].dims()[..2], [3, 3]);
    assert_eq!(data["groups.pictures"].dims(), [3, 32, 32, 3]);
    let html = fs::read_to_string(folder.path().join("blocks/report.html")).unwrap();
    assert!(
        html.contains("What is seen where") && html.contains("the rest") && html.contains("Channels that speak most")
    );
    // Where activations are negative there are no groups, unless they are asked for.
    let before =
        ["blocks", "run", "--layer", "features.0", "--limit", "1", "--steps", "0", "--out", "before", "--json"];
    let (status, said) = audit(folder.path(), &before);
    assert!(status == 0 && said.contains("\"groups\":0"), "{said}");
    // Behind the last maps are a mean and a linear map: the output without its bias.
    let last = ["--layer", "features.18", "--steps", "0", "--target", "label", "--out", "last"];
    let (status, said) = audit(folder.path(), &[&arguments[..], &last].concat());
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let model = interp::net::sealed::read(&folder.path().join("run/model.safetensors")).unwrap().tensors;
    let bias = model["classifier.bias"].to_vec1::<f32>().unwrap();
    let targets = written(folder.path(), "last")["target"].to_vec1::<i64>().unwrap();
    for (picture, target) in found["pictures"].as_array().unwrap().iter().zip(targets) {
        let [score, attributed] = ["score", "attribution"].map(|key| picture[key].as_f64().unwrap());
        assert!((score - f64::from(bias[target as usize]) - attributed).abs() < 1e-4, "{said}");
    }
    for (arguments, told) in [
        (&["--layer", "features.99"][..], "did you mean `features."),
        (&["--layer", "classifier"], "it has no maps"),
        (&["--layer", "features.0", "--factors", "3"], "such as --layer features.2"),
        (&["--target", "nothing"], "no such class"),
        (&["--against", "nothing"], "--against nothing: no such class"),
        (&["--images", "recipe.toml"], "recipe.toml"),
    ] {
        let (status, said) = audit(folder.path(), &[&["blocks", "run"], arguments].concat());
        assert!(status == 2 && said.contains(told), "{arguments:?}: {said}");
    }
}

/// A network trained for a moment: what is found of it is checked by hand elsewhere; here, that all of it is written.
#[test]
fn colors_and_concepts_are_told_with_what_they_are_held_against() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let (status, said) = audit(folder.path(), &["color", "run", "--out", "color", "--json", "--memory", "64MiB"]);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert!(found["data"] == "concepts" && found["first_layer"]["filters"].as_array().is_some_and(|f| !f.is_empty()));
    let layer = &found["layers"][0];
    assert!(layer["median"].is_number() && layer["untrained_median"].is_number(), "{layer}");
    let html = fs::read_to_string(folder.path().join("color/report.html")).unwrap();
    assert!(html.contains("Beside human vision") && html.contains("Rayleigh"));

    let dissect = ["dissect", "run", "--out", "dissect", "--json", "--quantile", "0.05"];
    let (status, said) = audit(folder.path(), &dissect);
    assert_eq!(status, 0, "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let concepts = found["concepts"].as_array().unwrap();
    let of = |name: &str| concepts.iter().find(|concept| concept["name"] == name).unwrap();
    // Every picture has a background of one of three kinds.
    let backgrounds: f64 = ["flat", "gradient", "textured"]
        .iter()
        .map(|kind| of(&format!("background/{kind}"))["density"].as_f64().unwrap())
        .sum();
    assert!((0.7..1.0).contains(&backgrounds), "{backgrounds}");
    let rotated: Vec<bool> =
        found["layers"].as_array().unwrap().iter().map(|layer| layer["rotated"].as_bool().unwrap()).collect();
    assert!(rotated.contains(&true) && rotated.contains(&false));
    for (arguments, expected) in [
        (&["dissect", "run", "--layers", "featurs.2"][..], "features.2"),
        (&["dissect", "run", "--quantile", "1.5"], "no number between 0 and 1"),
        (&["color", "run", "--layers", "nowhere"], "nowhere"),
    ] {
        let (status, said) = audit(folder.path(), arguments);
        assert!(status == 2 && said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn all_analyses_are_on_one_page() {
    let folder = trained("kind = \"vgg\"\ndepth = 8\nwidth = 0.125");
    let (status, said) = audit(folder.path(), &["all", "run", "--out", "audit", "--count", "10"]);
    assert_eq!(status, 0, "{said}");
    let html = fs::read_to_string(folder.path().join("audit/report.html")).unwrap();
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("audit/summary.json")).unwrap()).unwrap();
    for name in ["weights", "fields", "saliency", "neurons", "color", "dissect"] {
        assert!(html.contains(&format!("id=\"{name}-")), "{name}");
        let own = fs::read_to_string(folder.path().join("audit").join(name).join("summary.json")).unwrap();
        assert_eq!(summary["analyses"][name], serde_json::from_str::<Value>(&own).unwrap(), "{name}");
        assert!(folder.path().join("audit").join(name).join("data.safetensors").is_file());
        let alone = fs::read_to_string(folder.path().join("audit").join(name).join("report.html")).unwrap();
        let leads = |page: &str, to: &str| page.contains(&format!("<li><a href=\"{to}\">"));
        assert!(leads(&html, &format!("{name}/report.html")) && leads(&html, "../run/report.html"), "{name}");
        assert!(leads(&alone, "../report.html") && leads(&alone, "../../run/report.html"), "{name}");
    }
}

/// Relevance has no rule for what `additive` describes pictures by, and has one for B-cos convolutions.
#[test]
fn audits_of_other_networks_leave_out_what_does_not_apply() {
    for (model, left_out) in
        [("kind = \"additive\"\nwidth = 0.25", true), ("kind = \"bcos_resnet\"\nwidth = 0.25", false)]
    {
        let folder = trained(model);
        let all = ["all", "run", "--out", "audit", "--count", "3"];
        let (status, _, said) = run(program("interp-audit", folder.path()).args(all));
        assert!(status == 0 && said.contains("lrp is left out") == left_out, "{model}: {said}");
        let summary: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("audit/summary.json")).unwrap()).unwrap();
        let methods = summary["analyses"]["saliency"]["methods"].as_array().unwrap();
        assert!(methods.iter().any(|method| method["name"] == "integrated_gradients"), "{summary}");
    }
}
