//! What the commands over checkpoints share: finding the file, building the network, opening data for it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use interp_audit::Pictures;
use interp_data::{DataError, Dataset, Divided, Fit, Info, Source, Split, relabeled, renormalized, split_spec};
use interp_finding::Measured;
use interp_learn::Objective;
use interp_net::{Checkpoint, Network, Normalization};

use crate::config::Config;
use crate::init::misfit;
use crate::network_file::{NetworkFile, warn_of_sliding};
use crate::progress::Screen;
use crate::recipe::Recipe;
use crate::{Catalog, Error, Result};

/// Height and width of pictures where nothing says them.
const SMALL: [usize; 2] = [32, 32];

/// A network in a file.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// A run folder, a file (safetensors, or a state dict of PyTorch), or hub:OWNER/NAME[@REVISION]
    checkpoint: PathBuf,
    /// Architecture of a file that does not say: resnet20, resnet50, vgg16_bn, ...; of several of one name the one whose
    /// tensors the file has
    #[arg(long)]
    arch: Option<String>,
    /// Subtracted from pictures in [0, 1], per channel; where the file does not say
    #[arg(long, value_delimiter = ',', num_args = 1)]
    mean: Option<Vec<f32>>,
    /// Pictures are divided by this, per channel; where the file does not say
    #[arg(long, value_delimiter = ',', num_args = 1)]
    std: Option<Vec<f32>>,
}

/// A file that was read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) file: Checkpoint,
    /// What is said of it beside it.
    pub(super) config: Option<Config>,
    /// Why what is said beside it cannot be used.
    pub(super) unread: Option<String>,
}

/// A network with what is needed to feed it.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) network: Network,
    pub(super) file: Checkpoint,
    pub(super) config: Option<Config>,
    pub(super) unread: Option<String>,
    pub(super) normalization: Option<Normalization>,
}

impl Which {
    /// A checkpoint that says how its pictures are normalized, or does not need to.
    pub(super) fn of(checkpoint: PathBuf, arch: Option<String>) -> Self {
        Self { checkpoint, arch, mean: None, std: None }
    }

    /// What was given, as words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let options = [
            ("--arch", self.arch.clone()),
            ("--mean", self.mean.as_deref().map(list)),
            ("--std", self.std.as_deref().map(list)),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten();
        std::iter::once(self.checkpoint.display().to_string()).chain(given).collect()
    }

    /// Reads the file; a download is shown on the screen.
    pub(super) fn read(&self, screen: &Screen) -> Result<Found> {
        let NetworkFile { path, config, unread } = NetworkFile::find(&self.checkpoint, screen)?;
        let file = Checkpoint::read(&path)?;
        Ok(Found { path, file, config, unread })
    }

    /// Reads the file and builds the network, for pictures of the size that is said of it; where nothing is said, of 32x32.
    pub(super) fn load(&self, screen: &Screen) -> Result<Loaded> {
        self.network(self.read(screen)?, None)
    }

    /// Builds the network of a file that was read. `size` is the pictures' height and width, for files that do not say.
    pub(super) fn network(&self, found: Found, size: Option<[usize; 2]>) -> Result<Loaded> {
        let Found { path, file, config, unread } = found;
        let size = size.or(config.as_ref().map(|config| config.size)).unwrap_or(SMALL);
        let said = config.as_ref().filter(|_| file.meta.is_none()).map(|config| config.architecture.as_str());
        let arch = self.arch.as_deref().or(said);
        if let (None, None, Some(problem)) = (arch, &file.meta, &unread) {
            let problem = format!("config.json: {problem}: give --arch, --mean and --std");
            return Err(Error::Folder { path, problem });
        }
        let network = file.network(&path, arch, size)?;
        warn_of_sliding(&path, &file, &network.graph);
        let normalization = match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => Some(Normalization { mean: mean.clone(), std: std.clone() }),
            (None, None) => {
                let own = file.meta.as_ref().map(|meta| &meta.normalization);
                own.or(config.as_ref().map(|config| &config.normalization)).cloned()
            }
            _ => return Err(Error::Usage("--mean and --std go together".into())),
        };
        if let Some(n) = &normalization {
            n.check(network.graph.shape(0)[0]).map_err(Error::Usage)?;
        }
        Ok(Loaded { path, network, file, config, unread, normalization })
    }
}

impl Loaded {
    /// How pictures that are no data set's are read for the network: what is said of them, and how they are brought to their size.
    pub(super) fn own_pictures(&self, catalog: &Catalog) -> Result<(Info, Fit)> {
        let Some(Normalization { mean, std }) = self.normalization.clone() else {
            return Err(self.not_normalized());
        };
        if self.network.graph.shape(self.network.graph.output()).len() != 1 {
            let problem = "its network makes pictures, and tells no classes".into();
            return Err(Error::Folder { path: self.path.clone(), problem });
        }
        let [channels, height, width] = *self.network.graph.shape(0) else { return Err(self.not_normalized()) };
        let own = self.file.meta.as_ref().map(|meta| &meta.classes);
        let classes = own.or(self.config.as_ref().map(|config| &config.classes)).cloned().unwrap_or_default();
        let fit = own_fit(&self.file, self.config.as_ref(), catalog)?;
        Ok((Info { name: String::new(), classes, channels, height, width, mean, std }, fit))
    }

    /// Of a file that does not say what pictures go through first.
    pub(super) fn not_normalized(&self) -> Error {
        let hint = NetworkFile::hint(self.unread.as_ref());
        let problem = format!("the file does not say how pictures are normalized: give --mean and --std{hint}");
        Error::Folder { path: self.path.clone(), problem }
    }
}

/// The recipe that a file's network was trained by, where the file says.
pub(super) fn own_recipe(file: &Checkpoint, catalog: &Catalog) -> Option<Result<Recipe>> {
    let text = &file.meta.as_ref().filter(|meta| !meta.recipe.is_empty())?.recipe;
    Some(Recipe::parse("the checkpoint's recipe", text, catalog))
}

/// How the pictures that a file's network was trained on were brought to their size, where that is said.
pub(super) fn own_fit(file: &Checkpoint, config: Option<&Config>, catalog: &Catalog) -> Result<Fit> {
    let recipe = own_recipe(file, catalog).transpose()?;
    let own = file.meta.as_ref().and_then(|meta| meta.fit);
    let said = own.or(config.map(|config| config.fit)).unwrap_or_default();
    Ok(recipe.map_or(said, |recipe| recipe.data.object.fit()))
}

/// The data that a network is to be measured on, as the network's own recipe treats it where it names the
/// same data set: with its settings and its split. `spec` may replace the path, or name other data,
/// which is then taken as it is, with no validation cut from train. Classes have the numbers that the network's of
/// their names have.
pub(super) fn open_for(
    file: &Checkpoint,
    config: Option<&Config>,
    spec: Option<&str>,
    catalog: &Catalog,
    screen: &Screen,
) -> Result<Arc<dyn Dataset>> {
    let data = open_as_is(file, config, spec, catalog, screen)?;
    let own = file.meta.as_ref().map(|meta| &meta.classes);
    let classes = own.or(config.map(|config| &config.classes));
    Ok(classes.map_or_else(|| Arc::clone(&data), |classes| relabeled(Arc::clone(&data), classes)))
}

fn open_as_is(
    file: &Checkpoint,
    config: Option<&Config>,
    spec: Option<&str>,
    catalog: &Catalog,
    screen: &Screen,
) -> Result<Arc<dyn Dataset>> {
    let recipe = own_recipe(file, catalog);
    let (name, path) = spec.map(split_spec).map_or((None, None), |(name, path)| (Some(name), path));
    // A recipe that cannot be read any more is in the way only where it would be used.
    let own = file.meta.as_ref().map(|meta| meta.data.as_str());
    let recipe = match recipe {
        Some(Err(_)) if name.is_some_and(|name| own != Some(name)) => None,
        other => other.transpose()?,
    };
    match (recipe, spec) {
        (Some(recipe), _) if name.is_none_or(|name| name == recipe.data.kind) => {
            let source = match path {
                Some(path) => recipe.with_data_path(path, catalog)?,
                None => recipe.data.object,
            };
            let data = open(source.as_ref(), recipe.data.kind, screen)?;
            if path.is_some() && data.len(Split::Train) == 0 {
                return Ok(data); // All of it is for measuring.
            }
            Ok(Divided::new(data, &recipe.common.split)?.examining())
        }
        (_, Some(spec)) => {
            let of_file = file.meta.as_ref().and_then(Config::of_file);
            open_as(spec, of_file.as_ref().or(config), catalog, screen)
        }
        (_, None) => Err(Error::Usage("the file does not say what data it was trained on: give --data".into())),
    }
}

/// The claims of a file measured afresh, on the test pictures of its own data or of `spec` where they are about pictures.
pub(super) fn measure_claims(
    loaded: &Loaded,
    spec: Option<&str>,
    catalog: &Catalog,
    workers: usize,
    screen: &Screen,
) -> Result<Vec<Measured>> {
    let meta = loaded.file.meta.as_ref();
    let claims = meta.map_or(&[][..], |meta| meta.claims.as_slice());
    let pictures = match (claims.iter().any(|claim| claim.quantity.needs_pictures()), &loaded.normalization) {
        (true, Some(normalization)) => {
            let data = open_for(&loaded.file, loaded.config.as_ref(), spec, catalog, screen)?;
            let objective = objective(&loaded.file, catalog);
            check_fit(loaded, objective, data.info())?;
            let data = renormalized(data, &normalization.mean, &normalization.std);
            Some(Pictures { data, split: Split::Test, noise: objective.noise(), workers })
        }
        _ => None,
    };
    Ok(interp_audit::measure(&loaded.network, claims, pictures.as_ref())?)
}

/// Opens the data of a SPEC, with a bar while it is made or read.
pub(super) fn open_data(spec: &str, catalog: &Catalog, screen: &Screen) -> Result<Arc<dyn Dataset>> {
    let built = interp_data::from_spec(spec, catalog.data.iter().copied())?;
    open(built.object.as_ref(), split_spec(spec).0, screen)
}

/// The same for a network of which it is said how its pictures are brought to their size: one's own pictures are.
fn open_as(spec: &str, config: Option<&Config>, catalog: &Catalog, screen: &Screen) -> Result<Arc<dyn Dataset>> {
    match (split_spec(spec), config) {
        (("folder", Some(path)), Some(config)) => open(&config.folder(path), "folder", screen),
        _ => open_data(spec, catalog, screen),
    }
}

fn open(source: &dyn Source, kind: &str, screen: &Screen) -> Result<Arc<dyn Dataset>> {
    let bar = screen.units("data");
    source.open(&|done, all| bar.set(done, all)).map_err(|error| match error {
        DataError::Hub(_) => Error::Usage(format!("{error}, as {kind}:DIR")),
        other => other.into(),
    })
}

/// The split called so on the command line.
pub(super) fn split(name: &str) -> std::result::Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "val" => Ok(Split::Validation),
        "test" => Ok(Split::Test),
        other => Err(format!("`{other}` is none of train, val, test")),
    }
}

/// What [`split`] reads.
pub(super) fn name_of(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "val",
        Split::Test => "test",
    }
}

/// What a network was trained for, by its own recipe; where there is none that can be read, to tell classes.
pub(super) fn objective(file: &Checkpoint, catalog: &Catalog) -> Objective {
    let recipe = own_recipe(file, catalog).and_then(Result::ok);
    recipe.map(|recipe| recipe.common.objective).unwrap_or_default()
}

/// Says which of a network's needs a data set does not meet.
pub(super) fn check_fit(loaded: &Loaded, objective: Objective, info: &Info) -> Result<()> {
    let own = loaded.file.meta.as_ref().map(|meta| &meta.classes);
    let classes = own.or(loaded.config.as_ref().map(|config| &config.classes).filter(|classes| !classes.is_empty()));
    let problem = misfit(&loaded.network, classes, objective, info);
    problem.map_or(Ok(()), |problem| Err(Error::Folder { path: loaded.path.clone(), problem }))
}
