//! Run folders: files, log, and the state from which training goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use interp_learn::Snapshot;
use interp_net::{Meta, files, sealed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which of a run's networks is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The interpretable one.
    Main,
    /// The black-box twin.
    Twin,
}

/// A state with its tensors by name.
pub type Saved<S> = (State<S>, BTreeMap<String, Tensor>);

/// The part of `state.safetensors` that is not tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State<S = Snapshot> {
    /// Version of this structure.
    pub state: u32,
    /// SHA-256 of the resolved recipe.
    pub recipe: String,
    /// SHA-256 of the pictures, labels and groups.
    pub data: String,
    /// Which network is trained.
    pub stage: Stage,
    /// While the twin is trained: the description of the main network, whose tensors are under `main/`.
    pub main: Option<Meta>,
    /// Where its training stands.
    pub snapshot: S,
    /// Length of `log.jsonl` in bytes at that moment.
    pub log: u64,
    /// Seconds spent so far.
    pub seconds: f64,
}

/// Version of [`State`].
pub const VERSION: u32 = 3;

/// First line of a run's `recipe.toml`, by which it is told from a recipe that a person wrote.
pub(crate) const HEADER: &str = "# Resolved by interp-train: every default is written out.\n";

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of the run called `name`, unless another is given.
    pub fn of_run(name: &str, given: Option<PathBuf>) -> Self {
        Self::new(given.unwrap_or_else(|| Path::new("checkpoints").join(name)))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a run was begun here: its resolved recipe says by whom it was written.
    pub fn is_begun(&self) -> bool {
        fs::read(self.recipe()).is_ok_and(|text| text.starts_with(HEADER.as_bytes()))
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// The network of a stage.
    pub fn model(&self, stage: Stage) -> PathBuf {
        match stage {
            Stage::Main => self.root.join("model.safetensors"),
            Stage::Twin => self.root.join("twin").join("model.safetensors"),
        }
    }

    /// The network that makes pictures, of a stage; left by `[objective.generate]` only.
    pub fn generator(&self, stage: Stage) -> PathBuf {
        self.model(stage).with_file_name("generator.safetensors")
    }

    /// The results.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// The page.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// When which work was done, for a trace viewer; left by `--profile` only.
    pub fn trace(&self) -> PathBuf {
        self.root.join("trace.json")
    }

    /// The state of training.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.safetensors")
    }

    /// The log: a line of JSON for each event.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }

    /// What the log says of a stage, for TensorBoard; left by `--tensorboard` only. TensorBoard knows its files by `tfevents` in the
    /// name, and a network by the folder.
    pub fn charts(&self, stage: Stage) -> PathBuf {
        let network = match stage {
            Stage::Main => "network",
            Stage::Twin => "twin",
        };
        self.root.join("tensorboard").join(network).join("events.out.tfevents")
    }

    /// What a run leaves, beside its recipe.
    fn left(&self) -> [PathBuf; 11] {
        let [main, twin] = [Stage::Main, Stage::Twin].map(|stage| self.model(stage));
        let [made, made_by_twin] = [Stage::Main, Stage::Twin].map(|stage| self.generator(stage));
        let [charts, charts_of_twin] = [Stage::Main, Stage::Twin].map(|stage| self.charts(stage));
        let (summary, report, state, log) = (self.summary(), self.report(), self.state(), self.log());
        [summary, report, state, main, twin, made, made_by_twin, log, self.trace(), charts, charts_of_twin]
    }

    /// The first file of the names that a run writes, in a folder where no run was begun.
    pub fn foreign(&self) -> Option<PathBuf> {
        let names = self.left().into_iter().chain([self.recipe()]);
        names.into_iter().find(|path| !self.is_begun() && path.exists())
    }

    /// Keeps other programs out of the folder for as long as the result lives.
    ///
    /// # Errors
    /// If another program is at work in it, or the system refuses.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.root).map_err(io(&self.root))?;
        let path = self.root.join(".lock");
        // Not emptied: a file of this name may be another program's.
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                let problem = "another program is at work in this folder: wait for it, or choose another --out".into();
                Err(Error::Folder { path: self.root.clone(), problem })
            }
            Err(fs::TryLockError::Error(source)) => Err(io(&path)(source)),
        }
    }

    /// Makes the folder for a new run. What an earlier run left is removed, its results first, so that at
    /// no moment old results stand beside a new recipe.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn begin(&self, recipe: &str) -> Result<()> {
        fs::create_dir_all(self.root.join("twin")).map_err(io(&self.root))?;
        for path in self.left() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&path)(error)),
                _ => {}
            }
        }
        Ok(files::write_atomically(&self.recipe(), format!("{HEADER}{recipe}").as_bytes())?)
    }

    /// Removes what a run that was killed while writing has left; nothing where no run was begun.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn tidy(&self) -> Result<()> {
        if !self.is_begun() {
            return Ok(());
        }
        for folder in [self.root.clone(), self.root.join("twin")].iter().filter(|folder| folder.is_dir()) {
            for file in fs::read_dir(folder).map_err(io(folder))? {
                let path = file.map_err(io(folder))?.path();
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(files::TEMPORARY)) {
                    fs::remove_file(&path).map_err(io(&path))?;
                }
            }
        }
        Ok(())
    }

    /// Saves the state, atomically.
    ///
    /// # Errors
    /// Where the system refuses; the state saved before stays.
    pub fn save<S: Serialize>(&self, state: &State<S>, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(sealed::write(&self.state(), tensors, state)?)
    }

    /// The saved state; `None` where none was saved yet. `recipe` and `data` are what it must be of.
    ///
    /// # Errors
    /// If it was damaged or removed, or is of another recipe or of other data.
    pub fn load<S: DeserializeOwned>(&self, recipe: &str, data: &str) -> Result<Option<Saved<S>>> {
        let wrong = |problem: String| Error::Folder { path: self.state(), problem };
        let Some((state, tensors)) = self.last()? else {
            return match self.left().into_iter().find(|path| path.exists() && *path != self.log()) {
                Some(_) => {
                    Err(wrong("the run has results but no state to go on from; --overwrite begins it anew".into()))
                }
                None => Ok(None),
            };
        };
        if state.recipe != recipe {
            let problem = "it is of another recipe, or the network in `[init]` has changed: repeat the recipe, every --set and --seed \
                           that it was begun with, or --overwrite";
            return Err(wrong(problem.into()));
        }
        if state.data != data {
            return Err(wrong("the data has changed since it was saved: pictures, their labels or groups".into()));
        }
        Ok(Some((state, tensors)))
    }

    /// The saved state, of whatever recipe and data; `None` where there is none.
    ///
    /// # Errors
    /// If it was damaged, or is of another version.
    pub fn last<S: DeserializeOwned>(&self) -> Result<Option<Saved<S>>> {
        let path = self.state();
        if !path.exists() {
            return Ok(None);
        }
        let file = sealed::read(&path)?;
        let wrong = |problem: String| Error::Folder { path: path.clone(), problem };
        let content = file.content.unwrap_or_default();
        if let Some(version) = content["state"].as_u64().filter(|&version| version != u64::from(VERSION)) {
            return Err(wrong(format!("it is of version {version}; this program goes on from version {VERSION}")));
        }
        let state: State<S> =
            serde_json::from_value(content).map_err(|e| wrong(format!("no state of this version: {e}")))?;
        Ok(Some((state, file.tensors)))
    }

    /// The events in the log so far. A last line that is not whole is left out.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn events(&self) -> Result<Vec<serde_json::Value>> {
        let text = fs::read_to_string(self.log()).map_err(io(&self.log()))?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// An error of the system, with the file.
pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path: path.clone(), source }
}

/// `log.jsonl`, appended to.
pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Opens the log and cuts what was written after the state was saved.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn open(folder: &Folder, length: u64) -> Result<Self> {
        let path = folder.log();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        let present = file.metadata().map_err(io(&path))?.len();
        let length = length.min(present);
        file.set_len(length).map_err(io(&path))?;
        Ok(Self { path, file, length })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn line(&mut self, event: &serde_json::Value) -> Result<()> {
        let text = format!("{event}\n");
        self.file.write_all(text.as_bytes()).map_err(io(&self.path))?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Length in bytes, once all of it is on the disk.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn synced(&self) -> Result<u64> {
        self.file.sync_data().map_err(io(&self.path))?;
        Ok(self.length)
    }
}
