//! The `verify:` part of the project file, checked, with its defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aliases::known_alias;
use super::quantities::duration;
use crate::environment::Environment;
use crate::error::Result;
use crate::figures;
use crate::project::database::plain_path;
use crate::secret::Secret;
use crate::yaml::Cursor;

/// How long `verify` waits for a replica when the project says nothing.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often litestream's own restore is compared when the project says nothing.
const LITESTREAM_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest interval in which a daemon verifies. Each verification writes a row, reads
/// the whole backup and starts processes.
const SHORTEST: Duration = Duration::from_secs(10);

/// How many intervals old a proof may be when the project says nothing: one may be late and
/// one may be missed before anybody is called.
const INTERVALS: u32 = 3;

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
    /// How often `lsrun replicate` verifies each database; never if not set.
    pub every: Option<Duration>,
    /// Where it serves health and metrics, `HOST:PORT` with its `${VAR}` not put in.
    pub listen: Option<String>,
    /// Where results go.
    pub results: ResultSettings,
    max_age: Option<Duration>,
    assertions: BTreeMap<String, Vec<Assertion>>,
}

impl VerifySettings {
    /// From which age on the last good proof counts for nothing; none where neither it nor
    /// `every` is set.
    #[must_use]
    pub(crate) fn max_age(&self) -> Option<Duration> {
        self.max_age.or_else(|| self.every.map(|every| every.saturating_mul(INTERVALS)))
    }

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
            every: None,
            listen: None,
            results: ResultSettings::default(),
            max_age: None,
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
            "every",
            "max_age",
            "listen",
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
            "every" => settings.every = Some(interval(&value)?),
            "max_age" => settings.max_age = Some(duration(&value)?),
            "listen" => settings.listen = Some(listen(&value)?),
            "junit" => settings.results.junit = Some(file()?),
            "prometheus" => settings.results.prometheus = Some(file()?),
            "ping" => settings.results.ping = Some(url()?),
            "webhook" => settings.results.webhook = Some(url()?),
            _ => settings.assertions = assertions(&value, aliases)?,
        }
    }
    together(&section, &settings)?;
    Ok(settings)
}

/// How often a daemon verifies.
fn interval(place: &Cursor<'_>) -> Result<Duration> {
    let every = duration(place)?;
    if every < SHORTEST {
        let (every, shortest) = (figures::duration(every), figures::duration(SHORTEST));
        return Err(place
            .wrong(format!("is {every}, and the shortest interval is {shortest}"))
            .cause("each verification writes a row, reads the backup and starts processes")
            .hint("use 10s or more; `lsrun replicate` replicates all the time in any case"));
    }
    Ok(every)
}

/// `HOST:PORT`, or `:PORT` for every address of the machine, as Litestream's `addr`.
fn listen(place: &Cursor<'_>) -> Result<String> {
    let text = place.text("an address such as 127.0.0.1:9091")?;
    // A variable is put in when the address is used.
    if text.contains('$') || listen_address(&text).is_some() {
        return Ok(text);
    }
    Err(place
        .wrong(format!("is `{text}`, which is not an address and a port"))
        .hint("write it like `127.0.0.1:9091`, or `:9091` for every address of the machine"))
}

/// The host and the port of `verify.listen`; none if it is not one.
#[must_use]
pub(crate) fn listen_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let bare = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    match bare {
        "" if host.is_empty() => Some(("0.0.0.0", port)),
        "" => None,
        _ if bare.contains(|it: char| it.is_whitespace() || "/@".contains(it)) => None,
        _ => Some((bare, port)),
    }
}

/// What only two of the settings together can say.
fn together(section: &Cursor<'_>, settings: &VerifySettings) -> Result<()> {
    let place = |key| section.get(key).unwrap_or_else(|| section.clone());
    if let (Some(every), Some(max_age)) = (settings.every, settings.max_age)
        && max_age < every
    {
        let (age, every) = (figures::duration(max_age), figures::duration(every));
        return Err(place("max_age")
            .wrong(format!("is {age}, less than `verify.every` ({every})"))
            .cause("every backup would count as unproven between two verifications")
            .hint("make it longer than `every`; without it, it is three times as long"));
    }
    if settings.listen.is_some() && settings.max_age().is_none() {
        return Err(place("listen")
            .wrong("needs to know how old a proof may be")
            .hint("set `verify.every`, or `verify.max_age` if something else runs lsrun verify"));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::listen_address;

    #[test]
    fn an_address_has_a_host_or_none_and_a_port() {
        assert_eq!(listen_address("127.0.0.1:9091"), Some(("127.0.0.1", 9091)));
        assert_eq!(listen_address("[::1]:0"), Some(("::1", 0)));
        assert_eq!(listen_address("localhost:80"), Some(("localhost", 80)));
        assert_eq!(listen_address(":9091"), Some(("0.0.0.0", 9091)));
        for wrong in
            ["", "9091", "::1:80", "[]:80", "[::1:80", "a:", "a:65536", "http://a:80", "a b:1"]
        {
            assert_eq!(listen_address(wrong), None, "{wrong}");
        }
    }
}
