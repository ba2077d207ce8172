//! The `[[insert]]` sections of a recipe, put into a network.

use interp_data::{Dataset, Divided};
use interp_learn::insert::{Companion, Insertion, Site};
use interp_learn::prior::Scope;
use interp_learn::{LearnError, Steering};
use interp_net::{Graph, Network};

use crate::plan::annotations;
use crate::recipe::InsertPart;
use crate::{Origin, Result};

/// Layers put into a network, one after the other.
pub(crate) struct Inserted {
    /// The structure with all of them.
    pub(crate) graph: Graph,
    /// The structure without.
    plain: Graph,
    /// Whether some layer has a loss of its own.
    pub(crate) teaches: bool,
    layers: Vec<(String, Box<dyn Insertion>)>,
    companions: Vec<(String, Companion)>,
}

impl Inserted {
    /// What the sections make of a structure.
    ///
    /// # Errors
    /// If a section does not fit the structure, or the data do not know the concepts that it needs: its key is named.
    pub(crate) fn new(parts: Vec<InsertPart>, graph: &Graph, data: &Divided, origin: &Origin) -> Result<Self> {
        let (layers, companions) = (vec![], vec![]);
        let mut inserted = Self { graph: graph.clone(), plain: graph.clone(), teaches: false, layers, companions };
        let mut places: Vec<String> = vec![];
        let (learning, classes) = (data.learning(), graph.outputs());
        for (i, InsertPart { name, after, part }) in parts.into_iter().enumerate() {
            let key = format!("insert.{i}");
            let insertion = part.object;
            insertion.check().map_err(|e| origin.blame(&key, LearnError::from(e)))?;
            let place = |problem: String| origin.at_key(&format!("{key}.after"), problem);
            if places.contains(&after) {
                let problem = "a layer is put in there already: say whether this one comes behind its last node";
                return Err(place(format!("`{key}.after`: behind `{after}` {problem}")));
            }
            places.push(after.clone());
            let after = inserted.graph.id(&after).map_err(|e| place(e.to_string()))?;
            let known = annotations(insertion.concepts(), data, origin, &key)?;
            let site = Site {
                graph: &inserted.graph,
                after,
                name: &name,
                classes,
                class_names: &learning.info().classes,
                annotations: known.as_ref(),
            };
            let graph = insertion.graph(&site).map_err(|e| origin.blame(&key, e))?;
            if let Some((gone, _)) = inserted.layers.iter().find(|(name, _)| !has(&graph, name)) {
                return Err(place(format!("`{key}.after`: nothing would be left of `{gone}`, which comes later")));
            }
            if let Some(companion) = insertion.companion(&site) {
                inserted.teaches = true;
                inserted.companions.push((name.clone(), companion));
            }
            inserted.graph = graph;
            inserted.layers.push((name, insertion));
        }
        Ok(inserted)
    }

    /// A network without the layers as one with them: what it has keeps its values.
    ///
    /// # Errors
    /// If values cannot be made.
    pub(crate) fn network(&self, plain: Network, seed: u64) -> Result<Network> {
        if self.layers.is_empty() {
            return Ok(plain);
        }
        let mut network = plain.with_structure(self.graph.clone(), seed)?;
        self.layers.iter().try_for_each(|(name, insertion)| insertion.start(&mut network, name, seed))?;
        Ok(network)
    }

    /// Whether a pattern is of nodes that were put in alone.
    pub(crate) fn is_own(&self, pattern: &str) -> bool {
        let selects = |graph: &Graph| graph.select(&[pattern.to_owned()], "node", |_| true).is_ok();
        selects(&self.graph) && !selects(&self.plain)
    }

    /// What steers the layers in `network`, which has them.
    ///
    /// # Errors
    /// If a node is not there.
    pub(crate) fn steering(&mut self, network: &Network) -> Result<Vec<Steering>> {
        let steering = |(name, Companion { prior, nodes }): (String, Companion)| -> Result<Steering> {
            let scope = Scope::of_prior(network, &nodes, &*prior)?;
            prior.check(network, &scope).map_err(LearnError::from)?;
            Ok(Steering { name, prior, scope })
        };
        std::mem::take(&mut self.companions).into_iter().map(steering).collect()
    }
}

/// Whether some node is of the layer of this name.
fn has(graph: &Graph, name: &str) -> bool {
    let own = |other: &str| other == name || other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    graph.nodes().iter().any(|node| own(&node.name))
}
