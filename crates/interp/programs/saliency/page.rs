//! The page of saliency: a table of methods, and each picture with its maps.

use interp_audit::saliency::Question;
use interp_data::Info;
use interp_finding::{Figure, Finding, Named, Number};
use interp_report::{Page, number};

use super::super::colors::{bytes, color_of, denormalized, heat};
use super::Subject;
use super::found::{Found, best_control};
use crate::Result;

/// What is told where objects are known.
const LOCATED: &str = " Hits: pictures in whose object the map is largest; where several pixels are the largest, their share in it. Mass in the object: the share of \
    what is positive that lies in it. Center, edges and random know nothing of the network; hits beyond the best of them are told picture by picture, so that pictures \
    that are easy for both do not count. In brackets 95 % intervals over pictures.";

/// Heads and rows.
type Cells = (Vec<String>, Vec<Vec<String>>);

pub(super) fn of(subject: &Subject, question: &Question<'_>, logits: &[Vec<f64>], found: &[Found]) -> Result<Page> {
    let info = &subject.info;
    let (columns, rows) = methods(found)?;
    let is_located = found.iter().any(|found| found.located.is_some());
    let table = Figure::Table {
        title: "Methods".into(),
        caption: format!(
            "Without evidence: pictures of which nothing speaks for the output.{}",
            if is_located { LOCATED } else { "" }
        ),
        columns,
        rows,
    };
    let shown = |(at, logits): (usize, &Vec<f64>)| picture(subject, question, logits, found, at);
    let pictures = logits.iter().enumerate().map(shown).collect::<Result<_>>()?;
    let node = &question.net.graph.nodes()[question.layer].name;
    let maps = Finding {
        name: "maps".into(),
        title: "Pictures".into(),
        statement: "Left the picture; then, by method, where the evidence for the output lies: red for it, blue against it, white neither, each map \
                    by its own largest number. Of gradients, red is how much the output is sensitive to a pixel, whatever the direction."
            .into(),
        numbers: vec![],
        figures: pictures,
    };
    let methods = Finding {
        name: "methods".into(),
        title: "What the methods say".into(),
        statement: statement(found),
        numbers: vec![],
        figures: vec![table],
    };
    let mut facts = vec![("Network".to_owned(), subject.path.display().to_string())];
    if !info.name.is_empty() {
        facts.push(("Data".into(), info.name.clone()));
    }
    facts.extend([("Pictures".into(), question.targets.len().to_string()), ("Maps of".into(), node.clone())]);
    Ok(Page {
        title: "Where the evidence lies".into(),
        lead: format!(
            "Maps of what speaks for an output of the network, by several methods. They need not agree, and none of them is the truth: what \
               they are worth {}.",
            if found.iter().any(Found::is_control) {
                "here is told by the controls"
            } else {
                "is told by `interp-audit metrics`"
            }
        ),
        warnings: warnings(found),
        facts,
        claims: vec![],
        findings: vec![methods, maps],
        source: None,
    })
}

/// A row for each method.
pub(super) fn methods(found: &[Found]) -> Result<Cells> {
    let located = found.iter().any(|found| found.located.is_some());
    let mut columns = vec!["method", "pictures/s", "without evidence"];
    let control = best_control(found);
    let beyond = control.map(|control| format!("hits beyond {}", control.name));
    columns.extend(located.then_some(["hits", "mass in the object"]).into_iter().flatten());
    columns.extend(beyond.as_deref());
    let shown = |number: Option<Number>| {
        number.map_or(String::new(), |number| {
            let [low, high] = number.interval.unwrap_or([number.value; 2]);
            format!("{:.1} % [{low:.1}, {high:.1}]", number.value)
        })
    };
    let row = |found: &Found| -> Result<Vec<String>> {
        let silent = found.attribution.speaks()?.iter().filter(|speaks| !**speaks).count();
        let rate = found.maps.len() as f64 / found.seconds.max(1e-9);
        let mut row = vec![found.name.clone(), format!("{rate:.1}"), silent.to_string()];
        if located {
            row.extend([shown(found.hits()), shown(found.mass())]);
        }
        row.extend(control.map(|control| shown(found.beyond(control))));
        Ok(row)
    };
    Ok((columns.into_iter().map(str::to_owned).collect(), found.iter().map(row).collect::<Result<_>>()?))
}

/// What follows from the numbers.
fn statement(found: &[Found]) -> String {
    let methods = || found.iter().filter(|found| !found.is_control());
    let hits = |found: &&Found| found.hits().map_or(0.0, |hits| hits.value);
    let (Some(control), Some(best)) = (best_control(found), methods().max_by(|a, b| hits(a).total_cmp(&hits(b))))
    else {
        return String::new();
    };
    let intervals: Vec<[f64; 2]> = methods().filter_map(|found| found.beyond(control)?.interval).collect();
    let above = intervals.iter().filter(|[low, _]| *low > 0.0).count();
    let below = intervals.iter().filter(|[_, high]| *high < 0.0).count();
    format!(
        "Of {} methods {above} {} at the object more often than the best control, {} ({} %), {below} less often; of {} these pictures tell no \
         difference (95 % intervals of the mean difference, picture by picture). Most often at the object is {} ({} %).",
        intervals.len(),
        if above == 1 { "points" } else { "point" },
        control.name,
        number::show(hits(&control)),
        intervals.len() - above - below,
        best.name,
        number::show(hits(&best)),
    )
}

fn warnings(found: &[Found]) -> Vec<String> {
    let guided = found.iter().any(|found| found.name == "guided_backpropagation");
    let said = "Guided backpropagation fails the test by random weights: what it shows are edges, whatever the network has learned. It is here as a \
                control.";
    guided.then(|| said.to_owned()).into_iter().collect()
}

fn picture(subject: &Subject, question: &Question<'_>, logits: &[f64], found: &[Found], at: usize) -> Result<Figure> {
    let info = &subject.info;
    let name = |class: usize| subject.class(class);
    let own = subject.shown.pictures.get(at)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?; // (C, H, W) -> (H, W, C)
    let own = denormalized(&own, info);
    let mut pictures = vec![named("picture", bytes(own.chunks_exact(info.channels).map(color_of)), info)];
    for Found { name, maps, .. } in found {
        let map: Vec<f32> = maps[at].iter().map(|&value| value as f32).collect();
        pictures.push(named(name, bytes(heat(&map)), info));
    }
    let target = question.targets[at];
    let label = subject.shown.labels.as_ref().map(|labels| format!("It is of class {}. ", name(labels[at])));
    let caption = format!(
        "{}Explained is the output {}, {}.",
        label.unwrap_or_default(),
        name(target),
        number::show(logits[target])
    );
    let zoom = (96 / info.height.max(1)).max(1);
    Ok(Figure::Pictures { title: subject.shown.name(at), caption, pictures, zoom })
}

fn named(name: &str, rgb: Vec<u8>, info: &Info) -> Named {
    Named { name: name.replace('_', " "), width: info.width, height: info.height, rgb }
}
