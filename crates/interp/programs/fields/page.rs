//! The page of receptive fields: theoretical beside effective ones, layer by layer.

use interp_audit::fields::{HELD, Seen};
use interp_finding::{Figure, Finding, Named, Series};
use interp_net::Graph;
use interp_report::Page;

use super::super::colors::{bytes, color_of, denormalized, heat};
use super::Subject;
use crate::Result;

/// Pixels of the screen that a picture takes, about.
const SIDE: usize = 192;
/// Around the picture, and of the effective field.
const BORDER: [f32; 3] = [0.7, 0.7, 0.7];
const EFFECTIVE: [f32; 3] = [0.0, 0.75, 1.0];
/// Pixels of the screen that a dash takes, black or white.
const DASH: usize = 4;

/// A row for each layer.
pub(super) fn table(graph: &Graph, found: &[Seen]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["layer", "cells", "theoretical", "jump", "start", "effective", "share", "deviation"].map(str::to_owned);
    let row = |seen: &Seen| {
        let none = || "–".to_owned();
        let pair = |[rows, columns]: [String; 2]| if rows == columns { rows } else { format!("{rows} by {columns}") };
        let field = seen.field;
        let cells = match *graph.shape(seen.node) {
            [_, rows, columns] => format!("{rows}x{columns}"),
            _ => "1".to_owned(),
        };
        vec![
            graph.nodes()[seen.node].name.clone(),
            cells,
            field.map_or_else(none, |field| pair(field.size.map(|side| side.to_string()))),
            field.map_or_else(none, |field| pair(field.jump.map(|jump| jump.to_string()))),
            field.map_or_else(none, |field| pair(field.start.map(|start| start.to_string()))),
            seen.spread.map_or_else(none, |spread| spread.side.to_string()),
            share(seen).map_or_else(none, |share| format!("{:.0} %", 100.0 * share)),
            seen.spread.map_or_else(none, |spread| pair(spread.deviation.map(|d| format!("{d:.2}")))),
        ]
    };
    (head.into(), found.iter().map(row).collect())
}

/// The longer side of the theoretical field; of what the cell can see of the picture, where cells have no field in common.
fn side(seen: &Seen) -> usize {
    let region = [seen.region.rows, seen.region.columns].map(|[first, last]| last + 1 - first);
    seen.field.map_or(region, |field| field.size).into_iter().fold(1, usize::max)
}

/// The effective side over the theoretical one.
fn share(seen: &Seen) -> Option<f64> {
    Some(seen.spread?.side as f64 / side(seen) as f64)
}

pub(super) fn of(subject: &Subject<'_>, found: &[Seen], by_channel: bool) -> Result<Page> {
    let graph = &subject.network.graph;
    let (columns, rows) = table(graph, found);
    let first = Finding {
        name: "layers".into(),
        title: "Layers".into(),
        statement: statement(graph, found),
        numbers: vec![],
        figures: vec![
            curves(found),
            Figure::Table { title: "Sizes".into(), caption: caption(by_channel), columns, rows },
        ],
    };
    let shown = picture(subject)?;
    let second = Finding {
        name: "fields".into(),
        title: "Fields of one cell".into(),
        statement: String::new(),
        numbers: vec![],
        figures: found.iter().map(|seen| figure(graph, seen, &shown)).collect(),
    };
    let data = subject.info.as_ref().map_or("normal noise".to_owned(), |info| info.name.clone());
    Ok(Page {
        title: "Receptive fields".into(),
        lead: "What of a picture a cell of a layer can see by the network's structure, and what of that moves it: the effective field is most often much smaller \
               than the theoretical one."
            .into(),
        warnings: vec![],
        facts: vec![
            ("Network".into(), subject.path.display().to_string()),
            ("Pictures".into(), format!("{} of {data}", subject.pictures.dim(0)?)),
        ],
        claims: vec![],
        findings: vec![first, second],
        source: None,
    })
}

/// What follows from the numbers.
fn statement(graph: &Graph, found: &[Seen]) -> String {
    // Beyond the picture there is nothing that could move a cell.
    let within = |seen: &&Seen| side(seen) <= seen.size[0].max(seen.size[1]);
    let least =
        found.iter().filter(within).filter_map(|seen| Some((seen, share(seen)?))).min_by(|a, b| a.1.total_cmp(&b.1));
    let unmoved = found.iter().filter(|seen| seen.spread.is_none()).count();
    let first = least.map_or(String::new(), |(seen, share)| {
        format!(
            "Of the layers whose theoretical field fits into the picture, {} uses the least of it: a square of {:.0} % of its side holds {:.0} % of what moves the cell.",
            graph.nodes()[seen.node].name,
            100.0 * share,
            100.0 * HELD
        )
    });
    if unmoved == 0 {
        first
    } else {
        format!("{first} {unmoved} cells are moved by no pixel: nothing passes on the way to them.")
    }
}

fn caption(by_channel: bool) -> String {
    let channels =
        if by_channel { "each channel of the cell, as a mean over channels" } else { "the sum of the cell's channels" };
    format!(
        "Theoretical: rows and columns that a cell sees, before the picture cuts it off; jump: pixels from one cell's field to the next; start: the center of the \
         first. Effective: the side of the smallest square about the middle of the field that holds {:.0} % of how much pixels move {channels}, by the absolute \
         gradient (Luo et al. 2016), as a mean over pictures; share: of the theoretical side. Where that is larger than \
         the picture, so that the picture bounds what can move the cell, a small share says nothing. Deviation: that of the Gaussian with the same moments.",
        100.0 * HELD
    )
}

fn curves(found: &[Seen]) -> Figure {
    let line = |name: &str, value: &dyn Fn(&Seen) -> Option<usize>| {
        let point = |(at, seen): (usize, &Seen)| Some([at as f64 + 1.0, value(seen)? as f64]);
        Series { name: name.into(), points: found.iter().enumerate().filter_map(point).collect() }
    };
    Figure::Curves {
        title: "Growth over layers".into(),
        caption:
            "Sides of the theoretical field and of the square that holds what moves the cell. Layers as in the table."
                .into(),
        x: "layer".into(),
        y: "pixels".into(),
        series: vec![line("theoretical", &|seen| Some(side(seen))), line("effective", &|seen| Some(seen.spread?.side))],
    }
}

/// The first picture that the network was shown, in colors, row by row.
fn picture(subject: &Subject<'_>) -> Result<Vec<[f32; 3]>> {
    let own = subject.pictures.get(0)?.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?; // (C, H, W) -> (H, W, C)
    let own = match &subject.info {
        Some(info) => denormalized(&own, info),
        // Two deviations of noise make black and white.
        None => own.iter().map(|value| 0.5 + value / 4.0).collect(),
    };
    let channels = subject.pictures.dim(1)?;
    Ok(own.chunks_exact(channels.max(1)).map(color_of).collect())
}

/// The picture with both fields, and what moves the cell.
fn figure(graph: &Graph, seen: &Seen, picture: &[[f32; 3]]) -> Figure {
    let map: Vec<f32> = seen.map.iter().map(|&value| value as f32).collect();
    let named = |name: &str, colors: &[[f32; 3]]| {
        let zoom = (SIDE / seen.size[0].max(seen.size[1]).max(1)).max(1);
        let mut large = enlarged(colors, seen.size, zoom);
        let size = seen.size.map(|side| side * zoom);
        frame(&mut large, size, size.map(|side| [0, side - 1]), |_| BORDER);
        if let Some(area) = effective(seen, zoom) {
            frame(&mut large, size, area, |_| EFFECTIVE);
        }
        frame(&mut large, size, theoretical(seen, zoom), |at| [f32::from(u8::from((at / DASH).is_multiple_of(2))); 3]);
        Named { name: name.into(), width: size[1], height: size[0], rgb: bytes(large) }
    };
    let [row, column] = seen.cell;
    Figure::Pictures {
        title: graph.nodes()[seen.node].name.clone(),
        caption: format!(
            "Cell {row},{column}. Dashes: all that it can see. Blue: the square that holds {:.0} % of what moves it. Red: how much each pixel moves it, in the \
             scale of the one that moves it most.",
            100.0 * HELD
        ),
        pictures: vec![named("picture", picture), named("what moves it", &heat(&map))],
        zoom: 1,
    }
}

/// Each pixel as `zoom` by `zoom`.
fn enlarged(colors: &[[f32; 3]], [height, width]: [usize; 2], zoom: usize) -> Vec<[f32; 3]> {
    let rows = (0..height * zoom).map(|row| row / zoom);
    rows.flat_map(|row| (0..width * zoom).map(move |column| colors[row * width + column / zoom])).collect()
}

/// First and last row and column, of a picture enlarged by `zoom`, of what a cell can see.
fn theoretical(seen: &Seen, zoom: usize) -> [[usize; 2]; 2] {
    [seen.region.rows, seen.region.columns].map(|[first, last]| [first * zoom, (last + 1) * zoom - 1])
}

/// Those of the square about the middle of what it can see that holds what moves it, cut off at the picture.
fn effective(seen: &Seen, zoom: usize) -> Option<[[usize; 2]; 2]> {
    let (half, middle) = (seen.spread?.side as f64 / 2.0, seen.middle());
    let end = |axis: usize, at: f64| (at.clamp(0.0, seen.size[axis] as f64) * zoom as f64).round() as usize;
    Some([0, 1].map(|axis| [end(axis, middle[axis] - half), end(axis, middle[axis] + half).max(1) - 1]))
}

/// Draws the edge of a box, one pixel wide, in a color by row and column together.
fn frame(
    colors: &mut [[f32; 3]],
    [height, width]: [usize; 2],
    [rows, columns]: [[usize; 2]; 2],
    color: impl Fn(usize) -> [f32; 3],
) {
    let inside = |place: usize, [first, last]: [usize; 2]| (first..=last).contains(&place);
    for row in rows[0]..=rows[1].min(height - 1) {
        for column in columns[0]..=columns[1].min(width - 1) {
            let within = |[first, last]: [usize; 2]| [first + 1, last.saturating_sub(1)];
            if !(inside(row, within(rows)) && inside(column, within(columns))) {
                colors[row * width + column] = color(row + column);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_edge_of_its_box() {
        let mut colors = enlarged(&[[0.0; 3]; 4], [2, 2], 3);
        frame(&mut colors, [6, 6], [[1, 3], [2, 5]], |_| [1.0; 3]);
        let drawn: String = colors.iter().map(|color| if color[0] > 0.0 { '#' } else { '.' }).collect();
        assert_eq!(drawn, "........####..#..#..####............");
    }
}
