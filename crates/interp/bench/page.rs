//! Rows of a bench as a page, and as CSV.

use interp_finding::{Better, Figure, Finding, Number, Series};
use interp_report::{Page, number};

use super::measures::{Measure, TERMS};
use super::{Row, Spread};
use crate::recipe::Lacks;
use crate::{Error, Result};

/// All rows on a page: what being interpretable costs, how large explanations are, and every quantity of each recipe.
pub fn page(rows: &[Row]) -> Page {
    let mut findings = vec![costs(rows)];
    findings.extend(pareto(rows));
    findings.extend(rows.iter().map(details));
    Page {
        title: "What being interpretable costs".into(),
        lead: "Networks that are interpretable by construction, each beside its twin: the same data, budget, augmentation and optimizer, without what makes it \
               interpretable, or where it says so without teachers alone. Both were chosen on validation, and are measured on test."
            .into(),
        warnings: rows.iter().filter(|row| !row.all_hold()).map(failed).collect(),
        facts: vec![("Program".into(), format!("interp-bench {}", env!("CARGO_PKG_VERSION")))],
        claims: vec![],
        findings,
        source: None,
    }
}

fn failed(row: &Row) -> String {
    format!(
        "{} kept its claims in {} of {} runs: its numbers are of a network that is not what it claims to be, and are left out.",
        row.plain_name(),
        row.holds,
        row.seeds
    )
}

/// A value with its deviation over seeds.
fn shown(spread: &Spread) -> String {
    let deviation = spread.deviation.map(|deviation| format!(" ± {}", number::show(deviation)));
    format!("{}{}", number::show(spread.mean), deviation.unwrap_or_default())
}

fn costs(rows: &[Row]) -> Finding {
    let cells = |row: &Row| {
        let lacks = if row.lacks == Lacks::Teachers { " (without teachers)" } else { "" };
        // Of nothing there is no negative.
        let points = |tax: f64| format!("{:.2}", 0.0 - tax);
        let unit = if row.unit == "%" { "points" } else { row.unit };
        let tax = row.tax.map_or("–".to_owned(), |tax| format!("{} {unit}", points(tax.mean)));
        let interval =
            row.tax_interval.map_or("–".to_owned(), |[low, high]| format!("{} to {}", points(high), points(low)));
        let p = row.mcnemar.iter().map(|found| number::show(found.p)).collect::<Vec<_>>().join(", ");
        let mut cells = vec![
            row.plain_name(),
            row.data.clone(),
            format!("{} of {}", row.holds, row.seeds),
            format!("{} {}", row.score.show(2), row.unit),
            row.twin.map_or("–".to_owned(), |twin| format!("{} {}{lacks}", twin.show(2), row.unit)),
            tax,
            interval,
            if p.is_empty() { "–".into() } else { p },
        ];
        if !row.all_hold() {
            cells[3..].iter_mut().for_each(|cell| *cell = "claim failed".into());
        }
        cells
    };
    let columns = ["recipe", "data", "claims held", "network", "twin", "difference", "95 % interval", "McNemar's p"];
    let table = Figure::Table {
        title: "Network and twin".into(),
        caption: "Means over seeds, ± the deviation of one run. Difference: the network's minus its twin's, with the 95 % interval of its mean by Student's t over the \
                  seeds. McNemar's p, for each seed: how likely so uneven a split of the pictures that one of the two alone is right on is, if neither were better."
            .into(),
        columns: columns.map(str::to_owned).into(),
        rows: rows.iter().map(cells).collect(),
    };
    let held = rows.iter().filter(|row| row.all_hold()).count();
    let statement = format!("{held} of {} recipes kept every claim with every seed.", rows.len());
    Finding { name: "costs".into(), title: "Network and twin".into(), statement, numbers: vec![], figures: vec![table] }
}

/// Accuracy over the size of an explanation, a point for each recipe that has both.
fn pareto(rows: &[Row]) -> Option<Finding> {
    let point = |row: &Row| {
        let terms = row.measures.iter().find(|measure| measure.name == TERMS)?;
        let is_kept = row.all_hold() && row.unit == "%" && terms.own.mean > 0.0;
        let name = format!("{} ({})", row.plain_name(), terms.unit);
        is_kept.then(|| Series { name, points: vec![[terms.own.mean.log10(), row.score.mean]] })
    };
    let series: Vec<Series> = rows.iter().filter_map(point).collect();
    (!series.is_empty()).then(|| Finding {
        name: "pareto".into(),
        title: "Accuracy and the size of an explanation".into(),
        statement: "Among networks whose terms are of one kind, those higher and further left are right more often, by fewer terms.".into(),
        numbers: vec![],
        figures: vec![Figure::Curves {
            title: "Accuracy over terms of a decision".into(),
            caption: "Terms: how many things other than zero the last node adds up for the class that is told, on average. Kinds are not comparable: a product is two \
                      numbers, a cell sees a part of the picture, a module is a network itself. It says nothing of how well terms are understood."
                .into(),
            x: "terms of a decision, logarithm to the base 10".into(),
            y: "accuracy on test, %".into(),
            series,
        }],
    })
}

/// Every quantity of a recipe.
fn details(row: &Row) -> Finding {
    let cells = |measure: &Measure| {
        let interval = measure.interval.map(|[low, high]| format!("{} to {}", number::show(low), number::show(high)));
        vec![
            if measure.unit.is_empty() {
                measure.name.to_owned()
            } else {
                format!("{}, {}", measure.name, measure.unit)
            },
            shown(&measure.own),
            measure.twin.as_ref().map_or("–".into(), shown),
            measure.difference.as_ref().map_or("–".into(), |difference| number::show(difference.mean)),
            interval.unwrap_or("–".into()),
            word(measure.better).to_owned(),
        ]
    };
    let columns = ["", "network", "twin", "difference", "95 % interval", "better"].map(str::to_owned);
    let table = Figure::Table {
        title: "Measured".into(),
        caption: "Means over seeds, ± the deviation of one run; of the difference the mean and its 95 % interval. Agreement between seeds is a mean over pairs of seeds. Confidences are those of softmax. Of ten classes chance makes a class selectivity of about 0.92. Times are of the machine that trained.".into(),
        columns: columns.into(),
        rows: row.measures.iter().map(cells).collect(),
    };
    let claims = row.claims.iter().map(|claim| vec![claim.statement.clone(), claim.shown.join(", ")]);
    let claims = Figure::Table {
        title: "Claims".into(),
        caption: "What was measured on the saved file of each seed.".into(),
        columns: ["claim", "measured"].map(str::to_owned).into(),
        rows: claims.collect(),
    };
    let score = Number::new(row.score.mean, row.unit, Better::Higher);
    let mut finding = Finding {
        name: row.name.clone(),
        title: row.plain_name(),
        statement: format!("On {}, seeds: {}.", row.data, row.seeds),
        numbers: vec![(row.measure.to_owned(), score)],
        figures: if row.claims.is_empty() { vec![table] } else { vec![table, claims.clone()] },
    };
    if !row.all_hold() {
        (finding.numbers, finding.figures) = (vec![], vec![claims]);
        finding.statement += " Not all claims hold: what else was measured is left out.";
    }
    finding
}

fn word(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
        Better::Neither => "",
    }
}

/// A line for each recipe and quantity, with all digits.
///
/// # Errors
/// Where it cannot be written.
pub fn csv(rows: &[Row]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(vec![]);
    let head = [
        "recipe",
        "data",
        "seeds",
        "claims held",
        "quantity",
        "unit",
        "better",
        "network",
        "deviation",
        "twin",
        "twin deviation",
        "difference",
        "low",
        "high",
    ];
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
    for row in rows {
        for measure in &row.measures {
            let Measure { name, unit, better, own, twin, difference, interval } = measure;
            let numbers = [
                Some(own.mean),
                own.deviation,
                twin.map(|twin| twin.mean),
                twin.and_then(|twin| twin.deviation),
                difference.map(|difference| difference.mean),
                interval.map(|[low, _]| low),
                interval.map(|[_, high]| high),
            ];
            let words = [row.plain_name(), row.data.clone(), row.seeds.to_string(), row.holds.to_string()];
            let of = [(*name).to_owned(), (*unit).to_owned(), word(*better).to_owned()];
            lines.push(words.into_iter().chain(of).chain(numbers.map(text)).collect());
        }
    }
    let wrong = |error: &dyn std::fmt::Display| Error::Usage(format!("the table cannot be written: {error}"));
    lines.iter().try_for_each(|line| writer.write_record(line)).map_err(|error| wrong(&error))?;
    writer.into_inner().map_err(|error| wrong(&error))
}
