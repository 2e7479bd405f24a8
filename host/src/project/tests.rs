//! The rules of the project file, one by one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Project;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// A folder with an `lsrun.yml`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lsrun.yml"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load_with(&self, variables: &[(&str, &str)]) -> Result<Project> {
        let environment = variables.iter().copied().collect::<Environment>();
        Project::load(None, self.path(), &environment)
    }

    fn load(&self) -> Project {
        self.load_with(&[]).unwrap()
    }
}

fn refused(text: &str) -> Error {
    let error = Folder::new(text).load_with(&[]).unwrap_err();
    assert_eq!(error.exit(), Exit::Project);
    error
}

/// Message, causes and hint: what the user reads.
fn shown(error: &Error) -> String {
    format!("{} | {}", error.one_line(), error.hint_text().unwrap_or_default())
}

#[track_caller]
fn assert_shows(error: &Error, wanted: &[&str]) {
    let text = shown(error);
    for part in wanted {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn the_file_is_found_in_a_parent_by_option_and_by_variable() {
    let folder = Folder::new("databases: {default: db.sqlite3}\n");
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let none = Environment::default();
    let file = folder.path().join("lsrun.yml");

    let project = Project::load(None, &deep, &none).unwrap();
    assert_eq!((project.root.as_path(), project.file), (folder.path(), Some(file.clone())));
    for at in [folder.path(), &file, Path::new("../.."), Path::new("../../lsrun.yml")] {
        assert_eq!(Project::load(Some(at), &deep, &none).unwrap().root, folder.path());
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let named = Environment::from_iter([("LSRUN_PROJECT", file.to_str().unwrap())]);
    let project = Project::load(None, elsewhere.path(), &named).unwrap();
    assert_eq!(project.databases().unwrap()[0].path, folder.path().join("db.sqlite3"));
}

#[test]
fn a_missing_file_names_what_was_searched_and_shows_a_small_one() {
    let folder = tempfile::tempdir().unwrap();
    let none = Environment::default();
    let error = Project::load(None, folder.path(), &none).unwrap_err();
    assert_shows(&error, &["no lsrun.yml", folder.path().to_str().unwrap(), "databases:"]);
    let error = Project::load(Some(Path::new("gone.yml")), folder.path(), &none).unwrap_err();
    assert_shows(&error, &["gone.yml", "--project", "does not exist"]);
    let error = Project::load(Some(folder.path()), folder.path(), &none).unwrap_err();
    assert_shows(&error, &["there is no lsrun.yml in", "--project"]);
    assert_eq!(error.exit(), Exit::Project);
}

#[test]
fn databases_in_short_long_and_djangos_form() {
    let project = Folder::new(
        "databases:\n  default: db.sqlite3\n  cache: {path: var/cache.db, engine: sqlite3}\n  \
         geo: {NAME: /srv/geo.db, ENGINE: django.contrib.gis.db.backends.spatialite}\n  \
         pg: {ENGINE: django.db.backends.postgresql, NAME: shop, HOST: db}\n  \
         demo: {path: demo.db, create_from: demo.sql}\n",
    )
    .load();
    let root = project.root.clone();
    assert_eq!(project.aliases().collect::<Vec<_>>(), ["default", "cache", "geo", "demo"]);
    let paths: Vec<PathBuf> =
        project.databases().unwrap().into_iter().map(|database| database.path.clone()).collect();
    let expected = ["db.sqlite3", "var/cache.db", "/srv/geo.db", "demo.db"];
    assert_eq!(paths, expected.map(|path| root.join(path)));
    assert!(project.notes[0].contains("`pg`") && project.notes[0].contains("postgresql"));
    assert_eq!(project.database("demo").unwrap().create_from, Some(root.join("demo.sql")));
    assert_shows(&project.database("pg").unwrap_err(), &["`pg` is not a SQLite database"]);
}

#[test]
fn paths_take_variables_defaults_and_home() {
    let folder = Folder::new(
        "databases:\n  a: ${DATA:-${HOME}/x}/a.db\n  b: ~/b.db\n  c: 'c$H.db'\n  d: ${E}.db\n  \
         e: 'x$ $1.db'\n",
    );
    let project = folder.load_with(&[("HOME", "/home/me"), ("E", "eee"), ("H", "hhh")]).unwrap();
    let path = |alias: &str| project.database(alias).unwrap().path.clone();
    assert_eq!(path("a"), Path::new("/home/me/x/a.db"));
    assert_eq!(path("b"), Path::new("/home/me/b.db"));
    assert_eq!(path("c"), folder.path().join("chhh.db"));
    assert_eq!(path("e"), folder.path().join("x$ $1.db"));
    assert_eq!(path("d"), folder.path().join("eee.db"));
    let error = folder.load_with(&[("HOME", "/home/me"), ("H", "h")]).unwrap_err();
    assert_shows(&error, &["lsrun.yml:5:6", "databases.d", "variable E", "${E:-…}"]);
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    for (text, what) in [
        ("':memory:'", "`:memory:`"),
        ("'file:x?mode=memory&cache=shared'", "mode=memory"),
        ("'file::memory:'", "memory"),
        ("'sqlite:///:memory:'", "memory"),
        ("'sqlite://'", "without a path"),
        ("'postgres://u:hush@h/d'", "`postgres://` URL, of PostgreSQL"),
        ("'file://host/x'", "the host `host`"),
        ("''", "an empty name"),
        ("{path: ''}", "an empty name"),
        ("{engine: sqlite3}", "has no `path`"),
        ("[a]", "must be a path, not a list"),
    ] {
        assert_shows(&refused(&format!("databases:\n  bad: {text}\n")), &["databases.bad", what]);
        if !text.starts_with(['{', '[']) {
            let project = Folder::new(&format!("litestream: {{dbs: [{{path: {text}}}]}}\n")).load();
            assert_shows(&project.databases().unwrap_err(), &["litestream.dbs[0].path", what]);
        }
    }
    let folder = Folder::new("databases: {a: '${X}'}\n");
    assert_shows(&folder.load_with(&[("X", ":memory:")]).unwrap_err(), &["databases.a", "memory"]);
    let error = folder.load_with(&[("X", "mysql://u:hush@h/d?x=hush")]).unwrap_err();
    assert_shows(&error, &["databases.a", "of MySQL"]);
    assert!(!shown(&error).contains("hush"));
}

#[test]
fn a_database_may_be_written_as_a_url() {
    let folder = Folder::new(
        "databases: {a: '${DATABASE_URL}', b: 'file:./dev.db?connection_limit=1', c: 'sqlite:////srv/c.db', p: data/p.db}\n\
         litestream: {dbs: [{path: $DATABASE_URL}, {path: b}, {path: c}, {path: 'sqlite:///data/p.db'}]}\n",
    );
    let project =
        folder.load_with(&[("DATABASE_URL", "sqlite:///db/a.sqlite3?timeout=5")]).unwrap();
    let databases = project.databases().unwrap();
    let names: Vec<_> = databases.iter().map(super::Database::name).collect();
    assert_eq!(names, ["a", "b", "c", "p"]);
    let paths: Vec<_> = databases.into_iter().map(|one| one.path.clone()).collect();
    let root = folder.path();
    let want = ["db/a.sqlite3", "dev.db", "/srv/c.db", "data/p.db"].map(|path| root.join(path));
    assert_eq!(paths, want);
}

#[test]
fn unknown_keys_are_named_with_place_and_nearest() {
    for (text, parts) in [
        ("database: {}\n", ["lsrun.yml:1:1: database", "`databases`"]),
        ("databases:\n  a: {pth: x}\n", ["lsrun.yml:2:7: databases.a.pth", "`path`"]),
        ("verify:\n  time_out: 1s\n", ["lsrun.yml:2:3: verify.time_out", "`timeout`"]),
        ("plugins:\n  paths: []\n", ["plugins.paths", "`path`"]),
        ("plugins: {settings: {x: {grants: []}}}\n", ["plugins.settings.x.grants", "`grant`"]),
        ("plugins: {settings: {x: {limits: {mem: 1}}}}\n", ["limits.mem", "`memory`"]),
        ("restore: {kep: 1}\n", ["restore.kep", "`keep`"]),
        ("verify: {assertions: {a: []}}\n", ["verify.assertions.a", "not an alias"]),
        ("- a\n", ["must be a mapping", "not a list"]),
        ("1: 2\n", ["a key that is a number", "quotes"]),
    ] {
        assert_shows(&refused(text), &parts);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let error = refused("databases: {a: ':memory:', b: ''}\nverfy: {}\n");
    assert_shows(&error, &["3 things are wrong", "`verify`", "databases.a", "databases.b"]);
}

#[test]
fn durations_need_a_unit() {
    assert_shows(&refused("verify: {timeout: 30}\n"), &["without a unit", "`30s`"]);
    assert_shows(&refused("verify: {timeout: soon}\n"), &["not a duration", "`1h30m`"]);
    let project = Folder::new("verify: {timeout: 1m30s, max_lag: 500ms, max_restore: 1d}\n").load();
    assert_eq!(project.verify().timeout, Duration::from_secs(90));
    assert_eq!(project.verify().max_lag, Some(Duration::from_millis(500)));
    assert_eq!(project.verify().max_restore, Some(Duration::from_secs(86400)));
    assert_eq!(Folder::new("").load().verify().timeout, Duration::from_secs(30));
}

#[test]
fn settings_are_read() {
    let folder = Folder::new(
        "databases: {default: db.sqlite3}\nrestore: {keep: 3}\nverify:\n  assertions:\n    default:\n      \
         - {name: some, sql: select 1}\n      - sql: select 2\nplugins:\n  path: [plugins, /opt/p]\n  \
         settings:\n    rows:\n      databases: [default]\n      grant: [sqlite:read=default]\n      \
         config: {table: users, min: 1}\n      optional: true\n      override: true\n      \
         limits: {memory: 64MiB, timeout: 5s, rows: 10}\nlitestream:\n  bin_path: bin/litestream\n  \
         version: 0.5.16\n",
    );
    let project = folder.load();
    let expected = serde_json::json!({"default": [
        {"name": "some", "sql": "select 1"}, {"name": "select 2", "sql": "select 2"},
    ]});
    assert_eq!(project.verify().to_json()["assertions"], expected);
    assert_eq!(project.restore().keep, Some(3));
    assert_eq!(project.plugins().path, [folder.path().join("plugins"), "/opt/p".into()]);
    let rows = &project.plugins().settings["rows"];
    assert_eq!(rows.databases, Some(vec!["default".to_owned()]));
    assert_eq!(rows.grant, ["sqlite:read=default"]);
    assert_eq!(rows.config, serde_json::json!({"table": "users", "min": 1}));
    assert!(rows.optional && rows.override_);
    let limits = rows.limits.clone().unwrap();
    assert_eq!((limits.memory, limits.rows), (Some(64 << 20), Some(10)));
    let wanted = (Some(folder.path().join("bin/litestream")), Some("0.5.16".to_owned()));
    assert_eq!(project.litestream_wanted(), wanted);
    assert_eq!(Folder::new("").load().plugins().path.len(), 1);
}

#[test]
fn an_empty_file_loads_and_has_no_databases() {
    for (text, what) in [
        ("", "no databases in"),
        ("# nothing\n", "no databases in"),
        ("databases:\n", "no databases in"),
        ("databases: {p: {engine: postgresql}}\n", "no SQLite database in"),
    ] {
        let error = Folder::new(text).load().databases().unwrap_err();
        assert_shows(&error, &[what, "default: db.sqlite3"]);
    }
    assert!(Project::without_file(Path::new("/")).databases().is_err());
}

#[test]
fn a_database_is_found_by_alias_and_by_every_path() {
    let folder = Folder::new(
        "databases: {default: data/db.sqlite3, cache: cache.db}\nlitestream:\n  dbs:\n    \
         - path: cache\n    - path: data/db.sqlite3\n    - path: ./other.db\n    \
         - {dir: tenants, pattern: '*.db', replica: {type: file, path: /b}}\n",
    );
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::create_dir_all(folder.path().join("tenants")).unwrap();
    std::fs::write(folder.path().join("tenants/a.db"), "").unwrap();
    let project = Project::load(None, &data, &Environment::default()).unwrap();
    let absolute = data.join("db.sqlite3").to_str().unwrap().to_owned();
    for name in ["default", "data/db.sqlite3", "db.sqlite3", "../data/./db.sqlite3", &absolute] {
        let found = project.database(name).unwrap();
        assert_eq!((found.name().as_str(), found.entry), ("default", Some(1)), "{name}");
    }
    assert_eq!(project.database("cache").unwrap().entry, Some(0));
    let other = project.database("other.db").unwrap();
    assert_eq!((other.alias.clone(), other.entry), (None, Some(2)));
    assert_eq!(other.name(), "other.db");
    assert_eq!(project.database("tenants/a.db").unwrap().name(), "tenants/a.db");
    assert_eq!(project.database("tenants/a.db").unwrap().entry, Some(3));
    assert_eq!(project.directories(), [folder.path().join("tenants")]);
    for gone in ["tenants/gone.db", "nothing.db", "/etc/passwd"] {
        assert!(project.database(gone).is_err(), "{gone}");
    }
    let error = project.database("defualt").unwrap_err();
    assert_shows(&error, &["unknown database `defualt`", "did you mean `default`?"]);
    assert!(!data.join("defualt").exists());
}

#[test]
fn an_entry_is_an_alias_first_and_a_bare_word_is_never_a_file() {
    let folder = Folder::new("databases: {default: a.db}\nlitestream: {dbs: [{path: defualt}]}\n");
    let error = folder.load().databases().unwrap_err();
    assert_shows(&error, &["litestream.dbs[0].path is `defualt`", "did you mean `default`?"]);
    let folder = Folder::new("databases: {x.db: real.db}\nlitestream: {dbs: [{path: x.db}]}\n");
    assert_eq!(folder.load().databases().unwrap()[0].path, folder.path().join("real.db"));
    let folder = Folder::new("litestream: {dbs: [{path: $D/x.db}, {path: '${N:-n}.db'}]}\n");
    let project = folder.load_with(&[("D", "/data")]).unwrap();
    let paths: Vec<_> =
        project.databases().unwrap().into_iter().map(|one| one.path.clone()).collect();
    assert_eq!(paths, [PathBuf::from("/data/x.db"), folder.path().join("n.db")]);
    assert_shows(&folder.load().databases().unwrap_err(), &["variable D"]);
    let literal = folder.load().without_expansion().databases().unwrap();
    assert_eq!(literal[0].path, folder.path().join("$D/x.db"));
}

#[test]
fn a_folder_is_expanded_to_the_databases_in_it() {
    let folder = Folder::new(
        "databases: {main: main.sqlite3}\nlitestream: {dbs: [{path: main}, {dir: tenants, pattern: '*.db', recursive: true}]}\n",
    );
    let tenants = folder.path().join("tenants");
    std::fs::create_dir_all(tenants.join("deep/.b.db-litestream")).unwrap();
    let database = |name: &str| {
        let mut content = b"SQLite format 3\0and more".to_vec();
        content.resize(512, 0);
        std::fs::write(tenants.join(name), content).unwrap();
    };
    for name in ["b.db", "a.db", "deep/c.db", "a.other", "deep/.b.db-litestream/x.db"] {
        database(name);
    }
    std::fs::write(tenants.join("text.db"), "hello".repeat(100)).unwrap();
    std::fs::write(tenants.join("short.db"), b"SQLite format 3\0and more").unwrap();
    let found: Vec<String> =
        folder.load().every_database().unwrap().iter().map(super::Database::name).collect();
    assert_eq!(found, ["main", "tenants/a.db", "tenants/b.db", "tenants/deep/c.db"]);
}

#[test]
fn names_are_short_and_unique() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = Folder::new("");
    let make = |folder: &Path, name: &str| {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        let mut content = b"SQLite format 3\0and more".to_vec();
        content.resize(512, 0);
        std::fs::write(folder.join(name), content).unwrap();
    };
    make(one.path(), "tenants/a.db");
    make(one.path(), "other/b.db");
    make(two.path(), "other/b.db");
    make(folder.path(), "tenants/a.db");
    let dir = |path: PathBuf| format!("{{dir: {}, pattern: '*.db'}}", path.display());
    let names = |dirs: &[PathBuf]| {
        let dirs: Vec<String> = dirs.iter().cloned().map(dir).collect();
        let text = format!("litestream: {{dbs: [{}]}}\n", dirs.join(", "));
        std::fs::write(folder.path().join("lsrun.yml"), text).unwrap();
        let project = folder.load();
        let all = project.every_database().unwrap();
        for database in &all {
            assert_eq!(project.database(&database.name()).unwrap().path, database.path);
        }
        all.iter().map(super::Database::name).collect::<Vec<_>>()
    };
    assert_eq!(names(&[one.path().join("tenants")]), ["tenants/a.db"]);
    // Two of one name: one of them is called by its whole path.
    let path = one.path().join("tenants/a.db").display().to_string();
    let own = folder.path().join("tenants");
    assert_eq!(names(&[one.path().join("tenants"), own]), [path, "tenants/a.db".to_owned()]);
    let others = [one.path().join("other"), two.path().join("other")];
    let paths: Vec<_> = others.iter().map(|it| it.join("b.db").display().to_string()).collect();
    assert_eq!(names(&others), paths);
}

#[test]
fn a_litestream_configuration_is_a_project() {
    let folder = Folder::new("");
    let file = folder.path().join("etc/litestream.yml");
    std::fs::create_dir_all(folder.path().join("etc")).unwrap();
    let text = "dbs:\n- path: a/main.db\n- path: b/main.db\n- path: ${D:-/srv}/shop.sqlite3\n- {dir: t, pattern: $P, recursive: yes}\n";
    std::fs::write(&file, text).unwrap();
    let environment = Environment::from_iter([("P", "*.db")]);
    let project = Project::load(Some(&file), folder.path(), &environment).unwrap();
    let names: Vec<_> = project.databases().unwrap().iter().map(super::Database::name).collect();
    // Relative to where it is used, as litestream has it.
    assert_eq!(names, ["a/main.db", "b/main.db", "shop"]);
    assert_eq!(project.aliases().collect::<Vec<_>>(), ["shop"]);
    assert_eq!(project.database("shop").unwrap().path, Path::new("/srv/shop.sqlite3"));
    std::fs::create_dir_all(folder.path().join("t/deep")).unwrap();
    std::fs::write(folder.path().join("t/deep/x.db"), "").unwrap();
    assert_eq!(project.database("t/deep/x.db").unwrap().entry, Some(3));
    // One that was found by searching is an lsrun.yml.
    std::fs::write(folder.path().join("lsrun.yml"), text).unwrap();
    let error = Project::load(None, folder.path(), &environment).unwrap_err();
    assert_shows(&error, &["dbs is not a key of lsrun.yml"]);
}

#[test]
fn nothing_in_a_folder_is_waited_for_and_no_link_leads_out_of_it() {
    let folder = Folder::new("litestream: {dbs: [{dir: tenants, pattern: '*.db'}]}\n");
    let tenants = folder.path().join("tenants");
    std::fs::create_dir(&tenants).unwrap();
    let mut content = b"SQLite format 3\0".to_vec();
    content.resize(512, 0);
    std::fs::write(tenants.join("own.db"), &content).unwrap();
    std::fs::write(folder.path().join("secret.db"), &content).unwrap();
    std::os::unix::fs::symlink("own.db", tenants.join("also.db")).unwrap();
    std::os::unix::fs::symlink("../secret.db", tenants.join("out.db")).unwrap();
    std::os::unix::fs::symlink("nowhere", tenants.join("lost.db")).unwrap();
    std::os::unix::fs::symlink("loop.db", tenants.join("loop.db")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(tenants.join("fifo.db")).status();
    assert!(made.unwrap().success());
    let _gone = std::os::unix::net::UnixListener::bind(tenants.join("socket.db")).unwrap();
    let found = folder.load().found().unwrap();
    let names: Vec<String> = found.databases.iter().map(super::Database::name).collect();
    // Of two names of one file the first one.
    assert_eq!(names, ["tenants/also.db"]);
    let refused = found.refused.join("\n");
    for word in
        ["fifo.db is left out", "socket.db is left out", "out.db is left out: it is a link out"]
    {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    assert_eq!(found.refused.len(), 3, "{refused}");
}
