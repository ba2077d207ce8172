//! The color axes of a first layer's filters.

use interp_net::finding::random::stream;
use interp_net::{Network, NodeId, Op, Role};
use nalgebra::{Matrix3, SymmetricEigen, Vector3};
use rand_distr::{Distribution, StandardNormal};

use super::space::apart;
use crate::pass::numbers;
use crate::{AuditError, Result};

/// The opponent axes that first layers have been found to lie along (Rafegas and Vanrell 2018), in degrees.
pub const NAMED_AXES: [(f64, &str); 3] = [(26.57, "red-cyan"), (90.0, "yellow-blue"), (153.43, "green-magenta")];

/// Draws of a null.
const DRAWS: usize = 999;

/// The direction in red, green and blue along which a filter's weights lie most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterAxis {
    /// The share of the squared weights along it: 1 where the filter looks at one color direction alone.
    pub share: f64,
    /// The share of the direction that is across gray: 0 of a filter that looks at brightness, 1 of one that gray says nothing to; 2/3 on average of
    /// random ones.
    pub chromatic: f64,
    /// Its axis of hues in degrees below 180, the same for opposite ones.
    pub axis: f64,
}

/// The axes of a first layer.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstAxes {
    /// The convolution.
    pub node: NodeId,
    /// One for each filter that is not zero.
    pub filters: Vec<FilterAxis>,
    /// How far chromatic filters, those with a chromatic share of a half or more, are from the named axes; `None` where there are none.
    pub distance: Option<Distance>,
}

/// How far axes are from the nearest of [`NAMED_AXES`], in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// The mean.
    pub mean: f64,
    /// The mean of random directions in red, green and blue that are chromatic.
    pub null: f64,
    /// The share of 999 draws of as many random ones, and of the filters themselves, that are at least as near.
    pub p: f64,
}

/// Those of the first convolution that reads pictures of three channels; `None` where there is none. `deviations` are those that channels were divided
/// by before the network.
///
/// # Errors
/// If weights cannot be read, or are no finite numbers.
pub fn first_axes(net: &Network, deviations: &[f32]) -> Result<Option<FirstAxes>> {
    let is_first = |&id: &NodeId| {
        let node = &net.graph.nodes()[id];
        let convolution = matches!(node.op, Op::Conv2d { .. } | Op::BCosConv2d { .. });
        convolution && node.inputs == [0] && net.graph.shape(0)[0] == 3 && deviations.len() == 3
    };
    let Some(node) = (0..net.graph.nodes().len()).find(is_first) else { return Ok(None) };
    let Some(weight) = net.params.find(node, Role::Weight) else { return Ok(None) };
    let (_, channels, height, width) = weight.dims4()?;
    if channels != 3 {
        return Ok(None); // Each filter of a group sees one color.
    }
    let values = numbers(weight)?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(AuditError::NotANumber(net.graph.nodes()[node].name.clone()));
    }
    let places = height * width;
    let color = |filter: &[f64], place: usize| {
        Vector3::from_fn(|channel, _| filter[channel * places + place] / f64::from(deviations[channel]))
    };
    let filter = |filter: &[f64]| {
        let spread: Matrix3<f64> =
            (0..places).map(|place| color(filter, place) * color(filter, place).transpose()).sum();
        let eigen = SymmetricEigen::new(spread);
        let all = eigen.eigenvalues.sum();
        let axis = along(eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned());
        (all > 0.0).then(|| FilterAxis { share: eigen.eigenvalues.max() / all, ..axis })
    };
    let filters: Vec<FilterAxis> = values.chunks_exact(3 * places).filter_map(filter).collect();
    let distance = distance(&filters).map(|mean| held_against_random(mean, &filters));
    Ok(Some(FirstAxes { node, filters, distance }))
}

fn held_against_random(mean: f64, filters: &[FilterAxis]) -> Distance {
    let chromatic = filters.iter().filter(|filter| filter.chromatic >= CHROMATIC).count();
    let null: Vec<f64> = (0..DRAWS).filter_map(|draw| distance(&random(chromatic, draw))).collect();
    let near = null.iter().filter(|&&other| other <= mean).count();
    let p = (near + 1) as f64 / (DRAWS + 1) as f64;
    Distance { mean, null: null.iter().sum::<f64>() / null.len().max(1) as f64, p }
}

/// The chromatic share from which on a filter is one of color.
const CHROMATIC: f64 = 0.5;

/// A direction of unit length in red, green and blue.
fn along(direction: Vector3<f64>) -> FilterAxis {
    let [red, green, blue] = [direction[0], direction[1], direction[2]];
    let gray = (red + green + blue).powi(2) / 3.0;
    let axis = ((red + green - 2.0 * blue) / 2.0).atan2(red - green).to_degrees().rem_euclid(180.0);
    FilterAxis { share: 1.0, chromatic: (1.0 - gray).clamp(0.0, 1.0), axis }
}

/// The mean distance of chromatic filters from the nearest named axis.
fn distance(filters: &[FilterAxis]) -> Option<f64> {
    let nearest = |filter: &FilterAxis| {
        NAMED_AXES.iter().map(|(axis, _)| apart(filter.axis, *axis, 180.0)).fold(f64::INFINITY, f64::min)
    };
    let all: Vec<f64> = filters.iter().filter(|filter| filter.chromatic >= CHROMATIC).map(nearest).collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// So many random directions that are chromatic.
fn random(count: usize, draw: usize) -> Vec<FilterAxis> {
    let mut rng = stream(0, "color axes", 0, draw as u64);
    let drawn = std::iter::repeat_with(|| Vector3::from_fn(|_, _| StandardNormal.sample(&mut rng)));
    drawn.map(|v: Vector3<f64>| along(v.normalize())).filter(|f| f.chromatic >= CHROMATIC).take(count).collect()
}
