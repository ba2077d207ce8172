//! The control of neurons that nothing was learned by.

use interp_net::Network;

use crate::Result;

/// The seed of its weights.
const SEED: u64 = 0;

/// The same network with the random weights that training starts from: what its neurons select, the architecture and the pictures make.
///
/// # Errors
/// If a tensor cannot be made.
pub fn untrained(net: &Network) -> Result<Network> {
    Ok(Network::new(net.graph.clone(), SEED)?.to_device(&net.device())?)
}
