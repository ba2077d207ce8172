//! A run's log for TensorBoard: every number of an epoch as a scalar, in an event file for each network.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::Result;
use crate::folder::{Folder, Stage, io};

mod record;

/// Makes the event files of a run say what its log says. Their times are the log's seconds, counted from when the run's recipe was
/// written, so that epochs told before keep their bytes while the folder is not copied.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn write(folder: &Folder) -> Result<()> {
    let recipe = folder.recipe();
    let begun = fs::metadata(&recipe).and_then(|file| file.modified()).map_err(io(&recipe))?;
    let begun = begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let log = folder.events()?;
    for stage in [Stage::Main, Stage::Twin] {
        let epochs: Vec<_> = log.iter().filter(|line| line["stage"] == json!(stage)).collect();
        if !epochs.is_empty() {
            let path = folder.charts(stage);
            replace(&path, &events(begun, &epochs)).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// Writes a file in its place and at no moment shorter than what stays of it: TensorBoard may be reading, and goes on where it
/// stopped in the same file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// The event file of some lines of the log.
fn events(begun: f64, epochs: &[&Value]) -> Vec<u8> {
    let records = epochs.iter().map(|line| {
        let wall_time = begun + line["seconds"].as_f64().unwrap_or_default();
        let mut values = scalars("", line);
        values.retain(|(tag, _)| tag != "epoch");
        record::scalars(wall_time, line["epoch"].as_u64().unwrap_or_default(), &values)
    });
    [record::first(begun)].into_iter().chain(records).flatten().collect()
}

/// The numbers in a part of a line, by tag: `validation/loss`. Truths are 1 or 0, and what JSON has no number for, as the loss of a
/// network gone astray, is no number here either.
fn scalars(tag: &str, value: &Value) -> Vec<(String, f32)> {
    let number = match value {
        Value::Object(parts) => {
            let start = if tag.is_empty() { String::new() } else { format!("{tag}/") };
            return parts.iter().flat_map(|(key, part)| scalars(&format!("{start}{key}"), part)).collect();
        }
        Value::Number(number) => number.as_f64().map(|number| number as f32),
        Value::Bool(truth) => Some(f32::from(*truth)),
        Value::Null => Some(f32::NAN),
        Value::String(_) | Value::Array(_) => None,
    };
    number.map(|number| (tag.to_owned(), number)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same epochs as TensorBoard's own code writes them: `tests/data/make_events.py`.
    #[test]
    fn a_log_is_written_as_tensorboard_writes_it() {
        let line = |epoch: u64, loss: Value, seconds: f64| {
            json!({
                "stage": "main", "epoch": epoch, "phase": 0, "learning_rate": 0.12,
                "train": { "loss": 1.7, "accuracy": 0.25 }, "validation": { "loss": loss, "accuracy": 0.5 },
                "meets_claims": false, "chosen": true, "priors": { "l1.strength": 0.0625 }, "seconds": seconds,
            })
        };
        let (one, other) = (line(1, json!(2.5), 12.5), line(300, Value::Null, 2500.25));
        let expected = include_bytes!("../../tests/data/events.tfevents");
        assert_eq!(events(1.6e9, &[&one, &other]), expected);
    }
}
