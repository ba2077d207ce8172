//! A network whose neurons are made by hand: each must be called what it is.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use interp_data::{Dataset, Info, Split};
use interp_net::finding::random::{below, stream};
use interp_net::{Graph, Network, Op, Role};

use super::class::class_selectivity;
use super::*;
use crate::color::{color, unit_hues};
use crate::{Memory, Pictures};

const SIDE: usize = 12;
const COUNT: usize = 300;

/// On gray, in one quarter each: a square of some hue, a step of brightness in one of eight directions, a square of some gray, and, in pictures of the
/// second class alone, a checkerboard.
struct Quarters(Info);

impl Dataset for Quarters {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Test { COUNT } else { 0 }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        index as u32 % 2
    }

    fn image(&self, _: Split, index: usize, out: &mut [f32]) -> interp_data::Result<()> {
        let mut rng = stream(0, "quarters", 0, index as u64);
        let (hue, direction, level) = (below(&mut rng, 360), below(&mut rng, 8), below(&mut rng, 101));
        let (sin, cos) = (45.0 * direction as f64).to_radians().sin_cos();
        for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
            let (row, column) = (at / SIDE, at % SIDE);
            // From the middle of the quarter, to the right and up.
            let (x, y) = ((column % 6) as f64 - 2.5, 2.5 - (row % 6) as f64);
            let inside = x.abs() < 2.0 && y.abs() < 2.0;
            let value = match (row / 6, column / 6) {
                (0, 0) if inside => color(hue as f64, 0.6),
                (0, 1) if x.abs() < 2.6 => [if x * sin - y * cos < 0.0 { 0.0 } else { 1.0 }; 3],
                (1, 0) if inside => [level as f32 / 100.0; 3],
                (1, 1) if inside && index % 2 == 1 => [if (row + column) % 2 == 0 { 1.0 } else { 0.0 }; 3],
                _ => [0.4; 3],
            };
            pixel.copy_from_slice(&value);
        }
        Ok(())
    }
}

fn quarters() -> Pictures {
    let (mean, std) = (vec![0.0; 3], vec![1.0; 3]);
    let classes = vec!["plain".into(), "checks".into()];
    let info = Info { name: "quarters".into(), classes, channels: 3, height: SIDE, width: SIDE, mean, std };
    Pictures { data: Arc::new(Quarters(info)), split: Split::Test, noise: None, workers: 0 }
}

/// Red less green; a step of 45 degrees; brightness; nothing; a checkerboard. Each of 3x3 pixels.
fn network() -> Network {
    let mut graph = Graph::new(3, SIDE, SIDE).unwrap();
    let conv = graph.then("conv", Op::conv(5, 3, 1, 1, true)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    let mut net = Network::new(graph, 0).unwrap();
    let places = || (0..9).map(|at| (at / 3, at % 3));
    let step = |(row, column): (i32, i32)| (2 - row - column).signum() as f32;
    let check = |(row, column): (i32, i32)| if (row + column) % 2 == 0 { 1.0 } else { -1.25 };
    let mut weight: Vec<f32> = [1.0, -1.0, 0.0].into_iter().flat_map(|sign| [sign; 9]).collect();
    for filter in [&step as &dyn Fn((i32, i32)) -> f32, &|_| 1.0 / 27.0, &|_| 0.0, &check] {
        let plane: Vec<f32> = places().map(filter).collect();
        weight.extend(plane.repeat(3));
    }
    let set = |net: &mut Network, role: Role, values: Tensor| {
        net.params.set(net.params.position(conv, role).unwrap(), values).unwrap()
    };
    set(&mut net, Role::Weight, Tensor::from_vec(weight, (5, 3, 3, 3), &Device::Cpu).unwrap());
    set(&mut net, Role::Bias, Tensor::new(&[0f32, 0.0, 0.0, -1.0, -8.0], &Device::Cpu).unwrap());
    net
}

#[test]
fn every_planted_neuron_is_called_what_it_is() {
    let (net, pictures, memory) = (network(), quarters(), Memory::default());
    let found = survey(&net, &pictures, &[2], 40, memory).unwrap();
    let features = features(&net, &pictures, &found, crate::Memory::default(), |_, _| true).unwrap();
    let [color, orientation] =
        [Index::Color, Index::Orientation].map(|index| index.of(&net, &pictures, &found, 64).unwrap().remove(0));
    let hues = unit_hues(&net, &pictures, &found).unwrap().remove(0);
    let plain = plain_answers(&net, pictures.data.info(), &[2], memory).unwrap().remove(0);
    let of = |channel: usize| {
        let unit = &found.layers[0].units[channel];
        let class = class_selectivity(unit, &found.by_class, channel as u64);
        character(&Measured {
            unit,
            feature: features[0][channel].as_ref(),
            class: class.as_ref(),
            color: color[channel],
            orientation: orientation[channel],
            hues: hues[channel].as_ref(),
            plain: Some(plain[channel]),
        })
    };
    let [red_green, step, brightness, dead, checks] = [0, 1, 2, 3, 4].map(of);
    // Red less green is largest at the hue of 0 degrees: bins are of 10, the density is smoothed.
    assert!(
        matches!(&red_green[..], [Character::Hues(hues)] if hues.len() == 1 && ((hues[0] + 180.0).rem_euclid(360.0) - 180.0).abs() < 25.0),
        "{red_green:?}"
    );
    assert!(matches!(step[..], [Character::Edge { degrees }] if (degrees - 45.0).abs() < 10.0), "{step:?}");
    assert_eq!(brightness, [Character::Bright]);
    assert_eq!(dead, [Character::Dead]);
    assert_eq!(checks, [Character::Class { label: 1, share: 1.0 }]);
}
