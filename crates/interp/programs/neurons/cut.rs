//! What neurons answer to, cut from pictures.

use std::collections::BTreeMap;

use interp_audit::Pictures;
use interp_audit::neurons::{Peak, crop};
use interp_data::Info;
use interp_finding::{Original, Part, Place, Sheet, Shot};
use interp_net::{Field, Network, NodeId};
use interp_report::number;

use super::super::colors::{bytes, color_of};
use super::Rows;
use crate::Result;
use crate::asked::picture_name;

/// Pictures of a neuron, at least and at most, and of all together about.
const SHOTS: [usize; 2] = [2, 8];
const ALL_SHOTS: usize = 8192;
/// Pixels of the longer side of a part of a picture and of a whole one: of larger ones every second pixel, and so on.
const PART: usize = 48;
const WHOLE: usize = 96;

/// A neuron by the positions of its layer and of itself.
pub(super) type Neuron = (usize, usize);

/// The pictures on cards.
pub(super) struct Cut {
    /// That of whole pictures, then one for each layer; some may be empty.
    pub(super) sheets: Vec<Sheet>,
    pub(super) originals: Vec<Original>,
    /// From the largest answer on.
    pub(super) shots: BTreeMap<Neuron, Vec<Shot>>,
}

/// How a layer's answers are shown.
struct Window {
    node: NodeId,
    /// None where whole pictures are shown, since its cells see that much or have no field in common.
    field: Option<Field>,
    regions: BTreeMap<[usize; 2], Option<[usize; 4]>>,
}

impl Window {
    fn new(network: &Network, name: &str, info: &Info) -> Result<Self> {
        let node = network.graph.id(name)?;
        let is_part = |field: &Field| field.size[0] < info.height || field.size[1] < info.width;
        let field = network.receptive_field(node).ok().filter(is_part);
        Ok(Self { node, field, regions: BTreeMap::new() })
    }

    /// Left, top, width and height of what a cell sees.
    fn region(&mut self, network: &Network, cell: [usize; 2]) -> Option<[usize; 4]> {
        let node = self.node;
        let region = || {
            let region = network.region(node, cell[0], cell[1])?;
            let side = |[first, last]: [usize; 2]| last + 1 - first;
            Some([region.columns[0], region.rows[0], side(region.columns), side(region.rows)])
        };
        *self.regions.entry(cell).or_insert_with(region)
    }
}

/// What is being cut.
struct Cutter<'a> {
    network: &'a Network,
    info: &'a Info,
    windows: Vec<Window>,
    sheets: Vec<Sheet>,
    originals: Vec<Original>,
    /// With their answers, by picture.
    shots: BTreeMap<Neuron, Vec<(f32, Shot)>>,
}

/// Cuts what neurons answer to from pictures, each of which is read once. `command` tells more of a picture.
///
/// # Errors
/// If a picture cannot be read.
pub(super) fn cut(
    network: &Network,
    pictures: &Pictures,
    rows: &[Rows<'_>],
    neurons: &[Neuron],
    command: &dyn Fn(usize) -> String,
) -> Result<Cut> {
    let info = pictures.data.info();
    let windows = rows.iter().map(|rows| Window::new(network, rows.name, info)).collect::<Result<Vec<_>>>()?;
    let (sheets, shots) = (vec![empty(); rows.len() + 1], BTreeMap::new());
    let mut cutter = Cutter { network, info, windows, sheets, originals: vec![], shots };
    let mut picture = vec![0.0; info.pixels()];
    for (index, places) in by_picture(rows, neurons) {
        pictures.data.image(pictures.split, index, &mut picture)?;
        let name = picture_name(index, pictures.data.file(pictures.split, index));
        cutter.whole(&picture, name, command(index));
        places.into_iter().for_each(|(neuron, peak)| cutter.part(&picture, neuron, peak));
    }
    Ok(cutter.done())
}

/// The largest answers of neurons, by picture.
fn by_picture(rows: &[Rows<'_>], neurons: &[Neuron]) -> BTreeMap<usize, Vec<(Neuron, Peak)>> {
    let count = (ALL_SHOTS / neurons.len().max(1)).clamp(SHOTS[0], SHOTS[1]);
    let mut by_picture: BTreeMap<usize, Vec<(Neuron, Peak)>> = BTreeMap::new();
    for &(layer, neuron) in neurons {
        for &peak in rows[layer].neurons[neuron].unit.peaks.iter().take(count) {
            by_picture.entry(peak.picture).or_default().push(((layer, neuron), peak));
        }
    }
    by_picture
}

impl Cutter<'_> {
    fn step(&self) -> usize {
        step([self.info.height, self.info.width], WHOLE)
    }

    fn shape(&self) -> [usize; 3] {
        [self.info.height, self.info.width, self.info.channels]
    }

    /// Keeps a whole picture.
    fn whole(&mut self, picture: &[f32], name: String, command: String) {
        let (shape, step) = (self.shape(), self.step());
        let place = put(&mut self.sheets, 0, picture, shape, step);
        self.originals.push(Original { place, name, command });
    }

    /// Keeps what a neuron sees of the picture that was kept last.
    fn part(&mut self, picture: &[f32], neuron: Neuron, peak: Peak) {
        let (shape, step, original) = (self.shape(), self.step(), self.originals.len().saturating_sub(1));
        let window = &mut self.windows[neuron.0];
        let area = window.region(self.network, peak.cell);
        let part = area.map(|area| Part { original, area: area.map(|side| side as f64 / step as f64) });
        let place = match &window.field {
            Some(field) => seen(&mut self.sheets, neuron.0 + 1, picture, shape, field, peak.cell),
            None => self.originals[original].place,
        };
        let name = format!("{} {}", rounded(f64::from(peak.activation)), class(self.info, peak.label));
        self.shots.entry(neuron).or_default().push((peak.activation, Shot { place, name, part }));
    }

    fn done(self) -> Cut {
        let ordered = |(neuron, mut shots): (Neuron, Vec<(f32, Shot)>)| {
            // Equal ones stay in the order of pictures, as peaks are.
            shots.sort_by(|a, b| b.0.total_cmp(&a.0));
            (neuron, shots.into_iter().map(|(_, shot)| shot).collect())
        };
        let shots = self.shots.into_iter().map(ordered).collect();
        Cut { sheets: self.sheets, originals: self.originals, shots }
    }
}

/// Puts what a cell sees of a picture on a sheet; what lies outside is gray.
fn seen(
    sheets: &mut [Sheet],
    sheet: usize,
    picture: &[f32],
    shape: [usize; 3],
    field: &Field,
    cell: [usize; 2],
) -> Place {
    let (seen, channels) = (crop(picture, shape, field, cell), shape[2]);
    let known = |(at, value): (usize, &f32)| if seen.inside[at / channels] { *value } else { 0.5 };
    let pixels: Vec<f32> = seen.pixels.iter().enumerate().map(known).collect();
    let [height, width] = seen.size;
    put(sheets, sheet, &pixels, [height, width, channels], step(seen.size, PART))
}

/// A class by its name.
pub(super) fn class(info: &Info, label: usize) -> &str {
    info.classes.get(label).map_or("?", String::as_str)
}

/// A number above 0 with two digits, or more before the point.
pub(super) fn rounded(value: f64) -> String {
    let digit = 10f64.powf(value.log10().floor() - 1.0).min(1.0);
    number::show((value / digit).round() * digit)
}

/// A sheet without pictures.
pub(super) fn empty() -> Sheet {
    Sheet { width: 0, height: 0, rgb: vec![] }
}

/// Every which pixel is taken so that the longer side has at most `most`.
pub(super) fn step(size: [usize; 2], most: usize) -> usize {
    size[0].max(size[1]).div_ceil(most).max(1)
}

/// Puts a picture (H, W, C) of pixel values on a sheet.
pub(super) fn put(
    sheets: &mut [Sheet],
    sheet: usize,
    picture: &[f32],
    [height, width, channels]: [usize; 3],
    step: usize,
) -> Place {
    let pixel = |row: usize, column: usize| {
        let at = (row * width + column) * channels;
        color_of(&picture[at..at + channels])
    };
    let pixels =
        (0..height).step_by(step).flat_map(|row| (0..width).step_by(step).map(move |column| pixel(row, column)));
    let own = &mut sheets[sheet];
    (own.width, own.height) = (width.div_ceil(step), height.div_ceil(step));
    let index = own.rgb.len() / (3 * own.width * own.height).max(1);
    own.rgb.extend(bytes(pixels));
    Place { sheet, index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_two_digits() {
        assert_eq!([0.072_3, 9.514, 304.4].map(rounded), ["0.072", "9.5", "304"]);
    }

    #[test]
    fn large_pictures_are_thinned() {
        let side = 2 * PART + 1;
        let picture: Vec<f32> = (0..side * 2).map(|at| (at % side) as f32 / 255.0).collect();
        let mut sheets = vec![empty()];
        for index in 0..2 {
            let place = put(&mut sheets, 0, &picture, [2, side, 1], step([2, side], PART));
            assert_eq!(place, Place { sheet: 0, index });
        }
        assert_eq!((sheets[0].width, sheets[0].height), (PART * 2 / 3 + 1, 1));
        assert_eq!(sheets[0].rgb[..9], [0, 0, 0, 3, 3, 3, 6, 6, 6]);
    }
}
