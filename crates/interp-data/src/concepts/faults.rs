//! Faults that are planted on request, so that an audit has something to find.

use interp_finding::random::Stream;
use interp_finding::{Unfit, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes::CLASSES;
use super::color::{Rgb, rgb};
use super::factors::{Draw, Hue};
use crate::Split;

/// Where a shortcut is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A square of an eighth of the picture's width in the top left corner.
    Corner,
    /// The color of the background.
    Background,
}

/// Something that has nothing to do with the object but goes with the label: each class has a code
/// color, and a picture shows its label's code with probability `strength`, otherwise the code of
/// any of the ten classes. Cramér's V between code and label is then `strength`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PlantedShortcut")] // ResNets have another kind; one schema has both.
pub struct Shortcut {
    /// Where it is seen.
    pub place: Place,
    /// Strength in the train and validation splits, 0 to 1.
    pub strength: f64,
    /// Strength in the test split, 0 to 1. At 0 the test shows what relying on it costs.
    pub test_strength: f64,
}

impl Default for Shortcut {
    fn default() -> Self {
        Self { place: Place::Corner, strength: 0.9, test_strength: 0.0 }
    }
}

impl Shortcut {
    pub(super) fn check(&self) -> Result<(), Unfit> {
        check_share("shortcut.strength", self.strength)?;
        check_share("shortcut.test_strength", self.test_strength)
    }

    /// The code that a picture with this label shows.
    pub(super) fn code(&self, split: Split, label: u32, random: &mut Stream) -> Code {
        let strength = if split == Split::Test { self.test_strength } else { self.strength };
        let any = random.below(CLASSES.len());
        Code(if random.uniform(0.0, 1.0) < strength { label as usize } else { any })
    }
}

/// Two classes made alike: each picture of either is mixed with the scene that would be there if it were of the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alike {
    /// The two classes, by name.
    pub classes: [String; 2],
    /// The other scene's share of each pixel, 0 to 0.5; at 0.5 nothing tells the classes apart.
    pub share: f64,
}

impl Alike {
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let ok = (0.0..=0.5).contains(&self.share);
        Unfit::unless(ok, "alike.share", format!("must be 0 to 0.5, not {}", self.share))?;
        let names = || CLASSES.iter().map(|class| class.name);
        if let Some(name) = self.classes.iter().find(|name| !names().any(|known| known == *name)) {
            let hint = nearest(name, names()).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
            return Err(Unfit::new("alike.classes", format!("names no class \"{name}\"{hint}")));
        }
        Unfit::unless(self.classes[0] != self.classes[1], "alike.classes", "must name two classes")
    }

    /// The class that a picture of `class` is mixed with.
    pub(super) fn other(&self, class: u32) -> Option<u32> {
        let [a, b] = self.classes.each_ref().map(|name| CLASSES.iter().position(|known| known.name == name));
        let other = if a == Some(class as usize) { b } else { a.filter(|_| b == Some(class as usize)) };
        other.map(|other| other as u32)
    }
}

/// The code color of a class: the eight hues, then a dark and a light gray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(usize);

impl Code {
    pub(super) fn hue(self) -> Hue {
        Hue::ALL[self.0.min(8)]
    }

    pub(super) fn name(self) -> &'static str {
        match self.0 {
            8 => "dark gray",
            9 => "light gray",
            _ => self.hue().name(),
        }
    }

    /// Whether the code is one of the grays, and then which: dark or light.
    pub(super) fn dark(self) -> Option<bool> {
        (self.0 >= 8).then_some(self.0 == 8)
    }

    pub(super) fn color(self) -> Rgb {
        match (self.hue().angle(), self.dark()) {
            (Some(angle), _) => rgb(0.7, 0.2, angle),
            (None, Some(true)) => [0.05; 3],
            (None, _) => [0.95; 3],
        }
    }
}

/// A frame around the picture that says nothing about the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    None,
    Black,
    White,
}

impl Frame {
    pub(super) fn draw(random: &mut Stream) -> Self {
        random.pick(&[Self::None, Self::Black, Self::White])
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Black => "black",
            Self::White => "white",
        }
    }

    pub(super) fn color(self) -> Option<Rgb> {
        match self {
            Self::None => None,
            Self::Black => Some([0.0; 3]),
            Self::White => Some([1.0; 3]),
        }
    }
}

/// With probability `share` another label, each of them alike.
pub(super) fn flip(class: u32, share: f64, random: &mut Stream) -> u32 {
    let count = CLASSES.len() as u32;
    let other = (class + 1 + random.below(CLASSES.len() - 1) as u32) % count;
    if random.uniform(0.0, 1.0) < share { other } else { class }
}

/// Refuses what is not a share.
pub(super) fn check_share(key: &str, value: f64) -> Result<(), Unfit> {
    Unfit::unless((0.0..=1.0).contains(&value), key, format!("must be a share between 0 and 1, not {value}"))
}
