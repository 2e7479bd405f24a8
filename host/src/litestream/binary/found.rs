//! The executable that was found, and who chose it.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::litestream::binary::version::Version;

/// What to do when there is no litestream and none can be downloaded.
pub(crate) const HINT: &str = "install litestream, or name its executable with litestream.bin_path \
     in lsrun.yml or with LSRUN_LITESTREAM; LSRUN_DOWNLOAD_URL names a mirror of its release files";

/// An executable that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Absolute.
    pub path: PathBuf,
    /// What it says of itself. Older than [`super::version::MINIMUM`] only if the user named
    /// the executable or its version.
    pub version: Version,
    /// Who chose it.
    pub origin: BinaryOrigin,
}

/// Where a [`Binary`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryOrigin {
    /// `litestream.bin_path` of the project file.
    BinPath,
    /// `LSRUN_LITESTREAM`.
    Environment,
    /// The `PATH`.
    Path,
    /// lsrun's cache, filled by an earlier run.
    Cache,
    /// Downloaded just now: the URL without credentials, or `pip`.
    Download(String),
}

impl fmt::Display for BinaryOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BinPath => f.write_str("litestream.bin_path"),
            Self::Environment => f.write_str("LSRUN_LITESTREAM"),
            Self::Path => f.write_str("PATH"),
            Self::Cache => f.write_str("cache"),
            Self::Download(from) => write!(f, "downloaded from {from}"),
        }
    }
}

/// The executables called `name` in the absolute folders of PATH, in their order.
/// A relative folder is skipped: what it holds depends on where lsrun is
/// started.
pub(crate) fn on_path(
    name: &'static str,
    environment: &Environment,
) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(environment.get("PATH").unwrap_or_default())
        .filter(|folder| folder.is_absolute())
        .map(move |folder| folder.join(name))
        .filter(|path| {
            std::fs::metadata(path).is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
}
