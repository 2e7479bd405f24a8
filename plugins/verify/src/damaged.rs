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
    /// Ends a step that touched the live database: with the damage that the error speaks
    /// of, else as one that could not be carried out.
    pub(crate) fn or_could_not(check: Check, error: Error) -> Ended {
        if !is_damage(&error) {
            return could_not(&check, error);
        }
        let text = told(&check, &error);
        let no_database = text.contains("not a database");
        Ended::Damaged(Self { check, text, no_database })
    }

    /// Proves the newest backup.
    pub(crate) fn prove(self, database: &Database, options: &Options) -> Result<(), Ended> {
        let Self { check, text, no_database } = self;
        report::progress("restoring", None);
        // Without a backup nothing says that there ever was a database.
        if no_database && restored_copy(database, None).is_err() {
            check.inconclusive(&text);
            return Err(Ended::Told);
        }
        let known = text.starts_with("the live database");
        let prefix = if known { "" } else { "the live database is damaged: " };
        check.failed_as_live(&format!("{prefix}{text}\nits newest backup is checked without it"));
        let copy = restore(database, None, Some(&Point::Latest))?;
        checked(database, &copy, None, None, MISSING, options);
        Ok(())
    }
}
