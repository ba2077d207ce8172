//! Quantities that are measured on pictures.

use std::sync::Arc;

use interp_data::{Batch, Dataset, Noise, Split};
use interp_net::finding::Quantity;
use interp_net::{Keep, Network, NodeId};

use crate::Result;
use crate::bottleneck::ConceptHits;
use crate::channels::{ActiveChannels, Correlation};
use crate::chosen::Chosen;
use crate::class_evidence::ClassEvidence;
use crate::concept_area::ConceptArea;
use crate::contributions::Gap;
use crate::evidence::Evidence;
use crate::near_peak::NearPeak;
use crate::pass::{Observer, Pass};
use crate::shares::Deviation;
use crate::sparse_code::Rest;
use crate::zeros::Zeros;

/// The pictures that quantities are measured on.
#[derive(Clone)]
pub struct Pictures {
    /// The data set, normalized as the network wants it.
    pub data: Arc<dyn Dataset>,
    /// The split.
    pub split: Split,
    /// The noise that the network was trained to take away, where it was: it sees all pictures with it.
    pub noise: Option<f64>,
    /// Threads that read pictures; results do not depend on it.
    pub workers: usize,
}

impl Pictures {
    /// A batch as the network sees it.
    pub(crate) fn seen(&self, batch: Batch) -> Batch {
        match self.noise {
            Some(deviation) => Noise::for_measuring(deviation).on(&batch, self.data.info()),
            None => batch,
        }
    }
}

/// What gathers a quantity's value, one sample after another.
pub(crate) trait Gauge: Observer {
    /// The value over all samples; `None` where there was nothing to measure.
    fn value(&self) -> Option<f64>;
}

/// The gauge of a quantity over nodes; `None` for what is measured without pictures.
fn gauge(net: &Network, pictures: &Pictures, quantity: Quantity, nodes: &[NodeId]) -> Result<Option<Box<dyn Gauge>>> {
    Ok(match quantity {
        Quantity::Unexplained => match *nodes {
            [whole, by] if net.graph.shape(whole) == net.graph.shape(by) => Some(Box::new(Rest::new(whole, by))),
            _ => None,
        },
        Quantity::ConceptAccuracy => Some(Box::new(ConceptHits::of(net, pictures, nodes)?)),
        Quantity::ConceptArea => Some(Box::new(ConceptArea::of(net, pictures, nodes)?)),
        Quantity::ZeroActivations => Some(Box::new(Zeros::of(net, nodes))),
        Quantity::EvidenceInside => Some(Box::new(Evidence::of(net, nodes))),
        Quantity::ActiveChannels => Some(Box::new(ActiveChannels::of(nodes))),
        Quantity::ChannelCorrelation => Some(Box::new(Correlation::of(nodes))),
        Quantity::SumDeviation => Some(Box::new(Deviation::new(nodes))),
        Quantity::LeastChosen => Some(Box::new(Chosen::of(net, nodes))),
        Quantity::NearPeak => Some(Box::new(NearPeak::of(net, nodes))),
        Quantity::ClassEvidence => Some(Box::new(ClassEvidence::of(net, nodes))),
        Quantity::ContributionGap => Some(Box::new(Gap::new(nodes))),
        Quantity::ZeroWeights
        | Quantity::ZeroFilters
        | Quantity::ZeroInputs
        | Quantity::ZeroGains
        | Quantity::RemovableChannels
        | Quantity::NegativeWeights
        | Quantity::FilterSimilarity
        | Quantity::FieldSize
        | Quantity::NegativeThresholds
        | Quantity::ThresholdSpread
        | Quantity::AlongBank(_)
        | Quantity::Slope { .. } => None,
    })
}

/// The values of quantities, each over its nodes, by one pass over the pictures.
pub(crate) fn values(
    net: &Network,
    pictures: &Pictures,
    wanted: &[(Quantity, Vec<NodeId>)],
) -> Result<Vec<Option<f64>>> {
    let gauges = wanted.iter().map(|(quantity, nodes)| gauge(net, pictures, *quantity, nodes));
    let mut gauges = gauges.collect::<Result<Vec<_>>>()?;
    let taps: Vec<NodeId> = gauges.iter().flatten().flat_map(|gauge| gauge.taps()).collect();
    let keep = Keep::nodes(taps.iter().map(|&id| net.graph.nodes()[id].name.as_str()));
    let masks = gauges.iter().flatten().any(|gauge| gauge.needs_masks());
    // To the output, which some of them read.
    Pass { masks, ..Pass::keeping(keep) }
        .over(net, pictures, |sample| gauges.iter_mut().flatten().try_for_each(|gauge| gauge.observe(net, sample)))?;
    Ok(gauges.iter().map(|gauge| gauge.as_ref()?.value()).collect())
}

#[cfg(test)]
mod tests {
    use interp_data::{Augment, Info, Loader};
    use interp_net::finding::{Claim, Relation};
    use interp_net::{Graph, Op};

    use super::*;
    use crate::measure;

    /// Pictures of one row and two gray pixels: (-1, 1), (-1, 0), (-1, -1) and so on.
    struct Rows(Info);

    impl Dataset for Rows {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, split: Split) -> usize {
            if split == Split::Test { 3 } else { 0 }
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            out.copy_from_slice(&[-1.0, 1.0 - index as f32]);
            Ok(())
        }
    }

    fn rows() -> Pictures {
        let (mean, std) = (vec![0.0], vec![1.0]);
        let info =
            Info { name: "rows".into(), classes: vec!["one".into()], channels: 1, height: 1, width: 2, mean, std };
        Pictures { data: Arc::new(Rows(info)), split: Split::Test, noise: None, workers: 0 }
    }

    // Of six pixels one is above zero. The second ReLU sees no more, and both count alike.
    #[test]
    fn zero_activations_over_pictures_by_hand() {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("again", Op::Relu).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let claim = |nodes: &[&str]| Claim {
            quantity: Quantity::ZeroActivations,
            nodes: nodes.iter().map(|&name| name.to_owned()).collect(),
            scope: "all".into(),
            relation: Relation::AtLeast,
            bound: 0.8,
        };
        let found = measure(&net, &[claim(&["relu"]), claim(&["input", "again"])], Some(&rows())).unwrap();
        assert_eq!(found.iter().map(|m| m.value).collect::<Vec<_>>(), [5.0 / 6.0, 6.0 / 12.0]);
        assert_eq!(found.iter().map(|m| m.holds).collect::<Vec<_>>(), [true, false]);
        // With noise, the network sees other numbers: of pixels that were 0, some are above it.
        let noisy = Pictures { noise: Some(1.0), ..rows() };
        let loader = Loader::new(noisy.data.clone(), Split::Test, 3, 0, Augment::default(), 0).unwrap();
        let seen = loader.in_order(None).map(|batch| Noise::for_measuring(1.0).on(&batch.unwrap(), noisy.data.info()));
        let numbers: Vec<f32> = seen.flat_map(|batch| batch.images).collect();
        let zeros = numbers.iter().filter(|value| **value <= 0.0).count() as f64;
        assert_eq!(measure(&net, &[claim(&["relu"])], Some(&noisy)).unwrap()[0].value, zeros / 6.0);
        assert!(numbers.len() == 6 && zeros != 5.0);
        assert!(measure(&net, &[claim(&["relu"])], None).unwrap_err().to_string().contains("no pictures"));
    }
}
