//! What lsrun.yml hands to a plugin: with variables, and for single databases.

use crate::support::puppet::Puppet;
use crate::support::{Run, Sandbox, check};

/// A project with two databases and one plugin with these settings.
fn project(settings: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sql("cache.sqlite3", "PRAGMA journal_mode = wal; CREATE TABLE t (x)");
    sandbox.puppets("", &[Puppet::new("reads", &[])]);
    set(&sandbox, settings);
    sandbox
}

fn set(sandbox: &Sandbox, settings: &str) {
    sandbox.write(
        "lsrun.yml",
        &format!(
            "databases: {{default: db.sqlite3, cache: cache.sqlite3}}\nlitestream:\n  dbs:\n  \
             - {{path: default, replica: {{type: file, path: replica}}}}\n  \
             - {{path: cache, replica: {{type: file, path: replica2}}}}\n\
             plugins:\n  settings:\n    reads: {settings}\n"
        ),
    );
}

fn lsrun(sandbox: &Sandbox, words: &[&str], variables: &[(&str, &str)]) -> Run {
    Run::from(sandbox.command(words).envs(variables.iter().copied()).output().unwrap())
}

const VERIFY: [&str; 3] = ["verify", "--format", "json"];

#[track_caller]
fn said(run: &Run, database: usize, id: &str) -> String {
    let report = run.json();
    let one = serde_json::json!({ "databases": [report["databases"][database]] });
    check(&one, id)["message"].as_str().unwrap().to_owned()
}

#[test]
fn variables_are_put_in_wherever_a_text_is() {
    let settings = "{config: {script: [setting /url, setting /list/1, setting /number, setting /dollar], \
                    url: 'https://h/${CHANNEL}?x=${NONE:-y}', list: [a, $PLACE], number: 3, dollar: 'a $ b$'}}";
    let sandbox = project(settings);
    let variables = [("CHANNEL", "canary-of-the-channel"), ("PLACE", "/srv/some/place")];
    let run = lsrun(&sandbox, &VERIFY, &variables).expect(0);
    // The plugin has the value; what it reports of it is hidden.
    assert_eq!(said(&run, 0, "reads/setting"), "https://h/***?x=y");
    assert_eq!(said(&run, 0, "reads/setting (2)"), "/srv/some/place");
    assert_eq!(said(&run, 0, "reads/setting (3)"), "3");
    assert_eq!(said(&run, 0, "reads/setting (4)"), "a $ b$");
    run.says_not("canary-of-the-channel");
}

#[test]
fn a_variable_that_is_not_set_is_named_by_who_needs_it() {
    let settings = "{config: {script: ['check x passed'], deep: [{url: 'https://h/${CHANNEL}'}]}}";
    let sandbox = project(settings);
    let words = ["plugins.settings.reads.config.deep[0].url", "variable CHANNEL, which is not set"];
    lsrun(&sandbox, &["verify"], &[]).expect(20).says(&words);
    assert!(!sandbox.path("replica").exists(), "nothing was done");
    lsrun(&sandbox, &["config", "--check"], &[]).expect(20).says(&words);
    lsrun(&sandbox, &["plugin", "inspect", "reads"], &[]).says(&words);
    // Who does not run it does not need it.
    lsrun(&sandbox, &["config"], &[]).expect(0);
    lsrun(&sandbox, &["verify"], &[("CHANNEL", "set")]).expect(0);
    set(&sandbox, "{config: {script: ['check x passed'], url: '${CHANNEL:-none}'}}");
    lsrun(&sandbox, &["verify"], &[]).expect(0);
    set(&sandbox, "{optional: true, config: {url: '${CHANNEL}'}}");
    lsrun(&sandbox, &["verify"], &[]).expect(0).says(&words[1..]);
}

#[test]
fn a_database_has_settings_of_its_own() {
    let settings = "{config: {script: [setting /min, setting /table/name, setting /note], min: 1, \
                    table: {name: users, other: x}}, \
                    per_database: {cache: {min: 7, table: {name: '$TABLE'}, note: here}, default: }}";
    let sandbox = project(settings);
    let run = lsrun(&sandbox, &VERIFY, &[("TABLE", "t")]).expect(0);
    let all = |database| {
        ["", " (2)", " (3)"].map(|end| said(&run, database, &format!("reads/setting{end}")))
    };
    assert_eq!(all(0), ["1", "users", "none"]);
    assert_eq!(all(1), ["7", "t", "here"]);
    // Keys are replaced as a whole.
    set(
        &sandbox,
        "{config: {script: [setting /table], table: {a: 1}}, per_database: {cache: {table: {b: 2}}}}",
    );
    let run = lsrun(&sandbox, &VERIFY, &[]).expect(0);
    assert_eq!(said(&run, 1, "reads/setting"), r#"{"b":2}"#);
    for (wrong, words) in [
        ("{per_database: {cahce: {a: 1}}}", ["names `cahce`", "did you mean `cache`?"]),
        ("{per_database: {cache: [1]}}", ["per_database.cache", "a mapping"]),
        ("{config: [1], per_database: {cache: {a: 1}}}", ["config", "a mapping, as there is"]),
    ] {
        set(&sandbox, wrong);
        lsrun(&sandbox, &["verify"], &[]).expect(20).says(&words);
    }
}
