//! A scratch project to try a plugin in: a database, a replica that is a folder, and the
//! plugin with its settings.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

use super::component;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::path::Sidecar;
use crate::plugin::outline::Outline;
use crate::plugin::{manifest, names, words_of};
use crate::scratch::Scratch;

/// What is in the database when none is given.
const CONTENT: &str = "
PRAGMA journal_mode = wal;
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, created TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id),
  total REAL NOT NULL, note BLOB, created TEXT);
INSERT INTO users (name, email, created) VALUES
  ('Ada', 'ada@example.com', datetime('now', '-2 days')),
  ('Ben', NULL, datetime('now', '-1 day')),
  ('Cy', 'cy@example.com', datetime('now'));
INSERT INTO orders (user_id, total, note, created) VALUES
  (1, 12.5, x'00ff', datetime('now', '-1 hour')), (3, 7, NULL, datetime('now'));
";

/// The plugin and what it is tried with.
pub(crate) struct TrialRequest<'a> {
    /// Its component.
    pub(crate) component: &'a Path,
    /// A database of the user's, of which a copy is used.
    pub(crate) database: Option<&'a Path>,
    /// Its settings, in JSON or YAML.
    pub(crate) settings: Option<&'a str>,
    /// What it is granted.
    pub(crate) grant: &'a [String],
}

/// A project that is removed when dropped.
pub(crate) struct Trial {
    scratch: Scratch,
    /// The plugin's name.
    pub(crate) name: String,
    /// What it is, such as `check`.
    pub(crate) kinds: Vec<&'static str>,
    /// It is a command that is run for each database, and knows `--verbose`.
    pub(crate) per_database: bool,
    project: Value,
}

impl Trial {
    /// Makes the project.
    pub(crate) fn new(wanted: &TrialRequest) -> Result<Self> {
        let bytes = component::read(wanted.component)?;
        let shown = wanted.component.display().to_string();
        let name = wanted.component.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        names::check(&name, &shown).map_err(|error| error.hint("rename the file"))?;
        let outline = Outline::of(&mut Cursor::new(&bytes), &shown)?;
        if !outline.is_component {
            let message = format!("{shown} is a core module, not a component");
            return Err(Error::new(Code::UnusablePlugin, message)
                .hint("lsrun plugin pack FILE --manifest manifest.yml makes a component of it"));
        }
        let kinds = words_of(&outline.exports);
        if kinds.is_empty() {
            return Err(component::not_a_plugin(&shown));
        }
        let scratch = Scratch::temporary()?;
        let folder = scratch.path();
        let io = |error: std::io::Error| {
            Error::new(Code::Io, format!("cannot write to {}", folder.display())).cause(error)
        };
        let plugins = folder.join("plugins");
        std::fs::create_dir(&plugins).map_err(io)?;
        std::fs::create_dir(folder.join("state")).map_err(io)?;
        std::fs::write(plugins.join(format!("{name}.wasm")), &bytes).map_err(io)?;
        let mut described = manifest::of(&outline, &shown)?;
        if let Ok(beside) = std::fs::read(wanted.component.with_extension("yml")) {
            if described.is_none() {
                described = Some(manifest::parse(&String::from_utf8_lossy(&beside), &shown)?);
            }
            std::fs::write(plugins.join(format!("{name}.yml")), beside).map_err(io)?;
        }
        let database = folder.join("database.sqlite3");
        match wanted.database {
            Some(path) => copied(path, &database)?,
            None => Connection::open(&database)
                .and_then(|new| new.execute_batch(CONTENT))
                .map_err(|error| Error::new(Code::Sqlite, "no scratch database").cause(error))?,
        }
        let project = project(&name, wanted)?;
        std::fs::write(folder.join("lsrun.yml"), project.to_string()).map_err(io)?;
        let command = described.and_then(|manifest| manifest.command);
        let per_database = command.is_some_and(|command| command.per_database);
        Ok(Self { scratch, name, kinds, per_database, project })
    }

    /// From now on every restore is refused, when its hooks have been called.
    pub(crate) fn refuse_restores(&self) -> Result<()> {
        let mut project = self.project.clone();
        project["tasks"] = json!({"refuse": ["false"]});
        project["hooks"] = json!({"pre-restore": "refuse"});
        let path = self.folder().join("lsrun.yml");
        std::fs::write(&path, project.to_string()).map_err(|error| {
            Error::new(Code::Io, format!("cannot write {}", path.display())).cause(error)
        })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the history of its runs is kept.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder().join("state")
    }
}

/// The project file.
fn project(name: &str, wanted: &TrialRequest) -> Result<Value> {
    let mut setting = Map::new();
    if let Some(settings) = wanted.settings {
        let config: Value = serde_yaml::from_str(settings)
            .map_err(|error| Error::usage("--settings is neither JSON nor YAML").cause(error))?;
        setting.insert("config".into(), config);
    }
    if !wanted.grant.is_empty() {
        setting.insert("grant".into(), json!(wanted.grant));
    }
    let replica = json!({"type": "file", "path": "replica"});
    // JSON is YAML.
    Ok(json!({
        "databases": {"default": "database.sqlite3"},
        "litestream": {"dbs": [{"path": "default", "replica": replica}]},
        "plugins": {"settings": {name: setting}},
    }))
}

/// Copies a database as its last transaction left it, without writing to it.
fn copied(path: &Path, target: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| {
        Error::usage(format!("cannot copy the database {}", path.display())).cause(error)
    };
    let log_was_there = std::fs::metadata(Sidecar::Wal.of(path)).is_ok_and(|it| it.len() > 0);
    // Reading too: only a connection that may write takes the log's index away again.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(path, flags).map_err(failed)?;
    let copy = || -> rusqlite::Result<()> {
        from.busy_timeout(std::time::Duration::from_secs(5))?;
        from.pragma_update(None, "query_only", true)?;
        from.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_was_there)?;
        let mut into = Connection::open(target)?;
        let backup = rusqlite::backup::Backup::new(&from, &mut into)?;
        backup.run_to_completion(1000, std::time::Duration::ZERO, None)?;
        drop(backup);
        into.pragma_update(None, "journal_mode", "wal")
    };
    copy().map_err(failed)
}
