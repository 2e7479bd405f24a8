//! A hundred databases of 1 MB: the gain of a second job, and lsrun's own memory.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use crate::{Bench, compare_in, large};

pub(crate) fn run(bench: &Bench) {
    let folder = bench.path("many");
    project(&folder, 100);
    let project = folder.to_str().unwrap().to_owned();
    let verify = |jobs: &str| {
        bench.lsrun(&["-C", &project, "verify", "--jobs", jobs], &bench.cache);
    };
    compare_in(
        3,
        "100 databases of 1 MB (two jobs at most 0.59 of one)",
        vec![
            ("lsrun verify --jobs 1", Box::new(|| verify("1"))),
            ("lsrun verify --jobs 2", Box::new(|| verify("2"))),
        ],
    );
    let (_, memory) = measured(bench, &["-C", &project, "verify", "--jobs", "2", "db-1"]);
    println!("  lsrun's own memory, 1 database:      {memory:>6.1} MB (at most 80)");
    let (_, memory) = measured(bench, &["-C", &project, "verify", "--jobs", "2"]);
    println!("  lsrun's own memory, 100 databases:   {memory:>6.1} MB (at most 80)");
    let _removed = std::fs::remove_dir_all(&folder);
    println!("\n1,000 databases of 0.1 MB");
    project_of(&folder, 1000, 200);
    let (seconds, memory) = measured(bench, &["-C", &project, "verify", "--jobs", "2"]);
    println!("  lsrun verify --jobs 2: {seconds:.0} s, {memory:.1} MB");
    let _removed = std::fs::remove_dir_all(&folder);
}

fn project(folder: &Path, count: usize) {
    project_of(folder, count, 2000);
}

fn project_of(folder: &Path, count: usize, rows: u32) {
    std::fs::create_dir(folder).unwrap();
    let first = folder.join("1.sqlite3");
    large::fill(&first, rows);
    let mut aliases = String::from("databases:\n");
    let mut entries = String::from("litestream:\n  dbs:\n");
    for number in 1..=count {
        let path = folder.join(format!("{number}.sqlite3"));
        if path != first {
            std::fs::copy(&first, path).unwrap();
        }
        writeln!(aliases, "  db-{number}: {number}.sqlite3").unwrap();
        writeln!(entries, "  - {{path: db-{number}, replica: {{type: file, path: r/{number}}}}}")
            .unwrap();
    }
    std::fs::write(folder.join("lsrun.yml"), format!("{aliases}{entries}")).unwrap();
}

/// Seconds, and the most memory that lsrun itself had, in MB (Linux).
fn measured(bench: &Bench, arguments: &[&str]) -> (f64, f64) {
    let started = Instant::now();
    let mut child = bench.command(arguments, &bench.cache).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.0_f64;
    loop {
        let high = std::fs::read_to_string(&status).unwrap_or_default();
        let high = high.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = high.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        most = most.max(kilobytes.unwrap_or_default() / 1000.0);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?}: {status}");
            return (started.elapsed().as_secs_f64(), most);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
