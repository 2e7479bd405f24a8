//! Where lsrun remembers what it found out about a project: outside of it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Project;
use crate::code::Code;
use crate::digest::hex;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::path::identity;

impl Project {
    /// A folder for this project alone: in `LSRUN_STATE_DIR`, else in `lsrun` of
    /// `XDG_STATE_HOME` or `~/.local/state`. Nothing is created yet.
    ///
    /// Fails when there is no folder for it at all.
    pub(crate) fn state_folder(&self, environment: &Environment) -> Result<PathBuf> {
        let folder = if let Some(folder) = environment.get("LSRUN_STATE_DIR") {
            std::path::absolute(folder)?
        } else if let Some(base) = environment.get("XDG_STATE_HOME").map(Path::new)
            && base.is_absolute()
        {
            base.join("lsrun")
        } else if let Some(home) = environment.get("HOME") {
            Path::new(home).join(".local/state/lsrun")
        } else {
            return Err(Error::new(Code::Unexpected, "no folder for the history")
                .hint("set LSRUN_STATE_DIR"));
        };
        let file = identity(self.file.as_deref().unwrap_or(&self.root));
        let digest = Sha256::digest(file.as_os_str().as_encoded_bytes());
        Ok(folder.join(hex(&digest[..8])))
    }
}
