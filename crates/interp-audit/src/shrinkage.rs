//! Wavelet shrinkage by rules: what a network that takes noise away is seen beside.
//!
//! Coefficients are those of separable orthonormal wavelets on pictures that go on periodically or, without a jump at their
//! borders, mirrored; all of unit length: noise has in each the deviation that it has in pixels. Cycle spinning (Coifman and
//! Donoho 1995) is the mean over all shifts, computed at once: every shift's coefficients are kept, and each level counts a quarter.

use interp_net::ops::banks::{Wavelet, opponent_axes};

/// What makes the threshold of soft thresholding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `sigma sqrt(2 ln n)` for the n pixels of a channel, everywhere (Donoho and Johnstone 1994).
    Universal,
    /// For each band, that which makes Stein's unbiased estimate of the risk least, but no more than the band's universal one (Donoho
    /// and Johnstone 1995, section 2.4, without their other rule for bands that are nearly empty).
    Sure,
    /// For each band, `sigma^2 / sqrt(max(mean square - sigma^2, 0))` (Chang, Yu and Vetterli 2000).
    Bayes,
    /// Everywhere the one that is best for this picture, chosen with the clean picture in sight: no rule with one threshold for a
    /// picture does better, but for the steps of what is tried. A rule with one for each band can.
    Oracle,
    /// `sigma` itself, everywhere.
    Fixed,
}

/// All rules that take noise away.
pub const RULES: [Rule; 4] = [Rule::Universal, Rule::Sure, Rule::Bayes, Rule::Oracle];

impl Rule {
    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Universal => "universal threshold",
            Self::Sure => "SURE",
            Self::Bayes => "BayesShrink",
            Self::Oracle => "oracle dial",
            Self::Fixed => "fixed threshold",
        }
    }
}

/// A picture, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// For each channel `height * width` values, rows first.
    pub channels: Vec<Vec<f64>>,
}

/// Shrinkage of wavelet coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrinkage {
    /// The wavelet.
    pub wavelet: Wavelet,
    /// Whether the mean over all shifts is taken.
    pub spinning: bool,
    /// How pictures go on.
    pub edges: Edges,
}

/// How a picture goes on beyond its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// With its other side: there are as many coefficients as pixels, and as many levels as its sides can be halved.
    Periodic,
    /// With its mirror image: what is near a border is no large coefficient for that.
    Mirrored,
}

/// A picture with what goes on around it, and the levels of its transform: at the coarsest the shorter side has four to seven cells.
#[derive(Clone, Copy)]
struct Frame {
    inner: [usize; 2],
    size: [usize; 2],
    levels: u32,
}

impl Frame {
    fn new(inner: [usize; 2], edges: Edges) -> Self {
        let [height, width] = inner;
        let levels = height.min(width).max(1).ilog2().saturating_sub(2).max(1);
        match edges {
            Edges::Periodic => {
                let levels = levels.min(height.trailing_zeros()).min(width.trailing_zeros());
                Self { inner, size: inner, levels }
            }
            Edges::Mirrored => Self { inner, size: inner.map(|side| (2 * side).next_multiple_of(1 << levels)), levels },
        }
    }

    /// The plane with its mirror images.
    fn around(self, plane: &[f64]) -> Vec<f64> {
        let [height, width] = self.inner;
        let inside = |at: usize, side: usize| {
            if at % (2 * side) < side { at % (2 * side) } else { 2 * side - 1 - at % (2 * side) }
        };
        let row = |row: usize| {
            (0..self.size[1]).map(move |column| plane[inside(row, height) * width + inside(column, width)])
        };
        (0..self.size[0]).flat_map(row).collect()
    }

    /// What lies within.
    fn within(self, plane: &[f64]) -> Vec<f64> {
        let [height, width] = self.inner;
        plane.chunks(self.size[1]).take(height).flat_map(|row| row[..width].iter().copied()).collect()
    }
}

/// Thresholds that the oracle tries, in tenths of the deviation of the noise: the universal one of 270,000 pixels is 5.
fn tried() -> impl Iterator<Item = u32> {
    (0..30).chain((30..=50).step_by(4))
}

/// The standard deviation of normal noise in numbers that are mostly noise: median of their absolute values / 0.6745.
pub fn deviation(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let middle = |at: usize| sizes.get(at).copied().unwrap_or(0.0);
    let count = sizes.len();
    (middle(count / 2) + middle(count.saturating_sub(1) / 2)) / 2.0 / 0.6745
}

/// The universal threshold for `count` numbers with noise of deviation `sigma`.
pub fn universal(sigma: f64, count: usize) -> f64 {
    sigma * (2.0 * (count.max(1) as f64).ln()).sqrt()
}

/// Stein's estimate of the squared error of soft thresholding at t: `n sigma^2 - 2 sigma^2 #{|x| <= t} + sum min(|x|, t)^2`.
pub fn sure(values: &[f64], sigma: f64, t: f64) -> f64 {
    let below = values.iter().filter(|value| value.abs() <= t).count() as f64;
    let squares: f64 = values.iter().map(|value| value.abs().min(t).powi(2)).sum();
    sigma * sigma * (values.len() as f64 - 2.0 * below) + squares
}

/// The threshold at which [`sure`] is least: 0, or the size of one of the numbers, since it falls nowhere else.
pub fn sure_threshold(values: &[f64], sigma: f64) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let (count, variance) = (sizes.len() as f64, sigma * sigma);
    let (mut best, mut least, mut squares) = (0.0, f64::INFINITY, 0.0);
    for (at, size) in std::iter::once(0.0).chain(sizes.iter().copied()).enumerate() {
        squares += size * size;
        let risk = variance * (count - 2.0 * at as f64) + squares + (count - at as f64) * size * size;
        if risk < least {
            (best, least) = (size, risk);
        }
    }
    best
}

/// BayesShrink's threshold: infinite where a band is no larger than its noise.
pub fn bayes_threshold(values: &[f64], sigma: f64) -> f64 {
    let square = values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64;
    sigma * sigma / (square - sigma * sigma).max(0.0).sqrt()
}

/// The coefficients of a plane, as many as pixels in every band; those that a transform without spinning has not are 0.
struct Coefficients {
    /// What is left at the coarsest level.
    low: Vec<f64>,
    /// Three bands of details for each level, the finest first.
    details: Vec<[Vec<f64>; 3]>,
}

impl Planes {
    /// Another picture of this size.
    fn with(&self, channels: Vec<Vec<f64>>) -> Self {
        Self { channels, ..*self }
    }

    /// Along red-green, yellow-blue and gray where there are three channels; or back.
    fn turned(&self, back: bool) -> Self {
        let Ok([a, b, c]) = <[&Vec<f64>; 3]>::try_from(self.channels.iter().collect::<Vec<_>>()) else {
            return self.clone();
        };
        let axes = opponent_axes();
        let weight = |to: usize, from: usize| if back { axes[from][to] } else { axes[to][from] };
        let channel = |to: usize| {
            let colors = a.iter().zip(b).zip(c);
            colors.map(|((a, b), c)| weight(to, 0) * a + weight(to, 1) * b + weight(to, 2) * c).collect()
        };
        self.with((0..3).map(channel).collect())
    }

    /// The mean squared difference to another picture of this size.
    pub fn squared_error(&self, other: &Self) -> f64 {
        let pairs = self.channels.iter().flatten().zip(other.channels.iter().flatten());
        let (sum, count) = pairs.fold((0.0, 0), |(sum, count), (a, b)| (sum + (a - b).powi(2), count + 1));
        sum / f64::from(count.max(1))
    }
}

impl Shrinkage {
    /// The picture without noise of deviation `sigma`, all thresholds times `dial`. The oracle alone looks at `clean`. Three
    /// channels are taken as colors along opponent axes, which does better than one channel at a time.
    pub fn denoise(&self, noisy: &Planes, clean: &Planes, sigma: f64, rule: Rule, dial: f64) -> Planes {
        let frame = Frame::new([noisy.height, noisy.width], self.edges);
        let bands: Vec<Coefficients> = noisy.turned(false).channels.iter().map(|c| self.analyze(c, frame)).collect();
        let shrunk = |threshold: &dyn Fn(&[f64]) -> f64| {
            noisy.with(bands.iter().map(|c| self.synthesize(c, frame, threshold)).collect()).turned(true)
        };
        // Nothing of an infinite threshold is nothing.
        let dialed = |threshold: f64| if dial == 0.0 { 0.0 } else { dial * threshold };
        match rule {
            Rule::Fixed => shrunk(&|_| dial * sigma),
            Rule::Universal => shrunk(&|_| dial * universal(sigma, noisy.height * noisy.width)),
            Rule::Sure => shrunk(&|band| dial * sure_threshold(band, sigma).min(universal(sigma, band.len()))),
            Rule::Bayes => shrunk(&|band| dialed(bayes_threshold(band, sigma))),
            Rule::Oracle => {
                let tried = tried().map(|tenths| shrunk(&|_| dial * sigma * f64::from(tenths) / 10.0));
                let tried = tried.map(|found| (found.squared_error(clean), found));
                tried.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| noisy.clone(), |(_, found)| found)
            }
        }
    }

    /// Coefficients that are not zero after soft thresholding at `theta`.
    pub fn nonzero(&self, picture: &Planes, theta: f64) -> usize {
        let frame = Frame::new([picture.height, picture.width], self.edges);
        let count = |band: &[f64], depth: usize, theta: f64| {
            self.places(frame.size, depth).filter(|&at| band[at].abs() > theta).count()
        };
        let of_channel = |channel: &Vec<f64>| {
            let found = self.analyze(channel, frame);
            let details = found.details.iter().enumerate();
            let details =
                details.flat_map(|(level, bands)| bands.iter().map(move |band| count(band, level + 1, theta)));
            details.sum::<usize>() + count(&found.low, found.details.len(), 0.0)
        };
        picture.turned(false).channels.iter().map(of_channel).sum()
    }

    /// Along each axis the low and the high pass, between cells twice as far apart at every level.
    fn analyze(&self, plane: &[f64], frame: Frame) -> Coefficients {
        let (low_pass, high_pass) = (self.wavelet.low(), self.wavelet.high());
        let (mut low, mut details) = (frame.around(plane), vec![]);
        for level in 0..frame.levels {
            let pass = |plane: &[f64], taps: &[f64], axis: usize| correlated(plane, frame.size, taps, axis, 1 << level);
            let (above, below) = (pass(&low, &low_pass, 0), pass(&low, &high_pass, 0));
            low = pass(&above, &low_pass, 1);
            details.push([pass(&above, &high_pass, 1), pass(&below, &low_pass, 1), pass(&below, &high_pass, 1)]);
        }
        Coefficients { low, details }
    }

    /// The transpose of [`Shrinkage::analyze`] after shrinking every band of details by its threshold.
    fn synthesize(&self, found: &Coefficients, frame: Frame, threshold: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
        let size = frame.size;
        let (low_pass, high_pass) = (self.wavelet.low(), self.wavelet.high());
        let share = if self.spinning { 0.25 } else { 1.0 };
        let mut low = self.kept(&found.low, size, found.details.len());
        for (level, bands) in found.details.iter().enumerate().rev() {
            let back = |plane: &[f64], taps: &[f64], axis: usize| convolved(plane, size, taps, axis, 1 << level);
            let [a, b, c] = bands.each_ref().map(|band| self.shrunk(band, size, level + 1, threshold));
            let above = sum(&back(&low, &low_pass, 1), &back(&a, &high_pass, 1));
            let below = sum(&back(&b, &low_pass, 1), &back(&c, &high_pass, 1));
            low = sum(&back(&above, &low_pass, 0), &back(&below, &high_pass, 0));
            low.iter_mut().for_each(|value| *value *= share);
        }
        frame.within(&low)
    }

    /// A band with its coefficients moved toward 0 by the threshold that its own coefficients ask for.
    fn shrunk(&self, band: &[f64], size: [usize; 2], depth: usize, threshold: &dyn Fn(&[f64]) -> f64) -> Vec<f64> {
        let own: Vec<f64> = self.places(size, depth).map(|at| band[at]).collect();
        let theta = threshold(&own);
        let mut shrunk = vec![0.0; band.len()];
        for (at, value) in self.places(size, depth).zip(own) {
            shrunk[at] = value.signum() * (value.abs() - theta).max(0.0);
        }
        shrunk
    }

    /// The band as it is.
    fn kept(&self, band: &[f64], size: [usize; 2], depth: usize) -> Vec<f64> {
        self.shrunk(band, size, depth, &|_| 0.0)
    }

    /// Where a band has coefficients after `depth` levels: everywhere with spinning, else in every `2^depth`-th row and column.
    fn places(&self, [height, width]: [usize; 2], depth: usize) -> impl Iterator<Item = usize> + use<> {
        let step = if self.spinning { 1 } else { 1 << depth };
        (0..height).step_by(step).flat_map(move |row| (0..width).step_by(step).map(move |column| row * width + column))
    }
}

/// `sum over k of taps_k x(i + k distance)` along an axis, periodic.
fn correlated(plane: &[f64], size: [usize; 2], taps: &[f64], axis: usize, distance: usize) -> Vec<f64> {
    let mut out = vec![0.0; plane.len()];
    taps.iter().enumerate().for_each(|(k, tap)| add_moved(&mut out, plane, size, axis, k * distance, *tap));
    out
}

/// `sum over k of taps_k x(i - k distance)` along an axis, periodic: the transpose of [`correlated`].
fn convolved(plane: &[f64], size: [usize; 2], taps: &[f64], axis: usize, distance: usize) -> Vec<f64> {
    let mut out = vec![0.0; plane.len()];
    for (k, tap) in taps.iter().enumerate() {
        add_moved(&mut out, plane, size, axis, size[axis] - k * distance % size[axis], *tap);
    }
    out
}

/// Adds `tap x(i + by)` along an axis. A plane is moved by rows as one long line is by as many widths.
fn add_moved(out: &mut [f64], plane: &[f64], [height, width]: [usize; 2], axis: usize, by: usize, tap: f64) {
    let (line, by) = if axis == 0 { (height * width, by * width) } else { (width, by) };
    for (out, values) in out.chunks_mut(line).zip(plane.chunks(line)) {
        let (first, rest) = values.split_at(by % line);
        let (out_rest, out_first) = out.split_at_mut(rest.len());
        out_rest
            .iter_mut()
            .zip(rest)
            .chain(out_first.iter_mut().zip(first))
            .for_each(|(out, value)| *out += tap * value);
    }
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

#[cfg(test)]
mod tests {
    use interp_net::finding::random::stream;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    const WAVELETS: [Wavelet; 2] = [Wavelet::Haar, Wavelet::Db2];
    const EDGES: [Edges; 2] = [Edges::Periodic, Edges::Mirrored];

    fn normal(count: usize) -> Vec<f64> {
        let mut rng = stream(1, "test", 0, 0);
        (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    fn picture(channels: usize) -> Planes {
        let values = normal(channels * 16 * 24);
        Planes { height: 16, width: 24, channels: values.chunks(16 * 24).map(<[f64]>::to_vec).collect() }
    }

    // With sigma 1 and t 1, of -3, -1, 0.5, 2: 4 - 2 * 2 + (1 + 1 + 0.25 + 1) = 3.25.
    #[test]
    fn stein_by_hand() {
        let values = [-3.0, -1.0, 0.5, 2.0];
        assert_eq!(sure(&values, 1.0, 1.0), 3.25);
        // The risks at 0, 0.5, 1, 2, 3: 4, 4 - 2 + 1, 3.25, 4 - 6 + 9.25 and 4 - 8 + 14.25; the least at 0.5.
        assert_eq!([0.0, 0.5, 1.0, 2.0, 3.0].map(|t| sure(&values, 1.0, t)), [4.0, 3.0, 3.25, 7.25, 10.25]);
        assert_eq!(sure_threshold(&values, 1.0), 0.5);
        assert_eq!(sure_threshold(&[10.0, -20.0], 1.0), 0.0);
        assert_eq!(sure_threshold(&[], 1.0), 0.0);
    }

    #[test]
    fn the_least_risk_is_found_among_all() {
        let values: Vec<f64> =
            normal(60).iter().enumerate().map(|(i, v)| v + f64::from(u8::from(i % 9 == 0)) * 4.0).collect();
        let best = sure_threshold(&values, 1.0);
        let least = values.iter().map(|v| sure(&values, 1.0, v.abs())).fold(sure(&values, 1.0, 0.0), f64::min);
        assert!(best > 0.0 && (sure(&values, 1.0, best) - least).abs() < 1e-9);
    }

    // sqrt(2 ln 1024) = 3.723297; BayesShrink with mean square 5 and sigma 1: 1 / 2.
    #[test]
    fn other_thresholds_by_hand() {
        assert!((universal(0.5, 1024) - 0.5 * 3.723_297).abs() < 1e-6);
        assert_eq!(bayes_threshold(&[1.0, 3.0], 1.0), 0.5);
        assert_eq!(bayes_threshold(&[0.5, -0.5], 1.0), f64::INFINITY);
        assert!((deviation(&[3.0, -1.0, 0.0, 2.0, -7.0]) - 2.0 / 0.6745).abs() < 1e-12);
        assert!((deviation(&[3.0, -1.0, 0.0, 2.0]) - 1.5 / 0.6745).abs() < 1e-12);
        // Of 20000 normal numbers the deviation is 1 to 0.0083 (its standard error, times 4: 0.033).
        assert!((deviation(&normal(20_000)) - 1.0).abs() < 0.033);
    }

    #[test]
    fn without_thresholds_the_picture_comes_back() {
        for (wavelet, spinning) in WAVELETS.into_iter().flat_map(|wavelet| [(wavelet, false), (wavelet, true)]) {
            for channels in [1, 3] {
                let noisy = picture(channels);
                for (edges, rule) in EDGES.into_iter().flat_map(|edges| RULES.map(|rule| (edges, rule))) {
                    let same = Shrinkage { wavelet, spinning, edges }.denoise(&noisy, &noisy, 1.0, rule, 0.0);
                    assert!(same.squared_error(&noisy) < 1e-24, "{wavelet:?} {spinning} {channels} {edges:?} {rule:?}");
                }
            }
        }
    }

    /// The picture moved around by some rows and columns.
    fn moved(picture: &Planes, [down, right]: [usize; 2]) -> Planes {
        let size = [picture.height, picture.width];
        let one =
            |plane: &Vec<f64>| convolved(&convolved(plane, size, &[0.0, 1.0], 0, down), size, &[0.0, 1.0], 1, right);
        picture.with(picture.channels.iter().map(one).collect())
    }

    // Coifman and Donoho: the mean over all 4 x 4 shifts of shift, shrink, shift back, with two levels.
    #[test]
    fn spinning_is_the_mean_over_all_shifts() {
        let noisy = picture(1);
        for wavelet in WAVELETS {
            let with = |spinning: bool, noisy: &Planes| {
                Shrinkage { wavelet, spinning, edges: Edges::Periodic }.denoise(noisy, noisy, 0.3, Rule::Universal, 1.0)
            };
            let mut mean = vec![0.0; 16 * 24];
            for (down, right) in (0..4).flat_map(|down| (0..4).map(move |right| (down, right))) {
                let back = [(16 - down) % 16, (24 - right) % 24];
                let one = moved(&with(false, &moved(&noisy, [down, right])), back);
                mean.iter_mut().zip(&one.channels[0]).for_each(|(mean, value)| *mean += value / 16.0);
            }
            let error = with(true, &noisy).squared_error(&noisy.with(vec![mean]));
            assert!(error < 1e-20, "{wavelet:?}: {error}");
        }
    }

    // PyWavelets 1.9: the mean over all shifts of wavedec2 (periodization), soft thresholds of 0.3 on the details, and waverec2, of the
    // picture or of it and its mirror images. Two pixels, and the sum of squares.
    #[test]
    fn pywavelets_gives_the_same() {
        let values: Vec<f64> = (0..16 * 24).map(|i| (0.37 * f64::from(i)).sin() * f64::from(1 + i % 7) / 4.0).collect();
        let same = |wavelet, edges, [height, width]: [usize; 2], expected: [f64; 3]| {
            let picture = Planes { height, width, channels: vec![values[..height * width].to_vec()] };
            let found = Shrinkage { wavelet, spinning: true, edges }.denoise(&picture, &picture, 0.3, Rule::Fixed, 1.0);
            let found = &found.channels[0];
            let found = [found[0], found[7 * width + 10], found.iter().map(|v| v * v).sum()];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{wavelet:?} {edges:?}: {found:?}");
        };
        same(Wavelet::Haar, Edges::Periodic, [16, 24], [0.056_411_259_015, 0.053_785_985_528, 141.394_870_781_143]);
        same(Wavelet::Haar, Edges::Mirrored, [16, 24], [0.087_997_596_675, 0.053_785_985_528, 146.234_345_929_229]);
        same(Wavelet::Haar, Edges::Mirrored, [14, 11], [-0.031_339_985_637, 0.555_541_449_682, 64.456_524_633_152]);
        same(Wavelet::Haar, Edges::Mirrored, [17, 18], [0.265_226_821_604, 0.022_964_237_342, 138.513_955_636_842]);
        same(Wavelet::Db2, Edges::Periodic, [16, 24], [0.001_895_952_286, -0.016_049_491_301, 146.465_957_899_835]);
        same(Wavelet::Db2, Edges::Mirrored, [16, 24], [0.067_440_531_713, -0.017_155_406_708, 150.174_882_486_205]);
        same(Wavelet::Db2, Edges::Mirrored, [14, 11], [-0.052_808_751_244, 0.540_601_953_299, 64.725_926_039_007]);
        same(Wavelet::Db2, Edges::Mirrored, [17, 18], [0.248_634_437_816, 0.003_615_874_255, 151.289_195_479_489]);
    }

    // Of noise alone nothing is left by the universal threshold but what is lowest; the oracle does no worse than it.
    #[test]
    fn rules_take_noise_away() {
        let clean = Planes { height: 32, width: 32, channels: vec![vec![0.4; 1024]] };
        let noisy = clean.with(vec![normal(1024).iter().map(|v| 0.4 + 0.1 * v).collect()]);
        let shrinkage = Shrinkage { wavelet: Wavelet::Db2, spinning: true, edges: Edges::Mirrored };
        let error = |rule| shrinkage.denoise(&noisy, &clean, 0.1, rule, 1.0).squared_error(&clean);
        let raw = noisy.squared_error(&clean);
        for rule in RULES {
            assert!(error(rule) < 0.1 * raw, "{}: {} of {raw}", rule.name(), error(rule));
        }
        assert!(error(Rule::Oracle) <= error(Rule::Universal));
    }
}
