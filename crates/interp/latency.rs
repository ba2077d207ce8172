//! How long a network takes.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use interp_net::{Keep, Mode, Network};
use rand::Rng;

use crate::Result;
use crate::summary::Latency;

/// Pictures of the larger batch.
const BATCH: usize = 64;
/// Passes at most, and the time after which there is no further one.
const MOST: usize = 9;
const ENOUGH: Duration = Duration::from_millis(300);

/// A batch of normalized noise, (N, C, H, W), always the same.
///
/// # Errors
/// Where there is no room for it.
pub(crate) fn noise(network: &Network, batch: usize) -> Result<Tensor> {
    let shape = [&[batch], network.graph.shape(0)].concat();
    let mut stream = interp_finding::random::stream(0, "pictures of noise", 0, 0);
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| stream.random_range(-2.0..2.0)).collect();
    Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?)
}

/// The time of a pass of one picture of noise, and of 64, where the network lies.
///
/// # Errors
/// If it cannot be run.
pub(crate) fn latency(net: &Network) -> Result<Latency> {
    Ok(Latency { one: median_of(net, 1)?, batch: median_of(net, BATCH)? })
}

/// The median over some passes after a first one, in milliseconds.
fn median_of(net: &Network, pictures: usize) -> Result<f64> {
    let x = noise(net, pictures)?.to_device(&net.device())?;
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
