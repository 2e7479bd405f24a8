//! Where the project file is, and its text.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::path::absolute;
use crate::trust::{Distrust, Trust};

const NAME: &str = "lsrun.yml";

/// The smallest file that does something, for hints.
const SMALLEST: &str = "the smallest lsrun.yml is:\ndatabases:\n  default: db.sqlite3";

/// A project file, open.
pub(super) struct ProjectFile {
    /// Its absolute path.
    pub(super) path: PathBuf,
    /// Its owner, if the user has named the file: then what that user does in the
    /// project is trusted as well.
    pub(super) named_owner: Option<u32>,
    file: File,
}

/// Finds the project file; see [`super::Project::load`].
pub(super) fn find(
    at: Option<&Path>,
    cwd: &Path,
    environment: &Environment,
) -> Result<ProjectFile> {
    if let Some(at) = at {
        return open(named(&absolute(cwd, at), "--project")?);
    }
    if let Some(at) = environment.get("LSRUN_PROJECT") {
        return open(named(&absolute(cwd, Path::new(at)), "LSRUN_PROJECT")?);
    }
    for path in cwd.ancestors().map(|folder| folder.join(NAME)) {
        match Trust::mine().file(&path) {
            Ok(file) => return Ok(ProjectFile { path, named_owner: None, file }),
            Err(Distrust::NotAFile(_)) => {}
            Err(distrust) if distrust.is_missing() => {}
            // It may be one that does not exist, in a folder that is not trusted.
            Err(_untrusted) if path.symlink_metadata().is_err() => {}
            Err(distrust) => return Err(refused(&path, &distrust)),
        }
    }
    let mut error = Error::project(format!("no {NAME} here or in a parent folder"));
    for folder in cwd.ancestors() {
        error = error.cause(format!("searched {}", folder.display()));
    }
    Err(error.hint(SMALLEST))
}

/// A project file runs programs and says where secrets go: one that another user may
/// have planted is not used just because it was found.
fn refused(path: &Path, distrust: &Distrust) -> Error {
    if !distrust.is_about_others() {
        return Error::project(format!("cannot read {}", path.display())).cause(distrust);
    }
    let word = shell_words::quote(&path.to_string_lossy()).into_owned();
    let message = format!("{} was found by searching and is not trusted", path.display());
    Error::project(message).cause(distrust).hint(format!(
        "if you trust what is in it, name it: lsrun -C {word}, or LSRUN_PROJECT={word}"
    ))
}

fn named(path: &Path, by: &str) -> Result<PathBuf> {
    if path.is_dir() {
        let file = path.join(NAME);
        if file.is_file() {
            return Ok(file);
        }
        return Err(Error::project(format!(
            "there is no {NAME} in {}, which {by} names",
            path.display()
        ))
        .hint(SMALLEST));
    }
    if path.exists() {
        return Ok(path.to_owned());
    }
    Err(Error::project(format!("{by}: {} does not exist", path.display())))
}

/// A file that the user has named, whoever it belongs to.
pub(super) fn open(path: PathBuf) -> Result<ProjectFile> {
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.uid(), file)));
    match opened {
        Ok((owner, file)) => Ok(ProjectFile { path, named_owner: Some(owner), file }),
        Err(error) => Err(Error::project(format!("cannot read {}", path.display())).cause(error)),
    }
}

impl ProjectFile {
    /// Its text.
    pub(super) fn read(&mut self) -> Result<String> {
        let path = self.path.display();
        let mut bytes = Vec::new();
        self.file
            .read_to_end(&mut bytes)
            .map_err(|error| Error::project(format!("cannot read {path}")).cause(error))?;
        String::from_utf8(bytes).map_err(|_| Error::project(format!("{path} is not UTF-8 text")))
    }
}
