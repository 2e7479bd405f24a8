//! Where an executable is in the cache, and the lock against a second process that
//! puts one there.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cache;
use crate::code::Code;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::litestream::binary::found::{Binary, BinaryOrigin, HINT};
use crate::litestream::binary::pins::Platform;
use crate::litestream::binary::source::ReleaseSource;
use crate::litestream::binary::version::Version;
use crate::notes::Progress;

/// The prefix of the folders in which a download is put together.
pub(crate) const WORK: &str = ".download-";

/// One executable, and its place in the cache.
pub(crate) struct Goal {
    pub(crate) version: Version,
    pub(crate) platform: Platform,
    /// Of the executable; from `LSRUN_LITESTREAM_SHA256`, else from the pins.
    pub(crate) digest: Option<Digest>,
    /// Of the executable, where the pin says it.
    bytes: Option<u64>,
    pub(crate) cache_root: PathBuf,
    /// `litestream` in the cache: the lock, and one folder per executable.
    pub(crate) shelf: PathBuf,
    /// The folder of this executable.
    folder: PathBuf,
}

impl Goal {
    /// Fails with exit 21 on a platform without executables, and with exit 2 when
    /// `LSRUN_LITESTREAM_SHA256` is not a digest.
    pub(crate) fn new(
        source: &ReleaseSource,
        version: Version,
        cache_root: &Path,
        environment: &Environment,
    ) -> Result<Self> {
        let platform = source.platform.ok_or_else(|| {
            Error::new(
                Code::NoLitestream,
                format!(
                    "lsrun knows no litestream executable for {} on {}",
                    std::env::consts::OS,
                    std::env::consts::ARCH
                ),
            )
            .hint(HINT)
        })?;
        let own = environment
            .get("LSRUN_LITESTREAM_SHA256")
            .map(|hex| {
                Digest::parse(hex.trim()).ok_or_else(|| {
                    Error::usage("LSRUN_LITESTREAM_SHA256 is not a SHA-256")
                        .hint("it takes the 64 hexadecimal digits of the executable itself")
                })
            })
            .transpose()?;
        let pin = source.pins.iter().find(|pin| pin.version == version && pin.platform == platform);
        let digest = own.or(pin.map(|pin| pin.sha256));
        let key = digest.map_or_else(|| platform.to_string(), |digest| digest.short());
        let shelf = cache_root.join("litestream");
        Ok(Self {
            folder: shelf.join(format!("{version}-{key}")),
            shelf,
            cache_root: cache_root.to_owned(),
            bytes: pin.filter(|pin| Some(pin.sha256) == digest).map(|pin| pin.bytes),
            version,
            platform,
            digest,
        })
    }

    pub(crate) fn executable(&self) -> PathBuf {
        self.folder.join("litestream")
    }

    /// The executable in the cache. It was checked before it came there; on each
    /// start the privacy of the folders and its size have to be enough, because hashing
    /// 39 MB takes longer than most commands.
    pub(crate) fn cached(&self) -> Result<Option<Binary>> {
        let path = self.executable();
        let Ok(metadata) = std::fs::metadata(&path) else { return Ok(None) };
        let whole = self.bytes.map_or(metadata.len() > 0, |bytes| bytes == metadata.len());
        if !metadata.is_file() || metadata.permissions().mode() & 0o100 == 0 || !whole {
            return Ok(None);
        }
        for folder in [&self.cache_root, &self.shelf, &self.folder] {
            cache::ensure_private(folder)?;
        }
        Ok(Some(Binary { path, version: self.version.clone(), origin: BinaryOrigin::Cache }))
    }

    /// Moves a checked executable into place: whole and on disk, or not at all.
    pub(crate) fn put(&self, executable: &Path) -> Result<()> {
        cache::ensure_private(&self.folder)?;
        std::fs::rename(executable, self.executable())
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|error| cannot_write(&self.folder, error))
    }

    /// Held until the file is dropped. Asked for again and again instead of with
    /// a blocking call, which nothing could interrupt. `None` if the file
    /// system has no locks: two downloads then do no harm, only work.
    pub(crate) async fn lock(&self, progress: &dyn Progress) -> Result<Option<File>> {
        let path = self.shelf.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| cannot_write(&self.shelf, error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        progress.note("waiting for another lsrun that downloads litestream");
                        told = true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// What a process that was killed left. Only while the lock is held.
pub(crate) fn remove_leftovers(shelf: &Path) {
    let Ok(entries) = std::fs::read_dir(shelf) else { return };
    for entry in entries.filter_map(std::result::Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

pub(crate) fn cannot_write(folder: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(Code::NoLitestream, format!("cannot write litestream to {}", folder.display()))
        .cause(error)
        .hint("make room, or set LSRUN_CACHE_DIR to another folder")
}
