//! Pixels as PNG.

use crate::ReportError;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

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
    fn a_picture_whose_bytes_do_not_fit_is_refused() {
        for (width, height, bytes) in
            [(2, 2, 11), (2, 2, 13), (0, 0, 0), (0, 7, 0), (usize::MAX, 2, 12), (usize::MAX, usize::MAX, 3)]
        {
            let error = png(width, height, &vec![0; bytes]).unwrap_err();
            assert!(matches!(error, ReportError::Picture { given, .. } if given == bytes), "{error}");
        }
    }
}
