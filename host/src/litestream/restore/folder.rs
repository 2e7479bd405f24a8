//! The folder of a restore's target, held open: who can change the names in it, and
//! paths into it that stay valid whatever is renamed meanwhile.
//!
//! Whoever owns a folder can put another file, or a link to one, under any name in it
//! at any moment. So files are accessed through descriptors that are opened
//! without following links, and names are changed in the held folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::path::Sidecar;

/// A folder, held open.
#[derive(Debug)]
pub(crate) struct Folder {
    file: File,
    metadata: Metadata,
    /// As it was found: absolute and without links.
    path: PathBuf,
    /// Leads to the held folder, even when its name leads elsewhere.
    through: PathBuf,
    /// Nobody else can move it, or a folder above it.
    fixed: bool,
}

impl Folder {
    /// Opens the folder of `file`, which is absolute, without following a link.
    pub(crate) fn of(file: &Path) -> std::io::Result<Self> {
        let path = folder_of(file).to_owned();
        let (file, fixed) = open(&path)?;
        let metadata = file.metadata()?;
        let through = through(&file, &metadata).unwrap_or_else(|| path.clone());
        Ok(Self { file, metadata, path, through, fixed })
    }

    /// A path into the held folder, for this process.
    pub(crate) fn at(&self, name: &OsStr) -> PathBuf {
        self.through.join(name)
    }

    /// The same as people know it; SQLite, which resolves links itself, accepts it too.
    pub(crate) fn shown(&self, path: &Path) -> PathBuf {
        self.path.join(path.file_name().unwrap_or_default())
    }

    /// The folder itself, to lock and to sync.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// User and group.
    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.metadata.uid(), self.metadata.gid())
    }

    /// The file system that it is on.
    pub(crate) fn device(&self) -> u64 {
        self.metadata.dev()
    }

    /// Whether nobody but this user and root can change the names in it.
    pub(crate) fn is_own(&self) -> bool {
        self.fixed && only_ours(&self.metadata)
    }

    /// Whether nobody else can move it, or a folder above it.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether a folder of this user's own is safe from others in it.
    pub(crate) fn keeps_ours(&self) -> bool {
        self.fixed && names_stay(&self.metadata)
    }
}

/// Whether others cannot change the names of a folder.
fn only_ours(folder: &Metadata) -> bool {
    let me = rustix::process::geteuid().as_raw();
    // Users of one group often share folders; what root does there, it does for them.
    let group = if me == 0 && folder.gid() != 0 { 0o020 } else { 0 };
    [0, me].contains(&folder.uid()) && folder.mode() & (0o002 | group) == 0
}

/// Whether others cannot change the names of this user's files in a folder: in one with
/// the sticky bit, such as `/tmp`, users can change only their own files.
fn names_stay(folder: &Metadata) -> bool {
    let me = rustix::process::geteuid().as_raw();
    only_ours(folder) || (folder.mode() & 0o1000 != 0 && [0, me].contains(&folder.uid()))
}

/// Opens a folder step by step, and says whether nobody else can move one of them.
#[cfg(target_os = "linux")]
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    use rustix::fs::{CWD, Mode, openat};
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = File::from(openat(CWD, "/", step, Mode::empty())?);
    let mut fixed = true;
    for component in path.components() {
        if let std::path::Component::Normal(name) = component {
            fixed &= names_stay(&folder.metadata()?);
            folder = File::from(openat(&folder, name, step, Mode::empty())?);
        }
    }
    let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((File::from(openat(&folder, ".", read, Mode::empty())?), fixed))
}

#[cfg(not(target_os = "linux"))]
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed())
        .open(path)?;
    let above = path.ancestors().skip(1);
    let fixed = above.map(std::fs::metadata).all(|it| it.is_ok_and(|it| names_stay(&it)));
    Ok((file, fixed))
}

/// A path to an open folder that does not depend on its name.
fn through(folder: &File, metadata: &Metadata) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    // Without that file system, its name has to be enough.
    std::fs::metadata(&path).is_ok_and(|it| same(&it, metadata)).then_some(path)
}

/// Whether both are of one file.
pub(crate) fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A file under a name, held without being opened: closing it drops no lock of SQLite's.
#[derive(Debug)]
pub(crate) struct Pinned {
    #[cfg(target_os = "linux")]
    file: File,
    pub(crate) metadata: Metadata,
}

impl Pinned {
    /// What has the name; none when nothing has.
    ///
    /// Fails for what is not a regular file.
    pub(crate) fn at(path: &Path, shown: &Path) -> Result<Option<Self>> {
        let found = Self::open(path);
        let pinned = match found {
            Ok(pinned) => pinned,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(crate::litestream::restore::refusal::io("look at", shown, &error));
            }
        };
        refuse(&pinned.metadata, shown)?;
        Ok(Some(pinned))
    }

    #[cfg(target_os = "linux")]
    fn open(path: &Path) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        Ok(Self { metadata: file.metadata()?, file })
    }

    #[cfg(not(target_os = "linux"))]
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { metadata: std::fs::symlink_metadata(path)? })
    }

    /// Whether the name still leads to it.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|it| same(&it, &self.metadata))
    }

    /// In how many ways this process has it open; none if the system does not say.
    #[cfg(target_os = "linux")]
    pub(crate) fn opened(&self) -> Option<usize> {
        use std::os::fd::AsRawFd;
        let own = self.file.as_raw_fd().to_string();
        let open = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
        let others = open.filter(|entry| entry.file_name().to_str() != Some(&own));
        let of_it = |entry: &std::fs::DirEntry| {
            std::fs::metadata(entry.path()).is_ok_and(|it| same(&it, &self.metadata))
        };
        Some(others.filter(of_it).count())
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn opened(&self) -> Option<usize> {
        None
    }
}

/// Refuses a target that is a device, a FIFO, a socket or a folder, and one beside which
/// one of these has the name of a log. Links are followed; nothing is opened.
///
/// Fails with exit 2.
pub(crate) fn refuse_special(target: &Path) -> Result<()> {
    let target = crate::litestream::restore::links::locate(target)?;
    let of_database = Sidecar::ALL.into_iter().map(|sidecar| (sidecar.of(&target), true));
    for (file, is_sidecar) in [(target.clone(), false)].into_iter().chain(of_database) {
        if let Ok(metadata) = std::fs::symlink_metadata(&file) {
            // SQLite follows no link to a log.
            if !is_sidecar || !metadata.is_symlink() {
                refuse(&metadata, &file)?;
            }
        }
    }
    Ok(())
}

fn refuse(metadata: &Metadata, path: &Path) -> Result<()> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_symlink() {
        "a link"
    } else {
        "a device"
    };
    Err(Error::usage(format!("{} is {what}, not a file", path.display()))
        .hint("name the file to write with -o; lsrun restores to regular files only"))
}

/// Opens a file for reading that has to be regular; a link is not followed, and a FIFO
/// is not waited for.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

/// Makes a file that nobody else can read, under a name that nothing has.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// The name of a file in its folder.
pub(crate) fn name_of(file: &Path) -> OsString {
    file.file_name().unwrap_or_default().to_owned()
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new("/"))
}
