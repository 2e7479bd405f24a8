//! `lsrun replicate` of a test, and lsrun beside it.

use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use super::wrap::behind;
use super::{Run, Sandbox, wait_until};

/// The folder of the control socket.
pub(crate) fn runtime(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path("run");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// lsrun, which finds that socket.
pub(crate) fn lsrun(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.command(arguments).env("XDG_RUNTIME_DIR", runtime(sandbox)).output().unwrap().into()
}

/// `lsrun replicate`, not started, which heeds every signal: what is ignored when it
/// starts, as under `nohup`, it leaves so.
pub(crate) fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(&["replicate"]);
    command.args(arguments).env("XDG_RUNTIME_DIR", runtime(sandbox));
    if !cfg!(target_os = "linux") {
        return command;
    }
    let mut env = Command::new("env");
    env.arg("--default-signal");
    behind(env, &command)
}

/// A running `lsrun replicate`. Dropped, it is killed.
pub(crate) struct Replicate(pub(crate) Child);

impl Replicate {
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(sandbox.path("replicate.log")).unwrap();
        let mut command = command(sandbox, arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    pub(crate) fn end(mut self, signal: Signal) {
        let _gone = kill_process(Pid::from_child(&self.0), signal);
        let child = &mut self.0;
        wait_until("lsrun replicate ends", || child.try_wait().unwrap().is_some());
    }
}

impl Drop for Replicate {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What it has said so far.
pub(crate) fn log(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("replicate.log")).unwrap_or_default()
}

/// Waits until its daemon answers.
pub(crate) fn until_it_answers(sandbox: &Sandbox) {
    wait_until("the daemon answers", || lsrun(sandbox, &["sync", "default"]).code == 0);
}
