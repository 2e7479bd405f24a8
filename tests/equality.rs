//! lsrun's own reader of LTX files against litestream: the same bytes at every state, and
//! the same refusals. The gate for every new version of litestream.
//!
//! A few hundred states in a run of the tests; `LSRUN_TEST_STATES=1000` makes as many of
//! each kind of database.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lsrun::testing::replica;
use rusqlite::Connection;

use crate::support::daemon::Daemon;
use crate::support::{Run, Sandbox, litestream, wait_until};

/// A sequence of numbers that looks random and is the same each time (SplitMix64:
/// <https://prng.di.unimi.it/splitmix64.c>).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// How many states of each kind of database.
fn states() -> u64 {
    std::env::var("LSRUN_TEST_STATES").ok().and_then(|it| it.parse().ok()).unwrap_or(45)
}

/// The daemon compacts, makes snapshots and removes files all the time.
fn restless(sandbox: &Sandbox) -> Daemon {
    let more = "levels: [{interval: 1s}, {interval: 2s}, {interval: 4s}]\n\
                snapshot: {interval: 3s, retention: 6s}\n\
                l0-retention: 1500ms\nl0-retention-check-interval: 500ms\n";
    Daemon::start(sandbox, more)
}

const TABLES: [&str; 4] = ["plain", "keyed", "words", "wide"];

/// Makes them, in a database that waits for others.
const WITH_TABLES: &str = "PRAGMA journal_mode = wal; PRAGMA busy_timeout = 20000;
    CREATE TABLE plain (id INTEGER PRIMARY KEY, body);
    CREATE TABLE keyed (key TEXT PRIMARY KEY, body) WITHOUT ROWID;
    CREATE VIRTUAL TABLE words USING fts5(body);
    CREATE TABLE wide (body);";

fn change(connection: &Connection, numbers: &mut Numbers) {
    let (n, size) = (numbers.below(40), numbers.below(9000));
    let table = numbers.one(&TABLES);
    let sql = match numbers.below(14) {
        0..4 => format!(
            "WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {n})
             INSERT INTO plain (body) SELECT randomblob(1 + abs(random()) % {}) FROM n",
            size + 1
        ),
        4 => format!("UPDATE plain SET body = randomblob({size}) WHERE id % 7 = {}", n % 7),
        5 => format!("DELETE FROM plain WHERE id % 3 = {}", n % 3),
        6 => format!(
            "INSERT OR REPLACE INTO keyed SELECT hex(randomblob(8)), randomblob({size}) FROM plain LIMIT {n}"
        ),
        7 => format!("INSERT INTO words (body) VALUES ('alpha beta {n} ' || hex(randomblob({n})))"),
        8 => format!("INSERT INTO wide VALUES (zeroblob({}))", size * 20),
        9 => format!("DELETE FROM {table}"),
        10 => "VACUUM".to_owned(),
        11 => format!("PRAGMA incremental_vacuum({n})"),
        12 => format!(
            "CREATE TABLE IF NOT EXISTS t{n} (x, y); INSERT INTO t{n} VALUES (1, randomblob({size}));
             CREATE INDEX IF NOT EXISTS i{n} ON t{n} (y)"
        ),
        _ => format!("DROP TABLE IF EXISTS t{n}; PRAGMA wal_checkpoint(passive)"),
    };
    connection.execute_batch(&sql).unwrap();
}

/// `litestream restore` of a transaction; its error if it fails.
fn by_litestream(replica: &Path, txid: Option<u64>, copy: &Path) -> Result<(), String> {
    let mut command = Command::new(litestream());
    command.arg("restore").arg("-o").arg(copy);
    if let Some(txid) = txid {
        command.args(["-txid", &format!("{txid:016x}")]);
    }
    let url = format!("file://{}", replica.display());
    let run: Run = command.arg(url).output().unwrap().into();
    if run.code == 0 { Ok(()) } else { Err(run.stderr) }
}

/// Whether both restore the same at a point. None if its files went away meanwhile.
fn same_at(sandbox: &Sandbox, txid: Option<u64>) -> Option<u64> {
    let (replica, folder) = (sandbox.path("replica"), tempfile::tempdir().unwrap());
    let (own, theirs) = (folder.path().join("own"), folder.path().join("theirs"));
    let txid = replica::restore(&replica, txid, &own).ok()?;
    by_litestream(&replica, Some(txid), &theirs).ok()?;
    let (own, theirs) = (std::fs::read(own).unwrap(), std::fs::read(theirs).unwrap());
    assert!(own == theirs, "TXID {txid:016x}: {} and {} bytes", own.len(), theirs.len());
    Some(txid)
}

fn every_state_is_the_same(seed: u64, page_size: u32, auto_vacuum: u32) {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    let connection = Connection::open(sandbox.path("db.sqlite3")).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum};
             {WITH_TABLES}"
        ))
        .unwrap();
    let _daemon = restless(&sandbox);
    let mut numbers = Numbers(seed);
    let (mut seen, mut plans) = (BTreeSet::new(), BTreeSet::new());
    let deadline = Instant::now() + Duration::from_secs(300 + 2 * states());
    while (seen.len() as u64) < states() {
        assert!(Instant::now() < deadline, "{} states only", seen.len());
        for _ in 0..=numbers.below(3) {
            change(&connection, &mut numbers);
        }
        // Some of them change nothing, and nothing would come.
        connection.execute("INSERT INTO plain (body) VALUES (1)", []).unwrap();
        let before = seen.last().copied();
        wait_until("the change is replicated", || {
            replica::points(&sandbox.path("replica")).first().map(|(txid, _)| *txid) > before
        });
        // The newest one, and any other.
        let points = replica::points(&sandbox.path("replica"));
        let other = usize::try_from(numbers.below(points.len() as u64)).unwrap();
        for (txid, files) in [points[0], points[other]] {
            if same_at(&sandbox, Some(txid)).is_some() {
                seen.insert(txid);
                plans.insert(files);
            }
        }
    }
    // Snapshots alone would be no test.
    assert!(plans.len() > 3, "plans of {plans:?} files");
    // And each is the live database, page for page.
    let run = sandbox.lsrun(&["verify", "--check", "pages", "--check", "litestream"]).expect(0);
    run.says(&["✓ pages", "✓ litestream", "restores the same, page for page"]);
}

#[test]
fn pages_of_512_bytes() {
    every_state_is_the_same(1, 512, 0);
}

#[test]
fn pages_of_1024_bytes_and_a_full_auto_vacuum() {
    every_state_is_the_same(2, 1024, 1);
}

#[test]
fn pages_of_4096_bytes() {
    every_state_is_the_same(3, 4096, 0);
}

#[test]
fn pages_of_4096_bytes_and_an_incremental_auto_vacuum() {
    every_state_is_the_same(4, 4096, 2);
}

#[test]
fn pages_of_4096_bytes_and_a_full_auto_vacuum() {
    every_state_is_the_same(5, 4096, 1);
}

#[test]
fn pages_of_16384_bytes_and_an_incremental_auto_vacuum() {
    every_state_is_the_same(6, 16384, 2);
}

#[test]
fn pages_of_65536_bytes() {
    every_state_is_the_same(7, 65536, 0);
}

/// A replica with snapshots, compacted files and single ones, which nothing changes.
fn still() -> Sandbox {
    let sandbox = Sandbox::new();
    let connection = Connection::open(sandbox.path("db.sqlite3")).unwrap();
    connection.execute_batch(WITH_TABLES).unwrap();
    let daemon = restless(&sandbox);
    let mut numbers = Numbers(8);
    // Until the plan has files of several kinds.
    wait_until("the plan is long", || {
        change(&connection, &mut numbers);
        replica::points(&sandbox.path("replica")).first().is_some_and(|(_, files)| *files > 4)
    });
    daemon.signal(rustix::process::Signal::KILL);
    drop(daemon);
    assert!(same_at(&sandbox, None).is_some());
    sandbox
}

fn files(replica: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for level in 0..=9 {
        let Ok(entries) = std::fs::read_dir(replica.join(format!("ltx/{level}"))) else { continue };
        let names = entries.flatten().map(|entry| entry.path());
        all.extend(names.filter(|name| name.extension().is_some_and(|it| it == "ltx")));
    }
    all.sort();
    all
}

/// Both restore the same, or neither restores.
fn they_agree(replica: &Path, what: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (own, theirs) = (folder.path().join("own"), folder.path().join("theirs"));
    let mine = replica::restore(replica, None, &own);
    let theirs_says = by_litestream(replica, None, &theirs);
    match (&mine, &theirs_says) {
        (Ok(_), Ok(())) => {
            assert!(std::fs::read(own).unwrap() == std::fs::read(theirs).unwrap(), "{what}");
        }
        (Err(_), Err(_)) => {}
        _ => panic!("{what}: {mine:?} and {theirs_says:?}"),
    }
    mine.is_ok()
}

#[test]
fn every_damage_is_found_and_litestream_agrees() {
    let sandbox = still();
    let replica = sandbox.path("replica");
    let mut numbers = Numbers(9);
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..2 * states() {
        // Every second one is a file that is needed: of all there may be many more.
        let all = if round % 2 == 0 { replica::plan(&replica) } else { files(&replica) };
        let pick = |numbers: &mut Numbers| {
            all[usize::try_from(numbers.below(all.len() as u64)).unwrap()].clone()
        };
        let (one, two) = (pick(&mut numbers), pick(&mut numbers));
        let (first, second) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let mut bytes = first.clone();
        // Header, index and trailer more often than their share.
        let length = bytes.len() as u64;
        let at = match numbers.below(4) {
            0 => numbers.below(100.min(length)),
            1 => length - 1 - numbers.below(200.min(length)),
            _ => numbers.below(length),
        };
        let at = usize::try_from(at).unwrap();
        let what = match numbers.below(5) {
            0 => {
                bytes[at] ^= 1 << numbers.below(8);
                "a bit"
            }
            1 => {
                bytes.truncate(at);
                "a cut"
            }
            2 => {
                let end = bytes.len().min(at + 64);
                bytes[at..end].fill(u8::try_from(numbers.below(256)).unwrap());
                "bytes that were written over"
            }
            3 => {
                bytes = second.clone();
                std::fs::write(&two, &first).unwrap();
                "two that were exchanged"
            }
            _ => {
                std::fs::remove_file(&one).unwrap();
                "one that is missing"
            }
        };
        if what != "one that is missing" {
            std::fs::write(&one, &bytes).unwrap();
        }
        let name = format!("round {round}: {what}, {} at {at}", one.display());
        if they_agree(&replica, &name) {
            accepted += 1
        } else {
            refused += 1
        }
        std::fs::write(&two, &second).unwrap();
        std::fs::write(&one, &first).unwrap();
    }
    // Files that no plan needs may be anything.
    assert!(refused > 10 && accepted > 0, "{refused} refused, {accepted} accepted");
    assert!(they_agree(&replica, "as it was"));
}

#[test]
fn beyond_a_gibibyte_the_page_of_the_locks_is_left_out() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    let connection = Connection::open(sandbox.path("db.sqlite3")).unwrap();
    // Zeros compress to nothing, so that this is a matter of seconds.
    connection
        .execute_batch(
            "PRAGMA page_size = 65536; PRAGMA journal_mode = wal; PRAGMA busy_timeout = 60000;
             CREATE TABLE plain (id INTEGER PRIMARY KEY, body);
             WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 70)
             INSERT INTO plain (body) SELECT zeroblob(16000000) FROM n;",
        )
        .unwrap();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    assert!(std::fs::metadata(sandbox.path("db.sqlite3")).unwrap().len() > 1 << 30);
    let last = same_at(&sandbox, None).unwrap();
    connection.execute_batch("DELETE FROM plain WHERE id > 30; VACUUM").unwrap();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    assert!(same_at(&sandbox, None).unwrap() > last);
    assert_eq!(same_at(&sandbox, Some(last)), Some(last));
}

#[test]
fn after_a_reset_the_new_files_count() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('Eve')");
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    assert!(same_at(&sandbox, None).is_some());
    sandbox.lsrun(&["reset", "default"]).expect(0);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('Mallory')");
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    assert!(same_at(&sandbox, None).is_some());
    sandbox.lsrun(&["verify"]).expect(0);
}
