//! Which databases are selected, and where results go: files, servers, GitHub, the
//! history. With the real litestream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

use crate::support::fleet::{damage, fleet};
use crate::support::{PROJECT, Run, Sandbox, wait_until};

fn aliases(run: &Run) -> Vec<String> {
    let json = run.json();
    let databases = json["databases"].as_array().unwrap();
    databases.iter().map(|it| it["alias"].as_str().unwrap().to_owned()).collect()
}

/// A server that records every request: its line, and its body.
struct Server {
    url: String,
    requests: Receiver<(String, String)>,
}

impl Server {
    /// Answers each request with the next status, and then with 200.
    fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            let mut statuses = statuses.iter();
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let mut length = 0;
                loop {
                    let mut header = String::new();
                    reader.read_line(&mut header).unwrap();
                    let header = header.trim().to_ascii_lowercase();
                    if header.is_empty() {
                        break;
                    }
                    if let Some(value) = header.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = statuses.next().copied().unwrap_or(200);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                let line = line.split(" HTTP").next().unwrap().to_owned();
                if sender.send((line, String::from_utf8(body).unwrap())).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    /// Everything that has come; lsrun waits for its answers, so that is all.
    fn requests(&self) -> Vec<(String, String)> {
        self.requests.try_iter().collect()
    }
}

fn run_with_server(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.env("NO_PROXY", "127.0.0.1").output().unwrap().into()
}

#[test]
fn patterns_select_by_alias_and_by_path() {
    let sandbox = fleet(3);
    let json = |words: &[&str]| {
        let mut all = vec!["--format", "json", "verify"];
        all.extend(words);
        aliases(&sandbox.lsrun(&all).expect(0))
    };
    assert_eq!(json(&["t[01]"]), ["t0", "t1"]);
    assert_eq!(json(&["t2", "t*"]), ["t2", "t0", "t1"]);
    assert_eq!(json(&["?1.db"]), ["t1"]);
    assert_eq!(json(&["--all"]), ["t0", "t1", "t2"]);
    sandbox.lsrun(&["verify", "tenant-*"]).expect(4).says(&["tenant-*"]);
    sandbox.lsrun(&["verify", "t0", "other"]).expect(20).says(&["other"]);
    sandbox.lsrun(&["verify", "t[0"]).expect(2).says(&["t[0"]);
}

#[test]
fn folders_are_expanded_to_the_databases_in_them() {
    let sandbox = Sandbox::empty();
    std::fs::create_dir(sandbox.path("tenants")).unwrap();
    for name in ["a.db", "b.db", "c.other"] {
        sandbox.sql(&format!("tenants/{name}"), "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    }
    sandbox.write("tenants/no.db", "not a database");
    sandbox.write(
        "lsrun.yml",
        "litestream: {dbs: [{dir: tenants, pattern: '*.db', replica: {type: file, path: r}}]}\n",
    );
    let run = sandbox.lsrun(&["--format", "json", "verify"]).expect(0);
    assert_eq!(aliases(&run), ["tenants/a.db", "tenants/b.db"]);
    for pattern in ["tenants/b*", "b*", "?.db", "[b]"] {
        let want: &[&str] =
            if pattern == "?.db" { &["tenants/a.db", "tenants/b.db"] } else { &["tenants/b.db"] };
        let run = sandbox.lsrun(&["--format", "json", "verify", pattern]).expect(0);
        assert_eq!(aliases(&run), want, "{pattern}");
    }
    let run = sandbox.lsrun(&["verify", "tenants/a.db"]).expect(0);
    assert_eq!(run.stdout.matches("tenants/a.db").count(), 1, "{}", run.stdout);
    std::fs::remove_dir_all(sandbox.path("tenants")).unwrap();
    std::fs::create_dir(sandbox.path("tenants")).unwrap();
    sandbox.lsrun(&["verify"]).expect(4).says(&["tenants"]);
}

#[test]
fn the_shards_together_are_everything_and_an_empty_one_is_no_error() {
    let sandbox = fleet(4);
    let mut all = Vec::new();
    let mut empty = 0;
    for number in 1..=6 {
        let shard = format!("{number}/6");
        let run = sandbox.lsrun(&["--format", "json", "verify", "--shard", &shard]).expect(0);
        let found = aliases(&run);
        if found.is_empty() {
            run.says(&["nothing to do", "\"outcome\":\"skipped\""]);
            empty += 1;
        }
        all.extend(found);
    }
    all.sort();
    assert_eq!(all, ["t0", "t1", "t2", "t3"]);
    assert!(empty >= 2);
}

#[test]
fn what_was_verified_lately_is_skipped() {
    let sandbox = fleet(2);
    sandbox.lsrun(&["verify", "t0", "--if-older-than", "1h"]).expect(0);
    let run = sandbox.lsrun(&["--format", "json", "verify", "--if-older-than", "1h"]).expect(0);
    let json = run.json();
    assert_eq!(json["databases"][0]["outcome"], "skipped");
    assert!(json["databases"][0]["skipped"].as_str().unwrap().contains("less than"), "{json}");
    assert_eq!(json["databases"][1]["outcome"], "verified");
    // What is older than the limit is checked.
    let json = sandbox.lsrun(&["--format", "json", "verify", "--if-older-than", "1ms"]).json();
    assert_eq!(json["outcome"], "verified");
    // Without a success in the history there is nothing to go by.
    std::fs::write(only_history(&sandbox), "broken").unwrap();
    let run = sandbox.lsrun(&["verify", "--if-older-than", "1h"]).expect(0);
    run.says(&["2 databases: 2 verified", "warning: the history"]);
}

fn only_history(sandbox: &Sandbox) -> std::path::PathBuf {
    let folder = std::fs::read_dir(sandbox.state()).unwrap().flatten().next().unwrap();
    folder.path().join("history.sqlite3")
}

#[test]
fn the_history_knows_the_good_and_the_bad_runs() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["history"]).expect(4).says(&["no history"]);
    sandbox.lsrun(&["verify"]).expect(0);
    damage(&sandbox, "replica");
    sandbox.lsrun(&["verify"]).expect(10);
    sandbox.lsrun(&["history"]).expect(0).says(&["default", "a moment ago", "✓✗"]);
    let run = sandbox.lsrun(&["history", "default"]).expect(0);
    run.says(&["✗ failed", "✓ verified", "restore"]);
    let json = sandbox.lsrun(&["--format", "json", "history", "default"]).expect(0).json();
    let database = &json["databases"][0];
    assert_eq!(database["alias"], "default");
    assert_eq!(database["runs"][0]["outcome"], "failed");
    assert_eq!(database["runs"][0]["not_passed"], serde_json::json!(["restore"]));
    assert_eq!(database["runs"][1]["method"], "once");
    assert!(database["runs"][1]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(database["last_success_at"], database["runs"][1]["started_at"]);
    let one = sandbox.lsrun(&["--format", "json", "history", "--limit", "1"]).expect(0).json();
    assert_eq!(one["databases"][0]["runs"].as_array().unwrap().len(), 1);
    assert_eq!(one["databases"][0]["last_success_at"], database["last_success_at"]);
    sandbox.lsrun(&["history", "nobody"]).expect(20).says(&["nobody"]);
}

#[test]
fn a_history_that_cannot_be_kept_is_a_warning() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["verify"]);
    command.env("LSRUN_STATE_DIR", sandbox.path("db.sqlite3"));
    Run::from(command.output().unwrap()).expect(0).says(&["warning: the history"]);
}

#[test]
fn junit_has_a_suite_for_each_database_and_tells_failures_from_errors() {
    let sandbox = fleet(3);
    sandbox.lsrun(&["verify"]).expect(0);
    damage(&sandbox, "r/t1");
    std::fs::remove_file(sandbox.path("t2.db")).unwrap();
    sandbox.lsrun(&["verify", "--junit", "out.xml"]).expect(10);
    let text = std::fs::read_to_string(sandbox.path("out.xml")).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let suites: Vec<_> = xml.descendants().filter(|it| it.has_tag_name("testsuite")).collect();
    let of = |index: usize, name: &str| suites[index].attribute(name).unwrap();
    assert_eq!((of(0, "name"), of(0, "failures"), of(0, "errors")), ("t0", "0", "0"));
    assert_eq!((of(1, "name"), of(1, "failures"), of(1, "errors")), ("t1", "1", "0"));
    assert_eq!((of(2, "name"), of(2, "failures"), of(2, "errors")), ("t2", "0", "1"));
    // Its folder is made; if that fails, it is reported before anything is done.
    sandbox.lsrun(&["verify", "t0", "--junit", "results/deep/out.xml"]).expect(0);
    assert!(sandbox.path("results/deep/out.xml").exists());
    let run = sandbox.lsrun(&["verify", "t0", "--junit", "lsrun.yml/out.xml"]).expect(2);
    assert_eq!(run.stdout, "");
    let run = sandbox.lsrun(&["verify", "t0", "--prometheus", "gone/out.prom"]).expect(2);
    assert_eq!(run.stdout, "");
}

#[test]
fn the_metrics_keep_the_last_success() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{prometheus: out.prom}}\n"));
    sandbox.lsrun(&["verify"]).expect(0);
    let value = |metric: &str| {
        let text = std::fs::read_to_string(sandbox.path("out.prom")).unwrap();
        let line = text.lines().find(|line| line.starts_with(metric)).map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("{metric}:\n{text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let success = value("lsrun_verify_last_success_timestamp_seconds{alias=\"default\"}");
    assert!(success > 1e9);
    assert!(value("lsrun_verify_restore_seconds") > 0.0);
    assert!(value("lsrun_verify_restored_bytes") > 0.0);
    assert!(value("lsrun_verify_duration_seconds") > 0.0);
    assert!(value("lsrun_verify_replication_lag_seconds") > 0.0);
    damage(&sandbox, "replica");
    sandbox.lsrun(&["verify"]).expect(10);
    let outcome =
        |word| value(&format!("lsrun_verify_outcome{{alias=\"default\",outcome=\"{word}\"}}"));
    assert_eq!((outcome("verified"), outcome("failed"), outcome("inconclusive")), (0.0, 1.0, 0.0));
    let after = value("lsrun_verify_last_success_timestamp_seconds{alias=\"default\"}");
    assert_eq!(after.to_bits(), success.to_bits());
    let mode = std::fs::metadata(sandbox.path("out.prom")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o644);
}

#[test]
fn pings_say_start_success_and_failure_with_the_summary() {
    let sandbox = Sandbox::new();
    let server = Server::start(&[]);
    let url = format!("{}/uuid", server.url);
    run_with_server(&sandbox, &["verify", "--ping", &url]).expect(0);
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(lines, ["POST /uuid/start", "POST /uuid"]);
    assert!(requests[1].1.contains("default verified"), "{requests:?}");
    damage(&sandbox, "replica");
    run_with_server(&sandbox, &["verify", "--ping", &url]).expect(10);
    let requests = server.requests();
    assert_eq!(requests[1].0, "POST /uuid/fail");
    assert!(requests[1].1.contains("default failed"), "{requests:?}");
    // Nothing was selected: that is a failure too.
    run_with_server(&sandbox, &["verify", "x*", "--ping", &url]).expect(4);
    let requests = server.requests();
    assert_eq!(requests[1].0, "POST /uuid/fail");
}

#[test]
fn a_server_in_trouble_is_asked_again_and_never_changes_the_outcome() {
    let sandbox = Sandbox::new();
    // The first start fails, its second attempt comes through.
    let server = Server::start(&[503, 200, 200, 404]);
    let secret = format!("{}/secret-uuid", server.url);
    let hook = format!("{}/hook", server.url);
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}verify: {{ping: '${{PING_URL}}', webhook: {hook}}}\n"),
    );
    let mut command = sandbox.command(&["verify", "--format", "json"]);
    command.env("NO_PROXY", "127.0.0.1").env("PING_URL", &secret);
    let run = Run::from(command.output().unwrap()).expect(0);
    assert!(!run.stderr.contains("secret-uuid"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: webhook: 127.0.0.1 answered 404"), "{}", run.stderr);
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|(line, _)| line.as_str()).collect();
    let start = "POST /secret-uuid/start";
    assert_eq!(lines, [start, start, "POST /secret-uuid", "POST /hook"]);
    let posted: serde_json::Value = serde_json::from_str(&requests[3].1).unwrap();
    assert_eq!(posted, run.json());
    // Nobody listens there any more; the variable is needed by this command only.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = run_with_server(
        &sandbox,
        &["verify", "--ping", &format!("http://{gone}/secret-uuid"), "--webhook", &hook],
    );
    let run = run.expect(0).says(&["warning: ping: 127.0.0.1 cannot be reached"]);
    assert!(!run.stderr.contains("secret-uuid"), "{}", run.stderr);
    sandbox.lsrun(&["verify"]).expect(20).says(&["PING_URL"]);
    sandbox.lsrun(&["config"]).expect(0);
    sandbox.lsrun(&["verify", "--ping", "nonsense"]).expect(2);
}

#[test]
fn events_come_as_lines_while_the_run_goes_on() {
    let sandbox = fleet(2);
    let run = sandbox.lsrun(&["--format", "ndjson", "verify", "--jobs", "1"]).expect(0);
    let events: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["schema_version"] == 1));
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["run-started", "database-started"]);
    assert_eq!(events[0]["databases"], 2);
    assert_eq!(names.iter().filter(|name| **name == "database-finished").count(), 2);
    // With one job the first database is finished before the second one starts.
    let second = names.iter().skip(2).position(|name| *name == "database-started").unwrap() + 2;
    assert_eq!(names[second - 1], "database-finished");
    assert_eq!(events[second - 1]["outcome"], "verified");
    let check = events.iter().find(|event| event["id"] == "sentinel").unwrap();
    assert_eq!((&check["event"], &check["outcome"]), (&"check-finished".into(), &"passed".into()));
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["good"]), (&"run-finished".into(), &2.into()));
    assert_eq!(last["exit_code"], 0);
}

#[test]
fn github_gets_annotations_and_a_summary() {
    let sandbox = fleet(2);
    sandbox.lsrun(&["verify"]).expect(0);
    damage(&sandbox, "r/t1");
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("GITHUB_ACTIONS", "true");
        command.env("GITHUB_STEP_SUMMARY", sandbox.path("summary.md"));
        Run::from(command.output().unwrap()).expect(10)
    };
    let annotation = "::error title=the backup of t1 is wrong::restore: failed";
    let human = run(&["verify"]);
    assert!(human.stdout.lines().any(|line| line.starts_with(annotation)), "{}", human.stdout);
    let json = run(&["verify", "--format", "json"]);
    json.json();
    assert!(json.stderr.lines().any(|line| line.starts_with(annotation)), "{}", json.stderr);
    let summary = std::fs::read_to_string(sandbox.path("summary.md")).unwrap();
    assert_eq!(summary.matches("| t0 | ✅ verified |").count(), 2, "{summary}");
    assert!(summary.contains("- **t1** restore: failed"), "{summary}");
}

/// A litestream that works for `t0` and does not end for any other database.
#[test]
fn interrupted_it_reports_what_finished() {
    let sandbox = fleet(3);
    let real = crate::support::litestream().display().to_string();
    sandbox.write(
        "litestream",
        &format!(
            "#!/bin/sh\nfor word in \"$@\"; do\n  case $word in *.yml|*.yaml) config=$word ;; esac\ndone\nif [ \"$1\" = version ] || grep -q t0.db \"$config\"; then exec '{real}' \"$@\"; fi\ntouch hangs\nexec sleep 600\n"
        ),
    );
    let path = sandbox.path("litestream");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = Server::start(&[]);
    let url = format!("{}/uuid", server.url);
    let arguments =
        ["--format", "json", "verify", "--jobs", "1", "--junit", "out.xml", "--ping", &url];
    let child = sandbox
        .command(&arguments)
        .env("NO_PROXY", "127.0.0.1")
        .env("LSRUN_LITESTREAM", &path)
        .env("LSRUN_ENGINE", "litestream")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the second database hangs", || sandbox.path("hangs").exists());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).expect(130);
    let json = run.json();
    assert_eq!(json["databases"][0]["outcome"], "verified", "{json}");
    for index in [1, 2] {
        let database = &json["databases"][index];
        assert_eq!(database["outcome"], "inconclusive", "{json}");
        assert_eq!(database["error"]["message"], "interrupted", "{json}");
    }
    assert!(sandbox.path("out.xml").exists());
    let requests = server.requests();
    let last = requests.last().unwrap();
    assert_eq!(last.0, "POST /uuid/fail");
    assert!(last.1.contains("interrupted before there was a result: t1, t2"), "{requests:?}");
    let history = sandbox.lsrun(&["--format", "json", "history"]).expect(0).json();
    let runs = |index: usize| history["databases"][index]["runs"].as_array().unwrap().len();
    assert_eq!([runs(0), runs(1), runs(2)], [1, 0, 0], "{history}");
    sandbox.assert_clean();
}

#[test]
fn a_line_per_database_and_the_advice_for_many() {
    let sandbox = fleet(11);
    sandbox.lsrun(&["verify"]).expect(0);
    damage(&sandbox, "r/t5");
    let run = sandbox.lsrun(&["verify", "--jobs", "2"]).expect(10);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("✓ ")).count(), 10, "{}", run.stdout);
    assert_eq!(lines.iter().filter(|line| line.contains("✓ sentinel")).count(), 0);
    assert!(run.stdout.contains("✗ restore"), "{}", run.stdout);
    assert!(run.stdout.contains("does not restore the data: t5"), "{}", run.stdout);
    assert!(lines[0].starts_with("✗ t5"), "{}", run.stdout);
    // Without a terminal one line each.
    let states: Vec<&str> = run.stderr.lines().filter(|line| line.contains(": ")).collect();
    assert_eq!(states.len(), 11, "{}", run.stderr);
    assert!(states.iter().any(|line| line.starts_with("t3: verified in")), "{states:?}");
    // Two at once, one history.
    let mut other = sandbox.command(&["verify", "t0"]);
    let other = other.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sandbox.lsrun(&["verify", "t1"]).expect(0);
    Run::from(other.wait_with_output().unwrap()).expect(0);
    let history = sandbox.lsrun(&["--format", "json", "history"]).json();
    let runs = |alias: &str| {
        let databases = history["databases"].as_array().unwrap();
        let database = databases.iter().find(|it| it["alias"] == alias).unwrap();
        database["runs"].as_array().unwrap().len()
    };
    assert_eq!((runs("t0"), runs("t1"), runs("t2")), (3, 3, 2));
}
