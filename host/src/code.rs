//! What went wrong, in one word: the word that plugins see (`types.wit`), and the exit
//! code that follows from it.

use crate::exit::Exit;

/// The kind of an error. Several may share a word, if plugins need not distinguish them
/// but scripts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    /// Something that lsrun did not foresee.
    Unexpected,
    /// The command line, or an argument, is wrong.
    Invalid,
    /// No database was selected.
    NothingSelected,
    /// The backup is wrong.
    Failed,
    /// It could not be determined.
    Inconclusive,
    /// The project file is wrong.
    Project,
    /// The project has no database of this name.
    UnknownDatabase,
    /// litestream is missing, or of a version that cannot do this.
    NoLitestream,
    /// litestream failed.
    Litestream,
    /// The daemon does not do what it was asked to do.
    Daemon,
    /// A plugin cannot be used.
    UnusablePlugin,
    /// A plugin was denied a capability.
    Denied,
    /// A plugin crashed or ran into a limit.
    Crashed,
    /// A hook refused.
    Refused,
    /// What was asked for does not exist.
    NotFound,
    /// A check has nothing to check.
    NotApplicable,
    /// What would be written exists.
    Exists,
    /// It is in use.
    Busy,
    /// It took longer than allowed.
    Timeout,
    /// The storage does not answer, or refuses.
    Unreachable,
    /// SQLite failed.
    Sqlite,
    /// The file is not a database, or damaged.
    Damaged,
    /// It would need more than it is allowed.
    Limit,
    /// The disk or the file system failed.
    Io,
    /// The user interrupted the run.
    Interrupted,
    /// The run was terminated.
    Terminated,
    /// The run was not finished before its deadline.
    Overdue,
    /// A guest gave up because the run is being stopped.
    Cancelled,
}

impl Code {
    /// Those that a guest can return, by their words.
    const OF_GUESTS: [Self; 20] = [
        Self::Failed,
        Self::Refused,
        Self::Denied,
        Self::Project,
        Self::NotFound,
        Self::NotApplicable,
        Self::Invalid,
        Self::Exists,
        Self::Busy,
        Self::Timeout,
        Self::Unreachable,
        Self::NoLitestream,
        Self::Litestream,
        Self::Sqlite,
        Self::Damaged,
        Self::Limit,
        Self::Io,
        Self::Crashed,
        Self::Cancelled,
        Self::Inconclusive,
    ];

    /// The word in `types.wit`, in JSON and in JUnit.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::Project => "project",
            Self::NoLitestream => "no-litestream",
            Self::Litestream | Self::Daemon => "litestream",
            Self::Denied => "denied",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
            Self::NotFound | Self::UnknownDatabase => "not-found",
            Self::NotApplicable => "not-applicable",
            Self::Exists => "exists",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Sqlite => "sqlite",
            Self::Damaged => "damaged",
            Self::Limit => "limit",
            Self::Io => "io",
            Self::Cancelled | Self::Interrupted | Self::Terminated | Self::Overdue => "cancelled",
            Self::Inconclusive
            | Self::Unexpected
            | Self::NothingSelected
            | Self::UnusablePlugin => "inconclusive",
        }
    }

    /// What a guest means by this word; one that is not known is inconclusive.
    #[must_use]
    pub(crate) fn of_guest(word: &str) -> Self {
        let known = Self::OF_GUESTS.into_iter().find(|code| code.as_str() == word);
        known.unwrap_or(Self::Inconclusive)
    }

    /// The exit code when nothing outranks it.
    #[must_use]
    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self::Unexpected => Exit::Unexpected,
            Self::Invalid => Exit::Usage,
            Self::NothingSelected => Exit::NothingSelected,
            Self::Failed => Exit::CheckFailed,
            Self::Project | Self::UnknownDatabase => Exit::Project,
            Self::NoLitestream => Exit::LitestreamMissing,
            Self::Litestream => Exit::Litestream,
            Self::UnusablePlugin => Exit::Plugin,
            Self::Denied => Exit::PluginDenied,
            Self::Crashed => Exit::PluginCrashed,
            Self::Refused => Exit::HookRefused,
            Self::Interrupted => Exit::Interrupted,
            Self::Terminated => Exit::Terminated,
            Self::Overdue => Exit::Timeout,
            Self::Inconclusive
            | Self::Daemon
            | Self::NotFound
            | Self::NotApplicable
            | Self::Exists
            | Self::Busy
            | Self::Timeout
            | Self::Unreachable
            | Self::Sqlite
            | Self::Damaged
            | Self::Limit
            | Self::Io
            | Self::Cancelled => Exit::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_the_words_of_the_interface_and_no_exit_code_besides() {
        for code in Code::OF_GUESTS {
            assert_eq!(Code::of_guest(code.as_str()), code);
        }
        assert_eq!(Code::of_guest("whatever"), Code::Inconclusive);
        assert_eq!(Code::of_guest("cancelled").exit(), Exit::Inconclusive);
    }
}
