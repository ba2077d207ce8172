//! What methods answer.

use std::time::Instant;

use interp_audit::AuditError;
use interp_audit::saliency::{Question, locate};
use interp_finding::Built;
use interp_net::NetError;

use super::asked::Methods;
use super::found::Found;
use crate::Result;
use crate::asked::maps;
use crate::programs::chosen::Subject;
use crate::progress::{Screen, tell};

/// Asks every method; where those without rules for the network are to be left out, the others.
pub(in crate::programs) fn answers(
    question: &Question<'_>,
    methods: Methods,
    subject: &Subject,
    leave_out: bool,
    screen: &Screen,
) -> Result<Vec<Found>> {
    let size = [subject.info.height, subject.info.width];
    let (bar, count) = (screen.units("methods"), methods.len() as u64);
    let mut found = vec![];
    for (done, (name, Built { settings, object })) in methods.into_iter().enumerate() {
        let began = Instant::now();
        let attribution = match object.attribute(question) {
            Ok(attribution) => attribution,
            Err(AuditError::Net(error @ NetError::NoRule { .. })) if leave_out => {
                tell(&format!("{name} is left out: {error}"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let seconds = began.elapsed().as_secs_f64();
        let maps = maps(&attribution, size)?;
        let masks = subject.shown.masks.as_ref();
        let located = masks.map(|masks| maps.iter().zip(masks).map(|(map, mask)| locate(map, mask)).collect());
        found.push(Found { name, settings, object, attribution, maps, located, seconds });
        bar.set(done as u64 + 1, count);
    }
    Ok(found)
}
