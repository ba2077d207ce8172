//! `interp-audit traverse`: what each number of a picture's code changes in the picture that is made of it.

mod page;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::Memory;
use interp_audit::factors::{Decomposition, Known};
use interp_audit::traversal::{Coded, Lie, coded, decode, traverse};
use interp_data::Info;
use interp_learn::{Objective, Pixels};
use interp_net::Network;
use serde_json::{Value, json};

use super::Ending;
use super::decompose::factors;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// What each number of a picture's code changes in the picture that is made of it, and which factor it tells of
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit traverse checkpoints/tc_vae --out traverse\n\n\
    Of networks that draw codes, as `vae` does (docs/traverse.md).\n\
    Writes DIR/data.safetensors (values (codes, values), divergence and variance (codes), f64; pictures and made (pictures, H, W, C), moved (pictures, codes, values, H, W, C), \
    f32, pixel values; what a normal distribution is told of may leave [0, 1]; information (codes, factors), f64, where factors are known), DIR/summary.json and DIR/report.html")]
pub(super) struct Traverse {
    #[command(flatten)]
    on: OnPictures,
    /// Pictures whose codes are moved, at even distances in the split
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Values of each code, from where 5 % of pictures have less to where 5 % have more
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u8).range(2..))]
    values: u8,
    /// Memory that activations may take, such as 512MiB; results do not depend on it
    #[arg(long, default_value = "1GiB", value_parser = super::memory)]
    memory: Memory,
    /// The folder to write
    #[arg(long, default_value = "traverse", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// A picture, pixel values in [0, 1] by rows, and what is made of its code.
struct Sheet {
    /// Its place in the split.
    index: usize,
    seen: Vec<f32>,
    made: Vec<f32>,
    /// Of each code what is made where it is moved, value by value.
    moved: Vec<Vec<Vec<f32>>>,
}

/// Factors with the share of their entropy that a code tells, the most first.
type Told<'a> = Vec<(&'a str, f64)>;

/// All that was found.
struct Found {
    codes: Coded,
    /// Numbers of codes, those that tell most of pictures first.
    order: Vec<usize>,
    factors: Vec<Known>,
    /// Where factors are known.
    tells: Option<Decomposition>,
    /// The same of codes of other pictures: what counting finds where nothing is.
    chance: Option<Decomposition>,
    sheets: Vec<Sheet>,
}

impl Traverse {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        let codes = coded(&opened.network, &opened.pictures, self.memory)?;
        let factors = factors(&opened.pictures)?;
        let tells = (!factors.is_empty()).then(|| Decomposition::of(&codes.means, &factors));
        let chance = (!factors.is_empty()).then(|| Decomposition::by_chance(&codes.means, &factors, 0));
        let mut order: Vec<usize> = (0..codes.lies.len()).collect();
        order.sort_by(|&a, &b| codes.lies[b].divergence.total_cmp(&codes.lies[a].divergence));
        let all = codes.means.first().map_or(0, Vec::len);
        let count = all.min(self.limit.into());
        let sheets = (0..count).map(|at| self.sheet(&opened, &codes, at * all / count)).collect::<Result<_>>()?;
        let found = Found { codes, order, factors, tells, chance, sheets };
        let outcome = Outcome {
            tensors: self.tensors(&opened.info, &found)?,
            summary: self.summary(&opened, &found),
            told: page::codes(&found),
            page: page::of(&opened, &found, self.values.into()),
        };
        outcome.write_and_tell(&self.out, self.on.json)
    }

    fn sheet(&self, opened: &Opened, codes: &Coded, index: usize) -> Result<Sheet> {
        let Opened { network, info, pictures, .. } = opened;
        let mut seen = vec![0.0; info.pixels()];
        pictures.data.image(pictures.split, index, &mut seen)?;
        let code: Vec<f64> = codes.means.iter().map(|means| means[index]).collect();
        let shown = |made: Tensor| pixels(&opened.objective, &made, info);
        let made = shown(decode(network, codes.node, std::slice::from_ref(&code))?)?.concat();
        let moved = |(place, lie): (usize, &Lie)| {
            shown(traverse(network, codes.node, &code, place, &lie.steps(self.values.into()))?)
        };
        let moved = codes.lies.iter().enumerate().map(moved).collect::<Result<_>>()?;
        Ok(Sheet { index, seen, made, moved })
    }

    fn summary(&self, opened: &Opened, found: &Found) -> Value {
        let told = |told: Option<&(&str, f64)>| match told {
            Some((name, share)) => json!({ "name": name, "share": share }),
            None => Value::Null,
        };
        let code = |code: usize| {
            let (lie, tells) = (&found.codes.lies[code], found.told(code));
            json!({
                "code": code, "divergence": lie.divergence, "variance": lie.variance, "range": lie.range, "dead": lie.is_dead(),
                "first": told(tells.first()), "second": told(tells.get(1)),
            })
        };
        let name = |network: &Network| network.graph.nodes()[found.codes.node].name.clone();
        json!({
            "version": 1, "checkpoint": opened.path.display().to_string(), "data": opened.info.name, "split": self.on.split,
            "node": name(&opened.network), "pictures": found.sheets.iter().map(|sheet| sheet.index).collect::<Vec<_>>(),
            "factors": found.factors.iter().map(|factor| &factor.name).collect::<Vec<_>>(),
            "codes": found.order.iter().map(|&at| code(at)).collect::<Vec<_>>(),
        })
    }

    fn tensors(&self, info: &Info, found: &Found) -> Result<BTreeMap<String, Tensor>> {
        let cpu = &Device::Cpu;
        let (lies, values) = (&found.codes.lies, usize::from(self.values));
        let of_codes = |of: fn(&Lie) -> f64| Tensor::from_iter(lies.iter().map(of), cpu);
        let steps: Vec<f64> = lies.iter().flat_map(|lie| lie.steps(values)).collect();
        let picture = [info.height, info.width, info.channels];
        let stacked = |numbers: Vec<f32>, shape: &[usize]| Tensor::from_vec(numbers, [shape, &picture].concat(), cpu);
        let (sheets, count) = (&found.sheets, found.sheets.len());
        let moved = sheets.iter().flat_map(|sheet| sheet.moved.iter().flatten().flatten().copied()).collect();
        let mut tensors = BTreeMap::from([
            ("values".to_owned(), Tensor::from_vec(steps, (lies.len(), values), cpu)?),
            ("divergence".to_owned(), of_codes(|lie| lie.divergence)?),
            ("variance".to_owned(), of_codes(|lie| lie.variance)?),
            ("pictures".to_owned(), stacked(sheets.iter().flat_map(|sheet| sheet.seen.clone()).collect(), &[count])?),
            ("made".to_owned(), stacked(sheets.iter().flat_map(|sheet| sheet.made.clone()).collect(), &[count])?),
            ("moved".to_owned(), stacked(moved, &[count, lies.len(), values])?),
        ]);
        if let Some(Decomposition { information, .. }) = &found.tells {
            let shape = (information.len(), found.factors.len());
            tensors.insert("information".to_owned(), Tensor::from_vec(information.concat(), shape, cpu)?);
        }
        Ok(tensors)
    }
}

impl Found {
    /// What a code tells of factors beyond chance; nothing where none is known.
    fn told(&self, code: usize) -> Told<'_> {
        let (Some(tells), Some(chance)) = (&self.tells, &self.chance) else { return vec![] };
        let share = |told: f64, entropy: f64| if entropy > 0.0 { told.max(0.0) / entropy } else { 0.0 };
        let beyond = tells.information[code].iter().zip(&chance.information[code]).map(|(told, chance)| told - chance);
        let shares = beyond.zip(&tells.entropies).map(|(told, &entropy)| share(told, entropy));
        let mut told: Told<'_> = self.factors.iter().map(|factor| factor.name.as_str()).zip(shares).collect();
        told.sort_by(|a, b| b.1.total_cmp(&a.1));
        told
    }
}

/// Pixel values by rows of each picture that was made, (N, C, H, W); normalized as pictures are, but where the network was trained to tell chances.
fn pixels(objective: &Objective, made: &Tensor, info: &Info) -> Result<Vec<Vec<f32>>> {
    let kind = match objective {
        Objective::Reconstruct(reconstruct) => reconstruct.pixels,
        Objective::Classify | Objective::Denoise(_) | Objective::Generate(_) => Pixels::Normal { deviation: 1.0 },
    };
    Ok(kind.values(made, info)?.permute((0, 2, 3, 1))?.flatten_from(1)?.to_vec2()?) // (N, H, W, C)
}
