//! One of SQLite's checks, run to its end, as far as SQLite can compile it here; and what
//! it is run with where it cannot at once.

use rusqlite::Connection;

use super::Level;
use super::stand_ins::{self, StandIns};
use crate::sqlite::errors::{is_about_sql, is_damage, message};

/// How many problems SQLite lists for one table; it is SQLite's own default.
const MOST: usize = 100;

/// What one pragma gave: its problems, and why it ended early if SQLite cannot
/// compile or compute something here. That is not damage.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) problems: Vec<String>,
    pub(super) lacks: Option<String>,
    pub(super) pages: bool,
}

/// The pages of all of them: the freelist, what nobody uses, what is used twice.
/// CHECK constraints are the tables' own.
pub(super) fn whole(connection: &Connection) -> rusqlite::Result<Ran> {
    let _unchecked = WithoutChecks::new(connection)?;
    let ran = with_stand_ins(connection, "PRAGMA quick_check")?;
    let reason = match ran.lacks {
        // A stand-in is called for rows, and SQLite checks the pages before.
        Some(reason) if ran.problems.is_empty() && !reason.starts_with(stand_ins::CALLED) => reason,
        _ => return Ok(Ran { lacks: None, ..ran }),
    };
    let freelist = run(connection, "PRAGMA integrity_check(sqlite_schema)")?;
    let lacks = format!("unused pages and pages used twice were not searched for ({reason})");
    Ok(Ran { lacks: Some(lacks), ..freelist })
}

/// One table, as far as SQLite can compile its check; what was left out is in `lacks`.
pub(super) fn table(connection: &Connection, level: Level, name: &str) -> rusqlite::Result<Ran> {
    let argument = format!("(\"{}\")", name.replace('"', "\"\""));
    let full = format!("PRAGMA {}{argument}", level.pragma());
    let ran = run(connection, &full)?;
    let Some(reason) = ran.lacks else { return Ok(ran) };
    let _unchecked = WithoutChecks::new(connection)?;
    let ran = run(connection, &full)?;
    if ran.lacks.is_none() {
        let lacks = format!("CHECK constraints were not evaluated ({reason})");
        return Ok(Ran { lacks: Some(lacks), ..ran });
    }
    let ran = with_stand_ins(connection, &format!("PRAGMA quick_check{argument}"))?;
    let lacks = match ran.lacks {
        None => format!("quick_check only ({reason})"),
        Some(_) => format!("its pages only ({reason})"),
    };
    Ok(Ran { lacks: Some(lacks), ..ran })
}

/// Runs a pragma with a stand-in for everything that it misses.
fn with_stand_ins(connection: &Connection, sql: &str) -> rusqlite::Result<Ran> {
    let mut stand_ins = StandIns::new(connection);
    loop {
        let ran = run(connection, sql)?;
        match &ran.lacks {
            Some(message) if ran.problems.is_empty() && stand_ins.answer(message) => {}
            _ => return Ok(ran),
        }
    }
}

/// CHECK constraints are left out as long as it lives.
struct WithoutChecks<'c>(&'c Connection);

impl<'c> WithoutChecks<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.pragma_update(None, "ignore_check_constraints", true)?;
        Ok(Self(connection))
    }
}

impl Drop for WithoutChecks<'_> {
    fn drop(&mut self) {
        let _closed = self.0.pragma_update(None, "ignore_check_constraints", false);
    }
}

/// Runs one pragma to its end.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<Ran> {
    let mut ran = Ran::default();
    let mut all = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned();
            // SQLite's messages about pages begin like this.
            ran.pages |= text.starts_with("*** in ");
            let lines = text.lines().filter(|line| *line != "ok" && !line.starts_with("*** in "));
            ran.problems.extend(lines.map(str::to_owned));
        }
        Ok(())
    };
    match all() {
        Ok(()) => {}
        Err(error) if is_damage(&error) => {
            ran.problems.push(message(&error));
            ran.pages = true;
        }
        Err(error) if is_about_sql(&error) => ran.lacks = Some(message(&error)),
        Err(error) => return Err(error),
    }
    ran.problems.truncate(MOST);
    Ok(ran)
}
