//! The transforms of F(2, 3) and F(4, 3): of what is seen, of what is made, and of a gradient of the latter.

use crate::lanes::Lanes;
use crate::real::Real;

/// A filter of three taps that makes `M` numbers of `N` with `N` multiplications: y = A^T ((G g) * (B^T d)), from
/// polynomials evaluated at `N - 1` points and infinity (Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308).
pub(super) trait Filter<const M: usize, const N: usize> {
    /// The matrix G of the taps.
    const TAPS: [[f64; 3]; N];

    /// B^T d.
    fn see<T: Real, L: Lanes<T>>(lanes: L, d: [L::Vector; N]) -> [L::Vector; N];

    /// A^T m.
    fn make<T: Real, L: Lanes<T>>(lanes: L, m: [L::Vector; N]) -> [L::Vector; M];

    /// A y, the adjoint of [`Filter::make`].
    fn spread<T: Real, L: Lanes<T>>(lanes: L, y: [L::Vector; M]) -> [L::Vector; N];
}

/// F(2, 3) at the points 0, 1, -1.
pub(super) struct Two;

/// F(4, 3) at the points 0, ±1/sqrt 2, ±sqrt 2, where rounding errors are half of those at the usual 0, ±1, ±2.
pub(super) struct Four;

impl Filter<2, 4> for Two {
    const TAPS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

    #[inline(always)]
    fn see<T: Real, L: Lanes<T>>(lanes: L, d: [L::Vector; 4]) -> [L::Vector; 4] {
        [lanes.sub(d[0], d[2]), lanes.add(d[2], d[1]), lanes.sub(d[2], d[1]), lanes.sub(d[3], d[1])]
    }

    #[inline(always)]
    fn make<T: Real, L: Lanes<T>>(lanes: L, m: [L::Vector; 4]) -> [L::Vector; 2] {
        let (sum, difference) = (lanes.add(m[1], m[2]), lanes.sub(m[1], m[2]));
        [lanes.add(m[0], sum), lanes.add(m[3], difference)]
    }

    #[inline(always)]
    fn spread<T: Real, L: Lanes<T>>(lanes: L, y: [L::Vector; 2]) -> [L::Vector; 4] {
        [y[0], lanes.add(y[0], y[1]), lanes.sub(y[0], y[1]), y[1]]
    }
}

/// Rows of a block of outputs: what [`Two`] makes, going down. (4x4 outputs would take 2.25 multiplications each, and
/// have twice the rounding error.)
pub(super) const ROWS: usize = 2;

/// Rows that a block sees, and of its points.
pub(super) const SEEN_ROWS: usize = 4;

const HALF_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;
const ROOT: f64 = std::f64::consts::SQRT_2;

impl Filter<4, 6> for Four {
    const TAPS: [[f64; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [-2.0 / 3.0, -2.0 / 3.0 * HALF_ROOT, -1.0 / 3.0],
        [-2.0 / 3.0, 2.0 / 3.0 * HALF_ROOT, -1.0 / 3.0],
        [1.0 / 6.0, 1.0 / 6.0 * ROOT, 1.0 / 3.0],
        [1.0 / 6.0, -1.0 / 6.0 * ROOT, 1.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];

    /// Coefficients of the polynomials with roots at all points but one; even and odd powers apart.
    #[inline(always)]
    fn see<T: Real, L: Lanes<T>>(lanes: L, d: [L::Vector; 6]) -> [L::Vector; 6] {
        let number = |v: f64| lanes.splat(T::from_f64(v));
        let (minus_two, minus_half) = (number(-2.0), number(-0.5));
        let (even_a, odd_a) = (lanes.mul_add(minus_two, d[2], d[4]), lanes.mul_add(minus_two, d[1], d[3]));
        let (even_b, odd_b) = (lanes.mul_add(minus_half, d[2], d[4]), lanes.mul_add(minus_half, d[1], d[3]));
        [
            lanes.mul_add(number(-2.5), d[2], lanes.add(d[0], d[4])),
            lanes.mul_add(number(HALF_ROOT), odd_a, even_a),
            lanes.mul_add(number(-HALF_ROOT), odd_a, even_a),
            lanes.mul_add(number(ROOT), odd_b, even_b),
            lanes.mul_add(number(-ROOT), odd_b, even_b),
            lanes.mul_add(number(-2.5), d[3], lanes.add(d[1], d[5])),
        ]
    }

    #[inline(always)]
    fn make<T: Real, L: Lanes<T>>(lanes: L, m: [L::Vector; 6]) -> [L::Vector; 4] {
        let number = |v: f64| lanes.splat(T::from_f64(v));
        let (sum_a, difference_a) = (lanes.add(m[1], m[2]), lanes.sub(m[1], m[2]));
        let (sum_b, difference_b) = (lanes.add(m[3], m[4]), lanes.sub(m[3], m[4]));
        let cubes = lanes.mul_add(number(HALF_ROOT / 2.0), difference_a, m[5]);
        [
            lanes.add(m[0], lanes.add(sum_a, sum_b)),
            lanes.mul_add(number(HALF_ROOT), difference_a, lanes.mul(number(ROOT), difference_b)),
            lanes.mul_add(number(0.5), sum_a, lanes.add(sum_b, sum_b)),
            lanes.mul_add(number(2.0 * ROOT), difference_b, cubes),
        ]
    }

    #[inline(always)]
    fn spread<T: Real, L: Lanes<T>>(lanes: L, y: [L::Vector; 4]) -> [L::Vector; 6] {
        let number = |v: f64| lanes.splat(T::from_f64(v));
        let (half, two) = (number(0.5), number(2.0));
        let (even_a, odd_a) = (lanes.mul_add(half, y[2], y[0]), lanes.mul_add(half, y[3], y[1]));
        let (even_b, odd_b) = (lanes.mul_add(two, y[2], y[0]), lanes.mul_add(two, y[3], y[1]));
        [
            y[0],
            lanes.mul_add(number(HALF_ROOT), odd_a, even_a),
            lanes.mul_add(number(-HALF_ROOT), odd_a, even_a),
            lanes.mul_add(number(ROOT), odd_b, even_b),
            lanes.mul_add(number(-ROOT), odd_b, even_b),
            y[3],
        ]
    }
}

/// A transform down the columns of a block and one along its rows. Loops rather than iterators: what is not inlined here
/// is compiled for the oldest processor.
#[inline(always)]
pub(super) fn both<V: Copy, const R: usize, const C: usize, const P: usize, const Q: usize>(
    block: &[[V; C]; R],
    down: impl Fn([V; R]) -> [V; P],
    along: impl Fn([V; C]) -> [V; Q],
) -> [[V; Q]; P] {
    let mut rows = [[block[0][0]; Q]; R];
    for row in 0..R {
        rows[row] = along(block[row]);
    }
    let mut result = [[block[0][0]; Q]; P];
    for column in 0..Q {
        let mut seen = [block[0][0]; R];
        for row in 0..R {
            seen[row] = rows[row][column];
        }
        let transformed = down(seen);
        for row in 0..P {
            result[row][column] = transformed[row];
        }
    }
    result
}
