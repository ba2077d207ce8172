//! Where in pictures the evidence for their class lies.

use candle_core::{DType, Tensor};
use interp_net::{Network, NodeId, Role};

use crate::Result;
use crate::pass::{Observer, Sample};
use crate::pictures::Gauge;

/// The mean over pictures of the share of the positive evidence for their label that lies in cells that show some of the object. Evidence
/// is the class activation map of the label less the mean of those of all classes, in each cell; a cell shows what the
/// pixels show that are nearer to the center of what it sees than to those of its neighbors, and counts by the pixel that is most of
/// the object. A picture without positive evidence has a share of 0.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// What reads the maps, and the maps.
    head: Option<(NodeId, NodeId)>,
    sum: f64,
    count: usize,
}

impl Evidence {
    /// Of the first of the nodes that reads maps.
    pub(crate) fn of(net: &Network, nodes: &[NodeId]) -> Self {
        let head = nodes.iter().find_map(|&id| Some((id, net.graph.evidence_maps(id)?)));
        Self { head, sum: 0.0, count: 0 }
    }
}

impl Observer for Evidence {
    fn taps(&self) -> Vec<NodeId> {
        self.head.iter().map(|&(_, maps)| maps).collect()
    }

    fn needs_masks(&self) -> bool {
        self.head.is_some()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        let (Some((head, maps)), Some(masks)) = (self.head, &sample.batch.masks) else { return Ok(()) };
        let Some(weight) = net.params.find(head, Role::Weight) else { return Ok(()) };
        let features = sample.tape.at(&net.graph, maps)?;
        let evidence = class_maps(features, weight)?;
        let (_, _, height, width) = evidence.dims4()?;
        let shown = Shown::new(net, maps, [height, width])?;
        let size = masks.len() / sample.batch.labels.len().max(1);
        for ((picture, &label), mask) in sample.batch.labels.iter().enumerate().zip(masks.chunks_exact(size.max(1))) {
            let map = evidence.get(picture)?.get(label as usize)?.flatten_all()?.to_vec1::<f64>()?;
            self.sum += share(&map, &shown.object(mask));
            self.count += 1;
        }
        Ok(())
    }
}

impl Gauge for Evidence {
    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// The maps of all classes (N, K, H, W) less their mean over classes, of features (N, C, H, W) and weights (K, C, ...).
fn class_maps(features: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (pictures, channels, height, width) = features.dims4()?;
    let classes = weight.dim(0)?;
    let cells = features.to_dtype(DType::F64)?.reshape((pictures, channels, height * width))?;
    let weight = weight.to_dtype(DType::F64)?.reshape((1, classes, channels))?;
    let maps = weight.broadcast_matmul(&cells)?; // (1, K, C) (N, C, H W) -> (N, K, H W)
    let centered = maps.broadcast_sub(&maps.mean_keepdim(1)?)?;
    Ok(centered.reshape((pictures, classes, height, width))?)
}

/// The part of what is positive in `map` that `object` says is inside.
fn share(map: &[f64], object: &[f64]) -> f64 {
    let positive = || map.iter().map(|e| if *e > 0.0 || e.is_nan() { *e } else { 0.0 });
    let all: f64 = positive().sum();
    if all == 0.0 { 0.0 } else { positive().zip(object).map(|(e, m)| e * m).sum::<f64>() / all }
}

/// Which cell each row and column of a picture belongs to.
struct Shown {
    rows: Vec<Option<usize>>,
    columns: Vec<Option<usize>>,
    cells: [usize; 2],
}

impl Shown {
    fn new(net: &Network, maps: NodeId, cells: [usize; 2]) -> Result<Self> {
        let field = net.receptive_field(maps)?;
        let picture = &net.graph.shape(0)[1..];
        let cell = |axis: usize, pixel: usize| {
            // Beyond half a step from the centers pixels belong to no cell.
            let place = ((pixel as f64 + 0.5 - field.start[axis]) / field.jump[axis].max(1) as f64).round();
            (place >= 0.0 && place < cells[axis] as f64).then_some(place as usize)
        };
        let all = |axis: usize| (0..picture[axis]).map(|pixel| cell(axis, pixel)).collect();
        Ok(Self { rows: all(0), columns: all(1), cells })
    }

    /// For each cell the share of the pixel in it that is most of the object.
    fn object(&self, mask: &[f32]) -> Vec<f64> {
        let mut object = vec![0.0; self.cells[0] * self.cells[1]];
        for (row, pixels) in self.rows.iter().zip(mask.chunks_exact(self.columns.len().max(1))) {
            for (column, &share) in self.columns.iter().zip(pixels) {
                if let (Some(row), Some(column)) = (row, column) {
                    let cell: &mut f64 = &mut object[row * self.cells[1] + column];
                    *cell = cell.max(f64::from(share));
                }
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use interp_data::Batch;
    use interp_net::{Graph, Keep, Mode, Op};

    use super::*;

    // Two classes, of which the first reads the first channel of a map of 1x3 cells and the second the other; less their mean, a class has half
    // of the difference. The object is in the middle.
    #[test]
    fn the_share_by_hand() {
        let mut graph = Graph::new(2, 1, 3).unwrap();
        graph.then("maps", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        graph.then("linear", Op::Linear { out_features: 2, bias: true }).unwrap();
        let mut net = Network::new(graph, 0).unwrap();
        net.params.set(0, Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap()).unwrap();
        let x = [1f32, 3.0, 4.0, 0.0, 0.0, 5.0].repeat(2);
        let x = Tensor::from_vec(x, (2, 2, 1, 3), &Device::Cpu).unwrap();
        let mut evidence = Evidence::of(&net, &[0, 3]);
        assert_eq!((evidence.taps(), evidence.value()), (vec![1], None));
        let tape = net.forward(&x, Mode::Eval, &Keep::nodes(["maps"])).unwrap();
        let masks = Some([0.0, 1.0, 0.0].repeat(2));
        let batch = Batch { images: vec![], labels: vec![0, 1], indices: vec![0, 1], masks };
        evidence.observe(&net, &Sample { tape: &tape, batch: &batch }).unwrap();
        // Of the first class 1/2, 3/2, -1/2: three quarters inside. Of the second -1/2, -3/2, 1/2: nothing.
        assert_eq!(evidence.value(), Some(0.75 / 2.0));
        assert!(Evidence::of(&net, &[1]).taps().is_empty());
    }

    // Centers at 0.5, 2.5 and 4.5 of six pixels: the edges lie between pixels 1 and 2, and 3 and 4, halves up.
    #[test]
    fn pixels_belong_to_the_nearest_center() {
        let mut graph = Graph::new(1, 1, 6).unwrap();
        graph.then("conv", Op::conv(1, 1, 2, 0, false)).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let shown = Shown::new(&net, 1, [1, 3]).unwrap();
        assert_eq!(shown.columns, [0, 1, 1, 2, 2].map(Some).into_iter().chain([None]).collect::<Vec<_>>());
        assert_eq!(shown.object(&[0.5, 0.25, 0.75, 0.0, 0.125, 1.0]), [0.5, 0.75, 0.125]);
    }
}
