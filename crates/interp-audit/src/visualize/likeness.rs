//! How alike the textures of pictures are.

use nalgebra::DMatrix;

/// How alike pictures are to a layer: the mean cosine between the Gram matrices `G = A A^T` of their activations, (C, cells) each, over pairs; and its
/// gradient at each activation (Olah et al. 2017, "Feature visualization", section "Diversity"). Of activations that are all 0 the cosine is 0.
pub(super) fn likeness(activations: &[&[f64]], channels: usize) -> (f64, Vec<Vec<f64>>) {
    let matrix = |values: &&[f64]| DMatrix::from_row_slice(channels, values.len() / channels.max(1), values);
    let activations: Vec<DMatrix<f64>> = activations.iter().map(matrix).collect();
    let grams: Vec<DMatrix<f64>> = activations.iter().map(|a| a * a.transpose()).collect();
    let lengths: Vec<f64> = grams.iter().map(|gram| gram.norm()).collect();
    let count = activations.len();
    let pairs = (count * count.saturating_sub(1) / 2).max(1) as f64;
    let mut sum = 0.0;
    let mut gradients: Vec<DMatrix<f64>> =
        grams.iter().map(|gram| DMatrix::zeros(gram.nrows(), gram.ncols())).collect();
    for (a, b) in (0..count).flat_map(|a| (0..a).map(move |b| (a, b))) {
        if lengths[a] <= 0.0 || lengths[b] <= 0.0 {
            continue;
        }
        let cosine = grams[a].dot(&grams[b]) / (lengths[a] * lengths[b]);
        sum += cosine;
        for (own, other) in [(a, b), (b, a)] {
            let along = &grams[other] / (lengths[a] * lengths[b]);
            gradients[own] += along - &grams[own] * (cosine / lengths[own].powi(2));
        }
    }
    let at_activation = |(gradient, activation): (DMatrix<f64>, &DMatrix<f64>)| {
        (gradient * activation * (2.0 / pairs)).transpose().as_slice().to_vec()
    };
    (sum / pairs, gradients.into_iter().zip(&activations).map(at_activation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Gram matrices diag(1, 0), diag(0, 4) and (1, 1; 1, 1): cosines 0, 1/2 and 1/2.
    #[test]
    fn likeness_by_hand() {
        let [a, b, c] = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [1.0, 0.0, 1.0, 0.0]];
        assert_eq!(likeness(&[&a, &b], 2).0, 0.0);
        assert!((likeness(&[&a, &b, &c], 2).0 - 1.0 / 3.0).abs() < 1e-12);
        // Where cells lie does not matter.
        assert!((likeness(&[&a, &[0.0, 3.0, 0.0, 0.0]], 2).0 - 1.0).abs() < 1e-12);
        assert_eq!(likeness(&[&a, &[0.0; 4]], 2).0, 0.0);
    }

    #[test]
    fn the_gradient_is_that_of_central_differences() {
        let values: Vec<f64> = (0..24).map(|at| (at as f64 * 1.1).sin() + 0.4).collect();
        let of = |values: &[f64]| likeness(&values.chunks_exact(8).collect::<Vec<_>>(), 2);
        let gradient = of(&values).1.concat();
        for at in 0..24 {
            let step = |by: f64| {
                let mut moved = values.clone();
                moved[at] += by;
                of(&moved).0
            };
            assert!(((step(1e-6) - step(-1e-6)) / 2e-6 - gradient[at]).abs() < 1e-8, "{at}");
        }
    }
}
