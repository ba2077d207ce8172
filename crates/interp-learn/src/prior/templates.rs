//! Templates of maps with one part in one place, and the information between maps and templates.

use interp_net::ops::scalars::largest;

/// The largest value of a template, in nats: how much likelier a template makes a map of mean size that lies all in its place.
const TAU: f64 = 6.0;

/// How steeply templates fall.
const BETA: f64 = 4.0;

/// Distance between two cells of maps of `[height, width]` cells: the sum of those along both axes, in heights and widths.
fn distance([height, width]: [usize; 2], a: usize, b: usize) -> f64 {
    let along = |a: usize, b: usize, size: usize| a.abs_diff(b) as f64 / size as f64;
    along(a / width, b / width, height) + along(a % width, b % width, width)
}

/// The share of maps' sums that lies where the template of each one's largest cell is above 0; `None` where all maps are zero.
pub(super) fn near_peak(maps: &[f64], size: [usize; 2]) -> Option<f64> {
    let cells = size[0] * size[1];
    let (mut near, mut all) = (0.0, 0.0);
    for map in maps.chunks_exact(cells) {
        let peak = largest(map);
        let within = |cell: &usize| BETA * distance(size, peak, *cell) < 1.0;
        near += (0..cells).filter(within).map(|cell| map[cell]).sum::<f64>();
        all += map.iter().sum::<f64>();
    }
    (all > 0.0).then(|| near / all)
}

/// One template for each place of a part, and the negative one, for maps of parts that are not there.
pub(super) struct Templates {
    /// (cells, templates): those of all places, in the order of cells, then the negative one.
    values: Vec<f64>,
    count: usize,
}

/// The loss of a filter's maps and its gradient, (N, cells).
pub(super) struct Information {
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
}

impl Templates {
    /// Of maps of `[height, width]` cells.
    pub(super) fn of(size: [usize; 2]) -> Self {
        let cells = size[0] * size[1];
        let value = |cell: usize, place: usize| TAU * (1.0 - BETA * distance(size, cell, place)).max(-1.0);
        let row = |cell: usize| (0..cells).map(move |place| value(cell, place)).chain([-TAU]);
        Self { values: (0..cells).flat_map(row).collect(), count: cells + 1 }
    }

    /// How well each map, `scale` times as large, fits each template, (N, templates): `tr(x T)`.
    fn fits(&self, maps: &[f64], scale: f64) -> Vec<f64> {
        let cells = self.count - 1;
        let mut fits = vec![0.0; maps.len() / cells * self.count];
        for (map, fits) in maps.chunks_exact(cells).zip(fits.chunks_exact_mut(self.count)) {
            for (&x, values) in map.iter().zip(self.values.chunks_exact(self.count)).filter(|(x, _)| **x != 0.0) {
                fits.iter_mut().zip(values).for_each(|(fit, value)| *fit += scale * x * value);
            }
        }
        fits
    }

    /// Of N maps (N, cells), none below 0, with weights that add up to 1, and the share of each in what the negative template is to
    /// stand for:
    /// `- sum over T, x of p(T) p(x|T) ln(p(x|T) / p(x)) - sum over x of negative_x ln(p(x|T-) / weight_x)`,
    /// `p(x|T) = weight_x exp(tr(x T)) / Z_T` with x in units of the weighted mean of the maps' sums.
    pub(super) fn information(&self, maps: &[f64], weights: &[f64], negative: &[f64]) -> Information {
        let cells = self.count - 1;
        let sum = |map: &[f64]| map.iter().sum::<f64>();
        let mean = maps.chunks_exact(cells).zip(weights).map(|(map, weight)| weight * sum(map)).sum::<f64>();
        if mean <= 0.0 {
            return Information { loss: 0.0, gradient: vec![0.0; maps.len()] };
        }
        let (loss, by_fits) = information(&self.fits(maps, 1.0 / mean), weights, negative, self.count);
        let mut gradient = vec![0.0; maps.len()];
        let rows = gradient.chunks_exact_mut(cells).zip(by_fits.chunks_exact(self.count));
        for (row, by_fits) in rows {
            let products = |values: &[f64]| values.iter().zip(by_fits).map(|(value, g)| value * g).sum::<f64>();
            row.iter_mut().zip(self.values.chunks_exact(self.count)).for_each(|(g, values)| *g = products(values));
        }
        through_mean(&mut gradient, maps, weights, mean);
        Information { loss, gradient }
    }
}

/// Makes of a gradient by maps in units of their mean one by the maps themselves, on which the mean depends too.
fn through_mean(gradient: &mut [f64], maps: &[f64], weights: &[f64], mean: f64) {
    let along = gradient.iter().zip(maps).map(|(g, x)| g * x).sum::<f64>() / mean;
    let cells = maps.len() / weights.len().max(1);
    for (row, weight) in gradient.chunks_exact_mut(cells.max(1)).zip(weights) {
        row.iter_mut().for_each(|g| *g = (*g - weight * along) / mean);
    }
}

/// The loss of fits (N, templates) and its gradient by them.
fn information(fits: &[f64], weights: &[f64], negative: &[f64], count: usize) -> (f64, Vec<f64>) {
    let (likelihoods, partitions) = likelihoods(fits, weights, count);
    let prior = 1.0 / count as f64;
    let (mut loss, mut slopes, mut sums) = (0.0, vec![0.0; fits.len()], vec![0.0; count]);
    let rows = fits.chunks_exact(count).zip(likelihoods.chunks_exact(count)).zip(slopes.chunks_exact_mut(count));
    for (((fits, likelihoods), slopes), (weight, negative)) in rows.zip(weights.iter().zip(negative)) {
        let of_map = (prior * likelihoods.iter().sum::<f64>()).max(f64::MIN_POSITIVE).ln();
        let ratios = fits.iter().zip(&partitions).map(|(fit, partition)| fit - partition); // ln(p(x|T) / weight)
        for ((slope, likelihood), ratio) in slopes.iter_mut().zip(likelihoods).zip(ratios) {
            *slope = -prior * likelihood * (ratio + weight.ln() - of_map);
            loss += *slope;
        }
        loss -= negative * (fits[count - 1] - partitions[count - 1]);
        slopes[count - 1] -= negative;
        sums.iter_mut().zip(&*slopes).for_each(|(sum, slope)| *sum += slope);
    }
    // These are the slopes by ln p(x|T), which falls where another map's fit rises.
    for (slopes, likelihoods) in slopes.chunks_exact_mut(count).zip(likelihoods.chunks_exact(count)) {
        slopes.iter_mut().zip(likelihoods).zip(&sums).for_each(|((slope, p), sum)| *slope -= p * sum);
    }
    (loss, slopes)
}

/// `p(x|T)` of fits (N, templates), of each template the weighted softmax over maps, and `ln Z_T`.
fn likelihoods(fits: &[f64], weights: &[f64], count: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut most, mut sums) = (vec![f64::NEG_INFINITY; count], vec![0.0; count]);
    fits.chunks_exact(count).for_each(|row| most.iter_mut().zip(row).for_each(|(most, fit)| *most = most.max(*fit)));
    let mut parts = fits.to_vec();
    for (row, weight) in parts.chunks_exact_mut(count).zip(weights) {
        row.iter_mut().zip(&most).for_each(|(part, most)| *part = weight * (*part - most).exp());
        sums.iter_mut().zip(&*row).for_each(|(sum, part)| *sum += part);
    }
    parts.chunks_exact_mut(count).for_each(|row| row.iter_mut().zip(&sums).for_each(|(part, sum)| *part /= sum));
    (parts, most.iter().zip(&sums).map(|(most, sum)| most + sum.ln()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: f64) -> Vec<f64> {
        (0..count).map(|i| ((i as f64 + 1.0) * 12.9898 + seed).sin()).collect()
    }

    // Along eight columns a template falls by a half for each, to -1; along two rows by two at once.
    #[test]
    fn templates_by_hand() {
        let templates = Templates::of([2, 8]);
        let of = |place: usize| (0..16).map(|cell| templates.values[cell * 17 + place] / TAU).collect::<Vec<_>>();
        let middle = [[-0.5, 0.0, 0.5, 1.0, 0.5, 0.0, -0.5, -1.0], [-1.0; 8]].concat();
        assert_eq!((of(3), of(16)), (middle, vec![-1.0; 16]));
        // A row down is a half of the height: 1 - 4/2, and no less than -1 beside it.
        assert_eq!(of(8)[8..], [1.0, 0.5, 0.0, -0.5, -1.0, -1.0, -1.0, -1.0]);
        assert_eq!(
            templates.fits(&[&[0.0; 16][..], &[vec![0.0; 3], vec![2.0], vec![0.0; 12]].concat()].concat(), 0.5)[17 + 3],
            TAU
        );
    }

    #[test]
    fn near_the_peak_by_hand() {
        let mut map = [0.0; 32]; // 4x8: to each side one cell is near, and none above or below.
        (map[8 + 3], map[8 + 4], map[8 + 5], map[8 + 6], map[4]) = (1.0, 4.0, 0.5, 0.25, 2.0);
        assert_eq!(near_peak(&map, [4, 8]), Some(5.5 / 7.75));
        assert_eq!(near_peak(&[1.0; 64], [4, 8]), Some(4.0 / 64.0), "of equal ones the first");
        assert_eq!(near_peak(&[0.0; 32], [4, 8]), None);
    }

    // Two maps, each in a place of its own: of the template of its place a map has 1 / (1 + e^(-2 tau)), of the negative one a half.
    // ln 2 less the entropy of that, for two templates of three.
    #[test]
    fn maps_that_are_templates_tell_all_but_the_negative_one() {
        let found = Templates::of([1, 2]).information(&[5.0, 0.0, 0.0, 5.0], &[0.5; 2], &[0.0; 2]);
        let p: f64 = 1.0 / (1.0 + (-2.0 * TAU).exp());
        let told = 2f64.ln() + p * p.ln() + (1.0 - p) * (1.0 - p).ln();
        assert!((found.loss + 2.0 / 3.0 * told).abs() < 1e-12, "{}", found.loss);
        // Both in the same place tell nothing.
        let same = Templates::of([1, 2]).information(&[5.0, 0.0, 5.0, 0.0], &[0.5; 2], &[0.0; 2]);
        assert!(same.loss.abs() < 1e-12);
    }

    #[test]
    fn maps_that_are_alike_tell_nothing() {
        let templates = Templates::of([3, 3]);
        let alike = templates.information(&[0.7; 45], &[0.2; 5], &[0.0; 5]);
        assert!(alike.loss.abs() < 1e-12 && alike.gradient.iter().all(|g| g.abs() < 1e-12));
        let none = templates.information(&[0.0; 45], &[0.2; 5], &[0.0; 5]);
        assert!(none.loss == 0.0 && none.gradient == [0.0; 45]);
    }

    // To the negative template belongs the second map: the loss is -ln 2p, its p being 1 / (1 + e^(-2 tau)) where the first alone is
    // active.
    #[test]
    fn maps_of_others_are_to_be_nothing() {
        let templates = Templates::of([1, 2]);
        let loss = |first: f64, second: f64| {
            let maps = [first, first, second, second];
            let without = templates.information(&maps, &[0.5; 2], &[0.0; 2]).loss;
            templates.information(&maps, &[0.5; 2], &[0.0, 1.0]).loss - without
        };
        // The mean of the sums is 1 in units of itself: sums of 2 and 0.
        assert!((loss(3.0, 0.0) + (2.0 / (1.0 + (-2.0 * TAU).exp())).ln()).abs() < 1e-12);
        assert!(loss(1.0, 1.0).abs() < 1e-12 && loss(0.0, 1.0) > 1.0);
        let found = templates.information(&[1.0; 4], &[0.5; 2], &[0.0, 1.0]).gradient;
        assert!(found[0] < 0.0 && found[2] > 0.0, "{found:?}");
    }

    /// The loss by its definition, one sum after another.
    fn by_definition(maps: &[f64], weights: &[f64], negative: &[f64], size: [usize; 2]) -> f64 {
        let (cells, count) = (size[0] * size[1], weights.len());
        let sum = |x: usize| maps[x * cells..][..cells].iter().sum::<f64>();
        let mean: f64 = (0..count).map(|x| weights[x] * sum(x)).sum();
        let template = |t: usize, cell: usize| {
            let far = |a: usize, b: usize, size: usize| (a as f64 - b as f64).abs() / size as f64;
            let [row, column, to_row, to_column] = [cell / size[1], cell % size[1], t / size[1], t % size[1]];
            let place = (1.0 - 4.0 * (far(row, to_row, size[0]) + far(column, to_column, size[1]))).max(-1.0);
            if t == cells { -TAU } else { TAU * place }
        };
        let fit = |x: usize, t: usize| (0..cells).map(|c| maps[x * cells + c] / mean * template(t, c)).sum::<f64>();
        let part = |x: usize, t: usize| weights[x] * fit(x, t).exp();
        let p = |x: usize, t: usize| part(x, t) / (0..count).map(|y| part(y, t)).sum::<f64>();
        let of_map = |x: usize| (0..=cells).map(|t| p(x, t)).sum::<f64>() / (cells + 1) as f64;
        let mut loss = 0.0;
        for x in 0..count {
            let whole = of_map(x);
            loss -= (0..=cells).map(|t| p(x, t) * (p(x, t) / whole).ln()).sum::<f64>() / (cells + 1) as f64;
            loss -= negative[x] * (p(x, cells) / weights[x]).ln();
        }
        loss
    }

    #[test]
    fn the_gradient_is_central_differences() {
        let size = [2, 3];
        // Zeros among them, and a map of nothing else.
        let mut maps: Vec<f64> = noise(4 * 6, 0.3).into_iter().map(|x| if x < -0.2 { 0.0 } else { x + 0.25 }).collect();
        maps[18..].fill(0.0);
        let (weights, negative) = ([0.4, 0.1, 0.3, 0.2], [0.0, 0.5, 0.0, 0.5]);
        let found = Templates::of(size).information(&maps, &weights, &negative);
        assert!((found.loss - by_definition(&maps, &weights, &negative, size)).abs() < 1e-12);
        for (index, gradient) in found.gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = maps.clone();
                moved[index] += by;
                by_definition(&moved, &weights, &negative, size)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - gradient).abs() < 1e-7, "{index}: {gradient}, not {slope}");
        }
    }

    #[test]
    fn units_do_not_matter_and_nothing_overflows() {
        let templates = Templates::of([3, 3]);
        let maps: Vec<f64> = noise(36, 0.0).into_iter().map(f64::abs).collect();
        let loss = |maps: Vec<f64>| templates.information(&maps, &[0.25; 4], &[0.0; 4]).loss;
        let first = loss(maps.clone());
        assert!((loss(maps.iter().map(|x| 1e3 * x).collect()) - first).abs() < 1e-12);
        // One map of 200 is all that there is.
        let mut one = vec![0.0; 200 * 9];
        one[..9].fill(1e30);
        let found = templates.information(&one, &[0.005; 200], &[0.0; 200]);
        assert!(found.loss.is_finite() && found.gradient.iter().all(|g| g.is_finite()));
    }
}
