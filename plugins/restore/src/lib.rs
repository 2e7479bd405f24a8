//! `lsrun restore`: restores a backup next to its target, checks it there, and only
//! then lets the host put it in place. Litestream's `-force` is never used.

mod lacks;
mod older;
mod plan;
mod skip;

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::host::report::Check;
use lsrun_plugin::integrity::Integrity;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{json, words};

use lacks::Comparison;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let databases = invocation.databases();
    let database = databases.first();
    if invocation.flag("follow") {
        return follow(invocation, database);
    }
    let request = request(invocation, database)?;
    if invocation.flag("undo") {
        return undo(invocation, database, &request);
    }
    if invocation.flag("if-db-not-exists") && request.target_exists() {
        report::skipped("the database exists");
        return Ok(());
    }
    report::progress("listing the backup", None);
    let plan = match request.plan() {
        Ok(plan) => plan,
        Err(error) if error.code == "not-found" && invocation.flag("if-replica-exists") => {
            report::skipped("there is no backup");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if invocation.flag("dry-run") {
        return show(invocation, database, &request, &plan);
    }
    request.check_target(invocation.flag("force"))?;
    let skip = skip::of(invocation, database)?;
    announce(&plan);
    hooks::pre_restore(&plan)?;
    report::progress("restoring", None);
    let restored = request.start()?.wait();
    let copy = restored.map_err(|error| older::suggest(invocation, &request, error))?;
    report::progress(&format!("checking the copy, {}", words::bytes(copy.bytes())), None);
    let comparison = replaced(database, &plan).map(|own| Comparison::start(own, &copy));
    let level = one(invocation, "integrity-check").unwrap_or_else(|| "full".into());
    let level = if skip.has(skip::INTEGRITY) { "none" } else { level.as_str() };
    integrity(&copy, level).map_err(|error| older::suggest(invocation, &request, error))?;
    if let Some(comparison) = comparison {
        let lines = comparison.and_then(Comparison::finish);
        report::log("info", tell(&lines).trim_end());
        if let Ok(lines) = lines {
            report::fact("replaced_differs", &json::list(&lines));
        }
    }
    // A file that replaces nothing harms nothing: what a check says of it is reported.
    // The database's own path counts as a replacement, even when nothing exists there.
    let elsewhere = database.is_none_or(|own| own.path() != target(&plan));
    let apart = elsewhere && !request.target_exists();
    if !skip.checks(database, &copy)? && !apart {
        let mut error = failed("a check failed: nothing was replaced");
        error.hint =
            Some("restore to another file with -o, or leave the check out with --skip ID".into());
        return Err(error);
    }
    hooks::post_restore(&plan, &copy)?;
    let duration = copy.duration_ms();
    report::progress("putting the copy in place", None);
    let replaced = litestream::replace(copy, invocation.flag("force"))?;
    done(invocation, &plan, &replaced, duration)
}

/// Reports what was done.
fn done(
    invocation: &Invocation,
    plan: &RestorePlan,
    replaced: &Replaced,
    duration: u64,
) -> Result<(), Error> {
    if let Some(kept) = replaced.kept() {
        report::log("info", &format!("the old database is kept as {kept}"));
        report::fact("kept", &json::string(&kept));
    }
    report::fact("target", &json::string(&replaced.path()));
    if invocation.flag("json") {
        let line = format!(
            "{{\"db_path\":{},\"replica\":{},\"txid\":{},\"duration_ms\":{duration}}}\n",
            json::string(&replaced.path()),
            json::string(&plan.source()),
            json::string(&replaced.txid().unwrap_or_default()),
        );
        report::data(line.as_bytes());
    }
    hooks::restored(plan, replaced)
}

/// Brings back what the last restore replaced: as it was, so nothing is checked.
fn undo(
    invocation: &Invocation,
    database: Option<&Database>,
    request: &RestoreRequest,
) -> Result<(), Error> {
    request.set_kept();
    let plan = request.plan()?;
    if invocation.flag("dry-run") {
        return show(invocation, database, request, &plan);
    }
    request.check_target(true)?;
    announce(&plan);
    hooks::pre_restore(&plan)?;
    let copy = request.start()?.wait()?;
    let duration = copy.duration_ms();
    done(invocation, &plan, &litestream::replace(copy, true)?, duration)
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
    if let Some(engine) = one(invocation, "engine") {
        request.set_engine(&engine)?;
    }
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

/// The plan, before anything is done.
fn announce(plan: &RestorePlan) {
    let name = plan.database().map_or_else(|| plan.source(), |database| database.name());
    report::log("info", &format!("{name}:\n{}", plan::for_people(plan).trim_end()));
    report::fact("plan", &plan::for_machines(plan, None));
}

/// The database, if it is what would be replaced: of a file at another path the
/// plugin has no handle.
fn replaced<'a>(database: Option<&'a Database>, plan: &RestorePlan) -> Option<&'a Database> {
    database.filter(|own| plan.present().is_some() && own.path() == target(plan))
}

/// What is lost with the current database, with line ends.
fn tell(lines: &Result<Vec<String>, Error>) -> String {
    match lines {
        Ok(lines) if lines.is_empty() => {
            "the current database has the same content as the backup\n".to_owned()
        }
        Ok(lines) => format!(
            "the current database differs from the backup (now → after the restore):\n  {}\n",
            lines.join("\n  ")
        ),
        Err(error) => format!("the current database cannot be read: {}\n", error.message),
    }
}

/// A database that is damaged is not put in place.
fn integrity(copy: &RestoredCopy, level: &str) -> Result<(), Error> {
    if level == "none" {
        return Ok(());
    }
    let check = Check::new("integrity_check");
    let found = match sqlite::open_copy(copy) {
        Ok(connection) => lsrun_plugin::integrity::integrity(&connection, level),
        Err(error) => Integrity::unreadable(error),
    };
    match found {
        Ok(found) if found.is_sound() => {
            check.passed(&found.note());
            if !found.limited.is_empty() {
                report::log("warning", &found.note());
            }
            Ok(())
        }
        Ok(found) => {
            check.failed(&found.text());
            Err(failed("the backup is damaged: nothing was replaced"))
        }
        Err(error) => {
            check.inconclusive(&error.message);
            let hint = "-integrity-check none restores it without this check".to_owned();
            Err(Error { hint: error.hint.or(Some(hint)), ..error })
        }
    }
}

fn show(
    invocation: &Invocation,
    database: Option<&Database>,
    request: &RestoreRequest,
    plan: &RestorePlan,
) -> Result<(), Error> {
    let differs = match replaced(database, plan).filter(|_own| invocation.flag("compare")) {
        Some(own) => {
            report::progress("restoring into a private folder", None);
            let copy = request.start()?.wait()?;
            Some(Comparison::start(own, &copy)?.finish()?)
        }
        None => None,
    };
    let text = if invocation.flag("json") {
        format!("{}\n", plan::for_machines(plan, differs.as_deref()))
    } else {
        let differs = differs.map_or(String::new(), |differs| tell(&Ok(differs)));
        format!("{}{differs}", plan::for_people(plan))
    };
    report::data(text.as_bytes());
    report::skipped("nothing was written");
    Ok(())
}

/// Follow mode has no end and no copy to check: it is litestream's own.
fn follow(invocation: &Invocation, database: Option<&Database>) -> Result<(), Error> {
    let Some(output) = one(invocation, "output") else {
        return Err(error("invalid", "-f needs -o: the file that it keeps up to date"));
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
