//! Recipes over several seeds, side by side.

mod agreement;
mod examined;
mod measures;
mod page;
mod small;

use interp_finding::{Measured, student_interval};
use serde::Serialize;

pub use agreement::Told;
pub use examined::{Examined, Explained};
pub use measures::Measure;
pub use page::{csv, page};

use crate::compare::McNemar;
use crate::recipe::Lacks;
use crate::summary::Summary;

pub(crate) use examined::examined;
pub(crate) use small::{is_pruned, recipe as small_recipe};

/// A recipe's runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the recipe.
    pub name: String,
    /// Name of the data set.
    pub data: String,
    /// What was overridden in it, but for which data it is and where.
    pub changed: Vec<String>,
    /// How many runs there are: one for each seed.
    pub seeds: usize,
    /// In how many of them every claim holds.
    pub holds: usize,
    /// The claims, each with what was measured in every run.
    pub claims: Vec<Claimed>,
    /// What the network does well: `accuracy` in percent, or `psnr` in dB.
    pub measure: &'static str,
    /// The unit of the three that follow: `%`, or `dB`.
    pub unit: &'static str,
    /// That of the network on test.
    pub score: Spread,
    /// What its twin goes without.
    pub lacks: Lacks,
    /// That of its twin, where there is one.
    pub twin: Option<Spread>,
    /// That of the twin minus that of the network, in points or dB, seed by seed: what the claims cost.
    pub tax: Option<Spread>,
    /// The 95 % interval of its mean, by Student's t over the seeds; not there for a single run.
    pub tax_interval: Option<[f64; 2]>,
    /// Pictures that the network or its twin is right on alone, for each seed.
    pub mcnemar: Vec<McNemar>,
    /// What else was measured, of both.
    pub measures: Vec<Measure>,
    /// Trained parameters that are not zero, as a share of the twin's or else of the network's own, in percent.
    pub nonzero: Spread,
    /// Seconds of a run: training and testing of the network and its twin, without training a twin that was copied.
    pub seconds: Spread,
}

/// A claim over several runs.
#[derive(Clone, Debug, Serialize)]
pub struct Claimed {
    /// In words.
    pub statement: String,
    /// What was measured in each run, as people read it.
    pub shown: Vec<String>,
}

/// A run, with what else was measured.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What the run found.
    pub summary: Summary,
    /// Of its network, where classes are told.
    pub own: Option<(Examined, Told)>,
    /// Of its twin, where there is one.
    pub twin: Option<(Examined, Told)>,
    /// The run of the small twin, where the network is pruned, and how many parameters of the network are not zero after channels that say nothing are cut.
    pub small: Option<(Summary, usize)>,
}

/// Mean and standard deviation over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of one run, with n - 1; not there for a single run.
    pub deviation: Option<f64>,
}

impl Spread {
    /// Of numbers, at least one.
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) }
    }

    /// As people read it.
    fn show(&self, digits: usize) -> String {
        let deviation = self.deviation.map(|d| format!(" ± {d:.digits$}")).unwrap_or_default();
        format!("{:.digits$}{deviation}", self.mean)
    }
}

impl Row {
    /// Of the runs of one recipe with these overrides, one for each seed; `None` where there are none.
    pub fn of(cells: &[Cell], overrides: &[String]) -> Option<Self> {
        let runs: Vec<&Summary> = cells.iter().map(|cell| &cell.summary).collect();
        let first = *runs.first()?;
        let spread =
            |value: &dyn Fn(&Summary) -> f64| Spread::of(&runs.iter().map(|run| value(run)).collect::<Vec<_>>());
        let with_twin: Option<Vec<(&Summary, f64)>> =
            runs.iter().map(|&run| Some((run, run.twin.as_ref()?.test.score.shown()))).collect();
        let of_twin = |value: &dyn Fn(&(&Summary, f64)) -> f64| {
            with_twin.as_ref().map(|runs| runs.iter().map(value).collect::<Vec<_>>())
        };
        let taxes = of_twin(&|(run, twin)| twin - run.test.score.shown());
        let nonzero = |run: &Summary| {
            let all = run.twin.as_ref().map_or(run.size.parameters, |twin| twin.size.parameters);
            100.0 * run.size.nonzero as f64 / all as f64
        };
        Some(Self {
            name: first.name.clone(),
            data: first.data.clone(),
            changed: overrides.iter().filter_map(|set| changed(set)).collect(),
            seeds: runs.len(),
            holds: runs.iter().filter(|run| run.claims.iter().all(|claim| claim.holds)).count(),
            claims: (0..first.claims.len()).map(|index| claimed(&runs, index)).collect(),
            measure: first.test.score.key(),
            unit: first.test.score.unit(),
            score: spread(&|run| run.test.score.shown()),
            lacks: first.twin.as_ref().map(|twin| twin.lacks).unwrap_or_default(),
            twin: of_twin(&|(_, twin)| *twin).as_deref().map(Spread::of),
            tax: taxes.as_deref().map(Spread::of),
            tax_interval: taxes.as_deref().and_then(student_interval),
            mcnemar: runs.iter().filter_map(|run| run.twin.as_ref()?.mcnemar).collect(),
            measures: measures::measures(cells),
            nonzero: spread(&nonzero),
            seconds: spread(&|run| run.seconds),
        })
    }

    /// Whether every claim holds in every run.
    pub fn all_hold(&self) -> bool {
        self.holds == self.seeds
    }

    /// What its line in a table begins with, no other's.
    fn key(&self) -> String {
        format!("| {} | {} |", self.recipe(), self.data)
    }

    /// The recipe's name, and what was changed in it.
    fn recipe(&self) -> String {
        let changed = self.changed.iter().map(|set| format!(", `{set}`"));
        std::iter::once(format!("`{}`", self.name)).chain(changed).collect()
    }

    /// The same without marks.
    fn plain_name(&self) -> String {
        self.recipe().replace('`', "")
    }

    /// Its line in a table.
    fn line(&self) -> String {
        let first = [self.recipe(), self.data.clone()];
        line(&first.into_iter().chain(self.cells()).collect::<Vec<_>>())
    }

    /// The cells of its line after these two. What was claimed and is not so is struck out.
    fn cells(&self) -> [String; 7] {
        let claims: Vec<String> =
            self.claims.iter().map(|claim| format!("{}: {}", claim.statement, claim.shown.join(", "))).collect();
        let held = if self.claims.is_empty() { "–".into() } else { format!("{} of {}", self.holds, self.seeds) };
        let in_unit = |spread: Spread| if self.unit == "%" { spread.show(2) } else { spread.show(2) + " " + self.unit };
        let optional = |spread: &Option<Spread>| spread.map_or("–".into(), in_unit);
        let interval = self.tax_interval.map(|[low, high]| format!(" ({low:.2} to {high:.2})")).unwrap_or_default();
        let cells = [
            claims.join("<br>"),
            held,
            in_unit(self.score),
            optional(&self.twin) + if self.lacks == Lacks::Teachers { " (without teachers)" } else { "" },
            optional(&self.tax) + &interval,
            self.nonzero.show(1),
            self.seconds.show(0),
        ];
        if self.all_hold() { cells } else { cells.map(|cell| format!("~~{cell}~~")) }
    }
}

/// An override without what says which data it is, which the row does anyway, and where it lies; `None` where that is all.
fn changed(set: &str) -> Option<String> {
    match set.split_once('=') {
        Some(("data.kind" | "data.path" | "init.path", _)) => None,
        Some((key, _)) if key.starts_with("teacher.") && key.ends_with(".path") => None,
        Some(("data", value)) => {
            let Ok(mut data) = format!("data={value}").parse::<toml::Table>() else { return Some(set.to_owned()) };
            let section = data.get_mut("data")?.as_table_mut()?;
            section.retain(|key, _| key != "kind" && key != "path");
            let settings = section.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
            (!settings.is_empty()).then(|| format!("data={{{}}}", settings.join(",")))
        }
        _ => Some(set.to_owned()),
    }
}

/// The claim at `index` of every run.
fn claimed(runs: &[&Summary], index: usize) -> Claimed {
    let of_runs: Vec<&Measured> = runs.iter().filter_map(|run| run.claims.get(index)).collect();
    let statement = of_runs.first().map(|claim| claim.statement.clone()).unwrap_or_default();
    Claimed { statement, shown: of_runs.iter().map(|claim| claim.shown.clone()).collect() }
}

/// The headings of the table.
const HEADINGS: [&str; 9] = [
    "recipe",
    "data",
    "claims, and what was measured for each seed",
    "held",
    "accuracy, %, or PSNR",
    "its twin's",
    "tax, points",
    "parameters not zero, % of the twin's",
    "seconds",
];

/// The table in Markdown, with these lines.
fn table(lines: &[String]) -> String {
    let head = line(&HEADINGS.map(str::to_owned));
    let rule = format!("|{}", "---|".repeat(HEADINGS.len()));
    [head, rule].into_iter().chain(lines.iter().cloned()).collect::<Vec<_>>().join("\n")
}

fn line(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// The name in a line of the table.
fn name(line: &str) -> &str {
    line.split('`').nth(1).unwrap_or_default()
}

/// The table of these rows in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    table(&rows.iter().map(Row::line).collect::<Vec<_>>())
}

/// What stands around the table in a file.
const MARKS: [&str; 2] = ["<!-- table: written by interp-bench -->\n", "<!-- end of table -->"];

/// A page with these rows in its table, or with the table at its end where it has none yet. Rows of other recipes or data stay
/// as they are: recipes that need other settings can be run apart. In order of names.
pub fn with_rows(page: &str, rows: &[Row]) -> String {
    let [begin, end] = MARKS;
    let place = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?)));
    let (before, old, after) = match place {
        Some((before, (old, after))) => (before.to_owned(), old, after),
        None => (format!("{page}\n"), "", "\n"),
    };
    let is_new = |old: &str| rows.iter().any(|row| old.starts_with(&row.key()));
    let kept = old.lines().filter(|old| old.starts_with("| `") && !is_new(old)).map(str::to_owned);
    let mut lines: Vec<String> = kept.chain(rows.iter().map(Row::line)).collect();
    lines.sort_by(|a, b| name(a).cmp(name(b)));
    format!("{before}{begin}\n{}\n\n{end}{after}", table(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Scores, Size, Twin};
    use interp_learn::Score;

    // Of 1, 2, 4: mean 7/3, variance ((4/3)^2 + (1/3)^2 + (5/3)^2) / 2 = 7/3.
    #[test]
    fn mean_and_deviation_by_hand() {
        let found = Spread::of(&[1.0, 2.0, 4.0]);
        assert!((found.mean - 7.0 / 3.0).abs() < 1e-12);
        assert!((found.deviation.unwrap().powi(2) - 7.0 / 3.0).abs() < 1e-12);
        assert_eq!(Spread::of(&[2.0]), Spread { mean: 2.0, deviation: None });
        assert_eq!((found.show(2), Spread::of(&[2.0]).show(1)), ("2.33 ± 1.53".into(), "2.0".into()));
    }

    #[test]
    fn a_row_says_what_was_changed_and_not_where_data_lies() {
        for where_only in [
            "init.path=a",
            "teacher.0.path=a",
            "data.kind=mnist",
            "data.path=/a/b",
            r#"data={kind="mnist",path="/a/b"}"#,
        ] {
            assert_eq!(changed(where_only), None);
        }
        let expected = "data={train=100,pad=2}";
        assert_eq!(changed(r#"data={kind="concepts",train=100,path="/a/b",pad=2}"#).as_deref(), Some(expected));
        assert_eq!(changed("train.batch=32").as_deref(), Some("train.batch=32"));
    }

    fn row(name: &str, holds: usize) -> Row {
        let one = Spread::of(&[98.0]);
        Row {
            name: name.into(),
            data: "concepts".into(),
            changed: vec![],
            seeds: 1,
            holds,
            claims: vec![Claimed { statement: "zeros ≥ 90 %".into(), shown: vec!["89 %".into()] }],
            measure: "accuracy",
            unit: "%",
            score: one,
            lacks: Lacks::Everything,
            twin: None,
            tax: None,
            tax_interval: None,
            mcnemar: vec![],
            measures: vec![],
            nonzero: one,
            seconds: one,
        }
    }

    /// A run with this accuracy and its twin's, of 40 parameters of 100 that are not zero, whose claim holds or not.
    fn run([own, twin]: [f64; 2], holds: bool) -> Cell {
        let scores = |accuracy| Scores { score: Score::Accuracy(accuracy), loss: 0.0, count: 100 };
        let size = |parameters, nonzero| Size { parameters, nonzero, multiply_adds: 0 };
        let claim = Measured { statement: "zeros".into(), value: 0.5, bound: 0.5, holds, shown: own.to_string() };
        let difference = crate::compare::Difference { points: 0.0, interval: [0.0; 2] };
        let lacks = Lacks::Everything;
        let latency = Some(crate::summary::Latency { one: 1.0, batch: 8.0 });
        let twin = Twin {
            lacks,
            test: scores(twin),
            validation: scores(0.0),
            epoch: 1,
            size: size(80, 80),
            latency,
            quality: None,
            terms: None,
            difference,
            mcnemar: None,
        };
        let summary = Summary {
            version: 1,
            name: "r".into(),
            data: "concepts".into(),
            recipe: String::new(),
            test: scores(own),
            validation: scores(0.0),
            epoch: 1,
            size: size(100, 40),
            latency,
            quality: None,
            terms: None,
            claims: vec![claim],
            twin: Some(twin),
            warnings: vec![],
            seconds: 10.0 * own,
        };
        Cell { summary, own: None, twin: None, small: None }
    }

    // Accuracies of 90 and 92 % beside twins of 93 and 91 %: taxes of 3 and -1 points, mean 1, deviation 4 / sqrt 2, and with
    // t(1) = 12.706 the interval 1 -+ 12.706 * 2. Of the twins' 80 parameters, 40 are half.
    #[test]
    fn a_row_by_hand() {
        let runs = [run([0.90, 0.93], true), run([0.92, 0.91], false)];
        let sets = ["data.path=DIR", "data.kind=mnist", "train.batch=32"].map(str::to_owned);
        let row = Row::of(&runs, &sets).unwrap();
        let near = |found: Spread, mean: f64, deviation: f64| {
            assert!(
                (found.mean - mean).abs() < 1e-9 && (found.deviation.unwrap() - deviation).abs() < 1e-9,
                "{found:?}"
            );
        };
        near(row.score, 91.0, 2f64.sqrt());
        near(row.twin.unwrap(), 92.0, 2f64.sqrt());
        near(row.tax.unwrap(), 1.0, 8f64.sqrt());
        near(row.nonzero, 50.0, 0.0);
        assert!(row.line().contains("| ~~1.00 ± 2.83 (-24.41 to 26.41)~~ |"), "{}", row.line());
        let [one, ..] = runs;
        assert_eq!(Row::of(&[one], &[]).unwrap().tax_interval, None);
        assert_eq!((row.holds, row.seeds, row.claims[0].shown.join(" ")), (1, 2, "0.9 0.92".into()));
        assert!(row.line().starts_with("| `r`, `train.batch=32` | concepts | "), "{}", row.line());
        assert!(Row::of(&[], &[]).is_none());
    }

    // As above, parameters of 100 beside 80, of which 40 and 80 are not zero.
    #[test]
    fn measures_stand_beside_the_twins() {
        let runs = [run([0.90, 0.93], true), run([0.92, 0.91], true)];
        let row = Row::of(&runs, &[]).unwrap();
        let of = |name: &str| row.measures.iter().find(|measure| measure.name == name).unwrap();
        let parameters = of("parameters");
        assert_eq!((parameters.own.mean, parameters.twin.unwrap().mean), (100.0, 80.0));
        assert_eq!((of("parameters not zero").difference.unwrap().mean, parameters.interval), (-40.0, Some([20.0; 2])));
        assert!(row.measures.iter().all(|measure| measure.name != "worst class"), "nothing of what no run has");
        let text = String::from_utf8(csv(&[row]).unwrap()).unwrap();
        assert!(text.contains("\nr,concepts,2,2,parameters,,lower,100,0,80,0,20,20,20\n"), "{text}");
    }

    #[test]
    fn a_failed_row_is_struck_out_of_the_page() {
        let held = Row::of(&[run([0.90, 0.93], true)], &[]).unwrap();
        let failed = Row::of(&[run([0.90, 0.93], false)], &[]).unwrap();
        let html = |row: Row| interp_report::html(&page(&[row]), &[]).unwrap();
        assert!(html(held).contains("90.00 %"));
        let html = html(failed);
        assert!(html.contains("claim failed") && html.contains("<strong>Warning:</strong>") && !html.contains("90.00"));
    }

    #[test]
    fn a_failed_row_is_struck_out() {
        let table = markdown(&[row("a", 1), row("b", 0)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("| zeros ≥ 90 %: 89 % | 1 of 1 | 98.00 |"));
        assert!(lines[3].contains("| ~~zeros ≥ 90 %: 89 %~~ | ~~0 of 1~~ | ~~98.00~~ |"));
    }

    #[test]
    fn rows_replace_their_own_and_no_others() {
        let first = with_rows("# Page\n", &[row("a_b", 1), row("b", 1)]);
        let second = with_rows(&format!("{first}After.\n"), &[row("b", 0), row("a", 1)]);
        assert!(second.starts_with("# Page\n") && second.ends_with("After.\n"));
        let names: Vec<&str> = second.lines().filter(|line| line.starts_with("| `")).map(name).collect();
        assert_eq!(names, ["a", "a_b", "b"]);
        assert_eq!(second.matches("~~98.00~~").count(), 1);
        assert_eq!(second.matches("| recipe |").count(), 1);
        assert_eq!(with_rows(&second, &[]), second);
    }
}
