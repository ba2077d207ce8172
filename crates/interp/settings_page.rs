//! The page of everything that a recipe can say, made from the schema of recipes.

use serde_json::{Map, Value};

use crate::{Catalog, recipe};

/// Keys that every part of a kind has, told once.
const SHARED: [&str; 6] = ["kind", "name", "nodes", "after", "weight", "warmup"];

/// The page in Markdown.
pub fn page(catalog: &Catalog) -> String {
    let schema = recipe::schema(catalog);
    let mut page = Page::default();
    page.add("# What a recipe can say\n\nWritten by `interp-train schema --markdown`: every section and key, with its default. \
              Keys without one are required, or do nothing where they are not given. \
              What is in braces is a table: `{ adamw = {} }` is AdamW with its defaults.");
    let (sections, plain): (Vec<_>, Vec<_>) = members(&schema["properties"]).partition(|(_, value)| {
        reference(value).is_some() || kinds(value).is_some() || value["items"]["properties"].is_object()
    });
    page.add("## At the top");
    page.settings(&plain.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    for (name, section) in sections {
        match kinds(section) {
            Some(kinds) => page.kinds(name, kinds, section["type"] == "array"),
            None if section["type"] == "array" => page.list(name, &section["items"]),
            None => {
                let definition = reference(section).map_or(section, |name| &schema["$defs"][name]);
                page.add(&format!("## [{name}]"));
                page.definition(definition);
            }
        }
    }
    let of_sections: Vec<&str> = members(&schema["properties"]).filter_map(|(_, section)| reference(section)).collect();
    for (name, definition) in members(&schema["$defs"]).filter(|(name, _)| !of_sections.contains(&name.as_str())) {
        page.add(&format!("## {name}"));
        page.definition(definition);
    }
    page.0.join("\n\n") + "\n"
}

/// The variants of a section that has a `kind`.
fn kinds(section: &Value) -> Option<&Vec<Value>> {
    let section = if section["type"] == "array" { &section["items"] } else { section };
    section["oneOf"].as_array().filter(|variants| variants.iter().all(|one| one["properties"]["kind"].is_object()))
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

/// The definition that a value is of, or would be where it is given.
fn reference(value: &Value) -> Option<&str> {
    let own = value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    own.or_else(|| value["anyOf"].as_array()?.iter().find_map(reference))
}

/// Paragraphs.
#[derive(Default)]
struct Page(Vec<String>);

impl Page {
    fn add(&mut self, paragraph: &str) {
        if !paragraph.is_empty() {
            // Names in brackets are links in the library's documentation alone.
            self.0.push(paragraph.replace("[`", "`").replace("`]", "`"));
        }
    }

    /// A section of which there are kinds, with the settings of each.
    fn kinds(&mut self, name: &str, kinds: &[Value], is_list: bool) {
        self.add(&if is_list { format!("## [[{name}]]") } else { format!("## [{name}]") });
        let first = &kinds.first().map_or(&Value::Null, |kind| &kind["properties"]);
        let shared = members(first).filter(|(key, value)| SHARED.contains(&key.as_str()) && value["const"].is_null());
        self.settings(&shared.map(|(key, value)| (key.clone(), value.clone())).collect());
        for kind in kinds {
            self.add(&format!("### {name}: `{}`", kind["properties"]["kind"]["const"].as_str().unwrap_or_default()));
            self.add(kind["description"].as_str().unwrap_or_default());
            let own = members(&kind["properties"]).filter(|(key, _)| !SHARED.contains(&key.as_str()));
            self.settings(&own.map(|(key, value)| (key.clone(), value.clone())).collect());
        }
    }

    /// A section that may be written several times, and the sections of kinds within it.
    fn list(&mut self, name: &str, item: &Value) {
        self.add(&format!("## [[{name}]]"));
        self.add(item["description"].as_str().unwrap_or_default());
        let (inner, own): (Vec<_>, Vec<_>) =
            members(&item["properties"]).partition(|(_, value)| kinds(value).is_some());
        self.settings(&own.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        for (key, section) in inner {
            self.kinds(&format!("{name}.{key}"), kinds(section).map_or(&[], Vec::as_slice), true);
        }
    }

    fn definition(&mut self, definition: &Value) {
        self.add(definition["description"].as_str().unwrap_or_default());
        self.settings(&members(&definition["properties"]).map(|(key, value)| (key.clone(), value.clone())).collect());
        let variants = definition["oneOf"].as_array().into_iter().flatten();
        let lines: Vec<String> = variants.map(variant).collect();
        self.add(&lines.join("\n"));
    }

    /// A list of keys with their types, defaults and meanings.
    fn settings(&mut self, settings: &Map<String, Value>) {
        let line = |(key, value): (&String, &Value)| {
            let default = match &value["default"] {
                Value::Null | Value::Object(_) => String::new(),
                default => format!(", by default `{default}`"),
            };
            let text = folded(value["description"].as_str().unwrap_or_default());
            format!("- `{key}`: {}{default}. {text}", kind_of(value)).trim_end().to_owned()
        };
        self.add(&settings.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
}

/// One of the values that something can have.
fn variant(value: &Value) -> String {
    let text = folded(value["description"].as_str().unwrap_or_default());
    match &value["const"] {
        Value::Null => {
            let key = members(&value["properties"]).next();
            let (key, inner) = key.map_or(("", String::new()), |(key, value)| (key.as_str(), kind_of(value)));
            format!("- `{{ {key} = {{ ... }} }}`, {inner}: {text}")
        }
        name => format!("- `{name}`: {text}"),
    }
}

/// What values a key takes.
fn kind_of(value: &Value) -> String {
    if let Some(name) = reference(value) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let name = match &value["type"] {
        Value::Array(types) => types.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
        name => name.as_str(),
    };
    match name {
        Some("array") => format!("list of {}", kind_of(&value["items"])),
        Some("boolean") => "true or false".into(),
        Some(name) => name.to_owned(),
        None => "value".into(),
    }
}

/// Text on one line.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
