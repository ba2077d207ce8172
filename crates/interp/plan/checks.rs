//! What does not fit together in a recipe, its data and its network, found before the first step.

use interp_data::{Dataset, Divided, Info, Split, class_weights};
use interp_finding::nearest;
use interp_learn::{Objective, Steering, Train};
use interp_net::zoo::Generator;
use interp_net::{Graph, Node, Op};

use crate::recipe::Common;
use crate::{Origin, Result};

/// What is wrong with the classes of data for an objective.
pub(super) fn check_classes(objective: Objective, classes: &[String]) -> std::result::Result<(), String> {
    match (objective, classes) {
        (Objective::Classify, [] | [_]) => Err(format!("there are two or more classes to tell, not {classes:?}")),
        _ => Ok(()),
    }
}

/// What is wrong with a normalization that is given to a network which sees pixel values.
pub(super) fn check_pixels(common: &Common, sees_pixels: bool) -> std::result::Result<(), String> {
    match &common.init {
        Some(init) if sees_pixels && !init.of_plain && (init.mean.is_some() || init.std.is_some()) => {
            Err("`init.mean` and `init.std` are not for this model: it sees pixel values from 0 to 1".into())
        }
        _ => Ok(()),
    }
}

/// What is wrong with the shape of a network's outputs for an objective.
pub(super) fn check_output(graph: &Graph, objective: Objective, info: &Info) -> std::result::Result<(), String> {
    let given = graph.shape(graph.output());
    let Some(needed) = objective.output(info).filter(|needed| given != needed.as_slice()) else {
        return objective.check_graph(graph).map_err(|unfit| unfit.to_string());
    };
    Err(match objective {
        Objective::Classify | Objective::Generate(_) => format!(
            "`model` gives outputs of shape {given:?} and no logits of {} classes: a network that makes pictures needs \
             [objective.denoise], or where it draws codes [objective.reconstruct], and one that tells codes [objective.generate]",
            info.classes.len()
        ),
        Objective::Denoise(_) | Objective::Reconstruct(_) => {
            let key = objective.key();
            format!("`model` gives outputs of shape {given:?}: for [{key}] they must be pictures, {needed:?}")
        }
    })
}

/// What is wrong with a code of more categories than there are pictures.
pub(super) fn check_categories(generator: Option<&Generator>, pictures: usize) -> std::result::Result<(), String> {
    let most = generator.and_then(|generator| generator.latent.categorical.iter().copied().max()).unwrap_or(0);
    match most <= pictures {
        true => Ok(()),
        false => {
            Err(format!("`model.categorical`: {most} categories are more than the {pictures} pictures to learn from"))
        }
    }
}

/// Refuses weights of the labels where nothing else teaches.
pub(super) fn check_label_weights(train: &Train, teaches: bool, origin: &Origin) -> Result<()> {
    let of_phases = train.phase.iter().enumerate();
    let of_phases = of_phases.map(|(i, phase)| (format!("train.phase.{i}.label_weight"), phase.label_weight));
    let mut all = std::iter::once(("train.label_weight".to_owned(), Some(train.label_weight))).chain(of_phases);
    match all.find(|(_, weight)| !teaches && weight.is_some_and(|weight| weight != 1.0)) {
        Some((key, _)) => {
            let problem = format!(
                "`{key}` weighs labels against teachers and losses of inserted layers, of which there are none"
            );
            Err(origin.at_key(&key, problem))
        }
        None => Ok(()),
    }
}

/// Refuses a prior that would steer parameters which another one sets, or give channels names that have some.
pub(super) fn check_overlaps(priors: &[Steering], origin: &Origin) -> Result<()> {
    for one in priors.iter().filter(|p| p.prior.decides_weights()) {
        let is_shared = |other: &Steering| other.scope.positions.iter().any(|p| one.scope.positions.contains(p));
        let other = |other: &Steering| other.name != one.name && other.prior.steers() && is_shared(other);
        if let Some(i) = priors.iter().position(other) {
            let message = format!(
                "prior `{}` cannot steer the weights of {}, which prior `{}` sets: let its `nodes` leave them out",
                priors[i].name, one.scope.label, one.name
            );
            return Err(origin.at_key(&format!("prior.{i}.nodes"), message));
        }
    }
    let names = |steering: &&Steering| !steering.prior.concepts().is_empty();
    for (i, one) in priors.iter().enumerate().filter(|(_, one)| names(one)) {
        let earlier = priors[..i].iter().filter(names);
        if let Some(name) = earlier.flat_map(|p| &p.scope.names).find(|name| one.scope.names.contains(name)) {
            let message = format!("channels of `{name}` stand for the concepts of another prior already");
            return Err(origin.at_key(&format!("prior.{i}.nodes"), message));
        }
    }
    Ok(())
}

/// Patterns and names that are used only later in training are checked now.
pub(super) fn check_patterns(
    common: &Common,
    [graph, twin]: [&Graph; 2],
    gone: &dyn Fn(&str) -> bool,
    priors: &[Steering],
    origin: &Origin,
) -> Result<()> {
    let select = |patterns: &[String], key: &str| {
        graph.select(patterns, "node", |_| true).map_err(|e| origin.blame(key, e))?;
        let patterns: Vec<String> = patterns.iter().filter(|pattern| !gone(pattern)).cloned().collect();
        let of_twin =
            |problem| origin.at_key(key, format!("`{key}` of the twin: {problem}; `twin = false` leaves it out"));
        twin.select(&patterns, "node", |_| true).map(|_| ()).map_err(of_twin)
    };
    for (i, group) in common.train.group.iter().enumerate() {
        select(&group.nodes, &format!("train.group.{i}.nodes"))?;
    }
    for (i, phase) in common.train.phase.iter().enumerate() {
        select(&phase.freeze, &format!("train.phase.{i}.freeze"))?;
        select(&phase.thaw, &format!("train.phase.{i}.thaw"))?;
        let (key, is_norm) = (format!("train.phase.{i}.freeze_statistics"), |node: &Node| {
            matches!(node.op, Op::BatchNorm { .. } | Op::UncenteredNorm { .. })
        });
        select(&phase.freeze_statistics, &key)?;
        let norms = graph.select(&phase.freeze_statistics, "norm with statistics", is_norm);
        norms.map_err(|e| origin.blame(&key, e))?;
        for (j, name) in phase.priors.iter().flatten().enumerate() {
            if priors.iter().all(|p| p.name != *name) {
                let near = nearest(name, priors.iter().map(|p| p.name.as_str()));
                let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                let key = format!("train.phase.{i}.priors.{j}");
                return Err(origin.at_key(&key, format!("`{key}`: no prior is called `{name}`{hint}")));
            }
        }
    }
    for (i, prior) in priors.iter().enumerate() {
        // Those of inserted layers come last.
        let key = if origin.has(&format!("prior.{i}")) { format!("prior.{i}") } else { "insert".into() };
        let steers = common.train.steers(&prior.name, &prior.scope, graph).map_err(|e| origin.blame(&key, e))?;
        if !steers.contains(&true) {
            let message = format!(
                "prior `{}` steers in no phase: each leaves it out of its `priors`, or freezes all its layers, or has a \
                 learning rate of 0 for them",
                prior.name
            );
            return Err(origin.at_key(&key, message));
        }
    }
    Ok(())
}

/// Refuses a push of nothing, or to pictures of a class that has none.
pub(super) fn check_push(train: &Train, priors: &[Steering], data: &Divided, origin: &Origin) -> Result<()> {
    let Some(first) = train.phase.iter().position(|phase| phase.push) else { return Ok(()) };
    let key = format!("train.phase.{first}.push");
    if !priors.iter().any(|p| p.prior.pushes()) {
        let problem = "there is nothing to push: [[insert]] with kind = \"prototypes\" puts in what takes its values from pictures";
        return Err(origin.at_key(&key, format!("`{key}`: {problem}")));
    }
    let data = data.learning();
    let empty = class_weights(&data, Split::Train).iter().position(|&weight| weight == 0.0);
    empty.map_or(Ok(()), |class| {
        let name = &data.info().classes[class];
        let problem =
            format!("there is no picture of class `{name}` to train with, for its prototypes to become places of");
        Err(origin.at_key(&key, format!("`{key}`: {problem}")))
    })
}
