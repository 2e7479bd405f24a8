//! What the configuration says about the daemon and its state.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Config;
use super::read::go_duration;
use super::tree::{Map, Node};
use crate::project::Database;

/// Where a daemon listens if its configuration does not say.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/litestream.sock";

/// Litestream's default for both intervals.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

impl Config {
    /// The control socket of a daemon, when the user configured one.
    #[must_use]
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        let socket = self.top.get("socket")?.map()?;
        let enabled = match socket.get("enabled")? {
            Node::Bool(truth) => *truth,
            Node::Text(text) => self.lookup_text()(text).eq_ignore_ascii_case("true"),
            _ => false,
        };
        enabled.then(|| match socket.text("path") {
            Some(path) => self.local(path),
            None => PathBuf::from(DEFAULT_SOCKET),
        })
    }

    /// The command that runs beside the daemon (`exec`). It is not in the
    /// configuration of a child: lsrun runs it.
    #[must_use]
    pub(crate) fn exec(&self) -> Option<String> {
        self.top.text("exec").map(|text| self.lookup_text()(text)).filter(|it| !it.is_empty())
    }

    /// The addresses that a daemon listens on: the key and `[host]:port`.
    #[must_use]
    pub(crate) fn addresses(&self) -> Vec<(&'static str, String)> {
        ["addr", "mcp-addr"]
            .into_iter()
            .filter_map(|key| Some((key, self.lookup_text()(self.top.text(key)?))))
            .filter(|(_, address)| !address.is_empty())
            .collect()
    }

    /// How long a daemon tries to send the last changes to the replica when it ends
    /// (`shutdown-sync-timeout`; Litestream's default is 30 s).
    #[must_use]
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        match self.top.get("shutdown-sync-timeout") {
            None => Duration::from_secs(30),
            given => self.interval(given),
        }
    }

    /// The folder where Litestream keeps its state of `database`.
    #[must_use]
    pub(crate) fn meta_path(&self, database: &Database) -> PathBuf {
        let keys = self.keys_of(&database.path, None).unwrap_or_default();
        self.state_folder(&keys, &database.path)
    }

    pub(super) fn state_folder(&self, keys: &Map, database: &Path) -> PathBuf {
        if let Some(path) = keys.text("meta-path") {
            return self.local(path);
        }
        let name = database.file_name().unwrap_or_default().to_string_lossy();
        database.with_file_name(format!(".{name}-litestream"))
    }

    /// How often Litestream looks for changes of `database`.
    #[must_use]
    pub(crate) fn monitor_interval(&self, database: &Database) -> Duration {
        let keys = self.keys_of(&database.path, None).unwrap_or_default();
        self.interval(keys.get("monitor-interval"))
    }

    pub(super) fn interval(&self, node: Option<&Node>) -> Duration {
        let nanoseconds = match node {
            Some(Node::Text(text)) => go_duration(&self.lookup_text()(text)),
            Some(Node::Number(number)) => number.as_i64(),
            _ => None,
        };
        nanoseconds
            .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
            .map_or(DEFAULT_INTERVAL, Duration::from_nanos)
    }
}
