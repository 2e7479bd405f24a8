//! The path of a database that is written as a URL, as frameworks have it in
//! `DATABASE_URL`: `sqlite:///db.sqlite3`, `file:./dev.db`.

use crate::error::{Error, Result};
use crate::percent::decode;
use crate::yaml::Cursor;

/// The path in `text`, which is one already or a URL of SQLite's. Three slashes are
/// a relative path and four an absolute one, as SQLAlchemy and Django read them;
/// parameters are dropped.
///
/// Fails for a database in memory, an empty name and every other URL.
pub(super) fn file(place: &Cursor<'_>, text: &str) -> Result<String> {
    let path = path(text).map_err(|why| why.of(place))?;
    let in_memory = |text: &str| text == ":memory:" || text.contains("mode=memory");
    if in_memory(text) || in_memory(&path) {
        return Err(no_file(place, &format!("`{}`, a database in memory", shown(text))));
    }
    if path.trim().is_empty() {
        return Err(match text.trim().is_empty() {
            true => no_file(place, "an empty name"),
            false => no_file(place, &format!("`{}`, a URL without a path", shown(text))),
        });
    }
    Ok(path)
}

fn no_file(place: &Cursor<'_>, what: &str) -> Error {
    place.wrong(format!("is {what}: there is no file that could be replicated"))
}

/// Never more of a URL than its path: a query may hold a key.
fn shown(text: &str) -> &str {
    match text.split_once('?') {
        Some((before, after)) if !after.contains("mode=memory") => before,
        _ => text,
    }
}

/// Why a URL is not a SQLite file.
enum Refused<'t> {
    Scheme(&'t str),
    Host(&'t str),
}

impl Refused<'_> {
    fn of(&self, place: &Cursor<'_>) -> Error {
        match self {
            Self::Scheme(scheme) => {
                let whose = engine(scheme).map(|engine| format!(", of {engine}"));
                place
                    .wrong(format!(
                        "is a `{scheme}://` URL{}, not a SQLite database",
                        whose.unwrap_or_default()
                    ))
                    .hint("write a path, or a URL such as sqlite:///db.sqlite3 (relative) or sqlite:////srv/db.sqlite3")
            }
            Self::Host(host) => place
                .wrong(format!("is a URL with the host `{host}`"))
                .hint("write file:///srv/db.sqlite3, or the path alone"),
        }
    }
}

/// Schemes of databases that are not SQLite's.
fn engine(scheme: &str) -> Option<&'static str> {
    let base = scheme.split('+').next().unwrap_or(scheme);
    Some(match base {
        "postgres" | "postgresql" | "postgis" | "psql" | "pgsql" => "PostgreSQL",
        "mysql" | "mysql2" | "mysqlgis" | "trilogy" | "mariadb" => "MySQL",
        "mssql" | "sqlserver" | "mssqlms" => "SQL Server",
        "oracle" | "oraclegis" => "Oracle",
        "mongodb" => "MongoDB",
        "redis" | "rediss" => "Redis",
        "libsql" => "libSQL",
        "cockroach" | "cockroachdb" => "CockroachDB",
        "s3" | "gs" | "abs" | "sftp" | "webdav" | "webdavs" | "nats" | "oss" => "a replica",
        _ => return None,
    })
}

fn path(text: &str) -> std::result::Result<String, Refused<'_>> {
    let bare = text.strip_prefix("jdbc:").unwrap_or(text);
    let Some((scheme, rest)) = scheme_of(bare) else { return Ok(text.to_owned()) };
    let lower = scheme.to_ascii_lowercase();
    if lower == "file" {
        return of_file(rest);
    }
    if !is_sqlite(&lower) {
        return match rest.starts_with("//") {
            true => Err(Refused::Scheme(scheme)),
            // A colon in the name of a file.
            false => Ok(text.to_owned()),
        };
    }
    let rest = without_parameters(rest);
    Ok(match rest.strip_prefix("//") {
        Some(after) => decode(after.strip_prefix('/').unwrap_or(after)),
        None => decode(rest),
    })
}

/// `sqlite`, `sqlite3`, `spatialite`, and with a driver: `sqlite+pysqlite`.
fn is_sqlite(scheme: &str) -> bool {
    let base = scheme.split('+').next().unwrap_or(scheme);
    matches!(base, "sqlite" | "sqlite3" | "spatialite")
}

/// SQLite's own form, and Prisma's.
fn of_file(rest: &str) -> std::result::Result<String, Refused<'_>> {
    let rest = without_parameters(rest);
    let Some(after) = rest.strip_prefix("//") else { return Ok(decode(rest)) };
    match after.split_at(after.find('/').unwrap_or(after.len())) {
        ("" | "localhost", path) => Ok(decode(path)),
        (host, _) => Err(Refused::Host(host)),
    }
}

fn without_parameters(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or(text)
}

/// The scheme, if there is one.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let rest_of_it = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    let fits = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.chars().all(rest_of_it);
    fits.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_url_of_sqlite_is_a_path() {
        for (text, want) in [
            ("db.sqlite3", "db.sqlite3"),
            ("/srv/db?x#y.db", "/srv/db?x#y.db"),
            ("a:b.db", "a:b.db"),
            ("file:dev.db", "dev.db"),
            ("file:./dev.db?connection_limit=1", "./dev.db"),
            ("file:/srv/a%20b.db", "/srv/a b.db"),
            ("file:///srv/db", "/srv/db"),
            ("file://localhost/srv/db", "/srv/db"),
            ("sqlite:x.db", "x.db"),
            ("sqlite3:/srv/x.db", "/srv/x.db"),
            ("sqlite:///x.db", "x.db"),
            ("sqlite3:///x/y.db?timeout=5", "x/y.db"),
            ("sqlite:////srv/x.db", "/srv/x.db"),
            ("sqlite+aiosqlite:////srv/x.db", "/srv/x.db"),
            ("sqlite://x.db", "x.db"),
            ("jdbc:sqlite:/srv/x.db", "/srv/x.db"),
            ("spatialite:///geo.db", "geo.db"),
        ] {
            assert_eq!(path(text).ok().as_deref(), Some(want), "{text}");
        }
        for refused in ["postgres://u:p@h/db", "mysql2://h/d", "s3://b/p", "x://y", "file://h/x"] {
            assert!(path(refused).is_err(), "{refused}");
        }
    }
}
