//! Claims, measured afresh on a network's parameters.

use candle_core::Tensor;
use interp_net::finding::{Claim, Measured, Quantity};
use interp_net::{Network, NodeId, Op, Role};

use crate::bank::along_bank;
use crate::pass::{numbers, rows};
use crate::pictures::{self, Pictures};
use crate::{AuditError, Result, slopes};

/// Measures each claim and holds it against its bound; `pictures` are what claims about pictures are measured on.
///
/// # Errors
/// If a claim names a node that does not exist or has nothing to measure, or needs pictures and there are none.
pub fn measure(net: &Network, claims: &[Claim], pictures: Option<&Pictures>) -> Result<Vec<Measured>> {
    let wrong = |claim: &Claim, problem: &str| AuditError::Claim { claim: claim.statement(), problem: problem.into() };
    let nodes = claims.iter().map(|claim| match claim.nodes.is_empty() {
        true => Err(wrong(claim, "it names no layers")),
        false => claim.nodes.iter().map(|name| Ok(net.graph.id(name)?)).collect::<Result<Vec<_>>>(),
    });
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    let mut values = vec![None; claims.len()];
    for ((claim, nodes), value) in claims.iter().zip(&nodes).zip(&mut values) {
        *value = quantity(net, claim.quantity, nodes)?;
    }
    let on_pictures: Vec<usize> = (0..claims.len()).filter(|&i| claims[i].quantity.needs_pictures()).collect();
    if let Some(&first) = on_pictures.first() {
        let pictures = pictures.ok_or_else(|| wrong(&claims[first], "there are no pictures to measure it on"))?;
        let wanted: Vec<_> = on_pictures.iter().map(|&i| (claims[i].quantity, nodes[i].clone())).collect();
        on_pictures.iter().zip(pictures::values(net, pictures, &wanted)?).for_each(|(&i, value)| values[i] = value);
    }
    let judge = |((claim, nodes), value): ((&Claim, &Vec<NodeId>), Option<f64>)| {
        let value = value.ok_or_else(|| wrong(claim, "these layers have nothing of the kind"))?;
        let mut measured = claim.judge(value);
        if let (false, Some(node)) =
            (measured.holds, slopes::least(net, claim.quantity, nodes[0])?.and_then(|l| l.culprit))
        {
            measured.shown += &format!(", first of the wrong sign at {}", net.graph.nodes()[node].name);
        }
        Ok(measured)
    };
    claims.iter().zip(&nodes).zip(values).map(judge).collect()
}

/// The value of a quantity over nodes together; `None` where there is nothing to count, or pictures are needed.
///
/// # Errors
/// Where parameters cannot be read.
pub fn quantity(net: &Network, quantity: Quantity, nodes: &[NodeId]) -> Result<Option<f64>> {
    let tensors = |roles: &[Role]| -> Vec<&Tensor> {
        nodes.iter().flat_map(|&id| roles.iter().filter_map(move |&role| net.params.find(id, role))).collect()
    };
    match quantity {
        Quantity::ZeroWeights => share(tensors(&[Role::Weight]), zeros),
        Quantity::ZeroGains => share(tensors(&[Role::Gain]), zeros),
        Quantity::ZeroFilters => share(by_output(net, nodes)?.iter().collect(), |w| zero_rows(w, 0)),
        Quantity::ZeroInputs => share(by_output(net, nodes)?.iter().collect(), |w| zero_rows(w, 1)),
        Quantity::RemovableChannels => removable(net, nodes),
        Quantity::NegativeWeights => negative(&tensors(&[Role::Weight, Role::Gain])),
        Quantity::NegativeThresholds => negative(&tensors(&[Role::Threshold])),
        Quantity::ThresholdSpread => spread(&tensors(&[Role::Threshold])),
        Quantity::AlongBank(bank) => along_bank(bank, &by_output(net, nodes)?),
        Quantity::ZeroActivations
        | Quantity::EvidenceInside
        | Quantity::ContributionGap
        | Quantity::ActiveChannels
        | Quantity::ChannelCorrelation
        | Quantity::LeastChosen
        | Quantity::ConceptAccuracy
        | Quantity::ConceptArea
        | Quantity::Unexplained
        | Quantity::NearPeak
        | Quantity::ClassEvidence
        | Quantity::SumDeviation => Ok(None),
        Quantity::Slope { .. } => match nodes {
            [over] => Ok(slopes::least(net, quantity, *over)?.map(|least| least.slope)),
            _ => Ok(None), // Channels are those of one node.
        },
        Quantity::FieldSize => {
            let size = |&id: &NodeId| Ok(net.receptive_field(id)?.size.into_iter().max().unwrap_or(0));
            let sizes = nodes.iter().map(size).collect::<Result<Vec<_>>>()?;
            Ok(sizes.into_iter().max().map(|size| size as f64))
        }
        Quantity::FilterSimilarity => {
            let similarities = by_output(net, nodes)?.iter().map(filter_similarity).collect::<Result<Vec<_>>>()?;
            // Of layers without a pair nothing can be said, which is no error: filters may go while a network is trained.
            let unknown = (!similarities.is_empty()).then_some(f64::NAN);
            // What is not a number, of either sign, is the highest.
            let highest = similarities.into_iter().flatten().reduce(|a, b| if a.is_nan() || a > b { a } else { b });
            Ok(highest.or(unknown))
        }
    }
}

/// The share of the nodes' channels that are not in the network which [`Network::compact`] leaves.
fn removable(net: &Network, nodes: &[NodeId]) -> Result<Option<f64>> {
    let small = net.compact()?.network;
    let channels = |net: &Network| nodes.iter().map(|&id| net.graph.shape(id)[0]).sum::<usize>();
    let (before, after) = (channels(net), channels(&small));
    Ok((before > 0).then(|| (before - after) as f64 / before as f64))
}

/// The mean squared cosine between two filters of a weight (out, ...) that are not zero: filters that are gone make those that are
/// left no more different. `None` for fewer than two.
fn filter_similarity(weight: &Tensor) -> Result<Option<f64>> {
    let rows = rows(&weight.flatten_from(1)?)?;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let there: Vec<(&Vec<f64>, f64)> =
        rows.iter().map(|row| (row, dot(row, row))).filter(|(_, square)| *square != 0.0).collect();
    let mut sum = 0.0;
    for (i, (row, square)) in there.iter().enumerate() {
        for (other, other_square) in &there[i + 1..] {
            sum += dot(row, other).powi(2) / (square * other_square);
        }
    }
    let pairs = there.len() * there.len().saturating_sub(1) / 2;
    Ok((pairs > 0).then(|| sum / pairs as f64))
}

/// How many values are below zero; what is not a number is not known to be zero or above.
fn negative(tensors: &[&Tensor]) -> Result<Option<f64>> {
    let below = |w: &&f64| **w < 0.0 || w.is_nan();
    let counts = tensors.iter().map(|w| Ok(numbers(w)?.iter().filter(below).count()));
    let count = counts.collect::<Result<Vec<_>>>()?.iter().sum::<usize>();
    Ok((!tensors.is_empty()).then_some(count as f64))
}

/// The largest value less the smallest; what is not a number makes it so.
fn spread(tensors: &[&Tensor]) -> Result<Option<f64>> {
    let values = tensors.iter().map(|w| numbers(w)).collect::<Result<Vec<_>>>()?.concat();
    let furthest = |better: fn(&f64, &f64) -> bool| {
        values.iter().copied().reduce(|a, b| if a.is_nan() || better(&a, &b) { a } else { b })
    };
    Ok(furthest(f64::gt).zip(furthest(f64::lt)).map(|(largest, smallest)| largest - smallest))
}

/// Share of what `holds` says of the parts of each tensor, over all tensors together.
fn share(tensors: Vec<&Tensor>, holds: impl Fn(&Tensor) -> Result<Vec<bool>>) -> Result<Option<f64>> {
    let (mut count, mut all) = (0, 0);
    for tensor in tensors {
        let parts = holds(tensor)?;
        all += parts.len();
        count += parts.iter().filter(|holds| **holds).count();
    }
    Ok((all > 0).then(|| count as f64 / all as f64))
}

/// Which values of a tensor are exactly zero.
fn zeros(tensor: &Tensor) -> Result<Vec<bool>> {
    Ok(numbers(tensor)?.iter().map(|value| *value == 0.0).collect())
}

/// The weights of the nodes that have one as (out, in / groups, ...); transposed convolutions keep theirs as
/// (in, out / groups, ...), linear maps of maps as (out, in * height * width).
fn by_output(net: &Network, nodes: &[NodeId]) -> Result<Vec<Tensor>> {
    let turned = |(id, weight): (NodeId, &Tensor)| {
        let node = &net.graph.nodes()[id];
        if let (Op::Linear { out_features, .. }, [channels, height, width]) =
            (&node.op, net.graph.shape(node.inputs[0]))
        {
            return Ok(weight.reshape((*out_features, *channels, height * width))?);
        }
        let Op::ConvTranspose2d { groups, .. } = node.op else { return Ok(weight.clone()) };
        let (inputs, outputs, h, w) = weight.dims4()?; // of a group the outputs, of all groups the inputs
        let grouped = weight.reshape((groups, inputs / groups, outputs, h, w))?.transpose(1, 2)?.contiguous()?;
        Ok(grouped.reshape((groups * outputs, inputs / groups, h, w))?)
    };
    nodes.iter().filter_map(|&id| Some((id, net.params.find(id, Role::Weight)?))).map(turned).collect()
}

/// Which slices of a weight along the axis `axis` are all zero.
fn zero_rows(tensor: &Tensor, axis: usize) -> Result<Vec<bool>> {
    let first = if axis == 0 { tensor.clone() } else { tensor.transpose(0, axis)?.contiguous()? };
    let rows = rows(&first.flatten_from(1)?)?; // (D, rest)
    Ok(rows.iter().map(|row| row.iter().all(|w| *w == 0.0)).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use interp_net::finding::Relation;
    use interp_net::{Graph, Op};

    use super::*;

    /// Two filters of two inputs and one tap, [[0, 0], [0, -3]], and gains [1, -1].
    fn network() -> Network {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        graph.then("conv", Op::conv(2, 1, 1, 0, false)).unwrap();
        graph.then("bn", Op::batch_norm()).unwrap();
        graph.then("next", Op::conv(2, 1, 1, 0, false)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let weight = Tensor::from_vec(vec![0f32, 0.0, 0.0, -3.0], (2, 2, 1, 1), &Device::Cpu).unwrap();
        net.params.set(0, weight).unwrap();
        net.params.set(1, Tensor::from_vec(vec![1f32, -1.0], 2, &Device::Cpu).unwrap()).unwrap();
        net
    }

    fn value(net: &Network, what: Quantity) -> Option<f64> {
        quantity(net, what, &[1, 2]).unwrap()
    }

    // Of two channels of two cells each, one column of zeros is no channel of zeros, and two of one are.
    #[test]
    fn inputs_of_a_linear_map_of_maps_are_its_channels() {
        let mut graph = Graph::new(2, 1, 2).unwrap();
        let head = graph.then("head", Op::Linear { out_features: 2, bias: false }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let weight = [[0f32, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 2.0]].concat();
        net.params.set(0, Tensor::from_vec(weight, (2, 4), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(quantity(&net, Quantity::ZeroInputs, &[head]).unwrap(), Some(0.5));
        assert_eq!(quantity(&net, Quantity::ZeroFilters, &[head]).unwrap(), Some(0.0));
    }

    // Cosines of 1/sqrt 2 between neighbors and 0 between the first and the last: (1/2 + 1/2 + 0) / 3.
    #[test]
    fn similarity_by_hand() {
        let rows = [[2f32, 0.0], [1.0, -1.0], [0.0, 0.5]].concat();
        let weight = Tensor::from_vec(rows, (3, 2, 1, 1), &Device::Cpu).unwrap();
        assert!((filter_similarity(&weight).unwrap().unwrap() - 1.0 / 3.0).abs() < 1e-12);
        // Filters of zeros beside them change nothing.
        let with_zeros = Tensor::cat(&[&weight, &weight.zeros_like().unwrap()], 0).unwrap();
        assert!((filter_similarity(&with_zeros).unwrap().unwrap() - 1.0 / 3.0).abs() < 1e-12);
        let mut net = network();
        net.params
            .set(0, Tensor::from_vec(vec![1f32, 0.0, -f32::NAN, 1.0], (2, 2, 1, 1), &Device::Cpu).unwrap())
            .unwrap();
        let both = |nodes: &[NodeId]| quantity(&net, Quantity::FilterSimilarity, nodes).unwrap();
        assert!(both(&[1, 3]).unwrap().is_nan() && both(&[3, 1]).unwrap().is_nan());
    }

    #[test]
    fn quantities_by_hand() {
        let net = network();
        assert_eq!(value(&net, Quantity::ZeroWeights), Some(0.75));
        assert_eq!(value(&net, Quantity::ZeroFilters), Some(0.5));
        assert_eq!(value(&net, Quantity::ZeroInputs), Some(0.5));
        assert_eq!(value(&net, Quantity::NegativeWeights), Some(2.0));
        assert_eq!(value(&net, Quantity::FieldSize), Some(1.0));
        assert!(value(&net, Quantity::FilterSimilarity).unwrap().is_nan(), "one filter that is not zero has no other");
        assert_eq!(quantity(&net, Quantity::ZeroWeights, &[2]).unwrap(), None, "a norm has no weights to count");
        assert_eq!(value(&net, Quantity::NegativeThresholds), None);
    }

    #[test]
    fn negative_thresholds_are_counted_and_what_is_no_number_too() {
        let mut graph = Graph::new(4, 1, 1).unwrap();
        graph.then("shrink", Op::soft_threshold(0.1)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let count = |net: &Network| quantity(net, Quantity::NegativeThresholds, &[1]).unwrap();
        assert_eq!(count(&net), Some(0.0));
        let theta = Tensor::from_vec(vec![-0.1f32, 0.0, f32::NAN, 0.2], 4, &Device::Cpu).unwrap();
        net.params.set(0, theta).unwrap();
        assert_eq!(count(&net), Some(2.0));
    }

    #[test]
    fn thresholds_lie_as_far_apart_as_the_outermost() {
        let mut graph = Graph::new(3, 1, 1).unwrap();
        graph.then("shrink", Op::soft_threshold(0.1)).unwrap();
        graph.then("again", Op::soft_threshold(0.5)).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let spread = |net: &Network, nodes: &[usize]| quantity(net, Quantity::ThresholdSpread, nodes).unwrap();
        net.params.set(0, Tensor::from_vec(vec![0.25f32, 0.0, 0.125], 3, &Device::Cpu).unwrap()).unwrap();
        assert_eq!([spread(&net, &[1]), spread(&net, &[2]), spread(&net, &[1, 2])], [Some(0.25), Some(0.0), Some(0.5)]);
        net.params.set(0, Tensor::from_vec(vec![0.25f32, f32::NAN, 0.5], 3, &Device::Cpu).unwrap()).unwrap();
        assert!(spread(&net, &[1, 2]).unwrap().is_nan());
        assert_eq!(spread(&net, &[0]), None);
    }

    // Weights that are zero are no gains, and a negative gain is not zero.
    #[test]
    fn zero_gains_are_those_of_batch_norms() {
        let mut net = network();
        assert_eq!(value(&net, Quantity::ZeroGains), Some(0.0));
        net.params.set(1, Tensor::new(&[0f32, -1.0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(value(&net, Quantity::ZeroGains), Some(0.5));
        assert_eq!(quantity(&net, Quantity::ZeroGains, &[1]).unwrap(), None, "a convolution has no gains");
    }

    /// A stem of four channels and a block whose sum goes to a classifier. What a channel of the sum is made of is the
    /// stem's channel and the branch's: it can go where both are zero, of which two stems and one branch are.
    #[test]
    fn channels_can_go_where_all_that_is_added_is_zero() {
        let mut graph = Graph::new(1, 4, 4).unwrap();
        let stem = graph.then("stem", Op::conv3x3(4, 1)).unwrap();
        let branch = graph.then("branch", Op::conv3x3(4, 1)).unwrap();
        graph.add("sum", Op::Add, &[stem, branch]).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("head", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        for (node, filters) in [(stem, 0..2), (branch, 1..2)] {
            let position = net.params.position(node, Role::Weight).unwrap();
            let old = &net.params.list()[position].value;
            let mut rows = old.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
            rows[filters].iter_mut().for_each(|row| row.fill(0.0));
            let new = Tensor::from_vec(rows.concat(), old.shape(), &Device::Cpu).unwrap();
            net.params.set(position, new).unwrap();
        }
        let share = |nodes: &[NodeId]| quantity(&net, Quantity::RemovableChannels, nodes).unwrap();
        assert_eq!(share(&[stem, branch]), Some(0.25));
        assert_eq!(share(&[5]), Some(0.0), "the classes stay");
    }

    #[test]
    fn the_filters_of_a_transposed_convolution_are_its_outputs() {
        let mut graph = Graph::new(4, 1, 1).unwrap();
        let op = Op::ConvTranspose2d {
            out_channels: 6,
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 2],
            output_padding: [0; 2],
            dilation: [1; 2],
            groups: 2,
            bias: false,
        };
        graph.then("up", op).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        // Four inputs, each to the three outputs of its group: of the six outputs the first alone is not zero, and it
        // reads both of its inputs.
        let mut weight = vec![0f32; 12];
        (weight[0], weight[3]) = (5.0, 7.0);
        net.params.set(0, Tensor::from_vec(weight, (4, 3, 1, 1), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(quantity(&net, Quantity::ZeroFilters, &[1]).unwrap(), Some(5.0 / 6.0));
        assert_eq!(quantity(&net, Quantity::ZeroInputs, &[1]).unwrap(), Some(0.0));
    }

    #[test]
    fn a_claim_that_cannot_be_measured_is_an_error() {
        let claim = |nodes: &[&str]| Claim {
            quantity: Quantity::ZeroWeights,
            nodes: nodes.iter().map(|n| (*n).to_owned()).collect(),
            scope: "conv".into(),
            relation: Relation::AtLeast,
            bound: 0.75,
        };
        let net = network();
        assert!(measure(&net, &[claim(&["conv"])], None).unwrap()[0].holds);
        for nodes in [&["bn"] as &[&str], &[], &["cnov"]] {
            assert!(measure(&net, &[claim(nodes)], None).is_err(), "{nodes:?}");
        }
    }
}
