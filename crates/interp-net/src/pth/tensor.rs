//! Tensors as views of storages.

use std::borrow::Cow;

use candle_core::{DType, Device, Tensor};

use super::{Result, Unread, broken};
use crate::stored::short;

/// The numbers of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberType {
    /// As they lie in the file, in bytes.
    pub(super) width: usize,
    /// As they are read.
    dtype: DType,
}

impl NumberType {
    /// The numbers of PyTorch's class of storages `name`.
    pub(super) fn of_storage(name: &str) -> Result<Self> {
        let dtype = match name {
            "DoubleStorage" => DType::F64,
            "FloatStorage" => DType::F32,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            "LongStorage" => DType::I64,
            "IntStorage" => DType::I32,
            "ShortStorage" | "CharStorage" => DType::I16,
            "ByteStorage" | "BoolStorage" => DType::U8,
            _ => return Err(Unread::NumberType(format!("torch.{}", short(name)))),
        };
        let width = if name == "CharStorage" { 1 } else { dtype.size_in_bytes() };
        Ok(Self { width, dtype })
    }

    /// A tensor of these bytes; signed ones of a byte become wider, for which there is no type.
    fn tensor(self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
        if self.width == self.dtype.size_in_bytes() {
            return Tensor::from_raw_buffer(bytes, self.dtype, shape, &Device::Cpu);
        }
        let wide: Vec<i16> = bytes.iter().map(|byte| i8::from_le_bytes([*byte]).into()).collect();
        Tensor::from_vec(wide, shape, &Device::Cpu)
    }
}

/// Numbers that tensors share, as a pickle tells of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) numbers: NumberType,
    /// Its name in the file.
    pub(super) key: &'a str,
    /// How many numbers it holds.
    pub(super) count: i64,
}

impl Storage<'_> {
    /// `bytes`, if they are as many as it says.
    pub(super) fn checked<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        let length = usize::try_from(self.count).ok().and_then(|count| count.checked_mul(self.numbers.width));
        let problem =
            || format!("{} bytes, where its pickle says {} numbers of {}", bytes.len(), self.count, self.numbers.width);
        if length == Some(bytes.len()) {
            Ok(bytes)
        } else {
            Err(broken(&format!("storage {}", short(self.key)), problem()))
        }
    }
}

/// A tensor: number `offset + sum of index * stride` of a storage for each index. Nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: i64,
    pub(super) size: Vec<i64>,
    pub(super) stride: Vec<i64>,
}

/// Bytes that tensors may still take. They can share a storage, and repeat its numbers by strides of 0: a small file could ask for all
/// memory.
pub(super) struct Allowance {
    left: usize,
    all: usize,
}

impl Allowance {
    /// Four times the file, and a mebibyte for small ones.
    pub(super) fn of_file(length: usize) -> Self {
        let all = length.saturating_mul(4).saturating_add(1 << 20);
        Self { left: all, all }
    }

    fn take(&mut self, bytes: Option<usize>) -> std::result::Result<(), String> {
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes));
        let much = || format!("with those before it more than {} bytes, four times the file", self.all);
        self.left = left.ok_or_else(much)?;
        Ok(())
    }
}

impl View<'_> {
    /// Of a tensor, at most.
    pub(super) const DIMENSIONS: usize = 8;

    /// The tensor, from the bytes of its storage.
    ///
    /// # Errors
    /// If it does not lie within them, or takes more than is allowed.
    pub(super) fn read(&self, bytes: &[u8], allowance: &mut Allowance) -> std::result::Result<Tensor, String> {
        let (size, stride, offset) = (natural(&self.size), natural(&self.stride), usize::try_from(self.offset));
        let (Some(size), Some(stride), Ok(offset)) = (size, stride, offset) else {
            return Err(format!("{}: negative", self.told()));
        };
        let width = self.storage.numbers.width;
        let cells = Cells { offset, size, stride, width };
        let count = cells.count();
        allowance.take(count.and_then(|count| count.checked_mul(self.storage.numbers.dtype.size_in_bytes())))?;
        if !cells.lie_within(bytes.len() / width) {
            return Err(format!("{}: beyond its storage of {} numbers", self.told(), bytes.len() / width));
        }
        let found = cells.of(bytes, count.unwrap_or(0));
        self.storage.numbers.tensor(&found, &cells.size).map_err(|e| e.to_string())
    }

    fn told(&self) -> String {
        format!("shape {:?}, strides {:?} from {} on", self.size, self.stride, self.offset)
    }
}

fn natural(numbers: &[i64]) -> Option<Vec<usize>> {
    numbers.iter().map(|number| usize::try_from(*number).ok()).collect()
}

/// Where the numbers of a tensor lie.
struct Cells {
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
    /// Of a number, in bytes.
    width: usize,
}

impl Cells {
    /// How many; `None` for more than can be counted.
    fn count(&self) -> Option<usize> {
        match self.size.contains(&0) {
            true => Some(0),
            false => self.size.iter().try_fold(1usize, |product, size| product.checked_mul(*size)),
        }
    }

    /// Whether all lie among the first `numbers`.
    fn lie_within(&self, numbers: usize) -> bool {
        let steps = self.size.iter().zip(&self.stride);
        let furthest = || {
            steps.clone().try_fold(self.offset, |sum, (size, stride)| {
                sum.checked_add(size.checked_sub(1)?.checked_mul(*stride)?)
            })
        };
        let is_whole = self.size.len() == self.stride.len();
        is_whole && (self.size.contains(&0) || furthest().is_some_and(|furthest| furthest < numbers))
    }

    /// The `count` numbers, the last index changing first.
    fn of<'b>(&self, bytes: &'b [u8], count: usize) -> Cow<'b, [u8]> {
        let number = |place: usize| &bytes[place * self.width..][..self.width];
        match count > 0 && self.are_in_order() {
            true => Cow::Borrowed(&bytes[self.offset * self.width..][..count * self.width]),
            false => (0..count).flat_map(|index| number(self.place(index))).copied().collect(),
        }
    }

    /// Whether they lie one after another, of a tensor that has any.
    fn are_in_order(&self) -> bool {
        let step = |axis: usize| self.size[axis + 1..].iter().product::<usize>();
        (0..self.size.len()).all(|axis| self.size[axis] == 1 || self.stride[axis] == step(axis))
    }

    fn place(&self, mut index: usize) -> usize {
        let mut place = self.offset;
        for (size, stride) in self.size.iter().zip(&self.stride).rev() {
            place += index % size * stride;
            index /= size;
        }
        place
    }
}
