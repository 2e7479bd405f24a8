//! Where the control socket of a daemon that `lsrun replicate` runs is, so that
//! `verify` and `sync` find it. A socket's path has at most about 100 bytes, so it
//! cannot be in the project's folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::code::Code;
use crate::digest::hex;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::daemon::Control;
use crate::trust::Trust;
use crate::{cache, config};

const SOCKET: &str = "litestream.sock";

/// What fits into an address, in bytes: 107 on Linux, 103 elsewhere.
const LONGEST: usize = 103;

/// The folders in which a daemon's folder may lie, best first. A service and a shell
/// have different variables, so all of them are searched.
fn bases(session: &Session) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let mut bases = Vec::new();
    if let Some(folder) = session.environment.get("XDG_RUNTIME_DIR") {
        bases.push(PathBuf::from(folder).join("lsrun"));
    }
    bases.push(PathBuf::from(format!("/run/user/{user}")).join("lsrun"));
    bases.push(std::env::temp_dir().join(format!("lsrun-{user}.run")));
    bases.push(PathBuf::from("/tmp").join(format!("lsrun-{user}.run")));
    // Names in /tmp can be taken by anybody; these cannot.
    if user == 0 {
        bases.push(PathBuf::from("/run/lsrun"));
    }
    bases.extend(cache::root(&session.environment).ok().map(|root| root.join("run")));
    bases
}

/// One name for each project.
fn name(session: &Session) -> String {
    let project = session.project.file.as_ref().unwrap_or(&session.project.root);
    let project = std::fs::canonicalize(project).unwrap_or_else(|_gone| project.clone());
    let digest = Sha256::digest(project.as_os_str().as_encoded_bytes());
    hex(&digest[..8])
}

/// The control sockets of daemons that may be running: the configured one, then
/// those of daemons that `lsrun replicate` runs for this project.
#[must_use]
pub(crate) fn sockets(session: &Session) -> Vec<PathBuf> {
    // Without a project there is no configured one.
    let configured = session.config().ok().and_then(|config| config.socket());
    configured.into_iter().chain(own_sockets(session)).collect()
}

/// The control socket of a daemon that runs: the configured one, that of
/// `lsrun replicate`, or litestream's default.
///
/// Fails (exit 22) with the places that were checked.
pub(crate) fn live(session: &Session) -> Result<PathBuf> {
    let configured = session.config().ok().and_then(|config| config.socket());
    let own = own_sockets(session);
    let default = PathBuf::from(config::DEFAULT_SOCKET);
    let all: Vec<PathBuf> = configured.iter().cloned().chain(own).chain([default]).collect();
    let listens = |socket: &&PathBuf| std::os::unix::net::UnixStream::connect(socket).is_ok();
    if let Some(socket) = all.iter().find(listens) {
        return Ok(socket.clone());
    }
    let mut error = Error::new(Code::Litestream, "no litestream daemon of this project is running");
    let places = configured.into_iter().chain(places(session));
    for place in places.chain([PathBuf::from(config::DEFAULT_SOCKET)]) {
        error = error.cause(format!("tried {}", place.display()));
    }
    Err(error.hint("start it with `lsrun replicate`, or name its control socket: -socket PATH"))
}

/// Those of them that exist.
pub(crate) fn controls(session: &Session) -> impl Iterator<Item = Control> {
    sockets(session).into_iter().filter_map(|socket| Control::at(&socket))
}

/// Where the socket of `lsrun replicate` may be.
fn places(session: &Session) -> Vec<PathBuf> {
    let name = name(session);
    let mut places: Vec<PathBuf> =
        bases(session).into_iter().map(|base| base.join(&name).join(SOCKET)).collect();
    places.dedup();
    places
}

fn own_sockets(session: &Session) -> Vec<PathBuf> {
    let trusted = |socket: &PathBuf| {
        // Another user's socket could answer anything.
        let folder = socket.parent();
        folder.is_some_and(|folder| Trust::mine().folder(folder).is_ok()) && socket.exists()
    };
    places(session).into_iter().filter(trusted).collect()
}

/// A private folder for the socket of a daemon that is about to start. Dropped, it
/// is removed.
#[derive(Debug)]
pub(crate) struct Runtime {
    folder: PathBuf,
}

impl Runtime {
    /// Makes the folder in the first place that allows it.
    pub(crate) fn create(session: &Session) -> Result<Self> {
        let name = name(session);
        let mut last = None;
        for base in bases(session) {
            // `/run/user/…` is the system's to make.
            if base.parent().is_none_or(|parent| !parent.is_dir()) {
                continue;
            }
            let folder = base.join(&name);
            if folder.join(SOCKET).as_os_str().len() > LONGEST {
                continue;
            }
            match cache::ensure_private(&base).and_then(|()| cache::ensure_private(&folder)) {
                Ok(()) => return Ok(Self { folder }),
                Err(error) => last = Some(error),
            }
        }
        let error = Error::new(Code::Unexpected, "no folder for the control socket");
        Err(match last {
            Some(cause) => error.cause(cause.one_line()),
            None => error,
        }
        .hint("set XDG_RUNTIME_DIR, or configure litestream.socket"))
    }

    /// The path of the socket.
    #[must_use]
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(self.socket());
        let _not_empty = std::fs::remove_dir(&self.folder);
        if let Some(base) = self.folder.parent() {
            let _not_empty = std::fs::remove_dir(base);
        }
    }
}
