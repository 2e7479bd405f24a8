//! `lsrun replicate`: litestream's daemon, alone or beside an application, run so
//! that it can be trusted: what would go wrong is reported before anything starts, the
//! application starts when the daemon is ready and its code is the process's, and
//! an end whose last changes did not reach the replica is an error.

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use super::alone::{alone, free, patience};
use super::around::ReplicateHooks;
use super::rounds::Rounds;
use super::supervisor::Supervisor;
use super::{component, passthrough};
use crate::config::{Config, Purpose};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::binary::feature::{self, Feature};
use crate::litestream::daemon::sockets::{self, Runtime};
use crate::litestream::process::config_file::ConfigFile;
use crate::litestream::process::line::{CommandLine, Verb, is_url};
use crate::litestream::sync::{guard, once};
use crate::plugin::Builtin;
use crate::project::{Database, Project, Resolved};
use crate::report::event::Event;
use crate::results::{Server, Standings};

/// The flags that replicate once and end, without a daemon.
const ONCE: [&str; 3] = ["once", "force-snapshot", "enforce-retention"];

/// What lsrun adds after litestream's own help.
const HELP: &str = "
lsrun takes the databases from lsrun.yml, and adds:

  -- COMMAND [ARGUMENTS]
      Run an application: it starts when the daemon answers, gets the signals, and
      lsrun exits with its exit code. A hang-up (SIGHUP) is passed on and ends nothing.

  --wait TIME
      How long to wait until another litestream that replicates a database ends, such as
      30s or 5m. Default: 1m for one in another container, no wait for one that is visible.

With verify.every in lsrun.yml it verifies the backups while it runs, and with
verify.listen it serves /health and /metrics.

Examples:
  lsrun replicate
  lsrun replicate -- gunicorn app:app
  lsrun replicate --wait 2m -- gunicorn app:app
";

/// Runs it.
pub(super) async fn run(context: &Arc<Context>, verb: &Verb, words: &[OsString]) -> Result<u8> {
    let mut line = verb.read(words);
    if line.has("h") || line.has("help") {
        let code = passthrough::verb(context, verb, words).await?;
        context.reporter.report(Event::Data(HELP.as_bytes()));
        return Ok(code);
    }
    named(&line, words)?;
    let patience = patience(&line)?;
    line.remove("wait", true);
    let words: Vec<OsString> = line.words().cloned().collect();
    let by_hand = line.has("config") || line.positionals.iter().any(|word| is_url(word));
    if line.has("once") && !by_hand {
        let databases = context.project.every_database()?;
        alone(context, &[], &databases, patience).await?;
        let prepared = once::prepare(context, &databases).await?;
        let code = passthrough::verb(context, verb, &words).await?;
        if code == Exit::Success.code() {
            once::finish(context, prepared).await?;
        }
        return Ok(code);
    }
    if by_hand {
        alone(context, &[], &of_line(context, &line), patience).await?;
        if line.has("once") || (line.rest.is_empty() && !line.has("exec")) {
            return passthrough::verb(context, verb, &words).await;
        }
    }
    passthrough::check_version(context, verb.name, verb.since, &line).await?;
    for flag in ONCE {
        if line.has(flag) {
            return Err(Error::usage(format!("-{flag} goes with -once")));
        }
    }
    let version = &context.binary().await?.version;
    if line.has("restore-if-db-not-exists") {
        feature::require(version, Feature::RestoreIfDbNotExists)?;
    }
    let config = if by_hand { None } else { Some(context.config()?) };
    let application = application(&mut line, config)?;
    let databases = if by_hand { Vec::new() } else { context.project.databases()? };
    if let Some(config) = config {
        if !line.positionals.is_empty() {
            return Err(Error::usage("lsrun replicate takes every database of the project")
                .hint("leave out the names, or name a database and a replica URL"));
        }
        free(config)?;
        alone(context, &sockets::sockets(context), &databases, patience).await?;
        line.remove("no-expand-env", false);
    } else {
        resolve(context, &mut line);
    }
    let standings = Arc::new(Standings::of(&context.project, &context.environment));
    let server = match config {
        Some(config) => listen(context, config, &standings).await?,
        None => {
            let settings = context.project.verify();
            if settings.every.is_some() || settings.listen.is_some() {
                context.notes.note(
                    "verify.every and verify.listen are for the databases of lsrun.yml, which \
                     this does not replicate",
                );
            }
            None
        }
    };
    // litestream would restore without calling a hook, and check less.
    if config.is_some() && line.has("restore-if-db-not-exists") {
        line.remove("restore-if-db-not-exists", false);
        let exit = restore_missing(context).await?;
        if exit != Exit::Success {
            return Ok(exit.code());
        }
    }
    let hooks = ReplicateHooks::load(context, databases.clone(), application.as_deref())?;
    let daemon =
        DaemonRun { context, verb, line, config, databases, application, standings, server };
    hooks.around(|reason| daemon.run(reason)).await
}

/// Litestream's daemon, and what is beside it.
struct DaemonRun<'a> {
    context: &'a Arc<Context>,
    verb: &'a Verb,
    line: CommandLine,
    /// None with a configuration of the user's own.
    config: Option<&'a Config>,
    databases: Vec<Database>,
    application: Option<Vec<OsString>>,
    standings: Arc<Standings>,
    /// Answers how they stand.
    server: Option<Server>,
}

impl DaemonRun<'_> {
    /// Runs it to its end; `reason` gets the reason of that.
    async fn run(self, reason: Arc<OnceLock<&'static str>>) -> Result<u8> {
        let Self { context, verb, line, config, databases, application, standings, server } = self;
        let _serving = server.map(|server| Serving(tokio::spawn(server.run())));
        let version = &context.binary().await?.version;
        let held = match config {
            None => Vec::new(),
            Some(_) => guard::hold(context, &context.project.every_database()?).await?,
        };
        let has_socket = feature::require(version, Feature::Socket).is_ok();
        let runtime = match config {
            Some(config) if config.socket().is_none() && has_socket => {
                Some(Runtime::create(context)?)
            }
            _ => None,
        };
        let socket =
            config.and_then(Config::socket).or_else(|| runtime.as_ref().map(Runtime::socket));
        let mut arguments: Vec<OsString> = vec![verb.name.into()];
        let file = match config {
            None => None,
            Some(config) => {
                let private = runtime.as_ref().map(Runtime::socket);
                let purpose = Purpose::Replicate { socket: private };
                let child = config.for_child(&purpose, &context.environment)?;
                let file = ConfigFile::write(context, child)?;
                arguments.extend(["-config".into(), file.path().into()]);
                Some(file)
            }
        };
        arguments.extend(line.words().cloned());
        let limit = config.map_or(Duration::from_secs(30), Config::shutdown_timeout);
        let ending = watch::Sender::new(false);
        let every = config.and(context.project.verify().every);
        let rounds = every.map(|every| {
            let (context, socket) = (Arc::clone(context), socket.clone());
            Rounds { context, every, socket, standings }.start(&ending)
        });
        let supervisor = Supervisor {
            context,
            socket,
            databases,
            limit,
            can_sync: feature::require(version, Feature::Sync).is_ok(),
            reason,
            ending,
        };
        let held = tokio::spawn(guard::until_seen(held, supervisor.socket.clone()));
        let code = supervisor.run(&arguments, file.as_ref(), application).await;
        if let Some(rounds) = rounds {
            rounds.end().await;
        }
        held.abort();
        drop((file, runtime));
        code
    }
}

/// Answers until it is dropped.
struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The server of `verify.listen`, which listens. What it would answer is known from the
/// start, by the history.
async fn listen(
    context: &Context,
    config: &Config,
    standings: &Arc<Standings>,
) -> Result<Option<Server>> {
    let Some(text) = &context.project.verify().listen else { return Ok(None) };
    let address = context.project.filled(text, "verify.listen")?;
    let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned());
    for (key, other) in config.addresses() {
        if port(&other).is_some_and(|it| it != "0" && Some(it) == port(&address)) {
            return Err(Error::project(format!(
                "verify.listen and litestream's {key} have the same port: {address}"
            ))
            .hint("litestream serves its own metrics there: give verify.listen another port"));
        }
    }
    standings.usable()?;
    let server = Server::listen(&address, Arc::clone(standings)).await?;
    let at = server.address()?;
    context.notes.note(&format!("health and metrics at http://{at}/health and /metrics"));
    Ok(Some(server))
}

/// Restores every database that is not there and has a backup, with the hooks and checks
/// of `lsrun restore`. What was restored is reported on stderr; stdout is the application's.
async fn restore_missing(context: &Arc<Context>) -> Result<Exit> {
    let Some(restore) = Builtin::named("restore") else { return Ok(Exit::Success) };
    let words = ["--if-db-not-exists", "--if-replica-exists", "--all"].map(Into::into);
    component::run_beside(context, restore, &words).await
}

/// Refuses an application that is announced but not named: litestream's daemon alone is
/// not what was intended.
fn named(line: &CommandLine, words: &[OsString]) -> Result<()> {
    if line.rest.is_empty() && words.iter().any(|word| word == "--") {
        return Err(Error::usage("no command follows --"));
    }
    if line.has("exec") && line.value("exec").is_none_or(|command| command.trim().is_empty()) {
        return Err(Error::usage("-exec names no command"));
    }
    Ok(())
}

/// The application: after `--`, in `-exec`, or `exec:` of the configuration.
fn application(line: &mut CommandLine, config: Option<&Config>) -> Result<Option<Vec<OsString>>> {
    let flag = line.value("exec");
    line.remove("exec", true);
    let rest = std::mem::take(&mut line.rest);
    if flag.is_some() && !rest.is_empty() {
        return Err(Error::usage("the application is named twice: with -exec and after --"));
    }
    if !rest.is_empty() {
        return Ok(Some(rest));
    }
    let Some(command) = flag.or_else(|| config.and_then(Config::exec)) else { return Ok(None) };
    let words = shell_words::split(&command).map_err(|error| {
        Error::usage("cannot parse the command of -exec").cause(error).cause(&command)
    })?;
    if words.is_empty() {
        return Err(Error::usage("-exec names no command"));
    }
    Ok(Some(words.into_iter().map(Into::into).collect()))
}

/// The databases of a configuration of the user's own, or of a path and a replica URL.
/// What is wrong with them is left to litestream to report.
fn of_line(context: &Context, line: &CommandLine) -> Vec<Database> {
    if let Some(file) = line.value("config") {
        let project = Project::of_litestream(file.as_ref(), &context.cwd, &context.environment);
        return project.and_then(|project| project.every_database()).unwrap_or_default();
    }
    let of_word = |word: &OsString| {
        let named = passthrough::database(context, word).ok()?.1;
        Some(
            Resolved { alias: None, label: None, path: named, create_from: None, entry: None }
                .into(),
        )
    };
    line.positionals.iter().filter(|word| !is_url(word)).filter_map(of_word).collect()
}

fn resolve(context: &Context, line: &mut CommandLine) {
    for word in line.positionals.iter_mut().filter(|word| !is_url(word)) {
        if let Some(database) = word.to_str().and_then(|it| context.project.database(it).ok()) {
            *word = database.path.clone().into();
        }
    }
}
