//! Running a network over data.

use candle_core::{Device, Tensor};
use interp_data::{Batch, Batches};
use interp_net::{Keep, Mode, Network, Tape};

use crate::objective::Pass;
use crate::{Objective, Result, Score};

/// How well a network does on a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss of the objective: cross-entropy in nats without smoothing or class weights, the share of the noise that
    /// is left, or the negative evidence lower bound in nats, with codes at their means.
    pub loss: f64,
    /// The mean of `scores`.
    pub score: Score,
    /// For each picture, in order: 1 where it is right and 0 where not, or its PSNR in dB.
    pub scores: Vec<f64>,
}

/// The pictures of a batch as the network takes them: (N, C, H, W), in channels-last memory.
///
/// # Errors
/// If the batch does not hold N pictures of this size.
pub fn to_tensor(batch: &Batch, info: &interp_data::Info) -> Result<Tensor> {
    let shape = (batch.labels.len(), info.height, info.width, info.channels);
    Ok(Tensor::from_vec(batch.images.clone(), shape, &Device::Cpu)?.permute((0, 3, 1, 2))?) // (N, H, W, C) -> (N, C, H, W)
}

/// Runs the network over all batches, where it lies: loss and score, and `each` is handed every batch with its pass, of
/// which `keep` is kept, and its output on the CPU: logits (N, K), or pictures (N, C, H, W). On the CPU results do not depend
/// on how pictures are batched: losses are summed one picture at a time.
///
/// # Errors
/// If a batch cannot be had or does not fit the network, or `each` fails.
pub fn evaluate(
    net: &Network,
    objective: &Objective,
    info: &interp_data::Info,
    batches: Batches,
    keep: &Keep,
    mut each: impl FnMut(&Batch, &Tape, &Tensor) -> Result<()>,
) -> Result<Evaluation> {
    let (mut loss, mut scores) = (0.0, vec![]);
    let keep = &keep.with(&net.graph, &objective.taps(&net.graph)?);
    for batch in batches {
        let batch = batch?;
        let tape = net.forward(&objective.measuring_input(&batch, info)?, Mode::Eval, keep)?;
        let output = &tape.output(&net.graph)?.to_device(&Device::Cpu)?;
        let pass = Pass { net, tape: &tape, output };
        objective.losses(&pass, &batch, info)?.into_iter().for_each(|of_picture| loss += of_picture);
        scores.extend(objective.scores(output, &batch, info)?);
        each(&batch, &tape, output)?;
    }
    let count = scores.len().max(1) as f64;
    let score = objective.score(scores.iter().sum::<f64>() / count);
    Ok(Evaluation { loss: loss / count, score, scores })
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
