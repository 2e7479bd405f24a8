//! Whose fault it is when something fails: the backup's, or that of the live
//! database, of which the backup is a faithful copy.

use super::{Check, DatabaseReport, Outcome};
use crate::exit::Exit;

/// Whose fault a failed check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The backup's, as far as lsrun knows.
    Backup,
    /// The live database has the same fault.
    Live,
}

impl Fault {
    /// The word in JSON.
    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Live => "live",
        }
    }
}

impl Check {
    /// Whose fault it is; none if nothing failed.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<Fault> {
        (self.outcome == Outcome::Failed).then_some(self.fault)
    }
}

impl DatabaseReport {
    /// Whose fault it is that the database failed; none if it did not. One wrong
    /// thing of the backup outweighs everything of the live database.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<Fault> {
        if self.outcome() != Outcome::Failed {
            return None;
        }
        let by_error = self.error.as_ref().is_some_and(|error| error.exit() == Exit::CheckFailed);
        let counting = self.checks.iter().filter(|check| !check.optional);
        let mut faults = counting.filter_map(Check::fault);
        let live = !by_error && faults.all(|fault| fault == Fault::Live);
        Some(if live { Fault::Live } else { Fault::Backup })
    }

    /// Whether something is wrong with the live database itself, whatever else is.
    #[must_use]
    pub(crate) fn live_is_wrong(&self) -> bool {
        let counting = self.checks.iter().filter(|check| !check.optional);
        counting.filter_map(Check::fault).any(|fault| fault == Fault::Live)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, report};
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_wrong_backup_outweighs_a_damaged_live_database_and_that_a_missing_answer() {
        let mut database = report(&["default"]).databases.remove(0);
        assert_eq!((database.fault(), database.exit()), (None, Exit::Success));
        let live = Check { fault: Fault::Live, ..check("integrity_check", Outcome::Failed) };
        database.checks.push(live);
        assert_eq!((database.fault(), database.exit()), (Some(Fault::Live), Exit::LiveDamaged));
        database.checks.push(check("content", Outcome::Inconclusive));
        database.error = Some(Error::inconclusive("no answer"));
        assert_eq!((database.fault(), database.exit()), (Some(Fault::Live), Exit::LiveDamaged));
        database.checks.push(check("rows", Outcome::Failed));
        assert_eq!((database.fault(), database.exit()), (Some(Fault::Backup), Exit::CheckFailed));
        assert!(database.live_is_wrong());
    }
}
