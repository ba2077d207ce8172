//! What a bench measures of a network beside what its run does: what it stands, what its channels are for, and how right explanations of it are.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use interp_audit::dissection::{Settings, dissected, probes};
use interp_audit::metrics::{Column, Judged, Scores, metric};
use interp_audit::neurons::class::class_selectivity;
use interp_audit::neurons::survey;
use interp_audit::saliency::{Attribution, CONTROLS, Method, Question, last_map, locate, method};
use interp_audit::{AuditError, Memory, Pictures, Zeros, answers, observe};
use interp_data::{Corruption, corrupted};
use interp_finding::{Better, median};
use interp_net::{NetError, Network, files, sealed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::agreement::{Told, told};
use crate::asked::{Asked, Shown, maps};
use crate::programs::layers::activations;
use crate::{Error, Result};

/// Version of what is measured here; what was kept of another is measured again.
const VERSION: u32 = 1;
/// Pictures that are explained.
const EXPLAINED: usize = 100;
/// Answers of a channel that its selectivity is told by.
const PEAKS: usize = 100;
/// Methods whose maps are judged.
pub(super) const METHODS: [&str; 2] = ["grad_cam", "gradient_x_input"];
/// What pictures go through, in the order of [`Examined::right`]: the strongest noise, blur and JPEG that Hendrycks and Dietterich 2019 (arXiv 1903.12261)
/// give pictures of 32x32, and another background.
const CORRUPTIONS: [Corruption; 4] =
    [Corruption::Noise(0.1), Corruption::Blur(1.0), Corruption::Jpeg(40), Corruption::Background];

/// What was measured of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Examined {
    /// Of each corruption, the share of pictures that it is right on; `None` where pictures cannot be corrupted so.
    pub right: Vec<Option<f64>>,
    /// The share of the activations of all activation functions that are exactly zero.
    pub zero_activations: Option<f64>,
    /// The median class selectivity index of the channels of the last maps.
    pub selectivity: Option<f64>,
    /// Channels of all activations (convolutions, where there are none) that detect a concept, and different concepts; `None` where the data know of none.
    pub detectors: Option<[usize; 2]>,
    /// Of each method, how right it is; `None` where it has no rule for the network.
    pub explanations: Vec<Option<Explained>>,
}

/// How right a method's maps are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The area under the output while pixels come, less that while they go, in the map's order; beyond the best control's, a mean over pictures.
    pub exactness: Option<f64>,
    /// The mean share of the evidence that lies in the object, over pictures with any, where objects are known.
    pub in_object: Option<f64>,
}

/// Measures a network on pictures, and asks where it sees evidence, unless `folder` has it already: by its structure, its weights and the data's hash.
///
/// # Errors
/// If pictures cannot be had, or an analysis fails.
pub(crate) fn examined(network: &Network, pictures: &Pictures, data: &str, folder: &Path) -> Result<(Examined, Told)> {
    let weights = sealed::digest_of(network.params.list().iter().map(|param| (param.name.as_str(), &param.value)))?;
    let key = sealed::digest(&json!([VERSION, network.graph, weights, data]).to_string());
    let path = |what: &str| folder.join(format!("{}{what}.json", key.get(..16).unwrap_or_default()));
    let found = kept(&path(""), || examine(network, pictures, Memory::default()))?;
    Ok((found, kept(&path("-told"), || told(network, pictures))?))
}

/// What a file has, or else what is found, which is kept there.
fn kept<T: Serialize + DeserializeOwned>(path: &Path, find: impl FnOnce() -> Result<T>) -> Result<T> {
    if let Some(kept) = std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
        return Ok(kept);
    }
    let found = find()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    files::write_atomically(path, &serde_json::to_vec(&found)?)?;
    Ok(found)
}

/// Measures everything.
///
/// # Errors
/// If pictures cannot be had, or an analysis fails.
fn examine(network: &Network, pictures: &Pictures, memory: Memory) -> Result<Examined> {
    let right = CORRUPTIONS.into_iter().map(|how| right_on(network, pictures, how)).collect::<Result<_>>()?;
    let mut zeros = Zeros::new(network);
    observe(network, pictures, &mut [&mut zeros], memory)?;
    Ok(Examined {
        right,
        zero_activations: zeros.share(),
        selectivity: selectivity(network, pictures, memory)?,
        detectors: detectors(network, pictures, memory)?,
        explanations: explanations(network, pictures, memory)?,
    })
}

fn right_on(network: &Network, pictures: &Pictures, how: Corruption) -> Result<Option<f64>> {
    let Some(data) = corrupted(Arc::clone(&pictures.data), pictures.split, how)? else { return Ok(None) };
    let right = answers(network, &Pictures { data, ..pictures.clone() })?.right();
    Ok(mean(&right))
}

fn selectivity(network: &Network, pictures: &Pictures, memory: Memory) -> Result<Option<f64>> {
    let found = survey(network, pictures, &[last_map(&network.graph)], PEAKS, memory)?;
    let units = found.layers.iter().flat_map(|layer| &layer.units).enumerate();
    let index = |(at, unit)| Some(class_selectivity(unit, &found.by_class, at as u64)?.index);
    Ok(median(units.filter_map(index).collect()))
}

fn detectors(network: &Network, pictures: &Pictures, memory: Memory) -> Result<Option<[usize; 2]>> {
    let Ok(activations) = activations(&network.graph, &[]) else { return Ok(None) };
    let settings = Settings::default();
    let found = match dissected(network, pictures, probes(network, &activations, 0)?, &settings, memory) {
        Err(AuditError::NoConcepts(_)) => return Ok(None),
        found => found?,
    };
    let unique = found.layers.iter().flat_map(|layer| layer.unique(&settings)).collect::<BTreeSet<_>>();
    let detectors = found.layers.iter().map(|layer| layer.detectors(&settings).len()).sum();
    Ok(Some([detectors, unique.len()]))
}

/// The pictures that are explained, at even distances; `None` where there are none.
pub(super) fn spread_out(pictures: &Pictures) -> Result<Option<Shown>> {
    let all = pictures.data.len(pictures.split);
    let count = all.min(EXPLAINED);
    (count > 0).then(|| Shown::at(pictures, (0..count).map(|at| at * all / count).collect())).transpose()
}

fn explanations(network: &Network, pictures: &Pictures, memory: Memory) -> Result<Vec<Option<Explained>>> {
    let Some(shown) = spread_out(pictures)? else { return Ok(vec![None; METHODS.len()]) };
    let info = pictures.data.info();
    let about = Asked::of(network, shown, info, memory)?;
    let question = about.question(network);
    let mut asked = vec![];
    for name in METHODS.iter().chain(&CONTROLS) {
        let object = method(name, &toml::Table::new())?.object;
        match object.attribute(&question) {
            Err(AuditError::Net(NetError::NoRule { .. })) => {}
            attribution => asked.push((*name, object, attribution?)),
        }
    }
    let exactness = exactness(&question, &asked)?;
    let of = |name: &&str| -> Result<Option<Explained>> {
        let Some(at) = asked.iter().position(|(other, _, _)| other == name) else { return Ok(None) };
        let in_object = in_object(&asked[at].2, about.shown.masks.as_deref(), [info.height, info.width])?;
        let control = |at: &usize| exactness[*at].number().map(|number| number.value);
        let controls = (0..asked.len()).filter(|&at| CONTROLS.contains(&asked[at].0));
        let best = controls.filter_map(|at| Some((at, control(&at)?))).max_by(|a, b| a.1.total_cmp(&b.1));
        let beyond = best.and_then(|(best, _)| exactness[at].beyond(&exactness[best]));
        Ok(Some(Explained { exactness: beyond.map(|number| number.value), in_object }))
    };
    METHODS.iter().map(of).collect()
}

/// Of every method and picture the area of insertion less that of deletion.
fn exactness(question: &Question<'_>, asked: &[(&str, Box<dyn Method>, Attribution)]) -> Result<Vec<Column>> {
    let judged: Vec<Judged<'_>> =
        asked.iter().map(|(name, method, attribution)| Judged { name, method: &**method, attribution }).collect();
    let measure = |name: &str| -> Result<Vec<Scores>> {
        Ok(metric(name, &toml::Table::new())?.object.measure(question, &judged)?)
    };
    let less = |(comes, goes): (Scores, Scores)| {
        let values = |scores: &Scores| scores.columns.first().map_or(vec![], |column| column.values.clone());
        let less = |(comes, goes): (Option<f64>, Option<f64>)| Some(comes? - goes?);
        Column {
            name: "insertion less deletion".into(),
            better: Better::Higher,
            null: None,
            values: values(&comes).into_iter().zip(values(&goes)).map(less).collect(),
        }
    };
    Ok(measure("insertion")?.into_iter().zip(measure("deletion")?).map(less).collect())
}

/// The mean share of the evidence in the object, over pictures with any.
fn in_object(attribution: &Attribution, masks: Option<&[Vec<f32>]>, size: [usize; 2]) -> Result<Option<f64>> {
    let Some(masks) = masks else { return Ok(None) };
    let maps = maps(attribution, size)?;
    let heard = maps.iter().zip(masks).filter(|(map, _)| map.iter().any(|&value| value > 0.0));
    let shares: Vec<f64> = heard.map(|(map, mask)| locate(map, mask).mass).collect();
    Ok(mean(&shares))
}

pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use interp_data::Split;

    use super::*;
    use crate::Catalog;
    use crate::folder::Stage;
    use crate::plan::Plan;
    use crate::recipe::Recipe;

    // What there is of everything, of pictures that know their objects; and what is kept is not measured again.
    #[test]
    fn everything_is_measured_once() {
        let text = "name = \"r\"\n[data]\nkind = \"concepts\"\ntrain = 20\nval = 10\ntest = 40\n[model]\nkind = \"vgg\"\ndepth = 8\nwidth = 0.125\n\
            [[train.phase]]\nepochs = 1\nlearning_rate = 0.1\n";
        let plan = Plan::new(Recipe::parse("r", text, &Catalog::default()).unwrap(), &|_, _| ()).unwrap();
        let network = plan.network(Stage::Main).unwrap();
        let pictures = Pictures { data: plan.data.examining(), split: Split::Test, noise: None, workers: 1 };
        let folder = tempfile::tempdir().unwrap();
        let (found, told) = examined(&network, &pictures, "data", folder.path()).unwrap();
        assert!(
            told.classes.len() == 40
                && told.maps.iter().all(|maps| maps.as_ref().is_some_and(|maps| maps[0].len() == 64))
        );
        assert!(found.right.len() == 4 && found.right.iter().all(|right| right.is_some_and(|right| right <= 1.0)));
        assert!(found.zero_activations.is_some_and(|share| share > 0.2 && share < 0.8), "{found:?}");
        assert!(found.detectors.is_some() && found.selectivity.is_some());
        assert!(
            found
                .explanations
                .iter()
                .all(|one| one.is_some_and(|one| one.in_object.is_some() && one.exactness.is_some()))
        );
        let files = || std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
        let kept = Examined { selectivity: Some(0.125), ..found };
        let of_found = files().into_iter().find(|path| !path.display().to_string().contains("-told")).unwrap();
        std::fs::write(of_found, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(examined(&network, &pictures, "data", folder.path()).unwrap(), (kept, told));
        examined(&network, &pictures, "other data", folder.path()).unwrap();
        assert_eq!(files().len(), 4);
    }
}
