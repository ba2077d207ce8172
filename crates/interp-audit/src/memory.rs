//! Bytes of memory in, pictures at a time out.

use std::ops::Range;

use candle_core::DType;
use interp_net::Graph;

/// Memory that activations may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In bytes.
    pub bytes: u64,
}

/// Bytes of one activation of all pictures above which nothing gets faster with more of them, as it leaves the cache.
const WARM: usize = 1 << 21;

/// Fewer do not use weights often enough, whatever the cache; of small ones more make nothing faster.
const AT_BEST: [usize; 2] = [32, 256];

impl Default for Memory {
    fn default() -> Self {
        Self { bytes: 1 << 30 }
    }
}

/// Tensors of the size of the largest activation that are there beside those that are kept: gradients on their way, what an operation reads
/// and makes, masks and pictures under them.
const BESIDE: usize = 12;

impl Memory {
    /// A half of it, for a pass whose observers keep as much as its activations take.
    pub fn half(self) -> Self {
        Self { bytes: self.bytes / 2 }
    }

    /// Pictures that may go through a network at a time, forward and back, in f32: at least one.
    pub fn pictures(self, graph: &Graph) -> usize {
        self.pictures_of(graph, DType::F32)
    }

    /// The same of another type. A picture takes all of its activations once, and the largest of them twelve times more. No more than are
    /// fast.
    pub fn pictures_of(self, graph: &Graph, dtype: DType) -> usize {
        let sizes = || (0..graph.nodes().len()).map(|id| graph.shape(id).iter().product::<usize>());
        let (largest, number) = (sizes().max().unwrap_or(0).max(1), dtype.size_in_bytes());
        let bytes = number * (sizes().sum::<usize>() + BESIDE * largest);
        let fast = (WARM / (number * largest)).clamp(AT_BEST[0], AT_BEST[1]);
        (self.bytes / bytes as u64).clamp(1, fast as u64) as usize
    }

    /// Neighbors together that take no more than it in sum, of things of these sizes in bytes, or alone.
    pub(crate) fn ranges(self, sizes: &[u64]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = vec![];
        let mut sum = 0;
        for (at, &size) in sizes.iter().enumerate() {
            match found.last_mut() {
                Some(last) if sum + size <= self.bytes => last.end = at + 1,
                _ => {
                    found.push(at..at + 1);
                    sum = 0;
                }
            }
            sum += size;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use interp_net::Op;

    use super::*;

    #[test]
    fn parts_are_as_large_as_memory_allows() {
        let memory = Memory { bytes: 6 };
        assert_eq!(memory.ranges(&[3, 3, 5, 1, 9, 1]), [0..2, 2..4, 4..5, 5..6]);
        assert!(memory.ranges(&[]).is_empty());
    }

    // Activations of 64 x 64 x 64 numbers in f32 are 1 MiB: two of them fill the cache, and 32 go through all the same; of 64 x 16 x 16, 64 KiB each, 32,
    // and of 64 x 8 x 8 128.
    #[test]
    fn no_more_than_are_fast() {
        let most = |side: usize| {
            let graph = Graph::new(64, side, side).unwrap();
            Memory { bytes: 1 << 40 }.pictures(&graph)
        };
        assert_eq!([most(64), most(16), most(8)], [32, 32, 128]);
    }

    // 3 * 4 * 5 numbers in and 3 * 4 * 5 out, and twelve times as many, of four bytes each: 14 * 60 * 4 = 3360.
    #[test]
    fn by_hand() {
        let mut graph = Graph::new(3, 4, 5).unwrap();
        graph.then("relu", Op::Relu).unwrap();
        let pictures = |bytes| Memory { bytes }.pictures(&graph);
        assert_eq!([pictures(0), pictures(6719), pictures(6720), pictures(1 << 40)], [1, 1, 2, 256]);
        let double = |bytes| Memory { bytes }.pictures_of(&graph, DType::F64);
        assert_eq!([double(13439), double(13440)], [1, 2]);
    }
}
