//! Databases with a backup, to restore from.

use crate::support::daemon::Daemon;
use crate::support::{PROJECT, Sandbox, wait_until};

pub(crate) const USERS: &str = "SELECT count(*) FROM users";

pub(crate) const INTACT: &str = "SELECT integrity_check = 'ok' FROM pragma_integrity_check";

/// How many of the many rows are of the time after the backup.
pub(crate) const NEW: &str = "SELECT count(*) FROM pages WHERE content LIKE 'new%'";

/// A sandbox whose three users are in the backup, and a fourth is not.
pub(crate) fn backed_up() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
    sandbox
}

/// Six transactions, each with a file and a moment of its own.
pub(crate) fn six_transactions() -> Sandbox {
    let sandbox = Sandbox::new();
    let level = sandbox.path("replica/ltx/0");
    for number in 0..6 {
        sandbox.sql("db.sqlite3", &format!("INSERT INTO users (name) VALUES ('u{number}')"));
        sandbox.lsrun(&["replicate", "-once"]).expect(0);
    }
    // A file replica's times are those of its files.
    let mut files: Vec<_> = std::fs::read_dir(&level).unwrap().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let epoch = jiff::Timestamp::now().as_second() - 36_000;
    for (number, file) in (0_i64..).zip(&files) {
        let time = std::time::SystemTime::UNIX_EPOCH
            + std::time::Duration::from_secs(u64::try_from(epoch + number * 3600).unwrap());
        std::fs::File::options().write(true).open(file.path()).unwrap().set_modified(time).unwrap();
    }
    sandbox
}

/// A backup of many pages, half of which are other ones by now.
pub(crate) fn many_pages() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE pages (id INTEGER PRIMARY KEY, content TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
         INSERT INTO pages SELECT i, 'old' || hex(randomblob(500)) FROM n;",
    );
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox
}

pub(crate) fn change_pages(sandbox: &Sandbox) {
    sandbox.sql("db.sqlite3", "UPDATE pages SET content = 'new' || content WHERE id % 2 = 0");
}

/// The kept databases, oldest first.
pub(crate) fn kept(sandbox: &Sandbox) -> Vec<String> {
    let names = sandbox.names("").into_iter();
    names.filter(|name| name.starts_with("db.sqlite3.before-restore-")).collect()
}

/// A daemon with a control socket, and a project that knows it.
pub(crate) fn with_socket(sandbox: &Sandbox) -> Daemon {
    let (_socket, lines) = Daemon::socket(sandbox);
    let daemon = Daemon::start(sandbox, &lines);
    let project = PROJECT.replace("litestream:\n", &format!("litestream:\n  {lines}\n"));
    sandbox.write("lsrun.yml", &project);
    // There was a replica before, so that it says nothing about the daemon.
    wait_until("the socket answers", || sandbox.lsrun(&["sync", "-wait", "default"]).code == 0);
    daemon
}
