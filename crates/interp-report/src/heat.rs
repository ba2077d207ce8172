//! Numbers in rows and columns as a table whose cells are the darker the larger they are.

use crate::{ReportError, download};

/// A table of shaded cells.
pub(crate) struct Heat<'a> {
    pub(crate) columns: &'a [String],
    pub(crate) rows: Vec<Row<'a>>,
}

/// A row with its name.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) cells: Vec<Cell>,
}

/// A cell: what is written in it, and the share of the darkest color, in percent.
pub(crate) struct Cell {
    pub(crate) shown: String,
    pub(crate) shade: u32,
}

impl<'a> Heat<'a> {
    /// # Errors
    /// [`ReportError::Row`] if a row is not as long as `columns`, or there are not as many rows as names.
    pub(crate) fn new(
        names: &'a [String],
        columns: &'a [String],
        values: &[Vec<Option<f64>>],
    ) -> Result<Self, ReportError> {
        check(names, columns, values)?;
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let all = values.iter().flatten().filter_map(|&value| finite(value));
        let largest = all.fold(f64::MIN_POSITIVE, f64::max);
        let cell = |value: &Option<f64>| match finite(*value) {
            Some(value) => Cell { shown: shown(value), shade: (100.0 * (value / largest).max(0.0)).round() as u32 },
            None => Cell { shown: String::new(), shade: 0 },
        };
        let row =
            |(name, values): (&'a String, &Vec<Option<f64>>)| Row { name, cells: values.iter().map(cell).collect() };
        Ok(Self { columns, rows: names.iter().zip(values).map(row).collect() })
    }
}

/// Two digits after the point; what is smaller than they show is a point.
fn shown(value: f64) -> String {
    if value.abs() < 0.005 { "·".to_owned() } else { format!("{value:.2}") }
}

/// All digits as CSV, with the names.
///
/// # Errors
/// [`ReportError::Csv`].
pub(crate) fn csv(names: &[String], columns: &[String], values: &[Vec<Option<f64>>]) -> Result<Vec<u8>, ReportError> {
    let head: Vec<String> = std::iter::once(String::new()).chain(columns.iter().cloned()).collect();
    let text = |value: &Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let row = |(name, row): (&String, &Vec<Option<f64>>)| {
        std::iter::once(name.clone()).chain(row.iter().map(text)).collect::<Vec<_>>()
    };
    download::csv(std::iter::once(head).chain(names.iter().zip(values).map(row)))
}

fn check(names: &[String], columns: &[String], values: &[Vec<Option<f64>>]) -> Result<(), ReportError> {
    if names.len() != values.len() {
        return Err(ReportError::Heat { names: names.len(), rows: values.len() });
    }
    let expected = columns.len();
    let wrong = values.iter().enumerate().find(|(_, cells)| cells.len() != expected);
    wrong.map_or(Ok(()), |(row, cells)| Err(ReportError::Row { row, given: cells.len(), expected }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_darkest() {
        let names = ["a".to_owned(), "b".to_owned()];
        let values = vec![vec![None, Some(0.5)], vec![Some(0.125), Some(0.001)]];
        let heat = Heat::new(&names, &names, &values).unwrap();
        let cells: Vec<_> = heat.rows.iter().flat_map(|row| &row.cells).map(|c| (c.shown.as_str(), c.shade)).collect();
        assert_eq!(cells, [("", 0), ("0.50", 100), ("0.12", 25), ("·", 0)]);
        let text = String::from_utf8(csv(&names, &names, &values).unwrap()).unwrap();
        assert_eq!(text, ",a,b\na,,0.5\nb,0.125,0.001\n");
        assert!(Heat::new(&names, &names, &[vec![None; 2]]).is_err());
        assert!(Heat::new(&names, &names, &[vec![None; 2], vec![None]]).is_err());
        let nothing = Heat::new(&names, &names, &[vec![Some(f64::NAN); 2], vec![Some(0.0); 2]]).unwrap();
        assert!(nothing.rows.iter().flat_map(|row| &row.cells).all(|cell| cell.shade == 0));
    }
}
