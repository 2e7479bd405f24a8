//! What is missing from a backup after a period of busy writes: with lsrun, and with
//! the steps that people script themselves. Not a time, but a count that has to be 0.
//!
//! `cargo bench -- loss` takes `LSRUN_LOSS_SECONDS` (60) for each of `LSRUN_LOSS_RUNS`
//! (5) runs, with a call every `LSRUN_LOSS_EVERY_MS` (500), and starts and ends
//! `LSRUN_LOSS_DEPLOYS` (30) times. `LSRUN_LOSS_ONLY` is a part of a row's name.

#[path = "../support/load.rs"]
mod load;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Bench;
use load::Writers;

/// Commits a second of each of two writers.
const RATES: [u32; 3] = [100, 500, 1000];

/// What is done again and again beside the writers.
#[derive(Clone, Copy)]
enum Beside {
    /// Beside `lsrun replicate`.
    Lsrun(&'static [&'static str]),
    /// `lsrun verify` in a PID namespace of its own, beside a daemon without a socket.
    Elsewhere,
    /// `litestream sync -wait`, beside litestream's daemon.
    Litestream,
}

pub(crate) fn run(bench: &Bench) {
    let seconds = number("LSRUN_LOSS_SECONDS", 60);
    let runs = number("LSRUN_LOSS_RUNS", 5);
    println!(
        "\nloss: two writers and a call every {} ms for {seconds} s; rows that litestream's own restore lacks at rest",
        every().as_millis()
    );
    let only = std::env::var("LSRUN_LOSS_ONLY").unwrap_or_default();
    println!("{:<44} {:>9} {:>8}  lost (and damaged), each run", "", "commits/s", "rows");
    for (name, what) in [
        ("lsrun verify", Beside::Lsrun(&["verify"])),
        ("lsrun sync -wait", Beside::Lsrun(&["sync", "-wait", "default"])),
        ("lsrun verify in another container", Beside::Elsewhere),
        ("litestream sync -wait, litestream's daemon", Beside::Litestream),
    ] {
        for rate in RATES.into_iter().filter(|_| name.contains(&only)) {
            let (mut rows, mut lost, mut bad, mut whole) = (0, Vec::new(), 0, 0);
            for _ in 0..runs {
                let (found, sent_whole) = beside(bench, what, rate, Duration::from_secs(seconds));
                rows += found.rows;
                let damaged = if found.integrity == "ok" { "" } else { " (damaged)" };
                lost.push(format!("{}{damaged}", found.lost));
                bad += u32::from(!found.is_none());
                whole += sent_whole;
            }
            println!(
                "{name:<44} {:>9} {rows:>8}  {}; {bad} of {runs} bad, {whole} snapshots",
                rate * 2,
                lost.join(", ")
            );
        }
    }
    if only.is_empty() {
        deploys(bench);
    }
}

/// From the start of one call to the next.
fn every() -> Duration {
    Duration::from_millis(number("LSRUN_LOSS_EVERY_MS", 500))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A project of its own, with a database that is written to.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        load::create(&place.database());
        std::fs::create_dir(place.0.path().join("run")).unwrap();
        std::fs::write(place.0.path().join("lsrun.yml"), crate::PROJECT).unwrap();
        let config = format!(
            "socket: {{enabled: true, path: {}}}\ndbs: [{{path: {}, replica: {{type: file, path: {}}}}}]\n",
            place.socket().display(),
            place.database().display(),
            place.replica().display()
        );
        std::fs::write(place.0.path().join("litestream.yml"), config).unwrap();
        place
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("db.sqlite3")
    }

    fn replica(&self) -> PathBuf {
        self.0.path().join("replica")
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("control.sock")
    }

    fn lsrun(&self, bench: &Bench, arguments: &[&str]) -> Command {
        let mut command = bench.command(arguments, &bench.cache);
        command.current_dir(self.0.path()).env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        command
    }

    fn litestream(&self, bench: &Bench, arguments: &[&str]) -> Command {
        let mut command = Command::new(&bench.litestream);
        command.args(arguments).current_dir(self.0.path()).env_remove("AWS_CA_BUNDLE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What litestream's own restore lacks.
    fn difference(&self, bench: &Bench) -> load::Difference {
        let copy = self.0.path().join("copy.sqlite3");
        load::restored(&bench.litestream, &self.database(), &self.replica(), &copy)
    }
}

fn until(mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < deadline, "waited too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn end(mut child: Child, signal: Signal) {
    let _gone = kill_process(Pid::from_child(&child), signal);
    let _status = child.wait();
}

fn beside(bench: &Bench, what: Beside, rate: u32, time: Duration) -> (load::Difference, usize) {
    let place = Place::new();
    let sync = |place: &Place| place.lsrun(bench, &["sync", "-wait", "default"]);
    let mut daemon = match what {
        Beside::Lsrun(_) => place.lsrun(bench, &["replicate"]),
        Beside::Elsewhere => {
            // Nobody finds its socket.
            let config = place.0.path().join("litestream.yml");
            let text = std::fs::read_to_string(&config).unwrap();
            let text: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
            std::fs::write(&config, text).unwrap();
            place.litestream(bench, &["replicate", "-config", "litestream.yml"])
        }
        Beside::Litestream => place.litestream(bench, &["replicate", "-config", "litestream.yml"]),
    };
    let daemon = daemon.spawn().unwrap();
    until(|| place.replica().join("ltx/0").is_dir());
    if matches!(what, Beside::Lsrun(_)) {
        until(|| sync(&place).status().unwrap().success());
    }
    let writers = Writers::start(&place.database(), 2, rate);
    let started = Instant::now();
    while started.elapsed() < time {
        let round = Instant::now();
        let mut call = match what {
            Beside::Lsrun(arguments) => place.lsrun(bench, arguments),
            Beside::Elsewhere => {
                let inner = place.lsrun(bench, &["verify", "--timeout", "10s"]);
                let mut outer = Command::new("unshare");
                outer.args(["--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
                outer.arg(inner.get_program()).args(inner.get_args());
                for (name, value) in inner.get_envs() {
                    if let Some(value) = value {
                        outer.env(name, value);
                    }
                }
                outer.current_dir(place.0.path());
                outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                outer
            }
            Beside::Litestream => {
                let socket = place.socket();
                let database = place.database();
                let words = ["sync", "-wait", "-socket", socket.to_str().unwrap()];
                let mut command = place.litestream(bench, &words);
                command.arg(database);
                command
            }
        };
        let _any = call.status().unwrap();
        std::thread::sleep(every().saturating_sub(round.elapsed()));
    }
    writers.end();
    // At rest: after the last transaction and two rounds of every writer.
    std::thread::sleep(Duration::from_secs(4));
    end(daemon, Signal::TERM);
    (place.difference(bench), load::snapshots(&place.replica()))
}

/// Starts and ends beside an application that writes all the time.
fn deploys(bench: &Bench) {
    let count = number("LSRUN_LOSS_DEPLOYS", 30);
    println!("\nloss: {count} starts and ends (TERM, INT, KILL) beside 200 commits/s");
    for another in [false, true] {
        for own in [true, false] {
            let name =
                if own { "lsrun replicate -- app" } else { "litestream replicate -exec app" };
            let place = Place::new();
            let _another = another.then(|| {
                let connection = rusqlite::Connection::open(place.database()).unwrap();
                let sql = "SELECT count(*) FROM rows";
                connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
                connection
            });
            let writers = Writers::start(&place.database(), 1, 200);
            let mut bad = 0;
            for number in 0..count {
                let signal = [Signal::TERM, Signal::INT, Signal::KILL][number as usize % 3];
                let mut command = if own {
                    place.lsrun(bench, &["replicate", "--", "sleep", "600"])
                } else {
                    let words = ["replicate", "-config", "litestream.yml", "-exec", "sleep 600"];
                    place.litestream(bench, &words)
                };
                let child = command.spawn().unwrap();
                std::thread::sleep(Duration::from_millis(1500));
                end(child, signal);
                std::thread::sleep(Duration::from_millis(300));
                // It has to be whole at every moment, if not the newest.
                bad += u32::from(place.difference(bench).integrity != "ok");
            }
            let last = place.lsrun(bench, &["replicate"]).spawn().unwrap();
            std::thread::sleep(Duration::from_secs(2));
            writers.end();
            std::thread::sleep(Duration::from_secs(4));
            end(last, Signal::TERM);
            let found = place.difference(bench);
            println!(
                "{name:<34} {:<34} damaged meanwhile {bad}, at rest {} of {} rows lost, {}",
                if another { "another process keeps it open" } else { "" },
                found.lost,
                found.rows,
                found.integrity
            );
        }
    }
}
