//! Monotonicity by construction: outputs that rise or fall with channels of a node, whatever else they depend on.

use std::ops::Range;

use candle_core::{Device, Tensor};
use interp_net::finding::{Claim, Entry, Indices, Quantity, Relation, Unfit, build};
use interp_net::ops::Curve;
use interp_net::{Network, Node, NodeId, Op, Params, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, change};
use crate::Result;

/// Outputs that rise with some channels of the node `over` and fall with others. On the way from there to the output the first layer
/// has weights of the channels' signs, those behind it none below zero, batch norms no negative gain, by projection after every
/// step; between them is what rises with its input. Other branches are only added, and stay as they are. So it holds for every
/// picture, and `interp-audit` proves it by interval arithmetic, over all values in [0, 1] of the channels.
///
/// A weight is bound where some output reads it for which a rule asks. A hidden unit that outputs of opposite signs read is refused:
/// give each its own, as groups of a convolution do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monotone {
    /// The node with one number for each channel in which the outputs are monotone: `color.histogram`.
    pub over: String,
    /// What is monotone in what.
    pub rules: Vec<Rule>,
}

/// Outputs with the channels that they rise or fall with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Outputs of the network, from 0: the labels of classes.
    pub outputs: Vec<usize>,
    /// Channels of `over`, from 0.
    pub rises_with: Vec<usize>,
    /// Other channels of `over`.
    pub falls_with: Vec<usize>,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "monotone",
    summary: "outputs that rise or fall with channels of a node, with a certificate",
    example: "kind = \"monotone\"\nnodes = [\"color.*\"]\nover = \"color.histogram\"\n\
              rules = [{ outputs = [0, 1], rises_with = [12, 13], falls_with = [18] }]\n",
    build: |section| build(section, |settings: Monotone| Box::new(settings)),
    schema: || schemars::schema_for!(Monotone),
};

/// Which sign a number must have: 1, -1, or 0 for any.
type Sign = f32;

/// A channel's signs, by channel of the first node: with which the channel is to rise or fall.
type Signs = Vec<Sign>;

impl Rule {
    /// The rule as a claim names it.
    fn quantity(&self) -> std::result::Result<Quantity, String> {
        let indices = |list: &[usize]| Indices::try_from(list.to_vec());
        let (outputs, rises, falls) = (indices(&self.outputs)?, indices(&self.rises_with)?, indices(&self.falls_with)?);
        Ok(Quantity::Slope { outputs, rises, falls })
    }

    fn signs(&self, channels: usize) -> Signs {
        let sign = |channel: &usize| {
            f32::from(self.rises_with.contains(channel)) - f32::from(self.falls_with.contains(channel))
        };
        (0..channels).map(|channel| sign(&channel)).collect()
    }

    fn check(&self, outputs: usize, channels: usize) -> std::result::Result<(), String> {
        self.quantity()?;
        let all = || self.rises_with.iter().chain(&self.falls_with);
        if self.outputs.is_empty() || all().next().is_none() {
            return Err("needs outputs, and channels to rise or fall with".into());
        }
        if let Some(output) = self.outputs.iter().find(|&&output| output >= outputs) {
            return Err(format!("names output {output} of {outputs}, counted from 0"));
        }
        if let Some(channel) = all().find(|&&channel| channel >= channels) {
            return Err(format!("names channel {channel} of {channels}, counted from 0"));
        }
        match self.rises_with.iter().find(|channel| self.falls_with.contains(channel)) {
            Some(channel) => Err(format!("cannot both rise and fall with channel {channel}")),
            None => Ok(()),
        }
    }
}

impl Monotone {
    /// The signs of every output of the network.
    fn asked(&self, net: &Network, over: NodeId) -> std::result::Result<Vec<Signs>, Unfit> {
        let (outputs, channels) = (net.graph.outputs(), net.graph.shape(over)[0]);
        let mut asked = vec![vec![0.0; channels]; outputs];
        for (index, rule) in self.rules.iter().enumerate() {
            let unfit = |problem: String| Unfit::new(format!("rules.{index}"), problem);
            rule.check(outputs, channels).map_err(unfit)?;
            for &output in &rule.outputs {
                let opposite = |()| unfit(format!("asks the opposite of another for output {output}"));
                meet_all(&mut asked[output], &rule.signs(channels)).map_err(opposite)?;
            }
        }
        Ok(asked)
    }

    /// The sign of every number of the parameters on the way, by position.
    fn plan(&self, net: &Network, scope: &Scope) -> std::result::Result<Vec<(usize, Vec<Sign>)>, Unfit> {
        let over = net.graph.id(&self.over).map_err(|e| Unfit::new("over", e.to_string()))?;
        Unfit::unless(!self.rules.is_empty(), "rules", "needs at least one")?;
        let one_each = net.graph.shape(over)[1..].iter().all(|&size| size == 1);
        Unfit::unless(
            one_each,
            "over",
            format!("must have one number for each channel, which `{}` has not", self.over),
        )?;
        let way = Way::new(net, over)?;
        let asked = way.asked(net, self.asked(net, over)?)?;
        let mut plan = vec![];
        for &id in &way.nodes {
            for role in [Role::Weight, Role::Gain] {
                let Some(position) = net.params.position(id, role) else { continue };
                let name = &net.graph.nodes()[id].name;
                let problem = || format!("must match `{name}` too: it lies between `{}` and the output", self.over);
                Unfit::unless(scope.nodes.contains(&id), "nodes", problem())?;
                plan.push((position, way.signs(net, id, role, &asked[id])));
            }
        }
        Ok(plan)
    }
}

/// Makes signs obey others too.
fn meet_all(signs: &mut Signs, others: &Signs) -> std::result::Result<(), ()> {
    signs.iter_mut().zip(others).try_for_each(|(sign, &other)| meet(sign, other))
}

/// Makes a sign obey one more, unless they are opposite.
fn meet(sign: &mut Sign, other: Sign) -> std::result::Result<(), ()> {
    if *sign * other < 0.0 {
        return Err(());
    }
    *sign = if other == 0.0 { *sign } else { other };
    Ok(())
}

/// The nodes behind a node that lead to the output, in the graph's order.
struct Way {
    nodes: Vec<NodeId>,
    /// Those whose inputs still have the first node's channels: no layer with weights lies before them.
    pure: Vec<NodeId>,
}

impl Way {
    fn new(net: &Network, over: NodeId) -> std::result::Result<Self, Unfit> {
        let nodes = net.graph.nodes();
        let (mut behind, mut pure) = (vec![over], vec![over]);
        for (id, node) in nodes.iter().enumerate().skip(over + 1) {
            let from: Vec<&NodeId> = node.inputs.iter().filter(|input| behind.contains(input)).collect();
            if from.is_empty() {
                continue;
            }
            if from.iter().all(|&&input| pure.contains(&input) && (input == over || !is_layer(&nodes[input].op))) {
                pure.push(id);
            }
            behind.push(id);
        }
        let mut way = vec![net.graph.output()];
        for &id in behind.iter().rev() {
            if way.iter().any(|&user| nodes[user].inputs.contains(&id)) {
                way.push(id);
            }
        }
        let problem = |problem: String| Unfit::new("over", problem);
        let last = net.graph.output();
        let leads = way.contains(&over) && (!pure.contains(&last) || (is_layer(&nodes[last].op) && last != over));
        Unfit::unless(leads, "over", format!("must lead to the output through layers, not as `{}`", nodes[over].name))?;
        way.retain(|&id| id != over);
        way.reverse();
        match way.iter().map(|&id| &nodes[id]).find(|node| !rises(&node.op)) {
            Some(Node { name, op, .. }) => Err(problem(format!(
                "leads through `{name}` ({}), which is not known to rise with its input",
                op.label()
            ))),
            None => Ok(Self { nodes: way, pure }),
        }
    }

    /// The signs of every channel of every node, from those of the output: what its readers ask.
    fn asked(&self, net: &Network, of_output: Vec<Signs>) -> std::result::Result<Vec<Vec<Signs>>, Unfit> {
        let nodes = net.graph.nodes();
        let free = vec![0.0; of_output.first().map_or(0, Vec::len)];
        let mut asked: Vec<Vec<Signs>> =
            (0..nodes.len()).map(|id| vec![free.clone(); net.graph.shape(id)[0]]).collect();
        asked[net.graph.output()] = of_output;
        for &id in self.nodes.iter().rev().filter(|id| !self.is_first(net, **id)) {
            let here = asked[id].clone();
            for &input in nodes[id].inputs.iter().filter(|input| self.nodes.contains(input)) {
                let inputs = asked[input].len();
                for (channel, signs) in asked[input].iter_mut().enumerate() {
                    let readers = readers(&nodes[id].op, inputs, here.len(), channel);
                    here[readers].iter().try_for_each(|other| meet_all(signs, other)).map_err(|()| {
                        let unit = format!("channel {channel} of `{}`", nodes[input].name);
                        Unfit::new("rules", format!("ask {unit} to rise and to fall: it needs a unit for each"))
                    })?;
                }
            }
        }
        Ok(asked)
    }

    /// Whether it is a layer with weights that reads the first node's channels.
    fn is_first(&self, net: &Network, id: NodeId) -> bool {
        is_layer(&net.graph.nodes()[id].op) && self.pure.contains(&id)
    }

    /// The signs of a parameter's numbers.
    fn signs(&self, net: &Network, id: NodeId, role: Role, asked: &[Signs]) -> Vec<Sign> {
        let bound = |signs: &Signs| if signs.iter().any(|sign| *sign != 0.0) { 1.0 } else { 0.0 };
        if role == Role::Gain {
            let pure = self.pure.contains(&id);
            return asked.iter().map(|signs| if pure { 1.0 } else { bound(signs) }).collect();
        }
        let node = &net.graph.nodes()[id];
        let groups = groups(&node.op);
        let width = net.graph.shape(node.inputs[0])[0] / groups;
        let row = |(output, signs): (usize, &Signs)| match self.is_first(net, id) {
            true => signs[output * groups / asked.len() * width..][..width].to_vec(),
            false => vec![bound(signs); width],
        };
        asked.iter().enumerate().flat_map(row).collect()
    }
}

fn is_layer(op: &Op) -> bool {
    matches!(op, Op::Conv2d { .. } | Op::Linear { .. })
}

fn groups(op: &Op) -> usize {
    if let Op::Conv2d { groups, .. } = op { *groups } else { 1 }
}

/// The channels of a node that read the channel `channel` of its input.
fn readers(op: &Op, inputs: usize, outputs: usize, channel: usize) -> Range<usize> {
    if !is_layer(op) {
        return channel..channel + 1;
    }
    let width = outputs / groups(op);
    let first = channel * groups(op) / inputs * width;
    first..first + width
}

/// Whether every channel rises, or stays, when its inputs do, with weights and gains of the right signs. Only what can be proved
/// afterwards.
fn rises(op: &Op) -> bool {
    match op {
        Op::Conv2d { kernel, padding, .. } => *kernel == [1, 1] && *padding == [0, 0],
        Op::Linear { .. }
        | Op::BatchNorm { .. }
        | Op::Relu
        | Op::Threshold { curve: Curve::Soft, shared: false, .. }
        | Op::GlobalAvgPool
        | Op::Add => true,
        _ => false,
    }
}

impl Prior for Monotone {
    fn roles(&self) -> &'static [Role] {
        &[Role::Weight, Role::Gain]
    }

    fn check(&self, net: &Network, scope: &Scope) -> std::result::Result<(), Unfit> {
        self.plan(net, scope).map(|_| ())
    }

    fn prepare(&self, net: &mut Network, scope: &Scope) -> Result<State> {
        let mut state = State::default();
        for (position, signs) in self.plan(net, scope)? {
            let count = signs.len();
            let signs = Tensor::from_vec(signs, count, &Device::Cpu)?;
            state.tensors.insert(net.params.list()[position].name.clone(), signs);
        }
        Ok(state)
    }

    fn enforce(&self, params: &mut Params, scope: &Scope, state: &State) -> Result<()> {
        for &position in &scope.positions {
            if let Some(signs) = state.tensors.get(&params.list()[position].name) {
                let signs = signs.to_vec1::<Sign>()?;
                change(params, position, |numbers| project(numbers, &signs))?;
            }
        }
        Ok(())
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        let claim = |quantity: Quantity| Claim {
            quantity,
            nodes: vec![self.over.clone()],
            scope: self.over.clone(),
            relation: Relation::AtLeast,
            bound: 0.0,
        };
        self.rules.iter().filter_map(|rule| rule.quantity().ok()).map(claim).collect()
    }
}

/// Numbers of the wrong sign become zero; what is not a number stays so, to be seen.
fn project(numbers: &mut [f32], signs: &[Sign]) {
    numbers
        .iter_mut()
        .zip(signs)
        .filter(|(number, sign)| **number * **sign < 0.0)
        .for_each(|(number, _)| *number = 0.0);
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Keep, Mode, Tape};

    use super::*;

    const PAIRS: usize = 10_000;

    /// Two outputs over four numbers, each by units of its own (or both by the same), and a free branch that is added.
    fn network(groups: usize, middle: Op) -> Network {
        let mut graph = Graph::new(4, 1, 1).unwrap();
        let votes = Op::Conv2d {
            out_channels: 2,
            kernel: [1; 2],
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups,
            bias: true,
        };
        let ops = [
            ("histogram", Op::AdaptiveAvgPool { size: [1; 2] }),
            ("norm", Op::batch_norm()),
            ("hidden", Op::conv(12, 1, 1, 0, true)),
            ("middle", middle),
            ("votes", votes),
            ("logits", Op::GlobalAvgPool),
        ];
        for (name, op) in ops {
            graph.then(format!("color.{name}"), op).unwrap();
        }
        let color = graph.output();
        graph.add("free.mean", Op::GlobalAvgPool, &[0]).unwrap();
        let free = graph.then("free.logits", Op::Linear { out_features: 2, bias: true }).unwrap();
        graph.add("logits", Op::Add, &[color, free]).unwrap();
        Network::new(graph, 3).unwrap()
    }

    /// Output 0 rises with 0 and 1 and falls with 2, output 1 falls with 0.
    fn prior() -> Monotone {
        let rule = |outputs: &[usize], rises: &[usize], falls: &[usize]| Rule {
            outputs: outputs.to_vec(),
            rises_with: rises.to_vec(),
            falls_with: falls.to_vec(),
        };
        Monotone { over: "color.histogram".into(), rules: vec![rule(&[0], &[0, 1], &[2]), rule(&[1], &[], &[0])] }
    }

    fn scope(net: &Network, nodes: &str) -> Scope {
        Scope::new(net, &[nodes.to_owned()], &[Role::Weight, Role::Gain]).unwrap()
    }

    fn refusal(prior: &Monotone, net: &Network, nodes: &str) -> String {
        prior.check(net, &scope(net, nodes)).err().map(|unfit| unfit.to_string()).unwrap_or_default()
    }

    /// The logits of `PAIRS` vectors of four numbers, the free branch seeing those of the tape.
    fn logits(net: &Network, tape: &Tape, numbers: Vec<f32>) -> Vec<Vec<f32>> {
        let x = Tensor::from_vec(numbers, (PAIRS, 4, 1, 1), &Device::Cpu).unwrap();
        let tape = net.rerun(tape, net.graph.id("color.histogram").unwrap(), &x).unwrap();
        tape.output(&net.graph).unwrap().to_vec2().unwrap()
    }

    /// Of random pairs of which the second should not be lower, how many are, for both outputs.
    fn violations(net: &Network) -> [usize; 2] {
        let unit = |index: usize| (index as f32 * 0.618_034).fract();
        let low: Vec<f32> = (0..4 * PAIRS).map(|i| unit(7 * i + i / 4)).collect();
        let x = Tensor::from_vec(low.clone(), (PAIRS, 4, 1, 1), &Device::Cpu).unwrap();
        let tape = net.forward(&x, Mode::Eval, &Keep::All).unwrap();
        let moved = |signs: [f32; 4]| {
            let step = |(i, low): (usize, &f32)| match signs[i % 4] {
                sign if sign > 0.0 => low + (1.0 - low) * unit(3 * i + 1),
                sign if sign < 0.0 => low * unit(5 * i + 2),
                _ => *low,
            };
            logits(net, &tape, low.iter().enumerate().map(step).collect())
        };
        let before = logits(net, &tape, low.clone());
        [[1.0, 1.0, -1.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]
            .map(moved)
            .into_iter()
            .enumerate()
            .map(|(output, after)| {
                before.iter().zip(&after).filter(|(before, after)| after[output] - before[output] < -1e-6).count()
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    // 10,000 random pairs for each output; without the prior many are in the wrong order.
    #[test]
    fn no_pair_is_in_the_wrong_order() {
        for middle in [Op::Relu, Op::soft_threshold(0.1)] {
            let mut net = network(2, middle);
            assert!(violations(&net).iter().all(|&count| count > 100), "{:?}", violations(&net));
            let scope = scope(&net, "color.*");
            let state = prior().prepare(&mut net, &scope).unwrap();
            prior().enforce(&mut net.params, &scope, &state).unwrap();
            assert_eq!(violations(&net), [0, 0]);
        }
    }

    // A linear map over named numbers alone: its weights have the signs of the rules.
    #[test]
    fn the_only_layer_is_bound_too() {
        let mut graph = Graph::new(4, 1, 1).unwrap();
        graph.then("color.histogram", Op::GlobalAvgPool).unwrap();
        graph.then("logits", Op::Linear { out_features: 2, bias: true }).unwrap();
        let net = Network::new(graph, 3).unwrap();
        let plan = prior().plan(&net, &scope(&net, "logits")).unwrap();
        assert_eq!(plan, [(0, vec![1.0, 1.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0])]);
        let at_the_end = Monotone { over: "logits".into(), ..prior() };
        assert!(refusal(&at_the_end, &net, "logits").contains("through layers"));
    }

    // Of twelve units of four weights each, six rise with 0 and 1 and fall with 2, six fall with 0; nothing else is bound.
    #[test]
    fn signs_by_hand() {
        let net = network(2, Op::Relu);
        let plan = prior().plan(&net, &scope(&net, "color.*")).unwrap();
        let signs = |name: &str| {
            let of = |(position, _): &&(usize, Vec<Sign>)| net.params.list()[*position].name == name;
            plan.iter().find(of).unwrap().1.clone()
        };
        assert_eq!(signs("color.norm.weight"), [1.0; 4]);
        assert_eq!(
            signs("color.hidden.weight"),
            [[1.0, 1.0, -1.0, 0.0].repeat(6), [-1.0, 0.0, 0.0, 0.0].repeat(6)].concat()
        );
        assert_eq!(signs("color.votes.weight"), [1.0; 12]);
        assert_eq!(plan.len(), 3, "what is free stays free");
        let mut numbers = [1.0, -1.0, 2.0, -2.0, f32::NAN];
        project(&mut numbers, &[1.0, 1.0, -1.0, 0.0, 1.0]);
        assert_eq!(numbers[..4], [1.0, 0.0, 0.0, -2.0]);
        assert!(numbers[4].is_nan());
    }

    #[test]
    fn what_cannot_be_monotone_is_refused() {
        let net = network(2, Op::Relu);
        assert_eq!(refusal(&prior(), &net, "color.*"), "");
        assert!(refusal(&prior(), &net, "color.hidden").contains("must match `color.norm` too"));
        assert!(refusal(&Monotone { over: "color.hist".into(), ..prior() }, &net, "*").contains("did you mean"));
        assert!(refusal(&Monotone { over: "logits".into(), ..prior() }, &net, "*").contains("must lead to the output"));
        assert!(refusal(&Monotone { rules: vec![], ..prior() }, &net, "*").contains("at least one"));
        let one = |outputs: &[usize], rises: &[usize], falls: &[usize]| {
            let rule = Rule { outputs: outputs.to_vec(), rises_with: rises.to_vec(), falls_with: falls.to_vec() };
            let mut prior = prior();
            prior.rules.push(rule);
            refusal(&prior, &net, "*")
        };
        assert!(one(&[2], &[0], &[]).contains("`rules.2` names output 2 of 2"));
        assert!(one(&[1], &[4], &[]).contains("names channel 4 of 4"));
        assert!(one(&[1], &[64], &[]).contains("over 63"));
        assert!(one(&[1], &[1], &[1]).contains("both rise and fall"));
        assert!(one(&[1], &[0], &[]).contains("asks the opposite"));
        assert!(one(&[], &[0], &[]).contains("needs outputs"));
        // Both outputs read every unit, and ask the opposite of it.
        assert!(refusal(&prior(), &network(1, Op::Relu), "*").contains("`color.middle` to rise and to fall"));
        let bent = network(2, Op::OnOff);
        assert!(
            refusal(&prior(), &bent, "*").contains("`color.middle` (on and off)"),
            "{}",
            refusal(&prior(), &bent, "*")
        );
    }
}
