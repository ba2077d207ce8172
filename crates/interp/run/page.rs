//! The page of a run.

use std::path::Path;

use interp_data::Augment;
use interp_finding::{Better, Figure, Finding, Number, Series};
use interp_learn::{ClassLoss, Denoise, Objective, Score};
use interp_net::{Network, Role, rows};
use interp_report::{Page, number};
use serde_json::Value;

use super::Examined;
use crate::Result;
use crate::folder::{Folder, Stage};
use crate::plan::Plan;
use crate::recipe::Lacks;
use crate::summary::{Summary, Twin};

mod classes;
mod confidence;
mod filters;

/// Puts the page together from what was measured and logged.
pub(super) fn page(
    plan: &Plan,
    folder: &Folder,
    summary: &Summary,
    events: &[Value],
    main: &Examined,
    twin: Option<&Examined>,
) -> Result<Page> {
    let twin = twin.and_then(|twin| twin.confusion.as_ref());
    let mut findings = vec![against_twin(plan, summary)];
    findings.extend(main.confusion.as_ref().map(|own| classes::classes(&plan.info().classes, own, twin)));
    findings.push(curves(plan, summary, events));
    findings.extend(filters::first_filters(&main.network)?);
    findings.push(layers(&main.network)?);
    Ok(Page {
        title: unbroken(&format!("{}: {}", summary.name, headline(summary))),
        lead: unbroken(&lead(plan, summary)),
        warnings: summary.warnings.clone(),
        facts: facts(plan, folder, summary),
        claims: summary.claims.clone(),
        findings,
        source: Some(("Recipe, with every default written out".into(), plan.text.clone())),
    })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The text with no line broken before a unit.
fn unbroken(text: &str) -> String {
    text.replace(" %", "\u{a0}%").replace(" dB", "\u{a0}dB")
}

/// What a score is called at the beginning of a line, and the unit of the loss beside it.
fn words(score: Score, objective: Objective) -> (&'static str, &'static str) {
    match (score, objective) {
        (Score::Accuracy(_), _) => ("Accuracy", "cross-entropy, nats"),
        (Score::Psnr(_), Objective::Reconstruct(_)) => ("PSNR", "negative evidence lower bound, nats"),
        (Score::Psnr(_), _) => ("PSNR", "share of the noise that is left"),
    }
}

fn headline(summary: &Summary) -> String {
    format!("{} on {}", summary.test.score, summary.data)
}

/// How many claims hold, in a sentence.
fn verdict(summary: &Summary) -> String {
    let held = summary.claims.iter().filter(|c| c.holds).count();
    match (held, summary.claims.len()) {
        (_, 0) => "The recipe makes no claim about the network.".to_owned(),
        (held, 1) => {
            let holds = if held == 1 { "holds" } else { "fails" };
            format!("The claim that the recipe makes about the network {holds}, measured on the saved file.")
        }
        (held, all) => format!(
            "Of {all} claims that the recipe makes about the network, {held} {}, measured on the saved file.",
            if held == 1 { "holds" } else { "hold" }
        ),
    }
}

fn lead(plan: &Plan, summary: &Summary) -> String {
    let verdict = verdict(summary);
    let Some(twin) = &summary.twin else { return verdict };
    let difference = difference(twin);
    let (does, own, other) = match plan.common.objective {
        Objective::Classify | Objective::Generate(_) => ("is right on".to_owned(), summary.test.score, twin.test.score),
        Objective::Denoise(Denoise { noise }) => {
            let does = format!("takes noise of standard deviation {noise} away to a PSNR of");
            (does, summary.test.score, twin.test.score)
        }
        Objective::Reconstruct(_) => {
            ("makes pictures again of codes to a PSNR of".to_owned(), summary.test.score, twin.test.score)
        }
    };
    format!(
        "On {} test pictures the network {does} {own}, {} {}{other}: a difference of {}, with a 95 % interval \
         from {}. {verdict}",
        number::show(summary.test.count as f64),
        match plan.common.twin_lacks {
            Lacks::Everything => "its black-box twin",
            Lacks::Teachers => "its twin without teachers",
        },
        if plan.common.objective == Objective::Classify { "on " } else { "to " },
        number::value(&difference),
        number::interval(&difference)
    )
}

fn difference(twin: &Twin) -> Number {
    let [low, high] = twin.difference.interval;
    Number::new(twin.difference.points, twin.test.score.difference_unit(), Better::Higher).with_interval(low, high)
}

fn facts(plan: &Plan, folder: &Folder, summary: &Summary) -> Vec<(String, String)> {
    let fact = |key: &str, value: String| (key.to_owned(), value);
    let left_out = plan.common.split.without.len();
    let mut facts = vec![
        fact("Data", summary.data.clone()),
        match plan.common.objective {
            Objective::Classify | Objective::Generate(_) => fact("Classes", plan.info().classes.join(", ")),
            Objective::Denoise(Denoise { noise }) => {
                fact("Noise", format!("{noise} (standard deviation; pixels in [0, 1])"))
            }
            Objective::Reconstruct(_) => fact("Trained to", "make pictures again of codes".into()),
        },
        fact("Seed", plan.common.seed.to_string()),
        fact("Time", format!("{:.0} s for everything", summary.seconds)),
        fact("Recipe hash", summary.recipe.chars().take(16).collect()),
        fact("Program", format!("interp-train {}", env!("CARGO_PKG_VERSION"))),
        fact("To repeat it", format!("interp-train {} --out DIR", file_name(&folder.recipe()))),
    ];
    facts.extend(plan.common.init.as_ref().map(|init| fact("Begins with", init.path.display().to_string())));
    facts.extend((left_out > 0).then(|| fact("Left out of training", format!("{left_out} pictures"))));
    facts
}

/// The table of the network, and of its twin where there is one.
fn against_twin(plan: &Plan, summary: &Summary) -> Finding {
    let row = |name: &str, own: String, twin: Option<String>| {
        [Some(name.to_owned()), Some(own), twin].into_iter().flatten().collect::<Vec<String>>()
    };
    let twin = summary.twin.as_ref();
    let both = |name: &str, show: &dyn Fn(crate::summary::Scores, crate::summary::Size, usize) -> String| {
        let other = twin.map(|t| (t.test, t.size, t.epoch));
        row(
            name,
            show(summary.test, summary.size, summary.epoch),
            other.map(|(test, size, epoch)| show(test, size, epoch)),
        )
    };
    let (name, unit) = words(summary.test.score, plan.common.objective);
    let best = if matches!(plan.common.objective, Objective::Reconstruct(_)) { "bound" } else { "score" };
    let on_test = format!("{name} on test");
    let rows = vec![
        both(&on_test, &|test, _, _| test.score.to_string()),
        row(
            &format!("{name} on validation"),
            summary.validation.score.to_string(),
            twin.map(|t| t.validation.score.to_string()),
        ),
        both(&format!("Loss on test ({unit})"), &|test, _, _| number::show(test.loss)),
        both("Parameters", &|_, size, _| size.parameters.to_string()),
        both("Parameters not zero", &|_, size, _| size.nonzero.to_string()),
        both("Multiply-adds", &|_, size, _| size.multiply_adds.to_string()),
        both("Chosen from epoch", &|_, _, epoch| epoch.to_string()),
    ];
    let (title, statement, heading, caption) = match twin {
        None => (
            "How well the network does",
            "No twin was trained to compare with.".to_owned(),
            "This network",
            format!(
                "The network of the epoch with the best validation {best} among those that meet the claims, or the last where none \
                 does."
            ),
        ),
        Some(_) => {
            let (title, what, heading, without) = words_of(plan.common.twin_lacks);
            let caption = format!(
                "Both were trained on the same pictures, in the same order, for as long, with the same learning rate, batch and \
                 schedule; {without} Each is the network of the epoch with the best validation {best} among those that meet the \
                 claims, or the last where none does. One seed: the interval is over test pictures, not over trainings."
            );
            (title, format!("{name} of the network, and of {what}"), heading, caption)
        }
    };
    let columns = row("", "this network".into(), twin.map(|_| "twin".into()));
    let table = Figure::Table { title: heading.into(), caption, columns: columns.clone(), rows };
    let figures =
        std::iter::once(table).chain(confidence::confidence(summary, &plan.info().classes, columns)).collect();
    let score = summary.test.score;
    let mut numbers = vec![(on_test, Number::new(score.shown(), score.unit(), Better::Higher))];
    if let Some(twin) = twin {
        numbers.push(("Difference to the twin".into(), difference(twin)));
    }
    Finding { name: "twin".into(), title: title.into(), statement, numbers, figures }
}

/// Without the folder: a page may be read where that is nobody's business.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is said of a comparison with a twin: its title, what the twin is, the table's title, and what the twin was trained without.
fn words_of(lacks: Lacks) -> (&'static str, &'static str, &'static str, &'static str) {
    match lacks {
        Lacks::Everything => (
            "What interpretability costs",
            "its black-box twin: the same network without priors and teachers, of a plain architecture.",
            "Interpretable network and twin",
            "the twin without priors and teachers, and of a plain architecture. These settings are the recipe's: where they were chosen \
             for the interpretable network, a twin with settings of its own can do better than this one.",
        ),
        Lacks::Teachers => (
            "What teachers give",
            "its twin: the same network with the same priors, which learns from labels alone.",
            "With and without teachers",
            "the twin without teachers. These settings are the recipe's: a twin with settings of its own can do better than this one.",
        ),
    }
}

/// Training curves of both networks.
fn curves(plan: &Plan, summary: &Summary, events: &[Value]) -> Finding {
    let stages = [(Stage::Main, "this network"), (Stage::Twin, "twin")];
    let augmented = if plan.common.augment == Augment::default() { "" } else { ", augmented" };
    let series = |key: &str, scale: f64| -> Vec<Series> {
        let mut all = vec![];
        for (stage, name) in stages {
            for (split, words) in [("train", "train"), ("validation", "validation")] {
                let of_stage = events.iter().filter(|e| e["stage"] == serde_json::json!(stage));
                // Labels that weigh nothing have no loss.
                let nothing = |value: f64| (split, key) == ("train", "loss") && value == 0.0;
                let value = |e: &Value| e[split][key].as_f64().filter(|value| !nothing(*value));
                let point = |e: &Value| Some([e["epoch"].as_f64()?, scale * value(e)?]);
                let points: Vec<[f64; 2]> = of_stage.filter_map(point).collect();
                if !points.is_empty() {
                    all.push(Series { name: format!("{name}, {words}"), points });
                }
            }
        }
        all
    };
    let by = match plan.common.train.loss {
        ClassLoss::Binary => ", its loss being the binary cross-entropies of all classes",
        ClassLoss::CrossEntropy => "",
    };
    let figure = |title: &str, y: &str, key: &str, scale: f64| Figure::Curves {
        title: title.into(),
        caption: format!(
            "After each epoch. On train: as seen during the epoch{augmented}{by}; on validation: after it, so that validation can \
             lie better than train."
        ),
        x: "epoch".into(),
        y: y.into(),
        series: series(key, scale),
    };
    let score = summary.test.score;
    let (name, unit) = words(score, plan.common.objective);
    Finding {
        name: "training".into(),
        title: "Training".into(),
        statement: format!("The network saved is that of epoch {}.", summary.epoch),
        numbers: vec![],
        figures: vec![
            figure(name, &format!("{} ({})", score.name(), score.unit()), score.key(), score.scale()),
            figure("Loss", &format!("loss ({unit})"), "loss", 1.0),
        ],
    }
}

/// What `interp-train compact` would leave, in words; nothing where it would cut nothing.
fn left(network: &Network, small: &Network) -> String {
    if small.graph == network.graph {
        return String::new();
    }
    let share = |of: fn(&Network) -> usize| percent(of(small) as f64 / of(network).max(1) as f64);
    let (parameters, multiply_adds) = (share(Network::parameters), share(Network::multiply_adds));
    format!(
        " Channels without effect can be cut out (interp-train compact): {parameters} of the parameters and {multiply_adds} of the \
         multiply-adds stay."
    )
}

/// The layer table, with the shares of weights, or gains of batch norms, that are zero and of channels that can be cut out.
fn layers(network: &Network) -> Result<Finding> {
    let small = network.compact()?.network;
    let mut table = vec![];
    for (id, row) in rows(network).into_iter().enumerate().filter(|(_, row)| row.parameters > 0) {
        let own = network.params.find(id, Role::Weight).or_else(|| network.params.find(id, Role::Gain));
        let zeros = match own {
            Some(values) => {
                let values = values.flatten_all()?.to_vec1::<f32>()?;
                percent(values.iter().filter(|w| **w == 0.0).count() as f64 / values.len().max(1) as f64)
            }
            None => "–".into(),
        };
        let shape = row.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
        let field = row.field.map_or("varies".into(), |[rows, columns]| format!("{rows} × {columns}"));
        let cut = row.shape[0].saturating_sub(small.graph.shape(id)[0]).to_string();
        table.push(vec![row.name, row.op, shape, row.parameters.to_string(), zeros, cut, field]);
    }
    let figure = Figure::Table {
        title: "Layers with parameters".into(),
        caption: "Output without the batch; zeros are exact, of a batch norm those of its gains; channels can be cut out where they \
                  change no output; the receptive field is before clipping to the picture."
            .into(),
        columns: ["layer", "operation", "output", "parameters", "weights zero", "channels to cut", "receptive field"]
            .map(str::to_owned)
            .to_vec(),
        rows: table,
    };
    Ok(Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: format!("What the network is made of, measured on the saved file.{}", left(network, &small)),
        numbers: vec![],
        figures: vec![figure],
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::zoo::{Architecture, Vgg};

    use super::*;

    // Two of eight channels of the first layer have a gain of 0 and a shift below it, which a ReLU takes away.
    #[test]
    fn layers_say_which_channels_can_be_cut() {
        let graph = Vgg { depth: 8, width: 0.125, ..Vgg::default() }.graph([3, 32, 32], 10).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        let whole = layers(&net).unwrap();
        assert!(!whole.statement.contains("compact"), "{}", whole.statement);
        for (role, value) in [(Role::Gain, 0.0), (Role::Shift, -0.1)] {
            let position = net.params.position(net.graph.id("features.1").unwrap(), role).unwrap();
            let mut values = net.params.list()[position].value.to_vec1::<f32>().unwrap();
            values[1..3].fill(value);
            net.params.set(position, Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
        }
        let found = layers(&net).unwrap();
        let [Figure::Table { rows, .. }] = found.figures.as_slice() else { panic!("{:?}", found.figures) };
        let cells = |name: &str| {
            let row = rows.iter().find(|row| row[0] == name).unwrap();
            [row[4].clone(), row[5].clone()]
        };
        assert_eq!(cells("features.0"), ["0.00 %", "2"]);
        assert_eq!(cells("features.1"), ["25.00 %", "2"]);
        assert_eq!(cells("features.4"), ["0.00 %", "0"]);
        assert!(found.statement.contains("compact"), "{}", found.statement);
    }
}
