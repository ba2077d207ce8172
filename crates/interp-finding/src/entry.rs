//! Tables of extensions: a section of a recipe is read by the entry that its `kind` names.

use serde::{Serialize, de::DeserializeOwned};
use toml::{Spanned, de::DeTable};

/// A table of a recipe, with the place of every key and value in the file.
pub type Section<'i> = Spanned<DeTable<'i>>;

/// One line in a table of extensions that share the trait `T`.
pub struct Entry<T: ?Sized> {
    /// The word after `kind =` that selects it.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// The section as a recipe would write it, `kind` included.
    pub example: &'static str,
    /// Reads the section, from which `kind` was taken out.
    pub build: fn(Section<'_>) -> Result<Built<T>, toml::de::Error>,
    /// JSON schema of the section without `kind`.
    pub schema: fn() -> schemars::Schema,
}

/// An extension made from a section, and the section with every default filled in.
pub struct Built<T: ?Sized> {
    /// The section as resolved, without `kind`.
    pub settings: toml::Table,
    /// The extension.
    pub object: Box<T>,
}

/// Reads a section into the settings `S` and wraps them with `object`; this is what an entry's
/// `build` calls. `S` denies unknown fields and holds its own defaults.
///
/// # Errors
/// An unknown or missing key, or a value of a wrong type, with its place in the file.
pub fn build<S, T: ?Sized>(section: Section<'_>, object: fn(S) -> Box<T>) -> Result<Built<T>, toml::de::Error>
where
    S: Serialize + DeserializeOwned,
{
    let read = S::deserialize(toml::Deserializer::from(section))?;
    let settings = toml::Table::try_from(&read).map_err(<toml::de::Error as serde::de::Error>::custom)?;
    Ok(Built { settings, object: object(read) })
}

/// The entry called `name`, or else the name nearest to it, if any is near.
///
/// # Errors
/// The nearest name, where no entry is called `name`.
pub fn find<T: ?Sized>(table: &[&'static Entry<T>], name: &str) -> Result<&'static Entry<T>, Option<&'static str>> {
    table
        .iter()
        .copied()
        .find(|entry| entry.name == name)
        .ok_or_else(|| nearest(name, table.iter().map(|entry| entry.name)))
}

/// The candidate most like `name`, if any is like it: at most a third of the letters wrong, or
/// one containing the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    candidates
        .into_iter()
        .filter(|c| distance(c) * 3 <= name.len().max(c.len()).max(3) || (name.len() > 2 && c.contains(name)))
        .min_by_key(|c| distance(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_offers_only_what_is_near() {
        let keys = ["epochs", "learning_rate", "momentum"];
        assert_eq!(nearest("epoch", keys), Some("epochs"));
        assert_eq!(nearest("learningrate", keys), Some("learning_rate"));
        assert_eq!(nearest("momentun", keys), Some("momentum"));
        assert_eq!(nearest("zebra", keys), None);
    }
}
