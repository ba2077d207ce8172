//! The page of a run.

use interp_finding::{Better, Figure, Finding, Number, Series};
use interp_net::{Network, Op, Role, rows};
use interp_report::Page;
use serde_json::Value;

use crate::plan::Plan;
use crate::summary::Summary;
use crate::{Result, folder::Stage};

/// Puts the page together from what was measured and logged.
pub(super) fn page(plan: &Plan, summary: &Summary, events: &[Value], network: &Network) -> Result<Page> {
    let mut findings = vec![against_twin(summary), curves(summary, events)];
    findings.extend(first_filters(network)?);
    findings.push(layers(network)?);
    Ok(Page {
        title: format!("{}: {}", summary.name, headline(summary)),
        lead: lead(summary),
        facts: facts(plan, summary),
        claims: summary.claims.clone(),
        findings,
        source: Some(("Recipe, with every default written out".into(), plan.text.clone())),
    })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn headline(summary: &Summary) -> String {
    format!("{} on {}", percent(summary.test.accuracy), summary.data)
}

fn lead(summary: &Summary) -> String {
    let held = summary.claims.iter().filter(|c| c.holds).count();
    let claims = match summary.claims.len() {
        0 => "The recipe makes no claim about the network.".to_owned(),
        all => format!(
            "Of {all} claim(s) that the recipe makes about the network, {held} hold(s), measured on the saved file."
        ),
    };
    let Some(twin) = &summary.twin else { return claims };
    let [low, high] = twin.difference.interval;
    format!(
        "On {} test pictures the network is right on {}, its black-box twin on {}: a difference of {:+.2} points, with a \
         95 % interval from {low:+.2} to {high:+.2}. {claims}",
        summary.test.count,
        percent(summary.test.accuracy),
        percent(twin.test.accuracy),
        twin.difference.points
    )
}

fn facts(plan: &Plan, summary: &Summary) -> Vec<(String, String)> {
    let fact = |key: &str, value: String| (key.to_owned(), value);
    vec![
        fact("Data", summary.data.clone()),
        fact("Classes", plan.info().classes.join(", ")),
        fact("Seed", plan.common.seed.to_string()),
        fact("Time", format!("{:.0} s for everything", summary.seconds)),
        fact("Recipe hash", summary.recipe.chars().take(16).collect()),
    ]
}

/// The table of the network, and of its twin where there is one.
fn against_twin(summary: &Summary) -> Finding {
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
    let rows = vec![
        both("Accuracy on test", &|test, _, _| percent(test.accuracy)),
        row(
            "Accuracy on validation",
            percent(summary.validation.accuracy),
            twin.map(|t| percent(t.validation.accuracy)),
        ),
        both("Loss on test (nats)", &|test, _, _| format!("{:.4}", test.loss)),
        both("Parameters", &|_, size, _| size.parameters.to_string()),
        both("Parameters not zero", &|_, size, _| size.nonzero.to_string()),
        both("Multiply-adds", &|_, size, _| size.multiply_adds.to_string()),
        both("Chosen from epoch", &|_, _, epoch| epoch.to_string()),
    ];
    let (title, statement, name, caption) = match twin {
        None => (
            "How well the network does",
            "No twin was trained to compare with.",
            "This network",
            "The network of the epoch with the best validation accuracy among those that meet the claims, or the last where none \
             does.",
        ),
        Some(_) => (
            "What interpretability costs",
            "Accuracy of the network, and of its black-box twin: the same network without priors, with ReLUs.",
            "Interpretable network and twin",
            "Both were trained on the same pictures, in the same order, for as long, with the same learning rate, batch and \
             schedule; the twin without priors and with ReLUs. These settings are the recipe's: where they were chosen for the \
             interpretable network, a twin with settings of its own can do better than this one. Each is the network of the \
             epoch with the best validation accuracy among those that meet the claims, or the last where none does. One seed: \
             the interval is over test pictures, not over trainings.",
        ),
    };
    let table = Figure::Table {
        title: name.into(),
        caption: caption.into(),
        columns: row("", "this network".into(), twin.map(|_| "twin".into())),
        rows,
    };
    let mut numbers =
        vec![("Accuracy on test".to_owned(), Number::new(100.0 * summary.test.accuracy, "%", Better::Higher))];
    if let Some(twin) = twin {
        let [low, high] = twin.difference.interval;
        let difference = Number::new(twin.difference.points, "points", Better::Higher).with_interval(low, high);
        numbers.push(("Difference to the twin".into(), difference));
    }
    Finding { name: "twin".into(), title: title.into(), statement: statement.into(), numbers, figures: vec![table] }
}

/// Training curves of both networks.
fn curves(summary: &Summary, events: &[Value]) -> Finding {
    let stages = [(Stage::Main, "this network"), (Stage::Twin, "twin")];
    let series = |key: &str, scale: f64| -> Vec<Series> {
        let mut all = vec![];
        for (stage, name) in stages {
            for (split, words) in [("train", "train"), ("validation", "validation")] {
                let of_stage = events.iter().filter(|e| e["stage"] == serde_json::json!(stage));
                let point = |e: &Value| Some([e["epoch"].as_f64()?, scale * e[split][key].as_f64()?]);
                let points: Vec<[f64; 2]> = of_stage.filter_map(point).collect();
                if !points.is_empty() {
                    all.push(Series { name: format!("{name}, {words}"), points });
                }
            }
        }
        all
    };
    let figure = |title: &str, y: &str, key: &str, scale: f64| {
        Figure::Curves {
        title: title.into(),
        caption: "After each epoch. On train: as seen during the epoch, augmented; on validation: after it, so that validation \
                  can lie better than train."
            .into(),
        x: "epoch".into(),
        y: y.into(),
        series: series(key, scale),
    }
    };
    Finding {
        name: "training".into(),
        title: "Training".into(),
        statement: format!("The network saved is that of epoch {}.", summary.epoch),
        numbers: vec![],
        figures: vec![
            figure("Accuracy", "accuracy (%)", "accuracy", 100.0),
            figure("Loss", "cross-entropy (nats)", "loss", 1.0),
        ],
    }
}

/// The first convolution's filters as pictures, if it sees gray or color.
fn first_filters(network: &Network) -> Result<Option<Finding>> {
    let is_conv = |op: &Op| matches!(op, Op::Conv2d { .. });
    let Some(id) = network.graph.nodes().iter().position(|n| is_conv(&n.op)) else { return Ok(None) };
    let Some(weight) = network.params.find(id, Role::Weight) else { return Ok(None) };
    let below = &network.graph.nodes()[network.graph.nodes()[id].inputs[0]].op;
    // On and off channels are the picture and its negative: what reads them is one linear filter.
    let weight = if *below == Op::OnOff {
        let half = weight.dim(1)? / 2;
        (weight.narrow(1, 0, half)? - weight.narrow(1, half, half)?)?
    } else {
        weight.clone()
    };
    let (count, channels, height, width) = weight.dims4()?;
    if channels != 1 && channels != 3 {
        return Ok(None);
    }
    let values = weight.flatten_all()?.to_vec1::<f32>()?;
    let largest = values.iter().fold(0f32, |m, w| m.max(w.abs())).max(f32::MIN_POSITIVE);
    let columns = count.clamp(1, 16);
    let (sheet_w, sheet_h) = (columns * (width + 1) + 1, count.div_ceil(columns) * (height + 1) + 1);
    let mut rgb = vec![255u8; sheet_w * sheet_h * 3];
    for (i, w) in values.iter().enumerate() {
        let (x, y, c, k) =
            (i % width, i / width % height, i / (width * height) % channels, i / (width * height * channels));
        let shade = (255.0 * (0.5 + 0.5 * w / largest)).round() as u8;
        let at = ((k / columns * (height + 1) + 1 + y) * sheet_w + k % columns * (width + 1) + 1 + x) * 3;
        if channels == 3 {
            rgb[at + c] = shade;
        } else {
            rgb[at..at + 3].fill(shade);
        }
    }
    let zero = values.chunks(channels * height * width).filter(|f| f.iter().all(|w| *w == 0.0)).count();
    let picture = Figure::Picture {
        title: format!("Filters of {}", network.graph.nodes()[id].name),
        caption: "One scale for all filters: middle gray is a weight of 0, the brightest and darkest shade is the largest weight. \
                  In color, the red, green and blue of a pixel are the weights that read red, green and blue. Of \
                  on and off channels the difference is shown. It shows what the \
                  first layer looks for, not what the network decides by."
            .into(),
        width: sheet_w,
        height: sheet_h,
        rgb,
        zoom: 10,
    };
    Ok(Some(Finding {
        name: "first-filters".into(),
        title: "What the first layer looks for".into(),
        statement: format!("{count} filters of {height}x{width} pixels; {zero} of them are all zero."),
        numbers: vec![],
        figures: vec![picture],
    }))
}

/// The layer table, with the share of weights that are zero.
fn layers(network: &Network) -> Result<Finding> {
    let mut table = vec![];
    for (id, row) in rows(network).into_iter().enumerate().filter(|(_, row)| row.parameters > 0) {
        let zeros = match network.params.find(id, Role::Weight) {
            Some(weight) => {
                let values = weight.flatten_all()?.to_vec1::<f32>()?;
                percent(values.iter().filter(|w| **w == 0.0).count() as f64 / values.len().max(1) as f64)
            }
            None => "–".into(),
        };
        let shape = row.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
        let field = row.field.map_or("varies".into(), |[rows, columns]| format!("{rows} × {columns}"));
        table.push(vec![row.name, row.op, shape, row.parameters.to_string(), zeros, field]);
    }
    let figure = Figure::Table {
        title: "Layers with parameters".into(),
        caption: "Output without the batch; zeros are exact; the receptive field is before clipping to the picture."
            .into(),
        columns: ["layer", "operation", "output", "parameters", "weights zero", "receptive field"]
            .map(str::to_owned)
            .to_vec(),
        rows: table,
    };
    Ok(Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: "What the network is made of, measured on the saved file.".into(),
        numbers: vec![],
        figures: vec![figure],
    })
}
