//! The `verify:` part of the project file, checked, with its defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aliases::known_alias;
use super::quantities::duration;
use crate::environment::Environment;
use crate::error::Result;
use crate::project::database::plain_path;
use crate::secret::Secret;
use crate::yaml::Cursor;

/// How long `verify` waits for a replica when the project says nothing.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often litestream's own restore is compared when the project says nothing.
const LITESTREAM_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// How long a whole proof may be ago; always whole if none.
    pub full_every: Option<Duration>,
    /// How long litestream's own restore may be ago until it is done again; 1 day.
    pub litestream_every: Duration,
    /// Where results go.
    pub results: ResultSettings,
    assertions: BTreeMap<String, Vec<Assertion>>,
}

impl VerifySettings {
    pub(in crate::project) fn to_json(&self) -> serde_json::Value {
        let milliseconds = |duration: Duration| duration.as_millis() as u64;
        let assertions = self.assertions.iter().map(|(database, list)| {
            let list = list.iter().map(|one| serde_json::json!({"name": one.name, "sql": one.sql}));
            (database.clone(), serde_json::Value::Array(list.collect()))
        });
        serde_json::json!({
            "timeout_ms": milliseconds(self.timeout),
            "max_lag_ms": self.max_lag.map(milliseconds),
            "max_restore_ms": self.max_restore.map(milliseconds),
            "full_every_ms": self.full_every.map(milliseconds),
            "litestream_every_ms": milliseconds(self.litestream_every),
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
            full_every: None,
            litestream_every: LITESTREAM_EVERY,
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

/// Reads `verify:`.
pub(in crate::project) fn verify(
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
            "full_every",
            "litestream_every",
            "junit",
            "prometheus",
            "ping",
            "webhook",
        ];
        let file = || plain_path(&value, &value.text("a path")?, root, environment);
        // Its variables are needed only by the run that uses it.
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
            "full_every" => settings.full_every = Some(duration(&value)?),
            "litestream_every" => settings.litestream_every = duration(&value)?,
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
