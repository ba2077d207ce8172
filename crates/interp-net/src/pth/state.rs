//! Which of the dicts in a pickle is the state dict.

use super::machine::Pickle;
use super::tensor::View;
use super::value::{Id, Value};
use super::{Result, Unread, broken};
use crate::stored::list;

/// The names under which training programs put a state dict beside other things.
const KEYS: [&str; 4] = ["state_dict", "model", "model_state_dict", "net"];

/// Bytes of a tensor's name at most.
const LONGEST: usize = 1 << 10;

/// The tensors of a pickle with their names: those of the dict under one of [`KEYS`] that holds any, else those at the top.
///
/// # Errors
/// If several of these dicts hold tensors, or none does.
pub(super) fn dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Vec<(&'a str, &'p View<'a>)>> {
    let Value::Dict(top) = pickle.root() else { return Err(Unread::NoTensors("it is no dict".into())) };
    let holding: Vec<bool> = pickle.values().iter().map(|value| holds_tensors(pickle, value)).collect();
    let nested: Vec<&Entry> = top.iter().filter(|(_, id)| holding[*id]).collect();
    let is_known = |entry: &&&Entry| name(pickle, entry).is_some_and(|name| KEYS.contains(&name));
    match nested.iter().filter(is_known).copied().collect::<Vec<_>>()[..] {
        [] if holds_tensors(pickle, pickle.root()) => views(pickle, top),
        [] => Err(Unread::NoTensors(beside(pickle, top, &nested))),
        [(_, id)] => views(pickle, entries(pickle.at(*id))),
        ref several => Err(Unread::Several(names(pickle, several.iter().copied()).map(str::to_owned).collect())),
    }
}

/// A key and its value.
type Entry = (Id, Id);

fn entries<'p>(value: &'p Value) -> &'p [Entry] {
    if let Value::Dict(entries) = value { entries } else { &[] }
}

fn name<'a>(pickle: &Pickle<'a>, entry: &Entry) -> Option<&'a str> {
    if let Value::Text(name) = pickle.at(entry.0) { Some(name) } else { None }
}

fn names<'a, 'e>(
    pickle: &Pickle<'a>,
    entries: impl Iterator<Item = &'e Entry> + Clone,
) -> impl Iterator<Item = &'a str> + Clone {
    entries.filter_map(|entry| name(pickle, entry))
}

fn holds_tensors(pickle: &Pickle, value: &Value) -> bool {
    entries(value).iter().any(|(_, id)| matches!(pickle.at(*id), Value::Tensor(_)))
}

/// What is in a file where no tensors were found, for the message.
fn beside(pickle: &Pickle, top: &[Entry], nested: &[&Entry]) -> String {
    match (nested, top) {
        ([], []) => "it is an empty dict".into(),
        ([], _) => format!("its keys are {}", list(names(pickle, top.iter()))),
        _ => format!("tensors are under {}: save those alone", list(names(pickle, nested.iter().copied()))),
    }
}

fn views<'p, 'a>(pickle: &'p Pickle<'a>, entries: &[Entry]) -> Result<Vec<(&'a str, &'p View<'a>)>> {
    let problem = || broken("its state dict", format!("a tensor whose name is no text of {LONGEST} bytes or less"));
    let mut views = vec![];
    for entry in entries {
        if let Value::Tensor(view) = pickle.at(entry.1) {
            let name = name(pickle, entry).filter(|name| name.len() <= LONGEST);
            views.push((name.ok_or_else(problem)?, &**view));
        }
    }
    Ok(views)
}
