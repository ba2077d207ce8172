//! The page of metrics: methods by metrics, and each metric with its curves.

use interp_audit::metrics::{METRICS, Verdict};
use interp_audit::saliency::Question;
use interp_finding::{Figure, Finding, Series};
use interp_report::Page;

use super::measured::Measured;
use super::table::{self, Cells};
use super::{Found, Subject};

pub(super) fn of(subject: &Subject, question: &Question<'_>, found: &[Found], measured: &[Measured]) -> Page {
    let mut facts = vec![("Network".to_owned(), subject.path.display().to_string())];
    if !subject.info.name.is_empty() {
        facts.push(("Data".into(), subject.info.name.clone()));
    }
    let node = question.net.graph.nodes()[question.layer].name.clone();
    facts.extend([("Pictures".into(), question.targets.len().to_string()), ("Maps of".into(), node)]);
    let mut findings = vec![all(found, measured, question.targets)];
    findings.extend(measured.iter().map(|metric| finding(found, metric)));
    Page {
        title: "How right explanations are".into(),
        lead: "What methods say of where the evidence lies, held against what the network does. No metric is the truth: each asks one question, and what \
               its numbers are worth is told by the controls, which know nothing of the network."
            .into(),
        warnings: warnings(found, measured),
        facts,
        claims: vec![],
        findings,
        source: None,
    }
}

/// Methods by metrics.
fn all(found: &[Found], measured: &[Measured], classes: &[usize]) -> Finding {
    let numbers = figure(
        "Methods and metrics",
        "The most important number of each metric: its mean over pictures, with the 95 % interval of that mean. Center, edges and random know \
         nothing of the network. A dash: the metric does not apply to the method, or no picture has the number.",
        table::numbers(found, measured),
    );
    let beyond = figure(
        "Beside the best control",
        "How much better a method is than the control that does best by this number: the mean over pictures of the difference on each, with \
         its 95 % interval; above 0 is better, whichever direction the number has. Where the interval holds 0, these pictures tell no difference.",
        table::beyond(found, measured),
    );
    let above = figure(
        "How often it is better",
        "The share of pictures on which a method is better than the control that does best by this number, with its 95 % interval (Wilson's): where both have \
         the same number, it is not. And of how many of the classes that are explained it is, in the mean over their pictures.",
        table::above(found, measured, classes),
    );
    Finding {
        name: "all".into(),
        title: "Methods and metrics".into(),
        statement: statement(found, measured),
        numbers: vec![],
        figures: vec![numbers, beyond, above],
    }
}

/// What follows from the numbers.
fn statement(found: &[Found], measured: &[Measured]) -> String {
    let methods: Vec<usize> = (0..found.len()).filter(|&at| !found[at].is_control()).collect();
    let mut said = vec![];
    for metric in measured {
        let Some((name, control)) = metric.best_controls(found).into_iter().next() else { continue };
        let named = |side: fn([f64; 2]) -> bool| {
            let is_so =
                |at: &&usize| metric.beyond(found, **at, &name).and_then(|number| number.interval).is_some_and(side);
            let names: Vec<&str> = methods.iter().filter(is_so).map(|&at| found[at].name.as_str()).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        said.push(format!(
            "By {}, better than the best control, {}: {}; worse: {}.",
            metric.name.replace('_', " "),
            found[control].name,
            named(|[low, _]| low > 0.0),
            named(|[_, high]| high < 0.0),
        ));
    }
    let failed = failed(found, measured);
    if !failed.is_empty() {
        said.push(format!("The test by random weights is failed by {}.", failed.join(", ")));
    }
    said.join(" ")
}

/// The methods that fail the test by random weights; that controls do is no news.
fn failed<'f>(found: &'f [Found], measured: &[Measured]) -> Vec<&'f str> {
    let fails = |at: usize| measured.iter().any(|metric| metric.scores[at].verdict == Some(Verdict::Fails));
    let names = found.iter().enumerate().filter(|(at, found)| !found.is_control() && fails(*at));
    names.map(|(_, found)| found.name.as_str()).collect()
}

fn warnings(found: &[Found], measured: &[Measured]) -> Vec<String> {
    let failed = failed(found, measured);
    let said = format!(
        "What {} shows is more alike to what it shows with random weights than the threshold allows (see randomization): so much of it is not of what the \
         network has learned, whatever other metrics say.",
        failed.join(", ")
    );
    (!failed.is_empty()).then_some(said).into_iter().collect()
}

/// A metric with all of its numbers.
fn finding(found: &[Found], metric: &Measured) -> Finding {
    let caption = "Means over pictures, with 95 % intervals of these.";
    let mut figures = vec![figure("Numbers", caption, table::whole(found, metric))];
    if metric.name == "agreement" {
        let caption = "Spearman's correlation of maps, as means over pictures with 95 % intervals.";
        figures.push(figure("Method by method", caption, table::agreement(found, metric)));
    }
    figures.extend(curves(found, metric));
    let summary = METRICS.iter().find(|entry| entry.name == metric.name).map_or("", |entry| entry.summary);
    Finding {
        name: metric.name.replace('_', "-"),
        title: capital(&metric.name.replace('_', " ")),
        statement: format!("{}. {}", capital(summary), settings(&metric.settings)).trim().to_owned(),
        numbers: vec![],
        figures,
    }
}

/// The settings in words: what is measured depends on them.
fn settings(settings: &toml::Table) -> String {
    let each: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if each.is_empty() { String::new() } else { format!("Measured with {}.", each.join(", ")) }
}

/// A figure for each kind of curve.
fn curves(found: &[Found], metric: &Measured) -> Vec<Figure> {
    let kinds = metric.scores.iter().find(|scores| !scores.curves.is_empty()).map_or(0, |scores| scores.curves.len());
    let of = |kind: usize| {
        let curves = || {
            found.iter().zip(&metric.scores).filter_map(move |(found, scores)| Some((found, scores.curves.get(kind)?)))
        };
        let (_, first) = curves().next()?;
        Some(Figure::Curves {
            title: capital(&first.name.replace('_', " ")),
            caption: "The mean over pictures.".into(),
            x: first.along.into(),
            y: first.name.replace('_', " "),
            series: curves().map(|(found, curve)| Series { name: found.name.clone(), points: curve.mean() }).collect(),
        })
    };
    (0..kinds).filter_map(of).collect()
}

fn figure(title: &str, caption: &str, (columns, rows): Cells) -> Figure {
    Figure::Table { title: title.into(), caption: caption.into(), columns, rows }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
