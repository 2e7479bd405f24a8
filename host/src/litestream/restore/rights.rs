//! With which user's rights the files of a folder are accessed.
//!
//! If root restores in another user's folder, it works there with the rights of
//! the database's owner, as the application does. So whatever is put under a
//! name at any moment, root writes, reads and reveals nothing that this user
//! could not have accessed.

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::restore::folder::{Folder, Pinned};
use crate::litestream::restore::refusal::io;

/// Whose rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rights {
    /// This process's own.
    Own,
    /// Those of a user and a group.
    Of {
        /// The user.
        user: u32,
        /// The group.
        group: u32,
    },
}

impl Rights {
    /// Those for the files in a folder, one of which may be there already.
    ///
    /// Fails if root can neither trust the folder nor take the rights of its user.
    pub(crate) fn in_folder(
        folder: &Folder,
        target: &std::path::Path,
        old: Option<&Pinned>,
    ) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;
        if !rustix::process::geteuid().is_root() || folder.is_own() {
            return Ok(Self::Own);
        }
        let owner = old.map(|old| (old.metadata.uid(), old.metadata.gid()));
        let (user, group) = owner.unwrap_or_else(|| folder.owner());
        let rights = Self::Of { user, group };
        // It may be out of reach for the user by its name, as the volume of a container.
        let reached = user != 0
            && rights
                .run(|| old.is_none() || std::fs::symlink_metadata(target).is_ok())
                .map_err(|error| io("take the rights of the user of", target, &error))?;
        if reached {
            return Ok(rights);
        }
        // What others can exchange in the last folder alone is held by descriptors.
        if folder.is_fixed() {
            return Ok(Self::Own);
        }
        let (user, group) = folder.owner();
        Err(Error::new(Code::Io, format!("root cannot safely write {}", target.display()))
            .cause("another user can exchange the folders that lead to it")
            .hint(format!(
                "run lsrun as the user of the folder, or give the database to them (chown {user}:{group} {})",
                shell_words::quote(&target.to_string_lossy())
            )))
    }

    /// Does the work with these rights, in a thread of its own.
    ///
    /// Fails if the system does not give them.
    #[cfg(target_os = "linux")]
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        let Self::Of { user, group } = self else { return Ok(work()) };
        let with_them = move || -> std::io::Result<T> {
            use rustix::process::{Gid, Uid};
            let group = Gid::from_raw(group);
            // On Linux these are of the thread, and this one ends with the work.
            rustix::thread::set_thread_groups(&[group])?;
            rustix::thread::set_thread_res_gid(None, group, None)?;
            rustix::thread::set_thread_res_uid(None, Uid::from_raw(user), None)?;
            Ok(work())
        };
        std::thread::scope(|scope| match scope.spawn(with_them).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Elsewhere rights belong to the whole process: what remains there is the moment
    /// between a check of a name and SQLite's opening of it.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
        Ok(work())
    }
}
