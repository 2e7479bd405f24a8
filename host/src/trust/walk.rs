//! The walk from `/` to a path, descriptor by descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::{Distrust, Trust, groups};

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

/// Looks at an entry without opening it, and never follows a link.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One folder of the way, open.
struct OpenFolder {
    folder: OwnedFd,
    path: PathBuf,
    /// Others may write it, and it is sticky.
    shared: bool,
}

/// The result of the walk.
struct End {
    /// The folder that it is in.
    parent: OwnedFd,
    name: OsString,
    path: PathBuf,
}

struct Walk<'a> {
    trust: &'a Trust,
    steps: Vec<OpenFolder>,
    /// What is in a folder like `/tmp` has to be this user's or root's.
    strict: bool,
    /// Folders that are missing are made, each in one that is trusted.
    make: bool,
}

/// Opens a trusted regular file.
pub(super) fn file(trust: &Trust, path: &Path) -> Result<File, Distrust> {
    let mut walk = Walk::start(trust, false)?;
    let Some(end) = walk.go(path)? else { return Err(Distrust::NotAFile(path.to_owned())) };
    open(&walk, &end)
}

/// Opens what is at the end of a walk.
fn open(walk: &Walk<'_>, end: &End) -> Result<File, Distrust> {
    let failed = |error: rustix::io::Errno| Distrust::Io(end.path.clone(), error.into());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&end.parent, &end.name, flags, Mode::empty()).map_err(failed)?;
    // What counts is what was opened, not what was there a moment ago.
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Distrust::NotAFile(end.path.clone()));
    }
    walk.check(file.as_fd(), &stat, &end.path, false)?;
    Ok(file.into())
}

/// Opens a trusted regular file of a folder that [`folder`] has opened.
pub(super) fn file_in(trust: &Trust, folder: &OwnedFd, path: &Path) -> Result<File, Distrust> {
    let Some(name) = path.file_name() else { return Err(Distrust::NotAFile(path.to_owned())) };
    let looked =
        look(folder.as_fd(), name).map_err(|error| Distrust::Io(path.to_owned(), error.into()))?;
    match FileType::from_raw_mode(looked.stat.st_mode) {
        FileType::Symlink => return file(trust, path),
        // Others need not even be asked for a device or a FIFO.
        FileType::RegularFile => {}
        _ => return Err(Distrust::NotAFile(path.to_owned())),
    }
    let parent = folder.try_clone().map_err(|error| Distrust::Io(path.to_owned(), error))?;
    let end = End { parent, name: name.to_owned(), path: path.to_owned() };
    open(&Walk { trust, steps: Vec::new(), strict: false, make: false }, &end)
}

/// Opens a trusted folder; with `make` it is made with mode 0700 if it is missing.
pub(super) fn folder(trust: &Trust, path: &Path, make: bool) -> Result<OwnedFd, Distrust> {
    let mut walk = Walk { make, ..Walk::start(trust, false)? };
    if let Some(end) = walk.go(path)? {
        return Err(Distrust::NotAFolder(end.path));
    }
    let Some(last) = walk.steps.pop() else { return Err(Distrust::NotAFolder(path.to_owned())) };
    let stat = stat(last.folder.as_fd(), &last.path)?;
    // Others may not add to it either, sticky or not.
    walk.check(last.folder.as_fd(), &stat, &last.path, false)?;
    Ok(last.folder)
}

/// Whether every folder above `path` is trusted; in a folder like `/tmp` only what is
/// this user's or root's.
pub(super) fn chain(trust: &Trust, path: &Path) -> Result<(), Distrust> {
    let parent = path.parent().unwrap_or(path);
    let mut walk = Walk::start(trust, true)?;
    if let Some(end) = walk.go(parent)? {
        return Err(Distrust::NotAFolder(end.path));
    }
    match walk.steps.pop() {
        Some(last) if last.shared => Err(Distrust::Writable { path: last.path, fix: "go-w" }),
        _ => Ok(()),
    }
}

impl<'a> Walk<'a> {
    fn start(trust: &'a Trust, strict: bool) -> Result<Self, Distrust> {
        let mut walk = Self { trust, steps: Vec::new(), strict, make: false };
        walk.go_to_root()?;
        Ok(walk)
    }

    fn go_to_root(&mut self) -> Result<(), Distrust> {
        let path = PathBuf::from("/");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|error| Distrust::Io(path.clone(), error.into()))?;
        let stat = stat(folder.as_fd(), &path)?;
        let shared = self.check(folder.as_fd(), &stat, &path, true)?;
        self.steps = vec![OpenFolder { folder, path, shared }];
        Ok(())
    }

    /// Walks to `path`. None when it is a folder, which is then the last step; what
    /// is not a folder has been examined and not opened.
    fn go(&mut self, path: &Path) -> Result<Option<End>, Distrust> {
        let absolute = std::path::absolute(path).map_err(|e| Distrust::Io(path.to_owned(), e))?;
        let mut left = parts(&absolute);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                if self.steps.len() > 1 {
                    self.steps.pop();
                }
                continue;
            }
            let Some(here) = self.steps.last() else { break };
            let path = here.path.join(&name);
            let failed = |error: rustix::io::Errno| Distrust::Io(path.clone(), error.into());
            let looked = match look(here.folder.as_fd(), &name) {
                Err(rustix::io::Errno::NOENT) if self.make => {
                    match rustix::fs::mkdirat(&here.folder, &name, Mode::RWXU) {
                        // Another process was faster.
                        Ok(()) | Err(rustix::io::Errno::EXIST) => look(here.folder.as_fd(), &name),
                        Err(error) => Err(error),
                    }
                }
                looked => looked,
            };
            let looked = looked.map_err(failed)?;
            if self.strict && here.shared && !Trust::mine().holds(looked.stat.st_uid) {
                return Err(Distrust::Owner { path, owner: looked.stat.st_uid });
            }
            match FileType::from_raw_mode(looked.stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(failed(rustix::io::Errno::LOOP));
                    }
                    if !self.trust.holds(looked.stat.st_uid) {
                        return Err(Distrust::Owner { path, owner: looked.stat.st_uid });
                    }
                    let target = looked.target(here.folder.as_fd(), &name).map_err(failed)?;
                    if target.is_absolute() {
                        self.go_to_root()?;
                    }
                    for part in parts(&target).into_iter().rev() {
                        left.push_front(part);
                    }
                }
                FileType::Directory => {
                    let folder = looked.into_folder(here.folder.as_fd(), &name).map_err(failed)?;
                    let stat = stat(folder.as_fd(), &path)?;
                    let shared = self.check(folder.as_fd(), &stat, &path, true)?;
                    self.steps.push(OpenFolder { folder, path, shared });
                }
                _ if !left.is_empty() => return Err(Distrust::NotAFolder(path)),
                kind => {
                    // Others need not even be asked for a device or a FIFO.
                    if kind != FileType::RegularFile && kind != FileType::Socket {
                        return Err(Distrust::NotAFile(path));
                    }
                    let parent = here.folder.try_clone();
                    let parent = parent.map_err(|error| Distrust::Io(path.clone(), error))?;
                    return Ok(Some(End { parent, name, path }));
                }
            }
        }
        Ok(None)
    }

    /// Owner and mode of something that is open. True for a folder that others may
    /// write and that is sticky, if that is allowed.
    fn check(
        &self,
        opened: BorrowedFd<'_>,
        stat: &Stat,
        path: &Path,
        sticky_is_fine: bool,
    ) -> Result<bool, Distrust> {
        if !self.trust.holds(stat.st_uid) {
            return Err(Distrust::Owner { path: path.to_owned(), owner: stat.st_uid });
        }
        let by_all = stat.st_mode & 0o002 != 0;
        let by_group = stat.st_mode & 0o020 != 0
            && (has_access_list(opened) || !groups::is_private(stat.st_gid, &self.trust.owners));
        let sticky = stat.st_mode & 0o1000 != 0;
        if !by_all && !by_group {
            return Ok(false);
        }
        if sticky && sticky_is_fine {
            return Ok(true);
        }
        let fix = match (by_group, by_all) {
            (true, true) => "go-w",
            (true, false) => "g-w",
            _ => "o-w",
        };
        Err(Distrust::Writable { path: path.to_owned(), fix })
    }
}

/// The names on the way, `..` among them.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn stat(opened: BorrowedFd<'_>, path: &Path) -> Result<Stat, Distrust> {
    rustix::fs::fstat(opened).map_err(|error| Distrust::Io(path.to_owned(), error.into()))
}

/// An entry that was examined.
struct Looked {
    stat: Stat,
    #[cfg(target_os = "linux")]
    entry: OwnedFd,
}

#[cfg(target_os = "linux")]
fn look(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Looked> {
    let entry = rustix::fs::openat(folder, name, LOOK, Mode::empty())?;
    Ok(Looked { stat: rustix::fs::fstat(&entry)?, entry })
}

#[cfg(target_os = "linux")]
impl Looked {
    fn target(&self, _folder: BorrowedFd<'_>, _name: &OsStr) -> rustix::io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.entry, "", Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    fn into_folder(self, _folder: BorrowedFd<'_>, _name: &OsStr) -> rustix::io::Result<OwnedFd> {
        Ok(self.entry)
    }
}

#[cfg(not(target_os = "linux"))]
fn look(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Looked> {
    let stat = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Looked { stat })
}

#[cfg(not(target_os = "linux"))]
impl Looked {
    fn target(&self, folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    fn into_folder(self, folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, name, flags, Mode::empty())
    }
}

/// Whether an access list says more about who may write than the mode: its mask
/// is in the group's bits.
#[cfg(target_os = "linux")]
fn has_access_list(opened: BorrowedFd<'_>) -> bool {
    // By the path of the descriptor, as one that only looks has no attributes.
    let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
    rustix::fs::getxattr_query(path, "system.posix_acl_access").is_ok_and(|size| size > 0)
}

#[cfg(not(target_os = "linux"))]
fn has_access_list(_opened: BorrowedFd<'_>) -> bool {
    false
}

impl From<Distrust> for io::Error {
    fn from(distrust: Distrust) -> Self {
        match distrust {
            Distrust::Io(_, error) => error,
            other => Self::new(io::ErrorKind::PermissionDenied, other.to_string()),
        }
    }
}
