//! The normal codes of pictures, as an encoder tells them.

use candle_core::{DType, Device, Tensor};
use interp_net::{Network, NodeId, Tape};

use crate::Result;

/// What the input of a node that draws codes says of a batch, picture by picture. A code has as many values as the node has cells in
/// all channels.
#[derive(Debug)]
pub(crate) struct Code {
    /// The node before the one that draws.
    node: NodeId,
    /// Values of a picture's code.
    pub(crate) width: usize,
    pub(crate) means: Vec<f64>,
    /// Logarithms of variances.
    pub(crate) variances: Vec<f64>,
}

/// The gradient of a number by what an encoder says, in the order of [`Code`].
#[derive(Debug, PartialEq)]
pub(crate) struct Slopes {
    pub(crate) means: Vec<f64>,
    pub(crate) variances: Vec<f64>,
}

impl Code {
    /// That of the node `sample`, which draws, by a pass that kept its input.
    pub(crate) fn read(net: &Network, tape: &Tape, sample: NodeId) -> Result<Self> {
        let node = net.graph.nodes()[sample].inputs[0];
        let said = tape.at(&net.graph, node)?;
        let channels = net.graph.shape(sample)[0];
        let half = |first: usize| numbers(&said.narrow(1, first, channels)?);
        let width = net.graph.shape(sample).iter().product();
        Ok(Self { node, width, means: half(0)?, variances: half(channels)? })
    }

    /// Pictures of the batch.
    pub(crate) fn pictures(&self) -> usize {
        self.means.len() / self.width.max(1)
    }

    /// Of each picture the Kullback-Leibler divergence of its code from the standard normal distribution, in nats:
    /// `sum of (mean^2 + exp(l) - l - 1) / 2`, l being log-variances (Kingma and Welling 2014, arXiv 1312.6114, appendix B).
    pub(crate) fn divergences(&self) -> Vec<f64> {
        let pictures = self.means.chunks_exact(self.width).zip(self.variances.chunks_exact(self.width));
        let of_value = |(mean, l): (&f64, &f64)| (mean * mean + l.exp() - l - 1.0) / 2.0;
        pictures.map(|(means, variances)| means.iter().zip(variances).map(of_value).sum()).collect()
    }

    /// The gradient of `weight` times the mean over pictures of [`Code::divergences`].
    pub(crate) fn divergence_slopes(&self, weight: f64) -> Slopes {
        let share = weight / self.pictures().max(1) as f64;
        Slopes {
            means: self.means.iter().map(|mean| share * mean).collect(),
            variances: self.variances.iter().map(|l| share * (l.exp() - 1.0) / 2.0).collect(),
        }
    }

    /// The gradient as a seed of a backward sweep.
    pub(crate) fn seed(&self, tape: &Tape, net: &Network, slopes: &Slopes) -> Result<(NodeId, Tensor)> {
        let like = tape.at(&net.graph, self.node)?;
        let half = |slopes: &Vec<f64>| Tensor::from_slice(slopes, (self.pictures(), self.width), &Device::Cpu);
        let both = Tensor::cat(&[half(&slopes.means)?, half(&slopes.variances)?], 1)?; // (N, 2 D)
        Ok((self.node, shaped(&both, like)?))
    }
}

/// The numbers of a batch, picture by picture.
pub(crate) fn numbers(batch: &Tensor) -> Result<Vec<f64>> {
    Ok(batch.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// Numbers, picture by picture, of the shape and type of a tensor, and where it lies.
pub(crate) fn shaped(numbers: &Tensor, like: &Tensor) -> Result<Tensor> {
    Ok(numbers.reshape(like.dims())?.to_dtype(like.dtype())?.to_device(like.device())?)
}

#[cfg(test)]
pub(crate) mod tests {
    use interp_net::{Draw, Graph, Keep, Mode, Op};

    use super::*;

    pub(crate) fn code(width: usize, means: &[f64], variances: &[f64]) -> Code {
        Code { node: 0, width, means: means.to_vec(), variances: variances.to_vec() }
    }

    /// Numbers between -1 and 1 that look random.
    pub(crate) fn noise(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|i| ((i as f64 + 1.0 + seed) * 12.9898).sin()).collect()
    }

    /// Holds a gradient by what an encoder says against central differences.
    pub(crate) fn assert_slopes(code: &Code, found: &Slopes, value: impl Fn(&Code) -> f64) {
        for (at, slope) in found.means.iter().chain(&found.variances).enumerate() {
            let moved = |by: f64| {
                let mut all = [code.means.clone(), code.variances.clone()].concat();
                all[at] += by;
                let (means, variances) = all.split_at(code.means.len());
                value(&self::code(code.width, means, variances))
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-7 * (1.0 + difference.abs()), "{at}: {slope}, not {difference}");
        }
    }

    // Of N(1, 1) a half; of N(0, 4) (4 - ln 4 - 1) / 2 = 0.806853 nats; of both values together their sum.
    #[test]
    fn divergences_by_hand() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a}, not {b}");
        near(code(1, &[1.0], &[0.0]).divergences()[0], 0.5);
        near(code(1, &[0.0], &[4f64.ln()]).divergences()[0], 0.806_853);
        let two = code(2, &[1.0, 0.0, 0.0, 0.0], &[0.0, 4f64.ln(), 0.0, 0.0]).divergences();
        near(two[0], 1.306_853);
        assert_eq!(two[1], 0.0);
    }

    #[test]
    fn slopes_of_the_divergence_are_central_differences() {
        let code = code(3, &noise(6, 0.0), &noise(6, 50.0));
        let mean = |code: &Code| 0.7 * code.divergences().iter().sum::<f64>() / 2.0;
        assert_slopes(&code, &code.divergence_slopes(0.7), mean);
    }

    /// Channels of maps are told apart, and a seed is of the shape of what was read.
    #[test]
    fn codes_of_maps_are_read_and_written() {
        let mut graph = Graph::new(4, 1, 2).unwrap();
        let sample = graph.then("codes", Op::Sample).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let x = Tensor::arange(0f32, 16.0, &Device::Cpu).unwrap().reshape((2, 4, 1, 2)).unwrap();
        let mode = Mode::Train { frozen: vec![], draw: Draw::default() };
        let tape = net.forward(&x, mode, &Keep::Backward(vec![0])).unwrap();
        let code = Code::read(&net, &tape, sample).unwrap();
        assert_eq!((code.width, code.pictures()), (4, 2));
        assert_eq!(code.means, [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(code.variances, [4.0, 5.0, 6.0, 7.0, 12.0, 13.0, 14.0, 15.0]);
        let slopes = Slopes { means: code.means.clone(), variances: code.variances.clone() };
        let (node, seed) = code.seed(&tape, &net, &slopes).unwrap();
        assert_eq!((node, seed.dims()), (0, &[2, 4, 1, 2][..]));
        assert_eq!(numbers(&seed).unwrap(), (0..16).map(f64::from).collect::<Vec<_>>());
    }
}
