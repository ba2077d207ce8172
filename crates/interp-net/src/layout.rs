//! Arithmetic with activations, which lie in memory as channels-last: candle is fast where numbers lie in its own order.

use candle_core::Tensor;

use crate::Result;

/// The tensor with its dimensions in the order of memory: (N, C, H, W) as (N, H, W, C), others as they are.
pub(crate) fn in_memory_order(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.permute((0, 2, 3, 1))?.contiguous()? } else { x.contiguous()? })
}

/// Back from [`in_memory_order`].
pub(crate) fn in_logical_order(x: &Tensor) -> Result<Tensor> {
    Ok(if x.rank() == 4 { x.permute((0, 3, 1, 2))? } else { x.clone() })
}

/// `function` of tensors of one shape, number by number.
pub(crate) fn each<const N: usize>(
    of: [&Tensor; N],
    function: impl FnOnce([Tensor; N]) -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    let mut ordered = of.map(Tensor::clone);
    for x in &mut ordered {
        *x = in_memory_order(x)?;
    }
    in_logical_order(&function(ordered)?)
}
