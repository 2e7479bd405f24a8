//! How the backups of a project stand: what the history says of each, and whether that is
//! good and recent enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;

use super::history::{History, Standing};
use super::prometheus;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::figures::{self, time};
use crate::project::{Database, Project};
use crate::redact::Redactor;
use crate::report::{DatabaseReport, Outcome, Report};

/// The command whose results count.
const COMMAND: &str = "verify";

/// For this long what was read is not read again, however many ask.
const FRESH: Duration = Duration::from_secs(1);

impl Standing {
    fn age(&self, now: jiff::Timestamp) -> Option<Duration> {
        let proved = self.proved.as_ref()?;
        Duration::try_from(now.duration_since(proved.started)).ok()
    }

    /// Why it does not count as good. A result that says nothing about the backup, as where
    /// its storage does not answer, leaves the last proof as it is, until that is too old.
    fn problem(&self, max_age: Duration, now: jiff::Timestamp) -> Option<String> {
        let age = self.age(now);
        match (self.conclusive, age) {
            (Some(Outcome::Failed), _) => Some("the last verification failed".to_owned()),
            (_, None) => Some("never verified".to_owned()),
            (_, Some(age)) if age >= max_age => {
                let (age, most) = (figures::duration(age), figures::duration(max_age));
                Some(format!("last proved good {age} ago, more than {most}"))
            }
            _ => None,
        }
    }
}

/// How the databases that a project replicates stand.
pub(crate) struct Standings {
    // Not the session: what it has made has to go before the process does, and who asks last
    // may still hold this.
    project: Project,
    redactor: Redactor,
    max_age: Duration,
    history: Result<History>,
    read: Mutex<Option<(Instant, Arc<Vec<DatabaseStanding>>)>>,
}

/// What is known of the backup of one of them.
struct DatabaseStanding {
    name: String,
    path: String,
    standing: Standing,
}

/// An answer about all of them.
pub(super) struct HealthAnswer {
    /// Every backup is good and proved recently enough.
    pub(super) good: bool,
    /// The document.
    pub(super) text: String,
}

impl Standings {
    /// Of this project. Nothing is read yet.
    #[must_use]
    pub(crate) fn of(project: &Project, environment: &Environment) -> Self {
        Self {
            max_age: project.verify().max_age().unwrap_or(Duration::MAX),
            history: History::of(project, environment),
            project: project.clone(),
            redactor: environment.redactor().clone(),
            read: Mutex::default(),
        }
    }

    /// That there can be results at all.
    pub(crate) fn usable(&self) -> Result<()> {
        self.history.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// What is replicated now: a folder of a `dir:` entry may have got another one.
    fn databases(&self) -> Result<Vec<Database>> {
        let mut all = self.project.every_database()?;
        all.retain(|database| database.entry.is_some());
        Ok(all)
    }

    /// If these are not the databases that are replicated now: those that are, and how old the
    /// last good proof of each is; none was never proved, or that cannot be read.
    pub(crate) async fn unless(
        self: &Arc<Self>,
        known: &[Database],
    ) -> Result<Option<Vec<(Database, Option<Duration>)>>> {
        let all = Arc::clone(self);
        let known: Vec<PathBuf> = known.iter().map(|database| database.path.clone()).collect();
        let found = tokio::task::spawn_blocking(move || {
            let databases = all.databases()?;
            if databases.iter().map(|database| &database.path).eq(&known) {
                return Ok(None);
            }
            let now = jiff::Timestamp::now();
            let ages: Vec<Option<Duration>> = match all.standings(&databases) {
                Ok(standings) => standings.iter().map(|one| one.standing.age(now)).collect(),
                Err(_unreadable) => vec![None; databases.len()],
            };
            Ok(Some(databases.into_iter().zip(ages).collect()))
        });
        found.await.map_err(|error| Error::from(anyhow::Error::from(error)))?
    }

    fn standings(&self, databases: &[Database]) -> Result<Vec<DatabaseStanding>> {
        let path = |database: &Database| database.path.display().to_string();
        let paths: Vec<String> = databases.iter().map(path).collect();
        let standings = self.history.as_ref().map_err(Clone::clone)?.standings(COMMAND, &paths)?;
        let named = databases.iter().map(Database::name).zip(paths).zip(standings);
        Ok(named
            .map(|((name, path), standing)| DatabaseStanding { name, path, standing })
            .collect())
    }

    /// Read again, unless it was just read; by one at a time.
    async fn read(self: &Arc<Self>) -> Result<Arc<Vec<DatabaseStanding>>> {
        let mut read = self.read.lock().await;
        if let Some((at, known)) = &*read
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let all = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || all.standings(&all.databases()?));
        let found = found.await.map_err(|error| Error::from(anyhow::Error::from(error)))??;
        let found = Arc::new(found);
        *read = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }

    /// Whether they are good, as JSON.
    pub(super) async fn health(self: &Arc<Self>) -> HealthAnswer {
        let now = jiff::Timestamp::now();
        let (known, error) = match self.read().await {
            Ok(known) => (known, None),
            Err(error) => (Arc::default(), Some(error.one_line())),
        };
        let databases: Vec<HealthOfDatabase<'_>> = known
            .iter()
            .map(|DatabaseStanding { name, standing, .. }| {
                let problem = standing.problem(self.max_age, now);
                let proved = standing.proved.as_ref();
                HealthOfDatabase {
                    alias: name,
                    healthy: problem.is_none(),
                    outcome: standing.newest.as_ref().map(|past| word(past.outcome)),
                    last_proved_at: proved.map(|proved| time(proved.started)),
                    age_seconds: standing.age(now).map(|age| age.as_secs()),
                    txid: proved.and_then(|proved| proved.txid.as_deref()),
                    problem,
                }
            })
            .collect();
        let good = error.is_none()
            && !databases.is_empty()
            && databases.iter().all(|database| database.healthy);
        let health = Health {
            schema_version: 1,
            healthy: good,
            max_age_seconds: self.max_age.as_secs(),
            error,
            databases,
        };
        let text = serde_json::to_string(&health).unwrap_or_default();
        HealthAnswer { good, text: format!("{}\n", self.redactor.apply(&text)) }
    }

    /// The last results, as Prometheus reads them.
    pub(super) async fn metrics(self: &Arc<Self>) -> Result<String> {
        let known = self.read().await?;
        let now = jiff::Timestamp::now();
        let mut report = Report {
            command: COMMAND.to_owned(),
            metrics: format!("lsrun_{COMMAND}"),
            success: word(Outcome::Passed).to_owned(),
            records: true,
            started: now,
            duration: Duration::ZERO,
            databases: Vec::new(),
        };
        let mut results = prometheus::KnownResults {
            names: Some(known.iter().map(|one| one.name.clone()).collect()),
            ..prometheus::KnownResults::default()
        };
        let mut ages = Vec::new();
        for DatabaseStanding { name, path, standing } in known.iter() {
            let mut database = DatabaseReport::new(name.clone(), path.clone());
            // Not of a run: what is remembered counts.
            database.skipped = Some(String::new());
            report.databases.push(database);
            results.newest.extend(standing.newest.clone().map(|past| (path.clone(), past)));
            let proved = standing.proved.as_ref().map(|proved| (path.clone(), proved.started));
            results.last_success.extend(proved);
            let healthy = standing.problem(self.max_age, now).is_none();
            ages.push((name.as_str(), standing.age(now), healthy));
        }
        let file = self.project.verify().results.prometheus.as_deref();
        let before = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let mut text = prometheus::render(&report, &before, &results);
        text.push_str(&prometheus::ages(&report.metrics, &ages));
        Ok(self.redactor.apply(&text).into_owned())
    }
}

fn word(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Passed { "verified" } else { outcome.word() }
}

#[derive(Serialize)]
struct Health<'a> {
    schema_version: u32,
    healthy: bool,
    max_age_seconds: u64,
    error: Option<String>,
    databases: Vec<HealthOfDatabase<'a>>,
}

#[derive(Serialize)]
struct HealthOfDatabase<'a> {
    alias: &'a str,
    healthy: bool,
    outcome: Option<&'static str>,
    last_proved_at: Option<String>,
    age_seconds: Option<u64>,
    txid: Option<&'a str>,
    problem: Option<String>,
}
