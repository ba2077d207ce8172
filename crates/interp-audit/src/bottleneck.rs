//! Layers whose channels stand for concepts: how well they tell them, what classes owe to them, and what comes through besides.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use interp_data::Annotations;
use interp_net::finding::mean_interval;
use interp_net::ops::scalars::largest;
use interp_net::{Keep, Mode, Network, NodeId, Op, SURE};

use crate::pass::{Observer, Pass, Sample, finite_rows, rows};
use crate::pictures::{Gauge, Pictures};
use crate::shapes::{Shapes, shapes};
use crate::{AuditError, Result};

/// Above what number a channel that stands for a concept says that it is there.
fn limit(net: &Network, node: NodeId) -> f64 {
    if matches!(net.graph.nodes()[node].op, Op::Sigmoid | Op::Step) { 0.5 } else { 0.0 }
}

/// Of one concept how often it was told rightly: of pictures that do not show it, and of those that do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Pictures rightly told, and all, of those that do not show it.
    pub absent: [usize; 2],
    /// The same of those that do.
    pub shown: [usize; 2],
}

impl Told {
    fn note(&mut self, says: bool, truth: f32) {
        // What is not known of a picture does not count.
        let of = match truth {
            1.0 => &mut self.shown,
            0.0 => &mut self.absent,
            _ => return,
        };
        of[0] += usize::from(says == (truth == 1.0));
        of[1] += 1;
    }

    /// The mean of the two shares, in [0, 1]: 1/2 where nothing is told. `None` where pictures of one kind are missing.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let share = |[right, all]: [usize; 2]| (all > 0).then(|| right as f64 / all as f64);
        Some((share(self.absent)? + share(self.shown)?) / 2.0)
    }
}

/// How often nodes tell their concepts rightly.
pub(crate) struct ConceptHits(Vec<Layer>);

struct Layer {
    node: NodeId,
    known: Annotations,
    limit: f64,
    told: Vec<Told>,
}

impl ConceptHits {
    /// Nothing seen yet, for those of the nodes whose channels stand for concepts.
    pub(crate) fn of(net: &Network, pictures: &Pictures, nodes: &[NodeId]) -> Result<Self> {
        let named = nodes.iter().filter(|&&node| !net.graph.nodes()[node].units.is_empty());
        let layer = |&node: &NodeId| {
            let units = &net.graph.nodes()[node].units;
            let known = Annotations::named(&*pictures.data, pictures.split, units)?;
            Ok(Layer { node, known, limit: limit(net, node), told: vec![Told::default(); units.len()] })
        };
        Ok(Self(named.map(layer).collect::<Result<_>>()?))
    }
}

impl Observer for ConceptHits {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|layer| layer.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for layer in &mut self.0 {
            let rows = rows(sample.tape.at(&net.graph, layer.node)?)?;
            for (row, &index) in rows.iter().zip(&sample.batch.indices) {
                let told = layer.told.iter_mut().zip(row).zip(layer.known.row(index));
                told.for_each(|((told, &value), &truth)| told.note(value > layer.limit, truth));
            }
        }
        Ok(())
    }
}

impl Gauge for ConceptHits {
    fn value(&self) -> Option<f64> {
        let told = self.0.iter().flat_map(|layer| &layer.told);
        let found: Vec<f64> = told.filter_map(Told::balanced_accuracy).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// What a layer of concepts does in a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Bottleneck {
    /// Name of the node.
    pub node: String,
    /// The concepts, by channel.
    pub names: Vec<String>,
    /// The factor that each is a value of, counted from 0.
    pub groups: Vec<usize>,
    /// How well each is told.
    pub told: Vec<Told>,
    /// Picture by picture, whether the class is right.
    pub right: Vec<bool>,
    /// The same with what the layer says made certain: 0 or 1.
    pub hardened: Vec<bool>,
    /// The same with what is true in place of what the layer says, of the concepts of each group alone.
    pub group_given: Vec<Vec<bool>>,
    /// The same of more and more groups: none, the one that gives most alone, then the next.
    pub given: Vec<Vec<bool>>,
    /// The order in which groups are given.
    pub order: Vec<usize>,
    /// Whether some concept of the picture is told wrongly.
    pub mistaken: Vec<bool>,
    /// Whether the class is right that most pictures of another split with the same true concepts have: what concepts say of the class, by counting. `None`
    /// where no picture there has these concepts.
    pub by_concepts: Vec<Option<bool>>,
    /// The share of the most frequent class.
    pub most_frequent: f64,
    /// What each concept adds to each logit.
    pub shapes: Shapes,
}

/// The share of pictures for which it is so.
pub fn share(of: &[bool]) -> f64 {
    of.iter().filter(|is| **is).count() as f64 / of.len().max(1) as f64
}

/// The mean difference of two shares over the same pictures, with its 95 % interval (a bootstrap over pictures).
pub fn difference(more: &[bool], less: &[bool]) -> (f64, [f64; 2]) {
    let one = |is: bool| f64::from(u8::from(is));
    let differences: Vec<f64> = more.iter().zip(less).map(|(&a, &b)| one(a) - one(b)).collect();
    (differences.iter().sum::<f64>() / differences.len().max(1) as f64, mean_interval(&differences))
}

impl Bottleneck {
    /// How much more often the network is right than concepts can say: what comes through besides (Mahinpei et al. 2021, arXiv 2106.13314), over the
    /// pictures whose concepts another split has. A network leaks whose interval lies above 0. Where concepts say everything, nothing can.
    pub fn leak(&self) -> (f64, [f64; 2]) {
        let told = self.right.iter().zip(&self.by_concepts).filter_map(|(&right, by)| Some((right, (*by)?)));
        let (right, by): (Vec<bool>, Vec<bool>) = told.unzip();
        difference(&right, &by)
    }

    /// How much more often the network is right by how likely it says concepts to be than by 0 and 1.
    pub fn softness(&self) -> (f64, [f64; 2]) {
        difference(&self.right, &self.hardened)
    }

    /// Of pictures whose concepts another split has, the share whose class concepts say.
    pub fn told_by_concepts(&self) -> f64 {
        share(&self.by_concepts.iter().flatten().copied().collect::<Vec<_>>())
    }

    /// What concepts say of classes beyond naming the most frequent one: 0 where nothing, 1 where everything.
    pub fn completeness(&self) -> f64 {
        (self.told_by_concepts() - self.most_frequent) / (1.0 - self.most_frequent).max(f64::MIN_POSITIVE)
    }
}

/// The node whose numbers, one for each picture, stand for concepts, if there is one.
pub fn layer_of(net: &Network) -> Option<NodeId> {
    let is_cell = |id: NodeId| net.graph.shape(id).iter().skip(1).all(|&side| side == 1);
    let names = |id: NodeId| net.graph.nodes()[id].units.as_slice();
    // Where some channels stand for nothing, no class is decided by concepts alone; prototypes have names too, and are none.
    let prototypes = crate::prototypes::Layer::of(&net.graph).map(|layer| layer.values);
    let are_concepts = |names: &[String]| !names.is_empty() && names.iter().all(|name| name.contains('/'));
    let is_layer = |id: &NodeId| is_cell(*id) && are_concepts(names(*id)) && Some(*id) != prototypes;
    (0..net.graph.nodes().len()).find(is_layer)
}

/// What the network makes of the pictures, and would make of them if it knew some of the concepts (Koh et al. 2020, arXiv 2007.04612, section 4.3). What
/// concepts say of classes is counted on `others`, which must be other pictures.
///
/// # Errors
/// [`AuditError::NoBottleneck`], and where pictures cannot be had, nothing is known of them, or a number is not finite.
pub fn bottleneck(net: &Network, pictures: &Pictures, others: &Pictures) -> Result<Bottleneck> {
    let node = layer_of(net).ok_or(AuditError::NoBottleneck)?;
    let names = net.graph.nodes()[node].units.clone();
    let known = Annotations::named(&*pictures.data, pictures.split, &names)?;
    if known.rows().all(|row| row.iter().all(|value| value.is_nan())) {
        return Err(AuditError::NoFactors(pictures.data.info().name.clone()));
    }
    let (mut said, mut right, mut labels) = (vec![], vec![], vec![]);
    let keep = Keep::nodes([net.graph.nodes()[node].name.as_str()]);
    Pass::keeping(keep).over(net, pictures, |sample| {
        said.extend(finite_rows(net, node, sample.tape.at(&net.graph, node)?)?);
        let logits = finite_rows(net, net.graph.output(), sample.tape.output(&net.graph)?)?;
        let of_batch = sample.batch.labels.iter().map(|&label| label as usize);
        right.extend(logits.iter().zip(of_batch.clone()).map(|(row, label)| largest(row) == label));
        labels.extend(of_batch);
        Ok(())
    })?;
    let asked = Asked { net, node, labels: &labels, limit: limit(net, node) };
    let truth: Vec<&[f32]> = known.rows().collect();
    let groups = known.groups();
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let group_given: Vec<Vec<bool>> = (0..count)
        .map(|group| asked.right(&asked.given(&said, &truth, |at| groups[at] == group)))
        .collect::<Result<_>>()?;
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| share(&group_given[b]).total_cmp(&share(&group_given[a])).then(a.cmp(&b)));
    let given = (0..=count).map(|first| {
        let chosen = &order[..first];
        asked.right(&asked.given(&said, &truth, |at| chosen.contains(&groups[at])))
    });
    let mut told = vec![Told::default(); names.len()];
    let mut mistaken = vec![];
    for (row, truth) in said.iter().zip(&truth) {
        let says = |at: usize| row[at] > asked.limit;
        (0..names.len()).for_each(|at| told[at].note(says(at), truth[at]));
        mistaken.push((0..names.len()).any(|at| !truth[at].is_nan() && says(at) != (truth[at] == 1.0)));
    }
    Ok(Bottleneck {
        node: net.graph.nodes()[node].name.clone(),
        given: given.collect::<Result<_>>()?,
        hardened: asked.right(&asked.hardened(&said))?,
        by_concepts: by_counting(&truth, &labels, &Counted::of(others, &names)?),
        most_frequent: most_frequent(&labels),
        shapes: shapes(net, node, &said)?,
        names,
        groups,
        told,
        right,
        group_given,
        order,
        mistaken,
    })
}

/// What the network makes of a layer that says this of each picture.
pub(crate) fn logits_of(net: &Network, node: NodeId, said: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let dtype = net.params.list().first().map_or(candle_core::DType::F32, |param| param.value.dtype());
    let shape: Vec<usize> = [said.len()].iter().chain(net.graph.shape(node)).copied().collect();
    let layer = Tensor::from_vec(said.concat(), shape, &Device::Cpu)?.to_dtype(dtype)?;
    rows(net.run_from(node, &layer, Mode::Eval, &Keep::Output)?.output(&net.graph)?)
}

/// What is asked of the part of a network behind a layer of concepts.
struct Asked<'a> {
    net: &'a Network,
    node: NodeId,
    labels: &'a [usize],
    limit: f64,
}

impl Asked<'_> {
    /// What the layer says where it is certain.
    fn certain(&self, is_there: bool) -> f64 {
        match (is_there, self.limit > 0.0) {
            (true, true) => 1.0,
            (false, true) => 0.0,
            (true, false) => SURE,
            (false, false) => -SURE,
        }
    }

    fn hardened(&self, said: &[Vec<f64>]) -> Vec<Vec<f64>> {
        said.iter().map(|row| row.iter().map(|&value| self.certain(value > self.limit)).collect()).collect()
    }

    /// What the layer says, with the truth in the channels that are given, where it is known.
    fn given(&self, said: &[Vec<f64>], truth: &[&[f32]], is_given: impl Fn(usize) -> bool) -> Vec<Vec<f64>> {
        let row = |(row, truth): (&Vec<f64>, &&[f32])| {
            let value = |at: usize| match truth[at].is_nan() || !is_given(at) {
                true => row[at],
                false => self.certain(truth[at] == 1.0),
            };
            (0..row.len()).map(value).collect()
        };
        said.iter().zip(truth).map(row).collect()
    }

    /// Picture by picture, whether the class is right.
    fn right(&self, said: &[Vec<f64>]) -> Result<Vec<bool>> {
        let logits = logits_of(self.net, self.node, said)?;
        Ok(logits.iter().zip(self.labels).map(|(row, &label)| largest(row) == label).collect())
    }
}

/// How often each class occurs with each row of concepts.
struct Counted(BTreeMap<Vec<u32>, BTreeMap<usize, usize>>);

impl Counted {
    fn of(pictures: &Pictures, names: &[String]) -> Result<Self> {
        let known = Annotations::named(&*pictures.data, pictures.split, names)?;
        let label = |index: usize| pictures.data.label(pictures.split, index) as usize;
        Ok(Self::pairs(known.rows().enumerate().map(|(index, row)| (row, label(index)))))
    }

    fn pairs<'a>(pairs: impl Iterator<Item = (&'a [f32], usize)>) -> Self {
        let mut counts: BTreeMap<Vec<u32>, BTreeMap<usize, usize>> = BTreeMap::new();
        pairs.for_each(|(row, label)| *counts.entry(key(row)).or_default().entry(label).or_default() += 1);
        Self(counts)
    }

    /// The class that occurs most with these concepts; of equally frequent ones the smaller number.
    fn most(&self, row: &[f32]) -> Option<usize> {
        let counts = self.0.get(&key(row))?.iter();
        counts.max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))).map(|(&class, _)| class)
    }
}

fn key(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

/// Picture by picture, whether its label is the one that occurs most with its concepts.
fn by_counting(truth: &[&[f32]], labels: &[usize], counted: &Counted) -> Vec<Option<bool>> {
    truth.iter().zip(labels).map(|(row, &label)| counted.most(row).map(|most| most == label)).collect()
}

/// The share of the class that occurs most.
fn most_frequent(labels: &[usize]) -> f64 {
    let count = |class: usize| labels.iter().filter(|&&label| label == class).count();
    let most = labels.iter().max().map_or(0, |last| (0..=*last).map(count).max().unwrap_or(0));
    most as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use interp_data::{Dataset, Factor, Info, Split};
    use interp_net::finding::{Claim, Quantity, Relation};
    use interp_net::{Graph, Role};

    use super::*;

    #[test]
    fn concepts_tell_classes_by_counting() {
        let (yes, no, unknown): (&[f32], &[f32], &[f32]) = (&[1.0], &[0.0], &[f32::NAN]);
        let counted = Counted::pairs([(yes, 2), (yes, 2), (yes, 1), (no, 3), (no, 0)].into_iter());
        // Of the first concept class 2 is the most frequent; of the other two are equally so; of what is not known there is none.
        let found = by_counting(&[yes, yes, no, no, unknown], &[2, 1, 0, 3, 0], &counted);
        assert_eq!(found, [Some(true), Some(false), Some(true), Some(false), None]);
        assert_eq!((most_frequent(&[0, 1, 1, 2]), most_frequent(&[])), (0.5, 0.0));
    }

    /// One pixel: 3, 1, -1, -3 of four pictures. The concept is there in the first two, and so is the class.
    struct Four(Info);

    impl Dataset for Four {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            4
        }

        fn label(&self, _: Split, index: usize) -> u32 {
            u32::from(index < 2)
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out[0] = [3.0, 1.0, -1.0, -3.0][index];
            Ok(())
        }

        fn factors(&self, _: Split, index: usize) -> interp_data::Result<Vec<(&'static str, Factor)>> {
            Ok(vec![("light", Factor::Name(if index < 2 { "bright" } else { "dark" }.into()))])
        }
    }

    fn pictures() -> Pictures {
        let (mean, std, classes) = (vec![0.0], vec![1.0], vec!["a".into(), "b".into()]);
        let info = Info { name: "four".into(), classes, channels: 1, height: 1, width: 1, mean, std };
        Pictures { data: Arc::new(Four(info)), split: Split::Test, noise: None, workers: 0 }
    }

    /// A concept with the logit `x - shift`, and the logit `10 (concept - 1/2)` of class 1.
    fn network(shift: f32) -> Network {
        let mut graph = Graph::new(1, 1, 1).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("logits", Op::Linear { out_features: 1, bias: true }).unwrap();
        graph.then_named("concepts", Op::Sigmoid, vec!["light/bright".into()]).unwrap();
        graph.then("classes", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let values = [("logits", vec![1.0], vec![-shift]), ("classes", vec![0.0, 10.0], vec![0.0, -5.0])];
        for (node, weight, bias) in values {
            let id = net.graph.id(node).unwrap();
            for (role, values) in [(Role::Weight, weight), (Role::Bias, bias)] {
                let position = net.params.position(id, role).unwrap();
                let shape = net.params.list()[position].value.dims().to_vec();
                net.params.set(position, Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
            }
        }
        net
    }

    #[test]
    fn a_concept_told_wrongly_is_repaired_by_the_truth() {
        let found = bottleneck(&network(0.0), &pictures(), &pictures()).unwrap();
        assert_eq!((found.node.as_str(), found.names.as_slice()), ("concepts", ["light/bright".to_owned()].as_slice()));
        assert_eq!((found.right.as_slice(), found.mistaken.as_slice()), ([true; 4].as_slice(), [false; 4].as_slice()));
        assert_eq!((found.told[0].balanced_accuracy(), found.completeness()), (Some(1.0), 1.0));
        assert_eq!(found.leak(), (0.0, [0.0; 2]));
        // With a shift of 2 the second picture is taken for dark, and so for class 0.
        let found = bottleneck(&network(2.0), &pictures(), &pictures()).unwrap();
        assert_eq!(found.right, [true, false, true, true]);
        assert_eq!(
            (found.mistaken.as_slice(), found.hardened.clone()),
            (&[false, true, false, false][..], found.right.clone())
        );
        assert_eq!((found.told[0].shown, found.told[0].absent), ([1, 2], [2, 2]));
        assert_eq!((found.given.len(), found.given[1].as_slice()), (2, [true; 4].as_slice()));
        assert_eq!(found.given[0], found.right);
        assert_eq!(difference(&found.given[1], &found.right).0, 0.25);
    }

    /// A concept that says nothing of the class, and a network that is right all the same: it leaks, and one that guesses does not.
    #[test]
    fn more_than_concepts_say_is_a_leak() {
        let of = |right: Vec<bool>| {
            let labels: Vec<usize> = (0..400).map(|at| at % 2).collect();
            let rows: Vec<&[f32]> = (0..400).map(|at| if at / 2 % 2 == 0 { &[1.0][..] } else { &[0.0] }).collect();
            let counted = Counted::pairs(rows.iter().copied().zip(labels.iter().copied()));
            let by_concepts = by_counting(&rows, &labels, &counted);
            let (flags, most_frequent) = (right.clone(), most_frequent(&labels));
            Bottleneck {
                node: "concepts".into(),
                names: vec!["a".into()],
                groups: vec![0],
                told: vec![Told::default()],
                hardened: flags.clone(),
                group_given: vec![flags.clone()],
                given: vec![flags.clone(), flags.clone()],
                order: vec![0],
                mistaken: flags,
                right,
                by_concepts,
                most_frequent,
                shapes: Shapes::default(),
            }
        };
        let knows = of((0..400).map(|at| at % 10 != 0).collect());
        let (leak, [low, _]) = knows.leak();
        assert!((leak - 0.4).abs() < 1e-9 && low > 0.3, "right on 90 %, where concepts tell 50 %: {leak} {low}");
        assert_eq!((knows.told_by_concepts(), knows.completeness(), knows.softness().0), (0.5, 0.0, 0.0));
        let guesses = of((0..400).map(|at| at / 7 % 2 == 0).collect());
        let (_, [low, high]) = guesses.leak();
        assert!(low < 0.0 && high > 0.0, "{low} {high}");
    }

    #[test]
    fn the_claim_is_the_balanced_accuracy() {
        let claim = Claim {
            quantity: Quantity::ConceptAccuracy,
            nodes: vec!["concepts".into()],
            scope: "concepts".into(),
            relation: Relation::AtLeast,
            bound: 0.8,
        };
        let value = |shift: f32| {
            crate::measure(&network(shift), std::slice::from_ref(&claim), Some(&pictures())).unwrap()[0].value
        };
        assert_eq!((value(0.0), value(2.0)), (1.0, 0.75));
    }

    #[test]
    fn other_networks_and_data_are_refused() {
        let mut graph = Graph::new(1, 1, 1).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let net = Network::new(graph, 0).unwrap();
        assert!(matches!(bottleneck(&net, &pictures(), &pictures()), Err(AuditError::NoBottleneck)));
    }
}
