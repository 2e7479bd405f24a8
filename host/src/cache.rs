//! The folder for what lsrun can recreate: the litestream binary
//! and compiled components. It belongs to the user alone, since what is in it is run.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::trust::{self, Distrust};

/// The root of the cache: `LSRUN_CACHE_DIR`, else `lsrun` in the platform's cache
/// folder (`XDG_CACHE_HOME`, `~/.cache`).
///
/// Fails when there is neither the variable nor a home folder.
pub(crate) fn root(environment: &Environment) -> Result<PathBuf> {
    if let Some(folder) = environment.get("LSRUN_CACHE_DIR") {
        return std::path::absolute(folder)
            .map_err(|error| Error::usage("LSRUN_CACHE_DIR is not a path").cause(error));
    }
    etcetera::choose_base_strategy().map(|base| base.cache_dir().join("lsrun")).map_err(|error| {
        Error::new(Code::Unexpected, "no cache folder: there is no home folder")
            .cause(error)
            .hint("set LSRUN_CACHE_DIR to a folder that only this user can write")
    })
}

/// Creates `folder` with mode 0700 when it is missing and refuses one that other
/// users own or may write, or whose parents they may: code is loaded from it.
pub(crate) fn ensure_private(folder: &Path) -> Result<()> {
    trust::private_folder(folder).map_err(|distrust| refused(folder, &distrust))
}

fn refused(folder: &Path, distrust: &Distrust) -> Error {
    let folder = folder.display();
    let instead = "set LSRUN_CACHE_DIR to a folder that only this user can write";
    if !distrust.is_about_others() {
        return Error::new(Code::Unexpected, format!("cannot use the cache folder {folder}"))
            .cause(distrust)
            .hint(instead);
    }
    let message = format!("the cache folder {folder} can be changed by others");
    let error = Error::new(Code::Unexpected, message).cause(distrust);
    match distrust.fix() {
        Some(fix) => error.hint(format!("{fix}, or {instead}")),
        None => error.hint(instead),
    }
}

/// Writes `bytes` to `target` so that readers see the old file or the whole new
/// one: a temporary file in the same folder, `mode`, synced, renamed.
pub(crate) fn write_atomically(target: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}
