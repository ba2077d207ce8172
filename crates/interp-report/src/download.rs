//! The numbers of a figure as a link that holds them.

use crate::ReportError;
use base64::{Engine, prelude::BASE64_STANDARD};

/// A link that saves what is behind a figure.
pub(crate) struct Download {
    /// Name of the file that is saved.
    pub(crate) file: String,
    /// The file itself, as a `data:` address.
    pub(crate) href: String,
    /// What the link says.
    pub(crate) text: &'static str,
}

impl Download {
    pub(crate) fn csv(id: &str, bytes: &[u8]) -> Self {
        Self { file: format!("{id}.csv"), href: address("text/csv;charset=utf-8", bytes), text: "Numbers (CSV)" }
    }

    pub(crate) fn png(id: &str, bytes: &[u8]) -> Self {
        Self { file: format!("{id}.png"), href: address("image/png", bytes), text: "Picture (PNG)" }
    }
}

/// The bytes as a `data:` address.
pub(crate) fn address(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}

/// Rows as CSV (RFC 4180).
///
/// # Errors
/// [`ReportError::Csv`] if rows differ in length.
pub(crate) fn csv<R, C>(rows: impl IntoIterator<Item = R>) -> Result<Vec<u8>, ReportError>
where
    R: IntoIterator<Item = C>,
    C: AsRef<[u8]>,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(|e| ReportError::Csv(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| ReportError::Csv(e.to_string()))
}
