//! Pictures with a black border, for networks that need larger ones.

use std::path::Path;
use std::sync::Arc;

use interp_finding::Unfit;

use crate::{Dataset, Info, Result, Split, Truth};

/// More than any network here can use.
const WIDEST: usize = 512;

/// The same pictures with `pad` black pixels on each side. Of the truth about pictures factors are carried over, masks are not.
///
/// # Errors
/// A border of more than 512 pixels.
pub(crate) fn padded(data: Arc<dyn Dataset>, pad: usize) -> Result<Arc<dyn Dataset>> {
    Unfit::unless(pad <= WIDEST, "pad", format!("must be at most {WIDEST} pixels, not {pad}"))?;
    if pad == 0 {
        return Ok(data);
    }
    let inner = data.info();
    let info = Info { height: inner.height + 2 * pad, width: inner.width + 2 * pad, ..inner.clone() };
    Ok(Arc::new(Padded { data, pad, info }))
}

/// Writes a picture whose rows have `row` values into the middle of `out`, which is black around it.
pub(crate) fn place(picture: &[f32], row: usize, pad: usize, channels: usize, out: &mut [f32]) {
    out.fill(0.0);
    let side = pad * channels;
    let rows = out.chunks_exact_mut(row + 2 * side).skip(pad);
    rows.zip(picture.chunks_exact(row)).for_each(|(out, from)| out[side..side + row].copy_from_slice(from));
}

struct Padded {
    data: Arc<dyn Dataset>,
    pad: usize,
    info: Info,
}

impl Dataset for Padded {
    fn info(&self) -> &Info {
        &self.info
    }

    fn len(&self, split: Split) -> usize {
        self.data.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.data.label(split, index)
    }

    fn image(&self, split: Split, index: usize, out: &mut [f32]) -> Result<()> {
        let inner = self.data.info();
        let mut picture = vec![0.0; inner.pixels()];
        self.data.image(split, index, &mut picture)?;
        place(&picture, inner.width * inner.channels, self.pad, inner.channels, out);
        Ok(())
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        let bare = |truth: Truth| Truth { object: None, concepts: vec![], ..truth };
        Ok(self.data.truth(split, index)?.map(bare))
    }

    fn file(&self, split: Split, index: usize) -> Option<&Path> {
        self.data.file(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.data.group(split, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{InMemory, Part};

    #[test]
    fn the_border_is_black_and_the_middle_is_the_picture() {
        let info = Info {
            name: "test".into(),
            classes: vec!["a".into()],
            channels: 2,
            height: 1,
            width: 2,
            mean: vec![0.0; 2],
            std: vec![1.0; 2],
        };
        let part = Part::eight(vec![255, 51, 102, 0], vec![0]);
        let data = InMemory::new(info, "test", part, Part::empty(), Part::empty()).unwrap();
        let data = padded(Arc::new(data), 1).unwrap();
        assert_eq!((data.info().height, data.info().width), (3, 4));
        let mut out = vec![9.0; data.info().pixels()];
        data.image(Split::Train, 0, &mut out).unwrap();
        let mut expected = vec![0.0; 24];
        expected[10..14].copy_from_slice(&[1.0, 0.2, 0.4, 0.0]);
        assert_eq!(out, expected);
    }
}
