//! Mixtures of experts: small networks, of which a gate chooses who decides on a picture.

use interp_finding::{Entry, Unfit, build};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Architecture, Vgg, blocks, chain, check_width};
use crate::{Graph, Op, Result};

/// The logits are the sum of what experts add, `logit_k = sum of p_i(x) e_ik(x)`, and of nothing else (Jacobs et al. 1991, "Adaptive
/// mixtures of local experts"). The gate's probabilities `p = softmax(g(x))` are 0 but for the `top` largest, so that of a single one
/// it can be said who decided on the picture (Fedus, Zoph and Shazeer 2021, arXiv 2101.03961, eq. 2). Gate and experts see the whole
/// picture, through blocks of a 3x3 convolution and max pooling.
///
/// Nodes: `gate.logits` and `gate.choice`; `expert0.head`, what the expert says, and `expert0.logits`, what it adds; their sum
/// `logits`. A gate left to itself may forget experts: the prior `balanced` keeps them all at work. The twin is a VGG-8 of half the
/// width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mixture {
    /// Experts, 2 to 64.
    pub experts: usize,
    /// Experts that decide on a picture.
    pub top: usize,
    /// What the number of filters of every convolution is multiplied with.
    pub width: f64,
}

impl Default for Mixture {
    fn default() -> Self {
        Self { experts: 4, top: 1, width: 1.0 }
    }
}

pub(super) const ENTRY: Entry<dyn Architecture> = Entry {
    name: "mixture",
    summary: "a mixture of experts: for each picture a gate chooses the expert that decides",
    example: "kind = \"mixture\"\nexperts = 4\n",
    build: |section| build(section, |settings: Mixture| Box::new(settings)),
    schema: || schemars::schema_for!(Mixture),
};

impl Architecture for Mixture {
    fn graph(&self, [channels, height, width]: [usize; 3], classes: usize) -> Result<Graph> {
        let &Self { experts, top, .. } = self;
        check_width(self.width)?;
        Unfit::unless((2..=64).contains(&experts), "experts", format!("must be 2 to 64, not {experts}"))?;
        Unfit::unless((1..=experts).contains(&top), "top", format!("must be 1 to {experts}, the experts, not {top}"))?;
        let mut graph = Graph::new(channels, height, width)?;
        let mut gate = blocks(&[16, 32, 64], self.width);
        gate.push(("logits".into(), Op::Linear { out_features: experts, bias: true }));
        gate.push(("choice".into(), Op::Route { top }));
        let gate = chain(&mut graph, "gate", 0, gate)?;
        let mut logits = vec![];
        for channel in 0..experts {
            let name = format!("expert{channel}");
            let mut expert = blocks(&[16, 32, 64, 128], self.width);
            expert.push(("head".into(), Op::Linear { out_features: classes, bias: true }));
            let head = chain(&mut graph, &name, 0, expert)?;
            logits.push(graph.add(format!("{name}.logits"), Op::Gated { channel }, &[head, gate])?);
        }
        graph.add("logits", Op::Add, &logits)?;
        Ok(graph)
    }

    fn plain(&self) -> Option<Box<dyn Architecture>> {
        Some(Box::new(Vgg { depth: 8, width: self.width / 2.0, ..Vgg::default() }))
    }
}
