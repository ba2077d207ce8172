//! `interp-train upload`: a run on the Hugging Face hub, with a model card.

use std::path::{Path, PathBuf};

use clap::Args;
use interp_hub::{Content, Hub, Outgoing, Repo, Uploaded};
use interp_net::{Checkpoint, aligned};
use serde_json::json;

use super::{Ending, print};
use crate::card::Card;
use crate::folder::{Folder, Stage, io};
use crate::network_file::HUB;
use crate::progress::Screen;
use crate::recipe::Recipe;
use crate::summary::Summary;
use crate::{Catalog, Error, Result};

/// Upload a run to the Hugging Face hub: its network, recipe, numbers and report, and a model card made from them. What is uploaded
/// without --private everyone can read, with the paths that the recipe names
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  interp-train upload checkpoints/sparse_vgg me/sparse_vgg --dry-run\n  \
                  interp-train upload checkpoints/sparse_vgg me/sparse_vgg --license mit\n\n\
                  HF_TOKEN, or the file that huggingface_hub keeps, has the token; it must be one that may write.")]
pub(super) struct Upload {
    /// Folder of a finished run
    #[arg(value_name = "RUN_FOLDER")]
    folder: PathBuf,
    /// OWNER/NAME[@BRANCH]; the repository is made where it is not there, a branch is not. Files of the same names are replaced, the card too
    #[arg(value_name = "OWNER/NAME")]
    repository: String,
    /// Make it for your eyes only; refused where everyone can read what is there
    #[arg(long)]
    private: bool,
    /// What the commit says of itself
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// The license that the card names, such as mit or apache-2.0; without it none is named
    #[arg(long, value_name = "ID", value_parser = license)]
    license: Option<String>,
    /// Print the card and the files, and ask no server
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The branch that is meant where none is named.
const MAIN: &str = "main";

/// A license as the hub names it.
fn license(text: &str) -> std::result::Result<String, String> {
    let ordinary = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    match text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(ordinary) {
        true => Ok(text.into()),
        false => Err("expected the hub's name of a license, such as mit or apache-2.0".into()),
    }
}

impl Upload {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let repo = Repo::model(self.repository.strip_prefix(HUB).unwrap_or(&self.repository))?;
        let folder = Folder::new(&self.folder);
        let (summary, card) = self.card(&folder, &repo, catalog)?;
        let files = files(&folder, &card);
        let sizes = files.iter().map(size).collect::<Result<Vec<u64>>>()?;
        let uploaded = match self.dry_run {
            true => None,
            false => Some(self.send(&repo, &summary, files.clone())?),
        };
        let names: Vec<(&str, u64)> = files.iter().map(|file| file.path.as_str()).zip(sizes).collect();
        if self.json {
            let list: Vec<_> = names.iter().map(|(path, size)| json!({ "path": path, "size": size })).collect();
            let (commit, page) = uploaded.map(|found| (found.repo.commit().map(str::to_owned), found.page)).unzip();
            print(
                &json!({ "version": 1, "repository": repo.id(), "branch": repo.revision(), "files": list, "card": card,
                           "commit": commit, "page": page })
                .to_string(),
            )?;
            return Ok(Ending::Fine);
        }
        print(&match uploaded {
            None => format!("{card}\n{}", table(&names)),
            Some(Uploaded { repo, page }) => format!("{}\nuploaded as {HUB}{repo}\n{page}", table(&names)),
        })?;
        Ok(Ending::Fine)
    }

    /// What the run found, and the card made from it.
    fn card(&self, folder: &Folder, repo: &Repo, catalog: &Catalog) -> Result<(Summary, String)> {
        let path = folder.model(Stage::Main);
        let wrong = |path: &Path, problem: &str| Error::Folder { path: path.to_owned(), problem: problem.into() };
        if !folder.summary().is_file() || !path.is_file() {
            let problem = "there is no summary.json and model.safetensors in it: is it a finished run?";
            return Err(wrong(folder.root(), problem));
        }
        if folder.generator(Stage::Main).is_file() {
            return Err(wrong(folder.root(), "it is a run of [objective.generate], of which no card is made"));
        }
        let summary = Summary::read(&folder.summary())?;
        let meta = Checkpoint::read(&path)?.meta.ok_or_else(|| wrong(&path, "it is not the network of a run"))?;
        if !meta.edits.is_empty() {
            return Err(wrong(&path, "it was changed after the run, whose numbers are not its own any more"));
        }
        let recipe = Recipe::parse("the checkpoint's recipe", &meta.recipe, catalog)?;
        let branch = if repo.revision() == MAIN { String::new() } else { format!("@{}", repo.revision()) };
        let (repository, license) = (format!("{}{branch}", repo.id()), self.license.as_deref());
        let card = Card { repository: &repository, license, summary: &summary, meta: &meta, recipe: &recipe }.text();
        Ok((summary, card))
    }

    fn send(&self, repo: &Repo, summary: &Summary, files: Vec<Outgoing>) -> Result<Uploaded> {
        let message = self.message.clone().unwrap_or_else(|| format!("The run {}", summary.name));
        let upload = interp_hub::Upload { files, message, private: self.private };
        let bar = Screen::new(self.json).bytes("upload");
        Ok(Hub::from_environment()?.upload(repo, &upload, &|done, all| bar.set(done, all))?)
    }
}

/// What is uploaded of a run.
fn files(folder: &Folder, card: &str) -> Vec<Outgoing> {
    let mut files = vec![Outgoing { path: "README.md".into(), content: Content::Bytes(card.into()) }];
    for path in [folder.model(Stage::Main), folder.recipe(), folder.summary(), folder.report()] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(Outgoing { path: name, content: Content::File(path) });
    }
    files
}

fn size(file: &Outgoing) -> Result<u64> {
    match &file.content {
        Content::File(path) => path.metadata().map(|about| about.len()).map_err(io(path)),
        Content::Bytes(bytes) => Ok(bytes.len() as u64),
    }
}

/// The files with their bytes.
fn table(files: &[(&str, u64)]) -> String {
    let lines: Vec<_> = files.iter().map(|(path, size)| vec![(*path).to_owned(), format!("{size} bytes")]).collect();
    aligned(&lines, 1)
}
