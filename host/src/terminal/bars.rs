//! What moves at the bottom of a terminal while lsrun works.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The lines at the bottom of a terminal: one for each database that is being
/// worked on, and one without a name for everything else.
pub(super) struct Bars {
    all: MultiProgress,
    shown: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::stderr();
        Self { all: MultiProgress::with_draw_target(target), shown: Mutex::default() }
    }

    /// Prints above them.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.all.suspend(print);
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the line of this name its text.
    pub(super) fn show(&self, name: &str, text: String) {
        let mut shown = self.shown();
        if let Some(bar) = shown.get(name) {
            bar.set_message(text);
            return;
        }
        shown.entry(name.to_owned()).or_insert_with(|| {
            // Hidden until it has its place, or it would be drawn twice.
            let target = ProgressDrawTarget::hidden();
            let bar = ProgressBar::with_draw_target(None, target).with_message(text);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            // The line without a name stays below the others.
            let bar = if name.is_empty() { self.all.add(bar) } else { self.all.insert(0, bar) };
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
    }

    /// Takes one line away.
    pub(super) fn remove(&self, name: &str) {
        if let Some(bar) = self.shown().remove(name) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Takes all of them away.
    pub(super) fn clear(&self) {
        for bar in std::mem::take(&mut *self.shown()).into_values() {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}
