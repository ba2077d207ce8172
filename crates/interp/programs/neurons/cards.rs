//! A card for each neuron: its feature, what it answers to most, its indexes.

use std::collections::BTreeMap;

use interp_audit::Pictures;
use interp_audit::neurons::class::CODED;
use interp_audit::neurons::{Peak, Selectivity, Unit, bin_start, crop};
use interp_data::Info;
use interp_finding::{Better, Card, Figure, Histogram, Number, Original, Part, Place, Sheet, Shot};
use interp_net::{Field, Network, NodeId};
use interp_report::number;

use super::super::colors::{bytes, color_of};
use super::page::{CHANCE, ranked};
use super::{Rows, Told};
use crate::Result;

/// Cards of a layer: of more neurons those that select classes most.
const CARDS: usize = 512;
/// Pictures of a neuron, at most and at least, and of all together about.
const SHOTS: [usize; 2] = [2, 8];
const ALL_SHOTS: usize = 8192;
/// Pixels of the longer side, of a part of a picture, of a feature and of a whole picture: of larger ones every second pixel, and so on.
const PART: usize = 48;
const FACE: usize = 96;
const WHOLE: usize = 96;

/// The neurons that have cards, as positions of layers and neurons: of every layer the first, of every layer the second, and so on.
fn order(rows: &[Rows<'_>]) -> Vec<(usize, usize)> {
    let ranked: Vec<Vec<usize>> = rows.iter().map(|rows| ranked(rows).into_iter().take(CARDS).collect()).collect();
    let longest = ranked.iter().map(Vec::len).max().unwrap_or(0);
    let of_rank =
        |rank: usize| ranked.iter().enumerate().filter_map(move |(layer, all)| Some((layer, *all.get(rank)?)));
    (0..longest).flat_map(of_rank).collect()
}

/// The pictures on cards.
struct Cut {
    sheets: Vec<Sheet>,
    originals: Vec<Original>,
    /// By layer and neuron, from the largest answer on.
    shots: BTreeMap<(usize, usize), Vec<Shot>>,
}

/// How a layer's answers are shown.
struct Window {
    node: NodeId,
    /// None where whole pictures are shown, since its cells see that much or have no field in common.
    field: Option<Field>,
    /// The sheet of its parts.
    sheet: usize,
    regions: BTreeMap<[usize; 2], Option<[usize; 4]>>,
}

impl Window {
    fn new(network: &Network, name: &str, info: &Info, sheet: usize) -> Result<Self> {
        let node = network.graph.id(name)?;
        let is_part = |field: &Field| field.size[0] < info.height || field.size[1] < info.width;
        let field = network.receptive_field(node).ok().filter(is_part);
        Ok(Self { node, field, sheet, regions: BTreeMap::new() })
    }

    /// Left, top, width and height of what a cell sees.
    fn region(&mut self, network: &Network, cell: [usize; 2]) -> Option<[usize; 4]> {
        let node = self.node;
        let region = || {
            let region = network.region(node, cell[0], cell[1])?;
            let side = |[first, last]: [usize; 2]| last + 1 - first;
            Some([region.columns[0], region.rows[0], side(region.columns), side(region.rows)])
        };
        *self.regions.entry(cell).or_insert_with(region)
    }
}

/// Cuts what neurons answer to from pictures, each of which is read once. `command` tells more of a picture.
fn cut(
    network: &Network,
    pictures: &Pictures,
    rows: &[Rows<'_>],
    order: &[(usize, usize)],
    command: &dyn Fn(usize) -> String,
) -> Result<Cut> {
    let info = pictures.data.info();
    let count = (ALL_SHOTS / order.len().max(1)).clamp(SHOTS[0], SHOTS[1]);
    let mut windows = rows
        .iter()
        .enumerate()
        .map(|(at, rows)| Window::new(network, rows.name, info, at + 1))
        .collect::<Result<Vec<_>>>()?;
    let mut by_picture: BTreeMap<usize, Vec<(usize, usize, Peak)>> = BTreeMap::new();
    for &(layer, neuron) in order {
        for &peak in rows[layer].neurons[neuron].unit.peaks.iter().take(count) {
            by_picture.entry(peak.picture).or_default().push((layer, neuron, peak));
        }
    }
    let shape = [info.height, info.width, info.channels];
    let whole_step = step([info.height, info.width], WHOLE);
    let mut cut = Cut { sheets: vec![empty(); rows.len() + 1], originals: vec![], shots: BTreeMap::new() };
    let mut found: BTreeMap<(usize, usize), Vec<(f32, Shot)>> = BTreeMap::new();
    let mut picture = vec![0.0; info.pixels()];
    for (index, places) in by_picture {
        pictures.data.image(pictures.split, index, &mut picture)?;
        let whole = put(&mut cut.sheets, 0, &picture, shape, whole_step);
        let original = cut.originals.len();
        let class = class(info, places.first().map_or(0, |(.., peak)| peak.label));
        cut.originals.push(Original {
            place: whole,
            name: format!("Picture {index}, {class}"),
            command: command(index),
        });
        for (layer, neuron, peak) in places {
            let window = &mut windows[layer];
            let area = window.region(network, peak.cell);
            let part = area.map(|area| Part { original, area: area.map(|side| side as f64 / whole_step as f64) });
            let place = match &window.field {
                Some(field) => {
                    let seen = crop(&picture, shape, field, peak.cell);
                    let known = |(at, value): (usize, &f32)| if seen.inside[at / info.channels] { *value } else { 0.5 };
                    let pixels: Vec<f32> = seen.pixels.iter().enumerate().map(known).collect();
                    let [height, width] = seen.size;
                    put(&mut cut.sheets, window.sheet, &pixels, [height, width, info.channels], step(seen.size, PART))
                }
                None => whole,
            };
            let name = format!("{} {class}", number::show(f64::from(peak.activation)));
            found.entry((layer, neuron)).or_default().push((peak.activation, Shot { place, name, part }));
        }
    }
    for (neuron, mut shots) in found {
        // Equal ones stay in the order of pictures, as peaks are.
        shots.sort_by(|a, b| b.0.total_cmp(&a.0));
        cut.shots.insert(neuron, shots.into_iter().map(|(_, shot)| shot).collect());
    }
    Ok(cut)
}

fn class(info: &Info, label: usize) -> &str {
    info.classes.get(label).map_or("?", String::as_str)
}

fn empty() -> Sheet {
    Sheet { width: 0, height: 0, rgb: vec![] }
}

/// Every which pixel is taken so that the longer side has at most `most`.
fn step(size: [usize; 2], most: usize) -> usize {
    size[0].max(size[1]).div_ceil(most).max(1)
}

/// Puts a picture (H, W, C) of pixel values on a sheet.
fn put(
    sheets: &mut [Sheet],
    sheet: usize,
    picture: &[f32],
    [height, width, channels]: [usize; 3],
    step: usize,
) -> Place {
    let pixel = |row: usize, column: usize| {
        let at = (row * width + column) * channels;
        color_of(&picture[at..at + channels])
    };
    let pixels =
        (0..height).step_by(step).flat_map(|row| (0..width).step_by(step).map(move |column| pixel(row, column)));
    let own = &mut sheets[sheet];
    (own.width, own.height) = (width.div_ceil(step), height.div_ceil(step));
    let index = own.rgb.len() / (3 * own.width * own.height).max(1);
    own.rgb.extend(bytes(pixels));
    Place { sheet, index }
}

/// The cards of neurons.
///
/// # Errors
/// If a picture cannot be read.
pub(super) fn of(
    network: &Network,
    pictures: &Pictures,
    rows: &[Rows<'_>],
    command: &dyn Fn(usize) -> String,
) -> Result<Figure> {
    let info = pictures.data.info();
    let order = order(rows);
    let Cut { mut sheets, originals, mut shots } = cut(network, pictures, rows, &order, command)?;
    let first = sheets.len();
    sheets.resize(first + rows.len(), empty());
    let mut measures = vec!["class selectivity".to_owned()];
    let neuron = rows.iter().flat_map(|rows| &rows.neurons).next();
    measures.extend(neuron.into_iter().flat_map(|told| told.indexes.iter().map(|(name, _)| (*name).to_owned())));
    measures.extend(["answers to", "largest answer"].map(str::to_owned));
    let all: usize = rows.iter().map(|rows| rows.neurons.len()).sum();
    let seen = pictures.data.len(pictures.split);
    let bins: Vec<[usize; 2]> = rows.iter().map(bins).collect();
    let mut cards = Vec::with_capacity(order.len());
    for &(layer, neuron) in &order {
        let told = &rows[layer].neurons[neuron];
        let face = told.feature.map(|feature| {
            let [height, width] = feature.size;
            put(&mut sheets, first + layer, &feature.pixels, [height, width, info.channels], step(feature.size, FACE))
        });
        cards.push(Card {
            name: format!("{} · {}", rows[layer].name, told.channel),
            facets: facets(rows[layer].name, told, info),
            numbers: numbers(told, seen),
            face,
            shots: shots.remove(&(layer, neuron)).unwrap_or_default(),
            histogram: (!told.unit.is_dead()).then(|| histogram(told.unit, bins[layer])),
            tags: tags(told, info),
        });
    }
    let mut figure = Figure::Cards {
        title: "Neurons".into(),
        caption: caption(order.len(), all),
        facets: ["layer", "class", "dead"].map(str::to_owned).into(),
        measures,
        sheets,
        originals,
        cards,
    };
    without_empty_sheets(&mut figure);
    Ok(figure)
}

fn caption(shown: usize, all: usize) -> String {
    let some = if shown < all {
        format!("{shown} of {all} neurons, of every layer those that select classes most. ")
    } else {
        String::new()
    };
    format!(
        "{some}The large picture is the Neuron Feature; what lies outside of most pictures is gray. Beside it are the parts of pictures that the neuron sees \
         where it answers most, one from each picture, with the answer and the picture's class; choose one to see the whole picture. The histogram \
         counts pictures by the neuron's largest answer, those without any left out; answers grow to the right, twice as large every four bars. The class is the one \
         that the neuron answers to most, where chance makes such selectivity less than one time in twenty. Pictures are thinned and compressed; \
         data.safetensors beside this page has the features as they are."
    )
}

/// Layer, class, and whether it answers to nothing.
fn facets(layer: &str, told: &Told<'_>, info: &Info) -> Vec<String> {
    let first = told.selectivity.as_ref().filter(|s| s.p < CHANCE).and_then(|s| s.shares.first());
    let class = first.map_or("none", |(label, _)| class(info, *label));
    let dead = if told.unit.is_dead() { "yes" } else { "no" };
    [layer, class, dead].map(str::to_owned).into()
}

fn numbers(told: &Told<'_>, seen: usize) -> Vec<Option<Number>> {
    let plain = |value: f64, [low, high]: [f64; 2]| Number::new(value, "", Better::Neither).with_interval(low, high);
    let class = told.selectivity.as_ref().map(|s| Number { null: Some(s.null), ..plain(s.index, s.interval) });
    let index = |found: &Option<Selectivity>| found.map(|found| plain(found.index, found.interval));
    let share = Number::new(100.0 * told.unit.firing as f64 / seen.max(1) as f64, "%", Better::Neither);
    let largest = told.unit.peaks.first().map(|peak| Number::new(peak.activation.into(), "", Better::Neither));
    let mut numbers = vec![class];
    numbers.extend(told.indexes.iter().map(|(_, found)| index(found)));
    numbers.extend([Some(share), largest]);
    numbers
}

/// The classes that it codes for, unless chance makes them.
fn tags(told: &Told<'_>, info: &Info) -> Vec<String> {
    let found = told.selectivity.as_ref().filter(|s| s.p < CHANCE);
    let coded = found.into_iter().flat_map(|s| &s.shares).filter(|(_, share)| *share >= CODED);
    let classes = coded.map(|(label, share)| format!("{} {:.0} %", class(info, *label), 100.0 * share));
    classes.chain(told.unit.is_dead().then(|| "dead".to_owned())).collect()
}

/// First and last bin that some neuron of a layer has, but for that of no answer.
fn bins(rows: &Rows<'_>) -> [usize; 2] {
    let filled = |bin: &usize| rows.neurons.iter().any(|told| told.unit.histogram[*bin] > 0);
    let count = rows.neurons.first().map_or(1, |told| told.unit.histogram.len());
    let first = (1..count).find(filled).unwrap_or(1);
    [first, (1..count).rev().find(filled).unwrap_or(first)]
}

fn histogram(unit: &Unit, [first, last]: [usize; 2]) -> Histogram {
    let end = |bin: usize| {
        let value = bin_start(bin);
        let digit = 10f64.powf(value.log10().floor() - 1.0);
        number::show((value / digit).round() * digit)
    };
    Histogram {
        counts: unit.histogram.get(first..=last).unwrap_or_default().to_vec(),
        ends: [end(first), end(last + 1)],
        caption: "pictures by largest answer".into(),
    }
}

/// Layers may have no parts, or no features.
fn without_empty_sheets(figure: &mut Figure) {
    let Figure::Cards { sheets, originals, cards, .. } = figure else { return };
    let mut next = 0;
    let place = |sheet: &Sheet| {
        next += usize::from(!sheet.rgb.is_empty());
        next.saturating_sub(1)
    };
    let moved: Vec<usize> = sheets.iter().map(place).collect();
    sheets.retain(|sheet| !sheet.rgb.is_empty());
    let shots =
        cards.iter_mut().flat_map(|card| card.face.iter_mut().chain(card.shots.iter_mut().map(|shot| &mut shot.place)));
    shots
        .chain(originals.iter_mut().map(|original| &mut original.place))
        .for_each(|place| place.sheet = moved[place.sheet]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_thinned() {
        let side = 2 * PART + 1;
        let picture: Vec<f32> = (0..side * 2).map(|at| (at % side) as f32 / 255.0).collect();
        let mut sheets = vec![empty()];
        for index in 0..2 {
            let place = put(&mut sheets, 0, &picture, [2, side, 1], step([2, side], PART));
            assert_eq!(place, Place { sheet: 0, index });
        }
        assert_eq!((sheets[0].width, sheets[0].height), (PART * 2 / 3 + 1, 1));
        assert_eq!(sheets[0].rgb[..9], [0, 0, 0, 3, 3, 3, 6, 6, 6]);
    }
}
