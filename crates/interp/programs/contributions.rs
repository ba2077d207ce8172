//! `interp-audit contributions`: what pixels contribute to decisions, in numbers and as pictures.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Tensor;
use clap::Args;
use interp_audit::{Explained, Pictures, explain};
use interp_data::{Augment, Batch, Info, Loader};
use interp_finding::{Better, Figure, Finding, Number};
use interp_learn::to_tensor;
use interp_net::{aligned, files};
use interp_report::{Page, html};
use serde_json::json;

use super::colors::{bytes, color_of, denormalized, heat};
use super::on_pictures::{OnPictures, Opened};
use super::{Ending, print};
use crate::asked::picture_name;
use crate::progress::tell;
use crate::{Catalog, Result, links};

/// What pixels contribute to decisions: to the largest logit of each picture, and what they leave unexplained
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit contributions checkpoints/bcos_resnet --page contributions.html")]
pub(super) struct Contributions {
    #[command(flatten)]
    on: OnPictures,
    /// N pictures, at even distances
    #[arg(long, default_value_t = 12, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Write a page with the contributions as pictures
    #[arg(long, value_name = "FILE", value_parser = super::file)]
    page: Option<PathBuf>,
}

/// A picture with its explanation.
struct Case {
    index: usize,
    name: String,
    label: usize,
    /// Rows of red, green and blue, or of gray, in [0, 1].
    pixels: Vec<f32>,
    explained: Explained,
    gap: f64,
}

impl Contributions {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let Opened { path, network, info, pictures, .. } = self.on.open_classifier(catalog)?;
        let Pictures { data, split, workers, .. } = pictures;
        let name = |index: usize| picture_name(index, data.file(split, index));
        let mut cases = vec![];
        for batch in
            Loader::new(Arc::clone(&data), split, 64, workers, Augment::default(), 0)?.in_order(Some(self.count.into()))
        {
            let batch = batch?;
            let explained = explain(&network, &to_tensor(&batch, &info)?, network.graph.output())?;
            cases.extend(of_batch(&batch, explained, &info, &name)?);
        }
        if let Some(page) = &self.page {
            files::write_atomically(page, html(&document(&cases, &info)?, &links::beside(page, &path))?.as_bytes())?;
            tell(&format!("page: {}", page.display()));
        }
        if let Some(warning) = Self::warn(&cases) {
            tell(&format!("warning: {warning}"));
        }
        self.tell(&path, &cases, &info)
    }

    /// Says where contributions are not all that there is.
    fn warn(cases: &[Case]) -> Option<String> {
        let least = cases.iter().map(explained).fold(1.0, lesser);
        (least.is_nan() || least < FAITHFUL).then(|| {
            format!(
                "what pixels contribute is up to {:.1e} beside the logit: this network is no linear map of its input, and these pictures \
                 do not explain its decisions",
                largest_gap(cases)
            )
        })
    }

    fn tell(&self, checkpoint: &std::path::Path, cases: &[Case], info: &Info) -> Result<Ending> {
        let name = |class: usize| info.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
        if self.on.json {
            let picture = |case: &Case| {
                let Explained { class, logit, .. } = case.explained;
                json!({ "index": case.index, "label": name(case.label), "class": name(class), "logit": logit, "gap": case.gap })
            };
            let pictures: Vec<_> = cases.iter().map(picture).collect();
            let checkpoint = checkpoint.display().to_string();
            let object = json!({
                "version": 1, "checkpoint": checkpoint, "data": info.name, "split": self.on.split,
                "largest_gap": largest_gap(cases), "pictures": pictures,
            });
            print(&object.to_string())?;
            return Ok(Ending::Fine);
        }
        let head = ["picture", "label", "taken for", "logit", "contributed", "gap"].map(str::to_owned).to_vec();
        let row = |case: &Case| {
            let Explained { class, logit, .. } = case.explained;
            let numbers = [format!("{logit:.4}"), format!("{:.4}", logit - case.gap), format!("{:.1e}", case.gap)];
            [case.index.to_string(), name(case.label), name(class)].into_iter().chain(numbers).collect()
        };
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(cases.iter().map(row)).collect();
        print(&aligned(&lines, 3))?;
        print(&format!("largest gap: {:.1e}", largest_gap(cases)))?;
        Ok(Ending::Fine)
    }
}

/// The share of a logit that contributions must explain.
const FAITHFUL: f64 = 0.99;

/// The share of the logit that pixels contribute: 1 less the gap as a share of the logit.
fn explained(case: &Case) -> f64 {
    1.0 - (case.gap / case.explained.logit.abs().max(1e-3)).abs()
}

/// The smaller one; what is not a number stays so.
fn lesser(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

fn largest_gap(cases: &[Case]) -> f64 {
    // What is not a number is the largest.
    let larger = |a: f64, b: f64| if a.is_nan() || a > b { a } else { b };
    cases.iter().map(|case| case.gap.abs()).fold(0.0, larger)
}

fn of_batch(
    batch: &Batch,
    explained: Vec<Explained>,
    info: &Info,
    name: &dyn Fn(usize) -> String,
) -> Result<Vec<Case>> {
    let pictures = batch.images.chunks_exact(info.pixels().max(1));
    let cases = pictures.zip(batch.indices.iter().zip(&batch.labels)).zip(explained);
    let case = |((picture, (&index, &label)), explained): ((&[f32], (&usize, &u32)), Explained)| {
        let pixels = denormalized(picture, info);
        Ok(Case { index, name: name(index), label: label as usize, pixels, gap: explained.gap()?, explained })
    };
    cases.map(case).collect()
}

fn document(cases: &[Case], info: &Info) -> Result<Page> {
    let name = |class: usize| info.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    let mut figures = vec![];
    for case in cases {
        let Explained { class, logit, .. } = case.explained;
        let sheet = Sheet::of(case, info)?;
        figures.push(Figure::Picture {
            title: format!("{}, {}", case.name, name(case.label)),
            caption: format!(
                "Taken for {}, with a logit of {logit:.3}, of which the pixels contribute {:.3}.",
                name(class),
                logit - case.gap
            ),
            width: sheet.width,
            height: info.height,
            rgb: sheet.rgb,
            zoom: 4,
        });
    }
    let gap = ("Largest gap".to_owned(), Number::new(largest_gap(cases), "", Better::Lower));
    let statement = "Left the picture; in the middle what each pixel contributes to the logit of the class that the picture is \
                     taken for: red for it, blue against it, the stronger the more; right, where the network sees pixel values \
                     and what is missing to 1, the color that it looks for at each pixel that speaks for the class.";
    let finding = Finding {
        name: "contributions".into(),
        title: "What pixels contribute".into(),
        statement: statement.into(),
        numbers: vec![gap],
        figures,
    };
    Ok(Page {
        title: format!("Contributions of pixels on {}", info.name),
        lead: "The gap is the difference between a logit and the sum of all contributions: what no pixel contributed."
            .into(),
        warnings: Contributions::warn(cases).into_iter().collect(),
        facts: vec![("Pictures".into(), cases.len().to_string())],
        claims: vec![],
        findings: vec![finding],
        source: None,
    })
}

/// Three pictures side by side.
struct Sheet {
    width: usize,
    rgb: Vec<u8>,
}

/// Columns between two pictures.
const GAP: usize = 2;

impl Sheet {
    fn of(case: &Case, info: &Info) -> Result<Self> {
        let (height, width) = (info.height, info.width);
        let own: Vec<[f32; 3]> = case.pixels.chunks_exact(info.channels).map(color_of).collect();
        let sums = per_pixel(&case.explained.contributions()?)?;
        let sums: Vec<f32> = sums.iter().map(|values| values.iter().sum()).collect();
        let panels = [own, heat(&sums), looked_for(&per_pixel(&case.explained.weights)?, &sums, info.channels)];
        let between = [[1.0; 3]; GAP];
        let row = |y: usize| {
            let [a, b, c] = panels.each_ref().map(|panel| &panel[y * width..(y + 1) * width]);
            [a, &between, b, &between, c].concat()
        };
        let rgb = bytes((0..height).flat_map(row));
        Ok(Self { width: 3 * width + 2 * GAP, rgb })
    }
}

/// The numbers of each pixel of a map (C, H, W), rows from the top.
fn per_pixel(map: &Tensor) -> Result<Vec<Vec<f32>>> {
    Ok(map.to_device(&candle_core::Device::Cpu)?.flatten_from(1)?.t()?.to_vec2()?) // (C, H W) -> (H W, C)
}

/// The color that the weights of a pixel and of its complement are most aligned with, over white, the denser the longer the
/// weights are; white where the pixel speaks against the class, or there are no complements.
fn looked_for(weights: &[Vec<f32>], sums: &[f32], channels: usize) -> Vec<[f32; 3]> {
    let length = |weights: &[f32]| weights.iter().map(|w| w * w).sum::<f32>().sqrt();
    let dense = dense(weights.iter().map(|weights| length(weights)).collect());
    let color = |(weights, &sum): (&Vec<f32>, &f32)| {
        if weights.len() != 2 * channels || sum <= 0.0 {
            return [1.0; 3];
        }
        let share = |channel: usize| {
            let [own, rest] = [channel, channels + channel].map(|at| weights[at].max(0.0));
            own / (own + rest).max(f32::MIN_POSITIVE)
        };
        let shares: Vec<f32> = (0..channels).map(share).collect();
        let density = (length(weights) / dense).min(1.0);
        color_of(&shares).map(|share| 1.0 - density * (1.0 - share))
    };
    weights.iter().zip(sums).map(color).collect()
}

/// The value that one in a hundred is above.
fn dense(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get((values.len() * 99) / 100).copied().unwrap_or(1.0).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Weights for red, and for what is missing to 1 of green and blue, look for red; against the class nothing is shown.
    #[test]
    fn the_color_looked_for_is_that_of_the_weights() {
        let red = vec![2.0, 0.0, -1.0, 0.0, 2.0, 2.0];
        assert_eq!(looked_for(std::slice::from_ref(&red), &[1.0], 3), [[1.0, 0.0, 0.0]]);
        assert_eq!(looked_for(std::slice::from_ref(&red), &[-1.0], 3), [[1.0; 3]]);
        assert_eq!(looked_for(&[red[..3].to_vec()], &[1.0], 3), [[1.0; 3]]);
        assert_eq!(looked_for(&[vec![3.0, 1.0]], &[1.0], 1), [[0.75; 3]]);
    }
}
