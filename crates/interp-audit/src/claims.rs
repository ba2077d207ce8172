//! Claims, measured afresh on a network's parameters.

use candle_core::{DType, Tensor};
use interp_net::finding::{Claim, Measured, Quantity};
use interp_net::{Network, NodeId, Role};

use crate::{AuditError, Result};

/// Measures each claim and holds it against its bound.
///
/// # Errors
/// If a claim names a node that does not exist or has nothing to measure.
pub fn measure(net: &Network, claims: &[Claim]) -> Result<Vec<Measured>> {
    let one = |claim: &Claim| {
        let wrong = |problem: String| AuditError::Claim { claim: claim.statement(), problem };
        if claim.nodes.is_empty() {
            return Err(wrong("it names no layers".into()));
        }
        let nodes = claim.nodes.iter().map(|name| Ok(net.graph.id(name)?)).collect::<Result<Vec<_>>>()?;
        let value = quantity(net, claim.quantity, &nodes)?;
        value.map(|value| claim.judge(value)).ok_or_else(|| wrong("these layers have no such parameters".into()))
    };
    claims.iter().map(one).collect()
}

/// The value of a quantity over nodes together; `None` where there is nothing to count.
///
/// # Errors
/// Where parameters cannot be read.
pub fn quantity(net: &Network, quantity: Quantity, nodes: &[NodeId]) -> Result<Option<f64>> {
    let tensors = |roles: &[Role]| -> Vec<&Tensor> {
        nodes.iter().flat_map(|&id| roles.iter().filter_map(move |&role| net.params.find(id, role))).collect()
    };
    let zero = |row: &Vec<f64>| row.iter().all(|w| *w == 0.0);
    match quantity {
        Quantity::ZeroWeights => share(
            tensors(&[Role::Weight]),
            |w| rows(w, 0).map(|r| r.concat().into_iter().map(|w| vec![w]).collect()),
            zero,
        ),
        Quantity::ZeroFilters => share(tensors(&[Role::Weight]), |w| rows(w, 0), zero),
        Quantity::ZeroInputs => share(tensors(&[Role::Weight]), |w| rows(w, 1), zero),
        Quantity::NegativeWeights => {
            let all = tensors(&[Role::Weight, Role::Gain]);
            let counts = all.iter().map(|w| Ok(rows(w, 0)?.concat().iter().filter(|w| !(**w >= 0.0)).count()));
            let count = counts.collect::<Result<Vec<_>>>()?.iter().sum::<usize>();
            Ok((!all.is_empty()).then_some(count as f64))
        }
    }
}

/// Share of the rows of all tensors together for which `holds`.
fn share(
    tensors: Vec<&Tensor>,
    rows: impl Fn(&Tensor) -> Result<Vec<Vec<f64>>>,
    holds: impl Fn(&Vec<f64>) -> bool,
) -> Result<Option<f64>> {
    let (mut count, mut all) = (0, 0);
    for tensor in tensors {
        let rows = rows(tensor)?;
        all += rows.len();
        count += rows.iter().filter(|row| holds(row)).count();
    }
    Ok((all > 0).then(|| count as f64 / all as f64))
}

/// The values of a tensor, sliced along the axis `axis`.
fn rows(tensor: &Tensor, axis: usize) -> Result<Vec<Vec<f64>>> {
    let first = if axis == 0 { tensor.clone() } else { tensor.transpose(0, axis)?.contiguous()? };
    Ok(first.to_dtype(DType::F64)?.flatten_from(1)?.to_vec2()?) // (D, rest)
}
