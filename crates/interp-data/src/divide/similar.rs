//! Groups of pictures that must stay on one side of a cut: nearly the same, or of one group.
//!
//! Two pictures are nearly the same where the root mean square difference of their values is at most
//! [`NEAR`], and at most [`SHARE`] of the smaller of their contrasts (so that faint pictures are not all
//! alike). No such pair is missed: candidates come from a bound on that difference, not from a hash.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::coarse::{self, COARSE, Coarse};
use crate::{Dataset, Result, Split};

/// Largest difference of nearly the same pictures: a little more than what strong JPEG compression does (30 dB
/// is 0.032). In MNIST 136 of 60,000 pictures are so near to another, in clusters of at most 5; at 0.06
/// a chain of 1,352 ones would be a cluster.
const NEAR: f32 = 0.04;
/// Largest difference of nearly the same pictures as a share of the smaller contrast.
const SHARE: f32 = 0.25;

/// The largest difference of a picture of this contrast to one that is nearly the same.
fn limit(contrast: f32) -> f32 {
    NEAR.min(SHARE * contrast)
}

/// For each picture of the split the first picture of its cluster.
///
/// # Errors
/// Where a picture cannot be read.
pub(super) fn clusters(dataset: &dyn Dataset, split: Split) -> Result<Vec<usize>> {
    let count = dataset.len(split);
    let mut union = Union { parent: (0..count).collect() };
    let mut first = BTreeMap::new();
    for index in 0..count {
        if let Some(group) = dataset.group(split, index) {
            union.join(index, *first.entry(group.to_owned()).or_insert(index));
        }
    }
    near_pairs(dataset, split)?.into_iter().for_each(|(one, other)| union.join(one, other));
    Ok((0..count).map(|index| union.root(index)).collect())
}

/// Disjoint sets; the root of each is its smallest member.
struct Union {
    parent: Vec<usize>,
}

impl Union {
    fn root(&mut self, index: usize) -> usize {
        let mut root = index;
        while self.parent[root] != root {
            self.parent[root] = self.parent[self.parent[root]];
            root = self.parent[root];
        }
        root
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one.max(other)] = one.min(other);
    }
}

/// All pairs of nearly the same pictures.
fn near_pairs(dataset: &dyn Dataset, split: Split) -> Result<Vec<(usize, usize)>> {
    let pictures = coarse::all(dataset, split)?;
    let grid = Grid::new(&pictures);
    let limit = |one: usize, other: usize| limit(pictures[one].contrast.min(pictures[other].contrast));
    let scratch = || (vec![0.0; dataset.info().pixels()], vec![0.0; dataset.info().pixels()]);
    let near = |(one, other): &mut (Vec<f32>, Vec<f32>), place: usize| {
        let index = grid.points[place].index;
        let mut near = Vec::new();
        for (count, candidate) in grid.candidates(place).enumerate() {
            if count == 0 {
                dataset.image(split, index, one)?;
            }
            dataset.image(split, candidate, other)?;
            if is_near(one, other, limit(index, candidate)) {
                near.push((index, candidate));
            }
        }
        Ok(near)
    };
    let found: Result<Vec<Vec<_>>> = (0..pictures.len()).into_par_iter().map_init(scratch, near).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Whether the root mean square difference is at most `limit`; it looks no further than it must.
fn is_near(one: &[f32], other: &[f32], limit: f32) -> bool {
    let mut left = limit * limit * one.len() as f32;
    one.chunks(64).zip(other.chunks(64)).all(|(one, other)| {
        left -= squared_distance(one, other);
        left >= 0.0
    })
}

/// In eight sums, which the compiler puts side by side.
fn squared_distance(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (one, other) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest: f32 = one.remainder().iter().zip(other.remainder()).map(|(a, b)| (a - b).powi(2)).sum();
    for (a, b) in one.zip(other) {
        (0..8).for_each(|lane| sums[lane] += (a[lane] - b[lane]).powi(2));
    }
    rest + sums.iter().sum::<f32>()
}

/// How many of the first coarse numbers make the cells of the grid; the next orders the pictures in a cell.
const CELL: usize = 3;

/// No cell is narrower: numbers in steps of it must be right to far below 1.
const NARROWEST: f32 = 1e-3;

/// A picture in the grid.
struct Point {
    cell: [i32; CELL],
    coarse: [f32; COARSE],
    /// How far the coarse numbers of one that is nearly the same can be: a little more than [`limit`], for rounding.
    limit: f32,
    index: usize,
}

/// Pictures by their coarse numbers: near ones lie in the same or in adjoining cells, which are as wide as the
/// largest limit.
struct Grid {
    points: Vec<Point>,
}

impl Grid {
    fn new(pictures: &[Coarse]) -> Self {
        let limit = |picture: &Coarse| 1.0005 * limit(picture.contrast);
        let width = 1.0005 * pictures.iter().map(limit).fold(NARROWEST, f32::max);
        let cell = |coarse: &[f32; COARSE]| std::array::from_fn(|axis| (coarse[axis] / width).floor() as i32);
        let point = |(index, picture): (usize, &Coarse)| {
            let coarse = picture.numbers;
            Point { cell: cell(&coarse), coarse, limit: limit(picture), index }
        };
        let mut points: Vec<Point> = pictures.iter().enumerate().map(point).collect();
        points.sort_by(|a, b| {
            a.cell.cmp(&b.cell).then(a.coarse[CELL].total_cmp(&b.coarse[CELL])).then(a.index.cmp(&b.index))
        });
        Self { points }
    }

    /// The pictures after the one at `place` that can be near it by the coarse bound.
    fn candidates(&self, place: usize) -> impl Iterator<Item = usize> {
        let point = &self.points[place];
        let slabs = neighbors(point.cell).flat_map(|cell| self.slab(cell, point.coarse[CELL], point.limit));
        slabs
            .filter(move |&other| other > place && can_be_near(point, &self.points[other]))
            .map(|other| self.points[other].index)
    }

    /// The places in a cell whose ordering number is within `limit` of `middle`.
    fn slab(&self, cell: [i32; CELL], middle: f32, limit: f32) -> Range<usize> {
        let before =
            |end: f32| move |point: &Point| point.cell < cell || (point.cell == cell && point.coarse[CELL] < end);
        let start = self.points.partition_point(before(middle - limit));
        start..start + self.points[start..].partition_point(before((middle + limit).next_up()))
    }
}

/// The cell and those adjoining it that do not come before it in order.
fn neighbors(cell: [i32; CELL]) -> impl Iterator<Item = [i32; CELL]> {
    let steps = (0..27).map(|code| [code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1]);
    let around = steps.map(move |step| std::array::from_fn(|axis| cell[axis].saturating_add(step[axis])));
    around.filter(move |other| *other >= cell)
}

/// Whether the coarse distance is at most the limit of the fainter one.
fn can_be_near(one: &Point, other: &Point) -> bool {
    let mut left = one.limit.min(other.limit).powi(2);
    one.coarse.chunks_exact(4).zip(other.coarse.chunks_exact(4)).all(|(one, other)| {
        left -= one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        left >= 0.0
    })
}

#[cfg(test)]
mod tests {
    use interp_finding::random::{below, stream};

    use super::*;
    use crate::memory::{InMemory, Part, Pixels};
    use crate::{Cifar10, Info, Source, shared::shared};

    #[test]
    fn the_grid_misses_no_pair() {
        let Some(path) = shared("cifar10") else { return };
        let dataset = Cifar10 { path: Some(path) }.open(&|_, _| {}).unwrap();
        let mut pictures = coarse::all(&*dataset, Split::Test).unwrap();
        // Scaled down, so that many pictures are as near as nearly the same ones.
        pictures.iter_mut().for_each(|picture| picture.numbers.iter_mut().for_each(|number| *number *= 0.2));
        let grid = Grid::new(&pictures);
        let near = |(one, other): &(usize, usize)| can_be_near(&grid.points[*one], &grid.points[*other]);
        let all = (0..pictures.len()).flat_map(|other| (0..other).map(move |one| (one, other)));
        let index = |place: usize| grid.points[place].index;
        let sorted = |(one, other)| (index(one).min(index(other)), index(one).max(index(other)));
        let expected: std::collections::BTreeSet<_> = all.filter(near).map(sorted).collect();
        let place = |place: usize| grid.candidates(place).map(move |other| (place, other));
        let pairs = (0..pictures.len()).flat_map(place).map(|(place, other)| (grid.points[place].index, other));
        let found: Vec<_> = pairs.map(|(a, b)| (a.min(b), a.max(b))).collect();
        assert!(expected.len() > 10_000, "{}", expected.len());
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
    }

    /// Pictures of 8 x 8 pixels whose values go up to `highest` of 65,535.
    fn noise(count: usize, highest: usize) -> InMemory {
        let classes = ["a", "b"].map(String::from).to_vec();
        let (mean, std) = (vec![0.5], vec![0.5]);
        let info = Info { name: "noise".into(), classes, channels: 1, height: 8, width: 8, mean, std };
        let mut draws = stream(3, "noise", 0, 0);
        let values = (0..count * 64).map(|_| below(&mut draws, highest + 1) as u16).collect();
        let train = Part { pixels: Pixels::Sixteen(values), ..Part::eight(vec![], vec![0; count]) };
        InMemory::new(info, "noise", train, Part::empty(), Part::empty()).unwrap()
    }

    #[test]
    fn faint_pictures_give_no_more_candidates_than_others() {
        let candidates = |highest| {
            let grid = Grid::new(&coarse::all(&noise(1000, highest), Split::Train).unwrap());
            (0..grid.points.len()).map(|place| grid.candidates(place).count()).sum::<usize>()
        };
        // 12 bits in a file of 16. Of all 499,500 pairs some are near by the coarse numbers alone.
        assert!(candidates(4095) < 5000, "{}", candidates(4095));
        assert!(candidates(65_535) < 5000, "{}", candidates(65_535));
    }
}
