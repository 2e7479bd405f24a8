//! An example of a command: a restore drill. It restores the newest backup of each
//! database, times it, and asks the copy what is on the command line:
//!
//! ```text
//! lsrun drill --within 10m --sql 'SELECT count(*) > 0 FROM users' --junit drill.xml
//! ```
//!
//! It records, so its results are kept and delivered like those of `lsrun verify`. What
//! it needs in `lsrun.yml`:
//!
//! ```yaml
//! plugins:
//!   settings:
//!     drill: {grant: ["litestream:restore=*"]}
//! ```

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::Value;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let one = |name: &str| invocation.argument(name).into_iter().next();
    let request = match (invocation.databases().first(), one("url")) {
        (Some(database), _) => RestoreRequest::new(database),
        (None, Some(url)) => RestoreRequest::from_url(&url)?,
        (None, None) => return Err(error("invalid", "no database was given")),
    };
    report::progress("restoring", None);
    let restored = Check::new("restored");
    let copy = match request.start()?.wait() {
        Ok(copy) => copy,
        // What cannot be restored is what a drill is for; anything else says nothing.
        Err(why) if ["litestream", "not-found"].contains(&why.code.as_str()) => {
            restored.set_hint("see lsrun verify");
            restored.failed(&words::reasons(&why));
            return Ok(());
        }
        Err(why) => {
            restored.ended(&why);
            return Ok(());
        }
    };
    let took = words::duration(copy.duration_ms());
    restored.passed(&format!("{} in {took}", words::bytes(copy.bytes())));
    if let Some(limit) = one("within").and_then(|limit| limit.parse::<u64>().ok()) {
        in_time(&copy, limit);
    }
    for (number, sql) in (1..).zip(invocation.argument("sql")) {
        ask(&copy, number, &sql);
    }
    Ok(())
}

fn in_time(copy: &RestoredCopy, limit: u64) {
    let check = Check::new("within");
    check.set_kind("limit");
    match copy.duration_ms() <= limit {
        true => check.passed(""),
        false => check.failed(&format!("longer than {}", words::duration(limit))),
    }
}

fn ask(copy: &RestoredCopy, number: u32, sql: &str) {
    let check = Check::new(&format!("sql-{number}"));
    check.set_kind("data");
    let answer = sqlite::open_copy(copy)
        .and_then(|connection| connection.value(&format!("SELECT ({sql}) IS TRUE"), &[]));
    match answer {
        Ok(Some(Value::Integer(1))) => check.passed(sql),
        Ok(_) => check.failed(&format!("not true: {sql}")),
        Err(error) => check.ended(&error),
    }
}
