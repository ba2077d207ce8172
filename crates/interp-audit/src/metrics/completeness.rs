//! Completeness.

use interp_net::finding::{Better, Entry, build};

use super::{Column, Judged, Metric, Scores};
use crate::Result;
use crate::pass::numbers;
use crate::saliency::{NoSettings, Question, Total};

/// How far the sum of an attribution is from what the method claims that it is, as a share of that: the output beyond that of its baseline
/// (Sundararajan et al. 2017, arXiv 1703.01365, section 3), or the output itself. Methods that claim nothing have no number.
struct Completeness;

pub(super) const ENTRY: Entry<dyn Metric> = Entry {
    name: "completeness",
    summary: "what the sum of an attribution misses of what the method claims, as a share of it: lower is better",
    example: "kind = \"completeness\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(Completeness)),
    schema: || schemars::schema_for!(NoSettings),
};

impl Metric for Completeness {
    fn measure(&self, question: &Question<'_>, judged: &[Judged<'_>]) -> Result<Vec<Scores>> {
        judged.iter().map(|one| of(question, one)).collect()
    }
}

fn of(question: &Question<'_>, judged: &Judged<'_>) -> Result<Scores> {
    let Some(total) = judged.method.total() else {
        return Ok(Scores::default());
    };
    let error = |at: usize| -> Result<Option<f64>> {
        let claimed = claimed(question, at, total)?;
        let sum: f64 = numbers(&judged.attribution.values.get(at)?)?.iter().sum();
        Ok((claimed != 0.0).then(|| ((sum - claimed) / claimed).abs()))
    };
    let values = (0..question.count()).map(error).collect::<Result<_>>()?;
    let column = Column { name: "error".into(), better: Better::Lower, null: None, values };
    Ok(Scores { columns: vec![column], ..Scores::default() })
}

/// What the attribution of a picture is claimed to add up to, by the arithmetic that gradients come of.
fn claimed(question: &Question<'_>, at: usize, total: Total) -> Result<f64> {
    let target = question.targets[at];
    let output = question.precise_output(&question.pictures.narrow(0, at, 1)?, target)?;
    match total {
        Total::Output => Ok(output),
        Total::Beyond(baseline) => Ok(output - question.precise_output(&question.baseline(at, baseline)?, target)?),
    }
}
