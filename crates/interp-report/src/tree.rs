//! A tree of joints as a drawing beside the names of its leaves.

use interp_finding::Joint;

use crate::{ReportError, download};

/// Width of the drawing in its own units; a leaf is one unit high.
pub(crate) const WIDTH: f64 = 100.0;

/// A tree, ready to be drawn.
pub(crate) struct Tree<'a> {
    /// The leaves from top to bottom, such that no lines cross.
    pub(crate) leaves: Vec<&'a str>,
    /// A bracket for each joint, as the data of an SVG path.
    pub(crate) path: String,
    /// What is written at the left and at the right end of the drawing.
    pub(crate) ends: [String; 2],
}

/// A group: its leaves from top to bottom, how far to the right it is joined, and how far down its line is.
struct Group {
    leaves: Vec<usize>,
    right: f64,
    down: f64,
}

impl<'a> Tree<'a> {
    /// # Errors
    /// [`ReportError::Tree`] where joints are not one less than leaves, or name what there is not or what is joined already.
    pub(crate) fn new(names: &'a [String], joints: &[Joint]) -> Result<Self, ReportError> {
        let order = order(names.len(), joints)?;
        let mut down = vec![0.0; names.len()];
        order.iter().enumerate().for_each(|(at, &leaf)| down[leaf] = at as f64 + 0.5);
        let most = joints.iter().map(|joint| joint.alike).filter(|alike| alike.is_finite()).fold(0.0, f64::max);
        let right = |alike: f64| {
            let share = if most > 0.0 && alike.is_finite() { 1.0 - alike.clamp(0.0, most) / most } else { 1.0 };
            // Room for the lines of the leaves before the first bracket.
            WIDTH * (0.1 + 0.85 * share)
        };
        let mut groups: Vec<Group> =
            (0..names.len()).map(|leaf| Group { leaves: vec![leaf], right: 0.0, down: down[leaf] }).collect();
        let mut path = String::new();
        for joint in joints {
            let [a, b] = joint.parts.map(|part| &groups[part]);
            // A joint of groups that are more alike on average than one of them is within itself is drawn no further left.
            let at = right(joint.alike).max(a.right).max(b.right);
            path += &format!("M{:.2} {:.2}H{at:.2}V{:.2}H{:.2}", a.right, a.down, b.down, b.right);
            let leaves = [a.leaves.as_slice(), b.leaves.as_slice()].concat();
            let down = (a.down + b.down) / 2.0;
            groups.push(Group { leaves, right: at, down });
        }
        let leaves = order.into_iter().map(|leaf| names[leaf].as_str()).collect();
        let ends = [if joints.is_empty() { String::new() } else { format!("{most:.2}") }, "0".to_owned()];
        Ok(Self { leaves, path, ends })
    }

    /// Height of the drawing in its own units.
    pub(crate) fn height(&self) -> usize {
        self.leaves.len()
    }
}

/// The leaves from top to bottom, group by group.
fn order(leaves: usize, joints: &[Joint]) -> Result<Vec<usize>, ReportError> {
    let mut groups: Vec<Option<Vec<usize>>> = (0..leaves).map(|leaf| Some(vec![leaf])).collect();
    for joint in joints {
        let mut take = |part: usize| groups.get_mut(part).and_then(Option::take).ok_or(ReportError::Tree);
        let (first, second) = (take(joint.parts[0])?, take(joint.parts[1])?);
        groups.push(Some([first, second].concat()));
    }
    let mut left = groups.into_iter().flatten();
    let order = left.next().unwrap_or_default();
    if left.next().is_some() { Err(ReportError::Tree) } else { Ok(order) }
}

/// The joints with the names of what they join, as CSV.
///
/// # Errors
/// [`ReportError::Csv`].
pub(crate) fn csv(names: &[String], joints: &[Joint]) -> Result<Vec<u8>, ReportError> {
    let mut groups: Vec<String> = names.to_vec();
    let mut rows = vec![["first".to_owned(), "second".to_owned(), "alike".to_owned()]];
    for joint in joints {
        let [first, second] = joint.parts.map(|part| groups.get(part).cloned().unwrap_or_default());
        groups.push(format!("{first}; {second}"));
        rows.push([first, second, joint.alike.to_string()]);
    }
    download::csv(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joints(all: &[([usize; 2], f64)]) -> Vec<Joint> {
        all.iter().map(|&(parts, alike)| Joint { parts, alike }).collect()
    }

    // c and a are joined first, at the left end; then b beside them at half the likeness, half-way between 10 and 95.
    #[test]
    fn a_tree_by_hand() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let joints = joints(&[([2, 0], 0.5), ([1, 3], 0.25)]);
        let tree = Tree::new(&names, &joints).unwrap();
        assert_eq!(tree.leaves, ["b", "c", "a"]);
        assert_eq!(tree.path, "M0.00 1.50H10.00V2.50H0.00M0.00 0.50H52.50V2.00H10.00");
        assert_eq!((tree.ends, tree.leaves.len()), (["0.50".to_owned(), "0".to_owned()], 3));
        let text = String::from_utf8(csv(&names, &joints).unwrap()).unwrap();
        assert_eq!(text, "first,second,alike\nc,a,0.5\nb,c; a,0.25\n");
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let names = ["a", "b", "c"].map(str::to_owned);
        for wrong in [&[([0, 1], 0.5)][..], &[([0, 1], 0.5), ([0, 2], 0.5)], &[([0, 9], 0.5)], &[([1, 1], 0.5)]] {
            assert!(matches!(Tree::new(&names, &joints(wrong)), Err(ReportError::Tree)), "{wrong:?}");
        }
        assert!(Tree::new(&[], &[]).unwrap().leaves.is_empty());
        let nothing = Tree::new(&names, &joints(&[([0, 1], f64::NAN), ([2, 3], 0.0)])).unwrap();
        assert!(!nothing.path.contains("NaN"), "{}", nothing.path);
    }
}
