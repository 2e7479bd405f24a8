//! A project that is a Litestream configuration, and the help around Litestream's
//! own commands.

use crate::support::Sandbox;

/// A sandbox without an lsrun.yml.
fn with_litestream_yml() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    sandbox.write(
        "etc/litestream.yml",
        "dbs:\n- path: db.sqlite3\n  replica: {type: file, path: replica}\n",
    );
    sandbox
}

#[test]
fn every_command_takes_it() {
    let sandbox = with_litestream_yml();
    let file = "etc/litestream.yml";
    sandbox.lsrun(&["verify", "-config", file]).expect(0).says(&["db verified"]);
    let json = sandbox.lsrun(&["-C", file, "verify", "db", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["alias"], "db");
    sandbox.lsrun(&["points", "-config", file, "db"]).expect(0).says(&["2 shown"]);
    sandbox.lsrun(&["points", "-C", file, "db"]).expect(0);
    sandbox.lsrun(&["history", "-config", file]).expect(0).says(&["db", "✓✓"]);
    sandbox.lsrun(&["history", "-config", file, "-limit", "1"]).expect(0).says(&["✓"]);
    sandbox.lsrun(&["config", "-config", file, "--check"]).expect(0).says(&["1 replica answers"]);
    sandbox.lsrun(&["-C", file, "ltx", "db"]).expect(0).says(&["0000000000000001"]);
    sandbox.lsrun(&["restore", "-C", file, "-o", "copy.db", "db"]).expect(0);
    assert_eq!(sandbox.integer("copy.db", "SELECT count(*) FROM users"), 3);
    let mut by_variable = sandbox.command(&["verify"]);
    by_variable.env("LSRUN_PROJECT", sandbox.path(file));
    crate::support::Run::from(by_variable.output().unwrap()).expect(0);
    let help = sandbox.lsrun(&["verify", "--help"]).expect(0);
    help.says(&["a Litestream", "[alias: --config]"]);
}

#[test]
fn help_of_a_command_and_of_what_is_gone() {
    let sandbox = Sandbox::new();
    let direct = sandbox.lsrun(&["restore", "--help"]).expect(0);
    let named = sandbox.lsrun(&["help", "restore"]).expect(0);
    assert_eq!(direct.stdout, named.stdout);
    sandbox.lsrun(&["help", "ltx"]).expect(0).says(&["litestream ltx"]);
    let all = sandbox.lsrun(&["help"]).expect(0);
    assert_eq!(all.stdout, sandbox.lsrun(&["-h"]).expect(0).stdout);
    for gone in ["generations", "snapshots"] {
        assert!(!all.stdout.contains(gone), "{}", all.stdout);
        sandbox.lsrun(&[gone, "default"]).expect(2).says(&["has no `", "hint:"]);
        sandbox.lsrun(&["help", gone]).expect(2).says(&["has no `", "hint:"]);
    }
}

#[test]
fn without_a_daemon_its_commands_say_where_they_looked() {
    let sandbox = Sandbox::new();
    let run = |words: &[&str]| -> crate::support::Run {
        let mut command = sandbox.command(words);
        command.env("XDG_RUNTIME_DIR", sandbox.path("tmp")).output().unwrap().into()
    };
    let looked = sandbox.path("tmp/lsrun").display().to_string();
    for words in [&["info"][..], &["stop", "default"], &["list"]] {
        let said = ["no litestream daemon of this project is running", "tried", &looked];
        run(words).expect(22).says(&said).says(&["lsrun replicate"]);
    }
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let socket = "litestream:\n  socket: {enabled: true, path: run/ls.sock}";
    sandbox.write("lsrun.yml", &text.replace("litestream:", socket));
    let configured = sandbox.path("run/ls.sock").display().to_string();
    run(&["info"]).expect(22).says(&[&format!("tried {configured}")]);
}
