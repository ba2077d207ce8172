//! Running a network over data.

use candle_core::{Device, Tensor};
use interp_data::{Batch, Batches};
use interp_net::ops::{Targets, cross_entropy};
use interp_net::{Keep, Mode, Network, Tape};

use crate::Result;

/// How well a network does on a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy in nats, without smoothing or class weights.
    pub loss: f64,
    /// Share of pictures whose largest logit is that of their label.
    pub accuracy: f64,
    /// For each picture, whether it was right; in order.
    pub correct: Vec<bool>,
}

/// The pictures of a batch as the network takes them: (N, C, H, W), in channels-last memory.
///
/// # Errors
/// If the batch does not hold N pictures of this size.
pub fn to_tensor(batch: &Batch, info: &interp_data::Info) -> Result<Tensor> {
    let shape = (batch.labels.len(), info.height, info.width, info.channels);
    Ok(Tensor::from_vec(batch.images.clone(), shape, &Device::Cpu)?.permute((0, 3, 1, 2))?) // (N, H, W, C) -> (N, C, H, W)
}

/// Runs the network over all batches, where it lies: loss and accuracy, and `each` is handed every batch with its pass, of
/// which `keep` is kept, and its logits (N, K) on the CPU. On the CPU results do not depend on how pictures are batched: losses are summed one picture at a
/// time.
///
/// # Errors
/// If a batch cannot be had or does not fit the network, or `each` fails.
pub fn evaluate(
    net: &Network,
    info: &interp_data::Info,
    batches: Batches,
    keep: &Keep,
    mut each: impl FnMut(&Batch, &Tape, &Tensor) -> Result<()>,
) -> Result<Evaluation> {
    let (mut loss, mut correct) = (0.0, vec![]);
    for batch in batches {
        let batch = batch?;
        let tape = net.forward(&to_tensor(&batch, info)?, Mode::Eval, keep)?;
        let logits = &tape.output(&net.graph)?.to_device(&Device::Cpu)?;
        for (row, &label) in batch.labels.iter().enumerate() {
            loss += cross_entropy(&logits.narrow(0, row, 1)?, Targets::Classes(&[label]), 0.0, None)?.loss;
        }
        correct.extend(hits(logits, &batch.labels)?);
        each(&batch, &tape, logits)?;
    }
    let count = correct.len().max(1) as f64;
    let accuracy = correct.iter().filter(|&&hit| hit).count() as f64 / count;
    Ok(Evaluation { loss: loss / count, accuracy, correct })
}

/// Whether the largest logit is that of the label; the first of equal ones counts.
///
/// # Errors
/// If the logits are not (N, K) in f32.
pub(crate) fn hits(logits: &Tensor, labels: &[u32]) -> Result<Vec<bool>> {
    let rows = logits.to_vec2::<f32>()?;
    let largest = |row: &[f32]| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
    Ok(rows.iter().zip(labels).map(|(row, &label)| largest(row) == Some(label as usize)).collect())
}
