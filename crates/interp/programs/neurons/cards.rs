//! A card for each neuron: its feature, what it answers to most, its indexes.

use interp_audit::Pictures;
use interp_audit::neurons::class::CODED;
use interp_audit::neurons::{Character, Feature, Selectivity, Unit, bin_start};
use interp_data::Info;
use interp_finding::{Better, Card, Figure, Histogram, Number, Sheet};
use interp_net::Network;

use super::cut::{Cut, class, cut, empty, put, rounded, step};
use super::page::{CHANCE, ranked};
use super::{Rows, Told, names};
use crate::Result;

/// Cards of a layer: of more neurons those that select classes most.
const CARDS: usize = 512;
/// Pixels of the longer side of a feature, of larger ones every second pixel, and so on.
const FACE: usize = 96;

/// The neurons that have cards, as positions of layers and neurons: of every layer the first, of every layer the second, and so on.
fn order(rows: &[Rows<'_>]) -> Vec<(usize, usize)> {
    let ranked: Vec<Vec<usize>> = rows.iter().map(|rows| ranked(rows).into_iter().take(CARDS).collect()).collect();
    let longest = ranked.iter().map(Vec::len).max().unwrap_or(0);
    let of_rank =
        |rank: usize| ranked.iter().enumerate().filter_map(move |(layer, all)| Some((layer, *all.get(rank)?)));
    (0..longest).flat_map(of_rank).collect()
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
    let all: usize = rows.iter().map(|rows| rows.neurons.len()).sum();
    let seen = pictures.data.len(pictures.split);
    let bins: Vec<[usize; 2]> = rows.iter().map(bins).collect();
    let known: Vec<[[usize; 2]; 2]> = rows.iter().map(|rows| known(rows, info.channels)).collect();
    let mut cards = Vec::with_capacity(order.len());
    for &(layer, neuron) in &order {
        let told = &rows[layer].neurons[neuron];
        let face = told.feature.map(|feature| {
            let (size, pixels) = inner(feature, info.channels, known[layer]);
            put(&mut sheets, first + layer, &pixels, [size[0], size[1], info.channels], step(size, FACE))
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
        measures: measures(rows),
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
         counts pictures by the neuron's largest answer, those without any left out; answers grow to the right, twice as large every four bars, and the first \
         bar has smaller ones too. The class is the one \
         that the neuron answers to most, where chance makes such selectivity less than one time in twenty. Beside other indexes, chance is the median of the layer \
         with random weights. Pictures are thinned and compressed; \
         data.safetensors beside this page has the features as they are."
    )
}

/// First and last row and column that are not gray in all features of a layer.
fn known(rows: &Rows<'_>, channels: usize) -> [[usize; 2]; 2] {
    let mut ends = [[usize::MAX, 0]; 2];
    for feature in rows.neurons.iter().filter_map(|told| told.feature) {
        let pixels = feature.pixels.chunks_exact(channels.max(1)).enumerate();
        for (at, _) in pixels.filter(|(_, pixel)| pixel.iter().any(|value| *value != 0.5)) {
            for (ends, place) in ends.iter_mut().zip([at / feature.size[1], at % feature.size[1]]) {
                *ends = [ends[0].min(place), ends[1].max(place)];
            }
        }
    }
    ends
}

/// What of a feature lies between these rows and columns.
fn inner(feature: &Feature, channels: usize, [rows, columns]: [[usize; 2]; 2]) -> ([usize; 2], Vec<f32>) {
    // Features that are gray everywhere.
    if rows[0] > rows[1] {
        return (feature.size, feature.pixels.clone());
    }
    let line = |row: usize| {
        let start = row * feature.size[1];
        &feature.pixels[(start + columns[0]) * channels..(start + columns[1] + 1) * channels]
    };
    let size = [rows, columns].map(|[first, last]| last + 1 - first);
    (size, (rows[0]..=rows[1]).flat_map(line).copied().collect())
}

/// Layer, class, and whether it answers to nothing.
fn facets(layer: &str, told: &Told<'_>, info: &Info) -> Vec<String> {
    let first = told.selectivity.as_ref().filter(|s| s.p < CHANCE).and_then(|s| s.shares.first());
    let class = first.map_or("none", |(label, _)| class(info, *label));
    let dead = if told.unit.is_dead() { "yes" } else { "no" };
    [layer, class, dead].map(str::to_owned).into()
}

/// What [`numbers`] are called.
fn measures(rows: &[Rows<'_>]) -> Vec<String> {
    let neuron = rows.iter().flat_map(|rows| &rows.neurons).next();
    let indexes = neuron.into_iter().flat_map(|told| told.indexes.iter().map(|(name, ..)| *name));
    let all = ["class selectivity"].into_iter().chain(indexes).chain(["answers to", "largest answer"]);
    all.map(str::to_owned).collect()
}

fn numbers(told: &Told<'_>, seen: usize) -> Vec<Option<Number>> {
    let plain = |value: f64, [low, high]: [f64; 2]| Number::new(value, "", Better::Neither).with_interval(low, high);
    let class = told.selectivity.as_ref().map(|s| Number { null: Some(s.null), ..plain(s.index, s.interval) });
    let index = |found: Option<Selectivity>, random: Option<f64>| {
        found.map(|found| Number { null: random, ..plain(found.index, found.interval) })
    };
    let share = Number::new(100.0 * told.unit.firing as f64 / seen.max(1) as f64, "%", Better::Neither);
    let largest = told.unit.peaks.first().map(|peak| Number::new(peak.activation.into(), "", Better::Neither));
    let mut numbers = vec![class];
    numbers.extend(told.indexes.iter().map(|(_, found, random)| index(*found, *random)));
    numbers.extend([Some(share), largest]);
    numbers
}

/// The classes that it codes for, unless chance makes them, and what else it can be called.
fn tags(told: &Told<'_>, info: &Info) -> Vec<String> {
    let found = told.selectivity.as_ref().filter(|s| s.p < CHANCE);
    let coded = found.into_iter().flat_map(|s| &s.shares).filter(|(_, share)| *share >= CODED);
    let classes = coded.map(|(label, share)| format!("{} {:.0} %", class(info, *label), 100.0 * share));
    let is_class = |character: &&Character| matches!(character, Character::Class { .. });
    let others: Vec<Character> = told.characters.iter().filter(|c| !is_class(c)).cloned().collect();
    classes.chain(names::of(&others, info)).collect()
}

/// Of a layer's answers, what lies below the first bin that is shown.
const BELOW: f64 = 0.01;

/// First and last bin that is shown of the neurons of a layer, but for that of no answer.
fn bins(rows: &Rows<'_>) -> [usize; 2] {
    let count = rows.neurons.first().map_or(1, |told| told.unit.histogram.len());
    let sum = |bin: usize| rows.neurons.iter().map(|told| u64::from(told.unit.histogram[bin])).sum::<u64>();
    let sums: Vec<u64> = (0..count).map(sum).collect();
    let all: u64 = sums.iter().skip(1).sum();
    let mut below = 0;
    let first = (1..count).find(|&bin| {
        below += sums[bin];
        below as f64 > BELOW * all as f64
    });
    let first = first.unwrap_or(1);
    [first, (first..count).rev().find(|&bin| sums[bin] > 0).unwrap_or(first)]
}

/// What lies below the first bin is counted there.
fn histogram(unit: &Unit, [first, last]: [usize; 2]) -> Histogram {
    let mut counts = unit.histogram.get(first..=last).unwrap_or_default().to_vec();
    if let Some(count) = counts.first_mut() {
        *count += unit.histogram[1..first].iter().sum::<u32>();
    }
    let ends = [rounded(bin_start(first)), rounded(bin_start(last + 1))];
    Histogram { counts, ends, caption: "pictures by largest answer".into() }
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

    fn unit(histogram: Vec<u32>) -> Unit {
        Unit { peaks: vec![], firing: 0, by_class: vec![], histogram }
    }

    fn told<'a>(unit: &'a Unit, feature: Option<&'a Feature>) -> Told<'a> {
        Told { channel: 0, unit, feature, selectivity: None, over_all: None, indexes: vec![], characters: vec![] }
    }

    // Of 201 answers, that of bin 1 is less than a hundredth, and those of bins 1 and 3 are more: bins 3 to 5.
    #[test]
    fn histograms_of_a_layer_have_bins_in_common_and_lose_nothing() {
        let units = [unit(vec![50, 1, 0, 9, 0, 0, 0]), unit(vec![0, 0, 0, 91, 0, 100, 0])];
        let rows = Rows { name: "a", neurons: units.iter().map(|unit| told(unit, None)).collect() };
        assert_eq!(bins(&rows), [3, 5]);
        assert_eq!(histogram(&units[0], [3, 5]).counts, [10, 0, 0]);
    }

    // Two features of two by three: the second row is gray in both, and the first column.
    #[test]
    fn what_is_gray_in_all_features_is_cut_off() {
        let feature = |pixels: [f32; 6]| Feature { size: [2, 3], every: 1, pixels: pixels.into() };
        let features = [feature([0.5, 0.5, 1.0, 0.5, 0.5, 0.5]), feature([0.5, 0.2, 0.5, 0.5, 0.5, 0.5])];
        let unit = unit(vec![]);
        let neurons = features.iter().map(|feature| told(&unit, Some(feature))).collect();
        let ends = known(&Rows { name: "a", neurons }, 1);
        assert_eq!(ends, [[0, 0], [1, 2]]);
        assert_eq!(inner(&features[0], 1, ends), ([1, 2], vec![0.5, 1.0]));
        let none = known(&Rows { name: "a", neurons: vec![] }, 1);
        assert_eq!(inner(&features[0], 1, none).0, [2, 3]);
    }
}
