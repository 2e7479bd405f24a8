//! Restores that are refused, and the ways to get a database anyway. What
//! was there is still there, whatever is done.

use crate::support::backups::{USERS, backed_up, kept, six_transactions};
use crate::support::damaged::{MANY, UNINDEXED};
use crate::support::stand_in::{RESTORE, vanishing, with_script};
use crate::support::{PROJECT, Run, Sandbox};

/// The words of the advice that begin with `lsrun` and end before one of these.
fn command(run: &Run, before: &str, until: &[char]) -> Vec<String> {
    let all = format!("{}{}", run.stdout, run.stderr);
    let (_, rest) = all.split_once(before).unwrap_or_else(|| panic!("{before}: {all}"));
    shell_words::split(rest.split(until).next().unwrap()).unwrap()
}

fn carry_out(sandbox: &Sandbox, words: &[String]) -> Run {
    sandbox.lsrun(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn what_uses_the_database_is_stopped_and_started_again() {
    let sandbox = backed_up();
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(11);
    run.says(&["stop what uses it, restore, and start it again"]);
    drop(user);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("INSERT INTO users (name) VALUES ('after')").unwrap();
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert_eq!(sandbox.integer(&kept(&sandbox)[0], USERS), 4);
    drop(user);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn without_an_older_point_what_is_there_is_kept() {
    let sandbox = backed_up();
    crate::support::fleet::damage(&sandbox, "replica");
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(22);
    run.says(&["the backup has no older point: keep what is there"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

/// A copy that does not pass, and the words of the advice about it, one after the other.
#[test]
fn an_older_point_is_found_examined_and_restored() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.sql("db.sqlite3", UNINDEXED);
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(10);
    let run = run.says(&["the backup is damaged: nothing was replaced", "older point: TXID"]);
    assert!(kept(&sandbox).is_empty(), "what was there is replaced");
    let index = "SELECT integrity_check = 'ok' FROM pragma_integrity_check";
    carry_out(&sandbox, &command(&run, "try an older point in a new file: lsrun ", &[';']))
        .expect(0);
    assert_eq!(sandbox.integer("restored-copy.sqlite3", index), 1);
    carry_out(&sandbox, &command(&run, "; lsrun ", &['\n'])[..2]).expect(0).says(&["TXID"]);
}

/// Without an older one there is nothing to look for.
#[test]
fn a_damaged_copy_of_the_only_point_replaces_nothing() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    sandbox.sql("db.sqlite3", UNINDEXED);
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(10);
    run.says(&["the backup has no older point: keep what is there"]).says_not("lsrun points");
    assert!(kept(&sandbox).is_empty(), "what was there is replaced");
}

#[test]
fn an_older_point_of_a_database_with_a_space_in_its_name_is_restored() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "lsrun.yml",
        &PROJECT.replace("default:", "my shop:").replace("path: default", "path: my shop"),
    );
    for _ in 0..3 {
        sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('x')");
        sandbox.lsrun(&["replicate", "-once"]).expect(0);
    }
    sandbox.damage_the_newest_file();
    let run = sandbox.lsrun(&["restore", "-force", "my shop"]).expect(22);
    let words = command(&run, "try an older point in a new file: lsrun ", &[';']);
    carry_out(&sandbox, &words).expect(0);
    assert!(sandbox.integer("restored-copy.sqlite3", USERS) > 3);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 6);
}

#[test]
fn when_nothing_takes_files_away_any_more_the_restore_succeeds() {
    let sandbox = six_transactions();
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{timeout: 2s}}\n"));
    let script = vanishing(&sandbox, "true");
    let hint = "find out what removes files from the replica (retention, a lifecycle rule), or allow \
                more time with --timeout";
    with_script(&sandbox, &script, &RESTORE).expect(11).says(&[hint]);
    sandbox.lsrun(&RESTORE).expect(0);
    // And while something still does, with more time.
    let attempts = sandbox.path("attempts").display().to_string();
    std::fs::remove_file(&attempts).unwrap();
    let script = vanishing(&sandbox, &format!("[ $(wc -l < {attempts}) -le 4 ]"));
    let again = ["restore", "--timeout", "60s", "-o", "another.sqlite3", "default"];
    with_script(&sandbox, &script, &again).expect(0);
}
