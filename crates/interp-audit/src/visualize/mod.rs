//! Pictures made by a network: what neurons answer to most ([`maximize`]), and what a layer still knows of a picture ([`invert`]).
//!
//! Pictures are found by steps of Adam on their spectra, with frequencies evened out and colors decorrelated, and pass a sigmoid, so that they stay
//! in [0, 1]; gray pictures are as good as colored ones, and everything that is measured in pixels goes by the pictures' size. All that lies between
//! the spectrum and the network's picture is linear or a function of single numbers, with its gradient beside it; the rest of the way back is
//! [`Network::backward`](interp_net::Network::backward).

mod adam;
mod canvas;
mod fourier;
mod goal;
mod invert;
mod likeness;
mod maximize;
mod passes;
mod views;

pub use canvas::{Frame, Range};
pub use goal::Goal;
pub use invert::{Inversion, Inverted, invert};
pub use maximize::{Maximization, Maximized, Steps, Variants, maximize};

#[cfg(test)]
mod tests;
