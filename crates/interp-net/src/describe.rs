//! The layer table.

use crate::{Network, NodeId};

/// One line of the layer table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the node.
    pub name: String,
    /// What it computes: `conv 3x3`.
    pub op: String,
    /// Shape of its activation without N.
    pub shape: Vec<usize>,
    /// Trained parameters.
    pub parameters: usize,
    /// Multiply-adds for one image.
    pub multiply_adds: usize,
    /// Receptive field before clipping: rows, columns; `None` where it varies with the cell.
    pub field: Option<[usize; 2]>,
}

/// The layer table, a row for each node.
pub fn rows(network: &Network) -> Vec<Row> {
    (0..network.graph.nodes().len()).map(|id| row(network, id)).collect()
}

fn row(network: &Network, id: NodeId) -> Row {
    let node = &network.graph.nodes()[id];
    let own = network.params.list().iter().filter(|p| p.node == id && p.role.is_trained());
    Row {
        name: node.name.clone(),
        op: node.op.label(),
        shape: network.graph.shape(id).to_vec(),
        parameters: own.map(|p| p.value.elem_count()).sum(),
        multiply_adds: network.graph.multiply_adds(id),
        field: network.receptive_field(id).ok().map(|field| field.size),
    }
}

/// The layer table as aligned text, with totals.
pub fn describe(network: &Network) -> String {
    let join = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let head = ["node", "operation", "output", "parameters", "multiply-adds", "receptive field"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for r in rows(network) {
        let field = r.field.map_or("varies".into(), |field| join(&field));
        lines.push(vec![r.name, r.op, join(&r.shape), grouped(r.parameters), grouped(r.multiply_adds), field]);
    }
    let total = vec![
        "total".into(),
        String::new(),
        String::new(),
        grouped(network.parameters()),
        grouped(network.multiply_adds()),
        String::new(),
    ];
    lines.push(total);
    aligned(&lines, 2)
}

/// A table as text: the first `left` columns begin below each other, the others end so. All lines have as many cells.
pub fn aligned(lines: &[Vec<String>], left: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column < left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An integer with its thousands set apart: `1,234,567`.
pub fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
