//! Pixels as PNG.

use crate::ReportError;
use crate::download::address;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use interp_finding::Named;

/// Compresses `rgb`, `height * width * 3` bytes in rows of red, green, blue, as PNG.
///
/// # Errors
/// [`ReportError::Picture`] if the bytes do not fit the size or there is no pixel.
pub fn png(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, ReportError> {
    let wrong = || ReportError::Picture { width, height, given: rgb.len() };
    let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
    if rgb.is_empty() || bytes != Some(rgb.len()) {
        return Err(wrong());
    }
    let (columns, rows) = (u32::try_from(width).map_err(|_| wrong())?, u32::try_from(height).map_err(|_| wrong())?);
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(rgb, columns, rows, ExtendedColorType::Rgb8)?;
    Ok(file)
}

/// Pictures as a page shows them.
pub(crate) struct Strip<'a> {
    pub(crate) pictures: Vec<Shown<'a>>,
}

/// A picture with its name, and its size on the screen, in CSS pixels.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    pub(crate) href: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl<'a> Strip<'a> {
    /// # Errors
    /// [`ReportError::Picture`] if the bytes of one do not fit its size.
    pub(crate) fn new(pictures: &'a [Named], zoom: usize) -> Result<Self, ReportError> {
        let zoomed = |pixels: usize| pixels.saturating_mul(zoom.max(1));
        let shown = |Named { name, width, height, rgb }: &'a Named| {
            let href = address("image/png", &png(*width, *height, rgb)?);
            Ok(Shown { name, href, width: zoomed(*width), height: zoomed(*height) })
        };
        Ok(Self { pictures: pictures.iter().map(shown).collect::<Result<_, ReportError>>()? })
    }
}

/// Pixels between two pictures.
const GAP: usize = 2;

/// All of them in one PNG, beside each other on white.
pub(crate) fn beside(pictures: &[Named]) -> Result<Vec<u8>, ReportError> {
    let height = pictures.iter().map(|one| one.height).max().unwrap_or(0);
    let width = pictures.iter().map(|one| one.width + GAP).sum::<usize>().saturating_sub(GAP);
    let mut rgb = vec![255; width * height * 3];
    let mut left = 0;
    for Named { width: own, rgb: bytes, .. } in pictures {
        for (row, line) in bytes.chunks_exact(3 * (*own).max(1)).enumerate() {
            let start = 3 * (row * width + left);
            rgb[start..start + line.len()].copy_from_slice(line);
        }
        left += own + GAP;
    }
    png(width, height, &rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let rgb: Vec<u8> = (0..3 * 5 * 3).map(|i| (i * 5) as u8).collect();
        let read = image::load_from_memory(&png(3, 5, &rgb).unwrap()).unwrap().into_rgb8();
        assert_eq!((read.dimensions(), read.into_raw()), ((3, 5), rgb));
    }

    #[test]
    fn pictures_lie_beside_each_other_in_one_file() {
        let named = |width: usize, height: usize, value: u8| Named {
            name: String::new(),
            width,
            height,
            rgb: vec![value; width * height * 3],
        };
        let pictures = [named(1, 1, 7), named(2, 2, 9)];
        let joined = image::load_from_memory(&beside(&pictures).unwrap()).unwrap().into_rgb8();
        assert_eq!(joined.dimensions(), (5, 2));
        let values: Vec<u8> = joined.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(values, [7, 255, 255, 9, 9, 255, 255, 255, 9, 9]);
        let shown = Strip::new(&pictures, 3).unwrap();
        assert_eq!((shown.pictures[1].width, shown.pictures[1].height), (6, 6));
        assert!(Strip::new(&[Named { rgb: vec![], ..named(1, 1, 0) }], 1).is_err());
    }

    #[test]
    fn a_picture_whose_bytes_do_not_fit_is_refused() {
        for (width, height, bytes) in
            [(2, 2, 11), (2, 2, 13), (0, 0, 0), (0, 7, 0), (usize::MAX, 2, 12), (usize::MAX, usize::MAX, 3)]
        {
            let error = png(width, height, &vec![0; bytes]).unwrap_err();
            assert!(matches!(error, ReportError::Picture { given, .. } if given == bytes), "{error}");
        }
    }
}
