//! `lsrun restore` where it could do harm: targets that are not files, folders whose
//! owner exchanges names, and who can read a new file.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::backups::{INTACT, USERS, backed_up, kept};
use crate::support::{PROJECT, Run, Sandbox, repository};

/// Makes what is not a file, under these names.
fn make_nodes(sandbox: &Sandbox) -> Vec<&'static str> {
    let mut names = vec!["fifo", "socket", "folder", "link"];
    assert!(Command::new("mkfifo").arg(sandbox.path("fifo")).status().unwrap().success());
    let _gone = std::os::unix::net::UnixListener::bind(sandbox.path("socket")).unwrap();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    symlink("fifo", sandbox.path("link")).unwrap();
    // Not every user can make a device, and not everywhere.
    let device = Command::new("mknod").arg(sandbox.path("device")).args(["c", "1", "3"]).output();
    if device.is_ok_and(|made| made.status.success()) {
        names.push("device");
    }
    names
}

#[test]
fn only_a_regular_file_is_written() {
    let sandbox = backed_up();
    let kind = |name: &str| std::fs::symlink_metadata(sandbox.path(name)).unwrap().file_type();
    for name in make_nodes(&sandbox) {
        let before = kind(name);
        for flags in [&[][..], &["-force"], &["-if-db-not-exists"], &["-dry-run"], &["--undo"]] {
            let arguments = [&["restore"][..], flags, &["-o", name, "default"]].concat();
            sandbox.lsrun(&arguments).expect(2).says(&["not a file"]);
            assert_eq!(kind(name), before, "{name} {flags:?}");
        }
    }
    // The same where the project says that it is the database.
    sandbox.write("lsrun.yml", &PROJECT.replace("db.sqlite3", "link"));
    for flags in [&[][..], &["-force"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(2).says(&["is a FIFO"]);
    }
    assert!(kept(&sandbox).is_empty() && sandbox.names("folder").is_empty());
    assert!(!sandbox.names("").iter().any(|name| name.contains("lsrun-")));
}

#[test]
fn what_has_the_name_of_a_log_is_not_waited_for() {
    let sandbox = backed_up();
    for suffix in ["-wal", "-shm", "-journal"] {
        let name = format!("copy.sqlite3{suffix}");
        assert!(Command::new("mkfifo").arg(sandbox.path(&name)).status().unwrap().success());
        sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(2).says(&["a FIFO"]);
        std::fs::remove_file(sandbox.path(&name)).unwrap();
    }
    assert!(!sandbox.path("copy.sqlite3").exists());
}

#[test]
fn a_new_file_is_for_its_owner_alone_and_a_replaced_one_keeps_its_mode() {
    let sandbox = backed_up();
    let mode = |name: &str| std::fs::metadata(sandbox.path(name)).unwrap().mode() & 0o777;
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(mode("copy.sqlite3"), 0o600);
    for wanted in [0o644, 0o600, 0o660] {
        let permissions = std::fs::Permissions::from_mode(wanted);
        std::fs::set_permissions(sandbox.path("db.sqlite3"), permissions).unwrap();
        sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
        assert_eq!(mode("db.sqlite3"), wanted);
        assert_eq!(mode(kept(&sandbox).last().unwrap()), wanted);
    }
}

/// A user that nobody is.
const USER: u32 = 47_113;
const SECRET: &str = "nobody but root may read this";

/// A sandbox whose folder `app` holds a database of another user and a secret of this
/// user's, which is a database as well.
///
/// If the tests do not run as root, the other user is the same one: then what can be
/// seen is that no link is followed.
fn of_another_user() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", &PROJECT.replace("db.sqlite3", "app/db.sqlite3"));
    std::fs::create_dir(sandbox.path("app")).unwrap();
    sandbox.sql(
        "app/db.sqlite3",
        "PRAGMA journal_mode = wal; CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO users (name) VALUES ('ann'), ('bob'), ('eve')",
    );
    std::fs::create_dir(sandbox.path("private")).unwrap();
    let secret = "private/victim.sqlite3";
    sandbox
        .sql(secret, &format!("CREATE TABLE secret (x); INSERT INTO secret VALUES ('{SECRET}')"));
    let only = |name: &str, mode| {
        std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(mode))
            .unwrap();
    };
    only(secret, 0o600);
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.sql("app/db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
    // It reaches its own folder, and the secret's name.
    only("", 0o755);
    only("private", 0o755);
    if is_root() {
        for name in ["app", "app/db.sqlite3"] {
            chown(sandbox.path(name), Some(USER), Some(USER)).unwrap();
        }
    }
    let victim = sandbox.path(secret);
    sandbox.write("app/other", "");
    (sandbox, victim)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Content, owner and mode.
fn state(file: &Path) -> (Vec<u8>, u32, u32, u32) {
    let metadata = std::fs::symlink_metadata(file).unwrap();
    (std::fs::read(file).unwrap(), metadata.uid(), metadata.gid(), metadata.mode())
}

/// Fails when a file in the folder holds the secret and is not root's alone.
fn assert_not_disclosed(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        // Names are exchanged here as well: what was opened is what is read.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut options = std::fs::OpenOptions::new();
        let opened = options.read(true).custom_flags(flags.bits().cast_signed()).open(entry.path());
        let Ok(mut file) = opened else { continue };
        let metadata = file.metadata().unwrap();
        let readable = !is_root() || metadata.uid() != 0 || metadata.mode() & 0o044 != 0;
        if metadata.is_file() && readable {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut content).unwrap();
            let found = content.windows(SECRET.len()).any(|it| it == SECRET.as_bytes());
            assert!(!found, "{} discloses it", entry.path().display());
        }
    }
}

/// A process of the other user that exchanges names until it is dropped.
struct Racer {
    child: Option<std::process::Child>,
    stop: PathBuf,
}

impl Racer {
    fn start(sandbox: &Sandbox, victim: &Path) -> Self {
        let program = sandbox.path("racer");
        let source = repository().join("tests/support/racer.c");
        let built = Command::new("cc").args(["-O1", "-o"]).args([&program, &source]).status();
        assert!(built.unwrap().success());
        let stop = sandbox.path("stop");
        let mut command = Command::new(program);
        // Every user follows their own link, also to their own file.
        let name = if is_root() { "db.sqlite3" } else { "other" };
        command.arg(sandbox.path("app")).arg(name).args([victim, &stop]);
        if is_root() {
            command.uid(USER).gid(USER);
        }
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        Self { child: Some(child), stop }
    }

    /// How often it exchanged a name.
    fn end(mut self) -> u64 {
        std::fs::write(&self.stop, "").unwrap();
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended = (child.kill(), child.wait());
        }
    }
}

/// Restores beside it, in this order, and fails when the victim is touched.
fn restores_beside_a_racer(ways: &[&[&str]], times: usize) {
    let (sandbox, victim) = of_another_user();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let before = state(&victim);
    let racer = Racer::start(&sandbox, &victim);
    let mut done = 0;
    for round in 0..times {
        let new = format!("app/new-{round}.sqlite3");
        let way: Vec<&str> = ways[round % ways.len()]
            .iter()
            .map(|it| if *it == "NEW" { new.as_str() } else { it })
            .collect();
        let run = sandbox.lsrun(&[&["restore"][..], &way, &["default"]].concat());
        assert_eq!(state(&victim), before, "round {round}, {way:?}: {run:?}");
        assert_not_disclosed(&sandbox.path("app"));
        match run.code {
            0 => done += 1,
            2 | 11 | 20 => drop(run.says(&["not restored"])),
            _ => panic!("round {round}, {way:?}: {run:?}"),
        }
    }
    let swaps = racer.end();
    assert!(swaps > 1000, "{swaps} exchanges");
    assert!(done > 0, "none of {times} restored beside {swaps} exchanges");
    // Alone again, it works.
    sandbox.lsrun(&["restore", "-o", "app/last.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("app/last.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer("app/last.sqlite3", INTACT), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn who_exchanges_the_names_of_his_folder_harms_no_other_file_when_a_database_is_replaced() {
    restores_beside_a_racer(&[&["-force"], &["--undo"], &["-force", "--even-if-in-use"]], 30);
}

#[cfg(target_os = "linux")]
#[test]
fn who_exchanges_the_names_of_his_folder_harms_no_other_file_when_a_new_one_is_made() {
    restores_beside_a_racer(&[&["-o", "NEW"], &["-force", "-o", "NEW"]], 30);
}

#[cfg(target_os = "linux")]
#[test]
fn what_root_restores_in_the_folder_of_a_user_is_the_users() {
    let (sandbox, _victim) = of_another_user();
    let owner = |name: &str| {
        let metadata = std::fs::metadata(sandbox.path(name)).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    };
    let user = owner("app/db.sqlite3");
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("app/db.sqlite3", USERS), 3);
    assert_eq!(owner("app/db.sqlite3"), user);
    let kept: Vec<String> = sandbox.names("app");
    let kept = kept.iter().find(|name| name.contains(".before-restore-")).unwrap();
    assert_eq!(owner(&format!("app/{kept}")), user);
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(0);
    assert_eq!(sandbox.integer("app/db.sqlite3", USERS), 4);
    sandbox.lsrun(&["restore", "-o", "app/deep/copy.sqlite3", "default"]).expect(0);
    assert_eq!(owner("app/deep/copy.sqlite3"), (user.0, user.1, 0o600));
    assert_eq!(owner("app/deep").0, user.0);
    sandbox.assert_clean();
    let left = sandbox.names("app");
    assert!(
        !left.iter().any(|name| name.contains("lsrun-") || name.ends_with(".part")),
        "{left:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_root_under_the_name_of_a_kept_one_is_not_given_away() {
    if !is_root() {
        // Nobody else can have one; that links are not followed the others show.
        let (sandbox, victim) = of_another_user();
        let planted = sandbox.path("app/db.sqlite3.before-restore-20990101T000000.000Z");
        symlink(&victim, planted).unwrap();
        sandbox.lsrun(&["restore", "--undo", "default"]).expect(11);
        return;
    }
    let (sandbox, victim) = of_another_user();
    let planted = sandbox.path("app/db.sqlite3.before-restore-20990101T000000.000Z");
    for by_link in [true, false] {
        if by_link {
            symlink(&victim, &planted).unwrap();
        } else {
            std::fs::copy(&victim, &planted).unwrap();
        }
        sandbox.lsrun(&["restore", "--undo", "default"]).expect(11).says(&["not restored"]);
        assert_not_disclosed(&sandbox.path("app"));
        assert_eq!(sandbox.integer("app/db.sqlite3", USERS), 4);
        std::fs::remove_file(&planted).unwrap();
    }
}

#[test]
fn in_a_folder_of_everybody_a_private_place_is_taken() {
    let sandbox = backed_up();
    std::fs::create_dir(sandbox.path("all")).unwrap();
    let permissions = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(sandbox.path("all"), permissions).unwrap();
    sandbox.lsrun(&["restore", "-o", "all/copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("all/copy.sqlite3", USERS), 3);
    let metadata = std::fs::metadata(sandbox.path("all/copy.sqlite3")).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    sandbox.lsrun(&["restore", "-force", "-o", "all/copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("all/copy.sqlite3", USERS), 3);
    sandbox.assert_clean();
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the points of a swap are in debug builds only")]
fn a_killed_restore_in_such_a_folder_is_cleaned_up_by_the_next_one() {
    let sandbox = backed_up();
    std::fs::create_dir(sandbox.path("all")).unwrap();
    let permissions = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(sandbox.path("all"), permissions).unwrap();
    let arguments = ["restore", "-force", "-o", "all/copy.sqlite3", "default"];
    sandbox.lsrun(&arguments).expect(0);
    for point in [2, 4, 5] {
        let mut command = sandbox.command(&arguments);
        let run: Run =
            command.env("LSRUN_TEST_ABORT_AT", point.to_string()).output().unwrap().into();
        assert_eq!(run.code, -1, "it did not crash at {point}: {}", run.stderr);
        sandbox.lsrun(&arguments).expect(0).says(&["was cut off"]);
        assert_eq!(sandbox.integer("all/copy.sqlite3", USERS), 3);
        let left = sandbox.names("all");
        assert!(!left.iter().any(|name| name.ends_with(".part")), "{left:?}");
        sandbox.assert_clean();
    }
}
