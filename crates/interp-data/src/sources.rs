//! Where data sets come from: one file each, with one line in its table.

mod cifar10;
mod files;
mod folder;
mod mnist;

use interp_finding::{Built, Entry, nearest};
use toml::de::DeTable;

use crate::{DataError, Result, Source, concepts};

pub use cifar10::{Cifar10, Cifar10Jpeg};
pub use folder::Folder;
pub use mnist::{FashionMnist, Mnist};

/// The data sets of this crate.
pub fn sources() -> impl Iterator<Item = &'static Entry<dyn Source>> {
    [concepts::ENTRIES, cifar10::ENTRIES, mnist::ENTRIES, folder::ENTRIES].into_iter().flatten()
}

/// The name and the path of a data set's SPEC on a command line, `NAME` or `NAME:PATH`.
pub fn split_spec(spec: &str) -> (&str, Option<&str>) {
    spec.split_once(':').map_or((spec, None), |(name, path)| (name, Some(path)))
}

/// Reads the SPEC of a data set over `table`.
///
/// # Errors
/// A name that the table does not have (with the nearest one that it has), or a path where the data
/// set takes none.
pub fn from_spec<'t>(spec: &str, table: impl IntoIterator<Item = &'t Entry<dyn Source>>) -> Result<Built<dyn Source>> {
    let (name, path) = split_spec(spec);
    let entries: Vec<_> = table.into_iter().collect();
    let entry = entries.iter().find(|entry| entry.name == name).ok_or_else(|| unknown(name, &entries))?;
    build_at(entry, toml::Table::new(), path)
}

/// Makes the data set of an entry from `settings`, at `path` where one is given.
///
/// # Errors
/// Settings that do not fit, or a path where the data set takes none.
pub fn build_at(entry: &Entry<dyn Source>, mut settings: toml::Table, path: Option<&str>) -> Result<Built<dyn Source>> {
    settings.extend(path.map(|path| ("path".to_owned(), path.into())));
    let spec = [Some(entry.name), path].into_iter().flatten().collect::<Vec<_>>().join(":");
    DeTable::parse(&settings.to_string())
        .and_then(entry.build)
        .map_err(|error| DataError::Settings(format!("data set {spec}: {}", error.message())))
}

fn unknown(name: &str, entries: &[&Entry<dyn Source>]) -> DataError {
    let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
    let hint = nearest(name, names.iter().copied()).map_or(String::new(), |near| format!("; did you mean {near}?"));
    DataError::Settings(format!("there is no data set called {name:?}{hint} (known: {})", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_reads_its_example_and_refuses_unknown_keys() {
        for entry in sources() {
            let mut section = DeTable::parse(entry.example).unwrap();
            section.get_mut().remove("kind").unwrap();
            (entry.build)(section).map_err(|error| format!("{}: {error}", entry.name)).unwrap();
            let error = (entry.build)(DeTable::parse("patth = 1").unwrap()).err().unwrap().to_string();
            assert!(error.contains("patth"), "{}: {error}", entry.name);
            assert!((entry.schema)().get("properties").is_some(), "{}", entry.name);
        }
    }

    #[test]
    fn a_spec_names_an_entry_and_its_path() {
        let built = from_spec("cifar10:some folder/\"x\":y", sources()).unwrap();
        assert_eq!(built.settings["path"].as_str(), Some("some folder/\"x\":y"));
        assert!(!from_spec("mnist", sources()).unwrap().settings.contains_key("path"));
        let error = from_spec("concepts:x", sources()).err().unwrap().to_string();
        assert!(error.contains("concepts:x: unknown field `path`"), "{error}");
    }

    #[test]
    fn a_misspelt_spec_is_told_the_nearest_name() {
        let error = from_spec("cifar-10:x", sources()).err().unwrap().to_string();
        assert!(error.contains("did you mean cifar10?"), "{error}");
    }
}
