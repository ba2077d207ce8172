//! Networks as data.
//!
//! A [`Graph`] is a list of uniquely named [`Node`]s `{ name, op, inputs }`, inputs before their
//! users; a [`Network`] is a graph with its [`Params`] beside it. Whatever must know the structure
//! walks the graph with an exhaustive `match` over [`Op`]: shapes and costs, receptive fields,
//! forward and backward sweeps. Nothing hooks, patches or traces, and a forward pass changes nothing:
//! batch statistics come back in the [`Tape`].
//!
//! Conventions: activations are `(N, C, H, W)` or `(N, F)`, in channels-last memory; shapes inside
//! the graph leave out `N`. Images enter normalized. Node names are torchvision's where it has the
//! network, else the reference implementation's.

pub use interp_finding as finding;
pub use interp_ops as ops;

mod backward;
mod channels;
mod checkpoint;
mod compact;
mod describe;
mod draw;
mod error;
pub mod export;
pub mod files;
mod fit;
mod forward;
mod graph;
mod head;
mod init;
mod layer;
mod layout;
mod multipliers;
pub mod names;
mod network;
mod op;
mod params;
mod pth;
mod receptive;
mod relevance;
pub mod sealed;
mod splice;
mod stored;
mod tape;
mod thresholds;
mod units;
pub mod zoo;

pub use backward::{Grads, Want};
pub use channels::Channels;
pub use checkpoint::{Checkpoint, Meta, Normalization};
pub use compact::{Compact, Cut};
pub use describe::{Row, aligned, describe, grouped, rows};
pub use draw::Draw;
pub use error::{NetError, Result};
pub use forward::{Keep, Mode};
pub use graph::{Graph, Node, NodeId};
pub use head::NewHead;
pub use network::Network;
pub use op::Op;
pub use params::{Param, Params, Role};
pub use receptive::{Field, Region};
pub use relevance::{Lost, Propagation, Relevance, RelevanceRule};
pub use stored::Unread;
pub use tape::Tape;
pub use units::SURE;
