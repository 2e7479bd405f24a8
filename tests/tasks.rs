//! Tasks: command lines that the project file names, run at an event or by a plugin.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::backups::{USERS, backed_up};
use crate::support::puppet::Puppet;
use crate::support::replicate;
use crate::support::{PROJECT, Sandbox, wait_until};

/// The project file with these `tasks:` and `hooks:`.
fn with(sandbox: &Sandbox, yaml: &str) {
    sandbox.write("lsrun.yml", &format!("{PROJECT}{yaml}"));
}

/// A task that adds its event to a file, and keeps what it was given.
const NOTES: &str = "tasks:
  note: [sh, -c, 'echo $LSRUN_EVENT >> events; env > env; cat > input']
  stop: [sh, -c, 'echo stop >> events']
  start: [sh, -c, 'echo start >> events']
";

fn events(sandbox: &Sandbox) -> Vec<String> {
    let text = std::fs::read_to_string(sandbox.path("events")).unwrap_or_default();
    let _none_left = std::fs::remove_file(sandbox.path("events"));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn an_application_is_stopped_before_a_restore_and_started_after_it() {
    let sandbox = backed_up();
    let hooks =
        "hooks: {pre-restore: [note, stop], restored: [start, note], not-restored: start}\n";
    with(&sandbox, &format!("{NOTES}{hooks}"));
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["task:stop", "task:start"]);
    assert_eq!(events(&sandbox), ["pre-restore", "stop", "start", "restored"]);
    let env = std::fs::read_to_string(sandbox.path("env")).unwrap();
    for line in ["LSRUN_DATABASE=default", "LSRUN_EVENT=restored", "LSRUN_TXID=0"] {
        assert!(env.lines().any(|it| it.starts_with(line)), "{line}: {env}");
    }
    let input = std::fs::read_to_string(sandbox.path("input")).unwrap();
    let input: serde_json::Value = serde_json::from_str(&input).unwrap();
    assert_eq!((&input["event"], &input["database"]), (&json!("restored"), &json!("default")));
    assert!(input["kept"].as_str().unwrap().contains("before-restore"), "{input}");
    // Nothing is restored: it is started all the same.
    sandbox
        .puppets(&format!("{NOTES}{hooks}"), &[Puppet::new("wrong", &["check rows failed few"])]);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(10);
    assert_eq!(events(&sandbox), ["pre-restore", "stop", "start"]);
    // What nobody has stopped is not: another hook refuses first.
    let refuses = Puppet::new("no", &[]);
    let mut config = serde_json::Map::new();
    config.insert("pre-restore".into(), json!(["error refused not now"]));
    sandbox.puppets(&format!("{NOTES}{hooks}"), &[refuses.with_config(config)]);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(33);
    assert_eq!(events(&sandbox), ["start"]);
    assert!(sandbox.names("").iter().all(|name| !name.contains("lsrun-")));
}

#[test]
fn a_task_that_fails_keeps_a_restore_from_beginning() {
    let sandbox = backed_up();
    let hooks = "tasks:
  fails: [sh, -c, 'echo why >&2; exit 3']
  never: [touch, never]
  start: [touch, started]
hooks: {pre-restore: [fails, never], not-restored: start}
";
    with(&sandbox, hooks);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(33).says(&[
        "tasks refused the restore",
        "the task fails ended with code 3",
        "tasks: fails: why",
        "nothing was touched",
    ]);
    assert!(!sandbox.path("never").exists() && sandbox.path("started").exists());
    // An optional one is a warning.
    with(
        &sandbox,
        &hooks
            .replace("fails: [", "fails: {optional: true, run: [")
            .replace("exit 3']", "exit 3']}"),
    );
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(0)
        .says(&["warning: tasks: the task fails"]);
    assert!(sandbox.path("never").exists());
}

#[test]
fn somebody_is_paged_when_a_proof_fails_and_not_before() {
    let sandbox = Sandbox::new();
    let page = "tasks:
  page: {run: [sh, -c, 'env > env; cat > input'], when: failed}
  always: [sh, -c, 'echo $LSRUN_OUTCOME >> events']
hooks: {verified: [page, always]}
";
    with(&sandbox, page);
    sandbox.lsrun(&["verify", "default"]).expect(0);
    assert!(!sandbox.path("env").exists());
    sandbox.puppets(page, &[Puppet::new("wrong", &["check rows failed too few"])]);
    let run = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(10);
    assert_eq!(events(&sandbox), ["passed", "failed"]);
    let env = std::fs::read_to_string(sandbox.path("env")).unwrap();
    for line in [
        "LSRUN_OUTCOME=failed",
        "LSRUN_EXIT_CODE=10",
        "LSRUN_PROBLEMS=wrong/rows: too few",
        "LSRUN_LAST_PROVED=20",
    ] {
        assert!(env.lines().any(|it| it.starts_with(line)), "{line}: {env}");
    }
    let input = std::fs::read_to_string(sandbox.path("input")).unwrap();
    let input: serde_json::Value = serde_json::from_str(&input).unwrap();
    let mut reported = run.json()["databases"][0].clone();
    for json in [&mut reported, &mut input["verification"].clone()] {
        json.as_object_mut().unwrap().remove("last_good");
    }
    assert_eq!(input["verification"]["checks"], reported["checks"]);
    assert_eq!(
        (&input["verification"]["outcome"], &input["exit_code"]),
        (&json!("failed"), &json!(10))
    );
    // A pager that fails fails the run, and not the proof.
    with(&sandbox, "tasks: {page: [sh, -c, 'exit 9']}\nhooks: {verified: page}\n");
    let run = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(11);
    assert_eq!(run.json()["outcome"], "verified");
    run.says(&["the task page ended with code 9"]);
}

#[test]
fn tasks_are_no_plugins() {
    let sandbox = backed_up();
    let hooks = format!("{NOTES}hooks: {{pre-restore: stop, restored: start, verified: note}}\n");
    sandbox.puppets(&hooks, &[Puppet::new("wrong", &["check rows failed few"])]);
    sandbox.lsrun(&["verify", "--no-plugins", "default"]).expect(0).says(&["leaves out wrong"]);
    sandbox.lsrun(&["restore", "--no-plugins", "-force", "default"]).expect(0);
    assert_eq!(events(&sandbox), ["verified", "stop", "start"]);
}

#[test]
fn a_task_has_no_credentials_unless_they_are_named() {
    let sandbox = Sandbox::new();
    let task = |env: &str| {
        with(
            &sandbox,
            &format!(
                "tasks: {{t: {{run: [sh, -c, 'env > env'], env: [{env}]}}}}\nhooks: {{verified: t}}\n"
            ),
        );
    };
    let run = || -> crate::support::Run {
        let mut command = sandbox.command(&["verify", "default"]);
        command.env("AWS_SECRET_ACCESS_KEY", "a-canary").env("PAGER_KEY", "k1");
        command.output().unwrap().into()
    };
    task("");
    run().expect(0);
    let env = std::fs::read_to_string(sandbox.path("env")).unwrap();
    assert!(!env.contains("a-canary") && !env.contains("PAGER_KEY"), "{env}");
    assert!(env.contains("PATH="), "{env}");
    task("PAGER_KEY");
    run().expect(0);
    let env = std::fs::read_to_string(sandbox.path("env")).unwrap();
    assert!(env.contains("PAGER_KEY=k1") && !env.contains("a-canary"), "{env}");
    task("PAGER_TOKEN");
    run().expect(11).says(&[
        "the task t needs the environment variable PAGER_TOKEN, which is not set",
        "set PAGER_TOKEN, or remove it from the task's env",
    ]);
    let mut command = sandbox.command(&["verify", "default"]);
    let run: crate::support::Run = command.env("PAGER_TOKEN", "x").output().unwrap().into();
    run.expect(0);
}

#[test]
fn a_task_that_hangs_or_floods_is_ended_and_bounded() {
    let sandbox = Sandbox::new();
    with(
        &sandbox,
        "tasks: {t: {run: [sh, -c, 'sleep 1000 & echo $$ > pid; wait'], timeout: 300ms}}\nhooks: {verified: t}\n",
    );
    sandbox
        .lsrun(&["verify", "default"])
        .expect(11)
        .says(&["it took longer than 300 ms", "a task's timeout"]);
    let pid: i32 = std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    let group = rustix::process::Pid::from_raw(pid).unwrap();
    wait_until("the whole group has gone", || {
        rustix::process::test_kill_process_group(group).is_err()
    });
    with(&sandbox, "tasks: {t: {run: [sleep, '0.4'], timeout: 1m}}\nhooks: {verified: t}\n");
    sandbox.lsrun(&["verify", "default"]).expect(0);
    with(&sandbox, "tasks: {t: [sh, -c, 'yes | head -c 20000000']}\nhooks: {verified: t}\n");
    let run = sandbox.lsrun(&["verify", "default"]);
    assert!(run.stderr.len() < 3_000_000, "{}", run.stderr.len());
    with(&sandbox, "tasks: {t: [no-such-program-here]}\nhooks: {verified: t}\n");
    sandbox.lsrun(&["verify", "default"]).expect(11).says(&[
        "the task t cannot be run: no-such-program-here",
        "correct its command line in lsrun.yml",
    ]);
    with(&sandbox, "tasks: {t: [sh, -c, 'true | cat']}\nhooks: {verified: t}\n");
    sandbox.lsrun(&["verify", "default"]).expect(0);
}

#[test]
fn tasks_around_a_replication_are_run() {
    let sandbox = Sandbox::new();
    with(&sandbox, &format!("{NOTES}hooks: {{pre-replicate: note, replicated: note}}\n"));
    replicate::lsrun(&sandbox, &["replicate", "--", "sh", "-c", "echo app >> events"]).expect(0);
    assert_eq!(events(&sandbox), ["pre-replicate", "app", "replicated"]);
    let env = std::fs::read_to_string(sandbox.path("env")).unwrap();
    assert!(
        env.contains("LSRUN_REASON=application") && env.contains("LSRUN_DATABASES=default"),
        "{env}"
    );
}

#[test]
fn a_plugin_runs_the_tasks_that_it_is_granted_and_no_others() {
    let sandbox = Sandbox::new();
    let tasks =
        "tasks: {greet: [sh, -c, 'cat; echo \" $LSRUN_FROM $0\"', me], other: [touch, other]}\n";
    let manifest = "permissions: [\"task=*\"]\n";
    let puppet = |deed: &str| {
        Puppet::new("runs", &[deed]).manifest(manifest).with("grant", json!(["task=greet"]))
    };
    sandbox.puppets(tasks, &[puppet("task greet hello")]);
    sandbox
        .lsrun(&["verify", "default"])
        .expect(0)
        .says(&["task: hello puppet me", "ended with 0"]);
    sandbox.puppets(tasks, &[puppet("tasks")]);
    sandbox.lsrun(&["verify", "default"]).expect(0).says(&["tasks: greet\n"]);
    sandbox.puppets(tasks, &[puppet("task other x")]);
    sandbox.lsrun(&["verify", "default"]).expect(31).says(&[
        "plugin runs may not task=other",
        "plugins: {settings: {runs: {grant: [\"task=other\"]}}}",
    ]);
    assert!(!sandbox.path("other").exists());
    // It cannot make another program of it.
    for name in ["PATH", "LD_PRELOAD", "LSRUN_", "LSRUN_x", "LSRUN_A=B"] {
        sandbox.puppets(tasks, &[puppet(&format!("task-variable {name} x"))]);
        sandbox.lsrun(&["verify", "default"]).expect(11).says(&["may not set the variable"]);
    }
    let farewell = || puppet("task farewell x").with("grant", json!(["task=*"]));
    sandbox.puppets("tasks: {greet: [cat]}\n", &[farewell()]);
    sandbox
        .lsrun(&["verify", "default"])
        .expect_one_of(&[11, 20])
        .says(&["name its command line under tasks in lsrun.yml"]);
    sandbox.puppets("tasks: {farewell: [cat]}\n", &[farewell()]);
    sandbox.lsrun(&["verify", "default"]).expect(0);
    sandbox.puppets(
        "tasks: {greet: [cat]}\n",
        &[puppet("task greets x").with("grant", json!(["task=*"]))],
    );
    sandbox
        .lsrun(&["verify", "default"])
        .expect_one_of(&[11, 20])
        .says(&["lsrun.yml has no task", "did you mean greet?"]);
}

/// Starts `lsrun restore -force default`, interrupts it when the file `in` appears, and
/// waits for its end.
fn interrupted(sandbox: &Sandbox) -> i32 {
    let mut command = sandbox.command(&["restore", "-force", "default"]);
    let log = std::fs::File::create(sandbox.path("log")).unwrap();
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    wait_until("it has begun", || sandbox.path("in").exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    child.wait().unwrap().code().unwrap()
}

#[test]
fn what_was_stopped_is_started_when_the_restore_is_interrupted() {
    let sandbox = backed_up();
    let tasks = "tasks:
  stop: [sh, -c, 'echo stop >> events']
  start: [sh, -c, 'echo start >> events']
hooks: {pre-restore: stop, not-restored: start}
";
    let endless =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    sandbox.puppets(tasks, &[Puppet::new("slow", &[&format!("query-all 1 {endless}")])]);
    // The check runs when the copy is there.
    let watch = std::thread::scope(|scope| {
        let begun = scope.spawn(|| {
            let log = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
            wait_until("the copy is checked", || log().contains("checking the copy"));
            sandbox.write("in", "");
        });
        let code = interrupted(&sandbox);
        begun.join().unwrap();
        code
    });
    assert_eq!(watch, 130);
    assert_eq!(events(&sandbox), ["stop", "start"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn what_follows_a_restore_runs_to_its_end_when_the_run_is_interrupted() {
    let sandbox = backed_up();
    with(
        &sandbox,
        "tasks:
  slow: [sh, -c, 'touch in; sleep 1; echo slow >> events']
  start: [sh, -c, 'echo start >> events']
hooks: {restored: [slow, start]}
",
    );
    let code = interrupted(&sandbox);
    let log = std::fs::read_to_string(sandbox.path("log")).unwrap();
    assert_eq!(events(&sandbox), ["slow", "start"], "{code}: {log}");
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
}
