//! Sums of simple modules, each of which sees one side of the picture.

use interp_finding::{Entry, Unfit, build};
use interp_ops::Descriptor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, Vgg, blocks, chain, check_width, scaled};
use crate::{Graph, NodeId, Op, Result};

/// What a module of a sum sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Module {
    /// How much there is of which color, and not where: the histogram of 12 pale and 12 vivid hues, black, gray and white. Each
    /// class reads it by 8 hidden units of its own.
    Color,
    /// Which colors are roughly where: the same histograms of cells of 4x4 pixels.
    Layout,
    /// Patches of 9x9 pixels of the luminance, and not where: a bag of features.
    Texture,
    /// How much there is of which local binary pattern of the luminance, read as colors are.
    Pattern,
    /// How much there is of which of four octaves of spatial frequencies of the luminance, from waves of 2 to 4 pixels to those of 16 to
    /// 32, read as colors are.
    Frequency,
    /// Edges of the luminance by direction, in cells of 2x2 pixels: HOG, and convolutions over it.
    Shape,
    /// The picture itself: a black box, for what is learned beside what is handcrafted.
    Learned,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::Color => "color",
            Self::Layout => "layout",
            Self::Texture => "texture",
            Self::Pattern => "pattern",
            Self::Frequency => "frequency",
            Self::Shape => "shape",
            Self::Learned => "learned",
        }
    }
}

/// The logits are the sum of those of modules, and of nothing else: `logit_k = sum of f_mk(x_m)`, so that what a module adds to a
/// decision is a number. Modules see pixel values in [0, 1]. Their nodes begin with their names; `color.logits` and so on are
/// summed by `logits`. The twin is a VGG-8 of half the width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Additive {
    /// What is summed: two or more of color, layout, texture, pattern, frequency, shape and learned.
    pub modules: Vec<Module>,
    /// What the number of filters of every convolution of 3x3 is multiplied with.
    pub width: f64,
}

impl Default for Additive {
    fn default() -> Self {
        Self { modules: vec![Module::Color, Module::Texture, Module::Shape], width: 1.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "additive",
    summary: "a sum of modules that see colors, patches, edges: each one's share of every decision is a number",
    example: "kind = \"additive\"\nmodules = [\"color\", \"texture\", \"shape\"]\n",
    build: |section| build(section, |settings: Additive| Box::new(settings)),
    schema: || schemars::schema_for!(Additive),
};

const HUES: usize = 12;
const DIRECTIONS: usize = 8;
const OCTAVES: usize = 4;
/// Hidden units by which a class reads a histogram.
const UNITS: usize = 8;

/// A graph in the making.
struct Draft {
    graph: Graph,
    classes: usize,
    width: f64,
}

impl Draft {
    /// Adds the operations to the module, one after another, from the node `from` on.
    fn chain(&mut self, module: Module, from: NodeId, nodes: Vec<(String, Op)>) -> Result<NodeId> {
        chain(&mut self.graph, module.name(), from, nodes)
    }

    /// Blocks of a 3x3 convolution and max pooling, then the mean over positions and a linear map.
    fn blocks(&mut self, module: Module, from: NodeId, filters: &[usize]) -> Result<NodeId> {
        let mut nodes = blocks(filters, self.width);
        nodes.push(("logits".into(), Op::Linear { out_features: self.classes, bias: true }));
        self.chain(module, from, nodes)
    }

    /// A BagNet with patches of 9x9 pixels: 3x3 convolutions, all but the first with stride 2, each before one of 1x1; votes; their
    /// mean.
    fn bag(&mut self, module: Module, from: NodeId) -> Result<NodeId> {
        let stage = |(filters, stride): (usize, usize)| {
            let filters = scaled(filters, self.width);
            [Op::conv3x3(filters, stride), Op::conv(filters, 1, 1, 0, false)]
        };
        let layers = [(32, 1), (64, 2), (128, 2)].into_iter().flat_map(stage);
        let ops = layers.flat_map(|conv| [conv, Op::batch_norm(), Op::Relu]);
        let mut nodes: Vec<_> = ops.enumerate().map(|(index, op)| (format!("features.{index}"), op)).collect();
        nodes.push(("evidence".into(), Op::conv(self.classes, 1, 1, 0, true)));
        nodes.push(("logits".into(), Op::GlobalAvgPool));
        self.chain(module, from, nodes)
    }

    /// The mean of a description over the picture, which each class reads by units of its own.
    fn histogram(&mut self, module: Module, from: NodeId) -> Result<NodeId> {
        let votes = Op::Conv2d {
            out_channels: self.classes,
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: self.classes,
            bias: true,
        };
        let nodes = [
            ("histogram", Op::AdaptiveAvgPool { size: [1; 2] }),
            ("norm", Op::batch_norm()),
            ("hidden", Op::conv(UNITS * self.classes, 1, 1, 0, true)),
            ("relu", Op::Relu),
            ("votes", votes),
            ("logits", Op::GlobalAvgPool),
        ];
        self.chain(module, from, nodes.map(|(name, op)| (name.to_owned(), op)).into())
    }

    /// The logits of a module over what it sees of the picture, of which `luminance` is the node.
    fn module(&mut self, module: Module, luminance: NodeId) -> Result<NodeId> {
        let describe = |by: Descriptor| ("description".to_owned(), Op::Describe { by });
        let cells = |side: usize| {
            let op = Op::AvgPool { kernel: [side; 2], stride: [side; 2], padding: [0; 2] };
            ("cells".to_owned(), op)
        };
        match module {
            Module::Color => {
                let colors = self.chain(module, 0, vec![describe(Descriptor::Hues { bins: HUES })])?;
                self.histogram(module, colors)
            }
            Module::Layout => {
                let colors = vec![describe(Descriptor::Hues { bins: HUES }), cells(4)];
                let colors = self.chain(module, 0, colors)?;
                self.blocks(module, colors, &[64, 128])
            }
            Module::Texture => self.bag(module, luminance),
            Module::Pattern => {
                let patterns = self.chain(module, luminance, vec![describe(Descriptor::Patterns)])?;
                self.histogram(module, patterns)
            }
            Module::Frequency => {
                let bands = self.chain(module, luminance, vec![describe(Descriptor::Bands { count: OCTAVES })])?;
                self.histogram(module, bands)
            }
            Module::Shape => {
                let edges = vec![describe(Descriptor::Orientations { bins: DIRECTIONS }), cells(2)];
                let edges = self.chain(module, luminance, edges)?;
                self.blocks(module, edges, &[64, 128, 256])
            }
            Module::Learned => self.blocks(module, 0, &[32, 64, 128, 256]),
        }
    }
}

impl Architecture for Additive {
    fn graph(&self, [channels, height, width]: [usize; 3], classes: usize) -> Result<Graph> {
        check_width(self.width)?;
        let twice = self.modules.iter().enumerate().any(|(index, module)| self.modules[..index].contains(module));
        let fits = self.modules.len() > 1 && !twice;
        Unfit::unless(fits, "modules", format!("must be two or more, each once, not {:?}", self.modules))?;
        let sees_color = self.modules.iter().any(|module| matches!(module, Module::Color | Module::Layout));
        let problem = || format!("must be without color and layout for pictures of {channels} channel(s)");
        Unfit::unless(channels == 3 || !sees_color, "modules", problem())?;
        let mut graph = Graph::new(channels, height, width)?;
        let luminance = match channels {
            3 => graph.then("luminance", Op::Describe { by: Descriptor::Luminance })?,
            _ => 0,
        };
        let mut draft = Draft { graph, classes, width: self.width };
        let logits = self.modules.iter().map(|&module| draft.module(module, luminance)).collect::<Result<Vec<_>>>()?;
        draft.graph.add("logits", Op::Add, &logits)?;
        Ok(draft.graph)
    }

    fn sees_pixels(&self) -> bool {
        true
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        Some(Box::new(Vgg { depth: 8, width: self.width / 2.0, ..Vgg::default() }))
    }
}
