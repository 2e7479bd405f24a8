//! The private configuration file of one litestream.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::code::Code;
use crate::config::ChildConfig;
use crate::error::{Error, Result};
use crate::litestream::Session;

/// A configuration file of mode 0600, removed when dropped.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    pub(crate) variables: Vec<(String, crate::secret::Secret)>,
}

impl ConfigFile {
    /// Writes the configuration to the run's private folder.
    pub(crate) fn write(session: &Session, config: ChildConfig) -> Result<Self> {
        if let Some(note) = config.note {
            session.notes.note_once(note);
        }
        let number = session.config_files.fetch_add(1, Ordering::Relaxed);
        let path = session.scratch()?.path().join(format!("litestream-{number}.yml"));
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(config.yaml.as_bytes())
        };
        write().map_err(|error| {
            Error::new(Code::Io, format!("cannot write {}", path.display())).cause(error)
        })?;
        Ok(Self { path, variables: config.variables })
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ignored = std::fs::remove_file(&self.path);
    }
}
