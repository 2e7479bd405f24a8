//! Creates a database from a SQL script (`create_from`), for examples and tests
//! whose database cannot be part of a repository.

use rusqlite::Connection;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::project::Database;

/// Runs the script into a new file and gives it its name, unless the database is
/// there. Nothing is ever changed in an existing one.
pub(crate) fn if_missing(context: &Context, database: &Database) -> Result<()> {
    let Some(script) = &database.create_from else { return Ok(()) };
    if database.path.exists() {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::project(format!("cannot create {}", database.path.display()))
            .cause(error)
            .cause(format!("create_from: {}", script.display()))
    };
    let sql = std::fs::read_to_string(script).map_err(|error| failed(&error))?;
    let folder = database.path.parent().unwrap_or_else(|| std::path::Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    let fill = || -> rusqlite::Result<()> {
        let connection = Connection::open(new.path())?;
        connection.execute_batch(&sql)?;
        connection.close().map_err(|(_connection, error)| error)
    };
    fill().map_err(|error| failed(&error))?;
    match new.persist_noclobber(&database.path) {
        Ok(_file) => {
            let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
            context.notes.note(&format!("{}: created from {name}", database.name()));
            Ok(())
        }
        // Another process was faster.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(&error.error)),
    }
}
