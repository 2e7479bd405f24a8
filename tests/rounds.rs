//! `verify.every` and `verify.listen`: verification beside `lsrun replicate`, and what it
//! tells those who ask.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::support::fleet::fleet;
use crate::support::promtool::promtool;
use crate::support::replicate::{Replicate, log, lsrun, until_it_answers};
use crate::support::{PROJECT, Sandbox, wait_until};

/// A project with this in `verify:`, and what else it has.
fn project(verify: &str, rest: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{{verify}}}\n{rest}"));
    sandbox
}

/// A task that writes its process id, and goes on when there is a file `go`.
const WAITS: &str = "tasks: {wait: [sh, -c, 'echo $$ >pid.new; mv pid.new pid; until test -e go; do sleep 0.05; done']}";

/// The outcomes of the runs of a database in the history, newest first.
fn outcomes(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let run = lsrun(sandbox, &["--format", "json", "history", name]);
    if run.code != 0 {
        return Vec::new();
    }
    let runs = run.json()["databases"][0]["runs"].as_array().unwrap().clone();
    runs.iter().map(|run| run["outcome"].as_str().unwrap().to_owned()).collect()
}

/// Where it listens.
pub(crate) fn address(sandbox: &Sandbox) -> SocketAddr {
    let find = || {
        let log = log(sandbox);
        let (_, rest) = log.split_once("health and metrics at http://")?;
        rest.split_once("/health")?.0.parse().ok()
    };
    wait_until("the address is printed", || find().is_some());
    find().unwrap()
}

/// Status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

fn request(address: SocketAddr, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Status and document of `/health`.
pub(crate) fn health(address: SocketAddr) -> (u16, Value) {
    let (status, body) = get(address, "/health");
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[track_caller]
fn until_health_is(address: SocketAddr, status: u16) -> Value {
    wait_until(&format!("/health is {status}"), || health(address).0 == status);
    health(address).1
}

/// The verification that runs next to it, if one does.
#[cfg(target_os = "linux")]
fn verification(replicate: &Child) -> Option<Pid> {
    let tasks = format!("/proc/{}/task", replicate.id());
    let children = std::fs::read_dir(tasks).unwrap().flatten().flat_map(|task| {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    });
    let is_one = |pid: &String| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("\0verify\0")
    };
    children.into_iter().find(is_one).and_then(|pid| Pid::from_raw(pid.parse().unwrap()))
}

fn pid_of_the_task(sandbox: &Sandbox) -> Pid {
    wait_until("the task runs", || sandbox.path("pid").exists());
    let text = std::fs::read_to_string(sandbox.path("pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

#[test]
fn a_daemon_verifies_soon_and_again_and_the_results_go_where_they_go() {
    let rest = "tasks: {note: [sh, -c, 'echo $LSRUN_DATABASE $LSRUN_OUTCOME >>hooked']}\nhooks: {verified: note}\n";
    let sandbox = project("every: 10s, prometheus: out.prom, junit: out.xml", rest);
    let started = Instant::now();
    let daemon = Replicate::start(&sandbox, &[]);
    wait_until("it is verified", || log(&sandbox).contains("default: verified in"));
    assert_eq!(outcomes(&sandbox, "default"), ["verified"]);
    let hooked = || std::fs::read_to_string(sandbox.path("hooked")).unwrap_or_default();
    assert_eq!(hooked(), "default passed\n");
    let metrics = std::fs::read_to_string(sandbox.path("out.prom")).unwrap();
    assert!(metrics.contains("lsrun_verify_outcome{alias=\"default\",outcome=\"verified\"} 1"));
    assert!(sandbox.path("out.xml").exists());
    wait_until("it is verified again", || outcomes(&sandbox, "default").len() == 2);
    assert!(started.elapsed() > Duration::from_secs(5), "not one right after the other");
    let ended = Instant::now();
    daemon.end(Signal::TERM);
    assert!(ended.elapsed() < Duration::from_secs(15), "{:?}", ended.elapsed());
    assert!(log(&sandbox).lines().filter(|line| line.starts_with("default:")).count() <= 3);
    sandbox.assert_clean();
}

#[test]
fn what_a_good_verification_warns_of_is_said_once() {
    let sandbox = project("every: 10s, ping: 'http://127.0.0.1:9/x'", "");
    let daemon = Replicate::start(&sandbox, &[]);
    wait_until("it is verified twice", || outcomes(&sandbox, "default").len() == 2);
    daemon.end(Signal::TERM);
    let log = log(&sandbox);
    let warnings = log.lines().filter(|line| line.starts_with("warning: ping: "));
    assert_eq!(warnings.count(), 1, "{log}");
}

#[test]
fn rounds_that_take_longer_than_the_interval_are_reported_and_do_not_pile_up() {
    let sandbox = fleet(3);
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    // Each takes longer than its share of the interval.
    let task = "tasks: {slow: [sh, -c, 'echo $LSRUN_DATABASE >>turns; sleep 7']}";
    let hooks = "hooks: {verified: slow}";
    sandbox.write("lsrun.yml", &format!("{text}verify: {{every: 10s}}\n{task}\n{hooks}\n"));
    let daemon = Replicate::start(&sandbox, &[]);
    let turns = || std::fs::read_to_string(sandbox.path("turns")).unwrap_or_default();
    wait_until("there is a second round", || turns().lines().count() >= 4);
    let turns = turns();
    let first: BTreeSet<&str> = turns.lines().take(3).collect();
    assert_eq!(first.len(), 3, "each in turn: {turns}");
    let warning = "verifying 3 databases one after another takes longer than verify.every";
    assert_eq!(log(&sandbox).matches(warning).count(), 1, "{}", log(&sandbox));
    daemon.end(Signal::TERM);
    sandbox.assert_clean();
}

#[test]
fn once_verifies_nothing_and_an_application_keeps_its_code() {
    let sandbox = project("every: 10s", "");
    lsrun(&sandbox, &["replicate", "-once"]).expect(0);
    assert!(outcomes(&sandbox, "default").is_empty());
    // The application ends when there is a result; the metrics are written last.
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{every: 10s, prometheus: out.prom}}\n"));
    let script = "until test -e out.prom; do sleep 0.05; done; exit 7";
    lsrun(&sandbox, &["replicate", "--", "sh", "-c", script]).expect(7);
    sandbox.assert_clean();
}

#[test]
fn health_is_bad_until_proved_while_broken_and_good_when_mended() {
    let rest = format!("{WAITS}\nhooks: {{pre-verify: wait}}\n");
    let sandbox = project("every: 10s, listen: '127.0.0.1:0'", &rest);
    let daemon = Replicate::start(&sandbox, &[]);
    let address = address(&sandbox);
    let (status, document) = health(address);
    assert_eq!((status, &document["databases"][0]["problem"]), (503, &"never verified".into()));
    assert_eq!(document["databases"][0]["age_seconds"], Value::Null);
    let (_, metrics) = get(address, "/metrics");
    assert!(metrics.contains("lsrun_verify_last_success_age_seconds{alias=\"default\"} +Inf"));
    sandbox.write("go", "");
    let document = until_health_is(address, 200);
    let database = &document["databases"][0];
    assert_eq!((&database["alias"], &database["outcome"]), (&"default".into(), &"verified".into()));
    assert_eq!(
        (document["healthy"].clone(), document["max_age_seconds"].clone()),
        (true.into(), 30.into())
    );
    assert_eq!(database["txid"].as_str().unwrap().len(), 16);
    assert!(database["age_seconds"].as_u64().unwrap() < 30);

    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "lsrun_verify_outcome{alias=\"default\",outcome=\"verified\"} 1",
        "lsrun_verify_healthy{alias=\"default\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("} +Inf"), "{metrics}");
    let checked = promtool(&["check", "metrics"], &sandbox.path(""), &metrics);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for other in ["/", "/healthz", "/health/", "/metrics/../../etc/passwd"] {
        assert_eq!(get(address, other).0, 404, "{other}");
    }
    assert_eq!(
        request(address, "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").0,
        404
    );

    // Every file that a restore may begin with, also those that litestream makes of its own
    // ones meanwhile.
    let mut broken: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    wait_until("/health is 503", || {
        for level in sandbox.names("replica/ltx") {
            for name in sandbox.names(&format!("replica/ltx/{level}")) {
                let path = sandbox.path(&format!("replica/ltx/{level}/{name}"));
                if name.ends_with(".ltx") && !broken.contains_key(&path) {
                    let content = std::fs::read(&path).unwrap();
                    std::fs::write(&path, &content[..content.len() / 2]).unwrap();
                    broken.insert(path, content);
                }
            }
        }
        health(address).0 == 503
    });
    let (_, document) = health(address);
    assert_eq!(document["databases"][0]["outcome"], "failed", "{document}");
    assert_eq!(document["databases"][0]["problem"], "the last verification failed");
    assert!(log(&sandbox).contains("its backup failed the verification (exit code 10)"));
    for (path, content) in broken {
        std::fs::write(path, content).unwrap();
    }
    until_health_is(address, 200);
    wait_until("that is reported", || log(&sandbox).contains("default: verified again"));
    daemon.end(Signal::TERM);
    assert!(TcpStream::connect(address).is_err());
    sandbox.assert_clean();
}

#[test]
fn what_was_proved_before_the_start_counts_until_it_is_too_old() {
    // Nothing verifies here: an own timer does.
    let sandbox = project("max_age: 12s, listen: '127.0.0.1:0'", "");
    let daemon = Replicate::start(&sandbox, &[]);
    let first = address(&sandbox);
    assert_eq!(health(first).0, 503);
    until_it_answers(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    until_health_is(first, 200);
    daemon.end(Signal::TERM);
    lsrun(&sandbox, &["verify"]).expect(0);
    let daemon = Replicate::start(&sandbox, &[]);
    let second = address(&sandbox);
    assert_eq!(health(second).0, 200, "{}", health(second).1);
    let document = until_health_is(second, 503);
    let problem = document["databases"][0]["problem"].as_str().unwrap();
    assert!(problem.starts_with("last proved good 1"), "{problem}");
    assert_eq!(document["databases"][0]["outcome"], "verified");
    // A result that says nothing about the backup changes nothing.
    lsrun(&sandbox, &["verify"]).expect(0);
    until_health_is(second, 200);
    sandbox.take_the_replica_away();
    lsrun(&sandbox, &["verify", "--timeout", "1s"]).expect(11);
    wait_until("that is known", || {
        let (status, document) = health(second);
        assert_eq!(status, 200, "{document}");
        document["databases"][0]["outcome"] == "inconclusive"
    });
    sandbox.bring_the_replica_back();
    daemon.end(Signal::TERM);
}

#[cfg(target_os = "linux")]
#[test]
fn the_end_of_the_daemon_ends_a_verification_and_what_it_started() {
    for (event, signal) in [("pre-verify", Signal::TERM), ("verified", Signal::INT)] {
        let sandbox = project("every: 10s", &format!("{WAITS}\nhooks: {{{event}: wait}}\n"));
        let daemon = Replicate::start(&sandbox, &[]);
        let task = pid_of_the_task(&sandbox);
        let child = verification(&daemon.0).unwrap();
        let ended = Instant::now();
        daemon.end(signal);
        assert!(ended.elapsed() < Duration::from_secs(20), "{:?}", ended.elapsed());
        assert!(test_kill_process(child).is_err(), "the verification runs");
        wait_until("the task has ended", || test_kill_process(task).is_err());
        sandbox.assert_clean();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_daemon_takes_its_verification_along() {
    let sandbox = project("every: 10s", &format!("{WAITS}\nhooks: {{pre-verify: wait}}\n"));
    let mut daemon = Replicate::start(&sandbox, &[]);
    let task = pid_of_the_task(&sandbox);
    let child = verification(&daemon.0).unwrap();
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    wait_until("both have ended", || {
        test_kill_process(child).is_err() && test_kill_process(task).is_err()
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_verification_gives_way_and_its_crash_touches_nothing() {
    let sandbox = project("every: 10s", &format!("{WAITS}\nhooks: {{pre-verify: wait}}\n"));
    let mut daemon = Replicate::start(&sandbox, &[]);
    pid_of_the_task(&sandbox);
    let child = verification(&daemon.0).unwrap();
    let of_child = |name: &str| {
        std::fs::read_to_string(format!("/proc/{}/{name}", child.as_raw_nonzero())).unwrap()
    };
    let stat = of_child("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_eq!(fields[16], "19", "its priority: {stat}");
    assert_eq!(of_child("oom_score_adj").trim(), "1000");
    kill_process(child, Signal::KILL).unwrap();
    wait_until("it is reported", || log(&sandbox).contains("(ended by signal 9)"));
    sandbox.write("go", "");
    wait_until("the next one is good", || log(&sandbox).contains("default: verified again"));
    assert!(daemon.0.try_wait().unwrap().is_none());
    daemon.end(Signal::TERM);
}

#[test]
fn an_address_of_verify_that_is_taken_is_free_again_or_another_one_is_chosen() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let write = |litestream: &str, listen: &str| {
        let verify = format!("verify: {{max_age: 1h, listen: '{listen}'}}\n");
        sandbox.write("lsrun.yml", &format!("{PROJECT}{litestream}{verify}"));
    };
    let replicate = || lsrun(&sandbox, &["replicate", "--", "touch", "started"]);
    write("", &address.to_string());
    let words = [
        "verify.listen is in use",
        "another process listens there; stop it, or choose another port",
    ];
    replicate().expect(20).says(&words).says(&[&address.to_string()]);
    write("  addr: '127.0.0.1:9'\n", "127.0.0.1:9");
    replicate()
        .expect(20)
        .says(&["litestream serves its own metrics there: give verify.listen another port"]);
    write("", "192.0.2.1:80");
    replicate().expect(20).says(&["choose an address of this machine, and a port above 1023"]);
    write("", "${NO_SUCH_PORT}");
    replicate().expect(20).says(&["NO_SUCH_PORT"]);
    write("", "${WRONG:-nowhere}");
    replicate().expect(20).says(&["write it like `127.0.0.1:9091`"]);
    assert!(!sandbox.path("started").exists());
    write("", "${PORT:-127.0.0.1:0}");
    replicate().expect(0).says(&["health and metrics at http://127.0.0.1:"]);
    drop(taken);
    write("", &address.to_string());
    replicate().expect(0);
}

#[test]
fn clients_that_are_slow_many_or_rude_keep_nobody_out() {
    let sandbox = project("max_age: 1h, listen: '127.0.0.1:0'", "");
    let daemon = Replicate::start(&sandbox, &[]);
    let address = address(&sandbox);
    until_it_answers(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    until_health_is(address, 200);
    let mut slow: Vec<TcpStream> = Vec::new();
    for index in 0..300 {
        let mut stream = TcpStream::connect(address).unwrap();
        // Some of these are closed already.
        let _closed = stream.write_all(b"GET /health HTTP/1.1\r\nA: ");
        slow.push(stream);
        if index % 50 == 0 {
            let asked = Instant::now();
            assert_eq!(health(address).0, 200);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
    }
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", daemon.0.id()));
    if let Ok(descriptors) = descriptors {
        assert!(descriptors.count() < 120, "connections are bounded");
    }
    // Nobody stays: the last ones are closed as well, which a byte now and then does not help.
    let mut last = slow.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    wait_until("a slow client is let go", || {
        let _gone = last.write_all(b"a");
        let mut byte = [0];
        match last.read(&mut byte) {
            Ok(_answer_or_end) => true,
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        }
    });
    for rude in [
        "\r\n\r\n\0\0\0",
        "GET",
        "GET /health HTTP/9.9\r\n\r\n",
        &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        let _closed = stream.write_all(rude.as_bytes());
    }
    assert_eq!(health(address).0, 200);
    // Replication goes on.
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('late')");
    lsrun(&sandbox, &["verify"]).expect(0);
    daemon.end(Signal::TERM);
    sandbox.assert_clean();
}

#[test]
fn one_that_comes_into_a_folder_later_is_verified_as_well() {
    let sandbox = Sandbox::empty();
    let content = "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)";
    sandbox.write("data/.keep", "");
    sandbox.sql("data/one.db", content);
    let dir = "{dir: data, pattern: '*.db', watch: true, replica: {type: file, path: replica}}";
    let verify = "verify: {every: 10s, listen: '127.0.0.1:0'}";
    sandbox.write("lsrun.yml", &format!("litestream: {{dbs: [{dir}]}}\n{verify}\n"));
    let daemon = Replicate::start(&sandbox, &[]);
    let address = address(&sandbox);
    let document = until_health_is(address, 200);
    assert_eq!(document["databases"].as_array().unwrap().len(), 1, "{document}");
    sandbox.sql("data/two.db", content);
    let document = until_health_is(address, 503);
    assert_eq!(document["databases"].as_array().unwrap().len(), 2, "{document}");
    let document = until_health_is(address, 200);
    assert_eq!(document["databases"].as_array().unwrap().len(), 2, "{document}");
    daemon.end(Signal::TERM);
    sandbox.assert_clean();
}

#[test]
fn an_explicit_configuration_is_not_verified_which_is_said() {
    let sandbox = project("every: 10s, listen: '127.0.0.1:0'", "");
    sandbox.write("own.yml", "dbs: [{path: db.sqlite3, replica: {type: file, path: replica}}]\n");
    let script = "until ls replica/ltx/0/*.ltx; do sleep 0.05; done";
    let words = ["replicate", "-config", "own.yml", "--", "sh", "-c", script];
    let said = "verify.every and verify.listen are for the databases of lsrun.yml";
    lsrun(&sandbox, &words).expect(0).says(&[said]).says_not("health and metrics");
}

#[test]
fn databases_have_their_turns_one_at_a_time() {
    let sandbox = fleet(5);
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let task = "tasks: {note: [sh, -c, 'mkdir busy && sleep 0.1 && rmdir busy && echo $LSRUN_DATABASE >>turns']}";
    sandbox.write(
        "lsrun.yml",
        &format!("{text}verify: {{every: 10s}}\n{task}\nhooks: {{verified: note}}\n"),
    );
    let daemon = Replicate::start(&sandbox, &[]);
    let turns = || std::fs::read_to_string(sandbox.path("turns")).unwrap_or_default();
    wait_until("each had two turns", || {
        let turns = turns();
        (0..5).all(|index| turns.matches(&format!("t{index}\n")).count() >= 2)
    });
    // `mkdir` would have failed where two were at it, and the run with it.
    assert!(!log(&sandbox).contains("warning"), "{}", log(&sandbox));
    let turns = turns();
    let first: BTreeSet<&str> = turns.lines().take(5).collect();
    assert_eq!(first.len(), 5, "the first round has all of them: {turns}");
    daemon.end(Signal::TERM);
    sandbox.assert_clean();
}
