//! One turn of the game: a step of the recognizer, then one of the generator.

use candle_core::{DType, Device, Tensor};
use interp_net::zoo::Latent;
use interp_net::{Draw, Keep, Mode, Network, NodeId, Normalization, Tape, Want};
use serde::{Deserialize, Serialize};

use super::logistic::real_or_made;
use super::player::taken;
use super::{Code, Game, Player, SpectralNorm, information, vectors};
use crate::{Generate, LearnError, Result};

/// Both networks in the midst of training.
#[derive(Clone, Debug)]
pub struct Gan {
    /// The network that makes pictures.
    pub generator: Player,
    /// The network that tells them and their codes, its convolutions not yet divided.
    pub recognizer: Player,
    /// Of each convolution of the recognizer.
    pub(super) norms: Vec<SpectralNorm>,
    /// Where training stands.
    pub clock: GanClock,
}

/// Where training stands. Sums are over the present epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanClock {
    /// Whole epochs done, over all phases.
    pub epoch: usize,
    /// Batches done in the present epoch.
    pub batch: usize,
    /// Sums over batches.
    pub sum: Losses,
}

/// What both networks lose in a batch, each a mean over its pictures, in nats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Of the recognizer, for taking pictures of the data for made ones.
    pub real: f64,
    /// Of the recognizer, for taking made pictures for real.
    pub made: f64,
    /// Of the generator, for being found out.
    pub generator: f64,
    /// L_I of each code, as the recognizer's step found it.
    pub information: Vec<f64>,
    /// The same of pictures of the data whose codes are known; nothing where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guided: Vec<f64>,
    /// Batches that had such pictures, in a sum; not told in a mean.
    #[serde(default, skip_serializing_if = "is_none")]
    pub known: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Losses {
    fn add(&mut self, more: &Self) {
        self.real += more.real;
        self.made += more.made;
        self.generator += more.generator;
        self.known += usize::from(!more.guided.is_empty());
        for (sum, more) in [(&mut self.information, &more.information), (&mut self.guided, &more.guided)] {
            sum.resize(more.len().max(sum.len()), 0.0);
            sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }

    /// What a sum over so many batches is for each.
    pub fn mean(&self, batches: usize) -> Self {
        let share = 1.0 / batches.max(1) as f64;
        let of = |sums: &[f64], share: f64| sums.iter().map(|sum| sum * share).collect();
        let guided = of(&self.guided, 1.0 / self.known.max(1) as f64);
        let information = of(&self.information, share);
        Self {
            real: self.real * share,
            made: self.made * share,
            generator: self.generator * share,
            information,
            guided,
            known: 0,
        }
    }

    fn is_finite(&self) -> bool {
        let codes = self.information.iter().chain(&self.guided);
        [self.real, self.made, self.generator].iter().chain(codes).all(|value| value.is_finite())
    }
}

/// Pixel values of logits, normalized as those of data are: `(1 / (1 + e^-logit) - mean) / std`, (N, C, H, W).
///
/// # Errors
/// If there are other channels than means.
pub fn pictures(logits: &Tensor, normalization: &Normalization) -> Result<Tensor> {
    let of = |values: &[f32]| by_channel(values, logits);
    let pixels = ((logits.neg()?.exp()? + 1.0)?).recip()?;
    Ok(pixels.broadcast_sub(&of(&normalization.mean)?)?.broadcast_div(&of(&normalization.std)?)?)
}

/// The gradient with respect to logits, of that with respect to their [`pictures`].
fn through_pixels(logits: &Tensor, normalization: &Normalization, grad: &Tensor) -> Result<Tensor> {
    let pixels = ((logits.neg()?.exp()? + 1.0)?).recip()?;
    let slope = (&pixels * (1.0 - &pixels)?)?.broadcast_div(&by_channel(&normalization.std, logits)?)?;
    Ok((grad * slope)?)
}

fn by_channel(values: &[f32], like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, (1, values.len(), 1, 1), &Device::Cpu)?.to_dtype(like.dtype())?)
}

/// What the losses are told.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) latent: &'a Latent,
    pub(super) generate: Generate,
    pub(super) normalization: &'a Normalization,
}

/// Pictures of the data.
#[derive(Clone, Copy)]
pub(super) struct Real<'a> {
    /// (N, C, H, W), normalized.
    pub(super) pictures: &'a Tensor,
    /// Of each its code, where it is known.
    pub(super) known: &'a [Option<&'a Code>],
}

/// Pictures that were made, with what a sweep back through the generator needs.
pub(super) struct Made {
    tape: Tape,
    logits: Tensor,
    pub(super) pictures: Tensor,
}

/// Makes pictures of codes.
pub(super) fn make(generator: &Network, codes: &[Code], rules: Rules<'_>) -> Result<Made> {
    let dtype = generator.params.list().first().map_or(DType::F32, |param| param.value.dtype());
    let x = vectors(codes, rules.latent)?.to_dtype(dtype)?;
    let tape = generator.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &Keep::Backward(vec![]))?;
    let logits = tape.output(&generator.graph)?.clone();
    let pictures = pictures(&logits, rules.normalization)?;
    Ok(Made { tape, logits, pictures })
}

/// The two heads of a recognizer.
struct Heads {
    realness: NodeId,
    codes: NodeId,
}

impl Heads {
    fn of(network: &Network) -> Result<Self> {
        Ok(Self { realness: network.graph.id("realness")?, codes: network.graph.id("codes")? })
    }
}

/// A pass through the recognizer, with what its heads say.
struct Seen {
    tape: Tape,
    heads: Heads,
    realness: Vec<f64>,
    codes: Vec<Vec<f64>>,
}

fn see(recognizer: &Network, pictures: &Tensor) -> Result<Seen> {
    let heads = Heads::of(recognizer)?;
    let keep = Keep::Backward(vec![heads.realness, heads.codes]);
    let tape = recognizer.forward(pictures, Mode::Train { frozen: vec![], draw: Draw::default() }, &keep)?;
    let numbers = |id: NodeId| -> Result<Tensor> { Ok(tape.at(&recognizer.graph, id)?.to_dtype(DType::F64)?) };
    let (realness, codes) = (numbers(heads.realness)?, numbers(heads.codes)?);
    let (realness, codes) = (realness.flatten_all()?.to_vec1()?, codes.to_vec2()?);
    Ok(Seen { tape, heads, realness, codes })
}

impl Seen {
    fn seed(&self, id: NodeId, recognizer: &Network, values: Vec<f64>) -> Result<(NodeId, Tensor)> {
        let like = self.tape.at(&recognizer.graph, id)?;
        Ok((id, Tensor::from_vec(values, like.shape(), &Device::Cpu)?.to_dtype(like.dtype())?))
    }

    /// L_I by code, a mean over the pictures whose codes are known, and the gradient of `-weight L_I`; nothing by code where none is.
    fn information(&self, codes: &[Option<&Code>], rules: Rules<'_>) -> (Vec<f64>, Vec<f64>) {
        let Generate { information: weight, deviation, .. } = rules.generate;
        let count = codes.iter().flatten().count();
        let share = 1.0 / count.max(1) as f64;
        let (mut by_code, mut grad) = (vec![0.0; if count > 0 { rules.latent.names().len() } else { 0 }], vec![]);
        for (code, told) in codes.iter().zip(&self.codes) {
            let Some(code) = code else {
                grad.extend(told.iter().map(|_| 0.0));
                continue;
            };
            let found = information(rules.latent, deviation, code, told);
            by_code.iter_mut().zip(found.by_code).for_each(|(sum, own)| *sum += share * own);
            grad.extend(found.grad.into_iter().map(|slope| -weight * share * slope));
        }
        (by_code, grad)
    }
}

/// Codes that are all known.
fn all(codes: &[Code]) -> Vec<Option<&Code>> {
    codes.iter().map(Some).collect()
}

/// Losses with gradients of parameters.
pub(super) type Graded = (Losses, Vec<(usize, Tensor)>);

/// What the recognizer loses on pictures of the data and on those made of codes, with respect to its parameters.
pub(super) fn recognize(
    recognizer: &Network,
    positions: &[usize],
    real: Real<'_>,
    made: &Tensor,
    codes: &[Code],
    rules: Rules<'_>,
) -> Result<Graded> {
    let want = Want { nodes: vec![], params: positions.to_vec() };
    let seen = see(recognizer, real.pictures)?;
    let (loss, grad) = real_or_made(&seen.realness, 1.0);
    let (guided, of_codes) = seen.information(real.known, rules);
    let mut losses = Losses { real: loss, guided, ..Losses::default() };
    let seeds = [seen.seed(seen.heads.realness, recognizer, grad)?, seen.seed(seen.heads.codes, recognizer, of_codes)?];
    let mut grads = recognizer.backward(&seen.tape, &seeds, &want)?;
    let seen = see(recognizer, made)?;
    let (loss, grad) = real_or_made(&seen.realness, -1.0);
    let (by_code, of_codes) = seen.information(&all(codes), rules);
    (losses.made, losses.information) = (loss, by_code);
    let seeds = [seen.seed(seen.heads.realness, recognizer, grad)?, seen.seed(seen.heads.codes, recognizer, of_codes)?];
    for (position, more) in taken(&recognizer.backward(&seen.tape, &seeds, &want)?, positions) {
        grads.add_param(position, &more)?;
    }
    Ok((losses, taken(&grads, positions)))
}

/// What the generator loses on pictures that it made of codes, with respect to its parameters.
pub(super) fn deceive(
    generator: &Network,
    positions: &[usize],
    recognizer: &Network,
    made: &Made,
    codes: &[Code],
    rules: Rules<'_>,
) -> Result<Graded> {
    let seen = see(recognizer, &made.pictures)?;
    let (loss, grad) = real_or_made(&seen.realness, 1.0);
    let (information, of_codes) = seen.information(&all(codes), rules);
    let seeds = [seen.seed(seen.heads.realness, recognizer, grad)?, seen.seed(seen.heads.codes, recognizer, of_codes)?];
    let grads = recognizer.backward(&seen.tape, &seeds, &Want { nodes: vec![0], params: vec![] })?;
    let of_pictures = grads.node(0).ok_or_else(|| LearnError::State("the recognizer does not see pictures".into()))?;
    let grad = through_pixels(&made.logits, rules.normalization, of_pictures)?;
    let want = Want { nodes: vec![], params: positions.to_vec() };
    let grads = generator.backward(&made.tape, &[(generator.graph.output(), grad)], &want)?;
    Ok((Losses { generator: loss, information, ..Losses::default() }, taken(&grads, positions)))
}

impl Gan {
    /// A fresh start.
    ///
    /// # Errors
    /// If the recognizer has not the heads `realness` and `codes`.
    pub fn new(generator: Network, recognizer: Network, game: &Game<'_>) -> Result<Self> {
        Heads::of(&recognizer)?;
        let optimizer = &game.settings.optimizer;
        let norms = SpectralNorm::of(&recognizer, game.seed)?;
        let (generator, recognizer) = (Player::new(generator, optimizer), Player::new(recognizer, optimizer));
        Ok(Self { generator, recognizer, norms, clock: GanClock::default() })
    }

    /// The recognizer with its convolutions divided, as it is used.
    ///
    /// # Errors
    /// Where a weight cannot be read.
    pub fn divided(&mut self) -> Result<Network> {
        let mut network = self.recognizer.network.clone();
        for norm in &mut self.norms {
            network.params.set(norm.position(), norm.divided(&self.recognizer.network.params)?)?;
        }
        Ok(network)
    }

    /// Gradients with respect to the recognizer's own weights, of those of the divided ones.
    fn chained(&self, divided: &Network, mut grads: Vec<(usize, Tensor)>) -> Result<Vec<(usize, Tensor)>> {
        for (position, grad) in &mut grads {
            if let Some(norm) = self.norms.iter().find(|norm| norm.position() == *position) {
                *grad = norm.chained(grad, &divided.params.list()[*position].value)?;
            }
        }
        Ok(grads)
    }

    /// A step of the recognizer on pictures of the data and as many made of `codes`, then one of the generator, which is to make the
    /// same pictures better. `rate` is the recognizer's learning rate.
    pub(super) fn step(&mut self, game: &Game<'_>, real: Real<'_>, codes: &[Code], rate: f64) -> Result<()> {
        let (rules, optimizer) = (game.rules(), &game.settings.optimizer);
        let made = make(&self.generator.network, codes, rules)?;
        let judge = self.divided()?;
        let (mut losses, grads) = recognize(&judge, &self.recognizer.trained(), real, &made.pictures, codes, rules)?;
        let grads = self.chained(&judge, grads)?;
        self.recognizer.update(optimizer, rate, &grads)?;
        let (judge, positions) = (self.divided()?, self.generator.trained());
        let (own, grads) = deceive(&self.generator.network, &positions, &judge, &made, codes, rules)?;
        losses.generator = own.generator;
        self.generator.network.commit_statistics(&made.tape)?;
        self.generator.update(optimizer, rate * game.generate.generator_rate, &grads)?;
        self.note(&losses)
    }

    fn note(&mut self, losses: &Losses) -> Result<()> {
        let clock = &mut self.clock;
        if !losses.is_finite() {
            let loss = losses.real + losses.made + losses.generator;
            return Err(LearnError::Diverged { epoch: clock.epoch + 1, step: clock.batch + 1, loss });
        }
        clock.batch += 1;
        clock.sum.add(losses);
        Ok(())
    }
}
