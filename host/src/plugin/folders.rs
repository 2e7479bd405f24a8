//! The folders that a plugin is granted: which they are, and that giving one away does not
//! give away what decides what runs.

use std::path::{Path, PathBuf};

use super::grants::Grants;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::project::Project;

/// A folder of `fs:read=` or `fs:write=`.
pub(super) struct GrantedFolder<'a> {
    /// As lsrun.yml has it: the guest knows it by this name.
    pub(super) written: &'a str,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whether it may be written to, besides being read.
    pub(super) writable: bool,
}

/// The folders of a plugin, each once.
pub(super) fn folders<'a>(project: &Project, grants: &'a Grants) -> Vec<GrantedFolder<'a>> {
    let writable = grants.scopes("fs:write");
    let readable = grants.scopes("fs:read");
    let only_readable = readable.into_iter().filter(|folder| !writable.contains(folder));
    let all = only_readable.map(|folder| (folder, false));
    let all = all.chain(writable.iter().map(|folder| (*folder, true)));
    all.map(|(written, writable)| GrantedFolder {
        written,
        path: project.root.join(written),
        writable,
    })
    .collect()
}

impl GrantedFolder<'_> {
    /// Its path without links, which is the one to open: what was checked is what is given.
    ///
    /// Fails if it is not there, or if who writes in it decides what lsrun runs, or changes
    /// databases.
    pub(super) fn check(&self, project: &Project, plugin: &str) -> Result<PathBuf> {
        let real = std::fs::canonicalize(&self.path)
            .and_then(|real| std::fs::read_dir(&real).map(|_entries| real))
            .map_err(|error| self.unusable(plugin, &error))?;
        if !self.writable {
            return Ok(real);
        }
        let holds =
            |path: &Path| std::fs::canonicalize(path).is_ok_and(|path| path.starts_with(&real));
        let listed = project.every_database().unwrap_or_default();
        let databases = project.declared().cloned().chain(listed);
        let binary = project.litestream_wanted().0;
        let inside = project.file.iter().map(|file| (file.clone(), "what lsrun runs"));
        let inside = inside
            .chain(project.plugins().path.iter().map(|it| (it.clone(), "what lsrun runs")))
            .chain(binary.map(|binary| (binary, "what lsrun runs")))
            .chain(databases.map(|it| (it.path.clone(), "a database")))
            .find(|(path, _)| holds(path));
        let Some((path, what)) = inside else { return Ok(real) };
        let path = path.display();
        Err(Error::new(
            Code::UnusablePlugin,
            format!("fs:write={} lets the plugin {plugin} change {what}", self.written),
        )
        .cause(format!("{path} is in that folder"))
        .hint("grant a folder of its own"))
    }

    /// The error of a folder that cannot be given to the plugin.
    pub(super) fn unusable(&self, plugin: &str, error: &dyn std::fmt::Display) -> Error {
        let message = format!(
            "the folder {} cannot be given to the plugin {plugin}, which lsrun.yml grants it",
            self.path.display()
        );
        Error::new(Code::UnusablePlugin, message)
            .cause(error)
            .hint("create the folder, or correct the grant in lsrun.yml")
    }
}
