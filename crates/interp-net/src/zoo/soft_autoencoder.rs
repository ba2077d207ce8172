//! The soft autoencoder (Fan, Li, Teng and Wang 2018, arXiv 1812.11675): a learned cascade of wavelet shrinkage.

use candle_core::{Device, Tensor};
use interp_finding::{Entry, Unfit, build};
use interp_ops::banks::{Wavelet, opponent_axes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activation::WINNERS;
use super::{Activation, Architecture};
use crate::{Graph, NetError, Network, NodeId, Op, Result, Role};

/// An encoder of convolutions, each followed by soft thresholds, and a linear decoder of as many transposed convolutions. It gives
/// pictures, and is trained with `[objective.denoise]`.
///
/// It starts as wavelet shrinkage with cycle spinning (Coifman and Donoho 1995). The first convolution takes four coefficients of
/// db2 (low, and three of details) at four shifts, of colors along the axes red-green, yellow-blue and gray; each further one
/// splits what is low again, by Haar's wavelet, and passes the details on. Each transposed convolution starts as the transpose, divided
/// by the four shifts where it joins: with thresholds of 0 the picture comes back, its border too where it is mirrored
/// far enough. From there all is trained, end to end. Nodes are `mirror`, and `encoder.N`, `shrink.N` and `decoder.N`, N being the level.
///
/// With ReLUs, as in its twin, it is an ordinary autoencoder: with biases, and from random weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SoftAutoencoder {
    /// Levels of the wavelets it starts from, 1 to 4: the more, the coarser the noise that goes, which is seen in smooth pictures.
    pub levels: usize,
    /// What follows every convolution of the encoder.
    pub activation: Activation,
    /// First value of the thresholds on details, 0 or more; those on what is low start from 0. In units of the normalized
    /// picture, as the coefficients of noise are: that of noise 0.1 on pictures with deviation 0.25 is 0.4.
    pub threshold: f64,
    /// Pixels of mirror image around the picture, an even number: what is near a border is cleaned as what is within. 0 for none.
    pub border: usize,
}

impl Default for SoftAutoencoder {
    fn default() -> Self {
        Self { levels: 2, activation: Activation::SoftThreshold, threshold: 0.4, border: 4 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "soft_autoencoder",
    summary: "Soft autoencoder: a cascade of wavelet shrinkage, learned; takes noise away",
    example: "kind = \"soft_autoencoder\"\nlevels = 2\n",
    build: |section| build(section, |settings: SoftAutoencoder| Box::new(settings)),
    schema: || schemars::schema_for!(SoftAutoencoder),
};

/// Shifts at which the first level takes coefficients: by 0 or 1 pixel along each axis, since they lie 2 pixels apart.
const SHIFTS: [[usize; 2]; 4] = [[0, 0], [0, 1], [1, 0], [1, 1]];

/// A convolution of the encoder by its level, from 1, on pictures of some channels.
struct Level {
    level: usize,
    channels: usize,
    /// Pixels around the picture.
    border: usize,
    bias: bool,
}

impl Level {
    /// Channels of the picture's low part: one for each shift and color.
    fn low(&self) -> usize {
        SHIFTS.len() * self.channels
    }

    /// Channels going out: the three kinds of details of every level up to this one, and what is low.
    fn outputs(&self) -> usize {
        (1 + 3 * self.level) * self.low()
    }

    fn inputs(&self) -> usize {
        if self.level == 1 { self.channels } else { Self { level: self.level - 1, ..*self }.outputs() }
    }

    /// Side of the kernel, stride, padding, dilation: from level 4 on what is low lies too far apart for three cells in a row.
    fn geometry(&self) -> [usize; 4] {
        let dilation = 1 << self.level.saturating_sub(3);
        if self.level == 1 { [Wavelet::Db2.low().len() + 2, 2, 2, 1] } else { [3, 1, dilation, dilation] }
    }

    fn encoder(&self) -> Op {
        let [kernel, stride, padding, dilation] = self.geometry();
        Op::Conv2d {
            out_channels: self.outputs(),
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [dilation; 2],
            groups: 1,
            bias: self.bias,
        }
    }

    fn decoder(&self) -> Op {
        let [kernel, stride, mut padding, dilation] = self.geometry();
        if self.level == 1 {
            padding += self.border; // It leaves the picture alone.
        }
        Op::ConvTranspose2d {
            out_channels: self.inputs(),
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            output_padding: [0; 2],
            dilation: [dilation; 2],
            groups: 1,
            bias: self.bias,
        }
    }

    /// First weights of encoder and decoder, (outputs, inputs, kernel, kernel). Of the channels going out what is low comes first, then
    /// the details of this level, then those of the levels before.
    fn weights(&self) -> Result<[Tensor; 2]> {
        let kernel = self.geometry()[0];
        let shape = (self.outputs(), self.inputs(), kernel, kernel);
        let mut encoder = vec![0f32; shape.0 * shape.1 * kernel * kernel];
        let mut decoder = encoder.clone();
        for Tap { output, input, row, column, weight, share } in self.taps()? {
            let at = ((output * shape.1 + input) * kernel + row) * kernel + column;
            encoder[at] = weight as f32;
            decoder[at] = (weight * share) as f32;
        }
        let tensor = |weights: Vec<f32>| Tensor::from_vec(weights, shape, &Device::Cpu);
        Ok([tensor(encoder)?, tensor(decoder)?])
    }

    /// The weights that are not zero.
    fn taps(&self) -> Result<Vec<Tap>> {
        if self.level == 1 { self.first_taps() } else { self.further_taps() }
    }

    /// db2 at every shift, of every color.
    fn first_taps(&self) -> Result<Vec<Tap>> {
        let mut taps = vec![];
        for (filter, place, value) in of_wavelet(Wavelet::Db2)? {
            for (shift, [down, right]) in SHIFTS.into_iter().enumerate() {
                for (color, axis) in colors(self.channels).iter().enumerate() {
                    let output = (filter * SHIFTS.len() + shift) * self.channels + color;
                    taps.extend(axis.iter().enumerate().map(|(input, part)| {
                        let (row, column) = (place[0] + down, place[1] + right);
                        Tap { output, input, row, column, weight: part * value, share: 0.25 }
                    }));
                }
            }
        }
        Ok(taps)
    }

    /// Haar's wavelet on what is low, between cells as far apart as the level has it, and the details as they are.
    fn further_taps(&self) -> Result<Vec<Tap>> {
        let (low, places) = (self.low(), if self.level == 2 { [1, 2] } else { [0, 2] });
        let mut taps = vec![];
        for (filter, [row, column], weight) in of_wavelet(Wavelet::Haar)? {
            let (row, column) = (places[row], places[column]);
            taps.extend((0..low).map(|input| Tap {
                output: filter * low + input,
                input,
                row,
                column,
                weight,
                share: 0.25,
            }));
        }
        let passed = (low..self.inputs()).map(|input| (3 * low + input, input));
        taps.extend(passed.map(|(output, input)| Tap { output, input, row: 1, column: 1, weight: 1.0, share: 1.0 }));
        Ok(taps)
    }
}

/// A weight of an encoder that is not zero at first.
struct Tap {
    output: usize,
    input: usize,
    row: usize,
    column: usize,
    weight: f64,
    /// What the decoder's weight is of it.
    share: f64,
}

/// The taps of a wavelet's filters: number of the filter, row and column, value.
fn of_wavelet(wavelet: Wavelet) -> Result<Vec<(usize, [usize; 2], f64)>> {
    let side = wavelet.low().len();
    let values = wavelet.filters()?.flatten_all()?.to_vec1::<f64>()?;
    let place = |(at, value): (usize, f64)| (at / (side * side), [at / side % side, at % side], value);
    Ok(values.into_iter().enumerate().map(place).collect())
}

/// The directions in color along which coefficients are taken: opponent axes, or the channels themselves.
fn colors(channels: usize) -> Vec<Vec<f64>> {
    let unit = |color: usize| (0..channels).map(|c| f64::from(u8::from(c == color))).collect();
    if channels == 3 { opponent_axes().map(|axis| axis.to_vec()).to_vec() } else { (0..channels).map(unit).collect() }
}

impl SoftAutoencoder {
    fn each(&self, channels: usize) -> impl DoubleEndedIterator<Item = Level> {
        let bias = self.activation == Activation::Relu;
        (1..=self.levels).map(move |level| Level { level, channels, border: self.border, bias })
    }
}

impl Architecture for SoftAutoencoder {
    fn graph(&self, [channels, height, width]: [usize; 3], _classes: usize) -> Result<Graph> {
        let usable = (1..=4).contains(&self.levels);
        Unfit::unless(usable, "levels", format!("must be 1 to 4, not {}", self.levels))?;
        if height % 2 + width % 2 > 0 || height.min(width) < 8 {
            let problem = format!("pictures must have even sides of 8 pixels and more, not {height}x{width}");
            return Err(NetError::Architecture(problem));
        }
        let even = self.border.is_multiple_of(2);
        Unfit::unless(even, "border", format!("must be an even number, not {}", self.border))?;
        let mut graph = Graph::new(channels, height, width)?;
        if self.border > 0 {
            graph.then("mirror", Op::Mirror { border: self.border })?;
        }
        for level in self.each(channels) {
            graph.then(format!("encoder.{}", level.level), level.encoder())?;
            graph.then(format!("shrink.{}", level.level), self.activation.op(self.threshold, false, WINNERS)?)?;
        }
        for level in self.each(channels).rev() {
            graph.then(format!("decoder.{}", level.level), level.decoder())?;
        }
        Ok(graph)
    }

    fn start(&self, net: &mut Network) -> Result<()> {
        if self.activation == Activation::Relu {
            return Ok(()); // Half of a wavelet's coefficients are below zero.
        }
        for level in self.each(net.graph.shape(0)[0]) {
            let node = |part: &str| net.graph.id(&format!("{part}.{}", level.level));
            let (encoder, shrink, decoder) = (node("encoder")?, node("shrink")?, node("decoder")?);
            for (node, weights) in [encoder, decoder].into_iter().zip(level.weights()?) {
                set_weight(net, node, weights)?;
            }
            if let Some((_, mut thresholds)) = net.thresholds()?.into_iter().find(|(node, _)| *node == shrink) {
                thresholds[..level.low()].fill(0.0);
                net.set_thresholds(shrink, thresholds)?;
            }
        }
        Ok(())
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        let plain = Self { activation: Activation::Relu, ..self.clone() };
        (plain != *self).then(|| Box::new(plain) as _)
    }
}

fn set_weight(net: &mut Network, node: NodeId, weight: Tensor) -> Result<()> {
    net.params.position(node, Role::Weight).map_or(Ok(()), |position| net.params.set(position, weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keep, Mode};

    /// The first network for pictures of 24 x 20 pixels.
    fn first(levels: usize, channels: usize, threshold: f64, border: usize) -> Network {
        let model = SoftAutoencoder { levels, threshold, border, ..SoftAutoencoder::default() };
        let mut net = Network::new(model.graph([channels, 24, 20], 0).unwrap(), 0).unwrap();
        model.start(&mut net).unwrap();
        net
    }

    fn run(net: &Network, x: &Tensor) -> Tensor {
        net.forward(x, Mode::Eval, &Keep::Output).unwrap().output(&net.graph).unwrap().clone()
    }

    fn picture(channels: usize) -> Tensor {
        let values: Vec<f32> = (0..channels * 480).map(|i| (i as f32 * 0.73).sin()).collect();
        Tensor::from_vec(values, (1, channels, 24, 20), &Device::Cpu).unwrap()
    }

    /// The largest of |a - b| further than `border` pixels from the border.
    fn distance(a: &Tensor, b: &Tensor, border: usize) -> f32 {
        let inner = (a - b).unwrap().abs().unwrap();
        let inner = inner.narrow(2, border, 24 - 2 * border).unwrap().narrow(3, border, 20 - 2 * border).unwrap();
        inner.flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    // A tight frame: each level by itself takes back what it has made, and zeros beyond the border reach so far.
    #[test]
    fn without_thresholds_the_picture_comes_back() {
        for (levels, reach) in [(1, 4), (2, 4), (3, 8), (4, 16)] {
            for (channels, border) in [(1, 0), (3, 0), (1, reach), (3, reach)] {
                let (net, x) = (first(levels, channels, 0.0, border), picture(channels));
                let furthest = distance(&run(&net, &x), &x, (reach - border).min(9));
                assert!(furthest < 1e-5, "{levels} levels, {channels} channels, border {border}: {furthest}");
            }
        }
    }

    // Of a picture that is the same everywhere all details are 0, whatever the thresholds: nothing is lost.
    #[test]
    fn what_is_the_same_everywhere_stays() {
        let x = Tensor::full(0.6f32, (1, 3, 24, 20), &Device::Cpu).unwrap();
        assert!(distance(&run(&first(2, 3, 5.0, 0), &x), &x, 6) < 1e-5);
        assert!(distance(&run(&first(2, 3, 5.0, 6), &x), &x, 0) < 1e-5);
    }

    // The coefficients of the first level have unit length: sums of squares over a tight frame of four bases are four times the
    // picture's.
    #[test]
    fn coefficients_have_the_energy_of_four_bases() {
        let mut values = vec![0f32; 3 * 480];
        values[480 + 10 * 20 + 9] = 1.0;
        let x = Tensor::from_vec(values, (1, 3, 24, 20), &Device::Cpu).unwrap();
        let net = first(1, 3, 0.0, 0);
        let codes = net.run_to(&x, 1, Mode::Eval, &Keep::Output).unwrap();
        let energy = codes.at(&net.graph, 1).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((energy - 4.0).abs() < 1e-5, "{energy}");
    }

    #[test]
    fn channels_levels_and_thresholds_are_as_told() {
        let net = first(3, 3, 0.4, 4);
        let channels = |name: &str| net.graph.shape(net.graph.id(name).unwrap())[0];
        assert_eq!([1, 2, 3].map(|level| channels(&format!("shrink.{level}"))), [48, 84, 120]);
        assert_eq!(net.graph.shape(net.graph.output()), [3, 24, 20]);
        for (_, thresholds) in net.thresholds().unwrap() {
            assert!(thresholds[..12].iter().all(|&t| t == 0.0) && thresholds[12..].iter().all(|&t| t == 0.4));
        }
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        let refused = |levels: usize, size: usize| {
            let model = SoftAutoencoder { levels, ..SoftAutoencoder::default() };
            model.graph([3, size, size], 0).unwrap_err().to_string()
        };
        assert!(refused(0, 32).contains("`levels` must be 1 to 4, not 0") && refused(5, 32).contains("not 5"));
        assert!(refused(2, 31).contains("even sides") && refused(2, 6).contains("6x6"));
        let odd = SoftAutoencoder { border: 3, ..SoftAutoencoder::default() };
        assert!(odd.graph([3, 32, 32], 0).unwrap_err().to_string().contains("`border` must be an even number, not 3"));
    }
}
