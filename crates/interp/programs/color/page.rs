//! The page of colors.

use interp_audit::color::{Axis, LayerColors, hue_name};
use interp_audit::neurons::Selectivity;
use interp_finding::{Figure, Finding, Named, Series, median};
use interp_net::Graph;
use interp_report::Page;

use super::super::colors::{bytes, color_of};
use super::super::on_pictures::Opened;
use super::super::thumbnails::thinned;
use super::wheel::wheel;
use super::{Found, kind, vision};

pub(super) use interp_audit::color::CHANCE;

/// Neurons shown of each layer.
const SHOWN: usize = 16;
/// Pixels of the screen that a feature takes, about.
const SIDE: usize = 72;

type Rows = (Vec<String>, Vec<Vec<String>>);

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A probability in words.
pub(super) fn chance_of(p: f64) -> String {
    if p < 0.001 { "p < 0.001".into() } else { format!("p = {p:.3}") }
}

/// A p-value.
fn chance(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

/// The median selectivity of a layer with random weights.
pub(super) fn untrained_median(found: &Found<'_>, at: usize) -> Option<f64> {
    median(found.untrained[at].iter().flatten().map(|found| found.index).collect())
}

/// The share of its neurons that are selective.
pub(super) fn untrained_selective(found: &Found<'_>, at: usize, selective: f64) -> f64 {
    let all = found.untrained[at].iter().flatten();
    let (count, some) =
        all.fold((0usize, 0usize), |(count, some), s| (count + 1, some + usize::from(s.index >= selective)));
    some as f64 / count.max(1) as f64
}

fn share(layer: &LayerColors) -> f64 {
    layer.selective as f64 / layer.alive.max(1) as f64
}

fn name<'a>(graph: &'a Graph, found: &Found<'_>, at: usize) -> &'a str {
    &graph.nodes()[found.survey.layers[at].node].name
}

/// How much color each layer selects.
pub(super) fn selectivity(graph: &Graph, found: &Found<'_>, selective: f64) -> Rows {
    let columns = ["layer", "neurons", "selectivity", "untrained", "selective", "untrained", "select hues"];
    let row = |(at, layer): (usize, &LayerColors)| {
        vec![
            name(graph, found, at).to_owned(),
            layer.alive.to_string(),
            number(layer.median, 3),
            number(untrained_median(found, at), 3),
            percent(share(layer)),
            percent(untrained_selective(found, at, selective)),
            percent(layer.hued as f64 / layer.alive.max(1) as f64),
        ]
    };
    (columns.map(str::to_owned).to_vec(), found.layers.iter().enumerate().map(row).collect())
}

/// Which hues, along which axis.
fn hues(graph: &Graph, found: &Found<'_>) -> Figure {
    let columns = [
        "layer",
        "one hue",
        "opposite hues",
        "several",
        "axis",
        "agreement",
        "p",
        "from the data's",
        "bits from the data",
    ];
    let row = |(at, layer): (usize, &LayerColors)| {
        let [single, opponent, several] = layer.kinds;
        let axis = |tell: &dyn Fn(&Axis) -> String| layer.axis.as_ref().map_or("–".to_owned(), tell);
        vec![
            name(graph, found, at).to_owned(),
            single.to_string(),
            opponent.to_string(),
            several.to_string(),
            axis(&|axis| format!("{:.0}° {}", axis.degrees, axis_name(axis.degrees))),
            axis(&|axis| format!("{:.2}", axis.agreement)),
            axis(&|axis| chance(axis.p)),
            axis(&|axis| format!("{:.0}°", axis.from_data)),
            number(layer.divergence, 2),
        ]
    };
    Figure::Table {
        title: "Which hues".into(),
        caption: format!(
            "Of the neurons that select hues: how many see one, two that are opposite (within 45 degrees), or several, by the peaks of the hues that their \
             largest answers see. Axis: that along which their hues lie, the same for opposite ones, how much they agree on it (0 to 1), and how often \
             axes that are drawn evenly agree as much (Rayleigh; the pictures' own colors lie along their axis too). The data's: the axis along which the colors of the pictures differ most, {:.0} \
             degrees ({}), with {:.0} % of their variance. Bits: the divergence of these hues from those of the pictures.",
            found.data.axis,
            axis_name(found.data.axis),
            100.0 * found.data.share
        ),
        columns: columns.map(str::to_owned).to_vec(),
        rows: found.layers.iter().enumerate().map(row).collect(),
    }
}

/// Both ends of an axis.
fn axis_name(degrees: f64) -> String {
    format!("{}–{}", hue_name(degrees), hue_name(degrees + 180.0))
}

/// Where in what they see, and to what fields.
fn places(graph: &Graph, found: &Found<'_>) -> Figure {
    let columns = [
        "layer",
        "middle",
        "around",
        "all over",
        "middle unlike around",
        "to plain colors",
        "to contrast",
        "tuning width",
    ];
    let row = |(at, layer): (usize, &LayerColors)| {
        let ([middle, around, both, unlike], [plain, contrast]) = (layer.places, layer.fields);
        let mut row = vec![name(graph, found, at).to_owned()];
        row.extend([middle, around, both, unlike, plain, contrast].map(|count| count.to_string()));
        row.push(layer.width.map_or("–".to_owned(), |width| format!("{width:.0}°")));
        row
    };
    Figure::Table {
        title: "Where, and to what".into(),
        caption: "Middle, around: neurons that select hues in the half of height and width in the middle of what they see, around it, in both, or in both but \
                  other ones (objects, surrounds, objects beside surrounds). To plain colors: neurons that answer to pictures of one color, as single-opponent cells do. To \
                  contrast: those that answer more than twice as much to a disk in a field of the opposite hue, as double-opponent cells do. Others answer to neither. \
                  Tuning width: degrees of hue in which the answer to plain colors is more than a half of the largest, the median."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: found.layers.iter().enumerate().map(row).collect(),
    }
}

/// What follows from the numbers, in sentences.
pub(super) fn statements(graph: &Graph, found: &Found<'_>, selective: f64) -> Vec<String> {
    let mut said = vec![];
    if let (Some(first), Some(last)) = (found.layers.first(), found.layers.last()) {
        let end = found.layers.len() - 1;
        let random = |at: usize| percent(untrained_selective(found, at, selective));
        let (of_first, of_last) = (percent(share(first)), percent(share(last)));
        let select = format!("select color (selectivity {selective} or more)");
        said.push(match end {
            0 => format!(
                "{of_first} of the neurons of {} {select}; with random weights {}.",
                name(graph, found, 0),
                random(0)
            ),
            _ => format!(
                "{of_first} of the neurons of {} {select} and {of_last} of those of {}; with random weights {} and {}.",
                name(graph, found, 0),
                name(graph, found, end),
                random(0),
                random(end)
            ),
        });
    }
    if let Some(distance) = found.first.as_ref().and_then(|first| first.distance) {
        let keep = if distance.p < CHANCE { "keep to" } else { "do not keep to" };
        said.push(format!(
            "The color filters of the first layer {keep} the axes red-cyan, yellow-blue and green-magenta: they are {:.1} degrees from the nearest, \
             random ones {:.1} ({}).",
            distance.mean, distance.null, chance_of(distance.p)
        ));
    }
    let narrow = |&(_, layer): &(usize, &LayerColors)| layer.axis.is_some_and(|axis| axis.p < CHANCE);
    let narrowed: Vec<(usize, &LayerColors)> = found.layers.iter().enumerate().filter(narrow).collect();
    let strongest = narrowed.iter().filter_map(|(at, layer)| Some((*at, layer.axis?)));
    match strongest.max_by(|a, b| a.1.agreement.total_cmp(&b.1.agreement)) {
        Some((at, axis)) => said.push(format!(
            "In {} of {} layers the selected hues lie along one axis more than axes drawn evenly would; most in {}, along {} ({:.0} degrees), {:.0} degrees from the \
             axis of the pictures' own colors.",
            narrowed.len(),
            found.layers.len(),
            name(graph, found, at),
            axis_name(axis.degrees),
            axis.degrees,
            axis.from_data
        )),
        None => said.push("In no layer do the selected hues lie along one axis more than axes drawn evenly would.".into()),
    }
    let sum = |of: fn(&LayerColors) -> usize| found.layers.iter().map(of).sum::<usize>();
    said.push(format!(
        "Of {} neurons that select hues {} see one, {} two opposite ones. {} neurons answer to plain colors and {} to contrast of colors.",
        sum(|l| l.hued),
        sum(|l| l.kinds[0]),
        sum(|l| l.kinds[1]),
        sum(|l| l.fields[0]),
        sum(|l| l.fields[1])
    ));
    said
}

pub(super) fn of(opened: &Opened, found: &Found<'_>, selective: f64) -> Page {
    let graph = &opened.network.graph;
    let finding = |name: &str, title: &str, statement: String, figures: Vec<Figure>| Finding {
        name: name.into(),
        title: title.into(),
        statement,
        numbers: vec![],
        figures,
    };
    let mut findings = vec![
        finding(
            "selectivity",
            "How much color is selected",
            statements(graph, found, selective).join(" "),
            vec![curves(graph, found, selective), table(selectivity(graph, found, selective), selective)],
        ),
        finding("hues", "Which hues are selected", String::new(), vec![wheels(graph, found), hues(graph, found)]),
        finding("places", "Where they are selected", String::new(), vec![places(graph, found)]),
        finding("vision", "Beside human vision", String::new(), vec![vision::table(graph, found, selective)]),
    ];
    let layers = (0..found.layers.len()).filter_map(|at| Some((at, neurons(opened, found, at)?)));
    findings.extend(
        layers.map(|(at, figure)| finding(name(graph, found, at), name(graph, found, at), String::new(), vec![figure])),
    );
    Page {
        title: format!("How color is represented, on {}", opened.info.name),
        lead: "Which neurons need color, which hues they select and along which axes, beside the hues that the pictures have anyway and beside the same network \
               with random weights."
            .into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), opened.path.display().to_string()),
            ("Pictures".into(), found.survey.pictures().to_string()),
        ],
        claims: vec![],
        findings,
        source: None,
    }
}

fn table((columns, rows): Rows, selective: f64) -> Figure {
    Figure::Table {
        title: "Color selectivity by layer".into(),
        caption: format!(
            "Selectivity: the share of its answers that a neuron loses when what it sees is gray, the median over the layer. Selective: neurons of {selective} \
             or more. Untrained: the same of the network with random weights. Select hues: neurons whose largest answers see other hues than places \
             drawn from the pictures do (p below {CHANCE}: chance makes {:.0} %).",
            100.0 * CHANCE
        ),
        columns,
        rows,
    }
}

fn curves(graph: &Graph, found: &Found<'_>, selective: f64) -> Figure {
    let points = |of: &dyn Fn(usize) -> f64| (0..found.layers.len()).map(|at| [(at + 1) as f64, of(at)]).collect();
    let series = |name: &str, points| Series { name: name.into(), points };
    let last = found.layers.len().saturating_sub(1);
    Figure::Curves {
        title: "Share of neurons that select color".into(),
        caption: format!(
            "By layer, from {} (1) to {} ({}).",
            name(graph, found, 0),
            name(graph, found, last),
            last + 1
        ),
        x: "layer".into(),
        y: "share".into(),
        series: vec![
            series("trained", points(&|at| share(&found.layers[at]))),
            series("random weights", points(&|at| untrained_selective(found, at, selective))),
        ],
    }
}

fn wheels(graph: &Graph, found: &Found<'_>) -> Figure {
    let mut pictures = vec![wheel("the pictures".into(), &found.data.hues.bins)];
    let layers = found.layers.iter().enumerate().filter(|(_, layer)| layer.hued > 0);
    pictures.extend(layers.map(|(at, layer)| wheel(name(graph, found, at).to_owned(), &layer.hues.bins)));
    Figure::Pictures {
        title: "Hues".into(),
        caption: "By chroma: of all pixels of the pictures, and of what the neurons of each layer that select hues see at their largest answers. Each bar has the \
                  hue that it stands for, the longest of each wheel the same length."
            .into(),
        pictures,
        zoom: 1,
    }
}

/// The channels of a layer, from that on which selects color most.
fn ranked(selectivity: &[Option<Selectivity>]) -> Vec<usize> {
    let index = |channel: usize| selectivity[channel].map_or(-1.0, |found| found.index);
    let mut order: Vec<usize> = (0..selectivity.len()).collect();
    order.sort_by(|&a, &b| index(b).total_cmp(&index(a)));
    order
}

/// Whether a channel is among those of its layer whose features are shown.
pub(super) fn is_shown(selectivity: &[Option<Selectivity>], channel: usize) -> bool {
    ranked(selectivity).into_iter().take(SHOWN).any(|shown| shown == channel)
}

/// The neurons of a layer that select color most.
fn neurons(opened: &Opened, found: &Found<'_>, at: usize) -> Option<Figure> {
    let channels = opened.info.channels;
    let order = ranked(&found.selectivity[at]);
    let index = |channel: usize| found.selectivity[at][channel].map_or(-1.0, |found| found.index);
    let shown = |&channel: &usize| {
        let feature = found.features[at][channel].as_ref()?;
        let ([height, width], pixels) = thinned(feature, channels, 2 * SIDE);
        let hues = found.hues[at][channel].as_ref();
        let told = hues.map_or(String::new(), |hues| {
            let peaks: Vec<&str> = hues.whole.hues.peaks().into_iter().take(2).map(hue_name).collect();
            if hues.whole.p < CHANCE { format!(", {}: {}", kind(hues.kind), peaks.join(", ")) } else { String::new() }
        });
        let rgb = bytes(pixels.chunks_exact(channels.max(1)).map(color_of));
        Some(Named { name: format!("{channel}: {:.2}{told}", index(channel)), width, height, rgb })
    };
    let pictures: Vec<Named> = order.iter().filter_map(shown).take(SHOWN).collect();
    let side = pictures.iter().map(|one| one.height.max(one.width)).max()?;
    Some(Figure::Pictures {
        title: "Neurons that select color most".into(),
        caption: "Their Neuron Features, with the selectivity, and the hues that they select where chance does not make them.".into(),
        pictures,
        zoom: (SIDE / side.max(1)).max(1),
    })
}
