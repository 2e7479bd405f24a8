//! Litestream's own commands, with the real litestream; a recorder stands in for
//! the binary only if the exact argv is checked.

use std::os::unix::fs::PermissionsExt;

use crate::support::{PROJECT, Run, Sandbox};

#[test]
fn aliases_flags_in_any_order_and_pure_json() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    for arguments in [
        &["ltx", "-json", "default"][..],
        &["ltx", "default", "--json"],
        &["ltx", "db.sqlite3", "-level", "0", "-json"],
        &["ltx", "-json", "-no-expand-env", "default"],
    ] {
        let files = sandbox.lsrun(arguments).expect(0).json();
        assert_eq!(files[0]["min_txid"], "0000000000000001", "{arguments:?}");
    }
    let databases = sandbox.lsrun(&["databases", "-json"]).expect(0).json();
    assert_eq!(databases[0]["path"], sandbox.path("db.sqlite3").to_str().unwrap());
    let status = sandbox.lsrun(&["status", "default", "-json"]).expect(0).json();
    assert_eq!(status[0]["status"], "ok");
    sandbox.lsrun(&["reset", "default"]).expect(0);
    let wal = sandbox.lsrun(&["wal", "default"]).expect(0);
    assert!(wal.stdout.contains("min_txid"), "{wal:?}");
    sandbox.assert_clean();
}

#[test]
fn json_is_pure_also_when_the_project_logs_everything() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &format!("{PROJECT}  logging: {{level: debug}}\n"));
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.lsrun(&["ltx", "-json", "default"]).expect(0).json();
    sandbox.lsrun(&["restore", "-json", "-o", "copy.sqlite3", "default"]).expect(0).json();
}

#[test]
fn codes_help_and_errors_are_litestreams_own() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["ltx", "-nonsense", "default"]).expect(1).says(&["-nonsense"]);
    sandbox.lsrun(&["ltx", "-h"]).expect(0).says(&["-level"]);
    sandbox.lsrun(&["ltx", "defualt"]).expect(20).says(&["did you mean"]);
    sandbox.lsrun(&["list"]).expect(22).says(&["control socket"]);
}

#[test]
fn urls_need_no_project() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let url = format!("file://{}", sandbox.path("replica").display());
    assert!(sandbox.lsrun(&["ltx", "-json", &url]).expect(0).json().is_array());
    let other = format!("file://{}", sandbox.path("other").display());
    let database = sandbox.path("db.sqlite3");
    sandbox.lsrun(&["replicate", "-once", database.to_str().unwrap(), &other]).expect(0);
    assert!(sandbox.path("other/ltx/0").is_dir());
    sandbox.lsrun(&["databases"]).expect(20).says(&["lsrun.yml"]);
}

#[test]
fn versions() {
    let sandbox = Sandbox::new();
    let run = sandbox.lsrun(&["version"]).expect(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], concat!("lsrun ", env!("CARGO_PKG_VERSION")));
    assert_eq!(lines[1], "litestream 0.5.17");
    assert!(lines[2].ends_with("(LSRUN_LITESTREAM)"), "{run:?}");
    sandbox.lsrun(&["version", "-verbose"]).expect(0).says(&["0.5.17", "Git Commit"]);
}

#[test]
fn words_of_litestream_03_name_todays() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["generations", "default"]).expect(2).says(&["generations", "lsrun ltx"]);
    sandbox.lsrun(&["snapshots", "default"]).expect(2).says(&["-level 9"]);
    sandbox.lsrun(&["wal", "-generation", "x", "default"]).expect(2).says(&["-generation"]);
    sandbox.lsrun(&["restore", "-generation", "x", "default"]).expect(2).says(&["-txid"]);
}

#[test]
fn a_version_that_lacks_a_command_is_told_before_it_runs() {
    let sandbox = Sandbox::new();
    let run = recorded(&sandbox, "0.5.8", &["sync", "default"]);
    run.0.expect(21).says(&["0.5.8 has no `sync`", "0.5.9"]);
    assert!(run.1.is_empty());
    let run = recorded(&sandbox, "0.5.8", &["ltx", "default"]);
    run.0.expect(0).says(&["older than 0.5.12", "lacks"]);
    let run = recorded(&sandbox, "v0.3.13", &["generations", "default", "-replica", "s3"]);
    run.0.expect(0).says(&["another backup format"]);
    assert_eq!(run.1[0], "generations");
    let words = ["restore", "default", "-generation", "x", "-o", "copy.sqlite3"];
    let (run, argv) = recorded(&sandbox, "v0.3.13", &words);
    run.expect(0);
    assert_eq!(argv[..5], ["restore", "-generation", "x", "-o", "copy.sqlite3"]);
}

/// Runs lsrun with a recorder in place of litestream; gives its argv.
fn recorded(sandbox: &Sandbox, version: &str, arguments: &[&str]) -> (Run, Vec<String>) {
    let recorder = sandbox.path("recorder");
    let _old = std::fs::remove_file(sandbox.path("argv"));
    let script = format!(
        "#!/bin/sh\nif [ \"$*\" = version ]; then echo {version}; exit 0; fi\nfor word; do printf '%s\\n' \"$word\"; done >{}\n",
        sandbox.path("argv").display()
    );
    std::fs::write(&recorder, script).unwrap();
    std::fs::set_permissions(&recorder, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = sandbox.command(arguments);
    let run: Run = command.env("LSRUN_LITESTREAM", &recorder).output().unwrap().into();
    let argv = std::fs::read_to_string(sandbox.path("argv")).unwrap_or_default();
    (run, argv.lines().map(str::to_owned).collect())
}

#[test]
fn what_a_newer_litestream_has_passes_through() {
    let sandbox = Sandbox::new();
    let (run, argv) = recorded(&sandbox, "0.9.0", &["teleport", "-to", "mars"]);
    run.expect(0);
    assert_eq!(argv, ["teleport", "-to", "mars"]);
    let (run, argv) = recorded(&sandbox, "0.9.0", &["status", "default", "-brand-new"]);
    run.expect(0);
    assert_eq!(argv[0], "status");
    assert_eq!(argv[1], "-brand-new");
    assert_eq!(argv[2], "-config");
    assert_eq!(argv.last().unwrap(), sandbox.path("db.sqlite3").to_str().unwrap());
}

#[test]
fn daemon_commands_get_a_socket_and_never_a_configuration() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("moved.sock");
    let line = format!("  socket: {{enabled: true, path: {}}}\n", socket.display());
    sandbox.write("lsrun.yml", &format!("{PROJECT}{line}"));
    // A daemon that accepts connections, and no more.
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for command in ["start", "stop", "unregister", "list", "info"] {
        let (run, argv) = recorded(&sandbox, "0.5.17", &[command, "default"]);
        run.expect(0);
        assert_eq!(argv[1..3], ["-socket", socket.to_str().unwrap()], "{command}");
        assert!(!argv.contains(&"-config".to_owned()), "{command}");
    }
    let (run, argv) = recorded(&sandbox, "0.5.17", &["stop", "default", "-socket=/other"]);
    run.expect(0);
    assert_eq!(argv[1], "-socket=/other");
    drop(listener);
    // litestream's own would cost the daemon its read lock.
    let (run, argv) = recorded(&sandbox, "0.5.17", &["sync", "default"]);
    run.expect(22).says(&[socket.to_str().unwrap()]);
    assert!(argv.is_empty(), "{argv:?}");
}

#[test]
fn own_configuration_is_left_alone() {
    let sandbox = Sandbox::new();
    let (run, argv) = recorded(&sandbox, "0.5.17", &["ltx", "-config", "mine.yml", "default"]);
    run.expect(0);
    assert_eq!(argv[..3], ["ltx", "-config", "mine.yml"]);
}

#[test]
fn a_flag_without_its_value_takes_no_databases_name_for_it() {
    let sandbox = Sandbox::new();
    for words in
        [&["ltx", "default", "-config"][..], &["replicate", "-exec"], &["reset", "-config"]]
    {
        let flag = words.last().unwrap();
        let run = sandbox.lsrun(words).expect(2).says(&[&format!("{flag} needs a value")]);
        run.says(&[&format!("see lsrun {} --help", words[0])]);
        sandbox.lsrun(&[words[0], "--help"]).says(&[flag]);
    }
}
