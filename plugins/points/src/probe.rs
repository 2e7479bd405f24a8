//! The points of a backup, one of which at a time is restored to be looked at.

use std::collections::BTreeMap;

use lsrun_plugin::backup::Backup;
use lsrun_plugin::host::types::RestorePoint;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;

/// What stops everything: it would be the same at every point.
const GENERAL: [&str; 10] = [
    "busy",
    "cancelled",
    "denied",
    "invalid",
    "io",
    "limit",
    "no-litestream",
    "project",
    "timeout",
    "unreachable",
];

/// What was restored, and what could not be.
pub(crate) struct Probe<'a> {
    pub(crate) backup: &'a Backup,
    /// Oldest first.
    pub(crate) points: &'a [RestorePoint],
    /// Why points cannot be used, by their index.
    pub(crate) unusable: BTreeMap<usize, String>,
    /// How many were restored and looked at.
    pub(crate) tried: usize,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(backup: &'a Backup, points: &'a [RestorePoint]) -> Self {
        Self { backup, points, unusable: BTreeMap::new(), tried: 0 }
    }

    /// Restores a point and looks at its copy, which is gone afterwards. Nothing when the
    /// point cannot be restored or its copy not be read: that is said, and kept.
    /// `left` is how many points the answer may be.
    pub(crate) fn look<T>(
        &mut self,
        index: usize,
        left: usize,
        look: impl FnOnce(&RestoredCopy) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let point = &self.points[index];
        if report::cancelled() {
            return Err(error("cancelled", "the search was stopped"));
        }
        report::progress(
            &format!("TXID {}, {} left", point.txid, words::count(left as u64, "point")),
            None,
        );
        let request = self.backup.request()?;
        request.set_txid(&point.txid)?;
        let copy = request.start()?.wait();
        match copy.and_then(|copy| look(&copy)) {
            Ok(seen) => {
                self.tried += 1;
                Ok(Some(seen))
            }
            Err(error) if GENERAL.contains(&error.code.as_str()) => Err(error),
            Err(error) => {
                let why = words::reasons(&error);
                let text = format!("TXID {} is left out, it cannot be used: {why}", point.txid);
                report::log("warning", &text);
                self.unusable.insert(index, why);
                Ok(None)
            }
        }
    }

    /// The point that is nearest to the middle between two, if there is a usable one.
    pub(crate) fn between(&self, low: usize, high: usize) -> Option<usize> {
        let middle = low + (high - low) / 2;
        let usable = |index: &usize| !self.unusable.contains_key(index);
        let below = (low + 1..=middle).rev().find(usable);
        let above = (middle + 1..high).find(usable);
        match (below, above) {
            (Some(below), Some(above)) if above - middle < middle - below => Some(above),
            (below, above) => below.or(above),
        }
    }
}
