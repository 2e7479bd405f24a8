//! `lsrun restore` cut off: killed at every step, litestream killed, applications
//! that come in the middle, and what is on the disk at which moment.

use std::process::Stdio;

use crate::support::backups::{
    INTACT, NEW, USERS, backed_up, change_pages, kept, many_pages, with_socket,
};
use crate::support::stand_in::stand_in;
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
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
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
        sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["was cut off"]);
        assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
        let left: Vec<String> = sandbox.names("");
        assert!(!left.iter().any(|name| name.contains("lsrun-")), "crash at {point}: {left:?}");
        assert_eq!(sandbox.integer(&kept(&sandbox)[0], NEW), 100, "crash at {point}");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn a_crash_beside_a_daemon_leaves_the_old_database_or_the_new_one() {
    for point in 0..=7 {
        let sandbox = many_pages();
        let _daemon = with_socket(&sandbox);
        let points = sandbox.lsrun(&["points", "-json", "default"]).expect(0).json();
        let last = points["points"].as_array().unwrap().last().unwrap()["txid"].clone();
        let txid = last.as_str().unwrap();
        change_pages(&sandbox);
        let arguments = ["restore", "-force", "-txid", txid, "default"];
        let mut command = sandbox.command(&arguments);
        let run: Run =
            command.env("LSRUN_TEST_ABORT_AT", point.to_string()).output().unwrap().into();
        assert_eq!(run.code, -1, "it did not crash at {point}: {}", run.stderr);
        // Nothing calls this backup good before the daemon continues, or writes what
        // the daemon might never see.
        let files =
            || ["db.sqlite3", "db.sqlite3-wal"].map(|name| std::fs::read(sandbox.path(name)).ok());
        let before = files();
        sandbox.lsrun(&["verify"]).expect(11).says(&["lsrun start default"]);
        assert!(files() == before, "crash at {point}");
        sandbox.lsrun(&["start", "default"]).expect(0);
        sandbox.lsrun(&["sync", "-wait", "default"]).expect(0);
        assert_eq!(sandbox.integer("db.sqlite3", INTACT), 1, "crash at {point}");
        let new = sandbox.integer("db.sqlite3", NEW);
        assert_eq!(new, if point >= 5 { 0 } else { 100 }, "crash at {point}");
        sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
        sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
        assert_eq!(sandbox.integer("copy.sqlite3", NEW), new, "crash at {point}");
        sandbox.lsrun(&arguments).expect(0).says(&["was cut off"]);
        assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
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
            .says(&["was cut off while the daemon was stopped", "the daemon replicates it again"]);
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
    let command = sandbox.command(&["restore", "-force", "default"]);
    let run: Run = crate::support::stand_in::with_litestream(command, &script);
    assert_ne!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 100);
    assert_eq!(sandbox.names(""), before);
    sandbox.assert_clean();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
}

/// Starts a restore that waits before it writes the new content.
fn paused(sandbox: &Sandbox, more: &[&str]) -> (std::process::Child, std::path::PathBuf) {
    let pause = sandbox.path("pause");
    let mut command = sandbox.command(&[&["restore", "-force"], more, &["default"]].concat());
    command.env("LSRUN_TEST_PAUSE_AT", format!("4 {}", pause.display()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it is about to write", || pause.exists());
    (child, pause)
}

/// An application that comes in the middle cannot write to the old database, and what
/// it writes as soon as it can is in the new one, whatever it had open before.
fn during_the_swap(sandbox: &Sandbox, more: &[&str], user: Option<rusqlite::Connection>) {
    let (child, pause) = paused(sandbox, more);
    let path = sandbox.path("db.sqlite3");
    let user = user.unwrap_or_else(|| rusqlite::Connection::open(path).unwrap());
    let insert = "INSERT INTO users (name) VALUES ('late')";
    user.busy_timeout(std::time::Duration::ZERO).unwrap();
    let refused = user.execute(insert, []).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy), "{refused}");
    user.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let writer = std::thread::spawn(move || user.execute(insert, []).unwrap());
    std::fs::remove_file(&pause).unwrap();
    Run::from(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(writer.join().unwrap(), 1);
    assert_eq!(sandbox.integer("db.sqlite3", INTACT), 1);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    let kept = &kept(sandbox)[0];
    assert_eq!(sandbox.integer(kept, INTACT), 1);
    assert_eq!(sandbox.integer(kept, USERS), 4);
    assert_eq!(sandbox.integer(kept, "SELECT count(*) FROM users WHERE name = 'new'"), 1);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn who_opens_the_database_during_the_swap_waits_and_finds_the_new_one() {
    during_the_swap(&backed_up(), &[], None);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn a_connection_that_was_never_used_finds_the_new_one() {
    let sandbox = backed_up();
    let idle = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    during_the_swap(&sandbox, &["--even-if-in-use"], Some(idle));
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn a_database_without_a_log_is_swapped_as_safely() {
    let sandbox = backed_up();
    sandbox.sql("db.sqlite3", "PRAGMA journal_mode = delete");
    let idle = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    let users: i64 = idle.query_row(USERS, [], |row| row.get(0)).unwrap();
    assert_eq!(users, 4);
    during_the_swap(&sandbox, &["--even-if-in-use"], Some(idle));
    assert!(!sandbox.path("db.sqlite3-journal").exists());
}

#[test]
fn pages_of_another_size_are_no_obstacle() {
    for mode in ["wal", "delete"] {
        let sandbox = many_pages();
        change_pages(&sandbox);
        sandbox
            .sql("db.sqlite3", "PRAGMA journal_mode = delete; PRAGMA page_size = 16384; VACUUM;");
        sandbox.sql("db.sqlite3", &format!("PRAGMA journal_mode = {mode}"));
        assert_eq!(sandbox.integer("db.sqlite3", "PRAGMA page_size"), 16384);
        sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
        assert_whole(&sandbox, mode);
        assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
        assert_eq!(sandbox.integer(&kept(&sandbox)[0], NEW), 100);
        sandbox.lsrun(&["verify"]).expect(0);
    }
}

#[test]
fn an_undo_behind_a_crash_brings_back_what_was_kept_and_not_what_stands() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer(&kept(&sandbox)[0], USERS), 4);
    // What a restore leaves that is killed when it has given a second name.
    let second = sandbox.path("db.sqlite3.before-restore-20990101T000000.000Z");
    std::fs::hard_link(sandbox.path("db.sqlite3"), second).unwrap();
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn interrupted_before_the_swap_it_swaps_nothing() {
    let sandbox = backed_up();
    let pause = sandbox.path("pause");
    let mut command = sandbox.command(&["restore", "-force", "default"]);
    command.env("LSRUN_TEST_PAUSE_AT", format!("0 {}", pause.display()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it is about to begin", || pause.exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The signal is there before the swap continues.
    let status = format!("/proc/{}/status", child.id());
    wait_until("the signal has come", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        !status
            .lines()
            .any(|line| line.starts_with("ShdPnd") && !line.ends_with("0000000000000000"))
    });
    std::fs::remove_file(&pause).unwrap();
    Run::from(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(kept(&sandbox).is_empty());
    sandbox.assert_clean();
}

/// What lsrun asks of the file system, in order: its calls are seen by a library
/// that is between it and libc.
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

/// The first call at or after `from` that `fits`; everything is shown if there is none.
#[cfg(target_os = "linux")]
#[track_caller]
fn position(calls: &[String], from: usize, what: &str, fits: impl Fn(&str) -> bool) -> usize {
    let found = calls.iter().skip(from).position(|call| fits(call));
    from + found.unwrap_or_else(|| panic!("{what}, after {from}: {calls:#?}"))
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_stands_everything_is_on_the_disk_before_the_rename() {
    let sandbox = backed_up();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    let _missing = std::fs::remove_file(sandbox.path("db.sqlite3-shm"));
    std::fs::write(sandbox.path("db.sqlite3-wal"), vec![7_u8; 4096]).unwrap();
    let calls = calls(&sandbox, &["restore", "default"]);
    let at = |from, what: &str, fits: &dyn Fn(&str) -> bool| position(&calls, from, what, fits);
    let aside = at(0, "the stale log goes", &|it| it.starts_with("rename db.sqlite3-wal "));
    let copy = at(aside, "the copy is synced", &|it| {
        it.starts_with("sync .db.sqlite3.lsrun-") && it.ends_with("/restored.sqlite3")
    });
    let folder = at(copy, "the folder is synced", &|it| it == "sync .");
    let rename = at(0, "the rename", &|it| it.ends_with("/restored.sqlite3 db.sqlite3"));
    assert!(folder < rename, "{calls:#?}");
    at(rename, "the folder is synced", &|it| it == "sync .");
}

/// The old content is on the disk under its new name before the new one is written.
#[cfg(target_os = "linux")]
fn kept_first(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let calls = calls(sandbox, arguments);
    let at = |from, what: &str, fits: &dyn Fn(&str) -> bool| position(&calls, from, what, fits);
    let part = at(0, "the old one is copied", &|it| {
        it.starts_with("sync db.sqlite3.before") && it.ends_with(".part")
    });
    let named = at(part, "it gets its name", &|it| {
        it.starts_with("rename db.sqlite3.before") && !it.ends_with(".part")
    });
    let folder = at(named, "the folder is synced", &|it| it == "sync .");
    let log = at(folder, "the new content is synced", &|it| it == "sync db.sqlite3-wal");
    calls[log..].to_vec()
}

#[cfg(target_os = "linux")]
#[test]
fn the_old_database_is_on_the_disk_before_the_new_one_is_written() {
    let sandbox = many_pages();
    change_pages_in_the_log(&sandbox);
    let rest = kept_first(&sandbox, &["restore", "-force", "default"]);
    // Then the log is checkpointed into it.
    position(&rest, 0, "the database is synced", |it| it == "sync db.sqlite3");
    assert!(!sandbox.path("db.sqlite3-wal").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn beside_a_daemon_the_new_content_stays_in_the_log_for_it() {
    let sandbox = many_pages();
    let _daemon = with_socket(&sandbox);
    change_pages(&sandbox);
    let rest = kept_first(&sandbox, &["restore", "-force", "-txid", "1", "default"]);
    assert!(!rest.contains(&"sync db.sqlite3".to_owned()), "{rest:#?}");
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
