//! Damage to a private copy, to see whether it is noticed. The live database, the replica and
//! the copy itself are only read: each kind gives a copy of its own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::chain::Until;
use crate::litestream::replica::listing::LtxFile;
use crate::litestream::replica::reading::{self, FileFault};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::store::{Declined, Store};
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::copy::{CopyOrigin, RestoredCopy};
use crate::litestream::restore::place::{CopyPlace, home};
use crate::litestream::restore::request::Request;
use crate::litestream::restore::{fetch, plan};
use crate::litestream::room::RunId;
use crate::ltx::{LtxFault, Reading};

/// The name that the b-tree of an index has while it is read as a table.
const IMPOSTER: &str = "lsrun_index_as_table";

/// Makes a copy with this damage. `not-applicable` where there is nothing that could be
/// damaged so; `litestream` if it was noticed before there was a copy.
pub(crate) async fn damage(
    session: Arc<Session>,
    copy: Arc<RestoredCopy>,
    kind: &str,
    run: RunId,
) -> Result<RestoredCopy> {
    match kind {
        "flipped-page" => edited(session, copy, run, flip).await,
        "missing-row" => edited(session, copy, run, without_a_row).await,
        "missing-index-entry" => edited(session, copy, run, without_an_index_entry).await,
        "broken-reference" => edited(session, copy, run, without_a_parent).await,
        "older-point" => older(session, &copy, run).await,
        "truncated-file" => of_files(session, &copy, run, truncate).await,
        "swapped-files" => of_files(session, &copy, run, swap).await,
        other => Err(not_applicable(format!("this lsrun knows no damage {other}"))),
    }
}

fn not_applicable(why: impl Into<String>) -> Error {
    Error::new(Code::NotApplicable, why)
}

/// Where a copy comes from.
fn origin(copy: &RestoredCopy) -> Result<(Source, Txid, Duration)> {
    let CopyOrigin::Replica { source, patience } = &copy.from else {
        return Err(not_applicable("the copy is not of a replica"));
    };
    let txid = copy.txid.ok_or_else(|| not_applicable("its transactions have no numbers"))?;
    Ok((source.clone(), txid, *patience))
}

/// A copy of the copy, changed.
async fn edited(
    session: Arc<Session>,
    copy: Arc<RestoredCopy>,
    run: RunId,
    edit: impl FnOnce(&Path) -> Result<()> + Send + 'static,
) -> Result<RestoredCopy> {
    let (source, txid, patience) = origin(&copy)?;
    let request = Request { txid: Some(txid), ..Request::of(source.clone(), patience, run) };
    let (home, folder) = home(&session, &request)?;
    let path = folder.join("damaged.sqlite3");
    let files = [path.clone(), path.clone()];
    let room = session.rooms.take(&session.stop, run, &folder, copy.bytes, files).await?;
    let place = CopyPlace { home, room };
    let work = move || {
        let made = std::fs::copy(&copy.path, &path).and_then(|_bytes| {
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        });
        made.map_err(|error| io("cannot copy the copy", &error))?;
        let header = header(&path).map_err(|error| io("cannot read the copy", &error))?;
        edit(&path)?;
        restore_header(&path, &header).map_err(|error| io("cannot write the copy", &error))?;
        let mut damaged = RestoredCopy::made(path, request, None, Duration::ZERO, place);
        damaged.txid = Some(txid);
        damaged.from = CopyOrigin::Replica { source, patience };
        Ok(damaged)
    };
    tokio::task::spawn_blocking(work).await.map_err(broke_off)?
}

/// The bytes of SQLite's header that every change changes, besides what it is about: the
/// journal mode, and the two counters of changes. Else page 1 alone would give each damage away.
const COUNTED: [std::ops::Range<usize>; 3] = [18..20, 24..28, 92..100];

fn header(path: &Path) -> std::io::Result<[u8; 100]> {
    let mut header = [0; 100];
    File::open(path)?.read_exact_at(&mut header, 0)?;
    Ok(header)
}

fn restore_header(path: &Path, header: &[u8; 100]) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    COUNTED.into_iter().try_for_each(|range| {
        let at = range.start as u64;
        file.write_all_at(&header[range], at)
    })
}

fn io(what: &str, error: &std::io::Error) -> Error {
    Error::new(Code::Io, what).cause(error)
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::new(Code::Unexpected, "the damage ended unexpectedly").cause(error)
}

/// The last byte of the last page is another.
fn flip(path: &Path) -> Result<()> {
    let flip = || -> std::io::Result<()> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut byte = [0];
        let last = file.metadata()?.len().saturating_sub(1);
        file.read_exact_at(&mut byte, last)?;
        byte[0] ^= 1;
        file.write_all_at(&byte, last)
    };
    flip().map_err(|error| io("cannot change a byte of the copy", &error))
}

/// A connection on which no code of the schema runs.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    for off in [
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
        DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
        DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
        DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        DbConfig::SQLITE_DBCONFIG_DEFENSIVE,
    ] {
        connection.set_db_config(off, false)?;
    }
    // The copy is one file, without a log beside it.
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_row| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = MEMORY", [], |_row| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    Ok(connection)
}

/// A name in SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Tries what the query finds, one after the other, until one of them could be damaged.
fn first<const N: usize>(
    path: &Path,
    query: &str,
    none: &str,
    damage: impl Fn(&Connection, [String; N]) -> rusqlite::Result<bool>,
) -> Result<()> {
    let tried = || -> rusqlite::Result<bool> {
        let connection = open(path)?;
        let mut statement = connection.prepare(query)?;
        let names = statement.query_map([], |row| {
            let mut names = [const { String::new() }; N];
            for (at, name) in names.iter_mut().enumerate() {
                *name = row.get(at)?;
            }
            Ok(names)
        })?;
        let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(statement);
        // A function or a collation that only the application has: the next one.
        Ok(names.into_iter().any(|names| damage(&connection, names).unwrap_or(false)))
    };
    match tried() {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_applicable(none)),
        Err(error) => Err(not_applicable("the copy cannot be changed so").cause(error)),
    }
}

fn without_a_row(path: &Path) -> Result<()> {
    let tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
        AND NOT wr AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
        AND name NOT LIKE '\\_litestream\\_%' ESCAPE '\\'";
    first(path, tables, "no table has a row", |connection, [table]: [String; 1]| {
        let table = quoted(&table);
        let sql = format!("DELETE FROM {table} WHERE rowid = (SELECT min(rowid) FROM {table})");
        Ok(connection.execute(&sql, [])? == 1)
    })
}

/// The row that another one refers to is missing.
fn without_a_parent(path: &Path) -> Result<()> {
    let keys = "SELECT child.name, key.\"from\", key.\"table\", coalesce(key.\"to\", \
            (SELECT name FROM pragma_table_info(key.\"table\") WHERE pk = 1)) \
        FROM pragma_table_list AS child, pragma_foreign_key_list(child.name) AS key \
        WHERE child.schema = 'main' AND child.type = 'table' AND key.seq = 0 \
        AND coalesce(key.\"to\", \
            (SELECT name FROM pragma_table_info(key.\"table\") WHERE pk = 1)) IS NOT NULL";
    let none = "no row refers to another by a foreign key";
    first(path, keys, none, |connection, [child, from, parent, to]: [String; 4]| {
        let [child, from, parent, to] = [child, from, parent, to].map(|name| quoted(&name));
        // A row that refers to itself would go with it.
        let sql = format!(
            "DELETE FROM {parent} WHERE {to} = (SELECT one.{from} FROM {child} AS one \
                JOIN {parent} AS other ON other.{to} = one.{from} LIMIT 1)"
        );
        Ok(connection.execute(&sql, [])? > 0)
    })
}

/// The b-tree of an index has the form of a table without rowid, and is read as one.
fn without_an_index_entry(path: &Path) -> Result<()> {
    let indexes = "SELECT entry.name, CAST(entry.rootpage AS TEXT), \
            (SELECT CAST(count(*) AS TEXT) FROM pragma_index_xinfo(entry.name)) \
        FROM sqlite_schema AS entry JOIN pragma_table_list AS list \
            ON list.schema = 'main' AND list.name = entry.tbl_name AND NOT list.wr \
            AND list.type = 'table' \
        WHERE entry.type = 'index' AND entry.tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
        AND NOT EXISTS (SELECT 1 FROM pragma_index_xinfo(entry.name) \
            WHERE \"desc\" OR coll <> 'BINARY')";
    first(
        path,
        indexes,
        "no index that is sorted by bytes has an entry",
        |schema, [_name, root, columns]: [String; 3]| {
            let last = columns.parse::<u32>().unwrap_or(1).saturating_sub(1);
            let columns: Vec<String> = (0..=last).map(|at| format!("c{at}")).collect();
            let columns = columns.join(", ");
            schema.execute_batch("PRAGMA writable_schema = ON")?;
            schema.execute(
                "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) \
             VALUES ('table', ?1, ?1, CAST(?2 AS INTEGER), ?3)",
                (
                    IMPOSTER,
                    root,
                    format!(
                        "CREATE TABLE {IMPOSTER} ({columns}, PRIMARY KEY ({columns})) WITHOUT ROWID"
                    ),
                ),
            )?;
            let removed = || -> rusqlite::Result<bool> {
                let connection = open(path)?;
                let rowid = format!("SELECT c{last} FROM {IMPOSTER} LIMIT 1");
                let rowid: Value = connection.query_row(&rowid, [], |row| row.get(0))?;
                let remove = format!("DELETE FROM {IMPOSTER} WHERE c{last} = ?");
                Ok(connection.execute(&remove, [rowid])? > 0)
            };
            let removed = removed();
            schema.execute("DELETE FROM sqlite_schema WHERE name = ?", [IMPOSTER])?;
            removed
        },
    )
}

/// The newest point before that of the copy.
async fn older(session: Arc<Session>, copy: &RestoredCopy, run: RunId) -> Result<RestoredCopy> {
    let (source, txid, patience) = origin(copy)?;
    let mut request = Request { txid: Some(txid), ..Request::of(source, patience, run) };
    let points = plan::older(&session, &request, 1).await?;
    let Some(point) = points.first() else {
        return Err(not_applicable("the backup has no older point"));
    };
    request.txid = Some(point.txid);
    fetch::restore(session, request, |_done, _of, _elapsed| ()).await
}

/// Restores, as a proof does, from private copies of the files of the replica that were
/// changed.
async fn of_files(
    session: Arc<Session>,
    copy: &RestoredCopy,
    run: RunId,
    change: fn(&[PathBuf]) -> Result<()>,
) -> Result<RestoredCopy> {
    let (source, txid, patience) = origin(copy)?;
    let replica =
        tempfile::Builder::new().prefix("replica-").tempdir_in(session.scratch()?.path())?;
    let folder = replica.path().to_owned();
    let bytes = copy.read.map_or(copy.bytes, |read| read.bytes);
    let files = [folder.clone(), folder.clone()];
    let _room = session.rooms.take(&session.stop, run, &folder, bytes, files).await?;
    let work = {
        let folder = folder.clone();
        move |store: &Store, plan: &[LtxFile], _reading: &Reading| fetched(store, plan, &folder)
    };
    let worked = reading::work(&session, &source, Until::Txid(txid), patience, work).await;
    let paths = worked.map_err(|declined| match declined {
        Declined::Failed(error) => error,
        Declined::Faulty(why) => not_applicable(why),
        Declined::Unknown => {
            not_applicable("only litestream can tell what it would restore from this replica")
        }
    })?;
    change(&paths.done)?;
    let changed = Source::Url(format!("file://{}", folder.display()));
    let request = Request { txid: Some(txid), ..Request::of(changed, patience, run) };
    fetch::restore(session, request, |_done, _of, _elapsed| ()).await
}

fn fetched(store: &Store, plan: &[LtxFile], folder: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let mut paths = Vec::new();
    for file in plan {
        let path = file.path_in(folder);
        let mut opened = store.open(file).map_err(|fault| (store.name(file), fault))?;
        let create = || -> std::io::Result<File> {
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            File::create(&path)
        };
        let unwritable = |error| (path.display().to_string(), LtxFault::Unwritable(error));
        let mut to = create().map_err(unwritable)?;
        std::io::copy(&mut opened.source, &mut to)
            .map_err(|error| (store.name(file), LtxFault::Unreadable(error)))?;
        paths.push(path);
    }
    Ok(paths)
}

/// The last file ends in the middle.
fn truncate(files: &[PathBuf]) -> Result<()> {
    let Some(last) = files.last() else { return Err(not_applicable("the backup has no file")) };
    let truncate = || -> std::io::Result<()> {
        let file = File::options().write(true).open(last)?;
        let bytes = file.metadata()?.len();
        file.set_len(bytes / 2)
    };
    truncate().map_err(|error| io("cannot truncate a private copy of a file", &error))
}

/// The last two files have each other's name.
fn swap(files: &[PathBuf]) -> Result<()> {
    let [.., one, other] = files else {
        return Err(not_applicable("the copy was restored from one file"));
    };
    let between = one.with_extension("swapped");
    std::fs::rename(one, &between)
        .and_then(|()| std::fs::rename(other, one))
        .and_then(|()| std::fs::rename(&between, other))
        .map_err(|error| io("cannot swap private copies of two files", &error))
}
