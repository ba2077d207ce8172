//! Prototypes: how much every position of a map is like each of some stored vectors.

use crate::memory::{expect_shape, rounded, unsupported_dtype, wrong_shape};
use crate::{Result, Wanted, linear, linear_backward};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

/// What being alike is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Likeness {
    /// `ln((d^2 + 1) / (d^2 + 1e-4))` of the Euclidean distance d: 9.21 where there is none, and towards 0 far away (Chen et al. 2019, arXiv 1806.10574,
    /// section 2.1).
    #[default]
    L2,
    /// `max(c, 0) / 1.01` of the cosine c of the angle between the two: up to 0.99, and 0 from a right angle on.
    Cosine,
}

/// What keeps the likeness of two equal vectors finite.
const NEAR: f64 = 1e-4;

/// What cosines are divided by.
const SCALE: f64 = 1.01;

/// The length below which a vector counts as one of this length: one of zeros is at no angle to any.
const SHORTEST: f64 = 1e-8;

/// `max(x, 0)`; what is not a number stays so.
fn not_below_zero(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

impl Likeness {
    /// What is measured of a squared distance, or of a cosine.
    fn of(self, measured: f64) -> f64 {
        match self {
            Self::L2 => ((measured + 1.0) / (measured + NEAR)).ln(),
            Self::Cosine => not_below_zero(measured) / SCALE,
        }
    }

    /// The derivative of the likeness by what is measured.
    pub fn slope(self, measured: f64) -> f64 {
        match self {
            Self::L2 => 1.0 / (measured + 1.0) - 1.0 / (measured + NEAR),
            Self::Cosine if measured > 0.0 => 1.0 / SCALE,
            Self::Cosine => 0.0,
        }
    }

    /// The squared distance that has this likeness: the inverse of `ln((d^2 + 1) / (d^2 + 1e-4))`, 0 or more. Of cosines the cosine.
    pub fn measured(self, likeness: f64) -> f64 {
        match self {
            // s = ln((d + 1) / (d + e)), so that d = (1 - e exp(s)) / (exp(s) - 1).
            Self::L2 => ((1.0 - NEAR * likeness.exp()) / likeness.exp_m1().max(f64::MIN_POSITIVE)).max(0.0),
            Self::Cosine => likeness * SCALE,
        }
    }
}

/// The gradients of [`prototypes`]; `None` where not [`Wanted`].
#[derive(Debug, Clone)]
pub struct PrototypeGrads {
    /// The gradient with respect to the input, of its shape.
    pub input: Option<Tensor>,
    /// The gradient with respect to the prototypes, of their shape.
    pub weight: Option<Tensor>,
}

/// How much the vector at each position of `x` (N, D, H, W) is like each of the prototypes `weight` (P, D): maps (N, P, H, W). Distances are
/// `d^2 = max(|z|^2 - 2 z p + |p|^2, 0)`, in `f64`, so that equal vectors are at 0. It is computed on the CPU, wherever the tensors lie.
///
/// # Errors
/// [`OpError::Shape`](crate::OpError::Shape) where the shapes do not fit,
/// [`OpError::Unsupported`](crate::OpError::Unsupported) for another type.
pub fn prototypes(x: &Tensor, weight: &Tensor, likeness: Likeness) -> Result<Tensor> {
    const OP: &str = "prototypes";
    let compared = Compared::new(OP, x, weight, likeness)?;
    let values: Vec<f64> = compared.measured.iter().map(|&measured| likeness.of(measured)).collect();
    let [n, _, height, width] = compared.shape;
    back(rounded::<f64>(&values, &[n, compared.count, height, width])?, x)
}

/// The gradients of [`prototypes`] with respect to the input and the prototypes. With `c = grad slope`, at each position z for each prototype p: of
/// distances `2 c (z - p)` for the input and its negative for the prototype; of cosines `c (p' - cos z') / |z|` and `c (z' - cos p') / |p|`, with z' and p' of
/// length 1.
///
/// # Errors
/// As [`prototypes`], and where the shape of `grad` is not that of its result.
pub fn prototypes_backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    likeness: Likeness,
    wanted: Wanted,
) -> Result<PrototypeGrads> {
    const OP: &str = "prototypes_backward";
    let compared = Compared::new(OP, x, weight, likeness)?;
    let [n, channels, height, width] = compared.shape;
    expect_shape(OP, "grad", grad, &[n, compared.count, height, width])?;
    let grads = rows_of(grad)?.flatten_all()?.to_vec1::<f64>()?;
    let along: Vec<f64> = grads.iter().zip(&compared.measured).map(|(g, &m)| g * likeness.slope(m)).collect();
    let along_rows = Tensor::from_slice(&along, (n * height * width, compared.count), &Device::Cpu)?;
    let products = Wanted { bias: false, ..wanted };
    let products = linear_backward(&compared.rows.tensor()?, &compared.prototypes.tensor()?, &along_rows, products)?;
    let sums = Sums::of(&along, &compared.measured, compared.count);
    let input = products.input.map(|other| compared.rows.turned(&other, &sums.by_row, likeness)).transpose()?;
    let of_weight =
        products.weight.map(|other| compared.prototypes.turned(&other, &sums.by_prototype, likeness)).transpose()?;
    let input = input.map(|values| back(rounded::<f64>(&values, &[n, channels, height, width])?, x));
    let of_weight = of_weight.map(|values| back(Tensor::from_vec(values, weight.dims(), &Device::Cpu)?, weight));
    Ok(PrototypeGrads { input: input.transpose()?, weight: of_weight.transpose()? })
}

/// To the type and the device of another tensor.
fn back(values: Tensor, like: &Tensor) -> Result<Tensor> {
    Ok(values.to_dtype(like.dtype())?.to_device(like.device())?)
}

/// Maps (N, C, H, W) as rows (N H W, C), in f64 on the CPU.
fn rows_of(maps: &Tensor) -> Result<Tensor> {
    let channels = maps.dim(1)?;
    let rows = maps.detach().to_device(&Device::Cpu)?.permute((0, 2, 3, 1))?.to_dtype(DType::F64)?.contiguous()?;
    Ok(rows.reshape((rows.elem_count() / channels.max(1), channels))?)
}

/// Vectors, one after the other, and how long they are.
struct Vectors {
    /// Of cosines of length 1.
    values: Vec<f64>,
    lengths: Vec<f64>,
    width: usize,
}

impl Vectors {
    fn of(matrix: &Tensor, likeness: Likeness) -> Result<Self> {
        let (_, width) = matrix.dims2()?;
        let mut values = matrix.flatten_all()?.to_vec1::<f64>()?;
        let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let lengths: Vec<f64> = values.chunks_exact(width.max(1)).map(length).collect();
        if likeness == Likeness::Cosine {
            let rows = values.chunks_exact_mut(width.max(1)).zip(&lengths);
            rows.for_each(|(row, length)| row.iter_mut().for_each(|v| *v /= length.max(SHORTEST)));
        }
        Ok(Self { values, lengths, width })
    }

    fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, (self.lengths.len(), self.width), &Device::Cpu)?)
    }

    /// The gradient by these vectors, of the products with the others and the sums over these.
    fn turned(&self, products: &Tensor, sums: &[[f64; 2]], likeness: Likeness) -> Result<Vec<f64>> {
        let mut products = products.flatten_all()?.to_vec1::<f64>()?;
        let width = self.width.max(1);
        let rows = products.chunks_exact_mut(width).zip(self.values.chunks_exact(width));
        for ((row, own), (&[plain, weighed], &length)) in rows.zip(sums.iter().zip(&self.lengths)) {
            // A vector that counts as longer than it is has a length that does not change.
            let turn = if length < SHORTEST { 0.0 } else { weighed };
            for (value, own) in row.iter_mut().zip(own) {
                *value = match likeness {
                    Likeness::L2 => 2.0 * (plain * own - *value),
                    Likeness::Cosine => (*value - turn * own) / length.max(SHORTEST),
                };
            }
        }
        Ok(products)
    }
}

/// Rows and prototypes, and what is measured between them.
struct Compared {
    rows: Vectors,
    prototypes: Vectors,
    /// N, D, H, W.
    shape: [usize; 4],
    /// Prototypes.
    count: usize,
    /// Squared distances or cosines, by row and prototype.
    measured: Vec<f64>,
}

impl Compared {
    fn new(op: &'static str, x: &Tensor, weight: &Tensor, likeness: Likeness) -> Result<Self> {
        let (shape, count) = match (x.dims(), weight.dims()) {
            (&[n, c, h, w], &[count, channels]) if c == channels => ([n, c, h, w], count),
            (x, weight) => {
                let given = format!("x {x:?} and weight {weight:?}");
                return Err(wrong_shape(op, given, "x (N, D, H, W) and weight (P, D) with one D"));
            }
        };
        if let Some(other) = [x, weight].map(Tensor::dtype).into_iter().find(|t| !matches!(t, DType::F32 | DType::F64))
        {
            return Err(unsupported_dtype(op, other));
        }
        let prototypes = weight.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.contiguous()?;
        let (rows, prototypes) = (Vectors::of(&rows_of(x)?, likeness)?, Vectors::of(&prototypes, likeness)?);
        let products = linear(&rows.tensor()?, &prototypes.tensor()?, None)?.flatten_all()?.to_vec1::<f64>()?;
        let mut measured = products;
        if likeness == Likeness::L2 {
            for (row, z) in measured.chunks_exact_mut(count.max(1)).zip(&rows.lengths) {
                let squared = |m: f64, p: &f64| not_below_zero(z * z - 2.0 * m + p * p);
                row.iter_mut().zip(&prototypes.lengths).for_each(|(m, p)| *m = squared(*m, p));
            }
        }
        Ok(Self { rows, prototypes, shape, count, measured })
    }
}

/// Of what comes back, by row and by prototype: the sum, and the sum weighed by what was measured.
struct Sums {
    by_row: Vec<[f64; 2]>,
    by_prototype: Vec<[f64; 2]>,
}

impl Sums {
    fn of(along: &[f64], measured: &[f64], count: usize) -> Self {
        let mut by_prototype = vec![[0.0; 2]; count];
        let add = |sum: &mut [f64; 2], g: f64, m: f64| (sum[0] += g, sum[1] += g * m);
        let rows = along.chunks_exact(count.max(1)).zip(measured.chunks_exact(count.max(1)));
        let by_row = rows.map(|(along, measured)| {
            let mut sum = [0.0; 2];
            for ((&g, &m), of_prototype) in along.iter().zip(measured).zip(&mut by_prototype) {
                add(&mut sum, g, m);
                add(of_prototype, g, m);
            }
            sum
        });
        Self { by_row: by_row.collect(), by_prototype }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpError;
    use crate::testing::{assert_gradient, assert_same_on_all_threads, bits, layouts, list, noise, tensor64, to_f32};

    const ALL: Wanted = Wanted { input: true, weight: true, bias: false };

    // ln(1 / 1e-4), ln(2 / 1.0001), ln(129 / 128.0001): at distances of 0, 1, and 128 from 128 ones.
    #[test]
    fn likeness_by_distance() {
        let far = |squared: f64| {
            let x = tensor64(&[squared.sqrt()], &[1, 1, 1, 1]);
            list(&prototypes(&x, &tensor64(&[0.0], &[1, 1]), Likeness::L2).unwrap())[0]
        };
        for (squared, expected) in [(0.0, 9.210_340), (1.0, 0.693_047), (128.0, 0.007_781)] {
            assert!((far(squared) - expected).abs() < 1e-5, "{squared}: {}", far(squared));
            assert!((Likeness::L2.measured(far(squared)) - squared).abs() < 1e-9 * (1.0 + squared));
        }
        let (ones, zeros) =
            (to_f32(&tensor64(&[1.0; 128], &[1, 128, 1, 1])), to_f32(&tensor64(&[0.0; 128], &[1, 128])));
        let found = list(&prototypes(&ones, &zeros, Likeness::L2).unwrap())[0];
        assert!((found - 0.007_781).abs() < 1e-5, "{found}");
    }

    // Cosines of (3, 4) to (1, 0), (3, 4), (-1, 0) are 3/5, 1, -3/5; of what is zero, 0.
    #[test]
    fn likeness_by_angle() {
        let x = tensor64(&[3.0, 0.0, 4.0, 0.0], &[1, 2, 1, 2]); // (3, 4), then (0, 0)
        let weight = tensor64(&[1.0, 0.0, 6.0, 8.0, -1.0, 0.0, 0.0, 0.0], &[4, 2]);
        let found = list(&prototypes(&x, &weight, Likeness::Cosine).unwrap());
        let expected = [0.6 / 1.01, 0.0, 1.0 / 1.01, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        let (x, weight) = (to_f32(&noise(&[3, 7, 4, 5], 1)), to_f32(&noise(&[6, 7], 2)));
        let found = list(&prototypes(&x, &weight, Likeness::L2).unwrap());
        let (x, weight) = (list(&x), list(&weight));
        for (at, found) in found.into_iter().enumerate() {
            let (picture, prototype, place) = (at / 120, at / 20 % 6, at % 20);
            let term = |d: usize| (x[(picture * 7 + d) * 20 + place] - weight[prototype * 7 + d]).powi(2);
            let squared: f64 = (0..7).map(term).sum();
            assert!((Likeness::L2.measured(found) - squared).abs() < 1e-4, "{at}");
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for likeness in [Likeness::L2, Likeness::Cosine] {
            for shape in [[2, 3, 2, 4], [1, 1, 1, 1], [3, 5, 1, 2]] {
                let (x, weight) = (noise(&shape, 1), noise(&[4, shape[1]], 2));
                let upstream = noise(&[shape[0], 4, shape[2], shape[3]], 3);
                let found = prototypes_backward(&x, &weight, &upstream, likeness, ALL).unwrap();
                let of = |x: &Tensor, weight: &Tensor| prototypes(x, weight, likeness).unwrap();
                assert_gradient(&x, &upstream, &found.input.unwrap(), |x| of(x, &weight));
                assert_gradient(&weight, &upstream, &found.weight.unwrap(), |weight| of(&x, weight));
            }
        }
    }

    #[test]
    fn zeros_have_finite_gradients() {
        let (x, weight) = (tensor64(&[0.0; 4], &[1, 2, 1, 2]), tensor64(&[0.0, 0.0, 1.0, 1.0], &[2, 2]));
        for likeness in [Likeness::L2, Likeness::Cosine] {
            let found = prototypes_backward(&x, &weight, &tensor64(&[1.0; 4], &[1, 2, 1, 2]), likeness, ALL).unwrap();
            let all = [list(&found.input.unwrap()), list(&found.weight.unwrap())].concat();
            assert!(all.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let (x, weight) = (noise(&[1, 2, 1, 2], 1), tensor64(&[f64::NAN, 1.0, 1.0, 1.0], &[2, 2]));
        for likeness in [Likeness::L2, Likeness::Cosine] {
            let found = list(&prototypes(&x, &weight, likeness).unwrap());
            assert!(found[..2].iter().all(|value| value.is_nan()) && found[2..].iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn layout_batch_and_threads_do_not_matter() {
        let (x, weight) = (noise(&[9, 3, 5, 4], 1), noise(&[6, 3], 2));
        let grad = noise(&[9, 6, 5, 4], 3);
        for likeness in [Likeness::L2, Likeness::Cosine] {
            let y = prototypes(&x, &weight, likeness).unwrap();
            assert!(y.permute((0, 2, 3, 1)).unwrap().is_contiguous());
            assert!(layouts(&x).iter().all(|x| bits(&prototypes(x, &weight, likeness).unwrap()) == bits(&y)));
            let part = prototypes(&x.narrow(0, 4, 2).unwrap(), &weight, likeness).unwrap();
            assert_eq!(bits(&part), bits(&y.narrow(0, 4, 2).unwrap()));
            assert_same_on_all_threads(|| {
                let grads = prototypes_backward(&x, &weight, &grad, likeness, ALL).unwrap();
                vec![prototypes(&x, &weight, likeness).unwrap(), grads.input.unwrap(), grads.weight.unwrap()]
            });
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, weight) = (noise(&[2, 3, 2, 2], 1), noise(&[4, 3], 2));
        assert_eq!(prototypes(&noise(&[0, 3, 2, 2], 1), &weight, Likeness::L2).unwrap().dims(), [0, 4, 2, 2]);
        let refused = |x: &Tensor, weight: &Tensor| prototypes(x, weight, Likeness::L2);
        assert!(matches!(refused(&noise(&[2, 3], 1), &weight), Err(OpError::Shape { .. })));
        assert!(matches!(refused(&x, &noise(&[4, 5], 2)), Err(OpError::Shape { .. })));
        assert!(matches!(refused(&x.to_dtype(DType::F16).unwrap(), &weight), Err(OpError::Unsupported { .. })));
        let grad = noise(&[2, 4, 2, 3], 3);
        let backward = prototypes_backward(&x, &weight, &grad, Likeness::L2, ALL);
        assert!(matches!(backward, Err(OpError::Shape { .. })));
    }
}
