//! Which paths are trusted: the one place that decides whether another user could
//! have put something there, or could change it.
//!
//! A path is trusted when it and every folder above it belong to this user or to
//! root and nobody else may write them. It is walked from `/` by descriptors,
//! without following links blindly: a link's own owner and everything on the way to
//! its target count as well, so that what was checked is what is opened. A folder
//! that everybody can write and that is sticky (`/tmp`) is accepted on the way, as its
//! entries are checked themselves. The caller decides what to do about a path that is
//! not trusted; the rules are those of OpenSSH's `StrictModes` and of
//! git's `safe.directory`, with user-private groups allowed.

mod groups;
mod peer;
mod walk;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub(crate) use self::peer::peer_is_trusted;
use crate::code::Code;
use crate::error::Error;

/// Whose files are trusted, besides root's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    owners: Vec<u32>,
}

impl Trust {
    /// This user's (by the effective id).
    #[must_use]
    pub(crate) fn mine() -> Self {
        Self { owners: vec![me()] }
    }

    /// Also those of the user `owner`, for what the user has named: a project file
    /// that was named with `-C` runs what its owner wants.
    #[must_use]
    pub(crate) fn and(mut self, owner: Option<u32>) -> Self {
        self.owners.extend(owner);
        self
    }

    fn holds(&self, uid: u32) -> bool {
        uid == 0 || self.owners.contains(&uid)
    }

    /// Opens a regular file for reading. It never blocks, and nothing but a regular
    /// file is opened.
    pub(crate) fn file(&self, path: &Path) -> Result<File, Distrust> {
        walk::file(self, path)
    }

    /// [`Self::file`] for one in a folder that [`Self::folder`] has opened: what is above
    /// it is not examined once more.
    pub(crate) fn file_in(&self, folder: &OwnedFd, path: &Path) -> Result<File, Distrust> {
        walk::file_in(self, folder, path)
    }

    /// Opens a folder.
    pub(crate) fn folder(&self, path: &Path) -> Result<OwnedFd, Distrust> {
        walk::folder(self, path, false)
    }

    /// The content of a regular file of at most `most` bytes.
    pub(crate) fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, Distrust> {
        read(self.file(path)?, path, most)
    }

    /// [`Self::read`] for one in a folder that [`Self::folder`] has opened.
    pub(crate) fn read_in(
        &self,
        folder: &OwnedFd,
        path: &Path,
        most: u64,
    ) -> Result<Vec<u8>, Distrust> {
        read(self.file_in(folder, path)?, path, most)
    }

    /// Whether the folders above `path` are trusted, all of them. In a sticky folder
    /// that everybody can write, only what is this user's or root's is.
    fn chain_of(&self, path: &Path) -> Result<(), Distrust> {
        walk::chain(self, path)
    }
}

fn read(file: File, path: &Path, most: u64) -> Result<Vec<u8>, Distrust> {
    let mut bytes = Vec::new();
    let failed = |error| Distrust::Io(path.to_owned(), error);
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Distrust::TooLarge { path: path.to_owned(), most });
    }
    Ok(bytes)
}

/// The effective id of this user.
pub(crate) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates `folder` with mode 0700 if it is missing, and makes sure that it is
/// this user's own and that nobody else can write it or exchange it.
pub(crate) fn private_folder(folder: &Path) -> Result<(), Distrust> {
    let opened = walk::folder(&Trust::mine(), folder, true)?;
    let stat = rustix::fs::fstat(&opened)
        .map_err(|error| Distrust::Io(folder.to_owned(), error.into()))?;
    if stat.st_uid == me() {
        Ok(())
    } else {
        Err(Distrust::Owner { path: folder.to_owned(), owner: stat.st_uid })
    }
}

/// Why a path is not trusted, or cannot be opened.
#[derive(Debug)]
pub enum Distrust {
    /// It cannot be opened or read.
    Io(PathBuf, io::Error),
    /// It is not a regular file: a device, a FIFO, a folder.
    NotAFile(PathBuf),
    /// It is not a folder.
    NotAFolder(PathBuf),
    /// It has more than `most` bytes.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        most: u64,
    },
    /// It belongs to another user.
    Owner {
        /// The file, link or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may write it.
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// What has to be taken from its mode: `go-w`, `g-w`, `o-w`.
        fix: &'static str,
    },
}

impl Distrust {
    /// Whether there is nothing at the path at all.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(_, error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether it is about who owns or may write a path, and not about opening it.
    #[must_use]
    pub fn is_about_others(&self) -> bool {
        matches!(self, Self::Owner { .. } | Self::Writable { .. })
    }

    /// The command that sets it right, if there is one.
    #[must_use]
    pub fn fix(&self) -> Option<String> {
        let quoted = |path: &Path| shell_words::quote(&path.to_string_lossy()).into_owned();
        match self {
            Self::Owner { path, .. } => Some(format!("chown -h {} {}", me(), quoted(path))),
            Self::Writable { path, fix } => Some(format!("chmod {fix} {}", quoted(path))),
            _ => None,
        }
    }

    /// As an error under `message`, with what to do.
    #[must_use]
    pub(crate) fn error(&self, code: Code, message: impl Into<String>) -> Error {
        let error = Error::new(code, message).cause(self);
        match self.fix() {
            Some(fix) => error.hint(format!("make sure that nobody else can change it: {fix}")),
            None => error,
        }
    }
}

impl std::error::Error for Distrust {}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::NotAFolder(path) => write!(f, "{} is not a folder", path.display()),
            Self::TooLarge { path, most } => {
                write!(f, "{} has more than {} MiB", path.display(), most >> 20)
            }
            Self::Owner { path, owner } => {
                write!(f, "{} belongs to another user ({})", path.display(), groups::user(*owner))
            }
            Self::Writable { path, .. } => {
                write!(f, "{} can be written by others", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests;
