//! `lsrun restore`: to a new path, to another file, over a database, and every way
//! in which it must leave the live database as it was.

use crate::support::backups::{
    INTACT, NEW, USERS, backed_up, change_pages, kept, many_pages, six_transactions, with_socket,
};
use crate::support::daemon::Daemon;
use crate::support::{PROJECT, Sandbox, wait_until};

#[test]
fn onto_a_missing_database() {
    let sandbox = backed_up();
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.lsrun(&["restore", "default"]).expect(0).says(&["default restored"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    sandbox.assert_clean();
}

#[test]
fn to_another_file_relative_to_the_working_directory() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn an_existing_database_is_never_replaced_without_force() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "default"]).expect(11).says(&["db.sqlite3 exists", "-force"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox
        .lsrun(&["restore", "-if-db-not-exists", "default"])
        .expect(0)
        .says(&["skipped", "the database exists"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn with_force_the_old_one_is_kept_whole() {
    let sandbox = backed_up();
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(0)
        .says(&["the old database is kept as"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    let kept: Vec<String> = sandbox
        .names("")
        .into_iter()
        .filter(|name| name.starts_with("db.sqlite3.before-restore-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(sandbox.integer(&kept[0], USERS), 4);
    // The new one replicates on.
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn a_stale_log_beside_a_missing_database_is_not_replayed_into_the_new_one() {
    let sandbox = backed_up();
    let log = vec![7_u8; 4096];
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    let _missing = std::fs::remove_file(sandbox.path("db.sqlite3-shm"));
    std::fs::write(sandbox.path("db.sqlite3-wal"), &log).unwrap();
    sandbox.lsrun(&["restore", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM pragma_integrity_check"), 1);
}

#[test]
fn no_backup_leaves_the_database_as_it_was() {
    let sandbox = Sandbox::new();
    for flags in [&["-force"][..], &["-force", "-txid", "5"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(11).says(&["no backup of default yet"]);
    }
    sandbox
        .lsrun(&["restore", "-force", "-if-replica-exists", "default"])
        .expect(0)
        .says(&["skipped", "no backup"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp"]);
}

#[test]
fn a_variable_that_is_not_set_is_no_missing_backup() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &PROJECT.replace("path: replica", "path: $NOT_SET_ANYWHERE"));
    for flags in [&["-o", "copy.sqlite3"][..], &["-if-replica-exists", "-o", "copy.sqlite3"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(20).says(&["NOT_SET_ANYWHERE is not set"]);
    }
}

#[test]
fn a_damaged_backup_leaves_the_database_as_it_was() {
    let sandbox = backed_up();
    let level = sandbox.path("replica/ltx/0");
    for file in std::fs::read_dir(&level).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() / 2]).unwrap();
    }
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(22)
        .says(&["not restored", "no older point"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox.assert_clean();
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let sandbox = backed_up();
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(11).says(&["in use"]);
    user.execute_batch("COMMIT").unwrap();
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn a_database_that_a_daemon_replicates_is_not_replaced() {
    let sandbox = backed_up();
    let _daemon = Daemon::start(&sandbox, "");
    wait_until("the daemon has the database open", || {
        !lsrun::testing::running(&sandbox.path("db.sqlite3")).is_empty()
    });
    sandbox.lsrun(&["restore", "-force", "default"]).expect(11).says(&["litestream daemon"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn from_a_url_without_a_project() {
    let sandbox = backed_up();
    let url = format!("file://{}", sandbox.path("replica").display());
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let json = sandbox.lsrun(&["restore", "-json", "-o", "copy.sqlite3", &url]).expect(0).json();
    assert_eq!(json["db_path"], sandbox.path("copy.sqlite3").to_str().unwrap());
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    sandbox.lsrun(&["restore", &url]).expect(2).says(&["needs -o"]);
}

#[test]
fn every_point_that_is_listed_can_be_restored_by_txid_and_by_time() {
    let sandbox = six_transactions();
    let listed = sandbox.lsrun(&["points", "-json", "default"]).expect(0).json();
    let points = listed["points"].as_array().unwrap();
    assert!(points.len() >= 6, "{listed}");
    assert!(listed["gaps"].as_array().unwrap().is_empty());
    assert_eq!(listed["newest"], points.last().unwrap()["timestamp"]);
    for (number, point) in points.iter().enumerate() {
        let txid = point["txid"].as_str().unwrap();
        let after: jiff::Timestamp = point["timestamp"].as_str().unwrap().parse().unwrap();
        let after = (after + jiff::SignedDuration::from_millis(2)).to_string();
        for (way, value) in [("-txid", txid), ("-timestamp", after.as_str())] {
            let copy = format!("copy{way}{number}.sqlite3");
            let run = sandbox.lsrun(&["restore", "-json", way, value, "-o", &copy, "default"]);
            assert_eq!(run.expect(0).json()["txid"], txid, "{way} {value}");
        }
    }
    // One a second apart from each other, thinned out by the day.
    let thin = sandbox.lsrun(&["points", "--every", "300h", "default"]).expect(0);
    assert!(thin.stdout.lines().count() <= 6, "{}", thin.stdout);
}

#[test]
fn a_timestamp_behind_a_gap_is_refused_and_the_gap_is_shown() {
    let sandbox = six_transactions();
    let files = sandbox.names("replica/ltx/0");
    std::fs::remove_file(sandbox.path("replica/ltx/0").join(&files[3])).unwrap();
    sandbox
        .lsrun(&["restore", "-timestamp", "1 minute ago", "-o", "copy.sqlite3", "default"])
        .expect(11)
        .says(&[
            "up to ",
            "the backup has a gap",
            "TXID 0000000000000003",
            "TXID 0000000000000005",
        ]);
    assert!(!sandbox.path("copy.sqlite3").exists());
    sandbox.lsrun(&["restore", "-txid", "3", "-o", "copy.sqlite3", "default"]).expect(0);
    sandbox
        .lsrun(&["points", "default"])
        .expect(0)
        .says(&["gap: nothing between TXID 0000000000000003 and 0000000000000005"]);
}

#[test]
fn a_time_is_read_as_people_write_it() {
    let sandbox = six_transactions();
    let run = |time: &str| {
        let _again = std::fs::remove_file(sandbox.path("copy.sqlite3"));
        sandbox.lsrun(&["restore", "-json", "-timestamp", time, "-o", "copy.sqlite3", "default"])
    };
    let points = sandbox.lsrun(&["points", "-json", "default"]).expect(0).json();
    // Ten hours ago the first, one more each hour.
    let third = &points["points"][2]["txid"];
    let run_of_third = run("7 hours 30 minutes ago").expect(0).says(&["up to 20"]);
    assert_eq!(&run_of_third.json()["txid"], third);
    run("in a while").expect(2).says(&["cannot read \"in a while\" as a time", "10 minutes ago"]);
    run("yesterday").expect(11).says(&["the backup of default begins at 20"]);
}

#[test]
fn nothing_to_restore_has_no_points() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["points", "default"]).expect(11).says(&["no backup of default yet"]);
    sandbox.lsrun(&["points", "nope"]).expect(20);
    sandbox.lsrun(&["points"]).expect(11);
    sandbox.lsrun(&["--help"]).expect(0).says(&["points"]);
}

#[test]
fn a_backup_goes_on_after_a_restore_without_a_daemon() {
    let sandbox = many_pages();
    change_pages(&sandbox);
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.lsrun(&["restore", "-force", "-txid", "1", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('later')");
    sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", NEW), 0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 4);
}

#[test]
fn a_daemon_with_a_socket_replicates_correctly_on_after_a_restore() {
    let sandbox = many_pages();
    let _daemon = with_socket(&sandbox);
    let points = sandbox.lsrun(&["points", "-json", "default"]).expect(0).json();
    let before = points["points"].as_array().unwrap().last().unwrap()["txid"].clone();
    change_pages(&sandbox);
    sandbox.lsrun(&["sync", "-wait", "default"]).expect(0);
    sandbox
        .lsrun(&["restore", "-force", "-txid", before.as_str().unwrap(), "default"])
        .expect(0)
        .says(&["the old database is kept as"]);
    assert_eq!(sandbox.integer("db.sqlite3", NEW), 0);
    assert_eq!(sandbox.integer(&kept(&sandbox)[0], NEW), 100);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('later')");
    sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", NEW), 0, "pages of the old database are back");
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 4);
    assert_eq!(sandbox.integer("copy.sqlite3", INTACT), 1);
}

#[test]
fn a_daemon_that_cannot_be_stopped_goes_on() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let (_socket, lines) = Daemon::socket(&sandbox);
    let _daemon = Daemon::start(&sandbox, &format!("{lines}\nshutdown-sync-timeout: 300ms"));
    sandbox.write("lsrun.yml", &format!("{PROJECT}  {lines}\n"));
    wait_until("the daemon knows it", || sandbox.lsrun(&["sync", "-wait", "default"]).code == 0);
    // Its last sync fails, and with it the stop, after which it has stopped.
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('late')");
    std::fs::rename(sandbox.path("replica"), sandbox.path("away")).unwrap();
    sandbox.write("replica", "no folder");
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(22).says(&["cannot replicate"]);
    let state = sandbox.lsrun(&["list", "-json"]).expect(0).json();
    assert_eq!(state["databases"][0]["status"], "replicating", "{state}");
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(!sandbox.names("").iter().any(|name| name.contains("lsrun-")));
}

#[test]
fn what_is_written_behind_start_is_replicated() {
    let sandbox = Sandbox::new();
    let _daemon = with_socket(&sandbox);
    sandbox.lsrun(&["stop", "default"]).expect(0);
    sandbox.lsrun(&["start", "default"]).expect(0);
    // The last connection of an application checkpoints the log when it closes.
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('at once')");
    sandbox.lsrun(&["sync", "-wait", "default"]).expect(0);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 4);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn a_daemon_replicates_on_after_a_restore_that_was_refused() {
    let sandbox = many_pages();
    let _daemon = with_socket(&sandbox);
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    for flags in [&["-force"][..], &["-force", "--even-if-in-use"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(11).says(&["in use"]);
    }
    user.execute_batch("COMMIT").unwrap();
    drop(user);
    change_pages(&sandbox);
    sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
    assert!(kept(&sandbox).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_has_the_database_open_is_named() {
    let sandbox = backed_up();
    // It has the file open and no lock on it.
    let holder = std::fs::File::open(sandbox.path("db.sqlite3")).unwrap();
    let own = format!("(process {})", std::process::id());
    sandbox.lsrun(&["restore", "-force", "default"]).expect(11).says(&["in use", &own]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox.lsrun(&["restore", "-force", "--even-if-in-use", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    drop(holder);
}

#[test]
fn undo_brings_back_what_was_replaced_and_keeps_what_it_replaces() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(11).says(&["no kept copy"]);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    for users in [4, 3, 4] {
        sandbox.lsrun(&["restore", "--undo", "default"]).expect(0).says(&[
            "from ",
            ".before-restore-",
            "kept as",
        ]);
        assert_eq!(sandbox.integer("db.sqlite3", USERS), users);
    }
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn only_so_many_old_databases_are_kept() {
    let sandbox = backed_up();
    sandbox.write("lsrun.yml", &format!("{PROJECT}restore: {{keep: 2}}\n"));
    for round in 1..=4 {
        sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
        assert_eq!(kept(&sandbox).len(), round.min(2));
    }
    // The very last one is never removed.
    sandbox.write("lsrun.yml", &format!("{PROJECT}restore: {{keep: 0}}\n"));
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('x'), ('y')");
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["restore.keep"]);
    assert_eq!(kept(&sandbox).len(), 1);
    assert_eq!(sandbox.integer(&kept(&sandbox)[0], USERS), 5);
}

#[test]
fn a_link_is_followed_and_mode_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = backed_up();
    std::fs::create_dir(sandbox.path("data")).unwrap();
    std::fs::rename(sandbox.path("db.sqlite3"), sandbox.path("data/real.sqlite3")).unwrap();
    for left in ["db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(left));
    }
    std::os::unix::fs::symlink("data/real.sqlite3", sandbox.path("db.sqlite3")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(sandbox.path("data/real.sqlite3"), mode).unwrap();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert!(sandbox.path("db.sqlite3").is_symlink());
    let metadata = std::fs::metadata(sandbox.path("data/real.sqlite3")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert_eq!(sandbox.integer("data/real.sqlite3", USERS), 3);
}

#[test]
fn the_owner_is_kept() {
    use std::os::unix::fs::{MetadataExt, chown};
    let sandbox = backed_up();
    let path = sandbox.path("db.sqlite3");
    // Only root can give a file away; for other users it has to stay their own.
    let root = rustix::process::geteuid().is_root();
    if root {
        chown(&path, Some(12_345), Some(23_456)).unwrap();
    }
    let owner = |name: &str| {
        let metadata = std::fs::metadata(sandbox.path(name)).unwrap();
        (metadata.uid(), metadata.gid())
    };
    let before = owner("db.sqlite3");
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(owner("db.sqlite3"), before);
    assert_eq!(owner(&kept(&sandbox)[0]), before);
    // If no database existed, it is that of the folder.
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    if root {
        chown(sandbox.path("folder"), Some(12_345), Some(23_456)).unwrap();
    }
    sandbox.lsrun(&["restore", "-o", "folder/copy.sqlite3", "default"]).expect(0);
    assert_eq!(owner("folder/copy.sqlite3"), owner("folder"));
}

#[test]
fn a_link_to_another_file_system_is_followed() {
    let sandbox = backed_up();
    for left in ["db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(left));
    }
    // If this system has no second file system for all users, it is the same one.
    let elsewhere = tempfile::tempdir_in(if std::path::Path::new("/dev/shm").is_dir() {
        std::path::Path::new("/dev/shm").to_owned()
    } else {
        std::env::temp_dir()
    })
    .unwrap();
    let real = elsewhere.path().join("real.sqlite3");
    std::fs::copy(sandbox.path("db.sqlite3"), &real).unwrap();
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    std::os::unix::fs::symlink(&real, sandbox.path("db.sqlite3")).unwrap();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert!(sandbox.path("db.sqlite3").is_symlink());
    assert_eq!(sandbox.integer(real.to_str().unwrap(), USERS), 3);
    let names = std::fs::read_dir(elsewhere.path()).unwrap().flatten();
    let kept = names.filter(|it| it.file_name().to_string_lossy().contains(".before-restore-"));
    assert_eq!(kept.count(), 1);
}

#[test]
fn a_link_whose_file_is_lost_is_followed_as_well() {
    let sandbox = backed_up();
    for lost in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(lost));
    }
    std::fs::create_dir(sandbox.path("volume")).unwrap();
    std::os::unix::fs::symlink("volume/real.sqlite3", sandbox.path("db.sqlite3")).unwrap();
    sandbox.lsrun(&["restore", "default"]).expect(0);
    assert!(sandbox.path("db.sqlite3").is_symlink());
    assert_eq!(sandbox.integer("volume/real.sqlite3", USERS), 3);
}

#[test]
fn litestreams_own_configuration_serves_as_well() {
    let sandbox = backed_up();
    let project = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let own = "dbs:\n- path: db.sqlite3\n  replica: {type: file, path: replica}\n";
    sandbox.write("etc/litestream.yml", own);
    let restore = ["restore", "-config", "etc/litestream.yml", "-o", "copy.sqlite3", "db.sqlite3"];
    sandbox.lsrun(&restore).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    sandbox.lsrun(&["restore", "-config", "nowhere.yml", "db.sqlite3"]).expect(20);
    sandbox.write("etc/litestream.yml", "dbs: [");
    sandbox.lsrun(&restore).expect(20).says(&["litestream.yml"]);
    // A `$` is one only if it is expanded.
    std::fs::rename(sandbox.path("replica"), sandbox.path("r$PLACE")).unwrap();
    sandbox.write("lsrun.yml", &project.replace("path: replica", "path: r$PLACE"));
    sandbox.lsrun(&["restore", "-o", "other.sqlite3", "default"]).expect(20).says(&["PLACE"]);
    sandbox.lsrun(&["restore", "-no-expand-env", "-o", "other.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("other.sqlite3", USERS), 3);
}

#[test]
fn what_only_the_application_has_is_no_reason_to_refuse() {
    let sandbox = Sandbox::new();
    // An index as one of an application that brings its own collation.
    sandbox.sql(
        "db.sqlite3",
        "CREATE INDEX sorted ON users (name COLLATE nocase);
         PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET sql = replace(sql, 'nocase', 'own') WHERE name = 'sorted';
         PRAGMA writable_schema = reset;",
    );
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let restore = ["restore", "-o", "copy.sqlite3", "default"];
    let note = "users: quick_check only (no such collation sequence: own)";
    sandbox.lsrun(&restore).expect(0).says(&[note]);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
}

#[test]
fn a_folder_is_no_target() {
    let sandbox = backed_up();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    for flags in [&[][..], &["-force"]] {
        let arguments = [&["restore"][..], flags, &["-o", "folder", "default"]].concat();
        let run = sandbox.lsrun(&arguments);
        assert!(run.code == 2 || run.code == 11, "{}: {}", run.code, run.stderr);
    }
    assert!(sandbox.names("folder").is_empty());
    sandbox.write("file", "");
    sandbox.lsrun(&["restore", "-o", "file/copy.sqlite3", "default"]).expect(11);
    // As litestream does.
    sandbox.lsrun(&["restore", "-o", "new/copy.sqlite3", "default"]).expect(0);
}

#[test]
fn a_transaction_that_is_not_in_the_backup_leaves_everything() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-force", "-txid", "999", "default"]).expect(11);
    sandbox.lsrun(&["restore", "-force", "-txid", "nonsense", "default"]).expect(2);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(kept(&sandbox).is_empty());
}

#[test]
fn all_of_them_into_a_folder() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "lsrun.yml",
        "databases: {one: a/db.sqlite3, two: b/db.sqlite3}\nlitestream:\n  dbs:\n  - {path: one, replica: {type: file, path: ra}}\n  - {path: two, replica: {type: file, path: rb}}\n",
    );
    for folder in ["a", "b"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
        let name = format!("{folder}/db.sqlite3");
        sandbox.sql(&name, &format!("CREATE TABLE t (x); INSERT INTO t VALUES ('{folder}')"));
    }
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.lsrun(&["restore", "--all", "-o", "copies"]).expect(2).says(&["FOLDER/"]);
    sandbox.lsrun(&["restore", "--all", "-o", "copies/"]).expect(0).says(&["one restored"]);
    assert_eq!(sandbox.names("copies"), ["one.sqlite3", "two.sqlite3"]);
    assert_eq!(sandbox.integer("copies/two.sqlite3", "SELECT count(*) FROM t WHERE x = 'b'"), 1);
    sandbox.lsrun(&["restore", "--all", "-o", "copies/"]).expect(11).says(&["one.sqlite3 exists"]);
}

#[test]
fn a_daemon_that_remembers_a_database_that_is_gone_is_a_refusal() {
    let sandbox = many_pages();
    let daemon = with_socket(&sandbox);
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        std::fs::remove_file(sandbox.path(name)).unwrap();
    }
    sandbox.lsrun(&["restore", "default"]).expect(11).says(&["still tracks", "stop the daemon"]);
    drop(daemon);
    sandbox.lsrun(&["restore", "default"]).expect(0);
    sandbox.lsrun(&["verify"]).expect(0).says(&["verified"]);
}
