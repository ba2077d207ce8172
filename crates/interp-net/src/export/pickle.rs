//! The pickle of a state dict, as PyTorch writes it (protocol 2), without a memo.

use candle_core::{DType, Tensor};

/// An ordered dict of tensors, of which each has a storage of its own: its place in `state` is the storage's key.
pub(super) fn state_dict(state: &[(String, Tensor)]) -> Vec<u8> {
    let mut pickle = Pickle(b"\x80\x02".to_vec());
    pickle.empty_dict();
    pickle.put(b"(");
    for (key, (name, tensor)) in state.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(&key.to_string(), tensor);
    }
    pickle.put(b"u.");
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.put(b"X");
        self.put(&(text.len() as u32).to_le_bytes());
        self.put(text.as_bytes());
    }

    fn integer(&mut self, number: usize) {
        self.put(b"\x8a\x08");
        self.put(&(number as u64).to_le_bytes());
    }

    fn integers(&mut self, numbers: &[usize]) {
        self.put(b"(");
        numbers.iter().for_each(|number| self.integer(*number));
        self.put(b"t");
    }

    fn empty_dict(&mut self) {
        self.put(b"ccollections\nOrderedDict\n)R");
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`.
    fn tensor(&mut self, key: &str, tensor: &Tensor) {
        self.put(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        self.storage(key, tensor);
        self.integer(0);
        self.integers(tensor.dims());
        self.integers(tensor.stride());
        self.put(b"\x89");
        self.empty_dict();
        self.put(b"tR");
    }

    /// `("storage", type, key, location, count)`, which PyTorch looks up.
    fn storage(&mut self, key: &str, tensor: &Tensor) {
        self.put(b"(");
        self.text("storage");
        self.put(if tensor.dtype() == DType::I64 { b"ctorch\nLongStorage\n" } else { b"ctorch\nFloatStorage\n" });
        self.text(key);
        self.text("cpu");
        self.integer(tensor.elem_count());
        self.put(b"tQ");
    }
}
