//! The small twin of a pruned network: as many parameters as it has that are not zero, trained from scratch.

use std::path::Path;

use interp_data::Info;
use interp_finding::{Claim, Quantity};
use interp_net::{Graph, Network};

use crate::recipe::{Lacks, Recipe};
use crate::run::size;
use crate::{Catalog, Result};

/// How near to the largest width that still has few enough parameters, as a share of the network's own.
const NEAR: f64 = 1e-3;

/// Whether a network claims that a part of it is zero.
pub(crate) fn is_pruned(claims: &[Claim]) -> bool {
    let of_zeros = |claim: &Claim| {
        matches!(
            claim.quantity,
            Quantity::ZeroWeights | Quantity::ZeroFilters | Quantity::ZeroInputs | Quantity::ZeroGains
        )
    };
    claims.iter().any(of_zeros)
}

/// The recipe of the small twin of a trained network: without priors and teachers, of the largest width with no more parameters than that has which
/// are not zero, after channels that say nothing are cut; and how many these are. `None` where its architecture has no width, or none is small enough, and
/// where training starts from a checkpoint, whose width is its own.
///
/// # Errors
/// If the recipe cannot be read, or the network not be cut.
pub(crate) fn recipe(
    path: &Path,
    overrides: &[String],
    trained: &Network,
    info: &Info,
    catalog: &Catalog,
) -> Result<Option<(Recipe, usize)>> {
    let own = Recipe::read(path, overrides, catalog)?;
    let Some(mut high) = own.model.settings.get("width").and_then(toml::Value::as_float) else { return Ok(None) };
    if own.common.init.is_some() {
        return Ok(None);
    }
    let most = size(&trained.compact()?.network)?.nonzero;
    let of = |width: f64| -> Result<Recipe> {
        let width = format!("model.width={width:?}");
        let recipe = Recipe::read(path, &[overrides, &[width]].concat(), catalog)?;
        let graph = recipe.model.object.graph([info.channels, info.height, info.width], info.classes.len())?;
        Ok(without_priors(recipe, &graph))
    };
    let fits = |recipe: &Recipe| -> bool {
        let graph = recipe.model.object.graph([info.channels, info.height, info.width], info.classes.len());
        let network = graph.and_then(|graph| Network::new(graph, 0));
        network.is_ok_and(|network| network.parameters() <= most)
    };
    let (mut low, near) = (0.0, NEAR * high);
    let mut best = None;
    while high - low > near {
        let middle = f64::midpoint(low, high);
        let recipe = of(middle)?;
        if fits(&recipe) {
            (low, best) = (middle, Some(recipe));
        } else {
            high = middle;
        }
    }
    Ok(best.map(|recipe| (recipe, most)))
}

/// The same without priors, teachers, layers put in and what is said of them; it has no twin.
fn without_priors(mut recipe: Recipe, graph: &Graph) -> Recipe {
    recipe.common.name += "-small";
    recipe.common.twin = false;
    recipe.common.twin_lacks = Lacks::default();
    recipe.common.train.without_priors();
    recipe.common.train.by_labels();
    recipe.priors.clear();
    recipe.inserts.clear();
    recipe.common.train.without_nodes(|pattern| graph.select(&[pattern.to_owned()], "node", |_| true).is_err());
    recipe.teachers.clear();
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    const RECIPE: &str = "name = \"r\"\n[data]\nkind = \"concepts\"\ntrain = 20\nval = 10\ntest = 10\n[model]\nkind = \"vgg\"\ndepth = 8\nwidth = 0.5\n\
        [[prior]]\nkind = \"l1\"\nnodes = [\"features.*\"]\ntarget = 0.9\n[[train.phase]]\nepochs = 1\nlearning_rate = 0.1\npriors = [\"l1\"]\n";

    // Every tenth weight of a network stays: the small one has about as many, and none more.
    #[test]
    fn a_small_twin_has_as_many_parameters_as_are_not_zero() {
        let folder = tempfile::tempdir().unwrap();
        let (path, catalog) = (folder.path().join("r.toml"), Catalog::default());
        std::fs::write(&path, RECIPE).unwrap();
        let plan = Plan::new(Recipe::read(&path, &[], &catalog).unwrap(), &|_, _| ()).unwrap();
        assert!(is_pruned(&plan.claims));
        let mut network = plan.network(crate::folder::Stage::Main).unwrap();
        for position in 0..network.params.list().len() {
            let value = network.params.list()[position].value.clone();
            let kept: Vec<f32> = (0..value.elem_count()).map(|at| f32::from(u8::from(at % 10 == 0))).collect();
            let kept = candle_core::Tensor::from_vec(kept, value.dims(), value.device()).unwrap();
            network.params.set(position, kept).unwrap();
        }
        let most = size(&network.compact().unwrap().network).unwrap().nonzero;
        let (small, nonzero) = recipe(&path, &[], &network, plan.info(), &catalog).unwrap().unwrap();
        assert_eq!(nonzero, most);
        assert!(small.priors.is_empty() && !small.common.twin && small.common.name == "r-small");
        let small = Plan::new(small, &|_, _| ()).unwrap();
        let parameters = small.network(crate::folder::Stage::Main).unwrap().parameters();
        assert!(parameters <= most && parameters > most * 4 / 5, "{parameters} of {most}");
    }
}
