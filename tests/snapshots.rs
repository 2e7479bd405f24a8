//! The complete output of lsrun: exit code, stdout and stderr of each case in one snapshot, so
//! that a changed word shows in review. `INSTA_UPDATE=always cargo test snapshots`
//! rewrites them.

use crate::support::fleet::{damage, fleet};
use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Run, Sandbox};

/// What differs from run to run, and what replaces it.
const FILTERS: &[(&str, &str)] = &[
    (r"before-restore-[0-9T.-]+Z?", "before-restore-[TIME]"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?( ?(Z|UTC)|[+-]\d\d:\d\d)?", "[TIME]"),
    (r"\b\d\d:\d\d:\d\d\b", "[TIME]"),
    (r#"("(?:\w+_ms|bytes|age_s)": ?)\d+"#, "$1[N]"),
    (r#"(time=")[0-9.]+""#, "$1[N]\""),
    (r#"(uuid=")[0-9a-f-]+""#, "$1[UUID]\""),
    (r"\b(\d+ m )?\d+(\.\d+)? (ms|s)\b", "[DURATION]"),
    (r"\b\d+(\.\d+)? (B|KiB|MiB|bytes)\b", "[SIZE]"),
    (r"\b[0-9a-f]{16}\b", "[TXID]"),
    (r" {2,}\[DURATION\]", "  [DURATION]"),
    (r" {2,}\[SIZE\]", "  [SIZE]"),
    (r"(process |pid )\d+", "$1[PID]"),
    // A clock that ticks slowly may show both at once.
    (r", \[DURATION\] after that point", ""),
    (r"(a moment|\[DURATION\]) ago", "[AGO]"),
    (r"(  tried .*\n)+", "  tried [SOCKETS]\n"),
    (r"(  searched .*\n)+", "  searched [FOLDERS]\n"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
];

/// Runs lsrun and compares all that it printed with the snapshot `name`.
#[track_caller]
fn shot(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.env("TZ", "UTC").env_remove("COLUMNS");
    let run = Run::from(command.output().unwrap());
    let text = format!(
        "$ lsrun {}\nexit code {}\n--- stdout\n{}\n--- stderr\n{}",
        arguments.join(" "),
        run.code,
        run.stdout.trim_end(),
        run.stderr.trim_end(),
    );
    compare(sandbox, name, &text);
    run
}

/// Compares a text of a run in the sandbox with the snapshot `name`.
#[track_caller]
fn compare(sandbox: &Sandbox, name: &str, text: &str) {
    let root = sandbox.path("").display().to_string();
    let text = text.replace(root.trim_end_matches('/'), "[PROJECT]");
    let mut settings = insta::Settings::clone_current();
    settings.set_filters(FILTERS.to_vec());
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path(crate::support::repository().join("tests/snapshots"));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A project whose file is this text.
fn project(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", text);
    sandbox
}

/// A project with these lines more.
fn with(more: &str) -> Sandbox {
    project(&format!("{PROJECT}{more}"))
}

#[test]
fn help() {
    let sandbox = Sandbox::new();
    shot(&sandbox, "help", &["--help"]);
    shot(&sandbox, "help_short", &["-h"]);
    shot(&sandbox, "version", &["--version"]);
    for command in [
        "config",
        "databases",
        "history",
        "plugin",
        "info",
        "list",
        "ltx",
        "points",
        "query",
        "register",
        "replicate",
        "reset",
        "restore",
        "start",
        "status",
        "stop",
        "sync",
        "unregister",
        "verify",
        "version",
        "wal",
    ] {
        shot(&sandbox, &format!("help_{command}"), &[command, "--help"]);
    }
}

#[test]
fn usage() {
    let sandbox = Sandbox::new();
    for (name, arguments) in [
        ("no_command", &[][..]),
        ("unknown_command", &["verfy"]),
        ("unknown_option", &["verify", "--al"]),
        ("unknown_global_option", &["--al", "verify"]),
        ("format", &["--format", "xml", "verify"]),
        ("all_and_names", &["verify", "--all", "default"]),
        ("duration", &["verify", "--timeout", "10"]),
        ("deadline", &["verify", "--deadline", "soon"]),
        ("shard", &["verify", "--shard", "9/5"]),
        ("check", &["verify", "--check", "integrity"]),
        ("webhook", &["verify", "--webhook", "ftp://example.com"]),
        ("alias", &["verify", "defualt"]),
        ("pattern", &["verify", "tenant-*"]),
        ("at", &["verify", "--at", "25:99"]),
        ("project", &["-C", "nowhere", "verify"]),
        ("restore_nothing", &["restore"]),
        ("restore_timestamp", &["restore", "-timestamp", "25:99", "default"]),
        ("restore_txid", &["restore", "-txid", "xyz", "default"]),
        ("query_nothing", &["query"]),
        ("query_without_sql", &["query", "default"]),
        ("query_sql", &["query", "nobody", "SELECT 1"]),
        ("points_two_searches", &["points", "--rows", "--last-good"]),
        ("points_nothing", &["points", "nobody"]),
        ("history_nothing", &["history"]),
        ("sync_no_daemon", &["sync", "default"]),
        ("start_no_daemon", &["start", "default"]),
        ("ltx_unknown", &["ltx", "defualt"]),
        ("replicate_wait", &["replicate", "--wait", "10"]),
    ] {
        shot(&sandbox, &format!("usage_{name}"), arguments);
    }
}

#[test]
fn project_files() {
    shot(&Sandbox::empty(), "project_missing", &["verify"]);
    for (name, text) in [
        ("yaml", "databases:\n  default: [db.sqlite3\n"),
        ("unknown_key", "databases: {default: db.sqlite3}\nverfy: {timeout: 3s}\n"),
        ("twice", "databases: {default: db.sqlite3, default: other.sqlite3}\n"),
        ("url", "databases: {default: postgres://localhost/shop}\n"),
        ("memory", "databases: {default: ':memory:'}\n"),
        ("variable", "databases: {default: $NOT_SET_ANYWHERE}\n"),
        ("duration", "databases: {default: db.sqlite3}\nverify: {timeout: 10}\n"),
        ("no_databases", "databases: {}\n"),
        ("alias", "databases: {default: db.sqlite3}\nlitestream: {dbs: [{path: defualt}]}\n"),
        (
            "two_replicas",
            "databases: {default: db.sqlite3}\nlitestream: {dbs: [{path: default, replicas: [{type: file, path: a}, {type: file, path: b}]}]}\n",
        ),
        (
            "same_place",
            "databases: {default: db.sqlite3, two: two.sqlite3}\nlitestream: {dbs: [{path: default, replica: {type: file, path: a}}, {path: two, replica: {type: file, path: a}}]}\n",
        ),
        ("dir", "litestream: {dbs: [{dir: tenants, replica: {type: file, path: a}}]}\n"),
        (
            "age",
            "databases: {default: db.sqlite3}\nlitestream: {dbs: [{path: default, replica: {type: file, path: a, age: {identities: [x]}}}]}\n",
        ),
        (
            "warnings",
            "databases: {default: db.sqlite3}\nlitestream: {mcp_addr: ':1', dbs: [{path: default, replica: {type: file, path: a, syncinterval: 5}}]}\n",
        ),
    ] {
        shot(&project(text), &format!("project_{name}"), &["config"]);
    }
    let bucket = project("databases: {default: db.sqlite3}\n");
    shot(&bucket, "config_bucket", &["config"]);
    shot(&bucket, "verify_without_a_bucket", &["verify"]);
    let sandbox = Sandbox::new();
    shot(&sandbox, "config", &["config"]);
    shot(&sandbox, "config_json", &["--format", "json", "config"]);
    shot(&sandbox, "config_check", &["config", "--check"]);
    let sandbox = project(
        "databases: {default: db.sqlite3, gone: gone.sqlite3, other: other.sqlite3}\nlitestream: {dbs: [{path: default, replica: {type: file, path: a}}, {path: gone, replica: {type: file, path: b}}]}\nplugins: {settings: {none: {}}}\n",
    );
    shot(&sandbox, "config_check_problems", &["config", "--check"]);
}

#[test]
fn verdicts() {
    let sandbox = with(
        "verify: {assertions: {default: [{name: some users, sql: select count(*) > 2 from users}]}}\n",
    );
    shot(&sandbox, "verify", &["verify"]);
    shot(&sandbox, "verify_quiet", &["--quiet", "verify"]);
    shot(&sandbox, "verify_json", &["--format", "json", "verify"]);
    shot(&sandbox, "verify_ndjson", &["--format", "ndjson", "verify"]);
    shot(&sandbox, "verify_at", &["verify", "--at", "latest"]);
    shot(&sandbox, "verify_read_only", &["verify", "--read-only", "--check", "pages"]);
    shot(&sandbox, "verify_if_older_than", &["verify", "--if-older-than", "24h"]);
    shot(&sandbox, "history", &["history"]);
    sandbox.sql("db.sqlite3", "DELETE FROM users WHERE id > 1");
    shot(&sandbox, "verify_assertion", &["verify", "--junit", "junit.xml"]);
    let junit = std::fs::read_to_string(sandbox.path("junit.xml")).unwrap();
    compare(&sandbox, "verify_assertion_junit", &junit);
    shot(&sandbox, "verify_assertion_json", &["--format", "json", "verify"]);

    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    shot(&sandbox, "verify_no_file", &["verify"]);
    sandbox.write("db.sqlite3", &"this is a text and nothing else ".repeat(100));
    shot(&sandbox, "verify_not_a_database", &["verify"]);

    let sandbox = Sandbox::new();
    let writer = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO users (name) VALUES ('x')").unwrap();
    shot(&sandbox, "verify_locked", &["verify", "--timeout", "1s"]);
}

#[test]
fn several_databases() {
    let sandbox = fleet(3);
    shot(&sandbox, "several", &["verify", "--jobs", "1"]);
    damage(&sandbox, "r/t1");
    shot(&sandbox, "several_one_damaged", &["verify", "--at", "latest", "--jobs", "1"]);
    shot(&sandbox, "several_history_json", &["--format", "json", "history"]);
}

#[test]
fn restores() {
    let sandbox = Sandbox::new();
    shot(&sandbox, "points_without_a_backup", &["points", "default"]);
    shot(&sandbox, "restore_without_a_backup", &["restore", "-o", "copy.sqlite3", "default"]);
    sandbox.lsrun(&["verify"]).expect(0);
    shot(&sandbox, "points", &["points", "default"]);
    shot(&sandbox, "points_json", &["--format", "json", "points", "default"]);
    shot(&sandbox, "restore_exists", &["restore", "default"]);
    shot(&sandbox, "restore_exists_json", &["--format", "json", "restore", "default"]);
    shot(&sandbox, "restore_if_db_not_exists", &["restore", "-if-db-not-exists", "default"]);
    shot(&sandbox, "restore_to_a_file", &["restore", "-o", "copy.sqlite3", "default"]);
    shot(
        &sandbox,
        "restore_to_a_file_json",
        &["--format", "json", "restore", "-o", "b.db", "default"],
    );
    sandbox.sql("db.sqlite3", "CREATE TABLE later (x); DELETE FROM users WHERE id = 1");
    shot(&sandbox, "restore_dry_run", &["restore", "-force", "-dry-run", "default"]);
    shot(&sandbox, "restore_force", &["restore", "-force", "default"]);
    shot(
        &sandbox,
        "restore_before_the_backup",
        &["restore", "-o", "c.db", "-timestamp", "2001-01-01T00:00:00Z", "default"],
    );
    shot(&sandbox, "restore_unknown_txid", &["restore", "-o", "c.db", "-txid", "999", "default"]);
}

#[test]
fn plugins() {
    let one = |script: &[&str]| {
        let sandbox = Sandbox::new();
        sandbox.puppets("", &[Puppet::new("own", script)]);
        sandbox
    };
    for (name, script) in [
        ("passed", &["check own passed"][..]),
        ("failed", &["check own failed"]),
        ("panics", &["panic at the disco"]),
        ("denied", &["sql DELETE FROM users"]),
        ("errs", &["error io the disk is gone"]),
    ] {
        shot(&one(script), &format!("plugin_{name}"), &["verify", "--check", "plugins"]);
    }
    let sandbox = Sandbox::new();
    sandbox.write("plugins/odd.wasm", "hello");
    shot(&sandbox, "plugin_not_wasm", &["verify"]);
    let sandbox = with("plugins: {settings: {fien: {}}}\n");
    shot(&sandbox, "plugin_not_there", &["verify"]);
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.plugin("protect");
    shot(&sandbox, "plugin_refuses", &["restore", "-force", "default"]);
}
