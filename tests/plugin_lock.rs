//! `lsrun.lock` and `--locked`: what is not as it was locked does not run; and
//! `--no-plugins`, with which nothing of the project's runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{PROJECT, Run, Sandbox};

/// A project with two checks, and what they were granted.
fn two(grant: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let asks = "permissions: [\"sqlite:read=*\"]\n";
    for name in ["first", "second"] {
        std::fs::create_dir_all(sandbox.path("plugins")).unwrap();
        let built = crate::support::repository().join("tests/guests/puppet.wasm");
        std::fs::copy(built, sandbox.path(&format!("plugins/{name}.wasm"))).unwrap();
        sandbox.write(&format!("plugins/{name}.yml"), asks);
    }
    granted(&sandbox, grant);
    sandbox
}

fn granted(sandbox: &Sandbox, grant: &str) {
    let script = "config: {script: [check seen passed]}";
    let settings = format!(
        "plugins: {{settings: {{first: {{{script}, grant: [{grant}]}}, second: {{{script}}}}}}}"
    );
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}\n"));
}

/// Appends a section that changes nothing.
fn change(path: &Path) {
    let mut component = std::fs::read(path).unwrap();
    component.extend_from_slice(b"\0\x05\x04pad1");
    std::fs::write(path, component).unwrap();
}

fn in_ci(sandbox: &Sandbox, ci: &str, arguments: &[&str]) -> Run {
    Run::from(sandbox.command(arguments).env("CI", ci).output().unwrap())
}

fn lock(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("lsrun.lock")).unwrap()
}

#[test]
fn what_is_not_as_it_was_locked_does_not_run() {
    let sandbox = two("");
    sandbox.lsrun(&["verify", "--locked"]).expect(30).says(&["first is not in lsrun.lock"]);
    sandbox.lsrun(&["plugin", "lock"]).expect(0).says(&["2 plugins", "first: new, sha256:"]);
    sandbox.lsrun(&["--locked", "verify"]).expect(0).says_not("lsrun.lock");
    // A changed one: both digests, and the command that accepts it.
    let before = lock(&sandbox);
    change(&sandbox.path("plugins/first.wasm"));
    let hint = "lsrun plugin lock first";
    let run = sandbox.lsrun(&["verify", "--locked"]).expect(30);
    let run =
        run.says(&["first is not the one in lsrun.lock", "locked sha256:", "found  sha256:", hint]);
    assert_eq!(run.stderr.matches("sha256:").count(), 2, "{}", run.stderr);
    // The default in CI, and no more than a warning elsewhere.
    for (ci, code) in [("true", 30), ("1", 30), ("", 0), ("false", 0), ("0", 0)] {
        in_ci(&sandbox, ci, &["verify"]).expect(code).says(&["first is not the one in lsrun.lock"]);
    }
    in_ci(&sandbox, "true", &["verify", "--locked=false"]).expect(0).says(&["warning"]);
    in_ci(&sandbox, "true", &["config", "--check"]).expect(20).says(&["not the one in lsrun.lock"]);
    in_ci(&sandbox, "true", &["plugin", "list"]).expect(30).says(&["not the one in lsrun.lock"]);
    // Only the one that is named is accepted.
    change(&sandbox.path("plugins/second.wasm"));
    sandbox
        .lsrun(&["plugin", "lock", "first"])
        .expect(0)
        .says(&["first: sha256:", ", before sha256:"]);
    sandbox.lsrun(&["verify", "--locked"]).expect(30).says(&["second is not the one"]);
    sandbox.lsrun(&["plugin", "lock", "second"]).expect(0);
    sandbox.lsrun(&["verify", "--locked"]).expect(0);
    assert_ne!(lock(&sandbox), before);
}

#[test]
fn a_grant_that_was_not_locked_does_not_run_either() {
    let sandbox = two("'sqlite:read=default'");
    sandbox.lsrun(&["plugin", "lock"]).expect(0);
    assert!(lock(&sandbox).contains("grant: [\"sqlite:read=default\"]"), "{}", lock(&sandbox));
    granted(&sandbox, "'sqlite:read=*'");
    let more =
        ["first is granted more than lsrun.lock has", "sqlite:read=*", "lsrun plugin lock first"];
    sandbox.lsrun(&["verify", "--locked"]).expect(30).says(&more);
    // Less is no danger.
    granted(&sandbox, "");
    sandbox.lsrun(&["verify", "--locked"]).expect(0);
}

#[test]
fn what_is_locked_and_gone_is_missed() {
    let sandbox = two("");
    sandbox.lsrun(&["plugin", "lock"]).expect(0);
    std::fs::rename(sandbox.path("plugins/second.wasm"), sandbox.path("second")).unwrap();
    std::fs::remove_file(sandbox.path("plugins/second.yml")).unwrap();
    let settings = "plugins: {settings: {first: {config: {script: [check seen passed]}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    let gone = "lsrun.lock has the plugin second, which is not in a plugins folder";
    sandbox.lsrun(&["verify", "--locked"]).expect(30).says(&[gone]);
    sandbox.lsrun(&["verify"]).expect(0).says(&["warning", gone]);
    // Both ways of the hint.
    std::fs::rename(sandbox.path("second"), sandbox.path("plugins/second.wasm")).unwrap();
    sandbox.lsrun(&["config", "--check", "--locked"]).expect(0);
    std::fs::remove_file(sandbox.path("plugins/second.wasm")).unwrap();
    sandbox.lsrun(&["plugin", "lock"]).expect(0).says(&["second: removed"]);
    sandbox.lsrun(&["verify", "--locked"]).expect(0);
}

#[test]
fn the_lock_is_stable_readable_and_of_an_ordinary_mode() {
    let sandbox = two("'sqlite:read=default'");
    sandbox.lsrun(&["plugin", "lock"]).expect(0);
    let first = lock(&sandbox);
    sandbox.lsrun(&["plugin", "lock"]).expect(0).says_not("sha256");
    assert_eq!(lock(&sandbox), first);
    assert!(first.starts_with("# "), "{first}");
    let mode = std::fs::metadata(sandbox.path("lsrun.lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let parsed: Value = serde_yaml::from_str(&first).unwrap();
    assert_eq!(parsed["version"], 1);
    assert_eq!(parsed["plugins"]["first"]["grant"], json!(["sqlite:read=default"]));
    let listed = sandbox.lsrun(&["plugin", "list", "--format", "json"]).expect(0).json();
    for plugin in listed["plugins"].as_array().unwrap() {
        let name = plugin["name"].as_str().unwrap();
        assert_eq!(plugin["sha256"], parsed["plugins"][name]["sha256"]);
        assert_eq!(plugin["lock"], "locked");
    }
}

#[test]
fn a_lock_that_is_wrong_is_named() {
    let sandbox = two("");
    for wrong in ["version: 2\n", "plugins: [", "version: 1\nplugins: {first: {sha256: abc}}\n"] {
        sandbox.write("lsrun.lock", wrong);
        let hint = "correct it, or write it again with `lsrun plugin lock`";
        sandbox.lsrun(&["verify"]).expect(30).says(&["lsrun.lock", hint]);
        sandbox.lsrun(&["config", "--check"]).expect(20).says(&["lsrun.lock", hint]);
        sandbox.lsrun(&["plugin", "lock"]).expect(0);
        sandbox.lsrun(&["verify"]).expect(0);
    }
    sandbox.lsrun(&["plugin", "lock", "frist"]).expect(2).says(&["did you mean first?"]);
}

#[test]
fn without_plugins_nothing_of_the_project_runs_and_every_report_says_so() {
    let sandbox = two("");
    sandbox.write("plugins/broken.wasm", "not read");
    std::fs::copy(sandbox.path("plugins/first.wasm"), sandbox.path("plugins/own.wasm")).unwrap();
    sandbox.write("plugins/own.yml", "command: {}\n");
    let run = sandbox.lsrun(&["--no-plugins", "verify", "--format", "json"]).expect(0);
    let run = run.says(&["--no-plugins leaves out broken, first, own, second"]);
    let checks = run.json()["databases"][0]["checks"].clone();
    let left_out = checks.as_array().unwrap().iter().find(|check| check["id"] == "plugins");
    let left_out = left_out.expect("the report says what was left out");
    assert_eq!(left_out["outcome"], "skipped");
    assert!(left_out["message"].as_str().unwrap().contains("first"), "{left_out}");
    assert!(!run.stdout.contains("first/seen"), "{}", run.stdout);
    sandbox.lsrun(&["config", "--check", "--no-plugins"]).expect(0).says(&["--no-plugins"]);
    sandbox.lsrun(&["own", "--no-plugins"]).expect(2).says(&["run it without --no-plugins"]);
    sandbox
        .lsrun(&["plugin", "list", "--no-plugins"])
        .expect(2)
        .says(&["run it without --no-plugins"]);
    // With none there is nothing to say.
    let empty = Sandbox::new();
    let run = empty.lsrun(&["--no-plugins", "verify", "--format", "json"]).expect(0);
    assert!(!run.stdout.contains("left out") && !run.stderr.contains("left out"), "{}", run.stdout);
}
