//! Whose fault it is that a check fails. Before the backup is blamed, the same check runs
//! on the live database: what is wrong there as well is not a fault of the backup,
//! which is a faithful copy.

use std::cell::OnceCell;

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::Connection;
use lsrun_plugin::integrity::{Integrity, integrity, lines};
use lsrun_plugin::prelude::*;
use lsrun_plugin::{rules, words};

/// What the live database is asked.
pub(crate) enum Question {
    /// The copy is damaged: is the live database, in the same way?
    Damaged,
    /// The copy has these broken references: has the live database?
    References(Vec<String>),
    /// This SQL is false of the copy: is it of the live database?
    Assertion(String),
    /// The copy and the live database differ: which of them is damaged?
    Difference,
}

/// A check that failed on the copy.
struct Failure {
    check: Check,
    text: String,
    question: Question,
}

/// What failed on the copy, until the live database is asked.
pub(crate) struct Failures<'a> {
    database: &'a Database,
    copy: &'a RestoredCopy,
    all: Vec<Failure>,
    of_copy: OnceCell<Result<Integrity, Error>>,
}

/// The live side.
pub(crate) enum Side<'a> {
    /// `--at` does without it.
    Absent,
    /// Its state at the copy's transaction, as close as possible; `sure` when
    /// nobody has committed since.
    Held { reader: &'a Connection, sure: bool },
    /// The copy is the live database, page by page, at its transaction.
    Same,
    /// Its state now.
    Now,
}

impl<'a> Failures<'a> {
    pub(crate) fn new(database: &'a Database, copy: &'a RestoredCopy) -> Self {
        Self { database, copy, all: Vec::new(), of_copy: OnceCell::new() }
    }

    /// A check that failed; it has its outcome when [`Failures::settle`] is through.
    pub(crate) fn push(&mut self, check: Check, text: String, question: Question) {
        self.all.push(Failure { check, text, question });
    }

    /// What the check of the copy found, if it was made.
    pub(crate) fn copy_is(&self, found: &Integrity) {
        let _known = self.of_copy.set(Ok(found.clone()));
    }

    /// Asks the live database and ends every check.
    pub(crate) fn settle(mut self, side: Side<'_>) {
        let all = std::mem::take(&mut self.all);
        let asked = Asked { failures: &self, side, now: OnceCell::new(), live: OnceCell::new() };
        for failure in all {
            asked.end(failure);
        }
    }

    fn of_copy(&self) -> Result<&Integrity, Error> {
        let found = self.of_copy.get_or_init(|| match sqlite::open_copy(self.copy) {
            Ok(connection) => integrity(&connection, "full"),
            Err(error) => Integrity::unreadable(error),
        });
        found.as_ref().map_err(Clone::clone)
    }
}

/// The answers of the live database.
struct Asked<'a> {
    failures: &'a Failures<'a>,
    side: Side<'a>,
    now: OnceCell<Result<Connection, Error>>,
    live: OnceCell<Result<Integrity, Error>>,
}

impl Asked<'_> {
    fn end(&self, failure: Failure) {
        let Failure { check, text, question } = failure;
        let with = |more: &str| format!("{text}\n{more}");
        if matches!(self.side, Side::Absent) {
            let more = "the live database was not examined (--at)";
            match question {
                // SQLite does not enforce a database's foreign keys by default.
                Question::References(_) => check.inconclusive(&with(more)),
                _ => check.failed(&with(more)),
            }
            return;
        }
        match (&question, self.same(&question)) {
            (Question::Damaged, Ok(true)) => check.failed_as_live(&with(
                "the live database has the same problem: it is damaged, and its backup is a faithful copy",
            )),
            (Question::Damaged, Ok(false)) if self.live().is_ok_and(Integrity::is_sound) => {
                check.failed(&with("the live database does not have this problem"));
            }
            (Question::Damaged, Ok(false)) => {
                check.failed(&with("the live database is damaged as well, in another way"));
            }
            (Question::References(_), Ok(true)) => {
                check.passed(&format!("the live database has the same:\n{text}"));
            }
            (Question::References(_), Ok(false)) => {
                check.failed(&with("the live database does not have the same"));
            }
            (Question::Assertion(_), Ok(true)) => {
                check.failed_as_live(&with("it is false in the live database as well"));
            }
            (Question::Assertion(_), Ok(false)) => {
                check.failed(&with("it is true in the live database"));
            }
            (Question::Difference, Ok(true)) => {
                let problems = self.live().map(Integrity::text).unwrap_or_default();
                check.failed_as_live(&with(&format!(
                    "the live database is damaged, and the copy is not:\n{problems}"
                )));
            }
            (Question::Difference, Ok(false)) => check.failed(&text),
            (_, Err(error)) => {
                let more =
                    format!("the live database could not be queried: {}", words::reasons(&error));
                check.failed(&with(&more));
            }
        }
    }

    /// Whether the live database has the same fault.
    fn same(&self, question: &Question) -> Result<bool, Error> {
        if matches!(self.side, Side::Same) {
            return Ok(true);
        }
        match question {
            Question::Damaged => {
                let (copy, live) = (self.failures.of_copy()?, self.live()?);
                let missing = copy.problems.iter().filter(|it| !live.problems.contains(it));
                let missing: Vec<&String> = missing.collect();
                let unseen = |it: &&String| it.starts_with("CHECK constraint failed");
                if !missing.is_empty() && missing.iter().all(unseen) && !live.limited.is_empty() {
                    return Err(error("inconclusive", lines(&live.limited)));
                }
                Ok(missing.is_empty() && !copy.is_sound())
            }
            Question::Difference => {
                Ok(self.failures.of_copy()?.is_sound() && !self.live()?.is_sound())
            }
            Question::References(of_copy) => {
                self.any(&|connection| Ok(rules::broken_references(connection)? == *of_copy))
            }
            Question::Assertion(sql) => {
                self.any(&|connection| Ok(rules::holds(connection, sql)?.is_some()))
            }
        }
    }

    /// Whether it is so in the held state or, if that may not be the copy's, now.
    fn any(&self, ask: &dyn Fn(&Connection) -> Result<bool, Error>) -> Result<bool, Error> {
        if let Side::Held { reader, sure } = self.side {
            let same = ask(reader)?;
            if same || sure {
                return Ok(same);
            }
        }
        ask(self.now()?)
    }

    fn now(&self) -> Result<&Connection, Error> {
        let opened = self.now.get_or_init(|| sqlite::open(self.failures.database));
        opened.as_ref().map_err(Clone::clone)
    }

    /// What a check of the live database finds.
    fn live(&self) -> Result<&Integrity, Error> {
        let found = self.live.get_or_init(|| {
            report::progress("checking the live database", None);
            let connection = match self.side {
                Side::Held { reader, .. } => Ok(reader),
                _ => self.now(),
            };
            match connection {
                Ok(connection) => integrity(connection, "full"),
                Err(error) => Integrity::unreadable(error),
            }
        });
        found.as_ref().map_err(Clone::clone)
    }
}
