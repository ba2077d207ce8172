use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Dataset, Factor, Info, Mask, Split, Truth};

use super::*;

/// Gray pictures of 2x4 pixels: 0 but for one pixel, the object, which is n + 1 tenths and at position 3 n mod 8. The class is n mod 2.
struct Dots(Info, bool);

impl Dataset for Dots {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, _: Split) -> usize {
        8
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        (index % 2) as u32
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        out.fill(0.0);
        out[3 * index % 8] = (index + 1) as f32 / 10.0;
        Ok(())
    }

    fn truth(&self, _: Split, index: usize) -> interp_data::Result<Option<Truth>> {
        let mut mask = Mask { height: 2, width: 4, coverage: vec![0; 8] };
        mask.coverage[3 * index % 8] = 255;
        let size = if index < 4 { "small" } else { "large" };
        let factors = vec![("size", Factor::Name(size.into()))];
        let concepts = vec![(format!("size/{size}"), mask.clone())];
        Ok(self.1.then_some(Truth { factors, object: Some(mask), concepts }))
    }
}

fn pictures(known: bool) -> Pictures {
    let (mean, std, classes) = (vec![0.0], vec![1.0], vec!["even".into(), "odd".into()]);
    let info = Info { name: "dots".into(), classes, channels: 1, height: 2, width: 4, mean, std };
    Pictures { data: Arc::new(Dots(info, known)), split: Split::Test, noise: None, workers: 0 }
}

/// Two prototypes of one number, 0.8 and 0.1: of the odd and of the even class.
fn network(by: Likeness) -> Network {
    let mut graph = Graph::new(1, 2, 4).unwrap();
    graph.then("map", Op::Prototypes { count: 2, by }).unwrap();
    let whole = Op::MaxPool { kernel: [2, 4], stride: [2, 4], padding: [0; 2], ceil_mode: false };
    graph.then_named("most", whole, vec!["odd prototype 1".into(), "even prototype 1".into()]).unwrap();
    graph.then("classes", Op::Linear { out_features: 2, bias: false }).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    for (at, values, shape) in [(0, [0.8f32, 0.1].to_vec(), [2, 1]), (1, vec![-0.5, 1.0, 1.0, -0.5], [2, 2])] {
        net.params.set(at, Tensor::from_vec(values, &shape[..], &Device::Cpu).unwrap()).unwrap();
    }
    net
}

#[test]
fn prototypes_are_found_where_they_are() {
    let all = pictures(true);
    let found = prototypes(&network(Likeness::L2), &all, &all, Looked { nearest: 2, pictures: 8 }).unwrap();
    let [odd, even] = &found.prototypes[..] else { panic!("two") };
    assert_eq!((odd.name.as_str(), odd.class, odd.weight, even.class), ("odd prototype 1", 1, 1.0, 0));
    // Picture 7 has 0.8 at position 21 mod 8 = 5, the second row's second column; picture 0 has 0.1 at the first.
    let source = odd.source.as_ref().unwrap();
    assert_eq!((source.picture, source.cell, source.pixel), (7, [1, 1], [1, 1]));
    assert_eq!(source.region, Region { rows: [1, 1], columns: [1, 1] });
    assert!((source.value - 1e4f64.ln()).abs() < 1e-3);
    assert_eq!(even.source.as_ref().map(|peak| (peak.picture, peak.cell)), Some((0, [0, 0])));
    // Nearest to 0.8 are pictures 7 and 6 (0.7), or 8 if there were one; both are large, and the places are their objects.
    assert_eq!(odd.nearest.iter().map(|peak| peak.picture).collect::<Vec<_>>(), [7, 6]);
    assert_eq!((odd.own, found.own()[1]), (1, 4));
    assert_eq!((odd.hits, odd.part.clone()), (Some([2, 2]), Some(("size/large".into(), 1.0))));
    // Patches of 2x4 pixels are single pixels, and one of eight is the object.
    assert_eq!(odd.patches, Some([1.0, 1.0 / 8.0]));
    let purity = odd.purity.as_ref().unwrap();
    assert_eq!((purity.share, purity.value.as_str()), (1.0, "size/large"));
    // An odd and an even picture are of one size every second time: 3/4.
    assert!((purity.chance - 0.75).abs() < 0.15, "{}", purity.chance);
    assert_eq!((found.equal(), found.places(), found.weights), (Some(2), 2, 4));
    assert_eq!(found.cosines, Some([1.0, 0.0]));
    assert_eq!(found.hits(), Some([2 + even.hits.unwrap()[0], 4]));
    assert!(found.consistency().is_some_and(|share| share >= 0.5));
    assert!(found.stability.is_some_and(|share| share < 1.0), "noise of 0.2 moves what is at 0.1");
}

/// Chance is told from pictures of the same classes: of these classes one has a small thing alone, the other a large one.
#[test]
fn chance_goes_by_the_class() {
    let all = pictures(true);
    let region = Region { rows: [0; 2], columns: [0; 2] };
    let of = |label: usize| Peak { picture: 3, label, cell: [0; 2], pixel: [0; 2], region, value: 1.0 };
    let found =
        |labels: [usize; 2]| chance(0, &labels.map(of), &[vec![0, 2], vec![5, 7]], &mut Truths::new(&all)).unwrap();
    assert_eq!((found([0, 0]), found([1, 1]), found([0, 1])), (1.0, 1.0, 0.5));
}

#[test]
fn what_is_not_known_is_not_measured() {
    let all = pictures(false);
    let found = prototypes(&network(Likeness::L2), &all, &all, Looked { nearest: 2, pictures: 8 }).unwrap();
    assert_eq!((found.hits(), found.purity(), found.consistency(), found.stability), (None, None, None, None));
    assert_eq!(found.patches(), None);
    let mut graph = Graph::new(1, 2, 4).unwrap();
    graph.then("classes", Op::Linear { out_features: 2, bias: false }).unwrap();
    let none = prototypes(&Network::new(graph, 0).unwrap(), &all, &all, Looked::default());
    assert!(matches!(none, Err(AuditError::NoPrototypes)));
}

#[test]
fn what_is_no_number_is_told() {
    let all = pictures(true);
    for (at, shape) in [(0, [2, 1]), (1, [2, 2])] {
        let mut net = network(Likeness::L2);
        net.params.set(at, Tensor::full(f32::NAN, &shape[..], &Device::Cpu).unwrap()).unwrap();
        let refused = prototypes(&net, &all, &all, Looked { nearest: 2, pictures: 8 });
        assert!(matches!(refused, Err(AuditError::NotANumber(_))));
        assert!(matches!(explain(&net, &all, 0), Err(AuditError::NotANumber(_))));
    }
}

/// What prototypes add is the logit of the class that is told.
#[test]
fn parts_add_up_to_the_logit() {
    let all = pictures(true);
    for by in [Likeness::L2, Likeness::Cosine] {
        for picture in 0..8 {
            let found = explain(&network(by), &all, picture).unwrap();
            assert_eq!((found.picture, found.label), (picture, picture % 2));
            assert!((found.sum() - found.logit).abs() < 1e-4, "{} and {}", found.sum(), found.logit);
            assert_eq!(found.parts.len(), 2);
            assert!(found.parts[0].product().abs() >= found.parts[1].product().abs());
        }
    }
    assert!(matches!(explain(&network(Likeness::L2), &all, 8), Err(AuditError::NoPictures)));
}

/// Of channels that are prototypes there are no vectors, and the threshold counts.
#[test]
fn channels_are_prototypes_too() {
    let mut graph = Graph::new(1, 2, 4).unwrap();
    graph.then("both", Op::OnOff).unwrap();
    graph.then("map", Op::Softmax { over: Over::Channels }).unwrap();
    graph.then("presence", Op::MaxPool { kernel: [2, 4], stride: [2, 4], padding: [0; 2], ceil_mode: false }).unwrap();
    graph.then("there", Op::Threshold { curve: interp_net::ops::Curve::Hard, shared: true, initial: 0.6 }).unwrap();
    graph.then("classes", Op::Linear { out_features: 2, bias: false }).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let at = net.params.list().len() - 1;
    net.params.set(at, Tensor::from_vec(vec![1f32, 0.0, 0.0, 2.0], (2, 2), &Device::Cpu).unwrap()).unwrap();
    let layer = Layer::of(&net.graph).unwrap();
    assert_eq!((layer.by, layer.names(&net.graph)[1].as_str()), (None, "prototype 2"));
    let all = pictures(true);
    let found = prototypes(&net, &all, &all, Looked { nearest: 3, pictures: 8 }).unwrap();
    assert_eq!((found.cosines, found.prototypes[0].class, found.prototypes[1].weight), (None, 0, 2.0));
    assert_eq!((found.used().count(), found.own()[1], found.places(), found.equal()), (2, 6, 2, None));
    // What no class looks for does not count.
    let mut without = net.clone();
    without.params.set(at, Tensor::from_vec(vec![1f32, 0.0, 0.0, 0.0], (2, 2), &Device::Cpu).unwrap()).unwrap();
    let found = prototypes(&without, &all, &all, Looked { nearest: 3, pictures: 8 }).unwrap();
    assert_eq!((found.prototypes.len(), found.used().count(), found.own()[1], found.places()), (2, 1, 3, 1));
    let explained = explain(&net, &all, 7).unwrap();
    // exp(0.8) / (exp(0.8) + exp(-0.8)) is there; the other channel has 1/2 at most, and is not.
    let share = 1.0 / (1.0 + (-1.6f64).exp());
    assert_eq!(explained.parts.len(), 1);
    assert!((explained.logit - share).abs() < 1e-6 && (explained.sum() - share).abs() < 1e-6);
}
