//! A page of findings, and how it is filled into the template.

use crate::cards::{self, Cards, Deck};
use crate::curves::{self, Curves};
use crate::download::Download;
use crate::heat::{self, Heat};
use crate::picture::{Strip, beside};
use crate::table::Table;
use crate::tree::{self, Tree};
use crate::{ReportError, number, png};
use askama::Template;
use interp_finding::{Figure, Finding, Measured, Number};
use std::collections::BTreeSet;

/// What a page says, in the order in which it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Heading of the page.
    pub title: String,
    /// One paragraph that says what was found; may be empty.
    pub lead: String,
    /// What makes what was found doubtful, a sentence each; usually none.
    pub warnings: Vec<String>,
    /// Key and value: data, seconds, recipe and the like.
    pub facts: Vec<(String, String)>,
    /// Claims with what was measured for them, shown before the findings.
    pub claims: Vec<Measured>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// Title and text of what the page came from, such as the resolved recipe; shown collapsed.
    pub source: Option<(String, String)>,
}

/// Another page, to go on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is.
    pub title: String,
    /// Its address, from the folder of this page.
    pub href: String,
}

/// The page as one HTML file, with links to other pages that lie beside it.
///
/// Points of curves that are not finite are left out of the drawing (and counted below it); other numbers
/// that are not finite are shown as such.
///
/// # Errors
/// [`ReportError::Figure`] for a picture whose bytes do not fit its size, for a table with a row that is
/// not as long as its head, and for cards that do not fit together.
pub fn html(page: &Page, links: &[Link]) -> Result<String, ReportError> {
    let mut ids = Ids::from(["content", "claims", "source"]);
    let findings: Vec<_> =
        page.findings.iter().map(|finding| Section::new(finding, &mut ids)).collect::<Result<_, _>>()?;
    let view = View {
        css: include_str!("../templates/page.css"),
        has_cards: page
            .findings
            .iter()
            .flat_map(|finding| &finding.figures)
            .any(|figure| matches!(figure, Figure::Cards { .. })),
        page,
        links,
        verdict: verdict(&page.claims),
        contents: contents(page, &findings),
        findings,
    };
    Ok(view.render()?)
}

#[derive(Template)]
#[template(path = "page.html", whitespace = "minimize")]
struct View<'a> {
    css: &'static str,
    /// Whether there are cards, which alone need a script.
    has_cards: bool,
    page: &'a Page,
    links: &'a [Link],
    verdict: String,
    contents: Vec<Entry<'a>>,
    findings: Vec<Section<'a>>,
}

/// A line of the table of contents.
struct Entry<'a> {
    id: String,
    title: &'a str,
}

struct Section<'a> {
    id: String,
    title: &'a str,
    statement: &'a str,
    numbers: &'a [(String, Number)],
    has_interval: bool,
    has_null: bool,
    figures: Vec<Drawn<'a>>,
}

/// A figure, ready to be shown.
struct Drawn<'a> {
    id: String,
    title: &'a str,
    caption: &'a str,
    body: Body<'a>,
    download: Download,
}

enum Body<'a> {
    Curves {
        curves: Curves<'a>,
        x: &'a str,
        y: &'a str,
    },
    Table(Table<'a>),
    Heat(Heat<'a>),
    Tree(Tree<'a>),
    Pictures(Strip<'a>),
    Cards(Cards<'a>),
    /// Size on the screen, in CSS pixels.
    Picture {
        width: usize,
        height: usize,
    },
}

impl<'a> Section<'a> {
    fn new(finding: &'a Finding, ids: &mut Ids) -> Result<Self, ReportError> {
        let id = ids.unique(&finding.name);
        let mut drawn = |figure| Drawn::new(figure, &id, ids).map_err(|source| blame(figure, finding, source));
        let figures = finding.figures.iter().map(&mut drawn).collect::<Result<_, _>>()?;
        let has_interval = finding.numbers.iter().any(|(_, number)| number.interval.is_some());
        let has_null = finding.numbers.iter().any(|(_, number)| number.null.is_some());
        Ok(Self {
            id,
            title: &finding.title,
            statement: &finding.statement,
            numbers: &finding.numbers,
            has_interval,
            has_null,
            figures,
        })
    }
}

fn blame(figure: &Figure, finding: &Finding, source: ReportError) -> ReportError {
    ReportError::Figure { figure: words(figure).0.to_owned(), finding: finding.name.clone(), source: Box::new(source) }
}

/// Title and caption.
fn words(figure: &Figure) -> (&str, &str) {
    match figure {
        Figure::Curves { title, caption, .. }
        | Figure::Table { title, caption, .. }
        | Figure::Heat { title, caption, .. }
        | Figure::Tree { title, caption, .. }
        | Figure::Picture { title, caption, .. }
        | Figure::Pictures { title, caption, .. }
        | Figure::Cards { title, caption, .. } => (title, caption),
    }
}

impl<'a> Drawn<'a> {
    fn new(figure: &'a Figure, finding: &str, ids: &mut Ids) -> Result<Self, ReportError> {
        let (title, caption) = words(figure);
        let id = ids.unique(&format!("{finding}-{title}"));
        let (body, download) = body(figure, &id)?;
        Ok(Self { id, title, caption, body, download })
    }

    /// Whether the figure takes the full width beside no other.
    fn is_wide(&self) -> bool {
        match self.body {
            Body::Curves { .. } | Body::Tree(_) => false,
            Body::Table(_) | Body::Heat(_) | Body::Pictures(_) | Body::Cards(_) => true,
            Body::Picture { width, .. } => width > 420,
        }
    }
}

fn body<'a>(figure: &'a Figure, id: &str) -> Result<(Body<'a>, Download), ReportError> {
    Ok(match figure {
        Figure::Curves { x, y, series, .. } => {
            (Body::Curves { curves: Curves::new(series)?, x, y }, Download::csv(id, &curves::csv(series, x, y)?))
        }
        Figure::Table { columns, rows, .. } => {
            let table = Table::new(columns, rows)?;
            let download = Download::csv(id, &table.csv()?);
            (Body::Table(table), download)
        }
        Figure::Heat { rows, columns, values, .. } => {
            (Body::Heat(Heat::new(rows, columns, values)?), Download::csv(id, &heat::csv(rows, columns, values)?))
        }
        Figure::Tree { leaves, joins, .. } => {
            (Body::Tree(Tree::new(leaves, joins)?), Download::csv(id, &tree::csv(leaves, joins)?))
        }
        Figure::Picture { width, height, rgb, zoom, .. } => {
            let download = Download::png(id, &png(*width, *height, rgb)?);
            let zoomed = |pixels: &usize| pixels.saturating_mul((*zoom).max(1));
            (Body::Picture { width: zoomed(width), height: zoomed(height) }, download)
        }
        Figure::Pictures { pictures, zoom, .. } => {
            (Body::Pictures(Strip::new(pictures, *zoom)?), Download::png(id, &beside(pictures)?))
        }
        Figure::Cards { facets, measures, sheets, originals, cards, .. } => {
            let deck = Deck { facets, measures, sheets, originals, cards };
            (Body::Cards(Cards::new(id, &deck)?), Download::csv(id, &cards::csv(&deck)?))
        }
    })
}

/// How many claims hold, in a sentence.
fn verdict(claims: &[Measured]) -> String {
    match (claims.iter().filter(|claim| claim.holds).count(), claims.len()) {
        (holding, all) if holding == all => "Every claim holds.".to_owned(),
        (0, _) => "No claim holds.".to_owned(),
        (holding, all) => format!("Of {all} claims, {} not hold.", does(all - holding)),
    }
}

fn does(count: usize) -> String {
    if count == 1 { "1 does".to_owned() } else { format!("{count} do") }
}

fn contents<'a>(page: &'a Page, findings: &[Section<'a>]) -> Vec<Entry<'a>> {
    let entry = |id: &str, title| Entry { id: id.to_owned(), title };
    let claims = (!page.claims.is_empty()).then(|| entry("claims", "Claims"));
    let sections = findings.iter().map(|finding| entry(&finding.id, finding.title));
    let source = page.source.as_ref().map(|(title, _)| entry("source", title));
    claims.into_iter().chain(sections).chain(source).collect()
}

/// The ids given so far, on a page or among controls.
pub(crate) struct Ids(BTreeSet<String>);

impl<const N: usize> From<[&str; N]> for Ids {
    fn from(given: [&str; N]) -> Self {
        Self(given.map(str::to_owned).into())
    }
}

impl Ids {
    /// An id like `name` (letters, digits and `-`, at most 60) that was not given yet.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        let base = slug(name);
        let mut id = base.clone();
        let mut count = 1;
        while !self.0.insert(id.clone()) {
            count += 1;
            id = format!("{base}-{count}");
        }
        id
    }
}

fn slug(name: &str) -> String {
    let lower: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = lower.split('-').filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").chars().take(60).collect();
    if short.is_empty() { "finding".to_owned() } else { short }
}

#[cfg(test)]
mod tests;
