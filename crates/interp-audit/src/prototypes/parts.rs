//! What is known of places of pictures.

use std::collections::BTreeMap;
use std::ops::Range;

use interp_data::{Factor, Mask};

use crate::{Pictures, Result};

/// What is known of a picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    object: Option<Mask>,
    concepts: Vec<(String, Mask)>,
    /// Its factors that have names: `hue/red`.
    pub(super) factors: Vec<(String, String)>,
}

impl Known {
    /// Whether a pixel lies in the object, where that is known.
    pub(super) fn object(&self, pixel: [usize; 2]) -> Option<bool> {
        self.object.as_ref().map(|mask| covers(mask, pixel))
    }

    /// Whether a patch around a pixel shows some of the object, where that is known.
    pub(super) fn near_object(&self, [row, column]: [usize; 2]) -> Option<bool> {
        let mask = self.object.as_ref()?;
        let (rows, columns) = (around(row, mask.height), around(column, mask.width));
        Some(rows.into_iter().any(|row| columns.clone().any(|column| covers(mask, [row, column]))))
    }

    pub(super) fn has_parts(&self) -> bool {
        !self.concepts.is_empty()
    }

    /// The concepts that a pixel shows.
    pub(super) fn parts(&self, pixel: [usize; 2]) -> Option<Vec<&str>> {
        let shown = self.concepts.iter().filter(|(_, mask)| covers(mask, pixel)).map(|(name, _)| name.as_str());
        self.has_parts().then(|| shown.collect())
    }
}

/// The side of a patch as a share of the picture's: 72 of 224 pixels (Huang et al. 2023, arXiv 2212.05946, section 4.1).
const PATCH: [usize; 2] = [72, 224];

/// Rows or columns of a patch around a pixel, within a picture of `size`.
fn around(pixel: usize, size: usize) -> Range<usize> {
    let side = ((size * PATCH[0] + PATCH[1] / 2) / PATCH[1]).max(1);
    let first = pixel.saturating_sub(side / 2);
    first..(pixel + side - side / 2).min(size)
}

/// Whether most of a pixel belongs to a mask.
fn covers(mask: &Mask, [row, column]: [usize; 2]) -> bool {
    mask.coverage.get(row * mask.width + column).is_some_and(|&share| share >= 128)
}

/// What is known of pictures, each read once.
pub(super) struct Truths<'a> {
    pictures: &'a Pictures,
    read: BTreeMap<usize, Known>,
}

impl<'a> Truths<'a> {
    pub(super) fn new(pictures: &'a Pictures) -> Self {
        Self { pictures, read: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, index: usize) -> Result<Known> {
        if let Some(known) = self.read.get(&index) {
            return Ok(known.clone());
        }
        let (data, split) = (&self.pictures.data, self.pictures.split);
        let factors = names(&data.factors(split, index)?)?;
        let truth = data.truth(split, index)?;
        let (object, concepts) = truth.map_or((None, vec![]), |truth| (truth.object, truth.concepts));
        let known = Known { object, concepts, factors };
        self.read.insert(index, known.clone());
        Ok(known)
    }
}

/// The factors that have names, with what they are: names change with the class and what is seen of it, quantities do not repeat.
pub(super) fn names(factors: &[(&'static str, Factor)]) -> Result<Vec<(String, String)>> {
    let name = |(factor, value): &(&'static str, Factor)| match value {
        Factor::Name(name) if !name.is_empty() => Some(((*factor).to_owned(), format!("{factor}/{name}"))),
        _ => None,
    };
    Ok(factors.iter().filter_map(name).collect())
}

/// Of pictures' factors the value that most of them share, and the share; of equal ones the first by name. `None` where nothing is known.
pub(super) fn purest<'a>(pictures: impl Iterator<Item = &'a [(String, String)]>) -> Option<(String, f64)> {
    let all: Vec<Vec<&str>> =
        pictures.map(|factors| factors.iter().map(|(_, value)| value.as_str()).collect()).collect();
    if all.iter().all(Vec::is_empty) { None } else { most_common(all.into_iter().map(Some)) }
}

/// What most of several lists have, and the share of them; of equal ones the first by name. `None` where no list is known; an empty name where all known are empty.
pub(super) fn most_common<'a>(lists: impl Iterator<Item = Option<Vec<&'a str>>>) -> Option<(String, f64)> {
    let (mut counts, mut known) = (BTreeMap::<&str, usize>::new(), 0usize);
    for list in lists.flatten() {
        known += 1;
        list.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
    }
    let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    let (name, count) = most.unwrap_or(("", 0));
    (known > 0).then(|| (name.to_owned(), count as f64 / known as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_have_in_common() {
        let lists = [vec!["hue/red", "shape/disk"], vec!["hue/red"], vec!["shape/disk"], vec![]];
        assert_eq!(most_common(lists.iter().cloned().map(Some)), Some(("hue/red".into(), 0.5)));
        assert_eq!(most_common([None, Some(vec!["a"])].into_iter()), Some(("a".into(), 1.0)));
        assert_eq!(
            (most_common([None].into_iter()), most_common([Some(vec![])].into_iter())),
            (None, Some((String::new(), 0.0)))
        );
        let picture =
            |names: &[&str]| names.iter().map(|name| ("f".to_owned(), (*name).to_owned())).collect::<Vec<_>>();
        let pictures =
            [picture(&["hue/red", "shape/disk"]), picture(&["hue/red", "shape/ring"]), picture(&["hue/blue"])];
        let (value, share) = purest(pictures.iter().map(Vec::as_slice)).unwrap();
        assert_eq!((value.as_str(), share), ("hue/red", 2.0 / 3.0));
        assert_eq!(purest([&[][..]].into_iter()), None, "nothing is known");
    }

    // A third of 14 pixels, 4.5, are 5: two before and two behind, within the picture.
    #[test]
    fn patches_are_a_third_of_the_side() {
        assert_eq!([around(7, 14), around(1, 14), around(13, 14)], [5..10, 0..4, 11..14]);
        assert_eq!((around(112, 224), around(3, 4)), (76..148, 3..4));
        let mut mask = Mask { height: 14, width: 14, coverage: vec![0; 14 * 14] };
        mask.coverage[3 * 14 + 9] = 200;
        let known = Known { object: Some(mask), concepts: vec![], factors: vec![] };
        let near = |row, column| known.near_object([row, column]).unwrap();
        assert_eq!([near(5, 7), near(5, 6), near(6, 9), near(1, 11), near(0, 11)], [true, false, false, true, false]);
    }

    #[test]
    fn masks_cover_pixels() {
        let mask = Mask { height: 2, width: 2, coverage: vec![0, 255, 127, 128] };
        let known = Known { object: Some(mask.clone()), concepts: vec![("hue/red".into(), mask)], factors: vec![] };
        let inside = |row: usize, column: usize| known.object([row, column]).unwrap();
        assert_eq!([inside(0, 0), inside(0, 1), inside(1, 0), inside(1, 1)], [false, true, false, true]);
        assert_eq!((known.parts([0, 1]), known.parts([0, 0])), (Some(vec!["hue/red"]), Some(vec![])));
        assert_eq!(
            (known.near_object([0, 1]), known.near_object([0, 0])),
            (Some(true), Some(false)),
            "patches of one pixel"
        );
        assert_eq!(Known::default().near_object([0, 0]), None);
        assert_eq!((Known::default().object([0, 0]), Known::default().parts([0, 0])), (None, None));
    }
}
