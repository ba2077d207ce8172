//! The operations that a node can be.

use interp_ops::{BCosConv2d, Conv2d, ConvTranspose2d, Curve, Descriptor, Likeness, Over, Pool2d};
use serde::{Deserialize, Serialize};

/// What a node computes. Channels going in follow from the inputs' shapes; parameters lie beside the
/// graph, in [`Params`](crate::Params).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// The images, normalized: `(channels, height, width)`. Exactly the first node.
    Input {
        /// 1 or 3 for pictures.
        channels: usize,
        /// Height that the network was made for.
        height: usize,
        /// Width that the network was made for.
        width: usize,
    },
    /// Convolution: weight `(out, in / groups, kernel)`, bias `(out)` where there is one.
    Conv2d {
        /// Filters.
        out_channels: usize,
        /// Height and width of a filter.
        kernel: [usize; 2],
        /// Steps between outputs.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: [usize; 2],
        /// Steps between the cells that a filter sees.
        dilation: [usize; 2],
        /// Groups of channels that do not see each other.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Transposed convolution, PyTorch's: weight `(in, out / groups, kernel)`, bias `(out)` where there is one.
    ConvTranspose2d {
        /// Channels going out.
        out_channels: usize,
        /// Height and width of what a cell is spread over.
        kernel: [usize; 2],
        /// Steps between the places that neighboring cells are spread over.
        stride: [usize; 2],
        /// Cells cut off around the output.
        padding: [usize; 2],
        /// Rows and columns added at the end of the output, less than the stride or the dilation.
        output_padding: [usize; 2],
        /// Steps between the cells that a cell is spread over.
        dilation: [usize; 2],
        /// Groups of channels that do not see each other.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// B-cos convolution: weight `(out, in, kernel)`, of which only the directions of filters count. What a filter finds is
    /// multiplied with the power `exponent - 1` of its cosine to what it sees.
    #[serde(rename = "bcos_conv2d")]
    BCosConv2d {
        /// Filters.
        out_channels: usize,
        /// Height and width of a filter.
        kernel: [usize; 2],
        /// Steps between outputs.
        stride: [usize; 2],
        /// Zeros around the input, at most half a filter.
        padding: [usize; 2],
        /// The B of the name, at least 1.
        exponent: f64,
    },
    /// Batch normalization over N, H, W, with gain and shift per channel.
    BatchNorm {
        /// Added to the variance.
        eps: f64,
        /// Share of the new batch in the running statistics (PyTorch's meaning).
        momentum: f64,
    },
    /// Batch normalization over N, H, W that only scales: division by the deviation, with a gain per channel; no mean is
    /// subtracted and nothing added.
    UncenteredNorm {
        /// Added to the variance.
        eps: f64,
        /// Share of the new batch in the running variance (PyTorch's meaning).
        momentum: f64,
    },
    /// `max(x, 0)`, with derivative 0 at 0.
    Relu,
    /// Numbers near zero become zero, and the others what the curve says, by trained thresholds. Training keeps thresholds at 0
    /// or above; a soft one below, set by other means, moves numbers away from zero.
    #[serde(alias = "soft_threshold")]
    Threshold {
        /// What becomes of numbers by their distance from zero.
        #[serde(default)]
        curve: Curve,
        /// Whether all channels have one threshold; else each has its own.
        #[serde(default)]
        shared: bool,
        /// First value of every threshold, finite.
        initial: f64,
    },
    /// `1 / (1 + exp(-x))`: between 0 and 1, as probabilities and gates are.
    Sigmoid,
    /// 1 for what is above 0, and 0 for the rest. Nothing below it learns from what is behind it: its derivative is 0.
    Step,
    /// Shares that add up to 1, over the channels of each position or the positions of each channel.
    Softmax {
        /// What adds up to 1.
        over: Over,
    },
    /// `max(x, 0)` for the largest channels at every position, 0 for the others: of equal ones the first.
    KWinners {
        /// Channels that are not 0, at most.
        count: usize,
    },
    /// The input and its negative, channel after channel: what is there and what is not, for layers without
    /// negative weights.
    OnOff,
    /// The input, of pixel values in [0, 1], and what is missing to 1, channel after channel: `x` and `1 - x`.
    Complement,
    /// The input with its mirror image around it, the cells at the border first.
    Mirror {
        /// Cells added at each side.
        border: usize,
    },
    /// Maximum over windows.
    MaxPool {
        /// Height and width of a window.
        kernel: [usize; 2],
        /// Steps between windows.
        stride: [usize; 2],
        /// Cells around the input that never are the maximum.
        padding: [usize; 2],
        /// Whether cells that are left over at the end have a window too: PyTorch's `ceil_mode`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ceil_mode: bool,
    },
    /// Mean over windows, padding counted.
    AvgPool {
        /// Height and width of a window.
        kernel: [usize; 2],
        /// Steps between windows.
        stride: [usize; 2],
        /// Zeros around the input.
        padding: [usize; 2],
    },
    /// Means over windows that cover the input, as many as `size` says (PyTorch's rule).
    AdaptiveAvgPool {
        /// Height and width of the output.
        size: [usize; 2],
    },
    /// Mean over all positions: `(C, H, W)` to `(C)`.
    GlobalAvgPool,
    /// Nearest cells, to a larger or smaller map.
    UpsampleNearest {
        /// Height and width of the output.
        size: [usize; 2],
    },
    /// Bilinear interpolation, to a larger or smaller map.
    UpsampleBilinear {
        /// Height and width of the output.
        size: [usize; 2],
        /// Whether the centers of the corner cells stay where they are; else the edges do.
        align_corners: bool,
    },
    /// A handcrafted description of every pixel: colors, edges by direction, local patterns.
    Describe {
        /// What is said of a pixel.
        by: Descriptor,
    },
    /// Affine map of a vector, or of a map as a vector of its cells channel by channel, as PyTorch flattens it: weight `(out, in)` or
    /// `(out, channels * height * width)`, bias `(out)` where there is one.
    Linear {
        /// Outputs.
        out_features: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// How much every position of a map is like each of some stored vectors, the prototypes: `(D, H, W)` to `(count, H, W)`, weight `(count, D)`.
    Prototypes {
        /// How many there are.
        count: usize,
        /// What being alike is.
        by: Likeness,
    },
    /// How far the colors around each pixel lie from the picture's mean color: `(C, H, W)` to `(1, H, W)`.
    Saliency,
    /// Softmax of a vector, of which the largest probabilities stay as they are and the others become 0; of equal ones the first
    /// stay.
    Route {
        /// Probabilities that are not 0, at most.
        top: usize,
    },
    /// Its first input times one number for each picture: a channel of its second, a vector.
    Gated {
        /// The channel of the second input.
        channel: usize,
    },
    /// Its first input times its second: number by number, or one for each position `(1, H, W)` or for each channel `(C)`. The second
    /// says how much of the first is to count.
    Multiply,
    /// A code with noise: of `2 d` channels the first d are its means, the others logarithms of its variances. In training it is
    /// `mean + exp(log-variance / 2) e` with standard normal e, in evaluation its mean.
    Sample,
    /// Sum of its inputs, all of one shape.
    Add,
    /// Channels of its inputs one after another: maps of one height and width, or vectors.
    Concat,
    /// Every `stride`-th pixel, with zero channels added before and after: the shortcut
    /// without parameters, option A of He et al. 2016 (arXiv 1512.03385, section 4.2).
    PadShortcut {
        /// Channels going out, at least those coming in.
        out_channels: usize,
        /// Steps between the pixels taken.
        stride: usize,
        /// Zero channels before those coming in; where it is not said, as many as after them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<usize>,
    },
}

impl Op {
    /// The same with another number of channels going out, where the operation decides on it freely.
    pub(crate) fn with_channels(&self, channels: usize) -> Self {
        let mut op = self.clone();
        if let Self::Conv2d { out_channels: out, .. }
        | Self::ConvTranspose2d { out_channels: out, .. }
        | Self::Linear { out_features: out, .. } = &mut op
        {
            *out = channels;
        }
        op
    }

    /// Whether it is the same operation, whatever its channels, of which some may have been cut out, and the first values of thresholds.
    pub fn resembles(&self, other: &Self) -> bool {
        let bare = |op: &Self| match op.with_channels(1) {
            Self::PadShortcut { stride, .. } => Self::PadShortcut { out_channels: 1, stride, before: None },
            Self::Threshold { curve, shared, .. } => Self::Threshold { curve, shared, initial: 0.0 },
            op => op,
        };
        bare(self) == bare(other)
    }

    /// Zero channels before and after those coming in that a shortcut without parameters adds; `None` where it cannot.
    pub(crate) fn sides(out_channels: usize, before: Option<usize>, channels: usize) -> Option<[usize; 2]> {
        let added = out_channels.checked_sub(channels)?;
        match before {
            None => added.is_multiple_of(2).then_some([added / 2; 2]),
            Some(before) => Some([before, added.checked_sub(before)?]),
        }
    }

    /// A 3x3 convolution with padding 1 and no bias: the building block of the zoo.
    pub fn conv3x3(out_channels: usize, stride: usize) -> Self {
        Self::conv(out_channels, 3, stride, 1, false)
    }

    /// A square convolution without dilation or groups.
    pub fn conv(out_channels: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> Self {
        Self::Conv2d {
            out_channels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            groups: 1,
            bias,
        }
    }

    /// A soft threshold for each channel, which starts from `initial`.
    pub fn soft_threshold(initial: f64) -> Self {
        Self::Threshold { curve: Curve::Soft, shared: false, initial }
    }

    /// Batch normalization with PyTorch's defaults.
    pub fn batch_norm() -> Self {
        Self::BatchNorm { eps: 1e-5, momentum: 0.1 }
    }

    /// A square B-cos convolution.
    pub fn bcos(out_channels: usize, kernel: usize, stride: usize, padding: usize, exponent: f64) -> Self {
        Self::BCosConv2d { out_channels, kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], exponent }
    }

    /// Uncentered normalization with PyTorch's defaults of batch normalization.
    pub fn uncentered_norm() -> Self {
        Self::UncenteredNorm { eps: 1e-5, momentum: 0.1 }
    }

    /// Non-overlapping square maximum pooling.
    pub fn max_pool(kernel: usize) -> Self {
        Self::max_pool_by(kernel, kernel, 0)
    }

    /// Square maximum pooling.
    pub fn max_pool_by(kernel: usize, stride: usize, padding: usize) -> Self {
        Self::MaxPool { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ceil_mode: false }
    }

    /// Whether it is what a neuron does with its input: what priors on activations act on, and zeros are counted of.
    pub fn is_activation(&self) -> bool {
        matches!(self, Self::Relu | Self::Threshold { .. } | Self::KWinners { .. })
    }

    /// Those of its inputs that are what it hands on, and not how much of it.
    pub(crate) fn handed_on<'a>(&self, inputs: &'a [usize]) -> &'a [usize] {
        match self {
            Self::Gated { .. } | Self::Multiply => &inputs[..1],
            _ => inputs,
        }
    }

    /// Whether it is an affine map of its inputs, in evaluation.
    pub(crate) fn is_affine(&self) -> bool {
        match self {
            Self::Input { .. }
            | Self::Conv2d { .. }
            | Self::ConvTranspose2d { .. }
            | Self::BatchNorm { .. }
            | Self::UncenteredNorm { .. }
            | Self::OnOff
            | Self::Complement
            | Self::Mirror { .. }
            | Self::AvgPool { .. }
            | Self::AdaptiveAvgPool { .. }
            | Self::GlobalAvgPool
            | Self::UpsampleNearest { .. }
            | Self::UpsampleBilinear { .. }
            | Self::Linear { .. }
            | Self::Sample
            | Self::Add
            | Self::Concat
            | Self::PadShortcut { .. } => true,
            Self::BCosConv2d { .. }
            | Self::Relu
            | Self::Sigmoid
            | Self::Step
            | Self::Softmax { .. }
            | Self::Threshold { .. }
            | Self::KWinners { .. }
            | Self::MaxPool { .. }
            | Self::Describe { .. }
            | Self::Prototypes { .. }
            | Self::Saliency
            | Self::Route { .. }
            | Self::Gated { .. }
            | Self::Multiply => false,
        }
    }

    /// What a norm adds to the variance; 0 for other operations.
    pub(crate) fn eps(&self) -> f64 {
        match self {
            Self::BatchNorm { eps, .. } | Self::UncenteredNorm { eps, .. } => *eps,
            _ => 0.0,
        }
    }

    /// The name for tables: `conv 3x3/2`, `batch norm`.
    pub fn label(&self) -> String {
        let window = |name: &str, [h, w]: &[usize; 2], stride: &[usize; 2]| match stride {
            [1, 1] => format!("{name} {h}x{w}"),
            [a, b] if a == b => format!("{name} {h}x{w}/{a}"),
            [a, b] => format!("{name} {h}x{w}/{a}x{b}"),
        };
        match self {
            Self::Input { .. } => "input".into(),
            Self::Conv2d { kernel, stride, .. } => window("conv", kernel, stride),
            Self::ConvTranspose2d { kernel, stride, .. } => window("transposed conv", kernel, stride),
            Self::BCosConv2d { kernel, stride, .. } => window("b-cos conv", kernel, stride),
            Self::BatchNorm { .. } => "batch norm".into(),
            Self::UncenteredNorm { .. } => "uncentered norm".into(),
            Self::Relu => "relu".into(),
            Self::Threshold { curve: Curve::Soft, .. } => "soft threshold".into(),
            Self::Threshold { curve: Curve::Hard, .. } => "hard threshold".into(),
            Self::Threshold { curve: Curve::Firm, .. } => "firm threshold".into(),
            Self::Sigmoid => "sigmoid".into(),
            Self::Step => "step".into(),
            Self::Softmax { over: Over::Channels } => "softmax of channels".into(),
            Self::Softmax { over: Over::Positions } => "softmax of positions".into(),
            Self::KWinners { count } => format!("{count} winners"),
            Self::OnOff => "on and off".into(),
            Self::Complement => "complement".into(),
            Self::Mirror { border } => format!("mirror {border}"),
            Self::MaxPool { kernel, stride, .. } => window("max pool", kernel, stride),
            Self::AvgPool { kernel, stride, .. } => window("avg pool", kernel, stride),
            Self::AdaptiveAvgPool { size: [h, w] } => format!("adaptive avg pool to {h}x{w}"),
            Self::GlobalAvgPool => "global avg pool".into(),
            Self::UpsampleNearest { size: [h, w] } => format!("nearest to {h}x{w}"),
            Self::UpsampleBilinear { size: [h, w], .. } => format!("bilinear to {h}x{w}"),
            Self::Describe { by: Descriptor::Luminance } => "luminance".into(),
            Self::Describe { by: Descriptor::Hues { bins } } => format!("colors of {bins} hues"),
            Self::Describe { by: Descriptor::Orientations { bins } } => format!("edges in {bins} directions"),
            Self::Describe { by: Descriptor::Patterns } => "local binary patterns".into(),
            Self::Describe { by: Descriptor::Bands { count } } => format!("{count} bands of frequencies"),
            Self::Linear { .. } => "linear".into(),
            Self::Prototypes { count, by: Likeness::L2 } => format!("{count} prototypes by distance"),
            Self::Prototypes { count, by: Likeness::Cosine } => format!("{count} prototypes by angle"),
            Self::Saliency => "saliency".into(),
            Self::Route { top } => format!("softmax, {top} largest"),
            Self::Gated { channel } => format!("times channel {channel}"),
            Self::Multiply => "multiply".into(),
            Self::Sample => "sample".into(),
            Self::Add => "add".into(),
            Self::Concat => "concat".into(),
            Self::PadShortcut { stride, .. } => format!("pad shortcut /{stride}"),
        }
    }

    /// The convolution's geometry, for the operations crate.
    pub(crate) fn conv_geometry(
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
        groups: usize,
    ) -> Conv2d {
        Conv2d { stride, padding, dilation, groups, ..Conv2d::default() }
    }

    /// The transposed convolution's geometry, for the operations crate.
    pub(crate) fn transposed_geometry(
        stride: [usize; 2],
        padding: [usize; 2],
        output_padding: [usize; 2],
        dilation: [usize; 2],
        groups: usize,
    ) -> ConvTranspose2d {
        ConvTranspose2d { conv: Self::conv_geometry(stride, padding, dilation, groups), output_padding }
    }

    /// The B-cos convolution's geometry, for the operations crate.
    pub(crate) fn bcos_geometry(stride: [usize; 2], padding: [usize; 2], exponent: f64) -> BCosConv2d {
        BCosConv2d { stride, padding, exponent }
    }

    /// The pooling's geometry, for the operations crate.
    pub(crate) fn pool_geometry(
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        ceil_mode: bool,
    ) -> Pool2d {
        Pool2d { kernel, stride, padding, ceil_mode }
    }

    /// Kernels, steps, padding and widths, to be held against a bound before they are computed with.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        match *self {
            Self::Conv2d { out_channels, kernel, stride, padding, dilation, groups, .. } => {
                [kernel, stride, padding, dilation, [out_channels, groups]].concat()
            }
            Self::ConvTranspose2d {
                out_channels, kernel, stride, padding, output_padding, dilation, groups, ..
            } => [kernel, stride, padding, output_padding, dilation, [out_channels, groups]].concat(),
            Self::BCosConv2d { out_channels, kernel, stride, padding, .. } => {
                [&kernel[..], &stride, &padding, &[out_channels]].concat()
            }
            Self::AdaptiveAvgPool { size } | Self::UpsampleNearest { size } | Self::UpsampleBilinear { size, .. } => {
                size.to_vec()
            }
            Self::MaxPool { kernel, stride, padding, .. } | Self::AvgPool { kernel, stride, padding } => {
                [kernel, stride, padding].concat()
            }
            Self::Linear { out_features, .. } => vec![out_features],
            Self::Mirror { border } => vec![border],
            Self::KWinners { count } | Self::Prototypes { count, .. } => vec![count],
            Self::Route { top } => vec![top],
            Self::Gated { channel } => vec![channel],
            Self::Describe { by: Descriptor::Hues { bins } | Descriptor::Orientations { bins } } => vec![bins],
            Self::Describe { by: Descriptor::Bands { count } } => vec![count],
            Self::PadShortcut { out_channels, stride, before } => vec![out_channels, stride, before.unwrap_or(0)],
            Self::Input { .. }
            | Self::Describe { .. }
            | Self::BatchNorm { .. }
            | Self::UncenteredNorm { .. }
            | Self::Relu
            | Self::Sigmoid
            | Self::Step
            | Self::Softmax { .. }
            | Self::Threshold { .. }
            | Self::OnOff
            | Self::Complement
            | Self::GlobalAvgPool
            | Self::Saliency
            | Self::Multiply
            | Self::Sample
            | Self::Add
            | Self::Concat => vec![],
        }
    }

    /// Number of inputs that the operation takes: at least, at most.
    pub(crate) fn arity(&self) -> (usize, usize) {
        match self {
            Self::Input { .. } => (0, 0),
            Self::Gated { .. } | Self::Multiply => (2, 2),
            Self::Add | Self::Concat => (2, usize::MAX),
            _ => (1, 1),
        }
    }
}
