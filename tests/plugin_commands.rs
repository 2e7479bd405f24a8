//! A user's own command: called like one of lsrun's, but never mistaken for `verify`.

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Run, Sandbox, repository};

const COMMAND: &str = "command: {per-database: true, success: looked}\n";
const RECORDS: &str = "command: {per-database: true, records: true, success: verified}\n";

#[test]
fn global_options_may_stand_behind_it() {
    let sandbox = Sandbox::new();
    let deeds = ["log info a note", "check x passed"];
    sandbox.puppets("", &[Puppet::new("look", &deeds).manifest(COMMAND)]);
    let json = sandbox.lsrun(&["look", "--format", "json"]).expect(0).json();
    assert_eq!((&json["command"], &json["outcome"]), (&"look".into(), &"looked".into()));
    let quiet = sandbox.lsrun(&["look", "--quiet"]).expect(0);
    quiet.says_not("a note");
    sandbox.lsrun(&["look"]).expect(0).says(&["a note"]);
    let elsewhere = tempfile::tempdir().unwrap();
    for at in [&["look", "-C"][..], &["look", "--project"]] {
        let folder = sandbox.path("");
        let mut command = sandbox.command(at);
        let output = command.arg(&folder).current_dir(elsewhere.path()).output().unwrap();
        Run::from(output).expect(0).says(&["default looked"]);
    }
    sandbox.lsrun(&["look", "--help"]).expect(0).says(&["--deadline", "--format"]);
    sandbox.lsrun(&["look", "--version"]).expect(2);
    sandbox.write("plugins/look.yml", &format!("version: 1.2.3\n{COMMAND}"));
    sandbox.lsrun(&["look", "--version"]).expect(0).says(&["look 1.2.3"]);
    sandbox.lsrun(&["look", "--nope"]).expect(2).says(&["--nope"]);
    sandbox.lsrun(&["lok"]).expect(2).says(&["did you mean look?"]);
}

#[test]
fn debug_lines_are_for_those_who_ask() {
    let sandbox = Sandbox::new();
    let deeds = ["log debug a detail", "check x passed"];
    sandbox.puppets("", &[Puppet::new("look", &deeds).manifest(COMMAND)]);
    sandbox.lsrun(&["look"]).expect(0).says_not("a detail");
    sandbox.lsrun(&["look", "--verbose"]).expect(0).says(&["look: a detail"]);
}

#[test]
fn it_takes_the_place_of_a_command_only_where_the_project_says_so() {
    let sandbox = Sandbox::new();
    for name in ["config", "status", "points", "history"] {
        let puppet =
            || Puppet::new(name, &["data this is mine"]).manifest("about: its own\ncommand: {}\n");
        sandbox.puppets("", &[puppet()]);
        let run = sandbox.lsrun(&[name]);
        run.says_not("this is mine");
        sandbox.lsrun(&["verify"]).expect(30).says(&["override: true"]);
        sandbox.puppets("", &[puppet().with("override", true.into())]);
        sandbox.lsrun(&[name]).expect(0).says(&["this is mine"]);
        sandbox.lsrun(&[name, "--help"]).expect(0).says(&["its own"]);
    }
}

#[test]
fn one_that_records_and_proves_nothing_is_not_a_success() {
    let sandbox = Sandbox::new();
    for deeds in [&[][..], &["check x skipped"]] {
        sandbox.puppets("", &[Puppet::new("mine", deeds).manifest(RECORDS)]);
        let run = sandbox.lsrun(&["mine", "--format", "json"]).expect(11);
        assert_eq!(run.json()["databases"][0]["outcome"], "inconclusive");
        run.says(&["proved nothing"]);
    }
}

#[test]
fn one_that_records_does_not_speak_for_verify() {
    let sandbox = Sandbox::new();
    let results = "verify: {prometheus: metrics.prom, junit: junit.xml}\n";
    sandbox.puppets(results, &[Puppet::new("mine", &["check x passed"]).manifest(RECORDS)]);
    sandbox.lsrun(&["mine"]).expect(0);
    assert!(!sandbox.path("metrics.prom").exists() && !sandbox.path("junit.xml").exists());
    sandbox.lsrun(&["mine", "--prometheus", "own.prom", "--junit", "own.xml"]).expect(0);
    assert!(sandbox.path("own.xml").exists());
    let metrics = std::fs::read_to_string(sandbox.path("own.prom")).unwrap();
    assert!(metrics.contains("lsrun_plugin_mine_outcome{alias=\"default\","), "{metrics}");
    assert!(!metrics.contains("lsrun_verify") && !metrics.contains("lsrun_mine"), "{metrics}");
    sandbox.lsrun(&["history"]).expect(4);
    sandbox.lsrun(&["verify", "--if-older-than", "24h"]).expect(0).says(&["sentinel"]);
    // In the place of verify it records nothing at all.
    let puppet = Puppet::new("verify", &["check x passed"]).manifest(RECORDS);
    let sandbox = Sandbox::new();
    sandbox.puppets(results, &[puppet.with("override", true.into())]);
    sandbox.lsrun(&["verify"]).expect(0).says(&["x"]);
    assert!(!sandbox.path("metrics.prom").exists() && !sandbox.path("junit.xml").exists());
    sandbox.lsrun(&["history"]).expect(4);
    sandbox.lsrun(&["verify", "--prometheus", "x.prom"]).expect(2);
}

#[test]
fn a_commands_own_checks_are_told_from_those_of_the_project() {
    let sandbox = Sandbox::new();
    let deeds = ["check sentinel passed", "resolve 1 nowhere"];
    sandbox.puppets("", &[Puppet::new("look", &deeds).manifest(COMMAND)]);
    let run = sandbox.lsrun(&["look", "--format", "json"]).expect(20);
    let json = run.json();
    assert_eq!(json["databases"][0]["checks"][0]["plugin"], "look");
    assert_eq!(json["databases"][0]["error"]["exit_code"], 20);
}

/// `examples/plugins/drill`, with what it is granted and `more` in its settings.
fn drill(name: &str, more: &str, rest: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let component = repository().join("tests/compat/0.1.0/drill.wasm");
    std::fs::create_dir_all(sandbox.path("plugins")).unwrap();
    std::fs::copy(component, sandbox.path(&format!("plugins/{name}.wasm"))).unwrap();
    let settings = format!("{name}: {{grant: ['litestream:restore=*']{more}}}");
    sandbox.write("lsrun.yml", &format!("{PROJECT}{rest}plugins: {{settings: {{{settings}}}}}\n"));
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox
}

#[test]
fn the_example_has_what_lsruns_own_commands_have() {
    let sandbox = drill("drill", "", "");
    let help = sandbox.lsrun(&["drill", "--help"]).expect(0);
    // The settings of the project file are those of lsrun's own command.
    help.says(&["--within", "--sql", "--prometheus"]).says_not("[verify.");
    let run = sandbox.lsrun(&["drill", "--sql", "SELECT count(*) = 3 FROM users", "default"]);
    run.expect(0).says(&["default restorable", "restored", "sql-1", "TXID"]);
    // The global options and the results, after it.
    let words = ["drill", "--format", "json", "--junit", "d.xml", "--prometheus", "d.prom"];
    let json = sandbox.lsrun(&words).expect(0).json();
    assert_eq!((&json["command"], &json["outcome"]), (&"drill".into(), &"restorable".into()));
    assert!(json["databases"][0]["restore"]["bytes"].as_u64().unwrap() > 0, "{json}");
    assert!(std::fs::read_to_string(sandbox.path("d.xml")).unwrap().contains("restored"));
    let metrics = std::fs::read_to_string(sandbox.path("d.prom")).unwrap();
    assert!(metrics.contains("lsrun_plugin_drill_restore_seconds{"), "{metrics}");
    sandbox.lsrun(&["drill", "--if-older-than", "1h"]).expect(0).says(&["skipped"]);
    // What is wrong has its kind, its code and its hint.
    let words = ["drill", "--format", "json", "--sql", "SELECT 1 = 2", "--sql", "SELECT nothing"];
    let json = sandbox.lsrun(&words).expect(10).json();
    let check = |id: &str| {
        let checks = json["databases"][0]["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap().clone()
    };
    assert_eq!(
        (&check("sql-1")["outcome"], &check("sql-1")["kind"]),
        (&"failed".into(), &"data".into())
    );
    assert_eq!(
        (&check("sql-2")["outcome"], &check("sql-2")["code"]),
        (&"inconclusive".into(), &"sqlite".into())
    );
    // lsrun's own reader takes less than a millisecond.
    let mut command = sandbox.command(&["drill", "--within", "0s"]);
    let slow: Run = command.env("LSRUN_ENGINE", "litestream").output().unwrap().into();
    slow.expect(10).says(&["slower than the limits"]);
    sandbox.lsrun(&["drill", "--within", "soon"]).expect(2).says(&["30s, 5m or 1h"]);
    // By URL, without a project.
    let url = format!("file://{}", sandbox.path("replica").display());
    sandbox.lsrun(&["drill", &url]).expect(0).says(&["restorable"]);
    let events = sandbox.lsrun(&["drill", "--format", "ndjson"]).expect(0).stdout;
    assert!(events.contains("\"event\":\"check-finished\""), "{events}");
    // A missing backup is what it is for.
    std::fs::remove_dir_all(sandbox.path("replica")).unwrap();
    sandbox.lsrun(&["drill"]).expect(10).says(&["no backup of default"]);
}

#[test]
fn the_example_takes_the_place_of_verify_where_the_project_says_so() {
    let sandbox = drill("verify", "", "");
    sandbox.lsrun(&["verify"]).expect(30).says(&["override: true"]);
    let sandbox = drill("verify", ", override: true", "");
    sandbox.lsrun(&["verify"]).expect(0).says(&["default restorable"]);
}
