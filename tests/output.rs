//! What cannot be written to standard output is an error.

use std::process::{Command, Stdio};

use crate::support::wrap::in_place_of;
use crate::support::{Run, Sandbox};

/// Runs lsrun with a file as its standard output that may have at most one KiB, as a
/// full disk has it. The signal that a limit brings along is ignored.
fn with_little_room(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let command = sandbox.command(arguments);
    let mut shell = Command::new("bash");
    // What lsrun itself writes elsewhere must not meet the limit: the caches exist.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$@\" >out";
    shell.args(["-c", script, "bash"]).arg(command.get_program()).args(command.get_args());
    in_place_of(&mut shell, &command);
    shell.output().unwrap().into()
}

#[test]
fn a_report_that_does_not_fit_fails_the_run() {
    let sandbox = Sandbox::new();
    // Without a guest: the engine keeps a guest's memory in a file as well.
    for arguments in [&["--help"][..], &["help", "restore"]] {
        let run = with_little_room(&sandbox, arguments).expect(1);
        assert!(run.stderr.contains("cannot write the report: "), "{}", run.stderr);
        assert!(run.stderr.contains("hint:"), "{}", run.stderr);
        let written = std::fs::metadata(sandbox.path("out")).unwrap().len();
        assert!(written <= 1024, "{written}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_a_bad_result_keeps_its_code() {
    let sandbox = Sandbox::new();
    if !crate::support::wrap::can_mount(&sandbox) {
        eprintln!("no mount namespaces here: the limit above shows the same");
        return;
    }
    sandbox.lsrun(&["verify"]).expect(0);
    let full = |arguments: &[&str]| -> Run {
        let command = sandbox.command(arguments);
        let mut shell = Command::new("unshare");
        let script = "mount -t tmpfs -o size=4k tmpfs \"$0\" && head -c 4096 /dev/zero >\"$0/fill\"; exec \"$@\" >\"$0/out\"";
        shell.args(["-rm", "bash", "-c", script]).arg(sandbox.path("disk"));
        shell.arg(command.get_program()).args(command.get_args());
        in_place_of(&mut shell, &command);
        shell.output().unwrap().into()
    };
    std::fs::create_dir(sandbox.path("disk")).unwrap();
    let run = full(&["verify", "--format", "json"]).expect(1);
    let words = "error: cannot write the report: No space left on device";
    assert!(run.stderr.contains(words), "{}", run.stderr);
    crate::support::fleet::damage(&sandbox, "replica");
    let run = full(&["verify", "--format", "json"]).expect(10);
    assert!(run.stderr.contains(words), "{}", run.stderr);
}

#[test]
fn a_reader_that_has_gone_is_silence() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["verify"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap()).expect(0);
    run.says_not("cannot write");
}
