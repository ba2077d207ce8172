//! `interp-audit codes`: which factor of the pictures that a generator makes each of its codes controls.

mod page;
mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::factors::{Decomposition, Known, known};
use interp_data::{Factor, strokes};
use interp_finding::random::stream;
use interp_learn::gan::Code;
use interp_net::zoo::{Generator, Latent};
use interp_net::{Checkpoint, Network};
use serde_json::{Value, json};

use self::reader::Reader;
use super::Ending;
use super::checkpoint::own_recipe;
use super::outcome::Outcome;
use crate::folder::{Folder, Stage};
use crate::generate::traversal::made;
use crate::{Catalog, Error, Result};

/// Which factor of the pictures that a generator makes each of its codes controls
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  interp-audit codes checkpoints/infogan --reader checkpoints/digits --out codes\n\n\
    Of gray pictures slant, thickness, width, height and place of the strokes are measured, and with --reader the class (docs/infogan.md).\n\
    Writes DIR/data.safetensors (information and entropies, f64, nats), DIR/summary.json and DIR/report.html"
)]
pub(super) struct Codes {
    /// The folder of a run of [objective.generate]
    run: PathBuf,
    /// A classifier that tells the class of made pictures: a run folder or a file of ours, trained on pictures of the data, not on made ones
    #[arg(long, value_name = "CHECKPOINT")]
    reader: Option<PathBuf>,
    /// Pictures to make
    #[arg(long, default_value_t = 5000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    count: u32,
    /// Decides which codes are drawn
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The folder to write
    #[arg(long, default_value = "codes", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// Least share of a factor's entropy that a code tells which controls it.
const LEAST: f64 = 0.5;
/// Least times that it tells more of it than of any other.
const TIMES: f64 = 2.0;

/// A generator with what its codes control.
struct Measured {
    network: Network,
    factors: Vec<Known>,
    found: Decomposition,
    chance: Decomposition,
    /// Share of pictures of which the reader gives a class nine parts in ten or more.
    sure: Option<f64>,
}

/// What a code tells most of, and second most.
struct Control {
    /// The factor's place, and the share of its entropy.
    first: (usize, f64),
    second: Option<(usize, f64)>,
    /// What it tells of both beyond chance, as shares.
    beyond: [f64; 2],
}

impl Control {
    /// Whether it is one factor that the code controls.
    fn is_clear(&self) -> bool {
        let [first, second] = self.beyond;
        first >= LEAST && first >= TIMES * second
    }
}

impl Measured {
    /// The share of each factor's entropy that a code tells: normalized mutual information.
    fn shares(&self, of: &Decomposition, code: usize) -> Vec<f64> {
        let share = |(told, entropy): (&f64, &f64)| if *entropy > 0.0 { told / entropy } else { 0.0 };
        of.information[code].iter().zip(&of.entropies).map(share).collect()
    }

    fn control(&self, code: usize) -> Option<Control> {
        let mut shares: Vec<(usize, f64)> = self.shares(&self.found, code).into_iter().enumerate().collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        let by_chance = self.shares(&self.chance, code);
        let beyond = |(factor, share): (usize, f64)| (share - by_chance[factor]).max(0.0);
        let (first, second) = (*shares.first()?, shares.get(1).copied());
        Some(Control { first, second, beyond: [beyond(first), second.map_or(0.0, beyond)] })
    }
}

impl Codes {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let folder = Folder::new(&self.run);
        let path = folder.generator(Stage::Main);
        if !path.is_file() {
            let problem = "there is no generator.safetensors in it: runs of [objective.generate] have one".into();
            return Err(Error::Folder { path: self.run.clone(), problem });
        }
        let (latent, network) = read(&path, catalog)?;
        let reader = self.reader.as_ref().map(|reader| Reader::open(reader, &network)).transpose()?;
        let problem = "nothing is known of the pictures that it makes: of colored ones --reader tells the class; all may be black, or alike";
        let unknown = || Error::Folder { path: self.run.clone(), problem: problem.into() };
        let own = self.measured(network, &latent, reader.as_ref())?.ok_or_else(unknown)?;
        let beside = folder.generator(Stage::Twin);
        let twin = match beside.is_file() {
            true => self.measured(read(&beside, catalog)?.1, &latent, reader.as_ref())?,
            false => None,
        };
        let told = page::table(&latent, &own, twin.as_ref());
        let page = page::of(self, &latent, &own, twin.as_ref())?;
        let (tensors, summary) = (tensors(&own, twin.as_ref())?, self.summary(&path, &latent, &own, twin.as_ref())?);
        Outcome { tensors, summary, told, page }.write_and_tell(&self.out, self.json)
    }

    /// Makes pictures of codes and measures their factors; `None` where nothing is known of what is made.
    fn measured(&self, network: Network, latent: &Latent, reader: Option<&Reader>) -> Result<Option<Measured>> {
        let draw = |at: u32| Code::draw(latent, &mut stream(self.seed.into(), "codes to measure", 0, at.into()));
        let codes: Vec<Code> = (0..self.count).map(draw).collect();
        let pixels = made(&network, latent, &codes)?;
        let shape = network.graph.shape(network.graph.output()).to_vec();
        let size: usize = shape.iter().product();
        let width = shape.last().copied().unwrap_or(1);
        let of_strokes = |picture: &[f32]| if shape[0] == 1 { strokes(picture, width) } else { vec![] };
        let mut truths: Vec<Vec<(&'static str, Factor)>> = pixels.chunks_exact(size).map(of_strokes).collect();
        let mut sure = None;
        if let Some(reader) = reader {
            let read = reader.read(&pixels)?;
            truths.iter_mut().zip(read.classes).for_each(|(own, class)| own.push(("class", Factor::Name(class))));
            sure = Some(read.sure);
        }
        let factors = known(&truths);
        if factors.is_empty() {
            return Ok(None);
        }
        let values = by_code(latent, &codes);
        let found = Decomposition::of(&values, &factors);
        let chance = Decomposition::by_chance(&values, &factors, self.seed.into());
        Ok(Some(Measured { network, factors, found, chance, sure }))
    }

    fn summary(&self, path: &Path, latent: &Latent, own: &Measured, twin: Option<&Measured>) -> Result<Value> {
        let data = Checkpoint::read(path)?.meta.map(|meta| meta.data);
        let told = |measured: &Measured| {
            let names: Vec<&str> = measured.factors.iter().map(|factor| factor.name.as_str()).collect();
            let code = |(code, name): (usize, String)| {
                let control = measured.control(code);
                let named = |(factor, share): (usize, f64)| json!({ "factor": names[factor], "share": share });
                json!({
                    "code": name,
                    "controls": control.as_ref().filter(|control| control.is_clear()).map(|control| names[control.first.0]),
                    "first": control.as_ref().map(|control| named(control.first)),
                    "second": control.as_ref().and_then(|control| control.second).map(named),
                    "shares": measured.shares(&measured.found, code), "chance": measured.shares(&measured.chance, code),
                })
            };
            let codes: Vec<Value> = latent.names().into_iter().enumerate().map(code).collect();
            json!({ "factors": names, "codes": codes, "sure": measured.sure })
        };
        Ok(json!({
            "version": 1, "checkpoint": self.run.display().to_string(), "data": data, "count": self.count, "seed": self.seed,
            "reader": self.reader.as_ref().map(|reader| reader.display().to_string()),
            "network": told(own), "twin": twin.map(told),
        }))
    }
}

/// A generator's file, and what its codes are, which its recipe says.
fn read(path: &Path, catalog: &Catalog) -> Result<(Latent, Network)> {
    let wrong = |problem: &str| Error::Folder { path: path.to_owned(), problem: problem.to_owned() };
    let file = Checkpoint::read(path)?;
    let recipe =
        own_recipe(&file, catalog).ok_or_else(|| wrong("a file that does not say by what recipe it was made"))??;
    let network = file.network(path, None, [1, 1])?;
    let shape = network.graph.shape(network.graph.output());
    let &[channels, height, width] = shape else { return Err(wrong("a network that makes no pictures")) };
    match recipe.model.object.generator([channels, height, width])? {
        Some(Generator { graph, latent }) if graph == network.graph => Ok((latent, network)),
        _ => Err(wrong("no generator of its own recipe")),
    }
}

/// Of each code its value, picture by picture.
fn by_code(latent: &Latent, codes: &[Code]) -> Vec<Vec<f64>> {
    let category = |at: usize| codes.iter().map(|code| code.categories[at] as f64).collect();
    let number = |at: usize| codes.iter().map(|code| f64::from(code.numbers[at])).collect();
    (0..latent.categorical.len()).map(category).chain((0..latent.continuous).map(number)).collect()
}

fn tensors(own: &Measured, twin: Option<&Measured>) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    for (name, measured) in [("network", Some(own)), ("twin", twin)] {
        let Some(Measured { found, factors, .. }) = measured else { continue };
        let (rows, columns) = (found.information.len(), factors.len());
        let information = Tensor::from_vec(found.information.concat(), (rows, columns), &Device::Cpu)?;
        tensors.insert(format!("{name}.information"), information);
        tensors.insert(format!("{name}.entropies"), Tensor::from_slice(&found.entropies, columns, &Device::Cpu)?);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_controls_what_it_tells_half_of_and_twice_as_much_as_of_any_other() {
        let is_clear = |beyond: [f64; 2]| Control { first: (0, 1.0), second: Some((1, 1.0)), beyond }.is_clear();
        let cases = [[0.5, 0.25], [0.49, 0.0], [0.6, 0.31], [0.9, 0.0]];
        assert_eq!(cases.map(is_clear), [true, false, false, true]);
    }
}
