//! Recipes: what a person wrote, with every default filled in.
//!
//! A recipe is TOML. Sections of open kinds (`[data]`, `[model]`, `[[insert]]`, `[[prior]]`) are read by the entry of
//! the [`Catalog`] that their `kind` names; the rest is [`Common`].

use std::path::{Path, PathBuf};

use interp_data::{Augment, Divide, Source};
use interp_finding::{Built, Entry, Section, find, nearest};
use interp_learn::distill::Distillation;
use interp_learn::insert::Insertion;
use interp_learn::prior::Prior;
use interp_learn::{Objective, Train};
use interp_net::zoo::Architecture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::init::Init;
use crate::origin::Origin;
use crate::teaching::{LossPart, Share, TeacherPart, TeacherSettings};
use crate::{Catalog, Error, Result};

/// The sections that have one form only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Name of the run, and of its folder under `checkpoints/`.
    pub name: String,
    /// Decides all randomness of the networks and their training; a split that is cut has a seed of its own.
    #[serde(default)]
    pub seed: u64,
    /// Whether a black-box twin is trained too, to compare with: the same network without priors that steer and without what
    /// its architecture has for people to understand (ReLUs for soft thresholds, 3x3 for 1x1 convolutions of a BagNet). Where
    /// that is the network itself, there is no twin.
    #[serde(default = "yes")]
    pub twin: bool,
    /// What the twin goes without, where the network learns from teachers.
    #[serde(default, skip_serializing_if = "Lacks::is_everything")]
    pub twin_lacks: Lacks,
    /// What the network is trained for.
    #[serde(default)]
    pub objective: Objective,
    /// How validation is cut from train.
    #[serde(default)]
    pub split: Divide,
    /// The network that training starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// What is done to training pictures.
    #[serde(default)]
    pub augment: Augment,
    /// How the network is trained.
    #[serde(default)]
    pub train: Train,
}

/// What a twin goes without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lacks {
    /// Priors that steer, what the architecture has for people to understand, and teachers: what does it cost to be understood?
    #[default]
    Everything,
    /// Teachers alone; it has the same priors and architecture: what do teachers give?
    Teachers,
}

impl Lacks {
    fn is_everything(&self) -> bool {
        *self == Self::Everything
    }
}

fn yes() -> bool {
    true
}

/// A section of an open kind.
pub struct Part<T: ?Sized> {
    /// The word after `kind =`.
    pub kind: &'static str,
    /// The section as resolved, without `kind`.
    pub settings: toml::Table,
    /// What was made of it.
    pub object: Box<T>,
}

/// A prior with what every prior has.
pub struct PriorPart {
    /// By default its kind; unique in the recipe.
    pub name: String,
    /// Patterns of the nodes it acts on.
    pub nodes: Vec<String>,
    /// Its kind and own settings.
    pub part: Part<dyn Prior>,
}

/// An inserted layer with what every one has.
pub struct InsertPart {
    /// By default its kind; unique in the recipe: what its nodes' names begin with.
    pub name: String,
    /// The node behind which it comes.
    pub after: String,
    /// Its kind and own settings.
    pub part: Part<dyn Insertion>,
}

/// A recipe, read and resolved.
pub struct Recipe {
    /// The sections that have one form only.
    pub common: Common,
    /// The data.
    pub data: Part<dyn Source>,
    /// The architecture.
    pub model: Part<dyn Architecture>,
    /// The layers put in, one after the other.
    pub inserts: Vec<InsertPart>,
    /// The priors, in the order in which they act.
    pub priors: Vec<PriorPart>,
    /// The teachers.
    pub teachers: Vec<TeacherPart>,
    /// What it was read from.
    pub origin: Origin,
}

/// Keys of a recipe that are read by entries.
const KINDED: [&str; 5] = ["data", "model", "insert", "prior", "teacher"];
/// Keys of [`Common`].
const PLAIN: [&str; 9] = ["name", "seed", "twin", "twin_lacks", "objective", "split", "init", "augment", "train"];

impl Recipe {
    /// Reads the file, with overrides `a.b=c` (`prior.0.target=0.5` reaches into a list).
    ///
    /// # Errors
    /// With file, line, column, the bad value, and the nearest right key.
    pub fn read(path: &Path, overrides: &[String], catalog: &Catalog) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| unread(path, source))?;
        let name = path.display().to_string();
        let recipe = Self::parse(&name, &text, catalog)?;
        if overrides.is_empty() {
            return Ok(recipe);
        }
        let name = format!("{name} with --set {}", overrides.join(" --set "));
        Self::parse(&name, &overridden(&text, overrides)?, catalog)
    }

    /// Reads a recipe from its text; `name` stands in messages.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(name: &str, text: &str, catalog: &Catalog) -> Result<Self> {
        let origin = Origin::new(name, text);
        let reader = Reader { origin: &origin };
        let mut root = DeTable::parse(text).map_err(|e| origin.toml(e))?;
        for key in root.get_ref().keys() {
            let known = || KINDED.into_iter().chain(PLAIN);
            if !known().any(|k| k == key.get_ref()) {
                let message = format!("unknown key `{}`", key.get_ref());
                return Err(origin.at(Some(key.span()), message, nearest(key.get_ref(), known())));
            }
        }
        let whole = root.span();
        let data = reader.kinded("data", root.get_mut().remove("data"), &catalog.data)?;
        let model = reader.kinded("model", root.get_mut().remove("model"), &catalog.models)?;
        let inserts = reader.inserts(root.get_mut().remove("insert"), &catalog.insertions)?;
        let priors = reader.priors(root.get_mut().remove("prior"), &catalog.priors)?;
        let teachers = reader.teachers(root.get_mut().remove("teacher"), &catalog.distillations)?;
        let common = Common::deserialize(toml::Deserializer::from(Spanned::new(whole, root.into_inner())));
        let common = common.map_err(|e| origin.toml(e))?;
        if !is_plain(&common.name) {
            let message = format!("`name` becomes a folder: letters, digits, `-`, `_` and `.`, not `{}`", common.name);
            return Err(origin.at_key("name", message));
        }
        Ok(Self { common, data, model, inserts, priors, teachers, origin })
    }

    /// The recipe's data at another path.
    ///
    /// # Errors
    /// If its kind takes no path.
    pub fn with_data_path(&self, path: &str, catalog: &Catalog) -> Result<Box<dyn Source>> {
        let kind = self.data.kind;
        let entry = find(&catalog.data, kind).map_err(|_| Error::Usage(format!("{kind}: no such data set")))?;
        Ok(interp_data::build_at(entry, self.data.settings.clone(), Some(path))?.object)
    }

    /// The recipe as TOML with every default written out.
    ///
    /// # Errors
    /// If a value has no form in TOML.
    pub fn resolved(&self) -> Result<String> {
        let failed = |e: toml::ser::Error| Error::Usage(format!("the recipe cannot be written: {e}"));
        let mut all = toml::Table::try_from(&self.common).map_err(failed)?;
        let with_kind = |kind: &str, settings: &toml::Table| {
            let mut table = toml::Table::from_iter([("kind".to_owned(), toml::Value::from(kind))]);
            table.extend(settings.clone());
            table
        };
        all.insert("data".into(), with_kind(self.data.kind, &self.data.settings).into());
        all.insert("model".into(), with_kind(self.model.kind, &self.model.settings).into());
        let insert = |insert: &InsertPart| {
            let mut table = with_kind(insert.part.kind, &toml::Table::new());
            table.insert("name".into(), insert.name.clone().into());
            table.insert("after".into(), insert.after.clone().into());
            table.extend(insert.part.settings.clone());
            toml::Value::from(table)
        };
        let inserts: Vec<toml::Value> = self.inserts.iter().map(insert).collect();
        if !inserts.is_empty() {
            all.insert("insert".into(), inserts.into());
        }
        let priors: Vec<toml::Value> = self
            .priors
            .iter()
            .map(|prior| {
                let mut table = with_kind(prior.part.kind, &toml::Table::new());
                table.insert("name".into(), prior.name.clone().into());
                table.insert("nodes".into(), prior.nodes.clone().into());
                table.extend(prior.part.settings.clone());
                table.into()
            })
            .collect();
        if !priors.is_empty() {
            all.insert("prior".into(), priors.into());
        }
        let mut teachers: Vec<toml::Value> = vec![];
        for TeacherPart { settings, losses } in &self.teachers {
            let loss = |loss: &LossPart| {
                let mut table = with_kind(loss.part.kind, &toml::Table::new());
                table.insert("weight".into(), loss.share.weight.into());
                table.insert("warmup".into(), loss.share.warmup.into());
                table.extend(loss.part.settings.clone());
                toml::Value::from(table)
            };
            let mut table = toml::Table::try_from(settings).map_err(failed)?;
            table.insert("loss".into(), losses.iter().map(loss).collect::<Vec<_>>().into());
            teachers.push(table.into());
        }
        if !teachers.is_empty() {
            all.insert("teacher".into(), teachers.into());
        }
        toml::to_string(&all).map_err(failed)
    }
}

/// Whether a name has letters, digits, `-`, `_` and `.` alone, and does not begin with the last.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(fits) && !name.starts_with('.')
}

/// Why a recipe cannot be read, and which one may have been meant: one beside it, or in `recipes`.
fn unread(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_owned();
    let beside = Path::new(".").join(path.parent().unwrap_or(&path));
    let files = [beside, "recipes".into()].into_iter().flat_map(std::fs::read_dir).flatten().flatten();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let recipes: Vec<(String, PathBuf)> =
        files.map(|file| (name(&file.path()), file.path())).filter(|(name, _)| name.ends_with(".toml")).collect();
    let near = nearest(&name(&path), recipes.iter().map(|(name, _)| name.as_str()));
    match recipes.iter().find(|(name, _)| near == Some(name)) {
        Some((_, near)) if source.kind() == std::io::ErrorKind::NotFound => {
            let near = near.strip_prefix(".").unwrap_or(near).display();
            let problem = format!("{source}; did you mean `{near}`?");
            Error::Folder { path, problem }
        }
        _ => Error::Io { path, source },
    }
}

/// Turns TOML into parts.
struct Reader<'a> {
    origin: &'a Origin,
}

impl Reader<'_> {
    /// Reads a section by the entry that its `kind` names.
    fn kinded<T: ?Sized>(
        &self,
        key: &str,
        value: Option<Spanned<DeValue<'_>>>,
        entries: &[&'static Entry<T>],
    ) -> Result<Part<T>> {
        let kinds = || entries.iter().map(|e| e.name).collect::<Vec<_>>().join(", ");
        let Some(value) = value else {
            return Err(self.origin.at(
                None,
                format!("the recipe needs a section [{key}] with `kind` one of: {}", kinds()),
                None,
            ));
        };
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            return Err(self.origin.at(
                Some(span),
                format!("`{key}` must be a table with `kind` one of: {}", kinds()),
                None,
            ));
        };
        let Some(kind) = table.remove("kind") else {
            return Err(self.origin.at(Some(span), format!("[{key}] needs `kind`, one of: {}", kinds()), None));
        };
        let name = kind.get_ref().as_str().unwrap_or_default();
        let entry = find(entries, name).map_err(|near| {
            self.origin.at(Some(kind.span()), format!("`{name}` is no kind of {key}; there are: {}", kinds()), near)
        })?;
        let section: Section<'_> = Spanned::new(span, table);
        let shared: &[&str] = match key {
            "prior" => &["kind", "name", "nodes"],
            "insert" => &["kind", "name", "after"],
            "teacher.loss" => &["kind", "weight", "warmup"],
            _ => &["kind"],
        };
        let Built { settings, object } = (entry.build)(section).map_err(|e| self.origin.toml_beside(shared, e))?;
        Ok(Part { kind: entry.name, settings, object })
    }

    /// The items of a list of sections, which need not be there.
    fn list<'i>(&self, key: &str, value: Option<Spanned<DeValue<'i>>>) -> Result<Vec<Spanned<DeValue<'i>>>> {
        let Some(value) = value else { return Ok(vec![]) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(array) => Ok(array.into_iter().collect()),
            _ => Err(self.origin.at(Some(span), format!("`{key}` is a list: write [[{key}]]"), None)),
        }
    }

    fn teachers(
        &self,
        value: Option<Spanned<DeValue<'_>>>,
        entries: &[&'static Entry<dyn Distillation>],
    ) -> Result<Vec<TeacherPart>> {
        self.list("teacher", value)?.into_iter().map(|value| self.teacher(value, entries)).collect()
    }

    fn teacher(
        &self,
        value: Spanned<DeValue<'_>>,
        entries: &[&'static Entry<dyn Distillation>],
    ) -> Result<TeacherPart> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            return Err(self.origin.at(Some(span), "a teacher is a section: write [[teacher]]".into(), None));
        };
        let losses = self.list("teacher.loss", table.remove("loss"))?;
        let losses = losses.into_iter().map(|value| self.loss(value, entries)).collect::<Result<_>>()?;
        let settings = TeacherSettings::deserialize(toml::Deserializer::from(Spanned::new(span, table)));
        let settings = settings.map_err(|e| self.origin.toml_beside(&["loss"], e))?;
        Ok(TeacherPart { settings, losses })
    }

    fn loss(&self, value: Spanned<DeValue<'_>>, entries: &[&'static Entry<dyn Distillation>]) -> Result<LossPart> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            return Err(self.origin.at(Some(span), "a loss is a section: write [[teacher.loss]]".into(), None));
        };
        let mut number = |key: &str, default: f64| -> Result<f64> {
            let Some(value) = table.remove(key) else { return Ok(default) };
            f64::deserialize(toml::de::ValueDeserializer::from(value)).map_err(|e| self.origin.toml(e))
        };
        let share = Share { weight: number("weight", 1.0)?, warmup: number("warmup", 0.0)? };
        let part = self.kinded("teacher.loss", Some(Spanned::new(span, DeValue::Table(table))), entries)?;
        Ok(LossPart { share, part })
    }

    fn inserts(
        &self,
        value: Option<Spanned<DeValue<'_>>>,
        entries: &[&'static Entry<dyn Insertion>],
    ) -> Result<Vec<InsertPart>> {
        let mut inserts: Vec<InsertPart> = vec![];
        for value in self.list("insert", value)? {
            let span = value.span();
            let (mut name, mut after) = (None, None);
            let value = match value.into_inner() {
                DeValue::Table(mut table) => {
                    (name, after) = (table.remove("name"), table.remove("after"));
                    DeValue::Table(table)
                }
                other => other,
            };
            let part = self.kinded("insert", Some(Spanned::new(span.clone(), value)), entries)?;
            let word = |value: Spanned<DeValue<'_>>| {
                String::deserialize(toml::de::ValueDeserializer::from(value)).map_err(|e| self.origin.toml(e))
            };
            let name = name.map(word).transpose()?.unwrap_or_else(|| part.kind.to_owned());
            let Some(after) = after.map(word).transpose()? else {
                let message = "an inserted layer needs `after`, the node behind which it comes: --dry-run lists them";
                return Err(self.origin.at(Some(span), message.into(), None));
            };
            if !is_plain(&name) {
                let message = format!("`name` begins nodes' names: letters, digits, `-`, `_` and `.`, not `{name}`");
                return Err(self.origin.at(Some(span), message, None));
            }
            if inserts.iter().any(|other| other.name == name) {
                let message = format!("two inserted layers are called `{name}`: give one a `name` of its own");
                return Err(self.origin.at(Some(span), message, None));
            }
            inserts.push(InsertPart { name, after, part });
        }
        Ok(inserts)
    }

    fn priors(
        &self,
        value: Option<Spanned<DeValue<'_>>>,
        entries: &[&'static Entry<dyn Prior>],
    ) -> Result<Vec<PriorPart>> {
        let mut priors: Vec<PriorPart> = vec![];
        for value in self.list("prior", value)? {
            let span = value.span();
            let prior = self.prior(value, entries)?;
            if priors.iter().any(|other| other.name == prior.name) {
                let message = format!("two priors are called `{}`: give one a `name` of its own", prior.name);
                return Err(self.origin.at(Some(span), message, None));
            }
            priors.push(prior);
        }
        Ok(priors)
    }

    fn prior(&self, value: Spanned<DeValue<'_>>, entries: &[&'static Entry<dyn Prior>]) -> Result<PriorPart> {
        let span = value.span();
        let (mut name, mut nodes) = (None, None);
        let value = match value.into_inner() {
            DeValue::Table(mut table) => {
                (name, nodes) = (table.remove("name"), table.remove("nodes"));
                DeValue::Table(table)
            }
            other => other,
        };
        let part = self.kinded("prior", Some(Spanned::new(span.clone(), value)), entries)?;
        let read = |value: Spanned<DeValue<'_>>| Vec::<String>::deserialize(toml::de::ValueDeserializer::from(value));
        let Some(nodes) = nodes else {
            return Err(self.origin.at(Some(span), "a prior needs `nodes`, such as [\"features.*\"]".into(), None));
        };
        let place = nodes.span();
        let nodes = read(nodes).map_err(|e| self.origin.toml(e))?;
        if nodes.is_empty() {
            return Err(self.origin.at(Some(place), "`nodes` needs at least one pattern".into(), None));
        }
        let name = name.map(|n| String::deserialize(toml::de::ValueDeserializer::from(n))).transpose();
        let name = name.map_err(|e| self.origin.toml(e))?.unwrap_or_else(|| part.kind.to_owned());
        Ok(PriorPart { name, nodes, part })
    }
}

/// The recipe's text with `a.b=c` applied; values are TOML, or else plain strings.
fn overridden(text: &str, overrides: &[String]) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Error::Usage(format!("--set: {e}"));
    let mut root = toml::Value::Table(toml::from_str(text).map_err(|e| failed(&e))?);
    for set in overrides {
        let (path, value) = set.split_once('=').ok_or_else(|| failed(&format!("`{set}` is not of the form a.b=c")))?;
        let parsed = toml::from_str::<toml::Table>(&format!("v = {value}")).ok().and_then(|mut t| t.remove("v"));
        let value = parsed.unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
        place(&mut root, path.trim(), value).map_err(|e| failed(&e))?;
    }
    toml::to_string(&root).map_err(|e| failed(&e))
}

/// Puts a value at a dotted path, making tables on the way.
fn place(root: &mut toml::Value, path: &str, value: toml::Value) -> std::result::Result<(), String> {
    let mut at = root;
    for key in path.split('.') {
        at = match at {
            toml::Value::Table(table) => table.entry(key).or_insert_with(|| toml::Table::new().into()),
            toml::Value::Array(array) => {
                let count = array.len();
                let item = key.parse::<usize>().ok().and_then(|i| array.get_mut(i));
                item.ok_or_else(|| format!("`{path}`: `{key}` is no index into a list of {count}"))?
            }
            _ => return Err(format!("`{path}`: there is nothing below a plain value at `{key}`")),
        };
    }
    *at = value;
    Ok(())
}

/// The JSON schema of recipes, for editors.
pub fn schema(catalog: &Catalog) -> serde_json::Value {
    let mut root = schemars::schema_for!(Common).to_value();
    let mut definitions = root["$defs"].take();
    let mut kinds = |entries: Vec<(&str, &str, schemars::Schema)>, shared: serde_json::Value| {
        let one = |(name, summary, schema): (&str, &str, schemars::Schema)| {
            let mut schema = schema.to_value();
            if let (Some(all), Some(own)) = (definitions.as_object_mut(), schema["$defs"].take().as_object()) {
                all.extend(own.clone());
            }
            let own = schema.as_object_mut();
            own.map(|o| ["$schema", "$defs", "title"].map(|k| o.remove(k)));
            schema["description"] = format!("{summary}. {}", schema["description"].as_str().unwrap_or_default()).into();
            if !schema["properties"].is_object() {
                schema["properties"] = serde_json::json!({});
            }
            schema["properties"]["kind"] = serde_json::json!({ "const": name });
            let mut required = vec![serde_json::json!("kind")];
            for (key, value) in shared.as_object().into_iter().flatten() {
                schema["properties"][key] = value.clone();
            }
            required.extend(["nodes", "after"].into_iter().filter(|key| shared.get(key).is_some()).map(Into::into));
            required.extend(schema["required"].as_array().cloned().unwrap_or_default());
            schema["required"] = required.into();
            schema
        };
        serde_json::json!({ "oneOf": entries.into_iter().map(one).collect::<Vec<_>>() })
    };
    let nothing = serde_json::json!({});
    let shared = serde_json::json!({
        "name": {
            "type": "string",
            "description": "What phases call it by; where it is not given, its kind.",
        },
        "nodes": {
            "type": "array",
            "items": { "type": "string" },
            "description": "Names of the layers that it acts on, `*` standing for anything: `interp-train RECIPE --dry-run` lists \
                            them. Of what matches, those count that the prior can act on.",
        },
    });
    let placed = serde_json::json!({
        "name": {
            "type": "string",
            "description": "What its nodes' names begin with, and what phases call its loss by; where it is not given, its kind.",
        },
        "after": {
            "type": "string",
            "description": "The node behind which it comes: `interp-train RECIPE --dry-run` lists them.",
        },
    });
    let insert = kinds(catalog.insertions.iter().map(|e| (e.name, e.summary, (e.schema)())).collect(), placed);
    let data = kinds(catalog.data.iter().map(|e| (e.name, e.summary, (e.schema)())).collect(), nothing.clone());
    let model = kinds(catalog.models.iter().map(|e| (e.name, e.summary, (e.schema)())).collect(), nothing);
    let prior = kinds(catalog.priors.iter().map(|e| (e.name, e.summary, (e.schema)())).collect(), shared);
    let counted = serde_json::json!({
        "weight": { "type": "number", "default": 1.0, "description": "What the loss is multiplied with." },
        "warmup": { "type": "number", "default": 0.0, "description": "Epochs over which the weight grows from 0." },
    });
    let losses = kinds(catalog.distillations.iter().map(|e| (e.name, e.summary, (e.schema)())).collect(), counted);
    let mut teacher = schemars::schema_for!(TeacherSettings).to_value();
    teacher.as_object_mut().map(|own| ["$schema", "title"].map(|key| own.remove(key)));
    teacher["properties"]["loss"] = serde_json::json!({ "type": "array", "items": losses });
    teacher["required"] = serde_json::json!(["path", "loss"]);
    root["properties"]["teacher"] = serde_json::json!({ "type": "array", "items": teacher });
    root["properties"]["data"] = data;
    root["properties"]["model"] = model;
    root["properties"]["insert"] = serde_json::json!({ "type": "array", "items": insert });
    root["properties"]["prior"] = serde_json::json!({ "type": "array", "items": prior });
    root["required"] = serde_json::json!(["name", "data", "model"]);
    root["$defs"] = definitions;
    root["title"] = "interp recipe".into();
    root
}
