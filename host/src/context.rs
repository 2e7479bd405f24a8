//! What every command shares: a [session](Session) with litestream, and the reporter
//! that shows what happens.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::environment::Environment;
use crate::litestream::Session;
use crate::project::Project;
use crate::report::reporter::Reporter;
use crate::stop::Stop;

/// One run of lsrun: its session, to which it dereferences, and its reporter.
pub(crate) struct Context {
    /// What is done with litestream.
    pub session: Arc<Session>,
    /// Shows what happens.
    pub reporter: Arc<Reporter>,
    /// Which of the project's plugins may run.
    pub plugins: PluginUse,
}

/// Which of the project's plugins may run, by the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PluginUse {
    /// Only those that lsrun.lock has (`--locked`); decided by the environment if not said.
    pub locked: Option<bool>,
    /// None of them (`--no-plugins`).
    pub none: bool,
}

impl Context {
    /// Nothing is rendered, downloaded or created yet.
    #[must_use]
    pub(crate) fn new(
        project: Project,
        environment: Environment,
        cwd: PathBuf,
        reporter: Arc<Reporter>,
        stop: Stop,
    ) -> Self {
        let notes = reporter.notes();
        let session = Arc::new(Session::new(project, environment, cwd, stop, notes));
        Self { session, reporter, plugins: PluginUse::default() }
    }

    /// The same run with these plugins.
    #[must_use]
    pub(crate) fn using(self, plugins: PluginUse) -> Self {
        Self { plugins, ..self }
    }

    /// The same run with every `$` of the configuration read literally
    /// (`-no-expand-env`).
    #[must_use]
    pub(crate) fn without_expansion(self) -> Self {
        let Session { project, environment, cwd, stop, .. } = &*self.session;
        let project = project.clone().without_expansion();
        Self::new(project, environment.clone(), cwd.clone(), self.reporter, stop.clone())
            .using(self.plugins)
    }

    /// Says what the user may want to know of the project.
    pub(crate) fn say_notes(&self) {
        for note in &self.project.notes {
            self.notes.note(note);
        }
    }
}

impl Deref for Context {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
