//! The page of a run of `[objective.generate]`.

use interp_finding::{Better, Figure, Finding, Number, Series};
use interp_learn::Objective;
use interp_net::Checkpoint;
use interp_net::zoo::Generator;
use interp_report::Page;
use interp_report::number::show;
use serde_json::{Value, json};

use super::traversal::sheet;
use super::{Made, Summary};
use crate::Result;
use crate::folder::{Folder, Stage};
use crate::plan::Plan;

pub(super) fn page(
    plan: &Plan,
    generator: &Generator,
    folder: &Folder,
    summary: &Summary,
    events: &[Value],
) -> Result<Page> {
    let mut findings = vec![information(generator, deviation(plan), summary)];
    findings.extend(traversals(plan, generator, folder)?);
    findings.push(curves(summary, events));
    let fact = |key: &str, value: String| (key.to_owned(), value);
    Ok(Page {
        title: format!("{}: codes of pictures of {}", summary.name, summary.data),
        lead: "A generator makes pictures of codes and noise, and a recognizer tells from a picture which code it was made of. What the codes control is \
               told by interp-audit codes."
            .into(),
        warnings: vec![],
        facts: vec![
            fact("Data", summary.data.clone()),
            fact("Seed", plan.common.seed.to_string()),
            fact("Time", format!("{:.0} s for everything", summary.seconds)),
            fact("Recipe hash", summary.recipe.chars().take(16).collect()),
            fact("Program", format!("interp-train {}", env!("CARGO_PKG_VERSION"))),
        ],
        claims: vec![],
        findings,
        source: Some(("Recipe, with every default written out".into(), plan.text.clone())),
    })
}

/// The deviation by which numbers are told.
fn deviation(plan: &Plan) -> f64 {
    let Objective::Generate(generate) = plan.common.objective else { return f64::NAN };
    generate.deviation
}

/// What the recognizers know of codes at the end.
fn information(generator: &Generator, deviation: f64, summary: &Summary) -> Finding {
    // A number in [-1, 1] that is read exactly: its entropy, ln 2, and the log-density of a normal distribution at its mean.
    let read = 2f64.ln() - deviation.ln() - std::f64::consts::TAU.ln() / 2.0;
    let most = |code: usize| {
        let categories = generator.latent.categorical.get(code);
        show(categories.map_or(read, |&count| (count as f64).ln()))
    };
    let told =
        |made: &Made, code: usize| made.losses.information.get(code).map_or("–".to_owned(), |&nats| show(nats));
    let row = |(code, name): (usize, &String)| {
        let own = [name.clone(), most(code), told(&summary.network, code)];
        own.into_iter().chain(summary.twin.as_ref().map(|twin| told(twin, code))).collect()
    };
    let columns = ["code", "at most", "this network"].into_iter().chain(summary.twin.as_ref().map(|_| "twin"));
    let table = Figure::Table {
        title: "What recognizers know of codes, nats".into(),
        caption: "A lower bound of the mutual information of code and picture, a mean over the last epoch: there may be more, also where it is below 0. At most: the bound of a code that is read \
                  exactly; of a category it is its entropy. The twin is trained alike, but for the information that neither of its networks gains by: its recognizer never learns \
                  of codes."
            .into(),
        columns: columns.map(str::to_owned).collect(),
        rows: summary.codes.iter().enumerate().map(row).collect(),
    };
    let sum: f64 = summary.network.losses.information.iter().sum();
    Finding {
        name: "information".into(),
        title: "What is known of codes".into(),
        statement: format!("The recognizer knows at least {} nats of the codes of a picture.", show(sum)),
        numbers: vec![("information of all codes".into(), Number::new(sum, "nats", Better::Higher))],
        figures: vec![table],
    }
}

/// A finding for each code, with the sheet of the network and that of the twin.
fn traversals(plan: &Plan, generator: &Generator, folder: &Folder) -> Result<Vec<Finding>> {
    let size = [plan.info().height, plan.info().width];
    let network = |stage: Stage| -> Result<_> {
        let path = folder.generator(stage);
        Ok(Checkpoint::read(&path)?.network(&path, None, size)?)
    };
    let own = network(Stage::Main)?;
    let twin = plan.has_twin().then(|| network(Stage::Twin)).transpose()?;
    let (latent, seed) = (&generator.latent, plan.common.seed);
    let finding = |(code, name): (usize, String)| {
        let mut figures = vec![sheet(&own, latent, code, format!("{name}, this network"), seed)?];
        if let Some(twin) = &twin {
            figures.push(sheet(twin, latent, code, format!("{name}, the twin without information"), seed)?);
        }
        let identifier = name.replace(' ', "-");
        Ok(Finding { name: identifier, title: name, statement: String::new(), numbers: vec![], figures })
    };
    latent.names().into_iter().enumerate().map(finding).collect()
}

fn curves(summary: &Summary, events: &[Value]) -> Finding {
    let stages = [(Stage::Main, "this network"), (Stage::Twin, "twin")];
    let series = |of: &dyn Fn(&Value) -> Option<f64>, what: &str| -> Vec<Series> {
        let line = |(stage, name): (Stage, &str)| {
            let own = events.iter().filter(|event| event["stage"] == json!(stage));
            let points = own.filter_map(|event| Some([event["epoch"].as_f64()?, of(event)?])).collect();
            Series { name: format!("{name}, {what}"), points }
        };
        stages.into_iter().map(line).filter(|series| !series.points.is_empty()).collect()
    };
    let losses = [("real", "real taken for made"), ("made", "made taken for real"), ("generator", "generator")];
    let losses = losses.into_iter().flat_map(|(key, what)| series(&|event| event["losses"][key].as_f64(), what));
    let informed = summary.codes.iter().flat_map(|code| series(&|event| event["information"][code].as_f64(), code));
    let drawn = |title: &str, caption: &str, series: Vec<Series>| Figure::Curves {
        title: title.into(),
        caption: caption.into(),
        x: "epoch".into(),
        y: "nats".into(),
        series,
    };
    let caption = "Logistic losses, means over each epoch. ln 2 = 0.693 each is where the recognizer cannot tell; a game has no loss that has to fall.";
    Finding {
        name: "training".into(),
        title: "Training".into(),
        statement: String::new(),
        numbers: vec![],
        figures: vec![
            drawn("Losses", caption, losses.collect()),
            drawn("Information", "The bound for each code, means over each epoch.", informed.collect()),
        ],
    }
}
