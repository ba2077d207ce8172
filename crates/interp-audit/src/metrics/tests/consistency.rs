//! Closed forms of the metrics of consistency, each beside what a wrong one would give; and the test by random weights.

use super::*;

// The gradient of a linear output is the same everywhere; times the picture it changes in proportion to the picture.
#[test]
fn max_sensitivity_of_linear_outputs() {
    let (net, x, map) = four();
    let of =
        |text: &str, method: &Named| value(&net, &x, &format!("kind = \"max_sensitivity\"\n{text}"), method, "largest");
    assert!(of("", &plain("gradient")) < 1e-12);
    let product = plain("gradient_x_input");
    let [once, twice] = ["radius = 0.1", "radius = 0.2"].map(|text| of(text, &product));
    near(twice, 2.0 * once);
    // |w| = sqrt 30, |w x| = sqrt 57, and each number changes by 0.1 times the range, 3, at most.
    let bound = 0.3 * (30f64 / 57.0).sqrt();
    assert!(once > 0.2 * bound && once < bound, "{once} of {bound}");
    let few = of("radius = 0.1\nsamples = 3", &product);
    assert!(few < once, "the largest of ten, not their mean or the last: {few}");
    let spread: Vec<f64> =
        (0..10).map(|seed| of(&format!("radius = 0.1\nsamples = 1\nseed = {seed}"), &product)).collect();
    assert!(spread.iter().all(|one| *one < bound) && spread.iter().sum::<f64>() / 10.0 < once);
    // A map that is told does not change, and of nothing there is no part.
    assert_eq!(of("", &fixed(&map, None)), 0.0);
    let nothing = measured(&net, &x, "kind = \"max_sensitivity\"", &[fixed(&map.zeros_like().unwrap(), None)]);
    assert_eq!(nothing[0].columns[0].values, [None]);
}

// 4, 3, 2, 1 and 3, 4, 1, 2 have a rank correlation of 0.6, the same two among the upper half, and another one first.
#[test]
fn agreement_by_hand() {
    let (net, x, _) = four();
    let map = |name: &str, values: &[f64]| (name.to_owned(), fixed(&tensor(values, &[1, 2, 2]), None).1);
    let methods = || {
        vec![
            map("a", &[4.0, 3.0, 2.0, 1.0]),
            map("b", &[30.0, 40.0, 10.0, 20.0]),
            map("turned", &[-4.0, -3.0, -2.0, -1.0]),
            map("flat", &[1.0; 4]),
            plain("random"),
        ]
    };
    let of = |top: f64| measured(&net, &x, &format!("kind = \"agreement\"\ntop = {top}"), &methods());
    let half = of(0.5);
    near(values(&half[0], "rank_correlation.b")[0], 0.6);
    near(values(&half[0], "rank_correlation.turned")[0], -1.0);
    near(values(&half[0], "rank_correlation")[0], -0.2); // with "flat" there is none
    assert_eq!(values(&half[0], "top_overlap.b")[0], 1.0);
    assert_eq!(values(&half[0], "top_overlap.turned")[0], 0.0);
    assert_eq!(values(&of(0.25)[0], "top_overlap.b")[0], 0.0);
    assert_eq!(half[3].columns[0].values, [None]);
    let names: Vec<&str> = half[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert!(!names.contains(&"rank_correlation.random") && !names.contains(&"rank_correlation.a"), "{names:?}");
    assert!(half[4].columns.iter().any(|column| column.name == "rank_correlation.a"));
    // By chance, as many as there are at all.
    let x = x.repeat((2000, 1, 1, 1)).unwrap();
    let other = Tensor::ones((2000, 2, 2), DType::F64, &Device::Cpu).unwrap();
    let found = measured(&net, &x, "kind = \"agreement\"\ntop = 0.25", &[plain("random"), fixed(&other, None)]);
    let overlap = found[0].columns.iter().find(|column| column.name == "top_overlap").unwrap();
    assert_eq!(overlap.null, Some(0.25));
    // Standard error: 0.0097.
    assert!((overlap.number().unwrap().value - 0.25).abs() < 0.04);
}

// A linear output's gradients are its weights: the similarity is that of the sizes of the weights, with and without.
#[test]
fn similarity_to_random_weights_by_hand() {
    let weights = numbers(&waves(&[36], 1.3)).unwrap();
    let (net, x) = (linear(&weights, 0.5), waves(&[3, 1, 6, 6], 0.9));
    let text = "kind = \"randomization\"\nseed = 4\ndraws = 1";
    let found =
        measured(&net, &x, text, &[plain("gradient"), plain("edges"), plain("center"), plain("gradient_x_input")]);
    let random = Network::new(net.graph.clone(), 4).unwrap().params.list()[0].value.clone();
    let sizes = |values: &[f64]| super::ranks::ranks(&values.iter().map(|value| value.abs()).collect::<Vec<_>>());
    let random = numbers(&random).unwrap()[..36].to_vec();
    let expected = super::ranks::correlation(&sizes(&weights), &sizes(&random)).unwrap();
    values(&found[0], "similarity").iter().for_each(|similarity| near(*similarity, expected));
    values(&found[0], "unrelated").iter().for_each(|similarity| near(*similarity, expected));
    // Signs count where maps have them.
    let (similarity, of_sizes) = (values(&found[3], "similarity"), values(&found[3], "of_sizes"));
    assert!(similarity.iter().zip(of_sizes).all(|(a, b)| (a - b).abs() > 1e-3));
    // What does not look at the network fails, whether the maps of pictures are alike or not.
    for control in &found[1..3] {
        assert_eq!(control.verdict, Some(Verdict::Fails));
        values(control, "similarity").iter().for_each(|similarity| near(*similarity, 1.0));
    }
    assert!(values(&found[1], "unrelated").iter().all(|similarity| *similarity < 0.9));
    values(&found[2], "unrelated").iter().for_each(|similarity| near(*similarity, 1.0));
    let alone = measured(&net, &x.narrow(0, 0, 1).unwrap(), text, &[plain("gradient")]);
    assert_eq!(alone[0].columns[2].values, [None], "a picture alone has no other");
}

// From the output on: of three layers the last first; by themselves, one after another, and then all.
#[test]
fn weights_become_random_from_the_output_on() {
    let net = with_maps();
    let x = waves(&[2, 3, 6, 7], 0.7);
    // Nodes with weights: conv1, bn1, conv2, head. The head alone changes which maps count, and with one map that counts nothing.
    let of = |more: &str| {
        let text = format!("kind = \"randomization\"\nstages = 4\ndraws = 2\n{more}");
        measured(&net, &x, &text, &[plain("gradient")]).remove(0)
    };
    let (cascading, independent) = (of(""), of("layers = \"independent\""));
    assert_eq!(cascading.curves[0].x, [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert_eq!(independent.curves[0].x.len(), 6);
    for picture in 0..2 {
        let (one, other) = (&cascading.curves[0].values[picture], &independent.curves[0].values[picture]);
        assert_eq!((one[0], other[0]), (Some(1.0), Some(1.0)));
        near(one[1].unwrap(), other[1].unwrap());
        near(one[4].unwrap(), other[5].unwrap());
        // Its batch norm begins as it is here: alone it changes nothing.
        near(other[3].unwrap(), 1.0);
        assert!(one[3].unwrap() < 0.999);
    }
    assert_eq!(cascading.columns[0].values, independent.columns[0].values);
}

/// Pictures of 24 by 24 pixels, each of a few rectangles of one color on another.
fn rectangles(count: usize) -> Tensor {
    let side = 24;
    let mut all = vec![];
    for picture in 0..count {
        let mut rng = stream(0, "test.rectangles", 0, picture as u64);
        let mut unit = || 2.0 * (rng.next_u32() as f64 / (1u64 << 32) as f64) - 1.0;
        let mut pixels: Vec<[f64; 3]> = vec![std::array::from_fn(|_| unit()); side * side];
        for _ in 0..3 {
            let color: [f64; 3] = std::array::from_fn(|_| unit());
            let mut rng = stream(1, "test.rectangles", (color[0].abs() * 1e6) as u64, picture as u64);
            let [top, left] = [0; 2].map(|_| below(&mut rng, side - 6));
            let [height, width] = [0; 2].map(|_| 4 + below(&mut rng, 8));
            for row in top..(top + height).min(side) {
                (left..(left + width).min(side)).for_each(|column| pixels[row * side + column] = color);
            }
        }
        all.extend((0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel]).collect::<Vec<_>>()));
    }
    tensor(&all, &[count, 3, side, side])
}

/// Three wide convolutions with ReLUs, with these weights.
fn wide(seed: u64) -> Network {
    let mut graph = Graph::new(3, 24, 24).unwrap();
    for at in 0..3 {
        graph.then(format!("conv{at}"), Op::conv(64, 3, 1, 1, true)).unwrap();
        graph.then(format!("relu{at}"), Op::Relu).unwrap();
    }
    graph.then("mean", Op::GlobalAvgPool).unwrap();
    graph.then("head", Op::Linear { out_features: 4, bias: true }).unwrap();
    Network::new(graph, seed).unwrap()
}

// Adebayo et al. 2018: guided backpropagation hardly changes when the weights do, and the gradient does.
#[test]
fn guided_backpropagation_fails_the_test_by_random_weights_and_the_gradient_passes() {
    let (net, x) = (wide(77), rectangles(24).to_dtype(DType::F32).unwrap());
    let text = "kind = \"randomization\"\nstages = 1\ndraws = 3";
    let found = measured(&net, &x, text, &[plain("gradient"), plain("guided_backpropagation")]);
    let [gradient, guided] = [0, 1].map(|at| values(&found[at], "similarity"));
    let difference: Vec<f64> = guided.iter().zip(&gradient).map(|(guided, gradient)| guided - gradient).collect();
    let interval = mean_interval(&difference);
    let number = |at: usize| found[at].columns[0].number().unwrap();
    println!("gradient {:?}, guided {:?}, difference {interval:?}", number(0), number(1));
    assert_eq!(found[0].verdict, Some(Verdict::Passes));
    assert_eq!(found[1].verdict, Some(Verdict::Fails));
    assert!(interval[0] > 0.1, "{interval:?}");
}
