//! What the channels of a layer have to do with each other, over pictures.

use candle_core::{DType, Device, Tensor};
use interp_net::{Network, NodeId};

use crate::Result;
use crate::pass::{Observer, Sample};
use crate::pictures::Gauge;

/// The most channels that are other than zero at one position of a node.
pub(crate) struct ActiveChannels {
    nodes: Vec<NodeId>,
    most: Option<f64>,
}

impl ActiveChannels {
    /// Nothing seen yet.
    pub(crate) fn of(nodes: &[NodeId]) -> Self {
        Self { nodes: nodes.to_vec(), most: None }
    }

    fn add(&mut self, activation: &Tensor) -> Result<()> {
        // What is not a number is not zero.
        let active = activation.ne(0.0)?.to_dtype(DType::F32)?.sum(1)?; // (N, C, ...) -> (N, ...)
        let most = f64::from(active.flatten_all()?.max(0)?.to_scalar::<f32>()?);
        self.most = Some(self.most.map_or(most, |so_far| so_far.max(most)));
        Ok(())
    }
}

impl Observer for ActiveChannels {
    fn taps(&self) -> Vec<NodeId> {
        self.nodes.clone()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let nodes = self.nodes.clone();
        nodes.into_iter().try_for_each(|node| self.add(sample.tape.at(&net.graph, node)?))
    }
}

impl Gauge for ActiveChannels {
    fn value(&self) -> Option<f64> {
        self.most
    }
}

/// Positions of a picture that correlations are taken over, at most: those of a picture are alike, and there are many pictures.
const POSITIONS: usize = 16;

/// The mean squared correlation between two channels of a node that change, of the node where it is highest.
pub(crate) struct Correlation(Vec<Moments>);

/// Sums over positions of pictures.
struct Moments {
    node: NodeId,
    count: f64,
    /// (1, C): of the channels.
    sum: Option<Tensor>,
    /// (C, C): of their products.
    products: Option<Tensor>,
}

impl Correlation {
    /// Nothing seen yet.
    pub(crate) fn of(nodes: &[NodeId]) -> Self {
        Self(nodes.iter().map(|&node| Moments { node, count: 0.0, sum: None, products: None }).collect())
    }
}

impl Moments {
    fn add(&mut self, activation: &Tensor) -> Result<()> {
        let rows = samples(activation)?;
        let with = |more: Tensor, have: &Option<Tensor>| have.as_ref().map_or(Ok(more.clone()), |have| have + &more);
        self.count += rows.dim(0)? as f64;
        self.sum = Some(with(rows.sum_keepdim(0)?, &self.sum)?);
        self.products = Some(with(rows.t()?.matmul(&rows)?, &self.products)?);
        Ok(())
    }

    /// The mean over all pairs of channels that change; `None` where fewer than two do. What is not a number makes it so.
    fn mean(&self) -> Result<Option<f64>> {
        let (Some(sum), Some(products)) = (&self.sum, &self.products) else { return Ok(None) };
        let mean = sum.flatten_all()?.to_vec1::<f64>()?.iter().map(|sum| sum / self.count).collect::<Vec<_>>();
        let products = products.to_vec2::<f64>()?;
        let covariance = |i: usize, j: usize| products[i][j] / self.count - mean[i] * mean[j];
        let constant = |i: usize| covariance(i, i) <= 1e-12 * products[i][i] / self.count;
        let changing: Vec<usize> = (0..mean.len()).filter(|&i| !constant(i)).collect();
        let squared = |i: usize, j: usize| covariance(i, j).powi(2) / (covariance(i, i) * covariance(j, j));
        let pairs = changing.iter().enumerate().flat_map(|(at, &i)| changing[at + 1..].iter().map(move |&j| (i, j)));
        let all = changing.len() * changing.len().saturating_sub(1) / 2;
        Ok((all > 0).then(|| pairs.map(|(i, j)| squared(i, j)).sum::<f64>() / all as f64))
    }
}

/// Channels (rows, C) at positions spread over each picture, in f64.
fn samples(activation: &Tensor) -> Result<Tensor> {
    let (positions, flat) = match *activation.dims() {
        [_, _, height, width] => (spread(height, width), activation.flatten_from(2)?), // (N, C, H, W) -> (N, C, H W)
        _ => (vec![0], activation.unsqueeze(2)?),                                      // (N, C) -> (N, C, 1)
    };
    let (pictures, channels, _) = flat.dims3()?;
    let count = positions.len();
    let chosen =
        flat.contiguous()?.index_select(&Tensor::new(positions, flat.device())?, 2)?.to_device(&Device::Cpu)?;
    Ok(chosen.transpose(1, 2)?.reshape((pictures * count, channels))?.to_dtype(DType::F64)?) // (N, C, P) -> (N P, C)
}

/// Positions of a map, row by row: all of a small one, else one in each of as many bands of rows, and of columns, by the digits of
/// its number there and back (a Hammersley set). Every so many positions would be one column, at worst a border, where what is
/// seen is padding; the middles of bands would be all even or all odd, which tell one thing behind a step of two.
fn spread(height: usize, width: usize) -> Vec<u32> {
    let at = |i: usize| {
        let back = (i as u8).reverse_bits() as usize / POSITIONS; // the four digits of i in base 2
        let [row, column] = [(POSITIONS * i + back, height), (POSITIONS * back + i, width)]
            .map(|(place, size)| place * size / (POSITIONS * POSITIONS));
        row * width + column
    };
    let mut all = if height * width <= POSITIONS {
        (0..height * width).collect()
    } else {
        (0..POSITIONS).map(at).collect::<Vec<_>>()
    };
    all.sort_unstable();
    all.dedup(); // Of a map hardly larger some bands have one cell in common.
    all.into_iter().map(|position| position as u32).collect()
}

impl Observer for Correlation {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|moments| moments.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        self.0.iter_mut().try_for_each(|moments| moments.add(sample.tape.at(&net.graph, moments.node)?))
    }
}

impl Gauge for Correlation {
    fn value(&self) -> Option<f64> {
        // Where a mean cannot be had, no claim holds.
        let means = self.0.iter().filter_map(|moments| moments.mean().unwrap_or(Some(f64::NAN)));
        // What is not a number, of either sign, is the highest.
        let highest = means.reduce(|a, b| if a.is_nan() || a > b { a } else { b });
        // Where channels were seen, but no two that change, nothing can be said.
        highest.or_else(|| self.0.iter().any(|moments| moments.count > 0.0).then_some(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of three channels two at the first position of the first picture, and no more anywhere else.
    #[test]
    fn active_channels_by_hand() {
        let mut gauge = ActiveChannels::of(&[0]);
        assert_eq!(gauge.value(), None);
        for values in [[1f32, 0.0, 2.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]] {
            gauge.add(&Tensor::from_slice(&values, (1, 3, 1, 2), &Device::Cpu).unwrap()).unwrap();
        }
        assert_eq!(gauge.value(), Some(2.0));
    }

    fn mean(columns: &[Vec<f64>]) -> f64 {
        let flat: Vec<f64> =
            (0..columns[0].len()).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let rows = Tensor::from_vec(flat, (columns[0].len(), columns.len()), &Device::Cpu).unwrap();
        let mut gauge = Correlation::of(&[0]);
        gauge.0[0].add(&rows).unwrap();
        gauge.value().unwrap()
    }

    // (1, 1) and (-1, -1) are correlated to the full; scale and shift do not matter.
    #[test]
    fn correlation_by_hand() {
        assert_eq!(mean(&[vec![1.0, -1.0], vec![1.0, -1.0]]), 1.0);
        assert!((mean(&[vec![1.0, -1.0], vec![5.0, 11.0]]) - 1.0).abs() < 1e-12);
        // Correlations of 0, 1/sqrt 2 and 1/sqrt 2; a channel that never changes is in no pair.
        let [a, b] = [vec![1.0, 1.0, -1.0, -1.0], vec![1.0, -1.0, 1.0, -1.0]];
        let c = a.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<_>>();
        assert!((mean(&[a.clone(), b.clone(), c.clone()]) - 1.0 / 3.0).abs() < 1e-12);
        assert!((mean(&[a.clone(), b, c, vec![0.3; 4]]) - 1.0 / 3.0).abs() < 1e-12);
        assert!(mean(&[a.clone(), vec![f64::NAN, 1.0, 2.0, 3.0]]).is_nan());
        assert!(mean(&[a, vec![0.3; 4]]).is_nan() && Correlation::of(&[0]).value().is_none());
    }

    #[test]
    fn samples_are_positions_of_every_picture() {
        let values: Vec<f32> = (0..2 * 3 * 64).map(|i| i as f32).collect();
        let maps = Tensor::from_vec(values, (2, 3, 8, 8), &Device::Cpu).unwrap();
        let rows = samples(&maps).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(rows.len(), 32);
        // Of 16 bands the first and the second of rows, the first and the ninth of columns: twice the first row.
        assert_eq!((rows[0].as_slice(), rows[1].as_slice()), (&[0.0, 64.0, 128.0][..], &[4.0, 68.0, 132.0][..]));
        assert_eq!(rows[16], [192.0, 256.0, 320.0]);
        let vectors = Tensor::from_vec(vec![1f32, 2.0, 3.0, 4.0], (2, 2), &Device::Cpu).unwrap();
        assert_eq!(samples(&vectors).unwrap().to_vec2::<f64>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn samples_are_in_all_parts_of_a_picture() {
        for (height, width) in [(32, 32), (16, 64), (224, 112)] {
            let chosen = spread(height, width);
            let bands = |size: usize, of: fn(usize, usize) -> usize| {
                chosen
                    .iter()
                    .map(|&at| of(at as usize, width) * 16 / size)
                    .collect::<std::collections::BTreeSet<_>>()
                    .len()
            };
            assert_eq!((bands(height, |at, width| at / width), bands(width, |at, width| at % width)), (16, 16));
            let even = chosen.iter().map(|&at| (at as usize / width % 2, at as usize % width % 2));
            assert_eq!(even.collect::<std::collections::BTreeSet<_>>().len(), 4);
        }
        assert_eq!((spread(4, 4), spread(1, 3)), ((0..16).collect(), vec![0, 1, 2]));
        assert!(spread(3, 7).iter().all(|&at| at < 21));
    }
}
