//! What everything that concerns litestream needs: the project, and the things
//! that are created once and only when needed. It does not know the terminal.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use crate::config::Config;
use crate::environment::Environment;
use crate::error::Result;
use crate::litestream::binary::find::{Wanted, find};
use crate::litestream::binary::found::Binary;
use crate::litestream::room::{Rooms, RunId};
use crate::notes::Notes;
use crate::project::Project;
use crate::scratch::Scratch;
use crate::sqlite::Threads;
use crate::stop::Stop;

/// What one run needs to work with litestream.
pub(crate) struct Session {
    /// The project file.
    pub project: Project,
    /// The environment it started with.
    pub environment: Environment,
    /// The folder it was called in; paths of the command line are relative to it.
    pub cwd: PathBuf,
    /// Whether it is being stopped.
    pub stop: Stop,
    /// Where to say what the user should know.
    pub notes: Arc<dyn Notes>,
    /// The threads of its connections to databases.
    pub connections: Threads,
    /// Room on the disk for restored copies.
    pub(super) rooms: Arc<Rooms>,
    /// How many restores run now.
    pub(super) restores: Arc<AtomicUsize>,
    /// How many configuration files were written for litestream.
    pub(super) config_files: AtomicU64,
    config: OnceLock<Result<Config>>,
    scratch: OnceLock<Result<Scratch>>,
    binary: OnceCell<Result<Binary>>,
}

impl Session {
    /// Nothing is rendered, downloaded or created yet.
    #[must_use]
    pub(crate) fn new(
        project: Project,
        environment: Environment,
        cwd: PathBuf,
        stop: Stop,
        notes: Arc<dyn Notes>,
    ) -> Self {
        Self {
            project,
            environment,
            cwd,
            stop,
            notes,
            connections: Threads::default(),
            rooms: Arc::default(),
            restores: Arc::default(),
            config_files: AtomicU64::new(0),
            config: OnceLock::new(),
            scratch: OnceLock::new(),
            binary: OnceCell::new(),
        }
    }

    /// The Litestream configuration, checked. Its warnings are printed once.
    pub(crate) fn config(&self) -> Result<&Config> {
        self.config
            .get_or_init(|| {
                let config = Config::of(&self.project, &self.environment)?;
                for warning in &config.warnings {
                    self.notes.warning(warning);
                }
                Ok(config)
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The id of a run that begins.
    pub(crate) fn run(&self) -> RunId {
        self.rooms.run()
    }

    /// The private folder of this session.
    pub(crate) fn scratch(&self) -> Result<&Scratch> {
        self.scratch.get_or_init(Scratch::temporary).as_ref().map_err(Clone::clone)
    }

    /// The litestream binary, downloaded if there is none.
    pub(crate) async fn binary(&self) -> Result<&Binary> {
        self.binary
            .get_or_init(|| async {
                let (bin_path, version) = self.project.litestream_wanted();
                let wanted = Wanted { bin_path, version };
                find(&wanted, &self.environment, &*self.notes).await
            })
            .await
            .as_ref()
            .map_err(Clone::clone)
    }
}
