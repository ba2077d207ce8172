//! `interp-audit shrinkage`: how well a network takes noise away, beside wavelets.

use std::path::{Path, PathBuf};

use clap::Args;
use interp_audit::Denoising;
use interp_finding::Finding;
use interp_learn::{Denoise, Objective};
use interp_net::files;
use interp_report::{Page, html, number};
use serde_json::json;

use super::on_pictures::{OnPictures, Opened};
use super::{Ending, print};
use crate::{Catalog, Error, Result, links};

/// Measure how well a network takes noise away, over its dial and over the noise, beside wavelet shrinkage
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit shrinkage checkpoints/soft_autoencoder --data cifar10:DIR")]
pub(super) struct Shrinkage {
    #[command(flatten)]
    on: OnPictures,
    /// Only N pictures, at even distances
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = super::eval::at_least_one)]
    limit: usize,
    /// Where shrinkage.json and shrinkage.html go; by default where the network's file is
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Shrinkage {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let Opened { path, network, objective, info, pictures, .. } = self.on.open(catalog)?;
        let Objective::Denoise(Denoise { noise }) = objective else {
            return Err(Error::Folder { path, problem: "its network was not trained to take noise away".into() });
        };
        let finding = Denoising { net: &network, pictures: &pictures, limit: self.limit, noise }.finding()?;
        self.write(&path, &info.name, noise, &finding)?;
        Ok(Ending::Fine)
    }

    fn write(&self, checkpoint: &Path, data: &str, noise: f64, finding: &Finding) -> Result<()> {
        let beside = checkpoint.parent().unwrap_or(Path::new("."));
        let folder = self.out.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let shown = checkpoint.display().to_string();
        let object = json!({ "version": 1, "checkpoint": shown, "data": data, "noise": noise, "finding": finding });
        files::write_atomically(&folder.join("shrinkage.json"), &serde_json::to_vec_pretty(&object)?)?;
        let page = folder.join("shrinkage.html");
        files::write_atomically(
            &page,
            html(&page_of(&shown, data, noise, finding), &links::beside(&page, checkpoint))?.as_bytes(),
        )?;
        if self.on.json {
            return print(&object.to_string());
        }
        for (name, value) in &finding.numbers {
            let interval = value.interval.map(|_| format!(" ({})", number::interval(value))).unwrap_or_default();
            print(&format!("{name}: {}{interval}", number::value(value)))?;
        }
        print(&format!("page: {}", page.display()))
    }
}

fn page_of(checkpoint: &str, data: &str, noise: f64, finding: &Finding) -> Page {
    let fact = |key: &str, value: String| (key.to_owned(), value);
    Page {
        title: format!("Noise taken away from {data}"),
        lead: String::new(),
        warnings: vec![],
        facts: vec![
            fact("Network", checkpoint.to_owned()),
            fact("Data", data.to_owned()),
            fact("Noise", format!("{noise} (standard deviation; pixels in [0, 1])")),
            fact("Program", format!("interp-audit {}", env!("CARGO_PKG_VERSION"))),
        ],
        claims: vec![],
        findings: vec![finding.clone()],
        source: None,
    }
}
