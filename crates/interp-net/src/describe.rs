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
    let head = ["node", "operation", "output", "parameters", "multiply-adds", "receptive field"].map(str::to_owned);
    let mut lines = vec![head];
    for r in rows(network) {
        let field = r.field.map_or("varies".into(), |field| join(&field));
        let cells = [r.name, r.op, join(&r.shape), grouped(r.parameters), grouped(r.multiply_adds), field];
        lines.push(cells);
    }
    let total = [
        "total".into(),
        String::new(),
        String::new(),
        grouped(network.parameters()),
        grouped(network.multiply_adds()),
        String::new(),
    ];
    lines.push(total);
    let widths: Vec<usize> = (0..6).map(|c| lines.iter().map(|l| l[c].len()).max().unwrap_or(0)).collect();
    let line = |cells: &[String; 6]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(c, (cell, width))| match c {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
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
