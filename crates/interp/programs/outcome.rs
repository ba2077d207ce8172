//! What an analysis leaves in a folder.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use interp_net::{files, sealed};
use interp_report::{Page, html};
use serde_json::{Value, json};

use crate::{Error, Result};

/// Numbers and pictures of an analysis.
pub(super) struct Outcome {
    /// Named arrays, for `data.safetensors`.
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// The object of `summary.json` and of `--json`.
    pub(super) summary: Value,
    /// `report.html`.
    pub(super) page: Page,
}

impl Outcome {
    /// Writes the three files into `folder`.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let content = json!({ "version": 1, "data": self.summary["data"] });
        sealed::write(&folder.join("data.safetensors"), &self.tensors, &content)?;
        let text = serde_json::to_string_pretty(&self.summary)?;
        files::write_atomically(&folder.join("summary.json"), text.as_bytes())?;
        Ok(files::write_atomically(&folder.join("report.html"), html(&self.page)?.as_bytes())?)
    }
}
