//! Where the time of a run goes: a collector of the spans that networks and training open, a table of
//! their sums, and a trace for a browser's viewer (`chrome://tracing`, ui.perfetto.dev).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use interp_net::files::write_atomically;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::{Error, Result};

/// Spans that the trace holds; later ones are in the table only. A step of a small network has a hundred.
const TRACED: usize = 50_000;

/// What was measured so far.
#[derive(Default)]
struct Measured {
    /// Time and number of the spans of each name and subject.
    sums: BTreeMap<(&'static str, String), (Duration, u64)>,
    /// The first spans: name, subject, start, length.
    spans: Vec<(&'static str, String, Duration, Duration)>,
}

/// A profile that is being taken.
pub(crate) struct Profile {
    began: Instant,
    measured: Arc<Mutex<Measured>>,
}

/// Hears of spans as they open and close.
struct Collector {
    began: Instant,
    measured: Arc<Mutex<Measured>>,
}

/// What is kept with an open span.
struct Open {
    subject: String,
    since: Instant,
}

/// Reads the field that says what a span is about.
#[derive(Default)]
struct Subject(String);

impl Visit for Subject {
    fn record_str(&mut self, _field: &Field, value: &str) {
        self.0 = value.to_owned();
    }

    fn record_debug(&mut self, _field: &Field, value: &dyn std::fmt::Debug) {
        self.0 = format!("{value:?}");
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut subject = Subject::default();
        attributes.record(&mut subject);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Open { subject: subject.0, since: Instant::now() });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { subject, since }) = span.extensions_mut().remove() else { return };
        let length = since.elapsed();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if measured.spans.len() < TRACED {
            measured.spans.push((span.name(), subject.clone(), since - self.began, length));
        }
        let (sum, count) = measured.sums.entry((span.name(), subject)).or_default();
        *sum += length;
        *count += 1;
    }
}

impl Profile {
    /// Begins to measure all threads of this process.
    ///
    /// # Errors
    /// If something else listens to spans already.
    pub(crate) fn begin() -> Result<Self> {
        let (began, measured) = (Instant::now(), Arc::default());
        let collector = Collector { began, measured: Arc::clone(&measured) };
        let ours = tracing_subscriber::filter::filter_fn(|meta| meta.target().starts_with("interp"));
        tracing::subscriber::set_global_default(Registry::default().with(collector.with_filter(ours)))
            .map_err(|e| Error::Usage(format!("--profile: {e}")))?;
        Ok(Self { began, measured })
    }

    /// The sums as a table: each kind of work, and what it was about, longest first.
    pub(crate) fn table(&self) -> String {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds: BTreeMap<&str, Duration> = BTreeMap::new();
        measured.sums.iter().for_each(|((name, _), (sum, _))| *kinds.entry(name).or_default() += *sum);
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|&(_, sum)| std::cmp::Reverse(sum));
        let whole = self.began.elapsed().as_secs_f64();
        let mut text = format!("{:<36} {:>9} {:>7} {:>10}\n", "profile", "seconds", "share", "ms a time");
        for (kind, sum) in kinds {
            let share = 100.0 * sum.as_secs_f64() / whole;
            let _ = writeln!(text, "{kind:<36} {:>9.2} {share:>5.1} %", sum.as_secs_f64());
            let mut rows: Vec<_> =
                measured.sums.iter().filter(|((name, subject), _)| *name == kind && !subject.is_empty()).collect();
            rows.sort_by_key(|(_, (sum, _))| std::cmp::Reverse(*sum));
            for ((_, subject), (sum, count)) in rows {
                let (seconds, each) = (sum.as_secs_f64(), 1e3 * sum.as_secs_f64() / *count as f64);
                let share = 100.0 * seconds / whole;
                let _ = writeln!(text, "  {subject:<34} {seconds:>9.2} {share:>5.1} % {each:>10.3}");
            }
        }
        text
    }

    /// Writes the first spans as a trace.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn write_trace(&self, path: &Path) -> Result<()> {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let events: Vec<_> = measured
            .spans
            .iter()
            .map(|(name, subject, start, length)| {
                json!({
                    "name": if subject.is_empty() { name } else { subject.as_str() }, "cat": name, "ph": "X",
                    "ts": micros(*start), "dur": micros(*length), "pid": 1, "tid": 1,
                })
            })
            .collect();
        Ok(write_atomically(path, &serde_json::to_vec(&json!({ "traceEvents": events }))?)?)
    }
}
