//! Plans: a recipe held against its data and its network, before the first step.

use std::path::Path;
use std::sync::Arc;

use interp_data::{
    Annotations, Augment, DataError, Dataset, Divided, Info, Learning, Split, class_weights, renormalized,
};
use interp_finding::{Claim, Quantity, Relation, nearest};
use interp_learn::distill::Teacher;
use interp_learn::gan::Guide;
use interp_learn::prior::Scope;
use interp_learn::{LearnError, Objective, Steering, Train};
use interp_net::zoo::{Architecture, Generator};
use interp_net::{Graph, Meta, Network, Node, Normalization, Op, describe, sealed};
use serde_json::json;

use crate::folder::Stage;
use crate::init::Start;
use crate::inserting::Inserted;
use crate::progress::Screen;
use crate::recipe::{Common, Lacks, Recipe};
use crate::teaching::Pupil;
use crate::{Error, Origin, Result};

/// All that a run needs; nothing in it can fail for a reason that the recipe could have told.
pub struct Plan {
    /// The recipe as resolved.
    pub text: String,
    /// The hash of it and of the network that training starts from.
    pub hash: String,
    /// The data, with validation cut from train.
    pub data: Divided,
    /// SHA-256 of the pictures, labels and groups.
    pub data_hash: String,
    info: Info,
    /// The network's structure, before any prior has prepared it.
    pub graph: Graph,
    /// The structure of the black-box twin.
    pub twin: Graph,
    /// The network that makes the pictures whose codes are told, where that is the objective.
    pub generator: Option<Generator>,
    /// Pictures of train whose codes are known.
    pub guide: Guide,
    /// The networks to start from, own and twin, of a checkpoint.
    start: Option<[Network; 2]>,
    model: Box<dyn Architecture>,
    /// The architecture of the twin, where it is another.
    plain: Option<Box<dyn Architecture>>,
    /// The layers put in.
    inserted: Inserted,
    /// The teachers, on the CPU.
    pub teachers: Vec<Teacher>,
    /// The priors with what they act on.
    pub priors: Vec<Steering>,
    /// What is claimed: by the network's structure, then by the priors.
    pub claims: Vec<Claim>,
    /// The recipe's other sections.
    pub common: Common,
    /// Weights of the classes in the loss, where the recipe asks for them.
    pub class_weights: Option<Vec<f64>>,
}

impl Plan {
    /// Opens the data, builds the network's structure, and resolves every pattern. No progress is shown.
    ///
    /// # Errors
    /// If data cannot be opened, or a section does not fit the data or the network.
    pub fn new(recipe: Recipe, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Self> {
        Self::make(recipe, progress, &Screen::new(true))
    }

    /// The same, and how it goes is shown.
    pub(crate) fn shown(recipe: Recipe, screen: &Screen) -> Result<Self> {
        let bar = screen.units("data");
        Self::make(recipe, &|done, all| bar.set(done, all), screen)
    }

    fn make(recipe: Recipe, progress: &(dyn Fn(u64, u64) + Sync), screen: &Screen) -> Result<Self> {
        let text = recipe.resolved()?;
        let hash = sealed::digest(&text);
        let origin = recipe.origin.clone();
        let objective = recipe.common.objective;
        recipe.common.train.check().map_err(|e| origin.blame("train", LearnError::from(e)))?;
        objective.check(&recipe.common.train).map_err(|unfit| origin.at_key(&unfit.key, unfit.to_string()))?;
        let data = recipe.data.object.open(progress).map_err(|e| unopened(e, &recipe.data.settings, &origin))?;
        let sees_pixels = recipe.model.object.sees_pixels();
        let data = if sees_pixels { as_pixels(data) } else { data };
        let info = data.info().clone();
        check_classes(objective, &info.classes).map_err(|problem| origin.at_key("data", problem))?;
        let graph = |model: &dyn Architecture| -> Result<Graph> {
            let graph = model.graph([info.channels, info.height, info.width], info.classes.len());
            let graph = graph.map_err(|e| origin.blame("model", e))?;
            check_output(&graph, objective, &info).map_err(|problem| origin.at_key("model", problem))?;
            Ok(graph)
        };
        let (no_priors, no_teachers) = (recipe.priors.is_empty(), recipe.teachers.is_empty());
        let unused = [
            ("prior", no_priors),
            ("teacher", no_teachers),
            ("init", recipe.common.init.is_none()),
            ("insert", recipe.inserts.is_empty()),
        ];
        let generator = generator(objective, &*recipe.model.object, unused, &info, &origin)?;
        let lacks = recipe.common.twin_lacks;
        if lacks == Lacks::Teachers && recipe.teachers.is_empty() {
            return Err(origin.at_key("twin_lacks", "`twin_lacks`: there are no teachers to go without".into()));
        }
        let is_plain = recipe.common.twin && lacks == Lacks::Everything;
        let (plain, model) = (recipe.model.object.plain().filter(|_| is_plain), recipe.model.object);
        let own = graph(&*model)?;
        let twin = plain.as_deref().map(|plain| {
            let of_twin =
                |problem: String| origin.at_key("twin", format!("the twin: {problem}; `twin = false` leaves it out"));
            graph(plain).map_err(|error| of_twin(error.to_string()))
        });
        let (graph, twin) = (own.clone(), twin.transpose()?.unwrap_or(own));
        check_pixels(&recipe.common, sees_pixels).map_err(|problem| origin.at_key("init", problem))?;
        let (architecture, seed) = (&*model, recipe.common.seed);
        let wanted = Start { architecture, model: &graph, objective, info: &info, seed, screen };
        let start = recipe.common.init.as_ref().map(|init| init.network(&wanted));
        let start = start.transpose().map_err(|e| origin.at_key("init.path", format!("`init.path`: {e}")))?;
        let hash = start.as_ref().map_or(Ok(hash.clone()), |start| with_start(&hash, start))?;
        let (graph, twin, data) = match &start {
            None => (graph, twin, data),
            Some((network, normalization)) => {
                let data = renormalized(data, &normalization.mean, &normalization.std);
                if !network.graph.has_layers_of(&twin) {
                    let problem = "the twin has other layers than the network that `[init]` names, so that it cannot start from it; \
                                   `twin = false` leaves it out";
                    return Err(origin.at_key("twin", problem.into()));
                }
                (network.graph.clone(), network.with_activations_of(&twin)?.graph, data)
            }
        };
        let (info, start) = (data.info().clone(), start.map(|(network, _)| network));
        let start = start.map(|own| own.with_activations_of(&twin).map(|twin| [own, twin])).transpose()?;
        let data = Divided::new(data, &recipe.common.split).map_err(|e| origin.blame("split", e))?;
        let sizes = sizes(&data);
        if sizes.contains(&0) {
            let [train, val, test] = sizes;
            let problem =
                format!("{train} pictures to train, {val} to choose by, {test} to test: each split needs some");
            return Err(origin.at_key("data", problem));
        }
        check_categories(generator.as_ref(), sizes[0])
            .map_err(|problem| origin.at_key("model.categorical", problem))?;
        let guide = guide(generator.as_ref(), &recipe.common, &data.learning(), &origin)?;
        recipe.common.augment.check(&info).map_err(|e| origin.blame("augment", DataError::from(e)))?;
        let mut inserted = Inserted::new(recipe.inserts, &graph, &data, &origin)?;
        let with_layers = |problem: String| problem.replacen("`model`", "the network with what is put in", 1);
        let fits = check_output(&inserted.graph, objective, &info);
        fits.map_err(|problem| origin.at_key("insert", with_layers(problem)))?;
        let own = start.as_ref().map(|[own, _]| own.clone());
        let network = own.map_or_else(|| Network::new(graph, recipe.common.seed), Ok)?;
        let network = inserted.network(network, recipe.common.seed)?;
        let graph = inserted.graph.clone();
        let twin = if lacks == Lacks::Teachers { graph.clone() } else { twin };
        let mut priors = vec![];
        for (i, prior) in recipe.priors.into_iter().enumerate() {
            let key = format!("prior.{i}");
            let scope = Scope::of_prior(&network, &prior.nodes, prior.part.object.as_ref());
            let mut scope = scope.map_err(|e| origin.blame(&format!("{key}.nodes"), e))?;
            scope.known = annotations(prior.part.object.concepts(), &data, &origin, &key)?;
            let fits = prior.part.object.check(&network, &scope);
            fits.map_err(|e| origin.blame(&key, LearnError::from(e)))?;
            if prior.part.object.needs_masks() && !knows_objects(&data).map_err(|e| origin.blame("data", e))? {
                let message = format!("prior `{}` needs to know where objects are; {} does not", prior.name, info.name);
                return Err(origin.at_key(&key, message));
            }
            priors.push(Steering { name: prior.name, prior: prior.part.object, scope });
        }
        let teaches = (!recipe.teachers.is_empty() || inserted.teaches) && objective == Objective::Classify;
        check_label_weights(&recipe.common.train, teaches, &origin)?;
        for steering in inserted.steering(&network).map_err(|e| origin.blame("insert", e))? {
            if steering.prior.needs_masks() && !knows_objects(&data).map_err(|e| origin.blame("data", e))? {
                let message = format!("`{}` needs to know where objects are; {} does not", steering.name, info.name);
                return Err(origin.at_key("insert", message));
            }
            if priors.iter().any(|p: &Steering| p.name == steering.name) {
                let message =
                    format!("a prior and an inserted layer are called `{}`: give one another `name`", steering.name);
                return Err(origin.at_key("insert", message));
            }
            priors.push(steering);
        }
        check_overlaps(&priors, &origin)?;
        // Of what the twin goes without, its phases say nothing.
        let gone = |pattern: &str| lacks == Lacks::Everything && inserted.is_own(pattern);
        check_patterns(&recipe.common, [&graph, &twin], &gone, &priors, &origin)?;
        let pupil = Pupil {
            graph: &network.graph,
            objective,
            info: &info,
            data: sealed::digest(&json!([data.digest(), recipe.common.split]).to_string()),
            count: sizes[0],
            augment: recipe.common.augment,
            seed: recipe.common.seed,
            screen,
        };
        let (mut teachers, mut hash) = (vec![], hash);
        for (i, part) in recipe.teachers.into_iter().enumerate() {
            let (teacher, digest) = part.teacher(&pupil).map_err(|e| origin.blame(&format!("teacher.{i}"), e))?;
            hash = sealed::digest(&format!("{hash} {digest}"));
            teachers.push(teacher);
        }
        let of_priors = priors.iter().flat_map(|p| p.prior.claims(&p.scope));
        let of_graph = [thresholds_claim, winners_claim, routes_claim, sum_claim, contributions_claim];
        let claims = of_graph.iter().filter_map(|claim| claim(&graph)).chain(of_priors).collect();
        let balanced = || class_weights(&data.learning(), Split::Train).into_iter().map(f64::from).collect();
        let class_weights = recipe.common.train.balance_classes.then(balanced);
        let data_hash = data.digest().to_owned();
        let common = recipe.common;
        Ok(Self {
            text,
            hash,
            data,
            data_hash,
            info,
            graph,
            twin,
            generator,
            guide,
            start,
            model,
            plain,
            inserted,
            teachers,
            priors,
            claims,
            common,
            class_weights,
        })
    }

    /// Whether a twin is trained: without priors that steer and without teachers it would be the same network, unless its structure is
    /// another.
    pub fn has_twin(&self) -> bool {
        let differs = self.priors.iter().any(|p| p.prior.steers()) || self.twin != self.graph;
        let informed = matches!(self.common.objective, Objective::Generate(generate) if generate.information > 0.0);
        self.common.twin && (differs || informed || !self.teachers.is_empty())
    }

    /// How a network is trained: the twin by labels alone.
    pub fn settings(&self, stage: Stage) -> Train {
        let mut settings = self.common.train.clone();
        // What an inserted layer teaches it teaches a twin that lacks teachers alone too.
        if stage == Stage::Twin && (self.common.twin_lacks == Lacks::Everything || !self.inserted.teaches) {
            settings.by_labels();
        }
        if stage == Stage::Twin && self.common.twin_lacks == Lacks::Everything {
            settings.without_priors();
            settings.without_nodes(|pattern| self.inserted.is_own(pattern));
        }
        settings
    }

    /// The priors that steer a network, and what is claimed of it.
    pub fn steering(&self, stage: Stage) -> (&[Steering], &[Claim]) {
        match (stage, self.common.twin_lacks) {
            (Stage::Twin, Lacks::Everything) => (&[], &[]),
            _ => (&self.priors, &self.claims),
        }
    }

    /// A network before its first step, and before any prior has prepared it.
    ///
    /// # Errors
    /// If the network cannot be made.
    pub fn network(&self, stage: Stage) -> Result<Network> {
        let has_layers = stage == Stage::Main || self.common.twin_lacks == Lacks::Teachers;
        let network = self.plain_network(stage)?;
        if has_layers { self.inserted.network(network, self.common.seed) } else { Ok(network) }
    }

    /// The same without inserted layers.
    fn plain_network(&self, stage: Stage) -> Result<Network> {
        if let Some([own, twin]) = &self.start {
            return Ok(if stage == Stage::Main { own.clone() } else { twin.clone() });
        }
        let model = match stage {
            Stage::Main => &*self.model,
            Stage::Twin => self.plain.as_deref().unwrap_or(&*self.model),
        };
        let [channels, height, width] = [self.info.channels, self.info.height, self.info.width];
        let graph = model.graph([channels, height, width], self.info.classes.len())?;
        let mut network = Network::new(graph, self.common.seed)?;
        model.start(&mut network)?;
        Ok(network)
    }

    /// The hash of all that the twin follows from, its first values with it: recipes that have the same have the same twin, to the
    /// bit.
    ///
    /// # Errors
    /// If the network cannot be made, or a setting not be written.
    pub fn twin_hash(&self) -> Result<String> {
        let mut common = self.common.clone();
        common.name.clear();
        common.train = self.settings(Stage::Twin);
        let (twin, info) = (self.network(Stage::Twin)?, self.info());
        // Priors have no hash of their own: twins that have some are each of one recipe.
        let steered = if self.steering(Stage::Twin).0.is_empty() { "" } else { &self.hash };
        let values = sealed::digest_of(twin.params.list().iter().map(|param| (param.name.as_str(), &param.value)))?;
        let all =
            json!([common, twin.graph, values, &self.data_hash, &info.mean, &info.std, sizes(&self.data), steered]);
        Ok(sealed::digest(&all.to_string()))
    }

    /// What is said of the data in files and reports.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The description that goes into the file of a network with the structure `graph`.
    pub fn meta(&self, graph: Graph, claims: &[Claim], epoch: usize) -> Meta {
        let info = self.info();
        let normalization = Normalization { mean: info.mean.clone(), std: info.std.clone() };
        let classes = if self.common.objective == Objective::Classify { info.classes.clone() } else { vec![] };
        let mut meta = Meta::new(graph, classes, normalization);
        meta.data = info.name.clone();
        meta.recipe = self.text.clone();
        meta.epoch = epoch;
        meta.claims = claims.to_vec();
        meta
    }

    /// The plan for people: the resolved recipe, the splits, the layers, the claims.
    ///
    /// # Errors
    /// If the network cannot be made.
    pub fn describe(&self) -> Result<String> {
        let network = Network::new(self.graph.clone(), self.common.seed)?;
        let claims: Vec<String> = self.claims.iter().map(|c| format!("  {}", c.statement())).collect();
        let claims = if claims.is_empty() { "  none".to_owned() } else { claims.join("\n") };
        let [train, val, test] = sizes(&self.data);
        Ok(format!(
            "{}\n# data: {} to train, {} to choose by, {} to test\n\n{}\n\nclaims\n{}",
            self.text,
            train,
            val,
            test,
            describe(&network),
            claims
        ))
    }
}

/// An error of opening data by `settings`, with the key of its path where that is to blame, or would help.
fn unopened(error: DataError, settings: &toml::Table, origin: &Origin) -> Error {
    let given = settings.get("path").and_then(|path| path.as_str()).map(Path::new);
    match &error {
        DataError::Io { path, .. } | DataError::Format { path, .. } if given == Some(path) => {
            origin.at_key("data.path", format!("`data.path`: {error}"))
        }
        DataError::Hub(_) => origin.at_key("data", format!("{error}, with --set data.path=DIR")),
        _ => origin.blame("data", error),
    }
}

/// The same pictures, normalized by nothing.
fn as_pixels(data: Arc<dyn Dataset>) -> Arc<dyn Dataset> {
    let channels = data.info().channels;
    renormalized(data, &vec![0.0; channels], &vec![1.0; channels])
}

/// The hash of a recipe together with what it starts from, of which it has the path alone.
fn with_start(hash: &str, (network, normalization): &(Network, Normalization)) -> Result<String> {
    let values = network.params.list().iter().map(|param| (param.name.as_str(), &param.value));
    let all = json!([hash, network.graph, sealed::digest_of(values)?, normalization.mean, normalization.std]);
    Ok(sealed::digest(&all.to_string()))
}

/// The generator that `[objective.generate]` needs, which has none of what is not `unused`.
fn generator(
    objective: Objective,
    model: &dyn Architecture,
    unused: [(&str, bool); 4],
    info: &Info,
    origin: &Origin,
) -> Result<Option<Generator>> {
    let found = model.generator([info.channels, info.height, info.width]);
    if !matches!(objective, Objective::Generate(_)) {
        // What tells codes may have as many outputs as there are classes.
        let problem = "`model` tells codes of pictures, and is trained with [objective.generate] alone";
        let makes_none = !matches!(found, Ok(Some(_)));
        return makes_none.then_some(None).ok_or_else(|| origin.at_key("model", problem.into()));
    }
    if let Some((key, _)) = unused.into_iter().find(|(_, is_unused)| !is_unused) {
        return Err(origin.at_key(key, format!("`{key}` is not for [objective.generate]")));
    }
    let problem = "`model` makes no pictures of codes: [objective.generate] needs one that does, `infogan`";
    let found = found.map_err(|e| origin.blame("model", e))?;
    found.map(Some).ok_or_else(|| origin.at_key("model", problem.into()))
}

/// Pictures whose codes are known, where the model says what codes are to stand for.
fn guide(generator: Option<&Generator>, common: &Common, data: &Learning, origin: &Origin) -> Result<Guide> {
    let (Some(Generator { latent, .. }), Objective::Generate(generate)) = (generator, common.objective) else {
        return Ok(Guide::default());
    };
    if !latent.factors.is_empty() && common.augment != Augment::default() {
        let problem = "`augment` changes pictures, and so the factors that `model.factors` tells of them: leave out one of the two";
        return Err(origin.at_key("augment", problem.into()));
    }
    Guide::new(data, latent, generate.guided, common.seed).map_err(|error| match error {
        LearnError::Setting(unfit) => origin.at_key(&unfit.key, unfit.to_string()),
        other => other.into(),
    })
}

/// What is wrong with a code of more categories than there are pictures.
fn check_categories(generator: Option<&Generator>, pictures: usize) -> std::result::Result<(), String> {
    let most = generator.and_then(|generator| generator.latent.categorical.iter().copied().max()).unwrap_or(0);
    match most <= pictures {
        true => Ok(()),
        false => {
            Err(format!("`model.categorical`: {most} categories are more than the {pictures} pictures to learn from"))
        }
    }
}

/// What is wrong with a normalization that is given to a network which sees pixel values.
fn check_pixels(common: &Common, sees_pixels: bool) -> std::result::Result<(), String> {
    match &common.init {
        Some(init) if sees_pixels && !init.of_plain && (init.mean.is_some() || init.std.is_some()) => {
            Err("`init.mean` and `init.std` are not for this model: it sees pixel values from 0 to 1".into())
        }
        _ => Ok(()),
    }
}

/// What is wrong with the classes of data for an objective.
fn check_classes(objective: Objective, classes: &[String]) -> std::result::Result<(), String> {
    match (objective, classes) {
        (Objective::Classify, [] | [_]) => Err(format!("there are two or more classes to tell, not {classes:?}")),
        _ => Ok(()),
    }
}

/// What is wrong with the shape of a network's outputs for an objective.
fn check_output(graph: &Graph, objective: Objective, info: &Info) -> std::result::Result<(), String> {
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

/// What training makes true of every network with thresholds.
fn thresholds_claim(graph: &Graph) -> Option<Claim> {
    let has = graph.nodes().iter().filter(|node| matches!(node.op, Op::Threshold { .. }));
    let nodes: Vec<String> = has.map(|node| node.name.clone()).collect();
    let (quantity, relation) = (Quantity::NegativeThresholds, Relation::AtMost);
    (!nodes.is_empty()).then(|| Claim { quantity, nodes, scope: "the network".into(), relation, bound: 0.0 })
}

/// Refuses a prior that would steer parameters which another one sets, or give channels names that have some.
fn check_overlaps(priors: &[Steering], origin: &Origin) -> Result<()> {
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

/// What is true of every network with k winners.
fn winners_claim(graph: &Graph) -> Option<Claim> {
    let winners = |op: &Op| if let Op::KWinners { count } = op { Some(*count) } else { None };
    most_active(graph, winners, |_| "the network".into())
}

/// What is true of every gate that chooses experts.
fn routes_claim(graph: &Graph) -> Option<Claim> {
    let chosen = |op: &Op| if let Op::Route { top } = op { Some(*top) } else { None };
    most_active(graph, chosen, |nodes| nodes.join(", "))
}

/// That of the channels of some nodes no more are active at a position than the largest of `count`s.
fn most_active(
    graph: &Graph,
    count: impl Fn(&Op) -> Option<usize>,
    scope: impl Fn(&[String]) -> String,
) -> Option<Claim> {
    let counted = |node: &Node| Some((node.name.clone(), count(&node.op)?));
    let (nodes, counts): (Vec<_>, Vec<_>) = graph.nodes().iter().filter_map(counted).unzip();
    let (quantity, relation) = (Quantity::ActiveChannels, Relation::AtMost);
    let bound = *counts.iter().max()? as f64;
    Some(Claim { quantity, scope: scope(&nodes), nodes, relation, bound })
}

/// What is true of every network whose logits are a sum of modules.
fn sum_claim(graph: &Graph) -> Option<Claim> {
    let last = &graph.nodes()[graph.output()];
    let nodes: Vec<String> = last.inputs.iter().map(|&id| graph.nodes()[id].name.clone()).collect();
    let (quantity, relation, scope) = (Quantity::SumDeviation, Relation::AtMost, nodes.join(", "));
    (last.op == Op::Add).then_some(Claim { quantity, nodes, scope, relation, bound: 1e-4 })
}

/// How far a logit may be from what pixels contribute to it, by rounding.
const CONTRIBUTION_GAP: f64 = 1e-4;

/// What is so of every network of B-cos convolutions.
fn contributions_claim(graph: &Graph) -> Option<Claim> {
    let has = graph.nodes().iter().any(|node| matches!(node.op, Op::BCosConv2d { .. }));
    let nodes = vec![graph.nodes()[graph.output()].name.clone()];
    let (quantity, relation, bound) = (Quantity::ContributionGap, Relation::AtMost, CONTRIBUTION_GAP);
    has.then(|| Claim { quantity, nodes, scope: "the network".into(), relation, bound })
}

/// Refuses weights of the labels where nothing else teaches.
fn check_label_weights(train: &Train, teaches: bool, origin: &Origin) -> Result<()> {
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

/// Patterns and names that are used only later in training are checked now.
fn check_patterns(
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
        if phase.push && !priors.iter().any(|p| p.prior.pushes()) {
            let key = format!("train.phase.{i}.push");
            let problem = "there is nothing to push: [[insert]] with kind = \"prototypes\" puts in what takes its values from pictures";
            return Err(origin.at_key(&key, format!("`{key}`: {problem}")));
        }
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

/// What the pictures to train with show of the concepts that the section `key` asks for, if it does.
pub(crate) fn annotations(
    wanted: &[String],
    data: &Divided,
    origin: &Origin,
    key: &str,
) -> Result<Option<Arc<Annotations>>> {
    let known = (!wanted.is_empty()).then(|| Annotations::of(&data.learning(), Split::Train, wanted)).transpose();
    Ok(known.map_err(|e| origin.at_key(&format!("{key}.concepts"), e.to_string()))?.map(Arc::new))
}

/// Whether the data has masks of its objects.
fn knows_objects(data: &Divided) -> interp_data::Result<bool> {
    Ok(data.learning().truth(Split::Train, 0)?.is_some_and(|truth| truth.object.is_some()))
}

/// Pictures in train, validation and test.
fn sizes(data: &Divided) -> [usize; 3] {
    let all = data.examining();
    [Split::Train, Split::Validation, Split::Test].map(|split| all.len(split))
}
