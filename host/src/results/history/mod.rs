//! The results of earlier runs: a small SQLite database per project, one row for
//! each database of each run. It is written after a run and never blocks
//! one: callers turn its errors into warnings.

mod file;

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

pub(crate) use self::file::History;
use crate::error::Result;
use crate::redact::Redactor;
use crate::report::{DatabaseReport, LastGood, Outcome, Report};

/// How many rows are kept of each database.
const KEPT: u32 = 1000;
/// How many checks are remembered of each database.
const CHECKS: u32 = 2000;

/// A check that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PassedCheck {
    /// When its run began.
    pub started: jiff::Timestamp,
    /// What it said.
    pub message: String,
}

/// One database in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    /// The command of the run.
    pub command: String,
    /// The alias, or the path of a database without one.
    pub name: String,
    /// The absolute path.
    pub path: String,
    /// When the run began.
    pub started: jiff::Timestamp,
    /// `passed`, `failed` or `inconclusive`.
    pub outcome: Outcome,
    /// The restored transaction.
    pub txid: Option<String>,
    /// How the replica was reached.
    pub method: Option<String>,
    /// The replication lag.
    pub lag: Option<Duration>,
    /// How long the restore took.
    pub restore: Option<Duration>,
    /// The size of the restored database.
    pub bytes: Option<u64>,
    /// From start to end.
    pub duration: Duration,
    /// The checks that failed or could not be carried out.
    pub not_passed: Vec<String>,
}

/// What is known of one backup.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// The newest result.
    pub(super) newest: Option<Past>,
    /// The newest outcome that says something about the backup.
    pub(super) conclusive: Option<Outcome>,
    /// The last good one.
    pub(super) proved: Option<LastGood>,
}

impl History {
    /// Adds the databases of a run that have a result: not those
    /// that were skipped, interrupted, or refused by a hook.
    pub(crate) fn record(&self, report: &Report) -> Result<()> {
        let databases = report.databases.iter().filter(|database| database.has_result());
        let databases: Vec<&DatabaseReport> = databases.collect();
        if databases.is_empty() {
            return Ok(());
        }
        self.create()
            .and_then(|mut connection| insert(&mut connection, report, &databases, &self.redactor))
            .map_err(|error| self.failed("cannot be written", &error))
    }

    /// When the database at `path` was last proved good by one of `commands`.
    pub(crate) fn last_success(
        &self,
        commands: &[&str],
        path: &str,
    ) -> Result<Option<jiff::Timestamp>> {
        let Some(connection) = self.open()? else { return Ok(None) };
        connection
            .query_row(
                "SELECT max(started_ms) FROM results
                 WHERE path = ?1 AND command IN (SELECT value FROM json_each(?2))
                   AND outcome = 'passed'",
                params![path, array(commands)],
                |row| row.get::<_, Option<i64>>(0),
            )
            .optional()
            .map(|found| found.flatten().and_then(timestamp))
            .map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// The last run of `command` that proved a backup of the database at `path` good.
    pub(crate) fn last_good(&self, command: &str, path: &str) -> Result<Option<LastGood>> {
        let Some(connection) = self.open()? else { return Ok(None) };
        let found = connection
            .query_row(
                "SELECT started_ms, txid FROM results
                 WHERE path = ?1 AND command = ?2 AND outcome = 'passed'
                 ORDER BY started_ms DESC LIMIT 1",
                params![path, command],
                |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(|error| self.failed("cannot be read", &error.into()))?;
        Ok(found.and_then(|(started, txid)| {
            timestamp(started).map(|started| LastGood { started, txid })
        }))
    }

    /// What `command` last found out about the database at each of these paths. What was
    /// recorded with a later time than now, before the clock was set back, does not count.
    pub(in crate::results) fn standings(
        &self,
        command: &str,
        paths: &[String],
    ) -> Result<Vec<Standing>> {
        let Some(connection) = self.open()? else {
            return Ok(vec![Standing::default(); paths.len()]);
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let read = || -> rusqlite::Result<Vec<Standing>> {
            let select = |condition: &str| {
                connection.prepare(&format!(
                    "SELECT {COLUMNS} FROM results
                     WHERE path = ?1 AND command = ?2 AND started_ms <= ?3 AND {condition}
                     ORDER BY started_ms DESC, id DESC LIMIT 1"
                ))
            };
            let mut newest = select("true")?;
            let mut conclusive = select("outcome <> 'inconclusive'")?;
            let mut proved = select("outcome = 'passed'")?;
            let of = |path: &String| -> rusqlite::Result<Standing> {
                let row = |select: &mut rusqlite::Statement<'_>| {
                    select.query_row(params![path, command, now], one).optional()
                };
                Ok(Standing {
                    newest: row(&mut newest)?,
                    conclusive: row(&mut conclusive)?.map(|past| past.outcome),
                    proved: row(&mut proved)?
                        .map(|past| LastGood { started: past.started, txid: past.txid }),
                })
            };
            paths.iter().map(of).collect()
        };
        read().map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// The newest result of each database by `command`, by path.
    pub(crate) fn newest(&self, command: &str) -> Result<HashMap<String, Past>> {
        let Some(connection) = self.open()? else { return Ok(HashMap::new()) };
        let newest = || -> rusqlite::Result<HashMap<String, Past>> {
            let mut select = connection.prepare(&format!(
                "SELECT {COLUMNS} FROM results WHERE id IN (
                   SELECT max(id) FROM results WHERE command = ?1 GROUP BY path)"
            ))?;
            let rows = select.query_map([command], one)?;
            rows.map(|row| row.map(|past| (past.path.clone(), past))).collect()
        };
        newest().map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// When each database was last proved good by `command`, by path.
    pub(crate) fn last_successes(&self, command: &str) -> Result<HashMap<String, jiff::Timestamp>> {
        let Some(connection) = self.open()? else { return Ok(HashMap::new()) };
        let last = || -> rusqlite::Result<HashMap<String, jiff::Timestamp>> {
            let mut select = connection.prepare(
                "SELECT path, max(started_ms) FROM results
                 WHERE command = ?1 AND outcome = 'passed' GROUP BY path",
            )?;
            let rows = select.query_map([command], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.map(|row| row.map(|(path, time)| (path, timestamp(time).unwrap_or_default())))
                .collect()
        };
        last().map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// How long the restore of the database at `path` took on average, the last five
    /// times that it was good.
    pub(crate) fn restore_time(&self, commands: &[&str], path: &str) -> Result<Option<Duration>> {
        let Some(connection) = self.open()? else { return Ok(None) };
        connection
            .query_row(
                "SELECT avg(restore_ms) FROM (SELECT restore_ms FROM results
                 WHERE path = ?1 AND command IN (SELECT value FROM json_each(?2))
                   AND outcome = 'passed' AND restore_ms IS NOT NULL
                 ORDER BY started_ms DESC LIMIT 5)",
                params![path, array(commands)],
                |row| row.get::<_, Option<f64>>(0),
            )
            .map(|found| found.map(|mean| Duration::from_secs_f64(mean.max(0.0) / 1000.0)))
            .map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// The results of every command for the database at `path`, newest first, at most
    /// `limit`.
    pub(crate) fn of_database(&self, path: &str, limit: u32) -> Result<Vec<Past>> {
        let Some(connection) = self.open()? else { return Ok(Vec::new()) };
        let read = || -> rusqlite::Result<Vec<Past>> {
            let mut select = connection.prepare(&format!(
                "SELECT {COLUMNS} FROM results WHERE path = ?1 ORDER BY id DESC LIMIT ?2"
            ))?;
            let rows = select.query_map(params![path, limit], one)?;
            rows.collect()
        };
        read().map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// When a check of this id last passed for the database at `path`.
    pub(crate) fn last_passed(&self, path: &str, check: &str) -> Result<Option<PassedCheck>> {
        let Some(connection) = self.open()? else { return Ok(None) };
        let read = || -> rusqlite::Result<Option<PassedCheck>> {
            // Not there yet in a file of an lsrun before this one.
            if !connection.table_exists(None, "passed")? {
                return Ok(None);
            }
            let select = "SELECT started_ms, message FROM passed WHERE path = ?1 AND check_id = ?2";
            let one = |row: &rusqlite::Row<'_>| {
                let started = timestamp(row.get(0)?).unwrap_or_default();
                Ok(PassedCheck { started, message: row.get(1)? })
            };
            connection.query_row(select, [path, check], one).optional()
        };
        read().map_err(|error| self.failed("cannot be read", &error.into()))
    }

    /// What is known, newest first, at most `limit` for each database.
    pub(crate) fn past(&self, commands: &[&str], limit: u32) -> Result<Vec<Past>> {
        let Some(connection) = self.open()? else { return Ok(Vec::new()) };
        past(&connection, commands, limit)
            .map_err(|error| self.failed("cannot be read", &error.into()))
    }
}

fn insert(
    connection: &mut Connection,
    report: &Report,
    databases: &[&DatabaseReport],
    redactor: &Redactor,
) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO results (command, name, path, started_ms, outcome, txid, method, lag_ms,
               restore_ms, bytes, duration_ms, not_passed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        let mut prune = transaction.prepare(
            "DELETE FROM results WHERE path = ?1 AND command = ?2 AND id <= (
               SELECT id FROM results WHERE path = ?1 AND command = ?2
               ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        )?;
        let mut remember = transaction.prepare(
            "INSERT INTO passed (path, check_id, started_ms, message) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET started_ms = excluded.started_ms, message = excluded.message
             WHERE excluded.started_ms >= started_ms",
        )?;
        let mut forget = transaction.prepare(
            "DELETE FROM passed WHERE path = ?1 AND check_id NOT IN (
               SELECT check_id FROM passed WHERE path = ?1 ORDER BY started_ms DESC LIMIT ?2)",
        )?;
        for database in databases {
            let not_passed: Vec<&str> = database.not_passed().map(|it| it.id.as_str()).collect();
            insert.execute(params![
                report.command,
                database.name,
                database.path,
                report.started.as_millisecond(),
                database.outcome().word(),
                database.txid,
                database.replication.as_ref().map(|it| it.method.as_str()),
                database.replication.as_ref().map(|it| milliseconds(it.lag)),
                database.restore.as_ref().map(|it| milliseconds(it.duration)),
                database.restore.as_ref().map(|it| i64::try_from(it.bytes).unwrap_or(i64::MAX)),
                milliseconds(database.duration),
                serde_json::to_string(&not_passed)?,
            ])?;
            prune.execute(params![database.path, report.command, KEPT])?;
            // Not those of plugins, which could be more than are kept.
            let own = database.checks.iter().filter(|check| check.plugin == report.command);
            for check in own.filter(|check| check.outcome == Outcome::Passed) {
                remember.execute(params![
                    database.path,
                    check.id,
                    report.started.as_millisecond(),
                    redactor.apply(&check.message),
                ])?;
            }
            forget.execute(params![database.path, CHECKS])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// What [`one`] reads.
const COLUMNS: &str = "name, path, started_ms, outcome, txid, method, lag_ms, restore_ms, bytes,
                       duration_ms, not_passed, command";

fn past(connection: &Connection, commands: &[&str], limit: u32) -> rusqlite::Result<Vec<Past>> {
    let mut select = connection.prepare(&format!(
        "SELECT {COLUMNS}
         FROM (SELECT *, row_number() OVER (PARTITION BY path ORDER BY id DESC) AS age FROM results
               WHERE command IN (SELECT value FROM json_each(?2)))
         WHERE age <= ?1 ORDER BY id DESC"
    ))?;
    let rows = select.query_map(params![limit, array(commands)], one)?;
    rows.collect()
}

fn one(row: &rusqlite::Row<'_>) -> rusqlite::Result<Past> {
    let time = |index| -> rusqlite::Result<Option<Duration>> {
        Ok(row.get::<_, Option<i64>>(index)?.and_then(duration))
    };
    Ok(Past {
        name: row.get(0)?,
        path: row.get(1)?,
        started: timestamp(row.get(2)?).unwrap_or_default(),
        outcome: match row.get_ref(3)?.as_str()? {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            _ => Outcome::Inconclusive,
        },
        txid: row.get(4)?,
        method: row.get(5)?,
        lag: time(6)?,
        restore: time(7)?,
        bytes: row.get::<_, Option<i64>>(8)?.and_then(|bytes| u64::try_from(bytes).ok()),
        duration: time(9)?.unwrap_or_default(),
        not_passed: serde_json::from_str(row.get_ref(10)?.as_str()?).unwrap_or_default(),
        command: row.get(11)?,
    })
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

fn timestamp(milliseconds: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(milliseconds).ok()
}

/// As SQLite's `json_each` reads them.
fn array(commands: &[&str]) -> String {
    serde_json::json!(commands).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::environment::Environment;
    use crate::project::Project;
    use crate::report::tests::{check, report};

    fn history(folder: &Path) -> History {
        let environment = Environment::from_iter([("LSRUN_STATE_DIR", folder.to_str().unwrap())]);
        History::of(&Project::without_file(folder), &environment).unwrap()
    }

    #[test]
    fn what_was_found_out_comes_back_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        assert_eq!(history.past(&["verify"], 10).unwrap(), []);
        assert_eq!(history.last_success(&["verify"], "/default").unwrap(), None);
        assert_eq!(history.last_passed("/default", "restore").unwrap(), None);
        let mut run = report(&["default"]);
        history.record(&run).unwrap();
        let success = run.started;
        run.started += Duration::from_secs(60);
        run.databases[0].checks.push(check("restore", Outcome::Failed));
        history.record(&run).unwrap();
        let passed = history.last_passed("/default", "sentinel").unwrap().unwrap();
        assert_eq!(passed.started.as_millisecond(), success.as_millisecond() + 60_000);
        assert_eq!(history.last_passed("/default", "restore").unwrap(), None, "it failed");
        assert_eq!(history.last_passed("/other", "sentinel").unwrap(), None);
        let past = history.past(&["verify"], 10).unwrap();
        assert_eq!(past.len(), 2);
        assert_eq!((past[0].outcome, past[1].outcome), (Outcome::Failed, Outcome::Passed));
        assert_eq!(past[0].not_passed, ["restore"]);
        assert_eq!(history.past(&["verify"], 1).unwrap(), past[..1]);
        assert_eq!(history.of_database("/default", 9).unwrap(), past);
        assert_eq!(past[0].command, "verify");
        let last = history.last_success(&["verify"], "/default").unwrap().unwrap();
        assert_eq!(last.as_millisecond(), success.as_millisecond());
        let good = history.last_good("verify", "/default").unwrap().unwrap();
        assert_eq!(good.txid.as_deref(), Some("0000000000000005"));
        assert_eq!(good.started.as_millisecond(), success.as_millisecond());
        let newest = history.newest("verify").unwrap();
        assert_eq!((newest.len(), newest["/default"].outcome), (1, Outcome::Failed));
        assert_eq!(history.last_successes("verify").unwrap()["/default"], last);
        assert!(history.newest("other").unwrap().is_empty());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(history.path()), 0o600);
        assert_eq!(mode(history.path().parent().unwrap()), 0o700);
    }

    #[test]
    fn a_standing_is_the_last_proof_and_what_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let standing = || history.standings("verify", &["/default".to_owned()]).unwrap().remove(0);
        assert!(standing().newest.is_none() && standing().proved.is_none());
        let mut run = report(&["default"]);
        let now = jiff::Timestamp::now();
        run.started = now - Duration::from_secs(60);
        history.record(&run).unwrap();
        let proved = standing().proved.unwrap();
        assert_eq!(proved.started.as_millisecond(), run.started.as_millisecond());
        // Not conclusive.
        run.started += Duration::from_secs(1);
        run.databases[0].error = Some(crate::error::Error::inconclusive("no answer"));
        history.record(&run).unwrap();
        assert_eq!(standing().newest.unwrap().outcome, Outcome::Inconclusive);
        assert_eq!(standing().conclusive, Some(Outcome::Passed));
        run.started += Duration::from_secs(1);
        run.databases[0].error = None;
        run.databases[0].checks.push(check("restore", Outcome::Failed));
        history.record(&run).unwrap();
        assert_eq!(standing().conclusive, Some(Outcome::Failed));
        assert_eq!(standing().proved.unwrap(), proved);
        // From before the clock was set back.
        run.started = now + Duration::from_secs(3600);
        run.databases[0].checks.pop();
        history.record(&run).unwrap();
        assert_eq!(standing().conclusive, Some(Outcome::Failed));
        assert_eq!(standing().proved.unwrap(), proved);
        assert!(history.standings("verify", &["/other".to_owned()]).unwrap()[0].newest.is_none());
    }

    #[test]
    fn what_was_not_looked_at_is_no_result() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let mut run = report(&["fresh", "cut", "refused"]);
        run.databases[0].skipped = Some("fresh".into());
        run.databases[1].error = Some(crate::stop::Stop::error(crate::stop::Signal::Interrupt));
        run.databases[2].error = Some(crate::error::Error::new(crate::code::Code::Refused, "no"));
        history.record(&run).unwrap();
        assert!(!history.path().exists());
    }

    #[test]
    fn old_rows_go_and_two_runs_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        let run = report(&["default"]);
        history.record(&run).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| history.record(&run).unwrap()));
            }
        });
        assert_eq!(history.past(&["verify"], 100).unwrap().len(), 21);
        let connection = Connection::open(history.path()).unwrap();
        connection
            .execute_batch(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500)
                 INSERT INTO results (command, name, path, started_ms, outcome, duration_ms, not_passed)
                 SELECT 'verify', 'default', '/default', x, 'passed', 1, '[]' FROM n",
            )
            .unwrap();
        history.record(&run).unwrap();
        assert_eq!(history.past(&["verify"], 5000).unwrap().len(), 1000);
    }

    #[test]
    fn a_file_that_is_no_history_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let history = history(folder.path());
        std::fs::create_dir_all(history.path().parent().unwrap()).unwrap();
        std::fs::write(history.path(), "hello".repeat(1000)).unwrap();
        let error = history.record(&report(&["default"])).unwrap_err();
        assert!(error.message().contains("history.sqlite3"), "{error:?}");
        assert!(history.past(&["verify"], 1).is_err());
    }
}
