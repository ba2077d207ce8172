//! The text that a recipe came from, and places in it, for messages.

use std::ops::Range;
use std::sync::Arc;

use interp_data::DataError;
use interp_finding::{Unfit, nearest};
use interp_learn::LearnError;
use interp_net::NetError;
use miette::NamedSource;
use toml::de::{DeTable, DeValue};

use crate::Error;

/// A recipe's file by name, and its text.
#[derive(Clone, Debug)]
pub struct Origin {
    name: String,
    text: String,
}

impl Origin {
    /// The text of the file called `name`.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned() }
    }

    /// An error at a place in the text, with the word that may have been meant.
    pub(crate) fn at(&self, span: Option<Range<usize>>, message: String, near: Option<&str>) -> Error {
        // A span at the end of the text has no line to show.
        let span = span.filter(|s| s.start < self.text.len()).map(|s| (s.start, s.len()).into());
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let source_code = Arc::new(NamedSource::new(&self.name, self.text.clone()));
        Error::Recipe { message, source_code, span, help }
    }

    /// An error at the value of a dotted key, or of the nearest section around it that is written out.
    pub(crate) fn at_key(&self, key: &str, message: String) -> Error {
        self.at(self.span(key, None), message, None)
    }

    /// What TOML and serde said.
    pub(crate) fn toml(&self, error: toml::de::Error) -> Error {
        self.toml_beside(&[], error)
    }

    /// What serde said of a section that has `shared` keys beside those that serde knows.
    pub(crate) fn toml_beside(&self, shared: &[&str], error: toml::de::Error) -> Error {
        let (message, near) = plain(error.message(), shared);
        self.at(error.span(), message, near.as_deref())
    }

    /// An error that the section at `key` is to blame for, with its place: the setting that does not fit,
    /// or the pattern in the list that matches nothing. Others stay as they are.
    pub(crate) fn blame(&self, key: &str, error: impl Into<Error>) -> Error {
        let setting = |unfit: Unfit| {
            let unfit = unfit.within(key);
            self.at_key(&unfit.key, unfit.to_string())
        };
        match error.into() {
            Error::Data(DataError::Setting(unfit)) | Error::Learn(LearnError::Setting(unfit)) => setting(unfit),
            Error::Net(error) | Error::Learn(LearnError::Net(error)) => match error {
                NetError::Setting(unfit) => setting(unfit),
                NetError::NoMatch { ref pattern, .. } => {
                    self.at(self.span(key, Some(pattern)), format!("{key}: {error}"), None)
                }
                other => self.at_key(key, format!("{key}: {other}")),
            },
            other => other,
        }
    }

    /// Whether there is a value at a dotted key.
    pub(crate) fn has(&self, key: &str) -> bool {
        let Ok(root) = DeTable::parse(&self.text) else { return false };
        let mut keys = key.split('.');
        let mut found = keys.next().and_then(|key| root.get_ref().get(key));
        for key in keys {
            found = found.and_then(|value| match value.get_ref() {
                DeValue::Table(table) => table.get(key),
                DeValue::Array(array) => key.parse::<usize>().ok().and_then(|index| array.get(index)),
                _ => None,
            });
        }
        found.is_some()
    }

    /// The place of the value at a dotted key, or of the nearest value around it; of a list, the item that
    /// is the string `item`, if one is given and there.
    fn span(&self, key: &str, item: Option<&str>) -> Option<Range<usize>> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut keys = key.split('.');
        let mut found = root.get_ref().get(keys.next()?)?;
        for key in keys {
            let below = match found.get_ref() {
                DeValue::Table(table) => table.get(key),
                DeValue::Array(array) => key.parse::<usize>().ok().and_then(|index| array.get(index)),
                _ => None,
            };
            let Some(below) = below else { break };
            found = below;
        }
        if let (DeValue::Array(items), Some(_)) = (found.get_ref(), item) {
            found = items.iter().find(|i| i.get_ref().as_str() == item).unwrap_or(found);
        }
        Some(found.span())
    }
}

/// What serde calls types, in the words of recipes.
const TYPES: [(&str, &str); 5] = [
    ("expected usize", "expected a whole number from 0 on"),
    ("expected u64", "expected a whole number from 0 on"),
    ("expected f64", "expected a number"),
    ("expected f32", "expected a number"),
    ("expected a sequence", "expected a list"),
];

/// A message of serde in the words of recipes, and what may have been meant by a key or value that is unknown.
fn plain(message: &str, shared: &[&str]) -> (String, Option<String>) {
    let Some(unknown) = message.strip_prefix("unknown ") else {
        let told = |text: String, (name, words): &(&str, &str)| text.replace(name, words);
        return (TYPES.iter().fold(message.to_owned(), told), None);
    };
    let mut quoted = unknown.split('`').skip(1).step_by(2);
    let given = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.chain(shared.iter().copied()).collect();
    let near = nearest(given, known.iter().copied()).map(str::to_owned);
    match unknown.starts_with("field") {
        true => (format!("unknown key `{given}`; there are: {}", known.join(", ")), near),
        false => (message.to_owned(), near),
    }
}
