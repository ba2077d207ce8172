//! `interp-audit shares`: what each module of a sum adds to decisions.

use std::path::PathBuf;

use clap::Args;
use interp_audit::{Decision, Share, Shares, shares};
use interp_data::Info;
use interp_finding::{Better, Figure, Finding, Number};
use interp_net::{aligned, files};
use interp_report::{Page, html};
use serde_json::json;

use super::on_pictures::{OnPictures, Opened};
use super::{Ending, print};
use crate::{Catalog, Result, links};

/// What each module of a sum adds to decisions, and how well the network does without it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  interp-audit shares checkpoints/additive --page shares.html")]
pub(super) struct SharesOf {
    #[command(flatten)]
    on: OnPictures,
    /// Tell the first N decisions one by one
    #[arg(long, default_value_t = 12, value_name = "N")]
    count: u16,
    /// Write a page
    #[arg(long, value_name = "FILE", value_parser = super::file)]
    page: Option<PathBuf>,
}

impl SharesOf {
    pub(super) fn run(&self, catalog: &Catalog) -> Result<Ending> {
        let Opened { path, network, info, pictures, .. } = self.on.open_classifier(catalog)?;
        let found = shares(&network, &pictures, self.count.into())?;
        let tables = Tables { found: &found, info: &info };
        if let Some(page) = &self.page {
            files::write_atomically(page, html(&tables.page(), &links::beside(page, &path))?.as_bytes())?;
        }
        if self.on.json {
            print(&self.object(&path.display().to_string(), &found, &info).to_string())?;
        } else {
            print(&aligned(&with_head(tables.modules()), 1))?;
            print(&format!("\npictures that each decides\n{}", aligned(&with_head(tables.decides()), 1)))?;
            print(&format!("\n{}", aligned(&with_head(tables.decisions()), 4)))?;
        }
        Ok(Ending::Fine)
    }

    fn object(&self, checkpoint: &str, found: &Shares, info: &Info) -> serde_json::Value {
        let module = |share: &Share| {
            let Share { name, by_class, overall, decides, without, alone } = share;
            json!({
                "node": name, "share": overall, "by_class": by_class, "decides": decides, "accuracy_without": without,
                "accuracy_alone": alone,
            })
        };
        let decision = |decision: &Decision| {
            let Decision { index, label, class, rival, lead } = decision;
            json!({ "index": index, "label": label, "class": class, "rival": rival, "lead": lead })
        };
        json!({
            "version": 1, "checkpoint": checkpoint, "data": info.name, "split": self.on.split, "count": found.count,
            "accuracy": found.accuracy, "classes": info.classes,
            "modules": found.modules.iter().map(module).collect::<Vec<_>>(),
            "decisions": found.decisions.iter().map(decision).collect::<Vec<_>>(),
        })
    }
}

/// Heads and rows.
type Cells = (Vec<String>, Vec<Vec<String>>);

fn with_head((head, rows): Cells) -> Vec<Vec<String>> {
    std::iter::once(head).chain(rows).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// What was found, as tables.
struct Tables<'a> {
    found: &'a Shares,
    info: &'a Info,
}

impl Tables<'_> {
    fn class(&self, class: usize) -> String {
        self.info.classes.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The names of the modules, without what they end in together: `color` for `color.logits`.
    fn names(&self) -> impl Iterator<Item = String> {
        let name = |share: &Share| share.name.split('.').next().unwrap_or_default().to_owned();
        self.found.modules.iter().map(name)
    }

    /// A row for each module.
    fn modules(&self) -> Cells {
        let head = ["module", "share", "accuracy without it", "accuracy of it alone"].map(str::to_owned);
        let row = |(share, name): (&Share, String)| {
            vec![name, percent(share.overall), percent(share.without), percent(share.alone)]
        };
        (head.into(), self.found.modules.iter().zip(self.names()).map(row).collect())
    }

    /// A row for each class, with the share of each module.
    fn classes(&self) -> Cells {
        self.by_class(|share| &share.by_class)
    }

    /// A row for each class, with the pictures that each module decides.
    fn decides(&self) -> Cells {
        self.by_class(|share| &share.decides)
    }

    fn by_class(&self, of: fn(&Share) -> &Vec<f64>) -> Cells {
        let shares = |class: usize| self.found.modules.iter().map(move |share| percent(of(share)[class]));
        let row = |class: usize| std::iter::once(self.class(class)).chain(shares(class)).collect();
        let head = std::iter::once("class".to_owned()).chain(self.names()).collect();
        (head, (0..self.info.classes.len()).map(row).collect())
    }

    /// A row for each decision, with what each module adds to its lead.
    fn decisions(&self) -> Cells {
        let head = ["picture", "of class", "taken for", "rather than"].map(str::to_owned).into_iter();
        let row = |decision: &Decision| {
            let words = [
                decision.index.to_string(),
                self.class(decision.label),
                self.class(decision.class),
                self.class(decision.rival),
            ];
            let whole = decision.lead.iter().sum();
            let numbers = decision.lead.iter().chain([&whole]).map(|lead: &f64| format!("{lead:.3}"));
            words.into_iter().chain(numbers).collect()
        };
        let head = head.chain(self.names()).chain(["lead".to_owned()]).collect();
        (head, self.found.decisions.iter().map(row).collect())
    }

    fn page(&self) -> Page {
        let table = |title: &str, caption: &str, (columns, rows): Cells| Figure::Table {
            title: title.into(),
            caption: caption.into(),
            columns,
            rows,
        };
        let figures = vec![
            table(
                "Modules",
                "Share: the variance over pictures of what the module adds to the logits, of the sum of these variances. Without it: \
                 its mean over pictures stands in its place. Alone: the logits are the module's.",
                self.modules(),
            ),
            table("Shares by class", "The same for the logit of each class.", self.classes()),
            table(
                "Who decides",
                "Of the pictures of each class those that the module decides: of all modules it puts the class that the picture is taken \
                 for furthest above the next one.",
                self.decides(),
            ),
            table(
                "Decisions",
                "The first pictures. By how much each module puts the class that the picture is taken for above the next one: these \
                 numbers add up to the lead.",
                self.decisions(),
            ),
        ];
        let accuracy = Number::new(100.0 * self.found.accuracy, "%", Better::Higher);
        let statement = format!("The logits are the sum of those of {}.", self.names().collect::<Vec<_>>().join(", "));
        let finding = Finding {
            name: "shares".into(),
            title: "What each module adds".into(),
            statement,
            numbers: vec![("Accuracy of the sum".into(), accuracy)],
            figures,
        };
        Page {
            title: format!("Shares of modules on {}", self.info.name),
            lead: String::new(),
            warnings: vec![],
            facts: vec![("Pictures".into(), self.found.count.to_string())],
            claims: vec![],
            findings: vec![finding],
            source: None,
        }
    }
}
