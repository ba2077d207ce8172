//! The page of inverted activations.

use interp_audit::visualize::Inverted;
use interp_finding::{Figure, Finding, Named, Series};
use interp_report::Page;

use super::super::chosen::Subject;
use super::super::colors::denormalized;
use super::super::tiles::named;
use super::Layer;
use crate::Result;

/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 96;

/// Heads, and a row for each layer.
pub(super) fn table(layers: &[Layer]) -> (Vec<String>, Vec<Vec<String>>) {
    let columns = ["layer", "error", "of another picture", "pixel error"].map(str::to_owned);
    let shown = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.3}"));
    let row = |layer: &Layer| {
        let median = |of: fn(&Inverted) -> Option<f64>| shown(layer.median(of));
        vec![
            layer.name.clone(),
            median(|found| found.error),
            median(|found| found.other),
            median(|found| Some(found.pixel_error)),
        ]
    };
    (columns.into(), layers.iter().map(row).collect())
}

pub(super) fn of(subject: &Subject, layers: &[Layer]) -> Result<Page> {
    let (columns, rows) = table(layers);
    let table = Figure::Table {
        title: "Layers".into(),
        caption: "Medians over pictures. Error: how far the activation of what was found is from that which was asked for, in parts of its length; beside it the \
                  same of another of these pictures: an error far below it says that the activation was met. Pixel error: the root of the mean square \
                  difference from the picture itself, of pixel values in [0, 1]."
            .into(),
        columns,
        rows,
    };
    let points = |of: fn(&Inverted) -> Option<f64>| -> Vec<[f64; 2]> {
        layers.iter().enumerate().filter_map(|(at, layer)| Some([at as f64 + 1.0, layer.median(of)?])).collect()
    };
    let curves = Figure::Curves {
        title: "What is lost".into(),
        caption: "The same medians. Where the error of activations stays small and that of pixels grows, the layer no longer tells what is missing, \
                  or what is missing costs more (--bound, --variation) than it would tell."
            .into(),
        x: "layer, in the order of the table".into(),
        y: "error".into(),
        series: vec![
            Series { name: "activation".into(), points: points(|found| found.error) },
            Series { name: "pixels".into(), points: points(|found| Some(found.pixel_error)) },
        ],
    };
    let numbers = Finding {
        name: "layers".into(),
        title: "How near they come".into(),
        statement: statement(layers),
        numbers: vec![],
        figures: vec![table, curves],
    };
    let figures = (0..subject.shown.indices.len()).map(|at| picture(subject, layers, at)).collect::<Result<_>>()?;
    let pictures = Finding {
        name: "pictures".into(),
        title: "Pictures".into(),
        statement: String::new(),
        numbers: vec![],
        figures,
    };
    let mut facts = vec![("Network".to_owned(), subject.path.display().to_string())];
    if !subject.info.name.is_empty() {
        facts.push(("Data".into(), subject.info.name.clone()));
    }
    Ok(Page {
        title: "What layers still know".into(),
        lead: "Left the picture; then, by layer, one whose activation there comes as near as was found, from noise, and smooth where the layer does not \
               ask for more (--variation, --bound). What it has of the picture the layer still knows. Where the error is small, the layer hardly tells \
               what is missing, or elsewhere."
            .into(),
        warnings: warnings(layers),
        facts,
        claims: vec![],
        findings: vec![pictures, numbers],
        source: None,
    })
}

/// What follows from the numbers.
fn statement(layers: &[Layer]) -> String {
    let pixel = |layer: &Layer| Some((layer.name.clone(), layer.median(|found| Some(found.pixel_error))?));
    match (layers.first().and_then(pixel), layers.last().and_then(pixel)) {
        (Some((first, near)), Some((last, far))) if layers.len() > 1 => {
            format!("The median error of pixels is {near:.3} from {first}, and {far:.3} from {last}.")
        }
        _ => String::new(),
    }
}

/// An activation is met where the error is less than this share of that of another picture.
const MET: f64 = 0.3;

fn warnings(layers: &[Layer]) -> Vec<String> {
    let far = |layer: &&Layer| {
        let [own, other] = [layer.median(|found| found.error), layer.median(|found| found.other)];
        own.is_some_and(|own| own > MET * other.unwrap_or(1.0))
    };
    let names: Vec<&str> = layers.iter().filter(far).map(|layer| layer.name.as_str()).collect();
    let said = format!(
        "The search did not meet the activations of {}: what is missing in their pictures need not be missing there. More --steps come nearer.",
        names.join(", ")
    );
    (!names.is_empty()).then_some(said).into_iter().collect()
}

fn picture(subject: &Subject, layers: &[Layer], at: usize) -> Result<Figure> {
    let info = &subject.info;
    let size = [info.height, info.width, info.channels];
    let own = subject.shown.pictures.get(at)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?; // (C, H, W) -> (H, W, C)
    let mut pictures: Vec<Named> = vec![named("picture".into(), &denormalized(&own, info), size)];
    for Layer { name, found } in layers {
        let error = found[at].error.map_or("–".into(), |error| format!("{error:.3}"));
        pictures.push(named(format!("{name}: {error}"), &found[at].pixels, size));
    }
    let label = subject.shown.labels.as_ref().map(|labels| format!("It is of class {}. ", subject.class(labels[at])));
    Ok(Figure::Pictures {
        title: subject.shown.name(at),
        caption: format!("{}Below each layer the error of its activation.", label.unwrap_or_default()),
        pictures,
        zoom: (SIDE / info.height.max(1)).max(1),
    })
}
