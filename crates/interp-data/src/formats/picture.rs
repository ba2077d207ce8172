//! PNG and JPEG pictures.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::jpeg;
use crate::{Fit, Interpolation};

/// What the header of a picture says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Kind {
    /// Whether it has color.
    pub(crate) color: bool,
    /// Whether it has 16 bits per value.
    pub(crate) deep: bool,
}

/// Reads the header of a picture.
///
/// # Errors
/// Text that says what is wrong with it.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind, String> {
    let values = reader(bytes)?.into_decoder().map_err(unreadable)?.color_type();
    Ok(Kind { color: values.has_color(), deep: values.bytes_per_pixel() > values.channel_count() })
}

/// Decodes a whole picture.
///
/// # Errors
/// Text that says what is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    if is_jpeg(bytes) && !jpeg::is_whole(bytes) {
        return Err("the JPEG file ends before its picture does: it was cut short".into());
    }
    reader(bytes)?.decode().map_err(unreadable)
}

/// Whether the bytes are a JPEG file.
pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Converts to gray or color (dropping opacity), with 8 or 16 bits.
pub(crate) fn convert(picture: DynamicImage, kind: Kind) -> DynamicImage {
    match kind {
        Kind { color: false, deep: false } => picture.into_luma8().into(),
        Kind { color: false, deep: true } => picture.into_luma16().into(),
        Kind { color: true, deep: false } => picture.into_rgb8().into(),
        Kind { color: true, deep: true } => picture.into_rgb16().into(),
    }
}

/// Pixels of a scaled picture before the middle is cut out of it: one that is far longer than wide would take all memory.
const MOST_PIXELS: u64 = 1 << 26;

/// Brings a picture to `size` x `size` pixels by an antialiased filter.
///
/// # Errors
/// Text that says why it would be too large in between.
pub(crate) fn fitted(picture: &DynamicImage, size: u32, fit: &Fit) -> Result<DynamicImage, String> {
    let filter = match fit.interpolation {
        Interpolation::Bilinear => FilterType::Triangle,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    filtered(picture, size, fit, filter)
}

/// The same without mixing: each pixel is the nearest one.
///
/// # Errors
/// As [`fitted`].
pub(crate) fn nearest_fitted(picture: &DynamicImage, size: u32, fit: &Fit) -> Result<DynamicImage, String> {
    filtered(picture, size, fit, FilterType::Nearest)
}

/// Torchvision's `Resize` and `CenterCrop` where the shorter side has a size of its own; else the middle square, scaled.
fn filtered(picture: &DynamicImage, size: u32, fit: &Fit, filter: FilterType) -> Result<DynamicImage, String> {
    let (width, height) = (picture.width(), picture.height());
    let shorter = width.min(height).max(1);
    let Some(side) = fit.resize else {
        let middle = picture.crop_imm((width - shorter) / 2, (height - shorter) / 2, shorter, shorter);
        return Ok(middle.resize_exact(size, size, filter));
    };
    let [wide, high] = [width, height].map(|long| u64::from(long) * u64::from(side) / u64::from(shorter));
    if wide.saturating_mul(high) > MOST_PIXELS {
        return Err(format!("{width}x{height} pixels are too long: scaled to a shorter side of {side}, {wide}x{high}"));
    }
    let [width, height] = [wide as u32, high as u32]; // Below 2^26.
    let scaled = picture.resize_exact(width, height, filter);
    // Halves are rounded to the even number, as Python does.
    let [left, top] = [width, height].map(|all| (f64::from(all.saturating_sub(size)) / 2.0).round_ties_even() as u32);
    Ok(scaled.crop_imm(left, top, size, size))
}

/// Width and height of a picture, by its header.
///
/// # Errors
/// Text that says what is wrong with it.
pub(crate) fn size(bytes: &[u8]) -> Result<[u32; 2], String> {
    reader(bytes)?.into_dimensions().map(|(width, height)| [width, height]).map_err(unreadable)
}

fn reader(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg) => Ok(reader),
        _ => Err("neither a PNG nor a JPEG picture".into()),
    }
}

fn unreadable(error: image::ImageError) -> String {
    format!("the picture cannot be decoded ({error})")
}
