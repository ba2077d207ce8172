//! File formats of pictures, one file each.

pub(crate) mod cifar;
pub(crate) mod idx;
mod jpeg;
pub(crate) mod parquet;
pub(crate) mod picture;
