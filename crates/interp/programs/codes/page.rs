//! The page of what codes control.

use interp_finding::{Better, Figure, Finding, Number};
use interp_net::zoo::Latent;
use interp_report::Page;

use super::{Codes, Control, LEAST, Measured, TIMES};
use crate::Result;
use crate::generate::traversal::sheet;

/// Heads, and a row for each code of the network, then of the twin.
pub(super) fn table(latent: &Latent, own: &Measured, twin: Option<&Measured>) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["", "code", "controls", "first", "", "second", "", "chance"].map(str::to_owned);
    let rows = |of: &str, measured: &Measured| -> Vec<Vec<String>> {
        latent.names().into_iter().enumerate().map(|(code, name)| row(of, name, code, measured)).collect()
    };
    let mut all = rows("network", own);
    all.extend(twin.iter().flat_map(|twin| rows("twin", twin)));
    (head.into(), all)
}

fn row(of: &str, name: String, code: usize, measured: &Measured) -> Vec<String> {
    let none = || "–".to_owned();
    let control = measured.control(code);
    let factor = |at: usize| measured.factors[at].name.clone();
    let told =
        |found: Option<(usize, f64)>| found.map_or([none(), none()], |(at, share)| [factor(at), format!("{share:.3}")]);
    let chance = measured.shares(&measured.chance, code).into_iter().fold(0.0, f64::max);
    let controls =
        control.as_ref().filter(|control| control.is_clear()).map_or_else(none, |control| factor(control.first.0));
    let [first, first_share] = told(control.as_ref().map(|control| control.first));
    let [second, second_share] = told(control.and_then(|control| control.second));
    vec![of.to_owned(), name, controls, first, first_share, second, second_share, format!("{chance:.3}")]
}

/// How many codes control one factor.
fn clear(latent: &Latent, measured: &Measured) -> usize {
    let controls = (0..latent.names().len()).filter_map(|code| measured.control(code));
    controls.filter(Control::is_clear).count()
}

fn statement(latent: &Latent, own: &Measured, twin: Option<&Measured>) -> String {
    let codes = latent.names().len();
    let beside = twin
        .map_or(String::new(), |twin| format!("; of the twin's, trained without information, {}", clear(latent, twin)));
    format!(
        "Of {codes} codes {} control one factor: they tell at least {LEAST} of its entropy and {TIMES} times as much of it as of any other{beside}.",
        clear(latent, own)
    )
}

pub(super) fn of(asked: &Codes, latent: &Latent, own: &Measured, twin: Option<&Measured>) -> Result<Page> {
    let (columns, rows) = table(latent, own, twin);
    let caption = "Controls: the factor, where it is one. First and second: the factors that the code tells most of, and the share of the factor's \
                   entropy that it tells (mutual information by the entropy, quantities in 10 bins of as many pictures, codes in 20). Chance: the largest share of \
                   any factor that the code tells of other codes' pictures.";
    let table = Figure::Table { title: "Codes".into(), caption: caption.into(), columns, rows };
    let figures = vec![table, heat(latent, own, twin)];
    let count = Number::new(clear(latent, own) as f64, "", Better::Higher);
    let mut findings = vec![Finding {
        name: "codes".into(),
        title: "What codes control".into(),
        statement: statement(latent, own, twin),
        numbers: vec![("codes that control one factor".into(), count)],
        figures,
    }];
    for (code, name) in latent.names().into_iter().enumerate() {
        findings.push(traversal(asked, latent, own, code, name)?);
    }
    let fact = |key: &str, value: String| (key.to_owned(), value);
    let mut facts = vec![fact("Run", asked.run.display().to_string()), fact("Pictures", asked.count.to_string())];
    if let (Some(reader), Some(sure)) = (&asked.reader, own.sure) {
        facts.push(fact("Reader", reader.display().to_string()));
        facts.push(fact(
            "Sure of the class",
            format!("of {:.1} % of the pictures, with nine parts in ten or more", 100.0 * sure),
        ));
    }
    Ok(Page {
        title: "What codes control".into(),
        lead: "Pictures are made of codes that are drawn, and factors are measured of the pictures: a code has a name where it controls one factor.".into(),
        warnings: vec![],
        facts,
        claims: vec![],
        findings,
        source: None,
    })
}

/// In one figure, so that the same is as dark in both.
fn heat(latent: &Latent, own: &Measured, twin: Option<&Measured>) -> Figure {
    // What the twin makes may know of other factors, in another order.
    let of = |measured: &Measured| -> Vec<Vec<Option<f64>>> {
        let place = |name: &str| measured.factors.iter().position(|factor| factor.name == name);
        let shares = |code: usize| {
            let shares = measured.shares(&measured.found, code);
            own.factors.iter().map(|factor| shares.get(place(&factor.name)?).copied()).collect()
        };
        (0..latent.names().len()).map(shares).collect()
    };
    let named = |_: &Measured| latent.names().into_iter().map(|name| format!("twin: {name}"));
    Figure::Heat {
        title: "What codes tell of factors".into(),
        caption: "The share of each factor's entropy that a code tells.".into(),
        rows: latent.names().into_iter().chain(twin.into_iter().flat_map(named)).collect(),
        columns: own.factors.iter().map(|factor| factor.name.clone()).collect(),
        values: of(own).into_iter().chain(twin.into_iter().flat_map(of)).collect(),
    }
}

fn traversal(asked: &Codes, latent: &Latent, own: &Measured, code: usize, name: String) -> Result<Finding> {
    let control = own.control(code);
    let factor = |at: usize| own.factors[at].name.as_str();
    let (title, statement) = match &control {
        Some(control) if control.is_clear() => {
            let (at, share) = control.first;
            (
                format!("{name}: {}", factor(at)),
                format!("It controls {}: it tells {share:.2} of its entropy.", factor(at)),
            )
        }
        Some(Control { first: (at, share), .. }) => (
            name.clone(),
            format!("It controls no factor alone; most it tells of {}, {share:.2} of its entropy.", factor(*at)),
        ),
        None => (name.clone(), String::new()),
    };
    let figure = sheet(&own.network, latent, code, name.clone(), asked.seed.into())?;
    Ok(Finding { name: name.replace(' ', "-"), title, statement, numbers: vec![], figures: vec![figure] })
}
