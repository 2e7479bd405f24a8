//! Runs the tasks that `hooks:` in lsrun.yml names for an event: hooks for those who have a
//! command line and no component. What happened is in variables that begin with `LSRUN_`,
//! and as JSON on the task's standard input.

mod facts;

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::tasks::TaskRequest;
use lsrun_plugin::host::types::Process;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;
use tinyjson::JsonValue;

use facts::Facts;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::pre_restore!(pre_restore);
lsrun_plugin::restored!(restored);
lsrun_plugin::not_restored!(not_restored);
lsrun_plugin::pre_verify!(pre_verify);
lsrun_plugin::verified!(verified);
lsrun_plugin::pre_replicate!(pre_replicate);
lsrun_plugin::replicated!(replicated);

/// How many lines of a task are taken at once.
const LINES: u32 = 100;

fn pre_restore(plan: &RestorePlan) -> Result<(), Error> {
    first(&Facts::of_restore("pre-restore", plan))
}

fn restored(plan: &RestorePlan, replaced: &Replaced) -> Result<(), Error> {
    let mut facts = Facts::of_restore("restored", plan);
    facts.add("target", replaced.path());
    facts.add_some("kept", replaced.kept());
    facts.add_some("txid", replaced.txid());
    afterwards(&facts)
}

fn not_restored(plan: &RestorePlan, reason: &Error) -> Result<(), Error> {
    let mut facts = Facts::of_restore("not-restored", plan);
    facts.add("error", words::reasons(reason));
    facts.add("error-code", reason.code.clone());
    afterwards(&facts)
}

fn pre_verify(plan: &VerifyPlan) -> Result<(), Error> {
    let mut facts = Facts::new("pre-verify");
    facts.add("command", plan.command());
    facts.add_database(plan.database());
    facts.add("source", plan.source());
    first(&facts)
}

fn verified(verification: &Verification) -> Result<(), Error> {
    afterwards(&Facts::of_verification(verification))
}

fn pre_replicate(plan: &ReplicatePlan) -> Result<(), Error> {
    let mut facts = Facts::new("pre-replicate");
    facts.add_databases(&plan.databases());
    facts.add_some("application", plan.application());
    first(&facts)
}

fn replicated(replication: &Replication) -> Result<(), Error> {
    let mut facts = Facts::new("replicated");
    facts.add_databases(&replication.databases());
    facts.add_some("application", replication.application());
    facts.add("reason", replication.reason());
    facts.add("exit-code", replication.exit_code().to_string());
    facts.add_some("error", replication.error().as_ref().map(words::reasons));
    afterwards(&facts)
}

/// A task of the event, as `settings.get` describes it.
struct Task {
    name: String,
    optional: bool,
}

/// Runs the tasks one after the other; the first that fails ends it.
fn first(facts: &Facts) -> Result<(), Error> {
    tasks(facts).iter().try_for_each(|task| run(task, facts))
}

/// Runs all of them, and gives the first failure.
fn afterwards(facts: &Facts) -> Result<(), Error> {
    tasks(facts).iter().fold(Ok(()), |so_far, task| so_far.and(run(task, facts)))
}

/// Those of the event that are for this database and this outcome.
fn tasks(facts: &Facts) -> Vec<Task> {
    let Ok(JsonValue::Object(mut events)) = settings::get().parse() else { return Vec::new() };
    let Some(JsonValue::Array(all)) = events.remove(facts.event()) else { return Vec::new() };
    all.iter().filter_map(|task| chosen(task, facts)).collect()
}

fn chosen(task: &JsonValue, facts: &Facts) -> Option<Task> {
    let JsonValue::Object(task) = task else { return None };
    let texts = |key: &str| match task.get(key) {
        Some(JsonValue::Array(texts)) => Some(texts.iter().filter_map(JsonValue::get::<String>)),
        _ => None,
    };
    let when = texts("when").map(|all| all.cloned().collect::<Vec<_>>()).unwrap_or_default();
    if !when.is_empty() && !facts.get("outcome").is_some_and(|it| when.iter().any(|one| one == it))
    {
        return None;
    }
    if let Some(mut names) = texts("databases")
        && !names.any(|name| facts.names().any(|it| it == name))
    {
        return None;
    }
    let name = task.get("name")?.get::<String>()?.clone();
    let optional = task.get("optional").and_then(JsonValue::get::<bool>) == Some(&true);
    Some(Task { name, optional })
}

/// Runs a task to its end, shows what it writes, and reports how it ended.
fn run(task: &Task, facts: &Facts) -> Result<(), Error> {
    let name = &task.name;
    let check = Check::new(&format!("task:{name}"));
    let ended = started(name, facts).and_then(|process| {
        let code = lines(name, &process)?;
        Ok((code, words::duration(process.elapsed_ms())))
    });
    let error = match ended {
        Ok((0, time)) => {
            check.passed("");
            report::log("info", &format!("{name} ended after {time}"));
            return Ok(());
        }
        Ok((-1, time)) => {
            error("inconclusive", format!("the task {name} was ended by a signal after {time}"))
        }
        Ok((code, time)) => {
            error("inconclusive", format!("the task {name} ended with code {code} after {time}"))
        }
        Err(mut error) => {
            error.causes.insert(0, error.message.clone());
            error.message = format!("the task {name} failed");
            error
        }
    };
    if task.optional {
        check.skipped(&format!("optional: {}", words::reasons(&error)));
        report::log("warning", &words::reasons(&error));
        return Ok(());
    }
    check.ended(&error);
    Err(error)
}

fn started(name: &str, facts: &Facts) -> Result<Process, Error> {
    let request = TaskRequest::new(name);
    for (name, value) in facts.variables() {
        request.set_variable(&name, &value)?;
    }
    request.set_input(facts.json().as_bytes())?;
    request.start()
}

/// Shows its lines, and gives the code that it ends with.
fn lines(name: &str, process: &Process) -> Result<i32, Error> {
    loop {
        let lines = process.next_lines(LINES)?;
        if lines.is_empty() {
            return process.wait();
        }
        for line in lines {
            report::log("info", &format!("{name}: {}", line.text));
        }
    }
}
