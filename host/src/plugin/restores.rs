//! The restores of one call for which hooks were called, until those that come after
//! have been called as well: what was stopped before a restore has to be started again,
//! also when the command crashes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::{ReplacedHandle, RestorePlanHandle};

/// A restore whose `pre-restore` hooks were called.
pub(super) enum UnsettledRestore {
    /// Nothing is in place yet.
    Planned(RestorePlanHandle),
    /// The copy is in place.
    Replaced(RestorePlanHandle, ReplacedHandle),
}

/// Those of one call, in order. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Restores {
    unsettled: Arc<Mutex<Vec<UnsettledRestore>>>,
    /// Held while a copy is being put in place, which goes on when the command is ended.
    swap: Arc<tokio::sync::Mutex<()>>,
}

impl Restores {
    fn all(&self) -> MutexGuard<'_, Vec<UnsettledRestore>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy is put in place for as long as this lives.
    pub(super) async fn swapping(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.swap).lock_owned().await
    }

    /// The `pre-restore` hooks are about to be called.
    pub(super) fn planned(&self, plan: &RestorePlanHandle) {
        self.all().push(UnsettledRestore::Planned(plan.clone()));
    }

    /// The last one that was planned is in place.
    pub(super) fn replaced(&self, replaced: &ReplacedHandle) {
        let mut all = self.all();
        let last = all.iter_mut().rev().find_map(|one| match one {
            UnsettledRestore::Planned(plan) => Some(plan.clone()).map(|plan| (one, plan)),
            UnsettledRestore::Replaced(..) => None,
        });
        if let Some((one, plan)) = last {
            *one = UnsettledRestore::Replaced(plan, replaced.clone());
        }
    }

    /// The `restored` hooks have been called for the last one that is in place.
    pub(super) fn told(&self) {
        let mut all = self.all();
        let done = |one: &UnsettledRestore| matches!(one, UnsettledRestore::Replaced(..));
        if let Some(at) = all.iter().rposition(done) {
            all.remove(at);
        }
    }

    /// Those for which nothing has been called since, when it is known of each whether it
    /// is in place.
    pub(super) async fn take(&self) -> Vec<UnsettledRestore> {
        let _swap = self.swap.lock().await;
        std::mem::take(&mut self.all())
    }
}
