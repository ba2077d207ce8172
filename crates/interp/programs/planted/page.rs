//! The page of the planted audit.

use interp_finding::{Figure, Finding, Series, share_interval, student_interval};
use interp_report::Page;

use super::concepts::{Concepts, QUANTILES};
use super::filters::{Count, KINDS};
use super::labels::Flips;
use super::shortcut::Seen;
use super::verdict::{Analysis, Of, Shortcuts, Verdict, means};
use super::{FLIPPED, Found, word};

/// So many of these, with the interval of the share.
fn of(count: Of) -> String {
    let [low, high] = share_interval(count.some, count.all).map(|end| 100.0 * end);
    match count.all {
        0 => "–".into(),
        all => format!("{} of {all} ({low:.0} to {high:.0} %)", count.some),
    }
}

/// The mean of shares over networks, with its interval.
fn over(shares: &[f64]) -> String {
    let mean = 100.0 * shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    match student_interval(shares) {
        Some([low, high]) => {
            format!("{mean:.1} % ({:.1} to {:.1} %)", 100.0 * low.max(0.0), 100.0 * high.min(1.0))
        }
        None => format!("{mean:.1} %"),
    }
}

fn correlation(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2}"))
}

/// The name of an analysis, marked where it is a method that fails the test by random weights.
fn marked(analysis: &Analysis, found: &Found) -> String {
    match analysis {
        Analysis::Saliency(method, _) if found.failing.contains(method) => format!("{} †", analysis.name()),
        _ => analysis.name(),
    }
}

/// A row for each analysis and fault.
pub(super) fn table(found: &Found, verdicts: &[Verdict]) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["planted", "analysis", "found", "false alarms", "order by strength", "by effect"].map(str::to_owned);
    let verdict = |verdict: &Verdict| {
        let of = |count: Of| if verdict.threshold.is_some() { of(count) } else { "cannot tell".into() };
        vec![
            format!("shortcut, {}", word(verdict.place)),
            marked(&verdict.analysis, found),
            of(verdict.found),
            of(verdict.alarms),
            correlation(verdict.by_strength),
            correlation(verdict.by_effect),
        ]
    };
    let rows = verdicts
        .iter()
        .map(verdict)
        .chain(flips(found))
        .chain(filters(found))
        .chain((0..QUANTILES.len()).map(|at| concepts(found, at)));
    (head.into(), rows.collect())
}

/// Flipped labels among pictures that were learned from, and among others.
fn flips(found: &Found) -> Vec<Vec<String>> {
    let row = |at: usize, which: &str| {
        let shares = |of: fn(&Flips) -> f64| found.flips.iter().map(|both| of(&both[at])).collect::<Vec<f64>>();
        let planted = format!("{:.0} % of labels flipped, {which}", 100.0 * FLIPPED);
        let none = || "–".to_owned();
        let wrong: Vec<f64> = found.flips.iter().filter_map(|both| Some(1.0 - both[at].precision?)).collect();
        [
            vec![
                planted.clone(),
                "soft labels, first tenth".into(),
                over(&shares(|flips| flips.in_tenth)),
                none(),
                none(),
                none(),
            ],
            vec![
                planted,
                "soft labels, contradicted".into(),
                over(&shares(|flips| flips.contradicted)),
                if wrong.is_empty() { none() } else { format!("{} of those named", over(&wrong)) },
                none(),
                none(),
            ],
        ]
    };
    row(0, "pictures learned from").into_iter().chain(row(1, "other pictures")).collect()
}

fn filters(found: &Found) -> Vec<Vec<String>> {
    let row = |(kind, name): (usize, &&str)| {
        let of_kind: Vec<Count> = found.filters.iter().map(|counts| counts[kind]).collect();
        let sum = |of: fn(&Count) -> usize| of_kind.iter().map(of).sum::<usize>();
        vec![
            (*name).to_owned(),
            if kind < 2 { "weights".into() } else { "neurons".into() },
            format!("{} of {}, in {} networks", sum(|count| count.found), sum(|count| count.planted), of_kind.len()),
            sum(|count| count.others).to_string(),
            "–".into(),
            "–".into(),
        ]
    };
    KINDS.iter().enumerate().map(row).collect()
}

/// Of the concepts that a linear probe finds, those that a channel detects, where so many cells are its answers.
fn concepts(found: &Found, quantile: usize) -> Vec<String> {
    let all: Vec<&Concepts> = found.concepts.iter().map(|found| &found[quantile]).collect();
    let share = |one: &Concepts| one.both() as f64 / one.probed.len() as f64;
    let some: Vec<f64> = all.iter().filter(|one| !one.probed.is_empty()).map(|one| share(one)).collect();
    let mean = |of: fn(&Concepts) -> usize| {
        let sum: usize = all.iter().map(|one| of(one)).sum();
        format!("{:.1}", sum as f64 / all.len().max(1) as f64)
    };
    let others = mean(|one| one.detected.difference(&one.probed).count());
    let none = || "–".to_owned();
    let what =
        format!("concepts: a probe finds {} of {}", mean(|one| one.probed.len()), mean(|one| one.reachable.len()));
    let displaced = format!("{} with the next picture's", mean(|one| one.displaced.len()));
    let analysis = format!("dissection, answers: {} %", 100.0 * QUANTILES[quantile]);
    vec![what, analysis, format!("{}, and {others} others", over(&some)), displaced, none(), none()]
}

fn all(found: &Found, verdicts: &[Verdict]) -> Finding {
    let (columns, rows) = table(found, verdicts);
    let figure = Figure::Table {
        title: "Found, and false alarms".into(),
        caption: "Shortcuts: of the networks that lose accuracy without the shortcut, those in which an analysis sees more than one more network without would show once in two hundred times, if \
                  what such networks show were normally distributed: saliency more of its evidence on the shortcut (in the corner: more than on the same patch in the next corner), context a larger bias, or \
                  more of the probability moved by another color around the object. False alarms are those among other networks without. Order: Spearman's correlation of that with the strength, over \
                  means, and with what the network loses, over networks. Intervals, 95 %, are over networks, of which those of one seed have scenes and first weights in common: Wilson's of shares of networks, \
                  Student's of means. Center, edges and random know nothing of the network. † fails the test by random weights: its maps are much the same when the network knows nothing. Chance: a tenth of \
                  the flipped labels is in the first tenth. Filters are planted as the analyses define them, copies but for a tenth of every weight. Concepts: those whose density lets a channel overlap them by \
                  more than 0.04, which a linear probe of any layer does, and which a channel of any layer does, whether or not it overlaps another more; answers are this share of its cells. False alarms: those that \
                  a channel does where concepts are taken to be where they are in the next picture, by being in like places."
            .into(),
        columns,
        rows,
    };
    Finding {
        name: "found".into(),
        title: "Found, and false alarms".into(),
        statement: statement(found, verdicts),
        numbers: vec![],
        figures: vec![figure],
    }
}

/// Which methods find every shortcut without a false alarm.
fn statement(found: &Found, verdicts: &[Verdict]) -> String {
    let perfect = |verdict: &&Verdict| {
        let Of { some, all } = verdict.found;
        all > 0 && some == all && verdict.alarms.some == 0
    };
    let said = found.shortcuts.iter().map(|shortcuts| {
        let here = || verdicts.iter().filter(|verdict| verdict.place == shortcuts.place);
        let names: Vec<String> = here().filter(perfect).map(|verdict| verdict.analysis.name()).collect();
        let most = here().filter(|verdict| verdict.alarms.some == 0).max_by_key(|verdict| verdict.found.some);
        let list = match most.filter(|most| names.is_empty() && most.found.some > 0) {
            Some(most) => format!("no analysis, in most by {} ({})", most.analysis.name(), most.found.some),
            None if names.is_empty() => "no analysis".to_owned(),
            None => names.join("; "),
        };
        let used = shortcuts.judged.iter().filter(|seen| seen.strength > 0.0 && seen.is_used()).count();
        if used == 0 {
            let why = "no network uses it, so that nothing can be said of what finds it: networks need more pictures or epochs";
            return format!("Shortcut in the {}: {why}.", word(shortcuts.place));
        }
        format!(
            "Shortcut in the {}: used by {used} networks; in every one of them seen, without a false alarm, by {list}.",
            word(shortcuts.place)
        )
    });
    said.collect::<Vec<_>>().join(" ")
}

pub(super) fn page(found: &Found, verdicts: &[Verdict]) -> Page {
    let mut findings = vec![all(found, verdicts)];
    findings.extend(found.shortcuts.iter().map(|shortcuts| place(shortcuts, verdicts)));
    let accuracy = found.accuracy.iter().sum::<f64>() / found.accuracy.len().max(1) as f64;
    let networks: usize = found.shortcuts.iter().map(|s| s.calibration.len() + s.judged.len()).sum();
    Page {
        title: "What analyses find of what was planted".into(),
        lead: "Networks were trained on pictures with faults that are known. An analysis that does not find them need not be believed where nothing is known.".into(),
        warnings: vec![],
        facts: vec![
            ("Networks".into(), (networks + found.flips.len()).to_string()),
            ("Accuracy without a fault (chance: 10 %)".into(), format!("{accuracy:.1} %")),
        ],
        claims: vec![],
        findings,
        source: None,
    }
}

/// What networks lose without the shortcut, and what methods see of it, over the strength.
fn place(shortcuts: &Shortcuts, verdicts: &[Verdict]) -> Finding {
    let points = |of: &dyn Fn(&Seen) -> f64| -> Vec<[f64; 2]> {
        let (strengths, means) = means(&shortcuts.judged, of);
        strengths.into_iter().zip(means).map(|(strength, mean)| [strength, mean]).collect()
    };
    let here = verdicts.iter().filter(|verdict| verdict.place == shortcuts.place);
    let series = here.map(|verdict| Series {
        name: verdict.analysis.name(),
        points: points(&|seen| 100.0 * verdict.analysis.value(seen)),
    });
    let name = word(shortcuts.place);
    let used = shortcuts.judged.iter().filter(|seen| seen.is_used()).count();
    Finding {
        name: name.into(),
        title: format!("Shortcut: {name}"),
        statement: format!("{used} of {} networks use it, those without a shortcut among them.", shortcuts.judged.len()),
        numbers: vec![],
        figures: vec![
            Figure::Curves {
                title: format!("What is lost without it ({name})"),
                caption: "Accuracy where the shortcut goes with the label less that where it says nothing, a mean over networks.".into(),
                x: "strength".into(),
                y: "points".into(),
                series: vec![Series { name: "lost".into(), points: points(&|seen| seen.effect.points) }],
            },
            Figure::Curves {
                title: format!("What analyses see of it ({name})"),
                caption: "Saliency: the share of a method's positive evidence that lies on the shortcut's pixels, in the corner less that on the same patch in the next corner. Context: its bias, and how much of the \
                          probability goes to other classes with another picture's color around the object in place of its own. Means over pictures and networks."
                    .into(),
                x: "strength".into(),
                y: "%".into(),
                series: series.collect(),
            },
        ],
    }
}
