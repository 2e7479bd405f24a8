//! Disks that are full, and room made for what was asked.

use std::process::Command;

use crate::support::wrap::{behind, in_place_of};
use crate::support::{Run, Sandbox};

/// Runs lsrun twice on a disk of its own, mounted at `folder` with these options, which
/// `before` fills and `between` makes ready; none if this system mounts nothing.
#[cfg(target_os = "linux")]
fn twice(
    sandbox: &Sandbox,
    [folder, options, before, between]: [&str; 4],
    command: &Command,
) -> Option<(Run, Run)> {
    if !crate::support::wrap::can_mount(sandbox) {
        return None;
    }
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs {folder} && {before} || exit 99
         \"$@\" >first.out 2>&1; echo $? >first.code
         {between} || exit 99
         exec \"$@\""
    );
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh", "-c", &script, "sh"]);
    let second: Run = behind(shell, command).output().unwrap().into();
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    let code = read("first.code").trim().parse().unwrap();
    Some((Run { code, stdout: read("first.out"), stderr: String::new() }, second))
}

#[cfg(target_os = "linux")]
#[test]
fn room_for_the_copy_is_made_or_found_elsewhere() {
    let sandbox = Sandbox::new();
    let hint = "make room there; for a private copy, TMPDIR names a folder on another disk";
    let command = sandbox.command(&["verify"]);
    let Some((first, second)) =
        twice(&sandbox, ["tmp", "size=4m", "true", "mount -o remount,size=64m tmp"], &command)
    else {
        return sandbox.lsrun(&["verify"]).says_not(hint);
    };
    first.expect(11).says(&[hint]);
    second.expect(0);
    std::fs::create_dir(sandbox.path("roomy")).unwrap();
    let elsewhere = "set -- env TMPDIR=$PWD/roomy \"$@\"";
    let (first, second) = twice(&sandbox, ["tmp", "size=4m", "true", elsewhere], &command).unwrap();
    first.expect(11).says(&[hint]);
    second.expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_database_on_a_full_disk_is_verified_when_there_is_room() {
    let sandbox = Sandbox::new();
    let project = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    sandbox.write("lsrun.yml", &project.replace(": db.sqlite3", ": data/db.sqlite3"));
    std::fs::create_dir(sandbox.path("data")).unwrap();
    // Enough for what SQLite needs to open it, and not for a row.
    let fill = "cp db.sqlite3 data && python3 -c 'import sqlite3
c = sqlite3.connect(\"data/db.sqlite3\"); c.execute(\"SELECT * FROM users\").fetchall()
import os; os._exit(0)' && { head -c 9999999 /dev/zero >data/fill || true; }";
    let command = sandbox.command(&["verify"]);
    let Some((first, second)) =
        twice(&sandbox, ["data", "size=4m", fill, "rm data/fill"], &command)
    else {
        return sandbox.lsrun(&["verify"]).says_not("the disk is full");
    };
    first.expect(11).says(&["hint: the disk is full"]);
    second.expect(0);
}

/// The report is whole if there is room for it.
#[test]
fn a_report_that_did_not_fit_is_whole_the_next_time() {
    let sandbox = Sandbox::new();
    let command = sandbox.command(&["--help"]);
    let to_file = |limit: &str| -> (Run, String) {
        let mut shell = Command::new("bash");
        let script = format!("trap '' XFSZ; {limit}; exec \"$@\" >out");
        shell.args(["-c", &script, "bash"]).arg(command.get_program()).args(command.get_args());
        in_place_of(&mut shell, &command);
        let run = shell.output().unwrap().into();
        (run, std::fs::read_to_string(sandbox.path("out")).unwrap())
    };
    let (run, part) = to_file("ulimit -f 1");
    run.expect(1).says(&["the output is incomplete; free some space and run it again"]);
    let (run, whole) = to_file(":");
    run.expect(0);
    assert!(whole.len() > part.len() && whole == sandbox.lsrun(&["--help"]).stdout);
}
