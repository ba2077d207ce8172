//! Codes that tell nothing of each other: their total correlation is made small.

use candle_core::{Device, Tensor};
use interp_net::finding::{Claim, Entry, Unfit, build};
use interp_net::{Network, NodeId, Role};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, Step, Term, above_one, draws, taps_of_codes, two_codes};
use crate::Result;
use crate::code::{Code, Slopes, numbers, shaped};

/// Adds `(beta - 1)` times the total correlation of the codes over pictures, `E[log q(z) - sum over j of log q(z_j)]` in nats: 0 where no
/// code tells anything of the others. With `[objective.reconstruct]`, which has it once within its divergence, it weighs `beta`, and
/// what codes tell of pictures, and how far each is from normal, weigh 1 (beta-TCVAE of Chen et al. 2018, arXiv 1802.04942, eq. 2 and 4
/// with alpha and gamma 1).
///
/// The density of a draw is estimated as its mean density over the codes of the batch, `q(z_i) = 1 / M sum over j of q(z_i | x_j)`, with
/// the value for M pictures: the minibatch-weighted sampling of section 3.1 but for `(J - 1) log N` of J codes and N pictures in all,
/// which does not depend on the network. A draw lies near its own picture's code, so that small batches tell too much: of
/// independent codes too the estimate is above 0, up to `(J - 1) log M`.
///
/// It claims nothing: how far codes keep to factors is for `interp-audit decompose` to tell, where factors are known. `nodes` draw codes,
/// such as `codes` of a `vae`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TotalCorrelation {
    /// What the total correlation weighs, above 1.
    pub beta: f64,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "total_correlation",
    summary: "codes that tell nothing of each other, by a larger weight of their total correlation (beta-TCVAE)",
    example: "kind = \"total_correlation\"\nnodes = [\"codes\"]\nbeta = 6.0\n",
    build: |section| build(section, |settings: TotalCorrelation| Box::new(settings)),
    schema: || schemars::schema_for!(TotalCorrelation),
};

impl Prior for TotalCorrelation {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        draws(net, id)
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        above_one("beta", self.beta)?;
        two_codes(net, scope)
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        taps_of_codes(net, scope)
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let (mut term, weight) = (Term::default(), self.beta - 1.0);
        for &node in &scope.nodes {
            let (code, drawn) = (Code::read(step.net, step.tape, node)?, step.tape.at(&step.net.graph, node)?);
            let found = total_correlation(&code, &numbers(drawn)?, weight);
            term.value += found.value;
            let slopes = Tensor::from_vec(found.by_draws, drawn.elem_count(), &Device::Cpu)?;
            term.nodes.extend([(node, shaped(&slopes, drawn)?), code.seed(step.tape, step.net, &found.by_code)?]);
        }
        Ok(Some(term))
    }

    fn claims(&self, _scope: &Scope) -> Vec<Claim> {
        vec![]
    }
}

/// A weight times the estimated total correlation, and its gradient by draws and by what they are drawn from.
struct Found {
    value: f64,
    by_draws: Vec<f64>,
    by_code: Slopes,
}

/// A draw, and how likely it is under the codes of all pictures.
struct OfDraw<'a> {
    draw: &'a [f64],
    /// The logarithm of the sum over pictures of its density.
    together: f64,
    /// The same of each of its values.
    singles: Vec<f64>,
}

/// The mean over `drawn`, of which each picture has one, in the order of the code.
fn total_correlation(code: &Code, drawn: &[f64], weight: f64) -> Found {
    let (pictures, share) = (code.pictures(), weight / code.pictures().max(1) as f64);
    let draws: Vec<OfDraw<'_>> = drawn.par_chunks_exact(code.width).map(|draw| OfDraw::new(code, draw)).collect();
    let by_draws = draws.par_iter().map(|draw| draw.slopes(code, share)).flatten().collect();
    let rows: Vec<[Vec<f64>; 2]> =
        (0..pictures).into_par_iter().map(|picture| of_picture(code, picture, &draws, share)).collect();
    let all = |half: usize| rows.iter().flat_map(|row| &row[half]).copied().collect();
    let value = share * draws.iter().map(|draw| draw.value(pictures)).sum::<f64>();
    Found { value, by_draws, by_code: Slopes { means: all(0), variances: all(1) } }
}

impl<'a> OfDraw<'a> {
    fn new(code: &Code, draw: &'a [f64]) -> Self {
        let rows: Vec<Vec<f64>> = (0..code.pictures()).map(|picture| log_densities(code, picture, draw)).collect();
        let together = log_sum(rows.iter().map(|row| row.iter().sum()));
        let singles = (0..code.width).map(|value| log_sum(rows.iter().map(|row| row[value]))).collect();
        Self { draw, together, singles }
    }

    /// `log q(z) - sum over j of log q(z_j)`, densities being means over pictures.
    fn value(&self, pictures: usize) -> f64 {
        let pictures = (pictures as f64).ln();
        self.together - pictures - self.singles.iter().map(|single| single - pictures).sum::<f64>()
    }

    /// By the logarithms of its values' densities under one picture's code: its share of all of the density, less that of each value.
    fn shares(&self, densities: &[f64]) -> Vec<f64> {
        let all = (densities.iter().sum::<f64>() - self.together).exp();
        densities.iter().zip(&self.singles).map(|(density, single)| all - (density - single).exp()).collect()
    }

    /// By its values.
    fn slopes(&self, code: &Code, weight: f64) -> Vec<f64> {
        let mut slopes = vec![0.0; code.width];
        for picture in 0..code.pictures() {
            let shares = self.shares(&log_densities(code, picture, self.draw));
            for (value, share) in shares.into_iter().enumerate() {
                let (distance, precision) = distance(code, picture, value, self.draw);
                slopes[value] -= weight * share * distance * precision;
            }
        }
        slopes
    }
}

/// By the means and the log-variances of a picture's code.
fn of_picture(code: &Code, picture: usize, draws: &[OfDraw<'_>], weight: f64) -> [Vec<f64>; 2] {
    let (mut means, mut variances) = (vec![0.0; code.width], vec![0.0; code.width]);
    for of in draws {
        let shares = of.shares(&log_densities(code, picture, of.draw));
        for (value, share) in shares.into_iter().enumerate() {
            let (distance, precision) = distance(code, picture, value, of.draw);
            means[value] += weight * share * distance * precision;
            variances[value] += weight * share * (distance * distance * precision - 1.0) / 2.0;
        }
    }
    [means, variances]
}

/// How far a value of a draw lies from the mean of a picture's code, and one over the variance there.
fn distance(code: &Code, picture: usize, value: usize, draw: &[f64]) -> (f64, f64) {
    let at = picture * code.width + value;
    (draw[value] - code.means[at], (-code.variances[at]).exp())
}

/// The logarithms of the normal densities of a draw's values under a picture's code.
fn log_densities(code: &Code, picture: usize, draw: &[f64]) -> Vec<f64> {
    let of_value = |value: usize| {
        let (distance, precision) = distance(code, picture, value, draw);
        let variance = code.variances[picture * code.width + value];
        -(distance * distance * precision + variance + (2.0 * std::f64::consts::PI).ln()) / 2.0
    };
    (0..code.width).map(of_value).collect()
}

/// The logarithm of the sum of exponentials.
fn log_sum(logarithms: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logarithms.clone().fold(f64::NEG_INFINITY, f64::max);
    most + logarithms.map(|l| (l - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use interp_net::finding::random::stream;
    use interp_net::{Draw, Graph, Keep, Mode, Op};
    use rand::Rng;

    use super::super::Now;
    use super::*;
    use crate::code::tests::{assert_slopes, code, noise};

    /// Normal numbers, by Box and Muller.
    fn normal(count: usize, seed: u64) -> Vec<f64> {
        let mut random = stream(seed, "test", 0, 0);
        let mut one = || {
            let (radius, turn) = (1.0 - random.random::<f64>(), random.random::<f64>());
            (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * turn).cos()
        };
        (0..count).map(|_| one()).collect()
    }

    /// The estimate for two codes whose means have a correlation of `rho`, and draws a variance of 1 in all, of which `narrow` is noise.
    fn estimated(pictures: usize, rho: f64, narrow: f64) -> f64 {
        let [a, b, e, f] = [1, 2, 3, 4].map(|seed| normal(pictures, seed));
        let wide = (1.0 - narrow).sqrt();
        let means: Vec<f64> =
            a.iter().zip(&b).flat_map(|(a, b)| [wide * a, wide * (rho * a + (1.0 - rho * rho).sqrt() * b)]).collect();
        let noise = e.iter().zip(&f).flat_map(|(e, f)| [*e, *f]);
        let drawn: Vec<f64> = means.iter().zip(noise).map(|(mean, noise)| mean + narrow.sqrt() * noise).collect();
        total_correlation(&code(2, &means, &vec![narrow.ln(); 2 * pictures]), &drawn, 1.0).value
    }

    // Of two normal numbers with a correlation of r the total correlation is -ln(1 - r^2) / 2; noise of variance s leaves r = (1 - s) rho. Of 4,000 pictures the
    // estimate is near it.
    #[test]
    fn of_correlated_normal_codes() {
        for (rho, narrow) in [(0.0, 0.3), (0.6, 0.3), (0.9, 0.2), (1.0, 0.5)] {
            let r: f64 = (1.0 - narrow) * rho;
            let (found, expected) = (estimated(4000, rho, narrow), -(1.0 - r * r).ln() / 2.0);
            assert!((found - expected).abs() < 0.025, "{rho} {narrow}: {found}, not {expected}");
        }
        // Narrow codes of few pictures: each draw knows whose it is, by either value alone, which is ln 8.
        assert!((estimated(8, 0.0, 1e-6) - 8f64.ln()).abs() < 1e-6);
        // Codes that are all alike, and one value alone, tell nothing.
        assert!(total_correlation(&code(2, &[0.5; 6], &[0.1; 6]), &noise(6, 1.0), 1.0).value.abs() < 1e-12);
        assert!(total_correlation(&code(1, &noise(6, 0.0), &noise(6, 9.0)), &noise(6, 1.0), 1.0).value.abs() < 1e-12);
    }

    // Two pictures, one value each of two: by the definition, without logarithms of sums.
    #[test]
    fn by_definition() {
        let (means, drawn) = ([0.0, 1.0, 2.0, -1.0], [0.5, 0.5, 1.5, 0.0]);
        let density = |x: f64, mean: f64| (-(x - mean).powi(2) / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let of = |z: &[f64]| {
            let both = (density(z[0], 0.0) * density(z[1], 1.0) + density(z[0], 2.0) * density(z[1], -1.0)) / 2.0;
            let first = (density(z[0], 0.0) + density(z[0], 2.0)) / 2.0;
            both.ln() - first.ln() - ((density(z[1], 1.0) + density(z[1], -1.0)) / 2.0).ln()
        };
        let expected = 3.0 * (of(&drawn[..2]) + of(&drawn[2..])) / 2.0;
        let found = total_correlation(&code(2, &means, &[0.0; 4]), &drawn, 3.0).value;
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    // By PyTorch 2.13 in f64 as Chen et al. have written it (logsumexp of log-densities, autograd), less the constant: the same for a data set of 1 and of 1,000.
    #[test]
    fn as_by_pytorch() {
        let found = total_correlation(&code(3, &noise(12, 0.0), &noise(12, 50.0)), &noise(12, 99.0), 1.0);
        let near = |found: &[f64], expected: [f64; 3]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-8), "{found:?}, not {expected:?}");
        };
        near(&[found.value], [0.356_930_611, 0.0, 0.0]);
        near(&found.by_code.means, [0.042_441_296, 0.035_366_345, 0.046_110_409]);
        near(&found.by_code.variances, [-0.009_951_088, -0.008_303_205, -0.004_863_379]);
        near(&found.by_draws, [0.079_127_388, -0.080_181_586, -0.118_888_148]);
    }

    #[test]
    fn slopes_are_central_differences() {
        let (code, drawn) = (code(3, &noise(12, 0.0), &noise(12, 50.0)), noise(12, 99.0));
        let found = total_correlation(&code, &drawn, 0.7);
        assert_slopes(&code, &found.by_code, |code| total_correlation(code, &drawn, 0.7).value);
        for (at, slope) in found.by_draws.iter().enumerate() {
            let moved = |by: f64| {
                let mut drawn = drawn.clone();
                drawn[at] += by;
                total_correlation(&code, &drawn, 0.7).value
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-8, "{at}: {slope}, not {difference}");
        }
    }

    #[test]
    fn seeds_are_at_codes_and_what_they_are_drawn_from() {
        let mut graph = Graph::new(4, 1, 1).unwrap();
        graph.then("codes", Op::Sample).unwrap();
        let (net, prior) = (Network::new(graph, 0).unwrap(), TotalCorrelation { beta: 3.0 });
        let scope = Scope::of_prior(&net, &["*".into()], &prior).unwrap();
        assert_eq!((prior.taps(&net, &scope), scope.names.as_slice()), (vec![0, 1], ["codes".to_owned()].as_slice()));
        let x = Tensor::from_vec(noise(12, 0.0), (3, 4, 1, 1), &Device::Cpu).unwrap();
        let mode = Mode::Train { frozen: vec![], draw: Draw::default() };
        let tape = net.forward(&x, mode, &Keep::Backward(prior.taps(&net, &scope))).unwrap();
        let batch = interp_data::Batch { images: vec![], labels: vec![0; 3], indices: vec![0, 1, 2], masks: None };
        let step = Step { net: &net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
        let term = prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap();
        let drawn = numbers(tape.at(&net.graph, 1).unwrap()).unwrap();
        let expected = total_correlation(&Code::read(&net, &tape, 1).unwrap(), &drawn, 2.0);
        assert!(term.value == expected.value && term.value > 0.0);
        let [(1, by_draws), (0, by_code)] = term.nodes.as_slice() else { panic!("{term:?}") };
        assert_eq!(numbers(by_draws).unwrap(), expected.by_draws);
        assert_eq!((by_draws.dims(), by_code.dims()), (&[3, 2, 1, 1][..], &[3, 4, 1, 1][..]));
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let refused = |channels: usize, beta: f64| {
            let mut graph = Graph::new(channels, 1, 1).unwrap();
            graph.then("codes", Op::Sample).unwrap();
            let (net, prior) = (Network::new(graph, 0).unwrap(), TotalCorrelation { beta });
            let scope = Scope::of_prior(&net, &["codes".into()], &prior).unwrap();
            prior.check(&net, &scope).err().map(|unfit| unfit.key)
        };
        assert_eq!(refused(4, 2.0), None);
        assert_eq!(refused(2, 2.0).as_deref(), Some("nodes"));
        for beta in [1.0, 0.0, -2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(refused(4, beta).as_deref(), Some("beta"));
        }
        let mut graph = Graph::new(4, 1, 1).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let net = Network::new(graph, 0).unwrap();
        assert!(Scope::of_prior(&net, &["relu".into()], &TotalCorrelation { beta: 2.0 }).is_err());
    }
}
