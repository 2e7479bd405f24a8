//! Delivers the results of a run that proves something to everything besides
//! standard output: files, GitHub, servers, the history.
//!
//! A file that cannot be written fails the run, because it was asked for; a server
//! that cannot be reached and a history that cannot be written are warnings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Url;
use tokio::task::JoinHandle;

use super::history::{History, Past};
use super::http::Patience;
use super::{github, junit, ping, prometheus, webhook};
use crate::cache;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::Session;
use crate::path::absolute;
use crate::project::{Database, ResultSettings};
use crate::report::event::Event;
use crate::report::reporter::Reporter;
use crate::report::{Outcome, Report};
use crate::secret::Secret;

/// Where results go.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    junit: Option<PathBuf>,
    prometheus: Option<PathBuf>,
    ping: Option<Url>,
    webhook: Option<Url>,
}

impl Destinations {
    /// Those of the command line, and for the rest those that the project file `set` for
    /// the command.
    ///
    /// The folder of the JUnit report is created. Fails, before anything is done, when a
    /// file cannot have its folder or a URL is not one.
    pub(crate) fn of(
        session: &Session,
        given: &ResultSettings,
        set: Option<&ResultSettings>,
    ) -> Result<Self> {
        let none = ResultSettings::default();
        let settings = set.unwrap_or(&none);
        let file = |given: &Option<PathBuf>, set: &Option<PathBuf>, option: &str, make: bool| {
            let given = given.as_ref().map(|path| absolute(&session.cwd, path));
            let Some(path) = given.or_else(|| set.clone()) else { return Ok(None) };
            if let (true, Some(folder)) = (make, path.parent()) {
                // The result is checked below.
                let _why = std::fs::create_dir_all(folder);
            }
            let folder = path.parent().is_some_and(Path::is_dir);
            if folder && !path.is_dir() {
                return Ok(Some(path));
            }
            let why = if folder { "it is a folder" } else { "its folder does not exist" };
            Err(Error::usage(format!("{option}: cannot write {}", path.display())).cause(why))
        };
        let url = |given: &Option<Secret>, set: &Option<Secret>, option: &str| {
            let text = match (given, set) {
                (Some(given), _) => given.expose().to_owned(),
                (None, Some(set)) => {
                    session.project.filled(set.expose(), &format!("verify.{option}"))?
                }
                (None, None) => return Ok(None),
            };
            // Whoever knows a URL to which messages go can send them.
            session.environment.redactor().learn_address(&text);
            match Url::parse(&text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
                // It may be a secret with a typing error.
                _ => Err(Error::usage(format!("{option} is not a URL"))
                    .hint("it begins with https:// or http://")),
            }
        };
        Ok(Self {
            junit: file(&given.junit, &settings.junit, "junit", true)?,
            // A collector's folder that does not exist is a typing mistake.
            prometheus: file(&given.prometheus, &settings.prometheus, "prometheus", false)?,
            ping: url(&given.ping, &settings.ping, "ping")?,
            webhook: url(&given.webhook, &settings.webhook, "webhook")?,
        })
    }
}

/// The delivery of one run's results.
pub(crate) struct Delivery {
    session: Arc<Session>,
    reporter: Arc<Reporter>,
    destinations: Destinations,
    history: Option<History>,
    started: Option<JoinHandle<Result<(), String>>>,
}

impl Delivery {
    /// The run begins.
    #[must_use]
    pub(crate) fn begin(
        session: &Arc<Session>,
        reporter: &Arc<Reporter>,
        destinations: Destinations,
    ) -> Self {
        let history = match History::of(&session.project, &session.environment) {
            Ok(history) => Some(history),
            Err(error) => {
                session.notes.warning(&error.one_line());
                None
            }
        };
        let started = destinations.ping.clone().map(|url| tokio::spawn(ping::start(url)));
        let (session, reporter) = (Arc::clone(session), Arc::clone(reporter));
        Self { session, reporter, destinations, history, started }
    }

    /// The newest result of each database by `command`, by path, if that is known.
    #[must_use]
    pub(crate) fn newest(&self, command: &str) -> HashMap<String, Past> {
        self.of_history(|history| history.newest(command))
    }

    fn of_history<T: Default>(&self, read: impl FnOnce(&History) -> Result<T>) -> T {
        match self.history.as_ref().map(read) {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                self.session.notes.warning(&error.one_line());
                T::default()
            }
            None => T::default(),
        }
    }

    /// What the metrics need besides the report.
    fn known(&self, command: &str) -> prometheus::KnownResults {
        let databases = self.session.project.every_database().ok();
        prometheus::KnownResults {
            newest: self.newest(command),
            last_success: self.of_history(|history| history.last_successes(command)),
            names: databases.map(|all| all.iter().map(Database::name).collect()),
        }
    }

    /// Looks up when those that failed were last proved good.
    pub(crate) fn recall(&self, report: &mut Report) {
        let Some(history) = &self.history else { return };
        for database in &mut report.databases {
            if database.outcome() == Outcome::Failed {
                match history.last_good(&report.command, &database.path) {
                    Ok(last) => database.last_good = last,
                    Err(error) => self.session.notes.warning(&error.one_line()),
                }
            }
        }
    }

    /// Nothing could be done.
    pub(crate) async fn gave_up(mut self, error: &Error) {
        self.pinged_start().await;
        if let Some(url) = &self.destinations.ping {
            let (redactor, patience) = (self.session.environment.redactor(), self.patience());
            self.told("ping", ping::fail(url, &error.one_line(), redactor, patience).await);
        }
    }

    /// The run is over. Gives the code of a delivery that failed the run.
    pub(crate) async fn finish(mut self, report: &Report, exit: Exit) -> Exit {
        let mut own = Exit::Success;
        let redactor = self.session.environment.redactor().clone();
        let mut file = |result: Result<()>| {
            if let Err(error) = result {
                self.reporter.report(Event::Error(&error));
                own = own.worst(error.exit());
            }
        };
        if let Some(path) = &self.destinations.junit {
            file(junit::render(report).and_then(|xml| write(path, &redactor.apply(&xml))));
        }
        if let Some(path) = &self.destinations.prometheus {
            let before = std::fs::read_to_string(path).unwrap_or_default();
            let known = self.known(&report.command);
            file(write(path, &redactor.apply(&prometheus::render(report, &before, &known))));
        }
        if let Some(history) = &self.history
            && let Err(error) = history.record(report)
        {
            self.session.notes.warning(&error.one_line());
        }
        self.github(report);
        self.pinged_start().await;
        let patience = self.patience();
        if let Some(url) = &self.destinations.ping {
            let exit = exit.worst(own);
            self.told("ping", ping::finish(url, report, exit, &redactor, patience).await);
        }
        if let Some(url) = &self.destinations.webhook {
            self.told("webhook", webhook::send(url, report, &redactor, patience).await);
        }
        own
    }

    fn github(&self, report: &Report) {
        let environment = &self.session.environment;
        if environment.get("GITHUB_ACTIONS") != Some("true") {
            return;
        }
        self.reporter.report(Event::Pipeline(&github::annotations(report)));
        let Some(path) = environment.get("GITHUB_STEP_SUMMARY") else { return };
        let append = || -> std::io::Result<()> {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            let summary = github::summary(report);
            file.write_all(self.session.environment.redactor().apply(&summary).as_bytes())
        };
        if let Err(error) = append() {
            self.session
                .notes
                .warning(&format!("the step summary {path} cannot be written: {error}"));
        }
    }

    /// The start comes before the end, or not at all.
    async fn pinged_start(&mut self) {
        let Some(started) = self.started.take() else { return };
        if self.session.stop.signal().is_some() && !started.is_finished() {
            started.abort();
        } else if let Ok(result) = started.await {
            self.told("ping", result);
        }
    }

    fn patience(&self) -> Patience {
        if self.session.stop.signal().is_some() { Patience::SHORT } else { Patience::default() }
    }

    fn told(&self, what: &str, result: Result<(), String>) {
        if let Err(why) = result {
            self.session.notes.warning(&format!("{what}: {why}"));
        }
    }
}

/// Whole or not at all, readable by all users: collectors run as other users.
fn write(path: &Path, text: &str) -> Result<()> {
    cache::write_atomically(path, text.as_bytes(), 0o644).map_err(|error| {
        Error::new(Code::Unexpected, format!("cannot write {}", path.display())).cause(error)
    })
}
