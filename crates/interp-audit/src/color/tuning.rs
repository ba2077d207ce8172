//! What channels answer to plain colors.

use interp_data::Info;
use interp_net::{Network, NodeId};

use super::hues::BINS;
use super::space::color;
use crate::plain::{answers, field, middle};
use crate::{AuditError, Memory, Result};

/// Chroma of the probes: as much as every hue can have at middle brightness, and a third and two thirds of it.
const CHROMAS: [f64; 3] = [0.25, 0.5, 0.75];
/// Of the largest answer to pictures, what an answer to a plain color must be to count.
const ANSWER: f64 = 0.05;
/// How many times the answer to contrast is that to a field of one hue, where a channel is one of contrast.
const CONTRAST: f64 = 2.0;

/// What a channel answers to: a field of one hue, or hues beside their opposites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// To neither as much as a twentieth of its largest answer to pictures.
    Neither,
    /// To a field of one hue: a single-opponent cell, as physiology calls it.
    Plain,
    /// To a disk in a field of the opposite hue, more than twice as much as to a field of one: a double-opponent cell.
    Contrast,
}

/// The answers of a channel's middle cell to plain colors of middle brightness, less that to gray.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// To pictures of one hue, by 36 hues, of the chroma 0.25, 0.5 and 0.75.
    pub plain: [[f32; BINS]; 3],
    /// To a disk that covers half of the receptive field, in a field of the opposite hue: by the disk's hue, of the chroma 0.75.
    pub contrast: [f32; BINS],
    /// The hue in degrees that is answered to most, of pictures of one hue of the chroma 0.75; `None` where none is.
    pub best: Option<f64>,
    /// Degrees around it in which the answer is more than a half.
    pub width: Option<f64>,
    /// Which of both it answers to.
    pub fields: Fields,
}

/// The tuning of all channels of `nodes`, given the largest answers of each to pictures.
///
/// # Errors
/// [`AuditError::Gray`] where pictures are gray; if the network cannot be run.
pub fn tuning(
    net: &Network,
    info: &Info,
    nodes: &[NodeId],
    largest: &[Vec<f32>],
    memory: Memory,
) -> Result<Vec<Vec<Tuning>>> {
    if info.channels != 3 {
        return Err(AuditError::Gray(info.name.clone()));
    }
    let plain = |chroma: f64| (0..BINS).map(move |bin| field(info, color(hue(bin), chroma)));
    let mut pictures = vec![field(info, [0.5; 3])];
    pictures.extend(CHROMAS.into_iter().flat_map(plain));
    let all = answers(net, info, nodes, &pictures, memory)?;
    let mut found = vec![];
    for ((&node, all), largest) in nodes.iter().zip(all).zip(largest) {
        let disks: Vec<Vec<f32>> = (0..BINS).map(|bin| disk(net, info, node, hue(bin))).collect();
        let contrast = answers(net, info, &[node], &disks, memory)?.remove(0);
        let unit = |(channel, &largest): (usize, &f32)| {
            let less = |row: &Vec<f32>| row[channel] - all[0][channel];
            let by_hue = |rows: &[Vec<f32>]| std::array::from_fn(|bin| less(&rows[bin]));
            let plain = [0, 1, 2].map(|at| by_hue(&all[1 + at * BINS..]));
            told(plain, by_hue(&contrast), largest)
        };
        found.push(largest.iter().enumerate().map(unit).collect());
    }
    Ok(found)
}

/// The middle of a bin in degrees.
fn hue(bin: usize) -> f64 {
    (bin as f64 + 0.5) * 360.0 / BINS as f64
}

/// A picture of one hue with a disk of the opposite one, where the middle cell of `node` sees it: the disk is a half of what the cell sees.
fn disk(net: &Network, info: &Info, node: NodeId, hue: f64) -> Vec<f32> {
    let [_, _, chroma] = CHROMAS;
    let [inner, outer] = [color(hue, chroma), color(hue + 180.0, chroma)];
    let field = net.receptive_field(node).ok();
    let sides = [info.height, info.width];
    let axis = |axis: usize| match &field {
        Some(field) => (field.start[axis] + (middle(net, node)[axis] * field.jump[axis]) as f64, field.size[axis]),
        None => (sides[axis] as f64 / 2.0, sides[axis]),
    };
    let [(row, height), (column, width)] = [axis(0), axis(1)];
    let seen = height.min(info.height) * width.min(info.width);
    let square = seen as f64 / 2.0 / std::f64::consts::PI; // Of the radius.
    let pixel = |at: usize| {
        let [down, right] = [(at / info.width) as f64 + 0.5 - row, (at % info.width) as f64 + 0.5 - column];
        if down * down + right * right <= square { inner } else { outer }
    };
    (0..info.height * info.width).flat_map(pixel).collect()
}

fn told(plain: [[f32; BINS]; 3], contrast: [f32; BINS], largest: f32) -> Tuning {
    let most = |row: &[f32; BINS]| row.iter().copied().fold(0.0, f32::max);
    let [_, _, strong] = &plain;
    let [flat, edge] = [most(strong), most(&contrast)].map(f64::from);
    let enough = ANSWER * f64::from(largest);
    let fields = match () {
        () if largest <= 0.0 || flat.max(edge) < enough => Fields::Neither,
        () if edge > CONTRAST * flat => Fields::Contrast,
        () => Fields::Plain,
    };
    let at = (0..BINS).max_by(|&a, &b| strong[a].total_cmp(&strong[b]));
    let best = at.filter(|_| largest > 0.0 && flat >= enough && flat > 0.0);
    Tuning { plain, contrast, best: best.map(hue), width: best.map(|at| width(strong, at)), fields }
}

/// Degrees around a bin in which there is more than a half of what is there.
fn width(row: &[f32; BINS], best: usize) -> f64 {
    let is_more = |at: usize| row[at % BINS] > row[best] / 2.0;
    let after = (1..BINS).take_while(|step| is_more(best + step)).count();
    let before = (1..BINS).take_while(|step| is_more(best + BINS - step)).count();
    (1 + after + before).min(BINS) as f64 * 360.0 / BINS as f64
}
