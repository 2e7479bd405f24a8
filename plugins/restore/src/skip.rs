//! The checks that `--skip` leaves out, and those that run.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;

/// The check of the copy by SQLite itself.
pub(crate) const INTEGRITY: &str = "integrity_check";
/// All checks of plugins.
const PLUGINS: &str = "plugins";

/// What is left out.
pub(crate) struct Skip(Vec<String>);

/// Fails for a name that no check has.
pub(crate) fn of(invocation: &Invocation, database: Option<&Database>) -> Result<Skip, Error> {
    let named = invocation.argument("skip");
    let plugins = hooks::checks(database);
    let known =
        |name: &String| [INTEGRITY, PLUGINS].contains(&name.as_str()) || plugins.contains(name);
    if let Some(name) = named.iter().find(|name| !known(name)) {
        let mut all = vec![INTEGRITY.to_owned(), PLUGINS.to_owned()];
        all.extend(plugins);
        let mut error = error("invalid", format!("no check is named '{name}'"));
        error.hint = Some(format!("the checks are {}", all.join(", ")));
        return Err(error);
    }
    Ok(Skip(named))
}

impl Skip {
    /// Whether this check is left out.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|one| one == id)
    }

    /// Runs the checks of plugins that are not left out, and returns whether all passed.
    pub(crate) fn checks(
        &self,
        database: Option<&Database>,
        copy: &RestoredCopy,
    ) -> Result<bool, Error> {
        let (left_out, run): (Vec<String>, Vec<String>) =
            hooks::checks(database).into_iter().partition(|it| self.has(PLUGINS) || self.has(it));
        for name in left_out {
            Check::new(&name).skipped("left out with --skip");
        }
        Ok(hooks::check(database, copy, Some(&run))?.wait()? == "passed")
    }
}
