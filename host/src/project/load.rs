//! Reading a project file, and everything that is wrong in it, except in its `litestream`
//! part.

use std::path::{Path, PathBuf};

use super::database::{Alias, Declared, declared, plain_path};
use super::{Project, file, settings};
use crate::environment::Environment;
use crate::error::{Error, Result, gather};
use crate::path::absolute;
use crate::yaml::{Cursor, Document};

/// The keys at the top of the file.
const SECTIONS: [&str; 7] =
    ["databases", "litestream", "verify", "restore", "plugins", "tasks", "hooks"];

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
        match settings::tasks(root.get("tasks"), root.get("hooks"), &aliases) {
            Ok(tasks) => self.tasks = tasks,
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

    fn read_wanted(&mut self, section: &Cursor<'_>) -> Result<()> {
        if let Some(binary) = section.get("bin_path").or_else(|| section.get("bin-path")) {
            let text = binary.text("a path")?;
            let path = plain_path(&binary, &text, &self.root, &self.environment)?;
            self.binary = Some(path);
        }
        if let Some(version) = section.get("version") {
            let text = version.text("a version such as 0.5.17")?;
            self.version = Some(text.trim_start_matches('v').to_owned());
        }
        Ok(())
    }
}

/// The content of a file. Before anything about it is printed, its secrets are known.
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
