//! lsrun started by another program: a shell, or one that gives it a disk of its own.

use std::process::{Command, Stdio};

use super::{Run, Sandbox};

/// Lets `program` run a command that was not started, in its folder and with its
/// environment.
pub(crate) fn behind(mut program: Command, command: &Command) -> Command {
    program.arg(command.get_program()).args(command.get_args());
    in_place_of(&mut program, command);
    program
}

/// The folder and the environment of another command.
pub(crate) fn in_place_of(program: &mut Command, command: &Command) {
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => program.env(name, value),
            None => program.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        program.current_dir(folder);
    }
    program.stdin(Stdio::null());
}

/// [`behind`], to its end.
pub(crate) fn run(program: Command, command: &Command) -> Run {
    behind(program, command).output().unwrap().into()
}

/// Whether this system gives every user a mount namespace with `unshare`.
#[cfg(target_os = "linux")]
pub(crate) fn can_mount(sandbox: &Sandbox) -> bool {
    let tried = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(sandbox.path("tmp"))
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
