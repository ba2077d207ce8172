//! Weights divided by their largest singular value.

use candle_core::{DType, Tensor};
use interp_net::finding::random::stream;
use interp_net::{Network, Op, Params, Role};
use rand::Rng;
use rand_distr::StandardNormal;

use crate::{LearnError, Result};

/// Below this a vector is taken for zero.
const LEAST: f64 = 1e-12;

/// Spectral normalization (Miyato, Kataoka, Koyama and Yoshida 2018, arXiv 1802.05957) of one convolution: its weight as a matrix (out, in
/// kh kw) is divided by its largest singular value, which one step of the power iteration follows each time that the weight is used
/// (algorithm 1).
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralNorm {
    /// The weight, by its place among the parameters.
    position: usize,
    /// The left singular vector that was found so far.
    left: Vec<f64>,
    /// The right one.
    right: Vec<f64>,
    /// The singular value.
    largest: f64,
}

impl SpectralNorm {
    /// For each convolution of a network, from random vectors.
    ///
    /// # Errors
    /// Where a weight cannot be read.
    pub fn of(network: &Network, seed: u64) -> Result<Vec<Self>> {
        let is_conv = |op: &Op| matches!(op, Op::Conv2d { .. });
        let list = network.params.list().iter().enumerate();
        let weights =
            list.filter(|(_, param)| param.role == Role::Weight && is_conv(&network.graph.nodes()[param.node].op));
        let norm = |(position, param): (usize, &interp_net::Param)| {
            let mut stream = stream(seed, &format!("spectral/{}", param.name), 0, 0);
            let left = (0..param.value.dim(0)?).map(|_| stream.sample(StandardNormal)).collect();
            Ok(Self { position, left, right: vec![], largest: 1.0 })
        };
        weights.map(norm).collect()
    }

    /// The weight's place among the parameters.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The left singular vector, from which all else follows.
    pub(super) fn left(&self) -> &[f64] {
        &self.left
    }

    /// Goes on from the vector that was saved.
    pub(super) fn set_left(&mut self, left: Vec<f64>) -> Result<()> {
        if left.len() != self.left.len() {
            let problem = format!("a singular vector of {} numbers, not {}", left.len(), self.left.len());
            return Err(LearnError::State(problem));
        }
        self.left = left;
        Ok(())
    }

    /// One step of the power iteration for the weight as it is in `params`, and the weight divided.
    ///
    /// # Errors
    /// Where the weight cannot be read.
    pub fn divided(&mut self, params: &Params) -> Result<Tensor> {
        let weight = &params.list()[self.position].value;
        let rows = weight.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2::<f64>()?;
        self.right =
            unit((0..rows.first().map_or(0, Vec::len)).map(|column| column_of(&rows, column, &self.left)).collect());
        let product: Vec<f64> = rows.iter().map(|row| dot(row, &self.right)).collect();
        self.largest = dot(&product, &product).sqrt().max(LEAST);
        self.left = unit(product);
        Ok((weight / self.largest)?)
    }

    /// The gradient with respect to the weight, of that with respect to the divided one: of `W' = W / s` with `s = u^T W v`,
    /// `(G - <G, W'> u v^T) / s` (there equation 12). It is exact where u and v are the singular vectors, of which the derivative does not
    /// count (s is stationary in them); until the iteration has found them it is that of u and v as they are.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn chained(&self, grad: &Tensor, divided: &Tensor) -> Result<Tensor> {
        let along = (grad * divided)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
        let outer: Vec<f64> = self.left.iter().flat_map(|u| self.right.iter().map(move |v| along * u * v)).collect();
        let outer = Tensor::from_vec(outer, grad.shape(), grad.device())?.to_dtype(grad.dtype())?;
        Ok(((grad - outer)? / self.largest)?)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn column_of(rows: &[Vec<f64>], column: usize, by: &[f64]) -> f64 {
    rows.iter().zip(by).map(|(row, by)| row[column] * by).sum()
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = dot(&vector, &vector).sqrt().max(LEAST);
    vector.into_iter().map(|value| value / length).collect()
}
