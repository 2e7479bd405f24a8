//! The daemon that replicates the target: told to stop before the swap,
//! and to continue after it, also by the next restore when this one is killed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::error::Result;
use crate::litestream::daemon::{Control, ControlError, Left, sockets};
use crate::litestream::restore::refusal::{busy, remembered};
use crate::litestream::sync::unseen;
use crate::litestream::{Session, daemon};
use crate::scratch::Scratch;

/// How long a daemon may take to check the new database.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that was told to stop replicating a database.
pub(crate) struct StoppedDaemon {
    socket: PathBuf,
    path: PathBuf,
    /// The folder that has the note of it.
    private: PathBuf,
    /// What it was doing.
    pub(crate) left: Left,
}

/// What a restore that may be killed leaves in its private folder.
#[derive(Serialize, Deserialize)]
struct Debt {
    socket: PathBuf,
    path: PathBuf,
}

impl StoppedDaemon {
    /// Tells the daemon to replicate again; a failure is a warning.
    pub(crate) async fn start(self, session: &Session) {
        if !self.left.running {
            session
                .notes
                .note("the daemon was already stopped for this database and stays stopped");
            return;
        }
        let path = self.path.display();
        match start(&self.socket, &self.path).await {
            Ok(DaemonStart::Seen) => {}
            Ok(DaemonStart::Late) => session.notes.note(&format!(
                "the litestream daemon replicates {path} again, and has not caught up yet"
            )),
            Ok(DaemonStart::InTrouble(why)) => session.notes.warning(&format!(
                "the litestream daemon was started for {path} again, but cannot replicate it: {why}"
            )),
            Err(why) => session.notes.warning(&format!(
                "the litestream daemon does not replicate {path} again: {why}; run: lsrun start {path}"
            )),
        }
        Scratch::leave(&self.private, "");
    }
}

/// How far a daemon that was started has come.
enum DaemonStart {
    /// It has read what there is to read.
    Seen,
    /// It is at work; the whole content may have to go to the replica first.
    Late,
    /// It says why it cannot do its work.
    InTrouble(String),
}

async fn start(socket: &Path, path: &Path) -> std::result::Result<DaemonStart, String> {
    let Some(control) = Control::at(socket) else { return Err("it is gone".to_owned()) };
    let explain = |error: ControlError| {
        let explained = error.explain(&path.display().to_string());
        explained.map_or_else(|| "it is gone".to_owned(), |error| error.one_line())
    };
    control.start(path).await.map_err(explain)?;
    if !path.exists() {
        return Ok(DaemonStart::Seen);
    }
    // It opens the database when it first checks it, and until then nothing keeps
    // others from checkpointing what it has not read.
    Ok(match control.look(path, Instant::now() + PATIENCE).await {
        Ok(_local) => DaemonStart::Seen,
        Err(ControlError::Refused(error)) if error.code() == Code::Timeout => DaemonStart::Late,
        Err(error) => DaemonStart::InTrouble(explain(error)),
    })
}

/// Stops the daemon that replicates the target, if there is one.
///
/// `private` is the folder of this restore: what is noted there, the next restore of
/// the target settles with [`settle`] if this one is killed.
pub(crate) async fn stop(
    session: &Session,
    given: &Path,
    target: &Path,
    private: &Path,
) -> Result<Option<StoppedDaemon>> {
    for control in sockets::controls(session) {
        let socket = control.socket().to_owned();
        for path in [given, target] {
            let debt = Debt { socket: socket.clone(), path: path.to_owned() };
            Scratch::leave(private, &serde_json::to_string(&debt).unwrap_or_default());
            match control.stop(path).await {
                Ok(left) => {
                    if !left.running {
                        Scratch::leave(private, "");
                    }
                    let (path, private) = (path.to_owned(), private.to_owned());
                    return Ok(Some(StoppedDaemon { socket, path, private, left }));
                }
                Err(error) => {
                    let Some(error) = error.explain(&path.display().to_string()) else {
                        Scratch::leave(private, "");
                        continue;
                    };
                    // litestream may report that it could not stop although it has: its
                    // last sync failed.
                    if start(&socket, path).await.is_ok() {
                        Scratch::leave(private, "");
                    }
                    // It fails over a missing file as well.
                    return Err(match target.exists() {
                        true => error,
                        false => remembered(target).cause(error.one_line()),
                    });
                }
            }
        }
    }
    if let Some(pid) = daemon::running(target).first() {
        return Err(busy(target, format!("a litestream daemon (process {pid}) replicates it")));
    }
    if unseen::replicates_unseen(target).await {
        let why =
            "a process in another container reads it all the time, as a litestream daemon does";
        return Err(busy(target, why.to_owned()));
    }
    Ok(None)
}

/// Starts the daemons that killed restores had stopped and not started again; what
/// they left is in the notes.
pub(crate) async fn settle(session: &Session, scratch: &Scratch) {
    for debt in scratch.found().iter().filter_map(|note| serde_json::from_str::<Debt>(note).ok()) {
        let path = debt.path.display();
        match start(&debt.socket, &debt.path).await {
            Ok(_whatever_it_says) => session.notes.note(&format!(
                "an earlier restore was cut off while the daemon was stopped for {path}; the daemon replicates it again, but the backup lacks what was written meanwhile until the daemon is restarted"
            )),
            Err(why) => session.notes.warning(&format!(
                "an earlier restore was cut off while the daemon was stopped for {path}, and the daemon cannot be started for it: {why}; run: lsrun start {path}"
            )),
        }
    }
    // What could not be done now has been reported.
    Scratch::leave(scratch.path(), "");
}
