//! What neurons are called, in words.

use interp_audit::color::hue_name;
use interp_audit::neurons::Character;
use interp_data::Info;

use super::cut::class;

/// A name for each character.
pub(super) fn of(characters: &[Character], info: &Info) -> Vec<String> {
    characters.iter().map(|character| name(character, info)).collect()
}

fn name(character: &Character, info: &Info) -> String {
    match character {
        Character::Dead => "dead".into(),
        Character::Class { label, .. } => class(info, *label).to_owned(),
        Character::Hues(hues) => hues.iter().map(|hue| hue_name(*hue)).collect::<Vec<_>>().join("–"),
        Character::Edge { degrees } => format!("edge at {degrees:.0}°"),
        Character::Bright => "bright".into(),
        Character::Dark => "dark".into(),
    }
}
