//! What a verification costs by the size of the database, stage by stage, for the
//! README's table.

use std::io::BufRead;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::{Bench, large};

/// The stages, each with the line that `lsrun verify` says when it begins.
const STAGES: [(&str, &str); 3] = [
    ("replicate", "waiting for the replica"),
    ("restore", "restoring"),
    ("checks", "checking the copy"),
];

/// What one stage took.
#[derive(Default, Clone, Copy)]
struct Cost {
    time: Duration,
    /// The most memory at one moment, in MB: lsrun's own, and litestream's.
    lsrun: f64,
    litestream: f64,
}

pub(crate) fn run(bench: &Bench) {
    println!("\nTime, lsrun's memory + litestream's memory in MB");
    println!("| database | {} | {} | {} | all |", STAGES[0].0, STAGES[1].0, STAGES[2].0);
    println!("|---|---|---|---|---|");
    for (name, rows) in
        [("1 MB", 2_000), ("10 MB", 20_000), ("100 MB", 200_000), ("1 GB", 2_000_000)]
    {
        let folder = bench.path("sizes");
        std::fs::create_dir(&folder).unwrap();
        large::fill(&folder.join("db.sqlite3"), rows);
        std::fs::write(folder.join("lsrun.yml"), crate::PROJECT).unwrap();
        let project = folder.to_str().unwrap();
        // The first replication copies everything, and the second one checkpoints the log of
        // that into the database; those that follow are the rule.
        for _ in 0..2 {
            bench.lsrun(&["-C", project, "verify", "--timeout", "10m"], &bench.cache);
        }
        let (all, costs) = measured(bench, project);
        let cells = costs.map(|cost| {
            let seconds = cost.time.as_secs_f64();
            format!("{seconds:.2} s, {:.0} + {:.0}", cost.lsrun, cost.litestream)
        });
        println!("| {name} | {} | {:.2} s |", cells.join(" | "), all.as_secs_f64());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

/// One verification: its time, and what each stage took.
fn measured(bench: &Bench, project: &str) -> (Duration, [Cost; STAGES.len()]) {
    let started = Instant::now();
    let mut command = bench.command(&["-C", project, "verify"], &bench.cache);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (said, lines) = mpsc::channel();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ended = said.send((Instant::now(), line));
        }
    });
    let mut costs = [Cost::default(); STAGES.len()];
    let mut now: Option<(usize, Instant)> = None;
    let status = loop {
        for (moment, line) in lines.try_iter() {
            let Some(next) = STAGES.iter().position(|(_, words)| line.contains(words)) else {
                continue;
            };
            if let Some((stage, since)) = now.replace((next, moment)) {
                costs[stage].time += moment - since;
            }
        }
        if let Some((stage, _)) = now {
            let cost = &mut costs[stage];
            cost.lsrun = cost.lsrun.max(memory(child.id()));
            cost.litestream = cost.litestream.max(children(child.id()).map(memory).sum());
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{status}");
    let all = started.elapsed();
    if let Some((stage, since)) = now {
        costs[stage].time += started + all - since;
    }
    reader.join().unwrap();
    (all, costs)
}

/// Resident memory in MB (Linux).
fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1000.0
}

/// The processes that any thread of this one has started.
fn children(process: u32) -> impl Iterator<Item = u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    threads.into_iter().flatten().flatten().flat_map(|thread| {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
    })
}
