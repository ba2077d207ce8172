//! Which server is asked, who asks, and where the files are kept.

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Hub, HubError};

/// The hub's own address.
const ENDPOINT: &str = "https://huggingface.co";
/// The longest token that is read from a file, in bytes.
const LONGEST_TOKEN: u64 = 4096;

/// A secret that says who asks. It is sent to the hub's own server only, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as the hub's settings page shows it; white space around it is left away.
    ///
    /// # Errors
    /// [`HubError::Setting`] where it is empty or has what no token has.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = "it is not a token; expected letters and digits, such as hf_...".into();
            return Err(HubError::Setting { name: "HF_TOKEN", problem });
        }
        Ok(Self(text.into()))
    }

    /// The secret.
    #[cfg(feature = "network")]
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// How long a server is waited for, and how often it is asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long a connection may be silent.
    pub silence: Duration,
    /// How often in a row a request is repeated when the server is busy or the connection breaks.
    pub retries: u32,
    /// The pause before the first repetition; it doubles with each.
    pub pause: Duration,
    /// The longest pause, even if the server asks for a longer one.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            retries: 5,
            pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
        }
    }
}

impl Hub {
    /// The hub's own server, asked by nobody in particular, with this folder for the cache.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        let patience = Patience::default();
        Self { endpoint: ENDPOINT.into(), cache: cache.into(), token: None, offline: false, patience }
    }

    /// The hub as the environment asks for it, with the variables of `huggingface_hub`: `HF_ENDPOINT`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// [`HubError::Setting`] for a value that cannot be used; [`HubError::Io`] for a token's file that cannot be read.
    pub fn from_environment() -> Result<Self, HubError> {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// As [`Hub::from_environment`], with variables from elsewhere.
    ///
    /// # Errors
    /// As [`Hub::from_environment`].
    pub fn from_variables(variables: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let get = |name: &str| variables(name).filter(|value| !value.is_empty());
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let user = get("HOME").or_else(|| get("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| get(name).map(|value| expand(value.into(), user.as_deref()));
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| user.as_ref().map(|user| user.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        let mut hub = Self::new(cache.ok_or_else(no_home)?);
        if let Some(endpoint) = text("HF_ENDPOINT") {
            hub.endpoint = check_endpoint(&endpoint)?;
        }
        hub.token = match text("HF_TOKEN") {
            Some(token) => Some(Token::new(&token)?),
            None => token_file.map_or(Ok(None), |file| read_token(&file))?,
        };
        hub.offline = text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value));
        Ok(hub)
    }
}

fn no_home() -> HubError {
    let problem = "it is not set, and there is no home folder to keep the cache in: set it to a folder".into();
    HubError::Setting { name: "HF_HOME", problem }
}

/// `~` at the beginning means the user's home folder.
fn expand(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

/// An address without `/` at its end.
fn check_endpoint(given: &str) -> Result<String, HubError> {
    let address = given.trim().trim_end_matches('/');
    let host = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@')) {
        return Ok(address.into());
    }
    let problem =
        format!("`{}` is no address of a server; expected one such as {ENDPOINT}", crate::repo::shorten(given));
    Err(HubError::Setting { name: "HF_ENDPOINT", problem })
}

/// The token in a file, where there is one.
fn read_token(file: &Path) -> Result<Option<Token>, HubError> {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HubError::io(file)(error)),
        Ok(_) if text.trim().is_empty() => Ok(None),
        Ok(_) => Token::new(&text).map(Some),
    }
}

/// Whether the value of a variable means yes, as `huggingface_hub` reads it.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub, HubError> {
        Hub::from_variables(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn values_mean_yes_as_in_python() {
        for (value, yes) in [("1", true), ("TRUE", true), ("Yes", true), ("on", true), ("0", false), ("2", false)] {
            assert_eq!(hub(&[("HOME", "/h"), ("HF_HUB_OFFLINE", value)]).unwrap().offline, yes, "{value}");
        }
    }

    #[test]
    fn the_cache_lies_where_python_has_it() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("HOME", "/h")], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/y")], "/y/hub"),
            (&[("HOME", "/h"), ("HF_HOME", "~/y")], "/h/y/hub"),
            (&[("HF_HOME", "/y"), ("HF_HUB_CACHE", "/z")], "/z"),
            (&[("HOME", "/h"), ("HF_HUB_CACHE", "")], "/h/.cache/huggingface/hub"),
        ];
        for (variables, cache) in cases {
            assert_eq!(hub(variables).unwrap().cache, Path::new(cache), "{variables:?}");
        }
        assert!(hub(&[]).unwrap_err().to_string().contains("HF_HOME"));
    }

    #[test]
    fn the_token_is_read_from_the_variable_or_the_file() {
        let home = tempfile::tempdir().unwrap();
        let token =
            |variables: &[(&str, &str)]| hub(&[&[("HF_HOME", home.path().to_str().unwrap())], variables].concat());
        assert_eq!(token(&[]).unwrap().token, None);
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        assert_eq!(token(&[]).unwrap().token, Some(Token("hf_file".into())));
        assert_eq!(token(&[("HF_TOKEN", " hf_set ")]).unwrap().token, Some(Token("hf_set".into())));
        let other = home.path().join("other");
        std::fs::write(&other, "hf_other").unwrap();
        let elsewhere = token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]).unwrap();
        assert_eq!(elsewhere.token, Some(Token("hf_other".into())));
        assert!(!format!("{elsewhere:?}").contains("hf_other"));
        assert!(!token(&[("HF_TOKEN", "hf_secret\nX-Other: 1")]).unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn endpoints_are_addresses() {
        let given = |endpoint| hub(&[("HOME", "/h"), ("HF_ENDPOINT", endpoint)]);
        assert_eq!(given("https://mirror.example/").unwrap().endpoint, "https://mirror.example");
        assert_eq!(given("").unwrap().endpoint, "https://huggingface.co");
        for wrong in ["not a url", "mirror.example", "ftp://x", "http://", "https://user@x"] {
            assert!(given(wrong).unwrap_err().to_string().contains("HF_ENDPOINT"), "{wrong}");
        }
    }
}
