//! `lsrun restore` cut off: killed at every step, litestream killed, applications
//! that come in the middle, and what is on the disk at which moment.

use std::process::Stdio;

use crate::faults::stand_in;
use crate::restore::{INTACT, NEW, USERS, backed_up, change_pages, kept, many_pages, with_socket};
use crate::support::{Run, Sandbox, wait_until};

/// Fails unless the database is the old one or the new one, whole.
#[track_caller]
fn assert_whole(sandbox: &Sandbox, when: &str) {
    let _made_by_readers = std::fs::remove_file(sandbox.path("db.sqlite3-shm"));
    assert_eq!(sandbox.integer("db.sqlite3", INTACT), 1, "{when}");
    let new = sandbox.integer("db.sqlite3", NEW);
    assert!(new == 0 || new == 100, "{when}: {new} of the new rows");
}

/// The old database's newest content is in its log only, as after a crash of the
/// application.
fn change_pages_in_the_log(sandbox: &Sandbox) {
    let path = sandbox.path("db.sqlite3");
    let user = rusqlite::Connection::open(&path).unwrap();
    user.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    user.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; UPDATE pages SET content = 'new' || content WHERE id % 2 = 0",
    )
    .unwrap();
    drop(user);
    assert!(std::fs::metadata(sandbox.path("db.sqlite3-wal")).unwrap().len() > 100_000);
}

#[test]
fn a_crash_at_any_point_leaves_the_old_database_or_the_new_one() {
    for point in 0..=7 {
        let sandbox = many_pages();
        change_pages_in_the_log(&sandbox);
        let mut command = sandbox.command(&["restore", "-force", "default"]);
        let run: Run =
            command.env("LSRUN_TEST_ABORT_AT", point.to_string()).output().unwrap().into();
        assert_eq!(run.code, -1, "it did not crash at {point}: {}", run.stderr);
        assert_whole(&sandbox, &format!("crash at {point}"));
        let replaced = sandbox.integer("db.sqlite3", NEW) == 0;
        assert_eq!(replaced, point >= 5, "crash at {point}");
        // The next one says what it found and goes through.
        sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["broke off"]);
        assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
        let left: Vec<String> = sandbox.names("");
        assert!(!left.iter().any(|name| name.contains("lsrun-")), "crash at {point}: {left:?}");
        assert_eq!(sandbox.integer(&kept(&sandbox)[0], NEW), 100, "crash at {point}");
    }
}

#[test]
fn a_crash_beside_a_daemon_leaves_the_old_database_or_the_new_one() {
    for point in 0..=7 {
        let sandbox = many_pages();
        let _daemon = with_socket(&sandbox);
        let points = sandbox.lsrun(&["points", "-json", "default"]).expect(0).json();
        let before = points["points"].as_array().unwrap().last().unwrap()["txid"].clone();
        let txid = before.as_str().unwrap();
        change_pages(&sandbox);
        let arguments = ["restore", "-force", "-txid", txid, "default"];
        let mut command = sandbox.command(&arguments);
        let run: Run =
            command.env("LSRUN_TEST_ABORT_AT", point.to_string()).output().unwrap().into();
        assert_eq!(run.code, -1, "it did not crash at {point}: {}", run.stderr);
        // Nobody says that this backup is good before the daemon goes on.
        sandbox.lsrun(&["verify"]).expect(11).says(&["lsrun start default"]);
        sandbox.lsrun(&["start", "default"]).expect(0);
        sandbox.lsrun(&["sync", "-wait", "default"]).expect(0);
        assert_eq!(sandbox.integer("db.sqlite3", INTACT), 1, "crash at {point}");
        let new = sandbox.integer("db.sqlite3", NEW);
        assert_eq!(new, if point >= 5 { 0 } else { 100 }, "crash at {point}");
        sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
        sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
        assert_eq!(sandbox.integer("copy.sqlite3", NEW), new, "crash at {point}");
        sandbox.lsrun(&arguments).expect(0).says(&["broke off"]);
        assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
    }
}

#[test]
fn the_next_restore_starts_the_daemon_that_a_killed_one_had_stopped() {
    for point in [0, 4, 7] {
        let sandbox = many_pages();
        let _daemon = with_socket(&sandbox);
        let arguments = ["restore", "-force", "default"];
        let mut command = sandbox.command(&arguments);
        let run: Run =
            command.env("LSRUN_TEST_ABORT_AT", point.to_string()).output().unwrap().into();
        assert_eq!(run.code, -1, "it did not crash at {point}: {}", run.stderr);
        sandbox
            .lsrun(&arguments)
            .expect(0)
            .says(&["broke off while the daemon was stopped", "it replicates it again"]);
        sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('later')");
        sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
        sandbox.lsrun(&arguments).expect(0);
        assert_eq!(sandbox.integer("db.sqlite3", USERS), 4, "crash at {point}");
    }
}

#[test]
fn litestream_killed_in_the_middle_leaves_the_old_database() {
    let sandbox = many_pages();
    change_pages(&sandbox);
    let script = stand_in(
        &sandbox,
        "case \" $* \" in *\" -dry-run \"*) exec \"$real\" \"$@\";; esac
\"$real\" \"$@\" &
child=$!
while [ ! -s \"$output.tmp\" ] && kill -0 $child 2>/dev/null; do :; done
kill -9 $child; rm -f \"$output\"
kill -9 $$",
    );
    let before = sandbox.names("");
    let mut command = sandbox.command(&["restore", "-force", "default"]);
    let run: Run = command.env("LSRUN_LITESTREAM", &script).output().unwrap().into();
    assert_ne!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 100);
    assert_eq!(sandbox.names(""), before);
    sandbox.assert_clean();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
}

/// Opens the database while a restore stands still just before its rename.
#[cfg(target_os = "linux")]
#[test]
fn who_opens_the_database_during_the_swap_cannot_write_and_stops_it() {
    let sandbox = backed_up();
    let pause = sandbox.path("pause");
    let mut command = sandbox.command(&["restore", "-force", "default"]);
    command.env("LSRUN_TEST_PAUSE_AT", format!("4 {}", pause.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("it is about to rename", || pause.exists());
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.busy_timeout(std::time::Duration::ZERO).unwrap();
    let refused = user.execute("INSERT INTO users (name) VALUES ('lost')", []).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy), "{refused}");
    std::fs::remove_file(&pause).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    run.expect(11).says(&["in use", &format!("(process {})", std::process::id())]);
    user.execute("INSERT INTO users (name) VALUES ('kept')", []).unwrap();
    drop(user);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 5);
    assert!(kept(&sandbox).is_empty());
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer(&kept(&sandbox)[0], USERS), 5);
}

/// What lsrun asks of the file system, in order: its calls are seen by a library
/// that stands between it and libc.
#[cfg(target_os = "linux")]
fn calls(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let library = sandbox.path("calls.so");
    let source = crate::support::repository().join("tests/support/calls.c");
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.unwrap().success());
    let log = sandbox.path("calls.log");
    let mut command = sandbox.command(arguments);
    command.env("LD_PRELOAD", &library).env("LSRUN_TEST_CALLS", &log);
    Run::from(command.output().unwrap()).expect(0);
    let root = std::fs::canonicalize(sandbox.path("")).unwrap();
    let root = root.to_str().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    log.lines().map(|line| line.replace(&format!("{root}/"), "").replace(root, ".")).collect()
}

/// The first call at or behind `from` that `fits`; everything is shown without one.
#[cfg(target_os = "linux")]
#[track_caller]
fn position(calls: &[String], from: usize, what: &str, fits: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().skip(from).position(|call| fits(call));
    from + found.unwrap_or_else(|| panic!("{what}, behind {from}: {calls:#?}"))
}

#[cfg(target_os = "linux")]
#[test]
fn everything_is_on_the_disk_before_the_next_step_relies_on_it() {
    let sandbox = many_pages();
    change_pages_in_the_log(&sandbox);
    let calls = calls(&sandbox, &["restore", "-force", "default"]);
    let at = |from, what: &str, fits: &dyn Fn(&str) -> bool| position(&calls, from, what, fits);
    // The log is in the old database, the old database has its second name, the copy
    // is written; only then comes the rename, and its folder is synced.
    let old = at(0, "the old database is synced", &|it| it == "sync db.sqlite3");
    let link = at(old, "a second name", &|it| it.starts_with("link db.sqlite3 db.sqlite3.before"));
    let named = at(link, "the folder is synced", &|it| it == "sync .");
    let copy = at(0, "the copy is synced", &|it| it.starts_with("sync .db.sqlite3.lsrun-"));
    let rename = at(0, "the rename", &|it| it.ends_with("restored.sqlite3 db.sqlite3"));
    assert!(named < rename && copy < rename, "{calls:#?}");
    at(rename, "the folder is synced", &|it| it == "sync .");
}

#[cfg(target_os = "linux")]
#[test]
fn beside_a_daemon_the_old_database_is_on_the_disk_before_the_new_one_is_written() {
    let sandbox = many_pages();
    let _daemon = with_socket(&sandbox);
    change_pages(&sandbox);
    let calls = calls(&sandbox, &["restore", "-force", "-txid", "1", "default"]);
    let at = |from, what: &str, fits: &dyn Fn(&str) -> bool| position(&calls, from, what, fits);
    let part = at(0, "the old one is copied", &|it| {
        it.starts_with("sync db.sqlite3.before") && it.ends_with(".part")
    });
    let named = at(part, "it gets its name", &|it| {
        it.starts_with("rename db.sqlite3.before") && !it.ends_with(".part")
    });
    let folder = at(named, "the folder is synced", &|it| it == "sync .");
    at(folder, "the new content is synced", &|it| it == "sync db.sqlite3-wal");
}

#[test]
fn killed_at_any_moment_it_leaves_the_old_database_or_the_new_one() {
    let sandbox = many_pages();
    for round in 0_u64..12 {
        change_pages(&sandbox);
        sandbox.sql("db.sqlite3", "UPDATE pages SET content = 'new' || substr(content, 4) WHERE id % 2 = 0 AND content LIKE 'new%'");
        let mut child = sandbox
            .command(&["restore", "-force", "default"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over the whole of it.
        let moment = std::time::Instant::now() + std::time::Duration::from_millis(10 + round * 12);
        while std::time::Instant::now() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_whole(&sandbox, &format!("round {round}"));
    }
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
}

#[test]
fn two_restores_at_once_both_leave_a_whole_database() {
    let sandbox = many_pages();
    change_pages(&sandbox);
    let start = || sandbox.command(&["restore", "-force", "default"]).spawn().unwrap();
    let (mut one, mut other) = (start(), start());
    let codes = [one.wait().unwrap().code(), other.wait().unwrap().code()];
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert_whole(&sandbox, "two at once");
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
    assert!(kept(&sandbox).iter().any(|name| sandbox.integer(name, NEW) == 100));
}

#[test]
fn no_write_of_a_busy_application_is_lost() {
    let sandbox = backed_up();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let written = std::sync::atomic::AtomicI64::new(0);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
            user.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
            while !stop.load(ordering) {
                user.execute("INSERT INTO users (name) VALUES ('busy')", []).unwrap();
                written.fetch_add(1, ordering);
            }
        });
        wait_until("it writes", || written.load(ordering) > 0);
        for flags in [&["-force"][..], &["-force", "--even-if-in-use"]] {
            let arguments = [&["restore"][..], flags, &["default"]].concat();
            let run = sandbox.lsrun(&arguments);
            assert_eq!(run.code, 11, "{}", run.stderr);
        }
        stop.store(true, ordering);
    });
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4 + written.load(ordering));
}

#[test]
fn of_two_restores_onto_nothing_one_replaces_nothing() {
    let sandbox = many_pages();
    let start = || sandbox.command(&["restore", "-o", "copy.sqlite3", "default"]).spawn().unwrap();
    let (mut one, mut other) = (start(), start());
    let mut codes = [one.wait().unwrap().code(), other.wait().unwrap().code()];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(11)]);
    assert_eq!(sandbox.integer("copy.sqlite3", INTACT), 1);
}
