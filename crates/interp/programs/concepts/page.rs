//! The page of `interp-audit concepts`.

use interp_audit::bottleneck::{Bottleneck, Told, difference, share};
use interp_finding::{Better, Figure, Finding, Number, Series, share_interval};
use interp_report::Page;

use super::super::on_pictures::Opened;
use super::factor;

/// Heads and rows: each concept, and how it is told.
pub(super) fn concepts(found: &Bottleneck) -> (Vec<String>, Vec<Vec<String>>) {
    let head =
        ["concept", "pictures that show it", "told of these, %", "told of the others, %", "balanced accuracy, %"];
    let percent = |[right, all]: [usize; 2]| match all {
        0 => "-".to_owned(),
        _ => format!("{:.1}", 100.0 * right as f64 / all as f64),
    };
    let row = |(name, told): (&String, &Told)| {
        let balanced = told.balanced_accuracy().map_or("-".into(), |share| format!("{:.1}", 100.0 * share));
        vec![name.clone(), told.shown[1].to_string(), percent(told.shown), percent(told.absent), balanced]
    };
    (head.map(str::to_owned).to_vec(), found.names.iter().zip(&found.told).map(row).collect())
}

/// A share of pictures in percent, with its interval.
fn number(of: &[bool]) -> Number {
    let some = of.iter().filter(|is| **is).count();
    let [low, high] = share_interval(some, of.len());
    Number::new(100.0 * share(of), "%", Better::Higher).with_interval(100.0 * low, 100.0 * high)
}

/// Above this share nothing can be told besides.
const ALL: f64 = 0.995;

pub(super) fn of(opened: &Opened, found: &Bottleneck) -> Page {
    let (leak, interval) = found.leak();
    let points = |value: f64| 100.0 * value;
    let (told_by_concepts, counted) = (found.told_by_concepts(), super::counted(found));
    let said = match (counted, interval[0] > 0.0) {
        (0, _) => {
            "Whether more comes through than its concepts cannot be told: no other picture has the concepts of these."
        }
        (_, true) => "More comes through the layer than its concepts: it leaks.",
        _ if told_by_concepts > ALL => {
            "Known concepts say all of it, so that what comes through besides would not show."
        }
        _ => "That no more comes through the layer than its concepts can say is not contradicted.",
    };
    let statement = format!(
        "The network is right on {:.1} % of {} pictures. Its concepts, if they were known, would tell the class of {:.1} %. {said}",
        points(share(&found.right)),
        found.right.len(),
        points(told_by_concepts),
    );
    let in_points = |value: f64, interval: [f64; 2], better| {
        Number::new(points(value), "points", better).with_interval(points(interval[0]), points(interval[1]))
    };
    // Less than concepts can say is no merit.
    let better = if interval[0] > 0.0 { Better::Lower } else { Better::Neither };
    let (leak, (softness, of_softness)) = (in_points(leak, interval, better), found.softness());
    let softness = in_points(softness, of_softness, Better::Lower);
    let complete = Number::new(points(found.completeness()), "%", Better::Higher);
    let finding = Finding {
        name: "concepts".into(),
        title: "Classes by concepts".into(),
        statement,
        numbers: vec![
            ("accuracy".into(), number(&found.right)),
            ("accuracy with concepts made certain".into(), number(&found.hardened)),
            ("right by how likely concepts are said to be, and not by 0 and 1".into(), softness),
            (
                "what concepts tell of classes, by counting".into(),
                Number::new(points(told_by_concepts), "%", Better::Neither),
            ),
            ("more than concepts can say".into(), leak),
            ("completeness of the concepts".into(), complete),
        ],
        figures: [given(found), told(found)].into_iter().chain(shapes(found, &opened.info.classes)).collect(),
    };
    Page {
        title: "Concepts".into(),
        lead: "Classes are decided by concepts alone where the layer says concepts, and nothing besides.".into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), opened.path.display().to_string()),
            ("Data".into(), opened.info.name.clone()),
            ("Layer".into(), found.node.clone()),
        ],
        claims: vec![],
        findings: vec![finding],
        source: None,
    }
}

/// What it changes to know.
fn given(found: &Bottleneck) -> Figure {
    let cell = |of: &[bool]| {
        let (gain, [low, high]) = difference(of, &found.right);
        let gains = [gain, low, high].map(|value| 100.0 * value);
        (format!("{:.1}", 100.0 * share(of)), format!("{:.1} ({:.1} to {:.1})", gains[0], gains[1], gains[2]))
    };
    let row = |(place, &group): (usize, &usize)| {
        let (alone, with) = (cell(&found.group_given[group]), cell(&found.given[place + 1]));
        vec![factor(found, group), alone.0, alone.1, with.0, with.1]
    };
    let head = [
        "told by someone who knows",
        "right with it alone, %",
        "gain, points",
        "right with those above too, %",
        "gain, points",
    ];
    Figure::Table {
        title: "What it changes to know".into(),
        caption: "The truth about the concepts of a factor in place of what the layer says of them: first the factor that gains most alone, then the next. A network that \
                  decides by concepts gains where they were told wrongly; one that loses has learned to read something else out of them. Behind gains their 95 % interval over pictures."
            .into(),
        columns: head.map(str::to_owned).to_vec(),
        rows: found.order.iter().enumerate().map(row).collect(),
    }
}

fn told(found: &Bottleneck) -> Figure {
    let (columns, rows) = concepts(found);
    Figure::Table {
        title: "Concepts".into(),
        caption: format!(
            "How often each is told rightly, of pictures that show it and of those that do not; their mean is the balanced accuracy, 50 % for a layer that tells nothing. Of {:.1} % of the pictures \
             some concept is told wrongly. Accuracy with concepts made certain: each is 0 or 1, by what is likelier. What concepts tell of classes, by counting: the class that most pictures of another \
             split with the same true concepts have, of {} pictures whose concepts are there. More than concepts can say: accuracy less that; a layer leaks whose interval lies above 0. Completeness: what they tell beyond \
             the most frequent class.",
            100.0 * share(&found.mistaken),
            super::counted(found)
        ),
        columns,
        rows,
    }
}

/// Concepts whose functions are drawn.
const DRAWN: usize = 6;

/// Classes whose functions of a concept are drawn.
const LINES: usize = 3;

/// What concepts add to logits, where these are sums over concepts.
fn shapes(found: &Bottleneck, classes: &[String]) -> Vec<Figure> {
    let shapes = &found.shapes;
    if !shapes.add_up() {
        return vec![];
    }
    let order = shapes.order();
    let heat = Figure::Heat {
        title: "How much each concept moves each class".into(),
        caption: "Logits are sums over concepts. The deviation, over pictures, of what a concept adds to the logit of a class; concepts that move most come first.".into(),
        rows: order.iter().map(|&concept| found.names[concept].clone()).collect(),
        columns: classes.to_vec(),
        values: order.iter().map(|&concept| shapes.deviations[concept].iter().copied().map(Some).collect()).collect(),
    };
    [heat].into_iter().chain(order.iter().take(DRAWN).map(|&concept| shape(found, classes, concept))).collect()
}

/// The function of one concept, for the classes that it moves most.
fn shape(found: &Bottleneck, classes: &[String], concept: usize) -> Figure {
    let (shapes, name) = (&found.shapes, &found.names[concept]);
    let of_classes = &shapes.deviations[concept];
    let mut most: Vec<usize> = (0..of_classes.len()).collect();
    most.sort_by(|&a, &b| of_classes[b].total_cmp(&of_classes[a]).then(a.cmp(&b)));
    let line = |&class: &usize| Series {
        name: classes.get(class).cloned().unwrap_or_else(|| class.to_string()),
        points: shapes.values.iter().zip(&shapes.adds[concept][class]).map(|(&x, &y)| [x, y]).collect(),
    };
    Figure::Curves {
        title: format!("What {name} adds"),
        caption: format!(
            "Of the {LINES} classes whose logits it moves most: what it adds, less the mean over pictures, whatever other concepts are."
        ),
        x: format!("{name}, as the layer says it"),
        y: "added to the logit".into(),
        series: most.iter().take(LINES).map(line).collect(),
    }
}
