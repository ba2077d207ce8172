use super::*;
use interp_finding::{Better, Series};
use std::collections::BTreeSet;

const HOSTILE: &str = "<script>alert(\"1\")</script>' & </style> http";

fn text(s: &str) -> String {
    s.to_owned()
}

fn curves(points: Vec<[f64; 2]>) -> Figure {
    let series = vec![Series { name: text("train"), points }, Series { name: text("validation"), points: vec![] }];
    Figure::Curves {
        title: text("Loss"),
        caption: text("Mean over pictures."),
        x: text("epoch"),
        y: text("nats"),
        series,
    }
}

fn table(rows: Vec<Vec<String>>) -> Figure {
    Figure::Table {
        title: text("Both"),
        caption: text("Tested once."),
        columns: vec![text("network"), text("accuracy")],
        rows,
    }
}

fn picture(width: usize, bytes: usize) -> Figure {
    Figure::Picture {
        title: text("Filters"),
        caption: text("One scale."),
        width,
        height: 1,
        rgb: vec![7; bytes],
        zoom: 8,
    }
}

fn finding(name: &str, figures: Vec<Figure>) -> Finding {
    let number = Number { null: Some(0.0), ..Number::new(97.184_2, "%", Better::Higher).with_interval(96.8, 97.5) };
    Finding {
        name: text(name),
        title: format!("About {name}"),
        statement: text("So it is."),
        numbers: vec![(text("accuracy"), number)],
        figures,
    }
}

fn page(findings: Vec<Finding>) -> Page {
    let claim =
        |holds| Measured { statement: text("zeros ≥ 90 %"), value: 0.9, bound: 0.9, holds, shown: text("90 %") };
    let facts = vec![(text("Data"), text("concepts"))];
    Page {
        title: text("A run"),
        lead: text("In short."),
        warnings: vec![text("Doubtful.")],
        facts,
        claims: vec![claim(true), claim(false)],
        findings,
        source: Some((text("Recipe"), text("seed = 0"))),
    }
}

/// Values of every attribute `name` of the page.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Numbers of opening and closing tags of the elements that need both.
fn assert_balanced(html: &str) {
    for tag in [
        "html",
        "body",
        "main",
        "nav",
        "section",
        "figure",
        "figcaption",
        "table",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "div",
        "dl",
        "svg",
        "text",
        "a",
        "p",
        "details",
        "pre",
    ] {
        let opened = html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}

/// What holds of every page, whatever is on it.
fn assert_sound(html: &str) {
    let ids = attributes(html, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is there twice: {ids:?}");
    for id in attributes(html, "aria-labelledby") {
        assert!(ids.contains(&id), "#{id}");
    }
    for address in attributes(html, "href").into_iter().chain(attributes(html, "src")) {
        let resolves = address.strip_prefix('#').is_some_and(|id| ids.contains(&id));
        assert!(resolves || address.starts_with("data:"), "{address}");
    }
    assert!(!html.contains("<script") && !html.contains("@import") && !html.contains("url("));
    assert_balanced(html);
}

#[test]
fn everything_given_is_on_the_page() {
    let figures =
        vec![curves(vec![[1.0, 2.0], [2.0, 1.0]]), table(vec![vec![text("sparse"), text("97.2 %")]]), picture(2, 6)];
    let html = html(&page(vec![finding("first", figures), finding("second", vec![])]), &[]).unwrap();
    assert_sound(&html);
    let titles = [
        "A run",
        "In short.",
        "Doubtful.",
        "concepts",
        "About first",
        "About second",
        "Loss",
        "Both",
        "Filters",
        "Recipe",
        "seed = 0",
    ];
    let words = [
        "Mean over pictures.",
        "nats",
        "validation",
        "97.18\u{a0}%",
        "96.80 to 97.50\u{a0}%",
        "0.00\u{a0}%",
        "✓</span> holds",
        "✗</span> fails",
        "1 does not hold",
    ];
    for word in titles.iter().chain(&words) {
        assert!(html.contains(word), "{word}");
    }
    assert_eq!(attributes(&html, "download"), ["first-loss.csv", "first-both.csv", "first-filters.png"]);
    assert!(html.contains("<td class=\"number\">97.2 %</td>") && html.contains("width=\"16\" height=\"8\""));
}

#[test]
fn other_pages_can_be_gone_to() {
    let links = ["one", "two"].map(|name| Link { title: text(name), href: format!("../{name}/report.html") });
    let html = html(&page(vec![]), &links).unwrap();
    let nav = html.split("<nav class=\"pages\"").nth(1).unwrap().split("</nav>").next().unwrap();
    assert_eq!(attributes(nav, "href"), ["../one/report.html", "../two/report.html"]);
    assert_balanced(&html);
    assert!(!super::html(&page(vec![]), &[]).unwrap().contains("class=\"pages\""));
}

#[test]
fn downloads_hold_every_digit() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let html = html(&page(vec![finding("f", vec![curves(vec![[1.0, 0.1 + 0.2], [2.0, f64::NAN]])])]), &[]).unwrap();
    let csv = attributes(&html, "href")
        .into_iter()
        .find_map(|a| a.strip_prefix("data:text/csv;charset=utf-8;base64,"))
        .unwrap();
    let csv = String::from_utf8(BASE64_STANDARD.decode(csv).unwrap()).unwrap();
    assert_eq!(csv, "series,epoch,nats\ntrain,1,0.30000000000000004\ntrain,2,NaN\n");
}

#[test]
fn hostile_text_is_escaped_everywhere() {
    let mut hostile = page(vec![finding(HOSTILE, vec![])]);
    let series =
        vec![Series { name: text(HOSTILE), points: vec![[0.0, 1.0]] }, Series { name: text(HOSTILE), points: vec![] }];
    let [title, caption, x, y] = [0; 4].map(|_| text(HOSTILE));
    let curves = Figure::Curves { title, caption, x, y, series };
    let table = Figure::Table {
        title: text(HOSTILE),
        caption: text(HOSTILE),
        columns: vec![text(HOSTILE)],
        rows: vec![vec![text(HOSTILE)]],
    };
    hostile.findings[0].figures = vec![curves, table];
    hostile.findings[0].numbers = vec![(text(HOSTILE), Number::new(1.0, HOSTILE, Better::Neither))];
    (hostile.title, hostile.lead, hostile.findings[0].statement) = (text(HOSTILE), text(HOSTILE), text(HOSTILE));
    hostile.warnings = vec![text(HOSTILE)];
    (hostile.facts, hostile.source) = (vec![(text(HOSTILE), text(HOSTILE))], Some((text(HOSTILE), text(HOSTILE))));
    hostile.claims[0].statement = text(HOSTILE);
    hostile.claims[0].shown = text(HOSTILE);
    let links = [Link { title: text(HOSTILE), href: text(HOSTILE) }];
    let linked = super::html(&hostile, &links).unwrap();
    assert!(!linked.contains(HOSTILE) && linked.matches("</style>").count() == 1);
    let html = html(&hostile, &[]).unwrap();
    assert_sound(&html);
    assert_eq!(html.matches("</style>").count(), 1);
    assert!(html.matches("&#60;script&#62;").count() >= 21);
}

#[test]
fn names_that_are_alike_reserved_or_empty_get_ids_of_their_own() {
    let names = ["claims", "source", "content", "a", "A", "a-2", "a-loss", "", "ü", "a b\"c", &"w".repeat(5000)];
    let findings = names.iter().map(|name| finding(name, vec![curves(vec![[0.0, 0.0]]), curves(vec![])])).collect();
    assert_sound(&html(&page(findings), &[]).unwrap());
}

#[test]
fn an_empty_page_is_a_page() {
    let empty = Page {
        title: String::new(),
        lead: String::new(),
        warnings: vec![],
        facts: vec![],
        claims: vec![],
        findings: vec![],
        source: None,
    };
    let html = html(&empty, &[]).unwrap();
    assert_sound(&html);
    assert!(!html.contains("<nav") && !html.contains("<table"));
    assert_sound(
        &super::html(
            &page(vec![Finding { numbers: vec![], statement: String::new(), ..finding("", vec![table(vec![])]) }]),
            &[],
        )
        .unwrap(),
    );
}

#[test]
fn numbers_that_are_not_finite_are_shown_or_counted_as_left_out() {
    let mut odd = page(vec![finding(
        "odd",
        vec![
            curves(vec![[0.0, 1.0], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, 2.0]]),
            curves(vec![[f64::NAN, 0.0]]),
        ],
    )]);
    odd.findings[0].numbers[0].1 =
        Number::new(f64::NAN, "", Better::Lower).with_interval(f64::NEG_INFINITY, f64::INFINITY);
    odd.claims[0].value = f64::NAN;
    let html = html(&odd, &[]).unwrap();
    assert_sound(&html);
    for word in
        ["not a number", "−∞ to ∞", "Left out, since not finite: 2 points.", "1 point.", "There is no point to draw."]
    {
        assert!(html.contains(word), "{word}");
    }
}

#[test]
fn a_figure_that_does_not_fit_is_refused_by_name() {
    for figure in [picture(2, 5), picture(0, 0), picture(usize::MAX, 6), table(vec![vec![text("alone")]])] {
        let error = html(&page(vec![finding("f", vec![figure.clone()])]), &[]).unwrap_err().to_string();
        assert!(error.contains(words(&figure).0) && error.contains("`f`"), "{error}");
    }
}

/// Relative luminance of `#rrggbb` (WCAG 2).
fn luminance(color: &str) -> f64 {
    let channel = |i: usize| f64::from(u8::from_str_radix(&color[i..i + 2], 16).unwrap()) / 255.0;
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(channel(1)) + 0.7152 * linear(channel(3)) + 0.0722 * linear(channel(5))
}

#[test]
fn text_and_lines_have_contrast_in_every_scheme() {
    let css = include_str!("../../templates/page.css");
    let schemes: Vec<&str> = css.split(":root {").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    assert_eq!(schemes.len(), 3);
    for scheme in schemes {
        let color = |name: &str| scheme.split(&format!("--{name}: ")).nth(1).map(|rest| luminance(&rest[..7])).unwrap();
        let contrast = |a: &str, b: &str| (color(a).max(color(b)) + 0.05) / (color(a).min(color(b)) + 0.05);
        for name in ["ink", "quiet", "link", "good", "bad"] {
            assert!(contrast(name, "paper") >= 4.5, "{name}");
        }
        for line in 1..=6 {
            assert!(contrast(&format!("line-{line}"), "paper") >= 3.0, "line {line}");
        }
    }
}
