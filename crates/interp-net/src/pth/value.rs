//! What can stand in a pickle of a state dict.

use super::tensor::{NumberType, Storage, View};
use super::{Result, Unread};
use crate::stored::short;

/// Where a value lies among those of its pickle. Values refer to each other by it, so that what is shared is there once, what
/// contains itself does no harm, and nothing is dropped deeper than one level.
pub(super) type Id = usize;

#[derive(Debug)]
pub(super) enum Value<'a> {
    /// What says nothing of tensors: `None`, a truth value, a fraction, an integer of more than 64 bits.
    Plain,
    Integer(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<View<'a>>),
}

/// The classes and functions of Python that state dicts are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// `_rebuild_tensor`, and `_rebuild_tensor_v2`, which is told of gradients and hooks too.
    RebuildTensor,
    RebuildParameter,
    StorageOf(NumberType),
}

impl Global {
    /// # Errors
    /// If it is none of them, with its name.
    pub(super) fn named(module: &str, name: &str) -> Result<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Ok(Self::RebuildParameter),
            ("torch", storage) if storage.ends_with("Storage") => NumberType::of_storage(storage).map(Self::StorageOf),
            _ => Err(Unread::Code(format!("{}.{}", short(module), short(name)))),
        }
    }
}
