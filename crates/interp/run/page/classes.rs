//! Which classes the network gets right, and what it takes the others for.

use interp_finding::{Figure, Finding};

use super::{percent, unbroken};
use crate::run::confusion::Confusion;

/// Classes in the table.
const SHOWN: usize = 20;

/// The table of classes on test, of the network and of its twin where there is one.
pub(super) fn classes(names: &[String], own: &Confusion, twin: Option<&Confusion>) -> Finding {
    let worst = own.worst_first();
    let right = |confusion: &Confusion, class: usize| percent(confusion.share(class, class));
    let taken = |class: usize| match own.mistake(class) {
        Some(other) => format!("{} ({:.0}\u{a0}%)", names[other], 100.0 * own.share(class, other)),
        None => "–".to_owned(),
    };
    let row = |&class: &usize| {
        let mut cells = vec![names[class].clone(), own.pictures(class).to_string(), right(own, class)];
        cells.extend(twin.map(|twin| right(twin, class)));
        cells.push(taken(class));
        cells
    };
    let mut columns = vec!["class", "pictures", "right"];
    columns.extend(twin.map(|_| "right, twin"));
    columns.push("most often taken for");
    let said = |class: Option<&usize>| class.map(|&c| format!("{} ({})", names[c], right(own, c))).unwrap_or_default();
    let all = if worst.len() > SHOWN { format!(" The {SHOWN} worst of {}.", worst.len()) } else { String::new() };
    let table = Figure::Table {
        title: "Classes, the worst first".into(),
        caption: format!(
            "On test pictures: the share that is right, and the wrong class that most of the others are taken for, with \
             its share.{all}"
        ),
        columns: columns.into_iter().map(str::to_owned).collect(),
        rows: worst.iter().take(SHOWN).map(row).collect(),
    };
    Finding {
        name: "classes".into(),
        title: "Which classes it knows".into(),
        statement: unbroken(&format!(
            "Least often right on {}, most often on {}.",
            said(worst.first()),
            said(worst.last())
        )),
        numbers: vec![],
        figures: vec![table],
    }
}
