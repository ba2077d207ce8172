//! The `[[teacher]]` sections of a recipe: networks of checkpoints that a network learns from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use interp_data::{Augment, Info};
use interp_finding::Unfit;
use interp_learn::distill::{Cache, Distillation, Teacher, Teaching};
use interp_learn::{LearnError, Objective};
use interp_net::{Checkpoint, Graph, Network, Normalization, files, sealed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::init::misfit;
use crate::network_file::{NetworkFile, warn_of_sliding};
use crate::progress::Screen;
use crate::recipe::Part;
use crate::{Error, Result};

/// A trained network that the network learns from beside the labels: its file, and in `[[teacher.loss]]` how it teaches. It is run
/// as in evaluation and does not change. The twin learns from no teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeacherSettings {
    /// A file (safetensors, or a state dict of PyTorch), the folder of a run, or `hub:OWNER/NAME[@REVISION]`.
    pub path: PathBuf,
    /// Architecture of a file that does not say: `resnet56`, `vgg16_bn`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Subtracted from pictures in [0, 1], per channel; where it is not given, as the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f32>>,
    /// Pictures are divided by this, per channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<Vec<f32>>,
    /// What all its losses are multiplied with, above 0: the share of one of several teachers.
    #[serde(default = "one")]
    pub weight: f64,
    /// A folder where its logits are kept, by picture and by how the picture was changed: it is then run once for all trainings with
    /// the same pictures, changes and seed. Not for losses that read its layers. A file takes four bytes for each class and picture, and there is one for each epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

fn one() -> f64 {
    1.0
}

/// What every loss of a teacher has beside its own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What the loss is multiplied with.
    pub weight: f64,
    /// Epochs over which the weight grows from 0.
    pub warmup: f64,
}

/// A loss of a teacher in a recipe.
pub struct LossPart {
    /// How much it counts.
    pub share: Share,
    /// Its kind and own settings.
    pub part: Part<dyn Distillation>,
}

/// A teacher in a recipe.
pub struct TeacherPart {
    /// Its file.
    pub settings: TeacherSettings,
    /// How it teaches.
    pub losses: Vec<LossPart>,
}

/// What teachers are held against.
pub(crate) struct Pupil<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) objective: Objective,
    /// The data as the student sees it, and its digest with that of the split.
    pub(crate) info: &'a Info,
    pub(crate) data: String,
    /// Pictures to train.
    pub(crate) count: usize,
    pub(crate) augment: Augment,
    pub(crate) seed: u64,
    /// Where a download is shown.
    pub(crate) screen: &'a Screen,
}

impl TeacherPart {
    /// The teacher, and the digest of all that its logits follow from but the pictures.
    ///
    /// # Errors
    /// If its file cannot be read or does not fit the data, or a loss does not fit the two networks: the key in its section is named.
    pub(crate) fn teacher(self, pupil: &Pupil<'_>) -> Result<(Teacher, String)> {
        let Self { settings, losses } = self;
        let unfit = |key: &str, problem: String| Error::from(LearnError::Setting(Unfit::new(key, problem)));
        if pupil.objective != Objective::Classify {
            return Err(unfit("path", "is of a classifier: a network of another objective has no teachers".into()));
        }
        if losses.is_empty() {
            return Err(unfit("loss", "needs at least one: [[teacher.loss]] with `kind`".into()));
        }
        check_share("weight", settings.weight > 0.0, settings.weight, "above 0")?;
        let (network, normalization) =
            settings.network(pupil).map_err(|e| unfit("path", format!("cannot be used: {e}")))?;
        for (i, loss) in losses.iter().enumerate() {
            let section = format!("loss.{i}");
            let fits = loss.part.object.check(pupil.graph, &network.graph);
            fits.map_err(|e| LearnError::Setting(e.within(&section)))?;
            check_share(&format!("{section}.weight"), loss.share.weight >= 0.0, loss.share.weight, "0 or more")?;
            check_share(&format!("{section}.warmup"), loss.share.warmup >= 0.0, loss.share.warmup, "0 or more")?;
        }
        let values = network.params.list().iter().map(|param| (param.name.as_str(), &param.value));
        let weights = sealed::digest_of(values)?;
        let digest = sealed::digest(&json!([weights, network.graph, normalization]).to_string());
        let reads_layers = losses.iter().any(|loss| !loss.part.object.teacher_nodes().is_empty());
        if settings.cache.is_some() && reads_layers {
            let problem = "cannot spare a teacher whose layers are read: it runs in any case".into();
            return Err(unfit("cache", problem));
        }
        let source = Source { teacher: &digest, normalization: &normalization };
        let cache = settings.cache.map(|folder| source.cache(&folder, &network, pupil)).transpose()?.map(Arc::new);
        let teaching = |LossPart { share: Share { weight, warmup }, part }: LossPart| Teaching {
            name: part.kind.to_owned(),
            weight,
            warmup,
            loss: Arc::from(part.object),
        };
        let teachings = losses.into_iter().map(teaching).collect();
        Ok((Teacher { network, normalization, weight: settings.weight, teachings, cache }, digest))
    }
}

/// Refuses a number that is not as it should be.
fn check_share(key: &str, fits: bool, value: f64, wanted: &str) -> Result<()> {
    let problem = format!("must be {wanted}, not {value}");
    Ok(Unfit::unless(fits && value.is_finite(), key, problem).map_err(LearnError::Setting)?)
}

/// Numbers that a file of a cache may have: it is held in memory.
const MOST_CACHED: usize = 1 << 28;

/// What a teacher's logits follow from, beside the pictures.
struct Source<'a> {
    /// The digest of its weights and structure.
    teacher: &'a str,
    normalization: &'a Normalization,
}

impl Source<'_> {
    /// The cache below `folder`: in a folder of its own for all that the logits follow from, so that several teachers can share one. What
    /// comes in from outside where a picture is cut or shifted is the mean that the student's data say, so that it counts too.
    fn cache(&self, folder: &Path, network: &Network, pupil: &Pupil<'_>) -> Result<Cache> {
        let unfit = |problem: String| LearnError::Setting(Unfit::new("cache", problem));
        let (is_fixed, classes) = (pupil.augment == Augment::default(), network.graph.outputs());
        if pupil.count.saturating_mul(classes) > MOST_CACHED {
            let gib = pupil.count as f64 * classes as f64 / f64::from(1 << 28);
            return Err(unfit(format!("would hold {gib:.1} GiB for each epoch, more than 1 GiB: leave it out")).into());
        }
        let Info { mean, std, .. } = pupil.info;
        let source = json!({
            "teacher": self.teacher, "takes": self.normalization, "data": pupil.data, "mean": mean, "std": std,
            "augment": pupil.augment, "seed": if is_fixed { 0 } else { pupil.seed },
        });
        let folder = folder.join(&sealed::digest(&source.to_string())[..16]);
        files::check_folder(&folder).map_err(|error| unfit(format!("cannot be written to: {error}")))?;
        Ok(Cache::new(folder, source, [pupil.count, classes], is_fixed))
    }
}

impl TeacherSettings {
    fn network(&self, pupil: &Pupil<'_>) -> Result<(Network, Normalization)> {
        let NetworkFile { path, config, unread } = NetworkFile::find(&self.path, pupil.screen)?;
        let file = Checkpoint::read(&path)?;
        let named = config.as_ref().filter(|_| file.meta.is_none()).map(|config| config.architecture.as_str());
        let wrong = |problem: String| Error::Folder { path: path.clone(), problem };
        let network = file.network(&path, self.arch.as_deref().or(named), [pupil.info.height, pupil.info.width])?;
        warn_of_sliding(&path, &file, &network.graph);
        let own = file.meta.as_ref().map(|meta| &meta.classes);
        let classes = own.or(config.as_ref().map(|config| &config.classes).filter(|classes| !classes.is_empty()));
        let unfit = misfit(&network, classes, pupil.objective, pupil.info);
        unfit.map_or(Ok(()), |problem| Err(wrong(problem)))?;
        let said = file.meta.map(|meta| meta.normalization).or(config.map(|config| config.normalization));
        let normalization = match (&self.mean, &self.std, said) {
            (Some(mean), Some(std), _) => Normalization { mean: mean.clone(), std: std.clone() },
            (None, None, Some(said)) => said,
            (None, None, None) => {
                let hint = NetworkFile::hint(unread.as_ref());
                return Err(wrong(format!("it does not say how pictures are normalized: give `mean` and `std`{hint}")));
            }
            _ => return Err(wrong("`mean` and `std` go together".into())),
        };
        normalization.check(pupil.info.channels).map_err(wrong)?;
        Ok((network, normalization))
    }
}
