//! How fast outputs rise with the channels of a node at least: a certificate of monotonicity, by interval arithmetic.
//!
//! Bounds of values and of slopes go through the graph together: a linear map takes both along, weight by weight, and a ReLU
//! multiplies slopes by 1, by 0, or by all of [0, 1], as the bounds of its input tell. What comes in from other branches can be any
//! number and has no slope. So the bounds hold for every picture, up to the rounding of sums in f64; signs survive it.

use interp_net::finding::Quantity;
use interp_net::ops::Curve;
use interp_net::{Network, Node, NodeId, Op, Role};

use crate::pass::numbers;
use crate::{AuditError, Result};

/// Least and largest.
type Interval = [f64; 2];

/// Bounds of a node's channels.
#[derive(Clone)]
struct Bounds {
    values: Vec<Interval>,
    /// By channel, then by channel of the node that slopes are with respect to.
    slopes: Vec<Vec<Interval>>,
    /// Whether channels have met: else each is one of the first node's, and is to rise with it.
    mixed: bool,
}

/// The least slope, and where the bounds first allow one of the wrong sign.
pub(crate) struct Least {
    pub(crate) slope: f64,
    pub(crate) culprit: Option<NodeId>,
}

/// Measures [`Quantity::Slope`] in the channels of the node `over`; `None` for other quantities.
///
/// # Errors
/// [`AuditError::Slope`] at a node through which no bounds are known, or where channels or outputs are missing.
pub(crate) fn least(net: &Network, quantity: Quantity, over: NodeId) -> Result<Option<Least>> {
    let Quantity::Slope { outputs, rises, falls } = quantity else { return Ok(None) };
    let signs: Vec<(usize, f64)> = [(rises, 1.0), (falls, -1.0)]
        .into_iter()
        .flat_map(|(channels, sign)| channels.list().into_iter().map(move |channel| (channel, sign)))
        .collect();
    let (channels, output) = (net.graph.shape(over)[0], net.graph.output());
    let missing = outputs.list().iter().any(|&k| k >= net.graph.outputs()) || signs.iter().any(|&(f, _)| f >= channels);
    if missing || outputs.list().is_empty() || signs.is_empty() {
        return Err(refused(net, over, "has no such channels, or the network no such outputs"));
    }
    let bounds = sweep(net, over)?;
    let asked = asked(net, &outputs.list());
    let wrong = |id: &NodeId| {
        let Some(bounds) = &bounds[*id] else { return false };
        let is_wrong = |(channel, slopes): (usize, &Vec<Interval>)| match bounds.mixed {
            true => asked[*id][channel] && worst(slopes, &signs) < 0.0,
            false => signs.iter().any(|&(other, _)| other == channel) && slopes[channel][0] < 0.0,
        };
        bounds.slopes.iter().enumerate().any(is_wrong)
    };
    let Some(last) = &bounds[output] else { return Err(refused(net, over, "does not lead to the output")) };
    // A bias that is no number has no part in slopes, but then there is no output that could rise.
    if let Some(node) = not_finite(net, &bounds)? {
        return Ok(Some(Least { slope: f64::NAN, culprit: Some(node) }));
    }
    let slope = outputs.list().into_iter().map(|k| worst(&last.slopes[k], &signs)).fold(f64::INFINITY, lesser);
    Ok(Some(Least { slope, culprit: (over..=output).find(wrong) }))
}

/// The smaller one; what is not a number stays so.
fn lesser(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

/// The least of a channel's slopes, each with its sign.
fn worst(slopes: &[Interval], signs: &[(usize, f64)]) -> f64 {
    let signed = |&(channel, sign): &(usize, f64)| if sign > 0.0 { slopes[channel][0] } else { -slopes[channel][1] };
    signs.iter().map(signed).fold(f64::INFINITY, lesser)
}

fn refused(net: &Network, id: NodeId, problem: &str) -> AuditError {
    AuditError::Slope { node: net.graph.nodes()[id].name.clone(), problem: problem.to_owned() }
}

/// The bounds at every node that depends on `over`.
fn sweep(net: &Network, over: NodeId) -> Result<Vec<Option<Bounds>>> {
    let count = net.graph.shape(over)[0];
    let unit = |channel: usize| (0..count).map(|other| [f64::from(u8::from(other == channel)); 2]).collect();
    let mut bounds: Vec<Option<Bounds>> = vec![None; net.graph.nodes().len()];
    if positions(net, over) != 1 {
        return Err(refused(
            net,
            over,
            "has several positions: slopes are with respect to one number for each channel",
        ));
    }
    let slopes = (0..count).map(unit).collect();
    bounds[over] = Some(Bounds { values: vec![[0.0, 1.0]; count], slopes, mixed: false });
    for (id, node) in net.graph.nodes().iter().enumerate().skip(over + 1) {
        if node.inputs.iter().any(|&input| bounds[input].is_some()) {
            bounds[id] = Some(through(net, id, node, &bounds, count)?);
        }
    }
    Ok(bounds)
}

fn positions(net: &Network, id: NodeId) -> usize {
    net.graph.shape(id)[1..].iter().product()
}

/// The bounds behind a node, from those before it.
fn through(net: &Network, id: NodeId, node: &Node, before: &[Option<Bounds>], count: usize) -> Result<Bounds> {
    let unknown = |&input: &NodeId| {
        let channels = net.graph.shape(input)[0];
        Bounds { values: vec![ANY; channels], slopes: vec![vec![[0.0; 2]; count]; channels], mixed: true }
    };
    let mut inputs: Vec<Bounds> =
        node.inputs.iter().map(|input| before[*input].clone().unwrap_or_else(|| unknown(input))).collect();
    let all_one = positions(net, id) == 1 && node.inputs.iter().all(|&input| positions(net, input) == 1);
    match node.op {
        Op::Linear { .. } if all_one => linear(&weights(net, id)?, &biases(net, id)?, &inputs[0]),
        Op::Conv2d { kernel: [1, 1], padding: [0, 0], .. } if all_one => {
            linear(&weights(net, id)?, &biases(net, id)?, &inputs[0])
        }
        Op::BatchNorm { eps, .. } if all_one => normed(net, id, eps, &inputs[0]),
        Op::Relu | Op::Threshold { curve: Curve::Soft, shared: false, .. } => {
            let theta = if let Op::Relu = node.op { None } else { Some(of_param(net, id, Role::Threshold)?) };
            match theta.iter().flatten().all(|theta| *theta >= 0.0) {
                true => Ok(bent(inputs.remove(0), theta.as_deref())),
                false => Err(refused(net, id, "jumps: it has a threshold below 0")),
            }
        }
        Op::MaxPool { kernel: [1, 1], padding: [0, 0], .. } | Op::AvgPool { kernel: [1, 1], padding: [0, 0], .. }
            if all_one =>
        {
            Ok(inputs.remove(0))
        }
        Op::GlobalAvgPool | Op::AdaptiveAvgPool { .. } if all_one => Ok(inputs.remove(0)),
        Op::Add => Ok(inputs.into_iter().reduce(added).unwrap_or_else(|| unknown(&id))),
        Op::Concat => {
            let values = inputs.iter().flat_map(|bounds| bounds.values.clone()).collect();
            Ok(Bounds { values, slopes: inputs.into_iter().flat_map(|bounds| bounds.slopes).collect(), mixed: true })
        }
        _ => Err(refused(net, id, "is no operation through which slopes are bounded")),
    }
}

/// Every number.
const ANY: Interval = [f64::NEG_INFINITY, f64::INFINITY];

fn times(weight: f64, [low, high]: Interval) -> Interval {
    match weight {
        // Nothing of an unbounded number.
        0.0 => [0.0; 2],
        weight if weight > 0.0 => [weight * low, weight * high],
        weight => [weight * high, weight * low],
    }
}

fn plus([a, b]: Interval, [c, d]: Interval) -> Interval {
    [a + c, b + d]
}

/// A row of weights times intervals.
fn combined(row: &[f64], intervals: impl Iterator<Item = Interval>) -> Interval {
    row.iter().zip(intervals).map(|(&weight, interval)| times(weight, interval)).fold([0.0; 2], plus)
}

fn linear(weights: &[Vec<f64>], biases: &[f64], input: &Bounds) -> Result<Bounds> {
    let value = |(row, &bias): (&Vec<f64>, &f64)| plus(combined(row, input.values.iter().copied()), [bias; 2]);
    let count = input.slopes.first().map_or(0, Vec::len);
    let slope = |row: &Vec<f64>, f: usize| combined(row, input.slopes.iter().map(|slopes| slopes[f]));
    let slopes = weights.iter().map(|row| (0..count).map(|f| slope(row, f)).collect()).collect();
    Ok(Bounds { values: weights.iter().zip(biases).map(value).collect(), slopes, mixed: true })
}

fn normed(net: &Network, id: NodeId, eps: f64, input: &Bounds) -> Result<Bounds> {
    let [gain, shift, mean, variance] =
        [Role::Gain, Role::Shift, Role::RunningMean, Role::RunningVariance].map(|role| of_param(net, id, role));
    let (gain, shift, mean, variance) = (gain?, shift?, mean?, variance?);
    let scale = |c: usize| gain[c] / (variance[c] + eps).sqrt();
    let value = |c: usize| plus(times(scale(c), input.values[c]), [shift[c] - scale(c) * mean[c]; 2]);
    let slopes = |c: usize| input.slopes[c].iter().map(|&slope| times(scale(c), slope)).collect();
    let channels = 0..gain.len();
    let values = channels.clone().map(value).collect();
    Ok(Bounds { values, slopes: channels.map(slopes).collect(), mixed: input.mixed })
}

/// Behind a ReLU, or a soft threshold with these thresholds: at some places the slope stays, at others it is 0.
fn bent(input: Bounds, thresholds: Option<&[f64]>) -> Bounds {
    let bend = |(channel, ([low, high], slopes)): (usize, (Interval, Vec<Interval>))| {
        let theta = thresholds.map(|thresholds| thresholds[channel]);
        let shrunk = |x: f64| {
            theta.map_or(x.max(0.0), |theta| if x < 0.0 { (x + theta).min(0.0) } else { (x - theta).max(0.0) })
        };
        let edge = theta.unwrap_or(0.0);
        let passes = low > edge || theta.is_some_and(|theta| high < -theta);
        let stops = high <= edge && theta.is_none_or(|theta| low >= -theta);
        let slope = |[low, high]: Interval| match (passes, stops) {
            (true, _) => [low, high],
            (_, true) => [low * 0.0, high * 0.0],
            _ => [lesser(low, 0.0), -lesser(-high, 0.0)],
        };
        ([shrunk(low), shrunk(high)], slopes.into_iter().map(slope).collect())
    };
    let (values, slopes) = input.values.into_iter().zip(input.slopes).enumerate().map(bend).unzip();
    Bounds { values, slopes, mixed: input.mixed }
}

fn added(a: Bounds, b: Bounds) -> Bounds {
    let sums = |a: Vec<Interval>, b: Vec<Interval>| a.into_iter().zip(b).map(|(a, b)| plus(a, b)).collect::<Vec<_>>();
    let values = sums(a.values, b.values);
    Bounds { values, slopes: a.slopes.into_iter().zip(b.slopes).map(|(a, b)| sums(a, b)).collect(), mixed: true }
}

/// Which channels of every node some of the outputs read, by the structure alone.
fn asked(net: &Network, outputs: &[usize]) -> Vec<Vec<bool>> {
    let nodes = net.graph.nodes();
    let mut asked: Vec<Vec<bool>> = (0..nodes.len()).map(|id| vec![false; net.graph.shape(id)[0]]).collect();
    outputs.iter().for_each(|&k| asked[net.graph.output()][k] = true);
    for (id, node) in nodes.iter().enumerate().rev() {
        let mut first = 0;
        for &input in &node.inputs {
            let inputs = asked[input].len();
            for channel in 0..inputs {
                let read = readers(&node.op, inputs, asked[id].len(), channel);
                let by = read.into_iter().any(|reader| asked[id].get(first + reader).copied().unwrap_or(true));
                asked[input][channel] |= by;
            }
            first += if node.op == Op::Concat { inputs } else { 0 };
        }
    }
    asked
}

/// The channels of a node that read a channel of its input.
fn readers(op: &Op, inputs: usize, outputs: usize, channel: usize) -> Vec<usize> {
    match op {
        Op::Conv2d { groups, .. } => {
            let (group, width) = (channel * groups / inputs, outputs / groups);
            (group * width..(group + 1) * width).collect()
        }
        Op::Linear { .. } => (0..outputs).collect(),
        _ => vec![channel],
    }
}

/// The first node behind the start whose parameters are not all numbers.
fn not_finite(net: &Network, bounds: &[Option<Bounds>]) -> Result<Option<NodeId>> {
    for param in net.params.list().iter().filter(|param| bounds[param.node].is_some()) {
        if numbers(&param.value)?.iter().any(|value| !value.is_finite()) {
            return Ok(Some(param.node));
        }
    }
    Ok(None)
}

fn of_param(net: &Network, id: NodeId, role: Role) -> Result<Vec<f64>> {
    net.params.find(id, role).map_or_else(|| Ok(vec![]), numbers)
}

/// The weights of a linear map, or of a convolution of one pixel, by output and input; 0 between groups.
fn weights(net: &Network, id: NodeId) -> Result<Vec<Vec<f64>>> {
    let (inputs, outputs) = (net.graph.shape(net.graph.nodes()[id].inputs[0])[0], net.graph.shape(id)[0]);
    let groups = if let Op::Conv2d { groups, .. } = net.graph.nodes()[id].op { groups } else { 1 };
    let (weights, width) = (of_param(net, id, Role::Weight)?, inputs / groups);
    let row = |(output, part): (usize, &[f64])| {
        let mut row = vec![0.0; inputs];
        let first = output * groups / outputs * width;
        row[first..first + width].copy_from_slice(part);
        row
    };
    Ok(weights.chunks_exact(width.max(1)).enumerate().map(row).collect())
}

fn biases(net: &Network, id: NodeId) -> Result<Vec<f64>> {
    let found = of_param(net, id, Role::Bias)?;
    Ok(if found.is_empty() { vec![0.0; net.graph.shape(id)[0]] } else { found })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::Graph;
    use interp_net::finding::Indices;

    use super::*;

    /// y = V relu(W x + b), one of three pixels' channels, with another branch added.
    fn network(first: [f32; 4], bias: [f32; 2], second: [f32; 2]) -> Network {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        let x = graph.then("x", Op::AdaptiveAvgPool { size: [1, 1] }).unwrap();
        graph.then("first", Op::conv(2, 1, 1, 0, true)).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("second", Op::conv(1, 1, 1, 0, false)).unwrap();
        let one = graph.then("one.logits", Op::GlobalAvgPool).unwrap();
        graph.add("mean", Op::GlobalAvgPool, &[0]).unwrap();
        let other = graph.then("other.logits", Op::Linear { out_features: 1, bias: true }).unwrap();
        graph.add("logits", Op::Add, &[one, other]).unwrap();
        assert_eq!(x, 1);
        let mut net = Network::new(graph, 0).unwrap();
        let mut set = |name: &str, values: &[f32]| {
            let position = net.params.list().iter().position(|param| param.name == name).unwrap();
            let dims = net.params.list()[position].value.dims().to_vec();
            net.params.set(position, Tensor::from_vec(values.to_vec(), dims, &Device::Cpu).unwrap()).unwrap();
        };
        set("first.weight", &first);
        set("first.bias", &bias);
        set("second.weight", &second);
        net
    }

    fn slope(net: &Network, rises: &[usize], falls: &[usize]) -> (f64, Option<String>) {
        let of = |list: &[usize]| Indices::try_from(list.to_vec()).unwrap();
        let quantity = Quantity::Slope { outputs: of(&[0]), rises: of(rises), falls: of(falls) };
        let found = least(net, quantity, 1).unwrap().unwrap();
        (found.slope, found.culprit.map(|id| net.graph.nodes()[id].name.clone()))
    }

    // Both units are on over the whole box: slopes 2 * 1 + 3 * 4 and -2 * 2 + 3 * 0.
    #[test]
    fn slopes_of_a_linear_piece_are_exact() {
        let net = network([1.0, -2.0, 4.0, 0.0], [3.0, 1.0], [2.0, 3.0]);
        assert_eq!(slope(&net, &[0], &[]), (14.0, None));
        assert_eq!(slope(&net, &[], &[1]), (4.0, None));
        assert_eq!(slope(&net, &[0], &[1]), (4.0, None));
        assert_eq!(slope(&net, &[1], &[]), (-4.0, Some("first".into())));
    }

    // The first unit is x_0 - 2 x_1 in [-2, 1], on or off: slope 0 to 2 and -4 to 0. The second is always off.
    #[test]
    fn a_unit_that_may_be_off_may_have_no_slope() {
        let net = network([1.0, -2.0, 4.0, -1.0], [0.0, -5.0], [2.0, 3.0]);
        assert_eq!(slope(&net, &[0], &[1]).0, 0.0);
        assert_eq!(slope(&net, &[1], &[]).0, -4.0);
        let net = network([1.0, -2.0, 4.0, -1.0], [0.0, -5.0], [0.0, 3.0]);
        assert_eq!(slope(&net, &[0, 1], &[]).0, 0.0, "a unit that is off everywhere has no slope of any sign");
    }

    #[test]
    fn the_layer_that_breaks_it_is_named() {
        let rising = network([1.0, 2.0, 4.0, 0.5], [0.0, 0.0], [2.0, 3.0]);
        assert_eq!(slope(&rising, &[0, 1], &[]), (0.0, None));
        let first = network([1.0, 2.0, 4.0, -0.5], [0.0, 0.0], [2.0, 3.0]);
        assert_eq!(slope(&first, &[0, 1], &[]).1.as_deref(), Some("first"));
        let second = network([1.0, 2.0, 4.0, 0.5], [0.0, 0.0], [2.0, -3.0]);
        assert_eq!(slope(&second, &[0, 1], &[]).1.as_deref(), Some("second"));
        let broken = network([1.0, 2.0, 4.0, 0.5], [0.0, 0.0], [2.0, f32::NAN]);
        let (value, culprit) = slope(&broken, &[0, 1], &[]);
        assert!(value.is_nan() && culprit.as_deref() == Some("second"));
        // A bias that is no number leaves slopes as they are, and no output that rises.
        let broken = network([1.0, 2.0, 4.0, 0.5], [0.0, f32::NAN], [2.0, 3.0]);
        let (value, culprit) = slope(&broken, &[0, 1], &[]);
        assert!(value.is_nan() && culprit.as_deref() == Some("first"));
    }

    #[test]
    fn soft_thresholds_and_norms_by_hand() {
        let mut graph = Graph::new(1, 1, 1).unwrap();
        graph.then("norm", Op::BatchNorm { eps: 0.0, momentum: 0.1 }).unwrap();
        graph.then("shrink", Op::soft_threshold(2.0)).unwrap();
        graph.then("logits", Op::GlobalAvgPool).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let quantity = |rises: Vec<usize>| {
            let rises = Indices::try_from(rises).unwrap();
            Quantity::Slope { outputs: Indices::try_from(vec![0]).unwrap(), rises, falls: Indices::default() }
        };
        let mut slope = |gain: f32, shift: f32, variance: f32| {
            for (position, value) in [(0, gain), (1, shift), (3, variance)] {
                net.params.set(position, Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap();
            }
            least(&net, quantity(vec![0]), 0).unwrap().unwrap().slope
        };
        assert_eq!(slope(3.0, 0.0, 4.0), 0.0, "1.5 x stays below the threshold");
        assert_eq!(slope(3.0, 2.5, 4.0), 1.5, "1.5 x + 2.5 is always above it");
        assert_eq!(slope(3.0, -4.0, 4.0), 1.5, "and 1.5 x - 4 below its negative");
        assert_eq!(slope(-3.0, 4.0, 4.0), -1.5);
        let error = least(&net, quantity(vec![1]), 0).err().unwrap().to_string();
        assert!(error.contains("`input`") && error.contains("channels"), "{error}");
    }
}
