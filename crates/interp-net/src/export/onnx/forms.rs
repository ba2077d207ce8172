//! What each operation is in ONNX.

use candle_core::{DType, Device, Tensor};
use interp_ops::{Curve, Descriptor, Likeness, Over};

use super::draft::{Attribute, Draft};
use super::tables;
use crate::{NetError, Network, NodeId, Op, Result, Role};

/// Adds the nodes that compute what the node `id` does.
pub(super) fn add(draft: &mut Draft, network: &Network, id: NodeId) -> Result<()> {
    let node = &network.graph.nodes()[id];
    let inputs = node.inputs.iter().map(|&input| network.graph.nodes()[input].name.as_str()).collect();
    Form { draft, network, id, name: &node.name, inputs }.add(&node.op)
}

struct Form<'a> {
    draft: &'a mut Draft,
    network: &'a Network,
    id: NodeId,
    name: &'a str,
    inputs: Vec<&'a str>,
}

impl Form<'_> {
    fn add(&mut self, op: &Op) -> Result<()> {
        let (x, name) = (self.inputs.first().copied().unwrap_or_default(), self.name);
        match *op {
            Op::Input { .. } => self.draft.take(name),
            Op::Conv2d { kernel, stride, padding, dilation, groups, .. } => {
                let inputs = self.weighted()?;
                let attributes = [windows(kernel, stride, padding), spread(dilation, groups)].concat();
                self.end("Conv", &inputs, &attributes)
            }
            Op::ConvTranspose2d { kernel, stride, padding, output_padding, dilation, groups, .. } => {
                let inputs = self.weighted()?;
                let added = vec![("output_padding", integers(output_padding))];
                let attributes = [windows(kernel, stride, padding), spread(dilation, groups), added].concat();
                self.end("ConvTranspose", &inputs, &attributes)
            }
            Op::BCosConv2d { kernel, stride, padding, exponent, .. } => {
                self.bcos(&windows(kernel, stride, padding), kernel, exponent)
            }
            Op::Linear { .. } => {
                let mut inputs = self.weighted()?;
                if self.shape().len() > 1 {
                    inputs[0] = self.step("Flatten", &[x], "flat", &[("axis", Attribute::Integer(1))])?;
                }
                self.end("Gemm", &inputs, &[("transB", Attribute::Integer(1))])
            }
            Op::BatchNorm { eps, .. } => {
                let roles = [Role::Gain, Role::Shift, Role::RunningMean, Role::RunningVariance];
                let inputs = self.params(&roles)?;
                self.end("BatchNormalization", &inputs, &[("epsilon", Attribute::Float(eps as f32))])
            }
            Op::UncenteredNorm { .. } => {
                let scale = self.network.norm_scale(self.id)?;
                let scale = self.constant("scale", &per_channel(&scale, 3)?)?;
                self.end("Mul", &[x, &scale], &[])
            }
            Op::Relu => self.end("Relu", &[x], &[]),
            Op::Sigmoid => self.end("Sigmoid", &[x], &[]),
            Op::Step => {
                let zero = self.number("zero", 0.0)?;
                let is_above = self.step("Greater", &[x, &zero], "is_above", &[])?;
                self.end("Cast", &[is_above], &[("to", Attribute::Integer(1))])
            }
            Op::Softmax { over } => self.softmax(over),
            Op::Threshold { curve, .. } => self.threshold(curve),
            Op::KWinners { count } => {
                let above = self.step("Relu", &[x], "above", &[])?;
                self.largest(&above, count.min(self.channels()))
            }
            Op::Route { top } => {
                let shares = self.step("Softmax", &[x], "shares", &[("axis", Attribute::Integer(1))])?;
                self.largest(&shares, top)
            }
            Op::OnOff => {
                let off = self.step("Neg", &[x], "off", &[])?;
                self.concat(&[x, &off])
            }
            Op::Complement => {
                let one = self.number("one", 1.0)?;
                let missing = self.step("Sub", &[&one, x], "missing", &[])?;
                self.concat(&[x, &missing])
            }
            Op::Mirror { .. } | Op::UpsampleNearest { .. } => self.gather(op),
            Op::UpsampleBilinear { .. } | Op::AdaptiveAvgPool { .. } => self.mix(op),
            Op::MaxPool { kernel, stride, padding, ceil_mode } => {
                let over = vec![("ceil_mode", Attribute::Integer(i64::from(ceil_mode)))];
                self.end("MaxPool", &[x], &[windows(kernel, stride, padding), over].concat())
            }
            Op::AvgPool { kernel, stride, padding } => {
                let counted = vec![("count_include_pad", Attribute::Integer(1))];
                self.end("AveragePool", &[x], &[windows(kernel, stride, padding), counted].concat())
            }
            Op::GlobalAvgPool => self.end("ReduceMean", &[x], &over_positions(0)),
            Op::Describe { by: Descriptor::Luminance } => {
                let parts = Tensor::new(&[0.2126f32, 0.7152, 0.0722], &Device::Cpu)?.reshape((1, 3, 1, 1))?;
                let parts = self.constant("parts", &parts)?;
                self.end("Conv", &[x, &parts], &[])
            }
            Op::Describe { .. } => Err(self.no_form(op)),
            Op::Prototypes { by, .. } => self.prototypes(by),
            Op::Saliency => self.saliency(),
            Op::Gated { channel } => self.gated(channel),
            Op::Multiply => self.multiply(),
            Op::Sample => self.means(),
            Op::Add => {
                let inputs = self.inputs.clone();
                self.end("Sum", &inputs, &[])
            }
            Op::Concat => {
                let inputs = self.inputs.clone();
                self.concat(&inputs)
            }
            Op::PadShortcut { stride, .. } => self.pad_shortcut(stride),
        }
    }

    fn no_form(&self, op: &Op) -> NetError {
        NetError::NoForm { format: "ONNX", node: self.name.into(), op: op.label() }
    }

    /// The last node of the form, which gives the value.
    fn end<S: AsRef<str>>(&mut self, operator: &str, inputs: &[S], attributes: &[(&str, Attribute)]) -> Result<()> {
        let inputs: Vec<&str> = inputs.iter().map(S::as_ref).collect();
        self.draft.node(operator, &inputs, self.name, attributes)
    }

    /// A node before the last; gives the name of its value.
    fn step(
        &mut self,
        operator: &str,
        inputs: &[&str],
        part: &str,
        attributes: &[(&str, Attribute)],
    ) -> Result<String> {
        let name = self.part(part);
        self.draft.node(operator, inputs, &name, attributes)?;
        Ok(name)
    }

    fn part(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    fn constant(&mut self, part: &str, value: &Tensor) -> Result<String> {
        let name = self.part(part);
        self.draft.constant(&name, value)?;
        Ok(name)
    }

    fn number(&mut self, part: &str, value: f32) -> Result<String> {
        self.constant(part, &Tensor::new(value, &Device::Cpu)?)
    }

    fn integers(&mut self, part: &str, values: &[i64]) -> Result<String> {
        let name = self.part(part);
        self.draft.integers(&name, values)?;
        Ok(name)
    }

    fn channels(&self) -> usize {
        self.network.graph.shape(self.id)[0]
    }

    /// The shape of the first input.
    fn shape(&self) -> &[usize] {
        self.network.graph.nodes()[self.id].inputs.first().map_or(&[], |&input| self.network.graph.shape(input))
    }

    /// The input and these parameters, as constants under their names.
    fn params(&mut self, roles: &[Role]) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.inputs.first().map(|x| (*x).to_owned()).into_iter().collect();
        for position in roles.iter().filter_map(|&role| self.network.params.position(self.id, role)) {
            let param = &self.network.params.list()[position];
            self.draft.constant(&param.name, &param.value)?;
            names.push(param.name.clone());
        }
        Ok(names)
    }

    /// The input, weight and bias.
    fn weighted(&mut self) -> Result<Vec<String>> {
        self.params(&[Role::Weight, Role::Bias])
    }

    fn concat(&mut self, inputs: &[&str]) -> Result<()> {
        self.end("Concat", inputs, &[("axis", Attribute::Integer(1))])
    }

    /// `u |u / n|^(b - 1)`, with filters of length 1.
    fn bcos(&mut self, windows: &[(&str, Attribute)], kernel: [usize; 2], exponent: f64) -> Result<()> {
        let x = self.inputs[0];
        let unit = self.unit_filters()?;
        let (unit, power) = (self.constant("unit", &unit)?, self.number("power", (exponent - 1.0) as f32)?);
        let ones = Tensor::ones((1, self.shape()[0], kernel[0], kernel[1]), DType::F32, &Device::Cpu)?;
        let (ones, little) = (self.constant("ones", &ones)?, self.number("little", 1e-6)?);
        let u = self.step("Conv", &[x, &unit], "u", windows)?;
        let squares = self.step("Mul", &[x, x], "squares", &[])?;
        let squared = self.step("Conv", &[&squares, &ones], "squared", windows)?;
        let above = self.step("Add", &[&squared, &little], "above", &[])?;
        let norm = self.step("Sqrt", &[&above], "norm", &[])?;
        let cosine = self.step("Div", &[&u, &norm], "cosine", &[])?;
        let size = self.step("Abs", &[&cosine], "size", &[])?;
        let scale = self.step("Pow", &[&size, &power], "scale", &[])?;
        self.end("Mul", &[u, scale], &[])
    }

    /// The filters of a B-cos convolution, scaled to length 1; one of zeros stays so.
    fn unit_filters(&self) -> Result<Tensor> {
        let weight = self.network.params.get(self.id, Role::Weight)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let lengths = weight.sqr()?.flatten_from(1)?.sum(1)?.sqrt()?.clamp(1e-300, f64::MAX)?;
        Ok(weight.broadcast_div(&per_channel(&lengths, 4)?)?)
    }

    fn threshold(&mut self, curve: Curve) -> Result<()> {
        let x = self.inputs[0];
        let theta = per_channel(self.network.params.get(self.id, Role::Threshold)?, self.shape().len())?;
        let theta = self.constant("theta", &theta)?;
        let size = self.step("Abs", &[x], "size", &[])?;
        if curve == Curve::Hard {
            let is_above = self.step("Greater", &[&size, &theta], "is_above", &[])?;
            let factor = self.step("Cast", &[&is_above], "factor", &[("to", Attribute::Integer(1))])?;
            return self.end("Mul", &[x, &factor], &[]);
        }
        let sign = self.step("Sign", &[x], "sign", &[])?;
        let over = self.step("Sub", &[&size, &theta], "over", &[])?;
        let rest = self.step("Relu", &[&over], "rest", &[])?;
        if curve == Curve::Soft {
            return self.end("Mul", &[sign, rest], &[]);
        }
        let soft = self.step("Mul", &[&sign, &rest], "soft", &[])?;
        let twice = self.step("Add", &[&soft, &soft], "twice", &[])?;
        let far = self.step("Add", &[&theta, &theta], "far", &[])?;
        let is_far = self.step("Greater", &[&size, &far], "is_far", &[])?;
        self.end("Where", &[&is_far, x, &twice], &[])
    }

    /// Distances by differences, as `|z|^2 - 2 z p + |p|^2` leaves little in f32 of what is near; cosines by a 1x1 convolution with the prototypes as filters.
    fn prototypes(&mut self, by: Likeness) -> Result<()> {
        let (x, axis) = (self.inputs[0], self.integers("axis", &[1])?);
        let weight = self.network.params.get(self.id, Role::Weight)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let filters = |weight: &Tensor| -> Result<Tensor> { Ok(weight.unsqueeze(2)?.unsqueeze(3)?) }; // (P, D, 1, 1)
        if by == Likeness::Cosine {
            let lengths = weight.sqr()?.sum_keepdim(1)?.sqrt()?;
            let one = windows([1; 2], [1; 2], [0; 2]);
            let squares = self.step("Mul", &[x, x], "squares", &[])?;
            let squared = self.step("ReduceSum", &[&squares, &axis], "squared", &[])?;
            let unit = weight.broadcast_div(&lengths.clamp(1e-8, f64::MAX)?)?;
            let (unit, scale) = (self.constant("unit", &filters(&unit)?)?, self.number("scale", 1.01)?);
            let least = self.number("least", 1e-8)?;
            let length = self.step("Sqrt", &[&squared], "length", &[])?;
            let length = self.step("Max", &[&length, &least], "no less", &[])?;
            let product = self.step("Conv", &[x, &unit], "product", &one)?;
            let cosine = self.step("Div", &[&product, &length], "cosine", &[])?;
            let above = self.step("Relu", &[&cosine], "above", &[])?;
            return self.end("Div", &[above, scale], &[]);
        }
        let values = weight.unsqueeze(0)?.unsqueeze(3)?.unsqueeze(4)?; // (1, P, D, 1, 1)
        let (values, channels) = (self.constant("values", &values)?, self.integers("channels", &[2])?);
        let (one_more, near) = (self.number("one", 1.0)?, self.number("near", 1e-4)?);
        let each = self.step("Unsqueeze", &[x, &axis], "each", &[])?;
        let apart = self.step("Sub", &[&each, &values], "apart", &[])?;
        let squares = self.step("Mul", &[&apart, &apart], "squares", &[])?;
        let sums = self.step("ReduceSum", &[&squares, &channels], "sums", &[])?;
        let distance = self.step("Squeeze", &[&sums, &channels], "distance", &[])?;
        let far = self.step("Add", &[&distance, &one_more], "far", &[])?;
        let close = self.step("Add", &[&distance, &near], "close", &[])?;
        let ratio = self.step("Div", &[&far, &close], "ratio", &[])?;
        self.end("Log", &[ratio], &[])
    }

    /// The `count` largest channels of a value, and 0 for the others.
    fn largest(&mut self, value: &str, count: usize) -> Result<()> {
        let (count, axis) = (self.integers("count", &[count as i64])?, [("axis", Attribute::Integer(1))]);
        let [most, places] = [self.part("most"), self.part("places")];
        self.draft.node_of("TopK", &[value, &count], &[&most, &places], &axis)?;
        let shape = self.step("Shape", &[value], "shape", &[])?;
        let zeros = self.step("ConstantOfShape", &[&shape], "zeros", &[])?;
        self.end("ScatterElements", &[zeros, places, most], &axis)
    }

    /// Rows, then columns, taken from where they lie.
    fn gather(&mut self, op: &Op) -> Result<()> {
        let x = self.inputs[0];
        let (input, output) = (self.sides(), self.network.graph.shape(self.id));
        let axis = |axis: usize| tables::cells(op, input[axis], output[axis + 1]).unwrap_or_default();
        let [rows, columns] = [self.integers("rows", &axis(0))?, self.integers("columns", &axis(1))?];
        let down = self.step("Gather", &[x, &rows], "down", &[("axis", Attribute::Integer(2))])?;
        self.end("Gather", &[down, columns], &[("axis", Attribute::Integer(3))])
    }

    /// Rows, then columns, made of several by products with matrices.
    fn mix(&mut self, op: &Op) -> Result<()> {
        let x = self.inputs[0];
        let (input, output) = (self.sides(), self.network.graph.shape(self.id));
        let axis = |axis: usize| tables::shares(op, input[axis], output[axis + 1])?.ok_or_else(|| self.no_form(op));
        let (rows, columns) = (axis(0)?, axis(1)?.t()?);
        let [rows, columns] = [self.constant("rows", &rows)?, self.constant("columns", &columns)?];
        let down = self.step("MatMul", &[&rows, x], "down", &[])?; // (N, C, output, input)
        self.end("MatMul", &[down, columns], &[])
    }

    /// Height and width of the first input.
    fn sides(&self) -> [usize; 2] {
        match *self.shape() {
            [_, height, width] => [height, width],
            _ => [1; 2],
        }
    }

    fn saliency(&mut self) -> Result<()> {
        let (x, channels) = (self.inputs[0], self.shape()[0]);
        let line = Tensor::new(&[0.0625f32, 0.25, 0.375, 0.25, 0.0625], &Device::Cpu)?;
        let square = line.unsqueeze(1)?.broadcast_mul(&line.unsqueeze(0)?)?; // (5, 5)
        let filters = self.constant("smoothing", &square.broadcast_as((channels, 1, 5, 5))?)?;
        let (axis, little) = (self.integers("axis", &[1])?, self.number("little", 1e-12)?);
        let mean = self.step("ReduceMean", &[x], "mean", &over_positions(1))?;
        let centered = self.step("Sub", &[x, &mean], "centered", &[])?;
        let around = [windows([5; 2], [1; 2], [2; 2]), spread([1; 2], channels)].concat();
        let smooth = self.step("Conv", &[&centered, &filters], "smooth", &around)?;
        let squares = self.step("Mul", &[&smooth, &smooth], "squares", &[])?;
        let squared = self.step("ReduceSum", &[&squares, &axis], "squared", &[])?;
        let above = self.step("Add", &[&squared, &little], "above", &[])?;
        self.end("Sqrt", &[above], &[])
    }

    fn gated(&mut self, channel: usize) -> Result<()> {
        let (x, gates, rank) = (self.inputs[0], self.inputs[1], self.shape().len());
        let channel = self.integers("channel", &[channel as i64])?;
        let mut gate = self.step("Gather", &[gates, &channel], "gate", &[("axis", Attribute::Integer(1))])?; // (N, 1)
        if rank == 3 {
            let axes = self.integers("axes", &[2, 3])?;
            gate = self.step("Unsqueeze", &[&gate, &axes], "gate of maps", &[])?;
        }
        self.end("Mul", &[x, &gate], &[])
    }

    fn softmax(&mut self, over: Over) -> Result<()> {
        let (x, axis) = (self.inputs[0], |axis: i64| [("axis", Attribute::Integer(axis))]);
        if over == Over::Channels {
            return self.end("Softmax", &[x], &axis(1));
        }
        // (N, C, H, W) to (N, C, H W) and back; of (N, C) each channel has one position.
        let [height, width] = self.sides();
        let channels = self.channels() as i64;
        let flat = self.integers("flat shape", &[-1, channels, (height * width) as i64])?;
        let whole = match self.shape().len() {
            3 => vec![-1, channels, height as i64, width as i64],
            _ => vec![-1, channels],
        };
        let whole = self.integers("whole shape", &whole)?;
        let cells = self.step("Reshape", &[x, &flat], "cells", &[])?;
        let shares = self.step("Softmax", &[&cells], "shares", &axis(2))?;
        self.end("Reshape", &[shares, whole], &[])
    }

    fn multiply(&mut self) -> Result<()> {
        let (x, mut weights) = (self.inputs[0], self.inputs[1].to_owned());
        let of_weights = self.network.graph.nodes()[self.id].inputs.get(1);
        if of_weights.is_some_and(|&id| self.network.graph.shape(id).len() < self.shape().len()) {
            let axes = self.integers("axes", &[2, 3])?;
            weights = self.step("Unsqueeze", &[&weights, &axes], "weights of maps", &[])?;
        }
        self.end("Mul", &[x, &weights], &[])
    }

    /// A code in evaluation: the first half of the channels.
    fn means(&mut self) -> Result<()> {
        let (start, end, axis) = (
            self.integers("start", &[0])?,
            self.integers("end", &[self.channels() as i64])?,
            self.integers("axis", &[1])?,
        );
        self.end("Slice", &[self.inputs[0], &start, &end, &axis], &[])
    }

    fn pad_shortcut(&mut self, stride: usize) -> Result<()> {
        let [before, after] = self.network.graph.sides(self.id).unwrap_or_default().map(|side| side as i64);
        let steps = self.integers("steps", &[stride as i64; 2])?;
        let (starts, ends) = (self.integers("starts", &[0; 2])?, self.integers("ends", &[i64::MAX; 2])?);
        let axes = self.integers("axes", &[2, 3])?;
        let pads = self.integers("pads", &[0, before, 0, 0, 0, after, 0, 0])?;
        let taken = self.step("Slice", &[self.inputs[0], &starts, &ends, &axes, &steps], "taken", &[])?;
        self.end("Pad", &[taken, pads], &[])
    }
}

fn integers(values: [usize; 2]) -> Attribute {
    Attribute::Integers(values.map(|value| value as i64).to_vec())
}

fn windows(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Vec<(&'static str, Attribute)> {
    let pads = [padding, padding].concat().into_iter().map(|value| value as i64).collect();
    vec![("kernel_shape", integers(kernel)), ("strides", integers(stride)), ("pads", Attribute::Integers(pads))]
}

fn spread(dilation: [usize; 2], groups: usize) -> Vec<(&'static str, Attribute)> {
    vec![("dilations", integers(dilation)), ("group", Attribute::Integer(groups as i64))]
}

fn over_positions(kept: i64) -> [(&'static str, Attribute); 2] {
    [("axes", Attribute::Integers(vec![2, 3])), ("keepdims", Attribute::Integer(kept))]
}

/// Values of channels (C) as (C, 1, ...), beside values of `rank` dimensions without N.
fn per_channel(values: &Tensor, rank: usize) -> Result<Tensor> {
    let shape: Vec<usize> = std::iter::once(values.elem_count()).chain(std::iter::repeat_n(1, rank - 1)).collect();
    Ok(values.reshape(shape)?)
}
