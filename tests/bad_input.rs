//! Bad input gets a clear error, the right code, and nothing is written.

use std::os::unix::fs::PermissionsExt;

use crate::support::{PROJECT, Sandbox};

#[test]
fn no_project_file() {
    let sandbox = Sandbox::empty();
    sandbox.lsrun(&["verify"]).expect(20).says(&["lsrun.yml", "hint:"]);
}

#[test]
fn invalid_yaml_shows_the_line() {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", "databases:\n  default: [db.sqlite3\n");
    sandbox.lsrun(&["verify"]).expect(20).says(&["lsrun.yml:", "error:"]);
}

#[test]
fn an_unknown_alias_suggests_the_nearest_and_creates_nothing() {
    let sandbox = Sandbox::new();
    for command in ["verify", "restore"] {
        sandbox.lsrun(&[command, "defualt"]).expect(20).says(&["defualt", "default"]);
    }
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp"]);
}

#[test]
fn a_configuration_that_is_refused_or_lacks_a_variable() {
    let sandbox = Sandbox::new();
    sandbox.sql("two.sqlite3", "CREATE TABLE t (x)");
    let write = |replica: &str, other: &str| {
        sandbox.write(
            "lsrun.yml",
            &format!(
                "databases: {{default: db.sqlite3, two: two.sqlite3}}
litestream:
  dbs:
  - {{path: default, replica: {{type: file, path: {replica}}}}}
  - {{path: two, replica: {{type: file, path: {other}}}}}
"
            ),
        );
    };
    write("same", "same");
    for words in [&["verify"][..], &["restore", "-o", "copy.sqlite3", "default"], &["config"]] {
        sandbox.lsrun(words).expect(20).says(&["the same location: file"]);
    }
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp", "two.sqlite3"]);
    // The others continue.
    write("$NOT_SET_ANYWHERE", "replica");
    let run = sandbox.lsrun(&["verify", "--format", "json"]).expect(20);
    let json = run.json();
    assert!(json["databases"][0].to_string().contains("NOT_SET_ANYWHERE is not set"));
    assert_eq!(json["databases"][1]["outcome"], "verified");
    sandbox.assert_clean();
}

#[test]
fn an_unknown_command_suggests_the_nearest() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verfy"]).expect(2).says(&["verfy", "did you mean verify?"]);
}

#[test]
fn a_missing_an_empty_and_a_false_database() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    sandbox.lsrun(&["verify"]).expect(11).says(&["there is no file", "db.sqlite3"]);
    assert!(!sandbox.path("db.sqlite3").exists());
    sandbox.write("db.sqlite3", "");
    sandbox.lsrun(&["verify"]).expect(11).says(&["is empty"]);
    sandbox.write("db.sqlite3", &"this is no database, only a long text ".repeat(100));
    sandbox.lsrun(&["verify"]).expect(11).says(&["not a database"]);
    sandbox.assert_clean();
}

#[test]
fn a_database_locked_by_a_writer() {
    let sandbox = Sandbox::new();
    let writer = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO users (name) VALUES ('x')").unwrap();
    sandbox.lsrun(&["verify"]).expect(11).says(&["sentinel", "locked"]);
    writer.execute_batch("ROLLBACK").unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn litestream_that_is_missing_or_no_program() {
    let sandbox = Sandbox::new();
    let run = |path: &str| {
        let mut command = sandbox.command(&["verify"]);
        crate::support::Run::from(command.env("LSRUN_LITESTREAM", path).output().unwrap())
    };
    run("/nowhere/litestream").says(&["/nowhere/litestream"]);
    sandbox.write("litestream", "not a program");
    run(sandbox.path("litestream").to_str().unwrap()).says(&["litestream", "execut"]);
    sandbox.assert_clean();
}

#[test]
fn no_litestream_and_no_network() {
    let sandbox = Sandbox::new();
    let run: crate::support::Run = sandbox
        .command(&["verify"])
        .env_remove("LSRUN_LITESTREAM")
        .env("LSRUN_CACHE_DIR", sandbox.path("cache"))
        // A port on which nobody listens, and a PATH without pip.
        .env("LSRUN_DOWNLOAD_URL", "http://127.0.0.1:9/mirror")
        .env("PATH", sandbox.path("tmp"))
        .output()
        .unwrap()
        .into();
    run.expect(21).says(&["bin_path"]);
    assert!(
        !sandbox.path("cache/litestream").exists()
            || sandbox.names("cache/litestream").iter().all(|name| !name.contains("0.5"))
    );
}

#[test]
fn an_unreachable_endpoint_is_told_in_seconds() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3}
litestream:
  dbs:
  - path: default
    replica: {type: s3, bucket: b, path: p, endpoint: 'http://127.0.0.1:9', access-key-id: a, secret-access-key: b}
",
    );
    let started = std::time::Instant::now();
    sandbox.lsrun(&["verify"]).expect(11).says(&["does not answer", "127.0.0.1:9"]);
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp"]);
}

#[test]
fn an_empty_replica_is_filled_and_an_unreadable_one_is_told() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("replica")).unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.write("lsrun.yml", &PROJECT.replace("path: replica", "path: lsrun.yml"));
    sandbox.lsrun(&["verify"]).expect(11).says(&["does not answer", "lsrun.yml"]);
}

#[test]
fn a_read_only_working_directory_does_not_matter() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    std::fs::set_permissions(sandbox.path("elsewhere"), PermissionsExt::from_mode(0o555)).unwrap();
    let run: crate::support::Run = sandbox
        .command(&["-C", sandbox.path("lsrun.yml").to_str().unwrap(), "verify"])
        .current_dir(sandbox.path("elsewhere"))
        .output()
        .unwrap()
        .into();
    run.expect(0);
}

#[test]
fn a_temporary_folder_that_is_missing() {
    let sandbox = Sandbox::new();
    let run: crate::support::Run =
        sandbox.command(&["verify"]).env("TMPDIR", "/nowhere").output().unwrap().into();
    run.expect(11).says(&["private folder", "/nowhere"]);
}

#[test]
fn wrong_options() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["--formt", "json", "verify"]).expect(2);
    sandbox.lsrun(&["verify", "--format", "xml"]).expect(2).says(&["xml"]);
    sandbox.lsrun(&["restore"]).expect(2).says(&["needs a database", "--all"]);
    sandbox.lsrun(&["verify", "s3://bucket/path"]).expect(2).says(&["not replica URLs"]);
}
