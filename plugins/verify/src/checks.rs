//! The checks of the restored copy.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{IntegrityJob, TableContent, Value};
use lsrun_plugin::integrity::{Integrity, lines};
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, tables};

use crate::live::{self, Live};
use crate::options::{ASSERTION, Id, Options};
use crate::whose_fault::{Failures, Question, Side};
use crate::{told, wanted};

const FOREIGN_KEYS: &str =
    "SELECT \"table\", count(*), parent FROM pragma_foreign_key_check GROUP BY 1, 3 ORDER BY 1, 3";

/// Runs all that are wanted; each says how it came out. `missing` says why there is no
/// live database to compare with, where there is none.
pub(crate) fn run(
    database: &Database,
    copy: &RestoredCopy,
    lag: Option<u64>,
    live: Option<Live>,
    missing: &str,
    options: &Options,
) {
    let mut failures = Failures::new(database, copy);
    // What takes long starts first, each on a connection of its own, and goes on in
    // the host meanwhile.
    let integrity = wanted(options, Id::IntegrityCheck).then(|| Check::new("integrity_check"));
    let integrity = integrity.map(|check| (check, started(copy)));
    let compared = live.map(|live| Comparison::start(copy, live, options));
    if wanted(options, Id::ForeignKeyCheck) {
        foreign_keys(copy, &mut failures);
    }
    limits(copy, lag, options);
    assertions(database, copy, options, &mut failures);
    plugins(database, copy, options);
    let live = compared.map(|compared| compared.finish(&mut failures));
    if live.is_none() && options.compares() {
        for id in [Id::Schema, Id::Rows, Id::Content] {
            if wanted(options, id) {
                Check::new(id.name()).inconclusive(missing);
            }
        }
    }
    if let Some((check, (_connection, job))) = integrity {
        match job.and_then(|job| job.wait()) {
            Ok(found) => {
                let found = Integrity { problems: found.problems(), limited: found.limited() };
                failures.copy_is(&found);
                if found.is_sound() {
                    check.passed(&found.note());
                } else {
                    failures.push(check, found.text(), Question::Damaged);
                }
            }
            Err(error) => damaged(check, &error, &mut failures),
        }
    }
    failures.settle(match &live {
        _ if options.at.is_some() => Side::Absent,
        Some(live) => Side::Held { reader: live.reader(), sure: live.is_current() },
        None => Side::Now,
    });
}

/// A check that goes on by itself, and the connection that it needs.
type Started = (Option<sqlite::Connection>, Result<IntegrityJob, Error>);

fn started(copy: &RestoredCopy) -> Started {
    match sqlite::open_copy(copy) {
        Ok(connection) => {
            let job = connection.integrity("full");
            (Some(connection), job)
        }
        Err(error) => (None, Err(error)),
    }
}

/// Ends a check of the copy that cannot be read.
fn damaged(check: Check, error: &Error, failures: &mut Failures<'_>) {
    let text = told(error);
    if is_damage(error) {
        failures.push(check, text, Question::Damaged);
    } else {
        check.inconclusive(&text);
    }
}

fn foreign_keys(copy: &RestoredCopy, failures: &mut Failures<'_>) {
    let check = Check::new("foreign_key_check");
    match sqlite::open_copy(copy).and_then(|connection| broken_references(&connection)) {
        Ok(broken) if broken.is_empty() => check.passed(""),
        Ok(broken) => failures.push(check, lines(&broken), Question::References(broken)),
        Err(error) => damaged(check, &error, failures),
    }
}

/// A line for each table and each table that its broken references name.
pub(crate) fn broken_references(connection: &sqlite::Connection) -> Result<Vec<String>, Error> {
    let rows = connection.rows(FOREIGN_KEYS, &[])?;
    let line = |row: &Vec<Value>| match row.as_slice() {
        [Value::Text(table), Value::Integer(count), Value::Text(parent)] => {
            format!("{table}: {count} rows refer to rows of {parent} that are not there")
        }
        _ => "a row refers to one that is not there".to_owned(),
    };
    Ok(rows.iter().map(line).collect())
}

/// A comparison of the copy with the live database, under way.
struct Comparison {
    live: Live,
    schema: Option<Check>,
    rows: Option<Check>,
    content: Option<Check>,
    connection: Result<sqlite::Connection, Error>,
    job: Option<Result<sqlite::ContentJob, Error>>,
}

impl Comparison {
    fn start(copy: &RestoredCopy, live: Live, options: &Options) -> Self {
        let check = |id: Id| wanted(options, id).then(|| Check::new(id.name()));
        let (schema, rows, content) = (check(Id::Schema), check(Id::Rows), check(Id::Content));
        let connection = sqlite::open_copy(copy);
        let job = (rows.is_some() || content.is_some()).then(|| {
            let connection = connection.as_ref().map_err(Clone::clone)?;
            tables::start(connection, content.is_some())
        });
        Self { live, schema, rows, content, connection, job }
    }

    /// Ends the checks, or puts them to those that failed; gives the live database back.
    fn finish(mut self, failures: &mut Failures<'_>) -> Live {
        let of_copy = match self.job.take() {
            Some(job) => job.and_then(|job| tables::contents(&job)),
            None => Ok(Vec::new()),
        };
        let of_live = self.live.contents();
        if let Some(check) = self.schema.take() {
            let copied = self.connection.as_ref().map_err(Clone::clone).and_then(live::schema);
            match (&self.live.schema, copied) {
                (Ok(live), Ok(copied)) => {
                    self.judge(check, &different_schema(live, &copied), failures);
                }
                (Err(error), _) => not_readable(&check, error),
                (_, Err(error)) => damaged(check, &error, failures),
            }
        }
        for (check, compare) in [
            (
                self.rows.take(),
                different_rows as fn(&TableContent, &TableContent) -> Option<String>,
            ),
            (self.content.take(), different_content),
        ] {
            let Some(check) = check else { continue };
            match (&of_live, &of_copy) {
                (Ok(live), Ok(copied)) => {
                    self.judge(check, &different(live, copied, compare), failures);
                }
                (Err(error), _) => not_readable(&check, error),
                (_, Err(error)) => damaged(check, error, failures),
            }
        }
        self.live
    }

    /// A difference is the backup's fault only when nobody has written since.
    fn judge(&self, check: Check, differences: &[String], failures: &mut Failures<'_>) {
        if differences.is_empty() {
            return check.passed("");
        }
        if self.live.is_current() {
            return failures.push(check, lines(differences), Question::Difference);
        }
        check.inconclusive(&format!(
            "{}\nthe database was written to meanwhile, so that this may be right\nhint: run it again when the database is less busy",
            differences[0]
        ));
    }
}

/// Ends a check for which the live database cannot be read.
fn not_readable(check: &Check, error: &Error) {
    let text = format!("the live database cannot be read: {}", told(error));
    if is_damage(error) { check.failed_as_live(&text) } else { check.inconclusive(&text) }
}

fn different_schema(live: &[(String, String)], copied: &[(String, String)]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, sql) in live {
        match copied.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("{name} is missing")),
            Some((_, other)) if other != sql => differences.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    for (name, _) in copied {
        if !live.iter().any(|(other, _)| other == name) {
            differences.push(format!("{name} is not in the live database"));
        }
    }
    differences
}

fn different(
    live: &[TableContent],
    copied: &[TableContent],
    compare: fn(&TableContent, &TableContent) -> Option<String>,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut rest: Vec<&TableContent> = copied.iter().collect();
    for table in live {
        let name = table.table();
        match rest.iter().position(|other| other.table() == name) {
            Some(at) => differences.extend(compare(table, rest.swap_remove(at))),
            None => differences.push(format!("{name} is missing")),
        }
    }
    differences.extend(rest.iter().map(|table| format!("{} is too many", table.table())));
    differences
}

fn different_rows(live: &TableContent, copied: &TableContent) -> Option<String> {
    let (live_rows, rows) = (live.rows(), copied.rows());
    (live_rows != rows).then(|| format!("{}: {rows} rows, {live_rows} were written", live.table()))
}

fn different_content(live: &TableContent, copied: &TableContent) -> Option<String> {
    (live.digest() != copied.digest()).then(|| format!("{}: the rows differ", live.table()))
}

/// What `verify.max_lag` and `verify.max_restore` in the project file say of the
/// times it took; no lag was measured where nobody was waited for.
fn limits(copy: &RestoredCopy, lag: Option<u64>, options: &Options) {
    let restore = (Id::RestoreTime, "restore", "restore", Some(copy.duration_ms()));
    for (id, key, what, took) in [(Id::Lag, "lag", "replication", lag), restore] {
        if !wanted(options, id) {
            continue;
        }
        let sql = format!("SELECT ?1 ->> '$.max_{key}_ms'");
        let limit = sqlite::open_copy(copy)
            .and_then(|connection| connection.value(&sql, &[Value::Text(settings::get())]));
        let Ok(Some(Value::Integer(limit))) = limit else { continue };
        let check = Check::new(id.name());
        match took {
            Some(took) if i64::try_from(took).is_ok_and(|took| took <= limit) => check.passed(""),
            Some(took) => {
                check.failed(&format!("the {what} took {took} ms, verify.max_{key} is {limit} ms"))
            }
            None => check.skipped("nothing was waited for"),
        }
    }
}

/// The project's own checks.
fn plugins(database: &Database, copy: &RestoredCopy, options: &Options) {
    let all = hooks::checks(database);
    let chosen: Vec<String> =
        all.into_iter().filter(|name| options.wants_named(name, Id::Plugins)).collect();
    if let Err(error) = hooks::check_only(database, copy, &chosen) {
        Check::new("plugins").inconclusive(&told(&error));
    }
}

/// The SQL of `verify.assertions` in the project file, each with its name.
fn assertions(
    database: &Database,
    copy: &RestoredCopy,
    options: &Options,
    failures: &mut Failures<'_>,
) {
    let list = match assertions_of(database, copy) {
        Ok(list) => list,
        Err(error) => {
            Check::new("assertions").inconclusive(&told(&error));
            return;
        }
    };
    // One that is named and not there was meant to be checked.
    for id in options.assertions_named() {
        if !list.iter().any(|(name, _)| id.strip_prefix(ASSERTION) == Some(name)) {
            Check::new(id).inconclusive("this database has no assertion of this name");
        }
    }
    for (name, sql) in list {
        let id = format!("{ASSERTION}{name}");
        if !options.wants_named(&id, Id::Assertions) {
            continue;
        }
        let check = Check::new(&id);
        match sqlite::open_copy(copy).and_then(|connection| holds(&connection, &sql)) {
            Ok(None) => check.passed(""),
            Ok(Some(problem)) => failures.push(check, problem, Question::Assertion(sql)),
            Err(error) => damaged(check, &error, failures),
        }
    }
}

/// SQLite reads the JSON of the settings: a guest with a reader of its own would
/// be half as large again.
fn assertions_of(database: &Database, copy: &RestoredCopy) -> Result<Vec<(String, String)>, Error> {
    let settings = settings::get();
    let sql = "SELECT one.value ->> 'name', one.value ->> 'sql' \
        FROM json_each(?1, '$.assertions') AS list, json_each(list.value) AS one \
        WHERE list.key = ?2";
    let parameters = [Value::Text(settings), Value::Text(database.name())];
    let rows = sqlite::open_copy(copy)?.rows(sql, &parameters)?;
    rows.iter()
        .map(|row| match row.as_slice() {
            [name, sql] => Ok((text(name)?.to_owned(), text(sql)?.to_owned())),
            _ => Err(error("invalid", "an assertion has a name and an sql")),
        })
        .collect()
}

/// Nothing when the SQL gives what SQL takes for true, else what it gave.
pub(crate) fn holds(connection: &sqlite::Connection, sql: &str) -> Result<Option<String>, Error> {
    let Some(value) = connection.value(sql, &[])? else {
        return Ok(Some(format!("returned no row, expected a true value: {sql}")));
    };
    let judge = "SELECT CASE WHEN ?1 THEN NULL ELSE quote(?1) END";
    match connection.value(judge, &[value])? {
        Some(Value::Text(value)) => {
            Ok(Some(format!("returned {value}, expected a true value: {sql}")))
        }
        _ => Ok(None),
    }
}
