//! The metrics that `verify --prometheus` writes, and the alerts of
//! `examples/prometheus` on them, checked by Prometheus' own tool.

use std::fmt::Write;

use crate::support::fleet::{damage, fleet};
use crate::support::promtool::promtool;
use crate::support::{Sandbox, repository};

#[track_caller]
fn good(output: &std::process::Output) {
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{all}");
}

#[test]
fn the_alerts_fire_for_what_they_are_for_and_for_nothing_else() {
    let folder = repository().join("examples/prometheus");
    good(&promtool(&["check", "rules", "alerts.yml"], &folder, ""));
    good(&promtool(&["test", "rules", "alerts_test.yml"], &folder, ""));
}

/// The alerts that fire a day after these metrics were written, as `ALERT alias`.
fn firing(sandbox: &Sandbox, metrics: &str) -> Vec<String> {
    let now = jiff::Timestamp::now().as_second();
    let mut series = String::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let mut value: f64 = value.parse().unwrap();
        // Time begins at 0 for the tool: now is its fourth day.
        if name.contains("_timestamp_seconds") && value > 0.0 {
            value += 4.0 * 86400.0 - f64::from(i32::try_from(now).unwrap());
        }
        writeln!(series, "  - {{series: '{name}', values: '{value}x120'}}").unwrap();
    }
    let alerts = repository().join("examples/prometheus/alerts.yml");
    let mut found = Vec::new();
    for alert in ["BackupNotProved", "BackupFailed", "BackupVerificationMissing"] {
        let test = format!(
            "rule_files: ['{}']\nevaluation_interval: 1h\ntests:\n- interval: 1h\n  input_series:\n\
             {series}  alert_rule_test:\n  - {{eval_time: 5d, alertname: {alert}, exp_alerts: []}}\n",
            alerts.display()
        );
        sandbox.write("rules_test.yml", &test);
        let output = promtool(&["test", "rules", "rules_test.yml"], &sandbox.path(""), "");
        if output.status.success() {
            continue;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("got:"), "{said}");
        let got = said.split("got:").nth(1).unwrap();
        for part in got.split("alias=\"").skip(1) {
            found.push(format!("{alert} {}", part.split('"').next().unwrap()));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn the_metrics_of_a_real_run_fire_the_right_alerts() {
    let sandbox = fleet(3);
    let metrics = || std::fs::read_to_string(sandbox.path("out.prom")).unwrap();
    std::fs::write(sandbox.path("t2.db"), "not a database").unwrap();
    let words = ["verify", "--prometheus", "out.prom"];
    sandbox.lsrun(&words).expect(11);
    good(&promtool(&["check", "metrics"], &sandbox.path(""), &metrics()));
    assert_eq!(firing(&sandbox, &metrics()), ["BackupNotProved t2"]);

    damage(&sandbox, "r/t1");
    sandbox.lsrun(&["verify", "t1", "--prometheus", "out.prom"]).expect(10);
    let after_damage = ["BackupFailed t1", "BackupNotProved t2"];
    assert_eq!(firing(&sandbox, &metrics()), after_damage);
    // One that is fresh is skipped, one whose newest result is bad is not; no series
    // is lost, also where the file is a new one.
    for _ in 0..2 {
        let run = sandbox.lsrun(&["verify", "--if-older-than", "1h", "--prometheus", "out.prom"]);
        let run = run.expect(10).says(&["- t0 skipped", "✗ t1 failed", "? t2 inconclusive"]);
        run.says_not("t1 skipped");
        assert_eq!(firing(&sandbox, &metrics()), after_damage);
        assert!(metrics().contains("lsrun_verify_outcome{alias=\"t0\",outcome=\"verified\"} 1"));
        std::fs::remove_file(sandbox.path("out.prom")).unwrap();
    }
}

#[test]
fn databases_that_nothing_replicates_are_named_every_time() {
    let sandbox = fleet(1);
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let text = text.replace("databases:\n", "databases:\n  forgotten: other.db\n");
    sandbox.write("lsrun.yml", &text);
    sandbox.sql("other.db", "CREATE TABLE t (x)");
    let why = "not replicated: no entry of litestream.dbs names it";
    sandbox.lsrun(&["history"]).expect(4).says(&["never verified: t0, forgotten"]);
    let run = sandbox.lsrun(&["verify", "--prometheus", "out.prom"]).expect(0);
    run.says(&["forgotten", why, "1 verified, 1 skipped"]);
    let metrics = std::fs::read_to_string(sandbox.path("out.prom")).unwrap();
    assert!(metrics.contains("t0") && !metrics.contains("forgotten"), "{metrics}");
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][1]["skipped"], why, "{json}");
    sandbox.lsrun(&["config", "--check"]).expect(0).says(&[
        "warning: forgotten is not replicated: no entry of `litestream.dbs` names it",
        "good apart from the warnings; 1 replica answers",
    ]);
    sandbox.lsrun(&["history"]).expect(0).says(&["t0", "forgotten  never"]);
    let json = sandbox.lsrun(&["history", "--format", "json"]).expect(0).json();
    let databases = json["databases"].as_array().unwrap();
    let forgotten = databases.iter().find(|it| it["alias"] == "forgotten").unwrap();
    assert_eq!(
        (&forgotten["last_success_at"], &forgotten["runs"]),
        (&().into(), &serde_json::json!([]))
    );
    // Whoever names it gets the error.
    sandbox.lsrun(&["verify", "forgotten"]).expect(20).says(&["other.db is not replicated"]);
}
