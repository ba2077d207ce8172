//! `interp-audit all`: every analysis that a network and its data allow, on one page.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};
use interp_audit::dissection::Dissection;
use interp_audit::neurons::Survey;
use interp_audit::{Observer, Pictures, observe};
use interp_learn::Objective;
use interp_net::files;
use interp_report::{Link, Page, html};
use serde_json::{Value, json};

use super::chosen::Subject;
use super::on_pictures::{OnPictures, Opened};
use super::outcome::Outcome;
use super::surveyed::{Atlas, Surveyed};
use super::{Ending, color, dissect, fields, neurons, print, saliency, soft_labels, weights};
use crate::progress::{Screen, tell};
use crate::run::FEW;
use crate::{Catalog, Error, Result, links};

/// What can be told of any classifier and its data, each analysis with its defaults, on one page
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit all checkpoints/sparse_vgg --out audit\n\n\
    Writes DIR/weights, DIR/fields, DIR/neurons, DIR/saliency, DIR/soft-labels, and where pictures have colors, and concepts that the data know, DIR/color and DIR/dissect, \
    each as the analysis of this name does; DIR/report.html has all of them, DIR/summary.json their summaries. The survey of neurons and the first \
    thresholds of concepts share a pass over the pictures.")]
pub(super) struct All {
    #[command(flatten)]
    on: OnPictures,
    #[command(flatten)]
    surveyed: Surveyed,
    #[command(flatten)]
    dissection: dissect::Settings,
    /// The folder to write
    #[arg(long, default_value = "audit", value_name = "DIR", value_parser = super::folder)]
    out: PathBuf,
}

/// The defaults of a command's settings.
fn defaults<T: Args + FromArgMatches>() -> Result<T> {
    let matches = T::augment_args(Command::new("defaults")).try_get_matches_from(["defaults"]);
    let settings = matches.and_then(|matches| T::from_arg_matches(&matches));
    settings.map_err(|error| Error::Usage(error.to_string()))
}

impl All {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let opened = self.on.open(catalog)?;
        self.surveyed.nodes(&opened.network.graph)?; // names are checked before anything is run
        let outcomes = self.outcomes(&opened)?;
        let summaries: serde_json::Map<String, Value> =
            outcomes.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.summary.clone())).collect();
        let summary = json!({ "version": 1, "checkpoint": opened.path.display().to_string(), "analyses": summaries });
        let text = serde_json::to_string_pretty(&summary)?;
        files::write_atomically(&self.out.join("summary.json"), text.as_bytes())?;
        let page = self.write_pages(&opened, outcomes)?;
        if self.on.json {
            print(&summary.to_string())?;
        } else {
            page.findings
                .iter()
                .filter(|finding| !finding.statement.is_empty())
                .try_for_each(|finding| print(&format!("{}: {}", finding.title, finding.statement)))?;
            print(&format!("written: {}", self.out.join("report.html").display()))?;
        }
        Ok(Ending::Fine)
    }

    /// Writes the page of all, and to those of the analyses, which are there already, links to it.
    fn write_pages(&self, opened: &Opened, outcomes: Vec<(&'static str, Outcome)>) -> Result<Page> {
        let whole = || vec![Link { title: "All of the audit".into(), href: "../report.html".into() }];
        let part = |(name, outcome): &(&str, Outcome)| -> Result<(PathBuf, String)> {
            let folder = self.out.join(name);
            let html = outcome.html(&folder, whole())?;
            Ok((folder.join("report.html"), html))
        };
        let parts = outcomes.iter().map(part).collect::<Result<Vec<_>>>()?;
        let links = self.links(opened, &outcomes);
        let page = page(opened, outcomes);
        let all = (self.out.join("report.html"), html(&page, &links)?);
        for (path, text) in std::iter::once(all).chain(parts) {
            files::write_atomically(&path, text.as_bytes())?;
        }
        Ok(page)
    }

    /// To the page of the network's run, and to that of each analysis.
    fn links(&self, opened: &Opened, outcomes: &[(&'static str, Outcome)]) -> Vec<Link> {
        let part = |(name, _): &(&str, Outcome)| {
            links::link(&self.out, format!("{} alone", capital(name)), &self.out.join(name).join("report.html"))
        };
        links::to_run(&self.out, &opened.path).into_iter().chain(outcomes.iter().filter_map(part)).collect()
    }

    /// What each analysis found, which is written as soon as it is.
    fn outcomes(&self, opened: &Opened) -> Result<Vec<(&'static str, Outcome)>> {
        let Opened { path, network, info, objective, .. } = opened;
        let mut outcomes = vec![];
        let mut add = |name: &'static str, outcome: Outcome| -> Result<()> {
            outcome.write(&self.out.join(name))?;
            outcomes.push((name, outcome));
            Ok(())
        };
        add("weights", defaults::<weights::Settings>()?.outcome(path, network)?)?;
        let mut fields: fields::Asked = defaults()?;
        fields.memory = self.surveyed.memory;
        add("fields", fields.outcome(&self.on, opened)?)?;
        if matches!(objective, Objective::Classify) {
            add("saliency", self.saliency(opened)?)?;
            add("soft-labels", defaults::<soft_labels::Settings>()?.outcome(&self.on, opened, None)?)?;
        }
        let (survey, dissection) = self.observed(opened)?;
        if matches!(objective, Objective::Classify) {
            let atlas = Atlas::new(&self.surveyed, opened, survey);
            add("neurons", defaults::<neurons::Settings>()?.outcome(&self.on, opened, &atlas)?)?;
            if info.channels == 3 {
                add("color", defaults::<color::Settings>()?.outcome(&self.on, opened, &atlas)?)?;
            }
        }
        match dissection {
            Some(found) => add("dissect", self.dissection.outcome(&self.on, opened, &found)?)?,
            None => tell("the data do not know where concepts are: nothing is dissected"),
        }
        Ok(outcomes)
    }

    fn saliency(&self, opened: &Opened) -> Result<Outcome> {
        let settings: saliency::Settings = defaults()?;
        let subject = Subject::spread(opened, settings.limit)?;
        let (methods, split, screen) = (settings.methods()?, Some(self.on.split), Screen::new(self.on.json));
        settings.outcome(methods, &subject, split, self.surveyed.memory, &screen)
    }

    /// The survey, and the dissection where the data know concepts: its first thresholds are found in the pass of the survey.
    fn observed(&self, opened: &Opened) -> Result<(Survey, Option<Dissection>)> {
        let Opened { network, pictures, .. } = opened;
        let (memory, half) = (self.surveyed.memory, self.surveyed.memory.half());
        let mut surveyor = self.surveyed.surveyor(network, pictures)?;
        let knows = knows_concepts(pictures)?;
        let mut parts = match knows {
            true => self.dissection.parts(opened, &self.surveyed.nodes(&network.graph)?, half)?,
            false => vec![],
        };
        let mut observers: Vec<&mut dyn Observer> = vec![&mut surveyor];
        observers.extend(parts.first_mut().map(|first| first as &mut dyn Observer));
        observe(network, pictures, &mut observers, half)?;
        let mut found = Dissection { concepts: vec![], layers: vec![] };
        for (at, mut part) in parts.into_iter().enumerate() {
            if at > 0 {
                observe(network, pictures, &mut [&mut part as &mut dyn Observer], half)?;
            }
            self.dissection.add(opened, part, memory, &mut found)?;
        }
        Ok((surveyor.found, knows.then_some(found)))
    }
}

/// Whether the data know of concepts in some picture.
fn knows_concepts(pictures: &Pictures) -> Result<bool> {
    for at in 0..pictures.data.len(pictures.split) {
        if pictures.data.truth(pictures.split, at)?.is_some_and(|truth| !truth.concepts.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the page tells, by which analyses there are.
fn lead(names: &[&str]) -> String {
    let about = [
        ("weights", "what the network's filters are"),
        ("fields", "what its cells see"),
        ("neurons", "what its neurons select"),
        ("color", "how it represents color"),
        ("saliency", "where the evidence for its decisions lies"),
        ("soft-labels", "which classes are alike to it"),
        ("dissect", "which concepts its channels detect"),
    ];
    let said: Vec<&str> = about.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, said)| said).collect();
    match said.split_last() {
        Some((last, others)) if !others.is_empty() => capital(&format!("{}, and {last}.", others.join(", "))),
        _ => capital(&format!("{}.", said.concat())),
    }
}

/// All findings on one page.
fn page(opened: &Opened, outcomes: Vec<(&'static str, Outcome)>) -> Page {
    let Opened { pictures: Pictures { data, split, .. }, .. } = opened;
    let count = data.len(*split);
    let few = format!(
        "{count} pictures are too few for most of what follows: how it is on others may be far from it, and intervals over so few are too narrow."
    );
    let mut page = Page {
        title: format!("Audit on {}", opened.info.name),
        lead: lead(&outcomes.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        warnings: (count < FEW).then_some(few).into_iter().collect(),
        facts: vec![
            ("Network".into(), opened.path.display().to_string()),
            ("Pictures".into(), count.to_string()),
            (
                "Split".into(),
                serde_json::to_value(split).ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default(),
            ),
        ],
        claims: vec![],
        findings: vec![],
        source: None,
    };
    for (name, Outcome { page: part, .. }) in outcomes {
        page.warnings.extend(part.warnings);
        let prefix = part.title;
        page.findings.extend(part.findings.into_iter().enumerate().map(|(at, mut finding)| {
            finding.name = format!("{name}-{}", finding.name);
            if at == 0 {
                finding.title = prefix.clone();
                finding.statement = format!("{} {}", part.lead, finding.statement).trim().to_owned();
            } else if finding.title != capital(name) {
                finding.title = format!("{}: {}", capital(name), finding.title);
            }
            finding
        }));
    }
    page
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_promises_what_there_is() {
        assert_eq!(lead(&["weights"]), "What the network's filters are.");
        let expected = "What the network's filters are, what its cells see, and which classes are alike to it.";
        assert_eq!(lead(&["weights", "fields", "soft-labels"]), expected);
    }
}
