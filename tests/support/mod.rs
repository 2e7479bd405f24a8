//! A folder with a project in it, and lsrun run in it.

pub(crate) mod backups;
pub(crate) mod daemon;
pub(crate) mod damaged;
pub(crate) mod fleet;
pub(crate) mod gap;
pub(crate) mod load;
pub(crate) mod promtool;
pub(crate) mod puppet;
pub(crate) mod replicate;
pub(crate) mod s3;
pub(crate) mod server;
pub(crate) mod stand_in;
pub(crate) mod tls;
pub(crate) mod toolchains;
pub(crate) mod wrap;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lsrun::testing::{Environment, Progress, Wanted, find};

/// One database with some content and a file replica.
pub(crate) const PROJECT: &str = "
databases:
  default: db.sqlite3
litestream:
  dbs:
  - path: default
    replica: {type: file, path: replica}
";

const CONTENT: &str = "
PRAGMA journal_mode = wal;
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO users (name) VALUES ('ann'), ('bob'), ('eve');
";

/// The variables that change what lsrun does or prints, which only a test itself sets.
const READ_BY_LSRUN: [&str; 12] = [
    "LSRUN_*",
    "LITESTREAM_*",
    "AWS_*",
    "AZURE_*",
    "GOOGLE_*",
    "STORAGE_EMULATOR_HOST",
    "CI",
    "GITHUB_*",
    "NO_COLOR",
    "COLUMNS",
    "GOMAXPROCS",
    "XDG_*",
];

/// A command that does not have [`READ_BY_LSRUN`] from whoever runs the tests: a pipeline
/// has CI, and a desk may have an AWS_PROFILE.
pub(crate) fn without_what_lsrun_reads(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let read = READ_BY_LSRUN.iter().any(|it| match it.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == *it,
        });
        if read && text != "LSRUN_BUILTIN_DIR" {
            command.env_remove(&name);
        }
    }
}

/// What is downloaded and compiled once for all tests.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// The real litestream, fetched as a user's first run fetches it.
pub(crate) fn litestream() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let environment: Environment =
            std::env::vars()
                .filter(|(name, _)| !name.starts_with("LSRUN_"))
                .chain([("LSRUN_CACHE_DIR".into(), cache().to_string_lossy().into_owned())])
                // The pinned one, not one that this machine has.
                .map(|(name, value)| {
                    if name == "PATH" { (name, without_litestream(&value)) } else { (name, value) }
                })
                .collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(find(&Wanted::default(), &environment, &Silent));
        found.expect("litestream can be fetched").path
    })
}

fn without_litestream(path: &str) -> String {
    let kept = std::env::split_paths(path).filter(|folder| !folder.join("litestream").exists());
    std::env::join_paths(kept).unwrap().into_string().unwrap()
}

struct Silent;

impl Progress for Silent {
    fn note(&self, _text: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
    fn finished(&self) {}
}

/// What a run of lsrun left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Fails with the whole output when the code is another one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// For what has more than one good answer.
    #[track_caller]
    pub(crate) fn expect_one_of(self, codes: &[i32]) -> Self {
        assert!(codes.contains(&self.code), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(all.contains(word), "{word:?} is not said:\n{all}");
        }
        self
    }

    #[track_caller]
    pub(crate) fn says_not(&self, word: &str) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(!all.contains(word), "{word:?} is said:\n{all}");
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// A folder with a project.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
    /// The history is outside of the project, as it does for users.
    state: tempfile::TempDir,
}

impl Sandbox {
    /// With [`PROJECT`] and its database.
    pub(crate) fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.write("lsrun.yml", PROJECT);
        sandbox.sql("db.sqlite3", CONTENT);
        sandbox
    }

    /// Without anything.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, state: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the history.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs SQL on a database, which is created when it is missing.
    pub(crate) fn sql(&self, name: &str, sql: &str) {
        let connection = rusqlite::Connection::open(self.path(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// One integer from a database, without creating it.
    pub(crate) fn integer(&self, name: &str, sql: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = rusqlite::Connection::open_with_flags(self.path(name), flags).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Puts a component built for the tests into `plugins/`.
    pub(crate) fn plugin(&self, name: &str) {
        let built = repository().join("tests/compat/0.1.0").join(format!("{name}.wasm"));
        std::fs::create_dir_all(self.path("plugins")).unwrap();
        std::fs::copy(&built, self.path("plugins").join(format!("{name}.wasm"))).unwrap();
    }

    /// The command, not started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lsrun"));
        without_what_lsrun_reads(&mut command);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("LSRUN_CACHE_DIR", cache())
            .env("LSRUN_STATE_DIR", self.state.path())
            .env("LSRUN_LITESTREAM", litestream())
            .stdin(Stdio::null());
        command
    }

    /// Runs lsrun to its end.
    pub(crate) fn lsrun(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    /// From now on nothing can be written to the replica `replica`.
    pub(crate) fn take_the_replica_away(&self) {
        std::fs::rename(self.path("replica"), self.path("away")).unwrap();
        self.write("replica", "not a folder");
    }

    pub(crate) fn bring_the_replica_back(&self) {
        std::fs::remove_file(self.path("replica")).unwrap();
        std::fs::rename(self.path("away"), self.path("replica")).unwrap();
    }

    /// Changes a byte in the middle of the newest file of the replica `replica`.
    pub(crate) fn damage_the_newest_file(&self) {
        let last = self.names("replica/ltx/0").pop().unwrap();
        let file = self.path("replica/ltx/0").join(last);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&file, bytes).unwrap();
    }

    /// Fails when lsrun has left something in its temporary folder.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let left: Vec<_> = std::fs::read_dir(self.path("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// The names in a folder of the sandbox, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The files below a folder of the repository whose names have this ending, sorted;
/// nothing hidden, and nothing that was built.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut folders = vec![repository().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if !name.to_string_lossy().starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The Rust files below a folder, without those of unit tests.
pub(crate) fn sources(folder: &str) -> Vec<PathBuf> {
    let mut files = files(folder, "rs");
    files.retain(|path| !path.ends_with("tests.rs"));
    files
}

/// The last check of this name in the report of one database.
#[track_caller]
pub(crate) fn check<'a>(json: &'a serde_json::Value, id: &str) -> &'a serde_json::Value {
    let checks = json["databases"][0]["checks"].as_array().unwrap();
    checks.iter().rev().find(|check| check["id"] == id).unwrap_or_else(|| panic!("{id}: {json}"))
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Waits until `ready` says so, and fails when that takes too long.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
