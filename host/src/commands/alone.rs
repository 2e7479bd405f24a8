//! Whether another daemon replicates the databases, and waiting until it ends.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::daemon;
use crate::litestream::process::line::CommandLine;
use crate::litestream::sync::unseen;
use crate::project::Database;
use crate::stop::Stop;
use crate::{cli, figures};

/// What would show only in a log line, or not at all, once litestream runs.
pub(super) fn free(config: &Config) -> Result<()> {
    for (key, address) in config.addresses() {
        let listen =
            address.strip_prefix(':').map_or(address.clone(), |port| format!("0.0.0.0:{port}"));
        if let Err(error) = std::net::TcpListener::bind(&listen)
            && error.kind() == std::io::ErrorKind::AddrInUse
        {
            return Err(Error::project(format!("the address of {key} is in use: {address}"))
                .cause(error)
                .hint("another litestream may be running; stop it, or choose another port"));
        }
    }
    Ok(())
}

/// How long to wait for another daemon: `--wait TIME`, else a minute for one in another
/// container, as in a rolling deploy, and no time for one that can be seen.
#[derive(Clone, Copy)]
pub(super) struct DaemonPatience {
    seen: Duration,
    unseen: Duration,
}

/// What `--wait` says.
pub(super) fn patience(line: &CommandLine) -> Result<DaemonPatience> {
    let given = line.value("wait").map(|text| cli::duration(&text)).transpose()?;
    Ok(DaemonPatience {
        seen: given.unwrap_or_default(),
        unseen: given.unwrap_or(Duration::from_secs(60)),
    })
}

/// Waits until no other litestream replicates the databases, and refuses if one does
/// not go: two of them on one database damage its replica.
pub(super) async fn alone(
    context: &Context,
    sockets: &[PathBuf],
    databases: &[Database],
    patience: DaemonPatience,
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
                .note(&format!("{}: waiting for it to end, at most {most}", error.one_line()));
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
            "a litestream daemon already listens at {socket}"
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
