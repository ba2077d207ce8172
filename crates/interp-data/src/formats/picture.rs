//! PNG and JPEG pictures.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::jpeg;

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

/// Takes the middle square and scales it to `size` by an antialiased bilinear (triangle) filter.
pub(crate) fn square(picture: &DynamicImage, size: u32) -> DynamicImage {
    middle(picture).resize_exact(size, size, FilterType::Triangle)
}

/// The same without mixing: each pixel is the nearest one.
pub(crate) fn nearest_square(picture: &DynamicImage, size: u32) -> DynamicImage {
    middle(picture).resize_exact(size, size, FilterType::Nearest)
}

fn middle(picture: &DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let side = width.min(height);
    picture.crop_imm((width - side) / 2, (height - side) / 2, side, side)
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
