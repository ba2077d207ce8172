//! The page of a traversal: codes by what they tell, and a sheet for each picture.

use interp_finding::{Figure, Finding, Named};
use interp_report::Page;

use super::super::tiles::{Tile, mosaic};
use super::{Found, Opened, Sheet};

/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 64;

/// Heads, and a row for each code.
pub(super) fn codes(found: &Found) -> (Vec<String>, Vec<Vec<String>>) {
    let mut head = vec!["code", "divergence, nats", "variance of its mean"];
    head.extend(found.tells.is_some().then_some(["tells most of", "share", "then of", "share"]).into_iter().flatten());
    let row = |&code: &usize| {
        let lie = &found.codes.lies[code];
        let name = if lie.is_dead() { format!("{code} (dead)") } else { code.to_string() };
        let told = found.told(code).into_iter().take(2);
        let told = told.flat_map(|(name, share)| [name.to_owned(), percent(share)]);
        [name, format!("{:.2}", lie.divergence), format!("{:.3}", lie.variance)].into_iter().chain(told).collect()
    };
    (head.into_iter().map(str::to_owned).collect(), found.order.iter().map(row).collect())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

pub(super) fn of(opened: &Opened, found: &Found, values: usize) -> Page {
    let (columns, rows) = codes(found);
    let table = Figure::Table {
        title: "Codes".into(),
        caption: "Divergence: what a code can tell of pictures at most, in nats: the mean over pictures of its Kullback-Leibler divergence from the standard normal \
                  distribution. Dead: the variance of its mean over pictures is below 0.01; what little is left of it may still tell something. Share: mutual information of its mean and a factor, as a share of the factor's \
                  entropy, counted in 20 bins, less what codes of other pictures tell of it; the second factor beside the first says whether it keeps to one."
            .into(),
        columns,
        rows,
    };
    let mut findings = vec![Finding {
        name: "codes".into(),
        title: "What codes tell".into(),
        statement: statement(found),
        numbers: vec![],
        figures: vec![table, pairs(opened, found)],
    }];
    findings.extend(found.sheets.iter().map(|sheet| moved(opened, found, sheet, values)));
    Page {
        title: "What codes change".into(),
        lead: "A picture is told by few numbers, its code, of which the network makes the picture again. One number is moved over what nine of ten pictures lie between, the others \
               are held: what changes is what it stands for."
            .into(),
        warnings: vec![],
        facts: vec![("Network".into(), opened.path.display().to_string()), ("Data".into(), opened.info.name.clone())],
        claims: vec![],
        findings,
        source: None,
    }
}

fn statement(found: &Found) -> String {
    let dead = found.codes.lies.iter().filter(|lie| lie.is_dead()).count();
    let alive =
        format!("{} of {} codes vary from picture to picture.", found.codes.lies.len() - dead, found.codes.lies.len());
    let firsts = found.order.iter().filter_map(|&code| {
        let told = found.told(code);
        told.first().map(|(name, share)| (code, (*name).to_owned(), *share))
    });
    let best = firsts.max_by(|a, b| a.2.total_cmp(&b.2));
    match best {
        Some((code, name, share)) => {
            format!("{alive} Most is told of {name}, {} of it by code {code}.", percent(share))
        }
        None => alive,
    }
}

/// Pictures, and what is made of their codes.
fn pairs(opened: &Opened, found: &Found) -> Figure {
    let size = size(opened);
    let both = |sheet: &Sheet| {
        let tiles = [&sheet.seen, &sheet.made].map(|pixels| Tile { pixels, share: 1.0 });
        let (width, height, rgb) = mosaic(&tiles, 2, size, SIDE);
        Named { name: format!("picture {}", sheet.index), width, height, rgb }
    };
    Figure::Pictures {
        title: "Pictures made again".into(),
        caption: "On the left a picture, on the right what is made of its code.".into(),
        pictures: found.sheets.iter().map(both).collect(),
        zoom: zoom(opened),
    }
}

/// A row for each code, in which it is moved.
fn moved(opened: &Opened, found: &Found, sheet: &Sheet, values: usize) -> Finding {
    let row = |&code: &usize| {
        let tiles: Vec<Tile<'_>> = sheet.moved[code].iter().map(|pixels| Tile { pixels, share: 1.0 }).collect();
        let (width, height, rgb) = mosaic(&tiles, values, size(opened), SIDE);
        let dead = if found.codes.lies[code].is_dead() { " (dead)" } else { "" };
        let told: Vec<String> =
            found.told(code).into_iter().take(2).map(|(name, share)| format!("{name} {}", percent(share))).collect();
        let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
        Named { name: format!("code {code}{dead}{told}"), width, height, rgb }
    };
    let (name, title) = (format!("picture {}", sheet.index), format!("Picture {}", sheet.index));
    let figure = Figure::Pictures {
        title: format!("Codes of picture {} moved one by one", sheet.index),
        caption: "By row a code, those first that can tell most; from the left, where 5 % of pictures have less, to the right, where 5 % have more. Behind its name what it tells \
                  most of, where factors are known, as a share of the factor's entropy."
            .into(),
        pictures: found.order.iter().map(row).collect(),
        zoom: zoom(opened),
    };
    Finding { name, title, statement: String::new(), numbers: vec![], figures: vec![figure] }
}

fn size(opened: &Opened) -> [usize; 3] {
    [opened.info.height, opened.info.width, opened.info.channels]
}

fn zoom(opened: &Opened) -> usize {
    (SIDE / opened.info.height.max(1)).max(1)
}
