//! Closed forms, and gradients against central differences.

use candle_core::{DType, Device, Tensor};
use interp_net::finding::{Section, find};
use interp_net::ops::scalars::log_softmax;
use interp_net::{Keep, Mode, Network, Op, Want};

use super::decoupled::Parts;
use super::logits::divergence;
use super::*;

/// A network whose logits are its input, so that a lesson can be given with any logits.
fn identity(classes: usize) -> Graph {
    let mut graph = Graph::new(classes, 1, 1).unwrap();
    graph.then("logits", Op::GlobalAvgPool).unwrap();
    graph
}

fn built(text: &str) -> Box<dyn Distillation> {
    let table: toml::Table = toml::from_str(text).unwrap();
    let kind = table["kind"].as_str().unwrap().to_owned();
    let rest: String = text.lines().filter(|line| !line.starts_with("kind")).map(|line| format!("{line}\n")).collect();
    let section: Section<'_> = toml::de::DeTable::parse(&rest).unwrap();
    (find(ENTRIES, &kind).unwrap().build)(section).unwrap().object
}

/// The value of a loss, and its gradient with respect to the student's logits.
fn of_logits(text: &str, student: &[f64], teacher: &[f64], label: u32) -> (f64, Vec<f64>) {
    let graph = identity(student.len());
    let tensor = |row: &[f64]| Tensor::from_slice(row, (1, row.len()), &Device::Cpu).unwrap();
    let (own, theirs) = (tensor(student), tensor(teacher));
    let side = |logits| Side { graph: &graph, logits, tape: None };
    let lesson = Lesson { labels: &[label], student: side(&own), teacher: side(&theirs), rate: 0.0 };
    let loss = built(text);
    let term = loss.loss(&lesson, &mut loss.prepare(&graph, &graph, 0).unwrap()).unwrap();
    (term.value, term.nodes[0].1.flatten_all().unwrap().to_vec1().unwrap())
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let all_near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6);
    assert!(all_near, "{found:?}, not {expected:?}");
}

fn soft(temperature: f64) -> String {
    format!("kind = \"soft_labels\"\ntemperature = {temperature:?}")
}

// T = 2: p = (e, 1) / (e + 1), 4 KL(p || even) = 4 (ln 2 - H(p)).
#[test]
fn soft_labels_have_their_closed_forms() {
    near(&[of_logits(&soft(2.0), &[0.0, 0.0], &[2.0, 0.0], 0).0], &[0.443_776]);
    let (value, grad) = of_logits(&soft(4.0), &[0.0; 3], &[4.0, 0.0, 0.0], 0);
    near(&[value], &[1.972_551]);
    near(&grad, &[-0.971_134, 0.485_567, 0.485_567]);
    near(&[of_logits(&soft(4.0), &[1.0, -2.0, 0.5], &[1.0, -2.0, 0.5], 1).0], &[0.0]);
    // The limit of high temperatures: half the mean square of what logits less their means differ by, (8/3)^2 + 2 (4/3)^2 over 6.
    let hot = of_logits(&soft(1e5), &[0.0; 3], &[4.0, 0.0, 0.0], 0).0;
    assert!((hot - 16.0 / 9.0).abs() < 1e-4, "{hot}");
}

#[test]
fn decoupled_losses_have_their_closed_forms() {
    let decoupled = |alpha: f64, beta: f64| format!("kind = \"decoupled\"\nalpha = {alpha:?}\nbeta = {beta:?}");
    let value = |alpha, beta| of_logits(&decoupled(alpha, beta), &[1.0, 2.0, 0.0], &[4.0, 1.0, 0.0], 0).0;
    let scaled = [value(1.0, 0.0), value(0.0, 1.0), value(1.0, 8.0)].map(|value| value / 16.0);
    near(&scaled, &[0.099_354, 0.007_593, 2.561_628 / 16.0]);
}

/// Numbers that look random, from -2 to 2.
fn numbers(count: usize, start: f64) -> Vec<f64> {
    (0..count).map(|i| 2.0 * ((i as f64 + start) * 12.9898).sin()).collect()
}

#[test]
fn soft_labels_are_their_two_parts() {
    for start in 0..50 {
        let (own, theirs) = (numbers(5, f64::from(start)), numbers(5, f64::from(start) + 0.37));
        let label = start as usize % 5;
        let (p, q) = (Parts::new(&theirs, label, 4.0), Parts::new(&own, label, 4.0));
        let whole = |logits: &[f64]| log_softmax(logits.iter().copied(), 4.0);
        let sum = divergence(&p.binary, &q.binary) + (1.0 - p.binary[0].exp()) * divergence(&p.others, &q.others);
        assert!((divergence(&whole(&theirs), &whole(&own)) - sum).abs() < 1e-14);
    }
}

// What is told of other classes by the logits (4, 1, 0) at T = 4 where the label is the first.
#[test]
fn other_classes_among_themselves() {
    let others: Vec<f64> = Parts::new(&[4.0, 1.0, 0.0], 0, 4.0).others.iter().map(|p| p.exp()).collect();
    near(&others, &[0.562_177, 0.437_823]);
}

#[test]
fn logits_of_any_size_stay_finite() {
    for text in [soft(0.01), "kind = \"decoupled\"\ntemperature = 0.01".to_owned()] {
        for (own, theirs) in [([1e4, -1e4, 0.0], [-1e4, 1e4, 3.0]), ([0.0; 3], [1e30, 0.0, -1e30])] {
            let (value, grad) = of_logits(&text, &own, &theirs, 1);
            assert!(value >= 0.0 && grad.iter().all(|g| g.is_finite()), "{text}: {value} {grad:?}");
        }
    }
}

/// A convolution, a ReLU, a mean and a linear map, of other sizes for student and teacher.
fn network(channels: usize, stride: usize, padding: usize, seed: u64) -> Network {
    let mut graph = Graph::new(2, 6, 6).unwrap();
    graph.then("conv", Op::conv(channels, 3, stride, padding, true)).unwrap();
    graph.then("relu", Op::Relu).unwrap();
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("logits", Op::Linear { out_features: 3, bias: true }).unwrap();
    Network::new(graph, seed).unwrap().to_dtype(DType::F64).unwrap()
}

/// Losses at logits and at layers, of teachers with maps of the same size and smaller ones, also such as do not divide it.
const LOSSES: [&str; 14] = [
    "kind = \"soft_labels\"",
    "kind = \"soft_labels\"\nstandardize = true",
    "kind = \"decoupled\"\nbeta = 2.0",
    "kind = \"decoupled\"\nstandardize = true",
    "kind = \"class_soft_labels\"",
    "kind = \"hints\"\nstudent = \"relu\"\nteacher = \"relu\"",
    "kind = \"hints\"\nstudent = \"mean\"\nteacher = \"mean\"",
    "kind = \"attention_transfer\"\nstudent = [\"relu\", \"conv\"]\nteacher = [\"relu\", \"conv\"]",
    "kind = \"attention_transfer\"\nstudent = [\"conv\"]\nteacher = [\"relu\"]\ndistance = \"length\"",
    "kind = \"similarity\"\nstudent = [\"relu\"]\nteacher = [\"relu\"]",
    "kind = \"similarity\"\nstudent = [\"mean\"]\nteacher = [\"relu\"]",
    "kind = \"similarity\"\nstudent = [\"logits\"]\nteacher = [\"logits\"]",
    "kind = \"contrastive_in_batch\"\nstudent = \"relu\"\nteacher = \"mean\"",
    "kind = \"contrastive_in_batch\"\nstudent = \"logits\"\nteacher = \"logits\"\ntemperature = 0.5",
];

/// A loss for pictures, and its gradient with respect to their pixels.
fn of_pictures(loss: &dyn Distillation, nets: [&Network; 2], pixels: &[f64]) -> (f64, Vec<f64>) {
    let x = Tensor::from_slice(pixels, (4, 2, 6, 6), &Device::Cpu).unwrap();
    let [student, teacher] = nets;
    let tapes = nets.map(|net| net.forward(&x, Mode::Eval, &Keep::All).unwrap());
    let side = |net, tape: usize| {
        let (net, tape): (&Network, &Tape) = (net, &tapes[tape]);
        Side { graph: &net.graph, logits: tape.output(&net.graph).unwrap(), tape: Some(tape) }
    };
    // The teacher sees other pictures, so that the student's pixels change nothing of it.
    let other =
        teacher.forward(&(x.ones_like().unwrap() * 0.1).unwrap().add(&fixed()).unwrap(), Mode::Eval, &Keep::All);
    let other = other.unwrap();
    let theirs = Side { graph: &teacher.graph, logits: other.output(&teacher.graph).unwrap(), tape: Some(&other) };
    let lesson = Lesson { labels: &[0, 2, 1, 2], student: side(student, 0), teacher: theirs, rate: 0.0 };
    let mut state = loss.prepare(&student.graph, &teacher.graph, 3).unwrap();
    let term = loss.loss(&lesson, &mut state).unwrap();
    let want = Want { nodes: vec![0], params: vec![] };
    let grads = student.backward(&tapes[0], &term.nodes, &want).unwrap();
    (term.value, grads.node(0).unwrap().flatten_all().unwrap().to_vec1().unwrap())
}

fn fixed() -> Tensor {
    Tensor::from_vec(numbers(288, 0.7), (4, 2, 6, 6), &Device::Cpu).unwrap()
}

#[test]
fn gradients_are_central_differences() {
    let student = network(3, 1, 1, 1);
    for teacher in [network(5, 1, 1, 2), network(4, 2, 1, 3), network(4, 1, 0, 4)] {
        for text in LOSSES {
            let loss = built(text);
            loss.check(&student.graph, &teacher.graph).unwrap();
            let pixels = numbers(288, 0.1);
            let (value, grad) = of_pictures(&*loss, [&student, &teacher], &pixels);
            assert!(value > 0.0, "{text}: {value}");
            let largest = grad.iter().fold(0.0f64, |most, g| most.max(g.abs()));
            for at in (0..288).step_by(7) {
                let moved = |by: f64| {
                    let mut pixels = pixels.clone();
                    pixels[at] += by;
                    of_pictures(&*loss, [&student, &teacher], &pixels).0
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!(
                    (slope - grad[at]).abs() < 1e-5 * largest.max(1e-3),
                    "{text} at {at}: {}, not {slope}",
                    grad[at]
                );
            }
        }
    }
}

#[test]
fn every_line_of_the_table_was_checked() {
    for entry in ENTRIES {
        let kind = format!("kind = \"{}\"", entry.name);
        assert!(LOSSES.iter().any(|text| text.starts_with(&kind)) && entry.example.starts_with(&kind), "{kind}");
    }
}

/// Where one position of two is active against both alike: `2 - sqrt 2` between unit vectors, squared.
#[test]
fn attention_has_its_closed_forms() {
    let maps = |values: &[f64]| {
        let mut graph = Graph::new(1, 1, 2).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        graph.then("mean", Op::GlobalAvgPool).unwrap();
        let net = Network::new(graph, 0).unwrap();
        let x = Tensor::from_slice(values, (1, 1, 1, 2), &Device::Cpu).unwrap();
        (net.forward(&x, Mode::Eval, &Keep::All).unwrap(), net.graph)
    };
    let ((own, graph), (theirs, _)) = (maps(&[3.0, 0.0]), maps(&[2.0, 2.0]));
    let side = |tape| Side { graph: &graph, logits: Tape::output(tape, &graph).unwrap(), tape: Some(tape) };
    let lesson = Lesson { labels: &[0], student: side(&own), teacher: side(&theirs), rate: 0.0 };
    let value = |distance: &str| {
        let text = "kind = \"attention_transfer\"\nstudent = [\"relu\"]\nteacher = [\"relu\"]\n";
        built(&format!("{text}distance = \"{distance}\"")).loss(&lesson, &mut State::default()).unwrap().value
    };
    near(&[value("mean_square"), value("length")], &[0.292_893, 0.765_367]);
}

#[test]
fn what_does_not_fit_is_named_by_its_key() {
    let (student, teacher) = (network(3, 1, 1, 1).graph, network(4, 2, 1, 2).graph);
    for (text, key) in [
        ("kind = \"soft_labels\"\ntemperature = 0.0", "temperature"),
        ("kind = \"decoupled\"\nbeta = -1.0", "beta"),
        ("kind = \"hints\"\nstudent = \"rleu\"\nteacher = \"relu\"", "student"),
        ("kind = \"hints\"\nstudent = \"relu\"\nteacher = \"mean\"", "teacher"),
        ("kind = \"attention_transfer\"\nstudent = [\"mean\"]\nteacher = [\"relu\"]", "student"),
        ("kind = \"attention_transfer\"\nstudent = []\nteacher = []", "student"),
        ("kind = \"similarity\"\nstudent = [\"relu\", \"mean\"]\nteacher = [\"relu\"]", "teacher"),
        ("kind = \"contrastive_in_batch\"\nstudent = \"mean\"\nteacher = \"mean\"\ntemperature = -1.0", "temperature"),
    ] {
        assert_eq!(built(text).check(&student, &teacher).unwrap_err().key, key, "{text}");
    }
    let error =
        built("kind = \"hints\"\nstudent = \"rleu\"\nteacher = \"relu\"").check(&student, &teacher).unwrap_err();
    assert!(error.to_string().contains("did you mean `relu`?"), "{error}");
}
