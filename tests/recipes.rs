use std::fs;
use std::path::{Path, PathBuf};

use interp::Catalog;
use interp::folder::Folder;
use interp::plan::Plan;
use interp::recipe::{Recipe, schema};

use crate::common::{TINY, folder, program, run, write_pictures};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("recipes")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

#[test]
fn shipped_recipes_are_read_and_resolve_to_themselves() {
    let catalog = Catalog::default();
    for path in shipped() {
        let recipe = Recipe::read(&path, &[], &catalog).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(recipe.common.name, name);
        let text = recipe.resolved().unwrap();
        let again = Recipe::parse("resolved", &text, &catalog).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        assert_eq!(again.resolved().unwrap(), text, "{name}");
    }
}

/// Pixels of a picture, other ones for each.
fn pixels(picture: usize, count: usize) -> impl Iterator<Item = u8> {
    (0..count).map(move |at| ((at + 1) * (picture + 3) * 7919 % 251) as u8)
}

/// The four files of MNIST, of 60 and 20 pictures.
fn write_mnist(folder: &Path) -> PathBuf {
    let folder = folder.join("mnist");
    fs::create_dir(&folder).unwrap();
    for (split, first, count) in [("train", 0, 60u32), ("t10k", 100, 20)] {
        let head = |magic: u32, sizes: &[u32]| -> Vec<u8> {
            [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect()
        };
        let pictures = (first..first + count as usize).flat_map(|picture| pixels(picture, 28 * 28));
        let images = head(0x803, &[count, 28, 28]).into_iter().chain(pictures);
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images.collect::<Vec<_>>()).unwrap();
        let labels = head(0x801, &[count]).into_iter().chain((0..count).map(|picture| (picture % 10) as u8));
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels.collect::<Vec<_>>()).unwrap();
    }
    folder
}

/// CIFAR-10 in its binary form, of 60 and 20 pictures.
fn write_cifar10(folder: &Path) -> PathBuf {
    let folder = folder.join("cifar10");
    fs::create_dir(&folder).unwrap();
    for (name, first, count) in [("data_batch_1", 0, 60), ("test_batch", 100, 20)] {
        let picture = |picture: usize| std::iter::once((picture % 10) as u8).chain(pixels(picture, 3072));
        fs::write(folder.join(format!("{name}.bin")), (first..first + count).flat_map(picture).collect::<Vec<_>>())
            .unwrap();
    }
    folder
}

/// What the recipes of the table become on other data: they are planned, or refused for what the pictures lack.
#[test]
fn shipped_recipes_fit_mnist_and_cifar10_or_say_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let [mnist, cifar10] = [write_mnist(folder.path()), write_cifar10(folder.path())];
    let refused = [
        ("mnist", "additive", "without color"),
        ("mnist", "monotone", "without color"),
        ("mnist", "orthogonal_vgg", "`prior.0.target` must be above 0.0824"), // 32 filters of 9 weights: Welch's bound
        ("mnist", "decorrelated_vgg", "`prior.0.target` must be above 0.0824"),
        ("mnist", "opponent_vgg", "no layer that this prior can act on"),
        ("mnist", "attention_prior", "where objects are"),
        ("cifar10", "attention_prior", "where objects are"),
        ("mnist", "concept_bottleneck", "there is no factor `shape`"),
        ("cifar10", "infogan", "which cifar10 does not know"),
        ("mnist", "additive_concepts", "there is no factor `shape`"),
        ("cifar10", "additive_concepts", "nothing is known of what its pictures show"),
        ("mnist", "concept_whitening", "there is no factor `shape`"),
        ("cifar10", "concept_whitening", "nothing is known of what its pictures show"),
        ("cifar10", "concept_bottleneck", "nothing is known of what its pictures show"),
    ];
    let page = fs::read_to_string(root().join("recipes/README.md")).unwrap();
    for (kind, path) in [("mnist", &mnist), ("cifar10", &cifar10)] {
        // As the page says it, with the folder for DIR.
        let start = format!("--set 'data={{kind=\"{kind}\"");
        let said =
            page.lines().find_map(|line| Some(format!("{{kind=\"{kind}\"{}", line.split_once(&start)?.1))).unwrap();
        let section = said.trim_end_matches('\'').replace("\"DIR\"", &format!("{path:?}"));
        for path in shipped() {
            let recipe = Recipe::read(&path, &[format!("data={section}")], &Catalog::default()).unwrap();
            if recipe.common.init.is_some() || !recipe.teachers.is_empty() {
                continue; // These begin with, or learn from, a network that is not shipped.
            }
            let name = recipe.common.name.clone();
            let planned = Plan::new(recipe, &|_, _| {}).map(|_| ()).map_err(|e| e.to_string());
            let reason = refused.iter().find(|(data, recipe, _)| (*data, *recipe) == (kind, &name)).map(|r| r.2);
            match (planned, reason) {
                (Ok(()), None) => {}
                (Err(problem), Some(reason)) if problem.contains(reason) => {}
                (planned, reason) => panic!("{name} on {kind}: {planned:?}, not {reason:?}"),
            }
        }
    }
}

/// The recipe that a page of the documentation shows.
fn shown(page: &str) -> String {
    let text = fs::read_to_string(root().join(page)).unwrap();
    text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

#[test]
fn the_recipe_in_the_readme_is_the_one_it_is_called() {
    let resolved = |recipe: interp::Result<Recipe>| recipe.unwrap().resolved().unwrap();
    let shipped = Recipe::read(&root().join("recipes/sparse_vgg.toml"), &[], &Catalog::default());
    assert_eq!(resolved(Recipe::parse("README.md", &shown("README.md"), &Catalog::default())), resolved(shipped));
}

#[test]
fn the_recipe_for_own_pictures_fits_them() {
    let folder = folder(&shown("docs/data.md"));
    write_pictures(folder.path(), &[("daisy", 12), ("rose", 12)]);
    fs::rename(folder.path().join("pictures"), folder.path().join("flowers")).unwrap();
    let (status, stdout, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--dry-run"]));
    assert!(status == 0 && stdout.contains("to train"), "{stderr}");
}

/// The recipe of the tests, with one section replaced by the example of an entry.
fn with_example(key: &str, example: &str) -> String {
    let mut table: toml::Table = toml::from_str(TINY).unwrap();
    let section: toml::Table = toml::from_str(example).unwrap();
    let list = |section: toml::Table| toml::Value::from(vec![toml::Value::from(section)]);
    let (key, value) = match key {
        "prior" | "insert" => (key, list(section)),
        "teacher.loss" => {
            let losses = ("loss".to_owned(), list(section));
            ("teacher", list(toml::Table::from_iter([("path".to_owned(), "teacher.pth".into()), losses])))
        }
        _ => (key, section.into()),
    };
    table.insert(key.into(), value);
    toml::to_string(&table).unwrap()
}

#[test]
fn every_line_of_the_tables_reads_its_example_and_refuses_unknown_keys() {
    let catalog = Catalog::default();
    let examples = catalog.data.iter().map(|e| ("data", e.name, e.example));
    let examples = examples.chain(catalog.models.iter().map(|e| ("model", e.name, e.example)));
    let examples = examples.chain(catalog.insertions.iter().map(|e| ("insert", e.name, e.example)));
    let examples = examples.chain(catalog.priors.iter().map(|e| ("prior", e.name, e.example)));
    let examples = examples.chain(catalog.distillations.iter().map(|e| ("teacher.loss", e.name, e.example)));
    for (key, name, example) in examples {
        let text = with_example(key, example);
        let recipe = Recipe::parse(name, &text, &catalog).unwrap_or_else(|e| panic!("{key} {name}: {e}"));
        assert!(recipe.resolved().unwrap().contains(&format!("kind = \"{name}\"")));
        let wrong = with_example(key, &format!("{example}\nno_such_key = 1\n"));
        let error = Recipe::parse(name, &wrong, &catalog).err().unwrap().to_string();
        assert!(error.contains("no_such_key"), "{key} {name}: {error}");
    }
}

#[test]
fn the_schema_in_the_docs_is_current() {
    let path = root().join("docs").join("recipe.schema.json");
    let present: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let current = present == schema(&Catalog::default());
    assert!(current, "run: cargo run --bin interp-train -- schema > docs/recipe.schema.json");
}

#[test]
fn the_page_of_settings_is_current() {
    let page = fs::read_to_string(root().join("docs").join("settings.md")).unwrap_or_default();
    let current = page == interp::settings_page::page(&Catalog::default());
    assert!(current, "run: cargo run --bin interp-train -- schema --markdown > docs/settings.md");
}

#[test]
fn the_schema_accepts_what_the_program_does() {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("recipe.json", schema(&Catalog::default())).unwrap();
    let index = compiler.compile("recipe.json", &mut schemas).unwrap();
    let check = |text: &str| {
        let recipe = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
        schemas.validate(&recipe, index).map_err(|error| error.to_string())
    };
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        check(&text).unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
        let resolved = Recipe::read(&path, &[], &Catalog::default()).unwrap().resolved().unwrap();
        check(&resolved).unwrap_or_else(|e| panic!("{}, resolved: {e:#}", path.display()));
    }
    for (from, to) in [("batch", "bach"), ("\"l1\"", "\"l2\""), ("target", "targte"), ("32", "\"many\"")] {
        assert!(TINY.contains(from) && check(&TINY.replacen(from, to, 1)).is_err(), "{to}");
    }
}

/// What a person sees who runs this recipe.
fn complaint(text: &str) -> String {
    let folder = folder(text);
    let (status, _, stderr) = run(program("interp-train", folder.path()).args(["recipe.toml", "--dry-run"]));
    assert_eq!(status, 2, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn errors_name_place_value_and_nearest_key() {
    // What is replaced, by what, the column that is named, and what else is said.
    let cases: &[(&str, &str, usize, &[&str])] = &[
        ("batch = 32", "bach = 32", 1, &["bach", "did you mean `batch`"]),
        ("batch = 32", "batch = \"many\"", 9, &["many", "expected a whole number from 0 on"]),
        ("kind = \"l1\"", "kind = \"l2\"", 8, &["`l2` is no kind of prior", "did you mean `l1`"]),
        ("target = 0.5", "targte = 0.5", 1, &["did you mean `target`"]),
        ("target = 0.5", "target = 1.5", 10, &["`prior.0.target` must be between 0 and 1, not 1.5"]),
        (
            "nodes = [",
            "ndoes = [",
            1,
            &["unknown key `ndoes`", "reached_at, kind, name, nodes", "did you mean `nodes`"],
        ),
        ("[augment]", "[augmnt]", 2, &["augmnt", "did you mean `augment`"]),
        ("\"features.*\"", "\"feature.*\"", 10, &["`feature.*` matches no", "did you mean `features.*`"]),
        (
            "depth = 8",
            "dpeth = 8",
            1,
            &[
                "depth, width, first_kernel, batch_norm, on_off, saliency, activation, threshold, shared_threshold, winners, kind",
                "did you mean `depth`",
            ],
        ),
        ("depth = 8", "depth = 9", 9, &["`model.depth` must be one of [8, 11, 13, 16, 19], not 9"]),
        ("width = 0.125", "width = -1", 9, &["`model.width` must be above 0"]),
        ("depth = 8", "threshold = -1", 13, &["`model.threshold` must be 0 or more, not -1"]),
        ("depth = 8", "activation = \"soft_treshold\"", 14, &["did you mean `soft_threshold`"]),
        ("train = 160", "size = 8", 8, &["`data.size` must be 16 to 224, not 8"]),
        ("pad_crop = 2", "pad_crop = 32", 12, &["`augment.pad_crop` must be below 32, not 32"]),
        ("schedule = \"constant\"", "schedule = \"constnt\"", 12, &["did you mean `constant`"]),
        ("schedule = \"constant\"", "warmup = 2.0", 10, &["`train.phase.0.warmup`", "shorter than the phase"]),
        ("schedule = \"constant\"", "freeze = [\"feature.0\"]", 11, &["`feature.0` matches no node", "`features.0`"]),
        ("schedule = \"constant\"", "priors = [\"l2\"]", 11, &["no prior is called `l2`", "did you mean `l1`"]),
        ("kind = \"vgg\"", "", 0, &["[model] needs `kind`", "vgg, resnet"]),
        ("name = \"tiny\"", "name = \"../tiny\"", 8, &["../tiny", "letters"]),
        ("ema = 0.9", "ema = 1.0", 7, &["`train.ema` must be in [0, 1)"]),
        ("ema = 0.9", "ema = ", 7, &["ema ="]),
    ];
    for (from, to, column, expected) in cases {
        assert!(TINY.contains(from));
        let text = TINY.replacen(from, to, 1);
        let stderr = complaint(&text);
        // Long lines are wrapped for the terminal.
        let flat = stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        for part in *expected {
            assert!(flat.contains(part), "`{part}` for `{to}` in:\n{stderr}");
        }
        let line = 1 + text.lines().position(|line| line.contains(to)).unwrap();
        let place = format!("recipe.toml:{line}:{column}");
        // What is missing has no place.
        assert!(*column == 0 || flat.contains(&place), "{place} for `{to}` in:\n{stderr}");
    }
}

#[test]
fn overrides_reach_into_lists_and_are_named_in_errors() {
    let folder = folder(TINY);
    let set = |sets: &[&str]| {
        let mut command = program("interp-train", folder.path());
        command.args(["recipe.toml", "--dry-run"]);
        for s in sets {
            command.args(["--set", s]);
        }
        run(&mut command)
    };
    let (status, stdout, stderr) = set(&["prior.0.target=0.25", "train.optimizer.adamw.eps=1e-6", "name=other"]);
    assert_eq!(status, 0, "{stderr}");
    for part in ["target = 0.25", "adamw", "name = \"other\"", "receptive field", "≥ 25 %"] {
        assert!(stdout.contains(part), "`{part}` in:\n{stdout}");
    }
    for (wrong, expected) in [
        ("train.bach=3", "did you mean `batch`"),
        ("prior.7.target=0.2", "no index"),
        ("train", "a.b=c"),
        ("seed.x=1", "expected a whole number"),
    ] {
        let (status, _, stderr) = set(&[wrong]);
        assert!(status == 2 && stderr.contains(expected), "{wrong}: {stderr}");
    }
}

#[test]
fn a_run_goes_where_it_is_told() {
    assert_eq!(Folder::of_run("x", None).root(), Path::new("checkpoints/x"));
    assert_eq!(Folder::of_run("x", Some("y".into())).root(), Path::new("y"));
}
