//! Closed forms of the metrics of exactness, each beside what a wrong one would give.

use super::*;

// In the order 6, 2, 1, -4 the output is 5.5, -0.5, -2.5, -3.5, 0.5 while pixels go; with the signs turned, 5.5, 9.5, 8.5, 6.5, 0.5.
#[test]
fn deletion_by_hand() {
    let (net, x, map) = four();
    let of = |more: &str, map: &Tensor| {
        let text = format!("kind = \"deletion\"\nsteps = 4\n{more}");
        value(&net, &x, &text, &fixed(map, None), "area")
    };
    let logit = "score = \"logit\"";
    near(of(logit, &map), (5.5 / 2.0 - 0.5 - 2.5 - 3.5 + 0.5 / 2.0) / 4.0);
    near(of(logit, &map.neg().unwrap()), (5.5 / 2.0 + 9.5 + 8.5 + 6.5 + 0.5 / 2.0) / 4.0);
    // Over black pixels: 5.5, -3.5, -7.5, -9.5, -9.5.
    near(of(&format!("{logit}\nbaseline = \"black\""), &map), (5.5 / 2.0 - 3.5 - 7.5 - 9.5 - 9.5 / 2.0) / 4.0);
    near(of(&format!("{logit}\nrelative = true"), &map), -0.875 / 5.5);
    // The order of pixels of which the map says different things is not the seed's.
    near(of(&format!("{logit}\nseed = 1"), &map), -0.875);
    // Of an output that is below 0 there is no share.
    let text = format!("kind = \"deletion\"\nsteps = 4\n{logit}\nrelative = true");
    let below = measured(&net, &x.neg().unwrap(), &text, &[fixed(&map, None)]);
    assert_eq!(below[0].columns[0].values[0], None);
    // The other output is 0: the probability of this one is 1 / (1 + e^-f).
    let sure = |f: f64| 1.0 / (1.0 + (-f).exp());
    near(of("", &map), (sure(5.5) / 2.0 + sure(-0.5) + sure(-2.5) + sure(-3.5) + sure(0.5) / 2.0) / 4.0);
    // In two steps: 5.5, -2.5, 0.5.
    let two = value(&net, &x, "kind = \"deletion\"\nsteps = 2\nscore = \"logit\"", &fixed(&map, None), "area");
    near(two, (5.5 / 2.0 - 2.5 + 0.5 / 2.0) / 2.0);
}

// While pixels come it is 0.5, 6.5, 8.5, 9.5, 5.5; of what goes in place of what comes the area would be -0.875.
#[test]
fn insertion_by_hand() {
    let (net, x, map) = four();
    let of = |more: &str, map: &Tensor| {
        let text = format!("kind = \"insertion\"\nsteps = 4\nscore = \"logit\"\n{more}");
        value(&net, &x, &text, &fixed(map, None), "area")
    };
    near(of("baseline = \"mean\"", &map), (0.5 / 2.0 + 6.5 + 8.5 + 9.5 + 5.5 / 2.0) / 4.0);
    near(of("baseline = \"mean\"", &map.neg().unwrap()), (0.5 / 2.0 - 3.5 - 2.5 - 0.5 + 5.5 / 2.0) / 4.0);
    near(of("baseline = \"black\"", &map), (-9.5 / 2.0 - 0.5 + 3.5 + 5.5 + 5.5 / 2.0) / 4.0);
    near(of("baseline = \"mean\"\nrelative = true", &map), 6.875 / 5.5);
}

// What is lost with those first of which the map says most: 0, 6, 8, 9, 5; least: 0, -4, -3, -1, 5.
#[test]
fn pixel_flipping_by_hand() {
    let (net, x, map) = four();
    let of = |more: &str, map: &Tensor, name: &str| {
        value(&net, &x, &format!("kind = \"pixel_flipping\"\n{more}"), &fixed(map, None), name)
    };
    near(of("", &map, "most_first"), 28.0 / 5.0);
    near(of("", &map, "least_first"), -3.0 / 5.0);
    near(of("", &map, "difference"), 31.0 / 5.0);
    near(of("", &map.neg().unwrap(), "difference"), -31.0 / 5.0);
    near(of("share = 0.5", &map, "difference"), (6.0 + 8.0) / 3.0 - (-4.0 - 3.0) / 3.0);
    // Over black pixels: 0, 9, 13, 15, 15 and 0, 0, 2, 6, 15.
    near(of("baseline = \"black\"", &map, "difference"), (52.0 - 23.0) / 5.0);
    // One region is all of the picture.
    near(of("region = 2", &map, "difference"), 0.0);
    near(of("region = 2", &map, "most_first"), 2.5);
}

// With k of 4 pixels gone at random the output is expected to be 0.5 + 5 (1 - k / 4): its area 3; nothing is expected to be lost more with some first
// than with others, and nothing to go together.
#[test]
fn maps_that_say_nothing_score_what_chance_does() {
    let (net, x, _) = four();
    let count = 1500;
    let x = x.repeat((count, 1, 1, 1)).unwrap();
    let expect = |text: &str, name: &str, expected: f64| {
        for control in ["random", "flat"] {
            let flat = Tensor::ones((count, 2, 2), DType::F64, &Device::Cpu).unwrap();
            let method = if control == "flat" { fixed(&flat, None) } else { plain("random") };
            let scores = &measured(&net, &x, text, &[method])[0];
            let column = scores.columns.iter().find(|column| column.name == name).unwrap();
            let Some(number) = column.number() else {
                assert_eq!((control, column.undefined()), ("flat", count));
                continue;
            };
            let [low, high] = number.interval.unwrap();
            // The interval is 4 standard errors wide: twice as far is one time in 10,000.
            let (middle, half) = ((low + high) / 2.0, high - low);
            assert!(half < 0.5 && (middle - expected).abs() < half, "{control} {text}: {number:?}");
        }
    };
    expect("kind = \"deletion\"\nsteps = 4\nscore = \"logit\"", "area", 3.0);
    expect("kind = \"insertion\"\nsteps = 4\nscore = \"logit\"\nbaseline = \"mean\"", "area", 3.0);
    expect("kind = \"pixel_flipping\"", "difference", 0.0);
    expect("kind = \"sensitivity_n\"\nshares = [0.25, 0.5]\nsubsets = 6", "correlation", 0.0);
}

// Of what is removed, and not of what is left.
#[test]
fn what_is_lost_without_pixels_by_hand() {
    let (net, x, map) = four();
    let sets = [vec![2], vec![0, 3], vec![]];
    let of = |baseline, method: &Named| {
        with(&net, &x, 2, |question| {
            judging(question, std::slice::from_ref(method), |judged| {
                removals(question, judged, baseline, 3, |_, number| sets[number].clone()).unwrap()
            })
        })
    };
    let mean = of(Baseline::Mean, &fixed(&map, None));
    assert_eq!((mean.lost[0].as_slice(), mean.said[0][0].as_slice()), (&[6.0, -3.0, 0.0][..], &[6.0, -3.0, 0.0][..]));
    // The map says the same over another baseline, where the output loses more; a gradient says what it is times the difference.
    let black = of(Baseline::Black, &fixed(&map, None));
    assert_eq!((black.lost[0].as_slice(), black.said[0][0].as_slice()), (&[9.0, 2.0, 0.0][..], &[6.0, -3.0, 0.0][..]));
    assert_eq!(of(Baseline::Black, &plain("gradient")).said[0][0], [9.0, 2.0, 0.0]);
}

#[test]
fn exact_gradients_have_no_infidelity() {
    let weights = numbers(&waves(&[36], 1.3)).unwrap();
    let (net, x) = (linear(&weights, 0.5), waves(&[3, 1, 6, 6], 0.7));
    let of = |more: &str, method: Named, name: &str| {
        let text = format!("kind = \"infidelity\"\nsamples = 40\n{more}");
        values(&measured(&net, &x, &text, &[method])[0], name)
    };
    for scaled in ["scaled = false", "scaled = true"] {
        for kind in ["gradient", "gradient_x_input", "integrated_gradients", "deep_lift"] {
            assert!(of(scaled, plain(kind), "error").iter().all(|error| *error < 1e-10), "{kind}");
        }
    }
    let products = (tensor(&weights, &[1, 1, 6, 6]).broadcast_mul(&x)).unwrap();
    // With the sign turned it says -b of b: four times the mean square, or where maps are scaled nothing at all.
    let turned = || fixed(&products.neg().unwrap(), None);
    assert!(of("scaled = false", turned(), "share").iter().all(|share| (share - 4.0).abs() < 1e-9));
    assert!(of("", turned(), "share").iter().all(|share| (share - 1.0).abs() < 1e-9));
    assert!(of("", turned(), "error").iter().all(|error| *error > 1e-3));
    // Twice as much says b too much, which scaling takes away.
    let twice = || fixed(&(&products * 2.0).unwrap(), None);
    assert!(of("scaled = false", twice(), "share").iter().all(|share| (share - 1.0).abs() < 1e-9));
    assert!(of("", twice(), "share").iter().all(|share| *share < 1e-12));
    // What is said over another baseline than that which is seen.
    let black = "scaled = false\nbaseline = \"black\"";
    assert!(of(black, fixed(&products, None), "error").iter().all(|error| *error > 1e-2));
    assert!(of(black, plain("gradient"), "error").iter().all(|error| *error < 1e-10));
}

#[test]
fn contributions_of_a_linear_output_have_a_sensitivity_of_one() {
    let weights = numbers(&waves(&[36], 1.3)).unwrap();
    let (net, x) = (linear(&weights, 0.5), waves(&[3, 1, 6, 6], 0.7));
    let of = |more: &str, method: Named| {
        let text = format!("kind = \"sensitivity_n\"\nshares = [0.03, 0.2, 0.5, 0.97]\nsubsets = 20\n{more}");
        measured(&net, &x, &text, &[method]).remove(0)
    };
    let all = |scores: Scores, fits: &dyn Fn(f64) -> bool| {
        let curve = &scores.curves[0];
        assert_eq!((curve.x.len(), curve.values.len()), (4, 3));
        assert!(curve.values.iter().flatten().all(|value| fits(value.unwrap())), "{:?}", curve.values);
    };
    for kind in ["gradient", "gradient_x_input", "integrated_gradients"] {
        all(of("", plain(kind)), &|value| (value - 1.0).abs() < 1e-10);
    }
    let products = (tensor(&weights, &[1, 1, 6, 6]).broadcast_mul(&x)).unwrap();
    all(of("", fixed(&products.neg().unwrap(), None)), &|value| (value + 1.0).abs() < 1e-10);
    all(of("baseline = \"black\"", fixed(&products, None)), &|value| value < 0.999);
    all(of("baseline = \"black\"", plain("gradient")), &|value| (value - 1.0).abs() < 1e-10);
    // A map that is the same everywhere goes with nothing.
    let flat = &measured(&net, &x, "kind = \"sensitivity_n\"", &[fixed(&products.ones_like().unwrap(), None)])[0];
    assert_eq!((flat.columns[0].undefined(), flat.columns[0].number()), (3, None));
}

// The sum is 5, the output 5.5, and 15 more than over black pixels.
#[test]
fn completeness_by_hand() {
    let (net, x, map) = four();
    let of = |map: &Tensor, total| value(&net, &x, "kind = \"completeness\"", &fixed(map, Some(total)), "error");
    near(of(&map, Total::Beyond(Baseline::Mean)), 0.0);
    near(of(&map, Total::Output), 0.5 / 5.5);
    near(of(&map, Total::Beyond(Baseline::Black)), 10.0 / 15.0);
    near(of(&map.neg().unwrap(), Total::Beyond(Baseline::Mean)), 2.0);
    let none = measured(&net, &x, "kind = \"completeness\"", &[fixed(&map, None), plain("gradient_x_input")]);
    assert!(none.iter().all(|scores| scores.columns.is_empty()), "what claims nothing misses nothing");
    let net = with_maps();
    let x = waves(&[3, 3, 6, 7], 0.7);
    let methods =
        ["kind = \"deep_lift\"\nbaseline = \"black\"", "kind = \"deep_lift\"", "kind = \"lrp\"\nrules = \"epsilon\""];
    let found = measured(&net, &x, "kind = \"completeness\"", &methods.map(named));
    assert!(found[..2].iter().all(|scores| values(scores, "error").iter().all(|error| *error < 1e-10)));
    assert!(values(&found[2], "error").iter().all(|error| *error < 1.0));
}
