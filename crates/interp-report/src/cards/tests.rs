use interp_finding::{Better, Figure, Finding, Part};

use super::*;
use crate::{Page, html};

const HOSTILE: &str = "</script><script>alert(1)</script>\u{2028}<!-- & \"'";

fn card(name: &str, layer: &str, value: Option<f64>) -> Card {
    let number = |value| Number { null: Some(0.25), ..Number::new(value, "", Better::Neither).with_interval(0.1, 0.9) };
    let place = Place { sheet: 0, index: 1 };
    let part = Some(Part { original: 0, area: [-1.0, 0.0, 3.0, 3.0] });
    Card {
        name: name.into(),
        facets: vec![layer.into()],
        numbers: vec![value.map(number)],
        face: Some(place),
        shots: vec![Shot { place, name: format!("shot of {name}"), part }],
        histogram: Some(Histogram { counts: vec![0, 2, 8], ends: ["0".into(), "3".into()], caption: "answers".into() }),
        tags: vec![format!("tag of {name}")],
    }
}

fn figure(cards: Vec<Card>) -> Figure {
    Figure::Cards {
        title: "All".into(),
        caption: "What they are.".into(),
        facets: vec!["layer".into()],
        measures: vec!["color".into()],
        sheets: vec![Sheet { width: 2, height: 2, rgb: vec![7; 24] }],
        originals: vec![Original {
            place: Place { sheet: 0, index: 0 },
            name: "picture 3".into(),
            command: "look 3".into(),
        }],
        cards,
    }
}

fn page(figure: Figure) -> Page {
    let finding = Finding {
        name: "cards".into(),
        title: "Cards".into(),
        statement: String::new(),
        numbers: vec![],
        figures: vec![figure],
    };
    let (lead, source) = (String::new(), None);
    Page {
        title: "A page".into(),
        lead,
        warnings: vec![],
        facts: vec![],
        claims: vec![],
        findings: vec![finding],
        source,
    }
}

/// What stands in the block of data.
fn data(html: &str) -> Value {
    let block = html.split("<script type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    serde_json::from_str(block).unwrap()
}

#[test]
fn the_first_cards_are_shown_and_all_are_there_as_data() {
    let cards = (0..20).map(|at| card(&format!("neuron {at}"), "first", Some(f64::from(at)))).collect();
    let html = html(&page(figure(cards)), &[]).unwrap();
    assert_eq!(html.matches("<li class=\"card\">").count(), FIRST);
    assert!(
        html.contains("The first 12 of 20.") && html.contains("<h4>neuron 11</h4>") && !html.contains("<h4>neuron 12")
    );
    let found = data(&html);
    assert_eq!(found["cards"].as_array().unwrap().len(), 20);
    assert_eq!(found["cards"][19]["values"][0], 19.0);
    assert_eq!(found["cards"][3]["told"][0], json!(["3", "0.1 to 0.9, chance 0.25"]));
    // The second picture of a sheet of blocks of 8 by 8 that has two columns.
    assert_eq!(found["cards"][3]["shots"][0], json!([[0, 8, 0], "shot of neuron 3", 0, [-1.0, 0.0, 3.0, 3.0]]));
    assert!(html.contains("viewBox=\"8 0 2 2\"") && html.contains("<use href=\"#cards-all.0\"/>"));
}

#[test]
fn only_the_script_of_cards_may_run_and_only_where_there_are_cards() {
    let with = html(&page(figure(vec![card("one", "first", None)])), &[]).unwrap();
    assert!(
        with.contains(&format!("script-src 'sha256-{}'", digest()))
            && with.contains(&format!("<script>{SCRIPT}</script>"))
    );
    let without = html(&Page { findings: vec![], ..page(figure(vec![])) }, &[]).unwrap();
    assert!(!without.contains("script") && !without.contains(".card"));
}

#[test]
fn hostile_names_stay_text() {
    let mut hostile = card(HOSTILE, HOSTILE, Some(1.0));
    hostile.histogram =
        Some(Histogram { counts: vec![], ends: [HOSTILE.into(), HOSTILE.into()], caption: HOSTILE.into() });
    let mut figure = figure(vec![hostile]);
    if let Figure::Cards { facets, measures, originals, .. } = &mut figure {
        (facets[0], measures[0]) = (HOSTILE.into(), HOSTILE.into());
        (originals[0].name, originals[0].command) = (HOSTILE.into(), HOSTILE.into());
    }
    let html = html(&page(figure), &[]).unwrap();
    // The block of data and the script; nothing that was given.
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (2, 2));
    assert!(!html.contains("<!--") && !html.contains("alert(1)</"));
    let found = data(&html);
    assert_eq!((&found["cards"][0]["name"], &found["originals"][0]["command"]), (&json!(HOSTILE), &json!(HOSTILE)));
}

#[test]
fn keys_of_addresses_are_no_two_controls() {
    let mut card = card("one", "a", None);
    card.facets = vec![String::new(); 3];
    let mut figure = figure(vec![card]);
    if let Figure::Cards { facets, measures, .. } = &mut figure {
        *facets = ["sort", "First class", "first class"].map(str::to_owned).into();
        measures[0] = "class selectivity".into();
    }
    let found = data(&html(&page(figure), &[]).unwrap());
    let keys: Vec<&str> = (0..3).map(|at| found["facets"][at]["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["sort-2", "first-class", "first-class-2"]);
    assert_eq!(found["measures"][0]["key"], "class-selectivity");
}

// Of counts 0, 2 and 8, bars of a quarter and of all of the height; what there is at all is seen.
#[test]
fn bars_are_as_high_as_counts() {
    assert_eq!(bars(&[0, 2, 8]), "M0 100V100h1V75h1V0h1V100z");
    assert_eq!((bars(&[1, 100_000]).as_str(), bars(&[]).as_str()), ("M0 100V99h1V0h1V100z", "M0 100V100z"));
}

#[test]
fn numbers_on_cards_have_three_digits() {
    assert_eq!(
        [0.980_43, 1.0, 14.83, 0.000_123_4, f64::NAN].map(short),
        ["0.98", "1", "14.8", "1.23\u{a0}×\u{a0}10⁻⁴", "not a number"]
    );
    let share = Number { null: None, ..Number::new(88.352, "%", Better::Neither) };
    assert_eq!(told(&share), ["88.4\u{a0}%".to_owned(), String::new()]);
}

#[test]
fn what_was_measured_is_a_table_too() {
    let cards = vec![card("one", "a", Some(0.1 + 0.2)), card("two", "b", None)];
    let (facets, measures) = (["layer".to_owned()], ["color".to_owned()]);
    let deck = Deck { facets: &facets, measures: &measures, sheets: &[], originals: &[], cards: &cards };
    let text = String::from_utf8(csv(&deck).unwrap()).unwrap();
    let expected = "name,layer,color,color low,color high,color null,tags\none,a,0.30000000000000004,0.1,0.9,0.25,tag of one\ntwo,b,,,,,tag of two\n";
    assert_eq!(text, expected);
}

#[test]
fn cards_that_do_not_fit_their_figure_are_refused_by_name() {
    type Change = fn(&mut Card);
    let changes: [(&str, Change); 4] = [
        ("facets", |card| card.facets.clear()),
        ("measures", |card| card.numbers.clear()),
        ("no sheet", |card| card.face = Some(Place { sheet: 0, index: 2 })),
        ("original", |card| card.shots[0].part = Some(Part { original: 1, area: [0.0; 4] })),
    ];
    for (problem, change) in changes {
        let mut odd = card("odd one", "a", None);
        change(&mut odd);
        let said = html(&page(figure(vec![odd])), &[]).unwrap_err().to_string();
        assert!(said.contains(problem) && said.contains("`odd one`"), "{said}");
    }
}
