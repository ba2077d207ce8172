//! `interp-train show`: what a data set looks like, or what a checkpoint is.

use std::path::{Path, PathBuf};

use clap::Args;
use interp_data::{Split, contact_sheet, split_spec};
use interp_net::describe;
use interp_net::files::write_atomically;

use super::checkpoint::{Which, open_data, split};
use super::edit::{threshold_table, thresholds_of};
use super::{Ending, print};
use crate::progress::Screen;
use crate::{Catalog, Result};

/// A contact sheet of a data set, or the layers of a checkpoint
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  interp-train show concepts --out concepts.png\n  interp-train show checkpoints/sparse_vgg"
)]
pub(super) struct Show {
    /// A run folder or file, or else data as NAME[:PATH]
    what: String,
    /// Architecture of a checkpoint that does not say
    #[arg(long)]
    arch: Option<String>,
    /// train, val or test
    #[arg(long, default_value = "train", value_parser = split)]
    split: Split,
    /// Pictures of each class
    #[arg(long, default_value_t = 12)]
    columns: usize,
    /// Where to write the sheet
    #[arg(long, default_value = "sheet.png", value_name = "PNG")]
    out: PathBuf,
}

impl Show {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let (name, _) = split_spec(&self.what);
        match Path::new(&self.what).exists() && catalog.data.iter().all(|entry| entry.name != name) {
            true => self.layers(),
            false => self.sheet(catalog),
        }
    }

    fn sheet(&self, catalog: &Catalog) -> Result<Ending> {
        let data = open_data(&self.what, catalog, &Screen::new(false))?;
        let sheet = contact_sheet(data.as_ref(), self.split, data.info().classes.len(), self.columns)?;
        let (width, height) = sheet.dimensions();
        let png = interp_report::png(width as usize, height as usize, sheet.as_raw())?;
        write_atomically(&self.out, &png)?;
        let [train, val, test] = [Split::Train, Split::Validation, Split::Test].map(|s| data.len(s));
        let info = data.info();
        print(&format!(
            "{}: {} classes, {}x{}, {} channel(s); {train} train, {val} val, {test} test\nclasses, by row: {}\nwrote {}",
            info.name,
            info.classes.len(),
            info.height,
            info.width,
            info.channels,
            info.classes.join(", "),
            self.out.display()
        ))?;
        Ok(Ending::Fine)
    }

    fn layers(&self) -> Result<Ending> {
        let loaded = Which::of(PathBuf::from(&self.what), self.arch.clone()).load(&Screen::new(false))?;
        print(&describe(&loaded.network))?;
        let thresholds = thresholds_of(&loaded.network)?;
        if !thresholds.is_empty() {
            print(&format!("\n{}", threshold_table(&[("thresholds", &thresholds)])))?;
        }
        print(&match loaded.file.meta {
            Some(meta) => {
                let edits: String = meta.edits.iter().map(|edit| format!("\nedited after training: {edit}")).collect();
                format!("\ntrained on {}{edits}; by this recipe:\n\n{}", meta.data, meta.recipe)
            }
            None => format!("\n{} does not say what it was trained on", loaded.path.display()),
        })?;
        Ok(Ending::Fine)
    }
}
