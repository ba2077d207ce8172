use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use interp_data::{Augment, DataError, Dataset, Divide, Divided, Factor, Info, Learning, Split, Truth};
use interp_net::finding::random::stream;
use interp_net::zoo::{Architecture, Generator, InfoGan, Latent};
use interp_net::{Graph, Keep, Mode, Network, Normalization, Op, Role};

use super::logistic::real_or_made;
use super::step::{Real, Rules, deceive, make, recognize};
use super::*;
use crate::{AdamW, Flow, Generate, LearnError, Optimizer, Phase, Schedule, Train};

fn near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found}, not {expected}");
}

fn code(categories: &[usize], numbers: &[f32]) -> Code {
    Code { categories: categories.to_vec(), numbers: numbers.to_vec(), noise: vec![] }
}

#[test]
fn logistic_losses_by_hand() {
    // Logits of ln 3 are real with probability 3/4: taken for real they cost ln 4/3, for made ln 4.
    let logits = [3f64.ln(), 3f64.ln()];
    near(real_or_made(&logits, 1.0).0, (4f64 / 3.0).ln(), 1e-12);
    near(real_or_made(&logits, -1.0).0, 4f64.ln(), 1e-12);
}

#[test]
fn gradients_of_the_logistic_losses_are_central_differences() {
    let logits = [-3.0, -0.2, 0.0, 0.7, 4.0];
    for sign in [1.0, -1.0] {
        for (at, grad) in real_or_made(&logits, sign).1.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut logits = logits;
                logits[at] += by;
                real_or_made(&logits, sign).0
            };
            near((moved(1e-5) - moved(-1e-5)) / 2e-5, grad, 1e-9);
        }
    }
}

// A perfect code of ten categories: L_I is its entropy, ln 10; where nothing is known, 0. A code uniform in [-1, 1] whose Q is normal with deviation 1 around the number
// itself: ln 2 - ln(2 pi) / 2, below 0; with deviation 1/4 it is ln 4 more.
#[test]
fn the_bound_has_its_closed_forms() {
    let latent = Latent { categorical: vec![10], continuous: 1, noise: 0, factors: vec![] };
    let mut told = vec![0.0; 11];
    let bound = |told: &[f64], deviation: f64| information(&latent, deviation, &code(&[3], &[0.5]), told).by_code;
    near(bound(&told, 1.0)[0], 0.0, 1e-12);
    told[3] = 100.0;
    told[10] = 0.5;
    near(bound(&told, 1.0)[0], std::f64::consts::LN_10, 1e-12);
    near(bound(&told, 1.0)[1], -0.225_791, 1e-6);
    near(bound(&told, 0.25)[1], -0.225_791 + 4f64.ln(), 1e-6);
    told[10] = -0.5;
    near(bound(&told, 1.0)[1], -0.725_791, 1e-6);
    told[3] = -1e6;
    assert!(bound(&told, 1.0)[0] < -1e5 && bound(&told, 1.0)[0].is_finite());
}

#[test]
fn the_gradient_of_the_bound_is_central_differences() {
    let latent = Latent { categorical: vec![3, 2], continuous: 2, noise: 4, factors: vec![] };
    let told = [0.3, -1.2, 2.0, 0.5, 0.1, 0.4, -0.9];
    let of = |told: &[f64]| information(&latent, 0.3, &code(&[2, 0], &[0.25, -0.75]), told);
    let grad = of(&told).grad;
    assert_eq!(grad.len(), 7);
    for (at, grad) in grad.into_iter().enumerate() {
        let moved = |by: f64| {
            let mut told = told;
            told[at] += by;
            of(&told).by_code.iter().sum::<f64>()
        };
        near((moved(1e-5) - moved(-1e-5)) / 2e-5, grad, 1e-6);
    }
}

#[test]
fn codes_are_drawn_as_said() {
    let latent = Latent { categorical: vec![3], continuous: 1, noise: 1, factors: vec![] };
    let codes: Vec<Code> = (0..3000).map(|at| Code::draw(&latent, &mut stream(1, "test", 0, at))).collect();
    for category in 0..3 {
        let count = codes.iter().filter(|code| code.categories == [category]).count();
        assert!(count.abs_diff(1000) < 100, "{count} of {category}"); // deviation 26
    }
    let mean_square = |of: fn(&Code) -> f32| codes.iter().map(|code| f64::from(of(code)).powi(2)).sum::<f64>() / 3000.0;
    near(mean_square(|code| code.numbers[0]), 1.0 / 3.0, 0.03);
    near(mean_square(|code| code.noise[0]), 1.0, 0.1);
    let one = Code { categories: vec![1], numbers: vec![0.5], noise: vec![-2.0] };
    let tensor = vectors(&[one], &latent).unwrap();
    assert_eq!(
        (tensor.dims(), tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()),
        (&[1, 5, 1, 1][..], vec![0.0, 1.0, 0.0, 0.5, -2.0])
    );
}

/// A network of one convolution, of this weight (2, 1, 1, 2).
fn one_convolution(weight: [f64; 4]) -> Network {
    let mut graph = Graph::new(1, 4, 4).unwrap();
    let conv = Op::Conv2d {
        out_channels: 2,
        kernel: [1, 2],
        stride: [1; 2],
        padding: [0; 2],
        dilation: [1; 2],
        groups: 1,
        bias: false,
    };
    graph.then("conv", conv).unwrap();
    let mut network = Network::new(graph, 0).unwrap().to_dtype(DType::F64).unwrap();
    network.params.set(0, Tensor::from_slice(&weight, (2, 1, 1, 2), &Device::Cpu).unwrap()).unwrap();
    network
}

/// The divided weight once the iteration has found the singular vectors.
fn found(weight: [f64; 4]) -> (SpectralNorm, Tensor) {
    let network = one_convolution(weight);
    let mut norm = SpectralNorm::of(&network, 0).unwrap().remove(0);
    (0..200).for_each(|_| drop(norm.divided(&network.params).unwrap()));
    let divided = norm.divided(&network.params).unwrap();
    (norm, divided)
}

// The singular values of [[3, 0], [4, 5]] are 3 sqrt(5) and sqrt(5): their squares are the eigenvalues of [[25, 20], [20, 25]], 45 and 5.
#[test]
fn weights_are_divided_by_their_largest_singular_value() {
    let divided = found([3.0, 0.0, 4.0, 5.0]).1.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    divided.iter().zip([3.0, 0.0, 4.0, 5.0]).for_each(|(found, weight)| near(*found, weight / 45f64.sqrt(), 1e-9));
    // Nothing to divide.
    assert!(found([0.0; 4]).1.flatten_all().unwrap().to_vec1::<f64>().unwrap().iter().all(|value| *value == 0.0));
}

#[test]
fn the_gradient_through_the_division_is_central_differences() {
    let (weight, along) = ([1.5, -0.4, 0.8, 2.2], [0.3, -1.0, 0.7, 0.2]);
    let upstream = Tensor::from_slice(&along, (2, 1, 1, 2), &Device::Cpu).unwrap();
    let (norm, divided) = found(weight);
    let grad = norm.chained(&upstream, &divided).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (at, grad) in grad.into_iter().enumerate() {
        let loss = |by: f64| {
            let mut weight = weight;
            weight[at] += by;
            let divided = found(weight).1.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            divided.iter().zip(along).map(|(value, along)| value * along).sum::<f64>()
        };
        near((loss(1e-5) - loss(-1e-5)) / 2e-5, grad, 1e-6);
    }
}

/// A small generator and recognizer for pictures of 8x8, in f64.
fn pair(model: &InfoGan) -> (Network, Network, Latent) {
    let Generator { graph, latent } = model.generator([1, 8, 8]).unwrap().unwrap();
    let generator = Network::new(graph, 1).unwrap();
    (generator, Network::new(model.graph([1, 8, 8], 2).unwrap(), 2).unwrap(), latent)
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The network with one value of a parameter moved.
fn moved(network: &Network, position: usize, at: usize, by: f64) -> Network {
    let value = &network.params.list()[position].value;
    let mut values = numbers(value);
    values[at] += by;
    let mut network = network.clone();
    network.params.set(position, Tensor::from_vec(values, value.shape(), &Device::Cpu).unwrap()).unwrap();
    network
}

#[test]
fn gradients_of_both_networks_are_central_differences() {
    let model = InfoGan { categorical: vec![3], continuous: 1, noise: 2, factors: vec![], width: 0.1 };
    let (generator, recognizer, latent) = pair(&model);
    let [generator, recognizer] = [generator, recognizer].map(|network| network.to_dtype(DType::F64).unwrap());
    let normalization = Normalization { mean: vec![0.3], std: vec![0.4] };
    let generate = Generate { information: 0.7, deviation: 0.5, ..Generate::default() };
    let rules = Rules { latent: &latent, generate, normalization: &normalization };
    let codes: Vec<Code> = (0..6).map(|at| Code::draw(&latent, &mut stream(3, "test", 0, at))).collect();
    let real: Vec<f64> = (0..6 * 64).map(|at| (f64::from(at) * 0.37).sin()).collect();
    let real = Tensor::from_vec(real, (6, 1, 8, 8), &Device::Cpu).unwrap();
    let trained = |network: &Network| {
        let list = network.params.list();
        (0..list.len()).filter(|&at| list[at].role.is_trained()).collect::<Vec<_>>()
    };
    let (of_recognizer, of_generator) = (trained(&recognizer), trained(&generator));
    let made = |generator: &Network| make(generator, &codes, rules).unwrap();
    let recognized = |recognizer: &Network| {
        let known: Vec<Option<&Code>> =
            codes.iter().enumerate().map(|(at, code)| (at % 3 > 0).then_some(code)).collect();
        let real = Real { pictures: &real, known: &known };
        recognize(recognizer, &of_recognizer, real, &made(&generator).pictures, &codes, rules).unwrap()
    };
    let deceived =
        |generator: &Network| deceive(generator, &of_generator, &recognizer, &made(generator), &codes, rules).unwrap();
    let check = |network: &Network, graded: &dyn Fn(&Network) -> super::step::Graded| {
        let value = |network: &Network| {
            let losses = graded(network).0;
            losses.real + losses.made + losses.generator
                - 0.7 * losses.information.iter().chain(&losses.guided).sum::<f64>()
        };
        let grads = graded(network).1;
        assert_eq!(grads.len(), trained(network).len());
        for (position, grad) in grads {
            let grad = numbers(&grad);
            for at in [0, grad.len() / 2, grad.len() - 1] {
                let slope =
                    (value(&moved(network, position, at, 1e-6)) - value(&moved(network, position, at, -1e-6))) / 2e-6;
                let name = &network.params.list()[position].name;
                assert!(
                    (slope - grad[at]).abs() < 1e-5 * (1.0 + slope.abs()),
                    "{name} {at}: {}, not {slope}",
                    grad[at]
                );
            }
        }
    };
    check(&recognizer, &recognized);
    check(&generator, &deceived);
}

/// Gray noise with a bright half, the left or the right one.
struct Halves(Info);

impl Halves {
    fn learning() -> Learning {
        let classes = ["left", "right"].map(str::to_owned).to_vec();
        let (mean, std) = (vec![0.5], vec![0.4]);
        let info = Info { name: "halves".into(), classes, channels: 1, height: 8, width: 8, mean, std };
        let divide = Divide { allow_overlap: true, ..Divide::default() };
        Divided::new(Arc::new(Self(info)), &divide).unwrap().learning()
    }
}

impl Dataset for Halves {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { 640 } else { 16 }
    }

    fn label(&self, _split: Split, index: usize) -> u32 {
        (index % 2) as u32
    }

    fn truth(&self, _split: Split, index: usize) -> std::result::Result<Option<Truth>, DataError> {
        let side = self.0.classes[index % 2].clone();
        let factors = vec![("side", Factor::Name(side)), ("place", Factor::Value(index as f64))];
        Ok(Some(Truth { factors, object: None, concepts: vec![] }))
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> std::result::Result<(), DataError> {
        let mut stream = stream(split as u64, "halves", 0, index as u64);
        let noise =
            Code::draw(&Latent { categorical: vec![2], continuous: 64, noise: 0, factors: vec![] }, &mut stream)
                .numbers;
        for (at, (out, noise)) in out.iter_mut().zip(noise).enumerate() {
            let is_bright = (at % 8 >= 4) == (index % 2 == 1);
            *out = if is_bright { 0.85 } else { 0.15 } + 0.1 * noise;
        }
        Ok(())
    }
}

/// Every training picture's code by these factors.
fn guided(factors: &[&str], share: f64) -> crate::Result<Guide> {
    let factors = factors.iter().map(|&factor| factor.to_owned()).collect();
    let latent = Latent { categorical: vec![2], continuous: 1, noise: 8, factors };
    Guide::new(&Halves::learning(), &latent, share, 0)
}

#[test]
fn a_guide_knows_codes_by_factors() {
    let (data, guide) = (Halves::learning(), guided(&["side", "place"], 1.0).unwrap());
    let count = data.len(Split::Train);
    for index in 0..count {
        let code = guide.of(index).unwrap();
        let Factor::Value(place) = data.truth(Split::Train, index).unwrap().unwrap().factors[1].1 else { panic!() };
        // Places are all different and known to be spread evenly over train and what was cut off from it.
        assert_eq!(code.categories, [data.label(Split::Train, index) as usize]);
        near(code.numbers[0].into(), 2.0 * place / 640.0 - 1.0, 0.1);
    }
    let some = guided(&["side", "place"], 0.3).unwrap();
    let share = (0..count).filter(|&index| some.of(index).is_some()).count() as f64 / count as f64;
    near(share, 0.3, 0.06); // deviation 0.02
    for nothing in [guided(&[], 1.0), guided(&["side", "place"], 0.0)] {
        let nothing = nothing.unwrap();
        assert!((0..count).all(|index| nothing.of(index).is_none()));
    }
    let refused = |factors: &[&str]| guided(factors, 1.0).unwrap_err().to_string();
    assert!(refused(&["side", "hue"]).contains("`model.factors.1` names `hue`, which halves does not know"));
    assert!(refused(&["side", "side"]).contains("`model.factors.1` names `side`, which is no quantity"));
    assert!(refused(&["place", "place"]).contains("`model.factors.0` names `place`, of "));
}

// Guided by the side, the first category is the left one. Without information the same is a network whose category says nothing, and whose pictures are as good: halves are 0.7 apart in
// the data, by the deviation 0.4: 1.75. What a category without a guide gets hold of is up to chance.
#[test]
fn a_guided_code_stands_for_what_it_is_told_and_without_information_for_nothing() {
    let guide = guided(&["side", "place"], 0.5).unwrap();
    let played = |information: f64| {
        with_game(information, &settings(20), |game, [generator, recognizer]| {
            let game = &Game { guide: &guide, data: game.data.clone(), ..*game };
            let mut gan = Gan::new(generator, recognizer, game).unwrap();
            assert_eq!(play(game, &mut gan, &mut |_, _| Ok(Flow::Continue)).unwrap(), Played::Done);
            (told(&gan, game), sides(&gan, game))
        })
    };
    let right = played(1.0).1.iter().filter(|(category, difference)| (*category == 1) == (*difference > 0.0)).count();
    assert!(right > 380, "{right} of 400");
    let (share, apart) = played(0.0).0;
    assert!(share < 0.3 && apart > 1.0, "{share} {apart}");
}

fn settings(epochs: usize) -> Train {
    let optimizer = Optimizer::AdamW(AdamW { betas: [0.5, 0.999], weight_decay: 0.0, ..AdamW::default() });
    let phase = Phase { epochs, learning_rate: 1e-3, schedule: Schedule::Constant, ..Phase::default() };
    Train { batch: 32, optimizer, phase: vec![phase], ..Train::default() }
}

fn toy() -> InfoGan {
    InfoGan { categorical: vec![2], continuous: 1, noise: 8, factors: vec![], width: 0.25 }
}

/// Plays with `information`, given that and what it is told of.
fn with_game<T>(information: f64, settings: &Train, then: impl FnOnce(&Game<'_>, [Network; 2]) -> T) -> T {
    let (generator, recognizer, latent) = pair(&toy());
    let data = Arc::new(Halves::learning());
    let normalization = Normalization { mean: vec![0.5], std: vec![0.4] };
    let generate = Generate { information, generator_rate: 2.0, ..Generate::default() };
    let game = Game {
        settings,
        generate,
        latent: &latent,
        normalization: &normalization,
        data,
        augment: Augment::default(),
        guide: &Guide::default(),
        seed: 0,
        workers: 0,
    };
    then(&game, [generator, recognizer])
}

/// Of 400 pictures that are made the category, and how much brighter they are on the right.
fn sides(gan: &Gan, game: &Game<'_>) -> Vec<(usize, f64)> {
    let codes: Vec<Code> = (0..400).map(|at| Code::draw(game.latent, &mut stream(9, "told", 0, at))).collect();
    let network = &gan.generator.network;
    let x = vectors(&codes, game.latent).unwrap();
    let tape = network.forward(&x, Mode::Eval, &Keep::Output).unwrap();
    let made = numbers(&pictures(tape.output(&network.graph).unwrap(), game.normalization).unwrap());
    let of = |(code, picture): (&Code, &[f64])| {
        let half = |right: bool| (0..64).filter(|at| (at % 8 >= 4) == right).map(|at| picture[at]).sum::<f64>() / 32.0;
        (code.categories[0], half(true) - half(false))
    };
    codes.iter().zip(made.chunks(64)).map(of).collect()
}

/// The share of the entropy of where pictures are bright that the category tells, and how far the halves of the pictures are apart.
fn told(gan: &Gan, game: &Game<'_>) -> (f64, f64) {
    let (mut counts, mut apart) = ([[0.0f64; 2]; 2], 0.0);
    for (category, difference) in sides(gan, game) {
        counts[category][usize::from(difference > 0.0)] += 1.0 / 400.0;
        apart += difference.abs() / 400.0;
    }
    let entropy =
        |shares: &[f64]| -shares.iter().filter(|share| **share > 0.0).map(|share| share * share.ln()).sum::<f64>();
    let [rows, columns] = [[0, 1].map(|a| counts[a][0] + counts[a][1]), [0, 1].map(|b| counts[0][b] + counts[1][b])];
    let both = entropy(&counts.concat());
    ((entropy(&rows) + entropy(&columns) - both) / entropy(&columns).max(1e-9), apart)
}

#[test]
fn stopped_after_any_step_and_gone_on_it_ends_with_the_same_bits() {
    let settings = Train { batch: 200, ..settings(2) };
    let bits = |gan: &Gan| {
        let list = [&gan.generator, &gan.recognizer]
            .map(|player| player.network.params.list().iter().map(|param| numbers(&param.value)));
        list.into_iter().flatten().collect::<Vec<_>>()
    };
    with_game(1.0, &settings, |game, networks| {
        let fresh = || Gan::new(networks[0].clone(), networks[1].clone(), game).unwrap();
        let (mut whole, mut steps) = (fresh(), 0);
        play(game, &mut whole, &mut |turn, _| {
            steps += usize::from(matches!(turn, Turn::Step { .. }));
            Ok(Flow::Continue)
        })
        .unwrap();
        assert_eq!(steps, 6);
        for stop in 1..steps {
            let (mut gan, mut done) = (fresh(), 0);
            let until = &mut |turn: &Turn, _: &Gan| {
                done += usize::from(matches!(turn, Turn::Step { .. }));
                Ok(if done == stop { Flow::Stop } else { Flow::Continue })
            };
            assert_eq!(play(game, &mut gan, until).unwrap(), Played::Stopped);
            let (snapshot, tensors) = gan.save(game).unwrap();
            let snapshot = serde_json::from_str(&serde_json::to_string(&snapshot).unwrap()).unwrap();
            let mut again = Gan::load(networks.clone(), game, snapshot, &tensors).unwrap();
            play(game, &mut again, &mut |_, _| Ok(Flow::Continue)).unwrap();
            assert!(bits(&again) == bits(&whole), "stopped after {stop} steps");
            assert_eq!(again.clock, whole.clock);
        }
        let (snapshot, mut tensors) = whole.save(game).unwrap();
        tensors.remove("recognizer/spectral/features.0.weight").unwrap();
        let error = Gan::load(networks.clone(), game, snapshot, &tensors).unwrap_err().to_string();
        assert!(error.contains("`recognizer/spectral/features.0.weight` is missing"), "{error}");
    });
}

#[test]
fn what_is_no_number_any_more_stops_it() {
    with_game(1.0, &settings(1), |game, [generator, mut recognizer]| {
        let position = recognizer.params.position(recognizer.graph.id("realness").unwrap(), Role::Weight).unwrap();
        let broken = (&recognizer.params.list()[position].value * f64::NAN).unwrap();
        recognizer.params.set(position, broken).unwrap();
        let mut gan = Gan::new(generator, recognizer, game).unwrap();
        let error = play(game, &mut gan, &mut |_, _| Ok(Flow::Continue)).unwrap_err();
        assert!(matches!(error, LearnError::Diverged { epoch: 1, step: 1, .. }), "{error}");
    });
}

#[test]
fn a_network_without_heads_is_refused() {
    with_game(1.0, &settings(1), |game, [generator, _]| {
        let error = Gan::new(generator.clone(), generator, game).unwrap_err().to_string();
        assert!(error.contains("realness"), "{error}");
    });
}
