//! Traversals: what each number of a picture's code changes in the picture that is made of it.

use candle_core::{DType, Device, Tensor};
use interp_net::{Keep, Mode, Network, NodeId, Op};

use crate::factors::{Codes, Pooled};
use crate::{AuditError, Memory, Pictures, Result, observe};

/// Below this variance of its mean over pictures a code tells nothing of them (Burda, Grosse and Salakhutdinov 2016, arXiv 1509.00519,
/// section 5).
const DEAD: f64 = 0.01;

/// The codes of a network over pictures.
#[derive(Clone, Debug)]
pub struct Coded {
    /// The node that draws them.
    pub node: NodeId,
    /// Of each code its mean, picture by picture.
    pub means: Vec<Vec<f64>>,
    /// Of each code, how it lies.
    pub lies: Vec<Lie>,
}

/// How a code lies over pictures.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Lie {
    /// The mean over pictures of its Kullback-Leibler divergence from the standard normal distribution, in nats: what it can tell of pictures at
    /// most.
    pub divergence: f64,
    /// The variance of its mean over pictures.
    pub variance: f64,
    /// What nine of ten pictures lie between: the quantiles of its mean at 5 % and 95 %.
    pub range: [f64; 2],
}

impl Lie {
    fn of(means: &[f64], variances: &[f64]) -> Self {
        let count = means.len().max(1) as f64;
        let divergence =
            means.iter().zip(variances).map(|(mean, l)| (mean * mean + l.exp() - l - 1.0) / 2.0).sum::<f64>();
        let middle = means.iter().sum::<f64>() / count;
        let variance = means.iter().map(|mean| (mean - middle).powi(2)).sum::<f64>() / count;
        let mut sorted = means.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| sorted.get((share * (count - 1.0)).round() as usize).copied().unwrap_or_default();
        Self { divergence: divergence / count, variance, range: [quantile(0.05), quantile(0.95)] }
    }

    /// Whether it tells next to nothing of pictures.
    pub fn is_dead(&self) -> bool {
        self.variance < DEAD
    }

    /// Numbers at even distances over its range.
    pub fn steps(&self, count: usize) -> Vec<f64> {
        let [low, high] = self.range;
        let share = |at: usize| if count > 1 { at as f64 / (count - 1) as f64 } else { 0.5 };
        (0..count).map(|at| low + share(at) * (high - low)).collect()
    }
}

/// The codes of pictures, in evaluation.
///
/// # Errors
/// [`AuditError::NoCodes`] where not one node draws codes of one cell, and where the network cannot be run or gives no numbers.
pub fn coded(net: &Network, pictures: &Pictures, memory: Memory) -> Result<Coded> {
    let node = drawing(net)?;
    let mut codes = Codes::new(&net.graph.nodes()[node].inputs, Pooled::Mean);
    observe(net, pictures, &mut [&mut codes], memory)?;
    let mut means = codes.found().pop().map(|(_, found)| found).unwrap_or_default();
    let variances = means.split_off(means.len() / 2);
    let lies = means.iter().zip(&variances).map(|(means, variances)| Lie::of(means, variances)).collect();
    Ok(Coded { node, means, lies })
}

/// What the network makes of a code with these numbers, one after the other, in one place: (values, ...), the output's shape behind.
///
/// # Errors
/// If the network cannot be run from there, or gives no numbers.
pub fn traverse(net: &Network, node: NodeId, code: &[f64], place: usize, values: &[f64]) -> Result<Tensor> {
    let moved =
        |value: &f64| code.iter().enumerate().map(|(at, own)| if at == place { *value } else { *own }).collect();
    decode(net, node, &values.iter().map(moved).collect::<Vec<_>>())
}

/// What the network makes of codes: (codes, ...), the output's shape behind, in f32 on the CPU.
///
/// # Errors
/// As [`traverse`].
pub fn decode(net: &Network, node: NodeId, codes: &[Vec<f64>]) -> Result<Tensor> {
    let shape = [&[codes.len()], net.graph.shape(node)].concat();
    let codes = Tensor::from_vec(codes.concat(), shape, &Device::Cpu)?.to_dtype(DType::F32)?;
    let tape = net.run_from(node, &codes, Mode::Eval, &Keep::Output)?;
    let made = tape.output(&net.graph)?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let is_finite = made.flatten_all()?.to_vec1::<f32>()?.iter().all(|number| number.is_finite());
    let output = || net.graph.nodes()[net.graph.output()].name.clone();
    if is_finite { Ok(made) } else { Err(AuditError::NotANumber(output())) }
}

/// The node that draws codes.
fn drawing(net: &Network) -> Result<NodeId> {
    let draws = |id: &NodeId| net.graph.nodes()[*id].op == Op::Sample;
    let all: Vec<NodeId> = (0..net.graph.nodes().len()).filter(draws).collect();
    let none = |problem: String| Err(AuditError::NoCodes(problem));
    let [node] = all[..] else {
        return none(format!("{} of its nodes draw codes, where one is needed, as `vae` has", all.len()));
    };
    let name = &net.graph.nodes()[node].name;
    if net.graph.shape(node)[1..].iter().any(|&side| side != 1) {
        return none(format!("those of `{name}` are maps, of shape {:?}", net.graph.shape(node)));
    }
    if net.graph.shape(net.graph.output()) != net.graph.shape(0) {
        return none(format!("it makes no pictures of those of `{name}`"));
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use interp_net::Graph;

    use super::*;

    // Means 0 and 2, log-variances 0 and ln 4: (2^2 / 2 + (4 - ln 4 - 1) / 2) / 2.
    #[test]
    fn lies_by_hand() {
        let lie = Lie::of(&[0.0, 2.0], &[0.0, 4f64.ln()]);
        assert!((lie.divergence - (2.0 + 0.806_853) / 2.0).abs() < 1e-6 && (lie.variance - 1.0).abs() < 1e-12);
        let means: Vec<f64> = (0..101).map(f64::from).collect();
        let lie = Lie::of(&means, &[0.0; 101]);
        assert_eq!((lie.range, lie.is_dead()), ([5.0, 95.0], false));
        assert_eq!(lie.steps(4), [5.0, 35.0, 65.0, 95.0]);
        assert_eq!(lie.steps(1), [50.0]);
        assert!(Lie::of(&[0.3, 0.4], &[-0.1; 2]).is_dead());
    }

    /// Pictures of two channels and one pixel, whose code is one number.
    fn network() -> Network {
        let mut graph = Graph::new(2, 1, 1).unwrap();
        graph.then("codes", Op::Sample).unwrap();
        graph.then("pictures", Op::OnOff).unwrap();
        Network::new(graph, 0).unwrap()
    }

    #[test]
    fn one_number_is_moved_at_a_time() {
        let net = network();
        let made = traverse(&net, 1, &[0.5], 0, &[-1.0, 3.0]).unwrap();
        assert_eq!(made.flatten_from(1).unwrap().to_vec2::<f32>().unwrap(), [[-1.0, 1.0], [3.0, -3.0]]);
        let mut graph = Graph::new(4, 1, 1).unwrap();
        graph.then("codes", Op::Sample).unwrap();
        graph.then("pictures", Op::OnOff).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let made = traverse(&net, 1, &[0.5, 7.0], 1, &[2.0]).unwrap();
        assert_eq!(made.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.5, 2.0, -0.5, -2.0]);
        assert!(matches!(traverse(&net, 1, &[0.5, 7.0], 1, &[f64::NAN]), Err(AuditError::NotANumber(_))));
    }

    #[test]
    fn networks_without_codes_are_refused() {
        let told = |build: &dyn Fn(&mut Graph) -> NodeId| {
            let mut graph = Graph::new(2, 2, 2).unwrap();
            build(&mut graph);
            drawing(&Network::new(graph, 0).unwrap()).unwrap_err().to_string()
        };
        assert!(told(&|graph| graph.then("relu", Op::Relu).unwrap()).contains("0 of its nodes draw codes"));
        assert!(told(&|graph| graph.then("codes", Op::Sample).unwrap()).contains("`codes` are maps"));
        let vector = |graph: &mut Graph| {
            graph.then("mean", Op::GlobalAvgPool).unwrap();
            graph.then("codes", Op::Sample).unwrap()
        };
        assert!(told(&vector).contains("it makes no pictures"));
        assert_eq!(drawing(&network()).unwrap(), 1);
    }
}
