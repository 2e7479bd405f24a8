//! The `plugins:` part of the project file, checked, with its defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;

use super::aliases::known_alias;
use super::quantities::{duration, size};
use crate::environment::Environment;
use crate::error::Result;
use crate::project::database::{Database, plain_path};
use crate::yaml::Cursor;

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
    /// The settings of the plugin of this name; the defaults if there are none.
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
    /// What is handed to the plugin, as it is written; null when there is none. Ready to be
    /// handed over, it is [`crate::project::Project::plugin_config`].
    pub config: serde_json::Value,
    /// What is merged over it for calls that are for one database, by its alias.
    pub per_database: BTreeMap<String, serde_json::Value>,
    /// Its failure does not fail the run.
    pub optional: bool,
    /// It may take the name of another command.
    pub override_: bool,
    /// Limits other than the defaults.
    pub limits: Option<PluginLimits>,
}

impl PluginSetting {
    /// Whether the plugin runs for this database.
    #[must_use]
    pub(crate) fn selects(&self, database: &Database) -> bool {
        self.databases.as_ref().is_none_or(|names| names.contains(&database.name()))
    }
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

/// Reads `plugins:`.
pub(in crate::project) fn plugins(
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
        let known =
            ["databases", "grant", "config", "per_database", "optional", "override", "limits"];
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
            "per_database" => {
                for (alias, own) in value.entries("a mapping of aliases")? {
                    known_alias(&own, alias, aliases)?;
                    if own.value().is_null() {
                        continue;
                    }
                    // Of anything else no keys could be merged.
                    own.entries("a mapping")?;
                    setting.per_database.insert(alias.to_owned(), json(own.value()));
                }
            }
            "optional" => setting.optional = value.boolean()?,
            "override" => setting.override_ = value.boolean()?,
            _ => setting.limits = Some(limits(&value)?),
        }
    }
    if !setting.per_database.is_empty()
        && let Some(config) = section.get("config")
    {
        config.entries("a mapping, as there is `per_database` beside it")?;
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

fn json(value: &Value) -> serde_json::Value {
    // Every YAML value but one with odd keys has a JSON form; those become null.
    serde_json::to_value(value).unwrap_or_default()
}
