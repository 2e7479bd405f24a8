//! The `verify:`, `restore:` and `plugins:` parts of the project file, checked,
//! with their defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;

use super::database::plain_path;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::quantity::{parse_duration, parse_size};
use crate::secret::Secret;
use crate::yaml::Cursor;

/// How long `verify` waits for a replica when the project says nothing.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// `verify:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifySettings {
    /// How long one database's replication may take; 30 s.
    pub timeout: Duration,
    /// How long a whole run may take.
    pub deadline: Option<Duration>,
    /// The replication may not take longer.
    pub max_lag: Option<Duration>,
    /// The restore may not take longer.
    pub max_restore: Option<Duration>,
    /// Where results go.
    pub results: ResultSettings,
    assertions: BTreeMap<String, Vec<Assertion>>,
}

impl VerifySettings {
    pub(super) fn to_json(&self) -> serde_json::Value {
        let milliseconds = |duration: Duration| duration.as_millis() as u64;
        let assertions = self.assertions.iter().map(|(database, list)| {
            let list = list.iter().map(|one| serde_json::json!({"name": one.name, "sql": one.sql}));
            (database.clone(), serde_json::Value::Array(list.collect()))
        });
        serde_json::json!({
            "timeout_ms": milliseconds(self.timeout),
            "max_lag_ms": self.max_lag.map(milliseconds),
            "max_restore_ms": self.max_restore.map(milliseconds),
            "assertions": assertions.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self {
            timeout: VERIFY_TIMEOUT,
            deadline: None,
            max_lag: None,
            max_restore: None,
            results: ResultSettings::default(),
            assertions: BTreeMap::new(),
        }
    }
}

/// Where `verify` puts its results besides standard output. The command line wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResultSettings {
    /// A JUnit report; absolute.
    pub junit: Option<PathBuf>,
    /// Metrics for a textfile collector; absolute.
    pub prometheus: Option<PathBuf>,
    /// A URL that is pinged, with its `${VAR}` not put in.
    pub ping: Option<Secret>,
    /// A URL that gets the JSON report, with its `${VAR}` not put in.
    pub webhook: Option<Secret>,
}

/// SQL that must give a true value on the restored copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assertion {
    /// Shown in the report.
    pub name: String,
    /// One statement.
    pub sql: String,
}

/// `restore:`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RestoreSettings {
    /// How many replaced databases are kept; `None` for all.
    pub keep: Option<u32>,
}

/// `plugins:`
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PluginSettings {
    /// The folders searched, absolute, in order.
    pub path: Vec<PathBuf>,
    /// They are named in the file, and not the default.
    pub path_is_named: bool,
    /// By the plugin's name.
    pub settings: BTreeMap<String, PluginSetting>,
}

impl PluginSettings {
    /// What is said about the plugin of this name; the defaults without.
    #[must_use]
    pub(crate) fn setting(&self, name: &str) -> PluginSetting {
        self.settings.get(name).cloned().unwrap_or_default()
    }
}

/// What the project says about one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PluginSetting {
    /// The aliases it runs for; `None` for all.
    pub databases: Option<Vec<String>>,
    /// Permissions, as words.
    pub grant: Vec<String>,
    /// Handed to the plugin as it is; null when there is none.
    pub config: serde_json::Value,
    /// Its failure does not fail the run.
    pub optional: bool,
    /// It may take the name of another command.
    pub override_: bool,
    /// Limits other than the defaults.
    pub limits: Option<PluginLimits>,
}

/// Limits for one plugin; `None` leaves the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PluginLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Wall clock.
    pub timeout: Option<Duration>,
    /// Time computing.
    pub cpu: Option<Duration>,
    /// Bytes of output.
    pub output: Option<u64>,
    /// Rows of one query.
    pub rows: Option<u64>,
}

/// Reads `verify:`.
pub(super) fn verify(
    section: Option<Cursor<'_>>,
    aliases: &[&str],
    root: &Path,
    environment: &Environment,
) -> Result<VerifySettings> {
    let mut settings = VerifySettings::default();
    let Some(section) = section else { return Ok(settings) };
    for (key, value) in section.entries("a mapping")? {
        let known = [
            "timeout",
            "deadline",
            "assertions",
            "max_lag",
            "max_restore",
            "junit",
            "prometheus",
            "ping",
            "webhook",
        ];
        let file = || plain_path(&value, &value.text("a path")?, root, environment);
        // Its variables are needed by the run that uses it, and by no other command.
        let url = || value.text("a URL").map(Secret::new);
        if !known.contains(&key) {
            return Err(value.unknown_key("`verify`", known));
        }
        if value.value().is_null() {
            continue;
        }
        match key {
            "timeout" => settings.timeout = duration(&value)?,
            "deadline" => settings.deadline = Some(duration(&value)?),
            "max_lag" => settings.max_lag = Some(duration(&value)?),
            "max_restore" => settings.max_restore = Some(duration(&value)?),
            "junit" => settings.results.junit = Some(file()?),
            "prometheus" => settings.results.prometheus = Some(file()?),
            "ping" => settings.results.ping = Some(url()?),
            "webhook" => settings.results.webhook = Some(url()?),
            _ => settings.assertions = assertions(&value, aliases)?,
        }
    }
    Ok(settings)
}

fn assertions(section: &Cursor<'_>, aliases: &[&str]) -> Result<BTreeMap<String, Vec<Assertion>>> {
    let mut all = BTreeMap::new();
    for (alias, list) in section.entries("a mapping of aliases")? {
        known_alias(&list, alias, aliases)?;
        if list.value().is_null() {
            continue;
        }
        let mut of_alias = Vec::new();
        for item in list.items("a list of assertions")? {
            for (key, value) in item.entries("a mapping with `name` and `sql`")? {
                if !matches!(key, "name" | "sql") {
                    return Err(value.unknown_key("an assertion", ["name", "sql"]));
                }
            }
            let sql = item
                .get("sql")
                .ok_or_else(|| item.wrong("has no `sql`"))?
                .text("an SQL statement")?;
            let name = match item.get("name") {
                Some(name) => name.text("a text")?,
                None => sql.clone(),
            };
            of_alias.push(Assertion { name, sql });
        }
        all.insert(alias.to_owned(), of_alias);
    }
    Ok(all)
}

/// Reads `restore:`.
pub(super) fn restore(section: Option<Cursor<'_>>) -> Result<RestoreSettings> {
    let mut settings = RestoreSettings::default();
    let Some(section) = section else { return Ok(settings) };
    for (key, value) in section.entries("a mapping")? {
        if key != "keep" {
            return Err(value.unknown_key("`restore`", ["keep"]));
        }
        if !value.value().is_null() {
            let keep = value.value().as_u64().and_then(|number| u32::try_from(number).ok());
            settings.keep = Some(keep.ok_or_else(|| value.expected("a whole number"))?);
        }
    }
    Ok(settings)
}

/// Reads `plugins:`.
pub(super) fn plugins(
    section: Option<Cursor<'_>>,
    aliases: &[&str],
    root: &Path,
    environment: &Environment,
) -> Result<PluginSettings> {
    let mut settings =
        PluginSettings { path: vec![root.join("plugins")], ..PluginSettings::default() };
    let Some(section) = section else { return Ok(settings) };
    for (key, value) in section.entries("a mapping")? {
        if !matches!(key, "path" | "settings") {
            return Err(value.unknown_key("`plugins`", ["path", "settings"]));
        }
        if value.value().is_null() {
            continue;
        }
        if key == "path" {
            settings.path_is_named = true;
            settings.path = value
                .texts("a list of folders")?
                .iter()
                .map(|folder| plain_path(&value, folder, root, environment))
                .collect::<Result<_>>()?;
        } else {
            for (name, setting) in value.entries("a mapping of plugin names")? {
                settings.settings.insert(name.to_owned(), plugin(&setting, aliases)?);
            }
        }
    }
    Ok(settings)
}

fn plugin(section: &Cursor<'_>, aliases: &[&str]) -> Result<PluginSetting> {
    let mut setting = PluginSetting::default();
    if section.value().is_null() {
        return Ok(setting);
    }
    for (key, value) in section.entries("a mapping")? {
        let known = ["databases", "grant", "config", "optional", "override", "limits"];
        if !known.contains(&key) {
            return Err(value.unknown_key("a plugin's settings", known));
        }
        if value.value().is_null() {
            continue;
        }
        match key {
            "databases" => {
                let names = value.texts("a list of aliases")?;
                for name in &names {
                    known_alias(&value, name, aliases)?;
                }
                setting.databases = Some(names);
            }
            "grant" => setting.grant = value.texts("a list of permissions")?,
            "config" => setting.config = json(value.value()),
            "optional" => setting.optional = value.boolean()?,
            "override" => setting.override_ = value.boolean()?,
            _ => setting.limits = Some(limits(&value)?),
        }
    }
    Ok(setting)
}

fn limits(section: &Cursor<'_>) -> Result<PluginLimits> {
    let mut limits = PluginLimits::default();
    for (key, value) in section.entries("a mapping")? {
        match key {
            "memory" => limits.memory = Some(size(&value)?),
            "timeout" => limits.timeout = Some(duration(&value)?),
            "cpu" => limits.cpu = Some(duration(&value)?),
            "output" => limits.output = Some(size(&value)?),
            "rows" => {
                let rows = value.value().as_u64();
                limits.rows = Some(rows.ok_or_else(|| value.expected("a whole number"))?);
            }
            _ => {
                let known = ["memory", "timeout", "cpu", "output", "rows"];
                return Err(value.unknown_key("`limits`", known));
            }
        }
    }
    Ok(limits)
}

fn known_alias(place: &Cursor<'_>, name: &str, aliases: &[&str]) -> Result<()> {
    if aliases.contains(&name) {
        return Ok(());
    }
    let error = place.wrong(format!("names `{name}`, which is not an alias in `databases`"));
    Err(did_you_mean(error, name, aliases))
}

/// Adds the nearest of `candidates` to `error`, if one is near.
pub(super) fn did_you_mean(error: Error, name: &str, candidates: &[&str]) -> Error {
    match nearest(name, candidates.iter().copied()) {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None if candidates.is_empty() => error,
        None => {
            let few: Vec<&str> = candidates.iter().take(20).copied().collect();
            let more = match candidates.len() - few.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            error.hint(format!("known are `{}`{more}", few.join("`, `")))
        }
    }
}

fn json(value: &Value) -> serde_json::Value {
    // Every YAML value but one with odd keys has a JSON form; those become null.
    serde_json::to_value(value).unwrap_or_default()
}

/// `30s`, `5m`, `1h30m`, `500ms`, `1d`: more than zero, never without a unit.
fn duration(place: &Cursor<'_>) -> Result<Duration> {
    let text = place.text("a duration such as 30s")?;
    match parse_duration(&text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ if text.parse::<f64>().is_ok() => Err(place
            .wrong(format!("is `{text}`, a duration without a unit"))
            .hint(format!("write `{text}s` for seconds"))),
        _ => Err(place
            .wrong(format!("is `{text}`, which is not a duration"))
            .hint("write it like `30s`, `5m`, `1h30m`, `500ms` or `1d`")),
    }
}

/// Bytes: `1048576`, `64MB` (decimal), `64MiB` (binary).
fn size(place: &Cursor<'_>) -> Result<u64> {
    let text = place.text("a size such as 64MiB")?;
    parse_size(&text).ok_or_else(|| {
        place
            .wrong(format!("is `{text}`, which is not a size"))
            .hint("write it like `64MiB`, `10MB` or a number of bytes")
    })
}
