//! The allocator of the programs: mimalloc 2. Version 3 takes a quarter to a half more memory for a step of training.
#![allow(unsafe_code)]

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// To be made a program's `#[global_allocator]`.
pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay` of mimalloc 2, which the crate does not name.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory ten times as long as is usual (a tenth of a second, large pieces a second) before the system gets it
/// back, unless `MIMALLOC_PURGE_DELAY` says how long: a step of training takes longer than a hundredth of a second, and would
/// find its memory gone, to be cleared again page by page; steps of ResNets are 5 to 8 % faster so.
pub fn keep_freed_memory() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: an option may be set at any time; one that there is not is left alone.
        unsafe { mi_option_set(PURGE_DELAY, 100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number is that of an option of 10 ms, as mimalloc's documentation has it, and it changes.
    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: options may be read at any time.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 10);
        keep_freed_memory();
        assert_eq!(delay(), 100);
    }
}
