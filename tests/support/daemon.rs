//! A real litestream daemon of a test.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{PROJECT, Sandbox, litestream, wait_until, without_what_lsrun_reads};

/// A running `litestream replicate`. Dropped, it is killed.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Replicates `db.sqlite3` of the sandbox to `replica`; `more` is added to the
    /// configuration. Returns when the database has been replicated once.
    pub(crate) fn start(sandbox: &Sandbox, more: &str) -> Self {
        let (database, replica) = (sandbox.path("db.sqlite3"), sandbox.path("replica"));
        let config = format!(
            "{more}\ndbs:\n- path: {}\n  replica: {{type: file, path: {}, sync-interval: 100ms}}\n  monitor-interval: 100ms\n",
            database.display(),
            replica.display()
        );
        Self::run(sandbox, &config, || {
            let level = std::fs::read_dir(replica.join("ltx/0"));
            // While it is written a file has another name.
            level
                .into_iter()
                .flatten()
                .flatten()
                .any(|it| it.path().extension().is_some_and(|extension| extension == "ltx"))
        })
    }

    /// With this configuration. Returns when `replicated` says so.
    pub(crate) fn run(sandbox: &Sandbox, config: &str, replicated: impl Fn() -> bool) -> Self {
        Self::with(sandbox, config, &[], replicated)
    }

    /// With this configuration and these variables.
    pub(crate) fn with(
        sandbox: &Sandbox,
        config: &str,
        variables: &[(&str, &str)],
        replicated: impl Fn() -> bool,
    ) -> Self {
        sandbox.write("daemon.yml", config);
        let log = std::fs::File::create(sandbox.path("daemon.log")).unwrap();
        let mut command = Command::new(litestream());
        without_what_lsrun_reads(&mut command);
        let child = command
            .args(["replicate", "-config"])
            .arg(sandbox.path("daemon.yml"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        wait_until("the daemon replicates", replicated);
        Self { child }
    }

    /// [`Self::start`] with a control socket that answers, and that the project's file
    /// names.
    pub(crate) fn answering(sandbox: &Sandbox, more: &str) -> Self {
        let (socket, lines) = Self::socket(sandbox);
        let daemon = Self::start(sandbox, &format!("{more}{lines}"));
        wait_until("the socket is there", || socket.exists());
        sandbox.write("lsrun.yml", &format!("{PROJECT}  {lines}\n"));
        daemon
    }

    /// The lines of `lsrun.yml` and of the daemon's configuration for a socket.
    pub(crate) fn socket(sandbox: &Sandbox) -> (PathBuf, String) {
        let socket = sandbox.path("control.sock");
        let lines = format!("socket: {{enabled: true, path: {}}}", socket.display());
        (socket, lines)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
