//! What the commands over checkpoints share: finding the file, building the network, opening data for it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use interp_audit::Pictures;
use interp_data::{DataError, Dataset, Divided, Fit, Info, Source, Split, relabeled, renormalized, split_spec};
use interp_finding::Measured;
use interp_learn::Objective;
use interp_net::{Checkpoint, Network, Normalization};

use crate::folder::{Folder, Stage};
use crate::init::misfit;
use crate::progress::Screen;
use crate::recipe::Recipe;
use crate::{Catalog, Error, Result};

/// A network in a file.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// A run folder, or a safetensors file
    checkpoint: PathBuf,
    /// Architecture of a file that does not say: resnet20, resnet56, vgg16_bn, ...; a VGG is one for small pictures, with
    /// a single linear map after the convolutions
    #[arg(long)]
    arch: Option<String>,
    /// Subtracted from pictures in [0, 1], per channel; where the file does not say
    #[arg(long, value_delimiter = ',', num_args = 1)]
    mean: Option<Vec<f32>>,
    /// Pictures are divided by this, per channel; where the file does not say
    #[arg(long, value_delimiter = ',', num_args = 1)]
    std: Option<Vec<f32>>,
}

/// A network with what is needed to feed it.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) network: Network,
    pub(super) file: Checkpoint,
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

    /// Reads the file.
    pub(super) fn read(&self) -> Result<(PathBuf, Checkpoint)> {
        let path = self.path()?;
        let file = Checkpoint::read(&path)?;
        Ok((path, file))
    }

    /// Reads the file and builds the network. `size` is the pictures' height and width, for files that do
    /// not say.
    pub(super) fn load(&self, size: [usize; 2]) -> Result<Loaded> {
        let (path, file) = self.read()?;
        self.network(path, file, size)
    }

    /// Builds the network of a file that was read.
    pub(super) fn network(&self, path: PathBuf, file: Checkpoint, size: [usize; 2]) -> Result<Loaded> {
        let network = file.network(&path, self.arch.as_deref(), size)?;
        let normalization = match (&self.mean, &self.std) {
            (Some(mean), Some(std)) => Some(Normalization { mean: mean.clone(), std: std.clone() }),
            (None, None) => file.meta.as_ref().map(|meta| meta.normalization.clone()),
            _ => return Err(Error::Usage("--mean and --std go together".into())),
        };
        if let Some(n) = &normalization {
            n.check(network.graph.shape(0)[0]).map_err(Error::Usage)?;
        }
        Ok(Loaded { path, network, file, normalization })
    }

    fn path(&self) -> Result<PathBuf> {
        let given = &self.checkpoint;
        if given.to_str().is_some_and(|s| s.starts_with("hub:")) {
            return Err(Error::Usage(format!(
                "{}: checkpoints are read from files and run folders so far",
                given.display()
            )));
        }
        let path = if given.is_dir() { Folder::new(given).model(Stage::Main) } else { given.clone() };
        match path.is_file() {
            true => Ok(path),
            false if given.is_dir() => {
                let problem = "there is no model.safetensors in it: is it a finished run?".into();
                Err(Error::Folder { path: given.clone(), problem })
            }
            false => Err(Error::Folder { path, problem: "no such file".into() }),
        }
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
        let classes = self.file.meta.as_ref().map(|meta| meta.classes.clone()).unwrap_or_default();
        let fit = own_fit(&self.file, catalog)?;
        Ok((Info { name: String::new(), classes, channels, height, width, mean, std }, fit))
    }

    /// Of a file that does not say what pictures go through first.
    pub(super) fn not_normalized(&self) -> Error {
        let problem = "the file does not say how pictures are normalized: give --mean and --std".into();
        Error::Folder { path: self.path.clone(), problem }
    }
}

/// The recipe that a file's network was trained by, where the file says.
pub(super) fn own_recipe(file: &Checkpoint, catalog: &Catalog) -> Option<Result<Recipe>> {
    let text = &file.meta.as_ref().filter(|meta| !meta.recipe.is_empty())?.recipe;
    Some(Recipe::parse("the checkpoint's recipe", text, catalog))
}

/// How the pictures that a file's network was trained on were brought to their size, where the file says.
pub(super) fn own_fit(file: &Checkpoint, catalog: &Catalog) -> Result<Fit> {
    let recipe = own_recipe(file, catalog).transpose()?;
    Ok(recipe.map_or(Fit::default(), |recipe| recipe.data.object.fit()))
}

/// The data that a network is to be measured on, as the network's own recipe treats it where it names the
/// same data set: with its settings and its split. `spec` may replace the path, or name other data,
/// which is then taken as it is, with no validation cut from train. Classes have the numbers that the network's of
/// their names have.
pub(super) fn open_for(
    file: &Checkpoint,
    spec: Option<&str>,
    catalog: &Catalog,
    screen: &Screen,
) -> Result<Arc<dyn Dataset>> {
    let data = open_as_is(file, spec, catalog, screen)?;
    Ok(file.meta.as_ref().map_or_else(|| Arc::clone(&data), |meta| relabeled(Arc::clone(&data), &meta.classes)))
}

fn open_as_is(file: &Checkpoint, spec: Option<&str>, catalog: &Catalog, screen: &Screen) -> Result<Arc<dyn Dataset>> {
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
        (_, Some(spec)) => open_data(spec, catalog, screen),
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
            let data = open_for(&loaded.file, spec, catalog, screen)?;
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
    let problem = misfit(&loaded.network, loaded.file.meta.as_ref(), objective, info);
    problem.map_or(Ok(()), |problem| Err(Error::Folder { path: loaded.path.clone(), problem }))
}
