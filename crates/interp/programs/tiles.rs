//! Pictures put together.

use interp_finding::Named;

use super::colors::{bytes, color_of};

/// Pixels between two pictures.
const GAP: usize = 2;
const WHITE: [f32; 3] = [1.0; 3];

/// A picture (H, W, C) of pixel values in [0, 1] as a page shows it.
pub(super) fn named(name: String, pixels: &[f32], [height, width, channels]: [usize; 3]) -> Named {
    Named { name, width, height, rgb: bytes(pixels.chunks_exact(channels.max(1)).map(color_of)) }
}

/// Pictures of one size below each other, with white between.
pub(super) fn stacked(name: String, pictures: &[&[f32]], [_, width, channels]: [usize; 3]) -> Named {
    let gap = vec![WHITE; GAP * width];
    let mut colors: Vec<[f32; 3]> = vec![];
    for (at, pixels) in pictures.iter().enumerate() {
        colors.extend(if at > 0 { &gap[..] } else { &[] });
        colors.extend(pixels.chunks_exact(channels.max(1)).map(color_of));
    }
    Named { name, width, height: colors.len() / width.max(1), rgb: bytes(colors) }
}

/// A picture as a tile of a mosaic: every `step`-th of its pixels, and so much of it, the rest white.
pub(crate) struct Tile<'a> {
    pub(crate) pixels: &'a [f32],
    pub(crate) share: f32,
}

/// Tiles in `columns` columns, each picture (H, W, C) thinned to a side of at most `side` pixels, with white between.
pub(crate) fn mosaic(
    tiles: &[Tile<'_>],
    columns: usize,
    [height, width, channels]: [usize; 3],
    side: usize,
) -> (usize, usize, Vec<u8>) {
    let step = height.max(width).div_ceil(side.max(1)).max(1);
    let (rows, across) = (height.div_ceil(step) + GAP, width.div_ceil(step) + GAP);
    let size = [tiles.len().div_ceil(columns.max(1)) * rows, columns * across];
    let mut colors = vec![WHITE; size[0] * size[1]];
    for (at, tile) in tiles.iter().enumerate() {
        let corner = [at / columns * rows, at % columns * across];
        for row in (0..height).step_by(step) {
            for column in (0..width).step_by(step) {
                let from = (row * width + column) * channels;
                let color = color_of(&tile.pixels[from..from + channels]);
                let to = (corner[0] + row / step) * size[1] + corner[1] + column / step;
                colors[to] = color.map(|value| 1.0 + tile.share * (value - 1.0));
            }
        }
    }
    (size[1], size[0], bytes(colors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_below_each_other() {
        let found = stacked("x".into(), &[&[0.0, 1.0], &[0.2, 0.4]], [1, 2, 1]);
        assert_eq!((found.width, found.height), (2, 4));
        let gray: Vec<u8> = found.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect();
        assert_eq!(gray, [0, 255, 255, 255, 255, 255, 51, 102]);
    }

    // Two tiles of 2x4 thinned to 1x2, black and half of black.
    #[test]
    fn tiles_are_thinned_and_faded() {
        let black = [0.0; 8];
        let tiles = [1.0, 0.5].map(|share| Tile { pixels: &black, share });
        let (width, height, rgb) = mosaic(&tiles, 2, [2, 4, 1], 2);
        assert_eq!((width, height), (8, 3));
        let gray: Vec<u8> = rgb.chunks_exact(3).map(|pixel| pixel[1]).collect();
        assert_eq!(gray[..8], [0, 0, 255, 255, 128, 128, 255, 255]);
        assert!(gray[8..].iter().all(|value| *value == 255));
    }
}
