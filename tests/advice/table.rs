//! Tables of advice: `*.yml` beside this file. A case is what a user has, what lsrun
//! says about it, and one or more ways to follow the hint, each of which has to work.
//!
//! ```yaml
//! name-of-the-case:
//!   project: …         # lsrun.yml; without it the one of every test
//!   files: {name: …}   # more files
//!   shell: …           # done in the folder before
//!   env: {NAME: …}     # null takes a variable away
//!   first: [verify]    # what lsrun has done before, with success
//!   then_shell: …      # and what was done in the folder after that
//!   run: verify        # lsrun's arguments
//!   code: 11           # its exit code
//!   says: [words of the error]
//!   hint: the advice, as it is printed
//!   mended:            # the same keys; what is left out is as above
//!   - {project: …, says: […]}
//! ```
//!
//! In a mended way `code` is 0 unless it is given, and `holds` names SQL that has to give
//! a true value in a database. `@root@` is the folder of the case, `@litestream@` the
//! real litestream, `@repository@` this repository, whose components a case may use.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use crate::support::{Run, Sandbox, litestream, repository};

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    project: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    shell: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    first: Vec<String>,
    then_shell: Option<String>,
    run: Option<String>,
    code: Option<i32>,
    #[serde(default)]
    says: Vec<String>,
    /// The advice is in the message, without the word.
    #[serde(default)]
    in_message: bool,
    /// A database, and SQL.
    #[serde(default)]
    holds: BTreeMap<String, String>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Case {
    pub(super) hint: String,
    #[serde(flatten)]
    before: BTreeMap<String, serde_yaml::Value>,
}

impl Case {
    /// Whether clap gives the advice, and not lsrun.
    pub(super) fn is_of_clap(&self) -> bool {
        self.hint.starts_with("a similar argument exists")
    }

    /// What it begins with, and the ways out.
    fn states(&self) -> (State, Vec<State>) {
        let mut keys = self.before.clone();
        let mended = keys.remove("mended").expect("a case has a `mended`");
        let value = serde_yaml::to_value(keys).unwrap();
        (serde_yaml::from_value(value).unwrap(), serde_yaml::from_value(mended).unwrap())
    }
}

/// The tables, without the ending.
pub(super) const TABLES: [&str; 5] = ["project", "arguments", "plugins", "binary", "databases"];

/// The cases of a table by their names.
pub(super) fn cases(table: &str) -> BTreeMap<String, Case> {
    let path = repository().join(format!("tests/advice/{table}.yml"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs every case, and says of all that fail how.
fn carry_out(table: &str) {
    let mut failed = Vec::new();
    for (name, case) in cases(table) {
        if let Err(why) = std::panic::catch_unwind(AssertUnwindSafe(|| one(&case))) {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            failed.push(format!("== {table}.yml/{name}\n{why}"));
        }
    }
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}

fn one(case: &Case) {
    let sandbox = Sandbox::new();
    let (before, ways) = case.states();
    let run = step(&sandbox, &State::default(), &before);
    let run = run.expect(before.code.expect("a case has a `code`"));
    let run = said(run, &sandbox, &before.says);
    let before_it = if before.in_message { "" } else { "hint: " };
    said(run, &sandbox, &[format!("{before_it}{}", case.hint)]);
    assert!(!ways.is_empty(), "no way leads out");
    for way in &ways {
        let run = step(&sandbox, &before, way).expect(way.code.unwrap_or(0));
        said(run, &sandbox, &way.says);
        for (database, sql) in &way.holds {
            assert_ne!(sandbox.integer(database, sql), 0, "{database}: {sql}");
        }
    }
}

/// Makes the state of `now`, which is that of `before` where it says nothing, and runs it.
fn step(sandbox: &Sandbox, before: &State, now: &State) -> Run {
    let fill = |text: &str| filled(sandbox, text);
    if let Some(project) = &now.project {
        sandbox.write("lsrun.yml", &fill(project));
    }
    for (name, content) in &now.files {
        sandbox.write(name, &fill(content));
    }
    shell(sandbox, now.shell.as_deref());
    let mut variables = before.env.clone();
    variables.extend(now.env.clone());
    for line in &now.first {
        lsrun(sandbox, line, &variables).expect(0);
    }
    shell(sandbox, now.then_shell.as_deref());
    let line = now.run.as_ref().or(before.run.as_ref()).expect("a case has a `run`");
    lsrun(sandbox, line, &variables)
}

#[track_caller]
fn shell(sandbox: &Sandbox, script: Option<&str>) {
    let Some(script) = script else { return };
    let mut shell = std::process::Command::new("sh");
    shell.args(["-euc", &filled(sandbox, script)]).current_dir(sandbox.path(""));
    let done = Run::from(shell.output().unwrap());
    assert_eq!(done.code, 0, "{script}: {done:?}");
}

fn lsrun(sandbox: &Sandbox, line: &str, variables: &BTreeMap<String, Option<String>>) -> Run {
    let words = shell_words::split(&filled(sandbox, line)).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = sandbox.command(&words);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, filled(sandbox, value)),
            None => command.env_remove(name),
        };
    }
    command.output().unwrap().into()
}

fn filled(sandbox: &Sandbox, text: &str) -> String {
    text.replace("@root@", sandbox.path("").to_str().unwrap().trim_end_matches('/'))
        .replace("@litestream@", litestream().to_str().unwrap())
        .replace("@repository@", repository().to_str().unwrap())
}

/// The words are said, whatever the breaks between them.
#[track_caller]
fn said(run: Run, sandbox: &Sandbox, words: &[String]) -> Run {
    let even = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let all = even(&format!("{} {}", run.stdout, run.stderr));
    for word in words {
        let word = even(&filled(sandbox, word));
        assert!(all.contains(&word), "{word:?} is not said:\n{}\n{}", run.stdout, run.stderr);
    }
    run
}

#[test]
fn of_the_project_file() {
    carry_out("project");
}

#[test]
fn of_arguments() {
    carry_out("arguments");
}

#[test]
fn of_plugins() {
    carry_out("plugins");
}

#[test]
fn of_the_litestream_binary() {
    carry_out("binary");
}

#[test]
fn of_databases_and_backups() {
    carry_out("databases");
}
