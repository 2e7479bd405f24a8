//! A live database that is damaged: its newest backup is proved without it, and
//! nothing is replicated from it.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::is_damage;
use lsrun_plugin::prelude::*;

use crate::options::{Options, Point};
use crate::{Ended, checked, could_not, restore, restored_copy, told};

/// Why there is nothing to compare the copy with.
const MISSING: &str = "the live database is damaged: nothing was compared";

/// The check that met the damage, and what it was.
pub(crate) struct Damage {
    check: Check,
    text: String,
    /// It is not even a database, which it may never have been.
    no_database: bool,
}

impl Damage {
    /// The damage that an error speaks of; else the check ends as one that could not
    /// be made.
    pub(crate) fn of(check: Check, error: Error) -> Result<Self, Ended> {
        if !is_damage(&error) {
            return Err(could_not(&check, error));
        }
        let text = told(&error);
        let no_database = text.contains("not a database");
        Ok(Self { check, text, no_database })
    }

    /// Proves the newest backup.
    pub(crate) fn prove(self, database: &Database, options: &Options) -> Result<(), Ended> {
        let Self { check, text, no_database } = self;
        report::progress("restoring");
        // Without a backup nothing says that there ever was a database.
        if no_database && restored_copy(database, None).is_err() {
            check.inconclusive(&text);
            return Err(Ended::Told);
        }
        check.failed_as_live(&format!("the live database is damaged: {text}"));
        let copy = restore(database, None, Some(&Point::Latest))?;
        checked(database, &copy, None, None, MISSING, options);
        Ok(())
    }
}
