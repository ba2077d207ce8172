//! What stands where the original networks have a ReLU.

use interp_finding::Unfit;
use interp_ops::Curve;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Graph, NodeId, Op};

/// What stands where the original network has a ReLU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `sign(x) max(|x| - theta, 0)` with a trained threshold for each channel, which can be changed after training.
    // With the shift of the batch norm before it, what becomes zero is not what is near the channel's mean. The shift
    // stays, because without it networks learn less: VGG-8 after 5 epochs on 3000 pictures of `concepts`, seeds 1 to 3, is
    // right on 67.7, 65.6 and 68.7 % of test with shift and gain trained, on 66.6, 60.5 and 67.9 % with both fixed.
    SoftThreshold,
    /// x where |x| > theta, else 0: what stays is as it was. Thresholds are trained by what is near them, so that one that gets to
    /// 0 stays there, and so do those of the next.
    HardThreshold,
    /// 0 up to theta, x from 2 theta on, a straight line between: soft for small numbers, hard for large ones.
    FirmThreshold,
    /// `max(x, 0)` for the largest channels at every position, `winners` of them; 0 for the others.
    KWinners,
}

/// Refuses winners where all win.
pub(super) fn check_winners(graph: &Graph) -> Result<(), Unfit> {
    let all_win = |id: &NodeId| matches!(graph.nodes()[*id].op, Op::KWinners { count } if count >= graph.shape(*id)[0]);
    let Some(id) = (0..graph.nodes().len()).find(all_win) else { return Ok(()) };
    let (name, channels) = (&graph.nodes()[id].name, graph.shape(id)[0]);
    Err(Unfit::new("winners", format!("must be fewer than the {channels} channels of `{name}`")))
}

/// What a threshold starts from: a tenth of a standard deviation of what a batch norm gives.
pub(super) const THRESHOLD: f64 = 0.1;

/// Channels that are not 0 at a position.
pub(super) const WINNERS: usize = 8;

impl Activation {
    /// The operation, with `threshold` as the first value of every threshold, which all channels share or not, or this many
    /// `winners`.
    ///
    /// # Errors
    /// If the threshold is below 0, or 0 where it could not leave it, or not finite, or there are no winners.
    pub(super) fn op(self, threshold: f64, shared: bool, winners: usize) -> Result<Op, Unfit> {
        let usable = threshold >= 0.0 && (threshold as f32).is_finite();
        Unfit::unless(usable, "threshold", format!("must be 0 or more, not {threshold}"))?;
        let can_leave = matches!(self, Self::Relu | Self::SoftThreshold | Self::KWinners) || threshold > 0.0;
        Unfit::unless(can_leave, "threshold", "must be above 0 here: what trains these thresholds lies at their size")?;
        Unfit::unless(winners > 0, "winners", "must be 1 or more, not 0")?;
        let of = |curve: Curve| Op::Threshold { curve, shared, initial: threshold };
        Ok(match self {
            Self::Relu => Op::Relu,
            Self::SoftThreshold => of(Curve::Soft),
            Self::HardThreshold => of(Curve::Hard),
            Self::FirmThreshold => of(Curve::Firm),
            Self::KWinners => Op::KWinners { count: winners },
        })
    }
}
