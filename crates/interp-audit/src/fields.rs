//! Receptive fields: what cells can see of a picture, and what of that moves them.

use candle_core::{DType, Device, Tensor};
use interp_net::{Field, Keep, Mode, Network, NodeId, Region, Tape, Want};

use crate::pass::end_of;
use crate::{AuditError, Result};

/// The share of a map that an effective field holds.
pub const HELD: f64 = 0.95;

/// How effective receptive fields are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Row and column of the cell asked about, in every node; by default the one in the middle.
    pub cell: Option<[usize; 2]>,
    /// Whether channels are taken one by one, with a sweep back through the network for each, so that those of opposite signs do not cancel.
    pub by_channel: bool,
    /// Pictures that go through the network at a time. Nothing depends on it but for rounding.
    pub at_once: usize,
}

/// The receptive field of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The node.
    pub node: NodeId,
    /// Row and column of the cell; 0 of vectors.
    pub cell: [usize; 2],
    /// What it can see by the network's structure, not cut at the border; `None` where cells of the node have no field in common.
    pub field: Option<Field>,
    /// The pixels of the picture that it depends on, as the smallest box.
    pub region: Region,
    /// Rows and columns of the picture.
    pub size: [usize; 2],
    /// How much each pixel moves the cell, row by row: `E(p) = mean over pictures of sum_c |d A / d x_c(p)|`, c the channels of the picture, A the cell summed
    /// over the node's channels (Luo, Li, Urtasun and Zemel 2016, "Understanding the effective receptive field in deep convolutional neural networks",
    /// section 2); one by one, the mean over the node's channels of the same.
    pub map: Vec<f64>,
    /// How the map is spread; `None` where no pixel moves the cell.
    pub spread: Option<Spread>,
}

/// How a map is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Side in pixels of the smallest square about the middle of what the cell can see that holds [`HELD`] of the map: `2 d + 1`, where d is the largest
    /// distance along rows or columns of a pixel's center from the middle.
    pub side: usize,
    /// Center of gravity, rows then columns, in pixels: the center of the first is 0.5.
    pub center: [f64; 2],
    /// Standard deviation about it along rows and columns, in pixels: that of the Gaussian with these moments.
    pub deviation: [f64; 2],
}

impl Seen {
    /// The middle of what the cell can see, rows then columns, in pixels: the center of the first is 0.5.
    pub fn middle(&self) -> [f64; 2] {
        match &self.field {
            Some(field) => [0, 1].map(|axis| field.start[axis] + (field.jump[axis] * self.cell[axis]) as f64),
            None => [self.region.rows, self.region.columns].map(|[first, last]| (first + last + 1) as f64 / 2.0),
        }
    }
}

/// The fields of a cell of each of `nodes`, over pictures (N, C, H, W) as the network sees them.
///
/// # Errors
/// If a node has no such cell, where a gradient is not a number, and if pictures do not fit.
pub fn fields(net: &Network, pictures: &Tensor, nodes: &[NodeId], settings: &Settings) -> Result<Vec<Seen>> {
    let count = pictures.dim(0)?;
    if count == 0 {
        return Err(AuditError::NoPictures);
    }
    let mut seen = nodes.iter().map(|&node| empty(net, node, settings.cell)).collect::<Result<Vec<_>>>()?;
    let end = end_of(&net.graph, nodes);
    for first in (0..count).step_by(settings.at_once.max(1)) {
        let part = pictures.narrow(0, first, settings.at_once.max(1).min(count - first))?;
        let tape = net.run_to(&part, end, Mode::Precise, &Keep::All)?;
        for seen in &mut seen {
            add(net, &tape, part.dim(0)?, settings.by_channel, seen)?;
        }
    }
    for seen in &mut seen {
        let all = count * if settings.by_channel { net.graph.shape(seen.node)[0] } else { 1 };
        seen.map.iter_mut().for_each(|value| *value /= all as f64);
        seen.spread = spread(&seen.map, seen.size, seen.middle());
    }
    Ok(seen)
}

/// Rows and columns of a node's cells; a vector is one cell.
fn cells(net: &Network, node: NodeId) -> [usize; 2] {
    match *net.graph.shape(node) {
        [_, rows, columns] => [rows, columns],
        _ => [1, 1],
    }
}

fn empty(net: &Network, node: NodeId, cell: Option<[usize; 2]>) -> Result<Seen> {
    let name = || net.graph.nodes()[node].name.clone();
    let cells = cells(net, node);
    let cell = cell.unwrap_or(cells.map(|side| side / 2));
    if cell[0] >= cells[0] || cell[1] >= cells[1] {
        return Err(AuditError::NoCell { node: name(), cell, cells });
    }
    let region = net.region(node, cell[0], cell[1]).ok_or_else(|| AuditError::SeesNothing(name()))?;
    let shape = net.graph.shape(0); // (C, H, W)
    let (size, map) = ([shape[1], shape[2]], vec![0.0; shape[1] * shape[2]]);
    Ok(Seen { node, cell, field: net.receptive_field(node).ok(), region, size, map, spread: None })
}

/// Adds how much pixels of some pictures move a cell.
fn add(net: &Network, tape: &Tape, count: usize, by_channel: bool, seen: &mut Seen) -> Result<()> {
    let channels = net.graph.shape(seen.node)[0];
    let together = if by_channel { 1 } else { channels.max(1) };
    for first in (0..channels).step_by(together) {
        let seed = seed(net, tape, count, seen, first..first + together)?;
        let grads = net.backward(tape, &[(seen.node, seed)], &Want { nodes: vec![0], params: vec![] })?;
        let Some(gradient) = grads.node(0) else { continue };
        let moved = gradient.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.abs()?.sum(1)?.flatten_from(1)?; // (N, C, H, W) -> (N, H * W)
        for picture in moved.to_vec2::<f64>()? {
            if picture.iter().any(|value| !value.is_finite()) {
                return Err(AuditError::NotANumber(net.graph.nodes()[seen.node].name.clone()));
            }
            seen.map.iter_mut().zip(picture).for_each(|(sum, value)| *sum += value);
        }
    }
    Ok(())
}

/// One at a cell of some channels, of the shape of the node's activation.
fn seed(net: &Network, tape: &Tape, count: usize, seen: &Seen, channels: std::ops::Range<usize>) -> Result<Tensor> {
    let activation = tape.at(&net.graph, seen.node)?;
    let [rows, columns] = cells(net, seen.node);
    let all = net.graph.shape(seen.node)[0];
    let mut one = vec![0f32; all * rows * columns];
    for channel in channels {
        one[(channel * rows + seen.cell[0]) * columns + seen.cell[1]] = 1.0;
    }
    let seed = Tensor::from_vec(one.repeat(count), activation.dims(), &Device::Cpu)?;
    Ok(seed.to_dtype(activation.dtype())?.to_device(activation.device())?)
}

/// How a map (H, W) is spread about a place.
fn spread(map: &[f64], [_, width]: [usize; 2], middle: [f64; 2]) -> Option<Spread> {
    let all: f64 = map.iter().sum();
    if all <= 0.0 {
        return None;
    }
    let place = |at: usize| [at / width, at % width].map(|place| place as f64 + 0.5);
    let mean = |of: &dyn Fn([f64; 2]) -> f64| {
        map.iter().enumerate().map(|(at, value)| value * of(place(at))).sum::<f64>() / all
    };
    let center = [0, 1].map(|axis| mean(&|place| place[axis]));
    let deviation = [0, 1].map(|axis| mean(&|place| (place[axis] - center[axis]).powi(2)).sqrt());
    let distance = |at: usize| (place(at)[0] - middle[0]).abs().max((place(at)[1] - middle[1]).abs());
    let mut by_distance: Vec<(f64, f64)> = map.iter().enumerate().map(|(at, &value)| (distance(at), value)).collect();
    by_distance.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    let reached = by_distance.iter().find(|(_, value)| {
        sum += value;
        // A sum in another order is not quite the same.
        sum >= (HELD - 1e-12) * all
    });
    Some(Spread { side: reached.map_or(0, |(d, _)| (2.0 * d + 1.0).round() as usize), center, deviation })
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Op, Role};

    use super::*;

    /// Convolutions of one channel and of ones, without padding but for that given.
    fn ones(kernels: &[usize], padding: usize, side: usize) -> Network {
        let mut graph = Graph::new(1, side, side).unwrap();
        for (at, &kernel) in kernels.iter().enumerate() {
            graph.then(format!("conv{at}"), Op::conv(1, kernel, 1, padding, false)).unwrap();
        }
        let mut net = Network::new(graph, 0).unwrap();
        for (at, &kernel) in kernels.iter().enumerate() {
            let weight = Tensor::ones((1, 1, kernel, kernel), DType::F32, &Device::Cpu).unwrap();
            net.params.set(at, weight).unwrap();
        }
        net
    }

    const MIDDLE: Settings = Settings { cell: None, by_channel: false, at_once: 2 };

    fn seen(net: &Network, settings: &Settings) -> Result<Seen> {
        let shape = net.graph.shape(0);
        let pictures = Tensor::rand(-1f32, 1.0, (3, shape[0], shape[1], shape[2]), &Device::Cpu).unwrap();
        Ok(fields(net, &pictures, &[net.graph.output()], settings)?.remove(0))
    }

    /// The coefficients of (1 + x + x^2)^n.
    fn trinomials(n: usize) -> Vec<f64> {
        (0..n).fold(vec![1.0], |row: Vec<f64>, _| {
            (0..row.len() + 2).map(|at| (0..3).filter_map(|back| row.get(at.checked_sub(back)?)).sum()).collect()
        })
    }

    // Boxes of three convolved n times: trinomial coefficients along rows and columns, of variance n (9 - 1) / 12. Of those of four boxes, 79 of 81
    // lie in seven of nine pixels: (79/81)^2 = 0.951 of all. Of those of three, 25 of 27 in five: (25/27)^2 = 0.857.
    #[test]
    fn boxes_on_boxes_make_the_field_of_trinomial_coefficients() {
        for (n, side) in [(1, 3), (2, 5), (3, 7), (4, 7)] {
            let found = seen(&ones(&vec![3; n], 1, 21), &MIDDLE).unwrap();
            let row = trinomials(n);
            for (at, value) in found.map.iter().enumerate() {
                let part = |place: usize| place.checked_sub(10 - n).and_then(|place| row.get(place)).unwrap_or(&0.0);
                assert_eq!(*value, part(at / 21) * part(at % 21), "{n}: {at}");
            }
            assert_eq!((found.cell, found.region.rows), ([10; 2], [10 - n, 10 + n]));
            let spread = found.spread.unwrap();
            assert_eq!((spread.side, spread.center), (side, [10.5; 2]));
            assert!(spread.deviation.iter().all(|d| (d * d - 2.0 * n as f64 / 3.0).abs() < 1e-9), "{spread:?}");
        }
    }

    #[test]
    fn one_pixel_is_seen_through_kernels_of_one() {
        let found = seen(&ones(&[1, 1], 0, 5), &MIDDLE).unwrap();
        assert_eq!(found.map.iter().filter(|value| **value > 0.0).count(), 1);
        assert_eq!(found.spread.unwrap(), Spread { side: 1, center: [2.5; 2], deviation: [0.0; 2] });
    }

    // Behind weights above zero, exactly what the structure lets through moves the cell: also in a corner, with a stride, and of an even kernel.
    #[test]
    fn what_moves_a_cell_is_its_region() {
        let mut graph = Graph::new(1, 13, 13).unwrap();
        graph.then("first", Op::conv(1, 3, 2, 1, false)).unwrap();
        graph.then("second", Op::conv(1, 4, 1, 1, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for (at, side) in [3, 4].into_iter().enumerate() {
            net.params.set(at, Tensor::ones((1, 1, side, side), DType::F32, &Device::Cpu).unwrap()).unwrap();
        }
        for cell in [[0, 0], [2, 3], [5, 0], [5, 5]] {
            let found = seen(&net, &Settings { cell: Some(cell), ..MIDDLE }).unwrap();
            let inside = |[first, last]: [usize; 2], place: usize| (first..=last).contains(&place);
            for (at, value) in found.map.iter().enumerate() {
                let expected = inside(found.region.rows, at / 13) && inside(found.region.columns, at % 13);
                assert_eq!(*value > 0.0, expected, "{cell:?}: {at}");
            }
        }
    }

    // Channels of weights 1 and -1 cancel; one by one, each is moved by one, and their mean is 1.
    #[test]
    fn channels_that_cancel_are_seen_one_by_one() {
        let mut graph = Graph::new(1, 3, 3).unwrap();
        let conv = graph.then("conv", Op::conv(2, 1, 1, 0, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let position = net.params.position(conv, Role::Weight).unwrap();
        net.params.set(position, Tensor::from_vec(vec![1f32, -1.0], (2, 1, 1, 1), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(seen(&net, &MIDDLE).unwrap().spread, None);
        let found = seen(&net, &Settings { by_channel: true, ..MIDDLE }).unwrap();
        assert_eq!((found.map[4], found.spread.unwrap().side), (1.0, 1));
    }

    #[test]
    fn cells_that_there_are_not_and_damaged_weights_are_told() {
        let net = ones(&[3], 1, 5);
        let said = seen(&net, &Settings { cell: Some([2, 5]), ..MIDDLE }).unwrap_err().to_string();
        assert!(said.contains("`conv0` has 5 by 5 cells") && said.contains("2,5"), "{said}");
        let mut net = ones(&[3], 1, 5);
        let weight = Tensor::full(f32::NAN, (1, 1, 3, 3), &Device::Cpu).unwrap();
        net.params.set(0, weight).unwrap();
        assert!(matches!(seen(&net, &MIDDLE), Err(AuditError::NotANumber(name)) if name == "conv0"));
        let none = Tensor::zeros((0, 1, 5, 5), DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(fields(&net, &none, &[1], &MIDDLE), Err(AuditError::NoPictures)));
    }
}
