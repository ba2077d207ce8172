//! Cards in a browser: what the controls say is what is shown.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{TINY, folder, program, run};
use interp::finding::{Better, Card, Figure, Finding, Histogram, Number, Original, Part, Place, Sheet, Shot};
use interp::report::{Page, html};

/// A browser, if the machine has one.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

/// The page after its script ran, at an address that ends so; the script must not complain.
fn shown(browser: &Path, page: &Path, fragment: &str) -> String {
    let address = format!("file://{}{fragment}", page.display());
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(address)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("CONSOLE"), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the cards in the list.
fn names(dom: &str) -> Vec<&str> {
    let list = dom.split("<ul class=\"list\">").nth(1).unwrap().split("<dialog").next().unwrap();
    list.split("<h4>").skip(1).map(|rest| rest.split("</h4>").next().unwrap()).collect()
}

const HOSTILE: &str = "</script><script>throw 1</script>";

/// Thirty neurons of two layers; of the color of every tenth nothing is known.
fn cards() -> Vec<Card> {
    let place = Place { sheet: 0, index: 1 };
    let number = |at: u32| Number::new(f64::from(at * 7 % 30) / 30.0, "", Better::Neither).with_interval(0.0, 1.0);
    let card = |at: u32| Card {
        name: format!("neuron {at}"),
        facets: vec![format!("features.{}", at % 2), if at < 3 { HOSTILE.into() } else { "cat & dog".into() }],
        numbers: vec![(at % 10 != 9).then(|| number(at))],
        face: Some(place),
        shots: vec![Shot { place, name: HOSTILE.into(), part: Some(Part { original: 0, area: [0.0, 0.0, 1.0, 1.0] }) }],
        histogram: Some(Histogram { counts: vec![1, at], ends: ["0".into(), "1".into()], caption: "answers".into() }),
        tags: vec![if at == 17 { "stripes".into() } else { HOSTILE.into() }],
    };
    (0..30).map(card).collect()
}

fn page() -> Page {
    let figure = Figure::Cards {
        title: "All".into(),
        caption: HOSTILE.into(),
        facets: vec!["layer".into(), "class".into()],
        measures: vec!["color".into()],
        sheets: vec![Sheet { width: 2, height: 2, rgb: vec![90; 24] }],
        originals: vec![Original { place: Place { sheet: 0, index: 0 }, name: HOSTILE.into(), command: "look".into() }],
        cards: cards(),
    };
    let (name, title, statement) = ("cards".into(), "Cards".into(), String::new());
    let finding = Finding { name, title, statement, numbers: vec![], figures: vec![figure] };
    let (title, lead) = ("A page".into(), String::new());
    Page { title, lead, warnings: vec![], facts: vec![], claims: vec![], findings: vec![finding], source: None }
}

#[test]
fn cards_are_filtered_and_sorted_by_what_the_address_says() {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: there is no Chromium on this machine to run the script of cards in");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let html = html(&page(), &[]).unwrap();
    std::fs::write(&path, &html).unwrap();
    let color = |name: &&str| {
        let at: u32 = name.rsplit(' ').next().unwrap().parse().unwrap();
        if at % 10 == 9 { -1.0 } else { f64::from(at * 7 % 30) }
    };
    // As given: what was there without the script, and more.
    let dom = shown(&browser, &path, "");
    assert_eq!((names(&dom).len(), &names(&dom)[..12]), (24, &names(&html)[..]));
    assert!(dom.contains("24 shown of 30 that fit, of 30."));
    // A place of the page is no filter.
    assert_eq!(names(&shown(&browser, &path, "#cards")).len(), 24);
    let dom = shown(&browser, &path, "#layer=features.1&sort=color");
    let found = names(&dom);
    assert_eq!(found.len(), 15);
    assert!(found.windows(2).all(|pair| color(&pair[0]) >= color(&pair[1])), "{found:?}");
    let dom = shown(&browser, &path, "#layer=features.0&sort=color&order=least");
    let found = names(&dom);
    assert!(found.len() == 15 && found.windows(2).all(|pair| color(&pair[0]) <= color(&pair[1])), "{found:?}");
    // Unknown numbers come last in either order, and fit no range.
    let dom = shown(&browser, &path, "#layer=features.1&sort=color&order=least");
    assert_eq!(names(&dom)[12..], ["neuron 9", "neuron 19", "neuron 29"]);
    let dom = shown(&browser, &path, "#where=color&from=0.5&to=0.7");
    let within = |name: &&str| (15.0..=21.0).contains(&color(name));
    assert!(
        names(&dom).iter().all(within)
            && names(&dom).len() == (0..30).filter(|at| within(&&*format!("n {at}"))).count()
    );
    assert_eq!(names(&shown(&browser, &path, "#class=%3C%2Fscript%3E%3Cscript%3Ethrow+1%3C%2Fscript%3E")).len(), 3);
    assert_eq!(names(&shown(&browser, &path, "#find=STRIPES")), ["neuron 17"]);
    assert!(shown(&browser, &path, "#find=nothing").contains("0 shown of 0 that fit"));
}

/// Where a page leads, but for places on it and what it holds itself.
fn links(dom: &str) -> Vec<&str> {
    let all = dom.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    all.filter(|link| !link.starts_with('#') && !link.starts_with("data:")).collect()
}

// Pages of a run, of its audit and of a bench: the browser has nothing to complain of, and what they lead to is there.
#[test]
fn pages_of_programs_are_shown_without_a_complaint_and_lead_to_each_other() {
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: there is no Chromium on this machine to show pages in");
        return;
    };
    let folder = folder(TINY);
    let root = folder.path();
    let commands: [(&str, &[&str]); 4] = [
        ("interp-train", &["recipe.toml", "--out", "run", "--quiet"]),
        ("interp-audit", &["all", "run", "--out", "audit", "--count", "3"]),
        ("interp-audit", &["context", "run", "--out", "context"]),
        ("interp-bench", &["recipe.toml", "--seeds", "0", "--out", "cells", "--page", "bench.html", "--quiet"]),
    ];
    for (name, arguments) in commands {
        let (status, _, stderr) = run(program(name, root).args(arguments));
        assert_eq!(status, 0, "{name}: {stderr}");
    }
    let pages = [
        ("run/report.html", 0),
        ("audit/report.html", 5),
        ("audit/weights/report.html", 2),
        ("context/report.html", 1),
        ("bench.html", 1),
    ];
    for (page, least) in pages {
        let path = root.join(page);
        let dom = shown(&browser, &path, "");
        let links = links(&dom);
        assert!(links.len() >= least, "{page}: {links:?}");
        for link in links {
            assert!(path.parent().unwrap().join(link).is_file(), "{page} leads to {link}");
        }
    }
}
