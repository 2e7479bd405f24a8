//! Whether the times stay within `verify.max_lag` and `verify.max_restore` of the project
//! file.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;

use crate::options::{Id, Options};
use crate::wanted;

/// No lag was measured if nobody was waited for.
pub(crate) fn check(copy: &RestoredCopy, lag: Option<u64>, options: &Options) {
    self::lag(lag, options);
    within(Id::RestoreTime, "restore", "restore", Some(copy.duration_ms()), options);
}

/// Of the lag alone.
pub(crate) fn lag(lag: Option<u64>, options: &Options) {
    within(Id::Lag, "lag", "replication", lag, options);
}

fn within(id: Id, key: &str, what: &str, took: Option<u64>, options: &Options) {
    if !wanted(options, id) {
        return;
    }
    let Some(limit) = settings::at(&format!("/max_{key}_ms")) else { return };
    let check = Check::new(id.name());
    check.set_kind("limit");
    let Ok(limit) = limit.parse::<u64>() else {
        return check.inconclusive(&format!("verify.max_{key} is not a time: {limit}"));
    };
    match took {
        Some(took) if took <= limit => check.passed(""),
        Some(took) => {
            check.failed(&format!("the {what} took {took} ms, verify.max_{key} is {limit} ms"))
        }
        None => check.skipped("there was nothing to wait for"),
    }
}
