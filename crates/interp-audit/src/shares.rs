//! What each module of a sum adds to decisions.

use interp_net::ops::scalars::largest;
use interp_net::{Keep, Network, NodeId, Op, Tape};

use crate::pass::{Observer, Pass, Sample, finite_rows, numbers};
use crate::pictures::{Gauge, Pictures};
use crate::{AuditError, Result};

/// What modules add to the decisions of a network whose logits are their sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// The modules, in the order in which they are added.
    pub modules: Vec<Share>,
    /// Share of pictures that the network is right on.
    pub accuracy: f64,
    /// Pictures.
    pub count: usize,
    /// The first pictures, one by one.
    pub decisions: Vec<Decision>,
}

/// What one module adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Name of its node.
    pub name: String,
    /// The variance over pictures of what it adds to each class's logit, less the mean of what it adds to all of them, divided by the
    /// sum of those of all modules. (What is added to all classes alike changes no decision.)
    pub by_class: Vec<f64>,
    /// The same of the variances summed over classes.
    pub overall: f64,
    /// Of the pictures of each class the share that it decides: of all modules it adds the most to the lead of the class that the
    /// picture is taken for over the next one. 0 of a class without pictures.
    pub decides: Vec<f64>,
    /// Share of pictures that the network is right on with the module's mean in place of its values.
    pub without: f64,
    /// Share of pictures that the module alone is right on.
    pub alone: f64,
}

/// How a picture was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Position in the split.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class of the largest logit, which it is taken for.
    pub class: usize,
    /// The class of the second largest logit.
    pub rival: usize,
    /// By how much each module puts the first above the second; they add up to the lead.
    pub lead: Vec<f64>,
}

/// The shares of the modules that are added to the network's output, over pictures, of which the first `decisions` are told
/// one by one.
///
/// # Errors
/// [`AuditError::NoSum`] if the output is no sum; if pictures cannot be had or do not fit.
pub fn shares(net: &Network, pictures: &Pictures, decisions: usize) -> Result<Shares> {
    let last = &net.graph.nodes()[net.graph.output()];
    if last.op != Op::Add || net.graph.outputs() < 2 {
        return Err(AuditError::NoSum(last.name.clone()));
    }
    let names: Vec<&str> = last.inputs.iter().map(|&id| net.graph.nodes()[id].name.as_str()).collect();
    let mut table =
        Table { classes: net.graph.outputs(), parts: vec![vec![]; names.len()], labels: vec![], indices: vec![] };
    Pass::keeping(Keep::nodes(names.iter().copied())).over(net, pictures, |&Sample { tape, batch }| {
        table.labels.extend(batch.labels.iter().map(|&label| label as usize));
        table.indices.extend(&batch.indices);
        for (part, &id) in table.parts.iter_mut().zip(&last.inputs) {
            part.extend(finite_rows(net, id, tape.at(&net.graph, id)?)?.into_iter().flatten());
        }
        Ok(())
    })?;
    Ok(table.shares(&names, decisions))
}

/// What each module gave for every picture and class.
struct Table {
    classes: usize,
    parts: Vec<Vec<f64>>,
    labels: Vec<usize>,
    indices: Vec<usize>,
}

impl Table {
    fn shares(&self, names: &[&str], decisions: usize) -> Shares {
        let means: Vec<Vec<f64>> = self.parts.iter().map(|part| self.by_class(part, |_, value| value)).collect();
        let variances: Vec<Vec<f64>> = self.parts.iter().map(|part| self.variances(&self.contrasts(part))).collect();
        let total = |class: usize| variances.iter().map(|of_module| of_module[class]).sum::<f64>();
        let all: f64 = (0..self.classes).map(total).sum();
        let decided = self.decided();
        let share = |(m, name): (usize, &&str)| Share {
            name: (*name).to_owned(),
            by_class: (0..self.classes).map(|class| part(variances[m][class], total(class))).collect(),
            overall: part(variances[m].iter().sum(), all),
            decides: decided
                .iter()
                .map(|of_class| of_class[m] as f64 / of_class.iter().sum::<usize>().max(1) as f64)
                .collect(),
            without: self.accuracy(|other, class, value| if other == m { means[m][class] } else { value }),
            alone: self.accuracy(|other, _, value| if other == m { value } else { 0.0 }),
        };
        Shares {
            modules: names.iter().enumerate().map(share).collect(),
            accuracy: self.accuracy(|_, _, value| value),
            count: self.labels.len(),
            decisions: (0..decisions.min(self.labels.len())).map(|picture| self.decision(picture)).collect(),
        }
    }

    /// How many pictures of each class each module decides.
    fn decided(&self) -> Vec<Vec<usize>> {
        let mut counts = vec![vec![0; self.parts.len()]; self.classes];
        for (picture, &label) in self.labels.iter().enumerate() {
            counts[label][largest(&self.decision(picture).lead)] += 1;
        }
        counts
    }

    /// What a module adds to the classes, less its mean over the classes of each picture.
    fn contrasts(&self, part: &[f64]) -> Vec<f64> {
        let less_mean = |logits: &[f64]| {
            let mean = logits.iter().sum::<f64>() / logits.len() as f64;
            logits.iter().map(|logit| logit - mean).collect::<Vec<_>>()
        };
        part.chunks_exact(self.classes).flat_map(less_mean).collect()
    }

    /// The variance over pictures, for every class.
    fn variances(&self, part: &[f64]) -> Vec<f64> {
        let means = self.by_class(part, |_, value| value);
        self.by_class(part, |class, value| (value - means[class]).powi(2))
    }

    /// The mean over pictures of a function of class and value, for every class.
    fn by_class(&self, part: &[f64], of: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let mean = |class: usize| {
            let values = part.iter().skip(class).step_by(self.classes);
            values.map(|&value| of(class, value)).sum::<f64>() / self.labels.len() as f64
        };
        (0..self.classes).map(mean).collect()
    }

    /// The logits of a picture, each module's part changed by a function of module, class and value.
    fn logits(&self, picture: usize, of: impl Fn(usize, usize, f64) -> f64) -> Vec<f64> {
        let part = |m: usize, class: usize| of(m, class, self.parts[m][picture * self.classes + class]);
        (0..self.classes).map(|class| (0..self.parts.len()).map(|m| part(m, class)).sum()).collect()
    }

    fn accuracy(&self, of: impl Fn(usize, usize, f64) -> f64) -> f64 {
        let right = |picture: &usize| first_two(&self.logits(*picture, &of))[0] == self.labels[*picture];
        (0..self.labels.len()).filter(right).count() as f64 / self.labels.len() as f64
    }

    fn decision(&self, picture: usize) -> Decision {
        let [class, rival] = first_two(&self.logits(picture, |_, _, value| value));
        // Nothing has no sign: behind a gate that is shut there are zeros of both.
        let lead = |part: &Vec<f64>| part[picture * self.classes + class] - part[picture * self.classes + rival] + 0.0;
        let (index, label) = (self.indices[picture], self.labels[picture]);
        Decision { index, label, class, rival, lead: self.parts.iter().map(lead).collect() }
    }
}

/// The share of a whole; of nothing, nothing.
fn part(of: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { of / whole }
}

/// The classes of the largest and the second largest logit.
fn first_two(logits: &[f64]) -> [usize; 2] {
    let mut classes: Vec<usize> = (0..logits.len()).collect();
    classes.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    [classes[0], classes[1]]
}

/// How far the output is from the sum of some nodes, by running the network again without each of them.
pub(crate) struct Deviation {
    nodes: Vec<NodeId>,
    largest: Option<f64>,
}

impl Deviation {
    pub(crate) fn new(nodes: &[NodeId]) -> Self {
        Self { nodes: nodes.to_vec(), largest: None }
    }

    /// Takes in what should be zero. What is not a number is the largest.
    fn take(&mut self, gaps: impl Iterator<Item = f64>) {
        let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
        self.largest = Some(gaps.map(f64::abs).fold(self.largest.unwrap_or(0.0), larger));
    }
}

impl Observer for Deviation {
    fn taps(&self) -> Vec<NodeId> {
        self.nodes.clone()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let tape: &Tape = sample.tape;
        let output = numbers(tape.output(&net.graph)?)?;
        let mut rest = output.clone();
        for node in self.nodes.clone() {
            let part = tape.at(&net.graph, node)?;
            let without = net.rerun(tape, node, &part.zeros_like()?)?;
            let without = numbers(without.output(&net.graph)?)?;
            let part = numbers(part)?;
            rest.iter_mut().zip(&part).for_each(|(rest, part)| *rest -= part);
            self.take(output.iter().zip(without).zip(&part).map(|((whole, without), part)| whole - without - part));
        }
        self.take(rest.into_iter());
        Ok(())
    }
}

impl Gauge for Deviation {
    fn value(&self) -> Option<f64> {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Device, Tensor};
    use interp_data::{Dataset, Info, Split};
    use interp_net::Graph;
    use interp_net::finding::{Claim, Quantity, Relation};

    use super::*;
    use crate::measure;

    /// Pictures of one row and two gray pixels (a, b): (0, 0), (0, 1), (2, 0), (2, 1), of the classes 0, 1, 0, 1.
    struct Pairs(Info);

    impl Dataset for Pairs {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, _: Split) -> usize {
            4
        }

        fn label(&self, _: Split, index: usize) -> u32 {
            (index % 2) as u32
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[2.0 * (index / 2) as f32, (index % 2) as f32]);
            Ok(())
        }
    }

    fn pairs() -> Pictures {
        let info = Info {
            name: "pairs".into(),
            classes: vec!["off".into(), "on".into()],
            channels: 1,
            height: 1,
            width: 2,
            mean: vec![0.0],
            std: vec![1.0],
        };
        Pictures { data: Arc::new(Pairs(info)), split: Split::Test, noise: None, workers: 0 }
    }

    /// A convolution of the two pixels, and a mean of the one cell that it gives.
    fn whole(graph: &mut Graph, name: &str, last: &str, outputs: usize) -> NodeId {
        let op = Op::Conv2d {
            out_channels: outputs,
            kernel: [1, 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: false,
        };
        graph.add(format!("{name}.conv"), op, &[0]).unwrap();
        graph.then(format!("{name}.{last}"), Op::GlobalAvgPool).unwrap()
    }

    /// Two modules whose logits are (a, 0) / 4 and (0, 3 b), and a ReLU that may follow their sum.
    fn network(bent: bool) -> Network {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        let module = |graph: &mut Graph, name: &str| whole(graph, name, "logits", 2);
        let (first, second) = (module(&mut graph, "first"), module(&mut graph, "second"));
        graph.add("sum", Op::Add, &[first, second]).unwrap();
        if bent {
            graph.then("relu", Op::Relu).unwrap();
        }
        let mut net = Network::new(graph, 0).unwrap();
        for (position, weight) in [(0, [0.25f32, 0.0, 0.0, 0.0]), (1, [0.0, 0.0, 0.0, 3.0])] {
            net.params.set(position, Tensor::from_vec(weight.to_vec(), (2, 1, 1, 2), &Device::Cpu).unwrap()).unwrap();
        }
        net
    }

    // f_1 is 0, 0, 1/2, 1/2 for class 0, with variance 1/16; f_2 is 0, 3, 0, 3 for class 1, with variance 9/4. Less the mean of the two
    // classes, each is half of that for one class and the opposite for the other.
    #[test]
    fn shares_by_hand() {
        let found = shares(&network(false), &pairs(), 4).unwrap();
        let [first, second] = found.modules.as_slice() else { panic!("{found:?}") };
        let of_first = (1.0 / 16.0) / (1.0 / 16.0 + 9.0 / 4.0);
        for (module, share) in [(first, of_first), (second, 1.0 - of_first)] {
            assert!(module.by_class.iter().chain([&module.overall]).all(|found| (found - share).abs() < 1e-12));
        }
        assert_eq!((found.accuracy, found.count), (1.0, 4));
        // Without the second, whose mean is 1.5 for class 1, all are taken for class 1; without the first nothing changes.
        assert_eq!((first.without, second.without), (1.0, 0.5));
        assert_eq!((first.alone, second.alone), (0.5, 1.0));
        // (0, 0) leads by nothing, which is the first's; (0, 1) and (2, 1) are the second's.
        assert_eq!(
            (first.decides.as_slice(), second.decides.as_slice()),
            ([1.0, 0.0].as_slice(), [0.0, 1.0].as_slice())
        );
        let last = Decision { index: 3, label: 1, class: 1, rival: 0, lead: vec![-0.5, 3.0] };
        assert_eq!(found.decisions[3], last);
        assert!(matches!(shares(&network(true), &pairs(), 0), Err(AuditError::NoSum(node)) if node == "relu"));
    }

    // What the first adds to both classes alike changes no decision: its share is none of the second's, whatever its variance.
    #[test]
    fn what_is_added_to_all_classes_has_no_share() {
        let mut net = network(false);
        let alike = Tensor::from_vec(vec![5f32, 0.0, 5.0, 0.0], (2, 1, 1, 2), &Device::Cpu).unwrap();
        net.params.set(0, alike).unwrap();
        let found = shares(&net, &pairs(), 0).unwrap();
        assert_eq!((found.modules[0].overall, found.modules[1].overall), (0.0, 1.0));
    }

    /// The gate chooses the first expert where a > b, else the second.
    fn mixture() -> Network {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        let pixel = |graph: &mut Graph, name: &str, outputs: usize| whole(graph, name, "mean", outputs);
        pixel(&mut graph, "gate", 2);
        let gate = graph.then("gate.choice", Op::Route { top: 1 }).unwrap();
        let experts = [0, 1].map(|channel| {
            let head = pixel(&mut graph, &format!("expert{channel}"), 2);
            graph.add(format!("expert{channel}.logits"), Op::Gated { channel }, &[head, gate]).unwrap()
        });
        graph.add("logits", Op::Add, &experts).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let weights = [[1f32, 0.0, 0.0, 1.0], [0.5, 0.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 3.0]];
        for (position, weight) in weights.into_iter().enumerate() {
            net.params.set(position, Tensor::from_vec(weight.to_vec(), (2, 1, 1, 2), &Device::Cpu).unwrap()).unwrap();
        }
        net
    }

    // Of (a, b) the gate's logits are a and b, so that (0, 1) alone goes to the second expert, whose logits there are 1 and 3.
    #[test]
    fn of_a_mixture_one_expert_decides_each_picture() {
        let net = mixture();
        let found = shares(&net, &pairs(), 4).unwrap();
        let [first, second] = found.modules.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (first.decides.as_slice(), second.decides.as_slice()),
            ([1.0, 0.5].as_slice(), [0.0, 0.5].as_slice())
        );
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        for (decision, lead) in found.decisions.iter().zip([0.0, 2.0 * sigmoid(1.0), sigmoid(2.0), sigmoid(1.0)]) {
            let [one, other] = decision.lead.as_slice() else { panic!("{decision:?}") };
            let by_second = decision.index == 1;
            let (chosen, rest) = if by_second { (other, one) } else { (one, other) };
            assert!((chosen - lead).abs() < 1e-6 && *rest == 0.0, "{decision:?}");
        }
        let claim = Claim {
            quantity: Quantity::SumDeviation,
            nodes: vec!["expert0.logits".into(), "expert1.logits".into()],
            scope: "the experts".into(),
            relation: Relation::AtMost,
            bound: 1e-4,
        };
        assert_eq!(measure(&net, &[claim], Some(&pairs())).unwrap()[0].value, 0.0);
    }

    #[test]
    fn a_sum_loses_a_module_and_nothing_else() {
        let deviation = |on: f32, bent: bool| {
            let mut net = network(bent);
            let weight = Tensor::from_vec(vec![0.25f32, 0.0, 0.0, on], (2, 1, 1, 2), &Device::Cpu).unwrap();
            net.params.set(0, weight).unwrap();
            let claim = Claim {
                quantity: Quantity::SumDeviation,
                nodes: vec!["first.logits".into(), "second.logits".into()],
                scope: "the modules".into(),
                relation: Relation::AtMost,
                bound: 1e-4,
            };
            measure(&net, &[claim], Some(&pairs())).unwrap()[0].value
        };
        assert_eq!(deviation(0.0, false), 0.0);
        assert_eq!(deviation(0.0, true), 0.0, "a ReLU changes nothing above zero");
        // For b = 1, -5 + 3 is cut off at 0: 2 from the sum, and 3 from what taking out the second should do.
        assert_eq!(deviation(-5.0, true), 3.0);
    }
}
