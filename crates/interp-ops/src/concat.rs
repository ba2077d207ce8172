//! Channels of several maps, or features of several vectors, one after another.

use candle_core::Tensor;

use crate::{OpError, Result, channels_last};

/// Inputs (N, C_i, H, W) to (N, sum of C_i, H, W), or (N, F_i) to (N, sum of F_i).
///
/// # Errors
/// If there is no input, they are neither maps nor vectors, or differ in more than the second size.
pub fn concat(inputs: &[&Tensor]) -> Result<Tensor> {
    let expected = || "maps (N, C, H, W) or vectors (N, F) that differ in the second size alone".to_owned();
    let wrong = |given: String| OpError::Shape { op: "concat", given, expected: expected() };
    match inputs.first().map(|first| first.rank()) {
        Some(4) => {
            let rows = inputs.iter().map(|x| x.permute((0, 2, 3, 1))).collect::<candle_core::Result<Vec<_>>>()?;
            let joined = Tensor::cat(&rows, 3)?; // (N, H, W, sum of C), as it lies in memory
            channels_last(&joined.permute((0, 3, 1, 2))?)
        }
        Some(2) => Ok(Tensor::cat(inputs, 1)?),
        _ => Err(wrong(format!("{:?}", inputs.iter().map(|x| x.dims()).collect::<Vec<_>>()))),
    }
}

/// The part of the gradient that belongs to the input whose `channels` begin at `first`.
///
/// # Errors
/// If `grad` has not as many channels.
pub fn concat_backward(grad: &Tensor, first: usize, channels: usize) -> Result<Tensor> {
    let part = grad.narrow(1, first, channels)?;
    if grad.rank() == 4 { channels_last(&part) } else { Ok(part.contiguous()?) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn ramp(shape: &[usize], from: f64) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::arange(from, from + count as f64, &Device::Cpu).unwrap().reshape(shape).unwrap()
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        for (a, b) in [(ramp(&[2, 1, 3, 2], 0.0), ramp(&[2, 3, 3, 2], 50.0)), (ramp(&[2, 4], 0.0), ramp(&[2, 1], 9.0))]
        {
            let joined = concat(&[&a, &b]).unwrap();
            assert_eq!(joined.dim(1).unwrap(), a.dim(1).unwrap() + b.dim(1).unwrap());
            let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let parts = [
                concat_backward(&joined, 0, a.dim(1).unwrap()),
                concat_backward(&joined, a.dim(1).unwrap(), b.dim(1).unwrap()),
            ];
            assert_eq!(parts.map(|part| values(&part.unwrap())), [values(&a), values(&b)]);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(concat(&[]).is_err());
        assert!(concat(&[&ramp(&[2, 3], 0.0), &ramp(&[3, 3], 0.0)]).is_err());
        assert!(concat(&[&ramp(&[2, 3, 2, 2], 0.0), &ramp(&[2, 3, 2, 1], 0.0)]).is_err());
        assert!(concat(&[&ramp(&[2, 3, 2], 0.0)]).is_err());
    }
}
