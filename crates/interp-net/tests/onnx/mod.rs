//! Models of ONNX, read back as far as tests ask, by the field numbers of `onnx.proto`.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) version: u64,
    pub(crate) operators: u64,
    pub(crate) nodes: Vec<Node>,
    /// Shapes and numbers of constants of f32.
    pub(crate) constants: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Names of constants of integers.
    pub(crate) integers: Vec<String>,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) notes: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) operator: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
}

enum Value<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn integer(&self) -> u64 {
        if let Self::Integer(value) = self { *value } else { panic!("no integer") }
    }

    fn bytes(&self) -> &'a [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { panic!("no bytes") }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// The fields of a message, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut all = vec![];
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                all.push((tag >> 3, Value::Integer(varint(&mut bytes))));
                continue;
            }
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        all.push((tag >> 3, Value::Bytes(value)));
        bytes = rest;
    }
    all
}

fn first(bytes: &[u8], field: u64) -> String {
    fields(bytes).iter().find(|(number, _)| *number == field).unwrap().1.text()
}

pub(crate) fn read(bytes: &[u8]) -> Model {
    let mut model = Model::default();
    for (field, value) in fields(bytes) {
        match field {
            1 => model.version = value.integer(),
            7 => graph(&mut model, value.bytes()),
            8 => model.operators = fields(value.bytes())[0].1.integer(),
            14 => model.notes.push((first(value.bytes(), 1), first(value.bytes(), 2))),
            _ => {}
        }
    }
    model
}

fn graph(model: &mut Model, bytes: &[u8]) {
    for (field, value) in fields(bytes) {
        match field {
            1 => model.nodes.push(node(value.bytes())),
            5 => constant(model, value.bytes()),
            11 => model.input = first(value.bytes(), 1),
            12 => model.output = first(value.bytes(), 1),
            _ => {}
        }
    }
}

fn node(bytes: &[u8]) -> Node {
    let mut node = Node::default();
    for (field, value) in fields(bytes) {
        match field {
            1 => node.inputs.push(value.text()),
            2 => node.outputs.push(value.text()),
            4 => node.operator = value.text(),
            _ => {}
        }
    }
    node
}

fn constant(model: &mut Model, bytes: &[u8]) {
    let (mut dims, mut kind, mut values) = (vec![], 0, vec![]);
    for (field, value) in fields(bytes) {
        match field {
            1 => dims.push(value.integer() as usize),
            2 => kind = value.integer(),
            9 => values = value.bytes().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
            _ => {}
        }
    }
    let name = first(bytes, 8);
    match kind {
        1 => drop(model.constants.insert(name, (dims, values))),
        _ => model.integers.push(name),
    }
}
