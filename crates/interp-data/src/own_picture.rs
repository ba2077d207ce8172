//! A person's own picture, as a network takes it.

use std::path::Path;

use crate::formats::picture;
use crate::{DataError, Result};

/// Reads a PNG or JPEG file as `channels` (1 or 3) by `size` pixels: (H, W, C) in [0, 1]. What the folder
/// data set does: the middle square, scaled by an antialiased bilinear filter.
///
/// # Errors
/// If the file cannot be read or is no such picture, or the size is not square.
pub fn read_picture(path: &Path, channels: usize, size: [usize; 2]) -> Result<Vec<f32>> {
    let wrong = |problem: String| DataError::Format { path: path.to_owned(), problem };
    let [height, width] = size;
    if height != width || !matches!(channels, 1 | 3) {
        let problem = format!(
            "the network takes {channels} channel(s) of {height} x {width}; pictures are read square, gray or color"
        );
        return Err(wrong(problem));
    }
    let bytes = std::fs::read(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let decoded = picture::decode(&bytes).map_err(wrong)?;
    let scaled = picture::square(&decoded, width as u32);
    Ok(match channels {
        1 => scaled.into_luma16().into_raw().into_iter().map(|value| f32::from(value) / 65535.0).collect(),
        _ => scaled.into_rgb32f().into_raw(),
    })
}
