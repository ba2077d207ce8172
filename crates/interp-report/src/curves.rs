//! Curves as SVG.
//!
//! plotters draws axis, grid and lines; names and legend are HTML, so that they wrap, scale and are read
//! aloud. Colors here are codes, not colors: the style sheet selects `stroke="#000001"` and gives each
//! code its color (light, dark, print) and, for the lines, its dashes.

use crate::{ReportError, download, number};
use interp_finding::Series;
use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// Drawing units per CSS pixel; plotters places everything on whole units.
const SCALE: u32 = 10;
const WIDTH: u32 = 420 * SCALE;
const HEIGHT: u32 = 240 * SCALE;
/// Height of a line of tick labels (plotters sets them 1.24 times smaller), and about the width of a
/// character.
const FONT: u32 = 15 * SCALE;
const LETTER: u32 = 7 * SCALE;
/// How wide a lone point is.
const DOT: u32 = 9 * SCALE;
/// Length of a tick.
const TICK: u32 = 5 * SCALE;

const AXIS: RGBColor = RGBColor(0, 1, 0);
const GRID: RGBColor = RGBColor(0, 1, 1);
const LABEL: RGBColor = RGBColor(0, 1, 2);

/// How many lines the style sheet tells apart; further ones start over.
const STYLES: usize = 12;

/// Larger values are not drawn: their differences would overflow.
const LARGEST: f64 = 1e100;

/// A legend line: the name, and the code of its color.
pub(crate) struct Key<'a> {
    pub(crate) name: &'a str,
    pub(crate) code: String,
}

/// A drawing of curves, or none where no point can be drawn.
pub(crate) struct Curves<'a> {
    pub(crate) svg: Option<String>,
    pub(crate) keys: Vec<Key<'a>>,
    /// Points left out, since they are not finite.
    pub(crate) left_out: usize,
}

impl<'a> Curves<'a> {
    /// # Errors
    /// [`ReportError::Draw`].
    pub(crate) fn new(series: &'a [Series]) -> Result<Self, ReportError> {
        let keys = series
            .iter()
            .enumerate()
            .map(|(i, line)| Key { name: &line.name, code: format!("#0000{:02X}", code(i).2) });
        let left_out = series.iter().flat_map(|line| &line.points).filter(|point| !can_draw(point)).count();
        Ok(Self { svg: draw(series)?, keys: keys.collect(), left_out })
    }
}

/// Every point, drawn or not, as CSV with the columns series, x, y.
///
/// # Errors
/// [`ReportError::Csv`].
pub(crate) fn csv(series: &[Series], x: &str, y: &str) -> Result<Vec<u8>, ReportError> {
    let points = series
        .iter()
        .flat_map(|line| line.points.iter().map(|[x, y]| [line.name.clone(), x.to_string(), y.to_string()]));
    download::csv(std::iter::once(["series".to_owned(), x.to_owned(), y.to_owned()]).chain(points))
}

/// The code of the line `index`, by which the style sheet knows it.
fn code(index: usize) -> RGBColor {
    RGBColor(0, 0, (index % STYLES + 1) as u8)
}

fn can_draw(point: &[f64; 2]) -> bool {
    point.iter().all(|v| v.abs() <= LARGEST)
}

/// Least and largest drawable value of coordinate `axis`.
fn extent(series: &[Series], axis: usize) -> Option<(f64, f64)> {
    let values = series.iter().flat_map(|line| &line.points).filter(|point| can_draw(point)).map(|point| point[axis]);
    values.fold(None, |range, v| Some(range.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

/// A range wide enough to hold ticks that differ in their labels; around a single value, a hundredth of
/// it to either side.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if low == high {
        let half = if low == 0.0 { 0.5 } else { low.abs() / 100.0 };
        return (low - half, high + half);
    }
    let least = (low.abs().max(high.abs()) * 1e-6).max(1e-9);
    if high - low >= least { (low, high) } else { ((low + high - least) / 2.0, (low + high + least) / 2.0) }
}

/// An axis: its range, and how its ticks are written.
struct Axis {
    range: Range<f64>,
    ticks: usize,
    decimals: usize,
    is_scientific: bool,
}

impl Axis {
    /// An axis over `extent`, drawn out to whole ticks where `whole`.
    fn new(extent: (f64, f64), most: usize, whole: bool) -> Self {
        let (mut low, mut high) = widened(extent);
        // Twice, since a longer axis may have ticks further apart.
        let passes = if whole { 2 } else { 0 };
        for _ in 0..passes {
            let step = step(&(low..high), most);
            (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        }
        let step = step(&(low..high), most);
        let size = low.abs().max(high.abs());
        let is_scientific = !(1e-3..1e6).contains(&size);
        let first = if is_scientific { number::exponent(size) } else { 0 };
        // A hair above, so that a step of 0.1 (in binary just below) counts as 10^-1.
        let decimals = usize::try_from(first - number::exponent(step * 1.000_001)).unwrap_or(0);
        Self { range: low..high, ticks: most, decimals, is_scientific }
    }

    fn label(&self, value: f64) -> String {
        match self.is_scientific {
            true if value == 0.0 => "0".to_owned(),
            true => number::scientific(value, self.decimals),
            false => number::fixed(value, self.decimals),
        }
    }

    /// Room that the longest label takes, in drawing units.
    fn room(&self) -> u32 {
        let longest = ticks(&self.range, self.ticks).into_iter().map(|v| self.label(v).chars().count()).max();
        (longest.unwrap_or(0) as u32 + 1) * LETTER + TICK
    }
}

fn ticks(range: &Range<f64>, most: usize) -> Vec<f64> {
    RangedCoordf64::from(range.clone()).key_points(BoldPoints(most))
}

/// Distance of the ticks that plotters sets.
fn step(range: &Range<f64>, most: usize) -> f64 {
    let span = range.end - range.start;
    match ticks(range, most).as_slice() {
        [first, second, ..] if second > first => second - first,
        _ => span,
    }
}

fn draw(series: &[Series]) -> Result<Option<String>, ReportError> {
    let (Some(x), Some(y)) = (extent(series, 0), extent(series, 1)) else { return Ok(None) };
    let mut svg = String::new();
    draw_on(
        SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)),
        series,
        &Axis::new(x, 10, false),
        &Axis::new(y, 6, true),
    )
    .map_err(|e| ReportError::Draw(e.to_string()))?;
    Ok(Some(svg))
}

type DrawError<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw_on<'a>(backend: SVGBackend<'a>, series: &[Series], x: &Axis, y: &Axis) -> Result<(), DrawError<'a>> {
    let area = backend.into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin_top(FONT / 2)
        .margin_right(2 * LETTER)
        .x_label_area_size(FONT + 2 * TICK)
        .y_label_area_size(y.room())
        .build_cartesian_2d(x.range.clone(), y.range.clone())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(x.ticks)
        .y_labels(y.ticks)
        .x_label_formatter(&|v| x.label(*v))
        .y_label_formatter(&|v| y.label(*v))
        .axis_style(AXIS.stroke_width(SCALE))
        .bold_line_style(GRID.stroke_width(SCALE))
        .light_line_style(TRANSPARENT)
        .set_all_tick_mark_size(TICK)
        .label_style(("sans-serif", FONT).into_font().color(&LABEL))
        .draw()?;
    for (i, line) in series.iter().enumerate() {
        for run in runs(&line.points) {
            let width = if is_dot(&run) { DOT } else { 2 * SCALE };
            chart.draw_series(LineSeries::new(run, code(i).stroke_width(width)))?;
        }
    }
    area.present()
}

/// Whether a stretch is a lone point.
fn is_dot(run: &[(f64, f64)]) -> bool {
    matches!(run, [first, second] if first == second)
}

/// The stretches of a line between points that cannot be drawn; a lone point is doubled, so that it
/// shows as a dot.
fn runs(points: &[[f64; 2]]) -> Vec<Vec<(f64, f64)>> {
    let stretches = points.split(|point| !can_draw(point)).filter(|run| !run.is_empty());
    let doubled =
        |run: &[[f64; 2]]| run.iter().chain(if run.len() == 1 { run } else { &[] }).map(|&[x, y]| (x, y)).collect();
    stretches.map(doubled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[[f64; 2]]) -> Series {
        Series { name: "a".into(), points: points.to_vec() }
    }

    fn svg(points: &[[f64; 2]]) -> String {
        Curves::new(&[line(points)]).unwrap().svg.unwrap()
    }

    /// The points of the polylines of `code`.
    fn polylines(svg: &str, code: &str) -> Vec<Vec<(i64, i64)>> {
        let of_code = svg.split("<polyline").filter(|tag| tag.contains(&format!("stroke=\"{code}\"")));
        let pair = |text: &str| text.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap();
        of_code
            .map(|tag| {
                tag.split("points=\"").nth(1).unwrap().split('"').next().unwrap().split_whitespace().map(pair).collect()
            })
            .collect()
    }

    #[test]
    fn points_lie_in_proportion() {
        let drawn = polylines(&svg(&[[0.0, 0.0], [1.0, 5.0], [2.0, 10.0], [10.0, 0.0]]), "#000001").remove(0);
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = drawn[..] else { panic!("{drawn:?}") };
        assert!((x2 - x0 - 2 * (x1 - x0)).abs() <= 2 && (x3 - x0 - 10 * (x1 - x0)).abs() <= 10, "{drawn:?}");
        assert!((y2 - y0 - 2 * (y1 - y0)).abs() <= 2 && y3 == y0 && y2 < y0, "{drawn:?}");
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_point_is_a_dot() {
        let drawn = polylines(&svg(&[[0.0, 1.0], [1.0, 2.0], [2.0, f64::NAN], [3.0, 1.0]]), "#000001");
        assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(drawn[1][0], drawn[1][1]);
    }

    #[test]
    fn each_line_has_the_code_of_its_legend_and_the_thirteenth_starts_over() {
        let all: Vec<Series> = (0..13).map(|i| line(&[[0.0, f64::from(i)], [1.0, 0.0]])).collect();
        let curves = Curves::new(&all).unwrap();
        let drawn = curves.svg.unwrap();
        assert_eq!(curves.keys[9].code, "#00000A");
        assert_eq!(
            curves.keys.iter().map(|key| polylines(&drawn, &key.code).len()).collect::<Vec<_>>(),
            [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]
        );
    }

    #[test]
    fn tick_labels_differ_and_lie_around_the_data() {
        for (low, high) in [
            (0.0, 1.0),
            (1.0, 9.0),
            (0.12, 1.62),
            (44.0, 97.4),
            (1e-6, 1e-3),
            (-3e9, 7e9),
            (0.999_9, 1.0),
            (1e-30, 3e-30),
        ] {
            let axis = Axis::new((low, high), 6, true);
            assert!(axis.range.start <= low && high <= axis.range.end, "{low} {high}");
            let labels: Vec<String> = ticks(&axis.range, 6).into_iter().map(|v| axis.label(v)).collect();
            let different: std::collections::BTreeSet<_> = labels.iter().collect();
            assert_eq!(different.len(), labels.len(), "{labels:?}");
            assert!(labels.len() <= 8, "{labels:?}");
        }
        assert_eq!(
            ticks(&(0.0..1.0), 6).into_iter().map(|v| Axis::new((0.0, 1.0), 6, true).label(v)).collect::<Vec<_>>(),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
    }

    #[test]
    fn extreme_values_end_in_a_drawing() {
        let extremes = [
            0.0,
            1.0,
            -1.0,
            1e-300,
            f64::MIN_POSITIVE,
            1e-17,
            1e15,
            1e15 + 1.0,
            1e99,
            -1e100,
            f64::MAX,
            f64::MIN,
            f64::NAN,
            f64::INFINITY,
        ];
        for a in extremes {
            for b in extremes {
                for points in [vec![[a, b]], vec![[a, 0.0], [b, 1.0]], vec![[0.0, a], [1.0, b]]] {
                    let series = [line(&points)];
                    let curves = Curves::new(&series).unwrap();
                    assert_eq!(curves.svg.is_none(), curves.left_out == points.len());
                }
            }
        }
    }
}
