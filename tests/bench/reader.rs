//! lsrun's own reader of Litestream's files beside litestream's restore: a database of 1 GB
//! (`cargo bench -- reader`), or of 0.1 GB (`cargo bench -- reader-small`).

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use crate::{Bench, Daemon, compare_in, large};

pub(crate) fn run(bench: &Bench, rows: u32) {
    let folder = bench.path("reader");
    std::fs::create_dir(&folder).unwrap();
    let database = folder.join("db.sqlite3");
    large::fill(&database, rows);
    let socket = crate::socket_of(&folder);
    std::fs::write(folder.join("lsrun.yml"), format!("{}  {socket}", crate::PROJECT)).unwrap();
    let daemon = Daemon::start(bench, &folder);
    let project = folder.to_str().unwrap().to_owned();
    let lsrun = |words: &[&str]| {
        bench.lsrun(&[&["-C", &project], words].concat(), &bench.cache);
    };
    let output = folder.join("copy.sqlite3");
    let restore = |more: &[&str]| {
        crate::large::remove(&output);
        lsrun(&[&["restore", "-o", output.to_str().unwrap()], more, &["default"]].concat());
    };
    let bare = || {
        crate::large::remove(&output);
        let url = format!("file://{}", folder.join("replica").display());
        bench.bare(&["restore", "-o", output.to_str().unwrap(), &url]);
    };
    let connection = Connection::open(&database).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    let mut from = 0;
    let mut change = || {
        from += 2_500;
        let sql = "UPDATE orders SET note = hex(randomblob(200)) WHERE id BETWEEN ?1 AND ?1 + 2499";
        connection.execute(sql, [from]).unwrap();
    };
    // The first one copies everything, and is the one that the others continue.
    lsrun(&["verify", "--incremental", "--timeout", "10m"]);
    println!("\n{} bytes", std::fs::metadata(&database).unwrap().len());
    compare_in(
        5,
        "reading a replica",
        vec![
            ("litestream restore", Box::new(bare)),
            (
                "restore, checks off (at most 0.2)",
                Box::new(|| restore(&["-integrity-check", "none"])),
            ),
            ("restore (at most 0.7)", Box::new(|| restore(&[]))),
            (
                "every file and page (at most 0.15)",
                Box::new(|| lsrun(&["verify", "--check", "pages"])),
            ),
            (
                "incremental, 1 MB changed (at most 0.05)",
                Box::new(|| {
                    change();
                    lsrun(&["verify", "--incremental"]);
                }),
            ),
            (
                "query (at most 0.25)",
                Box::new(|| lsrun(&["query", "default", "SELECT count(*) FROM customers"])),
            ),
        ],
    );
    compare_in(
        3,
        "a whole proof with all checks (at most 0.6)",
        vec![
            (
                "litestream restore and integrity_check",
                Box::new(|| {
                    bare();
                    checked(&output);
                }),
            ),
            ("lsrun verify", Box::new(|| lsrun(&["verify", "--skip", "litestream"]))),
        ],
    );
    drop(daemon);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn checked(database: &Path) {
    let mut command = Command::new("sqlite3");
    command.arg("-bail").arg(database).arg("PRAGMA integrity_check");
    let output = command.output().expect("the sqlite3 shell is on PATH");
    assert_eq!(output.stdout, b"ok\n");
}
