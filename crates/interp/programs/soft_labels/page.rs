//! The page of soft labels: how alike classes are, and the pictures whose labels may be wrong.

use interp_audit::soft_labels::{Pair, Suspect};
use interp_data::Info;
use interp_finding::{Figure, Finding, Joint, Named};
use interp_report::Page;

use super::super::on_pictures::Opened;
use super::super::tiles::named;
use super::{Found, Settings, contradicted};
use crate::Result;

/// Classes beyond which a table of all with all is not read any more.
const READABLE: usize = 40;
/// The same of a tree.
const BRANCHES: usize = 120;
/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 96;
/// Latent pairs that are named in a sentence.
const NAMED: usize = 3;

fn class(info: &Info, class: usize) -> String {
    info.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn both(info: &Info, pair: &Pair) -> String {
    format!("{} and {}", class(info, pair.classes[0]), class(info, pair.classes[1]))
}

/// A row for each of the first pairs.
pub(super) fn pairs(info: &Info, found: &Found, count: usize) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["classes", "alike", "95 % interval", "in errors", "errors", "latent"].map(str::to_owned);
    let interval = |[low, high]: [f64; 2]| format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high);
    let row = |pair: &Pair| {
        vec![
            both(info, pair),
            percent(pair.alike),
            pair.interval.map_or("–".into(), interval),
            pair.mistaken.map_or("–".into(), percent),
            pair.errors.to_string(),
            if pair.latent { "yes" } else { "" }.to_owned(),
        ]
    };
    (head.into(), found.likeness.pairs.iter().take(count).map(row).collect())
}

pub(super) fn of(opened: &Opened, found: &Found, settings: &Settings) -> Result<Page> {
    let mut facts = vec![
        ("Network".to_owned(), opened.path.display().to_string()),
        ("Pictures".into(), found.suspects.len().to_string()),
        ("Temperature".into(), settings.temperature.to_string()),
    ];
    facts.extend(found.student.as_ref().map(|path| ("Second network".to_owned(), path.display().to_string())));
    Ok(Page {
        title: format!("Soft labels on {}", opened.info.name),
        lead: "What a network gives to the classes that a picture is not of tells which classes it holds for alike, whether it mistakes them or not; \
               and where it gives the label less than another class, the label may be wrong."
            .into(),
        warnings: vec![],
        facts,
        claims: vec![],
        findings: vec![alike(&opened.info, found, settings.count.into()), labels(opened, found, settings.count.into())?],
        source: None,
    })
}

/// Which classes are alike.
fn alike(info: &Info, found: &Found, count: usize) -> Finding {
    let (columns, rows) = pairs(info, found, count);
    let table = Figure::Table {
        title: "Pairs".into(),
        caption: format!(
            "Alike: of what the network gives to classes other than the label, the share of the other of the pair, at the temperature above; {} if all \
             classes were alike. The interval is over pictures. In errors: of the pictures of either that are mistaken, the share taken for the other of the pair. \
             Latent: alike in what the network holds possible, and rare in its errors, beyond what chance makes of few pictures: what more or harder pictures may \
             bring out.",
            percent(found.likeness.even())
        ),
        columns,
        rows,
    };
    let figures = tree(info, found).into_iter().chain(matrix(info, found)).chain([table]).collect();
    Finding {
        name: "classes".into(),
        title: "Classes".into(),
        statement: first_pair(info, found),
        numbers: vec![],
        figures,
    }
}

fn first_pair(info: &Info, found: &Found) -> String {
    let Some(first) = found.likeness.pairs.first() else {
        return "There are pictures of one class alone: no classes can be compared.".into();
    };
    if found.likeness.even() >= 1.0 {
        return "Of two classes each is all that the other can be taken for: how alike they are cannot be told.".into();
    }
    let interval = first.interval.map(|[low, high]| format!("{:.1} to {:.1} %; ", 100.0 * low, 100.0 * high));
    let mut said = format!(
        "Most alike are {}: {} of what the network gives to other classes than the label goes from one to the other ({}{} if all were alike).",
        both(info, first),
        percent(first.alike),
        interval.unwrap_or_default(),
        percent(found.likeness.even())
    );
    let latent: Vec<String> =
        found.likeness.pairs.iter().filter(|pair| pair.latent).map(|pair| both(info, pair)).collect();
    if !latent.is_empty() {
        let more = if latent.len() > NAMED { format!("; and {} more", latent.len() - NAMED) } else { String::new() };
        let names = latent[..latent.len().min(NAMED)].join("; ");
        said += &format!(" Alike, and mistaken for each other rarely: {names}{more}.");
    }
    said
}

fn tree(info: &Info, found: &Found) -> Option<Figure> {
    let (leaves, joins) = &found.tree;
    (3..=BRANCHES).contains(&leaves.len()).then(|| Figure::Tree {
        title: "Which classes go together".into(),
        caption: "Classes and groups of them are joined in order of how alike they are, on average over their pairs of classes: the further left the \
                  joint, the more alike."
            .into(),
        leaves: leaves.iter().map(|&leaf| class(info, leaf)).collect(),
        joins: joins.iter().map(|join| Joint { parts: join.parts, alike: join.alike }).collect(),
    })
}

fn matrix(info: &Info, found: &Found) -> Option<Figure> {
    let leaves = &found.tree.0;
    let names: Vec<String> = leaves.iter().map(|&leaf| class(info, leaf)).collect();
    let value = |row: usize, column: usize| (row != column).then(|| found.likeness.shares[row][column]);
    let values = leaves.iter().map(|&row| leaves.iter().map(|&column| value(row, column)).collect()).collect();
    (3..=READABLE).contains(&leaves.len()).then(|| Figure::Heat {
        title: "What is held possible".into(),
        caption: "Row by row, for pictures of a class: how what the network gives to other classes is shared among them. Rows add up to 1, where all classes have \
                  pictures; a point is less than 0.005."
            .into(),
        rows: names.clone(),
        columns: names,
        values,
    })
}

/// Which labels may be wrong.
fn labels(opened: &Opened, found: &Found, count: usize) -> Result<Finding> {
    let all = found.suspects.len();
    let wrong = contradicted(&found.suspects);
    let who = if found.student.is_some() { "On average the two networks hold" } else { "The network holds" };
    let statement = format!(
        "{who} {wrong} of {all} pictures ({}) for another class than their label. Each is an error of the network or of the label: look at them.",
        percent(wrong as f64 / all.max(1) as f64)
    );
    let shown: Vec<&Suspect> = found.suspects.iter().take(count).filter(|suspect| suspect.suspicion() > 0.0).collect();
    let pictures = shown.iter().map(|suspect| picture(opened, suspect)).collect::<Result<Vec<_>>>()?;
    let figure = Figure::Pictures {
        title: "Labels that are contradicted most".into(),
        caption: "Below each picture its file or else its position in the split, its label, and what it is held for with the probabilities of both; first where the second is above the first by most. A network that has learned the \
                  labels by heart contradicts none of them."
            .into(),
        pictures,
        zoom: (SIDE / opened.info.height.max(1)).max(1),
    };
    let figures = if shown.is_empty() { vec![] } else { vec![figure] };
    Ok(Finding { name: "labels".into(), title: "Labels".into(), statement, numbers: vec![], figures })
}

fn picture(opened: &Opened, suspect: &Suspect) -> Result<Named> {
    let (info, pictures) = (&opened.info, &opened.pictures);
    let mut pixels = vec![0.0; info.pixels()];
    pictures.data.image(pictures.split, suspect.index, &mut pixels)?;
    let Suspect { index, label, class: other, of_label, of_class, .. } = suspect;
    let file = pictures.data.file(pictures.split, *index).map(|file| file.display().to_string());
    let name = format!(
        "{}: labelled {} ({:.0} %), held for {} ({:.0} %)",
        file.unwrap_or_else(|| index.to_string()),
        class(info, *label),
        100.0 * of_label,
        class(info, *other),
        100.0 * of_class
    );
    Ok(named(name, &pixels, [info.height, info.width, info.channels]))
}
