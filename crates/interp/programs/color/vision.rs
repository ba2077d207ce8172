//! The network beside human vision, point by point.

use interp_audit::color::LayerColors;
use interp_finding::Figure;
use interp_net::Graph;

use super::Found;
use super::page::{CHANCE, chance_of, percent};

/// What is said of the visual system, what this network has, and whether they agree.
struct Point {
    published: &'static str,
    here: String,
    alike: &'static str,
}

const YES: &str = "yes";
const NO: &str = "no";
const UNKNOWN: &str = "cannot be told";

fn told(alike: Option<bool>) -> &'static str {
    alike.map_or(UNKNOWN, |alike| if alike { YES } else { NO })
}

/// Whether so many of all are more than tests that find nothing would make, by two standard errors.
fn beyond_chance(count: usize, all: usize) -> bool {
    let expected = CHANCE * all as f64;
    count as f64 > expected + 2.0 * (expected * (1.0 - CHANCE)).sqrt()
}

/// A table of all points.
pub(super) fn table(graph: &Graph, found: &Found<'_>, selective: f64) -> Figure {
    let points = [
        axes(graph, found),
        opponent_cells(graph, found),
        narrowing(found),
        deeper(graph, found),
        all_layers(found, selective),
    ];
    let row = |point: Point| vec![point.published.to_owned(), point.here, point.alike.to_owned()];
    Figure::Table {
        title: "Beside the visual system".into(),
        caption: "What physiology has found in primates, and what was found for networks before, beside this network. That both agree in a point does not \
                  say that they compute alike."
            .into(),
        columns: ["published", "here", "alike"].map(str::to_owned).to_vec(),
        rows: points.into_iter().map(row).collect(),
    }
}

fn axes(graph: &Graph, found: &Found<'_>) -> Point {
    let (here, alike) = match found.first.as_ref().and_then(|first| Some((first, first.distance?))) {
        Some((first, distance)) => (
            format!(
                "The color filters of {} are {:.1} degrees from the nearest of the axes red-cyan, yellow-blue and green-magenta, random ones \
                 {:.1} ({}).",
                graph.nodes()[first.node].name,
                distance.mean,
                distance.null,
                chance_of(distance.p)
            ),
            Some(distance.p < CHANCE),
        ),
        None => ("No filter of a first layer is one of color.".to_owned(), None),
    };
    Point {
        published: "Before the cortex color is coded along few opponent axes (Derrington, Krauskopf and Lennie 1984); so it is in first layers (Rafegas and \
                    Vanrell 2018).",
        here,
        alike: told(alike),
    }
}

fn opponent_cells(graph: &Graph, found: &Found<'_>) -> Point {
    let (here, alike) = match found.layers.first() {
        Some(layer) => {
            let [plain, contrast] = layer.fields;
            let name = &graph.nodes()[found.survey.layers[0].node].name;
            (
                format!(
                    "In {name} {plain} channels answer to plain colors, {contrast} to a hue beside its opposite much more than to plain ones."
                ),
                // Nothing says how many there would be without training.
                (plain == 0 || contrast == 0).then_some(false),
            )
        }
        None => (String::new(), None),
    };
    Point {
        published: "V1 has single-opponent cells, which answer to plain color, and double-opponent ones, which answer to its edges (Shapley and Hawken 2011).",
        here,
        alike: told(alike),
    }
}

fn narrowing(found: &Found<'_>) -> Point {
    let second = found.layers.get(1);
    let axis = second.and_then(|layer| layer.axis);
    let here = match axis {
        Some(axis) => format!(
            "In the second layer the hues that are selected lie along {:.0} degrees (agreement {:.2}, {}), {:.0} degrees from the axis of the pictures.",
            axis.degrees,
            axis.agreement,
            chance_of(axis.p),
            axis.from_data
        ),
        None => "Too few channels of the second layer select hues.".to_owned(),
    };
    Point {
        published: "From the second layer on hues are sampled more densely, and narrow to one axis, that of the data (Rafegas and Vanrell 2018); V2 has maps \
                    of hue (Xiao, Wang and Felleman 2003).",
        here,
        alike: told(axis.map(|axis| axis.p < CHANCE && axis.from_data < 30.0)),
    }
}

fn deeper(graph: &Graph, found: &Found<'_>) -> Point {
    let half = found.layers.len() / 2;
    let deep = &found.layers[half..];
    let sum = |of: fn(&LayerColors) -> usize| deep.iter().map(of).sum::<usize>();
    let (middle, around, contrast) = (sum(|l| l.places[0]), sum(|l| l.places[1]), sum(|l| l.places[3]));
    let from = found.survey.layers.get(half).map_or("", |layer| graph.nodes()[layer.node].name.as_str());
    let (whole, alive) = (sum(|l| l.places[2]), sum(|l| l.alive));
    Point {
        published: "Deeper layers have neurons of colored objects, of colored surrounds, and of objects beside surrounds (Rafegas and Vanrell 2018); V4 has \
                    patches of cells tuned to hues (Conway, Moeller and Tsao 2007).",
        here: format!(
            "From {from} on {middle} channels select hues in the middle of what they see, {around} around it, {contrast} otherwise in the middle than around \
             it, {whole} all over, of {alive}."
        ),
        alike: told((alive > 0).then_some(beyond_chance(middle, alive) && beyond_chance(around, alive))),
    }
}

fn all_layers(found: &Found<'_>, selective: f64) -> Point {
    let shares: Vec<f64> = found.layers.iter().map(|l| l.selective as f64 / l.alive.max(1) as f64).collect();
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    Point {
        published: "Neurons that select color are found in all layers (Rafegas and Vanrell 2018), as in all areas of the ventral stream.",
        here: format!(
            "Of every layer at least {} of the neurons have a color selectivity of {selective} or more.",
            percent(least)
        ),
        alike: told((!shares.is_empty()).then_some(least > 0.1)),
    }
}
