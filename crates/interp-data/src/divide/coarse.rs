//! Pictures in few numbers, whose distance is a lower bound of the difference of the pictures.

use interp_finding::random::stream;
use rand_chacha::rand_core::RngCore;
use rayon::prelude::*;

use crate::{Dataset, Info, Result, Split};

/// Numbers per picture.
pub(super) const COARSE: usize = 16;
/// Blocks along each axis of the small gray picture from which they are made.
const BLOCKS: usize = 16;
const SMALL: usize = BLOCKS * BLOCKS;
/// Pictures from which the axes are found, and rounds of finding them.
const SAMPLE: usize = 1000;
const ROUNDS: usize = 4;

type Small = [f32; SMALL];

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Coarse {
    /// The numbers, those that vary most among the pictures first. The Euclidean distance of two pictures'
    /// numbers is at most the root mean square difference of the pictures.
    pub(super) numbers: [f32; COARSE],
    /// Standard deviation of the picture's values.
    pub(super) contrast: f32,
}

/// The numbers of all pictures of a split.
///
/// # Errors
/// Where a picture cannot be read.
pub(super) fn all(dataset: &dyn Dataset, split: Split) -> Result<Vec<Coarse>> {
    let (info, count) = (dataset.info(), dataset.len(split));
    let sample: Vec<usize> = (0..count).step_by(count.div_ceil(SAMPLE).max(1)).collect();
    let axes = axes(&read(dataset, split, &sample, |picture| shrink(info, picture))?);
    let coarse = |picture: &[f32]| {
        let small = shrink(info, picture);
        Coarse { numbers: std::array::from_fn(|axis| dot(&axes[axis], &small)), contrast: contrast(picture) }
    };
    read(dataset, split, &(0..count).collect::<Vec<_>>(), coarse)
}

fn read<T: Send>(
    dataset: &dyn Dataset,
    split: Split,
    indices: &[usize],
    make: impl Fn(&[f32]) -> T + Sync,
) -> Result<Vec<T>> {
    let scratch = || vec![0.0; dataset.info().pixels()];
    let one = |picture: &mut Vec<f32>, &index: &usize| {
        dataset.image(split, index, picture)?;
        Ok(make(picture))
    };
    indices.par_iter().map_init(scratch, one).collect()
}

fn contrast(picture: &[f32]) -> f32 {
    let count = picture.len() as f64;
    let sum: f64 = picture.iter().map(|&value| f64::from(value)).sum();
    let squares: f64 = picture.iter().map(|&value| f64::from(value).powi(2)).sum();
    (squares / count - (sum / count).powi(2)).max(0.0).sqrt() as f32
}

/// Means of 16 x 16 blocks of the gray picture, each times the root of its share of the picture.
fn shrink(info: &Info, picture: &[f32]) -> Small {
    let mut small = [0.0_f32; SMALL];
    for (y, row) in picture.chunks_exact(info.width * info.channels).enumerate() {
        let blocks = &mut small[y * BLOCKS / info.height * BLOCKS..][..BLOCKS];
        for (x, pixel) in row.chunks_exact(info.channels).enumerate() {
            blocks[x * BLOCKS / info.width] += pixel.iter().sum::<f32>();
        }
    }
    let size =
        |block: usize, length: usize| ((block + 1) * length).div_ceil(BLOCKS) - (block * length).div_ceil(BLOCKS);
    for (at, sum) in small.iter_mut().enumerate() {
        // mean * sqrt(pixels / all) = sum / (channels * sqrt(pixels * all))
        let pixels = size(at / BLOCKS, info.height) * size(at % BLOCKS, info.width) * info.height * info.width;
        *sum /= info.channels as f32 * (pixels.max(1) as f32).sqrt();
    }
    small
}

/// Orthonormal axes along which the sample varies much: nearly its principal components, by subspace
/// iteration. The bound needs them orthonormal only.
fn axes(sample: &[Small]) -> Vec<Small> {
    let mut mean = [0.0; SMALL];
    sample.iter().for_each(|small| add(&mut mean, small, 1.0 / sample.len() as f32));
    let mut start = stream(0, "axes", 0, 0);
    let mut axes: Vec<Small> =
        (0..COARSE).map(|_| std::array::from_fn(|_| start.next_u32() as f32 / u32::MAX as f32 - 0.5)).collect();
    orthonormalize(&mut axes);
    for _ in 0..ROUNDS {
        let mut next = vec![[0.0; SMALL]; COARSE];
        for small in sample {
            let mut centered = *small;
            add(&mut centered, &mean, -1.0);
            next.iter_mut().zip(&axes).for_each(|(next, axis)| add(next, &centered, dot(axis, &centered)));
        }
        axes = next;
        orthonormalize(&mut axes);
    }
    axes
}

/// Gram and Schmidt, twice for rounding; an axis along which nothing is left becomes zero.
fn orthonormalize(axes: &mut [Small]) {
    for at in 0..axes.len() {
        let (before, rest) = axes.split_at_mut(at);
        let length = dot(&rest[0], &rest[0]).sqrt();
        for _ in 0..2 {
            before.iter().for_each(|axis| {
                let share = dot(axis, &rest[0]);
                add(&mut rest[0], axis, -share);
            });
        }
        let left = dot(&rest[0], &rest[0]).sqrt();
        let factor = if left > 1e-4 * length { 1.0 / left } else { 0.0 };
        rest[0].iter_mut().for_each(|value| *value *= factor);
    }
}

fn add(to: &mut Small, what: &Small, times: f32) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}

/// In eight sums, which the compiler puts side by side.
fn dot(one: &Small, other: &Small) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in one.chunks_exact(8).zip(other.chunks_exact(8)) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{InMemory, Part};

    /// A data set of pictures that look like noise around a gray that varies.
    fn noise(height: usize, width: usize, channels: usize, count: usize) -> InMemory {
        let classes = vec!["a".into(), "b".into()];
        let (mean, std) = (vec![0.5; channels], vec![0.5; channels]);
        let info = Info { name: "noise".into(), classes, channels, height, width, mean, std };
        let mut draws = stream(3, "noise", 0, 0);
        let pixels =
            (0..count * info.pixels()).map(|at| (draws.next_u32() % 200) as u8 + (at / info.pixels() % 50) as u8);
        let train = Part::eight(pixels.collect(), vec![0; count]);
        InMemory::new(info, "noise", train, Part::empty(), Part::empty()).unwrap()
    }

    fn distance(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
    }

    #[test]
    fn the_coarse_distance_is_never_above_that_of_the_pictures() {
        for (height, width, channels, count) in
            [(8, 8, 1, 40), (33, 47, 3, 20), (3, 2, 1, 40), (1, 1, 3, 40), (28, 28, 1, 60)]
        {
            let dataset = noise(height, width, channels, count);
            let coarse = all(&dataset, Split::Train).unwrap();
            let pictures = read(&dataset, Split::Train, &(0..count).collect::<Vec<_>>(), <[f32]>::to_vec).unwrap();
            for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let exact = distance(&pictures[one], &pictures[other]) / (dataset.info().pixels() as f32).sqrt();
                let bound = distance(&coarse[one].numbers, &coarse[other].numbers);
                assert!(bound <= exact * 1.000_1, "{bound} {exact} at {height} x {width}");
            }
        }
    }

    #[test]
    fn pictures_that_vary_along_few_axes_are_told_apart_in_full() {
        // Four pictures span three axes: 16 numbers hold their small pictures' distances exactly.
        let dataset = noise(16, 16, 1, 4);
        let coarse = all(&dataset, Split::Train).unwrap();
        let small = read(&dataset, Split::Train, &[0, 1, 2, 3], |picture| shrink(dataset.info(), picture)).unwrap();
        for (one, other) in [(0, 1), (1, 2), (0, 3)] {
            let (found, exact) =
                (distance(&coarse[one].numbers, &coarse[other].numbers), distance(&small[one], &small[other]));
            assert!((found - exact).abs() < 1e-3 * exact, "{found} {exact}");
        }
    }

    #[test]
    fn contrast_is_the_standard_deviation() {
        assert!((contrast(&[0.0, 1.0, 0.0, 1.0]) - 0.5).abs() < 1e-7);
        assert_eq!(contrast(&[0.3; 9]), 0.0);
    }
}
