//! Where the project file is, and its text.

use std::path::{Path, PathBuf};

use super::path::absolute;
use crate::environment::Environment;
use crate::error::{Error, Result};

const NAME: &str = "lsrun.yml";

/// The smallest file that does something, for hints.
const SMALLEST: &str = "the smallest lsrun.yml is:\ndatabases:\n  default: db.sqlite3";

/// The absolute path of the project file; see [`super::Project::load`].
pub(super) fn find(at: Option<&Path>, cwd: &Path, environment: &Environment) -> Result<PathBuf> {
    if let Some(at) = at {
        return named(&absolute(cwd, at), "--project");
    }
    if let Some(at) = environment.get("LSRUN_PROJECT") {
        return named(&absolute(cwd, Path::new(at)), "LSRUN_PROJECT");
    }
    if let Some(found) = cwd.ancestors().map(|folder| folder.join(NAME)).find(|file| file.is_file())
    {
        return Ok(found);
    }
    let mut error = Error::project(format!("there is no {NAME} here or in a folder above"));
    for folder in cwd.ancestors() {
        error = error.cause(format!("searched {}", folder.display()));
    }
    Err(error.hint(SMALLEST))
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
    Err(Error::project(format!("{}, which {by} names, does not exist", path.display())))
}

/// The text of the project file.
pub(super) fn read(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file)
        .map_err(|error| Error::project(format!("cannot read {}", file.display())).cause(error))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::project(format!("{} is not UTF-8 text", file.display())))
}
