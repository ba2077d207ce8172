//! Plans: a recipe held against its data and its network, before the first step.

mod checks;
mod claims;

use std::path::Path;
use std::sync::Arc;

use interp_data::{
    Annotations, Augment, DataError, Dataset, Divided, Info, Learning, Split, class_weights, renormalized,
};
use interp_finding::Claim;
use interp_learn::distill::Teacher;
use interp_learn::gan::Guide;
use interp_learn::prior::Scope;
use interp_learn::{LearnError, Objective, Steering, Train};
use interp_net::zoo::{Architecture, Generator};
use interp_net::{Graph, Meta, Network, Normalization, describe, sealed};
use serde_json::json;

use self::checks::{
    check_categories, check_classes, check_label_weights, check_output, check_overlaps, check_patterns, check_pixels,
    check_push,
};
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
        check_push(&recipe.common.train, &priors, &data, &origin)?;
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
        let claims = claims::of_structure(&graph).into_iter().chain(of_priors).collect();
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
