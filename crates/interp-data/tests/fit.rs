//! Pictures brought to a network's size as torchvision does: its `Resize` and `CenterCrop` on Pillow's pictures.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use interp_data::{Fit, Interpolation, read_picture};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fit")
}

/// Mean and largest difference between what is made here of a picture and Pillow's values, in units of 1/255.
fn apart(picture: &Path, theirs: &Path, fit: &Fit, size: usize) -> [f64; 2] {
    let own = read_picture(picture, 3, [size, size], fit).unwrap();
    let theirs = std::fs::read(theirs).unwrap();
    assert_eq!(own.len(), theirs.len());
    let differences = own.iter().zip(theirs).map(|(a, b)| (f64::from(*a) * 255.0 - f64::from(b)).abs());
    [differences.clone().sum::<f64>() / own.len() as f64, differences.fold(0.0, f64::max)]
}

// Pillow rounds to whole numbers after rows and again after columns; JPEG decoders differ by 1 or 2 where they round.
#[test]
fn pictures_are_those_of_torchvision() {
    for (interpolation, name) in [(Interpolation::Bilinear, "bilinear"), (Interpolation::Bicubic, "bicubic")] {
        for (resize, size) in [(32, 28), (47, 33), (120, 101)] {
            let fit = Fit { border: 0, resize: Some(resize), interpolation };
            let theirs = data().join(format!("{name}-{resize}-{size}.rgb"));
            let [mean, most] = apart(&data().join("photo.jpg"), &theirs, &fit, size);
            println!("{name} {resize} {size}: {mean:.3} of 255 on average, at most {most:.1}");
            assert!(mean < 1.0 && most <= 6.0, "{name} {resize} {size}: {mean:.3}, at most {most:.1}");
        }
    }
}

#[test]
fn what_cannot_be_cut_out_is_refused() {
    let fit = Fit { resize: Some(20), ..Fit::default() };
    let error = read_picture(&data().join("photo.jpg"), 3, [28, 28], &fit).unwrap_err().to_string();
    assert!(error.contains("`resize` must be 28 pixels, which are cut out, to 16384, not 20"), "{error}");
}

#[test]
fn a_picture_far_longer_than_wide_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.png");
    image::GrayImage::new(60_000, 1).save(&path).unwrap();
    let fit = Fit { resize: Some(256), ..Fit::default() };
    let error = read_picture(&path, 3, [224, 224], &fit).unwrap_err().to_string();
    assert!(error.contains("60000x1 pixels are too long"), "{error}");
    assert!(read_picture(&path, 3, [224, 224], &Fit::default()).is_ok());
}

/// Photographs `NAME.jpg` beside what Pillow makes of each, `NAME.rgb`, in the folder INTERP_PHOTOS.
#[test]
#[ignore = "needs photographs and Pillow: benches/against_pytorch/photos.py runs it"]
fn photographs_are_those_of_torchvision() {
    let folder = PathBuf::from(std::env::var_os("INTERP_PHOTOS").unwrap());
    let fit = Fit { border: 0, resize: Some(256), interpolation: Interpolation::Bilinear };
    let photos = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let photos = photos.filter(|path| path.extension().is_some_and(|end| end == "jpg"));
    let found: Vec<[f64; 2]> = photos.map(|path| apart(&path, &path.with_extension("rgb"), &fit, 224)).collect();
    let mean = found.iter().map(|[mean, _]| mean).sum::<f64>() / found.len() as f64;
    let worst = found.iter().map(|[mean, _]| *mean).fold(0.0, f64::max);
    println!("{} photographs: {mean:.3} of 255 on average, {worst:.3} for the worst of them", found.len());
    assert!(worst < 1.0, "{worst}");
}
