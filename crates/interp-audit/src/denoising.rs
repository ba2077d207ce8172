//! How well a network takes noise away, over its thresholds' dial and over the noise, beside wavelet shrinkage.

use candle_core::{DType, Device};
use interp_data::{Augment, Batch, Info, Loader, Noise};
use interp_net::finding::{Better, Figure, Finding, Number, Series};
use interp_net::ops::banks::Wavelet;
use interp_net::{Mode, Network};
use rayon::prelude::*;

use crate::pass::{BATCH, images};
use crate::pictures::Pictures;
use crate::shrinkage::{Edges, Planes, RULES, Rule, Shrinkage};
use crate::zeros::Zeros;
use crate::{AuditError, Result};

/// A network with thresholds that takes noise away, and what it is measured on.
pub struct Denoising<'a> {
    /// The network.
    pub net: &'a Network,
    /// The pictures.
    pub pictures: &'a Pictures,
    /// How many of them, at most.
    pub limit: usize,
    /// The noise that the network was trained for: standard deviation, pixel values being in [0, 1].
    pub noise: f64,
}

/// What all thresholds are multiplied with.
const DIALS: [f64; 9] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];
/// The noise that is measured with, as shares of that trained for.
const NOISES: [f64; 4] = [0.5, 1.0, 1.5, 2.0];
/// The strongest of the wavelets here, for the curves.
const SPUN: Shrinkage = Shrinkage { wavelet: Wavelet::Db2, spinning: true, edges: Edges::Mirrored };

/// A batch with noise, and its pictures in [0, 1] with and without.
struct Sample {
    batch: Batch,
    clean: Vec<Planes>,
    noisy: Vec<Planes>,
}

/// What was measured of a network.
struct Measured {
    /// Of each picture, in dB.
    psnr: Vec<f64>,
    /// Codes that are not zero, for each value of the picture.
    codes: f64,
}

impl Denoising<'_> {
    /// The curves, the table of wavelets, and how far the network is above the best of them.
    ///
    /// # Errors
    /// If the network has no thresholds, makes no pictures of the size of those that it is given, or cannot be run.
    pub fn finding(&self) -> Result<Finding> {
        self.check()?;
        let samples = self.samples(self.noise)?;
        let own = self.network(&samples, 1.0)?.psnr;
        let table = table(&samples, self.noise);
        let best = table.iter().filter(|row| row.rule != Rule::Universal).max_by(|a, b| a.mean().total_cmp(&b.mean()));
        let best = best.ok_or(AuditError::NoPictures)?;
        let of_rule = |rule| table.iter().filter(|row| row.rule == rule).max_by(|a, b| a.mean().total_cmp(&b.mean()));
        let universal = of_rule(Rule::Universal).ok_or(AuditError::NoPictures)?;
        let numbers = vec![
            ("PSNR of the network".to_owned(), decibels(mean(&own))),
            (format!("PSNR of {}", best.name()), decibels(best.mean())),
            ("Above the best of SURE, BayesShrink and the oracle".to_owned(), gain(&own, &best.psnr)),
            ("Above the best with the universal threshold".to_owned(), gain(&own, &universal.psnr)),
        ];
        let statement = format!(
            "On {} pictures with noise of standard deviation {}, the network reaches a PSNR of {:.2} dB; the best wavelet shrinkage, {}, \
             reaches {:.2} dB.",
            own.len(),
            self.noise,
            mean(&own),
            best.name(),
            best.mean()
        );
        let figures =
            vec![self.dial_curves(&samples, &table)?, self.noise_curves()?, self.compression()?, shown(&own, &table)];
        let (name, title) = ("shrinkage".into(), "Beside wavelet shrinkage".into());
        Ok(Finding { name, title, statement, numbers, figures })
    }

    fn check(&self) -> Result<()> {
        let graph = &self.net.graph;
        let info = self.pictures.data.info();
        let makes_pictures = graph.shape(graph.output()) == [info.channels, info.height, info.width];
        let has_thresholds = !self.net.thresholds()?.is_empty();
        if makes_pictures && has_thresholds { Ok(()) } else { Err(AuditError::NotDenoising) }
    }

    /// The pictures with noise; everyone who measures adds the same.
    fn samples(&self, noise: f64) -> Result<Vec<Sample>> {
        let Pictures { data, split, workers, .. } = self.pictures;
        let info = data.info();
        let loader = Loader::new(data.clone(), *split, BATCH, *workers, Augment::default(), 0)?;
        let sample = |batch: Batch| {
            let noisy = Noise::for_measuring(noise).on(&batch, info);
            let planes = |batch: &Batch| batch.images.chunks_exact(info.pixels()).map(|p| planes(p, info)).collect();
            Sample { clean: planes(&batch), noisy: planes(&noisy), batch: noisy }
        };
        loader.in_order(Some(self.limit)).map(|batch| Ok(sample(batch?))).collect()
    }

    /// What the network makes of pictures with all of its thresholds times `dial`.
    fn network(&self, samples: &[Sample], dial: f64) -> Result<Measured> {
        let (net, info) = (dialed(self.net, dial)?, self.pictures.data.info());
        let thresholds: Vec<_> = net.thresholds()?.into_iter().map(|(node, _)| node).collect();
        let mut zeros = Zeros::of(&net, &thresholds);
        let (mut psnr, mut codes) = (vec![], 0.0);
        let cells: usize = thresholds.iter().map(|&node| net.graph.shape(node).iter().product::<usize>()).sum();
        for sample in samples {
            let tape = net.forward(&images(&net, &sample.batch)?, Mode::Eval, &zeros.keep())?;
            zeros.observe(&net, &tape)?;
            let made = tape.output(&net.graph)?.to_device(&Device::Cpu)?.permute((0, 2, 3, 1))?; // (N, H, W, C)
            let made = made.to_dtype(DType::F32)?.flatten_from(1)?.to_vec2::<f32>()?;
            psnr.extend(
                made.iter()
                    .zip(&sample.clean)
                    .map(|(made, clean)| decibels_of(planes(made, info).squared_error(clean))),
            );
        }
        if let Some(share) = zeros.share() {
            codes = (1.0 - share) * cells as f64 / info.pixels() as f64;
        }
        Ok(Measured { psnr, codes })
    }

    fn dial_curves(&self, samples: &[Sample], table: &[Row]) -> Result<Figure> {
        let own = |dial: f64| Ok([dial, mean(&self.network(samples, dial)?.psnr)]);
        let mut series =
            vec![Series { name: "network".into(), points: DIALS.into_iter().map(own).collect::<Result<_>>()? }];
        for rule in [Rule::Universal, Rule::Sure, Rule::Bayes] {
            let point = |dial: f64| [dial, mean(&by_rule(samples, SPUN, rule, self.noise, dial))];
            series.push(Series { name: rule.name().into(), points: DIALS.map(point).to_vec() });
        }
        let oracle = table.iter().find(|row| row.rule == Rule::Oracle && row.with == SPUN).map_or(f64::NAN, Row::mean);
        series.push(Series { name: Rule::Oracle.name().into(), points: DIALS.map(|dial| [dial, oracle]).to_vec() });
        Ok(Figure::Curves {
            title: "The dial".into(),
            caption: "All thresholds times one number, at the noise trained for. Wavelets are db2 with cycle spinning; the oracle \
                      has a dial of its own for every picture."
                .into(),
            x: "what thresholds are multiplied with".into(),
            y: "PSNR (dB)".into(),
            series,
        })
    }

    fn noise_curves(&self) -> Result<Figure> {
        let names = ["network", "network, dial as the noise"].into_iter().chain(RULES.map(Rule::name));
        let mut series: Vec<Series> = names.map(|name| Series { name: name.into(), points: vec![] }).collect();
        for times in NOISES {
            let noise = times * self.noise;
            let samples = self.samples(noise)?;
            let [fixed, turned] = [1.0, times].map(|dial| self.network(&samples, dial));
            let rules = RULES.map(|rule| mean(&by_rule(&samples, SPUN, rule, noise, 1.0)));
            let all = [mean(&fixed?.psnr), mean(&turned?.psnr)].into_iter().chain(rules);
            series.iter_mut().zip(all).for_each(|(line, psnr)| line.points.push([noise, psnr]));
        }
        Ok(Figure::Curves {
            title: "Other noise".into(),
            caption: format!(
                "The network was trained for {}. With its dial turned as the noise, its thresholds are as many deviations of the noise \
                 as they were. Wavelets are db2 with cycle spinning, and are told the noise.",
                self.noise
            ),
            x: "standard deviation of the noise".into(),
            y: "PSNR (dB)".into(),
            series,
        })
    }

    fn compression(&self) -> Result<Figure> {
        let clean = self.samples(0.0)?;
        let own = |dial: f64| {
            let found = self.network(&clean, dial)?;
            Ok([found.codes, mean(&found.psnr)])
        };
        let own: Vec<[f64; 2]> = DIALS[1..].iter().map(|&dial| own(dial)).collect::<Result<_>>()?;
        let basis = Shrinkage { spinning: false, edges: Edges::Periodic, ..SPUN };
        let values = self.pictures.data.info().pixels() as f64;
        let wavelet = |dial: &f64| {
            let theta = dial * self.noise;
            let one = |picture: &Planes| {
                let found = basis.denoise(picture, picture, theta, Rule::Fixed, 1.0);
                (basis.nonzero(picture, theta) as f64 / values, decibels_of(found.squared_error(picture)))
            };
            let (codes, psnr): (Vec<f64>, Vec<f64>) = clean.iter().flat_map(|sample| &sample.clean).map(one).unzip();
            [mean(&codes), mean(&psnr)]
        };
        let series = [("network", own), ("db2, an orthonormal basis", DIALS[1..].iter().map(wavelet).collect())];
        Ok(Figure::Curves {
            title: "How much of a picture is in few codes".into(),
            caption: "Pictures without noise, over the dial: codes that are not zero, of all layers, for each value of the picture. The \
                      network has many more codes than values; the basis has as many."
                .into(),
            x: "codes that are not zero, for each value".into(),
            y: "PSNR (dB)".into(),
            series: series.map(|(name, points)| Series { name: name.into(), points }).to_vec(),
        })
    }
}

/// A line of the table of wavelets.
struct Row {
    with: Shrinkage,
    rule: Rule,
    /// Of each picture, in dB.
    psnr: Vec<f64>,
}

impl Row {
    fn mean(&self) -> f64 {
        mean(&self.psnr)
    }

    fn name(&self) -> String {
        let spinning = if self.with.spinning { " with cycle spinning" } else { "" };
        format!("{} of {}{spinning}", self.rule.name(), self.wavelet())
    }

    fn wavelet(&self) -> &'static str {
        match self.with.wavelet {
            Wavelet::Haar => "Haar",
            Wavelet::Db2 => "db2",
        }
    }
}

fn table(samples: &[Sample], noise: f64) -> Vec<Row> {
    let mut rows = vec![];
    for spinning in [false, true] {
        for wavelet in [Wavelet::Haar, Wavelet::Db2] {
            let with = Shrinkage { wavelet, spinning, ..SPUN };
            rows.extend(RULES.map(|rule| Row { with, rule, psnr: by_rule(samples, with, rule, noise, 1.0) }));
        }
    }
    rows
}

fn shown(own: &[f64], table: &[Row]) -> Figure {
    let cells = |row: &Row| {
        let spinning = if row.with.spinning { "yes" } else { "no" };
        let gain = mean(own) - row.mean();
        vec![
            row.rule.name().into(),
            row.wavelet().into(),
            spinning.into(),
            format!("{:.2}", row.mean()),
            format!("{gain:+.2}"),
        ]
    };
    let columns = ["rule", "wavelet", "cycle spinning", "PSNR (dB)", "network above it (dB)"];
    Figure::Table {
        title: "Wavelet shrinkage on the same pictures".into(),
        caption: "Soft thresholds on all bands of details, of colors along opponent axes, down to where a picture has four to seven \
                  cells in a row or column; pictures go on mirrored, and the noise is known. The oracle has one threshold for each \
                  picture, the best of all; SURE and BayesShrink one for each band."
            .into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: table.iter().map(cells).collect(),
    }
}

/// What a rule makes of pictures, of each in dB.
fn by_rule(samples: &[Sample], with: Shrinkage, rule: Rule, noise: f64, dial: f64) -> Vec<f64> {
    let pairs: Vec<(&Planes, &Planes)> = samples.iter().flat_map(|s| s.noisy.iter().zip(&s.clean)).collect();
    let one = |(noisy, clean): &(&Planes, &Planes)| with.denoise(noisy, clean, noise, rule, dial).squared_error(clean);
    pairs.par_iter().map(one).map(decibels_of).collect()
}

/// The same network with all thresholds times `dial`.
fn dialed(net: &Network, dial: f64) -> Result<Network> {
    let mut dialed = net.clone();
    for (node, thresholds) in net.thresholds()? {
        dialed.set_thresholds(node, thresholds.iter().map(|&theta| (dial * f64::from(theta)) as f32).collect())?;
    }
    Ok(dialed)
}

/// A normalized picture, (H, W, C), in pixel values.
fn planes(picture: &[f32], info: &Info) -> Planes {
    let (mean, std) = (&info.mean, &info.std);
    let value = |channel: usize, value: &f32| f64::from(*value) * f64::from(std[channel]) + f64::from(mean[channel]);
    let channel = |c: usize| picture.iter().skip(c).step_by(info.channels).map(|v| value(c, v)).collect();
    Planes { height: info.height, width: info.width, channels: (0..info.channels).map(channel).collect() }
}

/// `10 log10(1 / squared error)`, at most 100 dB; what is not a number stays so.
fn decibels_of(error: f64) -> f64 {
    let counted = if error < 1e-10 { 1e-10 } else { error };
    -10.0 * f64::log10(counted)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn decibels(value: f64) -> Number {
    Number::new(value, "dB", Better::Higher)
}

/// The mean difference of pairs, with the interval of the normal distribution: 1.96 standard errors to either side. One pair has
/// none.
fn gain(own: &[f64], other: &[f64]) -> Number {
    let differences: Vec<f64> = own.iter().zip(other).map(|(a, b)| a - b).collect();
    let (count, middle) = (differences.len() as f64, mean(&differences));
    if differences.len() < 2 {
        return decibels(middle);
    }
    let variance = differences.iter().map(|d| (d - middle).powi(2)).sum::<f64>() / (count - 1.0);
    let half = 1.96 * (variance / count).sqrt();
    decibels(middle).with_interval(middle - half, middle + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Squared errors of 1/100 and 1/2; of a perfect picture and of one that is no picture.
    #[test]
    fn decibels_by_hand() {
        assert!((decibels_of(0.01) - 20.0).abs() < 1e-12 && (decibels_of(0.5) - 3.010_299_956).abs() < 1e-9);
        assert!(decibels_of(0.0) == 100.0 && decibels_of(f64::NAN).is_nan());
    }

    // Differences of 1, 2 and 6: mean 3, variance (4 + 1 + 9) / 2, so that a standard error is sqrt(7 / 3).
    #[test]
    fn the_gain_by_hand() {
        let found = gain(&[11.0, 12.0, 16.0], &[10.0; 3]);
        let half = 1.96 * (7.0f64 / 3.0).sqrt();
        let interval = found.interval.unwrap();
        assert_eq!(found.value, 3.0);
        assert!((interval[0] - 3.0 + half).abs() < 1e-12 && (interval[1] - 3.0 - half).abs() < 1e-12);
        assert_eq!(gain(&[1.0], &[0.0]).interval, None);
    }
}
