//! Balanced experts: none of them is forgotten.

use candle_core::{DType, Device, Tensor};
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId, Op, Role, ops};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, Step, Term, share};
use crate::Result;

/// Adds `strength * N sum over i of f_i P_i` for the N experts of a gate: `f_i` is the share of the batch's pictures for which the
/// probability of expert i is the largest, `P_i` its mean probability (Fedus, Zoph and Shazeer 2021, arXiv 2101.03961, eq. 4 to 6). The
/// sum is 1 where all are chosen alike, and N where one decides everything; its gradient goes through `P_i` alone. `nodes` are gates
/// that choose, such as `gate.choice` of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Balanced {
    /// Weight of the penalty.
    #[serde(default = "strength")]
    pub strength: f64,
    /// The share of the test pictures that no expert decides fewer of, which is claimed; below 1 / N.
    pub target: f64,
}

fn strength() -> f64 {
    0.01
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "balanced",
    summary: "experts that all have their share of pictures, by a penalty on those that a gate chooses most",
    example: "kind = \"balanced\"\nnodes = [\"gate.choice\"]\ntarget = 0.1\n",
    build: |section| build(section, |settings: Balanced| Box::new(settings)),
    schema: || schemars::schema_for!(Balanced),
};

impl Prior for Balanced {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        matches!(net.graph.nodes()[id].op, Op::Route { .. })
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        let usable = self.strength > 0.0 && self.strength.is_finite();
        Unfit::unless(usable, "strength", format!("must be above 0, not {}", self.strength))?;
        share("target", self.target)?;
        for (&id, name) in scope.nodes.iter().zip(&scope.names) {
            let experts = net.graph.shape(id)[0];
            let problem =
                || format!("must be below 1/{experts}, what each expert of `{name}` can have, not {}", self.target);
            Unfit::unless(self.target * (experts as f64) < 1.0, "target", problem())?;
        }
        Ok(())
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        scope.nodes.iter().map(|&id| net.graph.nodes()[id].inputs[0]).collect()
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let mut term = Term::default();
        for node in self.taps(step.net, scope) {
            let at = step.tape.at(&step.net.graph, node)?;
            let logits = at.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
            let (value, gradient) = balance(&ops::route(&logits, logits.dim(1)?)?.to_vec2()?);
            term.value += self.strength * value;
            let scaled: Vec<f64> = gradient.into_iter().flatten().map(|g| self.strength * g).collect();
            let seed = Tensor::from_vec(scaled, at.dims(), &Device::Cpu)?.to_dtype(at.dtype())?;
            term.nodes.push((node, seed.to_device(at.device())?));
        }
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::LeastChosen,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtLeast,
            bound: self.target,
        }]
    }
}

/// `N sum of f_i P_i` of probabilities by picture and expert, and its gradient by their logits with the shares `f` held as they are.
fn balance(probabilities: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
    let chosen = chosen(probabilities);
    let (experts, pictures) = (chosen.len() as f64, probabilities.len().max(1) as f64);
    let mean = |row: &Vec<f64>| row.iter().zip(&chosen).map(|(p, f)| p * f).sum::<f64>();
    let value = experts * probabilities.iter().map(mean).sum::<f64>() / pictures;
    let slopes = |row: &Vec<f64>| {
        let mean = mean(row);
        row.iter().zip(&chosen).map(|(p, f)| experts / pictures * p * (f - mean)).collect()
    };
    (value, probabilities.iter().map(slopes).collect())
}

/// For each expert the share of pictures for which its probability is the largest; of equal ones that of the first.
fn chosen(probabilities: &[Vec<f64>]) -> Vec<f64> {
    let mut shares = vec![0.0; probabilities.first().map_or(0, Vec::len)];
    for row in probabilities {
        let best = (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best.into_iter().for_each(|best| shares[best] += 1.0 / probabilities.len() as f64);
    }
    shares
}

#[cfg(test)]
mod tests {
    use interp_data::Batch;
    use interp_net::zoo::{Architecture, Mixture};
    use interp_net::{Draw, Keep, Mode};

    use super::super::Now;
    use super::*;

    // Of probabilities 0 and 1 the mean is the share: 2 (0.75^2 + 0.25^2) = 1.25.
    #[test]
    fn closed_forms() {
        let value = |probabilities: &[&[f64]]| balance(&probabilities.iter().map(|p| p.to_vec()).collect::<Vec<_>>()).0;
        assert_eq!(value(&[&[0.25; 4][..]; 8]), 1.0, "all alike");
        assert_eq!(value(&[&[0.0, 1.0, 0.0][..]; 4]), 3.0, "one decides everything");
        assert_eq!(value(&[&[1.0, 0.0], &[1.0, 0.0], &[0.0, 1.0], &[1.0, 0.0]]), 1.25);
    }

    // Both pictures with probabilities 3/4 and 1/4: f = (1, 0), the value 2 * 3/4, and by the first logit 2 / 2 * 3/4 (1 - 3/4).
    #[test]
    fn the_gradient_leads_away_from_who_decides_everything() {
        let (value, gradient) = balance(&[vec![0.75, 0.25], vec![0.75, 0.25]]);
        assert_eq!((value, gradient.concat()), (1.5, vec![0.1875, -0.1875, 0.1875, -0.1875]));
    }

    fn softmax(logits: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let row = |row: &Vec<f64>| row.iter().map(|z| z.exp() / row.iter().map(|z| z.exp()).sum::<f64>()).collect();
        logits.iter().map(row).collect()
    }

    /// `N sum of f_i P_i` by its definition, for given shares.
    fn by_definition(logits: &[Vec<f64>], shares: &[f64]) -> f64 {
        let mean = |i: usize| softmax(logits).iter().map(|p| p[i]).sum::<f64>() / logits.len() as f64;
        shares.iter().enumerate().map(|(i, f)| shares.len() as f64 * f * mean(i)).sum()
    }

    #[test]
    fn the_gradient_is_central_differences_with_shares_held() {
        let logit = |i: usize| 2.0 * ((i as f64 + 1.0) * 12.9898).sin();
        let logits: Vec<Vec<f64>> = (0..5).map(|n| (0..3).map(|i| logit(3 * n + i)).collect()).collect();
        let largest = |row: &Vec<f64>| (0..3).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let shares = [0, 1, 2].map(|i| logits.iter().filter(|row| largest(row) == i).count() as f64 / 5.0);
        let (value, gradient) = balance(&softmax(&logits));
        assert!((value - by_definition(&logits, &shares)).abs() < 1e-12);
        for (n, row) in gradient.iter().enumerate() {
            for (i, found) in row.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = logits.clone();
                    moved[n][i] += by;
                    by_definition(&moved, &shares)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - slope).abs() < 1e-9, "{n} {i}: {found}, not {slope}");
            }
        }
    }

    fn mixture() -> Network {
        Network::new(Mixture { width: 0.125, ..Mixture::default() }.graph([3, 16, 16], 4).unwrap(), 0).unwrap()
    }

    #[test]
    fn the_seed_is_at_the_logits_of_the_gate() {
        let (net, prior) = (mixture(), Balanced { strength: 0.5, target: 0.1 });
        let scope = Scope::of_prior(&net, &["*".into()], &prior).unwrap();
        assert_eq!((scope.names.as_slice(), scope.positions.len()), (["gate.choice".to_owned()].as_slice(), 0));
        let x = Tensor::arange(0f32, 1536.0, &Device::Cpu).unwrap().sin().unwrap().reshape((2, 3, 16, 16)).unwrap();
        let keep = Keep::Backward(prior.taps(&net, &scope));
        let tape = net.forward(&x, Mode::Train { frozen: vec![], draw: Draw::default() }, &keep).unwrap();
        let batch = Batch { images: vec![], labels: vec![0, 1], indices: vec![0, 1], masks: None };
        let step = Step { net: &net, tape: &tape, batch: &batch, now: Now { rates: &[], progress: 0.5 } };
        let term = prior.penalty(&step, &scope, &mut State::default()).unwrap().unwrap();
        let logits = tape.get(&net.graph, "gate.logits").unwrap().to_dtype(DType::F64).unwrap().to_vec2().unwrap();
        let (value, gradient) = balance(&softmax(&logits));
        assert!((term.value - 0.5 * value).abs() < 1e-12);
        let [(node, seed)] = term.nodes.as_slice() else { panic!("{term:?}") };
        assert_eq!(net.graph.nodes()[*node].name, "gate.logits");
        let seed = seed.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(seed.iter().zip(gradient.concat()).all(|(s, g)| (s - 0.5 * g).abs() < 1e-7));
    }

    #[test]
    fn shares_that_cannot_be_had_are_refused() {
        let net = mixture();
        let refusal = |strength: f64, target: f64| {
            let prior = Balanced { strength, target };
            let scope = Scope::of_prior(&net, &["gate.*".into()], &prior).unwrap();
            prior.check(&net, &scope).err().map(|unfit| unfit.key)
        };
        assert_eq!(refusal(0.01, 0.2), None);
        assert_eq!(refusal(0.01, 0.25).as_deref(), Some("target"));
        assert_eq!(refusal(0.0, 0.1).as_deref(), Some("strength"));
        let prior = Balanced { strength: 0.01, target: 0.1 };
        assert!(Scope::of_prior(&net, &["expert0.*".into()], &prior).is_err());
    }
}
