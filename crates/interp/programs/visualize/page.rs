//! The page of pictures that neurons answer to most.

use interp_finding::{Better, Figure, Finding, Number};
use interp_report::Page;

use super::super::on_pictures::Known;
use super::super::tiles::stacked;
use super::{Layer, Shown, Visualize, What};

/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 96;

/// Heads, and a row for each neuron.
pub(super) fn neurons(layers: &[Layer]) -> (Vec<String>, Vec<Vec<String>>) {
    let compared = layers.iter().flat_map(|layer| &layer.neurons).any(|shown| shown.best.is_some());
    let varied = layers.iter().flat_map(|layer| &layer.neurons).any(|shown| shown.found.pictures.len() > 1);
    let mut columns = vec!["layer", "neuron", "activation"];
    columns.extend(compared.then_some(["largest in data", "times"]).into_iter().flatten());
    columns.extend(varied.then_some("likeness"));
    let told = layers.iter().flat_map(|layer| &layer.neurons).any(|shown| shown.taken_for.is_some());
    columns.extend(told.then_some("taken for"));
    let row = |layer: &str, shown: &Shown| {
        let mut row = vec![layer.to_owned(), shown.name.clone(), format!("{:.3}", shown.peak())];
        if compared {
            let best = shown.best.as_ref().map_or("–".into(), |(peak, _)| format!("{:.3}", peak.activation));
            row.extend([best, shown.ratio().map_or("–".into(), |ratio| format!("{ratio:.2}"))]);
        }
        if varied {
            row.push(format!("{:.3}", shown.found.likeness));
        }
        if told {
            row.push(shown.taken_for.clone().unwrap_or_else(|| "–".into()));
        }
        row
    };
    let rows = layers.iter().flat_map(|layer| layer.neurons.iter().map(|shown| row(&layer.name, shown)));
    (columns.into_iter().map(str::to_owned).collect(), rows.collect())
}

pub(super) fn of(asked: &Visualize, known: &Known, layers: &[Layer]) -> Page {
    let (columns, rows) = neurons(layers);
    let table = Figure::Table {
        title: "Neurons".into(),
        caption: "Activation: the largest over the map, for the picture as it is, the best one where there are several. Largest in data: the same over all \
                  pictures of the data set, and times how often that goes into the activation; – of neurons that answer to none. Likeness: the mean cosine \
                  between the textures (Gram matrices of the layer) of a neuron's pictures; 1 is all alike. Taken for: of classes, which one the network tells of \
                  the first picture."
            .into(),
        columns,
        rows,
    };
    let mut ratios: Vec<f64> = layers.iter().flat_map(|layer| &layer.neurons).filter_map(Shown::ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let numbers = Finding {
        name: "neurons".into(),
        title: "How much they answer".into(),
        statement: statement(&ratios),
        numbers: interp_finding::median(ratios.to_vec())
            .map(|ratio| {
                ("activation over the largest in data, median".into(), Number::new(ratio, "times", Better::Higher))
            })
            .into_iter()
            .collect(),
        figures: vec![table],
    };
    let pictures = layers.iter().map(|layer| Finding {
        name: layer.name.clone(),
        title: layer.name.clone(),
        statement: String::new(),
        numbers: vec![],
        figures: vec![figure(known, layer)],
    });
    let goal = match asked.goal {
        What::Channel => "the mean of a channel's map",
        What::Neuron => "the neuron in the middle of a channel's map",
    };
    let mut facts = vec![("Network".to_owned(), known.path.display().to_string()), ("Maximized".into(), goal.into())];
    if known.pictures.is_some() {
        facts.push(("Data".into(), known.info.name.clone()));
    }
    facts.push(("Steps".into(), asked.steps.to_string()));
    Page {
        title: "What neurons answer to most".into(),
        lead: "Pictures that were changed step by step until a neuron answered to them as much as it can. They are not of this world: they exaggerate what \
               drives the neuron, and leave out what in real pictures goes along with it. What matters is what the picture and the data's have in common."
            .into(),
        warnings: warnings(asked, layers),
        facts,
        claims: vec![],
        findings: pictures.chain(std::iter::once(numbers)).collect(),
        source: None,
    }
}

/// What follows from the numbers.
fn statement(ratios: &[f64]) -> String {
    let more = ratios.iter().filter(|ratio| **ratio > 1.0).count();
    match interp_finding::median(ratios.to_vec()) {
        Some(median) => format!(
            "{more} of {} neurons answer more to their picture than to any of the data set; in the median {median:.2} times as much.",
            ratios.len()
        ),
        None => String::new(),
    }
}

fn warnings(asked: &Visualize, layers: &[Layer]) -> Vec<String> {
    let silent: Vec<String> = layers
        .iter()
        .flat_map(|layer| layer.neurons.iter().map(move |shown| (layer, shown)))
        .filter(|(_, shown)| shown.peak() <= 0.0)
        .map(|(layer, shown)| format!("{}:{}", layer.name, shown.name))
        .collect();
    let mut warnings = vec![];
    let others = layers
        .iter()
        .flat_map(|layer| &layer.neurons)
        .filter_map(|shown| Some((&shown.name, shown.taken_for.as_ref()?)));
    let others: Vec<String> =
        others.filter(|(name, taken)| name != taken).map(|(name, taken)| format!("{name} ({taken})")).collect();
    if !others.is_empty() {
        warnings.push(format!(
            "An output is maximized by itself, and others may grow more: these classes' pictures are taken for others, {}. They show what raises the \
             output, not what decides for the class.",
            others.join(", ")
        ));
    }
    if !silent.is_empty() {
        warnings.push(format!("No picture was found that these answer to: {}.", silent.join(", ")));
    }
    if asked.still {
        warnings.push(
            "Pictures were not moved while they were changed (--still): they may be of patterns that the network answers to in this very place alone.".into(),
        );
    }
    warnings
}

/// A column for each neuron: its pictures, and below them that of the data.
fn figure(known: &Known, layer: &Layer) -> Figure {
    let info = &known.info;
    let size = [info.height, info.width, info.channels];
    let column = |shown: &Shown| {
        let mut pictures: Vec<&[f32]> = shown.found.pictures.iter().map(|one| one.pixels.as_slice()).collect();
        pictures.extend(shown.best.as_ref().map(|(_, pixels)| pixels.as_slice()));
        let times = shown.ratio().map_or(String::new(), |ratio| format!(" × {ratio:.1}"));
        stacked(format!("{}{times}", shown.name), &pictures, size)
    };
    let variants = layer.neurons.first().map_or(0, |shown| shown.found.pictures.len());
    let own =
        if variants > 1 { format!("{variants} pictures that were found") } else { "the picture that was found".into() };
    let caption = match known.pictures {
        Some(_) => format!(
            "By column a neuron: {own}, and at the bottom the one of {} that it answers to most, where it answers to any. Times: how often its answer to that goes into its answer to this; below 1 the search fell short.",
            info.name
        ),
        None => format!("By column a neuron: {own}."),
    };
    Figure::Pictures {
        title: format!("Neurons of {}", layer.name),
        caption,
        pictures: layer.neurons.iter().map(column).collect(),
        zoom: (SIDE / info.height.max(1)).max(1),
    }
}
