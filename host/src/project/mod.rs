//! The project file `lsrun.yml`: finding, reading and checking it, and the
//! databases it names. Litestream's configuration belongs to [`crate::config`].

mod database;
mod entries;
mod entry;
mod file;
mod folders;
mod load;
mod lookup;
mod roll;
mod settings;
mod state;
mod url;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use self::database::Declared;
pub(crate) use self::database::{Database, Resolved};
pub(crate) use self::entry::Entry;
pub(crate) use self::roll::Folders;
use self::roll::Roll;
pub(crate) use self::settings::{
    PluginConfig, PluginLimits, PluginSetting, PluginSettings, RestoreSettings, ResultSettings,
    Task, TaskSettings, VerifySettings, listen_address,
};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::reference::{parse, resolve};
use crate::trust::Trust;
use crate::yaml::{Cursor, Document, Step};

/// A checked project file.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The folder that relative paths are relative to: absolute, links kept.
    pub root: PathBuf,
    /// The project file, if there is one.
    pub file: Option<PathBuf>,
    /// What the user may want to know: databases of other engines.
    pub notes: Vec<String>,
    cwd: PathBuf,
    environment: Environment,
    document: Option<Document>,
    declared: Vec<Declared>,
    verify: VerifySettings,
    restore: RestoreSettings,
    plugins: PluginSettings,
    tasks: TaskSettings,
    binary: Option<PathBuf>,
    version: Option<String>,
    /// `$NAME` in the `litestream` part is a reference.
    expand: bool,
    /// The file is a Litestream configuration: the whole of it is what otherwise is
    /// the `litestream` part.
    of_litestream: bool,
    roll: OnceLock<Arc<Roll>>,
    /// Who owns the file, if the user has named it.
    named_owner: Option<u32>,
}

impl Project {
    /// A project without a file and without databases, for what needs none:
    /// `restore -o OUT URL`, `replicate DB URL`.
    #[must_use]
    pub(crate) fn without_file(cwd: &Path) -> Self {
        Self {
            root: cwd.to_owned(),
            file: None,
            notes: Vec::new(),
            cwd: cwd.to_owned(),
            environment: Environment::default(),
            document: None,
            declared: Vec::new(),
            verify: VerifySettings::default(),
            restore: RestoreSettings::default(),
            plugins: PluginSettings {
                path: vec![cwd.join("plugins")],
                ..PluginSettings::default()
            },
            tasks: TaskSettings::default(),
            binary: None,
            version: None,
            expand: true,
            of_litestream: false,
            roll: OnceLock::new(),
            named_owner: None,
        }
    }

    /// The same project with every `$` of its `litestream` part read literally,
    /// for Litestream's `-no-expand-env`. That flag itself must then not reach
    /// Litestream: lsrun hands it values through references of its own.
    #[must_use]
    pub(crate) fn without_expansion(mut self) -> Self {
        self.expand = false;
        self.roll = OnceLock::new();
        self
    }

    fn count(&self, count: usize) -> String {
        match &self.file {
            Some(file) => format!("{count} things are wrong in {}", file.display()),
            None => format!("{count} things are wrong"),
        }
    }

    /// A text of the project file with its `$VAR`, `${VAR}` and `${VAR:-default}` put in.
    ///
    /// Fails (exit 20) with the name of a variable that is not set.
    pub(crate) fn filled(&self, text: &str, what: &str) -> Result<String> {
        resolve(&parse(text), &|name| self.environment.get(name))
            .map(|resolved| resolved.text)
            .map_err(|name| {
                Error::project(format!(
                    "{what} needs the environment variable {name}, which is not set"
                ))
                .hint(format!("set {name}"))
            })
    }

    /// Whose plugins are run: this user's and root's, and the project's owner's if
    /// the user has named the project.
    #[must_use]
    pub(crate) fn trust(&self) -> Trust {
        Trust::mine().and(self.named_owner)
    }

    /// The project file, if the user has named it.
    #[must_use]
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|_| self.named_owner.is_some())
    }

    /// `verify:`
    #[must_use]
    pub(crate) fn verify(&self) -> &VerifySettings {
        &self.verify
    }

    /// What the file says of a command that proves, under its name.
    #[must_use]
    pub(crate) fn proof(&self, command: &str) -> Option<&VerifySettings> {
        (command == "verify").then_some(&self.verify)
    }

    /// `plugins:`
    #[must_use]
    pub(crate) fn plugins(&self) -> &PluginSettings {
        &self.plugins
    }

    /// `tasks:` and `hooks:`
    #[must_use]
    pub(crate) fn tasks(&self) -> &TaskSettings {
        &self.tasks
    }

    /// `restore:`
    #[must_use]
    pub(crate) fn restore(&self) -> &RestoreSettings {
        &self.restore
    }

    /// What a built-in command reads from the project file, as JSON: durations in
    /// milliseconds.
    #[must_use]
    pub(crate) fn section(&self, command: &str) -> serde_json::Value {
        match command {
            // The points whose copies keep the rules are looked for by what `verify` checks.
            "points" => serde_json::json!({ "assertions": self.verify.to_json()["assertions"] }),
            "verify" => self.verify.to_json(),
            "restore" => serde_json::json!({ "keep": self.restore.keep }),
            "tasks" => self.tasks.to_json(),
            _ => serde_json::Value::Null,
        }
    }

    /// The litestream binary that the project wants (`litestream.bin_path`, made
    /// absolute) and the version (`litestream.version`, without a leading `v`).
    #[must_use]
    pub(crate) fn litestream_wanted(&self) -> (Option<PathBuf>, Option<String>) {
        (self.binary.clone(), self.version.clone())
    }

    /// The `litestream` part.
    pub(crate) fn litestream(&self) -> Option<Cursor<'_>> {
        let document = self.document.as_ref()?;
        if self.of_litestream {
            return Some(document.root());
        }
        document.at(&[Step::Key("litestream".into())])
    }

    pub(crate) fn dbs(&self) -> Option<Cursor<'_>> {
        self.litestream()?.get("dbs")
    }

    pub(crate) fn expands(&self) -> bool {
        self.expand
    }
}
