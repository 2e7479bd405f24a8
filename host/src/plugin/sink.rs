//! Collects what plugins say about one database, in the order in which it began,
//! and shows the state of the work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure::bounded;
use crate::context::Context;
use crate::error::Error;
use crate::report::{Check, DatabaseReport, Fault, Outcome, Replication, Restore, human, ndjson};
use crate::terminal::Format;

/// How many checks one run may report, and bytes of data one call may write.
const MAX_CHECKS: usize = 1000;
const MAX_DATA: usize = 64 << 20;

/// What is known so far.
pub struct Sink {
    context: Arc<Context>,
    report: Mutex<DatabaseReport>,
    started: Instant,
    data: Mutex<Vec<u8>>,
}

/// A check under way.
pub struct Started {
    sink: Arc<Sink>,
    index: Option<usize>,
    since: Instant,
}

impl Sink {
    /// An empty report.
    #[must_use]
    pub fn new(context: Arc<Context>, name: String, path: String) -> Arc<Self> {
        if context.terminal.format == Format::Ndjson && !name.is_empty() {
            context.terminal.data(ndjson::database_started(&name, &path).as_bytes());
        }
        Arc::new(Self {
            context,
            report: Mutex::new(DatabaseReport::new(name, path)),
            started: Instant::now(),
            data: Mutex::default(),
        })
    }

    fn report(&self) -> MutexGuard<'_, DatabaseReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a check; until an outcome comes it counts as inconclusive.
    pub fn start(self: &Arc<Self>, id: String, plugin: &str, optional: bool) -> Started {
        let mut report = self.report();
        let index = report.checks.len();
        let index = (index < MAX_CHECKS).then(|| {
            report.checks.push(Check {
                id: bounded(id),
                plugin: plugin.to_owned(),
                outcome: Outcome::Inconclusive,
                message: "it ended without an outcome".to_owned(),
                duration: Duration::ZERO,
                optional,
                fault: Fault::Backup,
                exit: None,
            });
            index
        });
        drop(report);
        Started { sink: Arc::clone(self), index, since: Instant::now() }
    }

    /// The worst outcome that a plugin has reported.
    #[must_use]
    pub fn worst_of(&self, plugin: &str) -> Outcome {
        let report = self.report();
        let own = report.checks.iter().filter(|check| check.plugin == plugin);
        own.map(|check| check.outcome).max().unwrap_or(Outcome::Passed)
    }

    /// Shows what is being done.
    pub fn state(&self, text: &str) {
        let name = self.report().name.clone();
        let text = bounded(text.to_owned());
        if name.is_empty() {
            self.context.terminal.state(&text);
        } else {
            self.context.terminal.stage(&name, &text);
        }
    }

    /// Shows how far a restore has come, after `elapsed`.
    pub fn restoring(&self, done: u64, of: Option<u64>, elapsed: Duration) {
        let mut text = format!("restoring, {}", human::bytes(done));
        if let Some(of) = of.filter(|of| *of >= done) {
            text.push_str(&format!(" of about {}", human::bytes(of)));
        }
        let rate = u128::from(done) * 1000 / elapsed.as_millis().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        text.push_str(&format!(", {}/s", human::bytes(rate)));
        let name = self.report().name.clone();
        self.context.terminal.moving(&name, &text);
    }

    /// Records how the replica was reached.
    pub fn replicated(&self, method: &str, lag: Duration) {
        self.report().replication = Some(Replication { method: method.to_owned(), lag });
    }

    /// Records a restore; the last one counts.
    pub fn restored(&self, txid: Option<String>, duration: Duration, bytes: u64) {
        let mut report = self.report();
        report.txid = txid;
        report.restore = Some(Restore { duration, bytes });
    }

    /// Records a fact.
    pub fn fact(&self, key: String, json: &str) {
        let value = serde_json::from_str(json)
            .unwrap_or_else(|_error| serde_json::Value::String(json.to_owned()));
        let mut report = self.report();
        if report.facts.len() < MAX_CHECKS {
            report.facts.insert(key, value);
        }
    }

    /// Nothing was to be done.
    pub fn skipped(&self, reason: String) {
        self.report().skipped = Some(bounded(reason));
    }

    /// Keeps data for standard output; false when it is too much.
    #[must_use]
    pub fn data(&self, bytes: &[u8]) -> bool {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = data.len() + bytes.len() <= MAX_DATA;
        if fits {
            data.extend_from_slice(bytes);
        }
        fits
    }

    /// The report and the data, with the error of the command if it had one.
    #[must_use]
    pub fn finish(&self, error: Option<Error>) -> (DatabaseReport, Vec<u8>) {
        let mut report = self.report();
        report.error = error;
        report.duration = self.started.elapsed();
        let data = std::mem::take(&mut *self.data.lock().unwrap_or_else(PoisonError::into_inner));
        (report.clone(), data)
    }
}

impl Started {
    /// Ends the check: wrong, and just as wrong in the live database.
    pub fn end_as_live(&mut self, message: String) {
        if let Some(index) = self.index
            && let Some(check) = self.sink.report().checks.get_mut(index)
        {
            check.fault = Fault::Live;
        }
        self.end(Outcome::Failed, message, None);
    }

    /// Ends the check. A second outcome is not heard.
    pub fn end(&mut self, outcome: Outcome, message: String, exit: Option<crate::exit::Exit>) {
        let Some(index) = self.index.take() else { return };
        let elapsed = self.since.elapsed();
        let mut report = self.sink.report();
        let Some(check) = report.checks.get_mut(index) else { return };
        check.outcome = outcome;
        check.message = bounded(message);
        check.duration = elapsed;
        check.exit = exit;
        let terminal = &self.sink.context.terminal;
        if terminal.format == Format::Ndjson
            && !report.name.is_empty()
            && let Some(check) = report.checks.get(index)
        {
            let line = ndjson::check_finished(&report.name, &report.path, check);
            terminal.data(line.as_bytes());
        }
    }
}
