//! The stack machine that pickles are written for, without what calls and imports.
//!
//! Instructions and their arguments are those of Python's `pickletools`, as far as state dicts are written with them, of protocols 2 to 5.

use std::collections::HashMap;

use super::tensor::{Storage, View};
use super::value::{Global, Id, Value};
use super::{Result, Unread, broken};

/// Instructions that are followed, and items that are copied, at most: about 90,000 tensors. Each takes less than 100 bytes.
const STEPS: usize = 1 << 22;

/// Bytes of a name of a class or storage at most.
const LONGEST: usize = 1 << 10;

/// What a pickle has made.
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle from the beginning of `bytes`, which are those after it then.
    ///
    /// # Errors
    /// If it makes anything but what state dicts are made of, or is broken.
    pub(super) fn read(bytes: &mut &'a [u8]) -> Result<Self> {
        let mut machine = Machine { rest: bytes, length: bytes.len(), ..Machine::default() };
        let root = machine.run()?;
        *bytes = machine.rest;
        Ok(Self { values: machine.values, root })
    }

    pub(super) fn root(&self) -> &Value<'a> {
        &self.values[self.root]
    }

    pub(super) fn at(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    pub(super) fn values(&self) -> &[Value<'a>] {
        &self.values
    }
}

#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    length: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack; none is above its top.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    steps: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id> {
        loop {
            self.spend(1)?;
            match self.number()? {
                [b'.'] => return self.pop(),
                [instruction] => self.step(instruction)?,
            }
        }
    }

    fn step(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            0x80 => self.protocol()?,
            0x95 => drop(self.take(8)?), // A frame: how many bytes follow until the next.
            b'N' | 0x88 | 0x89 => self.push(Value::Plain),
            b'G' => {
                self.take(8)?;
                self.push(Value::Plain);
            }
            b'J' | b'K' | b'M' | 0x8a => self.integer(instruction)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(instruction)?,
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple(vec![])),
            0x85..=0x87 => self.small_tuple(usize::from(instruction - 0x84))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(vec![])),
            b'}' => self.push(Value::Dict(vec![])),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            b'q' | b'r' | 0x94 => self.remember(instruction)?,
            b'h' | b'j' => self.recall(instruction)?,
            b'c' | 0x93 => self.global(instruction)?,
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(self.broken(format!("an instruction {other:#04x}, which state dicts do not have"))),
        }
        Ok(())
    }

    fn broken(&self, problem: impl Into<String>) -> Unread {
        broken("its pickle", format!("{} at byte {}", problem.into(), self.length - self.rest.len()))
    }

    /// Counts what takes time and memory.
    fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS { Err(self.broken(format!("more than {STEPS} instructions"))) } else { Ok(()) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let cut = || self.broken(format!("it ends before {count} bytes that should follow"));
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.broken("nothing is left to take"));
        }
        self.stack.pop().ok_or_else(|| self.broken("nothing is left to take"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.broken("no mark was set"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value<'a>> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(&mut self.values[id])
    }

    fn protocol(&mut self) -> Result<()> {
        match self.number()? {
            [2..=5] => Ok(()),
            [other] => Err(self.broken(format!("protocol {other}; 2 to 5 are read"))),
        }
    }

    fn integer(&mut self, instruction: u8) -> Result<()> {
        let value = match instruction {
            b'J' => Value::Integer(i32::from_le_bytes(self.number()?).into()),
            b'K' => Value::Integer(u8::from_le_bytes(self.number()?).into()),
            b'M' => Value::Integer(u16::from_le_bytes(self.number()?).into()),
            _ => {
                let [length] = self.number()?;
                long(self.take(length.into())?)
            }
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, instruction: u8) -> Result<()> {
        let length = match instruction {
            b'X' | b'T' => u32::from_le_bytes(self.number()?).into(),
            0x8d => u64::from_le_bytes(self.number()?),
            _ => u8::from_le_bytes(self.number()?).into(),
        };
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.broken("a text that is no UTF-8"))?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn small_tuple(&mut self, count: usize) -> Result<()> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return Err(self.broken("items for what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        match self.top()? {
            Value::Dict(dict) if items.len().is_multiple_of(2) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err(self.broken("entries for what is no dict, or a key without a value")),
        }
        Ok(())
    }

    fn remember(&mut self, instruction: u8) -> Result<()> {
        let key = match instruction {
            b'q' => u8::from_le_bytes(self.number()?).into(),
            b'r' => u32::from_le_bytes(self.number()?),
            _ => self.memo.len() as u32, // As many as there are steps at most.
        };
        let id = self.pop()?;
        self.stack.push(id);
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, instruction: u8) -> Result<()> {
        let key = match instruction {
            b'h' => u8::from_le_bytes(self.number()?).into(),
            _ => u32::from_le_bytes(self.number()?),
        };
        let id = *self.memo.get(&key).ok_or_else(|| self.broken(format!("nothing was remembered as {key}")))?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, instruction: u8) -> Result<()> {
        let (module, name) = match instruction {
            b'c' => (self.line()?, self.line()?),
            _ => {
                let name = self.pop_text()?;
                (self.pop_text()?, name)
            }
        };
        self.push(Value::Global(Global::named(module, name)?));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().take(LONGEST).position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| self.broken("a name without an end"))?;
        let line = std::str::from_utf8(self.take(end)?).map_err(|_| self.broken("a name that is no UTF-8"))?;
        self.take(1)?;
        Ok(line)
    }

    fn pop_text(&mut self) -> Result<&'a str> {
        let id = self.pop()?;
        match self.values[id] {
            Value::Text(text) => Ok(text),
            _ => Err(self.broken("something other than a text for a name")),
        }
    }

    /// The items of a tuple.
    fn pop_tuple(&mut self) -> Result<Vec<Id>> {
        let id = self.pop()?;
        let Value::Tuple(items) = &self.values[id] else {
            return Err(self.broken("something other than a tuple for arguments"));
        };
        let items = items.clone();
        self.spend(items.len())?;
        Ok(items)
    }

    /// A storage: `("storage", type, key, where it lay, count)`, and in files before 1.6 which part of another it is.
    fn persistent(&mut self) -> Result<()> {
        let items = self.pop_tuple()?;
        let storage = match self.values_of(&items)[..] {
            [
                Value::Text("storage"),
                &Value::Global(Global::StorageOf(numbers)),
                &Value::Text(key),
                _,
                &Value::Integer(count),
                ref part @ ..,
            ] if matches!(part, [] | [Value::Plain]) && key.len() <= LONGEST => Storage { numbers, key, count },
            _ => return Err(self.broken("something other than a whole storage")),
        };
        self.push(Value::Storage(storage));
        Ok(())
    }

    fn values_of(&self, ids: &[Id]) -> Vec<&Value<'a>> {
        ids.iter().map(|id| &self.values[*id]).collect()
    }

    /// What a call would have given, for the functions that tensors are made by.
    fn reduce(&mut self) -> Result<()> {
        let arguments = self.pop_tuple()?;
        let function = self.pop()?;
        let Value::Global(function) = self.values[function] else {
            return Err(self.broken("a call of what is no function"));
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, []) => self.push(Value::Dict(vec![])),
            (Global::OrderedDict, &[pairs]) => self.dict_of(pairs)?,
            (Global::RebuildTensor, &[storage, offset, size, stride, ..]) if matches!(arguments.len(), 4 | 6) => {
                let view = self.view(storage, offset, [size, stride])?;
                self.push(Value::Tensor(Box::new(view)));
            }
            (Global::RebuildParameter, &[data, ..]) if matches!(self.values[data], Value::Tensor(_)) => {
                self.stack.push(data);
            }
            _ => return Err(self.broken(format!("{} argument(s) for {function:?}", arguments.len()))),
        }
        Ok(())
    }

    /// A dict of a list of pairs, as Python 2 wrote it.
    fn dict_of(&mut self, pairs: Id) -> Result<()> {
        let Value::List(pairs) = &self.values[pairs] else {
            return Err(self.broken("a dict of what is no list of pairs"));
        };
        let pair = |id: &Id| match &self.values[*id] {
            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        };
        let count = pairs.len();
        let dict = pairs.iter().map(pair).collect::<Option<Vec<_>>>();
        self.spend(count)?;
        let dict = dict.ok_or_else(|| self.broken("a dict of what are no pairs"))?;
        self.push(Value::Dict(dict));
        Ok(())
    }

    fn view(&self, storage: Id, offset: Id, [size, stride]: [Id; 2]) -> Result<View<'a>> {
        match (&self.values[storage], &self.values[offset]) {
            (&Value::Storage(storage), &Value::Integer(offset)) => {
                Ok(View { storage, offset, size: self.integers(size)?, stride: self.integers(stride)? })
            }
            _ => Err(self.broken("a tensor without a storage and a first number")),
        }
    }

    fn integers(&self, id: Id) -> Result<Vec<i64>> {
        let integer = |id: &Id| match self.values[*id] {
            Value::Integer(number) => Some(number),
            _ => None,
        };
        let found = match &self.values[id] {
            Value::Tuple(items) if items.len() <= View::DIMENSIONS => items.iter().map(integer).collect(),
            _ => None,
        };
        found.ok_or_else(|| self.broken(format!("a shape that is no tuple of up to {} integers", View::DIMENSIONS)))
    }

    /// Attributes of a dict, such as `_metadata`, which are passed over; nothing else may have any.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err(self.broken("attributes of something other than a dict")),
        }
    }
}

/// An integer in as few bytes as it needs, the lowest first, its sign in the highest bit.
fn long<'a>(bytes: &[u8]) -> Value<'a> {
    let filler = bytes.last().map_or(0, |last| if *last < 0x80 { 0 } else { 0xff });
    let mut all = [filler; 8];
    match all.get_mut(..bytes.len()) {
        None => return Value::Plain,
        Some(place) => place.copy_from_slice(bytes),
    }
    Value::Integer(i64::from_le_bytes(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
        Pickle::read(&mut &bytes[..])
    }

    // Bytes from Python: pickle.dumps(n, 2)[2:-1] for each.
    #[test]
    fn integers_are_those_of_python() {
        for (bytes, expected) in [
            (&b"K\xff"[..], 255),
            (b"M\xff\xff", 65535),
            (b"J\xff\xff\xff\xff", -1),
            (b"\x8a\x05\x00\x00\x00\x00\x01", 1 << 32),
            (b"\x8a\x06\x00\x00\x00\x00\x00\xff", -(1 << 40)),
            (b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80", i64::MIN),
            (b"\x8a\x00", 0),
        ] {
            let whole = [bytes, b"."].concat();
            assert!(matches!(read(&whole).unwrap().root(), Value::Integer(n) if *n == expected), "{bytes:?}");
        }
        assert!(matches!(read(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.").unwrap().root(), Value::Plain));
    }

    #[test]
    fn every_instruction_may_come_first_and_every_pickle_may_end_early() {
        let whole =
            b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00aK\x01u}X\x01\x00\x00\x00_K\x02sb.";
        assert!(matches!(read(whole).unwrap().root(), Value::Dict(items) if items.len() == 1));
        (0..whole.len()).for_each(|length| assert!(read(&whole[..length]).is_err(), "{length}"));
        for instruction in 0..=255 {
            for rest in [&b""[..], b".", b"\x01.", b"\xff\xff\xff\xff\xff\xff\xff\xff."] {
                drop(read(&[&[instruction], rest].concat()));
                drop(read(&[&b"(]]"[..], &[instruction], rest].concat()));
            }
        }
    }

    // A list of two that is twice in a list of two, and so on: 2^100000 values for who copies.
    #[test]
    fn what_is_remembered_is_shared() {
        let doubled = b"(h\x00h\x00tq\x00".repeat(100_000);
        let whole = [b"]q\x00", &doubled[..], b"."].concat();
        assert!(matches!(read(&whole).unwrap().root(), Value::Tuple(items) if items.len() == 2));
    }

    #[test]
    fn deep_nesting_is_read_without_depth() {
        let whole = [&b"]".repeat(1_000_000), &b"a".repeat(999_999)[..], b"."].concat();
        assert!(matches!(read(&whole).unwrap().root(), Value::List(items) if items.len() == 1));
    }

    // Each copy of a long list of pairs is a few bytes: copies are counted.
    #[test]
    fn copies_of_lists_are_counted() {
        let list = [&b"]q\x00("[..], &b"NN\x86".repeat(10_000), b"e"].concat();
        let copies = b"ccollections\nOrderedDict\nh\x00\x85R".repeat(1000);
        let error = read(&[&list, &copies, &b"."[..]].concat()).err().unwrap().to_string();
        assert!(error.contains("more than 4194304 instructions"), "{error}");
    }

    #[test]
    fn globals_that_run_are_refused_by_name() {
        for (bytes, name) in [
            (&b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R."[..], "os.system"),
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
            (b"c__builtin__\neval\n.", "__builtin__.eval"),
            (b"ctorch.nn.modules.linear\nLinear\n.", "torch.nn.modules.linear.Linear"),
        ] {
            assert_eq!(read(bytes).err(), Some(Unread::Code(name.into())));
        }
        let complex = read(b"ctorch\nComplexFloatStorage\n.").err();
        assert_eq!(complex, Some(Unread::NumberType("torch.ComplexFloatStorage".into())));
    }
}
