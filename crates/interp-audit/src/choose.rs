//! Thresholds by the rules of wavelet shrinkage, from what comes into them.

use candle_core::{DType, Device, Tensor};
use interp_net::ops::Curve;
use interp_net::{Keep, Network, NodeId, Op};

use crate::pass::{Pass, Sample};
use crate::pictures::Pictures;
use crate::shrinkage::{deviation, sure_threshold, universal};
use crate::{AuditError, Result};

/// By what a threshold is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The universal threshold, for the cells that a channel has in a picture.
    Universal,
    /// That which makes Stein's unbiased estimate of the risk least, over the cells of all pictures.
    Sure,
}

/// New thresholds of a node, from what comes into it on `limit` pictures at even distances: for every threshold by the numbers
/// that it is applied to, with the median of their absolute values / 0.6745 taken for the deviation
/// of the noise in them. A threshold that is 0 stays so: there nothing is to be taken away.
///
/// # Errors
/// If the node has no thresholds, or for [`Choice::Sure`] none that are soft, there are no pictures, or the network cannot be run.
pub fn chosen_thresholds(
    net: &Network,
    node: NodeId,
    choice: Choice,
    pictures: &Pictures,
    limit: usize,
) -> Result<Vec<f32>> {
    let before = net.thresholds()?.into_iter().find(|(id, _)| *id == node);
    let (_, before) = before.ok_or(AuditError::NoThresholds)?;
    let is_soft = matches!(net.graph.nodes()[node].op, Op::Threshold { curve: Curve::Soft, .. });
    if choice == Choice::Sure && !is_soft {
        return Err(AuditError::NotSoft);
    }
    let values = coming_in(net, node, pictures, limit)?;
    let per = values.len() / before.len().max(1);
    if values.iter().all(Vec::is_empty) {
        return Err(AuditError::NoPictures);
    }
    let cells = net.graph.shape(node)[1..].iter().product::<usize>();
    let chosen = |(channels, before): (&[Vec<f64>], &f32)| {
        let all = channels.concat();
        let sigma = deviation(&all);
        let theta = match choice {
            Choice::Universal => universal(sigma, cells * channels.len()),
            Choice::Sure => sure_threshold(&all, sigma),
        };
        if *before == 0.0 { 0.0 } else { theta as f32 }
    };
    Ok(values.chunks(per.max(1)).zip(&before).map(chosen).collect())
}

/// The most numbers of a channel that a threshold is chosen from: more would say no more, and fill the memory.
const MOST: usize = 1 << 18;

/// What comes into a node, channel by channel, over all pictures; of large ones in cells at even distances.
fn coming_in(net: &Network, node: NodeId, pictures: &Pictures, limit: usize) -> Result<Vec<Vec<f64>>> {
    let input = net.graph.nodes()[node].inputs[0];
    let mut values = vec![vec![]; net.graph.shape(input)[0]];
    let cells = net.graph.shape(input)[1..].iter().product::<usize>();
    let (every, mut seen) = (distance(cells, limit.min(pictures.data.len(pictures.split))), 0);
    let pass = Pass { end: Some(input), limit: Some(limit), ..Pass::keeping(Keep::Output) };
    pass.over(net, pictures, |&Sample { tape, batch }| {
        for (values, channel) in values.iter_mut().zip(by_channel(tape.at(&net.graph, input)?)?) {
            values.extend(channel.into_iter().skip((every - seen % every) % every).step_by(every));
        }
        seen += cells * batch.labels.len();
        Ok(())
    })?;
    Ok(values)
}

/// How many cells from one that is taken to the next, so that of so many pictures no more than [`MOST`] are; without a divisor in common
/// with the cells of a picture, so that it is not the same ones of each.
fn distance(cells: usize, pictures: usize) -> usize {
    let divides = |divisor: usize, number: usize| number.is_multiple_of(divisor);
    let coprime = |step: &usize| (2..=*step).all(|divisor| !divides(divisor, *step) || !divides(divisor, cells));
    (cells.saturating_mul(pictures).div_ceil(MOST).max(1)..).find(coprime).unwrap_or(1)
}

/// The numbers of each channel of an activation (N, C, H, W) or (N, C).
fn by_channel(activation: &Tensor) -> Result<Vec<Vec<f64>>> {
    let first = activation.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.transpose(0, 1)?.contiguous()?; // (C, N, ...)
    Ok(first.flatten_from(1)?.to_vec2()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use interp_data::{Dataset, Info, Split};
    use interp_net::Graph;

    use super::*;

    /// Two pictures of two pixels and two channels: the first channel has -1, 2 and 3, -4, the second ten times as much.
    struct Pairs(Info);

    impl Dataset for Pairs {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, split: Split) -> usize {
            if split == Split::Test { 2 } else { 0 }
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[[-1.0, -10.0, 2.0, 20.0], [3.0, 30.0, -4.0, -40.0]][index]);
            Ok(())
        }
    }

    fn pairs(split: Split) -> Pictures {
        let (mean, std) = (vec![0.0; 2], vec![1.0; 2]);
        let info =
            Info { name: "pairs".into(), classes: vec!["a".into()], channels: 2, height: 1, width: 2, mean, std };
        Pictures { data: Arc::new(Pairs(info)), split, noise: None, workers: 0 }
    }

    #[test]
    fn of_large_pictures_cells_at_even_distances_are_taken() {
        assert_eq!(distance(32 * 32, 200), 1);
        let every = distance(224 * 224, 200);
        assert!(every % 2 == 1 && every >= 39 && 224 * 224 * 200 / every <= MOST, "{every}");
        assert_eq!(distance(0, 0), 1);
    }

    fn network(shared: bool) -> Network {
        of_curve(Curve::Soft, shared)
    }

    fn of_curve(curve: Curve, shared: bool) -> Network {
        let mut graph = Graph::new(2, 1, 2).unwrap();
        graph.then("shrink", Op::Threshold { curve, shared, initial: 0.5 }).unwrap();
        Network::new(graph, 0).unwrap()
    }

    fn chosen(net: &Network, choice: Choice) -> Vec<f32> {
        chosen_thresholds(net, 1, choice, &pairs(Split::Test), 10).unwrap()
    }

    // Of 1, 2, 3, 4 the median is 2.5; a picture has two cells: 2.5 / 0.6745 sqrt(2 ln 2) = 4.3640, and ten times that.
    #[test]
    fn universal_thresholds_by_hand() {
        let found = chosen(&network(false), Choice::Universal);
        assert!((found[0] - 4.364_02).abs() < 1e-4 && (found[1] - 43.640_2).abs() < 1e-3, "{found:?}");
        // Of all eight together the median is 7, and a picture has four cells: 7 / 0.6745 sqrt(2 ln 4) = 17.2805.
        let found = chosen(&network(true), Choice::Universal);
        assert!(found.len() == 1 && (found[0] - 17.280_5).abs() < 1e-3, "{found:?}");
    }

    // With sigma = 3.7064 all of -1, 2, 3, -4 are best taken away: n sigma^2 - 2 n sigma^2 + 30 is the least of all risks.
    #[test]
    fn stein_s_thresholds_by_hand() {
        assert_eq!(chosen(&network(false), Choice::Sure), [4.0, 40.0]);
    }

    #[test]
    fn what_is_zero_stays_and_without_pictures_nothing_is_chosen() {
        let mut net = network(false);
        net.set_thresholds(1, vec![0.0, 0.5]).unwrap();
        let found = chosen(&net, Choice::Sure);
        assert_eq!(found, [0.0, 40.0]);
        let none = chosen_thresholds(&net, 1, Choice::Sure, &pairs(Split::Train), 10);
        assert!(matches!(none, Err(AuditError::NoPictures)));
        assert!(matches!(
            chosen_thresholds(&net, 0, Choice::Sure, &pairs(Split::Test), 10),
            Err(AuditError::NoThresholds)
        ));
        let hard = of_curve(Curve::Hard, false);
        let by_sure = chosen_thresholds(&hard, 1, Choice::Sure, &pairs(Split::Test), 10);
        assert!(matches!(by_sure, Err(AuditError::NotSoft)));
        assert_eq!(chosen(&hard, Choice::Universal), chosen(&network(false), Choice::Universal));
    }
}
