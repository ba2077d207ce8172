//! BagNet (Brendel and Bethge 2019, arXiv 1904.00760) for small pictures.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, check_width, scaled};
use crate::{Graph, NetError, Op, Result};

/// A bag of patches: every cell of the last map sees a patch of `field` x `field` pixels and votes for classes from it alone; the
/// logits are the means of the votes, so that each patch's share of a decision can be read off. Stages of a 3x3 convolution, the
/// first with stride 1 and the others with stride 2, and a 1x1 convolution, each with batch norm and ReLU. Nodes are `features.N`,
/// `evidence` (a map of votes for each class) and `mean`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BagNet {
    /// Height and width of a patch in pixels: 5, 9, 17 or 33. Patches begin 2, 4, 8 or 16 pixels apart.
    pub field: usize,
    /// What the number of filters of every layer is multiplied with; the stages have 32, 64, 128, 256 and 512.
    pub width: f64,
}

impl Default for BagNet {
    fn default() -> Self {
        Self { field: 17, width: 1.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "bagnet",
    summary: "BagNet: the mean of what patches of 5 to 33 pixels vote for",
    example: "kind = \"bagnet\"\nfield = 17\n",
    build: |section| build(section, |settings: BagNet| Box::new(settings)),
    schema: || schemars::schema_for!(BagNet),
};

impl BagNet {
    /// Stages: the field is 3 after the first, and grows by twice the distance between cells.
    fn stages(&self) -> Result<usize> {
        match self.field {
            5 => Ok(2),
            9 => Ok(3),
            17 => Ok(4),
            33 => Ok(5),
            other => Err(Unfit::new("field", format!("must be 5, 9, 17 or 33, not {other}")).into()),
        }
    }

    /// The graph with square kernels of this size after the 3x3 convolution of each stage.
    fn graph_with(&self, kernel: usize, [channels, height, width]: [usize; 3], classes: usize) -> Result<Graph> {
        let stages = self.stages()?;
        if height.min(width) < self.field {
            let problem = format!("patches of {} pixels do not fit into {height}x{width}", self.field);
            return Err(NetError::Architecture(problem));
        }
        check_width(self.width)?;
        let mut graph = Graph::new(channels, height, width)?;
        let mut next = 0..;
        let mut name = || format!("features.{}", next.next().unwrap_or(0));
        for (stage, filters) in [32, 64, 128, 256, 512].into_iter().take(stages).enumerate() {
            let filters = scaled(filters, self.width);
            let stride = if stage == 0 { 1 } else { 2 };
            for conv in [Op::conv3x3(filters, stride), Op::conv(filters, kernel, 1, kernel / 2, false)] {
                graph.then(name(), conv)?;
                graph.then(name(), Op::batch_norm())?;
                graph.then(name(), Op::Relu)?;
            }
        }
        graph.then("evidence", Op::conv(classes, 1, 1, 0, true))?;
        graph.then("mean", Op::GlobalAvgPool)?;
        Ok(graph)
    }
}

impl Architecture for BagNet {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        self.graph_with(1, input, classes)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        Some(Box::new(Whole(self.clone())))
    }
}

/// A BagNet with 3x3 convolutions in place of the 1x1: cells see far beyond a patch.
struct Whole(BagNet);

impl Architecture for Whole {
    fn graph(&self, input: [usize; 3], classes: usize) -> Result<Graph> {
        self.0.graph_with(3, input, classes)
    }
}
