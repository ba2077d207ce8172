//! Blocks of a channels-last image, loaded with zeros beyond its borders and transformed.
#![allow(unsafe_code)]
// Constant bounds and indices: iterators are not always inlined, and what is not is compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

use super::pitch;
use super::transform::{Filter, ROWS, SEEN_ROWS, Two, both};
use crate::conv2d::window::Tile;
use crate::lanes::{Kernel, Lanes, Partial};
use crate::real::Real;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Images as blocks: from one block to the next are `step` rows and columns, the first begins `before` them before the image.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) step: [usize; 2],
    pub(super) before: [usize; 2],
    /// Blocks in a row.
    pub(super) columns: usize,
}

impl Grid {
    /// Blocks of a tile, whose rows are rows of blocks.
    pub(super) fn count(&self, tile: &Tile) -> usize {
        tile.images.len() * tile.rows.len() * self.columns
    }

    /// Image, row and column of the blocks of a tile.
    fn list(self, tile: &Tile) -> impl Iterator<Item = [usize; 3]> {
        let (rows, columns) = (tile.rows.clone(), self.columns);
        tile.images.clone().flat_map(move |n| rows.clone().flat_map(move |y| (0..columns).map(move |x| [n, y, x])))
    }

    /// Numbers of so many images.
    fn numbers(&self, images: usize) -> usize {
        images * self.size[0] * self.size[1] * self.channels
    }

    /// Where the pixels of a block of R x C lie.
    #[inline(always)]
    fn place<const R: usize, const C: usize>(&self, [n, row, column]: [usize; 3]) -> Place {
        let [height, width] = self.size;
        let first = [row * self.step[0], column * self.step[1]];
        let [y, x] = [first[0].wrapping_sub(self.before[0]), first[1].wrapping_sub(self.before[1])];
        // Of blocks before the border the difference is beyond every image.
        let inside = |from: usize, count: usize, size: usize| from < size && count <= size - from;
        Place {
            image: n * height * width,
            first: [y, x],
            size: self.size,
            channels: self.channels,
            inside: inside(y, R, height) && inside(x, C, width),
        }
    }
}

/// Where a block lies.
#[derive(Clone, Copy)]
struct Place {
    /// Pixels before its image.
    image: usize,
    /// Row and column of its first pixel, wrapped around where that lies before the image.
    first: [usize; 2],
    /// Of the image.
    size: [usize; 2],
    channels: usize,
    /// Whether all of its pixels lie in the image.
    inside: bool,
}

impl Place {
    /// Where the pixel (y, x) of the block lies, below [`Grid::numbers`] of the images up to its own; `None` beyond the image. `INSIDE` spares the question
    /// where all lie in it.
    #[inline(always)]
    fn pixel<const INSIDE: bool>(&self, y: usize, x: usize) -> Option<usize> {
        let (row, column) = (self.first[0].wrapping_add(y), self.first[1].wrapping_add(x));
        let is_there = INSIDE || (row < self.size[0] && column < self.size[1]);
        is_there.then(|| (self.image + row * self.size[1] + column) * self.channels)
    }
}

/// The blocks of a tile of images, and their points: point by block by channel, points a pitch apart; the channels of a block
/// are filled up with zeros to whole vectors.
pub(super) struct See<'a, T, F> {
    pub(super) images: &'a [T],
    pub(super) grid: Grid,
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
        self.0.read::<L, SEEN_ROWS, N, N>(
            lanes,
            #[inline(always)]
            |d| Two::see(lanes, d),
            #[inline(always)]
            |d| F::see(lanes, d),
        );
    }
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Sized<Spread<'_, T, F>, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        self.0.0.read::<L, ROWS, M, N>(
            lanes,
            #[inline(always)]
            |y| Two::spread(lanes, y),
            #[inline(always)]
            |y| F::spread(lanes, y),
        );
    }
}

impl<T: Real, F> See<'_, T, F> {
    /// Reads blocks of R x C and writes their points.
    #[inline(always)]
    fn read<L: Lanes<T>, const R: usize, const C: usize, const N: usize>(
        self,
        lanes: L,
        down: impl Fn([L::Vector; R]) -> [L::Vector; SEEN_ROWS] + Copy,
        along: impl Fn([L::Vector; C]) -> [L::Vector; N] + Copy,
    ) {
        let channels = self.grid.channels;
        let (wide, whole) = (channels.next_multiple_of(L::COUNT), channels - channels % L::COUNT);
        let matrix = pitch::<T>(self.grid.count(self.tile) * wide);
        assert!(self.points.len() == SEEN_ROWS * N * matrix, "points of other blocks");
        assert!(self.grid.numbers(self.tile.images.end) <= self.images.len(), "a block beyond the images");
        let rest = Partial::new(lanes, channels - whole);
        for (block, position) in self.grid.list(self.tile).enumerate() {
            let place = self.grid.place::<R, C>(position);
            for channel in (0..whole).step_by(L::COUNT) {
                let images = self.images.as_ptr().wrapping_add(channel);
                let points = self.points.as_mut_ptr().wrapping_add(block * wide + channel);
                // SAFETY: a pixel's channels lie within the images, as was just seen, and `block` is below the number of blocks.
                unsafe { transform(lanes, lanes, &place, images, points, matrix, down, along) };
            }
            if whole < channels {
                let images = self.images.as_ptr().wrapping_add(whole);
                let points = self.points.as_mut_ptr().wrapping_add(block * wide + whole);
                // SAFETY: the same, of the channels that are left; points have room for a whole vector.
                unsafe { transform(lanes, rest, &place, images, points, matrix, down, along) };
            }
        }
    }
}

/// Reads a vector of channels of a block with `some`, zeros beyond the image, and writes its points, `matrix` apart.
///
/// # Safety
/// The pixels from `images` must be valid for reads with `some`, all points for writes of a vector.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn transform<T: Real, L, P, const R: usize, const C: usize, const N: usize>(
    lanes: L,
    some: P,
    place: &Place,
    images: *const T,
    points: *mut T,
    matrix: usize,
    down: impl Fn([L::Vector; R]) -> [L::Vector; SEEN_ROWS] + Copy,
    along: impl Fn([L::Vector; C]) -> [L::Vector; N] + Copy,
) where
    L: Lanes<T>,
    P: Lanes<T, Vector = L::Vector>,
{
    // SAFETY: the caller's.
    let values = unsafe {
        if place.inside {
            values::<T, L, P, true, R, C>(lanes, some, place, images)
        } else {
            values::<T, L, P, false, R, C>(lanes, some, place, images)
        }
    };
    let made = both(&values, down, along);
    for row in 0..SEEN_ROWS {
        for column in 0..N {
            // SAFETY: the caller's.
            unsafe { lanes.store(points.add((row * N + column) * matrix), made[row][column]) };
        }
    }
}

/// The vectors of a block.
///
/// # Safety
/// The pixels from `images` must be valid for reads with `some`; `INSIDE` must be true of the place.
#[inline(always)]
unsafe fn values<T: Real, L, P, const INSIDE: bool, const R: usize, const C: usize>(
    lanes: L,
    some: P,
    place: &Place,
    images: *const T,
) -> [[L::Vector; C]; R]
where
    L: Lanes<T>,
    P: Lanes<T, Vector = L::Vector>,
{
    let mut values = [[lanes.splat(T::zero()); C]; R];
    for row in 0..R {
        for column in 0..C {
            if let Some(at) = place.pixel::<INSIDE>(row, column) {
                // SAFETY: the caller's.
                values[row][column] = unsafe { some.load(images.add(at)) };
            }
        }
    }
    values
}

/// Transforms points, (point, block, channel), a pitch apart, to the blocks of a tile, and adds the bias.
pub(super) struct Make<'a, T, F> {
    pub(super) points: &'a [T],
    pub(super) grid: Grid,
    pub(super) tile: &'a Tile,
    pub(super) bias: Option<&'a [T]>,
    /// The rows of pixels that the tile's blocks cover, of its images.
    pub(super) out: &'a mut [MaybeUninit<T>],
    pub(super) filter: PhantomData<F>,
}

impl<T: Real, F: Filter<M, N>, const M: usize, const N: usize> Kernel<T> for Sized<Make<'_, T, F>, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let Make { points, grid, tile, bias, out, .. } = self.0;
        let channels = grid.channels;
        let (wide, whole) = (channels.next_multiple_of(L::COUNT), channels - channels % L::COUNT);
        let matrix = pitch::<T>(grid.count(tile) * wide);
        assert!(points.len() == SEEN_ROWS * N * matrix, "points of other blocks");
        assert!(bias.is_none_or(|bias| bias.len() == channels), "a bias of other channels");
        let rest = Partial::new(lanes, channels - whole);
        // The blocks of the tile as those of images that are as high as its rows.
        let rows = (tile.rows.end * ROWS).min(grid.size[0]) - tile.rows.start * ROWS;
        let part = Grid { size: [rows, grid.size[1]], ..grid };
        let own = Tile { images: 0..tile.images.len(), rows: 0..tile.rows.len() };
        assert!(part.numbers(own.images.end) <= out.len(), "a block beyond the images");
        for (block, position) in part.list(&own).enumerate() {
            let place = part.place::<ROWS, M>(position);
            let places = |channel: usize| {
                let bias = bias.map(|bias| bias.as_ptr().wrapping_add(channel));
                (points.as_ptr().wrapping_add(block * wide + channel), bias)
            };
            for channel in (0..whole).step_by(L::COUNT) {
                let ((points, bias), out) = (places(channel), out.as_mut_ptr().cast::<T>().wrapping_add(channel));
                // SAFETY: the block is below the number of blocks, the bias has all channels, and a pixel's channels lie within
                // `out`, as was just seen.
                unsafe { make::<T, F, L, L, M, N>(lanes, lanes, points, matrix, bias, &place, out) };
            }
            if whole < channels {
                let ((points, bias), out) = (places(whole), out.as_mut_ptr().cast::<T>().wrapping_add(whole));
                // SAFETY: the same, of the channels that are left; points have a whole vector.
                unsafe { make::<T, F, L, _, M, N>(lanes, rest, points, matrix, bias, &place, out) };
            }
        }
    }
}

/// Transforms a vector of channels of the points of a block, `matrix` apart, and writes its pixels with `some`.
///
/// # Safety
/// All points must be valid for reads of a vector, the bias for reads and the pixels from `out` for writes with `some`.
#[inline(always)]
unsafe fn make<T: Real, F: Filter<M, N>, L, P, const M: usize, const N: usize>(
    lanes: L,
    some: P,
    points: *const T,
    matrix: usize,
    bias: Option<*const T>,
    place: &Place,
    out: *mut T,
) where
    L: Lanes<T>,
    P: Lanes<T, Vector = L::Vector>,
{
    let mut values = [[lanes.splat(T::zero()); N]; SEEN_ROWS];
    for row in 0..SEEN_ROWS {
        for column in 0..N {
            // SAFETY: the caller's.
            values[row][column] = unsafe { lanes.load(points.add((row * N + column) * matrix)) };
        }
    }
    let made = both::<_, SEEN_ROWS, N, ROWS, M>(
        &values,
        #[inline(always)]
        |m| Two::make(lanes, m),
        #[inline(always)]
        |m| F::make(lanes, m),
    );
    let bias = match bias {
        // SAFETY: the caller's.
        Some(bias) => unsafe { some.load(bias) },
        None => lanes.splat(T::zero()),
    };
    for row in 0..ROWS {
        for column in 0..M {
            let at = if place.inside { place.pixel::<true>(row, column) } else { place.pixel::<false>(row, column) };
            if let Some(at) = at {
                // SAFETY: the caller's.
                unsafe { some.store(out.add(at), lanes.add(made[row][column], bias)) };
            }
        }
    }
}
