//! Why files hold no tensors that can be read.

/// Why no tensors can be read from a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// A folder was given.
    #[error("this is a folder: name a file in it")]
    Folder,
    /// A pipe or a device was given, which may never end.
    #[error("this is no ordinary file: copy what it gives into one")]
    NoFile,
    /// There is nothing in it.
    #[error("this file is empty: was the download broken off?")]
    Empty,
    /// HTML under another name.
    #[error("this is a web page, not a network: was the download a login page?")]
    WebPage,
    /// What a repository holds in place of a large file.
    #[error("this is a Git LFS pointer: it stands for a file of {size} bytes, which `git lfs pull` downloads")]
    LfsPointer {
        /// What the pointer says of the file.
        size: String,
    },
    /// Something else that is known.
    #[error("this is {0}, not a network")]
    Other(String),
    /// Nothing that is known.
    #[error("neither safetensors nor a file of PyTorch: of another format, or damaged at its beginning")]
    Unknown,
    /// A file of PyTorch that asks for more than tensors. Nothing of it was run.
    #[error(
        "holds code: `{0}`; only tensors are read: save the state dict with torch.save(model.state_dict(), ...) or as \
         safetensors"
    )]
    Code(String),
    /// Numbers of a type that is not read.
    #[error("holds numbers of type `{0}`; f64, f32, f16, bf16, integers and booleans are read: convert them first")]
    NumberType(String),
    /// A part of a file of PyTorch is not as PyTorch writes it.
    #[error("not a whole file of PyTorch: {part}: {problem}")]
    Broken {
        /// Where in the file.
        part: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A tensor does not lie within its numbers, or is too large.
    #[error("tensor `{name}`: {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// Several state dicts lie in one file.
    #[error("holds several state dicts, under {}: save the one that is meant alone", list(.0.iter().map(String::as_str)))]
    Several(Vec<String>),
    /// No state dict was found.
    #[error(
        "holds no state dict, neither at the top nor under `state_dict`, `model`, `model_state_dict` or `net`: {0}"
    )]
    NoTensors(String),
    /// An index of shards and its shards do not agree.
    #[error("an index of shards: {0}")]
    Index(String),
}

/// Names as people list them: `a`, `b`; of many the first few.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const FEW: usize = 6;
    let shown = names.clone().take(FEW).map(|name| format!("`{}`", short(name))).collect::<Vec<_>>().join(", ");
    match names.skip(FEW).count() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The beginning of a text that a file brought along, on one line.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}
