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

/// Of every pair of networks the mean rank correlation of a method's maps, over pictures that both take for the same class; `None` where a pair has none, or
/// there is no pair.
pub(super) fn agreement(told: &[&Told], method: usize) -> Option<Vec<f64>> {
    let pair = |a: &Told, b: &Told| {
        let [of_a, of_b] = [a, b].map(|told| told.maps.get(method)?.as_ref());
        let same = (0..a.classes.len().min(b.classes.len())).filter(|&at| a.classes[at] == b.classes[at]);
        let (of_a, of_b) = (of_a?, of_b?);
        let ranked = |map: &[f32]| ranks(&map.iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
        mean(&same.filter_map(|at| correlation(&ranked(&of_a[at]), &ranked(&of_b[at]))).collect::<Vec<_>>())
    };
    let pairs = told.iter().enumerate().flat_map(|(at, a)| told[at + 1..].iter().map(move |b| pair(a, b)));
    pairs.collect::<Option<Vec<f64>>>().filter(|pairs| !pairs.is_empty())
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
        // Of ten columns in eight cells the fifth begins the fifth: 0, 1 | 2 | 3 | 4 | 5, 6 | 7 | 8 | 9, by 8 x / 10.
        let found = cells(&(0..10).map(f64::from).collect::<Vec<_>>(), [1, 10]);
        assert_eq!(found, [0.5, 2.0, 3.0, 4.0, 5.5, 7.0, 8.0, 9.0]);
    }

    // Orders 1, 2, 3, 4 and 2, 1, 4, 3 have Spearman's 0.6, and the reverse -1; the second picture is another class to the first network.
    #[test]
    fn agreement_by_hand() {
        let told = |classes: [usize; 2], first: [f32; 4]| Told {
            classes: classes.into(),
            maps: vec![Some(vec![first.into(), vec![1.0, 2.0, 3.0, 4.0]]), None],
        };
        let (a, b, c) = (
            told([0, 1], [1.0, 2.0, 3.0, 4.0]),
            told([0, 2], [2.0, 1.0, 4.0, 3.0]),
            told([0, 2], [4.0, 3.0, 2.0, 1.0]),
        );
        let found = agreement(&[&a, &b, &c], 0).unwrap();
        // Of b and c the second picture is the same, 1; the first -0.6.
        assert!(found.iter().zip([0.6, -1.0, 0.2]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!((agreement(&[&a, &b], 1), agreement(&[&a], 0)), (None, None));
    }
}
