//! Classes put together by how alike they are.

use super::Likeness;

/// Two groups of classes put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Join {
    /// Which: a number below the number of leaves is a leaf, n more than that the group of the n-th join.
    pub parts: [usize; 2],
    /// How alike they are: the mean over their pairs of classes.
    pub alike: f64,
}

/// The classes that have pictures, the leaves, and their joins, the most alike first: of all groups the two are put together whose classes are most alike
/// on average (average linkage, Sokal and Michener 1958), until there is one.
pub fn tree(found: &Likeness) -> (Vec<usize>, Vec<Join>) {
    let mut leaves: Vec<usize> = found.pairs.iter().flat_map(|pair| pair.classes).collect();
    leaves.sort_unstable();
    leaves.dedup();
    let count = leaves.len();
    let mut alike = vec![vec![0.0; count]; count];
    for pair in &found.pairs {
        let [i, j] = pair.classes.map(|class| leaves.binary_search(&class).unwrap_or(0));
        (alike[i][j], alike[j][i]) = (pair.alike, pair.alike);
    }
    // What stands in each row: the number of its group, and how many classes it has.
    let mut groups: Vec<Option<(usize, f64)>> = (0..count).map(|leaf| Some((leaf, 1.0))).collect();
    let mut joins = vec![];
    while let Some([i, j]) = closest(&alike, &groups) {
        let (Some((first, m)), Some((second, n))) = (groups[i], groups[j]) else { break };
        joins.push(Join { parts: [first, second], alike: alike[i][j] });
        let means: Vec<f64> = alike[i].iter().zip(&alike[j]).map(|(a, b)| (m * a + n * b) / (m + n)).collect();
        alike.iter_mut().zip(&means).for_each(|(row, mean)| row[i] = *mean);
        alike[i] = means;
        (groups[i], groups[j]) = (Some((count + joins.len() - 1, m + n)), None);
    }
    (leaves, joins)
}

/// The rows of the two groups that are most alike, if there are two.
fn closest(alike: &[Vec<f64>], groups: &[Option<(usize, f64)>]) -> Option<[usize; 2]> {
    let rows: Vec<usize> = (0..groups.len()).filter(|&row| groups[row].is_some()).collect();
    let pairs = rows.iter().enumerate().flat_map(|(at, &i)| rows[at + 1..].iter().map(move |&j| [i, j]));
    // Of those that are equally alike the first.
    pairs.reduce(|best, next| if alike[next[0]][next[1]] > alike[best[0]][best[1]] { next } else { best })
}
