//! Matrices that whiten, and rotations that bring axes to directions.

use nalgebra::DMatrix;

/// `S^(-1/2)` of a covariance S, by Newton's iteration on what it is as a share of its trace: `P <- 1.5 P - 0.5 P^3 S / tr S`, from
/// the identity, over the root of the trace (Huang et al. 2019, arXiv 1904.03441, eqs. 6 and 7), with the root `P S / tr S` kept beside P: by itself the
/// iteration makes errors of rounding larger from step to step where some directions vary much more than others (Higham 2008, Functions of
/// Matrices, section 6.4). Directions with less than about `1.5^(-2 steps)` of the
/// variance are made longer, but not to a variance of 1. `None` of what does not vary, or is no number.
pub(super) fn whitening(covariance: &DMatrix<f64>, steps: usize) -> Option<DMatrix<f64>> {
    let trace = covariance.trace();
    if !(trace > 0.0 && trace.is_finite()) {
        return None;
    }
    let share = covariance / trace;
    let three = DMatrix::identity(share.nrows(), share.ncols()) * 3.0;
    let (mut root, mut found) = (share, three.clone() / 3.0);
    for _ in 0..steps {
        let turn = (&three - &found * &root) * 0.5;
        root *= &turn;
        found = turn * found;
    }
    Some(found / trace.sqrt())
}

/// How far axes, rows of a rotation, lie along directions, rows of the same number: the sum of products.
fn along(rotation: &DMatrix<f64>, directions: &DMatrix<f64>) -> f64 {
    rotation.dot(directions)
}

/// The rotation turned towards directions along the curve of Wen and Yin 2013, eqs. 7 and 22: `(I - t/2 A)^-1 (I + t/2 A) R` with `A = G R^T - R G^T`,
/// which is a rotation for every t. The step is halved, from `longest` over the length of A, until what is gained is at least a ten-thousandth of
/// what the slope promises. `None` where nothing is to be gained.
pub(super) fn turned(rotation: &DMatrix<f64>, directions: &DMatrix<f64>, longest: f64) -> Option<DMatrix<f64>> {
    let product = directions * rotation.transpose();
    let skew = &product - product.transpose();
    let (length, start) = (skew.norm(), along(rotation, directions));
    let slope = length * length / 2.0;
    let one = DMatrix::identity(rotation.nrows(), rotation.ncols());
    let mut step = longest / length;
    // A slope that promises less than rounding takes nothing further.
    if !step.is_finite() || slope * step < 1e-12 {
        return None;
    }
    for _ in 0..HALVINGS {
        let half = &skew * (step / 2.0);
        let next = (&one - &half).lu().solve(&((&one + &half) * rotation))?;
        if along(&next, directions) >= start + ENOUGH * step * slope {
            return Some(next);
        }
        step /= 2.0;
    }
    None
}

/// How often a step is halved before it is given up.
const HALVINGS: usize = 20;

/// Share of what a slope promises that a step must gain.
const ENOUGH: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(values: &[f64]) -> DMatrix<f64> {
        DMatrix::from_diagonal(&nalgebra::DVector::from_row_slice(values))
    }

    /// Numbers without order, the same at every run.
    fn waves(rows: usize, columns: usize, step: f64) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |row, column| ((row * columns + column) as f64 * step + 0.3).sin())
    }

    // Of diag(4, 1) five steps give diag(0.5, 0.999983), ten diag(0.5, 1).
    #[test]
    fn newtons_iteration() {
        for (steps, expected, within) in [(5, 0.999_983, 1e-6), (10, 1.0, 1e-9)] {
            let found = whitening(&diagonal(&[4.0, 1.0]), steps).unwrap();
            assert!((found[(0, 0)] - 0.5).abs() < within && (found[(1, 1)] - expected).abs() < within, "{found}");
            assert_eq!((found[(0, 1)], found[(1, 0)]), (0.0, 0.0));
        }
        assert_eq!(whitening(&diagonal(&[0.0, 0.0]), 5), None);
        assert_eq!(whitening(&diagonal(&[f64::NAN, 1.0]), 5), None);
    }

    #[test]
    fn what_is_whitened_has_the_identity_for_a_covariance() {
        let mixing = waves(6, 6, 1.7);
        let covariance = &mixing * mixing.transpose() + DMatrix::identity(6, 6) * 0.05;
        let whitening = whitening(&covariance, 20).unwrap();
        let white = &whitening * &covariance * whitening.transpose();
        assert!((white - DMatrix::<f64>::identity(6, 6)).abs().max() < 1e-2);
    }

    // R R^T = I within 1e-5 after 50 turns.
    #[test]
    fn axes_are_brought_to_directions_and_stay_at_right_angles() {
        let mut rotation = DMatrix::<f64>::identity(5, 5);
        // Two directions at right angles; the other three axes are free.
        let mut wanted = DMatrix::zeros(5, 5);
        wanted.row_mut(0).copy_from_slice(&[0.0, 0.6, 0.8, 0.0, 0.0]);
        wanted.row_mut(1).copy_from_slice(&[0.0, 0.8, -0.6, 0.0, 0.0]);
        for _ in 0..50 {
            let Some(next) = turned(&rotation, &wanted, 0.5) else { break };
            assert!(along(&next, &wanted) > along(&rotation, &wanted));
            rotation = next;
        }
        assert!((&rotation * rotation.transpose() - DMatrix::<f64>::identity(5, 5)).abs().max() < 1e-5);
        assert!(along(&rotation, &wanted) > 2.0 - 1e-4, "{rotation}");
        assert!(turned(&DMatrix::identity(2, 2), &DMatrix::identity(2, 2), 0.5).is_none(), "there already");
    }
}
