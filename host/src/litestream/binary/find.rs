//! Which litestream executable is used: the one the user names, else one on PATH,
//! else the one in lsrun's cache, else a download ([`super::fetch`]). What a
//! version can do is in [`super::feature`]; running commands is not done here.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::litestream::binary::fetch::install;
use crate::litestream::binary::found::{Binary, BinaryOrigin, on_path};
use crate::litestream::binary::source::ReleaseSource;
use crate::litestream::binary::store::Goal;
use crate::litestream::binary::version::{MINIMUM, PINNED, Version};
use crate::litestream::binary::version_probe;
use crate::notes::Progress;

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

/// Finds litestream, downloading it when there is none.
///
/// `LSRUN_LITESTREAM`, `PATH`, `LSRUN_CACHE_DIR`, `LSRUN_DOWNLOAD_URL` and
/// `LSRUN_LITESTREAM_SHA256` (of the executable to download) are read from
/// `environment`. Dropping the future ends a download and leaves nothing behind.
///
/// Fails with exit 21 when the named executable cannot be used, or when there is
/// none and none can be obtained; exit 20 when `wanted.version` is not a version; exit
/// 2 when one of the variables has no possible value.
pub async fn find(
    wanted: &Wanted,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<Binary> {
    find_with(&ReleaseSource::official(), wanted, environment, progress).await
}

/// [`find`] with another place to download from.
pub(crate) async fn find_with(
    source: &ReleaseSource,
    wanted: &Wanted,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<Binary> {
    let cache_root = cache::root(environment);
    let memory = cache_root.as_deref().ok();
    if let Some(path) = environment.get("LSRUN_LITESTREAM") {
        let path = std::path::absolute(path)
            .map_err(|error| Error::usage("LSRUN_LITESTREAM is not a path").cause(error))?;
        return named(path, BinaryOrigin::Environment, memory).await;
    }
    if let Some(path) = &wanted.bin_path {
        return named(path.clone(), BinaryOrigin::BinPath, memory).await;
    }
    let asked = wanted.version.as_deref().map(Version::of_setting).transpose()?;
    if let Some(binary) = search_path(asked.as_ref(), environment, memory, progress).await {
        return Ok(binary);
    }
    let goal = Goal::new(source, asked.unwrap_or(PINNED), &cache_root?, environment)?;
    if let Some(binary) = goal.cached()? {
        return Ok(binary);
    }
    install(&goal, source, environment, progress).await
}

/// The executable that the user named. Its version is accepted as it is: who names
/// one knows why.
pub(crate) async fn named(
    path: PathBuf,
    origin: BinaryOrigin,
    memory: Option<&Path>,
) -> Result<Binary> {
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
    let version = version_probe::version_of(&path, memory)
        .await
        .map_err(|error| error.hint(format!("{origin} names this file; correct or remove it")))?;
    Ok(Binary { path, version, origin })
}

/// The first litestream on PATH that is suitable. Why another is not is noted, never an
/// error: there is still the cache.
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
        let version = match version_probe::version_of(&path, memory).await {
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
                    progress.note(&format!(
                        "{found} does not report a release; lsrun assumes a recent one"
                    ));
                }
                return Some(Binary { path, version, origin: BinaryOrigin::Path });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
