//! Building blocks: what of a layer speaks for an output, by channel, by place and by groups of channels that go together (Olah et al. 2018, "The
//! building blocks of interpretability").

mod attribution;
mod factors;

pub use attribution::{Evidence, Target, evidence};
pub use factors::{Factors, Group, ITERATIONS, factors};
