//! Intervals of shares.

/// Half a 95 % interval of a normal distribution, in standard deviations.
const HALF: f64 = 1.959_963_984_540_054;

/// The 95 % interval of the share that `some` of `all` are drawn from (Wilson 1927, doi 10.1080/01621459.1927.10502953); all of [0, 1] where there
/// are none.
pub fn share_interval(some: usize, all: usize) -> [f64; 2] {
    if all == 0 {
        return [0.0, 1.0];
    }
    let (n, z) = (all as f64, HALF * HALF);
    let p = some as f64 / n;
    let (middle, half) = (p + z / (2.0 * n), (z * (p * (1.0 - p) / n + z / (4.0 * n * n))).sqrt());
    [(middle - half) / (1.0 + z / n), (middle + half) / (1.0 + z / n)].map(|end| end.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Newcombe 1998 (doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    #[test]
    fn published_intervals() {
        for (some, all, expected) in [
            (81, 263, [0.2553, 0.3662]),
            (15, 148, [0.0624, 0.1605]),
            (0, 20, [0.0, 0.1611]),
            (1, 29, [0.0061, 0.1718]),
        ] {
            let found = share_interval(some, all);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 6e-5), "{some} of {all}: {found:?}");
        }
        assert_eq!(share_interval(0, 0), [0.0, 1.0]);
    }
}
