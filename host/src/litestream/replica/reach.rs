//! Whether a replica's storage answers, in milliseconds and without writing.
//! For a dead endpoint, litestream itself says nothing for two minutes.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use tokio::net::TcpStream;

use crate::code::Code;
use crate::config::Replica;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::project::Database;

/// Connects to the host of the database's replica, or examines its folder.
///
/// A folder that does not exist yet is fine: litestream creates it.
pub(crate) async fn reach(session: &Session, database: &Database, timeout: Duration) -> Result<()> {
    answers(&session.config()?.replica(database)?, timeout).await
}

/// The same for a replica URL.
pub(crate) async fn reach_url(session: &Session, url: &str, timeout: Duration) -> Result<()> {
    answers(&Replica::of_url(url, &session.environment), timeout).await
}

async fn answers(replica: &Replica, timeout: Duration) -> Result<()> {
    if let Some(folder) = &replica.folder {
        return match std::fs::read_dir(folder) {
            Ok(_entries) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(silent(replica).cause(error)),
        };
    }
    let Some((host, port)) = &replica.endpoint else { return Ok(()) };
    connect(host, *port, timeout).await.map_err(|why| silent(replica).cause(why))
}

fn silent(replica: &Replica) -> Error {
    Error::new(Code::Unreachable, format!("the replica does not answer: {}", replica.description))
        .hint("check its address and the network")
}

/// Whether a server accepts connections there. Fails with the reason.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    timeout: Duration,
) -> std::result::Result<(), String> {
    match tokio::time::timeout(timeout, TcpStream::connect((host, port))).await {
        Ok(Ok(_connected)) => Ok(()),
        Ok(Err(error)) => Err(format!("{host}:{port}: {error}")),
        Err(_late) => Err(format!("{host}:{port}: no answer in {timeout:?}")),
    }
}

/// Whether files can be written in `folder`, or it can be made, as far as that can be
/// seen without doing it. Fails with the reason.
pub(crate) fn writable(folder: &Path) -> std::result::Result<(), String> {
    for at in folder.ancestors() {
        let kind = match std::fs::metadata(at) {
            Ok(kind) => kind,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", at.display())),
        };
        if !kind.is_dir() {
            return Err(format!("{} is not a folder", at.display()));
        }
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        return accessat(CWD, at, access, AtFlags::EACCESS)
            .map_err(|error| format!("{}: {}", at.display(), std::io::Error::from(error)));
    }
    Err("the folder does not exist".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::writable;

    #[test]
    fn a_folder_is_writable_where_its_nearest_one_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(writable(&folder.path().join("a/b/c")), Ok(()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(writable(&file.join("x")).unwrap_err().contains("Not a directory"));
        assert!(writable(&file).unwrap_err().contains("not a folder"));
        let closed = folder.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
        // Root may write everywhere.
        let root = rustix::process::geteuid().is_root();
        assert_eq!(writable(&closed.join("x")).is_ok(), root);
    }
}
