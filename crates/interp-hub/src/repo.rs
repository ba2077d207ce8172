//! Names of repositories, revisions and files.

use std::fmt;

use crate::HubError;

/// The longest name of an owner or a repository that the hub allows.
const LONGEST_NAME: usize = 96;
/// The longest name of a revision or a file: what file systems allow in a path.
const LONGEST_PATH: usize = 1024;
/// Where nothing else is asked for.
const DEFAULT_REVISION: &str = "main";

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

impl Kind {
    /// The name in addresses of the hub's interface, and in folders of the cache.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// What the hub calls one of the kind.
    #[cfg(feature = "network")]
    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// A repository of the hub at a revision, which may be pinned to a commit.
///
/// A branch or a tag moves: it is asked for afresh each time. A commit does not, so that what the cache
/// has of it needs no server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repo {
    kind: Kind,
    id: String,
    revision: String,
    commit: Option<String>,
}

impl Repo {
    /// The model `OWNER/NAME[@REVISION]`, such as `timm/vgg16_bn.tv_in1k@main`. The revision is a branch, a tag or
    /// a commit (40 hexadecimal digits); where none is given, `main`.
    ///
    /// # Errors
    /// [`HubError::Spelling`].
    pub fn model(spelling: &str) -> Result<Self, HubError> {
        Self::parse(Kind::Model, spelling)
    }

    /// The data set `OWNER/NAME[@REVISION]`, as with [`Repo::model`].
    ///
    /// # Errors
    /// [`HubError::Spelling`].
    pub fn dataset(spelling: &str) -> Result<Self, HubError> {
        Self::parse(Kind::Dataset, spelling)
    }

    fn parse(kind: Kind, spelling: &str) -> Result<Self, HubError> {
        let wrong = |problem| HubError::Spelling { given: shorten(spelling), problem };
        let (id, revision) = spelling.split_once('@').unwrap_or((spelling, DEFAULT_REVISION));
        check_id(id).and_then(|()| check_revision(revision)).map_err(wrong)?;
        let revision = normalize(revision);
        let commit = is_commit(&revision).then(|| revision.clone());
        Ok(Self { kind, id: id.into(), revision, commit })
    }

    /// The same repository pinned to `commit`: all files come from it, even if the branch moves meanwhile.
    ///
    /// # Errors
    /// [`HubError::Spelling`] where `commit` is not 40 hexadecimal digits.
    pub fn at(&self, commit: &str) -> Result<Self, HubError> {
        let pinned = normalize(commit);
        if is_commit(&pinned) {
            Ok(Self { commit: Some(pinned), ..self.clone() })
        } else {
            let problem = "a commit has 40 hexadecimal digits".into();
            Err(HubError::Spelling { given: shorten(&format!("{}@{commit}", self.id)), problem })
        }
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `OWNER/NAME`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The branch, tag or commit that was asked for.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit, where it is pinned to one.
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// The commit where it is pinned to one, else the branch or tag.
    pub(crate) fn exact_revision(&self) -> &str {
        self.commit().unwrap_or(&self.revision)
    }

    /// The repository and a file of it, for messages.
    pub(crate) fn with_file(&self, file: &str) -> String {
        format!("{self}: {file}")
    }
}

/// `OWNER/NAME@REVISION`, with the commit where it is pinned to one.
impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.exact_revision())
    }
}

/// Whether a revision is a whole commit: 40 digits of a hexadecimal number.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Commits are written in small letters.
fn normalize(revision: &str) -> String {
    let small = revision.to_ascii_lowercase();
    if is_commit(&small) { small } else { revision.into() }
}

/// Refuses a path of a file that is empty, absolute, or leads out of the repository.
pub(crate) fn check_file(file: &str) -> Result<(), HubError> {
    if is_path(file) { Ok(()) } else { Err(HubError::FileName { given: shorten(file) }) }
}

/// Whether `text` is a relative path of ordinary names, on every system.
fn is_path(text: &str) -> bool {
    let ordinary = |name: &str| !matches!(name, "" | "." | "..") && name.len() < 256;
    let strange = |c: char| c.is_control() || matches!(c, '\\' | ':');
    text.len() <= LONGEST_PATH && !text.contains(strange) && text.split('/').all(ordinary)
}

fn check_revision(revision: &str) -> Result<(), String> {
    if revision.is_empty() {
        return Err("there is nothing after the @".into());
    }
    // What git allows in no name of a branch, and what no path in the cache may have.
    let strange = |c: char| c.is_whitespace() || matches!(c, '~' | '^' | '?' | '*' | '[');
    if revision.contains(strange) || !is_path(revision) {
        return Err(format!("`{}` is no branch, tag or commit", shorten(revision)));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), String> {
    if id.contains("://") {
        return Err("it is an address; leave away the server".into());
    }
    let parts: Vec<&str> = id.split('/').collect();
    let [owner, name] = parts[..] else {
        let count = if parts.len() < 2 { "it has no owner" } else { "it has more than one /" };
        return Err(count.into());
    };
    check_name("owner", owner).and_then(|()| check_name("name", name))?;
    if name.ends_with(".git") {
        return Err("the name ends with .git; leave that away".into());
    }
    Ok(())
}

/// The hub's rules for names of owners and repositories.
fn check_name(part: &str, name: &str) -> Result<(), String> {
    let ordinary = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        return Err(format!("the {part} is empty"));
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("the {part} is longer than {LONGEST_NAME} letters"));
    }
    if let Some(odd) = name.chars().find(|&c| !ordinary(c)) {
        return Err(format!("the {part} has {odd:?}, allowed are letters, digits, - _ and ."));
    }
    if name.starts_with(['-', '.']) || name.ends_with(['-', '.']) || name.contains("--") || name.contains("..") {
        return Err(format!("the {part} may not begin or end with - or . or have two of them in a row"));
    }
    Ok(())
}

/// At most a line of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { line + "..." } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_read() {
        let plain = Repo::model("timm/vgg16_bn.tv_in1k").unwrap();
        assert_eq!((plain.id(), plain.revision(), plain.commit()), ("timm/vgg16_bn.tv_in1k", "main", None));
        let branch = Repo::dataset("ylecun/mnist@refs/convert/parquet").unwrap();
        assert_eq!((branch.kind(), branch.revision()), (Kind::Dataset, "refs/convert/parquet"));
        let commit = Repo::model("a/b@0123456789ABCDEF0123456789abcdef01234567").unwrap();
        assert_eq!(commit.commit(), Some("0123456789abcdef0123456789abcdef01234567"));
        assert_eq!(commit.to_string(), "a/b@0123456789abcdef0123456789abcdef01234567");
    }

    #[test]
    fn bad_spellings_say_what_is_wrong() {
        let cases = [
            ("vgg16", "it has no owner"),
            ("", "it has no owner"),
            ("a/b/c", "more than one /"),
            ("https://huggingface.co/a/b", "leave away the server"),
            ("/b", "the owner is empty"),
            ("a/", "the name is empty"),
            ("a/b c", "the name has ' '"),
            ("a/b.git", "leave that away"),
            ("a/..", "may not begin or end"),
            ("a--b/c", "two of them in a row"),
            ("a/b@", "nothing after the @"),
            ("a/b@../../x", "no branch, tag or commit"),
            ("a/b@/etc", "no branch, tag or commit"),
            ("a/b@x y", "no branch, tag or commit"),
        ];
        for (given, problem) in cases {
            let message = Repo::model(given).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains("OWNER/NAME@REVISION"), "{given}: {message}");
        }
        assert!(Repo::model(&format!("a/{}", "b".repeat(97))).unwrap_err().to_string().contains("longer than 96"));
        assert!(Repo::model(&"x".repeat(1 << 20)).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn pinning_keeps_the_branch() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned = Repo::model("a/b@dev").unwrap().at(commit).unwrap();
        assert_eq!((pinned.revision(), pinned.commit()), ("dev", Some(commit)));
        assert!(pinned.at("dev").unwrap_err().to_string().contains("40 hexadecimal digits"));
    }

    #[test]
    fn files_stay_in_their_repository() {
        for file in ["config.json", "folder/model-00001-of-00002.safetensors", "a b#?.txt"] {
            assert!(check_file(file).is_ok(), "{file}");
        }
        for file in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "a\\b", "c:x", "a\0b", "a\nb", "."] {
            assert!(check_file(file).is_err(), "{file:?}");
        }
    }
}
