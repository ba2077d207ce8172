//! The optimizer's step.

use super::call::{Call, Dense, Held};
use super::kernels::{THREADS, each_part};
use crate::memory::{expect_shape, wrong_shape};
use crate::update::{Rule, Update, Updated};
use crate::{OpError, Result};
use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut, DeviceRepr, PushKernelArg};

/// `Part` of `kernels.cu`; addresses on the device.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Part {
    value: u64,
    grad: u64,
    buffers: [u64; 2],
    new_value: u64,
    new_buffers: [u64; 2],
    count: usize,
    rate: f32,
    decay: f32,
    root: f32,
}

// SAFETY: the structure in `kernels.cu`, whose pointers and `size_t` have 64 bits.
unsafe impl DeviceRepr for Part {}

/// `Beta` of `kernels.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Beta {
    kept: f32,
    added: f32,
}

// SAFETY: the structure in `kernels.cu`.
unsafe impl DeviceRepr for Beta {}

impl Beta {
    fn new(beta: f64) -> Self {
        Self { kept: beta as f32, added: (1.0 - beta) as f32 }
    }
}

/// The most blocks for a tensor: large ones take several numbers a thread.
const MOST_BLOCKS: usize = 256;

/// Tensors that one launch takes.
const MOST_PARTS: usize = 65535;

pub(crate) fn update(rule: &Rule, updates: &[Update<'_>], scale: f32) -> Result<Vec<Updated>> {
    let Some(first) = updates.first() else { return Ok(vec![]) };
    let call = on_device("update", first.value)?;
    let (mut old, mut new) = (vec![], vec![]);
    for update in updates {
        old.extend(dense(&call, rule, update)?);
        for _ in 0..1 + rule.buffers() {
            new.push(call.room::<f32>(update.value.elem_count())?);
        }
    }
    step(&call, rule, updates, scale, &old, &mut new)?;
    let mut new = new.into_iter();
    let take = |update: &Update<'_>| {
        let mut tensors = new.by_ref().take(1 + rule.buffers()).map(|numbers| call.rows(numbers, update.value.dims()));
        let value = tensors.next().unwrap_or_else(|| update.value.clone());
        Updated { value, buffers: tensors.collect() }
    };
    Ok(updates.iter().map(take).collect())
}

pub(crate) fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let call = on_device("sum_of_squares", first)?;
    let kernel = call.kernel("squares")?;
    let dense = tensors.iter().map(|tensor| call.row_by_row(tensor)).collect::<Result<Vec<_>>>()?;
    let held: Vec<Held<'_>> = dense.iter().map(Dense::hold).collect();
    let views = held.iter().map(Held::numbers::<f32>).collect::<Result<Vec<_>>>()?;
    let stream = call.device.cuda_stream();
    let read: Vec<_> = views.iter().map(|view| view.device_ptr(&stream)).collect();
    let counts = tensors.iter().map(|tensor| tensor.elem_count());
    let parts: Vec<Part> =
        read.iter().zip(counts).map(|((grad, _), count)| Part { grad: *grad, count, ..Part::default() }).collect();
    let mut total = 0.0;
    for parts in parts.chunks(MOST_PARTS) {
        let (blocks, table) = (blocks(parts), call.upload(parts)?);
        let mut sums = call.zeros::<f64>(blocks * parts.len())?; // Which stay where all tensors are empty.
        let mut arguments = call.arguments(&kernel);
        arguments.arg(&table).arg(&mut sums);
        // SAFETY: as the kernel declares them; a block writes its sum, for each part of the table.
        unsafe { call.run(&mut arguments, each_part(blocks, parts.len())) }?;
        total += call.device.clone_dtoh(&sums)?.iter().sum::<f64>();
    }
    Ok(total)
}

impl Rule {
    /// Buffers that the rule keeps for a tensor.
    fn buffers(&self) -> usize {
        match self {
            Self::Sgd { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }

    /// The part of an update: without addresses.
    fn part(&self, update: &Update<'_>) -> Part {
        let Update { rate, decay, .. } = *update;
        let count = update.value.elem_count();
        match *self {
            Self::Sgd { .. } => Part { count, rate: rate as f32, decay: decay as f32, ..Part::default() },
            Self::AdamW { betas, .. } => {
                let [first, second] = betas.map(|beta| 1.0 - beta.powf(update.count as f64));
                let (rate, decay, root) = (rate / first, 1.0 - rate * decay, 1.0 / second.sqrt());
                Part { count, rate: rate as f32, decay: decay as f32, root: root as f32, ..Part::default() }
            }
        }
    }
}

/// A call on the device of a tensor, which must be a CUDA device.
fn on_device(op: &'static str, tensor: &Tensor) -> Result<Call> {
    if tensor.device().is_cuda() {
        return Call::new(op, tensor);
    }
    Err(OpError::Unsupported { op, what: "a tensor on the CPU".into(), hint: "step in place there" })
}

/// Value, gradient and buffers of an update.
fn dense(call: &Call, rule: &Rule, update: &Update<'_>) -> Result<Vec<Dense>> {
    if update.buffers.len() != rule.buffers() {
        let given = format!("{} buffers", update.buffers.len());
        return Err(wrong_shape(call.op, given, format!("{} of them", rule.buffers())));
    }
    let tensors = [update.value, update.grad].into_iter().chain(update.buffers);
    let dense = |tensor: &Tensor| {
        expect_shape(call.op, "a gradient or buffer", tensor, update.value.dims())?;
        call.row_by_row(tensor)
    };
    tensors.map(dense).collect()
}

/// From `old`, the tensors of all updates, to `new`, room for the new values and buffers.
fn step(
    call: &Call,
    rule: &Rule,
    updates: &[Update<'_>],
    scale: f32,
    old: &[Dense],
    new: &mut [CudaSlice<f32>],
) -> Result<()> {
    let held: Vec<Held<'_>> = old.iter().map(Dense::hold).collect();
    let views = held.iter().map(Held::numbers::<f32>).collect::<Result<Vec<_>>>()?;
    let stream = call.device.cuda_stream();
    // Beside each address is what tells others of the use; it is dropped after the launch.
    let read: Vec<_> = views.iter().map(|view| view.device_ptr(&stream)).collect();
    let written: Vec<_> = new.iter_mut().map(|numbers| numbers.device_ptr_mut(&stream)).collect();
    let (reads, writes) = (read.chunks(2 + rule.buffers()), written.chunks(1 + rule.buffers()));
    let mut parts = vec![];
    for ((read, written), update) in reads.zip(writes).zip(updates) {
        let mut part = rule.part(update);
        (part.value, part.grad, part.new_value) = (read[0].0, read[1].0, written[0].0);
        part.buffers.iter_mut().zip(&read[2..]).for_each(|(buffer, (address, _))| *buffer = *address);
        part.new_buffers.iter_mut().zip(&written[1..]).for_each(|(buffer, (address, _))| *buffer = *address);
        parts.push(part);
    }
    parts.chunks(MOST_PARTS).try_for_each(|parts| launch(call, rule, parts, scale))
}

fn launch(call: &Call, rule: &Rule, parts: &[Part], scale: f32) -> Result<()> {
    let (table, config) = (call.upload(parts)?, each_part(blocks(parts), parts.len()));
    match *rule {
        Rule::Sgd { momentum, nesterov } => {
            let (kernel, momentum, nesterov) = (call.kernel("sgd")?, momentum as f32, i32::from(nesterov));
            let mut arguments = call.arguments(&kernel);
            arguments.arg(&table).arg(&scale).arg(&momentum).arg(&nesterov);
            // SAFETY: as the kernel declares them; the addresses in the table are of memory for `count` numbers each.
            unsafe { call.run(&mut arguments, config) }
        }
        Rule::AdamW { betas, eps } => {
            let (kernel, [mean, square], eps) = (call.kernel("adamw")?, betas.map(Beta::new), eps as f32);
            let mut arguments = call.arguments(&kernel);
            arguments.arg(&table).arg(&scale).arg(&mean).arg(&square).arg(&eps);
            // SAFETY: as for the other rule, with both buffers.
            unsafe { call.run(&mut arguments, config) }
        }
    }
}

/// Blocks for each tensor: as the largest one needs.
fn blocks(parts: &[Part]) -> usize {
    let largest = parts.iter().map(|part| part.count).max().unwrap_or(0);
    largest.div_ceil(THREADS).min(MOST_BLOCKS)
}
