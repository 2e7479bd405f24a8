//! A check of a whole database, and the text for its result.

use crate::host::sqlite::Connection;
use crate::host::types::Error;
use crate::sql::is_damage;

/// Problems that a report shows.
const SHOWN: usize = 5;

/// What was found.
#[derive(Clone, Default)]
pub struct Integrity {
    /// What is wrong; empty when nothing is.
    pub problems: Vec<String>,
    /// What could not be checked in full, a line for each table.
    pub limited: Vec<String>,
}

/// Checks what a connection sees, as `connection.integrity` does. What cannot even be
/// read is a problem as well; an error is what says nothing about the database.
pub fn integrity(connection: &Connection, level: &str) -> Result<Integrity, Error> {
    match connection.integrity(level).and_then(|job| job.wait()) {
        Ok(found) => Ok(Integrity { problems: found.problems(), limited: found.limited() }),
        Err(error) => Integrity::unreadable(error),
    }
}

impl Integrity {
    /// A database that SQLite cannot read at all; the error again when it is another one.
    pub fn unreadable(error: Error) -> Result<Self, Error> {
        if !is_damage(&error) {
            return Err(error);
        }
        let problem = error.causes.first().cloned().unwrap_or(error.message);
        Ok(Self { problems: vec![problem], limited: Vec::new() })
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// The first problems, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        lines(&self.problems)
    }

    /// What to say if nothing is wrong: nothing, or what was not checked in full.
    #[must_use]
    pub fn note(&self) -> String {
        if self.limited.is_empty() {
            return String::new();
        }
        format!("checked as far as possible without the application:\n{}", lines(&self.limited))
    }
}

/// The first of them, a line each, and how many more there are.
#[must_use]
pub fn lines(all: &[String]) -> String {
    let mut shown: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
    let more = format!("and {} more", all.len().saturating_sub(SHOWN));
    if all.len() > SHOWN {
        shown.push(&more);
    }
    shown.join("\n")
}
