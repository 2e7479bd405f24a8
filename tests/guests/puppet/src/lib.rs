//! A guest that does what its settings say, for the tests: `config: {script: [...]}`,
//! one deed a line, in order, such as `check content passed all is well`. It is a
//! check, a command and every kind of hook, and has no manifest: a test puts one
//! beside it. The deeds of a hook are those of `config: {HOOK: [...]}`, such as
//! `verified`, if there are any; `config: {script: []}` does nothing.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::check!(check);
lsrun_plugin::command!(command);
lsrun_plugin::pre_restore!(pre_restore);
lsrun_plugin::post_restore!(post_restore);
lsrun_plugin::restored!(restored);
lsrun_plugin::not_restored!(not_restored);
lsrun_plugin::pre_verify!(pre_verify);
lsrun_plugin::verified!(verified);
lsrun_plugin::pre_replicate!(pre_replicate);
lsrun_plugin::replicated!(replicated);

/// What the deeds are done to.
#[derive(Clone, Copy)]
enum To<'a> {
    Copy(&'a RestoredCopy),
    Database(&'a Database),
    Verification(&'a Verification),
    Nothing,
}

fn check(_database: Option<&Database>, copy: &RestoredCopy) -> Result<(), Error> {
    run("script", To::Copy(copy))
}

fn command(invocation: &Invocation) -> Result<(), Error> {
    match invocation.databases().first() {
        Some(database) => run("script", To::Database(database)),
        None => run("script", To::Nothing),
    }
}

fn pre_restore(_plan: &RestorePlan) -> Result<(), Error> {
    run("pre-restore", To::Nothing)
}

fn post_restore(_plan: &RestorePlan, copy: &RestoredCopy) -> Result<(), Error> {
    run("post-restore", To::Copy(copy))
}

fn restored(_plan: &RestorePlan, replaced: &Replaced) -> Result<(), Error> {
    log("restored", &replaced.path());
    run("restored", To::Nothing)
}

fn not_restored(_plan: &RestorePlan, reason: &Error) -> Result<(), Error> {
    log("not-restored", &format!("{}: {}", reason.code, reason.message));
    run("not-restored", To::Nothing)
}

fn pre_verify(plan: &VerifyPlan) -> Result<(), Error> {
    let name = plan.database().map(|database| database.name()).unwrap_or_default();
    log("pre-verify", &format!("{} {name}", plan.command()));
    run("pre-verify", To::Nothing)
}

fn verified(verification: &Verification) -> Result<(), Error> {
    run("verified", To::Verification(verification))
}

fn pre_replicate(plan: &ReplicatePlan) -> Result<(), Error> {
    let names: Vec<String> = plan.databases().iter().map(Database::name).collect();
    let application = plan.application().unwrap_or_default();
    log("pre-replicate", &format!("{} {application}", names.join(",")));
    run("pre-replicate", To::Nothing)
}

fn replicated(replication: &Replication) -> Result<(), Error> {
    let (reason, code) = (replication.reason(), replication.exit_code());
    log("replicated", &format!("{reason} {code}"));
    run("replicated", To::Nothing)
}

/// What a hook was called with, if its own script is there.
fn log(hook: &str, text: &str) {
    if settings::at(&format!("/{hook}")).is_some() {
        report::log("info", &format!("{hook}: {text}"));
    }
}

fn run(script: &str, to: To<'_>) -> Result<(), Error> {
    let settings: JsonValue = settings::get().parse().unwrap_or(JsonValue::Null);
    let JsonValue::Object(mut settings) = settings else { return Ok(()) };
    let Some(JsonValue::Array(script)) = settings.remove(script) else { return Ok(()) };
    let mut held = Vec::new();
    for deed in script {
        if let JsonValue::String(deed) = deed {
            act(&deed, to, &mut held)?;
        }
    }
    Ok(())
}

/// What is held to the end of the call.
type Held = Vec<Box<dyn std::any::Any>>;

fn act(deed: &str, to: To<'_>, held: &mut Held) -> Result<(), Error> {
    let (verb, rest) = deed.split_once(' ').unwrap_or((deed, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    let number: usize = first.parse().unwrap_or_default();
    match verb {
        "check" => {
            let (outcome, message) = more.split_once(' ').unwrap_or((more, ""));
            end(&Check::new(first), outcome, message);
        }
        "checks" => (0..number).for_each(|_| end(&Check::new("one of many"), more, "")),
        "hold" => held.push(Box::new(Check::new(first))),
        "fact" => report::fact(first, more),
        "facts" => (0..number).for_each(|it| report::fact(&format!("{more}{it}"), "1")),
        "large-fact" => report::fact("large", &"x".repeat(number)),
        "data" => report::data(rest.as_bytes()),
        "skipped" => report::skipped(rest),
        "log" => report::log(first, more),
        "logs" => (0..number).for_each(|_| report::log("info", more)),
        "progress" => report::progress(rest, None),
        "metric" => report::metric(first, more.parse().unwrap_or(f64::NAN))?,
        "verification" => {
            if let To::Verification(verification) = to {
                tell(verification);
            }
        }
        "history" => {
            let database = databases::resolve(first)?;
            for past in history::results(&database, 10)? {
                let (outcome, not_passed) = (past.outcome(), past.not_passed().join(","));
                report::log("info", &format!("past: {} {outcome} {not_passed}", past.command()));
            }
        }
        "task" => {
            let request = tasks::TaskRequest::new(first);
            request.set_variable("LSRUN_FROM", "puppet")?;
            request.set_input(more.as_bytes())?;
            let process = request.start()?;
            loop {
                let lines = process.next_lines(10)?;
                if lines.is_empty() {
                    break;
                }
                lines.iter().for_each(|line| report::log("info", &format!("task: {}", line.text)));
            }
            report::log("info", &format!("task: ended with {}", process.wait()?));
        }
        "task-variable" => tasks::TaskRequest::new("any").set_variable(first, more)?,
        "tasks" => report::log("info", &format!("tasks: {}", tasks::names().join(","))),
        "query-all" => {
            let rows = connection(to)?.query_all(more, &[], number as u32)?;
            end(&Check::new("query-all"), "passed", &rows.len().to_string());
        }
        "error" => return Err(error(first, more)),
        "panic" => panic!("{rest}"),
        "trap" => core::arch::wasm32::unreachable(),
        "loop" => loop {
            std::hint::black_box(0);
        },
        "grow" => loop {
            held.push(Box::new(vec![1_u8; 1 << 20]));
        },
        "recurse" => drop(recurse(1)),
        "sql" => drop(connection(to)?.rows(rest, &[])?),
        // Rows whose connection was dropped: all of them, or this many times.
        "orphan" => {
            let rows = connection(to)?.query(rest, &[])?;
            let mut count = 0;
            loop {
                match rows.next(100)?.len() {
                    0 => break,
                    some => count += some,
                }
            }
            end(&Check::new("orphan"), "passed", &count.to_string());
        }
        "json" => {
            let text = connection(to)?.query(rest, &[])?.next_json(100)?;
            end(&Check::new("json"), "passed", &text);
        }
        "orphans" => {
            for _ in 0..number {
                held.push(Box::new(connection(to)?.query(more, &[])?));
            }
        }
        "connections" => {
            for _ in 0..number {
                held.push(Box::new(connection(to)?));
            }
        }
        "resolve" => {
            for _ in 0..number.max(1) {
                held.push(Box::new(databases::resolve(more)?));
            }
        }
        "http" => {
            let (url, body) = more.split_once(' ').unwrap_or((more, ""));
            let request = http::Request::new(first, url);
            request.set_header("X-Mine", "yes")?;
            request.set_body(body.as_bytes())?;
            let answer = request.send()?;
            let text = String::from_utf8_lossy(&answer.body()).into_owned();
            let location = answer.header("LOCATION").join(" ");
            let said = format!("{} {} {}", answer.status(), location, text);
            end(&Check::new("http"), "passed", said.trim());
        }
        // Requests that are never sent, each with this much content.
        "requests" => {
            let size = more.parse().unwrap_or(0);
            for _ in 0..number {
                let request = http::Request::new("GET", "http://a.example/");
                request.set_body(&vec![1; size])?;
                held.push(Box::new(request));
            }
        }
        // A hook that fires hooks.
        "fire" => {
            let To::Copy(copy) = to else { return Ok(()) };
            let outcome = hooks::check(None, copy, None)?.wait()?;
            end(&Check::new("fire"), "passed", &outcome);
        }
        "setting" => {
            let value = settings::at(first).unwrap_or_else(|| "none".to_owned());
            end(&Check::new("setting"), "passed", &value);
        }
        "settings" => end(&Check::new("settings"), "passed", &settings::get()),
        // What may not be set, and what is too large.
        "http-odd" => {
            let request = http::Request::new("GET", rest);
            for name in
                ["host", "Content-Length", "transfer-encoding", "CONNECTION", "proxy-x", "a b"]
            {
                match request.set_header(name, "x") {
                    Err(why) if why.code == "invalid" => {}
                    _ => return Err(error("failed", format!("{name} was set"))),
                }
            }
            if request.set_header("x", "a\r\nhost: b").is_ok() {
                return Err(failed("a line was set"));
            }
            for large in
                [request.set_header("x", &"y".repeat(1 << 17)), request.set_body(&vec![0; 2 << 20])]
            {
                match large {
                    Err(why) if why.code == "limit" => {}
                    _ => return Err(failed("there is no limit")),
                }
            }
            let why = http::Request::new("BAD METHOD", rest).send().err();
            if why.is_none_or(|why| why.code != "invalid") {
                return Err(failed("any method will do"));
            }
            end(&Check::new("http-odd"), "passed", "");
        }
        "cancelled" => while !report::cancelled() {},
        _ => return Err(error("invalid", format!("no such deed: {deed}"))),
    }
    Ok(())
}

fn connection(to: To<'_>) -> Result<sqlite::Connection, Error> {
    match to {
        To::Copy(copy) => sqlite::open_copy(copy),
        To::Database(database) => sqlite::open(database),
        To::Verification(_) | To::Nothing => Err(error("invalid", "there is nothing to open")),
    }
}

fn end(check: &Check, outcome: &str, message: &str) {
    match outcome {
        "passed" => check.passed(message),
        "failed" => check.failed(message),
        "inconclusive" => check.inconclusive(message),
        "skipped" => check.skipped(message),
        // A second outcome is not heard.
        "failed-then-passed" => {
            check.failed(message);
            check.passed(message);
        }
        _ => {}
    }
}

/// Everything that a verification says, a line each.
fn tell(verification: &Verification) {
    let line = |text: String| report::log("info", &format!("verification: {text}"));
    line(format!("{} {}", verification.command(), verification.outcome()));
    line(format!("exit {}", verification.exit_code()));
    if let Some(database) = verification.database() {
        line(format!("database {}", database.name()));
    }
    if let Some(error) = verification.error() {
        line(format!("error {}: {}", error.code, error.message));
    }
    let known = [verification.txid().is_some(), verification.restore_ms().is_some()];
    line(format!("measured {known:?}"));
    line(format!("proved {}", verification.last_proved().is_some()));
    line(format!("from nothing {}", verification.last_proved_whole().is_some()));
    for check in verification.checks() {
        line(format!("check {} {} {}", check.id(), check.outcome(), check.plugin()));
    }
    let json = verification.json();
    line(format!("json {}", json.starts_with("{\"alias\":")));
    line(format!("host {}", !verification.host().is_empty()));
}

/// Not a loop, whatever the compiler thinks of it.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 { 0 } else { recurse(depth + 1) + depth }
}
