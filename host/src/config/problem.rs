//! What is wrong or odd with a configuration.

use super::Config;
use super::child::Purpose;
use super::replica::Replica;
use crate::environment::Environment;
use crate::error::Error;
use crate::project::Project;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// lsrun refuses to continue.
    Error,
    /// It works, perhaps not as intended.
    Warning,
    /// What was tried, and what was not.
    Note,
}

impl Severity {
    /// The word in JSON.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding of `config --check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The code under which plugins see it (`types.wit`).
    pub code: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// One without a hint.
    pub(crate) fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), hint: None }
    }

    /// What to do.
    pub(crate) fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            severity: Severity::Error,
            code: error.code().as_str(),
            message: error.one_line(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

/// What can be found out about a configuration without contacting anything.
pub(crate) struct Examined {
    /// What [`Config::of`] refuses, the variables that a daemon would need and that are
    /// not set, and the warnings.
    pub(crate) problems: Vec<Problem>,
    /// Where every entry's backup goes, with the name that messages give the entry;
    /// also of a configuration that is refused.
    pub(crate) replicas: Vec<(String, Replica)>,
    /// Where the keys of an object store come from that nobody set.
    pub(crate) note: Option<&'static str>,
}

/// Everything about the configuration of `project` that [`Config::of`] knows.
#[must_use]
pub(crate) fn examine(project: &Project, environment: &Environment) -> Examined {
    let (config, mut errors) = Config::build(project, environment);
    let child = config.compose(&Purpose::Replicate { socket: None }, environment);
    let note = child.as_ref().ok().and_then(|child| child.note);
    errors.extend(child.err().unwrap_or_default());
    let warnings = config.warnings.iter();
    let warnings =
        warnings.map(|message| Problem::new(Severity::Warning, "project", message.clone()));
    let entries = config.entries.iter();
    let replicas = entries.flat_map(|listed| {
        let replicas = listed.replicas().into_iter();
        replicas.map(|keys| (listed.name(), config.described(keys)))
    });
    Examined {
        problems: errors.iter().map(Problem::from).chain(warnings).collect(),
        replicas: replicas.collect(),
        note,
    }
}
