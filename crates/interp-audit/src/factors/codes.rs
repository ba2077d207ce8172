//! A number of each channel and picture.

use candle_core::{DType, Device, Tensor};
use interp_net::{Network, NodeId};

use crate::pass::{Observer, Sample};
use crate::{AuditError, Result};

/// What is taken of a channel's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooled {
    /// The mean over the map.
    Mean,
    /// The largest of it.
    Largest,
}

/// Gathers a number of each channel of some nodes, picture by picture in the order of the pass.
#[derive(Clone, Debug)]
pub struct Codes {
    nodes: Vec<NodeId>,
    pooled: Pooled,
    /// By node and picture, of each channel.
    rows: Vec<Vec<Vec<f32>>>,
}

impl Codes {
    /// Nothing gathered yet.
    pub fn new(nodes: &[NodeId], pooled: Pooled) -> Self {
        Self { nodes: nodes.to_vec(), pooled, rows: vec![vec![]; nodes.len()] }
    }

    /// Of each node its codes, each picture by picture.
    pub fn found(&self) -> Vec<(NodeId, Vec<Vec<f64>>)> {
        let of = |rows: &Vec<Vec<f32>>| {
            let channels = rows.first().map_or(0, Vec::len);
            (0..channels).map(|channel| rows.iter().map(|row| f64::from(row[channel])).collect()).collect()
        };
        self.nodes.iter().copied().zip(self.rows.iter().map(of)).collect()
    }

    /// (N, C, ...) to (N, C).
    fn pool(&self, activation: &Tensor) -> Result<Tensor> {
        let flat = if activation.rank() > 2 { activation.flatten_from(2)? } else { activation.unsqueeze(2)? };
        Ok(match self.pooled {
            Pooled::Mean => flat.mean(2)?,
            Pooled::Largest => flat.max(2)?,
        })
    }
}

impl Observer for Codes {
    fn taps(&self) -> Vec<NodeId> {
        self.nodes.clone()
    }

    fn observe(&mut self, net: &Network, sample: &Sample<'_>) -> Result<()> {
        for at in 0..self.nodes.len() {
            let pooled = self.pool(sample.tape.at(&net.graph, self.nodes[at])?)?;
            let rows = pooled.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
            if !rows.iter().flatten().all(|number| number.is_finite()) {
                return Err(AuditError::NotANumber(net.graph.nodes()[self.nodes[at]].name.clone()));
            }
            self.rows[at].extend(rows);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two pictures of two channels of two cells.
    #[test]
    fn codes_by_hand() {
        let maps =
            Tensor::from_vec(vec![1f32, 3.0, -1.0, -5.0, 0.0, 0.0, 2.0, 8.0], (2, 2, 1, 2), &Device::Cpu).unwrap();
        let flat = Tensor::from_vec(vec![1f32, 2.0], (1, 2), &Device::Cpu).unwrap();
        let pooled = |how, of: &Tensor| Codes::new(&[], how).pool(of).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(pooled(Pooled::Mean, &maps), [[2.0, -3.0], [0.0, 5.0]]);
        assert_eq!(pooled(Pooled::Largest, &maps), [[3.0, -1.0], [0.0, 8.0]]);
        assert_eq!(pooled(Pooled::Mean, &flat), [[1.0, 2.0]]);
        let codes = Codes { nodes: vec![7], pooled: Pooled::Mean, rows: vec![vec![vec![1.0, 2.0], vec![3.0, 4.0]]] };
        assert_eq!(codes.found(), [(7, vec![vec![1.0, 3.0], vec![2.0, 4.0]])]);
    }
}
