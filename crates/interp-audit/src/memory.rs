//! Bytes of memory in, pictures at a time out.

use interp_net::Graph;

/// Memory that activations may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub bytes: u64,
}

/// More at a time make nothing faster.
const MOST: u64 = 256;

impl Default for Memory {
    fn default() -> Self {
        Self { bytes: 1 << 30 }
    }
}

impl Memory {
    /// Pictures that may go through a network at a time, forward and back: at least one. Every activation of a picture is there twice,
    /// as it is and as its gradient, in f32.
    pub fn pictures(self, graph: &Graph) -> usize {
        let numbers: usize = (0..graph.nodes().len()).map(|id| graph.shape(id).iter().product::<usize>()).sum();
        let bytes = 2 * 4 * numbers.max(1) as u64;
        (self.bytes / bytes).clamp(1, MOST) as usize
    }
}

#[cfg(test)]
mod tests {
    use interp_net::Op;

    use super::*;

    // 3 * 4 * 5 numbers in and 3 * 4 * 5 out, twice and of four bytes each: 960.
    #[test]
    fn by_hand() {
        let mut graph = Graph::new(3, 4, 5).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let pictures = |bytes| Memory { bytes }.pictures(&graph);
        assert_eq!([pictures(0), pictures(1919), pictures(1920), pictures(1 << 40)], [1, 1, 2, 256]);
    }
}
