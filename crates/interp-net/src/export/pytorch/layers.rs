//! Operations that are modules, by the call that makes each.

use interp_ops::{Curve, Likeness};

use crate::Op;

/// The call that makes the module of an operation on an input of this shape; `None` for one that is an expression.
pub(super) fn made_by(op: &Op, input: &[usize]) -> Option<String> {
    let channels = input.first().copied().unwrap_or(0);
    Some(match *op {
        Op::Conv2d { out_channels, kernel, stride, padding, dilation, groups, bias } => Call::new("nn.Conv2d")
            .with(channels)
            .with(out_channels)
            .with(pair(kernel))
            .windows(stride, padding)
            .named("dilation", pair(dilation), "1")
            .named("groups", groups, "1")
            .named("bias", truth(bias), "True")
            .end(),
        Op::ConvTranspose2d { out_channels, kernel, stride, padding, output_padding, dilation, groups, bias } => {
            Call::new("nn.ConvTranspose2d")
                .with(channels)
                .with(out_channels)
                .with(pair(kernel))
                .windows(stride, padding)
                .named("output_padding", pair(output_padding), "0")
                .named("groups", groups, "1")
                .named("bias", truth(bias), "True")
                .named("dilation", pair(dilation), "1")
                .end()
        }
        Op::BCosConv2d { out_channels, kernel, stride, padding, exponent } => Call::new("BCosConv2d")
            .with(channels)
            .with(out_channels)
            .with(pair(kernel))
            .windows(stride, padding)
            .named("b", format!("{exponent:?}"), "2.0")
            .end(),
        Op::BatchNorm { eps, momentum } => norm("nn.BatchNorm2d", channels, eps, momentum),
        Op::UncenteredNorm { eps, momentum } => norm("UncenteredNorm", channels, eps, momentum),
        Op::Relu => "nn.ReLU()".into(),
        Op::Threshold { curve, shared, .. } => threshold(curve, if shared { 1 } else { channels }),
        Op::MaxPool { kernel, stride, padding, ceil_mode } => {
            pool("nn.MaxPool2d", kernel, stride, padding).named("ceil_mode", truth(ceil_mode), "False").end()
        }
        Op::AvgPool { kernel, stride, padding } => pool("nn.AvgPool2d", kernel, stride, padding).end(),
        Op::AdaptiveAvgPool { size } => Call::new("nn.AdaptiveAvgPool2d").with(pair(size)).end(),
        Op::UpsampleNearest { size } => Call::new("nn.Upsample").with(pair(size)).end(),
        Op::UpsampleBilinear { size, align_corners } => Call::new("nn.Upsample")
            .with(pair(size))
            .named("mode", "\"bilinear\"", "")
            .named("align_corners", truth(align_corners), "")
            .end(),
        Op::Linear { out_features, bias } => {
            let in_features = input.iter().product::<usize>();
            Call::new("nn.Linear").with(in_features).with(out_features).named("bias", truth(bias), "True").end()
        }
        Op::Prototypes { count, by } => Call::new("Prototypes")
            .with(count)
            .with(channels)
            .named("cosine", truth(by == Likeness::Cosine), "False")
            .end(),
        Op::Input { .. }
        | Op::Sigmoid
        | Op::Step
        | Op::Softmax { .. }
        | Op::KWinners { .. }
        | Op::OnOff
        | Op::Complement
        | Op::Mirror { .. }
        | Op::GlobalAvgPool
        | Op::Describe { .. }
        | Op::Saliency
        | Op::Route { .. }
        | Op::Gated { .. }
        | Op::Multiply
        | Op::Sample
        | Op::Add
        | Op::Concat
        | Op::PadShortcut { .. } => return None,
    })
}

fn norm(name: &str, channels: usize, eps: f64, momentum: f64) -> String {
    let (eps, momentum) = (format!("{eps:?}"), format!("{momentum:?}"));
    Call::new(name).with(channels).named("eps", eps, "1e-5").named("momentum", momentum, "0.1").end()
}

fn threshold(curve: Curve, count: usize) -> String {
    let name = match curve {
        Curve::Soft => "SoftThreshold",
        Curve::Hard => "HardThreshold",
        Curve::Firm => "FirmThreshold",
    };
    Call::new(name).with(count).end()
}

fn pool(name: &str, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Call {
    let call = Call::new(name).with(pair(kernel)).named("stride", pair(stride), &pair(kernel));
    call.named("padding", pair(padding), "0")
}

/// A number for both axes, or one for each.
fn pair([rows, columns]: [usize; 2]) -> String {
    if rows == columns { rows.to_string() } else { format!("({rows}, {columns})") }
}

fn truth(yes: bool) -> &'static str {
    if yes { "True" } else { "False" }
}

/// A call in the making.
struct Call {
    name: String,
    arguments: Vec<String>,
}

impl Call {
    fn new(name: &str) -> Self {
        Self { name: name.into(), arguments: vec![] }
    }

    fn with(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// With a named argument, if it is not its default.
    fn named(self, name: &str, value: impl ToString, default: &str) -> Self {
        let value = value.to_string();
        if value == default { self } else { self.with(format!("{name}={value}")) }
    }

    fn windows(self, stride: [usize; 2], padding: [usize; 2]) -> Self {
        self.named("stride", pair(stride), "1").named("padding", pair(padding), "0")
    }

    fn end(self) -> String {
        format!("{}({})", self.name, self.arguments.join(", "))
    }
}
