//! Logs made by SQLite, and logs built in the test.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::wal::Log;
use super::{Comparison, Held, Image, find};
use crate::error::Result;
use crate::ltx::{Header, Place};

/// A database and its log, with room for copies.
struct Case {
    folder: tempfile::TempDir,
}

/// An LTX header that ends after this many frames of the log as it is now.
fn header(log: &Log, frames: u64) -> Header {
    let end = 32 + frames * log.frame_size();
    let place = Some(Place { end, salts: log.salts() });
    Header { page_size: log.page_size(), commit: 1, min_txid: 1, max_txid: 1, place }
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    fn log(&self) -> Log {
        Log::open(&self.log_path()).unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("db-wal")
    }

    /// In WAL mode, checkpointed by nobody.
    fn open(&self, page_size: u32) -> Connection {
        let user = Connection::open(self.database()).unwrap();
        user.pragma_update(None, "page_size", page_size).unwrap();
        user.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0").unwrap();
        user
    }

    /// The database as it is now, as one file; and where its log ends.
    fn state(&self, user: &Connection, name: &str) -> (PathBuf, Header) {
        let copy = self.folder.path().join(name);
        std::fs::copy(self.database(), &copy).unwrap();
        std::fs::copy(self.log_path(), self.folder.path().join(format!("{name}-wal"))).unwrap();
        // The last connection checkpoints its log.
        Connection::open(&copy).unwrap().query_row("PRAGMA page_count", [], |_row| Ok(())).unwrap();
        assert!(!self.folder.path().join(format!("{name}-wal")).exists());
        (copy, header(&self.log(), frames(user)))
    }

    fn compare(&self, header: &Header, copy: &Path) -> Result<Comparison> {
        self.compare_held(header, copy, Held { salts: None, frames: 0 })
    }

    fn compare_held(&self, header: &Header, copy: &Path, held: Held) -> Result<Comparison> {
        let (database, copy) = (File::open(self.database()).unwrap(), File::open(copy).unwrap());
        let mut image = Image::open(&database, &self.log_path(), held)?;
        find(&mut image, std::slice::from_ref(header), &copy, &|| false)
    }

    #[track_caller]
    fn refuses(&self, header: &Header, copy: &Path, why: &str) {
        let error = self.compare(header, copy).unwrap_err();
        assert_eq!(error.code().as_str(), "inconclusive");
        assert!(error.one_line().contains(why), "{error:?}");
    }
}

fn frames(user: &Connection) -> u64 {
    let frames = user.query_row("PRAGMA wal_checkpoint(noop)", [], |row| row.get::<_, i64>(1));
    frames.unwrap().unsigned_abs()
}

fn checkpoint(user: &Connection, how: &str) {
    user.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_row| Ok(())).unwrap();
}

/// What `compare` says of equal sides.
fn same(comparison: &Comparison) -> bool {
    comparison.differing == 0 && comparison.pages == comparison.copied && comparison.pages > 0
}

#[test]
fn every_state_is_found_again_in_pages_of_every_size() {
    for page_size in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] {
        let case = Case::new();
        let user = case.open(page_size);
        user.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x)").unwrap();
        checkpoint(&user, "passive");
        let steps = [
            "INSERT INTO t (x) SELECT randomblob(700) FROM (VALUES (1), (2), (3), (4)), (VALUES (1), (2), (3))",
            "UPDATE t SET x = randomblob(500) WHERE id = 2",
            "UPDATE t SET x = randomblob(500) WHERE id = 2",
            "INSERT INTO t (x) SELECT randomblob(70000) FROM (VALUES (1), (2), (3), (4))",
            "DELETE FROM t WHERE id > 6",
            "VACUUM",
            "CREATE INDEX i ON t (x); INSERT INTO t (x) VALUES (1)",
        ];
        let mut states = Vec::new();
        for (number, sql) in steps.iter().enumerate() {
            user.execute_batch(sql).unwrap();
            states.push(case.state(&user, &format!("state{number}")));
        }
        for (number, (copy, header)) in states.iter().enumerate() {
            let found = case.compare(header, copy).unwrap();
            assert!(same(&found), "{page_size}, {number}: {found:?}");
            for (other, (copy, _)) in states.iter().enumerate().filter(|(it, _)| *it != number) {
                let found = case.compare(header, copy).unwrap();
                assert!(found.differing > 0, "{page_size}, {number}, {other}: {found:?}");
            }
        }
    }
}

#[test]
fn a_copy_of_a_later_transaction_than_was_said_is_found() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x)").unwrap();
    let mut states = Vec::new();
    for step in 0..6 {
        let sql = "INSERT INTO t (x) VALUES (randomblob(5000)); UPDATE t SET x = 1 WHERE id = 2";
        user.execute_batch(sql).unwrap();
        let (copy, mut header) = case.state(&user, &format!("state{step}"));
        header.max_txid = step + 1;
        states.push((copy, header));
    }
    let headers: Vec<_> = states.iter().map(|(_, header)| header.clone()).collect();
    let database = File::open(case.database()).unwrap();
    let found = |from: usize, to: usize, copy: &Path, held: u32| {
        let held = Held { salts: Some(case.log().salts()), frames: held };
        let mut image = Image::open(&database, &case.log_path(), held).unwrap();
        find(&mut image, &headers[from..to], &File::open(copy).unwrap(), &|| false)
    };
    for (number, (copy, header)) in states.iter().enumerate() {
        let all = found(0, 6, copy, 0).unwrap();
        assert!(same(&all) && all.txid == header.max_txid, "{number}: {all:?}");
        // One from before those is not one of them.
        assert!(!found(number + 1, 6, copy, 0).is_ok_and(|it| same(&it)));
        // The others are older than what is held.
        let held = u32::try_from((header.place.as_ref().unwrap().end - 32) / 4120).unwrap();
        assert_eq!(found(0, 6, copy, held).unwrap(), all);
        if number < 5 {
            found(0, 6, copy, held + 1).unwrap_err();
        }
    }
    // What is not one of them is named after the nearest.
    let (copy, _) = &states[3];
    let file = File::options().write(true).open(copy).unwrap();
    file.write_all_at(b"xyz", 4096 + 2000).unwrap();
    let nearest = found(0, 6, copy, 0).unwrap();
    assert!(nearest.differing > 0, "{nearest:?}");
    let exact = found(3, 4, copy, 0).unwrap();
    assert_eq!((exact.differing, exact.first, exact.txid), (1, vec![2], 4));
}

#[test]
fn what_is_folded_meanwhile_comes_from_the_log() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    // Nobody has read it; all of it is checkpointed and later frames are there.
    checkpoint(&user, "passive");
    assert!(same(&case.compare(&header, &copy).unwrap()));
    let page = std::fs::read(&copy).unwrap();
    let file = File::options().write(true).open(&copy).unwrap();
    for (at, differing) in [(24, 1), (4096 * 3 + 7, 2), (4096 * 3 + 8, 2), (page.len() - 1, 3)] {
        file.write_all_at(&[!page[at]], at as u64).unwrap();
        assert_eq!(case.compare(&header, &copy).unwrap().differing, differing);
    }
    let last = page.len() as u64 / 4096;
    assert_eq!(case.compare(&header, &copy).unwrap().first, [1, 4, last]);
}

#[test]
fn a_copy_of_another_size_differs() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    let file = File::options().write(true).open(&copy).unwrap();
    let (size, pages) = (file.metadata().unwrap().len(), file.metadata().unwrap().len() / 4096);
    let found = |length: u64| {
        file.set_len(length).unwrap();
        case.compare(&header, &copy).unwrap()
    };
    for (length, copied, first) in [
        (size + 4096, pages + 1, pages + 1),
        (size + 1, pages + 1, pages + 1),
        (size, pages, 0),
        (size - 1, pages, pages),
        (size - 4096, pages - 1, pages),
    ] {
        let found = found(length);
        assert_eq!((found.pages, found.copied), (pages, copied), "{length}");
        assert_eq!(found.first, if first == 0 { vec![] } else { vec![first] }, "{length}");
    }
    assert_eq!(found(0).differing, pages);
}

#[test]
fn a_log_that_was_started_again_says_nothing_about_the_one_before() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    checkpoint(&user, "passive");
    user.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    case.refuses(&header, &copy, "has restarted");
    // After its end the new one has frames of the old one.
    let (now, header) = case.state(&user, "now");
    let log = case.log();
    let mut beyond = header.clone();
    beyond.place.as_mut().unwrap().end += log.frame_size() * 2;
    assert!(same(&case.compare(&header, &now).unwrap()));
    case.refuses(&beyond, &now, "does not belong to this log");
    beyond.place.as_mut().unwrap().end += log.frame_size() * 1000;
    case.refuses(&beyond, &now, "does not belong to this log");
    checkpoint(&user, "truncate");
    case.refuses(&header, &now, "no write-ahead log");
}

#[test]
fn a_log_that_starts_again_while_it_is_read_is_seen() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    let database = File::open(case.database()).unwrap();
    let held = Held { salts: None, frames: 0 };
    let mut image = Image::open(&database, &case.log_path(), held).unwrap();
    assert!(image.advance(&header, &|| false).unwrap().is_none());
    checkpoint(&user, "passive");
    user.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    let copy = File::open(copy).unwrap();
    let error = find(&mut image, &[header], &copy, &|| false).unwrap_err();
    assert!(error.one_line().contains("has restarted"), "{error:?}");
}

#[test]
fn what_does_not_end_a_transaction_is_no_place() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    let mut other = header.clone();
    other.place.as_mut().unwrap().end -= case.log().frame_size();
    case.refuses(&other, &copy, "does not end a transaction");
    other.place.as_mut().unwrap().end -= 1;
    case.refuses(&other, &copy, "no valid position");
    for end in [0, 31, 32] {
        other.place.as_mut().unwrap().end = end;
        case.refuses(&other, &copy, "no valid position");
    }
    other.place = None;
    case.refuses(&other, &copy, "does not say where");
    let other = Header { page_size: 1024, ..header };
    case.refuses(&other, &copy, "different page sizes");
}

#[test]
fn a_damaged_log_is_no_fault_of_the_backup() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(50000))").unwrap();
    let (copy, header) = case.state(&user, "copy");
    let log = File::options().write(true).open(case.log_path()).unwrap();
    log.write_all_at(&[0xff; 3], 32 + 2 * (24 + 4096) + 24 + 100).unwrap();
    case.refuses(&header, &copy, "frame 3 is damaged");
}

#[test]
fn a_copy_from_before_the_held_state_cannot_be_compared() {
    let case = Case::new();
    let user = case.open(4096);
    user.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let (copy, header) = case.state(&user, "copy");
    let last = u32::try_from(frames(&user)).unwrap();
    let log = case.log();
    let held = |frames| Held { salts: Some(log.salts()), frames };
    assert!(same(&case.compare_held(&header, &copy, held(last)).unwrap()));
    let error = case.compare_held(&header, &copy, held(last + 1)).unwrap_err();
    assert!(error.one_line().contains("older than the snapshot"), "{error:?}");
    // In the log before this one it had more.
    let before = Held { salts: Some([1, 2]), frames: last + 1 };
    assert!(same(&case.compare_held(&header, &copy, before).unwrap()));
}

/// A log with these frames: page, size of the database after it, what the page is full of.
fn made(big_endian: bool, page_size: u32, frames: &[(u32, u32, u8)]) -> Vec<u8> {
    fn sum(big_endian: bool, mut s: (u32, u32), bytes: &[u8]) -> (u32, u32) {
        for eight in bytes.chunks(8) {
            let number = |at: usize| {
                let four = eight[at..at + 4].try_into().unwrap();
                if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
            };
            s.0 = s.0.wrapping_add(number(0)).wrapping_add(s.1);
            s.1 = s.1.wrapping_add(number(4)).wrapping_add(s.0);
        }
        s
    }
    let magic = if big_endian { 0x377f_0683 } else { 0x377f_0682 };
    let mut log = Vec::new();
    let put = |log: &mut Vec<u8>, number: u32| log.extend_from_slice(&number.to_be_bytes());
    for number in [magic, 3_007_000, page_size, 0, 7, 9] {
        put(&mut log, number);
    }
    let mut checksum = sum(big_endian, (0, 0), &log);
    put(&mut log, checksum.0);
    put(&mut log, checksum.1);
    for (page, size, byte) in frames {
        let mut frame = Vec::new();
        put(&mut frame, *page);
        put(&mut frame, *size);
        let content = vec![*byte; page_size as usize];
        checksum = sum(big_endian, sum(big_endian, checksum, &frame), &content);
        for number in [7, 9, checksum.0, checksum.1] {
            put(&mut frame, number);
        }
        log.extend(frame);
        log.extend(content);
    }
    log
}

#[test]
fn logs_of_either_order_of_bytes_are_read() {
    for big_endian in [false, true] {
        let case = Case::new();
        std::fs::write(case.database(), [b'a'; 512 * 3]).unwrap();
        let frames = [(2, 0, b'b'), (2, 3, b'c'), (4, 0, b'd'), (1, 5, b'e'), (9, 2, b'f')];
        std::fs::write(case.log_path(), made(big_endian, 512, &frames)).unwrap();
        let copy = case.folder.path().join("copy");
        for (frames, content) in [(2, "aca"), (4, "ecad\0"), (5, "ec")] {
            let pages = content.bytes().flat_map(|byte| [byte; 512]);
            std::fs::write(&copy, pages.collect::<Vec<_>>()).unwrap();
            let found = case.compare(&header(&case.log(), frames), &copy).unwrap();
            assert!(same(&found), "{content}: {found:?}");
        }
    }
}

#[test]
fn the_page_of_the_locks_is_left_out_and_its_neighbours_are_not() {
    // Holes only.
    let case = Case::new();
    let (page_size, locks) = (65536_u32, 0x4000_0000_u64 / 65536 + 1);
    let pages = u32::try_from(locks).unwrap() + 2;
    std::fs::write(case.log_path(), made(false, page_size, &[(1, pages, 0)])).unwrap();
    let size = u64::from(pages) * u64::from(page_size);
    File::create(case.database()).unwrap().set_len(size).unwrap();
    let path = case.folder.path().join("copy");
    let copy = File::create(&path).unwrap();
    copy.set_len(size).unwrap();
    for page in [locks - 1, locks, locks + 1] {
        copy.write_all_at(b"x", (page - 1) * u64::from(page_size) + 500).unwrap();
    }
    let found = case.compare(&header(&case.log(), 1), &path).unwrap();
    assert_eq!((found.differing, found.first), (2, vec![locks - 1, locks + 1]));
}

#[test]
fn a_large_copy_is_compared_from_both_ends() {
    let case = Case::new();
    let (page_size, pages) = (4096, 20_000);
    std::fs::write(case.log_path(), made(false, page_size, &[(7, pages, 0)])).unwrap();
    let size = u64::from(pages) * u64::from(page_size);
    File::create(case.database()).unwrap().set_len(size).unwrap();
    let path = case.folder.path().join("copy");
    let copy = File::create(&path).unwrap();
    copy.set_len(size).unwrap();
    let all = [1, 2, 9_999, 10_000, 10_001, 10_002, 20_000];
    for page in all {
        copy.write_all_at(b"x", (page - 1) * u64::from(page_size)).unwrap();
    }
    let found = case.compare(&header(&case.log(), 1), &path).unwrap();
    assert_eq!((found.differing, found.first), (7, vec![1, 2, 9_999, 10_000, 10_001]));
    let database = File::open(case.database()).unwrap();
    let held = Held { salts: None, frames: 0 };
    let log = case.log();
    let mut image = Image::open(&database, &case.log_path(), held).unwrap();
    let error = find(&mut image, &[header(&log, 1)], &copy, &|| true).unwrap_err();
    assert!(error.one_line().contains("stopped"), "{error:?}");
}

#[test]
fn what_is_no_log_or_no_ltx_file_is_none() {
    let case = Case::new();
    let whole = made(false, 512, &[(1, 1, b'a')]);
    let cut = &whole[..20];
    let (mut magic, mut checksum) = (whole.clone(), whole.clone());
    magic[3] = 0;
    checksum[30] = 0;
    for bytes in [cut, &magic, &checksum, b""] {
        std::fs::write(case.log_path(), bytes).unwrap();
        assert!(Log::open(&case.log_path()).is_none());
    }
    std::fs::write(case.log_path(), &whole).unwrap();
    assert!(Log::open(&case.log_path()).is_some());
    assert_eq!(Header::read(&case.log_path()), None);
    assert_eq!(Header::read(&case.folder.path().join("missing")), None);
}
