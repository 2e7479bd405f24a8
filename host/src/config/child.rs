//! The configuration of a child process: every value as intended, and no secret in the
//! file.

use std::path::PathBuf;

use super::chain::Keys;
use super::keys::remove_daemons;
use super::render::{self, Variables};
use super::tree::{Map, Node, Text, TextRole};
use super::variables::{BUCKET, CREDENTIALS, fallback, lookup};
use super::{Config, scalar};
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result, gather};
use crate::path::{absolute, expand_home};
use crate::reference::{Piece, resolve};
use crate::secret::Secret;

/// How often a daemon that lsrun starts brings changes to a folder.
const FOLDER_INTERVAL: &str = "100ms";

/// What a child process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `replicate` as a daemon, with everything the user configured.
    Replicate {
        /// Where the control socket is put when the user configured none.
        socket: Option<PathBuf>,
    },
    /// `replicate -once` of one database, beside a daemon or without.
    Once {
        /// Its absolute path.
        database: PathBuf,
    },
    /// What only reads: `ltx`, `restore`, `status`, `databases`.
    Read {
        /// Its absolute path; `None` for all entries.
        database: Option<PathBuf>,
    },
}

/// A configuration for a child process.
#[derive(Debug, Clone)]
pub(crate) struct ChildConfig {
    /// The content of its file. It holds no secret.
    pub yaml: String,
    /// What must be in its environment for the file to mean what it should.
    pub variables: Vec<(String, Secret)>,
    /// Where the keys of an object store come from that nobody set.
    pub note: Option<&'static str>,
}

impl Config {
    /// The configuration for a child process: every value as intended, whatever
    /// characters it has, and no secret in the file.
    ///
    /// Fails (exit 20) when the database is not replicated by this project, or with
    /// every variable that is needed and set nowhere.
    pub(crate) fn for_child(
        &self,
        purpose: &Purpose,
        environment: &Environment,
    ) -> Result<ChildConfig> {
        self.compose(purpose, environment).or_else(|errors| {
            gather(errors, |count| {
                format!("{count} things are missing for the Litestream configuration")
            })?;
            Err(Error::new(Code::Unexpected, "no configuration"))
        })
    }

    pub(super) fn compose(
        &self,
        purpose: &Purpose,
        environment: &Environment,
    ) -> Result<ChildConfig, Vec<Error>> {
        let wanted = match purpose {
            Purpose::Replicate { .. } | Purpose::Read { database: None } => None,
            Purpose::Once { database } | Purpose::Read { database: Some(database) } => {
                Some(database)
            }
        };
        let mut entries: Vec<Map> = match wanted {
            None => self.entries.iter().map(|listed| listed.keys.clone()).collect(),
            Some(path) => vec![self.keys_of(path, None).map_err(|error| vec![error])?],
        };
        let mut top = self.top.clone();
        match purpose {
            Purpose::Replicate { socket } => {
                top.remove("exec");
                entries.iter_mut().for_each(|entry| self.hasten(entry));
                if let (Some(socket), None) = (socket, top.get("socket")) {
                    let path = Text::literal(socket.display().to_string(), TextRole::Path);
                    let keys = [
                        ("enabled", Node::Bool(true)),
                        ("path", Node::Text(path)),
                        ("permissions", Node::Number(0o600.into())),
                    ];
                    let keys = keys.map(|(key, node)| (key.to_owned(), node));
                    top.set("socket", Node::Map(Map(keys.into())));
                }
            }
            Purpose::Once { .. } => {
                remove_daemons(&mut top);
                // A failed `-once` waits that long before it ends.
                let short = Text::literal("1s", TextRole::Plain);
                top.set("shutdown-sync-timeout", Node::Text(short));
            }
            Purpose::Read { .. } => remove_daemons(&mut top),
        }
        let keys = self.keys_for(&entries, environment);
        if keys != Keys::Variables {
            self.added.iter().for_each(|key| top.remove(key));
        }
        // Logs on stdout would be in the middle of `-json` output.
        let stderr = Node::Bool(true);
        match top.get_mut("logging") {
            Some(Node::Map(logging)) => logging.set("stderr", stderr),
            _ => top.set("logging", Node::Map(Map(vec![("stderr".to_owned(), stderr)]))),
        }
        top.set("dbs", Node::List(entries.into_iter().map(Node::Map).collect()));
        self.write(&top, environment).map(|child| ChildConfig { note: keys.note(), ..child })
    }

    /// A folder takes what was written after [`FOLDER_INTERVAL`], so that nobody who
    /// waits for the replica waits for a second. On object stores, where each round with
    /// changes is a paid request, Litestream's default stays.
    pub(super) fn hasten(&self, entry: &mut Map) {
        let hasten = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let text = self.lookup_text();
            let is_folder = self.view(replica, &text).kind() == "file";
            if is_folder && replica.get("sync-interval").is_none() {
                let interval = Text::literal(FOLDER_INTERVAL, TextRole::Plain);
                replica.set("sync-interval", Node::Text(interval));
            }
        };
        if self.top.get("sync-interval").is_some() {
            return;
        }
        if let Some(replica) = entry.get_mut("replica") {
            hasten(replica);
        }
        if let Some(Node::List(items)) = entry.get_mut("replicas") {
            items.iter_mut().for_each(hasten);
        }
    }

    pub(super) fn write(
        &self,
        document: &Map,
        environment: &Environment,
    ) -> Result<ChildConfig, Vec<Error>> {
        let mut variables = Variables::default();
        let mut missing: Vec<String> = Vec::new();
        let yaml = render::yaml(document, &mut |text| {
            let parts = match self.parts(text, environment) {
                Ok(parts) => parts,
                Err(name) => {
                    if !missing.contains(&name) {
                        missing.push(name);
                    }
                    Vec::new()
                }
            };
            variables.scalar(&parts, text.role)
        });
        if missing.is_empty() {
            return Ok(ChildConfig { yaml, variables: variables.all, note: None });
        }
        Err(missing.iter().map(|name| unset(name)).collect())
    }

    /// The pieces of `text` with their values; see [`Variables::scalar`].
    pub(super) fn parts(
        &self,
        text: &Text,
        environment: &Environment,
    ) -> Result<Vec<Option<(String, bool)>>, String> {
        let lookup = |name: &str| lookup(environment, name);
        let of_pid = text.pieces.iter().any(scalar::is_pid);
        if text.role == TextRole::Path && !of_pid {
            let resolved = resolve(&text.pieces, &lookup)?;
            // An empty path is not the project's folder; Litestream refuses it.
            let path = if resolved.text.is_empty() {
                resolved.text
            } else {
                let path = expand_home(&resolved.text, environment);
                absolute(&self.root, &path).display().to_string()
            };
            return Ok(vec![Some((path, resolved.from_environment))]);
        }
        if !of_pid {
            let resolved = resolve(&text.pieces, &lookup)?;
            return Ok(vec![Some((resolved.text, resolved.from_environment))]);
        }
        let part = |piece: &Piece| {
            if scalar::is_pid(piece) {
                return Ok(None);
            }
            let resolved = resolve(std::slice::from_ref(piece), &lookup)?;
            Ok(Some((resolved.text, resolved.from_environment)))
        };
        text.pieces.iter().map(part).collect()
    }
}

fn unset(name: &str) -> Error {
    let error = match fallback(name) {
        Some(other) => Error::project(format!(
            "the environment variable {name} is not set, and neither is {other}"
        )),
        None => Error::project(format!("the environment variable {name} is not set")),
    };
    if name == BUCKET {
        error.hint(format!("set {name}, or give the database a `replica`"))
    } else if CREDENTIALS.iter().any(|(_, variable)| *variable == name) {
        error.hint(format!(
            "set {name}, or leave out both keys: then the AWS credential chain finds them"
        ))
    } else {
        error.hint(format!("set {name}, or use -no-expand-env when the `$` is a plain character"))
    }
}
