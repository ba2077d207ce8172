//! Tables: which columns hold numbers, and the table as CSV.

use crate::{ReportError, download, number};

/// The head of a column.
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    /// Whether the column holds numbers, which are set to the right.
    pub(crate) is_number: bool,
}

/// A table whose rows are all as long as its head.
pub(crate) struct Table<'a> {
    pub(crate) heads: Vec<Head<'a>>,
    pub(crate) rows: &'a [Vec<String>],
}

impl<'a> Table<'a> {
    /// # Errors
    /// [`ReportError::Row`] if a row is not as long as `columns`.
    pub(crate) fn new(columns: &'a [String], rows: &'a [Vec<String>]) -> Result<Self, ReportError> {
        let expected = columns.len();
        if let Some((row, cells)) = rows.iter().enumerate().find(|(_, cells)| cells.len() != expected) {
            return Err(ReportError::Row { row, given: cells.len(), expected });
        }
        let head = |(i, name): (usize, &'a String)| Head { name, is_number: is_number_column(rows, i) };
        Ok(Self { heads: columns.iter().enumerate().map(head).collect(), rows })
    }

    /// Whether column `index` holds numbers.
    pub(crate) fn is_number(&self, index: &usize) -> bool {
        self.heads.get(*index).is_some_and(|head| head.is_number)
    }

    /// A cell as it is shown: the digits of whole numbers in groups. The CSV has them as they are.
    pub(crate) fn shown(&self, cell: &str, index: &usize) -> String {
        let whole = self.is_number(index) && cell.bytes().all(|byte| byte.is_ascii_digit());
        if whole { number::group(cell) } else { cell.to_owned() }
    }

    /// The table as CSV, head first.
    ///
    /// # Errors
    /// [`ReportError::Csv`].
    pub(crate) fn csv(&self) -> Result<Vec<u8>, ReportError> {
        let head = self.heads.iter().map(|head| head.name).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(String::as_str).collect());
        download::csv(std::iter::once::<Vec<&str>>(head).chain(rows))
    }
}

/// Some cell is a number, and each is one or says that there is none.
fn is_number_column(rows: &[Vec<String>], column: usize) -> bool {
    let mut cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.trim());
    let is_none = |cell: &str| matches!(cell, "" | "-" | "–" | "—" | "NaN" | "n/a");
    cells.clone().any(is_number) && cells.all(|cell| is_none(cell) || is_number(cell))
}

/// `91.6 %`, `-3`, `1 234`, `± 0.2`, `0.5 [0.4, 0.6]`: a number, alone or followed by a space or `%`.
fn is_number(cell: &str) -> bool {
    let body = cell.trim_start_matches(['+', '-', '−', '±', '<', '>', '≤', '≥', '≈', ' ', '\u{a0}']);
    let (first, rest) = body.split_at(body.find(|c: char| c.is_whitespace() || c == '%').unwrap_or(body.len()));
    first.replace([',', '−'], "").parse::<f64>().is_ok_and(f64::is_finite) && rest.chars().count() < 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_words() {
        for cell in ["91.6 %", "91.6%", "-3", "−3.5", "1 234", "1,234", "± 0.2", "0.5 [0.4, 0.6]", "1e-5", "≤ 5 ms"]
        {
            assert!(is_number(cell), "{cell}");
        }
        for cell in ["", "3x3", "resnet20", "conv1", "2nd", "inf", "-", "a 1"] {
            assert!(!is_number(cell), "{cell}");
        }
    }

    #[test]
    fn a_column_of_nothing_is_no_number_column() {
        let rows = |cells: [&str; 2]| cells.map(|c| vec![c.to_owned()]).to_vec();
        assert!(is_number_column(&rows(["1", "—"]), 0));
        assert!(!is_number_column(&rows(["—", ""]), 0));
        assert!(!is_number_column(&rows(["1", "one"]), 0));
        assert!(!is_number_column(&[], 0));
    }

    #[test]
    fn a_row_too_short_is_refused() {
        let (columns, rows) =
            (["a".to_owned(), "b".to_owned()], [vec!["1".to_owned(), "2".to_owned()], vec!["3".to_owned()]]);
        let error = Table::new(&columns, &rows).err().unwrap();
        assert!(matches!(error, ReportError::Row { row: 1, given: 1, expected: 2 }), "{error}");
    }

    #[test]
    fn whole_numbers_are_shown_in_groups_and_kept_whole_in_the_csv() {
        let (columns, rows) = (["a".to_owned()], [vec!["17402368".to_owned()], vec!["4608".to_owned()]]);
        let table = Table::new(&columns, &rows).unwrap();
        assert_eq!(rows.each_ref().map(|row| table.shown(&row[0], &0)), ["17\u{202f}402\u{202f}368", "4608"]);
        assert!(String::from_utf8(table.csv().unwrap()).unwrap().contains("17402368"));
        let words = [vec!["12345".to_owned()], vec!["word".to_owned()]];
        assert_eq!(Table::new(&columns, &words).unwrap().shown("12345", &0), "12345");
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let (columns, rows) = (["a,b".to_owned(), "c".to_owned()], [vec!["say \"x\"".to_owned(), "2".to_owned()]]);
        let csv = Table::new(&columns, &rows).unwrap().csv().unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), "\"a,b\",c\n\"say \"\"x\"\"\",2\n");
    }
}
