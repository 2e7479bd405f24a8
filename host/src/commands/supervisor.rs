//! A daemon and the application next to it: started, watched, and ended together.

use std::ffi::{OsStr, OsString};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use process_wrap::tokio::ChildWrapper;
use tokio::sync::watch;

use super::passthrough;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::daemon::Control;
use crate::litestream::process::child;
use crate::litestream::process::config_file::ConfigFile;
use crate::project::Database;
use crate::report::event::Event;
use crate::stop::Signal;

/// How many databases are synced at once at the end; each takes a connection.
const AT_ONCE: usize = 64;

/// Between two checks of whether litestream is ready.
const LOOK: Duration = Duration::from_millis(20);

/// How long litestream may take to open its databases.
const READY: Duration = Duration::from_secs(60);

/// How long an application may take to end after a signal: longer than most
/// orchestrators allow, so that theirs is the limit that counts.
const APPLICATION_GRACE: Duration = Duration::from_secs(300);

/// What litestream may take beyond its own limit before it is killed.
const MARGIN: Duration = Duration::from_secs(10);

pub(super) struct Supervisor<'a> {
    pub(super) context: &'a Context,
    pub(super) socket: Option<PathBuf>,
    pub(super) databases: Vec<Database>,
    /// How long the last sync may take.
    pub(super) limit: Duration,
    pub(super) can_sync: bool,
    /// Gets the reason of its end.
    pub(super) reason: Arc<OnceLock<&'static str>>,
    /// Says to what runs beside it that the end has begun.
    pub(super) ending: watch::Sender<bool>,
}

/// Why the supervisor stops waiting.
pub(super) enum Ended {
    Application(ExitStatus),
    Litestream(ExitStatus),
    Signal(Signal),
}

impl Ended {
    /// As `types.replication` has it.
    fn word(&self) -> &'static str {
        match self {
            Self::Application(_) => "application",
            Self::Litestream(_) => "daemon",
            Self::Signal(_) => "signal",
        }
    }
}

impl Supervisor<'_> {
    fn because(&self, reason: &'static str) {
        let _the_first_counts = self.reason.set(reason);
        self.ending.send_replace(true);
    }

    pub(super) async fn run(
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
                status = litestream.wait() => {
                    self.because("daemon");
                    return Ok(passthrough::code(status?));
                }
                signal = self.context.stop.stopped() => signal,
            };
            self.because("signal");
            return self.finish(litestream, ended.number(), Exit::Success.code()).await;
        };
        let mut hang_ups = self.context.stop.take_hang_ups();
        if let Some(ended) = self.ready(litestream.as_mut()).await? {
            self.because(ended.word());
            return match ended {
                Ended::Signal(signal) => {
                    self.finish(litestream, signal.number(), signal.exit().code()).await
                }
                Ended::Litestream(status) | Ended::Application(status) => Err(gone(status)
                    .hint("the application was not started; see litestream's message above")),
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
        self.because(ended.word());
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
                let late = Error::new(Code::Litestream, "litestream was not ready in time");
                return Err(late.cause(format!("nothing listens at {}", socket.display())));
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
        // In parallel, as each waits for the next round of its replica.
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
            .hint("they are in the databases, and are replicated when litestream runs again"),
        )
    }
}

pub(super) fn gone(status: ExitStatus) -> Error {
    Error::new(Code::Litestream, format!("litestream ended ({status})"))
}

/// Starts the application in a process group of its own, so that a signal reaches
/// it once, from here.
pub(super) fn start(context: &Context, application: &[OsString]) -> Result<Box<dyn ChildWrapper>> {
    let (program, arguments) =
        application.split_first().ok_or_else(|| Error::usage("-exec names no command"))?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(&context.cwd);
    command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    child::die_with_parent(&mut command);
    child::leader(command).map_err(|error| not_started(program, &error))
}

pub(super) fn not_started(program: &OsStr, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot run {}", program.to_string_lossy()))
        .cause(error)
        .hint("no shell is used: for pipes and variables name one, as in sh -c '…'")
}

/// Passes a signal on and waits for the application's end.
pub(super) async fn end(application: &mut dyn ChildWrapper, signal: i32) -> u8 {
    let _gone = application.signal(signal);
    match tokio::time::timeout(APPLICATION_GRACE, application.wait()).await {
        Ok(Ok(status)) => passthrough::code(status),
        _ => {
            child::end(application, 9, MARGIN).await;
            128 + 9
        }
    }
}
