use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::*;
use crate::Mask;

fn concepts(source: &ConceptsSource) -> Concepts {
    Concepts::open(source, &|_, _| {}).unwrap()
}

/// Few pictures to learn from, none else.
fn few(train: usize) -> ConceptsSource {
    ConceptsSource { train, val: 0, test: 0, ..ConceptsSource::default() }
}

/// So large that no picture is made: for what needs factors and labels alone.
fn unmade(source: ConceptsSource) -> Concepts {
    let data = concepts(&ConceptsSource { size: 224, ..source });
    assert!(data.kept.is_none());
    data
}

fn factors(data: &Concepts, split: Split, index: usize) -> BTreeMap<&'static str, Factor> {
    data.sample(split, index).factors().into_iter().collect()
}

fn name(factor: &Factor) -> &str {
    match factor {
        Factor::Name(name) => name,
        Factor::Value(value) => panic!("{value} is not a name"),
    }
}

fn bytes(data: &Concepts, split: Split, index: usize) -> Vec<u8> {
    let mut picture = vec![0.0; data.info().pixels()];
    data.image(split, index, &mut picture).unwrap();
    picture.iter().map(|value| (value * 255.0).round() as u8).collect()
}

#[test]
fn threads_order_and_keeping_do_not_matter() {
    let source = ConceptsSource { train: 300, val: 20, test: 20, ..ConceptsSource::default() };
    let open = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| concepts(&source))
    };
    let (one, three, mut demand) = (open(1), open(3), open(2));
    assert_eq!(one.kept, three.kept);
    demand.kept = None;
    for index in (0..300).rev().step_by(7) {
        assert_eq!(bytes(&one, Split::Train, index), bytes(&demand, Split::Train, index));
    }
    assert_eq!(bytes(&one, Split::Test, 19), bytes(&demand, Split::Test, 19));
}

#[test]
fn more_pictures_leave_the_first_as_they_are() {
    let (some, more) = (concepts(&few(20)), concepts(&few(40)));
    assert_eq!(some.kept.unwrap()[0], more.kept.unwrap()[0][..20 * 3072]);
}

#[test]
fn progress_ends_with_all_pictures() {
    let seen = Mutex::new(Vec::new());
    let source = ConceptsSource { train: 130, val: 10, test: 5, ..ConceptsSource::default() };
    Concepts::open(&source, &|done, total| seen.lock().unwrap().push((done, total))).unwrap();
    assert_eq!(seen.into_inner().unwrap().into_iter().max(), Some((145, 145)));
}

/// The rule of `docs/concepts.md` in other words.
fn class_by_rule(shape: &str, hue: &str, texture: &str) -> &'static str {
    let boxy = ["square", "cross"].contains(&shape);
    let round = ["disk", "ring"].contains(&shape);
    match (hue, texture) {
        ("red" | "orange", _) if round => "warm round",
        ("red" | "orange", _) if !boxy => "warm pointed",
        ("cyan" | "blue", _) if round => "cool round",
        ("cyan" | "blue", _) if !boxy => "cool pointed",
        ("yellow" | "green", "stripes") => "leafy striped",
        ("yellow" | "green", "dots") => "leafy dotted",
        ("purple" | "pink", "stripes") => "rosy striped",
        ("purple" | "pink", "dots") => "rosy dotted",
        (_, "plain") if boxy => "boxy plain",
        (_, "checks") if boxy => "boxy checked",
        _ => panic!("{shape} {hue} {texture} has no class"),
    }
}

#[test]
fn the_factors_decide_the_class() {
    let data = unmade(ConceptsSource { train: 0, val: 0, ..ConceptsSource::default() });
    for index in 0..data.len(Split::Test) {
        let factors = factors(&data, Split::Test, index);
        let class = class_by_rule(name(&factors["shape"]), name(&factors["hue"]), name(&factors["texture"]));
        assert_eq!(data.info().classes[data.label(Split::Test, index) as usize], class);
    }
}

#[test]
fn every_ten_pictures_have_the_ten_classes() {
    let data = unmade(few(5000));
    let mut orders = HashSet::new();
    for start in (0..5000).step_by(10) {
        let order: Vec<u32> = (start..start + 10).map(|index| data.label(Split::Train, index)).collect();
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 10);
        orders.insert(order);
    }
    assert!(orders.len() > 490);
}

/// Best accuracy from the value of one factor alone, by counting; quantities in 25 bins of their range.
fn best_from_one(values: &[(Option<Factor>, u32)]) -> f64 {
    let quantity = |factor: &Option<Factor>| if let Some(Factor::Value(v)) = factor { Some(*v) } else { None };
    let numbers: Vec<f64> = values.iter().filter_map(|(factor, _)| quantity(factor)).collect();
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut table: BTreeMap<String, [u32; 10]> = BTreeMap::new();
    for (factor, label) in values {
        let key = match factor {
            Some(Factor::Value(value)) => format!("{:.0}", 24.0 * (value - low) / (high - low).max(1e-9)),
            other => format!("{other:?}"),
        };
        table.entry(key).or_default()[*label as usize] += 1;
    }
    let right: u32 = table.values().filter_map(|counts| counts.iter().max()).sum();
    f64::from(right) / values.len() as f64
}

#[test]
fn no_single_factor_decides_the_class() {
    let data = unmade(ConceptsSource { train: 0, val: 0, ..ConceptsSource::default() });
    let all: Vec<_> = (0..10_000).map(|i| (factors(&data, Split::Test, i), data.label(Split::Test, i))).collect();
    let keys: HashSet<_> = all.iter().flat_map(|(factors, _)| factors.keys().copied()).collect();
    assert_eq!(keys.len(), 15);
    for key in keys {
        let values: Vec<_> = all.iter().map(|(factors, label)| (factors.get(key).cloned(), *label)).collect();
        let best = best_from_one(&values);
        println!("{key}: {:.1} %", 100.0 * best);
        let informative = ["shape", "hue", "texture", "rotation", "orientation", "periods"].contains(&key);
        assert!(best < if informative { 0.5 } else { 0.14 }, "{key} alone gives {best}");
    }
}

fn part<'t>(truth: &'t Truth, kind: &str) -> Vec<&'t Mask> {
    truth.concepts.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, mask)| mask).collect()
}

#[test]
fn masks_divide_the_picture_and_hold_the_object() {
    let data = concepts(&ConceptsSource { useless_factor: true, shortcut: Some(Shortcut::default()), ..few(200) });
    for index in 0..200 {
        let truth = data.truth(Split::Train, index).unwrap().unwrap();
        let factors = factors(&data, Split::Train, index);
        let parts: Vec<_> =
            ["shape/", "background/", "patch/", "frame/"].into_iter().flat_map(|kind| part(&truth, kind)).collect();
        for pixel in 0..32 * 32 {
            let sum: i32 = parts.iter().map(|mask| i32::from(mask.coverage[pixel])).sum();
            assert!((sum - 255).abs() <= parts.len() as i32, "{index} {pixel}: {sum}");
        }
        for kind in ["shape", "hue", "texture"] {
            let key = format!("{kind}/{}", name(&factors[kind]));
            let object = truth.object.as_ref().unwrap();
            let (_, mask) = truth.concepts.iter().find(|(name, _)| *name == key).unwrap();
            assert!(mask.coverage.iter().zip(&object.coverage).all(|(whole, part)| whole >= part), "{key}");
        }
    }
}

#[test]
fn an_object_has_the_area_of_its_shape() {
    let data = concepts(&ConceptsSource { size: 64, difficulty: 0.0, ..few(300) });
    for index in 0..300 {
        let scene = data.sample(Split::Train, index).scene;
        let radius = scene.object.radius * 64.0;
        let unit = match scene.object.shape {
            factors::Shape::Disk => std::f64::consts::PI * 0.81,
            factors::Shape::Ring => std::f64::consts::PI * (0.94 * 0.94 - 0.46 * 0.46),
            factors::Shape::Square => 1.96,
            factors::Shape::Cross => 4.0 * 0.95 * 0.6 - 0.36,
            factors::Shape::Triangle => 3.0 * 3.0_f64.sqrt() / 4.0,
            factors::Shape::Star => 5.0 * 0.45 * (std::f64::consts::PI / 5.0).sin(),
        };
        let truth = data.truth(Split::Train, index).unwrap().unwrap();
        let area: f64 = truth.object.unwrap().coverage.iter().map(|&share| f64::from(share) / 255.0).sum();
        let expected = unit * radius * radius;
        assert!((area / expected - 1.0).abs() < 0.02, "{:?}: {area} is not {expected}", scene.object.shape);
    }
}

/// OKLAB from sRGB by the published matrices, the way opposite to the data set's.
fn oklab(rgb: [f64; 3]) -> [f64; 3] {
    let linear = rgb.map(|v| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
    let dot = |row: [f64; 3], v: [f64; 3]| row[0] * v[0] + row[1] * v[1] + row[2] * v[2];
    let lms = [
        dot([0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9], linear).cbrt(),
        dot([0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6], linear).cbrt(),
        dot([0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5], linear).cbrt(),
    ];
    [
        dot([0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8], lms),
        dot([1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9], lms),
        dot([0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0], lms),
    ]
}

/// Mean OKLAB of the pixels that lie wholly in the mask.
fn mean_color(picture: &[u8], mask: &Mask) -> Option<[f64; 3]> {
    let inside: Vec<[f64; 3]> = picture
        .chunks_exact(3)
        .zip(&mask.coverage)
        .filter(|(_, share)| **share == 255)
        .map(|(pixel, _)| oklab([0, 1, 2].map(|channel| f64::from(pixel[channel]) / 255.0)))
        .collect();
    let mean = |axis: usize| inside.iter().map(|color| color[axis]).sum::<f64>() / inside.len() as f64;
    (inside.len() >= 30).then(|| [mean(0), mean(1), mean(2)])
}

#[test]
fn an_object_has_the_color_of_its_hue() {
    let data = concepts(&few(1000));
    let mut tested = 0;
    for index in 0..1000 {
        let truth = data.truth(Split::Train, index).unwrap().unwrap();
        let Some([_, a, b]) = mean_color(&bytes(&data, Split::Train, index), &truth.object.unwrap()) else { continue };
        let hue = data.sample(Split::Train, index).scene.object.hue;
        tested += 1;
        match hue.angle() {
            None => assert!(a.hypot(b) < 0.03, "gray has chroma {}", a.hypot(b)),
            Some(angle) => {
                let off = (b.atan2(a).to_degrees() - angle + 540.0).rem_euclid(360.0) - 180.0;
                assert!(off.abs() < 15.0 && a.hypot(b) > 0.05, "{hue:?} is {off} degrees off, chroma {}", a.hypot(b));
            }
        }
    }
    assert!(tested > 900, "{tested}");
}

/// Cramér's V of two columns of ten values.
fn association(pairs: &[(usize, u32)]) -> f64 {
    let count = pairs.len() as f64;
    let mut table = [[0.0; 10]; 10];
    pairs.iter().for_each(|&(a, b)| table[a][b as usize] += 1.0 / count);
    let rows = table.map(|row| row.iter().sum::<f64>());
    let columns: [f64; 10] = std::array::from_fn(|c| table.iter().map(|row| row[c]).sum());
    let term = |r: usize, c: usize| match rows[r] * columns[c] {
        0.0 => 0.0,
        expected => (table[r][c] - expected).powi(2) / expected,
    };
    let square: f64 = (0..100).map(|cell| term(cell / 10, cell % 10)).sum();
    (square / 9.0).sqrt()
}

fn codes(data: &Concepts, split: Split) -> Vec<(usize, u32)> {
    const NAMES: [&str; 10] =
        ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "dark gray", "light gray"];
    let code = |index| NAMES.iter().position(|code| *code == name(&factors(data, split, index)["shortcut"])).unwrap();
    (0..data.len(split)).map(|index| (code(index), data.label(split, index))).collect()
}

#[test]
fn a_shortcut_has_the_strength_asked_for() {
    for place in [Place::Corner, Place::Background] {
        let shortcut = Some(Shortcut { place, strength: 0.6, test_strength: 0.0 });
        let source = ConceptsSource { train: 8000, val: 8000, test: 8000, shortcut, ..Default::default() };
        let data = unmade(source);
        for (split, strength) in [(Split::Train, 0.6), (Split::Validation, 0.6), (Split::Test, 0.0)] {
            let found = association(&codes(&data, split));
            assert!((found - strength).abs() < 0.05, "{place:?} {split:?}: {found}");
        }
    }
}

#[test]
fn a_shortcut_is_seen_where_the_truth_says() {
    let plain = concepts(&few(100));
    let corner = concepts(&ConceptsSource { shortcut: Some(Shortcut::default()), ..few(100) });
    for index in 0..100 {
        let truth = corner.truth(Split::Train, index).unwrap().unwrap();
        let patch = part(&truth, "patch/")[0];
        let (before, after) = (bytes(&plain, Split::Train, index), bytes(&corner, Split::Train, index));
        for (pixel, share) in patch.coverage.iter().enumerate() {
            let (row, column) = (pixel / 32, pixel % 32);
            assert_eq!(*share, if row < 4 && column < 4 { 255 } else { 0 });
            assert!(*share > 0 || before[3 * pixel..][..3] == after[3 * pixel..][..3], "{index} {pixel}");
        }
        assert_ne!(before, after);
    }
}

#[test]
fn a_background_shortcut_colors_the_background() {
    let shortcut = Some(Shortcut { place: Place::Background, strength: 1.0, test_strength: 1.0 });
    let data = concepts(&ConceptsSource { shortcut, ..few(200) });
    for index in 0..200 {
        let hue = data.sample(Split::Train, index).scene.ground.hue;
        assert_eq!(hue, factors::Hue::ALL[(data.label(Split::Train, index) as usize).min(8)]);
    }
}

#[test]
fn the_list_of_flipped_labels_is_right() {
    let right = unmade(ConceptsSource { val: 100, test: 100, ..Default::default() });
    let wrong = unmade(ConceptsSource { flipped_labels: 0.1, ..right.source.clone() });
    let flipped = wrong.flipped();
    let share = flipped.len() as f64 / 20_000.0;
    assert!((share - 0.1).abs() < 0.01, "{share}");
    let listed: BTreeMap<usize, u32> = flipped.into_iter().collect();
    for index in 0..20_000 {
        let (class, label) = (right.label(Split::Train, index), wrong.label(Split::Train, index));
        assert_eq!(listed.get(&index), (class != label).then_some(&class));
    }
    let (index, class) = listed.first_key_value().unwrap();
    assert_eq!(name(&factors(&wrong, Split::Train, *index)["true_class"]), right.info().classes[*class as usize]);
    for split in [Split::Validation, Split::Test] {
        assert!((0..100).all(|index| right.label(split, index) == wrong.label(split, index)));
    }
    assert_eq!(bytes(&right, Split::Train, *index), bytes(&wrong, Split::Train, *index));
}

/// A picture of one of the two classes is its own scene and that of the other in these shares; all other pictures stay as they are.
#[test]
fn two_classes_are_mixed() {
    let plain = concepts(&few(200));
    let alike = |share| {
        let classes = ["warm round", "boxy plain"].map(str::to_owned);
        concepts(&ConceptsSource { alike: Some(Alike { classes, share }), ..plain.source.clone() })
    };
    let (mixed, same) = (alike(0.25), alike(0.5));
    for index in 0..200 {
        let [own, quarter, half] = [&plain, &mixed, &same].map(|data| bytes(data, Split::Train, index));
        assert_eq!(plain.label(Split::Train, index), mixed.label(Split::Train, index));
        if ![0, 8].contains(&plain.label(Split::Train, index)) {
            assert!(own == quarter && own == half);
            continue;
        }
        assert_ne!(own, half);
        // A quarter of the way is half of half of it, to rounding.
        let way = |to: &[u8]| own.iter().zip(to).map(|(a, b)| i32::from(*b) - i32::from(*a)).collect::<Vec<_>>();
        assert!(way(&quarter).iter().zip(way(&half)).all(|(a, b)| (2 * a - b).abs() <= 2));
    }
    let refused = |classes: [&str; 2], share| {
        let alike = Some(Alike { classes: classes.map(str::to_owned), share });
        Concepts::open(&ConceptsSource { alike, ..few(1) }, &|_, _| {}).unwrap_err().to_string()
    };
    assert!(refused(["warm round", "warm rond"], 0.4).contains("did you mean \"warm round\"?"));
    assert!(refused(["warm round", "warm round"], 0.4).contains("must name two classes"));
    assert!(refused(["warm round", "boxy plain"], 0.6).contains("`alike.share`"));
}

#[test]
fn a_useless_factor_says_nothing_about_the_class() {
    let data = unmade(ConceptsSource { useless_factor: true, ..few(6000) });
    let frames = ["none", "black", "white"];
    let value = |index| frames.iter().position(|f| *f == name(&factors(&data, Split::Train, index)["frame"])).unwrap();
    let pairs: Vec<_> = (0..6000).map(|index| (value(index), data.label(Split::Train, index))).collect();
    for frame in 0..3 {
        let share = pairs.iter().filter(|(f, _)| *f == frame).count() as f64 / 6000.0;
        assert!((share - 1.0 / 3.0).abs() < 0.03);
    }
    assert!(association(&pairs) < 0.05);
}

#[test]
fn no_picture_is_in_two_splits_or_twice_in_one() {
    let data = concepts(&ConceptsSource { size: 16, ..ConceptsSource::default() });
    let kept = data.kept.as_ref().unwrap();
    let all: HashSet<&[u8]> = kept.iter().flat_map(|split| split.chunks_exact(16 * 16 * 3)).collect();
    assert_eq!(all.len(), 32_000);
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let refused = |source: ConceptsSource| Concepts::open(&source, &|_, _| {}).unwrap_err().to_string();
    for size in [0, 15, 225, usize::MAX] {
        let message = refused(ConceptsSource { size, ..Default::default() });
        assert!(message.contains("`size`") && message.contains("16 to 224") && message.contains(&size.to_string()));
    }
    for difficulty in [-0.1, 4.1, f64::NAN, f64::INFINITY] {
        assert!(refused(ConceptsSource { difficulty, ..Default::default() }).contains("`difficulty`"));
    }
    assert!(refused(ConceptsSource { flipped_labels: 1.5, ..Default::default() }).contains("`flipped_labels`"));
    assert!(refused(ConceptsSource { train: 100_000_001, ..Default::default() }).contains("`train`"));
    let shortcut = Some(Shortcut { strength: -1.0, ..Shortcut::default() });
    assert!(refused(ConceptsSource { shortcut, ..Default::default() }).contains("`shortcut.strength`"));
}

#[test]
fn too_many_pictures_are_made_on_demand() {
    let data = concepts(&ConceptsSource { size: 224, train: 100_000_000, ..Default::default() });
    assert!(data.kept.is_none());
    assert_eq!(bytes(&data, Split::Train, 99_999_999).len(), 224 * 224 * 3);
    let mut picture = vec![0.0; data.info().pixels()];
    let message = data.image(Split::Test, 10_000, &mut picture).unwrap_err().to_string();
    assert!(message.contains("10000"), "{message}");
    assert!(data.truth(Split::Test, 10_000).is_err());
}

#[test]
fn the_entry_reads_its_example_and_refuses_other_keys() {
    let read = |text: &str| {
        let mut section = toml::de::DeTable::parse(text).unwrap();
        section.get_mut().remove("kind");
        (ENTRIES[0].build)(section)
    };
    let built = read(ENTRIES[0].example).unwrap();
    assert_eq!(built.settings["train"].as_integer(), Some(20_000));
    for wrong in ["sise = 32", "shortcut = { strenght = 0.9 }", "size = -1", "size = 32.5"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_normalization_is_that_of_the_default_train_split() {
    let data = concepts(&few(20_000));
    let pictures = &data.kept.as_ref().unwrap()[0];
    for channel in 0..3 {
        let values = || pictures.iter().skip(channel).step_by(3).map(|&value| f64::from(value) / 255.0);
        let count = (pictures.len() / 3) as f64;
        let mean = values().sum::<f64>() / count;
        let std = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!((mean - f64::from(MEAN[channel])).abs() < 1e-4, "mean {channel}: {mean}");
        assert!((std - f64::from(STD[channel])).abs() < 1e-4, "std {channel}: {std}");
    }
}

/// SHA-256 of labels and pictures of the three splits.
fn digest(source: &ConceptsSource) -> String {
    let data = concepts(source);
    let mut hash = Sha256::new();
    for split in SPLITS {
        for index in 0..data.len(split) {
            hash.update(data.label(split, index).to_le_bytes());
            hash.update(bytes(&data, split, index));
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// If this fails, the pictures have changed: take it back, or raise [`VERSION`] and all that was
/// measured on them.
#[test]
fn pictures_never_change_under_one_version() {
    assert_eq!(VERSION, 1);
    let of = |size: usize, train: usize| ConceptsSource { size, train, val: 20, test: 20, ..Default::default() };
    let corner = Some(Shortcut::default());
    let background = Some(Shortcut { place: Place::Background, strength: 0.5, test_strength: 0.5 });
    let cases = [
        (of(32, 200), "b8d50570557e2283e36b42ed7e08c81c4749420b8bfe75304548e74d64b03e50"),
        (of(16, 100), "6cd46c29cf22b0e54c3f382f5b1044ca71c3f904b1f54a402de616d90d8af707"),
        (of(64, 60), "383fa62690e4393573c7a6da0bbb2597e5d20b32cccfba6006f2071b65efce6a"),
        (of(224, 10), "b18a016a51f46ee8ce6880c1565d46c19652661f15285dd865fe571063ab4710"),
        (
            ConceptsSource { seed: 7, difficulty: 2.0, ..of(32, 100) },
            "c8698bd0e72c003cd139657bb228ca24e7d693ccfb0c0fbb695169097792097d",
        ),
        (
            ConceptsSource { shortcut: corner, flipped_labels: 0.2, useless_factor: true, ..of(32, 100) },
            "d8a1b78207c387edc8b9b96dae557fd8095fb0b888cd44b66bd4b680c9f76b8d",
        ),
        (
            ConceptsSource { shortcut: background, difficulty: 0.5, ..of(33, 100) },
            "d0292cc949e9e9859b516ab9e41caeb402005090440899ba18c2b716c5786827",
        ),
    ];
    let changed = cases.iter().map(|(source, hash)| (digest(source), hash)).filter(|(found, hash)| found != *hash);
    assert_eq!(changed.collect::<Vec<_>>(), []);
}

#[test]
#[ignore = "a measurement, to be read: cargo test --release -p interp-data -- --ignored --nocapture"]
fn pictures_made_on_one_core() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let start = std::time::Instant::now();
    pool.install(|| concepts(&few(20_000)));
    let rate = 20_000.0 / start.elapsed().as_secs_f64();
    println!("{rate:.0} pictures/s");
    assert!(rate >= 5000.0);
}
