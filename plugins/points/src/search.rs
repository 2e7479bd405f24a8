//! The newest point that is good, when all are good up to it and bad after it.

use lsrun_plugin::prelude::*;

use crate::probe::Probe;

/// What a look at a point says of it.
pub(crate) enum Verdict {
    Good,
    /// And why.
    Bad(String),
}

/// The answer, by its index.
pub(crate) struct Last {
    pub(crate) index: usize,
    /// The next newer point that was tried, and why it is bad; none if the answer is the
    /// newest.
    pub(crate) next: Option<(usize, String)>,
}

/// A point that is bad, and why.
pub(crate) type Bad = (usize, String);

/// Bisects between a good point and a bad one. A point that gives no verdict is passed
/// over: its neighbour is tried.
pub(crate) fn bisect(
    probe: &mut Probe<'_>,
    good: usize,
    bad: Bad,
    look: &mut impl FnMut(&RestoredCopy) -> Result<Verdict, Error>,
) -> Result<Last, Error> {
    let (mut index, mut next) = (good, bad);
    while let Some(middle) = probe.between(index, next.0) {
        match probe.look(middle, next.0 - index - 1, &mut *look)? {
            Some(Verdict::Good) => index = middle,
            Some(Verdict::Bad(why)) => next = (middle, why),
            None => {}
        }
    }
    Ok(Last { index, next: Some(next) })
}
