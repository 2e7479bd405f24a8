//! The result of a run: the model that is rendered for people ([`human`]) and as
//! JSON ([`json`]), and from which the exit code is derived. The JSON is an
//! interface (`schema_version`), the text is not.

mod advice;
pub(crate) mod event;
mod fault;
pub(crate) mod human;
pub(crate) mod json;
mod ndjson;
mod palette;
pub(crate) mod reporter;
mod shown;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use fault::Fault;

use crate::code::Code;
use crate::error::Error;
use crate::exit::Exit;

/// Why a database of the project is left out of a run for all of them.
pub(crate) const NOT_REPLICATED: &str = "not replicated: no entry of litestream.dbs names it";

/// The outcome of a check or a database, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Left out.
    Skipped,
    /// Good.
    Passed,
    /// It could not be determined.
    Inconclusive,
    /// Wrong.
    Failed,
}

impl Outcome {
    /// Of a check that ended with an error of this code.
    #[must_use]
    pub(crate) fn of_error(code: Code) -> Self {
        match code {
            Code::Failed => Self::Failed,
            Code::NotApplicable => Self::Skipped,
            _ => Self::Inconclusive,
        }
    }

    /// The word in the report of a check.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check is about, for the advice when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckKind {
    /// Whether the backup can be trusted.
    Backup,
    /// Whether the content is correct.
    Data,
    /// Whether the content keeps a rule of the project file.
    Assertion,
    /// Whether it was done in the time that the project file allows.
    Limit,
}

impl CheckKind {
    /// Of its word; none for an unknown one.
    #[must_use]
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        [Self::Backup, Self::Data, Self::Assertion, Self::Limit]
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    /// The word in JSON.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Data => "data",
            Self::Assertion => "assertion",
            Self::Limit => "limit",
        }
    }
}

/// One check of one database.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// Stable and unique within the database.
    pub id: String,
    /// The plugin that reported it.
    pub plugin: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// What it is about.
    pub kind: CheckKind,
    /// Its message; may be empty.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The code of the error that it ended with; of an open list.
    pub code: Option<String>,
    /// From its start to its outcome.
    pub duration: Duration,
    /// Its plugin is `optional`: it is shown and does not count.
    pub optional: bool,
    /// Whose fault it is, if it failed.
    pub fault: Fault,
    /// The exit code if the outcome does not say it: a plugin that crashed.
    pub exit: Option<Exit>,
}

impl Check {
    /// Its message and its hint, for formats that show one text.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        match &self.hint {
            Some(hint) if self.message.is_empty() => format!("hint: {hint}"),
            Some(hint) => format!("{}\nhint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// How what was committed reached the replica.
#[derive(Debug, Clone)]
pub(crate) struct Replication {
    /// `socket`, `once` or `polling`.
    pub method: String,
    /// From the request until the replica had it.
    pub lag: Duration,
}

/// A restore that was carried out.
#[derive(Debug, Clone)]
pub(crate) struct Restore {
    /// From the start of litestream to its end.
    pub duration: Duration,
    /// The size of the restored database.
    pub bytes: u64,
}

/// An earlier run that proved a backup good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastGood {
    /// When it began.
    pub started: jiff::Timestamp,
    /// The transaction that it restored, 16 hexadecimal digits.
    pub txid: Option<String>,
}

/// What is known of one database.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseReport {
    /// The alias, or the path of a database without one.
    pub name: String,
    /// The absolute path.
    pub path: String,
    /// The file that was written, if one was.
    pub target: Option<String>,
    /// The command's word for work that could not be done, if it has one and it is so.
    pub undone: Option<String>,
    /// The restored transaction, 16 hexadecimal digits.
    pub txid: Option<String>,
    /// Set when something was replicated.
    pub replication: Option<Replication>,
    /// Set when something was restored.
    pub restore: Option<Restore>,
    /// In the order in which they started.
    pub checks: Vec<Check>,
    /// What plugins recorded besides.
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// Figures for monitoring, by the plugin that gave them and their name.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
    /// What is shown with the outcome.
    pub remark: Option<String>,
    /// Why nothing was to be done.
    pub skipped: Option<String>,
    /// Why the work could not be done.
    pub error: Option<Error>,
    /// The last proof that its backup was good, if this run found it wrong.
    pub last_good: Option<LastGood>,
    /// From start to end.
    pub duration: Duration,
}

impl DatabaseReport {
    /// A report with nothing in it.
    #[must_use]
    pub(crate) fn new(name: String, path: String) -> Self {
        Self {
            name,
            path,
            target: None,
            undone: None,
            txid: None,
            replication: None,
            restore: None,
            checks: Vec::new(),
            facts: serde_json::Map::new(),
            metrics: BTreeMap::new(),
            remark: None,
            skipped: None,
            error: None,
            last_good: None,
            duration: Duration::ZERO,
        }
    }

    /// The worst of what was found; an error is at least inconclusive.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        let worst = self.checks.iter().filter(|check| !check.optional).map(|check| check.outcome);
        let checks = worst.max().unwrap_or(Outcome::Passed).max(Outcome::Passed);
        match (&self.error, &self.skipped) {
            (Some(error), _) if error.exit() == Exit::CheckFailed => Outcome::Failed,
            (Some(_), _) => checks.max(Outcome::Inconclusive),
            (None, Some(_)) if checks == Outcome::Passed => Outcome::Skipped,
            _ => checks,
        }
    }

    /// What is shown with its outcome, in brackets.
    #[must_use]
    pub(crate) fn bracketed(&self) -> String {
        self.remark.as_ref().map(|remark| format!(" ({remark})")).unwrap_or_default()
    }

    /// The word for its outcome; `success` is the word for a good one.
    #[must_use]
    pub(crate) fn word<'a>(&'a self, success: &'a str) -> &'a str {
        match (&self.undone, self.outcome()) {
            (Some(undone), _) => undone,
            (None, Outcome::Passed) => success,
            (None, outcome) => outcome.word(),
        }
    }

    /// The checks that count and did not pass.
    pub(crate) fn not_passed(&self) -> impl Iterator<Item = &Check> {
        let bad = |check: &&Check| {
            !check.optional && matches!(check.outcome, Outcome::Failed | Outcome::Inconclusive)
        };
        self.checks.iter().filter(bad)
    }

    /// Whether a signal ended the work before there was a result. A deadline that passed
    /// is a result: with it every time, nothing would ever be proved.
    #[must_use]
    pub(crate) fn interrupted(&self) -> bool {
        let ends = |exit: Exit| matches!(exit, Exit::Interrupted | Exit::Terminated);
        self.error.as_ref().is_some_and(|error| ends(error.exit()))
    }

    /// Whether there is a result, good or bad: it was neither skipped nor interrupted, and
    /// no hook refused that it began.
    #[must_use]
    pub(crate) fn has_result(&self) -> bool {
        let refused = self.error.as_ref().is_some_and(|error| error.exit() == Exit::HookRefused);
        self.outcome() != Outcome::Skipped && !self.interrupted() && !refused
    }

    /// Whether nothing speaks against a good outcome, and nothing for it.
    #[must_use]
    pub(crate) fn proves_nothing(&self) -> bool {
        let proved = |check: &Check| !check.optional && check.outcome == Outcome::Passed;
        self.outcome() == Outcome::Passed && !self.checks.iter().any(proved)
    }

    /// The exit code of this database alone.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        let outcome = match self.outcome() {
            Outcome::Failed if self.fault() == Some(Fault::Live) => Exit::LiveDamaged,
            Outcome::Failed => Exit::CheckFailed,
            Outcome::Inconclusive => Exit::Inconclusive,
            Outcome::Passed | Outcome::Skipped => Exit::Success,
        };
        let counting = self.checks.iter().filter(|check| !check.optional);
        let checks = counting.filter_map(|check| check.exit).fold(outcome, Exit::worst);
        match &self.error {
            Some(error) => checks.worst(error.exit()),
            None => checks,
        }
    }
}

/// A whole run.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The command.
    pub command: String,
    /// What the names of its metrics begin with.
    pub metrics: String,
    /// The word for a good outcome, such as `verified`.
    pub success: String,
    /// It is a proof, of which results are kept.
    pub records: bool,
    /// When it began.
    pub started: jiff::Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// One for each database, in the order of selection.
    pub databases: Vec<DatabaseReport>,
}

impl Report {
    /// The worst outcome; skipped only when every database was.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        self.databases.iter().map(DatabaseReport::outcome).max().unwrap_or(Outcome::Skipped)
    }

    /// The exit code of the run.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        self.databases.iter().map(DatabaseReport::exit).fold(Exit::Success, Exit::worst)
    }

    /// How many databases have this outcome.
    #[must_use]
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        self.databases.iter().filter(|database| database.outcome() == outcome).count()
    }

    /// The word for the outcome of a database.
    #[must_use]
    pub(crate) fn word_of<'a>(&'a self, database: &'a DatabaseReport) -> &'a str {
        database.word(&self.success)
    }

    /// The word for the whole run: that of the worst database.
    #[must_use]
    pub(crate) fn word(&self) -> &str {
        let worst = self.outcome();
        let of_it = || self.databases.iter().filter(|it| it.outcome() == worst);
        let undone = of_it().find(|it| it.undone.is_some());
        undone.or_else(|| of_it().next()).map_or(worst.word(), |it| self.word_of(it))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn check(id: &str, outcome: Outcome) -> Check {
        Check {
            id: id.into(),
            plugin: "verify".into(),
            outcome,
            kind: CheckKind::Backup,
            message: String::new(),
            hint: None,
            code: None,
            duration: Duration::from_millis(1),
            optional: false,
            fault: Fault::Backup,
            exit: None,
        }
    }

    /// Of a run that verified databases of these names at `/<name>`.
    pub(crate) fn report(names: &[&str]) -> Report {
        let databases = names.iter().map(|name| {
            let mut database = DatabaseReport::new((*name).into(), format!("/{name}"));
            database.txid = Some("0000000000000005".into());
            database.replication =
                Some(Replication { method: "socket".into(), lag: Duration::from_millis(9) });
            database.restore = Some(Restore { duration: Duration::from_millis(61), bytes: 20480 });
            database.checks.push(check("sentinel", Outcome::Passed));
            database.duration = Duration::from_millis(150);
            database
        });
        Report {
            command: "verify".into(),
            metrics: "lsrun_verify".into(),
            success: "verified".into(),
            records: true,
            started: jiff::Timestamp::UNIX_EPOCH,
            duration: Duration::from_millis(153),
            databases: databases.collect(),
        }
    }

    #[test]
    fn a_failed_check_outranks_an_error_and_an_optional_one_does_not_count() {
        let mut report = DatabaseReport::new("default".into(), "/x".into());
        assert_eq!((report.outcome(), report.exit()), (Outcome::Passed, Exit::Success));
        report.checks.push(Check { optional: true, ..check("a", Outcome::Failed) });
        assert_eq!(report.exit(), Exit::Success);
        report.error = Some(Error::inconclusive("no answer"));
        assert_eq!((report.outcome(), report.exit()), (Outcome::Inconclusive, Exit::Inconclusive));
        report.checks.push(check("b", Outcome::Failed));
        assert_eq!((report.outcome(), report.exit()), (Outcome::Failed, Exit::CheckFailed));
    }

    #[test]
    fn a_skipped_database_is_skipped_and_exits_with_zero() {
        let mut report = DatabaseReport::new("default".into(), "/x".into());
        report.skipped = Some("it exists".into());
        assert_eq!((report.outcome(), report.exit()), (Outcome::Skipped, Exit::Success));
    }
}
