//! Concept bottlenecks: classes are decided by concepts, and by nothing else.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::Annotations;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::ops::scalars::{logistic, softplus};
use interp_net::ops::{self, Targets};
use interp_net::{Graph, Network, NodeId, Op, Role, SURE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Companion, Insertion, Site, strength};
use crate::Result;
use crate::prior::{Prior, Scope, State, Step, Term, change};

/// Everything behind the node is replaced: concepts that the data know of pictures are told from it, and classes from these alone (Koh et al.
/// 2020, arXiv 2007.04612). Maps are averaged first.
///
/// Nodes: `NAME.logits` (K), a linear map; `NAME` (K), what `units` makes of it, unless that is the logits; `NAME.classes`, a linear map. To the loss comes
/// `strength` times the mean over concepts and pictures of their binary cross-entropy; a picture whose factor is not known does not count.
/// With `balanced`, the pictures that show a concept count together as much as those that do not.
///
/// With an additive `head`, `logit_k = b_k + sum over concepts j of f_jk(unit_j)`: each concept has a shape function for each class, in place of a weight (a
/// neural additive model, Agarwal et al. 2021, arXiv 2004.13912, eq. 1, with one hidden layer). All nodes are then maps of one cell, and between `NAME` and `NAME.classes` are
/// `NAME.hidden`, a grouped convolution by which each concept has `hidden` units of its own, and `NAME.relu`. The units' kinks begin at even
/// distances. `interp-audit concepts` draws the functions.
///
/// Training is joint as it stands. It is sequential with a phase of `label_weight = 0`, and one in which all but `NAME.classes` is frozen;
/// independent with `classes_from = "truth"` and `label_weight = 0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConceptBottleneck {
    /// The concepts: factors of the data that have names (`hue`: all values of it), and single values (`hue/red`).
    pub concepts: Vec<String>,
    /// What classes are told from.
    #[serde(default)]
    pub units: Units,
    /// How classes are told from them.
    #[serde(default)]
    pub head: Head,
    /// Of an additive head: hidden units of each concept.
    #[serde(default = "hidden")]
    pub hidden: usize,
    /// Weight of the concepts' loss.
    #[serde(default = "one")]
    pub strength: f64,
    /// Whether rare concepts count as much as frequent ones.
    #[serde(default)]
    pub balanced: bool,
    /// What the last layer learns from, beside the labels.
    #[serde(default)]
    pub classes_from: Taught,
    /// Share of the pictures of which a concept is told rightly, a mean over concepts of the mean over pictures that show it and over those that do
    /// not, to claim; none is claimed where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

fn one() -> f64 {
    1.0
}

fn hidden() -> usize {
    8
}

/// How classes are told from concepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// A weight for each concept and class.
    #[default]
    Linear,
    /// A function of each concept for each class.
    Additive,
}

/// What classes are told from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Units {
    /// Probabilities of concepts.
    #[default]
    Soft,
    /// 1 for concepts that are more likely than not, and 0 for the others: nothing else can come through. The labels teach the last layer alone.
    Hard,
    /// Logits of concepts.
    Logits,
}

/// What the last layer learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Taught {
    /// What the network says of concepts, by the labels' loss.
    #[default]
    Predictions,
    /// Besides, by cross-entropy, what is true of them.
    Truth,
}

pub(super) const ENTRY: Entry<dyn Insertion> = Entry {
    name: "concept_bottleneck",
    summary: "classes decided by concepts that the data know, and by nothing else",
    example: "kind = \"concept_bottleneck\"\nafter = \"avgpool\"\nconcepts = [\"shape\", \"hue\", \"texture\"]\n",
    build: |section| build(section, |settings: ConceptBottleneck| Box::new(settings)),
    schema: || schemars::schema_for!(ConceptBottleneck),
};

impl Insertion for ConceptBottleneck {
    fn concepts(&self) -> &[String] {
        &self.concepts
    }

    fn check(&self) -> Result<(), Unfit> {
        Unfit::unless(!self.concepts.is_empty(), "concepts", "needs at least one, such as \"hue\"")?;
        let target = self.target.unwrap_or(0.5);
        Unfit::unless(target > 0.0 && target <= 1.0, "target", format!("must be above 0 and up to 1, not {target}"))?;
        let additive = self.head == Head::Additive;
        let hidden = (1..=256).contains(&self.hidden);
        Unfit::unless(hidden, "hidden", format!("must be between 1 and 256, not {}", self.hidden))?;
        let by_truth = additive && self.classes_from == Taught::Truth;
        Unfit::unless(!by_truth, "classes_from", "must be \"predictions\" where the head is additive")?;
        strength("strength", self.strength)
    }

    fn graph(&self, site: &Site<'_>) -> Result<Graph> {
        let &Site { graph, after, name, classes, annotations, .. } = site;
        let names = annotations.map(|known| known.names().to_vec()).unwrap_or_default();
        let (is_map, additive, concepts) = (graph.shape(after).len() == 3, self.head == Head::Additive, names.len());
        if additive && !is_map {
            let problem = format!("`{}` gives no maps, which an additive head needs", graph.nodes()[after].name);
            return Err(Unfit::new("after", problem).into());
        }
        Ok(graph.ended(after, |graph, after| {
            if is_map {
                let mean = if additive { Op::AdaptiveAvgPool { size: [1; 2] } } else { Op::GlobalAvgPool };
                graph.add(format!("{name}.mean"), mean, &[after])?;
            }
            let logits = match self.head {
                Head::Linear => Op::Linear { out_features: concepts, bias: true },
                Head::Additive => Op::conv(concepts, 1, 1, 0, true),
            };
            match self.units {
                Units::Soft | Units::Hard => {
                    graph.then(format!("{name}.logits"), logits)?;
                    let op = if self.units == Units::Soft { Op::Sigmoid } else { Op::Step };
                    graph.then_named(name, op, names)?;
                }
                Units::Logits => {
                    graph.then_named(format!("{name}.logits"), logits, names)?;
                }
            }
            if additive {
                graph.then(format!("{name}.hidden"), own_units(concepts, self.hidden))?;
                graph.then(format!("{name}.relu"), Op::Relu)?;
            }
            graph.then(format!("{name}.classes"), Op::Linear { out_features: classes, bias: true }).map(|_| ())
        })?)
    }

    /// Of an additive head, units of a concept rise from a kink on or fall to it, in turns, with kinks at even distances over what the concept's unit can say.
    fn start(&self, net: &mut Network, name: &str, _seed: u64) -> Result<()> {
        if self.head == Head::Linear {
            return Ok(());
        }
        let [low, high] = if self.units == Units::Logits { [-4.0, 4.0] } else { [0.0, 1.0] };
        let id = net.graph.id(&format!("{name}.hidden"))?;
        let kink = |unit: usize| low + (high - low) * (unit / 2) as f32 / self.hidden.div_ceil(2) as f32;
        let value = |role: Role, unit: usize| match (role, unit.is_multiple_of(2)) {
            (Role::Weight, rises) => {
                if rises {
                    1.0
                } else {
                    -1.0
                }
            }
            (_, true) => -kink(unit),
            (_, false) => low + high - kink(unit),
        };
        for role in [Role::Weight, Role::Bias] {
            if let Some(position) = net.params.position(id, role) {
                change(&mut net.params, position, |w| {
                    w.iter_mut().enumerate().for_each(|(at, w)| *w = value(role, at % self.hidden));
                })?;
            }
        }
        Ok(())
    }

    fn companion(&self, site: &Site<'_>) -> Option<Companion> {
        let known = Arc::clone(site.annotations?);
        let weights = weights(&known, self.balanced);
        let prior = ConceptLoss { name: site.name.to_owned(), settings: self.clone(), known, weights };
        let taught = (self.classes_from == Taught::Truth).then_some("classes");
        let nodes = ["logits"].into_iter().chain(taught).map(|part| format!("{}.{part}", site.name)).collect();
        Some(Companion { prior: Box::new(prior), nodes })
    }
}

/// A convolution of a cell by which each channel has units of its own.
fn own_units(channels: usize, units: usize) -> Op {
    Op::Conv2d {
        out_channels: channels * units,
        kernel: [1; 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: channels,
        bias: true,
    }
}

/// Of each concept what a picture counts that shows it, and one that does not.
fn weights(known: &Annotations, balanced: bool) -> Vec<[f64; 2]> {
    let count = known.names().len();
    let mut shown = vec![[0.0f64; 2]; count];
    for row in known.rows() {
        for (counts, value) in shown.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
            counts[usize::from(*value == 0.0)] += 1.0;
        }
    }
    let weights = |[yes, no]: [f64; 2]| {
        let share = |own: f64| if own > 0.0 { (yes + no) / (2.0 * own) } else { 0.0 };
        if balanced { [share(yes), share(no)] } else { [1.0; 2] }
    };
    shown.into_iter().map(weights).collect()
}

/// The loss of concepts.
struct ConceptLoss {
    /// The layer's name.
    name: String,
    settings: ConceptBottleneck,
    known: Arc<Annotations>,
    weights: Vec<[f64; 2]>,
}

impl ConceptLoss {
    /// The node of logits.
    fn logits(&self) -> String {
        format!("{}.logits", self.name)
    }

    /// The mean loss of concepts, and its gradient by their logits (N, K): `w (sigmoid(z) - c)` of those that are known, over their number.
    fn loss(&self, logits: &[Vec<f64>], rows: &[&[f32]]) -> (f64, Vec<f64>) {
        let known = rows.iter().flat_map(|row| row.iter()).filter(|value| !value.is_nan()).count().max(1) as f64;
        let (mut loss, mut gradient) = (0.0, vec![]);
        for (logits, row) in logits.iter().zip(rows) {
            for ((&z, &value), weights) in logits.iter().zip(*row).zip(&self.weights) {
                if value.is_nan() {
                    gradient.push(0.0);
                    continue;
                }
                let truth = f64::from(value);
                let weight = weights[usize::from(value == 0.0)] / known;
                loss += weight * (softplus(z) - z * truth);
                gradient.push(weight * (logistic(z) - truth));
            }
        }
        (loss, gradient)
    }

    /// The cross-entropy of the classes that the last layer tells from what is true of concepts, and its gradients by weights and bias.
    fn of_truth(&self, step: &Step<'_>, rows: &[&[f32]], logits: &[Vec<f64>]) -> Result<Term> {
        let net = step.net;
        let head = net.graph.id(&format!("{}.classes", self.name))?;
        // What is not known is taken from the network.
        let value = |(row, logits): (&&[f32], &Vec<f64>)| {
            let told = |(&value, &z): (&f32, &f64)| if value.is_nan() { self.unit(z) } else { self.of_concept(value) };
            row.iter().zip(logits).map(told).collect::<Vec<f32>>()
        };
        let concepts: Vec<f32> = rows.iter().zip(logits).flat_map(value).collect();
        let concepts = Tensor::from_vec(concepts, (rows.len(), self.weights.len()), &Device::Cpu)?;
        let mut term = Term::default();
        let Some(weight) = net.params.position(head, Role::Weight) else { return Ok(term) };
        let bias = net.params.position(head, Role::Bias);
        let values = &net.params.list()[weight].value.to_device(&Device::Cpu)?;
        let added = bias.map(|bias| net.params.list()[bias].value.to_device(&Device::Cpu)).transpose()?;
        let found = ops::linear(&concepts, values, added.as_ref())?;
        let loss = ops::cross_entropy(&found, Targets::Classes(&step.batch.labels), 0.0, None)?;
        let wanted = ops::Wanted { input: false, weight: true, bias: bias.is_some() };
        let grads = ops::linear_backward(&concepts, values, &loss.grad, wanted)?;
        term.value = loss.loss;
        let device = net.device();
        for (position, gradient) in [(Some(weight), grads.weight), (bias, grads.bias)] {
            if let (Some(position), Some(gradient)) = (position, gradient) {
                term.params.push((position, gradient.to_device(&device)?));
            }
        }
        Ok(term)
    }

    /// What the layer makes of a logit.
    fn unit(&self, z: f64) -> f32 {
        match self.settings.units {
            Units::Soft => logistic(z) as f32,
            Units::Hard => f32::from(u8::from(z > 0.0)),
            Units::Logits => z as f32,
        }
    }

    /// What the layer would say if it were sure.
    fn of_concept(&self, value: f32) -> f32 {
        if self.settings.units == Units::Logits { (SURE as f32) * (2.0 * value - 1.0) } else { value }
    }
}

impl Prior for ConceptLoss {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn taps(&self, net: &Network, _scope: &Scope) -> Vec<NodeId> {
        net.graph.id(&self.logits()).into_iter().collect()
    }

    fn penalty(&self, step: &Step<'_>, _scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let rows: Vec<&[f32]> = step.batch.indices.iter().map(|&index| self.known.row(index)).collect();
        let id = step.net.graph.id(&self.logits())?;
        let at = step.tape.at(&step.net.graph, id)?;
        let logits =
            at.to_device(&Device::Cpu)?.to_dtype(candle_core::DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
        let (loss, gradient) = self.loss(&logits, &rows);
        let scaled: Vec<f64> = gradient.into_iter().map(|g| self.settings.strength * g).collect();
        let seed = Tensor::from_vec(scaled, at.dims(), &Device::Cpu)?.to_dtype(at.dtype())?;
        let mut term = if self.settings.classes_from == Taught::Truth {
            self.of_truth(step, &rows, &logits)?
        } else {
            Term::default()
        };
        term.value += self.settings.strength * loss;
        term.nodes.push((id, seed.to_device(at.device())?));
        Ok(Some(term))
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        let claim = |bound: f64| Claim {
            quantity: Quantity::ConceptAccuracy,
            nodes: vec![if self.settings.units == Units::Logits { self.logits() } else { self.name.clone() }],
            scope: self.name.clone(),
            relation: Relation::AtLeast,
            bound,
        };
        self.settings.target.map(claim).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use interp_data::{Batch, Dataset, Factor, Info, Split};
    use interp_net::zoo::{Architecture, Vgg};
    use interp_net::{Keep, Mode};

    use super::*;
    use crate::prior::Now;

    /// Four pictures: red dots, blue dots, red, of which the texture is not known, and red stripes.
    struct Four(Info);

    impl Dataset for Four {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, split: Split) -> usize {
            if split == Split::Train { 4 } else { 0 }
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, _: usize, _: &mut [f32]) -> interp_data::Result<()> {
            Ok(())
        }

        fn factors(&self, _: Split, index: usize) -> interp_data::Result<Vec<(&'static str, Factor)>> {
            let name = |word: &str| Factor::Name(word.into());
            let mut all = vec![("hue", name(["red", "blue", "red", "red"][index]))];
            if index != 2 {
                all.push(("texture", name(["dots", "dots", "", "stripes"][index])));
            }
            Ok(all)
        }
    }

    fn known() -> Arc<Annotations> {
        let (mean, std, classes) = (vec![0.0], vec![1.0], vec!["a".into(); 3]);
        let data = Four(Info { name: "four".into(), classes, channels: 1, height: 1, width: 1, mean, std });
        Arc::new(Annotations::of(&data, Split::Train, &["hue".into(), "texture/dots".into()]).unwrap())
    }

    fn settings(text: &str) -> ConceptBottleneck {
        toml::from_str(&format!("concepts = [\"hue\", \"texture/dots\"]\n{text}")).unwrap()
    }

    fn loss(text: &str) -> ConceptLoss {
        let (settings, known) = (settings(text), known());
        let weights = weights(&known, settings.balanced);
        ConceptLoss { name: "concepts".into(), settings, known, weights }
    }

    fn rows(known: &Annotations) -> Vec<&[f32]> {
        known.rows().collect()
    }

    // With logits of 0 every known concept costs ln 2, whatever it is, and pulls by 1/2 over their number, 11.
    #[test]
    fn a_layer_that_says_nothing_costs_ln_2() {
        let loss = loss("");
        let known = Arc::clone(&loss.known);
        let (value, gradient) = loss.loss(&vec![vec![0.0; 3]; 4], &rows(&known));
        assert!((value - 2f64.ln()).abs() < 1e-12, "{value}");
        let half = 0.5 / 11.0;
        // Blue is first, then red, then dots.
        let expected = [half, -half, -half, -half, half, -half, half, -half, 0.0, half, -half, half];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{gradient:?}");
    }

    // Of four pictures one is blue: it counts 4 / 2, and each of the others 4 / 6.
    #[test]
    fn rare_concepts_count_as_much_as_frequent_ones() {
        let weights = weights(&known(), true);
        assert_eq!(weights[0], [2.0, 4.0 / 6.0]);
        assert_eq!(weights[1], [4.0 / 6.0, 2.0]);
        assert_eq!(weights[2], [3.0 / 4.0, 3.0 / 2.0], "the third picture does not count");
    }

    #[test]
    fn gradients_are_central_differences() {
        for text in ["", "balanced = true"] {
            let loss = loss(text);
            let known = Arc::clone(&loss.known);
            let logits: Vec<Vec<f64>> =
                (0..4).map(|n| (0..3).map(|k| 2.0 * ((3 * n + k) as f64 * 1.7).sin()).collect()).collect();
            let (_, gradient) = loss.loss(&logits, &rows(&known));
            for (at, found) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = logits.clone();
                    moved[at / 3][at % 3] += by;
                    loss.loss(&moved, &rows(&known)).0
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - slope).abs() < 1e-9, "{text} {at}: {found}, not {slope}");
            }
        }
    }

    fn network(text: &str) -> (Network, ConceptBottleneck, Arc<Annotations>) {
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 3).unwrap();
        let (settings, known) = (settings(text), known());
        let after = graph.id("features.18").unwrap();
        let site =
            Site { graph: &graph, after, name: "concepts", classes: 3, class_names: &[], annotations: Some(&known) };
        (Network::new(settings.graph(&site).unwrap(), 1).unwrap(), settings, known)
    }

    #[test]
    fn classes_see_concepts_alone() {
        for (units, last) in
            [("soft", Op::Sigmoid), ("hard", Op::Step), ("logits", Op::Linear { out_features: 3, bias: true })]
        {
            let (net, ..) = network(&format!("units = \"{units}\""));
            let node = net.graph.id(if units == "logits" { "concepts.logits" } else { "concepts" }).unwrap();
            let layer = &net.graph.nodes()[node];
            assert_eq!(
                (&layer.op, layer.units.as_slice()),
                (&last, &["hue/blue", "hue/red", "texture/dots"].map(String::from)[..])
            );
            let head = net.graph.id("concepts.classes").unwrap();
            assert_eq!((head, net.graph.nodes()[head].inputs.as_slice()), (net.graph.output(), &[node][..]));
            assert!(
                net.graph.id("classifier").is_err() && net.graph.id("features.19").is_err(),
                "what came behind is gone"
            );
        }
    }

    /// What truth teaches the last layer, held against differences of its loss.
    #[test]
    fn truth_teaches_the_last_layer() {
        let (mut net, settings, known) = network("classes_from = \"truth\"\nstrength = 0");
        let weights = weights(&known, false);
        let prior = ConceptLoss { name: "concepts".into(), settings, known, weights };
        let scope = Scope::of_prior(&net, &["concepts.logits".into()], &prior).unwrap();
        let x = Tensor::arange(0f32, 9216.0, &Device::Cpu).unwrap().sin().unwrap().reshape((3, 3, 32, 32)).unwrap();
        let batch = Batch { images: vec![], labels: vec![1, 0, 2], indices: vec![0, 1, 3], masks: None };
        let term = |net: &Network| {
            let tape = net.forward(&x, Mode::Eval, &Keep::Backward(prior.taps(net, &scope))).unwrap();
            let step = Step { net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
            prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap()
        };
        for (position, gradient) in term(&net).params {
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            for (at, found) in gradient.into_iter().enumerate() {
                let mut moved = |by: f32| {
                    crate::prior::change(&mut net.params, position, |w| w[at] += by).unwrap();
                    let value = term(&net).value;
                    crate::prior::change(&mut net.params, position, |w| w[at] -= by).unwrap();
                    value
                };
                let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((f64::from(found) - slope).abs() < 1e-3, "{position} {at}: {found}, not {slope}");
            }
        }
        assert_eq!(term(&net).params.len(), 2);
    }

    /// Four units: kinks at 0 and 1/2 of those that rise, at 1 and 1/2 of those that fall.
    #[test]
    fn kinks_of_an_additive_head_are_spread() {
        let settings = settings("head = \"additive\"\nhidden = 4");
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 4).unwrap();
        let after = graph.id("features.19").unwrap();
        let known = known();
        let site =
            Site { graph: &graph, after, name: "concepts", classes: 4, class_names: &[], annotations: Some(&known) };
        let mut net = Network::new(settings.graph(&site).unwrap(), 0).unwrap();
        settings.start(&mut net, "concepts", 0).unwrap();
        let hidden = net.graph.id("concepts.hidden").unwrap();
        let numbers = |role: Role| -> Vec<f32> {
            net.params.find(hidden, role).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(numbers(Role::Weight), [1.0, -1.0, 1.0, -1.0].repeat(3));
        assert_eq!(numbers(Role::Bias), [0.0, 1.0, -0.5, 0.5].repeat(3));
        assert_eq!(net.graph.shape(net.graph.id("concepts").unwrap()), [3, 1, 1]);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        assert!(settings("target = 0.9").check().is_ok());
        for (text, key) in [("strength = -1", "strength"), ("target = 1.5", "target"), ("hidden = 0", "hidden")] {
            assert_eq!(settings(text).check().unwrap_err().key, key);
        }
        let by_truth = settings("head = \"additive\"\nclasses_from = \"truth\"");
        assert_eq!(by_truth.check().unwrap_err().key, "classes_from");
        let none = ConceptBottleneck { concepts: vec![], ..settings("") };
        assert_eq!(none.check().unwrap_err().key, "concepts");
    }
}
