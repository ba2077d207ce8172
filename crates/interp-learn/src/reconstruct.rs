//! Pictures made again from codes: the evidence lower bound of variational autoencoders.

use candle_core::{DType, Device, Tensor};
use interp_data::{Batch, Info};
use interp_net::finding::Unfit;
use interp_net::ops::scalars::{logistic, softplus};
use interp_net::{Graph, NodeId, Op};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::code::Code;
use crate::objective::{Loss, Pass, psnr};

/// The picture is to come out again of a code of which the network tells a normal distribution: the negative evidence lower bound
/// (Kingma and Welling 2014, arXiv 1312.6114, eq. 3), in nats per picture. It is what is wrong with the picture made of a draw of the code, as
/// `pixels` says, and the Kullback-Leibler divergence of the code from the standard normal distribution. The network needs one node
/// that draws codes, as `vae` has. In evaluation nothing is drawn: the code is its mean. What is reported is the mean over pictures of
/// the PSNR, `10 log10(1 / mean squared error)` in dB, pixel values being in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconstruct {
    /// How pixel values are distributed about those that the network gives.
    pub pixels: Pixels,
}

/// What the network gives of a pixel value, and how likely others are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Pixels {
    /// The logit of the chance that it is 1 rather than 0: the sum over values of the cross-entropy of its sigmoid with the value.
    #[default]
    Bernoulli,
    /// The value itself, normalized as pictures are, with normal errors: the sum over values of `error^2 / (2 deviation^2)`, without what does
    /// not depend on the network.
    Normal {
        /// Standard deviation of the errors; pixel values are in [0, 1].
        deviation: f64,
    },
}

/// A pixel value that was made.
struct Made {
    /// As a pixel value.
    value: f64,
    /// What it costs, in nats.
    cost: f64,
    /// The slope of that by what the network gave.
    slope: f64,
}

impl Pixels {
    /// The pixel values that an output (N, C, H, W) stands for, in f32 on the CPU; of chances the chances.
    ///
    /// # Errors
    /// If the output is no batch of pictures.
    pub fn values(&self, output: &Tensor, info: &Info) -> Result<Tensor> {
        let output = output.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        if *self == Self::Bernoulli {
            return Ok((output * 0.5)?.tanh()?.affine(0.5, 0.5)?); // the sigmoid
        }
        let per_channel = |values: &Vec<f32>| Tensor::from_slice(values, (1, info.channels, 1, 1), &Device::Cpu);
        Ok(output.broadcast_mul(&per_channel(&info.std)?)?.broadcast_add(&per_channel(&info.mean)?)?)
    }
}

impl Reconstruct {
    /// Says which setting is out of range.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let Pixels::Normal { deviation } = self.pixels else { return Ok(()) };
        let usable = deviation > 0.0 && deviation <= 1.0;
        let key = "objective.reconstruct.pixels.normal.deviation";
        Unfit::unless(usable, key, format!("must be above 0 and up to 1, not {deviation}"))
    }

    /// The node that draws the codes.
    pub(crate) fn sample(graph: &Graph) -> Result<NodeId, Unfit> {
        let draws = |id: &NodeId| graph.nodes()[*id].op == Op::Sample;
        let all: Vec<NodeId> = (0..graph.nodes().len()).filter(draws).collect();
        let problem = |count: usize| {
            format!("needs a network with one node that draws codes, as `vae` has; this one has {count}")
        };
        if let [sample] = all[..] { Ok(sample) } else { Err(Unfit::new("objective.reconstruct", problem(all.len()))) }
    }

    /// What gray pictures would cost, made of codes that tell nothing: a half of every value. With normal errors, at most.
    pub fn of_gray(&self, info: &Info) -> f64 {
        info.pixels() as f64
            * match self.pixels {
                Pixels::Bernoulli => 2f64.ln(),
                Pixels::Normal { deviation } => 0.25 / (2.0 * deviation * deviation),
            }
    }

    /// The mean over the batch, and its gradients.
    pub(crate) fn loss(&self, pass: &Pass<'_>, batch: &Batch, info: &Info) -> Result<Loss> {
        let code = Code::read(pass.net, pass.tape, Self::sample(&pass.net.graph)?)?;
        let made = self.made(pass.output, batch, info)?;
        let count = made.len().max(1) as f64;
        let value = made.iter().flatten().map(|made| made.cost).sum::<f64>() + code.divergences().iter().sum::<f64>();
        let slopes: Vec<f64> = made.iter().flatten().map(|made| made.slope / count).collect();
        let grad = Tensor::from_vec(slopes, (made.len(), info.height, info.width, info.channels), &Device::Cpu)?;
        let grad = grad.permute((0, 3, 1, 2))?.to_dtype(pass.output.dtype())?; // (N, H, W, C) -> (N, C, H, W)
        let more = vec![code.seed(pass.tape, pass.net, &code.divergence_slopes(1.0))?];
        Ok(Loss { value: value / count, grad: grad.to_device(pass.output.device())?, more })
    }

    /// Of each picture.
    pub(crate) fn losses(&self, pass: &Pass<'_>, batch: &Batch, info: &Info) -> Result<Vec<f64>> {
        let code = Code::read(pass.net, pass.tape, Self::sample(&pass.net.graph)?)?;
        let costs =
            self.made(pass.output, batch, info)?.into_iter().map(|made| made.iter().map(|m| m.cost).sum::<f64>());
        Ok(costs.zip(code.divergences()).map(|(cost, divergence)| cost + divergence).collect())
    }

    /// The PSNR of each picture, in dB.
    pub(crate) fn scores(&self, output: &Tensor, batch: &Batch, info: &Info) -> Result<Vec<f64>> {
        let pixels = batch.images.chunks_exact(info.pixels());
        let error = |(made, seen): (Vec<Made>, &[f32])| {
            let square = |(at, (made, seen)): (usize, (&Made, &f32))| (made.value - pixel(*seen, at, info)).powi(2);
            psnr(made.iter().zip(seen).enumerate().map(square).sum::<f64>() / info.pixels() as f64)
        };
        Ok(self.made(output, batch, info)?.into_iter().zip(pixels).map(error).collect())
    }

    /// Of each picture its values, channels together.
    fn made(&self, output: &Tensor, batch: &Batch, info: &Info) -> Result<Vec<Vec<Made>>> {
        let rows = output.to_device(&Device::Cpu)?.permute((0, 2, 3, 1))?.to_dtype(DType::F64)?; // (N, H, W, C)
        let rows = rows.flatten_from(1)?.to_vec2::<f64>()?;
        let pictures = rows.par_iter().zip(batch.images.par_chunks_exact(info.pixels().max(1)));
        let value = |(at, (&given, &seen)): (usize, (&f64, &f32))| self.value(given, pixel(seen, at, info), at, info);
        Ok(pictures.map(|(row, seen)| row.iter().zip(seen).enumerate().map(value).collect()).collect())
    }

    /// One value: what the network gave for it, what it is, and its place in the picture.
    fn value(&self, given: f64, seen: f64, at: usize, info: &Info) -> Made {
        match self.pixels {
            Pixels::Bernoulli => {
                let value = logistic(given);
                let cost = softplus(given) - given * seen;
                Made { value, cost, slope: value - seen }
            }
            Pixels::Normal { deviation } => {
                let std = f64::from(info.std[at % info.channels]);
                let value = std * given + f64::from(info.mean[at % info.channels]);
                let error = (value - seen) / (deviation * deviation);
                Made { value, cost: error * (value - seen) / 2.0, slope: std * error }
            }
        }
    }
}

/// A normalized value, by its place in the picture, as that of a pixel.
fn pixel(seen: f32, at: usize, info: &Info) -> f64 {
    f64::from(seen) * f64::from(info.std[at % info.channels]) + f64::from(info.mean[at % info.channels])
}

#[cfg(test)]
mod tests {
    use interp_net::{Draw, Keep, Mode, Network};

    use super::*;

    /// Pictures of 1x2 pixels with two channels, and a network whose code is the first of these, with the second as log-variance.
    fn info() -> Info {
        let (mean, std) = (vec![0.5, 0.25], vec![0.5, 0.25]);
        Info { name: "two".into(), classes: vec![], channels: 2, height: 1, width: 2, mean, std }
    }

    fn batch() -> Batch {
        let images = (0..12).map(|i| (f64::from(i) * 0.7).sin() as f32).collect();
        Batch { images, labels: vec![0; 3], indices: vec![0, 1, 2], masks: None }
    }

    fn network() -> Network {
        let mut graph = Graph::new(2, 1, 2).unwrap();
        graph.then("codes", Op::Sample).unwrap();
        graph.then("pictures", Op::OnOff).unwrap();
        Network::new(graph, 0).unwrap()
    }

    const KINDS: [Reconstruct; 2] =
        [Reconstruct { pixels: Pixels::Bernoulli }, Reconstruct { pixels: Pixels::Normal { deviation: 0.3 } }];

    /// Loss, slopes by the output (N, C, H, W) and by the code, of given numbers.
    fn found(kind: &Reconstruct, said: &[f64], given: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let (net, of) = (network(), |numbers: &[f64]| Tensor::from_slice(numbers, (3, 2, 1, 2), &Device::Cpu).unwrap());
        let mode = Mode::Train { frozen: vec![], draw: Draw::default() };
        let tape = net.forward(&of(said), mode, &Keep::All).unwrap();
        let loss = kind.loss(&Pass { net: &net, tape: &tape, output: &of(given) }, &batch(), &info()).unwrap();
        let [(0, seed)] = &loss.more[..] else { panic!("one seed, at what is drawn from") };
        (loss.value, crate::code::numbers(&loss.grad).unwrap(), crate::code::numbers(seed).unwrap())
    }

    // Of a logit ln 3, the chance 3/4, and a pixel value of 1/2: -ln(3/4) / 2 - ln(1/4) / 2. A value of 0.1 for one of 0.5 with errors of
    // 0.2: 0.4^2 / (2 * 0.2^2) = 2.
    #[test]
    fn values_by_hand() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a}, not {b}");
        let made = KINDS[0].value(3f64.ln(), 0.5, 0, &info());
        near(made.cost, (4f64 / 3.0).ln() / 2.0 + 4f64.ln() / 2.0);
        near(made.value, 0.75);
        near(KINDS[0].value(-800.0, 1.0, 0, &info()).cost, 800.0);
        let normal = Reconstruct { pixels: Pixels::Normal { deviation: 0.2 } };
        let made = normal.value(-0.6, 0.5, 1, &info());
        near(made.value, 0.25 - 0.15);
        near(made.cost, 2.0);
        near(KINDS[0].of_gray(&info()), 4.0 * 2f64.ln());
        near(normal.of_gray(&info()), 4.0 * 0.25 / 0.08);
    }

    // By PyTorch 2.13 in f64: binary_cross_entropy_with_logits, or -log_prob of Normal(., 0.3) less its constant, with kl_divergence of Normal, and autograd.
    #[test]
    fn loss_and_gradients_are_those_of_pytorch() {
        let numbers = |seed: f64| crate::code::tests::noise(12, seed);
        let by_code = [0.330_818_232, 0.284_808_778, 0.126_715_714, 0.032_203_226];
        for (kind, value, by_output) in [
            (&KINDS[0], 4.254_352_241_6, [-0.075_454_823, -0.227_639_745, -0.009_940_325, 0.004_564_752]),
            (&KINDS[1], 5.925_995_403_8, [-0.903_939_688, -1.654_146_189, -0.261_234_685, -0.218_812_266]),
        ] {
            let (loss, output, code) = found(kind, &numbers(3.0), &numbers(70.0));
            let near = |a: &f64, b: &f64| (a - b).abs() < 1e-7;
            assert!(near(&loss, &value), "{loss}, not {value}");
            assert!(output.iter().zip(&by_output).all(|(a, b)| near(a, b)), "{output:?}");
            assert!(code.iter().zip(&by_code).all(|(a, b)| near(a, b)), "{code:?}");
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        let numbers = |seed: f64| crate::code::tests::noise(12, seed);
        for kind in &KINDS {
            let (said, given) = (numbers(3.0), numbers(70.0));
            let (_, by_output, by_code) = found(kind, &said, &given);
            for at in 0..12 {
                let moved = |numbers: &[f64], by: f64| {
                    let mut moved = numbers.to_vec();
                    moved[at] += by;
                    moved
                };
                let slope = |value: &dyn Fn(f64) -> f64| (value(1e-5) - value(-1e-5)) / 2e-5;
                let output = slope(&|by| found(kind, &said, &moved(&given, by)).0);
                let code = slope(&|by| found(kind, &moved(&said, by), &given).0);
                assert!((by_output[at] - output).abs() < 1e-8 && (by_code[at] - code).abs() < 1e-8, "{at}");
            }
        }
    }

    /// What is measured of each picture is what training goes by, and the PSNR is that of pixel values.
    #[test]
    fn losses_and_scores_are_of_each_picture() {
        let (net, info, batch) = (network(), info(), batch());
        let of = |seed: f64| Tensor::from_vec(crate::code::tests::noise(12, seed), (3, 2, 1, 2), &Device::Cpu).unwrap();
        let (said, output) = (of(3.0), of(70.0));
        let tape = net.forward(&said, Mode::Eval, &Keep::All).unwrap();
        for kind in KINDS {
            let pass = Pass { net: &net, tape: &tape, output: &output };
            let mean = kind.losses(&pass, &batch, &info).unwrap().iter().sum::<f64>() / 3.0;
            assert!((mean - kind.loss(&pass, &batch, &info).unwrap().value).abs() < 1e-12);
            let pictures = kind.pixels.values(&output, &info).unwrap().permute((0, 2, 3, 1)).unwrap();
            let pictures = pictures.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
            for (at, score) in kind.scores(&output, &batch, &info).unwrap().into_iter().enumerate() {
                let seen = batch.images[4 * at..][..4].iter().enumerate().map(|(at, &x)| pixel(x, at, &info));
                let errors = seen.zip(&pictures[at]).map(|(x, &y)| (x - f64::from(y)).powi(2));
                assert!((score + 10.0 * (errors.sum::<f64>() / 4.0).log10()).abs() < 1e-4, "{score}");
            }
        }
    }

    #[test]
    fn networks_without_one_code_are_refused() {
        let mut graph = Graph::new(8, 1, 2).unwrap();
        let told = |graph: &Graph| Reconstruct::sample(graph).unwrap_err().problem;
        assert!(told(&graph).ends_with("this one has 0"));
        let first = graph.then("one", Op::Sample).unwrap();
        assert_eq!(Reconstruct::sample(&graph).unwrap(), first);
        graph.then("other", Op::Sample).unwrap();
        assert!(told(&graph).ends_with("this one has 2"));
        let refused = |deviation: f64| Reconstruct { pixels: Pixels::Normal { deviation } }.check().is_err();
        assert!([0.0, -1.0, 1.5, f64::NAN].into_iter().all(refused) && !refused(0.1));
    }
}
