//! Hooks around a proof and a replication, and what follows a restore that did not happen.

use serde_json::json;

use crate::support::Sandbox;
use crate::support::backups::{USERS, backed_up};
use crate::support::promtool::promtool;
use crate::support::puppet::Puppet;
use crate::support::replicate::{self, Replicate};

/// A puppet whose hooks do these deeds, by their words.
fn hooks(name: &str, deeds: &[(&str, &[&str])]) -> Puppet {
    let mut config = serde_json::Map::new();
    for (hook, deeds) in deeds {
        config.insert((*hook).to_owned(), json!(deeds));
    }
    Puppet::new(name, &[]).with_config(config)
}

#[test]
fn a_hook_before_a_proof_can_refuse_it_with_a_reason() {
    let sandbox = Sandbox::new();
    let window: &[&str] = &["error refused maintenance until noon"];
    sandbox.puppets(
        "",
        &[hooks("window", &[("pre-verify", window), ("verified", &["verification"])])],
    );
    let run = sandbox.lsrun(&["verify", "default"]).expect(33);
    run.says(&[
        "window refused to verify",
        "maintenance until noon",
        "nothing was examined",
        "pre-verify: verify default",
        // It is told as well how it ended.
        "verification: verify inconclusive",
        "verification: exit 33",
    ]);
    // Nothing was written, and nothing is remembered.
    assert_eq!(
        sandbox.integer(
            "db.sqlite3",
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_lite%' ESCAPE '\\'"
        ),
        0
    );
    assert!(!sandbox.path("replica").exists() || sandbox.names("replica").is_empty());
    sandbox.lsrun(&["history"]).says_not("inconclusive");
    // Whatever its code, and also by a check that it reports.
    for deed in ["error whatever no", "check calm failed no", "panic no"] {
        sandbox.puppets("", &[hooks("window", &[("pre-verify", &[deed])])]);
        let code = if deed.starts_with("panic") { 32 } else { 33 };
        sandbox.lsrun(&["verify", "default"]).expect(code);
    }
    // An optional one is only heard.
    let optional = hooks("window", &[("pre-verify", window)]).with("optional", json!(true));
    sandbox.puppets("", &[optional]);
    sandbox.lsrun(&["verify", "default"]).expect(0).says(&["maintenance until noon"]);
}

#[test]
fn what_a_hook_before_a_proof_reports_proves_nothing() {
    let sandbox = Sandbox::new();
    let records = "command: {per-database: true, records: true}\n";
    sandbox.puppets(
        "",
        &[
            Puppet::new("mine", &[]).manifest(records),
            hooks("before", &[("pre-verify", &["check fine passed yes"])]),
        ],
    );
    sandbox.lsrun(&["mine", "default"]).expect(11).says(&["proved nothing"]);
}

#[test]
fn a_hook_after_a_proof_is_told_everything() {
    let sandbox = Sandbox::new();
    let told = || hooks("told", &[("verified", &["verification", "history default"])]);
    sandbox.puppets("", &[told()]);
    sandbox.lsrun(&["verify", "default"]).expect(0).says(&[
        "verification: verify passed",
        "verification: exit 0",
        "verification: database default",
        "verification: measured [true, true]",
        "verification: proved true",
        "verification: from nothing true",
        "verification: check sentinel passed verify",
        "verification: json true",
        "verification: host true",
    ]);
    // Also when it failed, with the checks that did; earlier results are there.
    sandbox.puppets("", &[told(), Puppet::new("wrong", &["check rows failed too few"])]);
    sandbox.lsrun(&["verify", "default"]).expect(10).says(&[
        "verification: verify failed",
        "verification: exit 10",
        "verification: proved true",
        "verification: check wrong/rows failed wrong",
        "past: verify passed",
    ]);
    // And for a command of a plugin's own whose results are recorded.
    let records = "command: {per-database: true, records: true}\n";
    let mine = Puppet::new("mine", &["check x passed"]).manifest(records);
    sandbox.puppets("", &[told(), mine]);
    sandbox
        .lsrun(&["mine", "default"])
        .expect(0)
        .says(&["verification: mine passed", "verification: proved true"]);
}

#[test]
fn a_hook_after_a_proof_changes_nothing_of_it_and_is_not_ignored() {
    let sandbox = Sandbox::new();
    for (deed, code) in [
        ("error unreachable the pager does not answer", 11),
        ("check told failed no", 11),
        ("panic no", 32),
        ("data forged", 11),
        ("skipped never mind", 11),
    ] {
        sandbox.puppets("", &[hooks("pager", &[("verified", &[deed])])]);
        let run = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(code);
        assert_eq!(run.json()["outcome"], "verified", "{deed}");
        let other = ["pager/", "forged", "never mind", "does not answer"];
        assert!(!other.iter().any(|it| run.stdout.contains(it)), "{}", run.stdout);
        run.says(&["pager"]);
    }
    let optional = hooks("pager", &[("verified", &["error unreachable no"])]);
    sandbox.puppets("", &[optional.with("optional", json!(true))]);
    sandbox.lsrun(&["verify", "default"]).expect(0).says(&["pager (optional): no"]);
    // One that is for another database is not called.
    let other = hooks("pager", &[("verified", &["error unreachable no"])]);
    sandbox.puppets("", &[other.with("databases", json!([]))]);
    sandbox.lsrun(&["verify", "default"]).expect(0).says_not("pager");
}

#[test]
fn a_proof_that_its_deadline_ends_is_told_as_well() {
    let sandbox = Sandbox::new();
    sandbox.puppets(
        "",
        &[hooks("told", &[("verified", &["verification"])]), Puppet::new("slow", &["loop"])],
    );
    sandbox
        .lsrun(&["verify", "--deadline", "2s", "default"])
        .expect(124)
        .says(&["verification: exit 124", "verification: verify inconclusive"]);
}

#[test]
fn what_was_stopped_for_a_restore_that_did_not_happen_is_told() {
    let sandbox = backed_up();
    let told: &[(&str, &[&str])] =
        &[("pre-restore", &[]), ("not-restored", &[]), ("restored", &[])];
    // A hook refuses.
    let no: &[(&str, &[&str])] = &[("post-restore", &["error refused not this one"])];
    sandbox.puppets("", &[hooks("app", told), hooks("no", no)]);
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(33)
        .says(&["app: not-restored: refused: no refused the restored copy"])
        .says_not("restored: /");
    // A check fails.
    sandbox.puppets("", &[hooks("app", told), Puppet::new("wrong", &["check rows failed few"])]);
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(10)
        .says(&["app: not-restored: failed: a check failed"]);
    // A command crashes after it has fired the hooks.
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    // Nothing is left unsettled by one that works.
    sandbox.puppets("", &[hooks("app", told)]);
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    run.says(&["app: restored: "]).says_not("not-restored");
    // Before the hooks were called, there is nothing to tell.
    sandbox.lsrun(&["restore", "default"]).expect(11).says_not("not-restored");
}

#[test]
fn hooks_around_a_replication_are_told_why_it_ended() {
    let sandbox = Sandbox::new();
    let told: &[(&str, &[&str])] = &[("pre-replicate", &[]), ("replicated", &[])];
    sandbox.puppets("", &[hooks("told", told)]);
    replicate::lsrun(&sandbox, &["replicate", "--", "sh", "-c", "exit 7"])
        .expect(7)
        .says(&["told: pre-replicate: default sh", "told: replicated: application 7"]);
    let running = Replicate::start(&sandbox, &[]);
    let log = || std::fs::read_to_string(sandbox.path("replicate.log")).unwrap();
    replicate::until_it_answers(&sandbox);
    running.end(rustix::process::Signal::TERM);
    assert!(log().contains("told: replicated: signal 0"), "{}", log());
    // One that fails afterwards fails a run that was good, and no other.
    sandbox.puppets("", &[hooks("told", &[("replicated", &["error unreachable no"])])]);
    replicate::lsrun(&sandbox, &["replicate", "--", "true"])
        .expect(11)
        .says(&["told failed afterwards"]);
    replicate::lsrun(&sandbox, &["replicate", "--", "sh", "-c", "exit 7"]).expect(7);
}

#[test]
fn a_hook_before_a_replication_can_refuse_it() {
    let sandbox = Sandbox::new();
    sandbox.puppets(
        "",
        &[
            hooks("app", &[("pre-replicate", &[]), ("replicated", &[])]),
            hooks("primary", &[("pre-replicate", &["error refused this host is a standby"])]),
        ],
    );
    let run = replicate::lsrun(&sandbox, &["replicate", "--", "touch", "started"]).expect(33);
    run.says(&[
        "primary refused to replicate",
        "this host is a standby",
        "nothing was started",
        "app: replicated: error 33",
    ]);
    assert!(!sandbox.path("started").exists() && !sandbox.path("replica").exists());
    // When it does not refuse any more, it begins.
    sandbox.puppets("", &[hooks("primary", &[("pre-replicate", &[])])]);
    replicate::lsrun(&sandbox, &["replicate", "--", "touch", "started"]).expect(0);
    assert!(sandbox.path("started").exists());
}

#[test]
fn a_metric_of_a_plugin_is_in_the_report_and_in_the_metrics() {
    let sandbox = Sandbox::new();
    let given: &[&str] = &["metric rows 5", "metric rows 7", "metric age_seconds 0.5"];
    sandbox.puppets("", &[Puppet::new("row-count", given)]);
    let run = sandbox
        .lsrun(&["--format", "json", "verify", "--prometheus", "lsrun.prom", "default"])
        .expect(0);
    let metrics = &run.json()["databases"][0]["metrics"];
    assert_eq!(metrics, &json!({"row-count": {"age_seconds": 0.5, "rows": 7.0}}));
    let text = std::fs::read_to_string(sandbox.path("lsrun.prom")).unwrap();
    assert!(text.contains("lsrun_plugin_row_count_rows{alias=\"default\"} 7\n"), "{text}");
    let checked = promtool(&["check", "metrics"], &sandbox.path(""), &text);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for name in ["Rows", "", "1st", "a-b", "duration_seconds", "my_outcome", &"a".repeat(65)] {
        sandbox.puppets("", &[Puppet::new("odd", &[&format!("metric {name} 1")])]);
        sandbox.lsrun(&["verify", "default"]).expect(11).says(&["is not the name of a metric"]);
    }
    sandbox.puppets("", &[Puppet::new("odd", &["metric rows NaN"])]);
    sandbox.lsrun(&["verify", "default"]).expect(11).says(&["not a finite number"]);
}

#[test]
fn a_query_in_one_call_is_bounded() {
    let sandbox = Sandbox::new();
    let sql = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500) SELECT x FROM n";
    sandbox.puppets("", &[Puppet::new("reads", &[&format!("query-all 1500 {sql}")])]);
    let run = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(0);
    assert!(run.stdout.contains("\"message\":\"1500\""), "{}", run.stdout);
    sandbox.puppets("", &[Puppet::new("reads", &[&format!("query-all 1499 {sql}")])]);
    sandbox
        .lsrun(&["verify", "default"])
        .expect(11)
        .says(&["more than 1499 rows", "in parts with query"]);
    sandbox.puppets("", &[Puppet::new("reads", &[&format!("query-all 1499 {sql} LIMIT 3")])]);
    sandbox.lsrun(&["verify", "default"]).expect(0);
}

#[test]
fn a_slow_plugin_does_not_lend_its_time_to_the_other_checks() {
    let sandbox = Sandbox::new();
    let busy = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000000) SELECT count(*) FROM n";
    sandbox.puppets("", &[Puppet::new("slow", &[&format!("query-all 1 {busy}")])]);
    let run = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(0);
    let json = run.json();
    let time = |id: &str| crate::support::check(&json, id)["duration_ms"].as_u64().unwrap();
    assert!(time("slow") > 2 * time("integrity_check"), "{json}");
}
