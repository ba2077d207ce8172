//! Whether a JPEG file is whole.
//!
//! The decoder fills what is missing with gray and says nothing, so that a file cut short would go into
//! training unseen.

/// The end of the picture.
const END: u8 = 0xd9;
/// The start of a scan: a segment, then compressed data up to the next marker.
const SCAN: u8 = 0xda;

/// Whether the segments and scans of a JPEG file lead to its end marker (ITU-T T.81, annex B).
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        match marker {
            END => return true,
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                if marker == SCAN {
                    at = after_scan(bytes, at);
                }
            }
        }
    }
    false
}

/// The place of the first marker after the compressed data that starts at `at`: 0xff followed by 0 is
/// data, and restart markers belong to the scan.
fn after_scan(bytes: &[u8], at: usize) -> usize {
    let data = bytes.get(at..).unwrap_or_default();
    let marker = data.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
    marker.map_or(bytes.len(), |offset| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_file_is_seen() {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * y) as u8, x as u8 * 6, y as u8 * 8]));
        picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        let bytes = bytes.into_inner();
        assert!(is_whole(&bytes));
        for length in 0..bytes.len() {
            assert!(!is_whole(&bytes[..length]), "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn segments_of_impossible_length_end_the_search() {
        assert!(!is_whole(&[0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 0xff, 0xd9]));
        assert!(!is_whole(&[0xff, 0xd8, 0xff, 0xda, 0, 0]));
    }
}
