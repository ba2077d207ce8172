//! What a network is trained for, and how well it does that.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use interp_data::{Batch, Info, Noise};
use interp_net::finding::Unfit;
use interp_net::ops::{Targets, binary_cross_entropy, cross_entropy};
use interp_net::{Graph, Network, NodeId, Tape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluate::{hits, to_tensor};
use crate::{ClassLoss, Generate, LearnError, Reconstruct, Result, Task, Train};

/// What a network is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// To tell the class of a picture: the loss of its logits that `train.loss` says; what is reported is the accuracy.
    #[default]
    Classify,
    /// To take normal noise away from pictures.
    Denoise(Denoise),
    /// To make pictures again of codes.
    Reconstruct(Reconstruct),
    /// To make pictures of codes that can be told from them.
    Generate(Generate),
}

/// Normal noise is added to every picture, and the network is to give the picture without it: the mean squared error over all
/// pixel values, as a share of that of the noise. At a loss of 1 as much is wrong as if nothing had been done; what is
/// reported is the mean over pictures of the PSNR, `10 log10(1 / mean squared error)` in dB, pixel values being in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Denoise {
    /// Standard deviation of the noise; pixel values are in [0, 1].
    pub noise: f64,
}

/// How well a network does, a mean over pictures; more is better.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// Share of pictures whose largest logit is that of their label.
    Accuracy(f64),
    /// Mean PSNR in dB.
    Psnr(f64),
}

/// A loss and its gradient.
pub(crate) struct Loss {
    pub(crate) value: f64,
    /// With respect to the network's output.
    pub(crate) grad: Tensor,
    /// With respect to other nodes' activations.
    pub(crate) more: Vec<(NodeId, Tensor)>,
}

/// A pass of a network.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) net: &'a Network,
    /// With what the objective [taps](Objective::taps).
    pub(crate) tape: &'a Tape,
    /// Where it is to be read: for scores, on the CPU.
    pub(crate) output: &'a Tensor,
}

/// No error is taken for smaller: 100 dB.
const LEAST_ERROR: f64 = 1e-10;

impl Objective {
    /// Says which setting is out of range, or means nothing for this objective.
    ///
    /// # Errors
    /// The first key whose value cannot be used, from the recipe's root on.
    pub fn check(&self, train: &Train) -> Result<(), Unfit> {
        let is_binary = train.loss == ClassLoss::Binary;
        match self {
            Self::Classify => {
                let softmax = "is not for a `loss` that takes each class by itself";
                Unfit::unless(!is_binary || train.label_smoothing == 0.0, "train.label_smoothing", softmax)?;
                return Unfit::unless(!is_binary || !train.balance_classes, "train.balance_classes", softmax);
            }
            &Self::Denoise(Denoise { noise }) => {
                let usable = noise > 0.0 && noise <= 1.0;
                Unfit::unless(usable, "objective.denoise.noise", format!("must be above 0 and up to 1, not {noise}"))?;
            }
            Self::Reconstruct(reconstruct) => reconstruct.check()?,
            Self::Generate(generate) => return generate.check(train),
        }
        let classes = "is about classes, which this objective does not tell";
        Unfit::unless(!is_binary, "train.loss", classes)?;
        Unfit::unless(train.label_smoothing == 0.0, "train.label_smoothing", classes)?;
        Unfit::unless(!train.balance_classes, "train.balance_classes", classes)
    }

    /// Standard deviation of the noise that it takes away, if it does.
    pub fn noise(&self) -> Option<f64> {
        match *self {
            Self::Classify | Self::Reconstruct(_) | Self::Generate(_) => None,
            Self::Denoise(Denoise { noise }) => Some(noise),
        }
    }

    /// The key of its section.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Classify => "objective.classify",
            Self::Denoise(_) => "objective.denoise",
            Self::Reconstruct(_) => "objective.reconstruct",
            Self::Generate(_) => "objective.generate",
        }
    }

    /// Says what a network lacks beside outputs of its shape.
    ///
    /// # Errors
    /// If the objective is about codes, and there is no single node that draws them.
    pub fn check_graph(&self, graph: &Graph) -> Result<(), Unfit> {
        self.taps(graph).map(|_| ())
    }

    /// The nodes beside the output that it reads.
    pub(crate) fn taps(&self, graph: &Graph) -> Result<Vec<NodeId>, Unfit> {
        match self {
            Self::Classify | Self::Denoise(_) | Self::Generate(_) => Ok(vec![]),
            Self::Reconstruct(_) => Ok(graph.nodes()[Reconstruct::sample(graph)?].inputs.clone()),
        }
    }

    /// The shape of the outputs that it needs, without N: logits (K), or a picture (C, H, W). `None` where that is up to the network's
    /// codes.
    pub fn output(&self, info: &Info) -> Option<Vec<usize>> {
        match self {
            Self::Classify => Some(vec![info.classes.len()]),
            Self::Denoise(_) | Self::Reconstruct(_) => Some(vec![info.channels, info.height, info.width]),
            Self::Generate(_) => None,
        }
    }

    /// The pictures of a batch as the network sees them when it is measured, (N, C, H, W).
    ///
    /// # Errors
    /// If the batch does not hold N pictures of this size.
    pub fn measuring_input(&self, batch: &Batch, info: &Info) -> Result<Tensor> {
        self.input(batch, info, Noise::for_measuring)
    }

    /// The pictures of a batch as the network sees them in an epoch of training, counted from 0.
    pub(crate) fn training_input(&self, batch: &Batch, info: &Info, seed: u64, epoch: usize) -> Result<Tensor> {
        self.input(batch, info, |deviation| Noise::of_epoch(deviation, seed, epoch as u64))
    }

    fn input(&self, batch: &Batch, info: &Info, noise: impl Fn(f64) -> Noise) -> Result<Tensor> {
        match self {
            Self::Classify | Self::Reconstruct(_) | Self::Generate(_) => to_tensor(batch, info),
            Self::Denoise(denoise) => to_tensor(&noise(denoise.noise).on(batch, info), info),
        }
    }

    /// The loss that training goes by in an epoch, counted from 0: a mean over the batch.
    pub(crate) fn loss(
        &self,
        task: &Task<'_>,
        epoch: usize,
        pass: &Pass<'_>,
        batch: &Batch,
        info: &Info,
    ) -> Result<Loss> {
        let output = pass.output;
        match self {
            Self::Classify => {
                let Train { label_smoothing: smoothing, loss, .. } = *task.settings;
                let found = match loss {
                    ClassLoss::CrossEntropy => {
                        cross_entropy(output, Targets::Classes(&batch.labels), smoothing, task.class_weights)?
                    }
                    ClassLoss::Binary => binary_cross_entropy(output, &batch.labels)?,
                };
                let weight = task.settings.label_weight_in(epoch);
                let grad = if weight == 1.0 { found.grad } else { (found.grad * weight)? };
                Ok(Loss { value: weight * found.loss, grad, more: vec![] })
            }
            Self::Denoise(denoise) => denoise.loss(output, batch, info),
            Self::Reconstruct(reconstruct) => reconstruct.loss(pass, batch, info),
            Self::Generate(_) => Err(LearnError::NoScore),
        }
    }

    /// The loss of each picture, without smoothing or class weights.
    pub(crate) fn losses(&self, pass: &Pass<'_>, batch: &Batch, info: &Info) -> Result<Vec<f64>> {
        let output = pass.output;
        match self {
            Self::Classify => {
                let of_row = |(row, label): (usize, &u32)| -> Result<f64> {
                    Ok(cross_entropy(&output.narrow(0, row, 1)?, Targets::Classes(&[*label]), 0.0, None)?.loss)
                };
                batch.labels.iter().enumerate().map(of_row).collect()
            }
            Self::Denoise(Denoise { noise }) => {
                Ok(squared_errors(output, batch, info)?.into_iter().map(|error| error / (noise * noise)).collect())
            }
            Self::Reconstruct(reconstruct) => reconstruct.losses(pass, batch, info),
            Self::Generate(_) => Err(LearnError::NoScore),
        }
    }

    /// The score of each picture: 1 where it is right and 0 where not, or its PSNR in dB.
    pub(crate) fn scores(&self, output: &Tensor, batch: &Batch, info: &Info) -> Result<Vec<f64>> {
        match self {
            Self::Classify => {
                Ok(hits(output, &batch.labels)?.into_iter().map(|hit| f64::from(u8::from(hit))).collect())
            }
            Self::Denoise(_) => Ok(squared_errors(output, batch, info)?.into_iter().map(psnr).collect()),
            Self::Reconstruct(reconstruct) => reconstruct.scores(output, batch, info),
            Self::Generate(_) => Err(LearnError::NoScore),
        }
    }

    /// Whether a network of one score and loss is better than one of another: by its score, of equal ones by its loss. Where pictures are made again of codes, by the
    /// loss, the bound that is learned: they may be the sharpest where codes tell too much.
    pub(crate) fn is_better(&self, (score, loss): (Score, f64), (other, of_other): (Score, f64)) -> bool {
        match self {
            Self::Reconstruct(_) => loss < of_other,
            Self::Classify | Self::Denoise(_) | Self::Generate(_) => (score, -loss) > (other, -of_other),
        }
    }

    /// The mean of the scores of pictures as what it is.
    pub fn score(&self, mean: f64) -> Score {
        match self {
            Self::Classify | Self::Generate(_) => Score::Accuracy(mean),
            Self::Denoise(_) | Self::Reconstruct(_) => Score::Psnr(mean),
        }
    }
}

impl Denoise {
    /// Of the mean over all values of `(std (y - x))^2 / noise^2`.
    fn loss(&self, output: &Tensor, batch: &Batch, info: &Info) -> Result<Loss> {
        let errors = squared_errors(output, batch, info)?;
        let count = errors.len().max(1) as f64;
        let square = self.noise * self.noise;
        let value = errors.iter().sum::<f64>() / (count * square);
        let per_value = 2.0 / (count * info.pixels() as f64 * square);
        let scale: Vec<f32> = info.std.iter().map(|&std| (per_value * f64::from(std).powi(2)) as f32).collect();
        let scale = Tensor::from_vec(scale, (1, info.channels, 1, 1), output.device())?.to_dtype(output.dtype())?;
        let clean = to_tensor(batch, info)?.to_device(output.device())?.to_dtype(output.dtype())?;
        Ok(Loss { value, grad: (output - clean)?.broadcast_mul(&scale)?, more: vec![] })
    }
}

/// The mean squared error of each picture, in pixel values of [0, 1].
fn squared_errors(output: &Tensor, batch: &Batch, info: &Info) -> Result<Vec<f64>> {
    let rows = output.to_device(&Device::Cpu)?.permute((0, 2, 3, 1))?.to_dtype(DType::F32)?; // (N, H, W, C)
    let rows = rows.flatten_from(1)?.to_vec2::<f32>()?;
    let of_picture = |(row, clean): (&Vec<f32>, &[f32])| {
        let terms = row.iter().zip(clean).zip(info.std.iter().cycle());
        let square = |((y, x), std): ((&f32, &f32), &f32)| (f64::from(*std) * (f64::from(*y) - f64::from(*x))).powi(2);
        terms.map(square).sum::<f64>() / info.pixels() as f64
    };
    Ok(rows.iter().zip(batch.images.chunks_exact(info.pixels())).map(of_picture).collect())
}

/// `10 log10(1 / error)`, in dB; what is not a number stays so.
pub(crate) fn psnr(error: f64) -> f64 {
    -10.0 * if error < LEAST_ERROR { LEAST_ERROR } else { error }.log10()
}

impl Score {
    /// The mean: a share in [0, 1], or dB.
    pub fn value(self) -> f64 {
        match self {
            Self::Accuracy(value) | Self::Psnr(value) => value,
        }
    }

    /// The key under which programs write it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "accuracy",
            Self::Psnr(_) => "psnr",
        }
    }

    /// What it is called in lines and on pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "accuracy",
            Self::Psnr(_) => "PSNR",
        }
    }

    /// The unit of [`Score::shown`].
    pub fn unit(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "%",
            Self::Psnr(_) => "dB",
        }
    }

    /// The unit of a difference between two values of [`Score::shown`].
    pub fn difference_unit(self) -> &'static str {
        match self {
            Self::Accuracy(_) => "points",
            Self::Psnr(_) => "dB",
        }
    }

    /// What the value is multiplied with to be shown.
    pub fn scale(self) -> f64 {
        match self {
            Self::Accuracy(_) => 100.0,
            Self::Psnr(_) => 1.0,
        }
    }

    /// The value as it is shown: in percent, or in dB.
    pub fn shown(self) -> f64 {
        self.scale() * self.value()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} {}", self.shown(), self.unit())
    }
}

#[cfg(test)]
mod tests {
    use interp_net::{Keep, Mode};

    use super::*;

    const DENOISE: Denoise = Denoise { noise: 0.1 };

    /// Pictures of 2x3 pixels and two channels with deviations of their own.
    fn info() -> Info {
        let (mean, std) = (vec![0.5; 2], vec![0.5, 0.25]);
        Info { name: "two".into(), classes: vec!["a".into(); 2], channels: 2, height: 2, width: 3, mean, std }
    }

    #[test]
    fn which_network_is_better() {
        let (right, sharp) = (Score::Accuracy, Score::Psnr);
        assert!(Objective::Classify.is_better((right(0.5), 1.0), (right(0.5), 2.0)));
        assert!(!Objective::Classify.is_better((right(0.4), 1.0), (right(0.5), 2.0)));
        assert!(Objective::Denoise(DENOISE).is_better((sharp(12.0), 6.0), (sharp(10.0), 5.0)));
        let again = Objective::Reconstruct(crate::Reconstruct::default());
        assert!(again.is_better((sharp(10.0), 5.0), (sharp(12.0), 6.0)), "by the bound");
    }

    /// Two pictures, channels together.
    fn batch() -> Batch {
        let images = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
        Batch { images, labels: vec![0, 1], indices: vec![4, 9], masks: None }
    }

    /// The clean pictures, of which `by` is added to the normalized value number `at` of the memory's order.
    fn moved(at: usize, by: f32) -> Tensor {
        let mut batch = batch();
        batch.images[at] += by;
        to_tensor(&batch, &info()).unwrap()
    }

    /// A network and a pass that nothing is read of.
    fn nothing() -> (Network, Tape) {
        let net = Network::new(Graph::new(1, 1, 1).unwrap(), 0).unwrap();
        let x = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let tape = net.forward(&x, Mode::Eval, &Keep::Output).unwrap();
        (net, tape)
    }

    fn pass_of<'a>((net, tape): &'a (Network, Tape), output: &'a Tensor) -> Pass<'a> {
        Pass { net, tape, output }
    }

    // The value number 15 is of the second picture and of the channel with deviation 1/4: moved by 0.4 it is wrong by 0.1, of 12
    // values one, so that the mean squared error of the picture is 0.01 / 12.
    #[test]
    fn errors_are_in_pixel_values() {
        let (denoise, output) = (Objective::Denoise(DENOISE), moved(15, 0.4));
        let losses = denoise.losses(&pass_of(&nothing(), &output), &batch(), &info()).unwrap();
        assert!(losses[0] == 0.0 && (losses[1] - 1.0 / 12.0).abs() < 1e-6, "{losses:?}");
        let scores = denoise.scores(&output, &batch(), &info()).unwrap();
        assert!((scores[0] - 100.0).abs() < 1e-9 && (scores[1] - 10.0 * 1200f64.log10()).abs() < 1e-4, "{scores:?}");
        let loss = DENOISE.loss(&output, &batch(), &info()).unwrap().value;
        assert!((loss - 1.0 / 24.0).abs() < 1e-6, "{loss}");
        assert!((psnr(0.01) - 20.0).abs() < 1e-12 && psnr(f64::NAN).is_nan());
    }

    // The loss is quadratic: central differences are exact for any step.
    #[test]
    fn the_gradient_is_central_differences() {
        let output = moved(3, 0.3);
        let grad = DENOISE.loss(&output, &batch(), &info()).unwrap().grad;
        let grad = grad.permute((0, 2, 3, 1)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let loss = |at: usize, by: f32| {
            let change = (moved(at, by) - moved(at, 0.0)).unwrap();
            DENOISE.loss(&(&output + change).unwrap(), &batch(), &info()).unwrap().value
        };
        for (at, grad) in grad.into_iter().enumerate() {
            let slope = loss(at, 0.5) - loss(at, -0.5);
            assert!((slope - f64::from(grad)).abs() < 1e-4 * (1.0 + slope.abs()), "{at}: {grad}, not {slope}");
        }
    }

    #[test]
    fn doing_nothing_leaves_all_of_the_noise() {
        let info = Info { height: 40, width: 40, ..info() };
        let batch = Batch { images: vec![0.0; 2 * info.pixels()], ..batch() };
        let denoise = Objective::Denoise(DENOISE);
        let untouched = denoise.measuring_input(&batch, &info).unwrap();
        // Of 3200 values; the deviation of their mean square is sqrt(2 / 3200).
        let losses = denoise.losses(&pass_of(&nothing(), &untouched), &batch, &info).unwrap();
        assert!(losses.iter().all(|loss| (loss - 1.0).abs() < 0.1), "{losses:?}");
        let trained = denoise.training_input(&batch, &info, 0, 0).unwrap();
        assert!((trained - untouched).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 0.0);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let denoise = |noise: f64| Objective::Denoise(Denoise { noise });
        let smooth = Train { label_smoothing: 0.1, ..Train::default() };
        assert!(denoise(0.1).check(&Train::default()).is_ok() && Objective::Classify.check(&smooth).is_ok());
        for noise in [0.0, -0.1, 1.5, f64::NAN] {
            assert_eq!(denoise(noise).check(&Train::default()).unwrap_err().key, "objective.denoise.noise");
        }
        assert_eq!(denoise(0.1).check(&smooth).unwrap_err().key, "train.label_smoothing");
        let binary = Train { loss: ClassLoss::Binary, ..Train::default() };
        assert_eq!(denoise(0.1).check(&binary).unwrap_err().key, "train.loss");
        assert!(Objective::Classify.check(&binary).is_ok());
        let both = Train { label_smoothing: 0.1, ..binary };
        assert_eq!(Objective::Classify.check(&both).unwrap_err().key, "train.label_smoothing");
        let balanced = Train { balance_classes: true, ..Train::default() };
        assert_eq!(denoise(0.1).check(&balanced).unwrap_err().key, "train.balance_classes");
    }
}
