//! Collects what plugins say about one database, in the order in which it began,
//! and shows the state of the work.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{self, Exceeded};
use super::names;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::figures;
use crate::report::event::Event;
use crate::report::{Check, CheckKind, DatabaseReport, Fault, Outcome, Replication, Restore};
use crate::shown::{self, bounded};

/// What is known so far.
pub(crate) struct Sink {
    context: Arc<Context>,
    /// Its checks are shown when they end.
    shows: bool,
    report: Mutex<DatabaseReport>,
    started: Instant,
    data: Mutex<Vec<u8>>,
    /// Set if data is written as it comes; true as soon as some was.
    streams: OnceLock<Arc<AtomicBool>>,
    taken: Mutex<HashMap<String, Taken>>,
}

/// What one plugin has reported of this database. Each has room of its own, so that
/// none can take that of another.
#[derive(Debug, Default)]
struct Taken {
    checks: usize,
    /// The ids of its checks, and how many there are of those that came again.
    ids: HashSet<String>,
    again: HashMap<String, usize>,
    facts: usize,
    fact_bytes: usize,
}

impl Taken {
    /// The id itself, or with a number if it existed.
    fn unique(&mut self, id: String) -> String {
        if self.ids.insert(id.clone()) {
            return id;
        }
        let number = self.again.entry(id.clone()).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{id} ({number})");
            if self.ids.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// A check under way.
pub(crate) struct Started {
    sink: Arc<Sink>,
    index: Option<usize>,
    since: Instant,
}

impl Sink {
    /// An empty report.
    #[must_use]
    pub(crate) fn new(context: Arc<Context>, name: String, path: String) -> Arc<Self> {
        context.reporter.report(Event::DatabaseStarted { name: &name, path: &path });
        Self::quiet(context, name, path, true)
    }

    /// For what is said when the report is finished: nothing of it is in one.
    #[must_use]
    pub(crate) fn aside(context: Arc<Context>) -> Arc<Self> {
        Self::quiet(context, String::new(), String::new(), false)
    }

    fn quiet(context: Arc<Context>, name: String, path: String, shows: bool) -> Arc<Self> {
        Arc::new(Self {
            context,
            shows,
            report: Mutex::new(DatabaseReport::new(name, path)),
            started: Instant::now(),
            data: Mutex::default(),
            streams: OnceLock::new(),
            taken: Mutex::default(),
        })
    }

    fn report(&self) -> MutexGuard<'_, DatabaseReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a check that the host or a command of lsrun reports. Until an outcome
    /// comes it counts as inconclusive.
    pub(crate) fn start(
        self: &Arc<Self>,
        id: String,
        kind: CheckKind,
        plugin: &str,
        optional: bool,
    ) -> Started {
        let mut report = self.report();
        let index = report.checks.len();
        report.checks.push(Check {
            id: shown::line(&bounded(&id)).into_owned(),
            plugin: plugin.to_owned(),
            outcome: Outcome::Inconclusive,
            kind,
            message: "it ended without an outcome".to_owned(),
            hint: None,
            code: None,
            duration: Duration::ZERO,
            optional,
            fault: Fault::Backup,
            exit: None,
        });
        drop(report);
        Started { sink: Arc::clone(self), index: Some(index), since: Instant::now() }
    }

    /// [`Self::start`] for what a user's plugin reports, under an id that is its own:
    /// `prefix` and what the plugin says; a second one of a name gets a number.
    ///
    /// Nothing is ever left out of the report: a plugin that reports too many gets one
    /// more, inconclusive, and an error that ends it.
    pub(super) fn start_of_guest(
        self: &Arc<Self>,
        prefix: &str,
        id: &str,
        kind: CheckKind,
        plugin: &str,
        optional: bool,
    ) -> std::result::Result<Started, Exceeded> {
        let exceeded = Exceeded::Checks(limits::CHECKS);
        let mut taken = self.taken();
        let of_plugin = taken.entry(plugin.to_owned()).or_default();
        of_plugin.checks += 1;
        let count = of_plugin.checks;
        let said = if count > limits::CHECKS { "too many checks" } else { id };
        if count > limits::CHECKS + 1 {
            return Err(exceeded);
        }
        let own = of_plugin.unique(format!("{prefix}{}", names::id(said)));
        drop(taken);
        let mut started = self.start(own, kind, plugin, optional);
        if count > limits::CHECKS {
            started.end(Outcome::Inconclusive, format!("it {exceeded}"), None);
            return Err(exceeded);
        }
        Ok(started)
    }

    /// The worst outcome that a plugin has reported.
    #[must_use]
    pub(crate) fn worst_of(&self, plugin: &str) -> Outcome {
        let report = self.report();
        let own = report.checks.iter().filter(|check| check.plugin == plugin);
        own.map(|check| check.outcome).max().unwrap_or(Outcome::Passed)
    }

    /// Shows what is being done.
    pub(crate) fn state(&self, text: &str) {
        let name = self.report().name.clone();
        let text = bounded(text);
        self.context.reporter.report(Event::Stage { name: &name, text: &text });
    }

    /// Shows what is being done, with a figure that changes all the time.
    pub(crate) fn state_in_figures(&self, text: &str) {
        let name = self.report().name.clone();
        let text = bounded(text);
        self.context.reporter.report(Event::Figures { name: &name, text: &text });
    }

    /// Shows how far a restore has come, after `elapsed`.
    pub(crate) fn restoring(&self, done: u64, of: Option<u64>, elapsed: Duration) {
        let mut text = format!("restoring, {}", figures::bytes(done));
        if let Some(of) = of.filter(|of| *of >= done) {
            text.push_str(&format!(" of about {}", figures::bytes(of)));
        }
        let rate = u128::from(done) * 1000 / elapsed.as_millis().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        text.push_str(&format!(", {}/s", figures::bytes(rate)));
        let name = self.report().name.clone();
        self.context.reporter.report(Event::Figures { name: &name, text: &text });
    }

    /// Records how the replica was reached.
    pub(crate) fn replicated(&self, method: &str, lag: Duration) {
        self.report().replication = Some(Replication { method: method.to_owned(), lag });
    }

    /// Records a restore; the last one counts.
    pub(crate) fn restored(&self, txid: Option<String>, duration: Duration, bytes: u64) {
        let mut report = self.report();
        report.txid = txid;
        report.restore = Some(Restore { duration, bytes });
    }

    /// Whether a restore was recorded.
    pub(crate) fn has_restored(&self) -> bool {
        self.report().restore.is_some()
    }

    /// Records the transaction of a proof without a restore.
    pub(crate) fn proved(&self, txid: String) {
        self.report().txid.get_or_insert(txid);
    }

    /// Records what is shown with the outcome.
    pub(super) fn remark(&self, text: String) {
        self.report().remark = Some(bounded(&text));
    }

    /// Records the file that was written.
    pub(super) fn written(&self, target: String) {
        self.report().target = Some(bounded(target));
    }

    /// Records a fact of `plugin`; a key that is there gets the new value. Fails when
    /// they are more than a plugin may record.
    pub(super) fn fact(
        &self,
        plugin: &str,
        key: &str,
        json: &str,
    ) -> std::result::Result<(), Exceeded> {
        let mut taken = self.taken();
        let own = taken.entry(plugin.to_owned()).or_default();
        own.facts += 1;
        own.fact_bytes = own.fact_bytes.saturating_add(key.len()).saturating_add(json.len());
        if own.facts > limits::FACTS || own.fact_bytes > limits::FACT_BYTES {
            return Err(Exceeded::Facts);
        }
        drop(taken);
        let value = serde_json::from_str(json)
            .unwrap_or_else(|_error| serde_json::Value::String(json.to_owned()));
        self.report().facts.insert(names::id(key), value);
        Ok(())
    }

    /// Records a figure for monitoring; a name that is there gets the new value. Fails when
    /// they are more than a plugin may give.
    pub(super) fn metric(
        &self,
        plugin: &str,
        name: String,
        value: f64,
    ) -> std::result::Result<(), Exceeded> {
        let mut report = self.report();
        let own = report.metrics.entry(plugin.to_owned()).or_default();
        own.insert(name, value);
        if own.len() > limits::METRICS { Err(Exceeded::Metrics) } else { Ok(()) }
    }

    /// Records a fact that the host itself has found.
    pub(super) fn fact_of_host(&self, key: &str, value: serde_json::Value) {
        self.report().facts.insert(key.to_owned(), value);
    }

    /// Nothing was to be done.
    pub(crate) fn skipped(&self, reason: String) {
        self.report().skipped = Some(bounded(&reason));
    }

    /// From now on data is written as it comes, and `written` says whether some was.
    pub(crate) fn stream(&self, written: Arc<AtomicBool>) {
        let _once = self.streams.set(written);
    }

    /// Keeps data for standard output, or writes it; false when it is too much to keep.
    #[must_use]
    pub(crate) fn data(&self, bytes: &[u8]) -> bool {
        if let Some(written) = self.streams.get() {
            written.store(true, Ordering::Relaxed);
            self.context.reporter.report(Event::Data(bytes));
            return true;
        }
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = data.len().saturating_add(bytes.len()) <= limits::DATA;
        if fits {
            data.extend_from_slice(bytes);
        }
        fits
    }

    /// The report and the data, with the error of the command if it had one.
    #[must_use]
    pub(crate) fn finish(&self, error: Option<Error>) -> (DatabaseReport, Vec<u8>) {
        let mut report = self.report();
        report.error = error;
        report.duration = self.started.elapsed();
        let data = std::mem::take(&mut *self.data.lock().unwrap_or_else(PoisonError::into_inner));
        (report.clone(), data)
    }
}

impl Started {
    fn change(&self, change: impl FnOnce(&mut Check)) {
        let Some(index) = self.index else { return };
        if let Some(check) = self.sink.report().checks.get_mut(index) {
            change(check);
        }
    }

    /// What it is about.
    pub(crate) fn set_kind(&self, kind: CheckKind) {
        self.change(|check| check.kind = kind);
    }

    /// What to do about an outcome that is not good.
    pub(crate) fn set_hint(&self, hint: &str) {
        self.change(|check| check.hint = Some(bounded(hint)));
    }

    /// The code of the error that it ends with.
    pub(crate) fn set_code(&self, code: &str) {
        self.change(|check| check.code = Some(names::id(code)));
    }

    /// Ends the check with what an error says, which is `outcome`.
    pub(crate) fn end_with(&mut self, error: &Error, outcome: Outcome, exit: Option<Exit>) {
        if let Some(hint) = error.hint_text() {
            self.set_hint(hint);
        }
        self.set_code(error.code().as_str());
        self.end(outcome, error.one_line(), exit);
    }

    /// Ends the check: wrong, and just as wrong in the live database.
    pub(crate) fn end_as_live(&mut self, message: String) {
        self.change(|check| check.fault = Fault::Live);
        self.end(Outcome::Failed, message, None);
    }

    /// Ends the check. A second outcome is ignored.
    pub(crate) fn end(&mut self, outcome: Outcome, message: String, exit: Option<Exit>) {
        let Some(index) = self.index.take() else { return };
        let elapsed = self.since.elapsed();
        let mut report = self.sink.report();
        let Some(check) = report.checks.get_mut(index) else { return };
        check.outcome = outcome;
        check.message = bounded(&message);
        check.duration = elapsed;
        check.exit = exit;
        let (name, path) = (&report.name, &report.path);
        if let Some(check) = report.checks.get(index).filter(|_| self.sink.shows) {
            let event = Event::CheckFinished { name, path, check };
            self.sink.context.reporter.report(event);
        }
    }
}
