//! Links from one page to another, by where they lie beside each other.

use std::path::{Component, Path};

use interp_report::Link;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::folder::Folder;

/// What a part of a path is written with in an address; nothing that could be taken for a scheme, a query or a place on a page.
const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// From a page in a folder to another page; `None` where it is not there, or no path leads to it.
pub(crate) fn link(folder: &Path, title: String, page: &Path) -> Option<Link> {
    let [from, to] = [folder, page].map(|path| path.canonicalize().ok());
    let path = pathdiff::diff_paths(to?, from?)?;
    let part = |part: Component<'_>| match part {
        Component::ParentDir => Some("..".to_owned()),
        Component::Normal(part) => Some(utf8_percent_encode(part.to_str()?, AS_IT_IS).to_string()),
        _ => None,
    };
    let parts: Vec<String> = path.components().map(part).collect::<Option<_>>()?;
    Some(Link { title, href: parts.join("/") })
}

/// The folder that a page lies in.
fn folder(page: &Path) -> &Path {
    page.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// From this page to another.
pub(crate) fn from_page(page: &Path, title: String, other: &Path) -> Option<Link> {
    link(folder(page), title, other)
}

/// From this page to that of the run which a network is of.
pub(crate) fn beside(page: &Path, network: &Path) -> Vec<Link> {
    to_run(folder(page), network).into_iter().collect()
}

/// From a page in a folder to that of the run which a network is of: the file of the network lies in the run's folder, that of a twin in a folder in it.
pub(crate) fn to_run(folder: &Path, network: &Path) -> Option<Link> {
    let network = network.canonicalize().ok()?;
    let own = if network.is_dir() { network.as_path() } else { network.parent()? };
    let root = if own.file_name()? == "twin" { own.parent()? } else { own };
    let run = Folder::new(root);
    // A recipe that a person wrote is no run.
    let title = format!("Run {}", root.file_name()?.to_str()?);
    run.is_begun().then(|| link(folder, title, &run.report())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::HEADER;

    #[test]
    fn links_lead_from_one_folder_to_another() {
        let root = tempfile::tempdir().unwrap();
        let [from, run] = ["audit/of it", "runs/a run: 1?#"].map(|name| root.path().join(name));
        for folder in [&from, &run.join("twin")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let page = run.join("report.html");
        assert_eq!(link(&from, "Run".into(), &page), None);
        assert_eq!(to_run(&from, &run), None);
        for file in ["report.html", "recipe.toml", "model.safetensors", "twin/model.safetensors"] {
            std::fs::write(run.join(file), "").unwrap();
        }
        assert_eq!(to_run(&from, &run), None, "a recipe that a person wrote");
        std::fs::write(run.join("recipe.toml"), HEADER).unwrap();
        let href = "../../runs/a%20run%3A%201%3F%23/report.html".to_owned();
        assert_eq!(link(&from, "Run".into(), &page), Some(Link { title: "Run".into(), href: href.clone() }));
        let expected = Some(Link { title: "Run a run: 1?#".into(), href });
        for network in ["", "model.safetensors", "twin", "twin/model.safetensors"] {
            assert_eq!(to_run(&from, &run.join(network)), expected, "{network}");
        }
    }
}
