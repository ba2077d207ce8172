//! Whether methods find shortcuts that networks use, and see none in networks that know of none.

use interp_audit::metrics::{correlation, ranks};
use interp_data::concepts::Place;
use interp_finding::prediction_bound;

use super::shortcut::Seen;

/// What rounding may add to a mean.
const ROUNDING: f64 = 1e-9;

/// Networks with and without shortcuts at a place.
pub(super) struct Shortcuts {
    pub(super) place: Place,
    /// By which thresholds are set: in what these learned from, the shortcut says nothing.
    pub(super) calibration: Vec<Seen>,
    /// Those that are judged, without shortcuts and with.
    pub(super) judged: Vec<Seen>,
}

/// So many of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Of {
    pub(super) some: usize,
    pub(super) all: usize,
}

/// What is asked about a network.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Analysis {
    /// How much more of a saliency method's evidence lies on the shortcut than on the placebo: the method, and its position.
    Saliency(String, usize),
    /// How much the network decides by what is around objects, both shown alone.
    Bias,
    /// How much the color around objects changes what it decides.
    Swap,
}

impl Analysis {
    pub(super) fn value(&self, seen: &Seen) -> f64 {
        match self {
            Self::Saliency(_, at) => seen.evidence[*at].excess(),
            Self::Bias => seen.bias,
            Self::Swap => seen.moved,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Saliency(method, _) => format!("saliency, {method}"),
            Self::Bias => "context, bias".into(),
            Self::Swap => "context, swapped".into(),
        }
    }
}

/// How an analysis does with shortcuts at a place.
pub(super) struct Verdict {
    pub(super) place: Place,
    pub(super) analysis: Analysis,
    /// Above it, what is found tells of a shortcut; `None` where nothing could.
    pub(super) threshold: Option<f64>,
    /// Of the networks that use the shortcut, those of which the analysis says so.
    pub(super) found: Of,
    /// Of the networks for which the shortcut said nothing, those of which the analysis says that they use it.
    pub(super) alarms: Of,
    /// The same of networks for which it said something and that do not use it to speak of.
    pub(super) unused: Of,
    /// Spearman's correlation, over the strengths, of the mean of what is found with the strength; `None` of fewer than three, which are in some order always.
    pub(super) by_strength: Option<f64>,
    /// The same, over all networks, with what they lose without the shortcut.
    pub(super) by_effect: Option<f64>,
    /// Pictures in which a method saw nothing, over all networks.
    pub(super) silent: usize,
}

/// How an analysis does.
pub(super) fn verdict(shortcuts: &Shortcuts, analysis: Analysis) -> Verdict {
    let Shortcuts { place, calibration, judged } = shortcuts;
    let value = |seen: &Seen| analysis.value(seen);
    let bound = prediction_bound(&calibration.iter().map(value).collect::<Vec<_>>());
    let threshold = bound.filter(|&bound| bound < 1.0); // No share is larger than all.
    let is_seen = |seen: &Seen| threshold.is_some_and(|threshold| value(seen) > threshold + ROUNDING);
    let of = |which: &dyn Fn(&Seen) -> bool| {
        let all: Vec<&Seen> = judged.iter().filter(|seen| which(seen)).collect();
        Of { some: all.iter().filter(|seen| is_seen(seen)).count(), all: all.len() }
    };
    let all: Vec<f64> = judged.iter().map(value).collect();
    let (strengths, means) = means(judged, &value);
    let effects: Vec<f64> = judged.iter().map(|seen| seen.effect.points).collect();
    let silent = |seen: &Seen| match analysis {
        Analysis::Saliency(_, at) => seen.evidence[at].silent,
        Analysis::Bias | Analysis::Swap => 0,
    };
    let silent = calibration.iter().chain(judged).map(silent).sum();
    Verdict {
        place: *place,
        threshold,
        found: of(&|seen| seen.strength > 0.0 && seen.is_used()),
        alarms: of(&|seen| seen.strength == 0.0),
        unused: of(&|seen| seen.strength > 0.0 && !seen.is_used()),
        by_strength: correlation(&ranks(&strengths), &ranks(&means)).filter(|_| strengths.len() > 2),
        by_effect: correlation(&ranks(&effects), &ranks(&all)),
        silent,
        analysis,
    }
}

/// Strengths, and the mean of a quantity over the networks of each.
pub(super) fn means(judged: &[Seen], of: &dyn Fn(&Seen) -> f64) -> (Vec<f64>, Vec<f64>) {
    let mut strengths: Vec<f64> = judged.iter().map(|seen| seen.strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let mean = |&strength: &f64| {
        let values: Vec<f64> = judged.iter().filter(|seen| seen.strength == strength).map(of).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    };
    let means = strengths.iter().map(mean).collect();
    (strengths, means)
}

#[cfg(test)]
mod tests {
    use super::super::shortcut::Evidence;
    use super::*;
    use crate::compare::Difference;

    fn seen(strength: f64, low: f64, share: f64) -> Seen {
        let effect = Difference { points: low + 1.0, interval: [low, low + 2.0] };
        let evidence = vec![Evidence { share: share + 0.1, placebo: 0.1, silent: 1 }];
        Seen { strength, seed: 0, run: String::new(), effect, bias: share, moved: share, evidence }
    }

    fn saliency() -> Analysis {
        Analysis::Saliency("grad_cam".into(), 0)
    }

    fn shortcuts(calibration: &[f64]) -> Shortcuts {
        Shortcuts {
            place: Place::Corner,
            calibration: calibration.iter().map(|&share| seen(0.0, -1.0, share)).collect(),
            judged: vec![
                seen(0.0, 0.0, 0.02),
                seen(0.0, 0.0, 0.7),
                seen(0.5, 0.5, 0.9),
                seen(0.5, 5.0, 0.3),
                seen(0.9, 9.0, 0.8),
            ],
        }
    }

    // Of .01 to .05 the mean is .03, the deviation .0158 and the bound .03 + 4.604 * .0158 * sqrt(1.2) = .1098 (Student's t of 4 degrees at .995). Of
    // two clean networks one is above. Of those with a shortcut one does not use it; of the two that do, both are above.
    #[test]
    fn verdicts_by_hand() {
        let found = verdict(&shortcuts(&[0.01, 0.02, 0.03, 0.04, 0.05]), saliency());
        assert!((found.threshold.unwrap() - 0.1098).abs() < 1e-4);
        assert_eq!(found.found, Of { some: 2, all: 2 });
        assert_eq!(found.alarms, Of { some: 1, all: 2 });
        assert_eq!(found.unused, Of { some: 1, all: 1 });
        // Means over strengths: .36, .6, .8. Effects of 1, 1, 1.5, 6, 10 have ranks 1.5, 1.5, 3, 4, 5, and evidence 1, 3, 5, 2, 4.
        assert!((found.by_strength.unwrap() - 1.0).abs() < 1e-12);
        let expected = ((-1.5 * -2.0) + 0.0 + 0.0 - 1.0 + 2.0) / (9.5f64 * 10.0).sqrt();
        assert!((found.by_effect.unwrap() - expected).abs() < 1e-12, "{:?}", found.by_effect);
        assert_eq!(found.silent, 10);
    }

    // Where clean networks differ by so much that none could stand out, nothing is said; where they do not differ, as of maps that know nothing of
    // the network, the same again is no alarm.
    #[test]
    fn what_cannot_be_told_is_not() {
        let found = verdict(&shortcuts(&[0.0, 0.8, 0.1, 0.7, 0.4]), Analysis::Bias);
        assert_eq!((found.threshold, found.found), (None, Of { some: 0, all: 2 }));
        let mut same = shortcuts(&[0.1 + 0.2; 6]);
        same.judged = vec![seen(0.0, 0.0, 0.1 + 0.2), seen(0.9, 9.0, 0.1 + 0.2)];
        let found = verdict(&same, saliency());
        assert_eq!((found.alarms.some, found.found.some, found.by_effect), (0, 0, None));
    }
}
