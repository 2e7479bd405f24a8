//! `lsrun replicate`: litestream's daemon, alone or beside an application, run so
//! that it can be trusted: what would go wrong is told before anything starts, the
//! application starts when the daemon is ready and its code is the process's, and
//! an end whose last changes did not reach the replica is an error.

use std::ffi::{OsStr, OsString};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};

use super::{component, passthrough};
use crate::code::Code;
use crate::config::{Config, Purpose};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::binary::feature;
use crate::litestream::binary::feature::Feature;
use crate::litestream::daemon;
use crate::litestream::daemon::sockets::Runtime;
use crate::litestream::daemon::{Control, sockets};
use crate::litestream::process::child;
use crate::litestream::process::config_file::ConfigFile;
use crate::litestream::process::line::{CommandLine, Verb, is_url};
use crate::litestream::sync::{guard, once, unseen};
use crate::project::Resolved;
use crate::project::{Database, Project};
use crate::report::event::Event;
use crate::stop::{Signal, Stop};
use crate::{cli, figures};

/// How long litestream may take to open its databases.
const READY: Duration = Duration::from_secs(60);
/// How long an application may take to end after a signal: longer than most
/// orchestrators allow, so that theirs is the limit that counts.
const APPLICATION_GRACE: Duration = Duration::from_secs(300);
/// What litestream may take beyond its own limit before it is killed.
const MARGIN: Duration = Duration::from_secs(10);
/// How many databases are synced at once at the end; each takes a connection.
const AT_ONCE: usize = 64;
/// Between two looks at whether litestream is ready.
const LOOK: Duration = Duration::from_millis(20);

/// The flags that replicate once and end, without a daemon.
const ONCE: [&str; 3] = ["once", "force-snapshot", "enforce-retention"];

/// What lsrun adds, behind litestream's own help.
const HELP: &str = "
lsrun takes the databases from lsrun.yml, and adds:

  -- COMMAND [ARGUMENTS]
      Run an application: it starts when the daemon answers, gets the signals, and its
      exit code is the one of lsrun. A hang-up (SIGHUP) is passed on and ends nothing.

  --wait TIME
      How long to wait for another litestream to end that replicates a database, such as
      30s or 5m. Without it: 1m for one in another container, no time for one that can be
      seen.

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
                .hint("leave the names away, or name a database and a replica URL"));
        }
        free(config)?;
        alone(context, &sockets::sockets(context), &databases, patience).await?;
        line.remove("no-expand-env", false);
    } else {
        resolve(context, &mut line);
    }
    // litestream would restore without asking a hook, and check less.
    if config.is_some() && line.has("restore-if-db-not-exists") {
        line.remove("restore-if-db-not-exists", false);
        let exit = component::restore_missing(context).await?;
        if exit != Exit::Success {
            return Ok(exit.code());
        }
    }
    let held = match by_hand {
        true => Vec::new(),
        false => guard::hold(context, &context.project.every_database()?).await?,
    };
    let has_socket = feature::require(version, Feature::Socket).is_ok();
    let runtime = match config {
        Some(config) if config.socket().is_none() && has_socket => Some(Runtime::create(context)?),
        _ => None,
    };
    let socket = config.and_then(Config::socket).or_else(|| runtime.as_ref().map(Runtime::socket));
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
    let supervisor = Supervisor {
        context,
        socket,
        databases,
        limit,
        can_sync: feature::require(version, Feature::Sync).is_ok(),
    };
    let held = tokio::spawn(guard::until_seen(held, supervisor.socket.clone()));
    let code = supervisor.run(&arguments, file.as_ref(), application).await;
    held.abort();
    drop((file, runtime));
    code
}

/// Refuses an application that is announced and not named: litestream's daemon alone is
/// not what was meant.
fn named(line: &CommandLine, words: &[OsString]) -> Result<()> {
    if line.rest.is_empty() && words.iter().any(|word| word == "--") {
        return Err(Error::usage("no command follows --"));
    }
    if line.has("exec") && line.value("exec").is_none_or(|command| command.trim().is_empty()) {
        return Err(Error::usage("-exec names no command"));
    }
    Ok(())
}

/// The application: behind `--`, in `-exec`, or `exec:` of the configuration.
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
/// What is wrong with them is litestream's to say.
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

/// What would only show in a log line, or not at all, once litestream runs.
fn free(config: &Config) -> Result<()> {
    for (key, address) in config.addresses() {
        let listen =
            address.strip_prefix(':').map_or(address.clone(), |port| format!("0.0.0.0:{port}"));
        if let Err(error) = std::net::TcpListener::bind(&listen)
            && error.kind() == std::io::ErrorKind::AddrInUse
        {
            return Err(Error::project(format!("the address of {key} is taken: {address}"))
                .cause(error)
                .hint("another litestream may be running; stop it, or choose another port"));
        }
    }
    Ok(())
}

/// How long to wait for another daemon: `--wait TIME`, else a minute for one in another
/// container, as in a rolling deploy, and no time for one that can be seen.
#[derive(Clone, Copy)]
struct Patience {
    seen: Duration,
    unseen: Duration,
}

/// What `--wait` says.
fn patience(line: &CommandLine) -> Result<Patience> {
    let given = line.value("wait").map(|text| cli::duration(&text)).transpose()?;
    Ok(Patience {
        seen: given.unwrap_or_default(),
        unseen: given.unwrap_or(Duration::from_secs(60)),
    })
}

/// Waits until no other litestream replicates the databases, and refuses where one does
/// not go: two of them on one database damage its replica.
async fn alone(
    context: &Context,
    sockets: &[PathBuf],
    databases: &[Database],
    patience: Patience,
) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(250);
    let started = Instant::now();
    let mut told = false;
    loop {
        let (error, patience) = match other(sockets, databases).await {
            None => return Ok(()),
            Some(Other::Seen(error)) => (error, patience.seen),
            Some(Other::Unseen(error)) => (error, patience.unseen),
        };
        let left = patience.saturating_sub(started.elapsed());
        if left.is_zero() {
            let waited = if patience.is_zero() { "--wait 60s waits for it to end; " } else { "" };
            return Err(error.hint(format!(
                "two daemons on one database damage its replica; {waited}stop the other one"
            )));
        }
        if !told {
            told = true;
            let most = figures::duration(patience);
            context
                .notes
                .note(&format!("{}: waiting for it to end, for {most} at most", error.one_line()));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK.min(left)) => {}
            signal = context.stop.stopped() => return Err(Stop::error(signal)),
        }
    }
}

/// Another daemon, as the error that it is.
enum Other {
    Seen(Error),
    Unseen(Error),
}

async fn other(sockets: &[PathBuf], databases: &[Database]) -> Option<Other> {
    if let Some(socket) = sockets.iter().find(|it| UnixStream::connect(it).is_ok()) {
        let socket = socket.display();
        return Some(Other::Seen(Error::project(format!(
            "a litestream daemon listens at {socket} already"
        ))));
    }
    for database in databases {
        if let Err(error) = daemon::refuse_running(database) {
            return Some(Other::Seen(error));
        }
        if unseen::replicates_unseen(&database.path).await {
            return Some(Other::Unseen(Error::project(format!(
                "a process in another container reads {} all the time, as a litestream daemon does",
                database.name()
            ))));
        }
    }
    None
}

struct Supervisor<'a> {
    context: &'a Context,
    socket: Option<PathBuf>,
    databases: Vec<Database>,
    /// How long the last sync may take.
    limit: Duration,
    can_sync: bool,
}

/// Why the time before the end is over.
enum Ended {
    Application(ExitStatus),
    Litestream(ExitStatus),
    Signal(Signal),
}

impl Supervisor<'_> {
    async fn run(
        &self,
        arguments: &[OsString],
        file: Option<&ConfigFile>,
        application: Option<Vec<OsString>>,
    ) -> Result<u8> {
        let binary = self.context.binary().await?;
        let mut command = child::command(binary, self.context, arguments, file);
        command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let mut litestream = child::spawn(command, binary)?;
        self.context.stop.allow(APPLICATION_GRACE + self.limit + MARGIN * 2);
        let Some(application) = application else {
            let ended = tokio::select! {
                status = litestream.wait() => return Ok(passthrough::code(status?)),
                signal = self.context.stop.stopped() => signal,
            };
            return self.finish(litestream, ended.number(), Exit::Success.code()).await;
        };
        let mut hang_ups = self.context.stop.take_hang_ups();
        if let Some(ended) = self.ready(litestream.as_mut()).await? {
            return match ended {
                Ended::Signal(signal) => {
                    self.finish(litestream, signal.number(), signal.exit().code()).await
                }
                Ended::Litestream(status) | Ended::Application(status) => Err(gone(status)
                    .hint("the application was not started; see what litestream says above")),
            };
        }
        let mut running = match start(self.context, &application) {
            Ok(running) => running,
            Err(error) => {
                self.finish(litestream, Signal::Terminate.number(), 0).await?;
                return Err(error);
            }
        };
        let ended = loop {
            tokio::select! {
                status = running.wait() => break Ended::Application(status?),
                status = litestream.wait() => break Ended::Litestream(status?),
                signal = self.context.stop.stopped() => break Ended::Signal(signal),
                // It means something to many applications: gunicorn reads its settings again.
                Ok(()) = hang_ups.changed() => {
                    let _gone = running.signal(Signal::HangUp.number());
                }
            }
        };
        match ended {
            Ended::Application(status) => {
                let code = passthrough::code(status);
                self.finish(litestream, Signal::Terminate.number(), code).await
            }
            Ended::Signal(signal) => {
                let code = end(running.as_mut(), signal.number()).await;
                self.finish(litestream, signal.number(), code).await
            }
            Ended::Litestream(status) => {
                self.context
                    .reporter
                    .report(Event::Error(&gone(status).hint("the application is being stopped")));
                end(running.as_mut(), Signal::Terminate.number()).await;
                Ok(Exit::Litestream.code())
            }
        }
    }

    /// Waits until litestream answers on its socket, so that an application that
    /// writes at once is replicated from its first row.
    async fn ready(&self, litestream: &mut dyn ChildWrapper) -> Result<Option<Ended>> {
        let Some(socket) = &self.socket else { return Ok(None) };
        let deadline = Instant::now() + READY;
        loop {
            tokio::select! {
                status = litestream.wait() => return Ok(Some(Ended::Litestream(status?))),
                signal = self.context.stop.stopped() => return Ok(Some(Ended::Signal(signal))),
                () = tokio::time::sleep(LOOK) => {}
            }
            if UnixStream::connect(socket).is_ok() {
                return Ok(None);
            }
            if Instant::now() > deadline {
                let late = Error::new(Code::Litestream, "litestream is not ready in time");
                return Err(late.cause(format!("nobody listens at {}", socket.display())));
            }
        }
    }

    /// Brings the last changes to the replica and ends litestream. `code` is what
    /// the process ends with when that went well.
    async fn finish(
        &self,
        mut litestream: Box<dyn ChildWrapper>,
        signal: i32,
        code: u8,
    ) -> Result<u8> {
        let lost = self.last_sync().await;
        let _gone = litestream.signal(signal);
        let ended = tokio::time::timeout(self.limit + MARGIN, litestream.wait()).await;
        let status = match ended {
            Ok(status) => Some(status?),
            Err(_late) => {
                child::end(litestream.as_mut(), 9, MARGIN).await;
                None
            }
        };
        let failed = match (lost, status) {
            (Some(error), _) => Some(error),
            (None, None) => Some(Error::new(Code::Litestream, "litestream did not end in time")),
            (None, Some(status)) if !status.success() => Some(gone(status)),
            (None, Some(_)) => None,
        };
        let Some(error) = failed else { return Ok(code) };
        if code == 0 {
            return Err(error);
        }
        // The application's own code says more to those who wait for it.
        self.context.reporter.report(Event::Error(&error));
        Ok(code)
    }

    /// Asks the daemon to replicate what is left. Litestream itself exits with 0
    /// when its last sync fails.
    async fn last_sync(&self) -> Option<Error> {
        let control = self.socket.as_deref().and_then(Control::at).filter(|_| self.can_sync)?;
        let deadline = Instant::now() + self.limit;
        let databases: Vec<_> = self.databases.iter().filter(|it| it.path.exists()).collect();
        let mut lost = Vec::new();
        let mut first = None;
        // At once, as each waits for the next round of its replica.
        for some in databases.chunks(AT_ONCE) {
            let asked = some.iter().map(|database| control.sync(&database.path, deadline));
            for (database, answer) in some.iter().zip(join_all(asked).await) {
                if let Err(error) = answer
                    && let Some(error) = error.explain(&database.name())
                {
                    lost.push(database.name());
                    first.get_or_insert(error);
                }
            }
        }
        let first = first?;
        Some(
            Error::new(
                Code::Litestream,
                format!("the last changes did not reach the replica: {}", lost.join(", ")),
            )
            .cause(first.one_line())
            .hint("the databases have them; they are replicated when litestream runs again"),
        )
    }
}

fn gone(status: ExitStatus) -> Error {
    Error::new(Code::Litestream, format!("litestream ended ({status})"))
}

/// Starts the application in a process group of its own, so that a signal reaches
/// it once, from here.
fn start(context: &Context, application: &[OsString]) -> Result<Box<dyn ChildWrapper>> {
    let (program, arguments) =
        application.split_first().ok_or_else(|| Error::usage("-exec names no command"))?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(&context.cwd);
    command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    child::die_with_parent(&mut command);
    CommandWrap::from(command)
        .wrap(ProcessGroup::leader())
        .wrap(KillOnDrop)
        .spawn()
        .map_err(|error| not_started(program, &error))
}

fn not_started(program: &OsStr, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot run {}", program.to_string_lossy()))
        .cause(error)
        .hint("no shell is used: for pipes and variables name one, as in sh -c '…'")
}

/// Passes a signal on and waits for the application's end.
async fn end(application: &mut dyn ChildWrapper, signal: i32) -> u8 {
    let _gone = application.signal(signal);
    match tokio::time::timeout(APPLICATION_GRACE, application.wait()).await {
        Ok(Ok(status)) => passthrough::code(status),
        _ => {
            child::end(application, 9, MARGIN).await;
            128 + 9
        }
    }
}
