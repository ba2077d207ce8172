use std::fs;

use image::{ImageBuffer, Luma, Rgb, RgbImage};

use super::*;

/// Writes something at a path.
type Write = fn(&Path);

/// A folder that the closure fills.
fn folder(fill: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    folder
}

/// Writes a gray picture of one value, making its folder.
fn gray(path: &Path, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    ImageBuffer::from_pixel(8, 8, Luma([value])).save(path).unwrap();
}

fn two_classes(root: &Path) {
    gray(&root.join("cat/2.png"), 51);
    gray(&root.join("cat/deeper/1.PNG"), 102);
    gray(&root.join("dog/1.jpg"), 204);
    fs::write(root.join("dog/notes.txt"), "not a picture").unwrap();
    fs::write(root.join("dog/.hidden.png"), "not a picture").unwrap();
}

fn settings(root: &Path) -> Folder {
    Folder { path: root.into(), size: 8, ..Folder::default() }
}

fn open(settings: &Folder) -> Result<Arc<dyn Dataset>> {
    settings.open(&|_, _| {})
}

/// The message of the error that opening the folder gives.
fn error(root: &Path) -> String {
    open(&settings(root)).err().expect("an error").to_string()
}

fn image(dataset: &Arc<dyn Dataset>, split: Split, index: usize) -> Vec<f32> {
    let mut out = vec![0.0; dataset.info().pixels()];
    dataset.image(split, index, &mut out).unwrap();
    out
}

#[test]
fn sub_folders_are_classes() {
    let root = folder(two_classes);
    let dataset = open(&settings(root.path())).unwrap();
    assert_eq!(dataset.info().classes, ["cat", "dog"]);
    assert_eq!(dataset.info().channels, 1);
    assert_eq!([0, 1, 2].map(|index| dataset.label(Split::Train, index)), [0, 0, 1]);
    assert_eq!([0, 1].map(|index| image(&dataset, Split::Train, index)[0]), [0.2, 0.4]);
    let file = |index| dataset.file(Split::Train, index).map(|file| file.strip_prefix(root.path()).unwrap().to_owned());
    assert_eq!([0, 2, 3].map(file), [Some("cat/2.png".into()), Some("dog/1.jpg".into()), None]);
    assert_eq!(dataset.len(Split::Test), 0);
    assert!(dataset.image(Split::Train, 3, &mut [0.0; 64]).is_err());
    assert!(dataset.image(Split::Train, 0, &mut [0.0; 63]).is_err());
}

#[test]
fn explicit_split_folders_are_kept() {
    let root = folder(|root| {
        ["train", "val", "test"].iter().for_each(|split| two_classes(&root.join(split)));
        fs::remove_dir_all(root.join("test/dog")).unwrap();
    });
    let dataset = open(&settings(root.path())).unwrap();
    let lengths = [Split::Train, Split::Validation, Split::Test].map(|split| dataset.len(split));
    assert_eq!(lengths, [3, 3, 2]);
}

/// A folder for measuring alone.
#[test]
fn without_train_all_classes_count() {
    let root = folder(|root| two_classes(&root.join("test")));
    let dataset = open(&settings(root.path())).unwrap();
    let lengths = [Split::Train, Split::Validation, Split::Test].map(|split| dataset.len(split));
    assert_eq!((lengths[0], lengths[1], dataset.info().classes.len()), (0, 0, 2));
    assert!(lengths[2] > 0);
}

#[test]
fn a_class_unknown_to_train_is_refused() {
    let root = folder(|root| {
        two_classes(&root.join("train"));
        gray(&root.join("test/horse/1.png"), 0);
    });
    assert!(error(root.path()).contains("\"horse\" has no pictures to train on"), "{}", error(root.path()));
}

#[test]
fn splits_beside_classes_are_refused() {
    let root = folder(|root| ["train", "test", "cat"].iter().for_each(|name| two_classes(&root.join(name))));
    assert!(error(root.path()).contains("expected either one per class"), "{}", error(root.path()));
}

#[test]
fn one_color_picture_makes_all_color_and_one_deep_picture_all_deep() {
    let root = folder(|root| {
        two_classes(root);
        RgbImage::from_pixel(8, 8, Rgb([255, 0, 51])).save(root.join("cat/0.png")).unwrap();
        ImageBuffer::from_pixel(8, 8, Luma([12_345_u16])).save(root.join("cat/1.png")).unwrap();
    });
    let dataset = open(&settings(root.path())).unwrap();
    assert_eq!(dataset.info().channels, 3);
    assert_eq!(image(&dataset, Split::Train, 0)[..3], [1.0, 0.0, 0.2]);
    assert_eq!(image(&dataset, Split::Train, 1)[..3], [12_345.0 / 65_535.0; 3]);
    assert_eq!(image(&dataset, Split::Train, 2)[..3], [0.2; 3]);
}

#[test]
fn sixteen_bit_gray_keeps_its_precision() {
    let root = folder(|root| {
        two_classes(root);
        let ramp = ImageBuffer::from_fn(8, 8, |x, y| Luma([30_000 + (8 * y + x) as u16]));
        ramp.save(root.join("cat/0.png")).unwrap();
    });
    let dataset = open(&settings(root.path())).unwrap();
    assert_eq!(dataset.info().channels, 1);
    let expected: Vec<f32> = (30_000..30_064).map(|value| value as f32 / 65_535.0).collect();
    assert_eq!(image(&dataset, Split::Train, 0), expected);
}

#[test]
fn the_middle_square_is_taken_and_averaged() {
    let root = folder(|root| {
        two_classes(root);
        // 48 x 16: the middle 16 columns are a checkerboard of single pixels, the rest is white.
        let checks = |x: u32, y: u32| if (16..32).contains(&x) { 200 * ((x + y) % 2) as u8 } else { 255 };
        ImageBuffer::from_fn(48, 16, |x, y| Luma([checks(x, y)])).save(root.join("cat/0.png")).unwrap();
    });
    let dataset = open(&Folder { size: 4, ..settings(root.path()) }).unwrap();
    let picture = image(&dataset, Split::Train, 0);
    for row in picture.chunks_exact(4) {
        // Antialiased: gray, neither 0 nor 200, and no white from outside the square.
        assert!(row.iter().all(|value| (value * 255.0 - 100.0).abs() <= 4.0), "{picture:?}");
    }
}

#[test]
fn broken_pictures_are_named() {
    let cases: [(&str, Write, &str); 5] = [
        ("cat/0.png", |path| fs::write(path, []).unwrap(), "empty"),
        ("dog/0.png", |path| fs::write(path, "GIF89a, or text").unwrap(), "neither a PNG nor a JPEG"),
        ("dog/half.png", half, "decoded"),
        ("dog/half.jpg", half, "cut short"),
        ("cat/link.png", |path| std::os::unix::fs::symlink("nowhere", path).unwrap(), "No such file"),
    ];
    for (name, write, expected) in cases {
        let root = folder(two_classes);
        write(&root.path().join(name));
        let message = error(root.path());
        assert!(message.contains(name) && message.contains(expected), "{name}: {message}");
    }
}

/// Writes a picture and cuts the file in half.
fn half(path: &Path) {
    ImageBuffer::from_fn(64, 64, |x, y| Luma([(x * y) as u8])).save(path).unwrap();
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn of_several_broken_pictures_the_first_is_named() {
    let root = folder(|root| {
        (0..20).for_each(|index| gray(&root.join(format!("cat/{index:02}.png")), 7));
        two_classes(root);
        ["cat/05.png", "cat/06.png", "dog/half.png"].iter().for_each(|name| half(&root.join(name)));
    });
    (0..5).for_each(|_| assert!(error(root.path()).contains("05.png")));
}

#[test]
fn folders_that_cannot_be_learned_from_are_refused() {
    let cases: [(Write, &str); 4] = [
        (|_| {}, "no sub-folders"),
        (|root| fs::create_dir(root.join("empty")).unwrap(), "no pictures in this folder of a class"),
        (|root| std::os::unix::fs::symlink("..", root.join("cat/loop")).unwrap(), "leads back"),
        (|root| std::os::unix::fs::symlink(".", root.join("loop")).unwrap(), "leads back"),
    ];
    for (index, (fill, expected)) in cases.into_iter().enumerate() {
        let root = folder(|root| {
            if index > 0 {
                two_classes(root);
            }
            fill(root);
        });
        assert!(error(root.path()).contains(expected), "{index}: {}", error(root.path()));
    }
    assert!(matches!(open(&settings(Path::new("/nowhere/at/all"))), Err(DataError::Io { .. })));
    assert!(open(&Folder::default()).is_err());
    assert!(open(&Folder { size: 0, path: "/".into(), ..Folder::default() }).is_err());
}

#[test]
fn names_that_are_not_unicode_are_fine_for_files_and_refused_for_classes() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
    let root = folder(two_classes);
    let mut name = odd.to_owned();
    name.push(".png");
    fs::copy(root.path().join("cat/2.png"), root.path().join("cat").join(name)).unwrap();
    assert_eq!(open(&settings(root.path())).unwrap().len(Split::Train), 4);
    fs::create_dir(root.path().join(odd)).unwrap();
    assert!(error(root.path()).contains("must be Unicode"));
}

#[test]
fn mean_and_deviation_must_fit_the_channels() {
    let root = folder(two_classes);
    let given = |mean: &[f32], std: &[f32]| Folder {
        mean: Some(mean.to_vec()),
        std: Some(std.to_vec()),
        ..settings(root.path())
    };
    assert_eq!(open(&settings(root.path())).unwrap().info().mean, [0.5]);
    assert_eq!(open(&given(&[0.1], &[0.2])).unwrap().info().std, [0.2]);
    for (mean, std) in [(&[0.1; 3][..], &[0.2; 3][..]), (&[0.1], &[0.0]), (&[f32::NAN], &[1.0])] {
        assert!(open(&given(mean, std)).is_err(), "{mean:?} {std:?}");
    }
}

/// Opens the pictures of [`two_classes`] as a table tells.
fn tabled(csv: &str) -> Result<Arc<dyn Dataset>> {
    let root = folder(two_classes);
    fs::write(root.path().join("table.csv"), csv).unwrap();
    open(&Folder { csv: Some("table.csv".into()), ..settings(root.path()) })
}

#[test]
fn a_table_gives_labels_splits_and_groups() {
    let dataset = tabled(
        "\u{feff}path, label, split, group, age\ncat/2.png,10,train,p1,3\ndog/1.jpg,9,train,,4\ncat/deeper/1.PNG,9,test,p2,5\n",
    )
    .unwrap();
    assert_eq!(dataset.info().classes, ["9", "10"]);
    assert_eq!([0, 1].map(|index| dataset.label(Split::Train, index)), [1, 0]);
    assert_eq!([0, 1].map(|index| dataset.group(Split::Train, index)), [Some("p1"), None]);
    assert_eq!((dataset.len(Split::Test), dataset.group(Split::Test, 0)), (1, Some("p2")));
}

#[test]
fn tables_that_are_wrong_say_where() {
    let cases = [
        ("path,label\ncat/2.png,a\ncat/none.png,b\n", "line 3: there is no picture"),
        ("path,label\ncat/2.png,a\ncat,b\n", "line 3: there is no picture"),
        ("path,label\ncat/2.png,\n", "line 2: cat/2.png has no label"),
        ("path,label,split\ncat/2.png,a,tset\n", "line 2: split \"tset\""),
        ("path,label,splits\ncat/2.png,a,test\n", "did you mean \"split\""),
        ("file,label\n", "path and label must be among them"),
        ("path,label\ncat/2.png,a,b\n", "line: 2"),
        ("path,label\n\u{0}\u{fffd}\n", "line: 2"),
        ("path,label\n", "there are no pictures"),
        ("", "path and label must be among them"),
    ];
    for (csv, expected) in cases {
        let message = tabled(csv).err().unwrap().to_string();
        assert!(message.contains(expected), "{csv:?}: {message}");
    }
    let root = folder(two_classes);
    assert!(open(&Folder { csv: Some("none.csv".into()), ..settings(root.path()) }).is_err());
}

#[test]
fn pictures_that_no_memory_holds_are_refused_with_their_size() {
    let root = folder(|root| {
        gray(&root.join("cat/0.png"), 0);
        let color = root.join("dog/0.png");
        fs::create_dir_all(root.join("dog")).unwrap();
        ImageBuffer::from_pixel(1, 1, Rgb([1u16, 2, 3])).save(&color).unwrap();
        for i in 1..700 {
            fs::copy(&color, root.join(format!("dog/{i}.png"))).unwrap();
        }
    });
    // 701 pictures of 4096 * 4096 * 3 values of two bytes.
    let error = open(&Folder { size: 4096, ..settings(root.path()) }).err().unwrap().to_string();
    assert!(error.contains("`size`") && error.contains("701 pictures take 65.7 GiB"), "{error}");
}

#[test]
fn photographs_are_read_if_they_are_there() {
    let Some(photos) = crate::shared::shared("photos") else { return };
    let table = tempfile::tempdir().unwrap();
    let rows = fs::read_to_string(photos.join("labels.csv")).unwrap().replacen(
        "file,class_index,wnid,name",
        "path,wnid,n,label",
        1,
    );
    fs::write(table.path().join("labels.csv"), rows).unwrap();
    let csv = Some(table.path().join("labels.csv"));
    let dataset = open(&Folder { size: 224, csv, path: photos, ..Folder::default() }).unwrap();
    assert_eq!((dataset.len(Split::Train), dataset.info().classes.len(), dataset.info().channels), (50, 50, 3));
    let picture = image(&dataset, Split::Train, 0);
    let mean = picture.iter().sum::<f32>() / picture.len() as f32;
    assert!((0.1..0.9).contains(&mean), "{mean}");
}

// A picture of 8x8 pixels whose left half is a wing, the rest sky but for what has no name; the class is that of the sky.
#[test]
fn label_maps_beside_pictures_are_concepts() {
    let root = folder(|root| {
        gray(&root.join("sky/1.png"), 51);
        gray(&root.join("sky/2.png"), 51);
        let value = |x: u32, y: u32| if x < 4 { 3 } else { 300 + u16::from(y == 0) };
        ImageBuffer::from_fn(8, 8, |x, y| Luma([value(x, y)])).save(root.join("sky/1.labels.png")).unwrap();
        fs::write(root.join("concepts.csv"), "value,concept\n3,part/wing\n300,object/sky\n").unwrap();
    });
    let dataset = open(&settings(root.path())).unwrap();
    assert_eq!(dataset.len(Split::Train), 2);
    let truth = dataset.truth(Split::Train, 0).unwrap().unwrap();
    let counts: Vec<(&str, usize)> = truth
        .concepts
        .iter()
        .map(|(name, mask)| (name.as_str(), mask.coverage.iter().filter(|share| **share == 255).count()))
        .collect();
    assert_eq!(counts, [("part/wing", 32), ("object/sky", 28)]);
    assert_eq!(truth.object.as_ref(), Some(&truth.concepts[1].1));
    assert!(truth.concepts[0].1.coverage[3] == 255 && truth.concepts[0].1.coverage[4] == 0);
    assert!(dataset.truth(Split::Train, 1).unwrap().is_none());

    let refused = || open(&settings(root.path())).and_then(|data| data.truth(Split::Train, 0)).unwrap_err().to_string();
    ImageBuffer::from_pixel(4, 8, Luma([3u8])).save(root.path().join("sky/1.labels.png")).unwrap();
    assert!(refused().contains("[4, 8] pixels, and its picture has [8, 8]"), "{}", refused());
    RgbImage::new(8, 8).save(root.path().join("sky/1.labels.png")).unwrap();
    assert!(refused().contains("a label map is a gray PNG file"), "{}", refused());
    fs::write(root.path().join("concepts.csv"), "number,concept\n").unwrap();
    assert!(refused().contains("expected value,concept"), "{}", refused());
    fs::write(root.path().join("concepts.csv"), "value,concept\n3,a\n3,b\n").unwrap();
    assert!(refused().contains("3 is \"a\" and \"b\""), "{}", refused());
    fs::write(root.path().join("concepts.csv"), "value,concept\n3,a\n4,a\n").unwrap();
    assert!(refused().contains("\"a\" has two numbers"), "{}", refused());
}
