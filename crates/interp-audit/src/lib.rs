//! Analyses of trained networks. They see a network, data and their own settings, never the training.

mod ablation;
mod answers;
mod bank;
pub mod blocks;
pub mod bottleneck;
mod cells;
mod channels;
mod choose;
mod chosen;
mod claims;
mod class_evidence;
pub mod color;
mod concept_area;
mod context;
mod contributions;
mod denoising;
pub mod dissection;
mod evidence;
pub mod factors;
pub mod fields;
mod memory;
pub mod metrics;
mod near_peak;
pub mod neurons;
mod pass;
mod pictures;
mod plain;
pub mod prototypes;
pub mod quality;
pub mod saliency;
pub mod shapes;
mod shares;
mod shrinkage;
mod slopes;
pub mod soft_labels;
pub mod sparse_code;
pub mod terms;
pub mod traversal;
pub mod visualize;
pub mod weights;
mod zeros;

pub use ablation::{Ablation, ablate};
pub use answers::{Answers, answers};
pub use choose::{Choice, chosen_thresholds};
pub use claims::{measure, quantity};
pub use context::{Part, Parts, context};
pub use contributions::{Explained, explain};
pub use denoising::Denoising;
pub use memory::Memory;
pub use pass::{Observer, Sample, observe};
pub use pictures::Pictures;
pub use shares::{Decision, Share, Shares, shares};
pub use shrinkage::{Planes, RULES, Rule, Shrinkage, bayes_threshold, deviation, sure, sure_threshold, universal};
pub use zeros::Zeros;

/// Why an analysis could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The network does not fit the question.
    #[error(transparent)]
    Net(#[from] interp_net::NetError),
    /// Pictures cannot be had.
    #[error(transparent)]
    Data(#[from] interp_data::DataError),
    /// An operation outside the network failed.
    #[error(transparent)]
    Op(#[from] interp_net::ops::OpError),
    /// A tensor operation of candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The network takes no noise away, or has nothing to turn.
    #[error("the network does not make pictures of the size of its input with soft thresholds: it takes no noise away")]
    NotDenoising,
    /// There are no thresholds to choose.
    #[error("the node has no thresholds")]
    NoThresholds,
    /// An estimate that holds for other curves.
    #[error("Stein's estimate (SURE) is that of soft thresholds, and these are of another curve")]
    NotSoft,
    /// There is nothing to measure on.
    #[error("there are no pictures to measure on")]
    NoPictures,
    /// Slopes that cannot be bounded.
    #[error("node `{node}` {problem}")]
    Slope {
        /// The node.
        node: String,
        /// Why not.
        problem: String,
    },
    /// A network that is no sum of modules.
    #[error("the output `{0}` is no sum: only the shares of what is added can be told")]
    NoSum(String),
    /// A network whose last layer sees no means of maps.
    #[error("the last layer reads no means of maps, so that its weights tell nothing of places: take grad_cam")]
    NoEvidenceMaps,
    /// A network that attends to no positions.
    #[error("the network has no attention to positions: [[insert]] with kind = \"attention\" puts some in")]
    NoAttention,
    /// A method that there is not, or settings that it has not.
    #[error("{0}")]
    Method(String),
    /// A metric that there is not, or settings that it has not.
    #[error("{0}")]
    Metric(String),
    /// Gray pictures, where colors are asked about.
    #[error("the pictures of `{0}` are gray: they have no colors")]
    Gray(String),
    /// Data that knows of no concepts.
    #[error(
        "`{0}` does not know where concepts are in its pictures. `concepts` does, and a folder with label maps beside its pictures (a.labels.png beside \
         a.png) and a file concepts.csv that names the numbers in them (docs/data.md)"
    )]
    NoConcepts(String),
    /// A network without codes to move.
    #[error("the network has no codes to move: {0}")]
    NoCodes(String),
    /// Data that knows no factors.
    #[error("`{0}` knows no factors of its pictures that have two values or more; `concepts` does")]
    NoFactors(String),
    /// A network without a layer of concepts.
    #[error(
        "the network has no layer whose channels stand for concepts: [[insert]] with kind = \"concept_bottleneck\" puts one in"
    )]
    NoBottleneck,
    /// A network without a sparse code.
    #[error(
        "the network has no sparse code in the place of a layer: [[insert]] with kind = \"sparse_code\" puts one in"
    )]
    NoCode,
    /// A network without prototypes.
    #[error(
        "the classes of the network are no sums over prototypes: [[insert]] with kind = \"prototypes\" or \"pipnet\" puts some in"
    )]
    NoPrototypes,
    /// A setting that cannot be used.
    #[error(transparent)]
    Setting(#[from] interp_net::finding::Unfit),
    /// A node without maps.
    #[error("`{0}` has no maps")]
    NoCells(String),
    /// A label without an output.
    #[error("a picture has the label {label}, and the network has {classes} outputs, counted from 0")]
    NoOutput {
        /// The label.
        label: usize,
        /// How many outputs there are.
        classes: usize,
    },
    /// What a network with damaged weights computes.
    #[error("`{0}` holds what is no finite number: the file's weights are damaged, or the pictures are")]
    NotANumber(String),
    /// A node that outputs do not depend on.
    #[error("the output does not depend on `{0}`")]
    Independent(String),
    /// A cell that there is not.
    #[error("`{node}` has {} by {} cells, counted from 0: there is none at {},{}", cells[0], cells[1], cell[0], cell[1])]
    NoCell {
        /// The node.
        node: String,
        /// Row and column asked about.
        cell: [usize; 2],
        /// Rows and columns that there are.
        cells: [usize; 2],
    },
    /// A cell that no pixel moves.
    #[error("the cell of `{0}` that is asked about depends on no pixel")]
    SeesNothing(String),
    /// A node that does not depend on pictures.
    #[error("`{0}` does not depend on the picture")]
    Blind(String),
    /// A claim about a node that cannot be measured there.
    #[error("the claim \"{claim}\" cannot be measured: {problem}")]
    Claim {
        /// The claim in words.
        claim: String,
        /// Why not.
        problem: String,
    },
}

/// Result with an [`AuditError`].
pub type Result<T, E = AuditError> = std::result::Result<T, E>;
