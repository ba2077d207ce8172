//! A graph of ONNX in the making, by the field numbers of `onnx.proto` (IR version 8).

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::View;

use super::protobuf::Message;
use crate::{NetError, Result};

/// The numbers of operators that are used, and the version of the format that has them.
const OPERATORS: i64 = 17;
const FORMAT: i64 = 8;

/// Types of numbers.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// An attribute of a node.
#[derive(Clone)]
pub(super) enum Attribute {
    Integer(i64),
    Integers(Vec<i64>),
    Float(f32),
}

/// Nodes, constants and the names that are taken.
#[derive(Default)]
pub(super) struct Draft {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    names: BTreeSet<String>,
}

impl Draft {
    /// Adds a node that computes `output`.
    ///
    /// # Errors
    /// If there is something of this name.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, Attribute)],
    ) -> Result<()> {
        self.node_of(operator, inputs, &[output], attributes)
    }

    /// Adds a node with several outputs, which bears the name of the first.
    ///
    /// # Errors
    /// If there is something of one of these names.
    pub(super) fn node_of(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Result<()> {
        outputs.iter().try_for_each(|output| self.take(output))?;
        let message = Message::default()
            .each(1, inputs.iter().copied(), Message::text)
            .each(2, outputs.iter().copied(), Message::text)
            .text(3, outputs.first().copied().unwrap_or_default())
            .text(4, operator)
            .each(5, attributes, |message, field, (name, value)| message.message(field, attribute(name, value)));
        self.nodes.push(message);
        Ok(())
    }

    /// Adds a constant of numbers.
    ///
    /// # Errors
    /// If there is something of this name, or the numbers cannot be read.
    pub(super) fn constant(&mut self, name: &str, value: &Tensor) -> Result<()> {
        self.take(name)?;
        let value = value.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        let dims = value.dims().iter().map(|&side| side as i64);
        let message = Message::default().each(1, dims, Message::integer).integer(2, FLOAT);
        self.constants.push(message.text(8, name).bytes(9, &View::data(&value)));
        Ok(())
    }

    /// Adds a constant of integers, a vector.
    ///
    /// # Errors
    /// If there is something of this name.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> Result<()> {
        self.take(name)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let message = Message::default().integer(1, values.len() as i64).integer(2, INT64);
        self.constants.push(message.text(8, name).bytes(9, &bytes));
        Ok(())
    }

    /// Takes a name for a value.
    ///
    /// # Errors
    /// If there is something of this name.
    pub(super) fn take(&mut self, name: &str) -> Result<()> {
        match self.names.insert(name.to_owned()) {
            true => Ok(()),
            false => Err(NetError::Graph {
                node: name.into(),
                problem: "has the name of something else in the file: rename the node".into(),
            }),
        }
    }

    /// The model, which takes and gives values of these names and shapes (without the number of pictures), with notes by their keys.
    pub(super) fn model(self, input: (&str, &[usize]), output: (&str, &[usize]), notes: &[(&str, String)]) -> Message {
        let graph = Message::default()
            .each(1, self.nodes, Message::message)
            .text(2, "network")
            .each(5, self.constants, Message::message)
            .message(11, value(input))
            .message(12, value(output));
        let operators = Message::default().integer(2, OPERATORS);
        let note = |(key, text): &(&str, String)| Message::default().text(1, key).text(2, text);
        Message::default()
            .integer(1, FORMAT)
            .text(2, env!("CARGO_PKG_NAME"))
            .message(7, graph)
            .message(8, operators)
            .each(14, notes.iter().map(note), Message::message)
    }
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let message = Message::default().text(1, name);
    match value {
        Attribute::Float(value) => message.float(2, *value).integer(20, 1),
        Attribute::Integer(value) => message.integer(3, *value).integer(20, 2),
        Attribute::Integers(values) => message.each(8, values.iter().copied(), Message::integer).integer(20, 7),
    }
}

/// The type of a value: f32, of N pictures.
fn value((name, shape): (&str, &[usize])) -> Message {
    let side = |side: &usize| Message::default().integer(1, *side as i64);
    let shape = Message::default().message(1, Message::default().text(2, "N")).each(
        1,
        shape.iter().map(side),
        Message::message,
    );
    let tensor = Message::default().integer(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}
