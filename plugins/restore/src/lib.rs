//! `lsrun restore`: restores a backup beside its target, checks it there, and only
//! then lets the host put it in place. Litestream's `-force` is never used.

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::Value;
use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let databases = invocation.databases();
    let database = databases.first();
    if invocation.flag("follow") {
        return follow(invocation, database);
    }
    if invocation.flag("undo") {
        return undo(database);
    }
    let request = request(invocation, database)?;
    if invocation.flag("if-db-not-exists") && request.target_exists() {
        report::skipped("the database exists already");
        return Ok(());
    }
    report::progress("asking what the backup holds");
    let plan = match request.plan() {
        Ok(plan) => plan,
        Err(error) if error.code == "not-found" && invocation.flag("if-replica-exists") => {
            report::skipped("there is no backup");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if invocation.flag("dry-run") {
        return show(invocation, &plan);
    }
    if request.target_exists() && !invocation.flag("force") {
        let mut error = error("exists", format!("{} exists already", target(&plan)));
        error.hint = Some(
            "restore to another file with -o, or replace it with -force (the old one is kept)"
                .into(),
        );
        return Err(error);
    }
    hooks::pre_restore(&plan)?;
    report::progress("restoring");
    let copy = request.start()?.wait()?;
    report::progress("checking the copy");
    integrity(&copy, one(invocation, "integrity-check").as_deref().unwrap_or("full"))?;
    if let Some(database) = database
        && hooks::check(database, &copy)? != "passed"
    {
        return Err(failed("a check did not agree: nothing was replaced"));
    }
    hooks::post_restore(&plan, &copy)?;
    let (txid, duration) = (copy.txid(), copy.duration_ms());
    let replaced = litestream::replace(copy, invocation.flag("force"))?;
    say(&replaced);
    if invocation.flag("json") {
        let line = format!(
            "{{\"db_path\":{},\"replica\":{},\"txid\":{},\"duration_ms\":{duration}}}\n",
            json(&replaced.path()),
            json(&plan.source()),
            json(&txid.unwrap_or_default()),
        );
        report::data(line.as_bytes());
    }
    Ok(())
}

fn request(invocation: &Invocation, database: Option<&Database>) -> Result<RestoreRequest, Error> {
    let (request, own) = match (database, one(invocation, "url")) {
        (Some(database), _) => (RestoreRequest::new(database), Some(database.path())),
        (None, Some(url)) => (RestoreRequest::from_url(&url)?, None),
        (None, None) => return Err(error("invalid", "no database was given")),
    };
    let output = one(invocation, "output").map(|output| match database {
        Some(database) if output.ends_with('/') => format!("{output}{}", file_name(database)),
        _ => output,
    });
    let Some(target) = output.or(own) else {
        let mut error = error("invalid", "a restore from a replica URL needs -o");
        error.hint = Some("lsrun restore -o copy.sqlite3 URL".into());
        return Err(error);
    };
    request.set_target(&target)?;
    if let Some(txid) = one(invocation, "txid") {
        request.set_txid(&txid)?;
    }
    if let Some(timestamp) = one(invocation, "timestamp") {
        request.set_timestamp(&timestamp)?;
    }
    if invocation.flag("even-if-in-use") {
        request.set_even_if_in_use();
    }
    if let Some(files) = one(invocation, "parallelism") {
        let files = files.parse().map_err(|_| error("invalid", "-parallelism takes a number"))?;
        request.set_parallelism(files);
    }
    Ok(request)
}

/// The alias, of which there is one, with the ending that the database has.
fn file_name(database: &Database) -> String {
    let (name, path) = (database.name(), database.path());
    let file = path.rsplit('/').next().unwrap_or_default();
    if name == path {
        return file.to_owned();
    }
    let ending = file.rsplit_once('.').map(|(_, ending)| format!(".{ending}"));
    format!("{}{}", name.replace('/', "-"), ending.unwrap_or_default())
}

/// Brings back what the last restore replaced.
fn undo(database: Option<&Database>) -> Result<(), Error> {
    let Some(database) = database else {
        return Err(error("invalid", "--undo takes a database, not a replica URL"));
    };
    say(&litestream::undo(database)?);
    Ok(())
}

fn say(replaced: &litestream::Replaced) {
    if let Some(kept) = replaced.kept() {
        report::log("info", &format!("the old database is kept as {kept}"));
        report::fact("kept", &json(&kept));
    }
    report::fact("target", &json(&replaced.path()));
}

/// A database that is damaged is not put in place.
fn integrity(copy: &RestoredCopy, level: &str) -> Result<(), Error> {
    let sql = match level {
        "none" => return Ok(()),
        "quick" => "PRAGMA quick_check(1)",
        _ => "PRAGMA integrity_check(1)",
    };
    let check = Check::new("integrity_check");
    match sqlite::open_copy(copy).and_then(|connection| connection.value(sql, &[])) {
        Ok(Some(Value::Text(word))) if word == "ok" => {
            check.passed("");
            Ok(())
        }
        Ok(found) => {
            let problem = match found {
                Some(Value::Text(problem)) => problem,
                _ => "it could not be checked".into(),
            };
            check.failed(&problem);
            Err(failed("the backup is damaged: nothing was replaced"))
        }
        Err(error) => {
            check.failed(&error.message);
            Err(Error { code: "failed".into(), ..error })
        }
    }
}

fn show(invocation: &Invocation, plan: &RestorePlan) -> Result<(), Error> {
    let (txid, time) = (plan.txid().unwrap_or_default(), plan.timestamp().unwrap_or_default());
    let text = if invocation.flag("json") {
        format!(
            "{{\"source\":{},\"target_path\":{},\"replaces\":{},\"max_txid\":{},\"timestamp\":{},\"bytes\":{}}}\n",
            json(&plan.source()),
            json(&target(plan)),
            plan.replaces(),
            json(&txid),
            json(&time),
            plan.bytes().map_or("null".into(), |bytes| bytes.to_string()),
        )
    } else {
        let replaces = if plan.replaces() { " (replaces the database there)" } else { "" };
        format!(
            "from    {}\nto      {}{replaces}\nTXID    {txid}\nwritten {time}\nfetches {} bytes\n",
            plan.source(),
            target(plan),
            plan.bytes().unwrap_or_default(),
        )
    };
    report::data(text.as_bytes());
    report::skipped("nothing was written");
    Ok(())
}

/// Follow mode has no end and no copy to check: it is litestream's own.
fn follow(invocation: &Invocation, database: Option<&Database>) -> Result<(), Error> {
    let Some(output) = one(invocation, "output") else {
        return Err(error("invalid", "-f needs -o: it goes on writing to that file"));
    };
    let source = match (database, one(invocation, "url")) {
        (Some(database), _) => format!("$database:{}", database.name()),
        (None, Some(url)) => url,
        (None, None) => return Err(error("invalid", "no database was given")),
    };
    let mut arguments = ["restore", "-f", "-o", &output].map(str::to_owned).to_vec();
    if let Some(interval) = one(invocation, "follow-interval") {
        arguments.extend(["-follow-interval".to_owned(), interval]);
    }
    arguments.push(source);
    let process = litestream::spawn(&arguments)?;
    loop {
        let lines = process.next_lines(100)?;
        if lines.is_empty() {
            break;
        }
        for line in lines {
            report::log("info", &line.text);
        }
    }
    match process.wait()? {
        0 => Ok(()),
        code => Err(error("litestream", format!("litestream ended with code {code}"))),
    }
}

fn one(invocation: &Invocation, name: &str) -> Option<String> {
    invocation.argument(name).into_iter().next()
}

fn target(plan: &RestorePlan) -> String {
    plan.target().unwrap_or_default()
}

/// A string in JSON.
fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
