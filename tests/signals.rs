//! SIGINT and SIGTERM during a run: the exit code shows it, no process and no file stays.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PROJECT, Sandbox, wait_until};

/// A recorder in place of litestream: it says that it runs, and does not end.
fn hanging(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.write(
        "litestream",
        "#!/bin/sh\nif [ \"$1\" = version ]; then echo 0.5.17; exit 0; fi\necho $$ >pid.new\nmv pid.new pid\nexec sleep 600\n",
    );
    let path = sandbox.path("litestream");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Runs `verify` with a litestream that hangs, and signals it in the middle.
fn stopped_by(signal: Signal, code: i32) {
    let sandbox = Sandbox::new();
    let path = hanging(&sandbox);
    sandbox.write("lsrun.yml", PROJECT);
    let child = sandbox
        .command(&["verify"])
        .env("LSRUN_LITESTREAM", &path)
        .env("LSRUN_ENGINE", "litestream")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("litestream runs", || sandbox.path("pid").exists());
    let litestream: i32 =
        std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let run = crate::support::Run::from(output).expect(code);
    let litestream = Pid::from_raw(litestream).unwrap();
    wait_until("litestream has gone", || rustix::process::test_kill_process(litestream).is_err());
    sandbox.assert_clean();
    drop(run);
}

#[test]
fn interrupted() {
    stopped_by(Signal::INT, 130);
}

#[test]
fn terminated() {
    stopped_by(Signal::TERM, 143);
}

#[cfg(target_os = "linux")]
#[test]
fn killed_it_leaves_no_litestream_and_the_next_run_cleans_up() {
    let sandbox = Sandbox::new();
    let path = hanging(&sandbox);
    let mut child = sandbox
        .command(&["verify"])
        .env("LSRUN_LITESTREAM", &path)
        .env("LSRUN_ENGINE", "litestream")
        .spawn()
        .unwrap();
    wait_until("litestream runs", || sandbox.path("pid").exists());
    let litestream: i32 =
        std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let litestream = Pid::from_raw(litestream).unwrap();
    wait_until("litestream has gone", || rustix::process::test_kill_process(litestream).is_err());
    assert!(!sandbox.names("tmp").is_empty());
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.assert_clean();
}
