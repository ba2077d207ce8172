//! Gradients of an output at the picture.

use interp_net::finding::{Entry, build};

use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::Result;

/// The gradient (Simonyan et al. 2014, arXiv 1312.6034).
struct Gradient;

/// The gradient times the picture: of networks of linear maps, ReLUs and maxima without biases, what each number contributes (Shrikumar et al.
/// 2016, arXiv 1605.01713).
struct GradientTimesInput;

/// Guided backpropagation (Springenberg et al. 2015, arXiv 1412.6806). It shows edges, whatever the network has learned: it fails the test by
/// random weights (Adebayo et al. 2018, arXiv 1810.03292), and is there as a control.
struct Guided;

pub(super) const GRADIENT: Entry<dyn Method> = Entry {
    name: "gradient",
    summary: "what the output is sensitive to: its gradient at the picture",
    example: "kind = \"gradient\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Gradient)),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const GRADIENT_TIMES_INPUT: Entry<dyn Method> = Entry {
    name: "gradient_x_input",
    summary: "the gradient times the picture",
    example: "kind = \"gradient_x_input\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(GradientTimesInput)),
    schema: || schemars::schema_for!(NoSettings),
};

pub(super) const GUIDED: Entry<dyn Method> = Entry {
    name: "guided_backpropagation",
    summary: "the gradient without what is negative; fails the test by random weights, a control",
    example: "kind = \"guided_backpropagation\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Guided)),
    schema: || schemars::schema_for!(NoSettings),
};

impl Method for Gradient {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let values = question.in_parts(1, |_, x, targets| question.gradient(x, targets))?;
        Ok(Attribution::of(values, Channels::Largest))
    }
}

impl Method for GradientTimesInput {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let values = question.in_parts(1, |_, x, targets| Ok((question.gradient(x, targets)? * x)?))?;
        Ok(Attribution::of(values, Channels::Sum))
    }
}

impl Method for Guided {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let net = question.net;
        let values = question.in_parts(1, |_, x, targets| {
            let tape = question.gradients_tape(x, &[])?;
            Ok(net.guided_gradient(&tape, &[(net.graph.output(), question.one_hot(targets)?)], 0)?)
        })?;
        Ok(Attribution::of(values, Channels::Largest))
    }
}
