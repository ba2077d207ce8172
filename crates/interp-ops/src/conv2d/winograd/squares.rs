//! Squares of a channels-last image, loaded with zeros beyond its borders and transformed.
#![allow(unsafe_code)]

use super::transform::{Filter, both};
use crate::conv2d::window::Tile;
use crate::lanes::{Kernel, Lanes};
use crate::real::Real;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Images as squares: from one square to the next are `step` pixels, the first begins `before` pixels before the image.
#[derive(Clone, Copy)]
pub(super) struct Squared {
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) step: usize,
    pub(super) before: [usize; 2],
    /// Squares in a row.
    pub(super) columns: usize,
}

impl Squared {
    /// Squares of a tile, whose rows are rows of squares.
    pub(super) fn count(&self, tile: &Tile) -> usize {
        tile.images.len() * tile.rows.len() * self.columns
    }

    /// Image, row and column of the squares of a tile.
    fn list(self, tile: &Tile) -> impl Iterator<Item = [usize; 3]> {
        let (rows, columns) = (tile.rows.clone(), self.columns);
        tile.images.clone().flat_map(move |n| rows.clone().flat_map(move |y| (0..columns).map(move |x| [n, y, x])))
    }

    /// Where the pixels of a square lie, `None` beyond the image.
    #[inline(always)]
    fn pixels<const N: usize>(&self, [n, row, column]: [usize; 3]) -> [[Option<usize>; N]; N] {
        let [height, width] = self.size;
        let mut pixels = [[None; N]; N];
        for y in 0..N {
            let y_at = (row * self.step + y).wrapping_sub(self.before[0]);
            for x in 0..N {
                let x_at = (column * self.step + x).wrapping_sub(self.before[1]);
                if y_at < height && x_at < width {
                    pixels[y][x] = Some(((n * height + y_at) * width + x_at) * self.channels);
                }
            }
        }
        pixels
    }
}

/// The squares of a tile of images, and their points: point by square by channel.
pub(super) struct See<'a, T, F> {
    pub(super) images: &'a [T],
    pub(super) squared: Squared,
    pub(super) tile: &'a Tile,
    pub(super) points: &'a mut [T],
    pub(super) filter: PhantomData<F>,
}

/// The same of a gradient of what was made.
pub(super) struct Spread<'a, T, F>(pub(super) See<'a, T, F>);

/// [`See`], with the sizes of the filter.
pub(super) struct Sized<K, const M: usize, const N: usize>(pub(super) K);

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Sized<See<'_, T, F>, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        self.0.read::<L, N, N>(
            lanes,
            #[inline(always)]
            |d| F::see(lanes, d),
        );
    }
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Sized<Spread<'_, T, F>, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        self.0.0.read::<L, M, N>(
            lanes,
            #[inline(always)]
            |y| F::spread(lanes, y),
        );
    }
}

impl<T: Real, F> See<'_, T, F> {
    /// Reads squares of A x A and writes B x B points of each.
    #[inline(always)]
    fn read<L: Lanes<T>, const A: usize, const B: usize>(
        self,
        lanes: L,
        along: impl Fn([L::Vector; A]) -> [L::Vector; B] + Copy,
    ) {
        let channels = self.squared.channels;
        let matrix = self.squared.count(self.tile) * channels;
        assert!(self.points.len() == B * B * matrix && channels % L::COUNT == 0, "points of other squares");
        for (square, position) in self.squared.list(self.tile).enumerate() {
            let pixels = self.squared.pixels::<A>(position);
            let last = pixels.as_flattened().iter().flatten().max().map_or(0, |at| at + channels);
            assert!(last <= self.images.len(), "a square beyond the images");
            for channel in (0..channels).step_by(L::COUNT) {
                let mut values = [[lanes.splat(T::zero()); A]; A];
                for row in 0..A {
                    for column in 0..A {
                        if let Some(at) = pixels[row][column] {
                            // SAFETY: a pixel's channels lie within the images, as was just seen.
                            values[row][column] = unsafe { lanes.load(self.images.as_ptr().add(at + channel)) };
                        }
                    }
                }
                let points = both(&values, along);
                for row in 0..B {
                    for column in 0..B {
                        let to = (row * B + column) * matrix + square * channels + channel;
                        // SAFETY: the point is below B B and `square` below their number, so this lies within `points`.
                        unsafe { lanes.store(self.points.as_mut_ptr().add(to), points[row][column]) };
                    }
                }
            }
        }
    }
}

/// Transforms points, (point, square, channel), to the squares of a tile, and adds the bias.
pub(super) struct Make<'a, T, F> {
    pub(super) points: &'a [T],
    pub(super) squared: Squared,
    pub(super) tile: &'a Tile,
    pub(super) bias: Option<&'a [T]>,
    /// The rows of pixels that the tile's squares cover, of its images.
    pub(super) out: &'a mut [MaybeUninit<T>],
    pub(super) filter: PhantomData<F>,
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Sized<Make<'_, T, F>, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let Make { points, squared, tile, bias, out, .. } = self.0;
        let (channels, matrix) = (squared.channels, squared.count(tile) * squared.channels);
        assert!(points.len() == N * N * matrix && channels % L::COUNT == 0, "points of other squares");
        assert!(bias.is_none_or(|bias| bias.len() == channels), "a bias of other channels");
        // The squares of the tile as those of images that are as high as its rows.
        let rows = tile.rows.end.saturating_mul(M).min(squared.size[0]) - tile.rows.start * M;
        let part = Squared { size: [rows, squared.size[1]], ..squared };
        let own = Tile { images: 0..tile.images.len(), rows: 0..tile.rows.len() };
        for (square, position) in part.list(&own).enumerate() {
            let pixels = part.pixels::<M>(position);
            let last = pixels.as_flattened().iter().flatten().max().map_or(0, |at| at + channels);
            assert!(last <= out.len(), "a square beyond the images");
            for channel in (0..channels).step_by(L::COUNT) {
                let mut values = [[lanes.splat(T::zero()); N]; N];
                for row in 0..N {
                    for column in 0..N {
                        let from = (row * N + column) * matrix + square * channels + channel;
                        // SAFETY: the point is below N N and the square below their number.
                        values[row][column] = unsafe { lanes.load(points.as_ptr().add(from)) };
                    }
                }
                let made = both::<_, N, M>(
                    &values,
                    #[inline(always)]
                    |m| F::make(lanes, m),
                );
                let bias = match bias {
                    // SAFETY: the bias has all channels.
                    Some(bias) => unsafe { lanes.load(bias.as_ptr().add(channel)) },
                    None => lanes.splat(T::zero()),
                };
                for row in 0..M {
                    for column in 0..M {
                        if let Some(at) = pixels[row][column] {
                            let vector = lanes.add(made[row][column], bias);
                            // SAFETY: a pixel's channels lie within `out`, as was just seen.
                            unsafe { lanes.store(out.as_mut_ptr().cast::<T>().add(at + channel), vector) };
                        }
                    }
                }
            }
        }
    }
}
