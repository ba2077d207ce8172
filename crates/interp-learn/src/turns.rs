//! Data for tests: pictures that show concepts or do not, in turns.

use std::sync::Arc;

use interp_data::{Annotations, Dataset, Factor, Info, Split};

/// Of so many pictures every second shows `a`, and every third `b`.
struct Turns(Info);

pub(crate) const PICTURES: usize = 60;

impl Dataset for Turns {
    fn info(&self) -> &Info {
        &self.0
    }

    fn len(&self, _: Split) -> usize {
        PICTURES
    }

    fn label(&self, _: Split, _: usize) -> u32 {
        0
    }

    fn image(&self, _: Split, _: usize, _: &mut [f32]) -> interp_data::Result<()> {
        Ok(())
    }

    fn factors(&self, _: Split, index: usize) -> interp_data::Result<Vec<(&'static str, Factor)>> {
        let name = |is: bool| Factor::Name(if is { "yes" } else { "no" }.into());
        Ok(vec![("a", name(index.is_multiple_of(2))), ("b", name(index.is_multiple_of(3)))])
    }
}

/// Which pictures show `a/yes` and `b/yes`.
pub(crate) fn known() -> Arc<Annotations> {
    let (mean, std, classes) = (vec![0.0], vec![1.0], vec!["one".into()]);
    let data = Turns(Info { name: "turns".into(), classes, channels: 1, height: 1, width: 1, mean, std });
    Arc::new(Annotations::of(&data, Split::Train, &["a/yes".into(), "b/yes".into()]).unwrap())
}
