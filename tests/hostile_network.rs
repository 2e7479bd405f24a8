//! What guests reach outside databases: servers, folders, variables; and that they reach
//! nothing else. Each attempt is stopped and named, and the run goes on.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::puppet::Puppet;
use crate::support::server::Server;
use crate::support::{Run, Sandbox, check};

fn verify(sandbox: &Sandbox) -> Run {
    sandbox.lsrun(&["verify", "--format", "json"])
}

/// The outcome and the message of a check.
#[track_caller]
fn of<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let check = check(report, id);
    (check["outcome"].as_str().unwrap(), check["message"].as_str().unwrap())
}

const ASKS: &str = "permissions: ['http=*', 'env=*', 'fs:read=*', 'fs:write=*']\n";

/// A plugin that asks for everything, with these grants.
fn granted(puppet: Puppet, grants: &[&str]) -> Puppet {
    puppet.manifest(ASKS).with("grant", json!(grants))
}

#[test]
fn a_request_to_a_granted_host_is_sent_by_either_interface() {
    let sandbox = Sandbox::new();
    let server = Server::fine();
    let port = server.port;
    let grant = format!("http=127.0.0.1:{port}");
    let by_host = format!("http post http://127.0.0.1:{port}/a?b=SECRET some text");
    let odd = format!("http-odd http://127.0.0.1:{port}/");
    let by_wasi = format!("post http://127.0.0.1:{port}/c other text");
    let by_name = format!("http GET http://localhost:{port}/d");
    sandbox.puppets(
        "",
        &[
            granted(Puppet::new("one", &[&by_host, &odd]), &[&grant]),
            granted(Puppet::standard("two", &[&by_wasi]), &[&grant]),
            granted(Puppet::new("three", &[&by_name]), &[&format!("http=localhost:{port}")]),
        ],
    );
    let report = verify(&sandbox).expect(0).json();
    assert_eq!(of(&report, "one/http"), ("passed", "200  hello"));
    assert_eq!(of(&report, "one/http-odd").0, "passed");
    assert_eq!(of(&report, &format!("two/{by_wasi}")), ("passed", "200 hello"));
    assert_eq!(of(&report, "three/http"), ("passed", "200  hello"));
    let asked = server.asked();
    let has = |words: &[&str]| asked.iter().any(|one| words.iter().all(|word| one.contains(word)));
    assert!(has(&["post /a?b=secret http/1.1", "x-mine: yes", "some text"]), "{asked:?}");
    assert!(has(&["post /c http/1.1", "other text", &format!("host: 127.0.0.1:{port}")]));
    assert!(has(&["get /d http/1.1", &format!("host: localhost:{port}")]), "{asked:?}");
}

#[test]
fn a_host_that_is_not_granted_is_denied_with_the_line_to_add() {
    let sandbox = Sandbox::new();
    let server = Server::fine();
    let port = server.port;
    let line = format!("grant: [\"http=127.0.0.1:{port}\"]");
    let url = format!("http://127.0.0.1:{port}/SECRET");
    for grants in [&[][..], &["http=example.com"], &["http=127.0.0.1"], &["http=*"]] {
        // The host's interface gives the guest the error.
        sandbox
            .puppets("", &[granted(Puppet::new("curious", &[&format!("http GET {url}")]), grants)]);
        let run = verify(&sandbox).expect(31);
        assert!(run.stdout.contains(&format!("http=127.0.0.1:{port}")), "{}", run.stdout);
        let hint = check(&run.json(), "curious")["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains(&line), "{hint}");
        run.says_not("SECRET");
        // WASI gives it a text; the run has a line, once, and fails as for a denial if the
        // guest fails, whatever of.
        let get = format!("get {url}");
        let words = |deed: &str| granted(Puppet::standard("curious", &[deed, deed]), grants);
        sandbox.puppets("", &[words(&get)]);
        let run = verify(&sandbox).expect(0);
        let said = format!("curious may not http=127.0.0.1:{port}; add to lsrun.yml");
        assert!(of(&run.json(), &format!("curious/{get}")).1.contains(&said), "{}", run.stdout);
        assert_eq!(run.stderr.matches(&line).count(), 1, "{}", run.stderr);
        for how in ["or-fail", "or-trap"] {
            sandbox.puppets(
                "",
                &[words(&format!("{how} {get}")), Puppet::new("fine", &["check x passed"])],
            );
            let run = verify(&sandbox).expect(31);
            let report = run.json();
            assert!(
                check(&report, "curious")["hint"].as_str().unwrap().contains(&line),
                "{report}"
            );
            assert_eq!(of(&report, "fine/x").0, "passed");
            assert!(run.stderr.contains(&line), "{}", run.stderr);
        }
    }
    // A host and nothing else.
    let puppet = || Puppet::new("curious", &["check x passed"]);
    sandbox.puppets("", &[granted(puppet(), &["http=https://hooks.example.com/x"])]);
    verify(&sandbox).expect(30).says(&["no such permission", "as in http=hooks.example.com"]);
    sandbox.puppets("", &[granted(puppet(), &["http=hooks.example.com", "http=localhost:8080"])]);
    verify(&sandbox).expect(0);
    // What its manifest does not ask for is not granted either.
    sandbox.puppets(
        "",
        &[Puppet::new("curious", &[&format!("http GET {url}")])
            .with("grant", json!([format!("http=127.0.0.1:{port}")]))],
    );
    verify(&sandbox).expect(31).says(&["its manifest does not ask for it"]);
    assert!(server.asked().is_empty());
}

#[test]
fn the_machine_itself_is_reached_by_no_other_name() {
    let sandbox = Sandbox::new();
    let server = Server::fine();
    let port = server.port;
    for url in [
        format!("http://localhost:{port}/"),
        format!("http://LOCALHOST:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fe80::1]/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
    ] {
        let grants = ["http=*", "http=hooks.example.com"];
        sandbox.puppets(
            "",
            &[
                granted(Puppet::new("near", &[&format!("http GET {url}")]), &grants),
                granted(Puppet::standard("far", &[&format!("or-fail get {url}")]), &grants),
            ],
        );
        let report = verify(&sandbox).expect(31).json();
        for name in ["near", "far"] {
            let hint = check(&report, name)["hint"].as_str().unwrap_or_default();
            assert!(hint.contains("add to lsrun.yml"), "{url}: {report}");
        }
    }
    for (url, code) in [
        (format!("http://u:p@127.0.0.1:{port}/"), "a name or a password"),
        (format!("ftp://127.0.0.1:{port}/"), "by http and https"),
        ("nothing".to_owned(), "cannot be used"),
    ] {
        let grant = format!("http=127.0.0.1:{port}");
        sandbox
            .puppets("", &[granted(Puppet::new("odd", &[&format!("http GET {url}")]), &[&grant])]);
        let report = verify(&sandbox).expect(11).json();
        assert!(of(&report, "odd").1.contains(code), "{report}");
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

#[test]
fn a_redirect_leads_nowhere() {
    let sandbox = Sandbox::new();
    let inner = Server::fine();
    let location = format!("http://127.0.0.1:{}/inner", inner.port);
    let outer = Server::saying(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    ));
    let url = format!("http://127.0.0.1:{}/", outer.port);
    let grant = format!("http=127.0.0.1:{}", outer.port);
    sandbox.puppets(
        "",
        &[
            granted(Puppet::new("one", &[&format!("http GET {url}")]), &[&grant]),
            granted(Puppet::standard("two", &[&format!("get {url}")]), &[&grant]),
        ],
    );
    let report = verify(&sandbox).expect(0).json();
    assert_eq!(of(&report, "one/http"), ("passed", &*format!("307 {location}")));
    assert_eq!(of(&report, &format!("two/get {url}")), ("passed", "307 "));
    assert_eq!((outer.asked().len(), inner.asked().len()), (2, 0));
}

#[test]
fn servers_that_do_not_end_are_left() {
    let sandbox = Sandbox::new();
    let endless = Server::new(|_request, stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let headers = Server::new(|_request, stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(format!("x: {}\r\n", "y".repeat(8000)).as_bytes()).is_ok() {}
    });
    let slow = Server::new(|_request, stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut puppets = vec![Puppet::new("fine", &["check x passed"])];
    for (name, server) in [("endless", &endless), ("headers", &headers), ("slow", &slow)] {
        let grant = format!("http=127.0.0.1:{}", server.port);
        let url = format!("http://127.0.0.1:{}/", server.port);
        let limits = json!({"timeout": "2s"});
        for (kind, puppet) in [
            ("", Puppet::new(name, &[&format!("http GET {url}")])),
            ("-wasi", Puppet::standard(&format!("{name}-wasi"), &[&format!("or-fail get {url}")])),
        ] {
            let puppet = granted(puppet, &[&grant]);
            puppets.push(if name == "slow" {
                puppet.with("limits", limits.clone())
            } else {
                puppet
            });
            assert!(kind.len() < 6);
        }
    }
    sandbox.puppets("", &puppets);
    let started = Instant::now();
    let report = verify(&sandbox).expect(32).json();
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    for (name, word) in [
        ("endless", "more than 8.0 MiB of content"),
        ("endless-wasi", "more than 8.0 MiB of content"),
        ("headers", "does not answer"),
        ("headers-wasi", "does not answer"),
        ("slow", "ran for longer than 2.0 s"),
        ("slow-wasi", "ran for longer than 2.0 s"),
    ] {
        let (outcome, message) = of(&report, name);
        assert!(outcome == "inconclusive" && message.contains(word), "{name}: {message}");
    }
    assert_eq!(of(&report, "fine/x").0, "passed");
    sandbox.assert_clean();
}

#[test]
fn a_guest_has_no_variables_no_folders_and_no_sockets_of_its_own() {
    let sandbox = Sandbox::new();
    let script = [
        "environment",
        "arguments",
        "folders",
        "connect",
        "resolve localhost",
        "read / etc/passwd",
        "read . lsrun.yml",
    ];
    sandbox.puppets("", &[Puppet::standard("bare", &script).manifest(ASKS)]);
    let report = verify(&sandbox).expect(0).json();
    for deed in ["environment", "arguments", "folders"] {
        assert_eq!(of(&report, &format!("bare/{deed}")), ("passed", ""), "{deed}");
    }
    assert_eq!(of(&report, "bare/connect"), ("skipped", "access-denied"));
    assert_eq!(of(&report, "bare/resolve localhost"), ("skipped", "permanent-resolver-failure"));
    for deed in &script[5..] {
        assert_eq!(of(&report, &format!("bare/{deed}")), ("skipped", "no-entry"), "{deed}");
    }
}

#[test]
fn variables_are_seen_one_by_one() {
    let sandbox = Sandbox::new();
    let puppet = Puppet::standard("sees", &["environment"]);
    sandbox.puppets("", &[granted(puppet, &["env=WANTED", "env=NOT_SET"])]);
    let variables = [("WANTED", "this one"), ("OTHER_SECRET", "not-this-one")];
    let mut command = sandbox.command(&["verify", "--format", "json"]);
    let run = Run::from(command.envs(variables).output().unwrap()).expect(0);
    assert_eq!(of(&run.json(), "sees/environment"), ("passed", "WANTED=this one"));
    // All of them are never granted.
    sandbox.puppets("", &[granted(Puppet::standard("sees", &["environment"]), &["env=*"])]);
    verify(&sandbox).expect(30).says(&["env=*", "grant each variable by its name: env=NAME"]);
    sandbox.puppets("", &[granted(Puppet::standard("sees", &["environment"]), &["env=HOME"])]);
    assert!(of(&verify(&sandbox).expect(0).json(), "sees/environment").1.starts_with("HOME=/"));
}

#[test]
fn a_granted_folder_has_walls() {
    let sandbox = Sandbox::new();
    sandbox.write("outside.txt", "outside");
    sandbox.write("in/a.txt", "inside");
    sandbox.write("out/kept.txt", "kept");
    let outside = sandbox.path("outside.txt");
    symlink(&outside, sandbox.path("in/absolute")).unwrap();
    symlink("../outside.txt", sandbox.path("in/relative")).unwrap();
    symlink("a.txt", sandbox.path("in/near")).unwrap();
    symlink("..", sandbox.path("in/up")).unwrap();
    symlink("/dev/zero", sandbox.path("in/zero")).unwrap();
    symlink(sandbox.path(""), sandbox.path("out/up")).unwrap();
    let absolute = format!("read in {}", outside.display());
    let planted = format!("link out planted {}", outside.display());
    let script = [
        "folders",
        "read in a.txt",
        "read in near",
        "read in ../in/a.txt",
        "read in ../outside.txt",
        "read in x/../../outside.txt",
        "read in absolute",
        "read in relative",
        "read in up/outside.txt",
        "read in zero",
        &absolute,
        "write in a.txt changed",
        "write in new.txt new",
        "link in planted a.txt",
        "write out new.txt new",
        "read out new.txt",
        "write out ../outside.txt changed",
        "write out up/outside.txt changed",
        &planted,
        "read out planted",
        "read other x",
    ];
    sandbox.puppets(
        "",
        &[granted(Puppet::standard("walks", &script), &["fs:read=in", "fs:write=out"])],
    );
    let report = verify(&sandbox).expect(0).json();
    let said = |deed: &str| of(&report, &format!("walks/{deed}"));
    assert_eq!(said("folders"), ("passed", "in out"));
    assert_eq!(said("read in a.txt"), ("passed", "inside"));
    assert_eq!(said("read in near"), ("passed", "inside"));
    assert_eq!(said("write out new.txt new").0, "passed");
    assert_eq!(said("read out new.txt"), ("passed", "new"));
    for deed in &script[3..14] {
        assert_eq!(said(deed).0, "skipped", "{deed}: {report}");
    }
    for deed in [
        "write out ../outside.txt changed",
        "write out up/outside.txt changed",
        "read out planted",
        "read other x",
    ] {
        assert_eq!(said(deed).0, "skipped", "{deed}: {report}");
    }
    let text = |path: &str| std::fs::read_to_string(sandbox.path(path)).unwrap();
    assert_eq!(
        (text("outside.txt"), text("in/a.txt")),
        ("outside".to_owned(), "inside".to_owned())
    );
    assert!(!sandbox.path("in/new.txt").exists() && !sandbox.path("in/planted").exists());
}

#[test]
fn a_fifo_in_a_granted_folder_holds_nobody_up() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("in")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(sandbox.path("in/fifo")).status().unwrap();
    assert!(made.success());
    let waits = granted(Puppet::standard("waits", &["read in fifo"]), &["fs:read=in"]);
    let waits = waits.with("limits", json!({"timeout": "1s"}));
    sandbox.puppets("", &[waits, Puppet::new("fine", &["check x passed"])]);
    let started = Instant::now();
    let report = verify(&sandbox).expect(32).json();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(of(&report, "waits").1.contains("ran for longer than 1.0 s"), "{report}");
    assert_eq!(of(&report, "fine/x").0, "passed");
}

#[test]
fn a_folder_that_cannot_be_given_keeps_the_plugin_from_running() {
    let sandbox = Sandbox::new();
    sandbox.write("a-file", "");
    std::fs::create_dir(sandbox.path("own")).unwrap();
    for (grant, word) in [
        ("fs:read=missing", "missing cannot be given to the plugin walks"),
        ("fs:write=a-file", "a-file cannot be given to the plugin walks"),
        ("fs:write=.", "lets the plugin walks change what lsrun runs"),
        ("fs:write=plugins", "lets the plugin walks change what lsrun runs"),
        ("fs:write=own/..", "lets the plugin walks change what lsrun runs"),
    ] {
        sandbox.puppets("", &[granted(Puppet::standard("walks", &["folders"]), &[grant])]);
        sandbox.lsrun(&["verify"]).expect(30).says(&[word]);
        sandbox.lsrun(&["config", "--check"]).expect(20).says(&[word]);
        sandbox.lsrun(&["plugin", "list"]).says(&["walks"]);
    }
    std::fs::create_dir(sandbox.path("missing")).unwrap();
    for grant in ["fs:write=own", "fs:read=missing"] {
        sandbox.puppets("", &[granted(Puppet::standard("walks", &["folders"]), &[grant])]);
        sandbox.lsrun(&["verify"]).expect(0);
    }
    sandbox.puppets("", &[granted(Puppet::standard("walks", &["folders"]), &["fs:write=own"])]);
    // A database in a folder of its own.
    std::fs::create_dir(sandbox.path("data")).unwrap();
    std::fs::rename(sandbox.path("db.sqlite3"), sandbox.path("data/db.sqlite3")).unwrap();
    let file = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let file =
        file.replace("db.sqlite3", "data/db.sqlite3").replace("fs:write=own", "fs:write=data");
    sandbox.write("lsrun.yml", &file);
    sandbox.lsrun(&["verify"]).expect(30).says(&["lets the plugin walks change a database"]);
}

#[test]
fn what_is_never_sent_takes_a_bounded_part_of_the_hosts_memory() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("in")).unwrap();
    let opens = granted(Puppet::standard("opens", &["open in 5000"]), &["fs:read=in"]);
    sandbox.puppets(
        "",
        &[
            Puppet::new("few", &["requests 100 100000"]),
            Puppet::new("many", &["requests 200 100000"]),
            Puppet::new("empty", &["requests 49000 0"]),
            Puppet::standard("fields", &["requests 5000"]),
            Puppet::standard("long", &["long 20", "long 100000"]),
            opens,
        ],
    );
    let report = verify(&sandbox).expect(32).json();
    assert_eq!(of(&report, "few").0, "passed");
    assert!(of(&report, "many").1.contains("16 MiB together"), "{report}");
    assert_eq!(of(&report, "empty").0, "passed");
    assert!(of(&report, "fields").1.contains("more than 2000 handles"), "{report}");
    assert_eq!(of(&report, "long/long 20"), ("passed", "[Ok(()), Ok(()), Ok(())]"));
    assert_eq!(of(&report, "long/long 100000"), ("passed", "[Err(()), Err(()), Err(())]"));
    assert!(of(&report, "opens").1.contains("more than 500 handles"), "{report}");
}

#[test]
fn denials_do_not_flood_the_output() {
    let sandbox = Sandbox::new();
    let script: Vec<String> = (0..60).map(|it| format!("get http://h{it}.example/")).collect();
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    sandbox.puppets("", &[granted(Puppet::standard("curious", &script), &[])]);
    let run = verify(&sandbox).expect(0);
    assert_eq!(run.stderr.matches("may not http=").count(), 20, "{}", run.stderr);
}

#[test]
fn a_hook_that_fires_hooks_fires_nothing() {
    let sandbox = Sandbox::new();
    let fires = |name| Puppet::new(name, &["fire", "check x passed"]);
    sandbox.puppets("", &[fires("one"), fires("two")]);
    let report = verify(&sandbox).expect(0).json();
    for name in ["one", "two"] {
        assert_eq!(of(&report, &format!("{name}/fire")), ("passed", "passed"));
        assert_eq!(of(&report, &format!("{name}/x")).0, "passed");
    }
    let checks = report["databases"][0]["checks"].as_array().unwrap();
    assert_eq!(checks.iter().filter(|it| it["plugin"] == "one").count(), 3, "{report}");
}

#[test]
fn a_component_that_is_swapped_is_one_or_the_other() {
    let sandbox = Sandbox::new();
    sandbox.puppets("", &[Puppet::new("swapped", &["check x passed"])]);
    let file = sandbox.path("plugins/swapped.wasm");
    let good = std::fs::read(&file).unwrap();
    let other = wat::parse_str("(component)").unwrap();
    // Beside the folder, so that only the renamed file is seen.
    let staged = sandbox.path("staged");
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let swapper = std::thread::spawn(move || {
        while !ends.load(std::sync::atomic::Ordering::Relaxed) {
            for content in [&other, &good] {
                std::fs::write(&staged, content).unwrap();
                std::fs::rename(&staged, &file).unwrap();
            }
        }
    });
    for _ in 0..15 {
        let run = verify(&sandbox).expect_one_of(&[0, 30]);
        match run.code {
            0 => assert_eq!(of(&run.json(), "swapped/x").0, "passed"),
            _ => {
                let why = ["exports nothing that lsrun runs", "was exchanged while lsrun read it"];
                assert!(why.iter().any(|why| run.stderr.contains(why)), "{run:?}");
            }
        }
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
}
