//! What a picture is to be an answer to.

/// What is maximized of a node's activation.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// A channel: its mean over cells.
    Channel(usize),
    /// A neuron: the channel's cell in the middle of the map.
    Neuron(usize),
    /// A direction `v` of channels: the mean over cells `a` of `<a, v> max(0.1, cos(a, v))`, with `v` of length 1. The cosine keeps what else a cell
    /// answers to small (Carter et al. 2019, "Activation atlas", with power 1).
    Direction(Vec<f64>),
}

/// A cosine counts as at least this.
const LEAST_COSINE: f64 = 0.1;

impl Goal {
    /// The value for an activation (C, cells), rows of `width` cells, and its gradient.
    pub(super) fn value(&self, activation: &[f64], [channels, height, width]: [usize; 3]) -> (f64, Vec<f64>) {
        let cells = height * width;
        let mut gradient = vec![0.0; activation.len()];
        let value = match self {
            Self::Channel(channel) => {
                let own = channel * cells..(channel + 1) * cells;
                gradient[own.clone()].fill(1.0 / cells as f64);
                activation[own].iter().sum::<f64>() / cells as f64
            }
            Self::Neuron(channel) => {
                let at = channel * cells + height / 2 * width + width / 2;
                gradient[at] = 1.0;
                activation[at]
            }
            Self::Direction(direction) => {
                let unit = unit(direction);
                let sum: f64 =
                    (0..cells).map(|cell| along(activation, &unit, cell, [channels, cells], &mut gradient)).sum();
                gradient.iter_mut().for_each(|g| *g /= cells as f64);
                sum / cells as f64
            }
        };
        (value, gradient)
    }

    /// The largest of what is asked for over cells: the channel's activation, or that along the direction.
    pub(super) fn peak(&self, activation: &[f64], [_, height, width]: [usize; 3]) -> f64 {
        let cells = height * width;
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        match self {
            Self::Channel(channel) | Self::Neuron(channel) => {
                most(&mut activation[channel * cells..(channel + 1) * cells].iter().copied())
            }
            Self::Direction(direction) => {
                let unit = unit(direction);
                let dot = |cell: usize| unit.iter().enumerate().map(|(c, v)| v * activation[c * cells + cell]).sum();
                most(&mut (0..cells).map(dot))
            }
        }
    }
}

fn unit(direction: &[f64]) -> Vec<f64> {
    let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    direction.iter().map(|v| v / length).collect()
}

/// A cell's `<a, v> max(0.1, cos)`, whose gradient is written. Where the cosine counts it is `<a, v>^2 / |a|`, of gradient
/// `2 <a, v> v / |a| - <a, v>^2 a / |a|^3`.
fn along(activation: &[f64], unit: &[f64], cell: usize, [channels, cells]: [usize; 2], gradient: &mut [f64]) -> f64 {
    let at = |channel: usize| activation[channel * cells + cell];
    let dot: f64 = (0..channels).map(|channel| unit[channel] * at(channel)).sum();
    let length = (0..channels).map(|channel| at(channel).powi(2)).sum::<f64>().sqrt();
    if dot <= LEAST_COSINE * length {
        (0..channels).for_each(|channel| gradient[channel * cells + cell] = LEAST_COSINE * unit[channel]);
        return LEAST_COSINE * dot;
    }
    for channel in 0..channels {
        gradient[channel * cells + cell] =
            2.0 * dot * unit[channel] / length - dot * dot * at(channel) / length.powi(3);
    }
    dot * dot / length
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two channels of 2x2 cells: means 2.5 and 0; the cell in the middle is the last one.
    #[test]
    fn goals_by_hand() {
        let activation = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 3.0, -3.0];
        let shape = [2, 2, 2];
        assert_eq!(Goal::Channel(0).value(&activation, shape).0, 2.5);
        assert_eq!(Goal::Neuron(1).value(&activation, shape).0, -3.0);
        assert_eq!((Goal::Channel(1).peak(&activation, shape), Goal::Neuron(0).peak(&activation, shape)), (3.0, 4.0));
        // Along (0, 2): the first two cells have nothing of it; of (3, 3), 3 times the cosine 1 / sqrt 2; of (4, -3), -3 times 0.1.
        let (value, _) = Goal::Direction(vec![0.0, 2.0]).value(&activation, shape);
        assert!((value - (3.0 / 2f64.sqrt() - 0.3) / 4.0).abs() < 1e-12);
        assert_eq!(Goal::Direction(vec![0.0, 2.0]).peak(&activation, shape), 3.0);
    }

    #[test]
    fn gradients_are_those_of_central_differences() {
        let shape = [3, 2, 3];
        let activation: Vec<f64> = (0..18).map(|at| (at as f64 * 1.3).sin()).collect();
        for goal in [Goal::Channel(1), Goal::Neuron(2), Goal::Direction(vec![0.4, -1.0, 0.3])] {
            let gradient = goal.value(&activation, shape).1;
            for at in 0..18 {
                let step = |by: f64| {
                    let mut moved = activation.clone();
                    moved[at] += by;
                    goal.value(&moved, shape).0
                };
                assert!(((step(1e-6) - step(-1e-6)) / 2e-6 - gradient[at]).abs() < 1e-8, "{goal:?}, {at}");
            }
        }
    }
}
