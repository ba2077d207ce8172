//! How long a network takes.

use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use interp_net::{Keep, Mode, Network};

use crate::Result;
use crate::summary::Latency;

/// Pictures of the larger batch.
const BATCH: usize = 64;
/// Passes at most, and the time after which there is no further one.
const MOST: usize = 9;
const ENOUGH: Duration = Duration::from_millis(300);

/// The time of a pass of one picture, and of 64, where the network lies. Pictures are black: none of its operations asks what it sees.
///
/// # Errors
/// If it cannot be run.
pub(super) fn latency(net: &Network) -> Result<Latency> {
    Ok(Latency { one: median_of(net, 1)?, batch: median_of(net, BATCH)? })
}

/// The median over some passes after a first one, in milliseconds.
fn median_of(net: &Network, pictures: usize) -> Result<f64> {
    let shape = [&[pictures], net.graph.shape(0)].concat();
    let x = Tensor::zeros(shape, DType::F32, &net.device())?;
    let pass = || -> Result<f64> {
        let began = Instant::now();
        // A device has done its work when its numbers are here.
        let tape = net.forward(&x, Mode::Eval, &Keep::Output)?;
        tape.output(&net.graph)?.flatten_all()?.to_vec1::<f32>()?;
        Ok(1e3 * began.elapsed().as_secs_f64())
    };
    pass()?;
    let (began, mut times) = (Instant::now(), vec![]);
    while times.is_empty() || (times.len() < MOST && began.elapsed() < ENOUGH) {
        times.push(pass()?);
    }
    Ok(interp_finding::median(times).unwrap_or_default())
}
