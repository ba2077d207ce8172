//! InfoGAN (Chen, Duan, Houthooft, Schulman, Sutskever and Abbeel 2016, arXiv 1606.03657) for small pictures.

use interp_finding::{Entry, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, Generator, Latent, check_width, scaled};
use crate::{Graph, NetError, Op, Result};

/// Two networks that are trained against each other with `[objective.generate]`: a generator that makes pictures of codes and noise,
/// and a recognizer that tells made pictures from those of the data, and of a picture the code that it would be made of.
///
/// The network of the run is the recognizer: convolutions 4x4 with stride 2 (`features.0` with 32 filters, `features.2` with 64, times
/// `width`), each followed by a ReLU, and a hidden layer `hidden` of 128 units, times `width`; of what that says, a linear map each
/// gives `realness` (1: the logit that the picture is one of the data) and `codes` (the logits of the categories, then the means
/// of the continuous codes). Its output, `told`, is both one after the other.
///
/// The generator is the way back: a transposed convolution `features.0` to a quarter of the picture's sides, and `features.3` to a half of them,
/// each with batch norm and ReLU, then bilinear interpolation, `enlarged`, and a 3x3 convolution to the logits of pixel values, `pixels`: a transposed
/// convolution in its place leaves checkers (Odena, Dumoulin and Olah 2016). Both networks are smaller than the paper's for MNIST, which have hidden layers of
/// 1,024 units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InfoGan {
    /// Categories of each categorical code; `[10]` is one code of ten categories.
    pub categorical: Vec<usize>,
    /// Continuous codes, each a number in [-1, 1].
    pub continuous: usize,
    /// Numbers of normal noise, for all that no code says.
    pub noise: usize,
    /// The factor of the data's pictures that each code is to stand for, the categorical ones first, such as `["digit", "slant"]`: of some pictures
    /// training is told it (`objective.generate.guided`). None where that is left to training, which may find others, or none.
    pub factors: Vec<String>,
    /// What the number of filters and units of every layer is multiplied with.
    pub width: f64,
}

impl Default for InfoGan {
    fn default() -> Self {
        Self { categorical: vec![10], continuous: 2, noise: 62, factors: vec![], width: 1.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "infogan",
    summary: "InfoGAN: pictures made of codes, and a network that tells the code of a picture",
    example: "kind = \"infogan\"\ncategorical = [10]\ncontinuous = 2\n",
    build: |section| build(section, |settings: InfoGan| Box::new(settings)),
    schema: || schemars::schema_for!(InfoGan),
};

/// Filters of the two convolutions and units of the hidden layer, before `width`.
const FILTERS: [usize; 2] = [32, 64];
const UNITS: usize = 128;

impl InfoGan {
    fn latent(&self) -> Latent {
        let (categorical, factors) = (self.categorical.clone(), self.factors.clone());
        Latent { categorical, continuous: self.continuous, noise: self.noise, factors }
    }

    /// Says what is wrong with the settings, or the size of pictures.
    fn check(&self, [channels, height, width]: [usize; 3]) -> Result<()> {
        check_width(self.width)?;
        if height % 4 + width % 4 > 0 {
            let problem =
                format!("pictures must have sides that 4 divides, not {height}x{width}: `pad` can add to them");
            return Err(NetError::Architecture(problem));
        }
        Ok(self.latent().check(channels * height * width)?)
    }

    fn made(&self, [channels, height, width]: [usize; 3]) -> Result<Graph> {
        let [few, many] = FILTERS.map(|filters| scaled(filters, self.width));
        let mut graph = Graph::new(self.latent().length(), 1, 1)?;
        let (first, twice) = (up(many, [height / 4, width / 4], 1, 0), up(few, [4; 2], 2, 1));
        let ops = [first, Op::batch_norm(), Op::Relu, twice, Op::batch_norm(), Op::Relu];
        ops.into_iter().enumerate().try_for_each(|(at, op)| graph.then(format!("features.{at}"), op).map(|_| ()))?;
        graph.then("enlarged", Op::UpsampleBilinear { size: [height, width], align_corners: false })?;
        graph.then("pixels", Op::conv(channels, 3, 1, 1, true))?;
        Ok(graph)
    }
}

/// A transposed convolution, whose bias is that of the batch norm after it.
fn up(out_channels: usize, kernel: [usize; 2], stride: usize, padding: usize) -> Op {
    let (stride, padding, output_padding, dilation) = ([stride; 2], [padding; 2], [0; 2], [1; 2]);
    Op::ConvTranspose2d { out_channels, kernel, stride, padding, output_padding, dilation, groups: 1, bias: false }
}

impl Architecture for InfoGan {
    fn graph(&self, input: [usize; 3], _classes: usize) -> Result<Graph> {
        self.check(input)?;
        let [channels, height, width] = input;
        let [few, many] = FILTERS.map(|filters| scaled(filters, self.width));
        let mut graph = Graph::new(channels, height, width)?;
        let ops = [Op::conv(few, 4, 2, 1, true), Op::Relu, Op::conv(many, 4, 2, 1, true), Op::Relu];
        ops.into_iter().enumerate().try_for_each(|(at, op)| graph.then(format!("features.{at}"), op).map(|_| ()))?;
        let linear = |out_features: usize| Op::Linear { out_features, bias: true };
        graph.then("hidden", linear(scaled(UNITS, self.width)))?;
        let hidden = graph.then("hidden.relu", Op::Relu)?;
        let realness = graph.add("realness", linear(1), &[hidden])?;
        let codes = graph.add("codes", linear(self.latent().told()), &[hidden])?;
        graph.add("told", Op::Concat, &[realness, codes])?;
        Ok(graph)
    }

    fn generator(&self, input: [usize; 3]) -> Result<Option<Generator>> {
        self.check(input)?;
        Ok(Some(Generator { graph: self.made(input)?, latent: self.latent() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_hand() {
        let model = InfoGan::default();
        let recognizer = model.graph([1, 28, 28], 10).unwrap();
        assert_eq!(recognizer.shape(recognizer.id("features.3").unwrap()), [64, 7, 7]);
        assert_eq!(recognizer.shape(recognizer.id("codes").unwrap()), [12]);
        assert_eq!(recognizer.shape(recognizer.output()), [13]);
        let Generator { graph, latent } = model.generator([1, 28, 28]).unwrap().unwrap();
        assert_eq!((graph.shape(0), latent.length()), (&[74, 1, 1][..], 74));
        assert_eq!(graph.shape(graph.id("features.0").unwrap()), [64, 7, 7]);
        assert_eq!(graph.shape(graph.output()), [1, 28, 28]);
        let wide = InfoGan { width: 0.5, ..model }.generator([3, 32, 24]).unwrap().unwrap().graph;
        assert_eq!(wide.shape(wide.id("features.3").unwrap()), [16, 16, 12]);
        assert_eq!(wide.shape(wide.output()), [3, 32, 24]);
    }

    #[test]
    fn what_makes_no_network_is_refused() {
        let refused = |model: InfoGan, side: usize| {
            let error = model.graph([1, side, side], 10).unwrap_err().to_string();
            assert_eq!(model.generator([1, side, side]).err().unwrap().to_string(), error);
            error
        };
        assert!(refused(InfoGan::default(), 30).contains("sides that 4 divides, not 30x30"));
        assert!(refused(InfoGan { width: 0.0, ..InfoGan::default() }, 28).contains("`width`"));
        assert!(
            refused(InfoGan { categorical: vec![800], ..InfoGan::default() }, 28).contains("more than a picture's 784")
        );
        assert!(
            refused(InfoGan { categorical: vec![], continuous: 0, ..InfoGan::default() }, 28).contains("none to learn")
        );
    }
}
