//! `interp-audit context`: whether a network decides by objects, or by what is around them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use interp_audit::{Parts, context};
use interp_finding::{Better, Figure, Finding, Number, mean_interval, share_interval};
use interp_report::Page;
use serde_json::{Value, json};

use super::Ending;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use crate::{Catalog, Result};

/// Whether a network decides by objects, or by what is around them: it is shown both parts of every picture alone
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit context checkpoints/sparse_vgg --out context\n\n\
    The data must know where objects are: `concepts` does, a folder by label maps (docs/context.md).\n\
    Writes DIR/data.safetensors (index, label, class, object.class, context.class, flat.class, swapped.class (N), i64; object.probability, context.probability, moved (N), f64), \
    DIR/summary.json and DIR/report.html")]
pub(super) struct Context {
    #[command(flatten)]
    on: OnPictures,
    /// The folder to write
    #[arg(long, default_value = "context", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// Pictures of a class, or all.
struct Row<'a> {
    name: String,
    parts: Vec<&'a Parts>,
}

impl Row<'_> {
    /// The share of pictures that the network is right on, by a part.
    fn right(&self, class: fn(&Parts) -> usize) -> f64 {
        self.parts.iter().filter(|parts| class(parts) == parts.label).count() as f64 / self.parts.len().max(1) as f64
    }

    /// The mean over pictures, times a factor, with its interval.
    fn mean(&self, of: fn(&Parts) -> f64, factor: f64, unit: &str) -> Number {
        let values: Vec<f64> = self.parts.iter().map(|parts| factor * of(parts)).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let [low, high] = mean_interval(&values);
        Number::new(mean, unit, Better::Lower).with_interval(low, high)
    }

    fn bias(&self) -> Number {
        self.mean(Parts::bias, 1.0, "")
    }

    fn moved(&self) -> Number {
        self.mean(|parts| parts.moved, 100.0, "points")
    }

    fn cells(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let shown = |number: &Number, digits: usize| {
            let [low, high] = number.interval.unwrap_or([number.value; 2]);
            format!("{:.digits$} ({low:.digits$} to {high:.digits$})", number.value)
        };
        let right: [fn(&Parts) -> usize; 4] =
            [|p| p.whole.class, |p| p.object.class, |p| p.context.class, |p| p.swapped.class];
        let shares = right.map(|class| percent(self.right(class)));
        let counts = [self.name.clone(), self.parts.len().to_string()];
        counts.into_iter().chain(shares).chain([shown(&self.bias(), 3), shown(&self.moved(), 1)]).collect()
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "count": self.parts.len(), "right": self.right(|parts| parts.whole.class),
            "right_by_object": self.right(|parts| parts.object.class), "right_by_context": self.right(|parts| parts.context.class),
            "right_with_other_color": self.right(|parts| parts.swapped.class), "bias": self.bias(), "moved": self.moved(),
        })
    }
}

impl Context {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open_classifier(catalog)?;
        let parts = context(&opened.network, &opened.pictures)?;
        self.outcome(&opened, &parts)?.write_and_tell(&self.out, self.on.json)
    }

    fn outcome(&self, opened: &Opened, parts: &[Parts]) -> Result<Outcome> {
        let Opened { path, info, .. } = opened;
        let of = |(class, name): (usize, &String)| {
            let parts: Vec<&Parts> = parts.iter().filter(|parts| parts.label == class).collect();
            (!parts.is_empty()).then(|| Row { name: name.clone(), parts })
        };
        let all = Row { name: "all".into(), parts: parts.iter().collect() };
        let rows: Vec<Row<'_>> = std::iter::once(all).chain(info.classes.iter().enumerate().filter_map(of)).collect();
        let told = (HEAD.map(str::to_owned).to_vec(), rows.iter().map(Row::cells).collect::<Vec<_>>());
        Ok(Outcome {
            tensors: tensors(parts)?,
            summary: json!({
                "version": 1, "checkpoint": path.display().to_string(), "data": info.name, "split": self.on.split,
                "all": rows[0].json(), "classes": rows[1..].iter().map(Row::json).collect::<Vec<_>>(),
            }),
            page: page(opened, &rows[0], &told),
            told,
        })
    }
}

const HEAD: [&str; 8] = [
    "pictures of",
    "pictures",
    "right",
    "right by the object alone",
    "right by the rest alone",
    "right with another color around",
    "bias",
    "moved by the color, points",
];

fn tensors(parts: &[Parts]) -> Result<BTreeMap<String, Tensor>> {
    let whole = |of: fn(&Parts) -> usize| -> Result<Tensor> {
        let numbers: Vec<i64> = parts.iter().map(|parts| of(parts) as i64).collect();
        Ok(Tensor::from_vec(numbers, parts.len(), &Device::Cpu)?)
    };
    let share = |of: fn(&Parts) -> f64| -> Result<Tensor> {
        Ok(Tensor::from_vec(parts.iter().map(of).collect::<Vec<f64>>(), parts.len(), &Device::Cpu)?)
    };
    Ok(BTreeMap::from([
        ("index".to_owned(), whole(|parts| parts.index)?),
        ("label".to_owned(), whole(|parts| parts.label)?),
        ("class".to_owned(), whole(|parts| parts.whole.class)?),
        ("object.class".to_owned(), whole(|parts| parts.object.class)?),
        ("context.class".to_owned(), whole(|parts| parts.context.class)?),
        ("flat.class".to_owned(), whole(|parts| parts.flat.class)?),
        ("swapped.class".to_owned(), whole(|parts| parts.swapped.class)?),
        ("object.probability".to_owned(), share(|parts| parts.object.probability)?),
        ("context.probability".to_owned(), share(|parts| parts.context.probability)?),
        ("moved".to_owned(), share(|parts| parts.moved)?),
    ]))
}

/// The class that most pictures are taken for by what is around the object: a network may have one for whatever has no object.
fn most_taken(parts: &[&Parts], classes: &[String]) -> String {
    let count = |class: usize| parts.iter().filter(|parts| parts.context.class == class).count();
    let most = classes.iter().enumerate().map(|(class, name)| (count(class), name)).max_by_key(|(count, _)| *count);
    let share = |count: usize| 100.0 * count as f64 / parts.len().max(1) as f64;
    most.map_or(String::new(), |(count, name)| format!(", and {:.1} % of all for {name}", share(count)))
}

fn page(opened: &Opened, all: &Row<'_>, (columns, rows): &(Vec<String>, Vec<Vec<String>>)) -> Page {
    let count = all.parts.len();
    let by_rest = all.parts.iter().filter(|parts| parts.context.class == parts.whole.class).count();
    let [low, high] = share_interval(by_rest, count).map(|end| 100.0 * end);
    let share = 100.0 * by_rest as f64 / count.max(1) as f64;
    let finding = Finding {
        name: "context".into(),
        title: "By the object, or by the rest".into(),
        statement: format!(
            "Of {count} pictures the network takes {share:.1} % ({low:.1} to {high:.1} %) for the same class when it sees only what is around the object{}. Another color around the object moves {:.1} points of probability.",
            most_taken(&all.parts, &opened.info.classes),
            all.moved().value
        ),
        numbers: vec![("bias".into(), all.bias()), ("moved by the color around objects".into(), all.moved())],
        figures: vec![Figure::Table {
            title: "Parts of pictures".into(),
            caption: "Right: pictures taken for their label; the whole of them, the object alone (around it the mean color of the data), and the rest alone (its own mean color in the object's \
                      place). Bias: of the probability of the class that the whole picture is taken for, what the rest alone gives beside the object alone, p(rest) / (p(rest) + p(object)), a \
                      mean over pictures with its 95 % interval; 0 where objects decide, 1 where the rest does. Moved by the color: how much of the probability goes to other classes when the mean color around \
                      the next picture's object is around theirs in place of their own mean color, a mean over pictures in points. The network never learned from such pictures: what it makes of \
                      an edge or of a flat color is part of the bias, and hardly of the last."
                .into(),
            columns: columns.clone(),
            rows: rows.clone(),
        }],
    };
    Page {
        title: "Objects and what is around them".into(),
        lead: "A network that is right for the wrong reason is right on the background too.".into(),
        warnings: vec![],
        facts: vec![("Network".into(), opened.path.display().to_string()), ("Data".into(), opened.info.name.clone())],
        claims: vec![],
        findings: vec![finding],
        source: None,
    }
}
