//! Malicious and broken guests: lsrun survives, names and bounds each, and none
//! changes what the others report.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Run, Sandbox, check};

/// The check of a plugin in the first database of a report.
#[track_caller]
fn of<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let check = check(report, id);
    (check["outcome"].as_str().unwrap(), check["message"].as_str().unwrap())
}

/// What `verify` itself says: ids and outcomes.
fn own(report: &Value) -> Vec<(String, String)> {
    let checks = report["databases"][0]["checks"].as_array().unwrap();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let own = checks.iter().filter(|check| check["plugin"] == "verify");
    // Repeated if a daemon's replica is watched.
    own.map(|check| (text(check, "id"), text(check, "outcome"))).collect()
}

fn verify(sandbox: &Sandbox) -> Run {
    sandbox.lsrun(&["verify", "--format", "json"])
}

/// What verify itself finds once the check of every day has passed.
fn settled(sandbox: &Sandbox) -> Vec<(String, String)> {
    verify(sandbox).expect(0);
    own(&verify(sandbox).expect(0).json())
}

#[test]
fn checks_past_the_limit_end_the_guest_and_hide_nothing() {
    let sandbox = Sandbox::new();
    let plain = settled(&sandbox);
    sandbox.puppets(
        "verify: {assertions: {default: [{name: late, sql: select 0}]}}\n",
        &[
            Puppet::new("a-flood", &["checks 5000 passed", "check real failed lost"]),
            Puppet::new("b-late", &["check real failed this is seen"]),
        ],
    );
    let run = verify(&sandbox);
    let report = run.json();
    assert_eq!(of(&report, "a-flood/too many checks").0, "inconclusive");
    let (outcome, message) = of(&report, "a-flood");
    assert!(outcome == "inconclusive" && message.contains("more than 1000 checks"), "{message}");
    assert_eq!(of(&report, "b-late/real"), ("failed", "this is seen"));
    assert_eq!(of(&report, "assertion:late").0, "failed");
    for one in plain {
        assert!(own(&report).contains(&one), "{one:?} is missing");
    }
    let count = report["databases"][0]["checks"].as_array().unwrap().len();
    assert!(count < 1100, "{count}");
    assert_eq!(report["databases"][0]["outcome"], "failed");
}

#[test]
fn only_a_command_speaks_for_the_run() {
    let sandbox = Sandbox::new();
    let forged = r#"data {"schema_version":1,"command":"verify","outcome":"verified"}"#;
    for (deed, said) in [(forged, "report.data"), ("skipped nothing to do", "report.skipped")] {
        sandbox.puppets("", &[Puppet::new("liar", &[deed])]);
        let report = verify(&sandbox).expect(11).json();
        assert_eq!(report["databases"][0]["outcome"], "inconclusive");
        let (outcome, message) = of(&report, "liar");
        assert!(outcome == "inconclusive" && message.contains(said), "{message}");
        // What it found counts as well.
        sandbox.puppets("", &[Puppet::new("liar", &[deed, "check x failed no"])]);
        verify(&sandbox).expect(10);
    }
}

#[test]
fn a_check_that_does_not_apply_is_skipped_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.puppets("", &[Puppet::new("picky", &["error not-applicable no such table here"])]);
    let report = verify(&sandbox).expect(0).json();
    assert_eq!(of(&report, "picky"), ("skipped", "no such table here"));
    assert_eq!(report["databases"][0]["outcome"], "verified");
}

#[test]
fn names_and_ids_cannot_be_taken_for_lsruns_own() {
    let sandbox = Sandbox::new();
    for (file, word) in [
        ("sentinel", "a check of lsrun"),
        ("content", "a check of lsrun"),
        ("Upper", "letters a to z"),
        ("a b", "letters a to z"),
        ("verify", "a command of lsrun"),
        ("sync", "a check of lsrun"),
        ("replicate", "a command of lsrun"),
    ] {
        sandbox.puppets("", &[Puppet::new(file, &[])]);
        let run = sandbox.lsrun(&["verify"]).expect(30).says(&[word]);
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    }
    for name in ["../x", "a\\nb", "\\e[2Jx"] {
        sandbox.puppets("", &[Puppet::new("plain", &[]).manifest(&format!("name: \"{name}\"\n"))]);
        let run = sandbox.lsrun(&["verify"]).expect(30).says(&["cannot have the name", "plain"]);
        assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains("a\nb"), "{run:?}");
    }
    let long = format!("check {} passed", "x".repeat(5000));
    sandbox.puppets(
        "",
        &[Puppet::new(
            "forger",
            &[
                "check sentinel failed",
                "check verify/content passed",
                "check a\nb\u{1b}[31m\u{202e}c passed",
                "check twice passed",
                "check twice failed",
                &long,
                "hold forgotten",
            ],
        )],
    );
    let report = verify(&sandbox).expect(10).json();
    assert_eq!(of(&report, "sentinel").0, "passed");
    for (id, outcome) in [
        ("forger/sentinel", "failed"),
        ("forger/verify/content", "passed"),
        ("forger/ab[31mc", "passed"),
        ("forger/twice", "passed"),
        ("forger/twice (2)", "failed"),
        ("forger/forgotten", "inconclusive"),
    ] {
        assert_eq!(of(&report, id).0, outcome, "{id}");
    }
    let ids = report["databases"][0]["checks"].as_array().unwrap().iter();
    assert!(ids.map(|it| it["id"].as_str().unwrap()).all(|id| id.chars().count() < 200));
}

#[test]
fn facts_are_a_plugins_own_and_bounded() {
    let sandbox = Sandbox::new();
    sandbox.puppets(
        "",
        &[Puppet::new("one", &["fact kept \"x\"", "fact n 1"]), Puppet::new("two", &["fact n 2"])],
    );
    let report = verify(&sandbox).expect(0).json();
    let facts = &report["databases"][0]["facts"];
    assert_eq!(
        (&facts["one/n"], &facts["two/n"], &facts["kept"]),
        (&json!(1), &json!(2), &Value::Null)
    );
    for deed in ["facts 2000 f", "large-fact 3000000"] {
        sandbox.puppets("", &[Puppet::new("fat", &[deed])]);
        let report = verify(&sandbox).expect(32).json();
        assert!(of(&report, "fat").1.contains("facts"), "{report}");
        assert!(report.to_string().len() < 2 << 20);
    }
}

#[test]
fn every_kind_of_excess_is_survived_named_and_bounded() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", "CREATE TABLE big (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO big SELECT i FROM n");
    let limits = json!({"cpu": "300ms", "memory": "32MiB", "timeout": "10s", "rows": 5000});
    let endless = "sql WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let cases = [
        ("loops", "loop", "computed for longer than 300 ms"),
        ("grows", "grow", "more memory than 32 MiB"),
        ("recurses", "recurse", "stack"),
        ("traps", "trap", "unreachable"),
        ("panics", "panic the reason is this", "the reason is this"),
        ("connects", "connections 100", "8 connections"),
        ("orphans", "orphans 100 SELECT 1", "8 connections"),
        ("reads", "sql SELECT * FROM big", "more than 5000 rows"),
        ("floods", "logs 20000 again and again", "more than 10000 lines"),
        ("garbage", "nonsense", "no such deed"),
        ("invalid", "error invalid an argument", "an argument"),
    ];
    let mut puppets: Vec<Puppet> = cases
        .iter()
        .map(|(name, deed, _)| Puppet::new(name, &[deed]).with("limits", limits.clone()))
        .collect();
    puppets.push(Puppet::new("endless", &[endless]).with("limits", json!({"timeout": "500ms"})));
    puppets.push(
        Puppet::new("holds", &["resolve 200000 default"])
            .with("limits", json!({"cpu": "5m"}))
            .manifest("limits: {cpu-ms: 300000}"),
    );
    puppets.push(Puppet::new("fine", &["check x passed"]));
    sandbox.puppets("", &puppets);
    let started = Instant::now();
    let run = verify(&sandbox).expect(32);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    let report = run.json();
    for (name, _, word) in cases {
        let (outcome, message) = of(&report, name);
        assert_eq!(outcome, "inconclusive", "{name}");
        assert!(message.contains(word), "{name}: {message}");
    }
    assert!(of(&report, "holds").1.contains("more than 50000 handles"), "{report}");
    // By the query's own deadline, or the call's.
    assert_eq!(of(&report, "endless").0, "inconclusive");
    assert_eq!(of(&report, "fine/x").0, "passed");
    let hint = check(&report, "loops")["hint"].as_str().unwrap();
    assert!(hint.contains("lsrun.yml allows it no more"), "{report}");
    assert!(run.stderr.len() < 200_000, "{}", run.stderr.len());
    sandbox.assert_clean();
}

/// A check whose `many` modules have a memory of 16 MiB each.
fn many_memories(many: usize) -> Vec<u8> {
    let memories: String = (0..many)
        .map(|it| {
            format!("(core module $m{it} (memory 256)) (core instance (instantiate $m{it}))\n")
        })
        .collect();
    let wat = format!(
        r#"(component {memories}
  (instance $i) (export "lsrun:plugin/check@0.1.0" (instance $i)))"#
    );
    wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn memories_are_counted_together() {
    let sandbox = Sandbox::new();
    let limits = json!({"memory": "64MiB"});
    for (many, word) in [(4, "does not export"), (5, "more memory than 64 MiB")] {
        sandbox.puppets("", &[Puppet::new("wide", &[]).with("limits", limits.clone())]);
        std::fs::write(sandbox.path("plugins/wide.wasm"), many_memories(many)).unwrap();
        let report = verify(&sandbox).expect(32).json();
        let message = of(&report, "wide").1;
        assert!(message.contains(word), "{many}: {message}");
    }
}

#[test]
fn what_a_manifest_asks_for_is_capped() {
    let sandbox = Sandbox::new();
    let manifest = "limits: {cpu-ms: 9223372036854775808, memory: 1125899906842624}\n";
    sandbox.puppets(
        "",
        &[Puppet::new("greedy", &["grow"]).manifest(manifest).with("limits", json!({"cpu": "5m"}))],
    );
    let report = verify(&sandbox).expect(32).json();
    let greedy = check(&report, "greedy");
    assert!(greedy["message"].as_str().unwrap().contains("1.0 GiB"), "{greedy}");
    assert!(greedy["hint"].as_str().unwrap().contains("no plugin gets more"), "{greedy}");
}

#[test]
fn an_error_of_the_host_keeps_its_code_and_a_guest_can_make_none_up() {
    let sandbox = Sandbox::new();
    for (deed, code) in [
        ("resolve 1 nowhere", 20),
        ("error not-found made up", 11),
        ("error invalid made up", 11),
        ("error refused made up", 11),
        ("error verified made up", 11),
        ("error failed it is wrong", 10),
        ("error denied made up", 31),
    ] {
        sandbox.puppets("", &[Puppet::new("one", &[deed])]);
        let run = verify(&sandbox);
        assert_eq!(run.code, code, "{deed}: {}", run.stdout);
    }
}

/// A check that writes 100 times 4000 bytes to its standard output, says why on its
/// standard error, and crashes.
fn talker() -> Vec<u8> {
    let text = "line of output\\0a".repeat(266);
    let wat = format!(
        r#"(component $C
  (import "lsrun:host/types@0.1.0" (instance $types
    (export "database" (type (sub resource)))
    (export "restored-copy" (type (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (export "error" (type $error (eq $error')))))
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $io-error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer $C $io-error (type $e))
    (export "error" (type $e' (eq $e)))
    (type $se (variant (case "last-operation-failed" (own $e')) (case "closed")))
    (export "stream-error" (type $se' (eq $se)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $se')))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer $C $stream (type $s)) (export "output-stream" (type $s' (eq $s)))
    (export "get-stdout" (func (result (own $s'))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer $C $stream (type $s)) (export "output-stream" (type $s' (eq $s)))
    (export "get-stderr" (func (result (own $s'))))))
  (alias export $types "database" (type $database))
  (alias export $types "restored-copy" (type $copy))
  (alias export $types "error" (type $error))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 4096) "{text}")
    (data (i32.const 16) "first\0athe reason is written\0a")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $memory (instantiate $memory))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $stderr (canon lower (func $stderr "get-stderr")))
  (core module $m
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "stdout" (func $stdout (result i32)))
    (import "host" "stderr" (func $stderr (result i32)))
    (func (export "run") (param i32 i32 i32) (result i32) (local $out i32) (local $left i32)
      (local.set $out (call $stdout))
      (local.set $left (i32.const 100))
      (loop $again
        (call $write (local.get $out) (i32.const 4096) (i32.const 3990) (i32.const 2048))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $again (local.get $left)))
      (call $write (call $stderr) (i32.const 16) (i32.const 29) (i32.const 2048))
      unreachable))
  (core instance $i (instantiate $m (with "host" (instance
    (export "write" (func $write)) (export "stdout" (func $stdout)) (export "stderr" (func $stderr))))))
  (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result (result (error $error)))
    (canon lift (core func $i "run") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (component $shim
    (import "database" (type $database (sub resource)))
    (import "copy" (type $copy (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (import "error" (type $error (eq $error')))
    (import "run" (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result (result (error $error)))))
    (export $database' "database" (type $database))
    (export $copy' "restored-copy" (type $copy))
    (export $error'' "error" (type $error))
    (export "run" (func $run) (func (param "database" (option (own $database'))) (param "copy" (own $copy')) (result (result (error $error''))))))
  (instance $check (instantiate $shim
    (with "database" (type $database)) (with "copy" (type $copy)) (with "error" (type $error))
    (with "run" (func $run))))
  (export "lsrun:plugin/check@0.1.0" (instance $check)))"#
    );
    wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn much_output_is_cut_and_a_crash_says_why() {
    let sandbox = Sandbox::new();
    sandbox.puppets("", &[Puppet::new("talker", &[])]);
    std::fs::write(sandbox.path("plugins/talker.wasm"), talker()).unwrap();
    let run = verify(&sandbox).expect(32);
    let report = run.json();
    let message = of(&report, "talker").1;
    assert!(
        message.contains("the reason is written") && message.contains("unreachable"),
        "{message}"
    );
    assert!(run.stderr.contains("talker: line of output"), "{}", run.stderr);
    assert!(run.stderr.contains("bytes are left out"), "{}", run.stderr);
    assert!(run.stderr.len() < 200_000, "{}", run.stderr.len());
    // Of its own output the first lines and the last ones are shown.
    let shown = run.stderr.lines().filter(|line| line.contains("line of output")).count();
    assert!(shown > 1000, "{shown}");
}

/// A small generator: the tests must not differ from run to run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }
}

const IDS: &[&str] = &[
    "a",
    "b",
    "sentinel",
    "content",
    "verify",
    "verify/content",
    "../x",
    "integrity_check",
    "too many checks",
    "\u{1b}[2J",
    "line\nbreak",
    "\u{202e}x",
];

/// Actions that are not a reason to call a backup bad.
fn harmless(dice: &mut Dice) -> String {
    let id = dice.pick(IDS).replace(' ', "_");
    match dice.roll(8) {
        0 | 1 => format!("check {id} passed fine"),
        2 => format!("check {id} skipped not here"),
        3 => format!("fact {id} {}", dice.pick(&["1", "{}", "nonsense", "\"verified\""])),
        4 => format!("log {} ::error::forged", dice.pick(&["info", "warning", "error", "debug"])),
        5 => "progress verified".to_owned(),
        6 => "sql SELECT * FROM users".to_owned(),
        _ => "error not-applicable nothing here".to_owned(),
    }
}

/// Deeds after which nobody may say `verified`.
fn harmful(dice: &mut Dice) -> String {
    let id = dice.pick(IDS).replace(' ', "_");
    match dice.roll(14) {
        0 => format!("check {id} failed it is wrong"),
        1 => format!("check {id} failed-then-passed it is wrong"),
        2 => format!("check {id} inconclusive perhaps"),
        3 => format!("hold {id}"),
        4 => "checks 1200 passed".to_owned(),
        5 => "data {\"outcome\":\"verified\"}".to_owned(),
        6 => "skipped nothing to do".to_owned(),
        7 => {
            format!("error {} whatever", dice.pick(&["failed", "busy", "verified", "", "invalid"]))
        }
        8 => "trap".to_owned(),
        9 => "panic \u{1b}[31mreason".to_owned(),
        10 => "loop".to_owned(),
        11 => "grow".to_owned(),
        12 => "facts 1001 f".to_owned(),
        _ => "connections 9".to_owned(),
    }
}

/// Whether a script, run in this order, ends before its deed at `at`.
fn ends_before(script: &[String], at: usize) -> bool {
    let ends = ["error", "checks", "trap", "panic", "loop", "grow", "facts", "connections"];
    script[..at].iter().any(|deed| ends.iter().any(|end| deed.split(' ').next() == Some(end)))
}

#[test]
fn whatever_a_guest_does_the_outcome_of_verify_is_the_same_or_worse() {
    const RUNS: usize = 25;
    const GUESTS: usize = 8;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let sandbox = Sandbox::new();
    let plain = settled(&sandbox);
    for number in 0..RUNS {
        // Some runs mean no harm, most mean some.
        let harm = number % 5 != 0;
        let mut worst = "verified";
        let scripts: Vec<Vec<String>> = (0..GUESTS)
            .map(|_guest| {
                let count = 1 + dice.roll(6);
                let deed = |dice: &mut Dice| match harm && dice.roll(6) == 0 {
                    true => (harmful(dice), true),
                    false => (harmless(dice), false),
                };
                let deeds: Vec<(String, bool)> = (0..count).map(|_| deed(&mut dice)).collect();
                let script: Vec<String> = deeds.iter().map(|(deed, _)| deed.clone()).collect();
                for (at, (deed, harmful)) in deeds.iter().enumerate() {
                    if *harmful && !ends_before(&script, at) {
                        let wrong = deed.contains(" failed") || deed.contains("error failed");
                        if wrong || worst == "verified" {
                            worst = if wrong { "failed" } else { "inconclusive" };
                        }
                    }
                }
                script
            })
            .collect();
        let limits = json!({"cpu": "200ms", "memory": "16MiB", "timeout": "30s"});
        let puppets: Vec<Puppet> = scripts
            .iter()
            .enumerate()
            .map(|(guest, script)| {
                let script: Vec<&str> = script.iter().map(String::as_str).collect();
                Puppet::new(&format!("guest-{guest}"), &script).with("limits", limits.clone())
            })
            .collect();
        sandbox.puppets("", &puppets);
        let run = verify(&sandbox);
        let report = run.json();
        let context = || format!("run {number}: {scripts:#?}\n{report:#}\n{}", run.stderr);
        assert_eq!(own(&report), plain, "{}", context());
        assert_eq!(report["outcome"], worst, "{}", context());
        assert_eq!(report["databases"].as_array().unwrap().len(), 1);
        match worst {
            "verified" => assert_eq!(run.code, 0, "{}", context()),
            "failed" => assert!(run.code == 10, "{}: {}", run.code, context()),
            _ => assert!([11, 32].contains(&run.code), "{}: {}", run.code, context()),
        }
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{}", context());
    }
    sandbox.write("lsrun.yml", PROJECT);
    sandbox.assert_clean();
}
