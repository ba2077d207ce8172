//! Evidence from patches: a claim about the structure, which training cannot change.

use interp_net::Network;
use interp_net::finding::{Claim, Entry, Quantity, Relation, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prior, Scope};

/// No cell of the layers sees more than `pixels` rows and columns of the picture: a BagNet's votes come from patches of this size
/// (Brendel and Bethge 2019, arXiv 1904.00760). The architecture makes it so, nothing is steered; a network of which it is not
/// true is refused before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundedField {
    /// Height and width of a patch in pixels.
    pub pixels: usize,
}

pub(super) const ENTRY: Entry<dyn Prior> = Entry {
    name: "bounded_field",
    summary: "no cell of the layers sees more than a patch of the picture, by the architecture",
    example: "kind = \"bounded_field\"\nnodes = [\"evidence\"]\npixels = 17\n",
    build: |section| build(section, |settings: BoundedField| Box::new(settings)),
    schema: || schemars::schema_for!(BoundedField),
};

impl Prior for BoundedField {
    fn check(&self, net: &Network, scope: &Scope) -> Result<(), Unfit> {
        for (&id, name) in scope.nodes.iter().zip(&scope.names) {
            let [rows, columns] = net.receptive_field(id).map_err(|e| Unfit::new("nodes", e.to_string()))?.size;
            let seen = rows.max(columns);
            let problem = format!("must be at least {seen}, which a cell of `{name}` sees, not {}", self.pixels);
            Unfit::unless(seen <= self.pixels, "pixels", problem)?;
        }
        Ok(())
    }

    fn steers(&self) -> bool {
        false
    }

    fn claims(&self, scope: &Scope) -> Vec<Claim> {
        vec![Claim {
            quantity: Quantity::FieldSize,
            nodes: scope.names.clone(),
            scope: scope.label.clone(),
            relation: Relation::AtMost,
            bound: self.pixels as f64,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interp_net::zoo::{Architecture, BagNet};

    #[test]
    fn what_a_cell_sees_must_fit() {
        let net = Network::new(BagNet::default().graph([3, 32, 32], 10).unwrap(), 0).unwrap();
        let check = |pixels: usize| {
            let prior = BoundedField { pixels };
            prior
                .check(&net, &Scope::new(&net, &["evidence".into()], prior.roles()).unwrap())
                .map_err(|e| e.to_string())
        };
        assert!(check(17).is_ok());
        assert!(check(16).unwrap_err().contains("at least 17"));
    }
}
