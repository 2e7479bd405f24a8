//! The keys that Litestream 0.5.17 knows, and what each holds. Litestream itself
//! silently ignores every other key. Source: its `cmd/litestream/main.go`.

use super::tree::Map;

/// What the value of a key is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Never written into a file, never shown.
    Secret,
    /// Relative ones are relative to the project's folder.
    Path,
    Bool,
    Int,
    /// Go's `1h30m`; a bare number is nanoseconds.
    Duration,
    Map(&'static Table),
    List(&'static Kind),
    /// Of an unknown key.
    Any,
}

/// The keys of one mapping.
#[derive(Debug)]
pub(super) struct Table {
    /// How messages call the mapping.
    pub(super) what: &'static str,
    keys: &'static [&'static [(&'static str, Kind)]],
}

impl Table {
    /// The kind of `key`.
    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        self.keys.iter().copied().flatten().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().copied().flatten().map(|(name, _)| *name)
    }
}

/// Keys of Django's setting that are lsrun's own, and not Litestream's.
pub(super) const OWN: [&str; 6] =
    ["path_prefix", "path-prefix", "bin_path", "bin-path", "version", "config_file"];

/// The top of the configuration.
pub(super) static TOP: Table =
    Table { what: "Litestream's configuration", keys: &[TOP_KEYS, REPLICA_SETTINGS] };
/// An entry of `dbs`.
pub(super) static ENTRY: Table = Table { what: "an entry of `dbs`", keys: &[ENTRY_KEYS] };
/// A replica.
pub(super) static REPLICA: Table =
    Table { what: "a replica", keys: &[REPLICA_KEYS, REPLICA_SETTINGS] };

static SNAPSHOT: Table = Table {
    what: "`snapshot`",
    keys: &[&[("interval", Kind::Duration), ("retention", Kind::Duration)]],
};
static SOCKET: Table = Table {
    what: "`socket`",
    keys: &[&[("enabled", Kind::Bool), ("path", Kind::Path), ("permissions", Kind::Int)]],
};
static LEVEL: Table = Table { what: "a level", keys: &[&[("interval", Kind::Duration)]] };
static VALIDATION: Table = Table { what: "`validation`", keys: &[&[("interval", Kind::Duration)]] };
static RETENTION: Table = Table { what: "`retention`", keys: &[&[("enabled", Kind::Bool)]] };
static LOGGING: Table = Table {
    what: "`logging`",
    keys: &[&[
        ("level", Kind::Text),
        ("type", Kind::Text),
        ("stderr", Kind::Bool),
        ("source", Kind::Bool),
    ]],
};

static TOP_KEYS: &[(&str, Kind)] = &[
    ("addr", Kind::Text),
    ("mcp-addr", Kind::Text),
    ("socket", Kind::Map(&SOCKET)),
    ("exec", Kind::Text),
    ("levels", Kind::List(&Kind::Map(&LEVEL))),
    ("snapshot", Kind::Map(&SNAPSHOT)),
    ("validation", Kind::Map(&VALIDATION)),
    ("l0-retention", Kind::Duration),
    ("l0-retention-check-interval", Kind::Duration),
    ("verify-compaction", Kind::Bool),
    ("retention", Kind::Map(&RETENTION)),
    ("heartbeat-url", Kind::Text),
    ("heartbeat-interval", Kind::Duration),
    ("shutdown-sync-timeout", Kind::Duration),
    ("shutdown-sync-interval", Kind::Duration),
    ("logging", Kind::Map(&LOGGING)),
    ("dbs", Kind::List(&Kind::Map(&ENTRY))),
];

static ENTRY_KEYS: &[(&str, Kind)] = &[
    ("path", Kind::Path),
    ("dir", Kind::Path),
    ("pattern", Kind::Text),
    ("recursive", Kind::Bool),
    ("watch", Kind::Bool),
    ("meta-dir", Kind::Path),
    ("meta-path", Kind::Path),
    ("monitor-interval", Kind::Duration),
    ("checkpoint-interval", Kind::Duration),
    ("busy-timeout", Kind::Duration),
    ("min-checkpoint-page-count", Kind::Int),
    ("truncate-page-n", Kind::Int),
    ("max-sync-wal-bytes", Kind::Text),
    ("snapshot", Kind::Map(&SNAPSHOT)),
    ("restore-if-db-not-exists", Kind::Bool),
    ("replica", Kind::Map(&REPLICA)),
    ("replicas", Kind::List(&Kind::Map(&REPLICA))),
];

static REPLICA_KEYS: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("name", Kind::Text),
    // Of a file replica only; see `Config`.
    ("path", Kind::Text),
    ("url", Kind::Text),
    ("max-sync-ltx-files", Kind::Int),
];

/// What a replica has and the top may hold as a default for all of them.
static REPLICA_SETTINGS: &[(&str, Kind)] = &[
    ("sync-interval", Kind::Duration),
    ("validation-interval", Kind::Duration),
    ("auto-recover", Kind::Bool),
    ("access-key-id", Kind::Secret),
    ("secret-access-key", Kind::Secret),
    ("region", Kind::Text),
    ("bucket", Kind::Text),
    ("endpoint", Kind::Text),
    ("force-path-style", Kind::Bool),
    ("sign-payload", Kind::Bool),
    ("require-content-md5", Kind::Bool),
    ("skip-verify", Kind::Bool),
    ("storage-class", Kind::Text),
    ("part-size", Kind::Text),
    ("concurrency", Kind::Int),
    ("sse-customer-algorithm", Kind::Text),
    ("sse-customer-key", Kind::Secret),
    ("sse-customer-key-path", Kind::Path),
    ("sse-kms-key-id", Kind::Text),
    ("account-name", Kind::Text),
    ("account-key", Kind::Secret),
    ("sas-token", Kind::Secret),
    ("host", Kind::Text),
    ("user", Kind::Text),
    ("password", Kind::Secret),
    ("key-path", Kind::Path),
    ("host-key", Kind::Text),
    ("concurrent-writes", Kind::Bool),
    ("webdav-url", Kind::Text),
    ("webdav-username", Kind::Text),
    ("webdav-password", Kind::Secret),
    ("jwt", Kind::Secret),
    ("seed", Kind::Secret),
    ("creds", Kind::Path),
    ("nkey", Kind::Secret),
    ("username", Kind::Text),
    ("token", Kind::Secret),
    ("tls", Kind::Bool),
    ("root-cas", Kind::List(&Kind::Path)),
    ("client-cert", Kind::Path),
    ("client-key", Kind::Path),
    ("max-reconnects", Kind::Int),
    ("reconnect-wait", Kind::Duration),
    ("timeout", Kind::Duration),
];

/// Replica types, as `type:` and as the scheme of `url:`.
pub(super) const TYPES: [&str; 9] =
    ["file", "s3", "gs", "abs", "sftp", "webdav", "webdavs", "nats", "oss"];

/// Whether the name of a key that Litestream does not know says that it holds a
/// secret.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "password", "passphrase", "token", "credential", "access-key", "access_key"]
        .iter()
        .any(|word| key.contains(word))
}

/// What only a daemon has a use for: a second process that read them would take
/// the daemon's socket and ports away or start its application again.
pub(super) fn remove_daemons(top: &mut Map) {
    for key in ["socket", "addr", "mcp-addr", "exec", "heartbeat-url", "heartbeat-interval"] {
        top.remove(key);
    }
}
