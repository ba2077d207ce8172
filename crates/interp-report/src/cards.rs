//! Cards: a static list of the first, and all of them as data for the script that filters and sorts.
//!
//! Pictures lie on sheets, each there once, and are shown as parts of these, so that nothing is there twice.

use crate::page::Ids;
use crate::sheet::{Laid, area};
use crate::{ReportError, download, number};
use base64::{Engine, prelude::BASE64_STANDARD};
use interp_finding::{Card, Histogram, Number, Original, Place, Sheet, Shot};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What runs on pages with cards.
pub(crate) const SCRIPT: &str = include_str!("../templates/cards.js");
/// The look of cards.
pub(crate) const CSS: &str = include_str!("../templates/cards.css");

/// Cards that are shown where no script runs.
const FIRST: usize = 12;
/// Height of a histogram's drawing.
pub(crate) const HEIGHT: u32 = 100;
/// What the controls that every figure has are called in addresses.
const CONTROLS: [&str; 7] = ["find", "sort", "order", "where", "from", "to", "view"];

/// The parts of a `Figure::Cards` that are drawn.
pub(crate) struct Deck<'a> {
    pub(crate) facets: &'a [String],
    pub(crate) measures: &'a [String],
    pub(crate) sheets: &'a [Sheet],
    pub(crate) originals: &'a [Original],
    pub(crate) cards: &'a [Card],
}

/// Cards, ready to be shown.
pub(crate) struct Cards<'a> {
    pub(crate) sheets: Vec<(String, Laid)>,
    pub(crate) shown: Vec<Shown<'a>>,
    pub(crate) count: usize,
    /// All of them, as JSON that can stand in a page.
    pub(crate) data: String,
}

/// A card as it is shown.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    pub(crate) tags: &'a [String],
    pub(crate) face: Option<View>,
    pub(crate) shots: Vec<(View, &'a str)>,
    pub(crate) histogram: Option<(String, usize, &'a Histogram)>,
    pub(crate) numbers: Vec<(&'a str, [String; 2])>,
}

/// A part of a sheet: the sheet's id, and left, top, width and height.
pub(crate) struct View {
    pub(crate) sheet: String,
    pub(crate) area: [usize; 4],
}

/// The script's digest, by which a page allows this script and no other.
pub(crate) fn digest() -> String {
    BASE64_STANDARD.encode(Sha256::digest(SCRIPT))
}

impl<'a> Cards<'a> {
    /// `id` is that of the figure.
    ///
    /// # Errors
    /// [`ReportError::Picture`] of a sheet whose bytes do not fit, [`ReportError::Card`] of a card that has other facets or numbers than the
    /// figure, or shows a picture that there is not.
    pub(crate) fn new(id: &str, deck: &Deck<'a>) -> Result<Self, ReportError> {
        let laid = deck.sheets.iter().map(Laid::new).collect::<Result<Vec<_>, _>>()?;
        check(deck, &laid)?;
        // No slug has a point: these ids are nobody else's.
        let ids: Vec<String> = (0..laid.len()).map(|at| format!("{id}.{at}")).collect();
        let shown = deck.cards.iter().take(FIRST).map(|card| shown(card, deck.measures, &laid, &ids)).collect();
        let data = data(deck, &laid, &ids);
        Ok(Self { sheets: ids.into_iter().zip(laid).collect(), shown, count: deck.cards.len(), data })
    }
}

/// Every number with its interval and null, and every word, as CSV.
///
/// # Errors
/// [`ReportError::Csv`].
pub(crate) fn csv(deck: &Deck<'_>) -> Result<Vec<u8>, ReportError> {
    let columns =
        deck.measures.iter().flat_map(|name| ["", " low", " high", " null"].map(|end| format!("{name}{end}")));
    let head = std::iter::once("name".to_owned()).chain(deck.facets.iter().cloned()).chain(columns);
    let of = |number: &Option<Number>| {
        let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let interval = number.as_ref().and_then(|n| n.interval);
        let [value, null] = [number.as_ref().map(|n| n.value), number.as_ref().and_then(|n| n.null)];
        [text(value), text(interval.map(|i| i[0])), text(interval.map(|i| i[1])), text(null)]
    };
    let row = |card: &Card| -> Vec<String> {
        let words = std::iter::once(card.name.clone()).chain(card.facets.iter().cloned());
        words.chain(card.numbers.iter().flat_map(of)).chain([card.tags.join("; ")]).collect()
    };
    let head: Vec<String> = head.chain(["tags".to_owned()]).collect();
    download::csv(std::iter::once(head).chain(deck.cards.iter().map(row)))
}

/// Refuses what does not fit together.
fn check(deck: &Deck<'_>, laid: &[Laid]) -> Result<(), ReportError> {
    let is_there = |place: Place| area(laid, place).is_some();
    let original = |shot: &Shot| shot.part.is_none_or(|part| part.original < deck.originals.len());
    let problem = |card: &Card| match () {
        () if card.facets.len() != deck.facets.len() => {
            Some(format!("has {} facets, and the figure {}", card.facets.len(), deck.facets.len()))
        }
        () if card.numbers.len() != deck.measures.len() => {
            Some(format!("has {} numbers, and the figure {} measures", card.numbers.len(), deck.measures.len()))
        }
        () if !card.face.into_iter().chain(card.shots.iter().map(|shot| shot.place)).all(is_there) => {
            Some("shows a picture that is on no sheet".into())
        }
        () if !card.shots.iter().all(original) => Some("shows a part of an original that there is not".into()),
        () => None,
    };
    let wrong = |card: &Card| Some(ReportError::Card { card: card.name.clone(), problem: problem(card)? });
    let lost = |original: &Original| {
        let problem = "is an original that is on no sheet".into();
        (!is_there(original.place)).then(|| ReportError::Card { card: original.name.clone(), problem })
    };
    deck.cards.iter().find_map(wrong).or_else(|| deck.originals.iter().find_map(lost)).map_or(Ok(()), Err)
}

fn shown<'a>(card: &'a Card, measures: &'a [String], laid: &[Laid], ids: &[String]) -> Shown<'a> {
    let view = |place: Place| Some(View { sheet: ids.get(place.sheet)?.clone(), area: area(laid, place)? });
    let number = |(name, number): (&'a String, &Option<Number>)| Some((name.as_str(), told(number.as_ref()?)));
    Shown {
        name: &card.name,
        tags: &card.tags,
        face: card.face.and_then(view),
        shots: card.shots.iter().filter_map(|shot| Some((view(shot.place)?, shot.name.as_str()))).collect(),
        histogram: card
            .histogram
            .as_ref()
            .map(|histogram| (bars(&histogram.counts), histogram.counts.len(), histogram)),
        numbers: measures.iter().zip(&card.numbers).filter_map(number).collect(),
    }
}

/// The value, and what it is to be held against, with three digits.
fn told(number: &Number) -> [String; 2] {
    let interval = number.interval.map(|[low, high]| format!("{} to {}", short(low), short(high)));
    let null = number.null.map(|null| format!("chance {}", short(null)));
    let unit = if number.unit.is_empty() { String::new() } else { format!("\u{a0}{}", number.unit) };
    [short(number.value) + &unit, interval.into_iter().chain(null).collect::<Vec<_>>().join(", ")]
}

/// A number with three significant digits.
fn short(value: f64) -> String {
    number::show(format!("{value:.2e}").parse().unwrap_or(value))
}

/// Bars as the outline of a drawing, one wide each, the largest [`HEIGHT`] high.
fn bars(counts: &[u32]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let top = |count: u32| HEIGHT - (u64::from(HEIGHT) * u64::from(count)).div_ceil(u64::from(most)) as u32;
    let bars: String = counts.iter().map(|&count| format!("V{}h1", top(count))).collect();
    format!("M0 {HEIGHT}{bars}V{HEIGHT}z")
}

/// All that the script needs.
fn data(deck: &Deck<'_>, laid: &[Laid], ids: &[String]) -> String {
    let mut taken = Ids::from(CONTROLS);
    let facets: Vec<Value> =
        deck.facets.iter().map(|name| json!({ "name": name, "key": taken.unique(name) })).collect();
    let mut keys = Ids::from([]);
    let measures: Vec<Value> =
        deck.measures.iter().map(|name| json!({ "name": name, "key": keys.unique(name) })).collect();
    let view = |place: Place| area(laid, place).map(|[left, top, ..]| json!([place.sheet, left, top]));
    let sheet = |(id, laid): (&String, &Laid)| json!({ "id": id, "size": laid.size });
    let original = |original: &Original| json!({ "view": view(original.place), "name": original.name, "command": original.command });
    let data = json!({
        "facets": facets,
        "measures": measures,
        "height": HEIGHT,
        "sheets": ids.iter().zip(laid).map(sheet).collect::<Vec<_>>(),
        "originals": deck.originals.iter().map(original).collect::<Vec<_>>(),
        "cards": deck.cards.iter().map(|card| self::card(card, &view)).collect::<Vec<_>>(),
    });
    // Within a script element, this alone could end it.
    data.to_string().replace('<', "\\u003c")
}

fn card(card: &Card, view: &dyn Fn(Place) -> Option<Value>) -> Value {
    let shot = |shot: &Shot| match shot.part {
        Some(part) => json!([view(shot.place), shot.name, part.original, part.area]),
        None => json!([view(shot.place), shot.name]),
    };
    let histogram = card.histogram.as_ref().map(|Histogram { counts, ends, caption }| {
        json!({ "path": bars(counts), "bins": counts.len(), "ends": ends, "caption": caption })
    });
    json!({
        "name": card.name,
        "facets": card.facets,
        "values": card.numbers.iter().map(|number| number.as_ref().map(|n| n.value)).collect::<Vec<_>>(),
        "told": card.numbers.iter().map(|number| number.as_ref().map(told)).collect::<Vec<_>>(),
        "face": card.face.and_then(view),
        "shots": card.shots.iter().map(shot).collect::<Vec<_>>(),
        "histogram": histogram,
        "tags": card.tags,
    })
}

#[cfg(test)]
mod tests;
