//! What happens in a run, in order. The code that does the work sends the events; only the
//! [`Reporter`](super::reporter::Reporter) knows how they are shown.

use super::{Check, DatabaseReport, Report};
use crate::error::Error;
use crate::exit::Exit;

/// One thing that happened.
pub(crate) enum Event<'a> {
    /// The run begins, for this many databases.
    RunStarted {
        /// The command.
        command: &'a str,
        /// When.
        started: jiff::Timestamp,
        /// How many.
        databases: usize,
        /// It is for the project as a whole, and has no events of its own.
        whole: bool,
    },
    /// It is a database's turn.
    DatabaseStarted {
        /// Its alias, or its path; empty if the run is for the project as a whole.
        name: &'a str,
        /// The absolute path.
        path: &'a str,
    },
    /// What is being done for a database, or for the whole run if `name` is empty.
    Stage {
        /// Whose.
        name: &'a str,
        /// In a few words.
        text: &'a str,
    },
    /// A stage whose figures change all the time.
    Figures {
        /// Whose.
        name: &'a str,
        /// In a few words.
        text: &'a str,
    },
    /// A check has an outcome.
    CheckFinished {
        /// Whose.
        name: &'a str,
        /// The absolute path.
        path: &'a str,
        /// What it found.
        check: &'a Check,
    },
    /// A database is done.
    DatabaseFinished {
        /// What was found.
        report: &'a DatabaseReport,
        /// The word for a good outcome.
        success: &'a str,
        /// How many are done, of how many; none if the run was given up.
        done: Option<(usize, usize)>,
    },
    /// Nothing more is under way.
    Idle,
    /// Everything that could be done was done.
    RunReported {
        /// What was found.
        report: &'a Report,
        /// What the command itself wrote; with it, the report goes beside.
        data: &'a [u8],
        /// It has written data before.
        wrote: bool,
        /// Every check, also of many databases.
        verbose: bool,
    },
    /// A report that belongs to something else: it goes beside, for people.
    Beside {
        /// What was found.
        report: &'a Report,
        /// As above.
        verbose: bool,
    },
    /// The run is over, its results are where they are wanted.
    RunFinished {
        /// What was found.
        report: &'a Report,
        /// With what it ends.
        exit: Exit,
    },
    /// A text for people on standard output.
    Text(&'a str),
    /// A document for standard output, without secrets.
    Data(&'a [u8]),
    /// A document that has been asked for with its secrets.
    Secrets(&'a [u8]),
    /// What was asked for: a text for people, and a document for machines.
    Answer {
        /// For people.
        human: &'a dyn Fn() -> String,
        /// For machines, one document.
        json: &'a dyn Fn() -> String,
        /// For machines, a document on each line; none if that is the same.
        lines: Option<&'a dyn Fn() -> String>,
    },
    /// Commands for the pipeline that runs lsrun.
    Pipeline(&'a str),
    /// What went wrong, its causes, what to do.
    Error(&'a Error),
}
