//! Generative adversarial networks whose codes can be told from pictures (InfoGAN, Chen et al. 2016, arXiv 1606.03657).
//!
//! A generator G makes pictures of codes c and noise z; a recognizer says of a picture how real it is, D, a logit, and by what
//! distribution Q its code was drawn. With the logistic losses (Goodfellow et al. 2014, arXiv 1406.2661, the one that does not saturate),
//! `softplus(x) = ln(1 + e^x)`:
//!
//! ```text
//! recognizer  E softplus(-D(x)) + E softplus(D(G(c, z))) - weight L_I
//! generator   E softplus(-D(G(c, z))) - weight L_I
//! ```
//!
//! `L_I = E log Q(c | G(c, z)) + H(c)`, in nats, is at most the mutual information of code and picture (there equations 4 and 5). The recognizer's
//! convolutions are divided by their largest singular values ([`SpectralNorm`]); pictures of the data and those that were made pass through it
//! in batches of their own.
//!
//! Which factor a code comes to stand for is left to chance where nothing says it (Locatello et al. 2019, arXiv 1811.12359). A [`Guide`] says it: of pictures x of
//! the data whose code c is known the recognizer also loses `-weight log Q(c | x)` (Spurr, Aksan and Hilliges 2017, arXiv 1707.04487).

mod code;
mod guide;
mod information;
mod logistic;
mod play;
mod player;
mod snapshot;
mod spectral;
mod step;
#[cfg(test)]
mod tests;

pub use code::{Code, vectors};
pub use guide::Guide;
pub use information::{Information, information};
pub use play::{Game, Played, Turn, play};
pub use player::Player;
pub use snapshot::GanSnapshot;
pub use spectral::SpectralNorm;
pub use step::{Gan, Losses, pictures};
