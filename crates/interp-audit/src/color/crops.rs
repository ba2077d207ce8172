//! The hues that channels' largest answers see.

use std::collections::BTreeMap;
use std::ops::Range;

use interp_net::finding::random::{Stream, below, stream};
use interp_net::{Field, Network, NodeId};
use rayon::prelude::*;

use super::hues::{Hues, Tint};
use super::space::apart;
use crate::neurons::{Peak, Survey, Unit};
use crate::{AuditError, Pictures, Result};

/// Draws of a null.
const DRAWS: usize = 199;
/// Places drawn from all pictures, which nulls are drawn from.
const POOL: usize = 1000;
/// How often chance may make what is said to be found.
pub const CHANCE: f64 = 0.05;
/// Degrees within which two hues are opposite.
const OPPOSITE: f64 = 45.0;

/// Parts of a receptive field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The half of its height and width in the middle.
    Center,
    /// What is around that.
    Surround,
}

impl Part {
    const ALL: [Self; 3] = [Self::Whole, Self::Center, Self::Surround];
}

/// How many hues a channel selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: it sees the hues that there are in the pictures.
    Unselective,
    /// One.
    Single,
    /// Two that are opposite, within 45 degrees.
    Opponent,
    /// Two or more that are not opposite.
    Several,
}

/// Where in its receptive field a channel selects hues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere by itself.
    Nowhere,
    /// In the middle alone, as of a colored object.
    Center,
    /// Around the middle alone, as of a colored surround.
    Surround,
    /// In both, of hues less than 90 degrees apart.
    Both,
    /// In both, of other hues in the middle than around it.
    Contrast,
}

/// The hues that a part of a channel's receptive field sees at its largest answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hue {
    /// Weighed by the answers.
    pub hues: Hues,
    /// How often places that are drawn from the pictures at random, as many and weighed alike, see hues that are as far from those of all pictures: by
    /// the mean hue, and by the axis. The far larger of the two tests is taken for one: twice the smaller share.
    pub p: f64,
}

/// The hues of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitHues {
    /// Of its whole receptive field.
    pub whole: Hue,
    /// Of the middle.
    pub center: Hue,
    /// Of what is around the middle.
    pub surround: Hue,
    /// How many hues it selects.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// Sums of one place, by part.
type Seen = [Hues; 3];

/// The hues that the channels of a survey see at their peaks, by layer and channel; `None` of those that answer to nothing, and of layers whose cells
/// have no receptive field in common.
///
/// # Errors
/// [`AuditError::Gray`] of gray pictures; if one cannot be read.
pub fn unit_hues(net: &Network, pictures: &Pictures, survey: &Survey) -> Result<Vec<Vec<Option<UnitHues>>>> {
    if pictures.data.info().channels != 3 {
        return Err(AuditError::Gray(pictures.data.info().name.clone()));
    }
    let layer = |layer: &crate::neurons::Layer| -> Result<Vec<Option<UnitHues>>> {
        let Ok(field) = net.receptive_field(layer.node) else { return Ok(vec![None; layer.units.len()]) };
        let places = layer.units.iter().flat_map(|unit| unit.peaks.iter().map(|peak| (peak.picture, peak.cell)));
        let drawn = pool(net, pictures, layer.node);
        let seen = seen(pictures, &field, places.chain(drawn.iter().copied()))?;
        let pool: Vec<&Seen> = drawn.iter().map(|place| &seen[place]).collect();
        let unit = |(channel, unit): (usize, &Unit)| {
            let seed = ((layer.node as u64) << 32) | channel as u64;
            (!unit.peaks.is_empty()).then(|| told(&unit.peaks, &seen, &pool, seed))
        };
        Ok(layer.units.par_iter().enumerate().map(unit).collect())
    };
    survey.layers.iter().map(layer).collect()
}

/// Cells drawn from all pictures: picture and cell.
fn pool(net: &Network, pictures: &Pictures, node: NodeId) -> Vec<(usize, [usize; 2])> {
    let count = pictures.data.len(pictures.split);
    let extent = |axis: usize| net.graph.shape(node).get(axis).copied().unwrap_or(1);
    let draw = |number: usize| {
        let mut rng = stream(0, "color places", node as u64, number as u64);
        (below(&mut rng, count), [1, 2].map(|axis| below(&mut rng, extent(axis))))
    };
    (0..POOL).map(draw).collect()
}

/// What is seen at places, each place once.
fn seen(
    pictures: &Pictures,
    field: &Field,
    places: impl Iterator<Item = (usize, [usize; 2])>,
) -> Result<BTreeMap<(usize, [usize; 2]), Seen>> {
    let mut by_picture: BTreeMap<usize, Vec<[usize; 2]>> = BTreeMap::new();
    places.for_each(|(picture, cell)| by_picture.entry(picture).or_default().push(cell));
    let one = |(index, cells): (usize, Vec<[usize; 2]>)| -> Result<Vec<_>> {
        let info = pictures.data.info();
        let mut picture = vec![0.0; info.pixels()];
        pictures.data.image(pictures.split, index, &mut picture)?;
        let tints: Vec<Tint> = picture.chunks_exact(3).map(Tint::of).collect();
        let mut cells = cells;
        cells.sort_unstable();
        cells.dedup();
        Ok(cells.into_iter().map(|cell| ((index, cell), at(&tints, [info.height, info.width], field, cell))).collect())
    };
    let found: Vec<_> = by_picture.into_par_iter().map(one).collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// What a cell sees.
fn at(tints: &[Tint], size: [usize; 2], field: &Field, cell: [usize; 2]) -> Seen {
    let range = |axis: usize, share: f64| -> Range<usize> {
        let middle = field.start[axis] + (cell[axis] * field.jump[axis]) as f64;
        let half = share * field.size[axis] as f64 / 2.0;
        let [low, high] = [middle - half, middle + half].map(|end| end.round().clamp(0.0, size[axis] as f64) as usize);
        low..high
    };
    let (rows, columns, inner) = (range(0, 1.0), range(1, 1.0), [range(0, 0.5), range(1, 0.5)]);
    let mut seen = Seen::default();
    for row in rows {
        for column in columns.clone() {
            let part =
                if inner[0].contains(&row) && inner[1].contains(&column) { Part::Center } else { Part::Surround };
            let tint = &tints[row * size[1] + column];
            seen[Part::Whole as usize].see(tint);
            seen[part as usize].see(tint);
        }
    }
    seen
}

fn told(peaks: &[Peak], seen: &BTreeMap<(usize, [usize; 2]), Seen>, pool: &[&Seen], seed: u64) -> UnitHues {
    let answers: Vec<(f64, &Seen)> =
        peaks.iter().map(|peak| (f64::from(peak.activation), &seen[&(peak.picture, peak.cell)])).collect();
    let [whole, center, surround] = Part::ALL.map(|part| hue(&answers, pool, part, seed));
    let (kind, place) = (kind(&whole), place(&center, &surround));
    UnitHues { whole, center, surround, kind, place }
}

/// The hues of a part, with how often chance makes them.
fn hue(answers: &[(f64, &Seen)], pool: &[&Seen], part: Part, seed: u64) -> Hue {
    let at = part as usize;
    let sum = |seen: &mut dyn Iterator<Item = (f64, &Hues)>| {
        let mut sum = Hues::default();
        seen.for_each(|(weight, hues)| sum.add(hues, weight));
        sum
    };
    let all = sum(&mut pool.iter().map(|seen| (1.0, &seen[at])));
    let far = |hues: &Hues| {
        [1, 2].map(|order| {
            let ([a, b], [c, d]) = (hues.moment(order), all.moment(order));
            (a - c).hypot(b - d)
        })
    };
    let hues = sum(&mut answers.iter().map(|(weight, seen)| (*weight, &seen[at])));
    if hues.chroma <= 0.0 {
        return Hue { hues, p: 1.0 }; // Gray has no hues to select.
    }
    let own = far(&hues);
    let draw = |number: usize| {
        let mut rng: Stream = stream(seed, "color null", at as u64, number as u64);
        let drawn = |(weight, _): &(f64, &Seen)| (*weight, &pool[below(&mut rng, pool.len())][at]);
        far(&sum(&mut answers.iter().map(drawn).collect::<Vec<_>>().into_iter()))
    };
    let null: Vec<[f64; 2]> = (0..DRAWS).map(draw).collect();
    let p = [0, 1].map(|test| {
        let as_far = null.iter().filter(|other| other[test] >= own[test]).count();
        (as_far + 1) as f64 / (DRAWS + 1) as f64
    });
    Hue { hues, p: (2.0 * p[0].min(p[1])).min(1.0) }
}

fn kind(whole: &Hue) -> Kind {
    if whole.p >= CHANCE {
        return Kind::Unselective;
    }
    match whole.hues.peaks()[..] {
        [] => Kind::Unselective,
        [_] => Kind::Single,
        [a, b] if apart(a, b, 360.0) >= 180.0 - OPPOSITE => Kind::Opponent,
        _ => Kind::Several,
    }
}

fn place(center: &Hue, surround: &Hue) -> Place {
    match (center.p < CHANCE, surround.p < CHANCE) {
        (false, false) => Place::Nowhere,
        (true, false) => Place::Center,
        (false, true) => Place::Surround,
        (true, true) if apart(center.hues.mean().0, surround.hues.mean().0, 360.0) < 90.0 => Place::Both,
        (true, true) => Place::Contrast,
    }
}
