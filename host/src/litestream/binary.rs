//! Which litestream executable is used: the one the user names, else one on PATH,
//! else the one in lsrun's cache, else a download ([`super::download`]). What a
//! version can do is in [`super::feature`]; running commands is not done here.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::download::{Goal, Source};
use super::probe;
use super::version::{MINIMUM, PINNED, Version};
use crate::cache;
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::notes::Progress;

/// What to do when there is no litestream and none can be downloaded.
pub(super) const HINT: &str = "install litestream, or name its executable with litestream.bin_path \
     in lsrun.yml or with LSRUN_LITESTREAM; LSRUN_DOWNLOAD_URL names a mirror of its release files";

/// What the caller wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `litestream.bin_path` of the project file, absolute. `LSRUN_LITESTREAM`
    /// wins over it.
    pub bin_path: Option<PathBuf>,
    /// `litestream.version` of the project file, such as `0.5.16`; `None` for
    /// [`PINNED`].
    pub version: Option<String>,
}

/// An executable that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Absolute.
    pub path: PathBuf,
    /// What it says of itself. Older than [`MINIMUM`] only where the user named
    /// the executable or its version.
    pub version: Version,
    /// Who chose it.
    pub origin: Origin,
}

/// Where a [`Binary`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
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

impl fmt::Display for Origin {
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

/// Finds litestream, downloading it when there is none.
///
/// `LSRUN_LITESTREAM`, `PATH`, `LSRUN_CACHE_DIR`, `LSRUN_DOWNLOAD_URL` and
/// `LSRUN_LITESTREAM_SHA256` (of the executable to download) are read from
/// `environment`. Dropping the future ends a download and leaves nothing behind.
///
/// Fails with exit 21 when the named executable cannot be used, or when there is
/// none and none can be had; exit 20 when `wanted.version` is not a version; exit
/// 2 when one of the variables has no possible value.
pub async fn find(
    wanted: &Wanted,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<Binary> {
    find_with(&Source::official(), wanted, environment, progress).await
}

/// [`find`] with another place to download from.
pub(super) async fn find_with(
    source: &Source,
    wanted: &Wanted,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<Binary> {
    let cache_root = cache::root(environment);
    let memory = cache_root.as_deref().ok();
    if let Some(path) = environment.get("LSRUN_LITESTREAM") {
        let path = std::path::absolute(path)
            .map_err(|error| Error::usage("LSRUN_LITESTREAM is not a path").cause(error))?;
        return named(path, Origin::Environment, memory).await;
    }
    if let Some(path) = &wanted.bin_path {
        return named(path.clone(), Origin::BinPath, memory).await;
    }
    let asked = wanted.version.as_deref().map(Version::of_setting).transpose()?;
    if let Some(binary) = search_path(asked.as_ref(), environment, memory, progress).await {
        return Ok(binary);
    }
    let goal = Goal::new(source, asked.unwrap_or(PINNED), &cache_root?, environment)?;
    if let Some(binary) = goal.cached()? {
        return Ok(binary);
    }
    goal.install(source, environment, progress).await
}

/// The executable that the user named. Its version is taken as it is: who names
/// one knows why.
async fn named(path: PathBuf, origin: Origin, memory: Option<&Path>) -> Result<Binary> {
    let refused = |what: &str| {
        Error::new(Code::NoLitestream, format!("{origin} names {}, {what}", path.display())).hint(
            format!(
                "correct {origin}, or remove it: lsrun then looks on PATH and downloads litestream \
             {PINNED} if needed"
            ),
        )
    };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refused("which does not exist"));
        }
        Err(error) => return Err(refused("which cannot be read").cause(error)),
        Ok(metadata) if metadata.is_dir() => {
            return Err(refused("which is a folder, not an executable"));
        }
        Ok(metadata) if !metadata.is_file() => return Err(refused("which is not a file")),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            let hint = format!(
                "make it executable: chmod +x {}",
                shell_words::quote(&path.to_string_lossy())
            );
            return Err(refused("which is not executable").hint(hint));
        }
        Ok(_) => {}
    }
    let version = probe::version_of(&path, memory)
        .await
        .map_err(|error| error.hint(format!("{origin} names this file; correct or remove it")))?;
    Ok(Binary { path, version, origin })
}

/// The first litestream on PATH that will do. Why another will not is noted, never
/// an error: there is still the cache.
async fn search_path(
    asked: Option<&Version>,
    environment: &Environment,
    memory: Option<&Path>,
    progress: &dyn Progress,
) -> Option<Binary> {
    // /bin is often a link to /usr/bin: one executable is judged once.
    let mut seen = BTreeSet::new();
    for path in on_path("litestream", environment) {
        if !seen.insert(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
            continue;
        }
        let version = match probe::version_of(&path, memory).await {
            Ok(version) => version,
            Err(error) => {
                progress.note(&format!("{}; it is not used", error.one_line()));
                continue;
            }
        };
        let found = format!("litestream {version} at {}", path.display());
        match asked {
            Some(asked) if version != *asked => {
                progress.note(&format!(
                    "{found} is not the {asked} that litestream.version asks for; it is not used"
                ));
            }
            None if version < MINIMUM => {
                progress.note(&format!("{found} is older than {MINIMUM}; it is not used"));
            }
            _ => {
                if version.is_development() {
                    progress
                        .note(&format!("{found} tells no release; it is taken for a recent one"));
                }
                return Some(Binary { path, version, origin: Origin::Path });
            }
        }
    }
    None
}

/// The executables called `name` in the absolute folders of PATH, in their order.
/// A relative folder is passed over: what it holds depends on where lsrun is
/// started.
pub(super) fn on_path(
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

#[cfg(test)]
mod tests;
