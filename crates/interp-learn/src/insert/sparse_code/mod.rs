//! Sparse codes: what a layer gives, told by few of many latents.

mod loss;

use candle_core::{DType, Device, Tensor};
use interp_net::finding::random::{shuffle, stream};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::Curve;
use interp_net::{Graph, Network, NodeId, Op, Params, Role};
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::loss::{Aim, Code, Found};
use super::{Companion, Insertion, Site};
use crate::prior::{Now, Prior, Scope, State, Step, Term, change, values};
use crate::{LearnError, Result};

/// A sparse autoencoder of the channels at every position of a node, put in its place: of many latents few are active, and what these stand for adds
/// up to what the node gave. `f = s(W x + b)`, `x' = D f + c`, with columns of D of length 1.
///
/// Nodes: `NAME.encoder`, a 1x1 convolution; `NAME.code`, the latents; `NAME.decoder`, a 1x1 convolution. It learns from what the node gives, as a share of its
/// variance, and from nothing else: freeze the rest, and give labels a weight of 0. Rows are 1024 positions of a batch. It starts from random directions,
/// the encoder as the decoder's transpose, and the mean of the first batch as c. Latents that were silent over `dead_after` rows learn to
/// reconstruct what the others leave (Gao et al. 2024, arXiv 2406.04093, appendix A.2).
///
/// Claimed is that no more than a tenth more latents than `active` are active on average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseCode {
    /// How it is decided which latents are active.
    #[serde(default)]
    pub by: Kind,
    /// Latents for each channel of the node.
    #[serde(default = "expansion")]
    pub expansion: usize,
    /// Latents active at a position, on average.
    pub active: f64,
    /// Rows after which a silent latent is dead.
    #[serde(default = "dead_after")]
    pub dead_after: f64,
    /// Share of the variance that is left unexplained, at most, to claim; none is claimed where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<f64>,
}

fn expansion() -> usize {
    4
}

fn dead_after() -> f64 {
    100_000.0
}

/// How it is decided which latents are active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Those above 0, with an L1 penalty on them whose strength is controlled so that `active` are left (Bricken et al. 2023).
    Relu,
    /// The `active` largest at every position (Gao et al. 2024, arXiv 2406.04093).
    TopK,
    /// The largest of the batch, `active` for each row on average; afterwards those above one threshold, the mean of the least that was active
    /// (Bussmann et al. 2024, arXiv 2412.06410).
    #[default]
    BatchTopK,
    /// Those above a threshold of their own, which learns through a kernel around it (Rajamanoharan et al. 2024, arXiv 2407.14435).
    JumpRelu,
    /// The same, where thresholds learn from what gates alone can reconstruct (gated, Rajamanoharan et al. 2024, arXiv 2404.16014, with one scale for gates and
    /// magnitudes).
    Gated,
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "sparse_code",
    summary: "a sparse autoencoder of what a layer gives, put in its place",
    example: "kind = \"sparse_code\"\nafter = \"features.14\"\nactive = 16\n",
    build: |section| build(section, |settings: SparseCode| Box::new(settings)),
    schema: || schemars::schema_for!(SparseCode),
};

/// Positions of a batch that a step learns from.
const ROWS: usize = 1024;

/// Share of the old in the mean of the least active latent.
const KEPT: f64 = 0.99;

/// How fast the logarithm of the penalty's strength follows that of the activity, at every step.
const GAIN: f64 = 0.03;

/// The strength that a controlled penalty starts from.
const STRENGTH: f64 = 1e-3;

/// The weight of the penalty of jumps, beside shares of variance.
const JUMP: f64 = 0.3;

/// The bandwidth of the kernel of thresholds, and their first value, as a share of the mean length of rows.
const BANDWIDTH: f64 = 0.05;

/// How many more latents may be active on other pictures than are aimed at.
const MARGIN: f64 = 1.1;

/// Most latents: wider codes are for larger machines.
const MOST: usize = 1 << 15;

impl Insertion for SparseCode {
    fn check(&self) -> Result<(), Unfit> {
        let Self { expansion, active, dead_after, unexplained, .. } = self;
        Unfit::unless((1..=256).contains(expansion), "expansion", format!("must be 1 to 256, not {expansion}"))?;
        Unfit::unless(*active > 0.0 && active.is_finite(), "active", format!("must be above 0, not {active}"))?;
        let whole = self.by != Kind::TopK || active.fract() == 0.0;
        Unfit::unless(
            whole,
            "active",
            format!("must be a whole number where each position has its own, not {active}"),
        )?;
        Unfit::unless(*dead_after > 0.0, "dead_after", format!("must be above 0, not {dead_after}"))?;
        let share = unexplained.unwrap_or(0.5);
        Unfit::unless(share > 0.0 && share < 1.0, "unexplained", format!("must be above 0 and below 1, not {share}"))
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, .. } = site;
        let &[channels, _, _] = graph.shape(after) else {
            let problem =
                format!("`{}` gives no maps: a code is of the channels at each position", graph.nodes()[after].name);
            return Err(Unfit::new("after", problem).into());
        };
        let latents = channels * self.expansion;
        Unfit::unless(latents <= MOST, "expansion", format!("makes {latents} latents; {MOST} are the most"))?;
        let few = self.active < latents as f64;
        Unfit::unless(few, "active", format!("{} of {latents} latents is no sparse code", self.active))?;
        let part = |part: &str| format!("{name}.{part}");
        let threshold = Op::Threshold { curve: Curve::Hard, shared: self.by == Kind::BatchTopK, initial: 0.0 };
        Ok(graph.spliced(after, |graph| {
            graph.add(part("encoder"), Op::conv(latents, 1, 1, 0, true), &[after])?;
            match self.by {
                Kind::Relu => graph.then(part("code"), Op::Relu)?,
                Kind::TopK => graph.then(part("code"), Op::KWinners { count: self.active as usize })?,
                Kind::BatchTopK | Kind::JumpRelu | Kind::Gated => {
                    graph.then(part("relu"), Op::Relu)?;
                    graph.then(part("code"), threshold)?
                }
            };
            graph.then(part("decoder"), Op::conv(channels, 1, 1, 0, true))
        })?)
    }

    /// Directions of length 1, and the encoder as their transpose.
    fn start(&self, net: &mut Network, name: &str, seed: u64) -> Result<()> {
        let at = At::of(&net.params, name)?;
        let (channels, latents) = net.params.list()[at.decoder].value.dims4().map(|(d, m, ..)| (d, m))?;
        let mut random = stream(seed, &format!("sparse code/{name}"), 0, 0);
        let mut columns: Vec<f32> = (0..latents * channels).map(|_| StandardNormal.sample(&mut random)).collect();
        columns.chunks_exact_mut(channels).for_each(to_length_1);
        let rows = Tensor::from_vec(columns, (latents, channels), &Device::Cpu)?;
        net.params.set(at.decoder, rows.t()?.contiguous()?.reshape((channels, latents, 1, 1))?)?;
        Ok(net.params.set(at.encoder, rows.reshape((latents, channels, 1, 1))?)?)
    }

    fn companion(&self, site: &Site<'_>) -> Option<Companion> {
        let latents = site.graph.shape(site.after)[0] * self.expansion;
        let after = site.graph.nodes()[site.after].name.clone();
        let prior = CodeLoss { name: site.name.to_owned(), after, latents, settings: self.clone() };
        Some(Companion { prior: Box::new(prior), nodes: vec![format!("{}.code", site.name)] })
    }
}

fn to_length_1(column: &mut [f32]) {
    let length = column.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        column.iter_mut().for_each(|w| *w = (f64::from(*w) / length) as f32);
    }
}

/// Positions of the parameters.
struct At {
    encoder: usize,
    bias: usize,
    threshold: Option<usize>,
    decoder: usize,
    shift: usize,
}

impl At {
    fn of(params: &Params, name: &str) -> Result<Self> {
        let find = |part: &str| {
            let whole = format!("{name}{part}");
            let position = params.list().iter().position(|param| param.name == whole);
            position.ok_or_else(|| LearnError::State(format!("there is no parameter `{whole}`")))
        };
        Ok(Self {
            encoder: find(".encoder.weight")?,
            bias: find(".encoder.bias")?,
            threshold: find(".code.theta").ok(),
            decoder: find(".decoder.weight")?,
            shift: find(".decoder.bias")?,
        })
    }

    /// The parameters as matrices, on the CPU.
    fn code(&self, params: &Params) -> Result<Code> {
        let value = |position: usize| params.list()[position].value.to_device(&Device::Cpu);
        Ok(Code {
            encoder: value(self.encoder)?.flatten_from(1)?.contiguous()?,
            bias: value(self.bias)?,
            threshold: self.threshold.map(value).transpose()?,
            decoder: value(self.decoder)?.flatten_from(1)?.contiguous()?,
            shift: value(self.shift)?,
        })
    }
}

/// The loss of a sparse code.
struct CodeLoss {
    /// The layer's name.
    name: String,
    /// The node that it takes the place of.
    after: String,
    latents: usize,
    settings: SparseCode,
}

/// Numbers of the state.
const STEPS: &str = "steps";
const CONTROLLED: &str = "strength";
const LEAST: &str = "least";
const LENGTH: &str = "length"; // of the first rows, on average
/// Tensors of the state: rows since each latent was active, and the mean of the first rows.
const SILENT: &str = "silent";
const MEAN: &str = "mean";

impl CodeLoss {
    /// Some positions of maps (N, C, H, W), as rows (T, C).
    fn rows(maps: &Tensor, seed: u64, step: u64) -> Result<Tensor> {
        let rows = maps.permute((0, 2, 3, 1))?.flatten_to(2)?.to_device(&Device::Cpu)?; // (N H W, C)
        let mut order: Vec<u32> = (0..rows.dim(0)? as u32).collect();
        shuffle(&mut stream(seed, "sparse code/rows", step, 0), &mut order);
        order.truncate(ROWS);
        order.sort_unstable();
        Ok(rows.contiguous()?.index_select(&Tensor::new(order, &Device::Cpu)?, 0)?)
    }

    fn aim(&self, state: &State, length: f64) -> Aim {
        let strength = match self.settings.by {
            Kind::JumpRelu => JUMP,
            _ => state.numbers.get(CONTROLLED).copied().unwrap_or(STRENGTH),
        };
        Aim { kind: self.settings.by, active: self.settings.active, strength, bandwidth: BANDWIDTH * length }
    }

    /// Latents that have been silent for long.
    fn dead(&self, state: &State) -> Result<Vec<u32>> {
        let Some(silent) = state.tensors.get(SILENT) else { return Ok(vec![]) };
        let silent = silent.to_vec1::<f32>()?;
        let is_dead = |(_, rows): &(u32, f32)| f64::from(*rows) >= self.settings.dead_after;
        Ok((0..).zip(silent).filter(is_dead).map(|(latent, _)| latent).collect())
    }

    /// What a batch says, for the next.
    fn note(&self, found: &Found, rows: &Tensor, state: &mut State) -> Result<()> {
        let silent = state.tensors.get(SILENT).map(|silent| silent.to_vec1::<f32>()).transpose()?;
        let silent = silent.unwrap_or_else(|| vec![0.0; found.fired.len()]);
        let count = rows.dim(0)? as f32;
        let next =
            silent.iter().zip(&found.fired).map(|(silent, &fired)| if fired > 0.0 { 0.0 } else { silent + count });
        state
            .tensors
            .insert(SILENT.into(), Tensor::from_vec(next.collect::<Vec<f32>>(), found.fired.len(), &Device::Cpu)?);
        if matches!(self.settings.by, Kind::Relu | Kind::Gated) {
            let off = ((found.active + 1e-3) / self.settings.active).ln().clamp(-2.0, 2.0);
            let strength = state.numbers.entry(CONTROLLED.into()).or_insert(STRENGTH);
            *strength = (*strength * (GAIN * off).exp()).clamp(1e-9, 1e3);
        }
        if found.active > 0.0 {
            let least = state.numbers.entry(LEAST.into()).or_insert(found.least);
            *least = KEPT * *least + (1.0 - KEPT) * found.least;
        }
        Ok(())
    }

    /// Before the second step: what rows have in common is the decoder's, and thresholds have the rows' scale.
    fn center(&self, params: &mut Params, at: &At, state: &mut State) -> Result<()> {
        let (Some(mean), Some(length)) = (state.tensors.remove(MEAN), state.numbers.remove(LENGTH)) else {
            return Ok(());
        };
        state.restart_average = true;
        let weight = params.list()[at.encoder].value.to_device(&Device::Cpu)?.flatten_from(1)?;
        let pulled = weight.matmul(&mean.unsqueeze(1)?)?.squeeze(1)?.neg()?;
        params.set(at.bias, pulled)?;
        params.set(at.shift, mean)?;
        if let (Kind::JumpRelu | Kind::Gated, Some(threshold)) = (self.settings.by, at.threshold) {
            change(params, threshold, |theta| theta.fill((BANDWIDTH * length) as f32))?;
        }
        Ok(())
    }
}

impl Prior for CodeLoss {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn prepare(&self, _net: &mut Network, _scope: &Scope) -> Result<State> {
        let mut state = State::default();
        state.numbers.insert(STEPS.into(), 0.0);
        Ok(state)
    }

    fn taps(&self, net: &Network, _scope: &Scope) -> Vec<NodeId> {
        net.graph.id(&self.after).into_iter().collect()
    }

    fn penalty(&self, step: &Step<'_>, _scope: &Scope, state: &mut State) -> Result<Option<Term>> {
        let net = step.net;
        let steps = state.numbers.get(STEPS).copied().unwrap_or_default();
        let rows = Self::rows(step.tape.at(&net.graph, net.graph.id(&self.after)?)?, state.seed, steps as u64)?;
        let length = f64::from(rows.sqr()?.sum(1)?.sqrt()?.mean_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        let at = At::of(&net.params, &self.name)?;
        if steps == 0.0 {
            state.tensors.insert(MEAN.into(), rows.mean(0)?.to_dtype(DType::F32)?);
            state.numbers.insert(LENGTH.into(), length);
        }
        let dead = self.dead(state)?;
        // Of rows that are all alike nothing is to be told.
        let Some(found) = at.code(&net.params)?.loss(&rows, self.aim(state, length), &dead)? else { return Ok(None) };
        self.note(&found, &rows, state)?;
        let Code { encoder, bias, threshold, decoder, shift } = found.gradients;
        let list = net.params.list();
        let mut term = Term { value: found.loss, ..Term::default() };
        let all = [
            (Some(at.encoder), Some(encoder)),
            (Some(at.bias), Some(bias)),
            (at.threshold, threshold),
            (Some(at.decoder), Some(decoder)),
            (Some(at.shift), Some(shift)),
        ];
        for (position, gradient) in all {
            if let (Some(position), Some(gradient)) = (position, gradient) {
                let like = &list[position].value;
                term.params.push((position, gradient.reshape(like.dims())?.to_device(like.device())?));
            }
        }
        Ok(Some(term))
    }

    fn after_step(&self, params: &mut Params, _scope: &Scope, state: &mut State, _now: Now<'_>) -> Result<()> {
        let steps = state.numbers.get(STEPS).copied().unwrap_or_default();
        state.numbers.insert(STEPS.into(), steps + 1.0);
        let at = At::of(params, &self.name)?;
        self.center(params, &at, state)?;
        if let (Kind::BatchTopK, Some(&least), Some(threshold)) =
            (self.settings.by, state.numbers.get(LEAST), at.threshold)
        {
            change(params, threshold, |theta| theta.fill(least as f32))?;
        }
        Ok(())
    }

    /// Columns of the decoder have length 1: else a code would be small, and no sparser.
    fn enforce(&self, params: &mut Params, _scope: &Scope, _state: &State) -> Result<()> {
        let position = At::of(params, &self.name)?.decoder;
        let (channels, latents) = params.list()[position].value.dims4().map(|(d, m, ..)| (d, m))?;
        let own = values(params, position)?;
        let mut columns: Vec<f32> =
            (0..latents).flat_map(|m| own.iter().skip(m).step_by(latents).copied().collect::<Vec<_>>()).collect();
        columns.chunks_exact_mut(channels.max(1)).for_each(to_length_1);
        change(params, position, |w| {
            w.iter_mut().enumerate().for_each(|(at, w)| *w = columns[at % latents * channels + at / latents]);
        })
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        let sparse = Claim {
            quantity: Quantity::ZeroActivations,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: 1.0 - MARGIN * self.settings.active / self.latents as f64,
        };
        let explained = |bound: f64| Claim {
            quantity: Quantity::Unexplained,
            nodes: vec![self.after.clone(), format!("{}.decoder", self.name)],
            scope: format!("{} by {}", self.after, self.name),
            relation: Relation::AtMost,
            bound,
        };
        std::iter::once(sparse).chain(self.settings.unexplained.map(explained)).collect()
    }
}

#[cfg(test)]
mod tests {
    use interp_net::zoo::{Architecture, Vgg};

    use super::*;
    use crate::AdamW;

    fn settings(text: &str) -> SparseCode {
        toml::from_str(&format!("active = 4\n{text}")).unwrap()
    }

    fn site_of(settings: &SparseCode, after: &str) -> Result<Network> {
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 4).unwrap();
        let site = Site {
            graph: &graph,
            after: graph.id(after)?,
            name: "sae",
            classes: 4,
            class_names: &[],
            annotations: None,
        };
        let mut net = Network::new(settings.graph(&site)?, 1)?;
        settings.start(&mut net, "sae", 2)?;
        Ok(net)
    }

    #[test]
    fn the_encoder_begins_as_the_decoder_turned() {
        let net = site_of(&settings(""), "features.10").unwrap();
        let code = At::of(&net.params, "sae").unwrap().code(&net.params).unwrap();
        assert_eq!((code.encoder.dims(), code.decoder.dims()), (&[128, 32][..], &[32, 128][..]));
        let turned = code.decoder.t().unwrap().contiguous().unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(code.encoder.to_vec2::<f32>().unwrap(), turned);
        assert!(turned.iter().all(|row| (row.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-6));
    }

    #[test]
    fn columns_keep_length_1() {
        let settings = settings("");
        let mut net = site_of(&settings, "features.10").unwrap();
        let at = At::of(&net.params, "sae").unwrap();
        change(&mut net.params, at.decoder, |w| w.iter_mut().enumerate().for_each(|(i, w)| *w *= 1.0 + (i % 7) as f32))
            .unwrap();
        let prior = CodeLoss { name: "sae".into(), after: "features.10".into(), latents: 128, settings };
        let scope = Scope::new(&net, &["sae.code".into()], &[]).unwrap();
        prior.enforce(&mut net.params, &scope, &State::default()).unwrap();
        let columns =
            at.code(&net.params).unwrap().decoder.t().unwrap().contiguous().unwrap().to_vec2::<f32>().unwrap();
        assert!(columns.iter().all(|row| (row.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-6));
        let bound = prior.claims(&scope)[0].bound;
        assert!((bound - (1.0 - 4.4 / 128.0)).abs() < 1e-12, "{bound}");
    }

    #[test]
    fn what_makes_no_code_is_refused() {
        for (text, key) in [
            ("by = \"top_k\"\nactive = 2.5", "active"),
            ("expansion = 0", "expansion"),
            ("dead_after = 0", "dead_after"),
            ("unexplained = 1.0", "unexplained"),
        ] {
            let text = if text.contains("active") { text.to_owned() } else { format!("active = 4\n{text}") };
            assert_eq!(toml::from_str::<SparseCode>(&text).unwrap().check().unwrap_err().key, key);
        }
        let refused = |text: &str, after: &str| site_of(&toml::from_str(text).unwrap(), after).unwrap_err().to_string();
        assert!(refused("active = 4", "avgpool").contains("no maps"));
        assert!(refused("active = 128", "features.10").contains("no sparse code"), "as many as there are");
    }

    /// Rows that are sums of 2 of 32 directions in 16 channels, each 0.5 to 1.5 times.
    fn planted(directions: &[Vec<f32>], step: u64) -> Tensor {
        let mut random = stream(3, "planted", step, 0);
        let mut rows = vec![];
        for _ in 0..512 {
            let mut order: Vec<usize> = (0..directions.len()).collect();
            shuffle(&mut random, &mut order);
            let mut row = vec![0f32; 16];
            for &direction in &order[..2] {
                let size = rand::Rng::random_range(&mut random, 0.5f32..1.5);
                row.iter_mut().zip(&directions[direction]).for_each(|(x, d)| *x += size * d);
            }
            rows.extend(row);
        }
        Tensor::from_vec(rows, (512, 16), &Device::Cpu).unwrap()
    }

    /// Trains a code of the kind on planted rows; gives the mean over directions of the largest cosine with a column of the decoder, and the active latents.
    fn recovered(by: Kind) -> (f64, f64) {
        let mut random = stream(7, "directions", 0, 0);
        let directions: Vec<Vec<f32>> = (0..32)
            .map(|_| {
                let mut row: Vec<f32> = (0..16).map(|_| StandardNormal.sample(&mut random)).collect();
                to_length_1(&mut row);
                row
            })
            .collect();
        let mut graph = Graph::new(16, 32, 16).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let settings = SparseCode { by, expansion: 4, active: 2.0, dead_after: 20_000.0, unexplained: None };
        let site = Site { graph: &graph, after: 0, name: "sae", classes: 16, class_names: &[], annotations: None };
        let mut net = Network::new(settings.graph(&site).unwrap(), 1).unwrap();
        settings.start(&mut net, "sae", 2).unwrap();
        let prior = CodeLoss { name: "sae".into(), after: "input".into(), latents: 64, settings };
        let scope = Scope::new(&net, &["sae.code".into()], &[]).unwrap();
        let mut state = prior.prepare(&mut net.clone(), &scope).unwrap();
        let adam = crate::Optimizer::AdamW(AdamW { weight_decay: 0.0, ..AdamW::default() });
        let mut buffers: Vec<Vec<Vec<f32>>> =
            net.params.list().iter().map(|p| vec![vec![0.0; p.value.elem_count()]; adam.buffers().len()]).collect();
        let (steps, mut active) = (1500, 0.0);
        for step in 0..steps {
            let maps = planted(&directions, step).reshape((1, 32, 16, 16)).unwrap().permute((0, 3, 1, 2)).unwrap();
            let batch = interp_data::Batch { images: vec![], labels: vec![0], indices: vec![0], masks: None };
            let tape = net.forward(&maps, interp_net::Mode::Eval, &interp_net::Keep::Backward(vec![0])).unwrap();
            let now = Now { rates: &[], progress: 0.5 };
            let term = prior
                .penalty(&Step { net: &net, tape: &tape, batch: &batch, now }, &scope, &mut state)
                .unwrap()
                .unwrap();
            let rate = 0.01 * (1.0 - step as f64 / steps as f64);
            for (position, gradient) in term.params {
                let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
                change(&mut net.params, position, |w| {
                    adam.step(w, &gradient, &mut buffers[position], rate, 0.0, step + 1)
                })
                .unwrap();
            }
            prior.enforce(&mut net.params, &scope, &state).unwrap();
            prior.after_step(&mut net.params, &scope, &mut state, now).unwrap();
            let told = net.forward(&maps, interp_net::Mode::Eval, &interp_net::Keep::All).unwrap();
            let latents = told.get(&net.graph, "sae.code").unwrap();
            active = f64::from(
                latents.ne(0f32).unwrap().to_dtype(DType::F32).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap(),
            ) / 512.0;
        }
        let decoder = At::of(&net.params, "sae").unwrap().code(&net.params).unwrap().decoder;
        let columns = decoder.t().unwrap().contiguous().unwrap().to_vec2::<f32>().unwrap();
        let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let best =
            |direction: &Vec<f32>| columns.iter().map(|column| cosine(direction, column)).fold(f64::MIN, f64::max);
        (directions.iter().map(best).sum::<f64>() / 32.0, active)
    }

    // A planted dictionary of 32 directions in 16 channels, 2 at a time, is found by 64 latents with a mean cosine above 0.95; and as saved, about 2
    // are active.
    #[test]
    fn planted_directions_are_found() {
        for by in [Kind::TopK, Kind::BatchTopK, Kind::JumpRelu, Kind::Gated, Kind::Relu] {
            let (cosine, active) = recovered(by);
            println!("{by:?}: mean cosine {cosine:.3}, {active:.2} active");
            // L1 draws directions that go together into one.
            assert!(cosine > if by == Kind::Relu { 0.9 } else { 0.95 }, "{by:?}: {cosine}");
            assert!((1.75..2.25).contains(&active), "{by:?}: {active} active");
        }
    }
}
