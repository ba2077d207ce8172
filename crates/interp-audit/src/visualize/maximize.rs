//! Activation maximization: pictures that a neuron answers to most.

use interp_net::{Network, NodeId};
use rayon::prelude::*;

use super::adam::Adam;
use super::canvas::{Canvas, Drawn, Frame, Range};
use super::goal::Goal;
use super::likeness::likeness;
use super::passes::{Passed, shape};
use super::views::View;
use crate::Result;
use crate::saliency::last_map;

/// How pictures are found by steps of Adam on their spectra.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Steps.
    pub count: usize,
    /// The rate of the first one, which falls to 0 as half a cosine.
    pub rate: f64,
    /// Of noise to start from, and of views.
    pub seed: u64,
}

impl Default for Steps {
    fn default() -> Self {
        Self { count: 256, rate: 0.1, seed: 0 }
    }
}

/// Frequencies are divided by themselves to this power.
pub(super) const DECAY: f64 = 1.0;

/// How neurons are maximized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maximization {
    /// The search.
    pub steps: Steps,
    /// Where pixels may lie.
    pub range: Range,
    /// Whether the network sees the picture turned, scaled and shifted a little in every step, otherwise each time. Without it pictures may be of patterns that
    /// a network answers to nowhere else.
    pub moved: bool,
    /// Pictures of each goal, kept apart from each other.
    pub variants: usize,
    /// What likeness of the variants costs, in parts of what they reach: `a - apart |a| likeness` is maximized, with `|a|` held.
    pub apart: f64,
}

impl Default for Maximization {
    fn default() -> Self {
        Self { steps: Steps::default(), range: Range::Box, moved: true, variants: 1, apart: 1.0 }
    }
}

/// A picture that a neuron answers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Maximized {
    /// Pixel values, (H, W, C).
    pub pixels: Vec<f32>,
    /// What is reached of the goal, by the picture as it is.
    pub reached: f64,
    /// The largest over the cells of the map.
    pub peak: f64,
}

/// Pictures of a goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants {
    /// The pictures.
    pub pictures: Vec<Maximized>,
    /// How alike they are to the layer: the mean cosine between Gram matrices of its activations; 0 of one picture. Of nodes without maps the layer is the last
    /// one before with maps.
    pub likeness: f64,
}

/// Pictures that make goals at a node as large as can be, by steps of Adam on their spectra ([`Steps`]), of `at_once` pictures at a time or as many as one
/// goal has. `progress` is told how many goals are done. What is found of a goal depends on no other, and not on the number of threads.
///
/// # Errors
/// If the node does not depend on the picture, an activation is no finite number, or an operation fails.
pub fn maximize(
    net: &Network,
    frame: Frame<'_>,
    node: NodeId,
    goals: &[Goal],
    how: &Maximization,
    at_once: usize,
    progress: &dyn Fn(usize),
) -> Result<Vec<Variants>> {
    let variants = how.variants.max(1);
    let mut found = Vec::with_capacity(goals.len());
    for goals in goals.chunks((at_once / variants).max(1)) {
        found.extend(Search::new(net, frame, node, goals, how).run()?);
        progress(found.len());
    }
    Ok(found)
}

/// A picture on its way.
pub(super) struct Sketch {
    pub(super) spectrum: Vec<f64>,
    pub(super) adam: Adam,
}

impl Sketch {
    pub(super) fn new(canvas: &Canvas, seed: u64, index: usize) -> Self {
        let spectrum = canvas.start(seed, index);
        Self { adam: Adam::new(spectrum.len()), spectrum }
    }
}

/// A search for the pictures of some goals together.
struct Search<'a> {
    net: &'a Network,
    node: NodeId,
    /// The layer by which variants are told apart.
    texture: NodeId,
    goals: &'a [Goal],
    how: &'a Maximization,
    canvas: Canvas,
    /// Goal by goal, the variants of each.
    sketches: Vec<Sketch>,
}

impl<'a> Search<'a> {
    fn new(net: &'a Network, frame: Frame<'_>, node: NodeId, goals: &'a [Goal], how: &'a Maximization) -> Self {
        let canvas = Canvas::new(frame, how.range, DECAY);
        let sketch = |at: usize| Sketch::new(&canvas, how.steps.seed, at % how.variants.max(1));
        let sketches = (0..goals.len() * how.variants.max(1)).map(sketch).collect();
        let last = last_map(&net.graph);
        let texture = if net.graph.shape(node).len() == 3 || last > node { node } else { last };
        Self { net, node, texture, goals, how, canvas, sketches }
    }

    fn run(mut self) -> Result<Vec<Variants>> {
        for step in 0..self.how.steps.count {
            self.step(step)?;
        }
        self.finish()
    }

    fn step(&mut self, step: usize) -> Result<()> {
        let (canvas, how) = (&self.canvas, self.how);
        let drawn: Vec<Drawn> = self.sketches.par_iter().map(|sketch| canvas.draw(&sketch.spectrum)).collect();
        let shape = canvas.shape();
        let view = |at: usize| {
            let variant = at % how.variants.max(1);
            how.moved.then(|| View::drawn(how.steps.seed, step, variant, [shape[1], shape[2]]))
        };
        let look = |(at, drawn): (usize, &Drawn)| match view(at) {
            Some(view) => canvas.seen(&view.of(&drawn.pixels, shape)),
            None => canvas.seen(&drawn.pixels),
        };
        let seen: Vec<Vec<f64>> = drawn.par_iter().enumerate().map(look).collect();
        let passed = Passed::through(self.net, &seen, &self.nodes())?;
        let gradients = passed.back(self.ascent(&passed)?)?;
        let moved = self.sketches.par_iter_mut().zip(drawn.par_iter().zip(gradients)).enumerate();
        moved.for_each(|(at, (sketch, (drawn, gradient)))| {
            let mut pixels = canvas.seen_gradient(&gradient);
            if let Some(view) = view(at) {
                pixels = view.gradient(&pixels, shape);
            }
            let up = canvas.gradient(drawn, &pixels);
            let down: Vec<f64> = up.iter().map(|g| -g).collect();
            sketch.adam.step(&mut sketch.spectrum, &down, how.steps.rate, how.steps.count);
        });
        Ok(())
    }

    /// The nodes whose activations are looked at.
    fn nodes(&self) -> Vec<NodeId> {
        if self.how.variants > 1 && self.texture != self.node { vec![self.node, self.texture] } else { vec![self.node] }
    }

    fn goal(&self, picture: usize) -> &Goal {
        &self.goals[picture / self.how.variants.max(1)]
    }

    /// The gradients of what is maximized, at nodes.
    fn ascent(&self, passed: &Passed<'_>) -> Result<Vec<(NodeId, Vec<Vec<f64>>)>> {
        let of = shape(self.net, self.node);
        let values = passed.at(self.node)?;
        let reached: Vec<(f64, Vec<f64>)> =
            values.par_iter().enumerate().map(|(at, values)| self.goal(at).value(values, of)).collect();
        if self.how.variants < 2 {
            return Ok(vec![(self.node, reached.into_iter().map(|(_, gradient)| gradient).collect())]);
        }
        let apart: Vec<Vec<f64>> = self
            .likenesses(passed)?
            .into_iter()
            .zip(reached.chunks_exact(self.how.variants))
            .flat_map(|((_, gradients), reached)| {
                let whole: f64 = reached.iter().map(|(value, _)| value).sum::<f64>().abs();
                gradients.into_iter().map(move |row| row.into_iter().map(|g| -self.how.apart * whole * g).collect())
            })
            .collect();
        let own = reached.into_iter().map(|(_, gradient)| gradient).collect();
        Ok(vec![(self.node, own), (self.texture, apart)])
    }

    /// How alike the variants of each goal are, with the gradients at their activations.
    fn likenesses(&self, passed: &Passed<'_>) -> Result<Vec<(f64, Vec<Vec<f64>>)>> {
        let textures = passed.at(self.texture)?;
        let channels = shape(self.net, self.texture)[0];
        let of = |variants: &[Vec<f64>]| likeness(&variants.iter().map(Vec::as_slice).collect::<Vec<_>>(), channels);
        Ok(textures.par_chunks_exact(self.how.variants.max(1)).map(of).collect())
    }

    /// The pictures with what they reach, seen as they are.
    fn finish(self) -> Result<Vec<Variants>> {
        let pixels: Vec<Vec<f64>> =
            self.sketches.par_iter().map(|sketch| self.canvas.draw(&sketch.spectrum).pixels).collect();
        let seen: Vec<Vec<f64>> = pixels.iter().map(|pixels| self.canvas.seen(pixels)).collect();
        let passed = Passed::through(self.net, &seen, &self.nodes())?;
        let of = shape(self.net, self.node);
        let picture = |(at, (pixels, values)): (usize, (&Vec<f64>, Vec<f64>))| Maximized {
            pixels: self.canvas.finished(pixels),
            reached: self.goal(at).value(&values, of).0,
            peak: self.goal(at).peak(&values, of),
        };
        let pictures: Vec<Maximized> = pixels.iter().zip(passed.at(self.node)?).enumerate().map(picture).collect();
        let likeness: Vec<f64> = match self.how.variants {
            0 | 1 => vec![0.0; pictures.len()],
            _ => self.likenesses(&passed)?.into_iter().map(|(likeness, _)| likeness).collect(),
        };
        let variants = pictures.chunks_exact(self.how.variants.max(1)).map(<[Maximized]>::to_vec);
        Ok(variants.zip(likeness).map(|(pictures, likeness)| Variants { pictures, likeness }).collect())
    }
}
