//! A data set for a network that was trained with another normalization.

use std::sync::Arc;

use crate::{Dataset, Info, Result, Split, Truth};

/// The same pictures, with mean and deviation (per channel) of a network's own.
pub fn renormalized(data: Arc<dyn Dataset>, mean: &[f32], std: &[f32]) -> Arc<dyn Dataset> {
    let info = Info { mean: mean.to_vec(), std: std.to_vec(), ..data.info().clone() };
    Arc::new(Renormalized { data, info })
}

struct Renormalized {
    data: Arc<dyn Dataset>,
    info: Info,
}

impl Dataset for Renormalized {
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
        self.data.image(split, index, out)
    }

    fn truth(&self, split: Split, index: usize) -> Result<Option<Truth>> {
        self.data.truth(split, index)
    }

    fn group(&self, split: Split, index: usize) -> Option<&str> {
        self.data.group(split, index)
    }
}
