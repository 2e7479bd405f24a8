//! The exit codes: an interface that scripts and CI pipelines rely on.
//!
//! Every code is defined only here. A plugin never chooses one; the
//! host derives it from what happened: of an error, from its [code](crate::code::Code).

/// Why the process ends. The numbers never change once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked was done and every check passed.
    Success = 0,
    /// Something that lsrun did not foresee.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No database was selected.
    NothingSelected = 4,
    /// A check failed: the backup is wrong.
    CheckFailed = 10,
    /// Inconclusive: replication lags or a step could not be carried out.
    Inconclusive = 11,
    /// The live database itself is damaged or breaks its own rules; its backup is a
    /// faithful copy.
    LiveDamaged = 12,
    /// The project file or an alias is wrong.
    Project = 20,
    /// litestream is missing, or of a version that cannot do this.
    LitestreamMissing = 21,
    /// litestream failed.
    Litestream = 22,
    /// A plugin cannot be used.
    Plugin = 30,
    /// A plugin was denied a capability.
    PluginDenied = 31,
    /// A plugin crashed or ran into a limit.
    PluginCrashed = 32,
    /// A hook refused.
    HookRefused = 33,
    /// The overall timeout.
    Timeout = 124,
    /// Interrupted (SIGINT).
    Interrupted = 130,
    /// Terminated (SIGTERM).
    Terminated = 143,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The one with this number.
    #[must_use]
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        const ALL: [Exit; 17] = [
            Exit::Success,
            Exit::Unexpected,
            Exit::Usage,
            Exit::NothingSelected,
            Exit::CheckFailed,
            Exit::Inconclusive,
            Exit::LiveDamaged,
            Exit::Project,
            Exit::LitestreamMissing,
            Exit::Litestream,
            Exit::Plugin,
            Exit::PluginDenied,
            Exit::PluginCrashed,
            Exit::HookRefused,
            Exit::Timeout,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// The code for several databases or steps: a signal first, then a wrong
    /// backup (10), then a damaged live database (12), then what prevented an
    /// answer, then 11.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NothingSelected => 1,
            Self::Inconclusive => 2,
            Self::Unexpected => 3,
            Self::Usage => 4,
            Self::Project => 5,
            Self::LitestreamMissing => 6,
            Self::Litestream => 7,
            Self::Plugin => 8,
            Self::PluginDenied => 9,
            Self::PluginCrashed => 10,
            Self::HookRefused => 11,
            Self::LiveDamaged => 12,
            Self::CheckFailed => 13,
            Self::Timeout => 14,
            Self::Terminated => 15,
            Self::Interrupted => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn a_wrong_backup_wins_over_not_knowing() {
        assert_eq!(Exit::Inconclusive.worst(Exit::CheckFailed), Exit::CheckFailed);
        assert_eq!(Exit::CheckFailed.worst(Exit::Inconclusive), Exit::CheckFailed);
        assert_eq!(Exit::Success.worst(Exit::Inconclusive), Exit::Inconclusive);
        assert_eq!(Exit::LiveDamaged.worst(Exit::Inconclusive), Exit::LiveDamaged);
        assert_eq!(Exit::CheckFailed.worst(Exit::LiveDamaged), Exit::CheckFailed);
    }
}
