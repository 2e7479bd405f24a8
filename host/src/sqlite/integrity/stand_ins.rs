//! Stand-ins for functions and collations that only the application has: with them
//! SQLite compiles a check of a table that names such a function. A stand-in for a
//! function fails when it is called, and one for a collation compares bytes, so only
//! statements that neither call nor compare may run with them.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

/// More names than a schema can sensibly have.
const MOST: usize = 1000;

/// How the error of a stand-in that is called begins.
pub(super) const CALLED: &str = "only the application has ";

/// What was put in. Dropped, it is taken out again.
pub(super) struct StandIns<'c> {
    connection: &'c Connection,
    functions: Vec<String>,
    collations: Vec<String>,
}

impl<'c> StandIns<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, functions: Vec::new(), collations: Vec::new() }
    }

    /// Puts in what SQLite misses by this error message. False when the message
    /// names nothing that a stand-in can replace, or it exists already.
    pub(super) fn answer(&mut self, message: &str) -> bool {
        if self.functions.len() + self.collations.len() >= MOST {
            return false;
        }
        if let Some(name) = collation(message) {
            let new = !self.collations.iter().any(|it| it.eq_ignore_ascii_case(name));
            let made = new && self.connection.create_collation(name, |a, b| a.cmp(b)).is_ok();
            self.collations.extend(made.then(|| name.to_owned()));
            return made;
        }
        let Some(name) = function(message) else { return false };
        let flags = FunctionFlags::SQLITE_UTF8
            | FunctionFlags::SQLITE_DETERMINISTIC
            | FunctionFlags::SQLITE_INNOCUOUS;
        let called = format!("{CALLED}{name}()");
        let new = !self.functions.iter().any(|it| it.eq_ignore_ascii_case(name));
        let made = new
            && self
                .connection
                .create_scalar_function(name, -1, flags, move |_context| {
                    Err::<i64, _>(rusqlite::Error::UserFunctionError(called.clone().into()))
                })
                .is_ok();
        self.functions.extend(made.then(|| name.to_owned()));
        made
    }
}

impl Drop for StandIns<'_> {
    fn drop(&mut self) {
        for name in &self.functions {
            let _kept = self.connection.remove_function(name.as_str(), -1);
        }
        for name in &self.collations {
            let _kept = self.connection.remove_collation(name.as_str());
        }
    }
}

/// `german` of `no such collation sequence: german`.
fn collation(message: &str) -> Option<&str> {
    message.strip_prefix("no such collation sequence: ").filter(|name| !name.is_empty())
}

/// `MD5` of `unknown function: MD5()` and `no such function: MD5`.
fn function(message: &str) -> Option<&str> {
    let name = message
        .strip_prefix("unknown function: ")
        .or_else(|| message.strip_prefix("no such function: "))?;
    Some(name.strip_suffix("()").unwrap_or(name)).filter(|name| !name.is_empty())
}
