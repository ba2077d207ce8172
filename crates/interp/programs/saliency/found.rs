//! What methods found, and how well it points at objects.

use interp_audit::saliency::{Attribution, CONTROLS, Located, Method};
use interp_finding::{Better, Number, mean_interval};

/// What a method found.
pub(in crate::programs) struct Found {
    pub(in crate::programs) name: String,
    pub(in crate::programs) settings: toml::Table,
    pub(in crate::programs) object: Box<dyn Method>,
    pub(in crate::programs) attribution: Attribution,
    /// One map for each picture, of its size, row by row.
    pub(super) maps: Vec<Vec<f64>>,
    /// Where masks are known.
    pub(super) located: Option<Vec<Located>>,
    pub(super) seconds: f64,
}

impl Found {
    /// The share of pictures in whose object the map is largest.
    pub(super) fn hits(&self) -> Option<Number> {
        self.each_hit().map(|hits| mean(&hits))
    }

    /// The share of what is positive that lies in the object.
    pub(super) fn mass(&self) -> Option<Number> {
        let located = self.located.as_ref()?;
        Some(mean(&located.iter().map(|located| 100.0 * located.mass).collect::<Vec<_>>()))
    }

    /// How much larger that share of pictures is than with other maps: the mean over pictures of the difference on each, with the interval of
    /// that.
    pub(super) fn beyond(&self, other: &Self) -> Option<Number> {
        let pairs = self.each_hit()?.into_iter().zip(other.each_hit()?);
        Some(mean(&pairs.map(|(own, other)| own - other).collect::<Vec<_>>()))
    }

    pub(in crate::programs) fn is_control(&self) -> bool {
        CONTROLS.contains(&self.name.as_str())
    }

    fn each_hit(&self) -> Option<Vec<f64>> {
        Some(self.located.as_ref()?.iter().map(|located| 100.0 * located.hit).collect())
    }
}

/// The control that points at objects most often, where their place is known.
pub(super) fn best_control(found: &[Found]) -> Option<&Found> {
    let hits = |found: &&Found| found.hits().map(|hits| hits.value);
    let controls = found.iter().filter(|found| found.is_control() && hits(found).is_some());
    controls.max_by(|a, b| hits(a).partial_cmp(&hits(b)).unwrap_or(std::cmp::Ordering::Equal))
}

fn mean(values: &[f64]) -> Number {
    let [low, high] = mean_interval(values);
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    Number::new(mean, "%", Better::Higher).with_interval(low, high)
}
