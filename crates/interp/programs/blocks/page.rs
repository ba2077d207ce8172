//! The page of building blocks.

use interp_audit::blocks::{Evidence, Target};
use interp_finding::{Figure, Finding, Named};
use interp_report::Page;

use super::super::chosen::Subject;
use super::super::colors::{bytes, denormalized, heat};
use super::super::tiles::{Tile, mosaic, named};
use super::{Found, speaking};
use crate::Result;

/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 96;
/// Pixels of a dictionary's picture.
const TILE: usize = 48;
/// Pixels of the screen that a dictionary takes, about.
const MOSAIC: usize = 480;

/// What is explained of a picture.
fn explained(subject: &Subject, target: &Target) -> String {
    let against = target.against.map_or(String::new(), |class| format!(" over {}", subject.class(class)));
    format!("{}{against}", subject.class(target.class))
}

/// Heads, and a row for each picture: what groups speak for the output.
pub(super) fn table(subject: &Subject, found: &Found) -> (Vec<String>, Vec<Vec<String>>) {
    let groups = found.factors.as_ref().map_or(0, |factors| factors.groups.len());
    let mut columns = ["picture", "explained", "score", "attributed"].map(str::to_owned).to_vec();
    columns.extend((1..=groups).map(|group| format!("group {group}")));
    columns.extend((groups > 0).then(|| "the rest".to_owned()));
    let row = |(at, evidence): (usize, &Evidence)| {
        let all: f64 = evidence.places().iter().sum();
        let speaks = found.speaks(at);
        let rest = (groups > 0).then(|| all - speaks.iter().sum::<f64>());
        let index = subject.shown.indices[at].to_string();
        let numbers = [evidence.score, all].into_iter().chain(speaks).chain(rest);
        let shown = numbers.map(|value| format!("{value:.3}"));
        [index, explained(subject, &found.targets[at])].into_iter().chain(shown).collect()
    };
    (columns, found.evidence.iter().enumerate().map(row).collect())
}

pub(super) fn of(subject: &Subject, found: &Found) -> Result<Page> {
    let (columns, rows) = table(subject, found);
    let table = Figure::Table {
        title: "What groups speak for the output".into(),
        caption: "Attributed: the sum over the layer of gradient times activation; where all behind the layer is linear it is the score without what is added \
                  (biases), elsewhere what the gradient sees of it. Groups and the rest add up to it."
            .into(),
        columns,
        rows,
    };
    let mut figures = vec![table];
    figures.extend(groups(subject, found));
    let pictures = (0..found.evidence.len()).map(|at| picture(subject, found, at)).collect::<Result<Vec<_>>>()?;
    let first = Finding {
        name: "groups".into(),
        title: "Groups of channels".into(),
        statement: statement(found),
        numbers: vec![],
        figures,
    };
    let mut facts = vec![("Network".to_owned(), subject.path.display().to_string())];
    if !subject.info.name.is_empty() {
        facts.push(("Data".into(), subject.info.name.clone()));
    }
    facts.push(("Layer".into(), subject.network.graph.nodes()[found.layer].name.clone()));
    Ok(Page {
        title: "Building blocks".into(),
        lead: "What a layer sees of pictures, and what of it speaks for an output: gradient times activation, added up by place, by channel, and by groups of \
               channels that answer together. Beside a number stands a picture of what the channel or group answers to most, made by ascending its gradient."
            .into(),
        warnings: silent(found).into_iter().collect(),
        facts,
        claims: vec![],
        findings: std::iter::once(first).chain(pictures).collect(),
        source: None,
    })
}

/// Says where there is nothing to explain.
pub(super) fn silent(found: &Found) -> Option<String> {
    let nothing = found.evidence.iter().all(|evidence| evidence.activation.iter().all(|value| *value == 0.0));
    nothing.then(|| "The layer answers to none of these pictures: nothing of it speaks for an output.".to_owned())
}

/// What follows from the numbers.
fn statement(found: &Found) -> String {
    let error = found.factors.as_ref().and_then(|factors| factors.errors.last());
    match (error, &found.factors) {
        (Some(error), Some(factors)) => format!(
            "{} groups make up the activations of all pictures together but for {:.0} % of their length.",
            factors.groups.len(),
            100.0 * error
        ),
        _ => "There are none: they were not asked for, or the layer has negative activations.".into(),
    }
}

/// What groups answer to most.
fn groups(subject: &Subject, found: &Found) -> Option<Figure> {
    let size = [subject.info.height, subject.info.width, subject.info.channels];
    let factors = found.factors.as_ref()?;
    let name = |at: usize| {
        let direction = &factors.groups[at].direction;
        let mut ranked: Vec<usize> = (0..direction.len()).collect();
        ranked.sort_by(|&a, &b| direction[b].total_cmp(&direction[a]));
        let most: Vec<String> = ranked.iter().take(3).map(usize::to_string).collect();
        format!("group {}: {}", at + 1, most.join(", "))
    };
    let pictures: Vec<Named> =
        found.groups.iter().enumerate().map(|(at, pixels)| named(name(at), pixels, size)).collect();
    (!pictures.is_empty()).then(|| Figure::Pictures {
        title: "What groups answer to most".into(),
        caption: "Pictures of the directions of groups, with the three channels of which there is most in each. Groups are ordered by how much there is of them."
            .into(),
        pictures,
        zoom: zoom(subject),
    })
}

fn zoom(subject: &Subject) -> usize {
    (SIDE / subject.info.height.max(1)).max(1)
}

/// A picture with its places and groups, its dictionary, and the channels that speak most.
fn picture(subject: &Subject, found: &Found, at: usize) -> Result<Finding> {
    let info = &subject.info;
    let evidence = &found.evidence[at];
    let own = subject.shown.pictures.get(at)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?; // (C, H, W) -> (H, W, C)
    let size = [info.height, info.width, info.channels];
    let mut places = vec![named("picture".into(), &denormalized(&own, info), size)];
    places.push(map("places".into(), &evidence.places(), evidence, subject));
    for (group, speaks) in found.speaks(at).into_iter().enumerate() {
        places.push(map(format!("group {}: {speaks:+.3}", group + 1), found.amount(group, at), evidence, subject));
    }
    let mut figures = vec![Figure::Pictures {
        title: "Places and groups".into(),
        caption: "Places: red speaks for the output, blue against it. Groups: where there is how much of them, and what they speak for it altogether. Each map \
                  by its own largest number."
            .into(),
        pictures: places,
        zoom: zoom(subject),
    }];
    figures.extend(channels(subject, found, evidence));
    figures.extend(dictionary(subject, found, evidence));
    let index = subject.shown.indices[at];
    let label = subject.shown.labels.as_ref().map(|labels| format!("It is of class {}. ", subject.class(labels[at])));
    Ok(Finding {
        name: format!("picture-{index}"),
        title: subject.shown.name(at),
        statement: format!(
            "{}Explained is {}: {:.3}.",
            label.unwrap_or_default(),
            explained(subject, &found.targets[at]),
            evidence.score
        ),
        numbers: vec![],
        figures,
    })
}

/// One number of each place, as large as the picture.
fn map(name: String, places: &[f64], evidence: &Evidence, subject: &Subject) -> Named {
    let (info, [_, rows, columns]) = (&subject.info, evidence.shape);
    let pixel = |at: usize| {
        let (row, column) = (at / info.width * rows / info.height, at % info.width * columns / info.width);
        places[row * columns + column] as f32
    };
    let values: Vec<f32> = (0..info.height * info.width).map(pixel).collect();
    Named { name, width: info.width, height: info.height, rgb: bytes(heat(&values)) }
}

/// The channels that speak most for the output and against it, as pictures.
fn channels(subject: &Subject, found: &Found, evidence: &Evidence) -> Option<Figure> {
    let size = [subject.info.height, subject.info.width, subject.info.channels];
    let [most, least] = speaking(evidence);
    let shown = |(channel, value): &(usize, f64)| {
        Some(named(format!("{channel}: {value:+.3}"), found.channels.get(channel)?, size))
    };
    let pictures: Vec<Named> = most.iter().chain(least.iter().rev()).filter_map(shown).collect();
    (!pictures.is_empty()).then(|| Figure::Pictures {
        title: "Channels that speak most".into(),
        caption:
            "For the output, then against it: what they answer to most anywhere, with what they speak in this picture."
                .into(),
        pictures,
        zoom: zoom(subject),
    })
}

/// At each place what the channel that is strongest there answers to most.
fn dictionary(subject: &Subject, found: &Found, evidence: &Evidence) -> Option<Figure> {
    let size = [subject.info.height, subject.info.width, subject.info.channels];
    let strongest = evidence.strongest();
    let largest = strongest.iter().fold(f64::MIN_POSITIVE, |largest, (_, value)| largest.max(*value));
    let white = vec![1.0; subject.info.pixels()];
    let tile = |(channel, value): &(usize, f64)| Tile {
        pixels: found.channels.get(channel).unwrap_or(&white),
        share: (value / largest).max(0.0).sqrt() as f32,
    };
    let tiles: Vec<Tile<'_>> = strongest.iter().map(tile).collect();
    let (width, height, rgb) = mosaic(&tiles, evidence.shape[2], size, TILE);
    (!found.channels.is_empty()).then(|| Figure::Picture {
        title: "What is seen where".into(),
        caption:
            "At each place of the layer what its strongest channel answers to most, the paler the less it answers here; white where the channel is the strongest in \
             few places only."
                .into(),
        width,
        height,
        rgb,
        zoom: (MOSAIC / width.max(1)).clamp(1, 4),
    })
}
