//! The loss of a sparse code and its gradients, on rows of activations.

use candle_core::{DType, Tensor};
use interp_net::ops;

use super::Kind;
use crate::Result;

/// The parameters of a sparse code of m latents for d channels.
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// (m, d).
    pub(super) encoder: Tensor,
    /// (m).
    pub(super) bias: Tensor,
    /// Below which a latent is 0: (m), or (1) for all; none where there is no threshold.
    pub(super) threshold: Option<Tensor>,
    /// (d, m), each column of length 1.
    pub(super) decoder: Tensor,
    /// (d).
    pub(super) shift: Tensor,
}

/// What steers a code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) kind: Kind,
    /// Latents that are to be active at a position, on average.
    pub(super) active: f64,
    /// Weight of the penalty on activity, of kinds that have one.
    pub(super) strength: f64,
    /// The width of the kernel by which thresholds learn from steps.
    pub(super) bandwidth: f64,
}

/// What a batch says.
pub(super) struct Found {
    /// All that is minimized.
    pub(super) loss: f64,
    /// Share of the variance that is not reconstructed.
    #[cfg(test)]
    pub(super) unexplained: f64,
    /// Latents active in a row, on average.
    pub(super) active: f64,
    /// Of each latent in how many rows it is active.
    pub(super) fired: Vec<f64>,
    /// The least value of an active latent.
    pub(super) least: f64,
    /// Gradients of the loss.
    pub(super) gradients: Code,
}

/// How much the reconstruction of what is left by dead latents counts (Gao et al. 2024, arXiv 2406.04093, appendix A.2).
const REVIVAL: f64 = 1.0 / 32.0;

impl Code {
    /// Of rows (T, d): the mean squared distance to their reconstruction as a share of their variance, and what the kind adds; `dead` are latents that have
    /// long been silent. `None` of rows that do not vary.
    pub(super) fn loss(&self, rows: &Tensor, aim: Aim, dead: &[u32]) -> Result<Option<Found>> {
        let count = rows.dim(0)? as f64;
        let variance = scalar(&rows.broadcast_sub(&rows.mean_keepdim(0)?)?.sqr()?.sum_all()?)? / count;
        if variance < LEAST {
            return Ok(None);
        }
        let pre = ops::linear(rows, &self.encoder, Some(&self.bias))?; // (T, m)
        let latents = self.latents(&pre, aim)?;
        let mask = latents.gt(0.0)?.to_dtype(rows.dtype())?;
        let rest = (ops::linear(&latents, &self.decoder, Some(&self.shift))? - rows)?; // (T, d)
        let unexplained = scalar(&rest.sqr()?.sum_all()?)? / count / variance;
        let back = (&rest * (2.0 / (count * variance)))?;
        let below = back.matmul(&self.decoder)?; // (T, m)
        let mut found = Found {
            loss: unexplained,
            #[cfg(test)]
            unexplained,
            active: scalar(&mask.sum_all()?)? / count,
            fired: mask.sum(0)?.to_dtype(DType::F64)?.to_vec1()?,
            least: scalar(
                &mask.eq(0.0)?.where_cond(&(mask.ones_like()? * f64::from(f32::MAX))?, &latents)?.min_all()?,
            )?,
            gradients: Self {
                encoder: self.encoder.zeros_like()?,
                bias: self.bias.zeros_like()?,
                threshold: self.threshold.as_ref().map(Tensor::zeros_like).transpose()?,
                decoder: back.t()?.matmul(&latents)?,
                shift: back.sum(0)?,
            },
        };
        let mut of_pre = (&below * &mask)?;
        let share = aim.strength / count;
        match aim.kind {
            Kind::TopK | Kind::BatchTopK => {}
            Kind::Relu => {
                found.loss += share * scalar(&latents.sum_all()?)?;
                of_pre = (of_pre + (&mask * share)?)?;
            }
            Kind::JumpRelu => self.jump(&pre, &below, aim, &mut found)?,
            Kind::Gated => of_pre = (of_pre + self.gate(rows, &pre, variance, share, &mut found)?)?,
        }
        if !dead.is_empty() {
            of_pre = (of_pre + self.revive(&pre, &rest, dead, &mut found)?)?;
        }
        found.gradients.encoder = of_pre.t()?.matmul(rows)?;
        found.gradients.bias = of_pre.sum(0)?;
        Ok(Some(found))
    }

    /// What latents are in training.
    fn latents(&self, pre: &Tensor, aim: Aim) -> Result<Tensor> {
        let (rows, width) = pre.dims2()?;
        let winners = (aim.active.round() as usize).max(1);
        Ok(match aim.kind {
            Kind::Relu => ops::relu(pre)?,
            Kind::TopK => ops::k_winners(pre, winners)?,
            Kind::BatchTopK => {
                let all = ((aim.active * rows as f64).round() as usize).max(1);
                ops::k_winners(&pre.reshape((1, rows * width))?, all)?.reshape((rows, width))?
            }
            Kind::JumpRelu | Kind::Gated => {
                let above = self.over(pre)?.gt(0.0)?.to_dtype(pre.dtype())?;
                (ops::relu(pre)? * above)?
            }
        })
    }

    /// How far numbers are above the thresholds.
    fn over(&self, pre: &Tensor) -> Result<Tensor> {
        Ok(match &self.threshold {
            Some(threshold) => pre.broadcast_sub(threshold)?,
            None => pre.clone(),
        })
    }

    /// Thresholds learn through a kernel of the bandwidth around them: from what reconstruction would gain, and from how far activity is from its aim,
    /// `strength (L0 / aim - 1)^2` (Rajamanoharan et al. 2024, arXiv 2407.14435, eq. 11 and 12, and appendix F).
    fn jump(&self, pre: &Tensor, below: &Tensor, aim: Aim, found: &mut Found) -> Result<()> {
        let Some(threshold) = &self.threshold else { return Ok(()) };
        let near = (self.over(pre)?.abs()?.le(aim.bandwidth / 2.0)?.to_dtype(pre.dtype())? * (1.0 / aim.bandwidth))?;
        let off = found.active / aim.active - 1.0;
        found.loss += aim.strength * off * off;
        let by_activity = aim.strength * 2.0 * off / (aim.active * pre.dim(0)? as f64);
        let of_threshold = ((below * &near)?.sum(0)? * threshold)?;
        let of_activity = (near.sum(0)? * by_activity)?;
        found.gradients.threshold = Some((of_threshold + of_activity)?.neg()?);
        Ok(())
    }

    /// What gates alone, as latents, fail to reconstruct with the decoder held, and how open they are (Rajamanoharan et al. 2024, arXiv 2404.16014, eq. 8).
    fn gate(&self, rows: &Tensor, pre: &Tensor, variance: f64, share: f64, found: &mut Found) -> Result<Tensor> {
        let count = rows.dim(0)? as f64;
        let open = ops::relu(&self.over(pre)?)?;
        let rest = (ops::linear(&open, &self.decoder, Some(&self.shift))? - rows)?;
        found.loss += scalar(&rest.sqr()?.sum_all()?)? / count / variance + share * scalar(&open.sum_all()?)?;
        let below = ((rest * (2.0 / (count * variance)))?.matmul(&self.decoder)? + share)?;
        let of_gate = (below * open.gt(0.0)?.to_dtype(rows.dtype())?)?;
        found.gradients.threshold = self.threshold.as_ref().map(|_| of_gate.sum(0)?.neg()).transpose()?;
        Ok(of_gate)
    }

    /// Dead latents are taught by what the others leave.
    fn revive(&self, pre: &Tensor, rest: &Tensor, dead: &[u32], found: &mut Found) -> Result<Tensor> {
        let index = Tensor::new(dead, pre.device())?;
        let own = pre.index_select(&index, 1)?; // (T, dead)
        let most = (self.shift.dim(0)? / 2).clamp(1, dead.len());
        let latents = ops::k_winners(&own, most)?;
        let chosen = latents.gt(0.0)?.to_dtype(pre.dtype())?;
        let columns = self.decoder.index_select(&index, 1)?.contiguous()?; // (d, dead)
        let size = scalar(&rest.sqr()?.sum_all()?)?.max(LEAST);
        let left = (latents.matmul(&columns.t()?)? + rest)?;
        found.loss += REVIVAL * scalar(&left.sqr()?.sum_all()?)? / size;
        let back = (left * (2.0 * REVIVAL / size))?;
        let of_columns = back.t()?.matmul(&latents)?;
        found.gradients.decoder = found.gradients.decoder.index_add(&index, &of_columns, 1)?;
        let of_own = (back.matmul(&columns)? * chosen)?;
        Ok(pre.zeros_like()?.index_add(&index, &of_own, 1)?)
    }
}

/// Below this nothing varies.
const LEAST: f64 = 1e-20;

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    fn waves(shape: &[usize], step: f64) -> Tensor {
        let values: Vec<f64> = (0..shape.iter().product::<usize>()).map(|at| (0.4 + at as f64 * step).sin()).collect();
        tensor(&values, shape)
    }

    fn list(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn aim(kind: Kind) -> Aim {
        Aim { kind, active: 2.0, strength: 0.3, bandwidth: 0.05 }
    }

    fn code(kind: Kind) -> Code {
        let threshold =
            matches!(kind, Kind::JumpRelu | Kind::Gated).then(|| tensor(&[0.05, 0.1, 0.2, 0.0, 0.15, 0.3], &[6]));
        Code {
            encoder: waves(&[6, 4], 0.9),
            bias: waves(&[6], 0.5),
            threshold,
            decoder: waves(&[4, 6], 1.3),
            shift: waves(&[4], 0.2),
        }
    }

    // The identity explains all; a decoder of zeros nothing more than a shift by the mean does.
    #[test]
    fn what_is_left_unexplained() {
        let rows = ops::relu(&waves(&[5, 3], 0.7)).unwrap();
        let one = Tensor::eye(3, DType::F64, &Device::Cpu).unwrap();
        let nothing = tensor(&[0.0; 3], &[3]);
        let identity = Code {
            encoder: one.clone(),
            bias: nothing.clone(),
            threshold: None,
            decoder: one.clone(),
            shift: nothing.clone(),
        };
        let relu = Aim { strength: 0.0, ..aim(Kind::Relu) };
        assert_eq!(identity.loss(&rows, relu, &[]).unwrap().unwrap().unexplained, 0.0);
        let mean = Code { decoder: one.zeros_like().unwrap(), shift: rows.mean(0).unwrap(), ..identity };
        assert!((mean.loss(&rows, relu, &[]).unwrap().unwrap().unexplained - 1.0).abs() < 1e-12);
    }

    // Of 3, 1, 2 the two largest; over two rows the four largest, which may be three of one.
    #[test]
    fn winners_of_a_row_and_of_a_batch() {
        let one = Code {
            encoder: Tensor::eye(3, DType::F64, &Device::Cpu).unwrap(),
            bias: tensor(&[0.0; 3], &[3]),
            threshold: None,
            decoder: Tensor::eye(3, DType::F64, &Device::Cpu).unwrap(),
            shift: tensor(&[0.0; 3], &[3]),
        };
        let rows = tensor(&[3.0, 1.0, 2.0, 0.5, 0.25, 0.75], &[2, 3]);
        let found = |kind| list(&one.latents(&rows, aim(kind)).unwrap());
        assert_eq!(found(Kind::TopK), [3.0, 0.0, 2.0, 0.5, 0.0, 0.75]);
        assert_eq!(found(Kind::BatchTopK), [3.0, 1.0, 2.0, 0.0, 0.0, 0.75]);
    }

    // With a threshold of 0.1, a bandwidth of 0.05 and 0.1 coming in, the threshold's gradient is -0.1 / 0.05; further above than half the
    // bandwidth it is 0.
    #[test]
    fn thresholds_learn_near_themselves_alone() {
        let single = |value: f64| {
            let zero = tensor(&[0.0], &[1]);
            let code = Code {
                encoder: tensor(&[1.0], &[1, 1]),
                bias: zero.clone(),
                threshold: Some(tensor(&[0.1], &[1])),
                decoder: tensor(&[1.0], &[1, 1]),
                shift: zero,
            };
            let pre = tensor(&[value], &[1, 1]);
            let rows = tensor(&[1.0, 0.0], &[2, 1]);
            let mut found = code.loss(&rows, Aim { strength: 0.0, ..aim(Kind::JumpRelu) }, &[]).unwrap().unwrap();
            code.jump(&pre, &tensor(&[1.0], &[1, 1]), Aim { strength: 0.0, ..aim(Kind::JumpRelu) }, &mut found)
                .unwrap();
            list(&found.gradients.threshold.unwrap())[0]
        };
        assert!((single(0.1) + 2.0).abs() < 1e-12);
        assert_eq!(single(0.126).abs(), 0.0);
    }

    fn part<'a>(code: &'a mut Code, name: &str) -> Option<&'a mut Tensor> {
        match name {
            "encoder" => Some(&mut code.encoder),
            "bias" => Some(&mut code.bias),
            "decoder" => Some(&mut code.decoder),
            "shift" => Some(&mut code.shift),
            _ => code.threshold.as_mut(),
        }
    }

    /// Gradients that are derivatives, of all kinds, with and without dead latents; those of a jump's threshold are none.
    #[test]
    fn gradients_are_central_differences() {
        let rows = waves(&[7, 4], 0.37);
        for kind in [Kind::Relu, Kind::TopK, Kind::BatchTopK, Kind::JumpRelu, Kind::Gated] {
            for dead in [&[][..], &[1, 4]] {
                let base = code(kind);
                let mut gradients = base.loss(&rows, aim(kind), dead).unwrap().unwrap().gradients;
                // What dead latents are taught by is held, and so is the decoder where gates alone reconstruct.
                let names: &[&str] = match (kind, dead) {
                    (Kind::Gated, []) => &["encoder", "bias", "threshold"],
                    (_, []) => &["encoder", "bias", "decoder", "shift"],
                    _ => &[],
                };
                for name in names {
                    let found = list(part(&mut gradients, name).unwrap());
                    for (at, found) in found.into_iter().enumerate() {
                        let value = |by: f64| {
                            let mut moved = base.clone();
                            let tensor = part(&mut moved, name).unwrap();
                            let mut values = list(tensor);
                            values[at] += by;
                            *tensor = super::tests::tensor(&values, tensor.dims());
                            moved.loss(&rows, aim(kind), dead).unwrap().unwrap().loss
                        };
                        let slope = (value(1e-6) - value(-1e-6)) / 2e-6;
                        assert!((found - slope).abs() < 1e-6, "{kind:?} {name} {at}: {found}, not {slope}");
                    }
                }
            }
        }
    }

    /// What is left by the others is held: the gradient is that of the dead latents' own reconstruction of it.
    #[test]
    fn dead_latents_learn_what_is_left() {
        let (rows, dead, base) = (waves(&[7, 4], 0.37), [1, 4], code(Kind::TopK));
        let without = base.loss(&rows, aim(Kind::TopK), &[]).unwrap().unwrap();
        let with = base.loss(&rows, aim(Kind::TopK), &dead).unwrap().unwrap();
        let pre = ops::linear(&rows, &base.encoder, Some(&base.bias)).unwrap();
        let latents = base.latents(&pre, aim(Kind::TopK)).unwrap();
        let rest = (ops::linear(&latents, &base.decoder, Some(&base.shift)).unwrap() - &rows).unwrap();
        let size = scalar(&rest.sqr().unwrap().sum_all().unwrap()).unwrap();
        // Of two dead latents and four channels two may be active: those above 0 are.
        let value = |encoder: &[f64], decoder: &[f64]| {
            let (rows, rest, bias) = (rows.to_vec2::<f64>().unwrap(), rest.to_vec2::<f64>().unwrap(), list(&base.bias));
            let mut sum = 0.0;
            for (row, rest) in rows.iter().zip(&rest) {
                let z: Vec<f64> = dead
                    .iter()
                    .map(|&j| bias[j as usize] + (0..4).map(|c| encoder[j as usize * 4 + c] * row[c]).sum::<f64>())
                    .map(|z| z.max(0.0))
                    .collect();
                for (c, rest) in rest.iter().enumerate() {
                    let told: f64 = dead.iter().zip(&z).map(|(&j, z)| decoder[c * 6 + j as usize] * z).sum();
                    sum += (told + rest).powi(2);
                }
            }
            REVIVAL * sum / size
        };
        let (encoder, decoder) = (list(&base.encoder), list(&base.decoder));
        assert!((with.loss - without.loss - value(&encoder, &decoder)).abs() < 1e-12);
        for (found, before, is_encoder) in [
            (&with.gradients.encoder, &without.gradients.encoder, true),
            (&with.gradients.decoder, &without.gradients.decoder, false),
        ] {
            for (at, found) in list(&(found - before).unwrap()).into_iter().enumerate() {
                let moved = |by: f64| {
                    let (mut encoder, mut decoder) = (encoder.clone(), decoder.clone());
                    if is_encoder {
                        encoder[at] += by
                    } else {
                        decoder[at] += by
                    }
                    value(&encoder, &decoder)
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((found - slope).abs() < 1e-7, "{is_encoder} {at}: {found}, not {slope}");
            }
        }
    }
}
