//! Who listens on a socket that was connected to.

use std::path::Path;

use tokio::net::UnixStream;

use super::{Trust, me};

/// Whether the process at the other end runs as this user or as root, whose answers are
/// as good as this user's own; or another user's in a place that only this user, root
/// and that other user may write, such as `/run/litestream`, which was made for it:
/// nobody else can have put the socket there. `socket` is the path that was
/// connected to. `/tmp` does not qualify.
#[must_use]
pub(crate) fn peer_is_trusted(stream: &UnixStream, socket: &Path) -> bool {
    match peer(stream) {
        Some(uid) if uid == me() || uid == 0 => true,
        Some(uid) => Trust::mine().and(Some(uid)).chain_of(socket).is_ok(),
        None => false,
    }
}

/// The user that the other end had when it began to listen (`SO_PEERCRED`).
fn peer(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|credentials| credentials.uid())
}
