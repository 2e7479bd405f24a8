//! A guest that does what its settings say, for the tests: `config: {script: [...]}`,
//! one deed a line, in order, such as `check content passed all is well`. It is a
//! check, a command and a pre-restore hook, and has no manifest: a test puts one
//! beside it.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::check!(check);
lsrun_plugin::command!(command);
lsrun_plugin::pre_restore!(pre_restore);

/// What the deeds are done to.
#[derive(Clone, Copy)]
enum To<'a> {
    Copy(&'a RestoredCopy),
    Database(&'a Database),
    Nothing,
}

fn check(_database: Option<&Database>, copy: &RestoredCopy) -> Result<(), Error> {
    run(To::Copy(copy))
}

fn command(invocation: &Invocation) -> Result<(), Error> {
    match invocation.databases().first() {
        Some(database) => run(To::Database(database)),
        None => run(To::Nothing),
    }
}

fn pre_restore(_plan: &RestorePlan) -> Result<(), Error> {
    run(To::Nothing)
}

fn run(to: To<'_>) -> Result<(), Error> {
    let settings: JsonValue = settings::get().parse().unwrap_or(JsonValue::Null);
    let JsonValue::Object(mut settings) = settings else { return Ok(()) };
    let Some(JsonValue::Array(script)) = settings.remove("script") else { return Ok(()) };
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
        "progress" => report::progress(rest),
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
        "cancelled" => while !report::cancelled() {},
        _ => return Err(error("invalid", format!("no such deed: {deed}"))),
    }
    Ok(())
}

fn connection(to: To<'_>) -> Result<sqlite::Connection, Error> {
    match to {
        To::Copy(copy) => sqlite::open_copy(copy),
        To::Database(database) => sqlite::open(database),
        To::Nothing => Err(error("invalid", "there is nothing to open")),
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

/// Not a loop, whatever the compiler thinks of it.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 { 0 } else { recurse(depth + 1) + depth }
}
