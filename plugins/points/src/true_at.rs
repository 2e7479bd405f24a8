//! `--last-where`: the newest point at which an SQL gives a true value.

use lsrun_plugin::backup::only_reads;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{rules, words};

use crate::found::{Answer, Search};
use crate::probe::Probe;
use crate::search::{Last, Verdict, bisect};

/// Finds it. The newest is tried first: then nothing has to be searched. Then the oldest:
/// if it is false there as well, no bisection can find anything.
pub(crate) fn last(probe: &mut Probe<'_>, sql: &str) -> Result<Answer, Error> {
    let mut failures = Failures::default();
    let mut look = |copy: &RestoredCopy| failures.verdict(copy, sql);
    let count = probe.points.len();
    let mut newest = None;
    for index in (0..count).rev() {
        if let Some(verdict) = probe.look(index, index + 1, &mut look)? {
            newest = Some((index, verdict));
            break;
        }
    }
    let last = match newest {
        None => return Err(unusable(probe)),
        Some((index, Verdict::Good)) => Last { index, next: None },
        Some((newest, Verdict::Bad(why))) => {
            let mut oldest = None;
            for index in 0..newest {
                if let Some(verdict) = probe.look(index, newest - index, &mut look)? {
                    oldest = Some((index, verdict));
                    break;
                }
            }
            match oldest {
                Some((oldest, Verdict::Good)) => bisect(probe, oldest, (newest, why), &mut look)?,
                _ => return Err(failures.nowhere(probe)),
            }
        }
    };
    Ok(Answer { search: Search::Where(sql.to_owned()), last, failures: failures.count })
}

/// No point could be looked at.
pub(crate) fn unusable(probe: &Probe<'_>) -> Error {
    error("litestream", format!("no point of {} can be restored", probe.backup.name()))
}

/// Where the SQL failed, such as before a table existed.
#[derive(Default)]
struct Failures {
    count: usize,
    last: String,
}

impl Failures {
    fn verdict(&mut self, copy: &RestoredCopy, sql: &str) -> Result<Verdict, Error> {
        match rules::holds(&sqlite::open_copy(copy)?, sql) {
            Ok(None) => Ok(Verdict::Good),
            Ok(Some(why)) => Ok(Verdict::Bad(why)),
            Err(error) if error.code == "sqlite" => {
                self.count += 1;
                self.last = words::reasons(&error);
                Ok(Verdict::Bad(self.last.clone()))
            }
            Err(error) if error.code == "denied" => Err(only_reads(error)),
            Err(error) => Err(error),
        }
    }

    /// The oldest point and the newest are both false.
    fn nowhere(&self, probe: &Probe<'_>) -> Error {
        let name = probe.backup.name();
        let mut error = error(
            "not-found",
            format!("the SQL is true neither at the oldest point of {name} nor at the newest"),
        );
        if self.count == probe.tried {
            let text = format!("it failed at every point that was tried: {}", self.last);
            error.causes.push(text);
        }
        error
    }
}
