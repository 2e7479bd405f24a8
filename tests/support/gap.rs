//! A backup with a gap to come.

use crate::support::Sandbox;

/// An application that stays, beside a backup with a gap to come: it has written
/// what nobody has replicated, and the log is restarted.
pub(crate) fn behind_a_gap() -> (Sandbox, rusqlite::Connection) {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE accounts (balance INTEGER); INSERT INTO accounts VALUES (1)",
    );
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let insert = |name: &str| {
        user.execute("INSERT INTO users (name) VALUES (?)", [name]).unwrap();
    };
    for _ in 0..30 {
        insert("replicated");
    }
    sandbox.lsrun(&["replicate", "-once"]).expect(0).says_not("sends the whole database");
    user.execute("UPDATE accounts SET balance = 7", []).unwrap();
    let all: bool = user
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok(row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
        })
        .unwrap();
    assert!(all);
    insert("seen");
    (sandbox, user)
}

/// The value that the gap would lose.
pub(crate) const UNSEEN: &str = "SELECT balance FROM accounts";

/// Also in what litestream makes of the transactions later: those that it has compacted
/// are restored on top of a snapshot.
#[track_caller]
pub(crate) fn has_all(sandbox: &Sandbox) {
    for level in sandbox.names("replica/ltx").iter().filter(|level| *level != "0") {
        std::fs::remove_dir_all(sandbox.path("replica/ltx").join(level)).unwrap();
    }
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", UNSEEN), 7);
    sandbox.lsrun(&["verify"]).expect(0).says_not("sends the whole database");
}
