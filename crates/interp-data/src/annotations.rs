//! Concepts: which values of named factors pictures show.

use interp_finding::nearest;

use crate::{DataError, Dataset, Factor, Result, Split};

/// Which concepts the pictures of a split show. A concept is a value of a factor that has names, `hue/red`.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotations {
    names: Vec<String>,
    /// Picture by picture: 1 where the concept is shown, 0 where it is not, NaN where the factor is not known.
    values: Vec<f32>,
}

/// Pictures that are looked at to find out which factors there are.
const LOOKED_AT: usize = 2000;

impl Annotations {
    /// Those of the pictures of a split: of each entry of `wanted` all values of a factor (`hue`) that occur, in the order of the alphabet, or one
    /// of them (`hue/red`).
    ///
    /// # Errors
    /// If nothing is wanted, the data know no such factor or it is a quantity, or a concept never occurs in the split, or twice in `wanted`.
    pub fn of(data: &dyn Dataset, split: Split, wanted: &[String]) -> Result<Self> {
        let factors: Vec<Vec<(&str, Factor)>> =
            (0..data.len(split)).map(|index| data.factors(split, index)).collect::<Result<_>>()?;
        let wrong = |problem: String| DataError::Settings(format!("{}: {problem}", data.info().name));
        let mut names: Vec<String> = vec![];
        for entry in wanted {
            for name in named(entry, &factors).map_err(wrong)? {
                if names.contains(&name) {
                    return Err(wrong(format!("the concept `{name}` is asked for twice")));
                }
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(wrong("no concepts are asked for".into()));
        }
        Ok(Self::told(names, &factors))
    }

    /// Of concepts by their names, which need not occur in the split.
    ///
    /// # Errors
    /// Where annotations cannot be read, or there are no names.
    pub fn named(data: &dyn Dataset, split: Split, names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Err(DataError::Settings(format!("{}: no concepts are asked for", data.info().name)));
        }
        let factors: Vec<Vec<(&str, Factor)>> =
            (0..data.len(split)).map(|index| data.factors(split, index)).collect::<Result<_>>()?;
        Ok(Self::told(names.to_vec(), &factors))
    }

    fn told(names: Vec<String>, factors: &[Vec<(&str, Factor)>]) -> Self {
        let values = factors.iter().flat_map(|factors| names.iter().map(|name| shown(name, factors))).collect();
        Self { names, values }
    }

    /// The concepts, in the order of columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Of each picture, in their order, what [`Annotations::row`] gives.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.names.len())
    }

    /// Of the picture at a position of the split, concept by concept: 1 where it is shown, 0 where it is not, NaN where that is not known. Empty where there is no such picture.
    pub fn row(&self, index: usize) -> &[f32] {
        let (count, start) = (self.names.len(), index.saturating_mul(self.names.len()));
        self.values.get(start..start.saturating_add(count)).unwrap_or_default()
    }

    /// For each concept the factor that it is a value of, as a number: concepts of one factor have the same, which counts from 0.
    pub fn groups(&self) -> Vec<usize> {
        let mut factors: Vec<&str> = vec![];
        for factor in self.names.iter().map(|name| factor_of(name)) {
            if !factors.contains(&factor) {
                factors.push(factor);
            }
        }
        let place = |name: &String| factors.iter().position(|factor| *factor == factor_of(name)).unwrap_or_default();
        self.names.iter().map(place).collect()
    }
}

/// The factor that a concept is a value of.
fn factor_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(factor, _)| factor)
}

/// Whether a picture with these factors shows a concept.
fn shown(name: &str, factors: &[(&str, Factor)]) -> f32 {
    let known = factors.iter().find(|(factor, _)| *factor == factor_of(name));
    match known {
        Some((factor, Factor::Name(value))) => f32::from(u8::from(name == concept(factor, value))),
        _ => f32::NAN,
    }
}

fn concept(factor: &str, value: &str) -> String {
    format!("{factor}/{value}")
}

/// The concepts that an entry stands for.
fn named(entry: &str, factors: &[Vec<(&str, Factor)>]) -> std::result::Result<Vec<String>, String> {
    let (factor, value) = entry.split_once('/').map_or((entry, None), |(factor, value)| (factor, Some(value)));
    let of_factor = || factors.iter().flatten().filter(|(name, _)| *name == factor).map(|(_, value)| value);
    let words: Option<Vec<&String>> =
        of_factor().map(|value| if let Factor::Name(word) = value { Some(word) } else { None }).collect();
    let Some(mut words) = words else {
        return Err(format!("`{factor}` is a quantity, and concepts are of factors that have names"));
    };
    words.sort();
    words.dedup();
    if words.is_empty() {
        return Err(unknown(factor, factors));
    }
    match value {
        None => Ok(words.into_iter().map(|word| concept(factor, word)).collect()),
        Some(value) if words.iter().any(|word| *word == value) => Ok(vec![entry.to_owned()]),
        Some(value) => {
            let near = nearest(value, words.iter().map(|word| word.as_str()));
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{}`?", concept(factor, near)));
            Err(format!("the concept `{entry}` never occurs{hint}"))
        }
    }
}

/// What to say where there is no such factor.
fn unknown(factor: &str, factors: &[Vec<(&str, Factor)>]) -> String {
    let mut known: Vec<&str> = vec![];
    let of_names = factors.iter().take(LOOKED_AT).flatten().filter(|(_, value)| matches!(value, Factor::Name(_)));
    of_names.for_each(|(name, _)| {
        if !known.contains(name) {
            known.push(name);
        }
    });
    let hint = nearest(factor, known.iter().copied());
    let hint = hint.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    match known.is_empty() {
        true => "nothing is known of what its pictures show: concepts need data with factors, as `concepts` has".into(),
        false => format!("there is no factor `{factor}`; its factors with names are {}{hint}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Info;

    struct Three(Info);

    impl Dataset for Three {
        fn info(&self) -> &Info {
            &self.0
        }

        fn len(&self, split: Split) -> usize {
            if split == Split::Train { 3 } else { 0 }
        }

        fn label(&self, _: Split, _: usize) -> u32 {
            0
        }

        fn image(&self, _: Split, _: usize, _: &mut [f32]) -> Result<()> {
            Ok(())
        }

        fn factors(&self, _: Split, index: usize) -> Result<Vec<(&'static str, Factor)>> {
            let name = |word: &str| Factor::Name(word.into());
            let mut factors = vec![("hue", name(["red", "blue", "red"][index])), ("x", Factor::Value(0.5))];
            if index != 1 {
                factors.push(("texture", name("dots")));
            }
            Ok(factors)
        }
    }

    fn three() -> Three {
        let (mean, std) = (vec![0.0], vec![1.0]);
        Three(Info { name: "three".into(), classes: vec!["a".into()], channels: 1, height: 1, width: 1, mean, std })
    }

    fn of(wanted: &[&str]) -> Result<Annotations> {
        Annotations::of(&three(), Split::Train, &wanted.iter().map(|&one| one.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn concepts_by_hand() {
        let found = of(&["hue", "texture/dots"]).unwrap();
        assert_eq!(found.names(), ["hue/blue", "hue/red", "texture/dots"]);
        assert_eq!((found.row(0), &found.row(1)[..2]), (&[0.0, 1.0, 1.0][..], &[1.0, 0.0][..]));
        assert!(found.row(1)[2].is_nan(), "not seen in this picture");
        assert!(found.row(3).is_empty() && found.rows().count() == 3 && found.rows().next() == Some(found.row(0)));
        let named = Annotations::named(&three(), Split::Train, &["hue/green".into()]).unwrap();
        assert_eq!(named.rows().collect::<Vec<_>>(), [[0.0]; 3], "it never occurs");
        assert_eq!(found.groups(), [0, 0, 1]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (wanted, part) in [
            (&["hues"][..], "did you mean `hue`"),
            (&["hue/reed"], "never occurs; did you mean `hue/red`"),
            (&["x"], "`x` is a quantity"),
            (&["hue", "hue/red"], "`hue/red` is asked for twice"),
            (&[], "no concepts"),
        ] {
            let error = of(wanted).unwrap_err().to_string();
            assert!(error.contains(part) && error.starts_with("three: "), "{error}");
        }
    }
}
