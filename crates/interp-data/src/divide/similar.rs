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
    let limit = |one: usize, other: usize| NEAR.min(SHARE * pictures[one].contrast.min(pictures[other].contrast));
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

/// A picture in the grid.
struct Point {
    /// In steps of [`NEAR`].
    cell: [i32; CELL],
    coarse: [f32; COARSE],
    index: usize,
}

/// Pictures by their coarse numbers: near ones lie in the same or in adjoining cells.
struct Grid {
    points: Vec<Point>,
}

impl Grid {
    fn new(pictures: &[Coarse]) -> Self {
        let cell = |coarse: &[f32; COARSE]| std::array::from_fn(|axis| (coarse[axis] / NEAR).floor() as i32);
        let points = pictures.iter().enumerate();
        let mut points: Vec<Point> = points
            .map(|(index, Coarse { numbers, .. })| Point { cell: cell(numbers), coarse: *numbers, index })
            .collect();
        points.sort_by(|a, b| {
            a.cell.cmp(&b.cell).then(a.coarse[CELL].total_cmp(&b.coarse[CELL])).then(a.index.cmp(&b.index))
        });
        Self { points }
    }

    /// The pictures after the one at `place` that can be near it by the coarse bound.
    fn candidates(&self, place: usize) -> impl Iterator<Item = usize> {
        let point = &self.points[place];
        let slabs = neighbors(point.cell).flat_map(|cell| self.slab(cell, point.coarse[CELL]));
        slabs
            .filter(move |&other| other > place && can_be_near(&point.coarse, &self.points[other].coarse))
            .map(|other| self.points[other].index)
    }

    /// The places in a cell whose ordering number is within [`NEAR`] of `middle`.
    fn slab(&self, cell: [i32; CELL], middle: f32) -> Range<usize> {
        let before =
            |limit: f32| move |point: &Point| point.cell < cell || (point.cell == cell && point.coarse[CELL] < limit);
        let start = self.points.partition_point(before(middle - NEAR));
        start..start + self.points[start..].partition_point(before(middle + NEAR))
    }
}

/// The cell and those adjoining it that do not come before it in order.
fn neighbors(cell: [i32; CELL]) -> impl Iterator<Item = [i32; CELL]> {
    let steps = (0..27).map(|code| [code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1]);
    let around = steps.map(move |step| std::array::from_fn(|axis| cell[axis].saturating_add(step[axis])));
    around.filter(move |other| *other >= cell)
}

/// Whether the coarse distance is at most [`NEAR`] (a little more, for rounding).
fn can_be_near(one: &[f32; COARSE], other: &[f32; COARSE]) -> bool {
    let mut left = 1.001 * NEAR * NEAR;
    one.chunks_exact(4).zip(other.chunks_exact(4)).all(|(one, other)| {
        left -= one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        left >= 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cifar10, Source, shared::shared};

    #[test]
    fn the_grid_misses_no_pair() {
        let Some(path) = shared("cifar10") else { return };
        let dataset = Cifar10 { path: Some(path) }.open(&|_, _| {}).unwrap();
        let mut pictures = coarse::all(&*dataset, Split::Test).unwrap();
        // Scaled down, so that many pictures are as near as nearly the same ones.
        pictures.iter_mut().for_each(|picture| picture.numbers.iter_mut().for_each(|number| *number *= 0.2));
        let near = |(one, other): &(usize, usize)| can_be_near(&pictures[*one].numbers, &pictures[*other].numbers);
        let all = (0..pictures.len()).flat_map(|other| (0..other).map(move |one| (one, other)));
        let expected: std::collections::BTreeSet<_> = all.filter(near).collect();
        let grid = Grid::new(&pictures);
        let place = |place: usize| grid.candidates(place).map(move |other| (place, other));
        let pairs = (0..pictures.len()).flat_map(place).map(|(place, other)| (grid.points[place].index, other));
        let found: Vec<_> = pairs.map(|(a, b)| (a.min(b), a.max(b))).collect();
        assert!(expected.len() > 10_000, "{}", expected.len());
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.into_iter().collect::<std::collections::BTreeSet<_>>(), expected);
    }
}
