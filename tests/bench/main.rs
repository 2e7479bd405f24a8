//! `cargo bench`: whole processes against each other, in turns, as ratios of their
//! medians, so that the figures are meaningful on a machine with other load.
//!
//! `cargo bench -- start small hook unused large many` runs these parts only; `sizes` and `reader`, which
//! take minutes and some gigabytes, `reader-small`, and `loss`, which takes an hour, run only when they
//! are named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints and may panic"
)]

mod large;
mod loss;
mod many;
mod reader;
mod sizes;
mod unused;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lsrun::testing::{Environment, Progress, Wanted, find};

/// Turns of each comparison, after one that is not counted.
const TURNS: usize = 21;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let named: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let bench = Bench::new();
    if wanted("start") {
        bench.start();
        bench.passed_through();
    }
    if wanted("small") {
        bench.verify_without_daemon();
        bench.verify_with_daemon();
    }
    if wanted("hook") {
        bench.hook();
    }
    if wanted("unused") {
        unused::of(&bench);
    }
    if wanted("large") {
        large::run(&bench);
    }
    if wanted("many") {
        many::run(&bench);
    }
    if named.iter().any(|name| name == "sizes") {
        sizes::run(&bench);
    }
    if named.iter().any(|name| name == "reader-small") {
        reader::run(&bench, 200_000);
    }
    if named.iter().any(|name| name == "reader") {
        reader::run(&bench, 2_000_000);
    }
    if named.iter().any(|name| name == "loss") {
        loss::run(&bench);
    }
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_lsrun")).unwrap().len();
    println!("\nthe binary: {:.1} MB (at most 25)", size as f64 / 1e6);
}

struct Bench {
    folder: tempfile::TempDir,
    cache: PathBuf,
    litestream: PathBuf,
}

/// One thing to time: its name and what to run.
type Contender<'a> = (&'a str, Box<dyn FnMut() + 'a>);

impl Bench {
    fn new() -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let environment = std::env::vars()
            .chain([("LSRUN_CACHE_DIR".into(), cache.to_string_lossy().into_owned())])
            .collect::<Environment>();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(find(&Wanted::default(), &environment, &Silent));
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder, cache, litestream: found.unwrap().path };
        let connection = rusqlite::Connection::open(bench.path("db.sqlite3")).unwrap();
        connection.execute_batch(include_str!("../../examples/quickstart/shop.sql")).unwrap();
        connection.execute_batch("CREATE TABLE sentinel (code TEXT)").unwrap();
        bench.write("lsrun.yml", PROJECT);
        bench.write(
            "bare.yml",
            &format!(
                "logging: {{stderr: true}}\ndbs: [{{path: {}, replica: {{type: file, path: {}}}}}]\n",
                bench.path("db.sqlite3").display(),
                bench.path("replica").display()
            ),
        );
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// lsrun, not started, with nothing of its output shown.
    fn command(&self, arguments: &[&str], cache: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lsrun"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("LSRUN_STATE_DIR", self.path("state"));
        command.env("LSRUN_CACHE_DIR", cache).env("LSRUN_LITESTREAM", &self.litestream);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn lsrun(&self, arguments: &[&str], cache: &Path) {
        let mut command = self.command(arguments, cache);
        run(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    }

    fn bare(&self, arguments: &[&str]) {
        let mut command = Command::new(&self.litestream);
        command.args(arguments).current_dir(self.folder.path()).env_remove("AWS_CA_BUNDLE");
        run(&mut command);
    }

    /// Litestream's command that has the daemon of `folder` replicate its database.
    fn sync(&self, folder: &Path) {
        let (socket, database) = (folder.join("control.sock"), folder.join("db.sqlite3"));
        let (socket, database) = (socket.to_str().unwrap(), database.to_str().unwrap());
        self.bare(&["sync", "-wait", "-socket", socket, database]);
    }

    fn start(&self) {
        let cold = self.path("cold");
        compare(
            "a start",
            vec![
                ("an empty process", Box::new(|| run(&mut Command::new("/bin/true")))),
                ("litestream version", Box::new(|| self.bare(&["version"]))),
                (
                    "lsrun config, compiled before (at most 6 ms)",
                    Box::new(|| self.lsrun(&["config"], &self.cache)),
                ),
                (
                    "lsrun config, empty cache (at most 60 ms)",
                    Box::new(|| {
                        let _missing = std::fs::remove_dir_all(&cold);
                        self.lsrun(&["config"], &cold);
                    }),
                ),
            ],
        );
    }

    /// A command that lsrun passes on, compared with the same one without lsrun.
    fn passed_through(&self) {
        self.lsrun(&["verify"], &self.cache);
        let database = self.path("db.sqlite3");
        let bare = ["ltx", "-config", "bare.yml", database.to_str().unwrap()];
        compare(
            "a command that is passed through (at most 5 ms more)",
            vec![
                ("litestream ltx", Box::new(|| self.bare(&bare))),
                ("lsrun ltx", Box::new(|| self.lsrun(&["ltx", "default"], &self.cache))),
            ],
        );
    }

    /// The bare steps on the database of `folder`: a row, to the replica, restore with a
    /// full check, the row.
    fn steps(&self, folder: &Path, config: &str, replicate: impl Fn()) {
        let database = folder.join("db.sqlite3");
        let config = folder.join(config);
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        let code: String = connection
            .query_row(
                "INSERT INTO sentinel VALUES (hex(randomblob(16))) RETURNING code",
                [],
                |row| row.get(0),
            )
            .unwrap();
        drop(connection);
        replicate();
        let restored = self.path("restored.sqlite3");
        self.bare(&[
            "restore",
            "-config",
            config.to_str().unwrap(),
            "-integrity-check",
            "full",
            "-o",
            restored.to_str().unwrap(),
            database.to_str().unwrap(),
        ]);
        let connection = rusqlite::Connection::open(&restored).unwrap();
        let found = "SELECT count(*) FROM sentinel WHERE code = ?";
        let count: i64 = connection.query_row(found, [code], |row| row.get(0)).unwrap();
        assert_eq!(count, 1);
        drop(connection);
        for suffix in ["", "-wal", "-shm"] {
            let _missing = std::fs::remove_file(format!("{}{suffix}", restored.display()));
        }
    }

    /// A restore with a hook that agrees at once, against one without.
    fn hook(&self) {
        self.lsrun(&["verify"], &self.cache);
        let plain = self.path("plain");
        std::fs::create_dir(&plain).unwrap();
        let project = std::fs::read_to_string(self.path("lsrun.yml")).unwrap();
        let root = self.path("").display().to_string();
        let absolute = project.replace(": db.", &format!(": {root}db."));
        let absolute = absolute.replace("path: replica", &format!("path: {root}replica"));
        std::fs::write(plain.join("lsrun.yml"), &absolute).unwrap();
        let hooked = self.path("hooked");
        std::fs::create_dir_all(hooked.join("plugins")).unwrap();
        std::fs::write(hooked.join("lsrun.yml"), &absolute).unwrap();
        let guest = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/compat/0.1.0/protect.wasm");
        std::fs::copy(guest, hooked.join("plugins/protect.wasm")).unwrap();
        let restore = |folder: &Path| {
            let output = self.path("hook.sqlite3");
            let _missing = std::fs::remove_file(&output);
            let arguments = ["-C", folder.to_str().unwrap(), "restore", "-o"];
            let all = [&arguments[..], &[output.to_str().unwrap(), "default"]].concat();
            self.lsrun(&all, &self.cache);
        };
        compare_in(
            61,
            "restore with a pre-restore hook that agrees (at most 2 ms more)",
            vec![
                ("lsrun restore", Box::new(|| restore(&plain))),
                ("lsrun restore, a hook of 87 KB", Box::new(|| restore(&hooked))),
            ],
        );
    }

    fn verify_without_daemon(&self) {
        compare(
            "verify, no daemon",
            vec![
                (
                    "bare: row, replicate -once, restore, check",
                    Box::new(|| {
                        self.steps(self.folder.path(), "bare.yml", || {
                            self.bare(&["replicate", "-once", "-config", "bare.yml"]);
                        });
                    }),
                ),
                ("lsrun verify default", Box::new(|| self.lsrun(&["verify"], &self.cache))),
            ],
        );
    }

    fn verify_with_daemon(&self) {
        let bare = self.path("bare");
        std::fs::create_dir(&bare).unwrap();
        // A copy of the file alone: nothing has it open.
        std::fs::copy(self.path("db.sqlite3"), bare.join("db.sqlite3")).unwrap();
        let _daemons = [Daemon::start(self, &bare), Daemon::start(self, self.folder.path())];
        self.write("lsrun.yml", &format!("{PROJECT}  {}", socket_of(self.folder.path())));
        compare(
            "verify, a daemon with a control socket (at most 1.0, and its interval of 100 ms)",
            vec![
                (
                    "bare: row, sync -wait, restore, check",
                    Box::new(|| self.steps(&bare, "daemon.yml", || self.sync(&bare))),
                ),
                ("lsrun verify default", Box::new(|| self.lsrun(&["verify"], &self.cache))),
            ],
        );
    }
}

const PROJECT: &str = "databases: {default: db.sqlite3}
litestream:
  dbs:
  - {path: default, replica: {type: file, path: replica}}
";

/// The control socket of a daemon for the database of `folder`, as a line of YAML.
fn socket_of(folder: &Path) -> String {
    format!("socket: {{enabled: true, path: {}}}\n", folder.join("control.sock").display())
}

/// Litestream's daemon for the database of a folder. `litestream sync -wait` takes its
/// read lock away, which lsrun sees, waits for and reports: who uses the one and who uses
/// the other have a daemon each.
struct Daemon(Child);

impl Daemon {
    /// `replicate` with the interval that `lsrun replicate` gives a replica in a folder;
    /// returns when it answers.
    fn start(bench: &Bench, folder: &Path) -> Self {
        let config = format!(
            "{}dbs: [{{path: {}, replica: {{sync-interval: 100ms, type: file, path: {}}}}}]\n",
            socket_of(folder),
            folder.join("db.sqlite3").display(),
            folder.join("replica").display()
        );
        std::fs::write(folder.join("daemon.yml"), config).unwrap();
        let child = Command::new(&bench.litestream)
            .args(["replicate", "-config", "daemon.yml"])
            .current_dir(folder)
            .env_remove("AWS_CA_BUNDLE")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self(child);
        while !folder.join("control.sock").exists() {
            assert!(daemon.0.try_wait().unwrap().is_none(), "the daemon ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

struct Silent;

impl Progress for Silent {
    fn note(&self, _text: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
    fn finished(&self) {}
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// [`compare_in`] as many turns as are enough for what is short.
fn compare(title: &str, contenders: Vec<Contender<'_>>) {
    compare_in(TURNS, title, contenders);
}

/// Runs all contenders in turns; prints each one's least time and its median, and the
/// ratio of the medians to that of the first.
fn compare_in(turns: usize, title: &str, mut contenders: Vec<Contender<'_>>) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contenders.len()];
    for turn in 0..=turns {
        for ((_, work), times) in contenders.iter_mut().zip(&mut times) {
            let started = Instant::now();
            work();
            if turn > 0 {
                times.push(started.elapsed());
            }
        }
    }
    println!("\n{title}");
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1000.0
        })
        .collect();
    println!("  {:<50} {:>11} {:>11}", "", "least", "median");
    for (((name, _), median), times) in contenders.iter().zip(&medians).zip(&times) {
        let least = times[0].as_secs_f64() * 1000.0;
        let ratio = median / medians[0];
        println!("  {name:<50} {least:>8.1} ms {median:>8.1} ms {ratio:>6.2} x");
    }
}
