//! Runs a command that is a component: selects databases, runs it for each of
//! them in parallel, merges and prints the reports.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::arguments::{self, Parsed};
use super::calls::{PreparedCall, all, parallelism};
use super::selection::{Target, select};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::figures;
use crate::plugin::offer::Offer;
use crate::plugin::{Builtin, Hooks, Origin, Plugin, manifest, of_command};
use crate::project::PluginSetting;
use crate::report::event::Event;
use crate::report::{NOT_REPLICATED, Outcome, Report};
use crate::results::{Delivery, Destinations};
use crate::stop::{Signal, Stop};

/// Runs the command to its end.
pub(super) async fn run(
    context: &Arc<Context>,
    load: impl FnOnce(&Context, &Arc<Offer>) -> Result<Arc<Plugin>>,
    parsed: Parsed,
) -> Result<Exit> {
    let started = jiff::Timestamp::now();
    let clock = Instant::now();
    let plugin = load(context, &Arc::new(Offer::start()?))?;
    plugin.prepare(context)?;
    let described = plugin.manifest.command.clone().unwrap_or_default();
    // The settings of lsrun's own command are not for a plugin of that name.
    let settings = match plugin.origin {
        Origin::Builtin => context.project.proof(&parsed.name),
        Origin::File(_) => None,
    };
    let destinations = match described.records {
        true => {
            let set = settings.map(|settings| &settings.results);
            Some(Destinations::of(context, &parsed.results, set)?)
        }
        false => None,
    };
    let deadline = parsed.deadline.or_else(|| settings.and_then(|settings| settings.deadline));
    let _alarm = deadline.map(|deadline| Alarm::set(context.stop.clone(), clock + deadline));
    let delivery = destinations
        .map(|destinations| Delivery::begin(&context.session, &context.reporter, destinations));
    let work = Work { plugin, described, parsed, started, clock };
    match work.run(context, delivery.as_ref()).await {
        Ok(Done::Exit(exit)) => Ok(exit),
        Ok(Done::Report { report, data, wrote, verbose, afterwards }) => {
            let stopped = context.stop.signal().map(|signal| signal.exit());
            let exit = stopped.unwrap_or(Exit::Success).worst(report.exit()).worst(afterwards);
            let event = Event::RunReported { report: &report, data: &data, wrote, verbose };
            context.reporter.report(event);
            let own = match delivery {
                Some(delivery) => delivery.finish(&report, exit).await,
                None => Exit::Success,
            };
            let exit = exit.worst(own);
            context.reporter.report(Event::RunFinished { report: &report, exit });
            Ok(exit)
        }
        Err(error) => {
            if let Some(delivery) = delivery {
                delivery.gave_up(&error).await;
            }
            Err(error)
        }
    }
}

/// Stops the run at its deadline, unless it is dropped before.
struct Alarm(tokio::task::JoinHandle<()>);

impl Alarm {
    fn set(stop: Stop, at: Instant) -> Self {
        Self(tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            stop.request(Signal::Deadline);
        }))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a built-in command as a part of another one: its report goes to stderr, unless
/// there was nothing to do.
pub(super) async fn run_beside(
    context: &Arc<Context>,
    builtin: &Builtin,
    words: &[OsString],
) -> Result<Exit> {
    let parsed = arguments::parse(builtin.name, builtin.manifest()?, words)?;
    let (started, clock) = (jiff::Timestamp::now(), Instant::now());
    let plugin = builtin.load(context, &Arc::new(Offer::start()?))?;
    let described = plugin.manifest.command.clone().unwrap_or_default();
    let work = Work { plugin, described, parsed, started, clock };
    match work.run(context, None).await? {
        Done::Exit(exit) => Ok(exit),
        Done::Report { report, verbose, .. } => {
            if report.outcome() != Outcome::Skipped {
                context.reporter.report(Event::Beside { report: &report, verbose });
            }
            Ok(report.exit())
        }
    }
}

/// A command line and what it is run with.
struct Work {
    plugin: Arc<Plugin>,
    described: manifest::CommandManifest,
    parsed: Parsed,
    started: jiff::Timestamp,
    clock: Instant,
}

/// The result.
enum Done {
    Exit(Exit),
    Report {
        report: Report,
        data: Vec<u8>,
        /// Data was written before.
        wrote: bool,
        verbose: bool,
        /// That of the hooks which were called when it was over.
        afterwards: Exit,
    },
}

impl Work {
    async fn run(self, context: &Arc<Context>, delivery: Option<&Delivery>) -> Result<Done> {
        let Self { plugin, described, parsed, started, clock } = self;
        let targets = select(context, &described, &parsed)?;
        if targets.is_empty()
            && let Some(shard) = parsed.shard
        {
            context.notes.note(&format!("no database is in shard {shard}: nothing to do"));
        }
        let interfaces = of_command(&plugin);
        let selects =
            |setting: &PluginSetting| targets.iter().any(|target| target.concerns(setting));
        let hooks = match interfaces.is_empty() {
            true => Hooks::default(),
            false => Hooks::load(context, plugin.offer(), &interfaces, selects)?,
        };
        let verbose = parsed.verbose;
        let whole = matches!(targets.as_slice(), [Target::Whole]);
        context.reporter.report(Event::RunStarted {
            command: &parsed.name,
            started,
            databases: targets.len(),
            whole,
        });
        let usual = || if described.streams { 1 } else { parallelism() };
        let jobs = parsed.jobs.unwrap_or_else(usual).max(1);
        let streams = described.streams
            && described.per_database
            && (jobs == 1 || targets.len() == 1)
            && context.reporter.takes_streams();
        let wrote = Arc::new(AtomicBool::new(false));
        let left_out = left_out(&parsed, &targets, delivery, started);
        let mut base = PreparedCall {
            context: Arc::clone(context),
            plugin,
            hooks: Arc::new(hooks),
            parsed: Arc::new(parsed),
            needs_databases: described.needs_databases,
            records: described.records,
            streams: streams.then(|| Arc::clone(&wrote)),
            success: Arc::from(described.success.as_str()),
            failure: described.failure.as_deref().map(Arc::from),
            started,
            afterwards: Arc::new(Mutex::new(Exit::Success)),
            done: Arc::default(),
            of: targets.len(),
        };
        let done = all(&mut base, targets, left_out, jobs).await?;
        let afterwards = *base.afterwards.lock().unwrap_or_else(PoisonError::into_inner);
        context.connections.settle(Duration::from_secs(2));
        context.reporter.report(Event::Idle);
        let (databases, data): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let data = data.concat();
        if whole && databases.iter().all(|database| database.checks.is_empty()) {
            context.reporter.report(match base.plugin.reveals_secrets() {
                true => Event::Secrets(&data),
                false => Event::Data(&data),
            });
            let stopped = context.stop.signal().map(|signal| signal.exit());
            return match databases.into_iter().find_map(|database| database.error) {
                Some(error) => Err(error),
                None => Ok(Done::Exit(stopped.unwrap_or(Exit::Success))),
            };
        }
        let mut report = Report {
            command: base.parsed.name.clone(),
            metrics: metrics(&base),
            success: described.success,
            records: described.records,
            started,
            duration: clock.elapsed(),
            databases,
        };
        if let Some(delivery) = delivery {
            delivery.recall(&mut report);
        }
        let wrote = wrote.load(Ordering::Relaxed);
        Ok(Done::Report { report, data, wrote, verbose, afterwards })
    }
}

/// What the names of the run's metrics begin with. Those of lsrun's own commands are
/// reserved for them.
fn metrics(base: &PreparedCall) -> String {
    let name = base.parsed.name.replace('-', "_");
    match base.plugin.origin {
        Origin::Builtin => format!("lsrun_{name}"),
        Origin::File(_) => format!("lsrun_plugin_{name}"),
    }
}

/// For each target, why nothing is to be done: nothing replicates it, or its newest
/// result is good and not old (`--if-older-than`).
fn left_out(
    parsed: &Parsed,
    targets: &[Target],
    delivery: Option<&Delivery>,
    now: jiff::Timestamp,
) -> Vec<Option<String>> {
    let newest = match (parsed.if_older_than, delivery) {
        (Some(_limit), Some(delivery)) => delivery.newest(&parsed.name),
        _ => HashMap::new(),
    };
    let of = |target: &Target| {
        let Target::Database(database) = target else { return None };
        if parsed.selected.is_empty() && database.entry.is_none() {
            return Some(NOT_REPLICATED.to_owned());
        }
        let limit = parsed.if_older_than?;
        let newest = newest.get(&database.path.display().to_string())?;
        // A clock that was set back makes nothing fresh.
        let age = Duration::try_from(now.duration_since(newest.started)).ok()?;
        (newest.outcome == Outcome::Passed && age < limit).then(|| {
            let (age, limit) = (figures::duration(age), figures::duration(limit));
            format!("the last good result is {age} old, less than {limit}")
        })
    };
    targets.iter().map(of).collect()
}
