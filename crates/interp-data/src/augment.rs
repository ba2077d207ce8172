//! Random changes of training pictures that leave the class as it is, and normalization.

use interp_finding::Unfit;
use interp_finding::random::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Info;
use interp_finding::random::below;

/// What is changed at random in each training picture; nothing by default.
///
/// Applied in the order of the fields, then [`Normalize`]. The draws are a function of (seed, epoch,
/// index of the picture) alone, and one change draws the same whether or not the others are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Shifts by up to this many pixels along each axis; black comes in from outside.
    pub pad_crop: usize,
    /// Mirrors left and right half of the time.
    pub flip: bool,
    /// Side in pixels of a square that takes on the mean color; its middle is any pixel, so that part
    /// of it may fall outside (T. DeVries, G. Taylor, 2017, arXiv 1708.04552).
    pub cutout: usize,
}

impl Augment {
    /// Whether the changes fit pictures of this size.
    ///
    /// # Errors
    /// A shift or a square as large as the picture.
    pub fn check(&self, info: &Info) -> Result<(), Unfit> {
        let side = info.height.min(info.width);
        for (name, value) in [("pad_crop", self.pad_crop), ("cutout", self.cutout)] {
            let Info { width, height, .. } = info;
            let problem = format!("must be below {side}, not {value}: the pictures have {width} x {height} pixels");
            Unfit::unless(value < side, name, problem)?;
        }
        Ok(())
    }

    /// Writes the changed `picture` into `out`, both (H, W, C) in [0, 1].
    pub(crate) fn apply(&self, info: &Info, stream: &mut Stream, picture: &[f32], out: &mut [f32]) {
        let draws = Draws::new(self, info, stream);
        shift(info, self.pad_crop, &draws, picture, out);
        if self.flip && draws.flip {
            out.chunks_exact_mut(info.width * info.channels).for_each(|row| mirror(row, info.channels));
        }
        if self.cutout > 0 {
            cut(info, self.cutout, draws.middle, out);
        }
    }

    /// The stream of draws for one picture in one epoch.
    pub(crate) fn stream(seed: u64, epoch: u64, index: usize) -> Stream {
        stream(seed, "augment", epoch, index as u64)
    }
}

/// What chance decides for one picture, rows first.
struct Draws {
    /// Place of the picture's corner in the padded picture: 0 to `2 * pad_crop`.
    corner: [usize; 2],
    flip: bool,
    middle: [usize; 2],
}

impl Draws {
    fn new(augment: &Augment, info: &Info, stream: &mut Stream) -> Self {
        let places = 2 * augment.pad_crop + 1;
        Self {
            corner: [below(stream, places), below(stream, places)],
            flip: below(stream, 2) == 1,
            middle: [below(stream, info.height), below(stream, info.width)],
        }
    }
}

/// Writes the window of `picture`, padded with black, that begins at `draws.corner`.
fn shift(info: &Info, pad: usize, draws: &Draws, picture: &[f32], out: &mut [f32]) {
    let row = info.width * info.channels;
    let columns = window(draws.corner[1], pad, info.width);
    let columns = columns.start * info.channels..columns.end * info.channels;
    let start = (pad.saturating_sub(draws.corner[1])) * info.channels;
    let rows = window(draws.corner[0], pad, info.height);
    let first = pad.saturating_sub(draws.corner[0]);
    if columns.len() < row || rows.len() < info.height {
        out.fill(0.0);
    }
    for (to, from) in (first..).zip(rows) {
        let source = &picture[from * row..][columns.clone()];
        out[to * row + start..][..source.len()].copy_from_slice(source);
    }
}

/// The part of an axis with `size` pixels that the window beginning at `corner` of the padded axis sees.
fn window(corner: usize, pad: usize, size: usize) -> std::ops::Range<usize> {
    corner.saturating_sub(pad)..(size + corner).saturating_sub(pad).min(size)
}

fn mirror(row: &mut [f32], channels: usize) {
    row.reverse();
    row.chunks_exact_mut(channels).for_each(<[f32]>::reverse);
}

/// Gives the square of `side` pixels around `middle` the mean color.
fn cut(info: &Info, side: usize, middle: [usize; 2], out: &mut [f32]) {
    let span = |middle: usize, size: usize| {
        let end = middle + side - side / 2;
        middle.saturating_sub(side / 2)..end.min(size)
    };
    let (rows, columns) = (span(middle[0], info.height), span(middle[1], info.width));
    for row in rows {
        let pixels = &mut out[(row * info.width + columns.start) * info.channels..][..columns.len() * info.channels];
        pixels.chunks_exact_mut(info.channels).for_each(|pixel| pixel.copy_from_slice(&info.mean));
    }
}

/// Takes a data set's mean from pictures and divides by its deviation: the last step before a network.
#[derive(Clone, Debug)]
pub struct Normalize {
    /// One row of a picture: the value to subtract, and the value to divide by.
    row: Vec<(f32, f32)>,
}

impl Normalize {
    /// With the mean and deviation of `info`.
    pub fn new(info: &Info) -> Self {
        let pixel = info.mean.iter().copied().zip(info.std.iter().copied());
        Self { row: pixel.cycle().take(info.width * info.channels).collect() }
    }

    /// Normalizes pictures (N, H, W, C) in place.
    pub fn apply(&self, images: &mut [f32]) {
        for row in images.chunks_exact_mut(self.row.len().max(1)) {
            for (value, (mean, std)) in row.iter_mut().zip(&self.row) {
                *value = (*value - mean) / std;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(height: usize, width: usize, channels: usize) -> Info {
        let classes = vec!["a".into(), "b".into()];
        Info {
            name: "test".into(),
            classes,
            channels,
            height,
            width,
            mean: vec![0.25; channels],
            std: vec![0.5; channels],
        }
    }

    /// A picture whose values all differ, and none of which is 0.
    fn picture(info: &Info) -> Vec<f32> {
        (0..info.pixels()).map(|at| 1.0 + at as f32).collect()
    }

    fn applied(augment: Augment, info: &Info, index: usize) -> Vec<f32> {
        let mut out = vec![-1.0; info.pixels()];
        augment.apply(info, &mut Augment::stream(7, 0, index), &picture(info), &mut out);
        out
    }

    #[test]
    fn no_change_is_the_default() {
        let info = info(5, 7, 3);
        assert_eq!(applied(Augment::default(), &info, 0), picture(&info));
    }

    #[test]
    fn flip_mirrors_half_of_the_pictures() {
        let info = info(4, 5, 3);
        let original = picture(&info);
        let mirrored: Vec<f32> = (0..60).map(|at| original[15 * (at / 15) + 3 * (4 - at % 15 / 3) + at % 3]).collect();
        let flips = (0..1000).filter(|&index| {
            let out = applied(Augment { flip: true, ..Augment::default() }, &info, index);
            assert!(out == original || out == mirrored);
            out == mirrored
        });
        // Standard deviation 16.
        assert!((430..570).contains(&flips.count()));
    }

    #[test]
    fn pad_crop_reaches_every_shift_and_pads_with_black() {
        let info = info(6, 5, 2);
        let original = picture(&info);
        let shifted = |down: isize, right: isize| -> Vec<f32> {
            let at = |y: isize, x: isize, c| match (0..6).contains(&y) && (0..5).contains(&x) {
                true => original[(y * 5 + x) as usize * 2 + c],
                false => 0.0,
            };
            (0..60).map(|i| at(i as isize / 10 + down, i as isize / 2 % 5 + right, i % 2)).collect()
        };
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..500 {
            let out = applied(Augment { pad_crop: 2, ..Augment::default() }, &info, index);
            let found = (-2..=2).flat_map(|y| (-2..=2).map(move |x| (y, x))).find(|&(y, x)| out == shifted(y, x));
            seen.insert(found.expect("a shift by at most two pixels"));
        }
        assert_eq!(seen.len(), 25);
    }

    #[test]
    fn cutout_has_the_mean_color_and_its_area() {
        let info = info(9, 8, 3);
        let original = picture(&info);
        let mut areas = std::collections::BTreeMap::new();
        for index in 0..800 {
            let out = applied(Augment { cutout: 4, ..Augment::default() }, &info, index);
            let cut: Vec<usize> = (0..72).filter(|&at| out[3 * at..][..3] != original[3 * at..][..3]).collect();
            assert!(cut.iter().all(|&at| out[3 * at..][..3] == [0.25; 3]));
            let (rows, columns): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
                cut.iter().map(|at| (at / 8, at % 8)).unzip();
            assert_eq!(cut.len(), rows.len() * columns.len(), "a rectangle");
            *areas.entry(cut.len()).or_insert(0) += 1;
        }
        // Whole where the middle is 2 from the upper and left, 1 from the other edges: 6 of 9, 5 of 8.
        assert!((290..380).contains(&areas[&16]), "{areas:?}");
        assert!(areas.keys().all(|area| [4, 6, 8, 9, 12, 16].contains(area)), "{areas:?}");
    }

    #[test]
    fn one_change_does_not_alter_the_draws_of_another() {
        let info = info(6, 6, 1);
        let both = Augment { flip: true, cutout: 2, pad_crop: 0 };
        let alone = Augment { cutout: 2, ..Augment::default() };
        for index in 0..50 {
            let cuts = |augment| applied(augment, &info, index).iter().filter(|&&value| value == 0.25).count();
            assert_eq!(cuts(both), cuts(alone));
        }
    }

    #[test]
    fn changes_as_large_as_the_picture_are_refused() {
        let info = info(6, 8, 1);
        assert!(Augment { pad_crop: 5, cutout: 5, flip: true }.check(&info).is_ok());
        assert!(Augment { pad_crop: 6, ..Augment::default() }.check(&info).is_err());
        assert!(Augment { cutout: 6, ..Augment::default() }.check(&info).is_err());
    }

    #[test]
    fn normalization_is_per_channel() {
        let info = Info { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 0.25, 0.125], ..info(1, 2, 3) };
        let mut images = vec![0.1, 0.2, 0.3, 0.6, 0.45, 0.425, 0.1, 0.2, 0.3, 0.35, 0.325, 0.3625];
        Normalize::new(&info).apply(&mut images);
        for (value, expected) in images.iter().zip([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5]) {
            assert!((value - expected).abs() < 1e-6, "{images:?}");
        }
    }
}
