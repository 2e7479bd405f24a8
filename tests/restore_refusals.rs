//! What `lsrun restore` reports when it does not restore, when a check fails, and
//! about points in time.

use crate::support::backups::{USERS, backed_up, kept, six_transactions};
use crate::support::stand_in::stand_in;
use crate::support::{PROJECT, Sandbox, check};

#[test]
fn a_refusal_is_called_not_restored_and_names_what_is_there() {
    let sandbox = backed_up();
    let run = sandbox.lsrun(&["restore", "default"]).expect(11);
    let db = sandbox.path("db.sqlite3");
    let run = run.says(&[
        &format!("default not restored: {} exists", db.display()),
        "use -o FILE, or -force (the old one is kept)",
    ]);
    run.says_not("inconclusive");
    let run = sandbox.lsrun(&["restore", "--format", "json", "default"]).expect(11);
    let json = run.json();
    assert_eq!(json["outcome"], "not-restored");
    assert_eq!(json["databases"][0]["outcome"], "not-restored");
    assert_eq!(json["databases"][0]["error"]["code"], "exists");
    assert!(json["databases"][0].get("target").is_none(), "{json}");
    run.says_not("inconclusive");
}

#[test]
fn the_file_that_was_written_is_named() {
    let sandbox = backed_up();
    let copy = sandbox.path("copy.sqlite3").display().to_string();
    let run = sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    let line = run.stdout.lines().find(|line| line.contains("restored in")).unwrap().to_owned();
    assert!(line.contains(&copy) && !line.contains("db.sqlite3"), "{line}");
    let run = sandbox.lsrun(&["restore", "--format", "json", "-o", "b.sqlite3", "default"]);
    let json = run.expect(0).json();
    assert_eq!(json["databases"][0]["target"], sandbox.path("b.sqlite3").to_str().unwrap());
    assert_eq!(json["outcome"], "restored");
}

#[test]
fn a_damaged_newest_backup_names_older_points_and_a_command_that_works() {
    let sandbox = six_transactions();
    sandbox.damage_the_newest_file();
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(22);
    let run = run.says(&["not restored", "older point: TXID 00000000", "lsrun restore -txid "]);
    let all = format!("{}{}", run.stdout, run.stderr);
    let command = all.split("lsrun restore ").last().unwrap().split(';').next().unwrap();
    let words: Vec<&str> = std::iter::once("restore").chain(command.split_whitespace()).collect();
    sandbox.lsrun(&words).expect(0);
    assert!(sandbox.integer("restored-copy.sqlite3", USERS) > 3);
}

fn with_a_check_that_fails(sandbox: &Sandbox) {
    sandbox.plugin("row-count");
    let settings = "plugins: {settings: {row-count: {config: {table: users, min: 100}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
}

#[test]
fn a_check_that_does_not_agree_is_reported_and_keeps_no_new_file_from_being_written() {
    let sandbox = backed_up();
    with_a_check_that_fails(&sandbox);
    let run = sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(10);
    run.says(&["users has 3 rows", "copy.sqlite3"]).says_not("not restored");
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    // What is there is not replaced by it, unless the check is left out.
    for arguments in [
        &["restore", "-force", "default"][..],
        &["restore", "-force", "-o", "copy.sqlite3", "default"],
    ] {
        sandbox.lsrun(arguments).expect(10).says(&["not restored: a check failed", "--skip ID"]);
    }
    assert!(kept(&sandbox).is_empty());
    for id in ["row-count", "plugins"] {
        let run =
            sandbox.lsrun(&["restore", "--skip", id, "-force", "--format", "json", "default"]);
        let json = run.expect(0).json();
        assert_eq!(check(&json, "row-count")["outcome"], "skipped");
    }
    sandbox
        .lsrun(&["restore", "--skip", "nope", "-force", "default"])
        .expect(2)
        .says(&["no check is named 'nope'", "integrity_check, plugins, row-count"]);
}

#[test]
fn the_checks_of_the_project_run_for_a_replica_url_as_well() {
    let sandbox = backed_up();
    sandbox.plugin("row-count");
    let url = format!("file://{}", sandbox.path("replica").display());
    let of = |setting: &str, name: &str, code: i32| {
        let settings = format!("row-count: {{{setting}config: {{table: users, min: 4}}}}");
        sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{settings: {{{settings}}}}}\n"));
        let run = sandbox.lsrun(&["restore", "--format", "json", "-o", name, &url]);
        let checks = run.expect(code).json()["databases"][0]["checks"].clone();
        checks.as_array().unwrap().iter().find(|check| check["id"] == "row-count").cloned()
    };
    let check = of("", "copy.sqlite3", 10).unwrap();
    assert_eq!(check["outcome"], "failed", "{check}");
    // One that is for certain databases is not for what is at a URL.
    assert!(of("databases: [default], ", "other.sqlite3", 0).is_none());
}

#[test]
fn a_hook_that_asks_for_the_newest_knows_that_an_older_point_was_asked_for() {
    let sandbox = six_transactions();
    sandbox.plugin("fresh");
    let settings = "fresh: {config: {sql: SELECT count(*) > 6 FROM users}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{settings: {{{settings}}}}}\n"));
    sandbox.lsrun(&["restore", "-txid", "2", "-o", "old.sqlite3", "default"]).expect(0);
    sandbox.lsrun(&["restore", "-timestamp", "9h", "-o", "old2.sqlite3", "default"]).expect(0);
    sandbox.lsrun(&["restore", "-o", "new.sqlite3", "default"]).expect(0);
    let settings = "fresh: {config: {sql: SELECT count(*) > 60 FROM users}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{settings: {{{settings}}}}}\n"));
    sandbox.lsrun(&["restore", "-o", "newer.sqlite3", "default"]).expect(33);
}

#[test]
fn a_database_in_use_is_refused_before_anything_is_restored() {
    let sandbox = backed_up();
    let called = sandbox.path("called");
    let script = stand_in(
        &sandbox,
        &format!(
            "case \" $* \" in *\" -dry-run \"*) ;; *) touch {};; esac\nexec \"$real\" \"$@\"",
            called.display()
        ),
    );
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    for arguments in [&["restore", "-force", "default"][..], &["restore", "default"]] {
        let command = sandbox.command(arguments);
        let run: crate::support::Run = crate::support::stand_in::with_litestream(command, &script);
        run.expect(11).says(&["not restored"]);
        assert!(!called.exists(), "{arguments:?}");
    }
    drop(user);
    // What only looks is not refused.
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    sandbox.lsrun(&["restore", "-dry-run", "--compare", "-force", "default"]).expect(0);
}

#[test]
fn a_time_before_the_backup_and_an_empty_replica_say_what_is_there() {
    let sandbox = six_transactions();
    sandbox
        .lsrun(&["restore", "-timestamp", "2 days ago", "-o", "copy.sqlite3", "default"])
        .expect(11)
        .says(&["the backup of default begins at 20", " UTC", "see `lsrun points default`"]);
    sandbox
        .lsrun(&["restore", "-txid", "999", "-o", "copy.sqlite3", "default"])
        .expect(11)
        .says(&["has no TXID 00000000000003e7", "see `lsrun points default`"]);
    let sandbox = Sandbox::new();
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(11);
    run.says(&["no backup of default yet", "has `lsrun replicate` run?"]);
}

#[test]
fn times_are_shown_as_they_are_here_and_in_utc() {
    let sandbox = six_transactions();
    let here = |arguments: &[&str]| -> crate::support::Run {
        sandbox.command(arguments).env("TZ", "HERE-03:30").output().unwrap().into()
    };
    let points = here(&["points", "default"]).expect(0);
    let points = points.says(&["LOCAL TIME", "UTC", " +03:30  20"]);
    let line = points.stdout.lines().nth(2).unwrap().to_owned();
    let utc: jiff::Timestamp = line.split_whitespace().last().unwrap().parse().unwrap();
    let local = (utc + jiff::SignedDuration::from_mins(210)).to_string();
    assert!(line.contains(&local.replace('T', " ")[..19]), "{line}");
    here(&["restore", "-dry-run", "default"]).expect(0).says(&[" +03:30 (", " UTC)", "to fetch"]);
    let run = here(&["restore", "-timestamp", "3:15pm", "-dry-run", "default"]);
    run.expect_one_of(&[0, 11]).says(&["up to 20", "15:15:00 +03:30 (11:45:00 UTC), "]);
    sandbox.command(&["verify", "--fast"]).output().unwrap();
    here(&["history", "-limit", "1", "default"]).expect(0).says(&[" +03:30 ("]);
}

#[test]
fn points_without_a_name_are_those_of_every_database() {
    let sandbox = six_transactions();
    let all = sandbox.lsrun(&["points"]).expect(0).stdout;
    assert_eq!(sandbox.lsrun(&["points", "default"]).expect(0).stdout, all);
    for limit in [&["-limit", "2"][..], &["--limit", "2"], &["-limit=2"]] {
        let run = sandbox.lsrun(&[&["points"][..], limit, &["-json"]].concat()).expect(0);
        assert_eq!(run.json()["points"].as_array().unwrap().len(), 2);
    }
    sandbox.lsrun(&["points", "--limit", "0"]).expect(2);
    sandbox.write(
        "lsrun.yml",
        "databases: {one: a.db, two: b.db}\nlitestream: {dbs: [{path: one, replica: {type: file, path: a}}, {path: two, replica: {type: file, path: b}}]}\n",
    );
    sandbox.lsrun(&["points"]).expect(11).says(&["no backup of one", "no backup of two"]);
    sandbox.sql("a.db", "CREATE TABLE t (x)");
    sandbox.lsrun(&["verify", "one"]).expect(0);
    let run = sandbox.lsrun(&["points"]).expect(11);
    assert!(run.stdout.starts_with("one  file "), "{}", run.stdout);
    run.says(&["no backup of two"]);
    sandbox.sql("b.db", "CREATE TABLE t (x)");
    sandbox.lsrun(&["verify", "two"]).expect(0);
    let lines = sandbox.lsrun(&["points", "--all", "--json"]).expect(0).stdout;
    let aliases: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["alias"].clone())
        .collect();
    assert_eq!(aliases, ["one", "two"]);
    sandbox.lsrun(&["points", "t*"]).expect(0).says(&["two  file "]).says_not("one  file ");
    let shard = |part: &str| sandbox.lsrun(&["points", "--shard", part, "-json"]).expect(0).stdout;
    assert_eq!((shard("1/2") + &shard("2/2")).lines().count(), 2);
}
