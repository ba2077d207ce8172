//! What an analysis leaves in a folder.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use interp_net::{aligned, files, sealed};
use interp_report::{Link, Page, html};
use serde_json::{Value, json};

use super::{Ending, print};
use crate::{Error, Result, links};

/// Numbers and pictures of an analysis.
pub(super) struct Outcome {
    /// Named arrays, for `data.safetensors`.
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// The object of `summary.json` and of `--json`.
    pub(super) summary: Value,
    /// Heads and rows of the table that is printed.
    pub(super) told: (Vec<String>, Vec<Vec<String>>),
    /// `report.html`.
    pub(super) page: Page,
}

impl Outcome {
    /// Writes the three files into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let of = |key: &str| &self.summary[key];
        let content = json!({ "version": 1, "checkpoint": of("checkpoint"), "data": of("data"), "split": of("split") });
        sealed::write(&folder.join("data.safetensors"), &self.tensors, &content)?;
        let text = serde_json::to_string_pretty(&self.summary)?;
        files::write_atomically(&folder.join("summary.json"), text.as_bytes())?;
        Ok(files::write_atomically(&folder.join("report.html"), self.html(folder, vec![])?.as_bytes())?)
    }

    /// The page, to lie in `folder`, with links to others and to that of the network's run.
    pub(super) fn html(&self, folder: &Path, mut links: Vec<Link>) -> Result<String> {
        links.extend(self.summary["checkpoint"].as_str().and_then(|network| links::to_run(folder, Path::new(network))));
        let mut page = self.page.clone();
        page.facts.extend(self.summary["split"].as_str().map(|split| ("Split".to_owned(), split.to_owned())));
        Ok(html(&page, &links)?)
    }

    /// Writes them, and prints the table with what the first finding says, or one JSON object.
    pub(super) fn write_and_tell(&self, folder: &Path, as_json: bool) -> Result<Ending> {
        self.write(folder)?;
        if as_json {
            print(&self.summary.to_string())?;
            return Ok(Ending::Fine);
        }
        let (head, rows) = &self.told;
        print(&aligned(&std::iter::once(head.clone()).chain(rows.clone()).collect::<Vec<_>>(), 1))?;
        if let Some(said) = self.page.findings.first().map(|finding| &finding.statement).filter(|said| !said.is_empty())
        {
            print(said)?;
        }
        print(&format!("written: {}", folder.join("report.html").display()))?;
        Ok(Ending::Fine)
    }
}
