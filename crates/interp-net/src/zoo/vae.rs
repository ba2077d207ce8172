//! Variational autoencoders: pictures from few numbers.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, chain, check_width, scaled};
use crate::{Graph, NetError, Network, NodeId, Op, Result, Role};

/// A variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114): an encoder tells a normal distribution of each picture's codes,
/// a decoder makes the picture of a draw from it. It is trained with `[objective.reconstruct]`, and sees pixel values in [0, 1]. With
/// the convolutions of Higgins et al. 2017 (beta-VAE) and Locatello et al. 2019 (arXiv 1811.12359): 4x4 with stride 2, of 32,
/// 32 and 64 filters, for pictures of 64 pixels 64 more; a linear map to 256, and the same turned around.
///
/// Nodes: `encoder.N`; `code`, the means and log-variances of the codes; `codes`, where they are drawn; `decoder.N`; `pictures`, in logits
/// where pixels are `bernoulli`. Linear maps are convolutions here, of maps of one cell, so that maps can be made of codes.
///
/// Which code tells what is not decided by this: a prior such as `total_correlation` has it told by one code each where it can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Vae {
    /// Numbers that a picture is made of, fewer than it has values.
    pub codes: usize,
    /// What the number of filters of every convolution, and of the 256, is multiplied with.
    pub width: f64,
}

impl Default for Vae {
    fn default() -> Self {
        Self { codes: 10, width: 1.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "vae",
    summary: "variational autoencoder: pictures of 28, 32 or 64 pixels from few numbers",
    example: "kind = \"vae\"\ncodes = 10\n",
    build: |section| build(section, |settings: Vae| Box::new(settings)),
    schema: || schemars::schema_for!(Vae),
};

/// Filters of the encoder's convolutions, of which pictures of 64 pixels have all.
const FILTERS: [usize; 4] = [32, 32, 64, 64];

/// Outputs of the linear map behind them.
const HIDDEN: usize = 256;

impl Architecture for Vae {
    fn graph(&self, input: [usize; 3], _classes: usize) -> Result<Graph> {
        check_width(self.width)?;
        let (filters, sides) = layers(input)?;
        let values: usize = input.iter().product();
        let problem = |problem: String| format!("must be {problem}, not {}", self.codes);
        Unfit::unless(self.codes > 0, "codes", problem("1 or more".into()))?;
        let fewer = format!("fewer than the {values} values of a picture, which are to be told by them");
        Unfit::unless(self.codes < values, "codes", problem(fewer))?;
        let mut graph = Graph::new(input[0], input[1], input[2])?;
        let hidden = chain(&mut graph, "encoder", 0, self.encoder(filters, &sides))?;
        let code = graph.add("code", Op::conv(2 * self.codes, 1, 1, 0, true), &[hidden])?;
        let codes = graph.add("codes", Op::Sample, &[code])?;
        let last = chain(&mut graph, "decoder", codes, self.decoder(filters, &sides))?;
        graph.add("pictures", up(input[0], 4, 2, 1, 0), &[last])?;
        Ok(graph)
    }

    fn sees_pixels(&self) -> bool {
        true
    }

    /// What stands for linear maps has the spread of PyTorch's, uniform within `1 / sqrt(inputs)`: by its outputs, few codes would begin with
    /// variances of `exp(5)`.
    fn start(&self, net: &mut Network) -> Result<()> {
        for (id, inputs) in linear_maps(&net.graph) {
            let position = net.params.position(id, Role::Weight);
            let Some(position) = position else { continue };
            let weight = &net.params.list()[position].value;
            let of_outputs =
                2.0 / (weight.elem_count() as f64 / net.graph.shape(net.graph.nodes()[id].inputs[0])[0] as f64);
            let share = (1.0 / (3.0 * inputs as f64) / of_outputs).sqrt();
            let scaled = (weight * share)?;
            net.params.set(position, scaled)?;
        }
        Ok(())
    }
}

impl Vae {
    /// Halving convolutions, and one over all cells that are left.
    fn encoder(&self, filters: &[usize], sides: &[usize]) -> Vec<(String, Op)> {
        let halving = filters.iter().map(|&filters| Op::conv(scaled(filters, self.width), 4, 2, 1, true));
        let whole = Op::conv(scaled(HIDDEN, self.width), sides[sides.len() - 1], 1, 0, true);
        with_relus(halving.chain([whole]))
    }

    /// The same turned around, but for the last one.
    fn decoder(&self, filters: &[usize], sides: &[usize]) -> Vec<(String, Op)> {
        let last = filters.len() - 1;
        let hidden = Op::conv(scaled(HIDDEN, self.width), 1, 1, 0, true);
        let whole = up(scaled(filters[last], self.width), sides[last + 1], 1, 0, 0);
        // What does not come out even has one row and column more.
        let doubling = (1..=last).rev().map(|at| up(scaled(filters[at - 1], self.width), 4, 2, 1, sides[at] % 2));
        with_relus([hidden, whole].into_iter().chain(doubling))
    }
}

/// The convolutions that read or leave a single cell, with how many numbers an output is a sum of.
fn linear_maps(graph: &Graph) -> Vec<(NodeId, usize)> {
    let is_cell = |id: NodeId| graph.shape(id)[1..] == [1, 1];
    let inputs = |id: NodeId| match graph.nodes()[id].op {
        Op::Conv2d { .. } if is_cell(id) => Some(graph.shape(graph.nodes()[id].inputs[0]).iter().product()),
        Op::ConvTranspose2d { .. } if is_cell(graph.nodes()[id].inputs[0]) => {
            Some(graph.shape(graph.nodes()[id].inputs[0])[0])
        }
        _ => None,
    };
    (1..graph.nodes().len()).filter_map(|id| Some((id, inputs(id)?))).collect()
}

/// Filters of the convolutions, and the side of the picture and of what each of them leaves.
fn layers([_, height, width]: [usize; 3]) -> Result<(&'static [usize], Vec<usize>)> {
    let count = match (height, width) {
        (28, 28) | (32, 32) => 3,
        (64, 64) => 4,
        _ => {
            let problem = format!("this model takes pictures of 28x28, 32x32 or 64x64 pixels, not {height}x{width}");
            return Err(NetError::Architecture(problem));
        }
    };
    Ok((&FILTERS[..count], (0..=count).map(|halvings| height >> halvings).collect()))
}

/// Each with a ReLU, numbered.
fn with_relus(ops: impl Iterator<Item = Op>) -> Vec<(String, Op)> {
    ops.flat_map(|op| [op, Op::Relu]).enumerate().map(|(place, op)| (place.to_string(), op)).collect()
}

fn up(out_channels: usize, kernel: usize, stride: usize, padding: usize, added: usize) -> Op {
    Op::ConvTranspose2d {
        out_channels,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        output_padding: [added; 2],
        dilation: [1; 2],
        groups: 1,
        bias: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(codes: usize, side: usize) -> Result<Graph> {
        Vae { codes, ..Vae::default() }.graph([3, side, side], 10)
    }

    #[test]
    fn pictures_of_each_size_come_out_as_they_go_in() {
        for (side, left) in [(28, 3), (32, 4), (64, 4)] {
            let graph = graph(7, side).unwrap();
            let shape = |name: &str| graph.shape(graph.id(name).unwrap()).to_vec();
            assert_eq!((shape("code"), shape("codes")), (vec![14, 1, 1], vec![7, 1, 1]));
            assert_eq!(shape("decoder.3"), [64, left, left]);
            assert_eq!(graph.shape(graph.output()), [3, side, side]);
        }
    }

    // By hand, of gray pictures of 64 pixels: convolutions 1*32*16, 32*32*16, 32*64*16, 64*64*16, the map 64*16*256, with biases.
    #[test]
    fn parameters_by_hand() {
        let network = Network::new(Vae::default().graph([1, 64, 64], 0).unwrap(), 0).unwrap();
        let encoder = 512 + 32 + 16384 + 32 + 32768 + 64 + 65536 + 64 + 262_144 + 256;
        let decoder = 10 * 256 + 256 + 262_144 + 64 + 65536 + 64 + 32768 + 32 + 16384 + 32 + 512 + 1;
        assert_eq!(network.parameters(), encoder + 256 * 20 + 20 + decoder);
    }

    // Of many weights the variance is within a tenth of 1 / (3 inputs); the others are as they were.
    #[test]
    fn linear_maps_begin_as_those_of_pytorch() {
        let plain = Network::new(graph(10, 32).unwrap(), 0).unwrap();
        let mut net = plain.clone();
        Vae::default().start(&mut net).unwrap();
        let weights = |net: &Network, name: &str| -> Vec<f32> {
            let weight = net.params.get(net.graph.id(name).unwrap(), Role::Weight).unwrap();
            weight.flatten_all().unwrap().to_vec1().unwrap()
        };
        for (name, inputs) in [("encoder.6", 1024.0), ("code", 256.0), ("decoder.0", 10.0), ("decoder.2", 256.0)] {
            let weights = weights(&net, name);
            let variance = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weights.len() as f64;
            assert!((3.0 * inputs * variance - 1.0).abs() < 0.1, "{name}: {variance}");
        }
        assert!(["encoder.4", "decoder.4", "pictures"].iter().all(|name| weights(&net, name) == weights(&plain, name)));
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        let problem = |codes: usize, side: usize| graph(codes, side).unwrap_err().to_string();
        assert!(problem(10, 48).contains("28x28, 32x32 or 64x64 pixels, not 48x48"));
        assert!(problem(0, 32).contains("`codes` must be 1 or more, not 0"));
        assert!(problem(3072, 32).contains("fewer than the 3072 values of a picture"), "{}", problem(3072, 32));
        assert!(graph(3071, 32).is_ok());
    }
}
