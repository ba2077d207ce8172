//! Methods by metrics, in rows and columns.

use interp_audit::metrics::{Above, Verdict};
use interp_finding::{Number, share_interval};

use super::Found;
use super::measured::Measured;

/// Heads and rows.
pub(super) type Cells = (Vec<String>, Vec<Vec<String>>);

/// A row for each method, with the most important number of each metric, and half of its interval.
pub(super) fn told(found: &[Found], measured: &[Measured]) -> Cells {
    let near = |number: &Number| {
        let half = number.interval.map(|[low, high]| format!(" ±{}", shown((high - low) / 2.0)));
        shown(number.value) + &half.unwrap_or_default()
    };
    cells(found, measured, |metric| metric.columns().into_iter().take(1).collect(), &|metric, at, name| {
        metric.column(at, name)?.number().map(|number| near(&number))
    })
}

/// The same with whole intervals.
pub(super) fn numbers(found: &[Found], measured: &[Measured]) -> Cells {
    cells(found, measured, |metric| metric.columns().into_iter().take(1).collect(), &number)
}

/// All numbers of a metric.
pub(super) fn whole(found: &[Found], metric: &Measured) -> Cells {
    cells(found, std::slice::from_ref(metric), Measured::columns, &number)
}

/// How much better than the best control, by all numbers that have a direction.
pub(super) fn beyond(found: &[Found], measured: &[Measured]) -> Cells {
    let cell = |metric: &Measured, at, name: &str| metric.beyond(found, at, name).map(|number| interval(&number));
    beside_control(found, measured, "beyond", &cell)
}

/// On how many pictures, and of how many classes, it is better.
pub(super) fn above(found: &[Found], measured: &[Measured], classes: &[usize]) -> Cells {
    let cell = |metric: &Measured, at, name: &str| {
        let Above { pictures: [better, all], classes: [of, classes] } = metric.above(found, at, name, classes)?;
        let [low, high] = share_interval(better, all).map(|end| 100.0 * end);
        let share = 100.0 * better as f64 / all as f64;
        Some(format!("{share:.0} % [{low:.0}, {high:.0}]; {of} of {classes}"))
    };
    beside_control(found, measured, "better than", &cell)
}

/// Methods by what of each metric has a best control.
fn beside_control(
    found: &[Found],
    measured: &[Measured],
    word: &str,
    cell: &dyn Fn(&Measured, usize, &str) -> Option<String>,
) -> Cells {
    let directed = |metric: &'_ Measured| -> Vec<String> {
        metric.best_controls(found).into_iter().take(1).map(|(name, _)| name).collect()
    };
    let mut heads = vec!["method".to_owned()];
    let mut columns = vec![];
    for metric in measured {
        for name in directed(metric) {
            let control = metric.best_control(found, &name).map_or("", |at| found[at].name.as_str());
            heads.push(format!("{}, {word} {control}", head(metric, &name)));
            columns.push((metric, name));
        }
    }
    let row = |at: usize| {
        let of = |(metric, name): &(&Measured, String)| cell(metric, at, name).unwrap_or_else(none);
        std::iter::once(label(found, measured, at)).chain(columns.iter().map(of)).collect()
    };
    let rows = (0..found.len()).filter(|&at| !found[at].is_control()).map(row).collect();
    (heads, rows)
}

/// How far each method agrees with each other one, by rank.
pub(super) fn agreement(found: &[Found], metric: &Measured) -> Cells {
    let others: Vec<&str> = found.iter().filter(|found| !found.is_control()).map(|found| found.name.as_str()).collect();
    let row = |at: usize| {
        let cell = |other: &&str| {
            let column = metric.column(at, &format!("rank_correlation.{other}"));
            column.and_then(|column| column.number()).map_or_else(none, |number| interval(&number))
        };
        std::iter::once(found[at].name.clone()).chain(others.iter().map(cell)).collect()
    };
    let heads = std::iter::once("method").chain(others.iter().copied()).map(str::to_owned).collect();
    (heads, (0..found.len()).map(row).collect())
}

fn cells<'m>(
    found: &[Found],
    measured: &'m [Measured],
    columns: impl Fn(&'m Measured) -> Vec<&'m str>,
    cell: &dyn Fn(&Measured, usize, &str) -> Option<String>,
) -> Cells {
    let columns: Vec<(&Measured, &str)> =
        measured.iter().flat_map(|metric| columns(metric).into_iter().map(move |name| (metric, name))).collect();
    let heads = std::iter::once("method".to_owned()).chain(columns.iter().map(|(metric, name)| head(metric, name)));
    let row = |at: usize| {
        let of = |(metric, name): &(&Measured, &str)| cell(metric, at, name).unwrap_or_else(none);
        std::iter::once(label(found, measured, at)).chain(columns.iter().map(of)).collect()
    };
    (heads.collect(), (0..found.len()).map(row).collect())
}

fn number(metric: &Measured, at: usize, name: &str) -> Option<String> {
    metric.column(at, name)?.number().map(|number| interval(&number))
}

fn head(metric: &Measured, name: &str) -> String {
    format!("{} {name}", metric.name).replace('_', " ")
}

/// A method's name, and whether it failed the test by random weights.
fn label(found: &[Found], measured: &[Measured], at: usize) -> String {
    let fails = measured.iter().any(|metric| metric.scores[at].verdict == Some(Verdict::Fails));
    let kind = match (found[at].is_control(), fails) {
        (true, _) => " (control)",
        (false, true) => " (fails randomization)",
        (false, false) => "",
    };
    format!("{}{kind}", found[at].name)
}

/// A number with its interval.
pub(super) fn interval(number: &Number) -> String {
    let ends = number.interval.map(|[low, high]| format!(" [{}, {}]", shown(low), shown(high)));
    shown(number.value) + &ends.unwrap_or_default()
}

fn none() -> String {
    "–".to_owned()
}

/// Three digits after the point, or two in all of what is very small or large.
pub(super) fn shown(value: f64) -> String {
    let plain = value == 0.0 || (1e-3..1e4).contains(&value.abs());
    if plain { format!("{value:.3}") } else { format!("{value:.1e}") }
}

#[cfg(test)]
mod tests {
    use interp_finding::Better;

    use super::*;

    #[test]
    fn numbers_as_they_are_shown() {
        assert_eq!([0.0, 0.12345, -3.0, 2.0e-5, 1.0e4].map(shown), ["0.000", "0.123", "-3.000", "2.0e-5", "1.0e4"]);
        assert_eq!(interval(&Number::new(0.5, "", Better::Lower).with_interval(0.25, 1.0)), "0.500 [0.250, 1.000]");
    }
}
