use std::sync::Arc;

use interp_data::{Dataset, Factor, Info, Mask, Split, Truth};
use interp_net::{Graph, Network, Op, Role};

use super::*;
use crate::{AuditError, Memory, Pictures};

const SIDE: usize = 8;
const COUNT: usize = 40;

/// Gray pictures with two red columns, no two red pixels of which are alike. Concepts: what is red, the upper half, and, in every second picture
/// alone, the whole of it.
struct Reds(Info);

impl Dataset for Reds {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { COUNT } else { 0 }
    }

    fn label(&self, _: Split, _: usize) -> u32 {
        0
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
            // Every pixel of every picture has a number of its own.
            let share = (at * COUNT + index) as f32 / (SIDE * SIDE * COUNT) as f32;
            let color = if at % SIDE < 2 { [0.5 + 0.5 * share, 0.0, 0.0] } else { [share; 3] };
            pixel.copy_from_slice(&color);
        }
        Ok(())
    }

    fn truth(&self, _: Split, index: usize) -> interp_data::Result<Option<Truth>> {
        let mask = |holds: fn(usize) -> bool| Mask {
            height: SIDE,
            width: SIDE,
            coverage: (0..SIDE * SIDE).map(|at| if holds(at) { 255 } else { 100 }).collect(),
        };
        let mut concepts = vec![
            ("hue/red".to_owned(), mask(|at| at % SIDE < 2)),
            ("half/top".to_owned(), mask(|at| at < SIDE * SIDE / 2)),
        ];
        if index.is_multiple_of(2) {
            concepts.push(("whole/all".to_owned(), mask(|_| true)));
        }
        let factors: Vec<(&'static str, Factor)> = vec![];
        Ok(Some(Truth { factors, object: None, concepts }))
    }
}

fn reds() -> Pictures {
    let (mean, std) = (vec![0.0; 3], vec![1.0; 3]);
    let info =
        Info { name: "reds".into(), classes: vec!["one".into()], channels: 3, height: SIDE, width: SIDE, mean, std };
    Pictures { data: Arc::new(Reds(info)), split: Split::Test, noise: None, workers: 0 }
}

/// What is redder than it is green, and nothing.
fn network() -> Network {
    let mut graph = Graph::new(3, SIDE, SIDE).unwrap();
    let conv = graph.then("conv", Op::conv(2, 1, 1, 0, false)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let weight = candle_core::Tensor::new(&[1f32, -0.5, -0.5, 0.0, 0.0, 0.0], &candle_core::Device::Cpu).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight.reshape((2, 3, 1, 1)).unwrap()).unwrap();
    net
}

fn dissected(quantile: f64, rotations: usize, memory: u64) -> Vec<Dissection> {
    let (net, pictures, memory) = (network(), reds(), Memory { bytes: memory });
    let settings = Settings { quantile, ..Settings::default() };
    let probes = probes(&net, &[2], rotations).unwrap();
    let one = |mut thresholds: Thresholds| {
        crate::observe(&net, &pictures, &mut [&mut thresholds], memory).unwrap();
        dissect(&net, &pictures, thresholds, &settings, memory).unwrap()
    };
    Thresholds::parts(&net, &pictures, probes, quantile, memory).into_iter().map(one).collect()
}

fn iou(found: &Dissection, name: &str) -> Overlap {
    let overlaps = &found.layers[0].units[0].overlaps;
    *overlaps.iter().find(|overlap| found.concepts[overlap.concept].name == name).unwrap()
}

// A quarter of all pixels is red. At the quantile 1/4 the answers are these; at 1/8 they are a half of them, the ceiling. The upper half is
// independent of the columns: with densities 1/4 and 1/2 the overlap is (1/8) / (3/4 - 1/8) = 1/5. The whole of every second picture is known in
// these alone: 1/4 of it is red, and a channel that answered there alone would answer to a half of it.
#[test]
fn the_overlaps_of_a_red_unit_are_known_in_closed_form() {
    let found = &dissected(0.25, 0, 1 << 30)[0];
    let names: Vec<&str> = found.concepts.iter().map(|concept| concept.name.as_str()).collect();
    assert_eq!(names, ["half/top", "hue/red", "whole/all"]);
    assert_eq!(found.concepts.iter().map(|concept| concept.density).collect::<Vec<_>>(), [0.5, 0.25, 1.0]);
    assert_eq!(found.concepts.iter().map(|concept| concept.ceiling).collect::<Vec<_>>(), [0.5, 1.0, 0.5]);
    let red = iou(found, "hue/red");
    assert_eq!((red.iou, red.interval), (1.0, [1.0, 1.0]));
    let top = iou(found, "half/top");
    assert!((top.iou - 0.2).abs() < 1e-12 && (top.null - 0.2).abs() < 1e-12, "{top:?}");
    assert_eq!((iou(found, "whole/all").iou, found.concepts[2].pictures), (0.25, COUNT / 2));
    let [red, dead] = &found.layers[0].units[..] else { panic!("two channels") };
    assert!(red.density == 0.25 && dead.density == 0.0 && dead.overlaps.is_empty() && dead.examples.is_empty());
    let settings = Settings::default();
    assert_eq!(found.layers[0].detectors(&settings).iter().map(|(unit, _)| *unit).collect::<Vec<_>>(), [0]);
    assert_eq!(found.layers[0].unique(&settings).into_iter().collect::<Vec<_>>(), [1]);

    let half = &dissected(0.125, 0, 1 << 30)[0];
    assert_eq!((iou(half, "hue/red").iou, half.concepts[1].ceiling), (0.5, 0.5));
    // The brightest red pixel is the last of the last picture.
    let example = &half.layers[0].units[0].examples[0];
    assert!(example.picture == COUNT - 1 && example.mask.has(SIDE * (SIDE - 1) + 1) && !example.mask.has(2));
}

#[test]
fn nothing_depends_on_memory() {
    let whole = dissected(0.1, 1, 1 << 30);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].layers.iter().map(|layer| layer.rotated).collect::<Vec<_>>(), [false, true]);
    // Every channel by itself, and both of the first together.
    let one = largest::Largest::bytes((0.1 * (SIDE * SIDE * COUNT) as f64) as usize + 1);
    for (memory, count) in [(1, 4), (2 * one, 2), (3 * one, 2)] {
        let parts = dissected(0.1, 1, memory);
        assert_eq!(parts.len(), count);
        let mut joined = Dissection { concepts: vec![], layers: vec![] };
        parts.into_iter().for_each(|part| joined.extend(part));
        assert_eq!(joined, whole[0]);
    }
}

#[test]
fn data_without_concepts_are_told() {
    struct Unknown(Reds);
    impl Dataset for Unknown {
        fn info(&self) -> &Info {
            self.0.info()
        }
        fn len(&self, split: Split) -> usize {
            self.0.len(split)
        }
        fn label(&self, split: Split, index: usize) -> u32 {
            self.0.label(split, index)
        }
        fn image(&self, split: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
            self.0.image(split, index, out)
        }
    }
    let (net, settings, memory) = (network(), Settings::default(), Memory::default());
    let pictures = Pictures { data: Arc::new(Unknown(Reds(reds().data.info().clone()))), ..reds() };
    let probes = probes(&net, &[2], 0).unwrap();
    let thresholds = Thresholds::parts(&net, &pictures, probes, 0.1, memory).remove(0);
    let refused = dissect(&net, &pictures, thresholds, &settings, memory);
    assert!(matches!(refused, Err(AuditError::NoConcepts(name)) if name == "reds"));
}

// Pixels have any brightness, and some are red alone: neither .25 R + 2.75 G nor 3 G tells of red, but four times their difference, R - G, does. The
// third channel is the second again, and the fourth nothing.
#[test]
fn a_linear_probe_finds_what_no_channel_is() {
    let mut graph = Graph::new(3, SIDE, SIDE).unwrap();
    let conv = graph.then("conv", Op::conv(4, 1, 1, 0, false)).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let weights = [[0.25f32, 2.75, 0.0], [0.0, 3.0, 0.0], [0.0, 3.0, 0.0], [0.0; 3]].concat();
    let weight = candle_core::Tensor::from_vec(weights, (4, 3, 1, 1), &candle_core::Device::Cpu).unwrap();
    net.params.set(net.params.position(conv, Role::Weight).unwrap(), weight).unwrap();
    let (pictures, memory) = (reds(), Memory { bytes: 1 << 30 });
    let mut directions = Directions::new(&net, &pictures, conv);
    crate::observe(&net, &pictures, &mut [&mut directions], memory).unwrap();
    let (names, probe) = directions.found().unwrap();
    assert_eq!(names, ["half/top", "hue/red", "whole/all"]);
    let settings = Settings { quantile: 0.25, ..Settings::default() };
    let with = |probes: Vec<Probe>| super::dissected(&net, &pictures, probes, &settings, memory).unwrap();
    let red = |found: &Dissection, unit: usize| {
        let overlaps = &found.layers[0].units[unit].overlaps;
        overlaps.iter().find(|o| found.concepts[o.concept].name == "hue/red").map_or(0.0, |o| o.iou)
    };
    let probed = with(vec![probe]);
    assert_eq!(red(&probed, 1), 1.0);
    let channels = with(probes(&net, &[conv], 0).unwrap());
    assert!(red(&channels, 0).max(red(&channels, 1)) < 0.5, "{} {}", red(&channels, 0), red(&channels, 1));
}
