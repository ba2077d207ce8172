//! Where computation is done.

use crate::{OpError, Result, cuda};
use candle_core::Device;

/// How a CUDA device computes; a setting of the whole process, without meaning on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic {
    /// Whether products of convolutions and linear maps may round their factors to TF32, 10 bits after the point in
    /// place of 23; sums are of `f32` in any case.
    pub tf32: bool,
    /// Whether only such algorithms are used as give the same bits on every run of a device.
    pub deterministic: bool,
}

impl Default for Arithmetic {
    /// In `f32`, deterministic.
    fn default() -> Self {
        Self { tf32: false, deterministic: true }
    }
}

/// The device called `cpu`, `cuda` (the first one), `cuda:N`, or `auto`: the first CUDA device where the build has CUDA
/// (feature `cuda`) and there is one, else the CPU.
///
/// # Errors
/// [`OpError::Value`] for another name; [`OpError::Unsupported`] where the build has no CUDA, there is no such device, or
/// the process has opened another one; [`OpError::Candle`] where the driver refuses.
pub fn device(name: &str, arithmetic: Arithmetic) -> Result<Device> {
    let number = match name {
        "cpu" => None,
        "auto" => cuda::is_there().then_some(0),
        _ => Some(number(name)?),
    };
    number.map_or(Ok(Device::Cpu), |number| cuda::open(number, arithmetic))
}

/// Whether an error of candle says that the device has no memory left.
pub fn is_out_of_memory(error: &candle_core::Error) -> bool {
    cuda::is_out_of_memory(error)
}

/// Returns from a function with what `call` gives, if the tensor is on a CUDA device; nothing in a build without CUDA. (A
/// function can neither return for its caller nor take what is not compiled.)
macro_rules! on_cuda {
    ($tensor:expr, $call:expr) => {
        #[cfg(feature = "cuda")]
        if $tensor.device().is_cuda() {
            return $call;
        }
    };
}
pub(crate) use on_cuda;

fn number(name: &str) -> Result<usize> {
    let number = if name == "cuda" { Some(0) } else { name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) };
    number.ok_or_else(|| OpError::Value {
        op: "device",
        given: format!("`{name}`"),
        expected: "auto, cpu or cuda:N".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_no_device_are_refused() {
        assert!(device("cpu", Arithmetic::default()).unwrap().is_cpu());
        for name in ["gpu", "cuda:", "cuda:-1", "cuda:x", "cuda0", ""] {
            let error = device(name, Arithmetic::default()).unwrap_err();
            assert!(matches!(error, OpError::Value { .. }) && error.to_string().contains("cuda:N"), "{name}: {error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        assert!(device("auto", Arithmetic::default()).unwrap().is_cpu());
        let message = device("cuda:1", Arithmetic::default()).unwrap_err().to_string();
        assert!(message.contains("cuda:1") && message.contains("without CUDA"), "{message}");
    }
}
