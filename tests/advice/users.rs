//! Files of another user's: what is advised makes them usable, for whom they are meant.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::backups::USERS;
use crate::support::wrap::in_place_of;
use crate::support::{PROJECT, Run, Sandbox, litestream};

/// Nobody has an entry for this one, and so no home.
const OTHER: u32 = 61_234;

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(sandbox: &Sandbox, name: &str, mode: u32) {
    std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A sandbox that the other user can read, with programs that it can run; none if
/// there is no other user.
fn shared() -> Option<Sandbox> {
    let sandbox = Sandbox::new();
    if !am_root() {
        sandbox.lsrun(&["config", "--check"]).expect(0);
        return None;
    }
    mode(&sandbox, "", 0o755);
    for (from, name) in
        [(std::path::Path::new(env!("CARGO_BIN_EXE_lsrun")), "lsrun"), (litestream(), "litestream")]
    {
        std::fs::copy(from, sandbox.path(name)).unwrap();
        mode(&sandbox, name, 0o755);
    }
    for name in ["tmp", "state"] {
        let _there = std::fs::create_dir(sandbox.path(name));
        chown(sandbox.path(name), Some(OTHER), Some(OTHER)).unwrap();
    }
    Some(sandbox)
}

/// lsrun as the other user.
fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut other = Command::new(sandbox.path("lsrun"));
    in_place_of(&mut other, &sandbox.command(arguments));
    other
        .args(arguments)
        .uid(OTHER)
        .gid(OTHER)
        .env_remove("HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .env("LSRUN_LITESTREAM", sandbox.path("litestream"))
        .env("LSRUN_STATE_DIR", sandbox.path("state"))
        .env("LSRUN_CACHE_DIR", "/proc/none");
    other
}

fn other(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    command(sandbox, arguments).output().unwrap().into()
}

#[test]
fn who_may_not_read_or_write_it_lets_its_user_do_it() {
    let Some(sandbox) = shared() else { return };
    sandbox.lsrun(&["verify"]).expect(0);
    // It may be read, and that is enough to prove what is there.
    let hint = "the database, or its folder, cannot be written: run lsrun as its user; --read-only writes no row";
    let open = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    open.execute_batch("INSERT INTO users (name) VALUES ('new')").unwrap();
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        mode(&sandbox, name, 0o644);
    }
    other(&sandbox, &["verify"]).expect(11).says(&[hint]);
    sandbox.lsrun(&["verify"]).expect(0);
    other(&sandbox, &["verify", "--read-only"]).expect(0);
    drop(open);
    // Without its log it cannot be opened if nothing can be written.
    other(&sandbox, &["verify", "--read-only"]).expect(11).says(&[hint]);
    sandbox.lsrun(&["verify", "--read-only"]).expect(0);
    mode(&sandbox, "db.sqlite3", 0o600);
    let hint = "check the path and its permissions";
    other(&sandbox, &["verify"]).expect(11).says(&[hint]);
    let hint = "run this as the user who runs litestream";
    other(&sandbox, &["config", "--check"]).expect(20).says(&[hint]);
    sandbox.lsrun(&["config", "--check"]).expect(0);
    for name in ["", "db.sqlite3"] {
        chown(sandbox.path(name), Some(OTHER), Some(OTHER)).unwrap();
    }
    for name in [".db.sqlite3-litestream", "replica"] {
        std::fs::remove_dir_all(sandbox.path(name)).unwrap();
    }
    other(&sandbox, &["verify"]).expect(0);
}

#[test]
fn a_folder_for_the_backup_is_made_for_its_user() {
    let Some(sandbox) = shared() else { return };
    let hint = "create the folder for this user, or run this as the user who runs litestream";
    other(&sandbox, &["config", "--check"]).expect(11).says(&[hint]);
    sandbox.lsrun(&["config", "--check"]).expect(0);
    std::fs::create_dir(sandbox.path("replica")).unwrap();
    chown(sandbox.path("replica"), Some(OTHER), Some(OTHER)).unwrap();
    other(&sandbox, &["config", "--check"]).expect(0);
}

#[test]
fn a_folder_is_named_for_what_has_none() {
    let Some(sandbox) = shared() else { return };
    chown(sandbox.path(""), Some(OTHER), Some(OTHER)).unwrap();
    chown(sandbox.path("db.sqlite3"), Some(OTHER), Some(OTHER)).unwrap();
    // Nobody's home, and every other place for the socket is another user's.
    let taken = std::path::PathBuf::from(format!("/tmp/lsrun-{OTHER}.run"));
    let _there = std::fs::create_dir(&taken);
    chown(&taken, Some(0), Some(0)).unwrap();
    std::fs::create_dir(sandbox.path("tmp").join(format!("lsrun-{OTHER}.run"))).unwrap();
    let run = |more: &[(&str, &std::path::Path)]| -> Run {
        let mut command = command(&sandbox, &["replicate", "--", "true"]);
        command.envs(more.iter().copied()).output().unwrap().into()
    };
    let hint = "set XDG_RUNTIME_DIR, or configure litestream.socket";
    run(&[]).expect(1).says(&["no folder for the control socket", hint]);
    std::fs::create_dir(sandbox.path("run")).unwrap();
    chown(sandbox.path("run"), Some(OTHER), Some(OTHER)).unwrap();
    run(&[("XDG_RUNTIME_DIR", &sandbox.path("run"))]).expect(0);
    let socket = sandbox.path("run/litestream.sock").display().to_string();
    sandbox.write("lsrun.yml", &format!("{PROJECT}  socket: {{enabled: true, path: {socket}}}\n"));
    run(&[]).expect(0);
    std::fs::remove_dir(taken).unwrap();

    let mut command = command(&sandbox, &["verify"]);
    command.env_remove("LSRUN_LITESTREAM").env_remove("LSRUN_CACHE_DIR").env("PATH", "/nowhere");
    let hint = "set LSRUN_CACHE_DIR to a folder that only this user can write";
    let run: Run = command.output().unwrap().into();
    run.expect(1).says(&["no cache folder", hint]);
    let cache = sandbox.path("cache");
    let name = litestream().parent().unwrap().file_name().unwrap();
    std::fs::create_dir_all(cache.join("litestream").join(name)).unwrap();
    let kept = cache.join("litestream").join(name).join("litestream");
    std::fs::copy(litestream(), &kept).unwrap();
    for path in [&cache, &cache.join("litestream"), &cache.join("litestream").join(name), &kept] {
        chown(path, Some(OTHER), Some(OTHER)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let run: Run = command.env("LSRUN_CACHE_DIR", &cache).output().unwrap().into();
    run.expect(0);
}

/// A database in `app/data`, whose backup is known to root.
fn in_a_users_folder() -> Option<Sandbox> {
    if !am_root() {
        return None;
    }
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("app/my data")).unwrap();
    std::fs::rename(sandbox.path("db.sqlite3"), sandbox.path("app/my data/db.sqlite3")).unwrap();
    sandbox.write("lsrun.yml", &PROJECT.replace(": db.sqlite3", ": app/my data/db.sqlite3"));
    mode(&sandbox, "", 0o755);
    sandbox.lsrun(&["verify"]).expect(0);
    for name in ["app", "app/my data"] {
        chown(sandbox.path(name), Some(OTHER), Some(OTHER)).unwrap();
    }
    Some(sandbox)
}

#[test]
fn a_database_of_roots_in_a_users_folder_is_given_to_them() {
    let Some(sandbox) = in_a_users_folder() else { return };
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(11);
    let run = run.says(&["root cannot safely write", "run lsrun as the user of the folder, or"]);
    let all = format!("{}{}", run.stdout, run.stderr);
    let (_, command) = all.split_once("give the database to them (").unwrap();
    let command = command.split(')').next().unwrap();
    let done = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(done.success(), "{command}");
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("app/my data/db.sqlite3", USERS), 3);
}

#[test]
fn a_link_of_a_user_is_not_followed_and_the_file_can_be_named() {
    let Some(sandbox) = in_a_users_folder() else { return };
    let link = sandbox.path("app/link.sqlite3");
    std::fs::create_dir(sandbox.path("roots")).unwrap();
    let file = sandbox.path("roots/db.sqlite3");
    std::fs::rename(sandbox.path("app/my data/db.sqlite3"), &file).unwrap();
    symlink(&file, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(OTHER), Some(OTHER)).unwrap();
    sandbox.write("lsrun.yml", &PROJECT.replace(": db.sqlite3", ": app/link.sqlite3"));
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(11);
    run.says(&["name the file itself: in lsrun.yml, or with -o"]);
    let named = ["restore", "-force", "-o", file.to_str().unwrap(), "default"];
    sandbox.lsrun(&named).expect(0).says(&["the old database is kept as"]);
    sandbox.write("lsrun.yml", &PROJECT.replace(": db.sqlite3", ": roots/db.sqlite3"));
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn a_kept_database_that_was_changed_can_be_looked_at_and_copied() {
    let Some(sandbox) = in_a_users_folder() else { return };
    let database = sandbox.path("app/my data/db.sqlite3");
    chown(&database, Some(OTHER), Some(OTHER)).unwrap();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let names = sandbox.names("app/my data");
    let kept = names.iter().find(|name| name.contains(".before-restore-")).unwrap();
    let kept = format!("app/my data/{kept}");
    mode(&sandbox, &kept, 0o666);
    let run = sandbox.lsrun(&["restore", "--undo", "default"]).expect(11);
    run.says(&[
        "examine the file; copy it to the database's path yourself, if it is what you want",
    ]);
    assert_eq!(sandbox.integer(&kept, USERS), 3);
    std::fs::copy(sandbox.path(&kept), &database).unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
}
