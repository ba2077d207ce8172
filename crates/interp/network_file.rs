//! Finding the file of a network: a path, the folder of a run, or a repository of the hub.

use std::path::{Path, PathBuf};

use interp_hub::{Hub, Listing, Repo};
use interp_net::{Checkpoint, Graph};

use crate::config::Config;
use crate::folder::{Folder, Stage};
use crate::progress::{Screen, tell};
use crate::{Error, Result};

/// The file of a network, and what lies beside it.
#[derive(Debug)]
pub(crate) struct NetworkFile {
    /// The file, or the index of its shards.
    pub(crate) path: PathBuf,
    /// What `config.json` says, where it is timm's.
    pub(crate) config: Option<Config>,
    /// Why nothing can be learned of a `config.json` that is there; to be told where something is missing.
    pub(crate) unread: Option<String>,
}

/// What the names of repositories begin with on a command line and in recipes.
pub(crate) const HUB: &str = "hub:";

/// Files that may hold a network, the best first.
const CANDIDATES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

const CONFIG: &str = "config.json";

impl NetworkFile {
    fn new(path: PathBuf, said: std::result::Result<Option<Config>, String>) -> Self {
        let (config, unread) = said.map_or_else(|problem| (None, Some(problem)), |config| (config, None));
        Self { path, config, unread }
    }

    /// What is wrong with the configuration, as the end of a sentence.
    pub(crate) fn hint(unread: Option<&String>) -> String {
        unread.map(|problem| format!(" (config.json: {problem})")).unwrap_or_default()
    }

    /// Finds the file that `given` names; what the hub has, and the cache has not, is downloaded.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be had; what to do is said.
    pub(crate) fn find(given: &Path, screen: &Screen) -> Result<Self> {
        match given.to_str().and_then(|text| text.strip_prefix(HUB)) {
            Some(repository) => fetched(repository, screen),
            None => local(given),
        }
    }
}

/// Tells where a file is timm's and its network here, of the structure `graph`, gives other answers than timm does.
pub(crate) fn warn_of_sliding(path: &Path, file: &Checkpoint, graph: &Graph) {
    if file.is_slid_by_timm(graph) {
        tell(&format!(
            "warning: {}: of pictures as large as these timm slides the linear maps of a VGG over the cells, where this network takes means of \
             7x7 windows: its answers are not timm's",
            path.display()
        ));
    }
}

fn local(given: &Path) -> Result<NetworkFile> {
    let path = if given.is_dir() { in_folder(given)? } else { given.to_owned() };
    if !path.is_file() {
        return Err(Error::Folder { path, problem: "no such file".into() });
    }
    let beside = path.with_file_name(CONFIG);
    // Another file's name says that the configuration is not of it.
    let is_own = path.file_name().is_some_and(|name| CANDIDATES.iter().any(|candidate| name == *candidate));
    let said = if is_own && beside.is_file() { config(&beside)? } else { Ok(None) };
    Ok(NetworkFile::new(path, said))
}

fn in_folder(folder: &Path) -> Result<PathBuf> {
    let run = Folder::new(folder).model(Stage::Main);
    let all = std::iter::once(run).chain(CANDIDATES.iter().map(|name| folder.join(name)));
    let none = || {
        let problem = "there is no model.safetensors in it: is it a finished run?".into();
        Error::Folder { path: folder.to_owned(), problem }
    };
    all.into_iter().find(|path| path.is_file()).ok_or_else(none)
}

/// What the configuration says, or why it cannot be used.
fn config(path: &Path) -> Result<std::result::Result<Option<Config>, String>> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(Config::parse(&text))
}

fn fetched(repository: &str, screen: &Screen) -> Result<NetworkFile> {
    let hub = Hub::from_environment()?;
    let listing = hub.list(&Repo::model(repository)?)?;
    let main = CANDIDATES.into_iter().find(|name| listing.has(name)).ok_or_else(|| no_network(&listing))?;
    let fetch = |file: &str| -> Result<PathBuf> {
        let bar = screen.bytes(file);
        Ok(hub.fetch(&listing.repo, file, &|done, all| bar.set(done, all))?.path)
    };
    let path = fetch(main)?;
    for shard in shards(&path, main)? {
        fetch(&shard)?;
    }
    let said = if listing.has(CONFIG) { config(&fetch(CONFIG)?)? } else { Ok(None) };
    // What a branch stood at: to repeat it.
    screen.say(&format!("{HUB}{}", listing.repo));
    Ok(NetworkFile::new(path, said))
}

/// The files that an index names.
fn shards(path: &Path, name: &str) -> Result<Vec<String>> {
    Ok(if name.ends_with(".index.json") { Checkpoint::shards(path)? } else { vec![] })
}

fn no_network(listing: &Listing) -> Error {
    let some: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).take(8).collect();
    let (wanted, has) = (CANDIDATES.join(", "), some.join(", "));
    let said = if listing.complete { "it has" } else { "the cache has of it" };
    Error::Usage(format!("hub:{}: there is none of {wanted} in it; {said}: {has}", listing.repo))
}
