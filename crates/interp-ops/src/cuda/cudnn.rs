//! Convolutions by cuDNN. What is prepared for one, descriptors and the choice of an algorithm, is kept for the next one of
//! the same shapes, and so is the memory that algorithms work in.

use super::call::Call;
use super::conv2d::Shapes;
use super::open::arithmetic;
use crate::{Arithmetic, Conv2d, OpError, Result};
use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t as OfInput, cudnnConvolutionBwdFilterAlgo_t as OfWeight,
    cudnnConvolutionFwdAlgo_t as Forward, cudnnConvolutionMode_t, cudnnMathType_t, cudnnStatus_t, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnError, FilterDescriptor,
    TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Error, Tensor};
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_int;
use std::rc::Rc;
use std::sync::Arc;

/// What is computed of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// y of x and the weight.
    Forward,
    /// The gradient of x of that of y and the weight.
    Input,
    /// The gradient of the weight of x and the gradient of y.
    Weight,
}

impl Direction {
    /// The shape of what is computed.
    pub(super) fn result(self, shapes: &Shapes) -> [usize; 4] {
        match self {
            Self::Forward => shapes.y,
            Self::Input => shapes.x,
            Self::Weight => shapes.weight,
        }
    }
}

/// How tensors of four dimensions lie in memory, the weight too.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// (N, H, W, C), the order of ours.
    ChannelsLast,
    /// (N, C, H, W), for what cuDNN cannot do in the other one; tensors are copied.
    Planar,
}

impl Order {
    fn format(self) -> cudnnTensorFormat_t {
        match self {
            Self::ChannelsLast => cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
            Self::Planar => cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
        }
    }

    /// The tensor with dense memory in this order, aligned as vectors of numbers must be.
    fn lay(self, tensor: &Tensor) -> Result<Tensor> {
        let ordered = match self {
            Self::ChannelsLast => tensor.permute((0, 2, 3, 1))?.contiguous()?,
            Self::Planar => tensor.contiguous()?,
        };
        let aligned = ordered.layout().start_offset().is_multiple_of(ALIGNED);
        Ok(if aligned { ordered } else { ordered.force_contiguous()? })
    }

    /// The tensor of a logical shape from memory in this order.
    fn tensor(self, call: &Call, numbers: CudaSlice<f32>, shape: [usize; 4]) -> Result<Tensor> {
        match self {
            Self::ChannelsLast => call.tensor(numbers, &shape),
            Self::Planar => Ok(call.rows(numbers, &shape)),
        }
    }
}

/// Numbers in the 16 bytes that the widest loads take.
const ALIGNED: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Forward(Forward),
    Input(OfInput),
    Weight(OfWeight),
}

/// Algorithms that give the same bits on every run and know every configuration, the faster one first. NVIDIA's manual
/// ("Reproducibility") names those that do not: ALGO_0 of both gradients and ALGO_3 of the weight's.
const FORWARD: [Forward; 2] =
    [Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM];
const OF_INPUT: [OfInput; 1] = [OfInput::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1];
const OF_WEIGHT: [OfWeight; 1] = [OfWeight::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1];

/// A convolution prepared.
struct Plan {
    order: Order,
    x: TensorDescriptor<f32>,
    weight: FilterDescriptor<f32>,
    y: TensorDescriptor<f32>,
    conv: ConvDescriptor<f32>,
    algorithm: Algorithm,
    /// Bytes that the algorithm works in.
    workspace: usize,
}

/// What plans are told apart by: shapes, the convolution's settings, the direction, the arithmetic.
type Key = ([usize; 12], [usize; 7], Direction, [bool; 2]);

/// What a thread keeps for a device.
struct State {
    cudnn: Arc<Cudnn>,
    plans: HashMap<Key, Rc<Plan>>,
    workspace: CudaSlice<u8>,
}

thread_local! {
    static STATES: RefCell<HashMap<DeviceId, State>> = RefCell::new(HashMap::new());
}

/// Computes one direction of two `f32` tensors, none of them empty.
pub(super) fn run(call: &Call, shapes: &Shapes, direction: Direction, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    STATES.with_borrow_mut(|states| {
        let state = match states.entry(call.device.id()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(State::new(call)?),
        };
        state.run(call, shapes, direction, a, b)
    })
}

impl State {
    fn new(call: &Call) -> Result<Self> {
        let cudnn = checked(Cudnn::new(call.device.cuda_stream()))?;
        Ok(Self { cudnn, plans: HashMap::new(), workspace: call.room(0)? })
    }

    fn run(&mut self, call: &Call, shapes: &Shapes, direction: Direction, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let plan = self.plan(call, shapes, direction)?;
        if self.workspace.len() < plan.workspace {
            self.workspace = call.room(0)?; // The old one is free before the new one is asked for.
            self.workspace = call.room(plan.workspace)?;
        }
        let (a, b) = (call.row_by_row(&plan.order.lay(a)?)?, call.row_by_row(&plan.order.lay(b)?)?);
        let (a, b) = (a.hold(), b.hold());
        let (a, b, shape) = (a.numbers::<f32>()?, b.numbers::<f32>()?, direction.result(shapes));
        let mut out = call.room::<f32>(shape.iter().product())?;
        let workspace = Some(&mut self.workspace);
        let Plan { x, weight: w, y, conv, .. } = &*plan;
        let only = (1.0, 0.0); // The result is written, not added to.
        // SAFETY: the tensors have the shapes and the order that the descriptors were made of, and the workspace is as
        // large as the algorithm said.
        let done = unsafe {
            match plan.algorithm {
                Algorithm::Forward(algorithm) => {
                    ConvForward { conv, x, w, y }.launch(algorithm, workspace, only, &a, &b, &mut out)
                }
                Algorithm::Input(algorithm) => {
                    ConvBackwardData { conv, dx: x, w, dy: y }.launch(algorithm, workspace, only, &mut out, &b, &a)
                }
                Algorithm::Weight(algorithm) => {
                    ConvBackwardFilter { conv, x, dw: w, dy: y }.launch(algorithm, workspace, only, &a, &mut out, &b)
                }
            }
        };
        checked(done)?;
        plan.order.tensor(call, out, shape)
    }

    /// The plan of a convolution, made once.
    fn plan(&mut self, call: &Call, shapes: &Shapes, direction: Direction) -> Result<Rc<Plan>> {
        let arithmetic = arithmetic();
        let key = key(shapes, direction, arithmetic);
        if let Some(plan) = self.plans.get(&key) {
            return Ok(Rc::clone(plan));
        }
        for order in [Order::ChannelsLast, Order::Planar] {
            if let Some(plan) = Plan::new(&self.cudnn, call, shapes, direction, order, arithmetic)? {
                let plan = Rc::new(plan);
                self.plans.insert(key, Rc::clone(&plan));
                return Ok(plan);
            }
        }
        Err(unsupported(call, shapes))
    }
}

fn key(shapes: &Shapes, direction: Direction, arithmetic: Arithmetic) -> Key {
    let Conv2d { stride: [a, b], padding: [c, d], dilation: [e, f], groups, .. } = shapes.conv;
    let mut sizes = [0; 12];
    sizes.copy_from_slice([shapes.x, shapes.weight, shapes.y].as_flattened());
    (sizes, [a, b, c, d, e, f, groups], direction, [arithmetic.tf32, arithmetic.deterministic])
}

impl Plan {
    /// A plan in this order of memory; `None` where cuDNN has no algorithm for it.
    fn new(
        cudnn: &Arc<Cudnn>,
        call: &Call,
        shapes: &Shapes,
        direction: Direction,
        order: Order,
        arithmetic: Arithmetic,
    ) -> Result<Option<Self>> {
        let Conv2d { stride, padding, dilation, groups, .. } = shapes.conv;
        let (x, weight, y) =
            (ints(call, shapes, shapes.x)?, ints(call, shapes, shapes.weight)?, ints(call, shapes, shapes.y)?);
        let (stride, padding) = (ints(call, shapes, stride)?, ints(call, shapes, padding)?);
        let (dilation, [groups]) = (ints(call, shapes, dilation)?, ints(call, shapes, [groups])?);
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut conv = checked(cudnn.create_conv2d::<f32>(padding, stride, dilation, mode))?;
        checked(conv.set_group_count(groups))?;
        checked(conv.set_math_type(match arithmetic.tf32 {
            true => cudnnMathType_t::CUDNN_DEFAULT_MATH,
            false => cudnnMathType_t::CUDNN_FMA_MATH,
        }))?;
        let x = checked(cudnn.create_4d_tensor::<f32>(order.format(), x))?;
        let y = checked(cudnn.create_4d_tensor::<f32>(order.format(), y))?;
        let weight = checked(cudnn.create_4d_filter::<f32>(order.format(), weight))?;
        let chosen = choose(&conv, &x, &weight, &y, direction, arithmetic.deterministic);
        Ok(chosen.map(|(algorithm, workspace)| Self { order, x, weight, y, conv, algorithm, workspace }))
    }
}

/// An algorithm that knows the configuration, and the bytes that it works in: of the deterministic ones the first, and
/// if others may be used, cuDNN's choice before them.
fn choose(
    conv: &ConvDescriptor<f32>,
    x: &TensorDescriptor<f32>,
    w: &FilterDescriptor<f32>,
    y: &TensorDescriptor<f32>,
    direction: Direction,
    deterministic: bool,
) -> Option<(Algorithm, usize)> {
    match direction {
        Direction::Forward => {
            let product = ConvForward { conv, x, w, y };
            let picked = if deterministic { None } else { product.pick_algorithm().ok() };
            let size = |algorithm| Some((Algorithm::Forward(algorithm), product.get_workspace_size(algorithm).ok()?));
            picked.into_iter().chain(FORWARD).find_map(size)
        }
        Direction::Input => {
            let product = ConvBackwardData { conv, dx: x, w, dy: y };
            let picked = if deterministic { None } else { product.pick_algorithm().ok() };
            let size = |algorithm| Some((Algorithm::Input(algorithm), product.get_workspace_size(algorithm).ok()?));
            picked.into_iter().chain(OF_INPUT).find_map(size)
        }
        Direction::Weight => {
            let product = ConvBackwardFilter { conv, x, dw: w, dy: y };
            let picked = if deterministic { None } else { product.pick_algorithm().ok() };
            let size = |algorithm| Some((Algorithm::Weight(algorithm), product.get_workspace_size(algorithm).ok()?));
            picked.into_iter().chain(OF_WEIGHT).find_map(size)
        }
    }
}

/// Sizes as cuDNN counts them.
fn ints<const N: usize>(call: &Call, shapes: &Shapes, sizes: [usize; N]) -> Result<[c_int; N]> {
    let ints = sizes.map(|size| c_int::try_from(size).unwrap_or(-1));
    if ints.contains(&-1) { Err(unsupported(call, shapes)) } else { Ok(ints) }
}

/// cuDNN's result as ours.
fn checked<T>(result: std::result::Result<T, CudnnError>) -> Result<T> {
    result.map_err(|error| match error.0 {
        cudnnStatus_t::CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED => OpError::OutOfMemory,
        _ => OpError::Candle(Error::wrap(error)),
    })
}

fn unsupported(call: &Call, shapes: &Shapes) -> OpError {
    let what = format!("{shapes:?} by cuDNN");
    OpError::Unsupported { op: call.op, what, hint: "compute on the CPU" }
}
