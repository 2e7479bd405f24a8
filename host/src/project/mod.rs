//! The project file `lsrun.yml`: finding, reading and checking it, and the
//! databases it names. What Litestream is to be told is [`crate::config`]'s.

mod database;
mod entries;
mod entry;
mod file;
mod folders;
mod lookup;
mod roll;
mod settings;
mod url;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use self::database::{Alias, Database, Resolved};
use self::database::{Declared, declared};
pub(crate) use self::entry::Entry;
pub(crate) use self::roll::Folders;
use self::roll::Roll;
pub(crate) use self::settings::{
    PluginLimits, PluginSetting, PluginSettings, RestoreSettings, ResultSettings, VerifySettings,
};
use crate::environment::Environment;
use crate::error::{Error, Result, gather};
use crate::path::absolute;
use crate::reference::{parse, resolve};
use crate::trust::Trust;
use crate::yaml::{Cursor, Document, Step};

/// The keys at the top of the file.
const SECTIONS: [&str; 5] = ["databases", "litestream", "verify", "restore", "plugins"];

/// A checked project file.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The folder that relative paths are taken from: absolute, links kept.
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
    binary: Option<PathBuf>,
    version: Option<String>,
    /// `$NAME` in the `litestream` part is a reference.
    expand: bool,
    /// The file is a Litestream configuration: the whole of it is what otherwise is
    /// the `litestream` part.
    of_litestream: bool,
    roll: OnceLock<Arc<Roll>>,
    /// Who owns the file, where the user has named it.
    named_owner: Option<u32>,
}

impl Project {
    /// Reads the project file: `at` (`-C`, a folder or a file), else the one that
    /// `LSRUN_PROJECT` names, else the one in `cwd` or its nearest parent, which has to
    /// be [trusted](crate::trust). A file that is named may be a Litestream
    /// configuration: see [`Project::of_litestream`].
    ///
    /// Fails (exit 20) when there is none, or with everything that is wrong in it,
    /// except what is wrong in its `litestream` part: that is
    /// [`Config`](crate::config::Config)'s to judge.
    pub(crate) fn load(at: Option<&Path>, cwd: &Path, environment: &Environment) -> Result<Self> {
        let mut found = file::find(at, cwd, environment)?;
        let text = found.read()?;
        let document = parsed(&found.path, &text, environment)?;
        let mut project = Self::without_file(cwd);
        project.environment = environment.clone();
        project.named_owner = found.named_owner;
        // One that was found by searching is an lsrun.yml.
        if found.named_owner.is_some() && is_litestream(&document) {
            project.of_litestream = true;
        } else {
            let root = found.path.parent().unwrap_or(cwd).to_owned();
            project.plugins.path = vec![root.join("plugins")];
            project.root = root;
        }
        project.adopt(found.path, document)
    }

    /// Whether the file that [`Self::load`] would read has this word anywhere in its
    /// text: a look that costs nothing, before what most projects have no use for.
    #[must_use]
    pub(crate) fn mentions(
        word: &str,
        at: Option<&Path>,
        cwd: &Path,
        environment: &Environment,
    ) -> bool {
        let text = file::find(at, cwd, environment).and_then(|mut found| found.read());
        text.is_ok_and(|text| text.contains(word))
    }

    /// Reads its file.
    fn adopt(mut self, file: PathBuf, document: Document) -> Result<Self> {
        let problems = if self.of_litestream {
            let entries = document.root().entries("a mapping of Litestream's keys");
            entries.err().into_iter().collect()
        } else {
            self.read(&document)
        };
        self.document = Some(document);
        self.file = Some(file);
        gather(problems, |count| self.count(count))?;
        Ok(self)
    }

    /// The project that a configuration of Litestream's own is, for its `-config`: its
    /// databases are called by the stems of their files, and relative paths are taken
    /// from `cwd`, as Litestream takes them.
    ///
    /// Fails like [`Project::load`].
    pub(crate) fn of_litestream(
        file: &Path,
        cwd: &Path,
        environment: &Environment,
    ) -> Result<Self> {
        let file = absolute(cwd, file);
        let mut found = file::open(file.clone())?;
        let document = parsed(&file, &found.read()?, environment)?;
        let mut project = Self::without_file(cwd);
        project.environment = environment.clone();
        project.named_owner = found.named_owner;
        project.of_litestream = true;
        project.adopt(file, document)
    }

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
            binary: None,
            version: None,
            expand: true,
            of_litestream: false,
            roll: OnceLock::new(),
            named_owner: None,
        }
    }

    /// The same project with every `$` of its `litestream` part taken literally,
    /// for Litestream's `-no-expand-env`. That flag itself must then not reach
    /// Litestream: lsrun hands it values through references of its own.
    #[must_use]
    pub(crate) fn without_expansion(mut self) -> Self {
        self.expand = false;
        self.roll = OnceLock::new();
        self
    }

    fn read(&mut self, document: &Document) -> Vec<Error> {
        let mut problems = Vec::new();
        let root = document.root();
        if root.value().is_null() {
            return problems;
        }
        match root.entries("a mapping with `databases:` at its top") {
            Ok(entries) => {
                for (key, value) in entries {
                    if !SECTIONS.contains(&key) {
                        problems.push(value.unknown_key("lsrun.yml", SECTIONS));
                    }
                }
            }
            Err(error) => return vec![error],
        }
        self.read_databases(document, &mut problems);
        if !problems.is_empty() {
            // With aliases missing, what names them would be reported as well.
            return problems;
        }
        // Not of the roll, which is made when everything has been read.
        let aliases = self.declared.iter().filter_map(|declared| match declared {
            Declared::Sqlite { database, .. } => database.alias.as_ref().map(Alias::as_str),
            Declared::Skipped { .. } => None,
        });
        let names: Vec<String> = aliases.map(str::to_owned).collect();
        let aliases: Vec<&str> = names.iter().map(String::as_str).collect();
        match settings::verify(root.get("verify"), &aliases, &self.root, &self.environment) {
            Ok(verify) => self.verify = verify,
            Err(error) => problems.push(error),
        }
        match settings::restore(root.get("restore")) {
            Ok(restore) => self.restore = restore,
            Err(error) => problems.push(error),
        }
        match settings::plugins(root.get("plugins"), &aliases, &self.root, &self.environment) {
            Ok(plugins) => self.plugins = plugins,
            Err(error) => problems.push(error),
        }
        if let Some(litestream) = root.get("litestream")
            && let Err(error) = litestream
                .entries("a mapping of Litestream's keys")
                .and_then(|_| self.read_wanted(&litestream))
        {
            problems.push(error);
        }
        problems
    }

    fn read_databases(&mut self, document: &Document, problems: &mut Vec<Error>) {
        let Some(section) = document.root().get("databases") else { return };
        let entries = match section.entries("a mapping of aliases to databases") {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(error);
                return;
            }
        };
        for (alias, entry) in entries {
            match declared(alias, &entry, &self.root, &self.environment) {
                Ok(declared) => {
                    if let Declared::Skipped { alias, engine } = &declared {
                        self.notes.push(format!(
                            "database `{alias}` is left out: its engine is {engine}, not SQLite"
                        ));
                    }
                    self.declared.push(declared);
                }
                Err(error) => problems.push(error),
            }
        }
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

    /// Whose plugins are run: this user's and root's, and the project's owner's where
    /// the user has named the project.
    #[must_use]
    pub(crate) fn trust(&self) -> Trust {
        Trust::mine().and(self.named_owner)
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
            "verify" => self.verify.to_json(),
            "restore" => serde_json::json!({ "keep": self.restore.keep }),
            _ => serde_json::Value::Null,
        }
    }

    /// The litestream binary that the project wants (`litestream.bin_path`, made
    /// absolute) and the version (`litestream.version`, without a leading `v`).
    #[must_use]
    pub(crate) fn litestream_wanted(&self) -> (Option<PathBuf>, Option<String>) {
        (self.binary.clone(), self.version.clone())
    }

    fn read_wanted(&mut self, section: &Cursor<'_>) -> Result<()> {
        if let Some(binary) = section.get("bin_path").or_else(|| section.get("bin-path")) {
            let text = binary.text("a path")?;
            let path = database::plain_path(&binary, &text, &self.root, &self.environment)?;
            self.binary = Some(path);
        }
        if let Some(version) = section.get("version") {
            let text = version.text("a version such as 0.5.17")?;
            self.version = Some(text.trim_start_matches('v').to_owned());
        }
        Ok(())
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

/// The content of a file. Before anything is said about it, its secrets are known.
fn parsed(file: &Path, text: &str, environment: &Environment) -> Result<Document> {
    let document = Document::parse(file, text);
    let content = document.as_ref().ok().map(|document| document.root().value());
    let variable = |name: &str| environment.get(name).map(str::to_owned);
    environment.redactor().learn_yaml(text, content, &variable);
    document
}

/// Whether a file is Litestream's own: it has `dbs` at its top and nothing that only
/// an lsrun.yml has.
fn is_litestream(document: &Document) -> bool {
    let root = document.root();
    root.get("dbs").is_some() && !SECTIONS.iter().any(|key| root.get(key).is_some())
}
