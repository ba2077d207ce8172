//! Color-opponent axes.

/// Three directions in (red, green, blue), of unit length and at right angles: red against green `(1, -1, 0) / sqrt 2`, yellow
/// against blue `(1, 1, -2) / sqrt 6`, and gray `(1, 1, 1) / sqrt 3` (van de Sande, Gevers and Snoek 2010, eq. 1).
pub fn opponent_axes() -> [[f64; 3]; 3] {
    let scaled = |axis: [f64; 3], square: f64| axis.map(|c| c / square.sqrt());
    [scaled([1.0, -1.0, 0.0], 2.0), scaled([1.0, 1.0, -2.0], 6.0), scaled([1.0; 3], 3.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    // M M^T = I, and gray v has (0, 0, sqrt(3) v).
    #[test]
    fn closed_forms() {
        let axes = opponent_axes();
        for (i, row) in axes.iter().enumerate() {
            for (j, other) in axes.iter().enumerate() {
                assert!((dot(row, other) - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        let gray = axes.map(|axis| dot(&axis, &[0.7; 3]));
        assert!(gray[0].abs() < 1e-12 && gray[1].abs() < 1e-12 && (gray[2] - 0.7 * 3f64.sqrt()).abs() < 1e-12);
        assert!(axes[0][0] > 0.0 && axes[1][2] < 0.0, "red and yellow are positive");
    }
}
