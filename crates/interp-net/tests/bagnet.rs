//! What a patch says is said by the patch alone.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use interp_net::zoo::{Architecture, BagNet};
use interp_net::{Graph, Keep, Mode, Network, Role};

fn network(field: usize) -> Network {
    let graph = BagNet { field, width: 0.5 }.graph([3, 40, 36], 5).unwrap();
    Network::new(graph, 1).unwrap()
}

/// A picture, with the pixels that `other` says made different.
fn picture(other: impl Fn(usize, usize) -> bool) -> Tensor {
    let value = |at: usize| {
        let (row, column) = (at / 36 % 40, at % 36);
        (0.3 + at as f32 * 0.7).sin() + if other(row, column) { 5.0 } else { 0.0 }
    };
    Tensor::from_vec((0..3 * 40 * 36).map(value).collect::<Vec<_>>(), (1, 3, 40, 36), &Device::Cpu).unwrap()
}

fn evidence(net: &Network, x: &Tensor) -> Vec<Vec<Vec<f32>>> {
    let tape = net.forward(x, Mode::Eval, &Keep::nodes(["evidence"])).unwrap();
    tape.get(&net.graph, "evidence").unwrap().squeeze(0).unwrap().to_vec3().unwrap()
}

#[test]
fn fields_are_as_said_and_logits_are_means_of_votes() {
    for (field, jump) in [(5, 2), (9, 4), (17, 8), (33, 16)] {
        let net = network(field);
        let found = net.receptive_field(net.graph.id("evidence").unwrap()).unwrap();
        assert_eq!((found.size, found.jump), ([field; 2], [jump; 2]));
        let tape = net.forward(&picture(|_, _| false), Mode::Eval, &Keep::All).unwrap();
        let votes = tape.get(&net.graph, "evidence").unwrap().squeeze(0).unwrap().to_vec3::<f32>().unwrap();
        let logits = tape.output(&net.graph).unwrap().to_vec2::<f32>().unwrap();
        for (votes, logit) in votes.iter().zip(&logits[0]) {
            let (sum, count) = (votes.iter().flatten().sum::<f32>(), votes.iter().map(Vec::len).sum::<usize>());
            assert!((sum / count as f32 - logit).abs() < 1e-5);
        }
        // The mean of what the last layer says of every cell is what it says of the mean cell.
        let at = net.graph.id("evidence").unwrap();
        let cells = tape.at(&net.graph, net.graph.nodes()[at].inputs[0]).unwrap();
        let weight = net.params.find(at, Role::Weight).unwrap().flatten_from(1).unwrap();
        let of_mean = cells.mean((2, 3)).unwrap().matmul(&weight.t().unwrap()).unwrap();
        let of_mean =
            of_mean.broadcast_add(net.params.find(at, Role::Bias).unwrap()).unwrap().to_vec2::<f32>().unwrap();
        assert!(of_mean[0].iter().zip(&logits[0]).all(|(a, b)| (a - b).abs() < 1e-5), "{of_mean:?} and {logits:?}");
    }
}

/// All pixels beyond a patch are changed: its votes keep their bits, and others do not.
#[test]
fn pixels_beyond_a_patch_do_not_touch_its_votes() {
    for field in [5, 9, 17, 33] {
        let net = network(field);
        let at = net.graph.id("evidence").unwrap();
        let before = evidence(&net, &picture(|_, _| false));
        let [rows, columns] = [before[0].len(), before[0][0].len()];
        for (row, column) in [(0, 0), (rows / 2, columns / 2), (rows - 1, 0)] {
            let seen = net.region(at, row, column).unwrap();
            let within = |range: [usize; 2], at: usize| range[0] <= at && at <= range[1];
            let after = evidence(&net, &picture(|r, c| !(within(seen.rows, r) && within(seen.columns, c))));
            let bits =
                |votes: &[Vec<Vec<f32>>]| votes.iter().map(|class| class[row][column].to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&before), bits(&after), "{field} at {row}, {column}");
            assert!(before != after);
        }
    }
}

/// The black-box twin has the same nodes, and a field of more than twice a patch.
#[test]
fn the_plain_network_sees_beyond_a_patch() {
    let settings = BagNet { field: 17, width: 0.25 };
    let graph = settings.plain().unwrap().graph([3, 64, 64], 5).unwrap();
    let names = |graph: &Graph| graph.nodes().iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&graph), names(&settings.graph([3, 64, 64], 5).unwrap()));
    let plain = Network::new(graph, 0).unwrap();
    // 3 + 2 and then, from stage to stage with jumps 1, 2, 4 and 8, twice the jump and twice the next.
    let field = plain.receptive_field(plain.graph.id("evidence").unwrap()).unwrap();
    assert_eq!(field.size, [3 + 2 + (2 + 4) + (4 + 8) + (8 + 16); 2]);
}

#[test]
fn fields_that_there_are_not_are_refused() {
    let graph = |field, size: usize| BagNet { field, width: 1.0 }.graph([3, size, size], 10).map_err(|e| e.to_string());
    assert!(graph(11, 32).unwrap_err().contains("5, 9, 17 or 33"));
    assert!(graph(33, 32).unwrap_err().contains("do not fit into 32x32"));
}
