//! How far filters keep to one place of a picture.

use interp_net::{Network, NodeId};

use crate::Result;
use crate::pass::{Observer, Sample, numbers};
use crate::pictures::Gauge;

/// How near to the peak counts: rows in heights of the map plus columns in widths are less than this.
const NEAR: f64 = 0.25;

/// For every filter the sum of what is above zero in its maps, and of that near the largest cell of each. Of a mean over
/// filters, those that are never active are left out.
pub(crate) struct NearPeak(Vec<Layer>);

struct Layer {
    node: NodeId,
    /// Height and width of maps.
    size: [usize; 2],
    /// By filter.
    near: Vec<f64>,
    all: Vec<f64>,
}

impl NearPeak {
    /// Nothing seen yet, for those of the nodes that have maps.
    pub(crate) fn of(net: &Network, nodes: &[NodeId]) -> Self {
        let layer = |&node: &NodeId| match *net.graph.shape(node) {
            [filters, height, width] => {
                Some(Layer { node, size: [height, width], near: vec![0.0; filters], all: vec![0.0; filters] })
            }
            _ => None,
        };
        Self(nodes.iter().filter_map(layer).collect())
    }
}

impl Layer {
    /// Takes maps (N, C, H, W), one after another, into account.
    fn add(&mut self, maps: &[f64]) {
        let filters = self.all.len();
        for (index, map) in maps.chunks_exact((self.size[0] * self.size[1]).max(1)).enumerate() {
            let (near, all) = self.sums(map);
            self.near[index % filters] += near;
            self.all[index % filters] += all;
        }
    }

    /// Of a map the sum of what is above zero near its peak, and all of it; what is not a number makes both so.
    fn sums(&self, map: &[f64]) -> (f64, f64) {
        let positive = || map.iter().map(|x| if *x > 0.0 || x.is_nan() { *x } else { 0.0 });
        let all: f64 = positive().sum();
        let largest = map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let Some(peak) = map.iter().position(|x| *x == largest) else { return (all, all) };
        let [height, width] = self.size;
        let along = |a: usize, b: usize, size: usize| a.abs_diff(b) as f64 / size as f64;
        let is_near =
            |cell: usize| along(cell / width, peak / width, height) + along(cell % width, peak % width, width) < NEAR;
        (positive().enumerate().filter(|(cell, _)| is_near(*cell)).map(|(_, x)| x).sum(), all)
    }

    /// The mean share over filters that are active in some picture.
    fn mean(&self) -> Option<f64> {
        let active = self.near.iter().zip(&self.all).filter(|(_, all)| **all != 0.0);
        let shares: Vec<f64> = active.map(|(near, all)| near / all).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}

impl Observer for NearPeak {
    fn taps(&self) -> Vec<NodeId> {
        self.0.iter().map(|layer| layer.node).collect()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for layer in &mut self.0 {
            layer.add(&numbers(sample.tape.at(&net.graph, layer.node)?)?);
        }
        Ok(())
    }
}

impl Gauge for NearPeak {
    fn value(&self) -> Option<f64> {
        // What is not a number is the lowest.
        self.0.iter().filter_map(Layer::mean).reduce(|a, b| if a.is_nan() || a < b { a } else { b })
    }
}

#[cfg(test)]
mod tests {
    use interp_net::{Graph, Op};

    use super::*;

    fn of(size: [usize; 2], filters: usize) -> Layer {
        let mut graph = Graph::new(filters, size[0], size[1]).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let net = Network::new(graph, 0).unwrap();
        NearPeak::of(&net, &[1]).0.remove(0)
    }

    // Of 4x8 cells those count that are less than a quarter away: in the row of the peak one to each side, which is an eighth; a row
    // up or down is a quarter.
    #[test]
    fn what_is_near_by_hand() {
        let mut map = vec![0.0; 32];
        (map[8 + 3], map[8 + 4], map[8 + 5], map[8 + 6], map[4], map[0]) = (1.0, 4.0, 0.5, 0.25, 2.0, -7.0);
        let layer = of([4, 8], 1);
        assert_eq!(layer.sums(&map), (5.5, 7.75));
        // Of equal peaks the first.
        assert_eq!(layer.sums(&[1.0; 32]), (2.0, 32.0));
        assert!(layer.mean().is_none());
    }

    // Three filters of 1x8 cells, the second never active: (4 + 1) / 8 and, over both pictures, (1 + 3) / (2 + 3).
    #[test]
    fn the_mean_is_over_filters_that_are_active() {
        let mut layer = of([1, 8], 3);
        let maps = [
            [[4.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0], [0.0; 8], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]],
            [[0.0; 8], [-1.0; 8], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0]],
        ];
        maps.iter().for_each(|picture| layer.add(&picture.concat()));
        assert_eq!(layer.mean(), Some((5.0 / 8.0 + 4.0 / 5.0) / 2.0));
        layer.add(&[f64::NAN; 24]);
        assert!(layer.mean().is_some_and(f64::is_nan));
    }

    #[test]
    fn the_lowest_layer_counts() {
        let mut graph = Graph::new(1, 1, 8).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let mut both = NearPeak::of(&net, &[0, 1, 2]);
        assert_eq!((both.taps(), both.value()), (vec![0, 1], None));
        both.0[0].add(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        both.0[1].add(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(both.value(), Some(0.5));
    }
}
