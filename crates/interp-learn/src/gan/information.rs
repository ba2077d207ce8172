//! The variational bound on the mutual information of codes and pictures.

use std::f64::consts::{LN_2, PI};

use interp_net::ops::scalars::log_softmax;
use interp_net::zoo::Latent;

use super::Code;

/// What a recognizer knows of one code.
#[derive(Clone, Debug, PartialEq)]
pub struct Information {
    /// Of each code, in nats: `log Q(c | x) + H(c)`, whose mean is at most the mutual information of code and picture. It may be below 0.
    pub by_code: Vec<f64>,
    /// Of their sum, with respect to what the recognizer tells.
    pub grad: Vec<f64>,
}

/// What `told`, the numbers that a recognizer tells of a picture, knows of the code that it was made of.
///
/// Q is the softmax of a categorical code's logits, and for a continuous code, uniform in [-1, 1], a normal distribution around the number told with
/// the standard deviation `deviation`: `log Q + H = -ln(deviation) - ln(2 pi) / 2 - (c - told)^2 / (2 deviation^2) + ln 2`.
pub fn information(latent: &Latent, deviation: f64, code: &Code, told: &[f64]) -> Information {
    let mut found = Information { by_code: vec![], grad: Vec::with_capacity(told.len()) };
    let mut rest = told;
    for (&count, &category) in latent.categorical.iter().zip(&code.categories) {
        let (logits, after) = rest.split_at(count.min(rest.len()));
        rest = after;
        let log_q = log_softmax(logits.iter().copied(), 1.0);
        found.by_code.push(log_q.get(category).copied().unwrap_or(f64::NEG_INFINITY) + (count as f64).ln());
        let is_it = |at: usize| f64::from(u8::from(at == category));
        found.grad.extend(log_q.iter().enumerate().map(|(at, log_q)| is_it(at) - log_q.exp()));
    }
    let highest = LN_2 - deviation.ln() - (2.0 * PI).ln() / 2.0;
    for (&number, &told) in code.numbers.iter().zip(rest) {
        let off = (f64::from(number) - told) / deviation;
        found.by_code.push(highest - off * off / 2.0);
        found.grad.push(off / deviation);
    }
    found
}
