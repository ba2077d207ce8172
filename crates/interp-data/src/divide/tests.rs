use interp_finding::random::{below, stream};
use rand_chacha::rand_core::RngCore;

use super::*;
use crate::memory::{InMemory, Part};
use crate::shared::shared;
use crate::{Cifar10, Mnist, Source};

const SIDE: usize = 12;

fn info() -> Info {
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    Info { name: "test".into(), classes, channels: 1, height: SIDE, width: SIDE, mean: vec![0.5], std: vec![0.5] }
}

/// A picture that looks like noise.
fn noise(number: usize) -> Vec<u8> {
    let mut draws = stream(9, "noise", 0, number as u64);
    (0..SIDE * SIDE).map(|_| draws.next_u32() as u8).collect()
}

/// The picture with each value changed by at most `most`.
fn disturbed(picture: &[u8], most: i16, number: u64) -> Vec<u8> {
    let mut draws = stream(9, "disturb", 0, number);
    let mut change = || below(&mut draws, 2 * most as usize + 1) as i16 - most;
    picture.iter().map(|&value| (i16::from(value) + change()).clamp(0, 255) as u8).collect()
}

fn part(pictures: &[Vec<u8>], labels: Vec<u32>, groups: Vec<String>) -> Part {
    Part { groups, ..Part::eight(pictures.concat(), labels) }
}

fn dataset(train: Part, validation: Part, test: Part) -> Arc<dyn Dataset> {
    Arc::new(InMemory::new(info(), "test", train, validation, test).unwrap())
}

/// A test split of one picture that is like no other.
fn one_to_test() -> Part {
    part(&[noise(1 << 20)], vec![0], vec![])
}

/// Train, with as many noise pictures of each class as told.
fn classes(counts: [usize; 3]) -> Arc<dyn Dataset> {
    let labels: Vec<u32> = (0..3).flat_map(|class| vec![class as u32; counts[class]]).collect();
    let pictures: Vec<_> = (0..labels.len()).map(noise).collect();
    dataset(part(&pictures, labels, vec![]), Part::empty(), one_to_test())
}

/// Train: pictures of one class in groups of the given sizes.
fn groups(sizes: &[usize]) -> Arc<dyn Dataset> {
    let groups: Vec<String> =
        sizes.iter().enumerate().flat_map(|(group, &size)| vec![group.to_string(); size]).collect();
    let pictures: Vec<_> = (0..groups.len()).map(noise).collect();
    dataset(part(&pictures, vec![0; groups.len()], groups), Part::empty(), one_to_test())
}

fn divided(dataset: &Arc<dyn Dataset>, validation: f64, seed: u64) -> Divided {
    Divided::new(Arc::clone(dataset), &Divide { validation, seed, ..Divide::default() }).unwrap()
}

/// The indices of the cut, train and validation.
fn indices(divided: &Divided) -> (Vec<usize>, Vec<usize>) {
    let (_, cut) = divided.view.cut.as_ref().unwrap();
    (cut.train.clone(), cut.off.clone())
}

fn label_counts(dataset: &dyn Dataset, split: Split) -> [usize; 3] {
    let mut counts = [0; 3];
    (0..dataset.len(split)).for_each(|index| counts[dataset.label(split, index) as usize] += 1);
    counts
}

#[test]
fn each_class_is_cut_in_proportion() {
    let dataset = classes([500, 300, 50]);
    for (amount, expected) in [(0.1, [50, 30, 5]), (85.0, [50, 30, 5]), (0.5, [250, 150, 25]), (17.0, [10, 6, 1])] {
        let divided = divided(&dataset, amount, 1);
        assert_eq!(label_counts(&divided.learning(), Split::Validation), expected, "{amount}");
        let (train, validation) = indices(&divided);
        let mut all = [train, validation].concat();
        all.sort_unstable();
        assert_eq!(all, (0..850).collect::<Vec<_>>());
    }
}

#[test]
fn of_what_is_left_to_train_some_are_kept_each_class_in_proportion() {
    let dataset = classes([500, 300, 50]);
    let kept = |train, seed| {
        let settings = Divide { train: Some(train), seed, ..Divide::default() };
        Divided::new(Arc::clone(&dataset), &settings).map(|divided| divided.examining())
    };
    let pictures = |data: &dyn Dataset, split| {
        let picture = |index| {
            let mut out = vec![0.0; SIDE * SIDE];
            data.image(split, index, &mut out).unwrap();
            out
        };
        (0..data.len(split)).map(picture).collect::<Vec<_>>()
    };
    let all = kept(9999, 1).unwrap();
    assert_eq!(label_counts(&*all, Split::Train), [450, 270, 45]);
    let some = kept(170, 1).unwrap();
    assert_eq!(label_counts(&*some, Split::Train), [100, 60, 10]);
    assert_eq!(pictures(&*some, Split::Validation), pictures(&*all, Split::Validation));
    let (few, many) = (pictures(&*some, Split::Train), pictures(&*all, Split::Train));
    assert!(few.iter().all(|picture| many.contains(picture)));
    assert!(
        few == pictures(&*kept(170, 1).unwrap(), Split::Train)
            && few != pictures(&*kept(170, 2).unwrap(), Split::Train)
    );
    assert!(kept(0, 1).is_err_and(|error| error.to_string().contains("`train` must be at least 1")));
}

// Of 170 that are left, the first, the third and the last; positions are among those, not among all.
#[test]
fn pictures_that_are_named_are_left_out_of_training() {
    let dataset = classes([500, 300, 50]);
    let divided = |train, without: &[usize]| {
        Divided::new(Arc::clone(&dataset), &Divide { train, without: without.to_vec(), ..Divide::default() })
    };
    let pictures = |divided: &Divided, split| {
        let data = divided.examining();
        let picture = |index| {
            let mut out = vec![0.0; SIDE * SIDE];
            data.image(split, index, &mut out).unwrap();
            (data.label(split, index), out)
        };
        (0..data.len(split)).map(picture).collect::<Vec<_>>()
    };
    for train in [None, Some(170)] {
        let all = divided(train, &[]).unwrap();
        let last = all.examining().len(Split::Train) - 1;
        let some = divided(train, &[2, 0, last, 2]).unwrap();
        let mut expected = pictures(&all, Split::Train);
        for at in [last, 2, 0] {
            expected.remove(at);
        }
        assert_eq!(pictures(&some, Split::Train), expected);
        for split in [Split::Validation, Split::Test] {
            assert_eq!(pictures(&some, split), pictures(&all, split));
        }
        let said = divided(train, &[last + 1]).err().unwrap().to_string();
        assert!(said.contains(&format!("there are {} to train", last + 1)), "{said}");
    }
    let all: Vec<usize> = (0..170).collect();
    assert!(divided(Some(170), &all).is_err_and(|error| error.to_string().contains("leaves no picture")));
}

#[test]
fn the_cut_depends_on_the_seed_alone() {
    let dataset = classes([60, 60, 60]);
    assert_eq!(indices(&divided(&dataset, 0.2, 4)), indices(&divided(&dataset, 0.2, 4)));
    assert_ne!(indices(&divided(&dataset, 0.2, 4)), indices(&divided(&dataset, 0.2, 5)));
}

#[test]
fn nearly_the_same_pictures_stay_together() {
    // 100 pictures in 4 versions each, apart in order; a change by at most 10 of 255 has the deviation 0.024.
    let pictures: Vec<_> = (0..400).map(|at| disturbed(&noise(at % 100), 10, at as u64)).collect();
    let labels = (0..400).map(|at| at % 3).collect();
    let dataset = dataset(part(&pictures, labels, vec![]), Part::empty(), one_to_test());
    assert_eq!(similar::clusters(&*dataset, Split::Train).unwrap(), (0..400).map(|at| at % 100).collect::<Vec<_>>());
    for seed in 0..5 {
        let (train, validation) = indices(&divided(&dataset, 0.2, seed));
        let of = |indices: &[usize]| indices.iter().map(|at| at % 100).collect::<std::collections::BTreeSet<_>>();
        assert!(of(&train).is_disjoint(&of(&validation)));
        assert!((60..=100).contains(&validation.len()), "{}", validation.len());
    }
}

#[test]
fn faint_pictures_are_not_all_alike() {
    let faint = |at: usize| noise(at).iter().map(|value| 120 + value / 32).collect::<Vec<u8>>();
    let pictures: Vec<_> = (0..50).map(faint).collect();
    let dataset = dataset(part(&pictures, vec![0; 50], vec![]), Part::empty(), Part::empty());
    assert_eq!(similar::clusters(&*dataset, Split::Train).unwrap(), (0..50).collect::<Vec<_>>());
}

#[test]
fn groups_stay_together() {
    let dataset = groups(&[5, 1, 7, 2, 9, 4, 4, 8, 3, 7]);
    for seed in 0..20 {
        let divided = divided(&dataset, 0.3, seed);
        let of = |split| {
            let learning = divided.learning();
            let group = |index| learning.group(split, index).map(str::to_owned);
            (0..learning.len(split)).map(group).collect::<std::collections::BTreeSet<_>>()
        };
        assert!(of(Split::Train).is_disjoint(&of(Split::Validation)));
        assert!((11..=19).contains(&divided.learning().len(Split::Validation)));
    }
}

#[test]
fn groups_larger_than_what_is_asked_for_give_the_smallest() {
    assert_eq!(indices(&divided(&groups(&[30, 20, 25]), 5.0, 1)).1, (30..50).collect::<Vec<_>>());
}

#[test]
fn one_group_cannot_be_cut() {
    let error = Divided::new(groups(&[20]), &Divide::default()).err().unwrap().to_string();
    assert!(error.contains("no validation can be cut"), "{error}");
}

#[test]
fn amounts_that_leave_nothing_are_refused() {
    for amount in [0.0, -1.0, f64::NAN, f64::INFINITY, 30.0, 1e9] {
        let settings = Divide { validation: amount, ..Divide::default() };
        assert!(Divided::new(classes([10; 3]), &settings).is_err(), "{amount}");
    }
    assert!(Divided::new(classes([0; 3]), &Divide::default()).is_err());
    assert_eq!(divided(&classes([2, 0, 0]), 0.1, 1).learning().len(Split::Validation), 1);
}

#[test]
fn identical_pictures_in_train_and_test_are_refused_with_their_indices() {
    let train: Vec<_> = (0..30).map(noise).collect();
    let test: Vec<_> = (15..40).map(noise).collect();
    let dataset = dataset(part(&train, vec![0; 30], vec![]), Part::empty(), part(&test, vec![1; 25], vec![]));
    let error = Divided::new(Arc::clone(&dataset), &Divide::default()).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("15 identical pictures stand in both train and test: 15 = 0, 16 = 1"), "{text}");
    assert!(text.contains("24 = 9, ...;") && !text.contains("25 = 10"), "{text}");
    let accepted = Divide { allow_overlap: true, ..Divide::default() };
    assert!(Divided::new(dataset, &accepted).is_ok());
}

#[test]
fn a_picture_changed_by_one_value_is_not_identical() {
    let mut changed = noise(0);
    changed[77] ^= 1;
    let train: Vec<_> = (0..10).map(noise).collect();
    let dataset = dataset(part(&train, vec![0; 10], vec![]), Part::empty(), part(&[changed], vec![0], vec![]));
    assert!(Divided::new(dataset, &Divide::default()).is_ok());
}

#[test]
fn overlap_with_a_given_validation_and_of_groups_is_refused() {
    let one = |number, group: &str| part(&[noise(number)], vec![0], vec![group.into()]);
    let error = |train, validation, test| {
        Divided::new(dataset(train, validation, test), &Divide::default()).err().map(|error| error.to_string())
    };
    assert_eq!(error(one(0, ""), one(1, ""), one(2, "")), None);
    assert!(error(one(0, ""), one(1, ""), one(1, "")).unwrap().contains("both validation and test: 0 = 0;"));
    assert!(error(one(0, ""), one(0, ""), one(1, "")).unwrap().contains("both train and validation"));
    assert!(error(one(0, "p"), one(1, ""), one(2, "p")).unwrap().contains("1 pictures of one group"));
}

#[test]
fn the_digest_sees_groups() {
    let digest = |names: [&str; 3]| {
        let groups: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let train = part(&[noise(0), noise(1), noise(2)], vec![0; 3], groups);
        divided(&dataset(train, Part::empty(), one_to_test()), 0.3, 1).digest().to_owned()
    };
    let all = [["", "", ""], ["a", "a", "b"], ["a", "b", "b"], ["ab", "", "b"]].map(digest);
    assert_eq!(std::collections::BTreeSet::from(all.clone()).len(), 4, "{all:?}");
    assert_eq!(all[1], digest(["a", "a", "b"]));
}

#[test]
fn who_learns_sees_no_test_picture() {
    let pictures: Vec<_> = (0..30).map(noise).collect();
    let train = part(&pictures[..20], vec![0; 20], vec![]);
    let dataset = dataset(train, Part::empty(), part(&pictures[20..], vec![1; 10], vec!["g".into(); 10]));
    let divided = divided(&dataset, 0.1, 1);
    let (learning, examining) = (divided.learning(), divided.examining());
    let lengths =
        |dataset: &dyn Dataset| [Split::Train, Split::Validation, Split::Test].map(|split| dataset.len(split));
    assert_eq!(lengths(&learning), [18, 2, 0]);
    assert_eq!(lengths(&*examining), [18, 2, 10]);
    let mut out = vec![0.0; SIDE * SIDE];
    assert!(learning.image(Split::Test, 0, &mut out).is_err());
    assert_eq!(out, vec![0.0; SIDE * SIDE]);
    assert_eq!((learning.label(Split::Test, 0), learning.group(Split::Test, 0)), (u32::MAX, None));
    examining.image(Split::Test, 0, &mut out).unwrap();
    assert_eq!(out[0], f32::from(pictures[20][0]) / 255.0);
    assert_eq!((examining.label(Split::Test, 0), examining.group(Split::Test, 0)), (1, Some("g")));
}

#[test]
fn a_given_validation_split_is_kept() {
    let pictures: Vec<_> = (0..30).map(noise).collect();
    let [train, validation] = [&pictures[..20], &pictures[20..]].map(|p| part(p, vec![0; p.len()], vec![]));
    let divided = divided(&dataset(train, validation, Part::empty()), 0.5, 1);
    assert_eq!(divided.learning().len(Split::Validation), 10);
    assert!(divided.view.cut.is_none());
}

#[test]
fn real_data_has_no_overlap_and_is_cut() {
    if let Some(path) = shared("cifar10") {
        let dataset = Cifar10 { path: Some(path) }.open(&|_, _| {}).unwrap();
        assert_eq!(divided(&dataset, 0.1, 1).learning().len(Split::Validation), 807);
    }
    if let Some(path) = shared("mnist") {
        let dataset = Mnist { path: Some(path), pad: 0 }.open(&|_, _| {}).unwrap();
        let start = std::time::Instant::now();
        assert_eq!(divided(&dataset, 5000.0, 1).learning().len(Split::Validation), 5000);
        println!("MNIST checked and cut in {:?}", start.elapsed());
    }
}

#[test]
fn where_there_is_no_test_split_one_is_cut_first() {
    let labels: Vec<u32> = (0..200).map(|index| index % 2).collect();
    let pictures: Vec<_> = (0..200).map(noise).collect();
    let data = dataset(part(&pictures, labels, vec![]), Part::empty(), Part::empty());
    let whole = divided(&data, 0.1, 1).examining();
    let sizes = [Split::Train, Split::Validation, Split::Test].map(|split| whole.len(split));
    assert_eq!(sizes, [162, 18, 20]);
    let mut seen = std::collections::BTreeSet::new();
    for (split, size) in [Split::Train, Split::Validation, Split::Test].into_iter().zip(sizes) {
        for index in 0..size {
            let mut picture = vec![0.0; whole.info().pixels()];
            whole.image(split, index, &mut picture).unwrap();
            seen.insert(picture.iter().map(|value| (value * 255.0) as u8).collect::<Vec<u8>>());
        }
    }
    assert_eq!(seen.len(), 200, "every picture is in exactly one split");
    assert_eq!(divided(&data, 0.1, 1).learning().len(Split::Test), 0);
}
