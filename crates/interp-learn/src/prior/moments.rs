//! Codes whose covariance matrix is the identity.

use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use interp_net::{Network, NodeId, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope, State, Step, Term, draws, share, taps_of_codes, two_codes};
use crate::Result;
use crate::code::{Code, Slopes};

/// Adds `strength (sum over i, j of C_ij^2 + d sum over i of (C_ii - 1)^2)`, i and j being two different codes and C the covariance matrix over the
/// batch of what `of` says, with `d = 10` for `means` and 1 for `draws` (DIP-VAE I and II of Kumar, Sattigeri and Balakrishnan 2018, arXiv
/// 1711.00848, eq. 6 and 7; these weights are those of Locatello et al. 2019, arXiv 1811.12359). What is claimed is measured on test
/// pictures: the mean squared correlation between the means of two codes. `nodes` draw codes, such as `codes` of a `vae`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Whose covariance.
    #[serde(default)]
    pub of: Of,
    /// Weight of the squared covariances.
    pub strength: f64,
    /// The mean squared correlation to stay below on test pictures, which is claimed.
    pub target: f64,
}

/// Whose covariance it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// Of the means of pictures' codes (DIP-VAE-I).
    #[default]
    Means,
    /// Of what is drawn: the mean variances are added to the covariance of means (DIP-VAE-II).
    Draws,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "moments",
    summary: "codes whose covariance matrix is the identity (DIP-VAE): mean squared correlation below a target",
    example: "kind = \"moments\"\nnodes = [\"codes\"]\nstrength = 10.0\ntarget = 0.02\n",
    build: |section| build(section, |settings: Moments| Box::new(settings)),
    schema: || schemars::schema_for!(Moments),
};

impl Prior for Moments {
    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn acts_on(&self, net: &Network, id: NodeId) -> bool {
        draws(net, id)
    }

    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        two_codes(net, scope)?;
        let usable = self.strength > 0.0 && self.strength.is_finite();
        Unfit::unless(usable, "strength", format!("must be above 0, not {}", self.strength))?;
        share("target", self.target)
    }

    fn taps(&self, net: &Network, scope: &Scope) -> Vec<NodeId> {
        taps_of_codes(net, scope)
    }

    fn penalty(&self, step: &Step<'_>, scope: &Scope, _state: &mut State) -> Result<Option<Term>> {
        let mut term = Term::default();
        for &node in &scope.nodes {
            let code = Code::read(step.net, step.tape, node)?;
            let (value, slopes) = self.of(&code);
            term.value += value;
            term.nodes.push(code.seed(step.tape, step.net, &slopes)?);
        }
        Ok(Some(term))
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::ChannelCorrelation,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: self.target,
        }]
    }
}

impl Moments {
    /// The penalty and its gradient.
    fn of(&self, code: &Code) -> (f64, Slopes) {
        let (width, share) = (code.width, 1.0 / code.pictures().max(1) as f64);
        let centered = centered(&code.means, width);
        let mut covariance = vec![0.0; width * width];
        for row in centered.chunks_exact(width) {
            for (at, sum) in covariance.iter_mut().enumerate() {
                *sum += share * row[at / width] * row[at % width];
            }
        }
        let drawn = self.of == Of::Draws;
        for (at, l) in code.variances.iter().enumerate().filter(|_| drawn) {
            covariance[at % width * (width + 1)] += share * l.exp();
        }
        let is_diagonal = |at: usize| at / width == at % width;
        let diagonal = if drawn { self.strength } else { 10.0 * self.strength };
        let terms = covariance.iter().enumerate();
        let (weights, away): (Vec<f64>, Vec<f64>) =
            terms.map(|(at, c)| if is_diagonal(at) { (diagonal, c - 1.0) } else { (self.strength, *c) }).unzip();
        let value = weights.iter().zip(&away).map(|(weight, away)| weight * away * away).sum();
        let slopes: Vec<f64> = weights.iter().zip(&away).map(|(weight, away)| 2.0 * weight * away).collect();
        // Each covariance is there twice, and a mean is in those of its row and of its column.
        let of_mean = |(at, row): (usize, &[f64])| {
            let by = slopes[at * width..][..width].iter().zip(row).map(|(slope, other)| slope * other);
            2.0 * share * by.sum::<f64>()
        };
        let rows = centered.chunks_exact(width);
        let means = rows.flat_map(|row| (0..width).map(move |at| of_mean((at, row)))).collect();
        let of_variance =
            |(at, l): (usize, &f64)| if drawn { slopes[at % width * (width + 1)] * share * l.exp() } else { 0.0 };
        (value, Slopes { means, variances: code.variances.iter().enumerate().map(of_variance).collect() })
    }
}

/// Less their means over pictures.
fn centered(values: &[f64], width: usize) -> Vec<f64> {
    let pictures = (values.len() / width.max(1)).max(1) as f64;
    let mean = |at: usize| values.iter().skip(at).step_by(width).sum::<f64>() / pictures;
    let means: Vec<f64> = (0..width).map(mean).collect();
    values.iter().enumerate().map(|(at, value)| value - means[at % width]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::tests::{assert_slopes, code, noise};

    fn moments(of: Of, strength: f64) -> Moments {
        Moments { of, strength, target: 0.1 }
    }

    // Of (1, 1) and (-1, -1) the covariance is 1 everywhere: 10 (1 + 1), and nothing for the diagonal. Of variances 1 beside it the diagonal is 2:
    // 10 (1 + 1) + 10 (1 + 1).
    #[test]
    fn closed_forms() {
        let code = code(2, &[1.0, 1.0, -1.0, -1.0], &[0.0; 4]);
        assert!((moments(Of::Means, 10.0).of(&code).0 - 20.0).abs() < 1e-12);
        assert!((moments(Of::Draws, 10.0).of(&code).0 - 40.0).abs() < 1e-12);
        // Codes that are the same for all pictures have no covariance: 10 * 10 * 2 for the diagonal.
        let same = self::code(2, &[0.3, 0.7, 0.3, 0.7], &[0.0; 4]);
        assert!((moments(Of::Means, 10.0).of(&same).0 - 200.0).abs() < 1e-12);
        assert!(moments(Of::Draws, 10.0).of(&same).0.abs() < 1e-12);
    }

    #[test]
    fn slopes_are_central_differences() {
        let code = code(3, &noise(15, 0.0), &noise(15, 50.0));
        for prior in [moments(Of::Means, 0.7), moments(Of::Draws, 0.7)] {
            assert_slopes(&code, &prior.of(&code).1, |code| prior.of(code).0);
        }
    }
}
