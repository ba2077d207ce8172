//! Pictures that are made worse, to see what networks stand.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, imageops};
use interp_finding::random::stream;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::{DataError, Dataset, Factor, Info, Mask, Result, Split, Truth};

/// What is done to pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corruption {
    /// Normal noise of this standard deviation on every value, which stays in [0, 1].
    Noise(f64),
    /// A Gaussian of this standard deviation, in pixels.
    Blur(f32),
    /// Compressed as a JPEG file of this quality, 1 to 100.
    Jpeg(u8),
    /// What is not the object has the mean color of what is not the object in the next picture of its split.
    Background,
}

/// The same pictures, corrupted; `None` where [`Corruption::Background`] is asked for and the data set does not know where the object
/// of every picture is.
///
/// # Errors
/// Where that cannot be found out.
pub fn corrupted(data: Arc<dyn Dataset>, split: Split, how: Corruption) -> Result<Option<Arc<dyn Dataset>>> {
    let has_object = |index| Ok(data.truth(split, index)?.is_some_and(|truth| truth.object.is_some()));
    let is_known = || -> Result<bool> {
        let all = (0..data.len(split)).into_par_iter().map(has_object).collect::<Result<Vec<bool>>>()?;
        Ok(!all.is_empty() && all.into_iter().all(|known| known))
    };
    if how == Corruption::Background && !is_known()? {
        return Ok(None);
    }
    Ok(Some(Arc::new(Corrupted { data, how })))
}

struct Corrupted {
    data: Arc<dyn Dataset>,
    how: Corruption,
}

impl Dataset for Corrupted {
    fn info(&self) -> &Info {
        self.data.info()
    }

    fn len(&self, split: Split) -> usize {
        self.data.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.data.label(split, index)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        self.data.image(split, index, out)?;
        match self.how {
            Corruption::Noise(deviation) => {
                add_noise(out, deviation, index);
                Ok(())
            }
            Corruption::Blur(deviation) => {
                blur(out, self.info(), deviation);
                Ok(())
            }
            Corruption::Jpeg(quality) => compress(out, self.info(), quality),
            Corruption::Background => self.swap_background(split, index, out),
        }
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        self.data.truth(split, index)
    }

    fn factors(&self, split: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
        self.data.factors(split, index)
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        self.data.file(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.data.group(split, index)
    }
}

impl Corrupted {
    fn swap_background(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        let Some(own) = self.object(split, index)? else { return Ok(()) };
        let next = (index + 1) % self.len(split).max(1);
        let Some(other) = self.object(split, next)? else { return Ok(()) };
        let mut picture = vec![0.0; out.len()];
        self.data.image(split, next, &mut picture)?;
        let color = mean_outside(&picture, &other, self.info().channels);
        for (pixel, &part) in out.chunks_exact_mut(self.info().channels).zip(&own.coverage) {
            let part = f32::from(part) / 255.0;
            pixel.iter_mut().zip(&color).for_each(|(value, color)| *value = part * *value + (1.0 - part) * color);
        }
        Ok(())
    }

    fn object(&self, split: Split, index: usize) -> Result<Option<Mask>> {
        Ok(self.data.truth(split, index)?.and_then(|truth| truth.object))
    }
}

/// The mean color of what is not the object; of a picture that is nothing else, of all of it.
fn mean_outside(picture: &[f32], object: &Mask, channels: usize) -> Vec<f32> {
    let outside = |part: &u8| 1.0 - f64::from(*part) / 255.0;
    let all: f64 = object.coverage.iter().map(outside).sum();
    let weight = |part: &u8| if all > 0.0 { outside(part) / all } else { 1.0 / object.coverage.len() as f64 };
    let mut color = vec![0.0; channels];
    for (pixel, part) in picture.chunks_exact(channels).zip(&object.coverage) {
        color.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += weight(part) * f64::from(value));
    }
    color.into_iter().map(|value| value as f32).collect()
}

fn add_noise(picture: &mut [f32], deviation: f64, index: usize) {
    let mut random = stream(0, "corruption", 0, index as u64);
    for value in picture {
        let unit: f64 = StandardNormal.sample(&mut random);
        *value = (f64::from(*value) + deviation * unit).clamp(0.0, 1.0) as f32;
    }
}

fn blur(picture: &mut [f32], info: &Info, deviation: f32) {
    let (width, height) = (info.width as u32, info.height as u32);
    let pixels = picture.to_vec();
    let blurred = if info.channels == 3 {
        ImageBuffer::<Rgb<f32>, _>::from_raw(width, height, pixels)
            .map(|image| imageops::blur(&image, deviation).into_raw())
    } else {
        ImageBuffer::<Luma<f32>, _>::from_raw(width, height, pixels)
            .map(|image| imageops::blur(&image, deviation).into_raw())
    };
    if let Some(blurred) = blurred {
        picture.copy_from_slice(&blurred);
    }
}

fn compress(picture: &mut [f32], info: &Info, quality: u8) -> Result<()> {
    let (width, height) = (info.width as u32, info.height as u32);
    let bytes: Vec<u8> = picture.iter().map(|&value| (255.0 * value.clamp(0.0, 1.0)).round() as u8).collect();
    let image = if info.channels == 3 {
        RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8)
    } else {
        GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8)
    };
    let Some(image) = image else { return Ok(()) };
    let wrong = |error: image::ImageError| DataError::Settings(format!("a picture cannot be compressed: {error}"));
    let mut file = vec![];
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality)).map_err(wrong)?;
    let read = image::load(Cursor::new(file), image::ImageFormat::Jpeg).map_err(wrong)?;
    let bytes = if info.channels == 3 { read.into_rgb8().into_raw() } else { read.into_luma8().into_raw() };
    picture.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(byte) / 255.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of one gray; the left half is the object.
    struct Grays(Info);

    const SIDE: usize = 16;

    impl Dataset for Grays {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            2
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> Result<()> {
            let gray = [0.25, 0.75][index];
            // The object's middle is a white pixel.
            out.iter_mut().enumerate().for_each(|(at, value)| *value = if at / 3 == 8 * SIDE + 4 { 1.0 } else { gray });
            Ok(())
        }

        fn truth(&self, _: Split, _: usize) -> Result<Option<Truth>> {
            let coverage = (0..SIDE * SIDE).map(|at| if at % SIDE < SIDE / 2 { 255 } else { 0 }).collect();
            let object = Some(Mask { height: SIDE, width: SIDE, coverage });
            Ok(Some(Truth { factors: vec![], object, concepts: vec![] }))
        }
    }

    fn shown(how: Corruption) -> Vec<f32> {
        let (mean, std) = (vec![0.0; 3], vec![1.0; 3]);
        let info = Info {
            name: "grays".into(),
            classes: vec!["one".into()],
            channels: 3,
            height: SIDE,
            width: SIDE,
            mean,
            std,
        };
        let data = corrupted(Arc::new(Grays(info)), Split::Test, how).unwrap().unwrap();
        let mut out = vec![0.0; 3 * SIDE * SIDE];
        data.image(Split::Test, 0, &mut out).unwrap();
        out
    }

    // The object keeps its values, and what is around it has the gray of the other picture.
    #[test]
    fn the_background_is_that_of_the_next_picture() {
        let found = shown(Corruption::Background);
        let at = |row: usize, column: usize| found[3 * (row * SIDE + column)];
        assert_eq!((at(0, 0), at(8, 4)), (0.25, 1.0));
        assert!((at(0, SIDE - 1) - 0.75).abs() < 1e-6);
    }

    // The pixel of a Gaussian's middle, of deviation 1, is 1 / (2 pi) of what was there, to the width of a pixel; what is far off stays.
    #[test]
    fn blur_is_a_gaussian() {
        let found = shown(Corruption::Blur(1.0));
        let middle = (found[3 * (8 * SIDE + 4)] - 0.25) / 0.75;
        assert!((middle - 0.159).abs() < 0.01, "{middle}");
        let next = (found[3 * (8 * SIDE + 5)] - 0.25) / 0.75;
        assert!((next / middle - (-0.5f32).exp()).abs() < 0.03, "{}", next / middle);
        assert!((found[3 * SIDE - 1] - 0.25).abs() < 1e-4);
    }

    #[test]
    fn noise_has_its_deviation_and_is_the_same_again() {
        let found = shown(Corruption::Noise(0.05));
        let values: Vec<f64> =
            found.iter().map(|&value| f64::from(value) - 0.25).filter(|value| *value < 0.5).collect();
        let variance = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        assert!((variance.sqrt() - 0.05).abs() < 0.006, "{}", variance.sqrt());
        assert_eq!(found, shown(Corruption::Noise(0.05)));
    }

    // The white pixel loses what high frequencies are worth, the more the lower the quality.
    #[test]
    fn jpeg_loses_more_at_lower_quality() {
        let error = |quality: u8| {
            let clean = shown(Corruption::Noise(0.0));
            shown(Corruption::Jpeg(quality)).iter().zip(&clean).map(|(a, b)| (a - b).abs()).sum::<f32>()
        };
        assert!(error(100) < error(40) && error(40) < error(5), "{} {} {}", error(100), error(40), error(5));
    }
}
