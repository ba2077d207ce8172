//! A person's own picture, as a network takes it.

use std::path::Path;

use crate::formats::picture::{self, Kind};
use crate::padded::place;
use crate::{DataError, Fit, Result};

/// Reads a PNG or JPEG file as `channels` (1 or 3) by `size` pixels, black ones at the border among them: (H, W, C) in [0, 1].
/// What the folder data set does: to gray or color, then to the size as `fit` says.
///
/// # Errors
/// If the file cannot be read or is no such picture, or the size is not square, all border, or cannot be cut out.
pub fn read_picture(path: &Path, channels: usize, size: [usize; 2], fit: &Fit) -> Result<Vec<f32>> {
    let wrong = |problem: String| DataError::Format { path: path.to_owned(), problem };
    let [height, width] = size;
    let side = width.saturating_sub(2 * fit.border);
    if height != width || side == 0 || !matches!(channels, 1 | 3) {
        let problem = format!(
            "the network takes {channels} channel(s) of {height} x {width}; pictures are read square, gray or color"
        );
        return Err(wrong(problem));
    }
    fit.check(side).map_err(|unfit| wrong(unfit.to_string()))?;
    if path.exists() && !path.is_file() {
        return Err(wrong("it is no file".into()));
    }
    let bytes = std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let decoded = picture::decode(&bytes).map_err(wrong)?;
    let kind = Kind { color: channels == 3, deep: picture::kind(&bytes).map_err(wrong)?.deep };
    let scaled = picture::fitted(&picture::convert(decoded, kind), side as u32, fit).map_err(wrong)?;
    let values: Vec<f32> = match channels {
        1 => scaled.into_luma16().into_raw().into_iter().map(|value| f32::from(value) / 65535.0).collect(),
        _ => scaled.into_rgb32f().into_raw(),
    };
    let mut out = vec![0.0; height * width * channels];
    place(&values, side * channels, fit.border, channels, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_right_size_is_read_as_it_is_with_its_border() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.png");
        image::GrayImage::from_vec(2, 2, vec![0, 51, 102, 255]).unwrap().save(&path).unwrap();
        let read = read_picture(&path, 1, [4, 4], &Fit { border: 1, ..Fit::default() }).unwrap();
        let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.4, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(read.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{read:?}");
        assert!(read_picture(&path, 1, [4, 4], &Fit { border: 2, ..Fit::default() }).is_err());
    }
}
