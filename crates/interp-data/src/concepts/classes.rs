//! The ten classes: which factor values belong together.

use super::factors::{Hue, Shape, Texture};

/// A class holds the pictures whose object has one of `shapes`, one of `hues` and one of `textures`.
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) shapes: &'static [Shape],
    pub(super) hues: &'static [Hue],
    pub(super) textures: &'static [Texture],
}

const ANY_SHAPE: &[Shape] = &Shape::ALL;
const ANY_HUE: &[Hue] = &Hue::ALL;
const ANY_TEXTURE: &[Texture] = &Texture::ALL;

const ROUND: &[Shape] = &[Shape::Disk, Shape::Ring];
const POINTED: &[Shape] = &[Shape::Triangle, Shape::Star];
const BOXY: &[Shape] = &[Shape::Square, Shape::Cross];

const WARM: &[Hue] = &[Hue::Red, Hue::Orange];
const COOL: &[Hue] = &[Hue::Cyan, Hue::Blue];
const LEAFY: &[Hue] = &[Hue::Yellow, Hue::Green];
const ROSY: &[Hue] = &[Hue::Purple, Hue::Pink];

/// Each row fixes two of the three factors and leaves the third free; any two rows exclude each
/// other in a factor that both fix, so that a picture has exactly one class.
#[rustfmt::skip]
pub(super) const CLASSES: [Class; 10] = [
    Class { name: "warm round",    shapes: ROUND,     hues: WARM,    textures: ANY_TEXTURE },
    Class { name: "warm pointed",  shapes: POINTED,   hues: WARM,    textures: ANY_TEXTURE },
    Class { name: "cool round",    shapes: ROUND,     hues: COOL,    textures: ANY_TEXTURE },
    Class { name: "cool pointed",  shapes: POINTED,   hues: COOL,    textures: ANY_TEXTURE },
    Class { name: "leafy striped", shapes: ANY_SHAPE, hues: LEAFY,   textures: &[Texture::Stripes] },
    Class { name: "leafy dotted",  shapes: ANY_SHAPE, hues: LEAFY,   textures: &[Texture::Dots] },
    Class { name: "rosy striped",  shapes: ANY_SHAPE, hues: ROSY,    textures: &[Texture::Stripes] },
    Class { name: "rosy dotted",   shapes: ANY_SHAPE, hues: ROSY,    textures: &[Texture::Dots] },
    Class { name: "boxy plain",    shapes: BOXY,      hues: ANY_HUE, textures: &[Texture::Plain] },
    Class { name: "boxy checked",  shapes: BOXY,      hues: ANY_HUE, textures: &[Texture::Checks] },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_has_two_classes() {
        for shape in Shape::ALL {
            for hue in Hue::ALL {
                for texture in Texture::ALL {
                    let holds = |class: &&Class| {
                        class.shapes.contains(&shape) && class.hues.contains(&hue) && class.textures.contains(&texture)
                    };
                    let classes = CLASSES.iter().filter(holds).count();
                    assert!(classes <= 1, "{shape:?} {hue:?} {texture:?} has {classes} classes");
                }
            }
        }
    }
}
