//! The first convolution's filters as a picture, if it sees gray or color.

use interp_finding::{Figure, Finding};
use interp_net::{Network, Op, Role};

use crate::Result;

/// Least side of a filter, and what lies between two, in pixels of the screen.
const SIDE: usize = 48;
const GAP: usize = 4;
/// Filters side by side.
const COLUMNS: usize = 8;
/// The color between filters, and of the cross through those that are all zero: seen on light and dark pages.
const LINE: [u8; 3] = [88, 96, 106];

/// What the first layer looks for.
pub(super) fn first_filters(network: &Network) -> Result<Option<Finding>> {
    let Some(filters) = Filters::of(network)? else { return Ok(None) };
    let zero = (0..filters.count).filter(|&filter| filters.is_zero(filter)).count();
    let (width, height, rgb) = filters.sheet();
    let picture = Figure::Picture {
        title: format!("Filters of {}", filters.name),
        caption: filters.caption(zero > 0),
        width,
        height,
        rgb,
        zoom: 1,
    };
    Ok(Some(Finding {
        name: "first-filters".into(),
        title: "What the first layer looks for".into(),
        statement: format!(
            "{} filters of {}x{} pixels, {zero} of them all zero.",
            filters.count, filters.height, filters.width
        ),
        numbers: vec![],
        figures: vec![picture],
    }))
}

struct Filters {
    name: String,
    /// Whether it sees on and off channels, of which `values` has the difference.
    on_off: bool,
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    /// (count, channels, height, width).
    values: Vec<f32>,
    largest: f32,
}

impl Filters {
    fn of(network: &Network) -> Result<Option<Self>> {
        let nodes = network.graph.nodes();
        let Some(id) = nodes.iter().position(|n| matches!(n.op, Op::Conv2d { .. })) else { return Ok(None) };
        let Some(weight) = network.params.find(id, Role::Weight) else { return Ok(None) };
        // On and off channels are the picture and its negative: what reads them is one linear filter.
        let on_off = nodes[nodes[id].inputs[0]].op == Op::OnOff;
        let weight = if on_off {
            let half = weight.dim(1)? / 2;
            (weight.narrow(1, 0, half)? - weight.narrow(1, half, half)?)?
        } else {
            weight.clone()
        };
        let (count, channels, height, width) = weight.dims4()?;
        let values = weight.flatten_all()?.to_vec1::<f32>()?;
        let largest = values.iter().fold(0f32, |m, w| m.max(w.abs())).max(f32::MIN_POSITIVE);
        let name = nodes[id].name.clone();
        let filters = Self { name, on_off, count, channels, height, width, values, largest };
        Ok(matches!(channels, 1 | 3).then_some(filters))
    }

    fn of_filter(&self, filter: usize) -> &[f32] {
        let size = self.channels * self.height * self.width;
        &self.values[filter * size..(filter + 1) * size]
    }

    fn is_zero(&self, filter: usize) -> bool {
        self.of_filter(filter).iter().all(|w| *w == 0.0)
    }

    /// The color of a weight; gray where there is one channel.
    fn color(&self, filter: usize, y: usize, x: usize) -> [u8; 3] {
        let weight = |channel: usize| self.of_filter(filter)[(channel * self.height + y) * self.width + x];
        let shade = |w: f32| (255.0 * (0.5 + 0.5 * w / self.largest)).round() as u8;
        [0, 1, 2].map(|channel| shade(weight(channel.min(self.channels - 1))))
    }

    /// All filters, each weight a square: width, height, and (height, width, 3) bytes.
    fn sheet(&self) -> (usize, usize, Vec<u8>) {
        let zoom = SIDE.div_ceil(self.height.max(self.width));
        let [high, wide] = [self.height, self.width].map(|side| side * zoom);
        let columns = self.count.clamp(1, COLUMNS);
        let (width, height) = (columns * (wide + GAP) + GAP, self.count.div_ceil(columns) * (high + GAP) + GAP);
        let mut rgb = LINE.repeat(width * height);
        for filter in 0..self.count {
            let (top, left) = (filter / columns * (high + GAP) + GAP, filter % columns * (wide + GAP) + GAP);
            let zero = self.is_zero(filter);
            for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
                if !(zero && is_on_cross(y, x, high, wide)) {
                    let at = 3 * ((top + y) * width + left + x);
                    rgb[at..at + 3].copy_from_slice(&self.color(filter, y / zoom, x / zoom));
                }
            }
        }
        (width, height, rgb)
    }

    fn caption(&self, some_zero: bool) -> String {
        let said = [
            (
                true,
                "One scale for all filters: middle gray is a weight of 0, the brightest and darkest shade is the largest weight.",
            ),
            (self.channels == 3, "The red, green and blue of a square are the weights that read red, green and blue."),
            (self.on_off, "Of on and off channels the difference is shown."),
            (some_zero, "Filters that are all zero are crossed out."),
            (true, "It shows what the first layer looks for, not what the network decides by."),
        ];
        said.into_iter().filter(|(is_so, _)| *is_so).map(|(_, sentence)| sentence).collect::<Vec<_>>().join(" ")
    }
}

/// Whether a pixel lies on one of the two diagonals.
fn is_on_cross(y: usize, x: usize, height: usize, width: usize) -> bool {
    [x, width - 1 - x].iter().any(|x| (x * height).abs_diff(y * width) <= height.max(width))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use interp_net::Graph;

    use super::*;

    /// A network whose first convolution has these weights of 1x1 over one channel.
    fn network(weights: &[f32]) -> Network {
        let mut graph = Graph::new(1, 2, 2).unwrap();
        graph.then("conv", Op::conv(weights.len(), 1, 1, 0, false)).unwrap();
        let mut network = Network::new(graph, 0).unwrap();
        let weights = Tensor::from_slice(weights, (weights.len(), 1, 1, 1), &Device::Cpu).unwrap();
        network.params.set(0, weights).unwrap();
        network
    }

    #[test]
    fn zero_is_middle_gray_and_crossed_out() {
        let filters = Filters::of(&network(&[0.5, 0.0, -0.5])).unwrap().unwrap();
        let (width, height, rgb) = filters.sheet();
        assert_eq!((width, height), (3 * 52 + 4, 56));
        let pixel = |y: usize, x: usize| &rgb[3 * (y * width + x)..][..3];
        // Right of the middle of each filter, and the middle itself.
        assert_eq!([0, 1, 2].map(|k| pixel(28, 4 + 52 * k + 40)[0]), [255, 128, 0]);
        assert_eq!((pixel(28, 4 + 52 + 24), pixel(28, 4 + 24)), (&LINE[..], &[255; 3][..]));
        assert_eq!((pixel(0, 0), pixel(30, 52 + 2)), (&LINE[..], &LINE[..]));
    }

    #[test]
    fn the_caption_says_only_what_is_so() {
        let caption = |weights| first_filters(&network(weights)).unwrap().unwrap().figures;
        let said = |weights| format!("{:?}", caption(weights));
        assert!(said(&[1.0, 0.0]).contains("crossed out") && !said(&[1.0, 2.0]).contains("crossed out"));
        assert!(!said(&[1.0]).contains("green") && !said(&[1.0]).contains("on and off"));
    }
}
