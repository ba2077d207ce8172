//! Many pictures of one size in one file.

use crate::download::address;
use crate::{ReportError, png};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use interp_finding::{Place, Sheet};

/// Larger sheets are written as JPEG, in bytes.
const EXACT: usize = 1 << 17;
/// Of 100.
const QUALITY: u8 = 85;
/// Side of a block of JPEG: pictures that start at blocks do not run into each other.
const BLOCK: usize = 8;

/// A sheet as one picture, with where each of its pictures is.
pub(crate) struct Laid {
    /// The file, as a `data:` address.
    pub(crate) href: String,
    /// Width and height of the file.
    pub(crate) extent: [usize; 2],
    /// Width and height of a picture.
    pub(crate) size: [usize; 2],
    columns: usize,
    count: usize,
}

impl Laid {
    /// # Errors
    /// [`ReportError::Picture`] if the bytes are not those of one or more pictures of its size.
    pub(crate) fn new(sheet: &Sheet) -> Result<Self, ReportError> {
        let size = [sheet.width, sheet.height];
        let bytes = sheet.width.checked_mul(sheet.height).and_then(|pixels| pixels.checked_mul(3)).unwrap_or(0);
        if bytes == 0 || sheet.rgb.is_empty() || !sheet.rgb.len().is_multiple_of(bytes) {
            return Err(ReportError::Picture { width: sheet.width, height: sheet.height, given: sheet.rgb.len() });
        }
        let count = sheet.rgb.len() / bytes;
        let pitch = size.map(pitch);
        let columns = ((count * pitch[1]) as f64 / pitch[0] as f64).sqrt().ceil().clamp(1.0, count as f64) as usize;
        let extent = [columns * pitch[0], count.div_ceil(columns) * pitch[1]];
        let laid = Self { href: String::new(), extent, size, columns, count };
        Ok(Self { href: file(extent, &laid.pixels(sheet, bytes))?, ..laid })
    }

    /// All pictures on one.
    fn pixels(&self, sheet: &Sheet, bytes: usize) -> Vec<u8> {
        let mut all = vec![128; self.extent[0] * self.extent[1] * 3];
        for (index, picture) in sheet.rgb.chunks_exact(bytes).enumerate() {
            let [left, top] = self.corner(index);
            for (row, line) in picture.chunks_exact(3 * sheet.width).enumerate() {
                let start = 3 * ((top + row) * self.extent[0] + left);
                all[start..start + line.len()].copy_from_slice(line);
            }
        }
        all
    }

    /// Left and top of a picture.
    fn corner(&self, index: usize) -> [usize; 2] {
        [index % self.columns * pitch(self.size[0]), index / self.columns * pitch(self.size[1])]
    }

    /// Left, top, width and height of a picture, if it is on the sheet.
    pub(crate) fn area(&self, index: usize) -> Option<[usize; 4]> {
        let [left, top] = self.corner(index);
        (index < self.count).then_some([left, top, self.size[0], self.size[1]])
    }
}

/// The area of a picture on one of several sheets.
pub(crate) fn area(sheets: &[Laid], place: Place) -> Option<[usize; 4]> {
    sheets.get(place.sheet)?.area(place.index)
}

/// From one picture to the next.
fn pitch(side: usize) -> usize {
    side.next_multiple_of(BLOCK)
}

/// As PNG, or as JPEG where that is large.
fn file([width, height]: [usize; 2], rgb: &[u8]) -> Result<String, ReportError> {
    let exact = png(width, height, rgb)?;
    if exact.len() <= EXACT {
        return Ok(address("image/png", &exact));
    }
    let mut file = Vec::new();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    encoder.encode(rgb, side(width), side(height), ExtendedColorType::Rgb8)?;
    Ok(address("image/jpeg", &file))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;

    fn read(laid: &Laid) -> image::RgbImage {
        let text = laid.href.split_once("base64,").unwrap().1;
        image::load_from_memory(&BASE64_STANDARD.decode(text).unwrap()).unwrap().into_rgb8()
    }

    // Five pictures of 3 by 2 lie in blocks of 8 by 8: in three columns, 24 by 16.
    #[test]
    fn pictures_are_where_the_sheet_says() {
        let sheet = Sheet { width: 3, height: 2, rgb: (0..5).flat_map(|at| vec![10 * at; 18]).collect() };
        let laid = Laid::new(&sheet).unwrap();
        assert_eq!((laid.extent, laid.area(4), laid.area(5)), ([24, 16], Some([8, 8, 3, 2]), None));
        let picture = read(&laid);
        for at in 0..5 {
            let [left, top, width, height] = laid.area(at).unwrap();
            for (x, y) in [(left, top), (left + width - 1, top + height - 1)] {
                assert_eq!(picture.get_pixel(x as u32, y as u32).0, [10 * at as u8; 3]);
            }
        }
    }

    #[test]
    fn large_sheets_are_jpeg_and_close_to_what_was_given() {
        let value = |at: usize| ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
        // Noise within blocks, which PNG cannot make small.
        let rgb: Vec<u8> = (0..400).flat_map(|at| (0..16 * 16 * 3).map(move |p| value(at * 768 + p))).collect();
        let laid = Laid::new(&Sheet { width: 16, height: 16, rgb: rgb.clone() }).unwrap();
        assert!(laid.href.starts_with("data:image/jpeg") && laid.extent == [320, 320]);
        let picture = read(&laid);
        let [left, top, ..] = laid.area(399).unwrap();
        let mean = |bytes: &[u8]| bytes.iter().map(|&b| f64::from(b)).sum::<f64>() / bytes.len() as f64;
        let part = image::imageops::crop_imm(&picture, left as u32, top as u32, 16, 16).to_image();
        assert!((mean(part.as_raw()) - mean(&rgb[399 * 768..])).abs() < 2.0);
    }

    #[test]
    fn bytes_that_are_no_pictures_are_refused() {
        for (width, height, bytes) in [(2, 2, 0), (2, 2, 13), (0, 2, 12), (usize::MAX, 2, 12)] {
            assert!(Laid::new(&Sheet { width, height, rgb: vec![0; bytes] }).is_err());
        }
    }
}
