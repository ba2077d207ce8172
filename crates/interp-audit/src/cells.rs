//! Activations cell by cell.

use candle_core::{DType, Device, Tensor};
use interp_net::{Network, NodeId, Tape};

use crate::{AuditError, Result};

/// The activations of a node: of each picture its cells, row by row, and of each cell its channels.
pub(crate) struct Cells {
    pub(crate) values: Vec<f32>,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl Cells {
    /// Those of a tape; vectors have one cell.
    ///
    /// # Errors
    /// [`AuditError::NotANumber`] where one is none.
    pub(crate) fn at(net: &Network, tape: &Tape, node: NodeId) -> Result<Self> {
        let cells = Self::of(tape.at(&net.graph, node)?)?;
        match cells.values.iter().any(|value| value.is_nan()) {
            true => Err(AuditError::NotANumber(net.graph.nodes()[node].name.clone())),
            false => Ok(cells),
        }
    }

    /// Those of a tensor (N, C, H, W) or (N, C).
    pub(crate) fn of(activation: &Tensor) -> Result<Self> {
        let (channels, height, width) = match *activation.dims() {
            [_, channels, height, width] => (channels, height, width),
            _ => (activation.dim(1)?, 1, 1),
        };
        let ordered = if activation.rank() == 4 { activation.permute((0, 2, 3, 1))? } else { activation.clone() }; // -> (N, H, W, C)
        let values = ordered.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(Self { values, channels, height, width })
    }

    /// Numbers of one picture.
    pub(crate) fn per_picture(&self) -> usize {
        (self.channels * self.height * self.width).max(1)
    }

    /// Of each channel of a picture the largest activation, and the first cell that has it.
    pub(crate) fn maxima(&self, picture: usize) -> Vec<(f32, [usize; 2])> {
        let mut best = vec![(f32::NEG_INFINITY, 0); self.channels];
        let cells = self.values.chunks_exact(self.per_picture()).nth(picture).unwrap_or_default();
        for (cell, values) in cells.chunks_exact(self.channels.max(1)).enumerate() {
            for (best, &value) in best.iter_mut().zip(values) {
                if value > best.0 {
                    *best = (value, cell);
                }
            }
        }
        best.into_iter().map(|(value, cell)| (value, [cell / self.width, cell % self.width])).collect()
    }
}
