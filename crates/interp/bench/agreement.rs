//! Whether networks that differ by their seed alone give the same explanations.

use interp_audit::metrics::{correlation, ranks};
use interp_audit::saliency::method;
use interp_audit::{AuditError, Memory, Pictures};
use interp_net::{NetError, Network};
use serde::{Deserialize, Serialize};

use super::examined::{METHODS, mean, spread_out};
use crate::Result;
use crate::asked::{Asked, maps};

/// Cells of a map in a row or column at most: an eighth of the picture is about a part of an object.
const CELLS: usize = 8;

/// What a network takes pictures for, and where methods see the evidence for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The class of each picture.
    pub classes: Vec<usize>,
    /// Of each method the means over cells of each picture's map, an eighth of its height and width each; `None` where it has no rule for the network.
    pub maps: Vec<Option<Vec<Vec<f32>>>>,
}

/// Asks the methods about some pictures.
///
/// # Errors
/// If pictures cannot be had, or a method fails.
pub(super) fn told(network: &Network, pictures: &Pictures) -> Result<Told> {
    let Some(shown) = spread_out(pictures)? else { return Ok(Told::default()) };
    let info = pictures.data.info();
    let size = [info.height, info.width];
    let about = Asked::of(network, shown, info, Memory::default())?;
    let question = about.question(network);
    let of = |name: &&str| -> Result<Option<Vec<Vec<f32>>>> {
        match method(name, &toml::Table::new())?.object.attribute(&question) {
            Err(AuditError::Net(NetError::NoRule { .. })) => Ok(None),
            attribution => Ok(Some(maps(&attribution?, size)?.iter().map(|map| cells(map, size)).collect())),
        }
    };
    Ok(Told { classes: question.targets.to_vec(), maps: METHODS.iter().map(of).collect::<Result<_>>()? })
}

/// The means over cells of a map, row by row.
fn cells(map: &[f64], [height, width]: [usize; 2]) -> Vec<f32> {
    let counts = [height, width].map(|side| side.min(CELLS));
    let mut sums = vec![(0.0, 0.0); counts[0] * counts[1]];
    for (at, value) in map.iter().enumerate() {
        let cell = at / width * counts[0] / height * counts[1] + at % width * counts[1] / width;
        sums[cell] = (sums[cell].0 + value, sums[cell].1 + 1.0);
    }
    sums.into_iter().map(|(sum, count)| (sum / count) as f32).collect()
}

/// The mean over pairs of networks, and over pictures that both take for the same class, of the rank correlation of a method's maps; and the same with the other
/// network's map of the next such picture, which tells how alike maps are of whatever picture. `None` where a pair has no two such pictures, or there is
/// no pair.
pub(super) fn agreement(told: &[&Told], method: usize) -> Option<[f64; 2]> {
    let pair = |a: &Told, b: &Told| {
        let (of_a, of_b) = (a.maps.get(method)?.as_ref()?, b.maps.get(method)?.as_ref()?);
        let both = of_a.iter().zip(of_b).zip(a.classes.iter().zip(&b.classes));
        let ranked = |map: &[f32]| ranks(&map.iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
        let same = both.filter(|(_, (a, b))| a == b).map(|((a, b), _)| (ranked(a), ranked(b)));
        let same: Vec<(Vec<f64>, Vec<f64>)> = same.collect();
        let with = |ahead: usize| {
            let others = same.iter().cycle().skip(ahead);
            mean(&same.iter().zip(others).filter_map(|((a, _), (_, b))| correlation(a, b)).collect::<Vec<_>>())
        };
        (same.len() > 1).then(|| Some([with(0)?, with(1)?])).flatten()
    };
    let pairs = told.iter().enumerate().flat_map(|(at, a)| told[at + 1..].iter().map(move |b| pair(a, b)));
    let pairs = pairs.collect::<Option<Vec<_>>>()?;
    let over = |which: usize| mean(&pairs.iter().map(|pair| pair[which]).collect::<Vec<_>>());
    Some([over(0)?, over(1)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of 16 rows and 8 columns each cell is two rows of one column.
    #[test]
    fn cells_by_hand() {
        let map: Vec<f64> = (0..16 * 8).map(f64::from).collect();
        let found = cells(&map, [16, 8]);
        assert_eq!((found.len(), found[0], found[1], found[63]), (64, 4.0, 5.0, (119.0 + 127.0) as f32 / 2.0));
        assert_eq!(cells(&[1.0, 2.0, 3.0], [1, 3]), [1.0, 2.0, 3.0]);
        // Of ten columns in eight cells, column x is in cell 8 x / 10: 0, 1 | 2 | 3 | 4 | 5, 6 | 7 | 8 | 9.
        let found = cells(&(0..10).map(f64::from).collect::<Vec<_>>(), [1, 10]);
        assert_eq!(found, [0.5, 2.0, 3.0, 4.0, 5.5, 7.0, 8.0, 9.0]);
    }

    // Orders 1, 2, 3, 4 and 2, 1, 4, 3 have Spearman's 0.6, and of 1, 2, 3, 4 and 4, 3, 2, 1 it is -1. The third picture is another class to the first network.
    #[test]
    fn agreement_by_hand() {
        let (up, near, down) = (vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 1.0, 4.0, 3.0], vec![4.0, 3.0, 2.0, 1.0]);
        let told = |third: usize, maps: [&Vec<f32>; 3]| Told {
            classes: vec![0, 1, third],
            maps: vec![Some(maps.map(Vec::clone).into()), None],
        };
        let a = told(0, [&up, &down, &up]);
        let b = told(2, [&near, &down, &down]);
        // The same pictures: 0.6 and 1. The next one's: up beside down, and down beside near.
        let found = agreement(&[&a, &b], 0).unwrap();
        assert!((found[0] - 0.8).abs() < 1e-12 && (found[1] + 0.8).abs() < 1e-12, "{found:?}");
        // b with itself: 1, and of near, down, down beside down, down, near (-0.6 + 1 - 0.6) / 3; means over the three pairs.
        let found = agreement(&[&a, &b, &b], 0).unwrap();
        let expected = [(0.8 + 0.8 + 1.0) / 3.0, (-0.8 - 0.8 - 0.2 / 3.0) / 3.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!([agreement(&[&a, &b], 1), agreement(&[&a], 0), agreement(&[&a, &Told::default()], 0)], [None; 3]);
    }
}
