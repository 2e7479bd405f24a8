//! Which files are used: not those that another user could have planted, but those that
//! the user names.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{PROJECT, Run, Sandbox, wait_until};

/// nobody.
const OTHER: u32 = 65534;

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What a message says to do, done.
fn carry_out(run: &Run, start: &str) {
    let line = run.stderr.lines().chain(run.stdout.lines()).find_map(|line| line.split_once(start));
    let (_, rest) = line.unwrap_or_else(|| panic!("{start} is not said: {run:?}"));
    let command = format!("{start}{rest}");
    let done = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(done.success(), "{command}");
}

/// A project that would run `./evil`, with a folder below it.
fn planted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &PROJECT.replace("dbs:", "bin_path: ./evil\n  dbs:"));
    let script = format!("#!/bin/sh\ntouch {}\necho 0.5.17\n", sandbox.path("ran").display());
    sandbox.write("evil", &script);
    mode(&sandbox.path("evil"), 0o755);
    std::fs::create_dir_all(sandbox.path("below/it")).unwrap();
    sandbox
}

fn below(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.env_remove("LSRUN_LITESTREAM").current_dir(sandbox.path("below/it"));
    command.output().unwrap().into()
}

#[test]
fn a_project_file_that_others_may_write_is_not_found() {
    let sandbox = planted();
    let file = sandbox.path("lsrun.yml");
    for (path, bits) in [(file.clone(), 0o666), (sandbox.path(""), 0o777)] {
        mode(&path, bits);
        for command in [&["verify"][..], &["config"], &["ltx", "default"]] {
            let run = below(&sandbox, command).expect(20);
            run.says(&["found by searching", "can be written by others", "lsrun -C "]);
        }
        // What needs no project does without.
        below(&sandbox, &["version"]).expect(0);
        assert!(!sandbox.path("ran").exists());
        mode(&path, if path == file { 0o644 } else { 0o700 });
    }
    // Named, it is used, whoever may write it.
    mode(&file, 0o666);
    below(&sandbox, &["-C", file.to_str().unwrap(), "version"]).expect(0).says(&["0.5.17"]);
    assert!(sandbox.path("ran").exists());
    let mut command = sandbox.command(&["config"]);
    let run: Run = command.env("LSRUN_PROJECT", &file).output().unwrap().into();
    run.expect(0);
    // A command that needs no project runs without one.
    below(&sandbox, &["restore", "-o", "x", "file:///none"]).says_not("found by searching");
}

#[test]
fn another_users_project_is_not_found_and_can_be_named() {
    let sandbox = planted();
    if !am_root() {
        // Root's is as good as one's own: without being root no more can be shown.
        below(&sandbox, &["config"]).expect(0);
        return;
    }
    let file = sandbox.path("lsrun.yml");
    for path in [file.clone(), sandbox.path("")] {
        chown(&path, Some(OTHER), None).unwrap();
        let run = below(&sandbox, &["verify"]).expect(20);
        run.says(&["found by searching", "belongs to another user"]);
        assert!(!sandbox.path("ran").exists());
        chown(&path, Some(0), None).unwrap();
    }
    // A volume of another user's in a container that runs as root, with a plugin.
    let settings = "plugins: {settings: {row-count: {config: {table: users}}}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}\n"));
    sandbox.plugin("row-count");
    for name in ["", "lsrun.yml", "plugins", "plugins/row-count.wasm", "db.sqlite3"] {
        chown(sandbox.path(name), Some(OTHER), None).unwrap();
    }
    let run = sandbox.lsrun(&["-C", file.to_str().unwrap(), "verify"]);
    run.expect(0).says(&["✓ row-count"]);
}

#[test]
fn the_users_own_group_may_write() {
    let sandbox = planted();
    // As a umask of 0002 leaves it.
    for name in ["lsrun.yml", "", "below"] {
        mode(&sandbox.path(name), if name == "lsrun.yml" { 0o664 } else { 0o775 });
    }
    let own = rustix::process::getegid().as_raw();
    let uid = rustix::process::geteuid().as_raw();
    if own == uid {
        below(&sandbox, &["config"]).expect(0);
    } else {
        below(&sandbox, &["config"]).expect_one_of(&[0, 20]);
    }
}

#[test]
fn a_plugin_that_others_may_change_is_not_run_and_the_hint_works() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{row-count: {{config: {{table: users}}}}}}}}\n"),
    );
    let wasm = sandbox.path("plugins/row-count.wasm");
    sandbox.write("plugins/row-count.yml", "version: 1.0.0\n");
    for (path, bits) in [(wasm.clone(), 0o666), (sandbox.path("plugins"), 0o777)] {
        mode(&path, bits);
        let run = sandbox.lsrun(&["verify"]).expect(30);
        let run = run.says(&["can be changed by others", "make sure that nobody else"]);
        carry_out(&run, "chmod ");
        sandbox.lsrun(&["verify"]).expect(0);
    }
    if am_root() {
        for path in [wasm.clone(), sandbox.path("plugins")] {
            chown(&path, Some(OTHER), None).unwrap();
            let run = sandbox.lsrun(&["verify"]).expect(30).says(&["belongs to another user"]);
            carry_out(&run, "chown ");
            sandbox.lsrun(&["verify"]).expect(0);
        }
    }
    // A link counts with everything that it leads through.
    let elsewhere = sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(&wasm, elsewhere.join("x.wasm")).unwrap();
    symlink("../elsewhere/x.wasm", &wasm).unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
    mode(&elsewhere, 0o777);
    sandbox.lsrun(&["verify"]).expect(30).says(&["elsewhere can be written by others"]);
}

#[test]
fn a_manifest_beside_a_plugin_counts_as_well() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("plugins")).unwrap();
    // A component without a manifest of its own.
    let empty = wat::parse_str("(component)").unwrap();
    std::fs::write(sandbox.path("plugins/mine.wasm"), empty).unwrap();
    sandbox.write("plugins/mine.yml", "version: 1.0.0\n");
    mode(&sandbox.path("plugins/mine.yml"), 0o666);
    let run = sandbox.lsrun(&["verify"]).expect(30).says(&["mine.yml", "changed by others"]);
    carry_out(&run, "chmod ");
    sandbox.lsrun(&["verify"]).says_not("mine.yml");
}

#[test]
fn what_is_no_regular_file_is_no_plugin_and_nothing_hangs() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("plugins")).unwrap();
    let pipe = sandbox.path("plugins/pipe.wasm");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    sandbox.lsrun(&["verify"]).expect(30).says(&["pipe.wasm is not a regular file"]);
    std::fs::remove_file(&pipe).unwrap();
    symlink("/dev/zero", sandbox.path("plugins/zero.wasm")).unwrap();
    sandbox.lsrun(&["verify"]).expect(30).says(&["/dev/zero is not a regular file"]);
}

#[test]
fn builds_of_the_built_ins_have_to_be_the_users_own() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("built");
    std::fs::create_dir(&folder).unwrap();
    for name in ["config", "verify", "restore"] {
        let built = crate::support::repository().join(format!("host/builtin/{name}.wasm"));
        std::fs::copy(built, folder.join(format!("{name}.wasm"))).unwrap();
    }
    let run = || -> Run {
        let mut command = sandbox.command(&["config"]);
        command.env("LSRUN_BUILTIN_DIR", &folder).output().unwrap().into()
    };
    run().expect(0);
    mode(&folder, 0o777);
    run().expect(30).says(&["as a built-in", "can be written by others"]);
}

#[test]
fn the_cache_and_the_history_are_the_users_own() {
    let sandbox = Sandbox::new();
    let open = sandbox.path("open");
    std::fs::create_dir(&open).unwrap();
    mode(&open, 0o777);
    // Compiled code is not kept where others could change it, and not looked for there.
    let run: Run = sandbox
        .command(&["config"])
        .env("LSRUN_CACHE_DIR", open.join("cache"))
        .output()
        .unwrap()
        .into();
    run.expect(0);
    assert!(sandbox.names("open/cache/compiled").is_empty());
    let run: Run = sandbox
        .command(&["verify"])
        .env("LSRUN_STATE_DIR", open.join("state"))
        .output()
        .unwrap()
        .into();
    run.expect(0).says(&["warning:", "can be written by others"]);
    // A file planted in place of the history is not opened.
    sandbox.lsrun(&["verify"]).expect(0);
    let history = std::fs::read_dir(sandbox.state()).unwrap().next().unwrap().unwrap().path();
    let file = history.join("history.sqlite3");
    let victim = sandbox.path("victim");
    std::fs::rename(&file, &victim).unwrap();
    mode(&victim, 0o666);
    symlink(&victim, &file).unwrap();
    let before = std::fs::read(&victim).unwrap();
    sandbox.lsrun(&["verify"]).expect(0).says(&["warning:", "history"]);
    assert_eq!(std::fs::read(&victim).unwrap(), before);
}

/// Another user is there first, with the names that lsrun would use in `/tmp`.
#[test]
fn a_folder_for_the_socket_that_is_taken_is_gone_around() {
    let sandbox = Sandbox::new();
    let uid = rustix::process::geteuid().as_raw();
    let taken = sandbox.path("tmp").join(format!("lsrun-{uid}.run"));
    std::fs::create_dir(&taken).unwrap();
    mode(&taken, 0o777);
    if am_root() {
        chown(&taken, Some(OTHER), None).unwrap();
    }
    let command = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env_remove("XDG_RUNTIME_DIR");
        command
    };
    let mut replicate = command(&["replicate"]).spawn().unwrap();
    wait_until("verify finds the daemon's socket", || {
        let run: Run = command(&["verify"]).output().unwrap().into();
        run.stdout.contains("replicated by the daemon,")
    });
    assert_eq!(std::fs::read_dir(&taken).unwrap().count(), 0, "the socket is in it");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&replicate),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    replicate.wait().unwrap();
}

/// Another user exchanges the cache while lsrun looks for compiled code in it.
#[test]
fn the_compiled_code_of_a_racer_is_not_run() {
    if !am_root() {
        let run = Sandbox::new().lsrun(&["config"]);
        run.expect(0);
        return;
    }
    let sandbox = Sandbox::new();
    let shared = sandbox.path("shared");
    std::fs::create_dir(&shared).unwrap();
    mode(&shared, 0o1777);
    mode(&sandbox.path(""), 0o755);
    let script = "mkdir evil && ln -s \"$1\" good && ln -s /etc away && exec 2> /dev/null
        until [ -e stop ]; do for it in evil good away; do mv -T $it x; mv -T x $it; done; done";
    let mut racer = Command::new("sh")
        .args(["-c", script, "racer"])
        .arg(crate::support::cache())
        .current_dir(&shared)
        .uid(OTHER)
        .gid(OTHER)
        .spawn()
        .unwrap();
    for _ in 0..20 {
        let mut command = sandbox.command(&["config"]);
        let run: Run = command.env("LSRUN_CACHE_DIR", shared.join("x")).output().unwrap().into();
        run.expect(0);
        // If there was nothing, lsrun makes a folder of its own, which stops the racer.
        let own = shared.join("x");
        if own.symlink_metadata().is_ok_and(|it| it.is_dir() && it.uid() == 0) {
            std::fs::remove_dir_all(&own).unwrap();
        }
    }
    // Killed between its two steps it would leave `x` behind, which may be the link to the cache.
    std::fs::write(shared.join("stop"), "").unwrap();
    racer.wait().unwrap();
    assert_eq!(sandbox.names("shared"), ["away", "evil", "good", "stop"]);
    assert!(sandbox.names("shared/evil").is_empty(), "something is in the racer's folder");
    assert!(!Path::new("/etc/compiled").exists());
}

/// A socket planted where the project says that the daemon's is.
#[test]
fn a_socket_of_another_user_in_a_folder_of_everybodys_is_not_asked() {
    let sandbox = Sandbox::new();
    let shared = sandbox.path("shared");
    std::fs::create_dir(&shared).unwrap();
    mode(&shared, 0o1777);
    mode(&sandbox.path(""), 0o755);
    let socket = shared.join("litestream.sock");
    sandbox.write(
        "lsrun.yml",
        &PROJECT.replace(
            "  dbs:",
            &format!("  socket: {{enabled: true, path: {}}}\n  dbs:", socket.display()),
        ),
    );
    let asked = shared.join("asked");
    let code = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n\
                while True:\n  c=s.accept()[0]\n  b=c.recv(9)\n  open(sys.argv[2],'ab').write(b)\n  c.close()";
    let mut planter = Command::new("python3");
    planter.args(["-c", code]).arg(&socket).arg(&asked);
    if am_root() {
        planter.uid(OTHER).gid(OTHER);
    }
    let mut planter = planter.spawn().unwrap();
    wait_until("the planted socket is there", || socket.exists());
    let run = sandbox.lsrun(&["verify"]).expect(11);
    planter.kill().unwrap();
    planter.wait().unwrap();
    let was_asked = std::fs::read(&asked).is_ok_and(|bytes| !bytes.is_empty());
    if am_root() {
        run.says(&["another user's process listens", "/run/litestream"]);
        assert!(!was_asked);
    } else {
        // One's own process may listen: it is asked, and gives no answer.
        assert!(was_asked);
    }
}
