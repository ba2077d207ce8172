//! Why a page or a picture could not be made.

/// Why a page or a picture could not be made, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The bytes of a picture do not fit its size.
    #[error(
        "a picture of {width} x {height} pixels needs width * height * 3 bytes and at least one pixel, but has {given} bytes: give rows of red, green, blue"
    )]
    Picture {
        /// Width in pixels, as given.
        width: usize,
        /// Height in pixels, as given.
        height: usize,
        /// Bytes given.
        given: usize,
    },
    /// A row of a table is longer or shorter than its head.
    #[error(
        "row {row} (counted from 0) has {given} cells, but the table has {expected} columns: give every row one cell per column"
    )]
    Row {
        /// Index of the first such row.
        row: usize,
        /// Cells of that row.
        given: usize,
        /// Columns of the table.
        expected: usize,
    },
    /// A shaded table has not as many rows as names of rows.
    #[error("a shaded table has {rows} rows, and names for {names}: give every row one name")]
    Heat {
        /// Names of rows.
        names: usize,
        /// Rows.
        rows: usize,
    },
    /// Joints that make no tree.
    #[error(
        "the joints make no tree: each must join two groups that are there and joined by no other, until there is one"
    )]
    Tree,
    /// A card does not fit its figure.
    #[error("the card `{card}` {problem}")]
    Card {
        /// Name of the card.
        card: String,
        /// What does not fit.
        problem: String,
    },
    /// A figure cannot be shown.
    #[error("figure `{figure}` of finding `{finding}` cannot be shown: {source}")]
    Figure {
        /// Title of the figure.
        figure: String,
        /// Name of the finding.
        finding: String,
        /// What is wrong with it.
        source: Box<ReportError>,
    },
    /// The picture could not be compressed.
    #[error("a picture could not be compressed: {0}")]
    Png(#[from] image::ImageError),
    /// The curves could not be drawn.
    #[error("the curves could not be drawn: {0}")]
    Draw(String),
    /// The numbers of a figure could not be written as CSV.
    #[error("the numbers of a figure could not be written as CSV: {0}")]
    Csv(String),
    /// The page could not be filled in.
    #[error("the page could not be filled in: {0}")]
    Template(#[from] askama::Error),
}
