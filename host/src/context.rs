//! What every part of a run shares: the project, the streams, and the things
//! that are made once and only when needed.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::sync::OnceCell;

use crate::config::Config;
use crate::environment::Environment;
use crate::error::Result;
use crate::litestream::binary::{self, Binary, Progress, Wanted};
use crate::project::Project;
use crate::scratch::Scratch;
use crate::stop::Stop;
use crate::terminal::Terminal;

/// One run of lsrun.
pub(crate) struct Context {
    /// The project file.
    pub project: Project,
    /// The environment it started with.
    pub environment: Environment,
    /// The folder it was called in; paths of the command line are relative to it.
    pub cwd: PathBuf,
    /// The streams.
    pub terminal: Terminal,
    /// Whether it is being stopped.
    pub stop: Stop,
    config: OnceLock<Result<Config>>,
    scratch: OnceLock<Result<Scratch>>,
    binary: OnceCell<Result<Binary>>,
}

impl Context {
    /// Nothing is rendered, downloaded or created yet.
    #[must_use]
    pub(crate) fn new(
        project: Project,
        environment: Environment,
        cwd: PathBuf,
        terminal: Terminal,
        stop: Stop,
    ) -> Self {
        Self {
            project,
            environment,
            cwd,
            terminal,
            stop,
            config: OnceLock::new(),
            scratch: OnceLock::new(),
            binary: OnceCell::new(),
        }
    }

    /// The same run with every `$` of the configuration taken literally
    /// (`-no-expand-env`).
    #[must_use]
    pub(crate) fn without_expansion(mut self) -> Self {
        self.project = self.project.without_expansion();
        self.config = OnceLock::new();
        self
    }

    /// The Litestream configuration, checked. Its warnings are printed once.
    pub(crate) fn config(&self) -> Result<&Config> {
        self.config
            .get_or_init(|| {
                let config = Config::of(&self.project, &self.environment)?;
                for warning in &config.warnings {
                    self.terminal.warning(warning);
                }
                Ok(config)
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The private folder of this run.
    pub(crate) fn scratch(&self) -> Result<&Scratch> {
        self.scratch.get_or_init(Scratch::temporary).as_ref().map_err(Clone::clone)
    }

    /// The litestream binary, downloaded where there is none.
    pub(crate) async fn binary(&self) -> Result<&Binary> {
        self.binary
            .get_or_init(|| async {
                let (bin_path, version) = self.project.litestream_wanted();
                let wanted = Wanted { bin_path, version };
                binary::find(&wanted, &self.environment, self).await
            })
            .await
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl Progress for Context {
    fn note(&self, text: &str) {
        self.terminal.note(text);
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        self.terminal.transfer(done, total);
    }

    fn finished(&self) {
        self.terminal.clear();
    }
}
