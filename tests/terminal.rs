//! What a person at a terminal sees while the work is under way.

use std::io::Read;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::backups::many_pages;
use crate::support::stand_in::stand_in;
use crate::support::{Run, Sandbox, wait_until};

/// Runs lsrun with a terminal as its standard error while `done` checks what it has
/// shown there so far.
fn at_a_terminal(
    sandbox: &Sandbox,
    arguments: &[&str],
    litestream: &std::path::Path,
    mut done: impl FnMut(&str) -> bool,
) -> (Run, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let mut command = sandbox.command(arguments);
    command
        .env("LSRUN_LITESTREAM", litestream)
        .env("LSRUN_ENGINE", "litestream")
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    command.stdout(Stdio::piped()).stderr(terminal);
    let child = command.spawn().unwrap();
    // It has the only other end now, and its end is that of what is shown.
    drop(command);
    let (said, parts) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut master = std::fs::File::from(master);
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            let _gone = said.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
    });
    let mut shown = String::new();
    wait_until("it shows what is expected", || {
        shown.extend(parts.try_iter());
        done(&shown)
    });
    let run = Run::from(child.wait_with_output().unwrap());
    shown.extend(parts.iter());
    (run, shown)
}

/// A litestream whose restore stops at 3 MB until the file `seen` is there.
fn slow(sandbox: &Sandbox) -> std::path::PathBuf {
    stand_in(
        sandbox,
        "case \" $* \" in *\" -dry-run \"*) exec \"$real\" \"$@\";; esac
head -c 3000000 /dev/zero >\"$output.tmp\"
while [ ! -e seen ]; do sleep 0.02; done
rm \"$output.tmp\"
exec \"$real\" \"$@\"",
    )
}

#[test]
fn a_restore_shows_its_stage_its_bytes_and_its_rate() {
    for arguments in [&["verify", "default"][..], &["restore", "-o", "copy.sqlite3", "default"]] {
        let sandbox = many_pages();
        let script = slow(&sandbox);
        let (run, shown) = at_a_terminal(&sandbox, arguments, &script, |shown| {
            let seen = shown.contains("default: restoring, 2.9 MiB") && shown.contains("/s");
            if seen {
                sandbox.write("seen", "");
            }
            seen
        });
        run.expect(0);
        assert!(shown.contains("checking the copy, "), "{shown}");
        sandbox.assert_clean();
    }
}

#[test]
fn without_a_terminal_there_is_a_line_for_each_stage_and_no_figures_that_move() {
    let sandbox = many_pages();
    let run = sandbox.lsrun(&["verify", "default"]).expect(0);
    let stages: Vec<&str> =
        run.stderr.lines().filter_map(|line| line.strip_prefix("default: ")).collect();
    assert!(
        stages.contains(&"restoring") && stages.contains(&"writing the sentinel"),
        "{stages:?}"
    );
    run.says_not("/s");
}
